"""Attempts and money as rows: the intent before the paid call, holds, charges and costs, all in one database.

The rows live in tables of their own through the jobs' database module; on several machines give it the same
PostgreSQL as the jobs, so that whoever takes over a job sees what was already sent.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from muybridge.errors import QuotaExceeded
from muybridge.jobs.database import Database, Tx, load_queries, statements
from muybridge.jobs.job import new_id
from muybridge.providers.fit import Change, Plan
from muybridge.providers.provider import Ticket
from muybridge.providers.router import Decision

State = Literal["intent", "unknown", "accepted", "succeeded", "rejected", "failed", "cancelled", "needs_review"]
DAY_S = 86_400.0


@dataclass(frozen=True)
class Attempt:
    """One try of one job at one offer. Money in millionths of a US dollar; `cost` is None until it is known."""

    id: str
    job_id: str
    n: int
    tenant: str
    key_id: str
    project: str
    offer: str
    lane: str
    state: State
    is_open: bool
    plan: Plan
    decision: str  # JSON of `Decision.to_dict`: read by people and the API, not on the way
    quote: int
    created_at: float
    orphan: bool = False
    ticket: Ticket | None = None
    cost: int | None = None
    error: str = ""
    num_fetches: int = 0
    accepted_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True)
class Budget:
    """A limit for a UTC day. Empty names mean everybody; money in millionths of a US dollar."""

    micros: int
    tenant: str = ""
    key_id: str = ""


@dataclass(frozen=True)
class InvoiceLine:
    """One billed job of a provider's invoice. `reference` where the provider repeats ours."""

    lane: str
    micros: int
    job_id: str = ""
    reference: str = ""
    at: float = 0.0


