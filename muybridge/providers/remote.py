"""The runner that serves every job by routing it: to our own engine, or to a provider and back.

`muybridge.providers.remote:runner` stands where `muybridge.providers.local:runner` stood; a job whose model is a size
of ours and nothing else goes straight to the engine. Kill it at any moment: the next worker goes on from the ledger.
"""

from __future__ import annotations

import base64
import importlib
import mimetypes
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from muybridge.config import SIZE_ALIASES, SIZES
from muybridge.errors import Cancelled, InvalidRequest, QuotaExceeded
from muybridge.jobs import inputs as job_inputs
from muybridge.jobs.job import Job
from muybridge.jobs.worker import Hook, RunResult
from muybridge.providers import pushes
from muybridge.providers.attempts import Checked, Dispatch, Step, Task, World
from muybridge.providers.catalog import LOCAL
from muybridge.providers.health import SharedHealth
from muybridge.providers.ledger import Ledger
from muybridge.providers.presence import missing
from muybridge.providers.provider import Inputs
from muybridge.providers.results import check, files
from muybridge.providers.router import Conditions, Decision, route
from muybridge.providers.routing import OPTIONS, Routing, routing
from muybridge.request import Request
from muybridge.shapes import cost

LOCAL_RUNNER = "muybridge.providers.local:runner"
QUEUE_FRESH_S = 0.2  # how old the API's view of the own queue may be
LOOK_EVERY_S = 2.0  # how often a waiting job looks whether it was cancelled
INPUT_LINK_S = 86_400.0  # a provider may let a job wait
MAX_INLINE_BYTES = 20 << 20
PROBE = "probe"  # the key of Job.metadata that says: show that you work, buy nothing
PUBLISH_LEASE_S = 300.0  # copying and checking a result


