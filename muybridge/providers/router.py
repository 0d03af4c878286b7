"""Which offer gets a job: hard constraints first, then the policy. A pure function; every step of it is recorded.

The order of the stages is the order in which an offer is turned down; the first reason is the one that is told:
task, lifecycle, tier, length, ratio, references, audio, language, price (these are the same for a whole day and kept),
prompt, provider, address, region, tried, health, budget, queue, deadline.
What remains is ranked: sticky first (same look within a project), then by the policy.
"""

from __future__ import annotations

import datetime
import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from muybridge.errors import (
    InvalidRequest,
    ModelRetired,
    MuybridgeError,
    NotFound,
    NotInstalled,
    QuotaExceeded,
    Unavailable,
)
from muybridge.providers.catalog import LOCAL, Catalog, Offer, days
from muybridge.providers.fit import Change, Needs, Plan, fit, measure_of, needs_of
from muybridge.providers.health import UNKNOWN_LANE, Lane
from muybridge.request import Request

Policy = Literal["cheapest", "fastest", "best", "weighted"]
POLICIES: tuple[Policy, ...] = ("cheapest", "fastest", "best", "weighted")
AUTO = "auto"
BY_ADDRESS = frozenset({"dashscope"})  # source clips by address only
NOT_WISHED = "not allowed by the caller"


@dataclass(frozen=True)
class Wish:
    """What a caller wants, with what may be changed about it. `allow` holds names from CHANGES."""

    request: Request
    model: str = AUTO  # `auto`, `auto:POLICY`, a model, a seller's id, `provider/...`
    policy: Policy = "cheapest"
    allow: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()  # only these; empty: all
    not_providers: frozenset[str] = frozenset()
    runs_in: frozenset[str] = frozenset()  # countries; empty: anywhere. An undocumented place never qualifies.
    max_micros: int | None = None
    deadline_s: float | None = None  # from now
    project: str = ""
    weights: Mapping[str, float] = field(default_factory=lambda: {"cost": 1.0, "speed": 1.0, "quality": 1.0})
    input_s: float = 0.0  # length of a source clip


@dataclass(frozen=True)
class Conditions:
    """The world at the moment of a decision."""

    now: float
    enabled: frozenset[str]  # providers with an account here
    lanes: frozenset[str] | None = None  # where an account is bound to a region: the lanes there are; None: all
    health: Callable[[str], Lane] = lambda _: UNKNOWN_LANE
    own_queue_s: float = 0.0
    own_max_wait_s: float = math.inf  # spill over to providers when the own queue is longer
    ratings: Mapping[str, float] = field(default_factory=dict)  # arena ratings by model
    sticky: str | None = None  # the offer that this project used last
    budget_micros: int | None = None
    tried: frozenset[str] = frozenset()  # offers (keys) and lanes that already failed this job
    addresses: bool = True  # this server can be reached by https: media may be given as addresses
    absent: frozenset[str] = frozenset()  # own offers (keys) whose weights are not on this machine


class Candidate(NamedTuple):
    """An offer that can do it. `seconds` is the expected wait, None when unknown."""

    offer: Offer
    plan: Plan
    micros: int
    seconds: float | None
    rating: float | None


@dataclass(frozen=True)
class Decision:
    """The choice and why. `refused` has (offer key, stage, detail) of every offer that was turned down."""

    chosen: Candidate
    ranked: tuple[Candidate, ...]
    refused: tuple[tuple[str, str, str], ...]
    policy: str
    reason: str
    model_requested: str
    substituted: bool
    catalog_version: str
    at: float

    def to_dict(self, num_refused: int = 50) -> dict[str, Any]:
        """Plain values for the job's record."""
        return {
            "offer": self.chosen.offer.key,
            "reason": self.reason,
            "policy": self.policy,
            "model_requested": self.model_requested,
            "model_actual": self.chosen.offer.model.name,
            "substituted": self.substituted,
            "changes": [change._asdict() for change in self.chosen.plan.changes],
            "cost_usd": self.chosen.micros / 1e6,
            "wait_s": self.chosen.seconds,
            "considered": [
                {"offer": c.offer.key, "cost_usd": c.micros / 1e6, "wait_s": c.seconds, "rating": c.rating}
                for c in self.ranked[:20]
            ],
            "refused": [{"offer": k, "stage": s, "detail": d} for k, s, d in self.refused[:num_refused]],
            "catalog": self.catalog_version,
            "at": self.at,
        }


