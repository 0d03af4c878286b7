"""One job from decision to a checked clip, as steps that never sleep: whoever drives it may die between any two.

    intent -> submit -> accepted -> poll ... -> succeeded (result copied, checked, settled)
                     -> rejected              -> the next offer, or the end
                     -> unknown -> find ...   -> accepted | rejected | needs_review (the end: nobody knows, nobody pays)

What must hold (facts of money, asserted by the fault matrix in the tests):
* the intent is a row before the call; an intent found after a crash is a lost submit, not a fresh one
* no second submit while an attempt is open: the database refuses it (`route_attempt_open`)
* no second submit after one that was billed, after an unknown one, or after a refused input

Over 400 lines: every transition of one state machine, which has to be read together to be believed.
"""

from __future__ import annotations

import contextlib
import math
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from muybridge.errors import (
    Cancelled,
    InvalidRequest,
    MediaFetch,
    MediaInvalid,
    ModerationRefused,
    ModerationWithheld,
    MuybridgeError,
    ProviderFailed,
    SubmitUnknown,
    TimedOut,
    Unavailable,
)
from muybridge.providers.catalog import LOCAL, Catalog, Offer, days
from muybridge.providers.health import Health
from muybridge.providers.ledger import Attempt, Ledger, State
from muybridge.providers.price import Measure, micros, units_micros
from muybridge.providers.provider import (
    Accepted,
    CannotTell,
    Failure,
    Found,
    Inputs,
    Order,
    Poll,
    Provider,
    Rejected,
    Ticket,
    Trouble,
    Unknown,
    Usage,
)
from muybridge.providers.router import Conditions, Decision, Wish, route

MAX_ATTEMPTS = 6
MAX_FETCHES = 5
FIND_AFTER_S = (5.0, 15.0, 60.0, 120.0, 300.0, 600.0)
ELSEWHERE = frozenset({"auth", "permission", "quota", "rate", "capacity", "internal", "timeout", "model_retired"})
PASSES = frozenset({"rate", "capacity", "internal", "timeout"})  # worth another try at the same offer, later
FIRST_POLL, FIRST_POLL_MAX_S = 0.7, 120.0  # of the usual time of the lane
TICKS_PER_MICRO = 10_000  # 1e-10 USD

# Checks a fetched file as hostile media and returns our own copy; raises MediaInvalid.
Check = Callable[[Path, Order], "Checked"]


@dataclass(frozen=True)
class Checked:
    """A result that is ours: re-encoded, of the length and size asked for."""

    path: Path
    seconds: float
    width: int
    height: int
    original: Path | None = None  # the provider's own file, kept where it carries a manifest of its making


@dataclass(frozen=True)
class Task:
    """What is known about a job from its row. `inputs` gives its media as addresses (True: they must be inline)."""

    job_id: str
    tenant: str
    key_id: str
    wish: Wish
    inputs: Callable[[bool], Inputs] = lambda _: Inputs()
    afford: Callable[[int], None] = lambda _: None  # raises when the job may not cost so many micros, before any submit
    deadline_at: float = math.inf  # no new attempt after it, and the job fails at it


@dataclass(frozen=True)
class Step:
    """How a job stands after one step. `due_at` is when the next step makes sense."""

    state: Literal["working", "local", "succeeded", "failed", "cancelled"]
    due_at: float = 0.0
    attempt: Attempt | None = None
    decision: Decision | None = None
    result: Checked | None = None
    error: MuybridgeError | None = None
    progress: float | None = None
    stage: str = ""


@dataclass(frozen=True)
class Rules:
    """The operator's choices about patience."""

    unknown_after_s: float = 3600.0  # how long a lost submit is looked for
    max_attempts: int = MAX_ATTEMPTS
    retry_moderated_output: bool = True
    backoff_s: float = 15.0
    own_max_wait_s: float = 120.0
    callback_url: Callable[[str], str] | None = None  # attempt id to the address that a provider may push to


@dataclass
class World:
    """What the router needs to know beside the catalogue, asked anew for each decision."""

    own_queue_s: Callable[[], float] = lambda: 0.0
    ratings: Mapping[str, float] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()  # own offers that this machine cannot run
    input_address: Callable[[str, str], str] | None = None  # job id and slot to an https address of that input


