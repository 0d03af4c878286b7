"""How a job's row changes hands: fences, ends, returns to the queue. Parts of the store's transactions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from muybridge.errors import NotFound, WorkerLost
from muybridge.jobs.database import Row, Tx
from muybridge.jobs.job import TERMINAL, Claim, new_id


def fence(claim: Claim) -> Row:
    """What every write of a worker must match: the job, the attempt and the owner of its lease."""
    return {"id": claim.job.id, "attempt": claim.attempt, "worker": claim.worker}


def lost(claim: Claim) -> WorkerLost:
    """The error of a worker whose write matched no row."""
    return WorkerLost(
        f"Worker {claim.worker} no longer holds attempt {claim.attempt} of job {claim.job.id}; its work is discarded."
    )


def already(tx: Tx, claim: Claim, *outcomes: str) -> Row:
    """The row, if this very attempt has already brought the job there (the answer was lost); else WorkerLost."""
    row = tx.row("get_job", id=claim.job.id, tenant=None)
    if row is None or (row["attempt"], row["lease_owner"]) != (claim.attempt, claim.worker):
        raise lost(claim)
    if row["status"] not in outcomes:
        raise lost(claim)
    return row


def stop(tx: Tx, row: Row, status: str, code: str, message: str, failed: int = 0) -> Row:
    """End a running job, locked by the caller, without publishing."""
    how = {"status": status, "code": code, "message": message, "failed": failed}
    stopped = tx.row("stop", now=tx.now, **how, **fence_of(row))
    assert stopped is not None, f"job {row['id']} changed under its lock"
    ended(tx, stopped)
    discard(tx, stopped)
    return stopped


def discard(tx: Tx, row: Row) -> None:
    """Let the sweep remove checkpoints and half-made files of a job that will never publish."""
    about = {"job_id": row["id"], "tenant": row["tenant"], "reason": "unpublished", "artifacts": "[]"}
    tx.run("add_receipt", id=new_id(), now=tx.now, **about)


def put_back(
    tx: Tx,
    row: Row,
    ready_at: float,
    code: str | None = None,
    message: str | None = None,
    *,
    keep: bool,
    why: str,
    failed: int = 0,
    checkpoint_key: str | None = None,
) -> Row:
    """Return a running job, locked by the caller, to the queue."""
    error = {"code": code, "message": message, "failed": failed}
    back = tx.row(
        "put_back", ready_at=ready_at, keep=int(keep), checkpoint_key=checkpoint_key, **error, **fence_of(row)
    )
    assert back is not None, f"job {row['id']} changed under its lock"
    lane = {name: row[name] for name in ("tenant", "model", "priority", "cost_s")}
    tx.run("lane_push", ready_at=ready_at, **lane)
    event(tx, row["id"], back["num_events"], "status", {"status": "queued", "reason": why})
    return back


def fence_of(row: Row) -> Row:
    """The same fence, of a row that this transaction has locked."""
    return {"id": row["id"], "attempt": row["attempt"], "worker": row["lease_owner"]}


def ended(tx: Tx, row: Row) -> None:
    """The event of a job's end and, in the same transaction, the webhook that tells of it."""
    data = {"status": row["status"]}
    if row["error_code"] is not None:
        data["error"] = {"code": row["error_code"], "message": row["error_message"]}
    event(tx, row["id"], row["num_events"], "status", data)
    if row["webhook"] is not None:
        tell(tx, row["id"], row["tenant"], row["num_events"], json.loads(row["webhook"]), row["status"])


def tell(tx: Tx, job_id: str, tenant: str, seq: int, webhook: Mapping[str, Any] | None, moment: str) -> None:
    """Queue a webhook that wants to hear of `moment`: a status, or `stage` (a new one began).

    Its `on` lists the moments; without it only the end is told. Endpoints of the tenant always hear of the end only.
    """
    if webhook is None:
        return
    at_end = moment in TERMINAL
    wanted = moment in webhook["on"] if "on" in webhook else at_end
    told = {k: v for k, v in webhook.items() if wanted or k == "endpoints"} if at_end else dict(webhook)
    if (at_end and not told) or not (at_end or wanted):
        return
    if not at_end:
        told.pop("endpoints", None)
        told["moment"] = moment
    about = {"job_id": job_id, "tenant": tenant, "seq": seq, "webhook": json.dumps(told)}
    tx.run("add_delivery", id=new_id(), now=tx.now, **about)


def event(tx: Tx, job_id: str, seq: int, kind: str, data: Row) -> None:
    """Append to the job's history; `seq` is the count that this transaction has just raised."""
    tx.run("add_event", id=job_id, seq=seq, now=tx.now, kind=kind, data=json.dumps(data))


def lane_pop(tx: Tx, row: Row) -> None:
    """Note that a job has left the queue."""
    tx.run("lane_pop", tenant=row["tenant"], model=row["model"], priority=row["priority"], cost_s=row["cost_s"])


def visible(tx: Tx, job_id: str, tenant: str | None) -> Row:
    """The job's row, if this tenant may see it (None: anybody); else NotFound."""
    row = tx.row("get_job", id=job_id, tenant=tenant)
    if row is None:
        raise NotFound(f"There is no job {job_id!r}.")
    return row


def charge(row: Row, usage: Row, now: float) -> Row:
    """The ledger row of a publication: the quoted price, unless the usage brings its own `cost`."""
    amounts = {name: float(usage.get(name) or 0.0) for name in ("output_s", "compute_s", "flops", "formula_s")}
    who = {name: row[name] for name in ("id", "tenant", "key_id", "model", "attempt")}
    made = {"model_actual": row["model_actual"] or row["model"], "device": str(usage.get("device") or "")}
    cost = float(usage["cost"] if usage.get("cost") is not None else row["cost"])
    return who | amounts | made | {"now": now, "cost": cost}
