"""What happens to a new job before it is queued: its quote is read, duplicates are found, limits are checked."""

from __future__ import annotations

import datetime
import json
import math

from muybridge.errors import Conflict, InvalidRequest, QuotaExceeded, Throttled
from muybridge.jobs.database import Row, Tx
from muybridge.jobs.job import Admission, Job, NewJob
from muybridge.jobs.rows import job_of


def quoted(quote: Row, name: str, default: float) -> float:
    """A number of the quote. Raises InvalidRequest when it is not a finite number of at least 0."""
    value = quote.get(name)
    if value is None:
        return default
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InvalidRequest(f"A quote's {name} must be a number of at least 0, not {value!r}.", "quote")
    return float(value)


def new_row(new: NewJob, job_id: str, seconds: float, cost: float, now: float) -> Row:
    """The parameters of `create_job`."""
    who = {"tenant": new.tenant, "key_id": new.key_id, "protocol": new.protocol, "model": new.model}
    once = {"id": job_id, "idempotency_key": new.idempotency_key, "body_hash": new.body_hash}
    data = {"quote": new.quote, "webhook": new.webhook, "metadata": new.metadata}
    texts = {name: None if value is None else json.dumps(value) for name, value in data.items()}
    return who | once | texts | {
        "priority": new.priority, "cost_s": seconds, "cost": cost, "parent_id": new.parent_id, "now": now
    }  # fmt: skip


def find_idempotent(tx: Tx, new: NewJob, before: float) -> Row | None:
    """The job this key names, unless it is older than `before`: then the key is freed and None returned."""
    if new.idempotency_key is None:
        return None
    who = {"tenant": new.tenant, "idempotency_key": new.idempotency_key}
    row = tx.row("find_idempotent", **who)
    if row is not None and row["created_at"] < before:
        tx.run("forget_idempotency_key", before=before, **who)
        return None
    return row


def same_body(row: Row, new: NewJob) -> Job:
    """The job found, or Conflict when it was made from another body."""
    if row["body_hash"] != new.body_hash:
        raise Conflict(
            f"Idempotency key {new.idempotency_key!r} already made job {row['id']} from another body; "
            "send the same body again or use a new key."
        )
    return job_of(row)


def month_start(now: float) -> float:
    """When the calendar month (UTC) of a unix time began: budgets count from there."""
    day = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return day.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()


def check_budget(tx: Tx, row: Row, cost: float) -> None:
    """Raises QuotaExceeded where a running job's key could not pay `cost` instead of what is reserved for it."""
    key = tx.row("key_limits", id=row["key_id"])
    budget = None if key is None else json.loads(key["limits"]).get("budget_usd")
    if budget is None:
        return
    charged = float(tx.rows("spent", key_id=row["key_id"], since=month_start(tx.now))[0]["charged"])
    reserved = float(tx.rows("reserved", tenant=row["tenant"], key_id=row["key_id"])[0]["reserved"]) - row["cost"]
    if charged + reserved + cost > budget:
        raise QuotaExceeded(
            f"This job was quoted at {row['cost']:.4f} and would now cost {cost:.4f}, more than the key's budget "
            "leaves. Nothing was charged; raise the budget or submit it again later."
        )


def admit(tx: Tx, new: NewJob, cost: float, admission: Admission) -> None:
    """Raises Throttled or QuotaExceeded; runs under the tenant's lock."""
    if admission.max_open is not None:
        num_open = int(tx.rows("count_open", tenant=new.tenant)[0]["num_open"])
        if num_open >= admission.max_open:
            raise Throttled(
                f"{num_open} jobs are queued or running and the limit is {admission.max_open}; wait for one to end.",
                5.0,
            )
    if admission.budget is not None:
        charged = float(tx.rows("spent", key_id=new.key_id, since=admission.budget_since)[0]["charged"])
        reserved = float(tx.rows("reserved", tenant=new.tenant, key_id=new.key_id)[0]["reserved"])
        if charged + reserved + cost > admission.budget:
            raise QuotaExceeded(
                f"This job is quoted at {cost:.4f}; of the key's budget of {admission.budget:.4f}, {charged:.4f} is "
                f"spent and {reserved:.4f} is reserved by open jobs. Raise the budget or wait for its next period."
            )