class Dispatch:
    """Drives jobs through attempts. Holds no state of a job: all of it is in the ledger. Safe from any thread."""

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        providers: Sequence[Provider],
        check: Check,
        *,
        rules: Rules | None = None,
        world: World | None = None,
        health: Health | None = None,
        clock: Callable[[], float] = time.time,
        local: bool = False,
        seed: int | None = None,
    ) -> None:
        self.ledger, self.catalog, self.check, self.clock = ledger, catalog, check, clock
        self.rules, self.world, self.health = rules or Rules(), world or World(), health or Health()
        self.providers = {offer.lane: p for p in providers for offer in p.capabilities()}
        self.enabled = frozenset(p.name for p in providers) | ({LOCAL} if local else frozenset())
        self._lanes = frozenset(self.providers)
        self._offers = {offer.key: offer for offer in catalog.offers}
        self._random = random.Random(seed)
        self._sending: set[str] = set()  # intents that this process is just now submitting
        self._lock = threading.Lock()

    # Steps ----------------------------------------------------------------------------------------------------------

    def decide(self, task: Task, tried: frozenset[str] = frozenset()) -> Decision:
        """Ask the router. Raises what `route` raises."""
        wish, now = task.wish, self.clock()
        conditions = Conditions(
            now=now,
            enabled=self.enabled,
            lanes=self._lanes,
            health=self.health.of,
            own_queue_s=self.world.own_queue_s(),
            own_max_wait_s=self.rules.own_max_wait_s,
            ratings=self.world.ratings,
            sticky=self.ledger.sticky(task.tenant, wish.project) if wish.project else None,
            budget_micros=self.ledger.budget_left(task.tenant, task.key_id, now) if self.ledger.budgeted else None,
            tried=tried,
            absent=self.world.absent,
            addresses=self.world.input_address is not None,
        )
        return route(wish, self.catalog, conditions)

    def step(self, task: Task, workdir: Path) -> Step:
        """Do the one thing that is due for a job. Never sleeps; never raises what belongs to the job."""
        attempts = self.ledger.attempts(task.job_id)
        last = attempts[-1] if attempts else None
        now = self.clock()
        if last is None:
            return self._start(task, attempts)
        if last.state == "succeeded":  # settled, but whoever did it died before the job was published
            return self._again(last, task, workdir)
        if last.is_open:
            if now >= task.deadline_at:
                return self._too_late(last, now)
            if last.state == "intent":
                with self._lock:
                    mine = last.id in self._sending
                if not mine:  # a crash between the row and the answer
                    self.ledger.lost(last.id, "the process that sent it died")
                return Step("working", now, last, stage="submit")
            if last.state == "unknown":
                return self._find(task, last)
            return self._poll(task, last, workdir)
        return self._after(task, attempts)

    def cancel(self, task: Task) -> Step:
        """The caller wants an end: best effort upstream; what still costs money is followed by `sweep`."""
        attempts = self.ledger.attempts(task.job_id)
        last = attempts[-1] if attempts else None
        done = Step("cancelled", error=Cancelled("The caller cancelled this job."))
        if last is None or not last.is_open:
            return done
        outcome = self._provider(last).cancel(last.ticket) if last.ticket is not None else "unknown"
        if outcome == "cancelled":
            self.ledger.end(last, "cancelled", 0, self.clock(), charge=False, error="cancelled by the caller")
        else:
            self.ledger.orphan(task.job_id)
        return done

    def pushed(self, attempt_id: str, body: Mapping[str, Any]) -> bool:
        """A provider's push named its job for one of our attempts: a lost submit is found by it. True: it was new.

        The push is not believed further than that: what became of the job is always asked with our own key.
        """
        attempt = self.ledger.attempt(attempt_id)
        if attempt is None or not attempt.is_open or attempt.ticket is not None:
            return False
        remote_id = self._provider(attempt).pushed(body)
        if remote_id is None:
            return False
        offer = self._offers[attempt.offer]
        ticket = Ticket(remote_id, offer.id_of(attempt.plan.task), attempt.plan.task, self.clock(), offer.region)
        return self.ledger.accepted(attempt_id, ticket, self.clock())

    def sweep(self, limit: int = 100) -> int:
        """Follow open attempts that nobody waits for until their cost is known; how many are still open."""
        num_open = 0
        now = self.clock()
        for attempt in self.ledger.orphans(limit):
            if attempt.state in ("intent", "unknown"):
                if now - attempt.created_at > self.rules.unknown_after_s:
                    self.ledger.end(attempt, "needs_review", None, now, charge=False, error=attempt.error)
                    continue
            elif attempt.ticket is not None:
                found = self._provider(attempt).poll(attempt.ticket)
                over = now - attempt.created_at > self._provider(attempt).retention_s
                if isinstance(found, Poll) and (found.state in ("failed", "cancelled") or over):
                    self.ledger.end(attempt, "cancelled", self._billed_failure(attempt, found), now, charge=False)
                    continue
                if isinstance(found, Poll) and found.state == "succeeded":
                    cost = self._actual(attempt, found.usage)
                    self.ledger.end(attempt, "cancelled", cost, now, charge=False, error="nobody waited for it")
                    continue
            num_open += 1
        return num_open

    # The parts of a step --------------------------------------------------------------------------------------------

    def _start(self, task: Task, attempts: Sequence[Attempt], last: Failure | None = None) -> Step:
        """Choose an offer, write the intent, submit."""
        now = self.clock()
        if now >= task.deadline_at or len(attempts) >= self.rules.max_attempts:
            return Step("failed", error=_final(last, f"{len(attempts)} attempts"))
        tried = _tried(attempts)
        try:
            decision = self._decide_again(task, tried, last)
            task.afford(decision.chosen.micros)
            if decision.chosen.offer.provider == LOCAL:
                return Step("local", now, decision=decision)
            attempt = self.ledger.intend(
                task.job_id, len(attempts) + 1, task.tenant, task.key_id, task.wish.project, decision, now
            )
        except MuybridgeError as error:
            return Step("failed", error=_final(last) if last is not None else error)
        if attempt is None:  # somebody else was faster
            return Step("working", now + 1.0)
        return self._submit(task, attempt, decision)

    def _decide_again(self, task: Task, tried: frozenset[str], last: Failure | None) -> Decision:
        """The router's choice; when only tried offers are left and the last trouble passes, one of them again."""
        try:
            return self.decide(task, tried)
        except MuybridgeError:
            if last is None or last.kind not in (*PASSES, "moderation_output", "media_fetch"):
                raise
            return self.decide(task)

    def _submit(self, task: Task, attempt: Attempt, decision: Decision) -> Step:
        provider = self._provider(attempt)
        with self._lock:
            self._sending.add(attempt.id)
        try:
            self.health.sent(attempt.lane, self.clock())
            try:
                order = self.order(task, attempt)
            except InvalidRequest as error:
                answer: Accepted | Rejected | Unknown = Rejected(Failure("invalid_input", str(error)))
            else:
                answer = provider.submit(order)
            now = self.clock()
            if isinstance(answer, Accepted):
                self.ledger.accepted(attempt.id, answer.ticket, now)
                self.health.well(attempt.lane)
                pace = self.health.of(attempt.lane).seconds_per_s
                first_s = 0.0 if pace is None else min(FIRST_POLL * pace * attempt.plan.seconds, FIRST_POLL_MAX_S)
                due = now + max(self._pause(provider), first_s)  # no use in asking long before it can be ready
                return Step("working", due, attempt, decision, stage="queued")
            if isinstance(answer, Unknown):
                self.ledger.lost(attempt.id, answer.why)
                self.health.ill(attempt.lane, "internal", now)
                return Step("working", now + FIND_AFTER_S[0], attempt, decision, stage="submit")
        finally:
            with self._lock:
                self._sending.discard(attempt.id)
        return self._failed(task, attempt, answer.failure, "rejected", 0)

    def _find(self, task: Task, attempt: Attempt) -> Step:
        """A lost submit: look for its job; nobody else is asked meanwhile."""
        now, provider = self.clock(), self._provider(attempt)
        age_s = now - attempt.created_at
        known = self.ledger.known_tickets(attempt.lane, attempt.created_at - 3600.0)
        rivals = self.ledger.rivals(attempt, attempt.created_at - 3600.0)
        found = provider.find(self.order(task, attempt), known, rivals)
        if isinstance(found, Found):
            self.ledger.accepted(attempt.id, found.ticket, now)
            return Step("working", now, attempt, stage="queued")
        if not isinstance(found, CannotTell):
            return self._failed(task, attempt, Failure("capacity", "the submit never arrived"), "rejected", 0)
        if age_s >= self.rules.unknown_after_s:
            self.ledger.end(attempt, "needs_review", None, now, charge=False, error=f"{attempt.error}; {found.why}")
            lost = SubmitUnknown(
                "The answer to a paid submit was lost and its job could not be found again. It was not sent to anybody "
                "else and you were not charged; submit it again as a new job if you still want it."
            )
            return Step("failed", error=lost, attempt=attempt)
        pause_s = next((s for s in FIND_AFTER_S if s > age_s), FIND_AFTER_S[-1] + age_s) - age_s
        due = min(now + max(pause_s, 1.0), attempt.created_at + self.rules.unknown_after_s)
        return Step("working", due, attempt, stage="submit")

    def _poll(self, task: Task, attempt: Attempt, workdir: Path) -> Step:
        provider = self._provider(attempt)
        assert attempt.ticket is not None, f"attempt {attempt.id} was accepted without a ticket"
        found = provider.poll(attempt.ticket)
        now = self.clock()
        later = now + self._pause(provider)
        if isinstance(found, Trouble):
            return Step("working", now + max(self._pause(provider), found.retry_after_s or 0.0), attempt, stage="run")
        if found.state == "gone":
            if now - attempt.ticket.accepted_at <= provider.retention_s:
                return Step("working", later, attempt, stage="run")
            return self._failed(task, attempt, Failure("timeout", "gone from the provider"), "needs_review", None)
        if found.state == "failed":
            failure = found.failure or Failure("internal", "failed without a reason")
            return self._failed(task, attempt, failure, "failed", self._billed_failure(attempt, found))
        if found.state == "cancelled":
            failure = Failure("internal", "cancelled by the provider")
            return self._failed(task, attempt, failure, "failed", self._billed_failure(attempt, found))
        if found.state == "succeeded":
            return self._take(task, attempt, found, workdir)
        stage = "queued" if found.state in ("queued", "throttled") else "run"
        return Step("working", later, attempt, progress=found.progress, stage=stage)

    def _take(self, task: Task, attempt: Attempt, found: Poll, workdir: Path) -> Step:
        """Copy and check the result, then settle. A copy that fails is repeated with fresh addresses."""
        provider, now = self._provider(attempt), self.clock()
        try:
            result = self._copy(task, attempt, found, workdir)
        except MediaFetch as error:
            if attempt.num_fetches + 1 < MAX_FETCHES:
                self.ledger.note(attempt, attempt.num_fetches + 1, str(error))
                return Step("working", now + provider.poll_s, attempt, stage="fetch")
            return self._spoilt(attempt, found, f"The provider's result could not be fetched: {error}")
        except MediaInvalid as error:
            return self._spoilt(attempt, found, f"The provider's result is unusable: {error}")
        pace = (now - attempt.created_at) / max(attempt.plan.seconds, 1e-6)
        self.ledger.end(attempt, "succeeded", self._actual(attempt, found.usage), now, charge=True)
        self.health.well(attempt.lane, pace)
        return Step("succeeded", now, self._fresh(attempt), result=result, progress=100.0, stage="fetch")

    def _copy(self, task: Task, attempt: Attempt, found: Poll, workdir: Path) -> Checked:
        assert attempt.ticket is not None
        if not found.results:
            raise MediaFetch("it names no file")
        raw = workdir / f"{attempt.id}.remote"
        raw.unlink(missing_ok=True)  # of a try that was cut short
        self._provider(attempt).fetch(attempt.ticket, found.results[0], raw)
        try:
            result = self.check(raw, self.order(task, attempt))
        except BaseException:
            raw.unlink(missing_ok=True)
            raise
        if raw not in (result.path, result.original):
            raw.unlink(missing_ok=True)
        return result

    def _spoilt(self, attempt: Attempt, found: Poll, why: str) -> Step:
        """Billed, but of no use: the caller pays nothing, and nobody else is paid for the same job."""
        self.ledger.end(attempt, "failed", self._actual(attempt, found.usage), self.clock(), charge=False, error=why)
        self.health.ill(attempt.lane, "internal", self.clock())
        error = ProviderFailed(f"{why} You were not charged; submit it again as a new job.")
        error.retryable = False  # type: ignore[misc]  # of this one: the class allows it
        return Step("failed", error=error, attempt=self._fresh(attempt))

    def _failed(self, task: Task, attempt: Attempt, failure: Failure, state: State, cost: int | None) -> Step:
        """Close the attempt, tell the health, and decide whether and where it goes on."""
        told = f"{failure.kind}: {failure.code} {failure.message}"
        self.ledger.end(attempt, state, cost, self.clock(), charge=False, error=told)
        self.health.ill(attempt.lane, failure.kind, self.clock(), failure.retry_after_s)
        attempts = self.ledger.attempts(task.job_id)
        return self._after(task, attempts, failure)

    def _after(self, task: Task, attempts: Sequence[Attempt], failure: Failure | None = None) -> Step:
        """What follows a closed attempt. All that is needed is in its row, so a restarted process goes on here."""
        last, now = attempts[-1], self.clock()
        if failure is None:
            kind, _, message = last.error.partition(": ")
            failure = Failure(kind, message) if kind in ELSEWHERE | ENDS else Failure("internal", last.error)  # type: ignore[arg-type]
        if last.state == "needs_review" or last.cost:  # billed or perhaps billed: never a second one
            if last.state == "needs_review" and failure.kind not in ENDS:
                return Step("failed", error=SubmitUnknown("Nobody can tell what became of this job."), attempt=last)
            return Step("failed", error=_final(failure), attempt=last)
        if last.state == "cancelled":
            return Step("cancelled", error=Cancelled("The caller cancelled this job."), attempt=last)
        same = sum(a.error.startswith(failure.kind) for a in attempts)
        if failure.kind == "moderation_output" and not (self.rules.retry_moderated_output and same < 2):
            return Step("failed", error=_final(failure), attempt=last)
        if failure.kind == "media_fetch" and same >= 2:
            return Step("failed", error=_final(failure), attempt=last)
        if failure.kind in ("moderation_output", "media_fetch"):  # once more, at the same offer
            return self._start(pinned(task, self._offers[last.offer]), attempts, failure)
        if failure.kind not in ELSEWHERE:
            return Step("failed", error=_final(failure), attempt=last)
        if last.ended_at is not None and self._only_tried(task, attempts):
            due = last.ended_at + self._backoff(attempts, failure)
            if now < due:
                if failure.kind not in PASSES or due >= task.deadline_at or len(attempts) >= self.rules.max_attempts:
                    return Step("failed", error=_final(failure), attempt=last)
                return Step("working", due, last, stage="wait")
        return self._start(task, attempts, failure)

    def _only_tried(self, task: Task, attempts: Sequence[Attempt]) -> bool:
        try:
            self.decide(task, _tried(attempts))
        except MuybridgeError:
            return True
        return False

    def _backoff(self, attempts: Sequence[Attempt], failure: Failure) -> float:
        longest = max(self.rules.backoff_s * 2.0 ** (len(attempts) - 1), failure.retry_after_s or 0.0)
        until = self.health.of(attempts[-1].lane).open_until
        return max(longest, until - (attempts[-1].ended_at or 0.0))

    def _again(self, attempt: Attempt, task: Task, workdir: Path) -> Step:
        """Fetch a settled result once more; nothing is charged again."""
        assert attempt.ticket is not None
        provider = self._provider(attempt)
        found = provider.poll(attempt.ticket)
        now = self.clock()
        if isinstance(found, Trouble) or found.state != "succeeded":
            if now - attempt.created_at > provider.retention_s:
                return Step("failed", error=ProviderFailed("The finished result was lost before it could be kept."))
            return Step("working", now + provider.poll_s, attempt, stage="fetch")
        try:
            return Step("succeeded", now, attempt, result=self._copy(task, attempt, found, workdir), progress=100.0)
        except MediaFetch:
            return Step("working", now + provider.poll_s, attempt, stage="fetch")
        except MediaInvalid as error:
            return Step("failed", error=ProviderFailed(f"The provider's result is unusable: {error}"))

    def _too_late(self, attempt: Attempt, now: float) -> Step:
        """The job's own deadline: stop waiting; what it may still cost is followed by `sweep`."""
        if attempt.ticket is not None:
            with contextlib.suppress(MuybridgeError):
                self._provider(attempt).cancel(attempt.ticket)
        self.ledger.orphan(attempt.job_id)
        return Step("failed", now, attempt, error=TimedOut("The provider did not deliver before the job's deadline."))

    # Money ----------------------------------------------------------------------------------------------------------

    def _actual(self, attempt: Attempt, usage: Usage | None) -> int:
        """What the provider bills: what it says it counted, in our money; its list price where it says nothing."""
        price, offer = self._offers[attempt.offer].price, self._offers[attempt.offer]
        if usage is None or price is None:
            return attempt.quote
        if usage.unit == "usd":
            return round(usage.amount * 1e6)
        if usage.unit == "ticks":
            return round(usage.amount / TICKS_PER_MICRO)
        if usage.unit in ("credits", "units") and price.per_unit:
            return units_micros(price.per_unit, usage.amount, offer.rate_ppm)
        if usage.unit == "tokens" and price.per_million_tokens:
            return units_micros(price.per_million_tokens, usage.amount / 1e6, offer.rate_ppm)
        if usage.unit == "seconds":  # input and output together, at one rate
            measure = Measure(attempt.plan.tier, round(usage.amount * 1000), attempt.plan.audio)
            found = micros(replace(price, round_ms=0), measure, offer.rate_ppm, days(attempt.created_at))
            return attempt.quote if found is None else found
        return attempt.quote

    def _billed_failure(self, attempt: Attempt, found: Poll) -> int:
        """Failures are free unless the provider itself names a price for this one."""
        return self._actual(attempt, found.usage) if found.usage is not None and found.usage.amount else 0

    # Plumbing -------------------------------------------------------------------------------------------------------

    def order(self, task: Task, attempt: Attempt) -> Order:
        """The request as this attempt's provider is asked for it."""
        plan, provider = attempt.plan, self._provider(attempt)
        callback = self.rules.callback_url
        return Order(
            reference=attempt.id,
            offer=self._offers[attempt.offer],
            request=task.wish.request,
            task=plan.task,
            tier=plan.tier,
            ratio=plan.ratio,
            seconds=plan.seconds,
            audio=plan.audio,
            inputs=task.inputs(getattr(provider, "inline", False)),
            callback_url=callback(attempt.id) if callback is not None else None,
            created_at=attempt.created_at,
        )

    def _provider(self, attempt: Attempt) -> Provider:
        try:
            return self.providers[attempt.lane]
        except KeyError:
            raise Unavailable(
                f"The job was sent to {attempt.lane}, but that account is not set up here any more; restore its key so "
                "that its result can be fetched."
            ) from None

    def _pause(self, provider: Provider) -> float:
        """The provider's shortest pause, up to a fifth longer, so that many jobs do not ask at once."""
        return provider.poll_s * (1 + 0.2 * self._random.random())

    def _fresh(self, attempt: Attempt) -> Attempt:
        return self.ledger.attempt(attempt.id) or attempt


