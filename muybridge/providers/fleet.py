"""Thousands of jobs against the simulator on a simulated clock, in one thread, and the account of what happened.

The referee here looks only at the simulator's side (what arrived, what was made, what is billed) and at the ledger; it
shares no code with `attempts`.
"""

from __future__ import annotations

import heapq
import itertools
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from muybridge.errors import MediaInvalid
from muybridge.providers.attempts import Checked, Dispatch, Rules, Step, Task
from muybridge.providers.catalog import Catalog, Offer, days, shipped
from muybridge.providers.client import WIRES, Remote
from muybridge.providers.health import Health
from muybridge.providers.ledger import Budget, InvoiceLine, Ledger
from muybridge.providers.provider import Order
from muybridge.providers.router import Wish
from muybridge.providers.simulator import FAULTS, InProcess, Simulator, Work
from muybridge.request import Request

START = 1_795_219_200.0  # 2026-11-21, a day on which the whole catalogue is dated
TAG = re.compile(r"#(\d+)")
MANY_STEPS = 400
ALL_CHANGES = frozenset({"size", "seconds", "ratio", "audio", "language", "seed", "negative_prompt"})


class Clock:
    """A time that only moves when it is told to."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now


@dataclass
class Report:
    """What happened. `problems` is empty when every promise held."""

    num_jobs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    num_submits: int = 0
    num_billed: int = 0
    ledger_micros: int = 0
    invoice_micros: int = 0
    held_micros: int = 0
    num_reviewed: int = 0  # lost submits that only the invoice could clear up
    num_failovers: int = 0
    stuck: int = 0
    wrong_failovers: int = 0
    double_billed: int = 0
    unbilled: int = 0  # delivered, yet on no invoice
    wall_s: float = 0.0
    simulated_s: float = 0.0

    @property
    def problems(self) -> list[str]:
        """Every broken promise, in words."""
        found = {
            "jobs stuck": self.stuck,
            "wrong failovers": self.wrong_failovers,
            "jobs billed twice": self.double_billed,
            "delivered jobs without a bill": self.unbilled,
            "millionths between ledger and invoices": abs(self.ledger_micros - self.invoice_micros),
            "millionths still held": abs(self.held_micros),
        }
        return [f"{n} {name}" for name, n in found.items() if n]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "jobs": self.num_jobs,
            "outcomes": dict(self.outcomes.most_common()),
            "submits": self.num_submits,
            "billed": self.num_billed,
            "failovers": self.num_failovers,
            "cleared_by_invoice": self.num_reviewed,
            "ledger_usd": self.ledger_micros / 1e6,
            "invoices_usd": self.invoice_micros / 1e6,
            "held_usd": self.held_micros / 1e6,
            "stuck": self.stuck,
            "wrong_failovers": self.wrong_failovers,
            "double_billed": self.double_billed,
            "unbilled": self.unbilled,
            "wall_s": round(self.wall_s, 3),
            "jobs_per_s": round(self.num_jobs / self.wall_s, 1) if self.wall_s else None,
            "simulated_s": round(self.simulated_s, 1),
            "problems": self.problems,
        }


def lanes_of(catalog: Catalog) -> dict[str, tuple[Offer, ...]]:
    """Offers by lane, remotes only."""
    found: dict[str, list[Offer]] = {}
    for offer in catalog.offers:
        if offer.provider in WIRES:
            found.setdefault(offer.lane, []).append(offer)
    return {lane: tuple(offers) for lane, offers in found.items()}


def simulated_remotes(simulator: Simulator, catalog: Catalog, clock: Callable[[], float]) -> list[Remote]:
    """An account with every provider of the catalogue, at the simulator in this process."""
    transport = InProcess(simulator)
    return [
        Remote(
            offers[0].provider,
            offers,
            "simulated-key",
            region=offers[0].region,
            base=f"{simulator.url}/{lane}",
            transport=transport,
            clock=clock,
            trusted=True,
        )
        for lane, offers in lanes_of(catalog).items()
    ]


def quick_check(raw: Path, order: Order) -> Checked:
    """The box walk of `muybridge.ingest` and the length; no decoding, for fleets of thousands."""
    from muybridge.media import read_movie
    from muybridge.providers.results import check_length

    track = next((t for t in read_movie(raw).tracks if t.kind == "vide"), None)
    if track is None:
        raise MediaInvalid("it has no picture.")
    check_length(track.duration_s, order)
    return Checked(raw, track.duration_s, track.width, track.height)


def matrix(num_jobs: int, catalog: Catalog, day: float = START) -> list[Task]:
    """Jobs for every provider and every fault: half of them bound to the provider, half free to go elsewhere."""
    offers: dict[str, list[Offer]] = {}
    for offer in catalog.offers:
        usable = offer.price is not None and offer.lifecycle.stage(days(day)) in ("available", "deprecated")
        if usable and offer.provider in WIRES and offer.does("t2v"):
            offers.setdefault(offer.provider, []).append(offer)
    pairs = [(provider, fault) for fault in FAULTS for provider in sorted(offers)]
    tasks = []
    for n in range(num_jobs):
        provider, fault = pairs[n % len(pairs)]
        turn = n // len(pairs)
        offer = offers[provider][turn % len(offers[provider])]
        seconds = (offer.model.choices or (3.0, 4.0, 5.0, 7.0))[turn % max(len(offer.model.choices), 1)]
        seconds = min(max(seconds, 3.0, offer.model.min_s), 15.0)
        request = Request(f"A horse runs. [{provider}:{fault}] #{n}", size="720p", seconds=seconds)
        free = turn % 2 == 1
        wish = Wish(request, offer.key, allow=ALL_CHANGES | ({"model"} if free else frozenset()), input_s=0.0)
        tasks.append(Task(f"job-{n:06d}", f"tenant-{n % 7}", f"key-{n % 13}", wish))
    return tasks


class Fleet:
    """A simulator, a router and a clock, put together."""

    def __init__(
        self,
        database: str | Path,
        *,
        catalog: Catalog | None = None,
        breaker: bool = False,
        rules: Rules | None = None,
        budgets: Sequence[Budget] = (),
        simulator: Simulator | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.simulator = simulator or Simulator(self.clock)
        self.catalog = catalog or shipped()
        self.ledger = Ledger.open(database, budgets)
        self.rules = rules or Rules(callback_url=lambda attempt_id: f"http://router/pushes/{attempt_id}")
        self.remotes = simulated_remotes(self.simulator, self.catalog, self.clock)
        self.dispatch = self.new_dispatch(breaker)
        self.simulator.on_push = self._on_push  # type: ignore[method-assign]  # meant to be replaced

    def new_dispatch(self, breaker: bool = False) -> Dispatch:
        """A router with no memory of its own: what a restarted process has."""
        return Dispatch(
            self.ledger,
            self.catalog,
            self.remotes,
            quick_check,
            rules=self.rules,
            health=Health(trips=breaker),
            clock=self.clock,
            seed=0,
        )

    def _on_push(self, url: str, body: dict[str, Any]) -> None:
        self.dispatch.pushed(url.rpartition("/")[2], body)

    def run(
        self, tasks: Sequence[Task], per_s: float = 500.0, on_step: Callable[[Task, Step], None] | None = None
    ) -> Report:
        """Let jobs arrive at a rate and drive all of them to their end; then settle with the invoices."""
        started, first = time.perf_counter(), self.clock.now
        report = Report(num_jobs=len(tasks))
        due = [(first + n / per_s, n) for n in range(len(tasks))]
        heapq.heapify(due)
        steps: Counter[int] = Counter()
        with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
            while due:
                at, n = heapq.heappop(due)
                self.clock.now = max(self.clock.now, at)
                self.simulator.deliver()
                step = self.dispatch.step(tasks[n], Path(folder))
                steps[n] += 1
                if on_step is not None:
                    on_step(tasks[n], step)
                if step.state != "working":
                    report.outcomes[step.state if step.error is None else type(step.error).__name__] += 1
                    if step.result is not None:
                        step.result.path.unlink(missing_ok=True)
                elif steps[n] > MANY_STEPS:
                    report.stuck += 1
                else:
                    heapq.heappush(due, (max(step.due_at, self.clock.now + 0.01), n))
        report.simulated_s = self.clock.now - first
        self._settle(report)
        self._judge(report)
        report.wall_s = time.perf_counter() - started
        return report

    def _settle(self, report: Report) -> None:
        """Follow what nobody waits for, then compare with the invoices as an operator does."""
        for _ in range(200):
            self.clock.now += 600.0
            if not self.dispatch.sweep(1000):
                break
        report.num_reviewed = len(self.ledger.to_review())
        lines = [
            InvoiceLine(w.lane, micros, self.simulator.public_id(w), w.asked.reference, w.created_at)
            for w, micros in self.simulator.billed()
        ]
        silent = {a.lane for a in self.ledger.to_review()} - {line.lane for line in lines}
        lines += [InvoiceLine(lane, 0, "", "", 0.0) for lane in sorted(silent)]  # an empty invoice is one, too
        unexplained = [line for line in self.ledger.settle_invoice(lines, self.clock.now) if line.micros]
        report.unbilled += len(unexplained)
        report.stuck += len(self.ledger.open_attempts())

    def _judge(self, report: Report) -> None:
        billed = self.simulator.billed()
        totals = self.ledger.totals()
        report.num_billed, report.invoice_micros = len(billed), sum(m for _, m in billed)
        report.ledger_micros, report.held_micros = totals["cost"], totals["held"]
        report.num_submits = sum(self.simulator.submits.values())
        per_job = Counter(_tag(w) for w, _ in billed)
        report.double_billed = sum(n > 1 for n in per_job.values())
        report.unbilled += max(report.outcomes["succeeded"] - len(per_job), 0)
        asked: dict[int, set[str]] = {}
        for (lane, prompt), _ in self.simulator.submits.items():
            if found := TAG.search(prompt):
                asked.setdefault(int(found.group(1)), set()).add(lane)
        report.num_failovers = sum(len(lanes) - 1 for lanes in asked.values())
        report.wrong_failovers = sum(self._wrong(works) for works in self._works_by_job().values())
        report.wrong_failovers += sum(
            len(lanes) > 1
            for (lane, prompt), _ in self.simulator.submits.items()
            if ":moderation_input]" in prompt
            and (found := TAG.search(prompt))
            and (lanes := asked[int(found.group(1))])
            and lane == min(lanes)
        )

    def _works_by_job(self) -> dict[int, list[Work]]:
        found: dict[int, list[Work]] = {}
        for work in self.simulator.works.values():
            found.setdefault(_tag(work), []).append(work)
        return found

    def _wrong(self, works: list[Work]) -> int:
        """Jobs made while an earlier one of the same caller's job was alive or had been billed."""
        ordered = sorted(works, key=lambda w: w.created_at)
        wrong = 0
        for earlier, later in itertools.pairwise(ordered):
            ended = earlier.cancelled or (earlier.outcome != "succeeded" and later.created_at >= earlier.ends_at)
            wrong += not ended
        return wrong

    def close(self) -> None:
        """Let everything go."""
        for remote in self.remotes:
            remote.close()
        self.ledger.close()