class RemoteRunner:
    """A runner (see jobs.worker.Runner). Opens its accounts and the ledger with the first routed job."""

    def __init__(
        self,
        make_routing: Callable[[], Routing] = routing,
        make_dispatch: Callable[[Routing, str], Dispatch] | None = None,
        local: str = LOCAL_RUNNER,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._make_routing, self._make_dispatch, self._local, self._sleep = make_routing, make_dispatch, local, sleep
        self._dispatch: Dispatch | None = None
        self._lock = threading.Lock()

    def __call__(self, job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
        """Run a job to its files. Raises what ends it, and what the hook raises."""
        if SIZE_ALIASES.get(job.model, job.model) in SIZES:
            return self._own(job, checkpoint, hook, workdir)
        rules = self._make_routing()
        if job.metadata.get(PROBE):  # is anybody there? Nobody is to be paid for the answer
            self._open(rules, hook.database_url)
            hook.step("route", 100.0)
            return RunResult((), {"cost": 0.0}, job.model)
        dispatch = self._open(rules, hook.database_url)
        task = replace(task_of(job, rules, dispatch.world.input_address), afford=partial(afford, job, hook, rules))
        dispatch.sweep(10)
        try:
            step = self._drive(dispatch, task, hook, workdir)
        except Cancelled:
            dispatch.cancel(task)
            raise
        if step.state == "local":
            assert step.decision is not None
            chosen = step.decision.chosen.offer.model.name
            done = self._own(replace(job, model=chosen, model_actual=chosen), checkpoint, hook, workdir)
            return replace(done, usage=done.usage | {"route": told(step.decision)}, model_actual=chosen)
        if step.error is not None:
            raise step.error
        assert step.result is not None and step.attempt is not None
        return self._publish(dispatch, task, step.result, workdir)

    def _drive(self, dispatch: Dispatch, task: Task, hook: Hook, workdir: Path) -> Step:
        """Step until the end, reporting and listening between the steps."""
        started, progress = time.time(), 0.0
        while True:
            hook.step("route", progress, None, lease_s=PUBLISH_LEASE_S)
            step = dispatch.step(task, workdir)
            if step.state != "working":
                return step
            progress = max(progress, step.progress or _guess(dispatch, step, started))
            while (left := step.due_at - dispatch.clock()) > 0:
                hook.step(step.stage or "run", progress)
                self._sleep(min(left, LOOK_EVERY_S))

    def _publish(self, dispatch: Dispatch, task: Task, result: Checked, workdir: Path) -> RunResult:
        attempts = dispatch.ledger.attempts(task.job_id)
        last = attempts[-1]
        offer = next(o for o in dispatch.catalog.offers if o.key == last.offer)
        about = {
            "model_requested": task.wish.model,
            "model_actual": offer.model.name,
            "provider": offer.provider,
            "changes": [change._asdict() for change in last.plan.changes],
            "attempts": len(attempts),
        }
        usage = {"output_s": result.seconds, "cost": (last.cost or 0) / 1e6, "compute_s": 0.0, "route": about}
        origin = {
            "provider": offer.provider,
            "model_id": None if last.ticket is None else last.ticket.model_id,
            "original": result.original,
        }
        return RunResult(files(result, workdir), usage, offer.model.name, origin)

    def _own(self, job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
        module, _, attribute = self._local.partition(":")
        run = getattr(importlib.import_module(module), attribute)
        done: RunResult = run(job, checkpoint, hook, workdir)
        return done

    def _open(self, rules: Routing, database_url: str) -> Dispatch:
        with self._lock:
            if self._dispatch is None:
                make = self._make_dispatch or open_dispatch
                self._dispatch = make(rules, database_url)
            return self._dispatch


def open_dispatch(rules: Routing, database_url: str) -> Dispatch:
    """The accounts and the ledger, in the same database as the jobs: whoever takes over a job finds its attempts."""
    ledger = Ledger.open(database_url, rules.budgets)
    base, secret = rules.public_url or ledger.setting("public_url"), ledger.setting("link_secret")
    told = replace(rules.rules(), callback_url=partial(pushes.address, base, secret) if base and secret else None)
    return Dispatch(
        ledger,
        rules.offers(),
        rules.remotes(),
        check,
        rules=told,
        world=World(
            lambda: ledger.own_queue_s(rules.local),
            rules.ratings,
            absent(rules.local),
            partial(_address, base, secret) if base and base.startswith("https://") and secret else None,
        ),
        health=SharedHealth(ledger.database),
        local=bool(rules.local),
    )


def _address(base: str, secret: str, job_id: str, slot: str) -> str:
    return job_inputs.address(base, secret, job_id, slot, int(time.time() + INPUT_LINK_S))


def task_of(job: Job, rules: Routing, address: Callable[[str, str], str] | None = None) -> Task:
    """What the router needs out of a job's row. The caller's routing options are in the request's `extra`."""
    request = Request.from_dict(job.request)
    options = {name: request.extra[name] for name in OPTIONS if name in request.extra}
    name = str(job.metadata.get("model_requested") or job.model)
    wish = rules.wish(request, name, options)
    return Task(
        job.id,
        job.tenant,
        job.key_id,
        wish,
        inputs=lambda inline: inputs_of(request, inline, None if address is None else partial(address, job.id)),
        deadline_at=job.created_at + min(rules.max_wait_s, wish.deadline_s or rules.max_wait_s),
    )


def afford(job: Job, hook: Hook, rules: Routing, micros: int) -> None:
    """The price floor: nothing is bought above a job's quote. It is quoted anew where its key's budget allows that.

    Raises QuotaExceeded, with nothing bought or charged.
    """
    price, quoted = micros / 1e6, job.quote.get("cost")
    if quoted is None or price <= quoted + 1e-9:
        return
    if rules.over_quote == "refuse":
        raise QuotaExceeded(
            f"This job was quoted at ${quoted:.4f}; what can make it now costs ${price:.4f}. Nothing was charged; "
            "submit it again for a new quote."
        )
    hook.requote(price)


def inputs_of(request: Request, inline: bool = True, address: Callable[[str], str] | None = None) -> Inputs:
    """A request's media as the provider can read them: pictures and sounds as data URLs, clips by our own address.

    `address` gives the https address of a slot, where this server has one; then it also carries what is too large for
    a data URL. `inline` providers read data URLs only. Raises InvalidRequest for what cannot travel.
    """

    def url(slot: str, path: Path | None) -> str | None:
        if path is None:
            return None
        size = path.stat().st_size
        if address is not None and not inline and (slot == "video" or size > MAX_INLINE_BYTES):
            return address(slot)
        if size > MAX_INLINE_BYTES:
            raise InvalidRequest(
                f"{path.name} has {size} bytes; at most {MAX_INLINE_BYTES} can be sent inside a request. With an https "
                "public_url in the server's config larger files go by address.",
                slot,
            )
        mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return f"data:{mime};base64,{base64.b64encode(path.read_bytes()).decode()}"

    references = tuple(found for i, r in enumerate(request.references) if (found := url(f"references-{i}", r.image)))
    single = {name: url(name, getattr(request, name)) for name in ("image", "last_image", "video", "audio")}
    return Inputs(**single, references=references)


def told(decision: Decision) -> dict[str, Any]:
    """A decision as the caller may see it: no ids, keys or hosts of a provider."""
    full = decision.to_dict()
    return {k: full[k] for k in ("model_requested", "model_actual", "substituted", "policy", "reason", "changes")}


class Outlook:
    """What the API knows of this moment for its quotes: the own queue, and how providers do. Safe from any thread."""

    def __init__(self, database_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = Ledger.open(database_url)
        self.health = SharedHealth(self._ledger.database)
        self._clock, self._queue = clock, (-1e18, 0.0)

    def own_queue_s(self, models: tuple[str, ...]) -> float:
        """As `Ledger.own_queue_s`, read at most every QUEUE_FRESH_S."""
        if self._clock() - self._queue[0] > QUEUE_FRESH_S:
            self._queue = (self._clock(), self._ledger.own_queue_s(models))
        return self._queue[1]

    def close(self) -> None:
        """Close all connections."""
        self._ledger.close()


def quote(
    request: Request,
    model: str,
    rules: Routing | None = None,
    here: bool = False,
    public_url: str | None = None,
    outlook: Outlook | None = None,
) -> dict[str, Any]:
    """What the router would do with a request now: for the API to refuse early and to say the price.

    `own` in it names the size of ours that is to run it: the job is queued under that size and makes the own queue
    longer, until the next one spills over to a provider. `here`: only this machine's workers will run it, so own sizes
    without weights do not count. Raises what `route` raises. Budgets are the workers' knowledge: they decide anew.
    """
    rules = rules or routing()
    options: Mapping[str, Any] = {name: request.extra[name] for name in OPTIONS if name in request.extra}
    without = absent(rules.local) if here else frozenset()
    addressed = (rules.public_url or public_url or "").startswith("https://")
    conditions = Conditions(
        time.time(), rules.enabled(), rules.lanes(), ratings=rules.ratings, absent=without, addresses=addressed
    )
    if outlook is not None:
        wait_s = outlook.own_queue_s(rules.local)
        conditions = replace(
            conditions, health=outlook.health.of, own_queue_s=wait_s, own_max_wait_s=rules.own_max_wait_s
        )
    decision = route(rules.wish(request, model, options), rules.offers(), conditions)
    chosen = decision.chosen
    found = {
        "flops": 0.0,
        "seconds": chosen.seconds or chosen.plan.seconds,
        "cost": chosen.micros / 1e6,
        "currency": "USD",
        **told(decision),
    }
    if chosen.offer.provider != LOCAL:
        return found
    work = cost(request, chosen.offer.model.name)
    return found | {"own": chosen.offer.model.name, "flops": work.flops, "seconds": work.seconds}


def absent(sizes: tuple[str, ...]) -> frozenset[str]:
    """The offers of our own sizes that this machine has no weights for."""
    return frozenset(f"{LOCAL}/{size}" for size in sizes if missing(size) is not None)


def _guess(dispatch: Dispatch, step: Step, started: float) -> float:
    """Progress where a provider tells none: the time gone against the usual time, at most 95."""
    pace = dispatch.health.of(step.attempt.lane).seconds_per_s if step.attempt else None
    if pace is None or step.attempt is None:
        return 0.0
    return min(95.0, 100 * (time.time() - started) / max(pace * step.attempt.plan.seconds, 1.0))


runner = RemoteRunner()
