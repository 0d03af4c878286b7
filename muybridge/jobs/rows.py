"""Database rows to the frozen classes of job.py and back. JSON is parsed here and nowhere else."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from muybridge.jobs.job import Artifact, Charge, Delivery, Job, KeyRow, Receipt

Row = dict[str, Any]
_SAME = (
    *("id", "tenant", "key_id", "protocol", "model", "model_actual", "idempotency_key", "body_hash", "parent_id"),
    *("status", "priority", "stage", "progress", "eta_s", "attempt", "failures"),
    *("created_at", "started_at", "completed_at", "expires_at"),
)


def job_of(row: Row, body_of: Job | None = None) -> Job:
    """The job of a row of `job` joined with its body, or without it where `body_of` has the same body."""
    error = None
    if row["error_code"] is not None and row["status"] in ("failed", "cancelled"):
        error = {"code": row["error_code"], "message": row["error_message"] or ""}
    return Job(
        **{name: row[name] for name in _SAME},
        request=body_of.request if body_of else json.loads(row["request"]),
        request_raw=body_of.request_raw if body_of else json.loads(row["request_raw"]),
        cancel_requested=bool(row["cancel_requested"]),
        error=error,
        artifacts=artifacts_of(row["artifacts"]),
        usage=_object(row["usage"]),
        quote=_object(row["quote"]),
        webhook=None if row["webhook"] is None else json.loads(row["webhook"]),
        metadata=_object(row["metadata"]),
    )


def artifacts_json(artifacts: tuple[Artifact, ...]) -> str:
    """The artifacts column."""
    return json.dumps([asdict(a) for a in artifacts])


def artifacts_of(text: str) -> tuple[Artifact, ...]:
    """The inverse of `artifacts_json`."""
    return () if text == "[]" else tuple(Artifact(**a) for a in json.loads(text))


def _object(text: str) -> dict[str, Any]:
    """A JSON object; the empty ones, which are most, without the parser."""
    value: dict[str, Any] = {} if text == "{}" else json.loads(text)
    return value


def receipt_of(row: Row) -> Receipt:
    """A row of `receipt`."""
    return Receipt(**row | {"artifacts": artifacts_of(row["artifacts"])})


def charge_of(row: Row) -> Charge:
    """A row of `ledger`."""
    return Charge(**row)


def delivery_of(row: Row) -> Delivery:
    """A row of `delivery`."""
    return Delivery(**row | {"webhook": json.loads(row["webhook"])})


def key_of(row: Row) -> KeyRow:
    """A row of `api_key`."""
    return KeyRow(**row | {"scopes": tuple(json.loads(row["scopes"])), "limits": json.loads(row["limits"])})