class Ledger:
    """The tables. Safe from any thread and process, safe to repeat."""

    def __init__(self, database: Database, budgets: Sequence[Budget] = ()) -> None:
        self.database, self._budgets = database, tuple(budgets)
        self.budgeted = bool(budgets)
        text = resources.files("muybridge.providers").joinpath("schema.sql").read_text(encoding="utf-8")

        def create(tx: Tx) -> None:
            for statement in statements(text):
                tx.connection.execute(statement)

        database.run(create, lock="route-schema")

    @staticmethod
    def open(url: str | Path, budgets: Sequence[Budget] = ()) -> Ledger:
        """The tables inside a database: a path, `sqlite:///...` or `postgresql://...`."""
        return Ledger(Database(str(url), load_queries("muybridge.providers")), budgets)

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    # Attempts -------------------------------------------------------------------------------------------------------

    def intend(
        self, job_id: str, n: int, tenant: str, key_id: str, project: str, decision: Decision, now: float
    ) -> Attempt | None:
        """Write the intent and hold its price, in one transaction. None: somebody else has an open attempt.

        Raises QuotaExceeded when a budget does not cover it: budgets are checked again here, where it counts.
        """
        chosen = decision.chosen
        attempt_id = new_id()
        row = {
            "id": attempt_id,
            "job_id": job_id,
            "n": n,
            "tenant": tenant,
            "key_id": key_id,
            "project": project,
            "offer": chosen.offer.key,
            "lane": chosen.offer.lane,
            "plan": json.dumps(chosen.plan._asdict()),
            "decision": json.dumps(decision.to_dict()),
            "quote": chosen.micros,
        }

        def work(tx: Tx) -> Attempt | None:
            left = self._left(tx, tenant, key_id, now)
            if left is not None and chosen.micros > left:
                raise QuotaExceeded(
                    f"This job costs ${chosen.micros / 1e6:.4f}; ${max(left, 0) / 1e6:.4f} of today's budget are left."
                )
            if tx.row("add_attempt", now=now, **row) is None:
                return None
            self._entry(tx, attempt_id, "reserve", tenant, key_id, chosen.micros, now)
            found = tx.row("attempt", id=attempt_id)
            assert found is not None
            return _attempt(found)

        return self.database.run(work, lock="route-budget" if self._budgets else None)

    def attempts(self, job_id: str) -> list[Attempt]:
        """A job's attempts, first to last."""
        return [_attempt(r) for r in self._rows("attempts", job_id=job_id)]

    def attempt(self, attempt_id: str) -> Attempt | None:
        """One attempt."""
        rows = self._rows("attempt", id=attempt_id)
        return _attempt(rows[0]) if rows else None

    def accepted(self, attempt_id: str, ticket: Ticket, now: float) -> bool:
        """The provider named its job. False: the attempt was already past that."""
        text = json.dumps(asdict(ticket))
        return bool(self._write("accepted", id=attempt_id, ticket=text, now=now))

    def lost(self, attempt_id: str, why: str) -> bool:
        """The answer was lost."""
        return bool(self._write("lost", id=attempt_id, error=why[:500]))

    def note(self, attempt: Attempt, num_fetches: int, error: str) -> None:
        """Count a failed copy of the result."""
        self.database.run(lambda tx: tx.run("note", id=attempt.id, num_fetches=num_fetches, error=error[:500]))

    def orphan(self, job_id: str) -> bool:
        """Nobody waits for the job any more. True: it still has an open attempt."""
        return bool(self._write("orphan", job_id=job_id))

    def end(
        self, attempt: Attempt, state: State, cost: int | None, now: float, *, charge: bool, error: str = ""
    ) -> bool:
        """Close an attempt: free the hold, charge the caller if it delivered, book what the provider bills.

        `cost` None: not known yet (see `bill`). False: it was closed before; nothing changes then.
        """

        def work(tx: Tx) -> bool:
            row = tx.row("close", id=attempt.id, state=state, cost=cost, error=error[:500], now=now)
            if row is None:
                return False
            self._entry(tx, attempt.id, "release", attempt.tenant, attempt.key_id, -attempt.quote, now)
            if cost:
                self._entry(tx, attempt.id, "cost", attempt.tenant, attempt.key_id, cost, now)
                if charge:
                    self._entry(tx, attempt.id, "charge", attempt.tenant, attempt.key_id, cost, now)
            return True

        return self.database.run(work)

    def open_attempts(self) -> list[Attempt]:
        """Everything not at its end: what a restarted process looks at first."""
        return [_attempt(r) for r in self._rows("open_attempts")]

    def orphans(self, limit: int = 100) -> list[Attempt]:
        """Open attempts that nobody waits for."""
        return [_attempt(r) for r in self._rows("orphans", limit=limit)]

    def known_tickets(self, lane: str, since: float) -> frozenset[str]:
        """The provider's ids of our jobs."""
        return frozenset(json.loads(r["ticket"])["id"] for r in self._rows("tickets", lane=lane, since=since))

    def rivals(self, attempt: Attempt, since: float) -> int:
        """Other lost submits in the lane."""
        return int(self._rows("rivals", lane=attempt.lane, id=attempt.id, since=since)[0]["num"])

    def sticky(self, tenant: str, project: str) -> str | None:
        """The offer that a project used last."""
        rows = self._rows("sticky", tenant=tenant, project=project)
        return str(rows[0]["offer"]) if rows else None

    def own_queue_s(self, models: tuple[str, ...]) -> float:
        """How long a new job of our own sizes would wait: the work queued and under way, shared by who works on it.

        Where anything waits, every worker that could take it is busy, so the busy ones are all there are. Needs the
        jobs' tables in the same database.
        """
        if not models:
            return 0.0
        queued_s = float(self._rows("own_queue", models=models)[0]["seconds"])
        running = self._rows("own_running", models=models)[0]
        return (queued_s + float(running["seconds"])) / max(int(running["num"]), 1) if queued_s else 0.0

    def setting(self, name: str) -> str | None:
        """A value that the API shares with its workers; needs the jobs' tables in the same database."""
        rows = self._rows("setting", name=name)
        return str(rows[0]["value"]) or None if rows else None

    # Money ----------------------------------------------------------------------------------------------------------

    def budget_left(self, tenant: str, key_id: str, now: float) -> int | None:
        """What the tightest budget leaves for today; None where there is none."""
        return self.database.run(lambda tx: self._left(tx, tenant, key_id, now), write=False)

    def _left(self, tx: Tx, tenant: str, key_id: str, now: float) -> int | None:
        left: list[int] = []
        since = _day_start(now)
        for budget in self._budgets:
            if budget.tenant in ("", tenant) and budget.key_id in ("", key_id):
                row = tx.row("used", since=since, tenant=budget.tenant, key_id=budget.key_id)
                left.append(budget.micros - int(row["micros"] if row else 0))
        return min(left) if left else None

    def totals(self, since: float = 0.0) -> dict[str, int]:
        """Sums by kind of entry; `held` is what is reserved and not yet freed."""
        rows = {r["kind"]: int(r["micros"]) for r in self._rows("totals", since=since)}
        kinds = {k: rows.get(k, 0) for k in ("reserve", "release", "charge", "cost")}
        return kinds | {"held": kinds["reserve"] + kinds["release"]}

    def costs(self, since: float = 0.0) -> list[dict[str, Any]]:
        """What each offer has cost."""
        return self._rows("costs", since=since)

    def to_review(self) -> list[Attempt]:
        """Submits that were never cleared up; their cost is open."""
        return [_attempt(r) for r in self._rows("to_review")]

    def bill(self, attempt: Attempt, micros: int, now: float) -> None:
        """Book what an invoice says about an attempt whose cost was open (0: it was never billed)."""

        def work(tx: Tx) -> None:
            if tx.run("bill", id=attempt.id, cost=micros) and micros:
                self._entry(tx, attempt.id, "cost", attempt.tenant, attempt.key_id, micros, now)

        self.database.run(work)

    def settle_invoice(self, lines: Iterable[InvoiceLine], now: float) -> list[InvoiceLine]:
        """Clear up open submits with a provider's invoice; the lines that no attempt of ours explains.

        A line belongs to the attempt with its provider's id or our reference, else to an open one of the same lane
        submitted in the two minutes before it. All open attempts of the lanes in the invoice are settled: those
        without a line cost nothing.
        """
        given = list(lines)
        review = self.to_review()
        known = {(lane, t) for lane in {line.lane for line in given} for t in self.known_tickets(lane, 0.0)}
        left = [line for line in given if (line.lane, line.job_id) not in known]
        unexplained: list[InvoiceLine] = []
        for line in left:
            match = next((a for a in review if a.id == line.reference), None) or next(
                (a for a in review if a.lane == line.lane and -1.0 <= line.at - a.created_at <= 120.0), None
            )
            if match is None:
                unexplained.append(line)
                continue
            review.remove(match)
            self.bill(match, line.micros, now)
        for attempt in review:
            if attempt.lane in {line.lane for line in given}:
                self.bill(attempt, 0, now)
        return unexplained

    # Plumbing -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _entry(tx: Tx, attempt_id: str, kind: str, tenant: str, key_id: str, micros: int, now: float) -> None:
        who = {"attempt_id": attempt_id, "tenant": tenant, "key_id": key_id}
        tx.run("add_entry", kind=kind, micros=micros, now=now, **who)

    def _rows(self, query: str, **params: Any) -> list[dict[str, Any]]:  # noqa: ANN401  (SQL values)
        return self.database.run(lambda tx: tx.rows(query, **params), write=False)

    def _write(self, query: str, **params: Any) -> dict[str, Any] | None:  # noqa: ANN401
        return self.database.run(lambda tx: tx.row(query, **params))


def _attempt(row: Mapping[str, Any]) -> Attempt:
    values = dict(row)
    values["plan"] = _plan(values["plan"])
    values["ticket"] = _ticket(values["ticket"]) if values["ticket"] else None
    values["is_open"], values["orphan"] = bool(values["is_open"]), bool(values["orphan"])
    return Attempt(**values)


@functools.lru_cache(maxsize=4096)
def _plan(text: str) -> Plan:
    plan = json.loads(text)
    return Plan(**plan | {"changes": tuple(Change(*c) for c in plan["changes"])})


@functools.lru_cache(maxsize=4096)
def _ticket(text: str) -> Ticket:
    return Ticket(**json.loads(text))


def _day_start(now: float) -> float:
    day = datetime.datetime.fromtimestamp(now, datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day.timestamp()