def route(wish: Wish, catalog: Catalog, conditions: Conditions) -> Decision:
    """Choose an offer. Raises NotFound, ModelRetired, InvalidRequest, QuotaExceeded, Unavailable: each says why."""
    name, _, suffix = wish.model.partition(":")
    auto = name == AUTO
    policy: str = suffix if auto and suffix else wish.policy
    if policy not in POLICIES:
        raise InvalidRequest(f"There is no policy {policy!r}; choose one of {', '.join(POLICIES)}.", "model")
    needs = needs_of(wish.request, wish.input_s)
    day = days(conditions.now)
    named = catalog.offers if auto else catalog.named(wish.model)
    if not named and wish.model not in catalog.models:
        raise NotFound(f"The catalogue has no model {wish.model[:80]!r}; `muybridge models` lists what there is.")
    found, refused = _sift(catalog, (AUTO,) if auto else ("named", wish.model), wish, needs, conditions, auto)
    substituted = False
    if not found and not auto and "model" in wish.allow:
        for pool in _substitutes(catalog, {o.model.name for o in named} or {wish.model}):
            found, more = _sift(catalog, pool, wish, needs, conditions, True)
            refused += more
            if found:
                substituted = True
                break
    if not found:
        raise _nothing(wish, catalog, named, refused, day, auto)
    ranked = rank(found, policy, wish, conditions)
    chosen = ranked[0]
    if substituted:
        plan = chosen.plan
        change = Change("model", wish.model, chosen.offer.model.name)
        chosen = Candidate(
            chosen.offer, plan._replace(changes=(change, *plan.changes)), chosen.micros, chosen.seconds, chosen.rating
        )
        ranked = [chosen, *ranked[1:]]
    reason = _why(ranked, policy, conditions)
    return Decision(
        chosen, tuple(ranked), tuple(refused), policy, reason, wish.model, substituted, catalog.version, conditions.now
    )


Refusals = list[tuple[str, str, str]]


class Assessed(NamedTuple):
    """What can be said of an offer and a shape of request for a whole day: a plan and its price, or why not."""

    offer: Offer
    plan: Plan | None
    micros: int
    stage: str = ""
    detail: str = ""


@functools.lru_cache(maxsize=4096)
def _assess(
    catalog: Catalog, pool: tuple[str, ...], needs: Needs, allow: frozenset[str], day: datetime.date
) -> tuple[Assessed, ...]:
    """The stages that do not change within a day: task, lifecycle, sizes, sound, price. Requests repeat their shapes,
    so the answer is kept."""
    return tuple(_assessed(offer, needs, allow, day) for offer in _pool(catalog, pool))


def _assessed(offer: Offer, needs: Needs, allow: frozenset[str], day: datetime.date) -> Assessed:
    if not offer.does(needs.task):
        return Assessed(offer, None, 0, "task", f"does not do {needs.task}")
    stage = offer.lifecycle.stage(day)
    if stage == "retired":
        return Assessed(offer, None, 0, "lifecycle", f"ended on {offer.lifecycle.sunset}")
    if stage == "announced":
        return Assessed(offer, None, 0, "lifecycle", f"starts on {offer.lifecycle.available}")
    plan = fit(needs, offer, allow)
    if not isinstance(plan, Plan):
        return Assessed(offer, None, 0, *plan)
    micros = offer.cost(measure_of(plan, needs), day)
    if micros is None:
        return Assessed(offer, None, 0, "price", "no price is known for this")
    return Assessed(offer, plan, micros)


def _sift(
    catalog: Catalog, pool: tuple[str, ...], wish: Wish, needs: Needs, conditions: Conditions, spill: bool
) -> tuple[list[Candidate], Refusals]:
    """The offers that pass every stage, and why the others do not. `spill`: the own queue's length counts."""
    found: list[Candidate] = []
    refused: Refusals = []
    num_chars = len(wish.request.prompt)
    for offer, plan, micros, stage, detail in _assess(catalog, pool, needs, wish.allow, days(conditions.now)):
        if plan is None:
            refused.append((offer.key, stage, detail))
            continue
        no = _closed(offer, num_chars, wish, conditions)
        priced = no or _affordable(offer, plan, micros, wish, conditions, spill)
        if isinstance(priced, Candidate):
            found.append(priced)
        else:
            refused.append((offer.key, *priced))
    return found, refused


