"""The job table: create, claim, renew, publish. One row is a job's whole state, in SQLite or PostgreSQL alike.

Safety rests on one rule: every write of a worker carries `id AND attempt AND lease_owner AND status = 'in_progress'`.
A worker that lost its lease matches no row, learns so (WorkerLost) and throws its work away.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

from muybridge.errors import Conflict, InvalidRequest, NotFound, WorkerLost
from muybridge.jobs.admission import admit, check_budget, find_idempotent, new_row, quoted, same_body
from muybridge.jobs.database import Database, Row, Tx, load_queries
from muybridge.jobs.job import INPUTS, Admission, Artifact, Claim, Event, Job, NewJob, Receipt, Signals, new_id
from muybridge.jobs.outcomes import (
    already,
    charge,
    discard,
    ended,
    event,
    fence,
    lane_pop,
    lost,
    put_back,
    stop,
    tell,
    visible,
)
from muybridge.jobs.records import Deliveries, Keys, Ledger, Receipts
from muybridge.jobs.rows import artifacts_json, job_of, receipt_of

# Store.list hides the builtin inside the class.
Ids: TypeAlias = list[str]
Events: TypeAlias = list[Event]
Rows: TypeAlias = list[Row]
DAY_S = 86_400.0
FIRST_ID, LAST_ID = "", "~"  # below and above every ULID
_NOT_RUN = 1.0  # seconds of work that a job without a quote counts as in fair share


class Store:
    """All operations are synchronous, safe from any thread and any process, and safe to repeat."""

    def __init__(
        self,
        database: Database,
        *,
        preflight: Callable[[NewJob], None] | None = None,
        max_failures: int = 3,
        age_s: float = 300.0,
        preempt_after_s: float = 2.0,
        retention_s: float | None = DAY_S,
        idempotency_s: float = DAY_S,
    ) -> None:
        self.database = database
        self.preflight = preflight
        self.max_failures = max_failures  # retries in a row without a new checkpoint between them
        self.age_s = age_s  # waiting this long is worth one level of priority
        self.preempt_after_s = preempt_after_s  # an idle worker notices a job sooner than this
        self.retention_s = retention_s  # None: keep results until they are deleted
        self.idempotency_s = idempotency_s
        self.keys = Keys(database)
        self.ledger = Ledger(database)
        self.deliveries = Deliveries(database)
        self.receipts = Receipts(database)

    @staticmethod
    def open(url: str | Path, **settings: Any) -> Store:  # noqa: ANN401 (the keyword arguments of Store)
        """Open and migrate a store: a file path, `sqlite:///path?synchronous=full` or `postgresql://...`."""
        patience_s = settings.pop("patience_s", 30.0)
        database = Database(str(url), load_queries(), patience_s)
        try:
            database.migrate()
        except BaseException:
            database.close()
            raise
        return Store(database, **settings)

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    # What callers do ------------------------------------------------------------------------------------------------

    def create(self, new: NewJob, admission: Admission | None = None) -> tuple[Job, bool]:
        """Queue a job, or find the one that this tenant's idempotency key already names (False).

        Raises Conflict (same key, another body), Throttled (too many open jobs), QuotaExceeded (budget), and whatever
        the preflight hook raises; in all these cases nothing was queued.
        """
        if self.preflight is not None:
            self.preflight(new)
        job_id = new.id or new_id()
        seconds, cost = quoted(new.quote, "seconds", _NOT_RUN), quoted(new.quote, "cost", 0.0)

        def work(tx: Tx) -> tuple[Job, bool]:
            before = tx.now - self.idempotency_s
            if admission is not None:
                known = find_idempotent(tx, new, before)  # first: who asks again is not refused for being over a limit
                if known is not None:
                    return same_body(known, new), False
                admit(tx, new, cost, admission)
            insert = new_row(new, job_id, seconds, cost, tx.now)
            row = tx.row("create_job", **insert)
            if row is None:
                known = find_idempotent(tx, new, before) or tx.row("get_job", id=job_id, tenant=new.tenant)
                if known is not None:
                    return same_body(known, new), known["id"] == job_id
                row = tx.row("create_job", **insert)  # the key was past its window and has been freed
                assert row is not None, f"job {job_id} neither inserted nor found"
            body = {"request": json.dumps(new.request), "request_raw": json.dumps(new.request_raw)}
            tx.run("create_body", id=job_id, **body)
            lane = {"tenant": new.tenant, "model": new.model, "priority": new.priority}
            tx.run("lane_push", **lane, cost_s=seconds, ready_at=tx.now)
            event(tx, job_id, 1, "status", {"status": "queued"})
            tell(tx, job_id, new.tenant, 1, new.webhook, "queued")
            return job_of({**row, **body}), True

        return self.database.run(work, lock=f"admit {new.tenant}" if admission else None)

    def get(self, job_id: str, tenant: str | None = None) -> Job:
        """One job. With a tenant: only its own. Raises NotFound."""
        row = self.database.run(lambda tx: tx.row("get_job", id=job_id, tenant=tenant), write=False)
        if row is None:
            raise NotFound(f"There is no job {job_id!r}.")
        return job_of(row)

    def list(
        self,
        tenant: str | None,
        after: str | None = None,
        limit: int = 20,
        order: Literal["asc", "desc"] = "desc",
        status: str | None = None,
        model: str | None = None,
        protocol: str | None = None,
    ) -> list[Job]:
        """A page of a tenant's jobs (None: all), by time of creation. `after` is the last id of the page before."""
        query, start = ("list_newest", LAST_ID) if order == "desc" else ("list_oldest", FIRST_ID)
        filters = {"tenant": tenant, "status": status, "model": model, "protocol": protocol}
        after = start if after is None else after
        rows = self.database.run(lambda tx: tx.rows(query, after=after, limit=limit, **filters), write=False)
        return [job_of(row) for row in rows]

    def cancel(self, job_id: str, tenant: str | None = None, reason: str = "Cancelled by the caller.") -> Job:
        """Queued: cancelled at once. Running: a flag the worker obeys at its next step. Ended: unchanged.

        Read the answer's status: `cancelled` only when no work is being done any more. Raises NotFound.
        """

        def work(tx: Tx) -> Job:
            visible(tx, job_id, tenant)
            row = tx.row("cancel_queued", id=job_id, now=tx.now, message=reason)
            if row is not None:
                lane_pop(tx, row)
                ended(tx, row)
                if row["attempt"] > 0 or INPUTS in json.loads(row["metadata"]):
                    discard(tx, row)
            else:
                row = tx.row("cancel_running", id=job_id)
                if row is not None:
                    event(tx, job_id, row["num_events"], "status", {"status": "in_progress", "cancel_requested": True})
            return job_of(visible(tx, job_id, tenant))

        return self.database.run(work)

    def delete(self, job_id: str, tenant: str) -> Receipt:
        """Remove a job that has ended, with its prompt and history; its files go when the receipt is settled.

        The ledger row stays. Raises NotFound, and Conflict while the job is queued or running (cancel it first).
        """

        tries = 0

        def work(tx: Tx) -> Receipt:
            nonlocal tries
            tries += 1
            if tries > 1 and (done := tx.row("asked_receipt", job_id=job_id, tenant=tenant)) is not None:
                return receipt_of(done)
            status = visible(tx, job_id, tenant)["status"]
            row = tx.row("delete_job", id=job_id, tenant=tenant)
            if row is None:
                raise Conflict(f"Job {job_id} is {status}; cancel it and wait for that before deleting it.")
            for query in ("delete_body", "delete_events", "delete_deliveries"):
                tx.run(query, id=job_id)
            return self.receipts.add(tx, job_id, tenant, "asked", row["artifacts"])

        return self.database.run(work)

    def events(self, job_id: str, after_seq: int = 0, limit: int = 1000) -> Events:
        """What happened to a job after `after_seq`, in order."""
        rows = self.database.run(lambda tx: tx.rows("events", id=job_id, after=after_seq, limit=limit), write=False)
        return [Event(**{**row, "data": json.loads(row["data"])}) for row in rows]

    def position(self, job_id: str) -> int:
        """Queued jobs of the same model before this one by priority and time (fair share may reorder); else 0."""

        def work(tx: Tx) -> int:
            place = tx.row("queue_place", id=job_id)
            if place is None or place.pop("status") != "queued":
                return 0
            return int(tx.rows("position", id=job_id, **place)[0]["ahead"])

        return self.database.run(work, write=False)

    def queue(self) -> Rows:
        """Active lanes: tenant, model, priority, queued (jobs), queued_s (seconds of work), head_at."""
        return self.database.run(lambda tx: tx.rows("queue"), write=False)

    def running(self) -> Rows:
        """Claimed jobs: id, tenant, model, priority, attempt, lease_owner, lease_until, progress, eta_s."""
        return self.database.run(lambda tx: tx.rows("running"), write=False)

    def set_weight(self, tenant: str, weight: float) -> None:
        """Give a tenant `weight` times the share of one with weight 1."""
        if not weight > 0 or not math.isfinite(weight):
            raise InvalidRequest(f"A share's weight must be above 0, not {weight}.", "weight")
        self.database.run(lambda tx: tx.run("set_weight", tenant=tenant, weight=weight))

    # What workers do ------------------------------------------------------------------------------------------------

    def claim(self, worker: str, models: tuple[str, ...] | None = None, lease_s: float = 60.0) -> Claim | None:
        """Take the next job, or None. `worker` must be unique to the process and hold one job at a time."""
        wanted = {"any_model": int(models is None), "models": tuple(models or ("",))}
        if not self.database.run(lambda tx: tx.rows("claim_peek", now=tx.now, **wanted), write=False):
            return None
        tries = 0

        def work(tx: Tx) -> Claim | None:
            nonlocal tries
            tries += 1
            if tries > 1 and (row := tx.row("claim_adopt", worker=worker)) is not None:
                return Claim(job_of(row), worker, lease_s, row["checkpoint_key"], models)
            # Not a loop without end: each round either claims or has seen a job that another transaction just took.
            while (lane := tx.row("claim_lane", now=tx.now, age_s=self.age_s, **wanted)) is not None:
                where = {name: lane[name] for name in ("tenant", "model", "priority")}
                row = tx.row("claim_job", now=tx.now, worker=worker, lease_s=lease_s, **where)
                if row is not None:
                    return self._granted(tx, row, lane, worker, lease_s, models)
            return None

        return self.database.run(work, lock="claim")

    def _granted(
        self, tx: Tx, row: Row, lane: Row, worker: str, lease_s: float, models: tuple[str, ...] | None
    ) -> Claim:
        lane_pop(tx, row)
        if row["attempt"] == 1:
            used_s = lane["start_s"] + row["cost_s"] / lane["weight"]
            tx.run("share_grant", tenant=row["tenant"], priority=row["priority"], used_s=used_s)
            if lane["start_s"] > lane["virtual_s"]:
                tx.run("clock_advance", start_s=lane["start_s"])
        event(tx, row["id"], row["num_events"], "status", {"status": "in_progress", "attempt": row["attempt"]})
        job = job_of(row)
        if row["attempt"] == 1:
            tell(tx, job.id, job.tenant, row["num_events"], job.webhook, "in_progress")
        return Claim(job, worker, lease_s, row["checkpoint_key"], models)

    def renew(
        self,
        claim: Claim,
        stage: str | None,
        progress: float,
        eta_s: float | None = None,
        checkpoint_key: str | None = None,
        preview_key: str | None = None,
        lease_s: float | None = None,
        new_stage: bool = False,
    ) -> Signals:
        """Report progress (0..100, never falls) and hold the lease for `lease_s` more seconds.

        `new_stage`: webhooks that want to know hear of it.

        Raises WorkerLost when the job is no longer this attempt's: stop and discard.
        """
        new_events = 1 if preview_key is None else 2
        lease_s = claim.lease_s if lease_s is None else lease_s

        def work(tx: Tx) -> Signals:
            report = {"stage": stage, "progress": progress, "eta_s": eta_s, "checkpoint_key": checkpoint_key}
            row = tx.row("renew", now=tx.now, lease_s=lease_s, num_new=new_events, **report, **fence(claim))
            if row is None:
                raise lost(claim)
            data = {"stage": stage, "progress": row["progress"], "eta_s": eta_s}
            event(tx, claim.job.id, row["num_events"] - new_events + 1, "progress", data)
            if preview_key is not None:
                event(tx, claim.job.id, row["num_events"], "preview", {"key": preview_key})
            if new_stage:
                tell(tx, claim.job.id, claim.job.tenant, row["num_events"], claim.job.webhook, "stage")
            return Signals(bool(row["cancel_requested"]), self._must_yield(tx, claim))

        return self.database.run(work)

    def requote(self, claim: Claim, cost: float) -> None:
        """Raise the price of a running job, within its key's budget; `quote.quoted_first` keeps the first one.

        Raises QuotaExceeded, and WorkerLost when the job is no longer this attempt's.
        """

        def work(tx: Tx) -> None:
            row = tx.row("held", **fence(claim))
            if row is None:
                raise lost(claim)
            if cost <= row["cost"]:
                return
            check_budget(tx, row, cost)
            quote = json.loads(row["quote"])
            quote = {**quote, "quoted_first": quote.get("quoted_first", row["cost"]), "cost": cost}
            tx.run("requote", id=row["id"], cost=cost, quote=json.dumps(quote))

        self.database.run(work, lock=f"admit {claim.job.tenant}")

    def _must_yield(self, tx: Tx, claim: Claim) -> bool:
        """Whether this job is among the least important running ones that waiting jobs of higher priority need."""
        reach = {"any_model": int(claim.models is None), "models": tuple(claim.models or ("",))}
        above = {"priority": claim.job.priority, "before": tx.now - self.preempt_after_s}
        waiting = int(tx.rows("preempt_waiting", **above, **reach)[0]["waiting"])
        if not waiting:
            return False
        me = {"id": claim.job.id, "priority": claim.job.priority, "now": tx.now}
        return int(tx.rows("preempt_rank", **me, **reach)[0]["ahead"]) < waiting

    def finish(
        self,
        claim: Claim,
        artifacts: tuple[Artifact, ...],
        usage: dict[str, Any],
        model_actual: str | None = None,
    ) -> Job:
        """Publish: the artifacts become the job's, the ledger is charged, webhooks are queued, all in one transaction.

        Repeating it after a lost answer is safe. Raises WorkerLost when the job is no longer this attempt's.
        """
        result = {"artifacts": artifacts_json(artifacts), "usage": json.dumps(usage), "model_actual": model_actual}

        def work(tx: Tx) -> Row:
            row = tx.row("finish", now=tx.now, retention_s=self.retention_s, **result, **fence(claim))
            if row is None:
                return already(tx, claim, "completed")
            tx.run("charge", **charge(row, usage, tx.now))
            ended(tx, row)
            return row

        return self._updated(claim, work)

    def fail(self, claim: Claim, code: str, message: str, retryable: bool, retry_after_s: float = 0.0) -> Job:
        """Record a failure: back to the queue while it is retryable and retries are left, else `failed`.

        After two failures without progress the checkpoint is distrusted and the next attempt starts anew.
        Raises WorkerLost when the job is no longer this attempt's.
        """

        def work(tx: Tx) -> Row:
            row = tx.row("held", **fence(claim))
            if row is None:
                return already(tx, claim, "failed", "queued", "cancelled")
            return self._failed(tx, row, code, message, retryable, retry_after_s)

        return self._updated(claim, work)

    def requeue(self, claim: Claim, checkpoint_key: str | None, reason: str) -> Job:
        """Give the job back unfinished (pre-empted, drained): same place in the queue, no failure counted.

        A job whose cancellation was asked for ends as `cancelled` instead. Raises WorkerLost.
        """

        def work(tx: Tx) -> Row:
            row = tx.row("held", **fence(claim))
            if row is None:
                return already(tx, claim, "queued", "cancelled")
            if row["cancel_requested"]:
                return stop(tx, row, "cancelled", "cancelled", "Cancelled by the caller.")
            return put_back(
                tx, row, row["created_at"], None, None, keep=True, checkpoint_key=checkpoint_key, why=reason
            )

        return self._updated(claim, work)

    def confirm_cancel(self, claim: Claim) -> Job:
        """The worker has stopped: the job becomes `cancelled`. Raises WorkerLost."""

        def work(tx: Tx) -> Row:
            row = tx.row("held", **fence(claim))
            if row is None:
                return already(tx, claim, "cancelled")
            return stop(tx, row, "cancelled", "cancelled", "Cancelled by the caller.")

        return self._updated(claim, work)

    def reap(self, now: float | None = None, worker: str | None = None, limit: int = 100) -> Ids:
        """Requeue (or fail) running jobs whose lease ran out, or all of a `worker` known to be dead; their ids.

        `now` only serves tests; the default is the database's clock. Every worker calls this; any one is enough.
        """

        def find(tx: Tx) -> Rows:
            return tx.rows("expired_leases", now=tx.now if now is None else now, worker=worker, limit=limit)

        def one(tx: Tx, expired: Row) -> str | None:
            row = tx.row("still_expired", now=tx.now if now is None else now, worker=worker, **expired)
            if row is None:
                return None
            message = f"Worker {row['lease_owner']} stopped reporting during attempt {row['attempt']}."
            self._failed(tx, row, WorkerLost.code, message, True, 0.0)
            return str(row["id"])

        found = self.database.run(find, write=False)
        reaped = [self.database.run(lambda tx, e=expired: one(tx, e)) for expired in found]  # type: ignore[misc]
        return [job_id for job_id in reaped if job_id is not None]

    def _failed(self, tx: Tx, row: Row, code: str, message: str, retryable: bool, retry_after_s: float) -> Row:
        """What becomes of a running job, locked by the caller, whose attempt failed."""
        if row["cancel_requested"]:
            return stop(tx, row, "cancelled", "cancelled", "Cancelled by the caller.")
        if not retryable or row["failures"] >= self.max_failures:
            return stop(tx, row, "failed", code, message, failed=1)
        ready_at = tx.now + retry_after_s if retry_after_s else row["created_at"]
        return put_back(tx, row, ready_at, code, message, keep=row["failures"] < 2, failed=1, why=code)

    def _updated(self, claim: Claim, work: Callable[[Tx], Row]) -> Job:
        return job_of(self.database.run(work), claim.job)
