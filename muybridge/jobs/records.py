"""What hangs on the job table: API keys, the ledger, webhook deliveries, deletion receipts. Same database and rules."""

from __future__ import annotations

import json
import math
from typing import Literal

from muybridge.errors import NotFound
from muybridge.jobs.database import Database, Tx
from muybridge.jobs.job import Charge, Delivery, KeyRow, Receipt, Slowdown, new_id
from muybridge.jobs.rows import artifacts_of, charge_of, delivery_of, key_of, receipt_of


class Keys:
    """API keys as rows. Secrets are the caller's business: only their hashes come here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, key: KeyRow) -> None:
        """Store a new key."""
        texts = {"scopes": json.dumps(key.scopes), "limits": json.dumps(key.limits)}
        row = {"id": key.id, "tenant": key.tenant, "name": key.name, "secret_hash": key.secret_hash}
        times = {"created_at": key.created_at, "expires_at": key.expires_at}
        self._database.run(lambda tx: tx.run("put_key", **row, **texts, **times))

    def by_hash(self, secret_hash: str) -> KeyRow | None:
        """The key with this hash, also if it is expired or revoked (the caller tells which)."""
        row = self._database.run(lambda tx: tx.row("key_by_hash", secret_hash=secret_hash), write=False)
        return None if row is None else key_of(row)

    def list(self, tenant: str | None = None) -> list[KeyRow]:
        """A tenant's keys, or all."""
        return [key_of(row) for row in self._database.run(lambda tx: tx.rows("list_keys", tenant=tenant), write=False)]

    def revoke(self, key_id: str) -> None:
        """Refuse the key from now on. Raises NotFound when there is none that still works."""
        if not self._database.run(lambda tx: tx.run("revoke_key", id=key_id, at=tx.now)):
            raise NotFound(f"There is no key {key_id!r} that could be revoked.")

    def expire(self, key_id: str, at: float) -> None:
        """Let a key end at a unix time: rotation with an overlap."""
        if not self._database.run(lambda tx: tx.run("expire_key", id=key_id, at=at)):
            raise NotFound(f"There is no key {key_id!r}.")


class Ledger:
    """Charges. Written by Store.finish only; there is no other way to charge and none to charge twice."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self,
        tenant: str | None = None,
        key_id: str | None = None,
        since: float = 0.0,
        until: float = math.inf,
        limit: int = 10_000,
    ) -> list[Charge]:
        """Charges in [since, until), oldest first."""
        until = min(until, 1e18)
        who = {"tenant": tenant, "key_id": key_id}
        span = {"since": since, "until": until, "limit": limit}
        return [charge_of(r) for r in self._database.run(lambda tx: tx.rows("ledger_page", **who, **span), write=False)]

    def slowdown(self, model: str, limit: int = 20, within_s: float = 30 * 86_400.0) -> tuple[Slowdown, ...]:
        """Measured against the formula, by device, over the newest jobs; resumed ones do not count (half their work is
        another attempt's)."""
        rows = self._database.run(
            lambda tx: tx.rows("slowdown", model=model, since=tx.now - within_s, limit=limit), write=False
        )
        return tuple(Slowdown(row["device"], int(row["num"]), row["compute_s"] / row["formula_s"]) for row in rows)

    def spent(self, tenant: str, key_id: str, since: float = 0.0) -> tuple[float, float]:
        """(charged since a moment, reserved by open jobs) of a key, in money."""

        def work(tx: Tx) -> tuple[float, float]:
            charged = tx.rows("spent", key_id=key_id, since=since)[0]["charged"]
            return float(charged), float(tx.rows("reserved", tenant=tenant, key_id=key_id)[0]["reserved"])

        return self._database.run(work, write=False)


class Deliveries:
    """Webhooks to send: at least once, in the order of a job's events, deduplicable by their id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, limit: int = 20, busy_s: float = 60.0) -> list[Delivery]:
        """Due webhooks, each now this caller's for `busy_s` seconds; `tries` already counts this one."""

        def work(tx: Tx) -> list[Delivery]:
            due = tx.rows("due_deliveries", now=tx.now, limit=limit)
            taken = [tx.row("take_delivery", id=d["id"], due_at=d["due_at"], until=tx.now + busy_s) for d in due]
            return [delivery_of(row) for row in taken if row is not None]

        return self._database.run(work)

    def settle(self, delivery_id: str, error: str | None = None, retry_after_s: float | None = None) -> None:
        """Sent (no error), to be sent again after `retry_after_s`, or given up (an error and no retry)."""

        def work(tx: Tx) -> None:
            due_at = None if retry_after_s is None else tx.now + retry_after_s
            delivered_at = tx.now if error is None else None
            tx.run("settle_delivery", id=delivery_id, due_at=due_at, delivered_at=delivered_at, error=error)

        self._database.run(work)

    def of_job(self, job_id: str) -> list[Delivery]:
        """Every webhook of a job."""
        return [
            delivery_of(r) for r in self._database.run(lambda tx: tx.rows("job_deliveries", job_id=job_id), write=False)
        ]


class Receipts:
    """Proofs of deletion. A receipt is open until the bytes are gone; `artifacts.sweep` closes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tx: Tx, job_id: str, tenant: str, reason: Literal["asked", "expired"], artifacts: str) -> Receipt:
        """Write an open receipt inside the caller's transaction. `artifacts` is the job's column, as text."""
        receipt = Receipt(new_id(), job_id, tenant, reason, artifacts_of(artifacts), tx.now)
        about = {"job_id": job_id, "tenant": tenant, "reason": reason, "artifacts": artifacts}
        tx.run("add_receipt", id=receipt.id, now=tx.now, **about)
        return receipt

    def expire(self, limit: int = 100) -> list[Receipt]:
        """Hide the artifacts of jobs past their retention and open a receipt for each."""

        def one(tx: Tx, job_id: str) -> Receipt | None:
            before = tx.row("get_job", id=job_id, tenant=None)
            row = tx.row("hide_artifacts", id=job_id, now=tx.now)
            if row is None or before is None:
                return None
            data = json.dumps({"status": row["status"], "expired": True})
            tx.run("add_event", id=job_id, seq=row["num_events"], now=tx.now, kind="status", data=data)
            return self.add(tx, job_id, row["tenant"], "expired", before["artifacts"])

        found = self._database.run(lambda tx: tx.rows("expired_jobs", now=tx.now, limit=limit), write=False)
        receipts = [self._database.run(lambda tx, i=row["id"]: one(tx, i)) for row in found]  # type: ignore[misc]
        return [r for r in receipts if r is not None]

    def open(self, limit: int = 100) -> list[Receipt]:
        """Deletions whose bytes may still be there, oldest first."""
        return [
            receipt_of(r) for r in self._database.run(lambda tx: tx.rows("open_receipts", limit=limit), write=False)
        ]

    def close(self, receipt_id: str, num_removed: int) -> Receipt | None:
        """The bytes are gone. None when another sweep was faster."""
        row = self._database.run(lambda tx: tx.row("close_receipt", id=receipt_id, now=tx.now, num_removed=num_removed))
        return None if row is None else receipt_of(row)

    def of_job(self, job_id: str, tenant: str) -> list[Receipt]:
        """The proofs for one job."""
        rows = self._database.run(lambda tx: tx.rows("receipts", job_id=job_id, tenant=tenant), write=False)
        return [receipt_of(row) for row in rows]