def _closed(offer: Offer, num_chars: int, wish: Wish, conditions: Conditions) -> tuple[str, str] | None:
    """The stages that look at this caller and this moment: prompt, provider, region, tried, health."""
    if num_chars > offer.model.max_prompt_chars:
        return "prompt", f"takes {offer.model.max_prompt_chars} characters and cuts the rest"
    provider = offer.provider
    if provider not in conditions.enabled:
        return "provider", "no account here"
    if conditions.lanes is not None and provider != LOCAL and offer.lane not in conditions.lanes:
        return "provider", "no account in this region"
    if offer.key in conditions.absent:
        return "provider", "no account: its weights are not here"
    if not conditions.addresses and provider in BY_ADDRESS and wish.request.video is not None:
        return "address", "takes source clips by https address only; the operator sets public_url"
    if provider in wish.not_providers or (wish.providers and provider not in wish.providers):
        return "provider", NOT_WISHED
    if wish.runs_in and not offer.runs_in <= wish.runs_in:
        return "region", f"runs in {', '.join(sorted(offer.runs_in))}"
    if offer.key in conditions.tried or offer.lane in conditions.tried:
        return "tried", "already failed for this job"
    lane = conditions.health(offer.lane)
    if not lane.usable(conditions.now):
        return "health", f"out of service after {lane.failures} failures ({lane.last_error})"
    return None


def _affordable(
    offer: Offer, plan: Plan, micros: int, wish: Wish, conditions: Conditions, spill: bool
) -> Candidate | tuple[str, str]:
    """The stages that need numbers: budget, queue, deadline."""
    if wish.max_micros is not None and micros > wish.max_micros:
        return "budget", f"costs ${micros / 1e6:.4f}, the job may cost ${wish.max_micros / 1e6:.4f}"
    if conditions.budget_micros is not None and micros > conditions.budget_micros:
        return "budget", f"costs ${micros / 1e6:.4f}, ${max(conditions.budget_micros, 0) / 1e6:.4f} are left"
    pace = conditions.health(offer.lane).seconds_per_s
    seconds = None if pace is None else pace * plan.seconds
    if offer.provider == LOCAL:
        if spill and conditions.own_queue_s > conditions.own_max_wait_s:
            return "queue", f"own queue is {conditions.own_queue_s:.0f} s long"
        seconds = (seconds or 0.0) + conditions.own_queue_s
    if wish.deadline_s is not None and seconds is not None and seconds > wish.deadline_s:
        return "deadline", f"takes about {seconds:.0f} s"
    return Candidate(offer, plan, micros, seconds, conditions.ratings.get(offer.model.name))


def rank(found: Iterable[Candidate], policy: str, wish: Wish, conditions: Conditions) -> list[Candidate]:
    """Candidates, best first. Unknown speeds and ratings come last; ties go to the cheaper, then by name."""
    pool = list(found)
    sticky = conditions.sticky if wish.project else None

    def tie(c: Candidate) -> tuple[int, str]:
        return c.micros, c.offer.key

    def slow(c: Candidate) -> float:
        return math.inf if c.seconds is None else c.seconds

    if policy == "cheapest":
        pool.sort(key=lambda c: (c.offer.key != sticky, c.micros, slow(c), c.offer.key))
    elif policy == "fastest":
        pool.sort(key=lambda c: (c.offer.key != sticky, slow(c), *tie(c)))
    elif policy == "best":
        pool.sort(key=lambda c: (c.offer.key != sticky, -(c.rating if c.rating is not None else -math.inf), *tie(c)))
    else:
        score = _weighted(pool, wish.weights)
        pool.sort(key=lambda c: (c.offer.key != sticky, score[c.offer.key], *tie(c)))
    return pool


def _weighted(pool: Sequence[Candidate], weights: Mapping[str, float]) -> dict[str, float]:
    """Lower is better: each axis scaled to 0..1 over the pool (cost and speed in the logarithm); unknown is 1."""

    def scaled(values: list[float | None]) -> list[float]:
        known = [v for v in values if v is not None]
        low, high = (min(known), max(known)) if known else (0.0, 0.0)
        return [1.0 if v is None else (v - low) / (high - low) if high > low else 0.0 for v in values]

    cost = scaled([math.log(max(c.micros, 1)) for c in pool])
    speed = scaled([None if c.seconds is None else math.log(max(c.seconds, 1e-3)) for c in pool])
    quality = scaled([None if c.rating is None else -c.rating for c in pool])
    sums = (
        weights.get("cost", 0) * a + weights.get("speed", 0) * b + weights.get("quality", 0) * c
        for a, b, c in zip(cost, speed, quality, strict=True)
    )
    return {c.offer.key: s for c, s in zip(pool, sums, strict=True)}