def _tag(work: Work) -> int:
    found = TAG.search(work.asked.prompt)
    return int(found.group(1)) if found else -1


def plain(task: Task, model: str) -> Task:
    """The same job, asking for another model."""
    return replace(task, wish=replace(task.wish, model=model))


# What the shipped catalogue lacks for a test of every protocol: prices, and models whose day has passed.
EVERY_PROVIDER = """
version = "simulated"
[models."simulated-veo"]
like = "simulated"
seconds = { choices = [4, 6, 8] }
[models."simulated"]
family = "simulated"
tasks = ["t2v", "i2v"]
seconds = [3, 15]
tiers = ["480p", "720p", "1080p"]
ratios = ["16:9", "9:16"]
audio = "always"
[[offers]]
model = "simulated-veo"
provider = "google"
ids = { all = "simulated-veo" }
price = { per_s = { 720p = 0.11 } }
[[offers]]
model = "simulated"
provider = "openai"
ids = { all = "simulated" }
price = { per_s = { 720p = 0.07 } }
[[offers]]
model = "simulated"
provider = "azure"
ids = { all = "simulated" }
price = { per_s = { 720p = 0.071 } }
[[offers]]
model = "simulated"
provider = "replicate"
ids = { all = "simulated/simulated" }
price = { per_s = { 720p = 0.072 } }
[[offers]]
model = "simulated"
provider = "openrouter"
ids = { all = "simulated/simulated" }
price = { per_s = { 720p = 0.073 } }
"""