ENDS = frozenset({"invalid_input", "moderation_input", "moderation_output", "media_fetch", "media_invalid"})


def _tried(attempts: Sequence[Attempt]) -> frozenset[str]:
    """What not to try again first: the offers, and the whole lanes unless only the model was the matter."""
    lanes = {a.lane for a in attempts if not a.error.startswith("model_retired")}
    return frozenset({a.offer for a in attempts} | lanes)


def pinned(task: Task, offer: Offer) -> Task:
    """The same task, at one offer only."""
    return replace(task, wish=replace(task.wish, model=offer.key, allow=task.wish.allow - {"model"}))


def _final(failure: Failure | None, why: str = "") -> MuybridgeError:
    """The caller's error for a provider's failure: our words; theirs stay in the attempt."""
    if failure is None:
        return Unavailable(f"No provider delivered this job ({why}).")
    if failure.kind == "moderation_input":
        return ModerationRefused("The provider's policy refuses this prompt or its media; change it and submit again.")
    if failure.kind == "moderation_output":
        return ModerationWithheld("The provider withheld what it made; change the prompt and submit again.")
    if failure.kind == "invalid_input":
        return InvalidRequest("The provider refuses this request as invalid; see the attempt for its reason.")
    if failure.kind == "media_fetch":
        return MediaFetch("The provider could not fetch the media of this request; check that the server is reachable.")
    if failure.kind == "media_invalid":
        return MediaInvalid("The provider does not accept the media of this request.")
    found = ProviderFailed(f"No provider delivered this job; the last failure was {failure.kind}.")
    found.retryable = False  # type: ignore[misc]  # the attempts here were the retries
    return found