def _substitutes(catalog: Catalog, names: set[str]) -> list[tuple[str, ...]]:
    """Pools to look in when the named model cannot: its successors in order, its family, then everything."""
    own = tuple(sorted(names))
    chain = [("named", s) for name in own for s in catalog.successors(name)]
    return [*chain, ("family", *own), ("others", *own)]


def _pool(catalog: Catalog, pool: tuple[str, ...]) -> Sequence[Offer]:
    """The offers that a pool's name stands for."""
    kind, *names = pool
    if kind == AUTO:
        return catalog.offers
    if kind == "named":
        return catalog.named(names[0])
    families = {catalog.models[name].family for name in names if name in catalog.models}
    others = [o for o in catalog.offers if o.model.name not in names]
    return others if kind == "others" else [o for o in others if o.model.family in families]


def _why(ranked: Sequence[Candidate], policy: str, conditions: Conditions) -> str:
    first = ranked[0]
    if len(ranked) == 1:
        return "the only eligible offer"
    if first.offer.key == conditions.sticky:
        return "the offer that this project used last"
    if policy == "cheapest":
        return f"the cheapest of {len(ranked)}: ${first.micros / 1e6:.4f}"
    if policy == "fastest":
        return "the cheapest: no speeds are known yet" if first.seconds is None else f"the fastest of {len(ranked)}"
    if policy == "best":
        return "the cheapest: no ratings are known" if first.rating is None else f"the best rated of {len(ranked)}"
    return f"the best weighted of {len(ranked)}"


def _nothing(
    wish: Wish, catalog: Catalog, named: Sequence[Offer], refused: Refusals, day: datetime.date, auto: bool
) -> MuybridgeError:
    """The error for an empty field: what stood in the way, told by the stage that the most hopeful offers reached."""
    own = {o.key for o in named}
    about = [r for r in refused if auto or "model" in wish.allow or r[0] in own] or refused
    stages = Counter(stage for _, stage, _ in about)
    if not auto and "model" not in wish.allow and (not about or set(stages) <= {"lifecycle"}):
        model = catalog.models.get(wish.model) or (named[0].model if named else None)
        if model is not None and (model.lifecycle.stage(day) == "retired" or stages):
            chain = catalog.successors(model.name)
            hint = f"; use {chain[-1]}" if chain else "; allow a substitute, or use auto"
            detail = about[0][2] if about else "is not on offer"
            return ModelRetired(f"{wish.model} {detail}{hint}.", chain[-1] if chain else None)
    passing = [r for r in about if r[1] in ("health", "tried", "queue", "deadline")]
    money = [r for r in about if r[1] == "budget"]
    if passing:
        key, stage, detail = passing[0]
        return Unavailable(f"No provider can take this now: {key}: {detail} ({stage}). Try again later.")
    if money:
        key, _, detail = min(
            money, key=lambda r: float(r[2].split()[1].strip("$,"))
        )  # "costs $0.1200, ...": _affordable
        return QuotaExceeded(f"The cheapest way is over the budget: {key} {detail}.")
    told = "; ".join(f"{n} by {stage}" for stage, n in stages.most_common(4))
    late = [r for r in about if r[1] not in ("task", "lifecycle", "provider")]
    late.sort(key=lambda r: r[1] != "address")  # what the operator can mend is told first
    example = f" For instance {late[0][0]}: {late[0][2]}." if late else ""
    wished = any(
        stage in ("region", "address") or detail == NOT_WISHED for _, stage, detail in about
    )  # the caller's own doing
    if not wished and any(stage == "provider" and detail.startswith("no account") for _, stage, detail in about):
        return NotInstalled(
            "Nobody can run this here: the operator sets a key such as MUYBRIDGE_FAL_KEY for a provider that can "
            "(`muybridge models`), or gets the weights of a size of our own. Nothing was queued or charged."
        )
    return InvalidRequest(f"No offer fits this request ({told or 'none is on offer'}).{example}", "model")
