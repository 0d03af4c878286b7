"""Is it alive, is it ready, what does it count, what was used: /health/live, /health/ready, /metrics, /v1/usage."""

from __future__ import annotations

import csv
import io
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from muybridge.api.face import as_caller, in_thread, protocol_route
from muybridge.api.video import render
from muybridge.errors import MuybridgeError
from muybridge.jobs.job import Charge, Job, NewJob
from muybridge.request import Request as Generation

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service

__all__ = ["render", "router"]

PROBE_TENANT = "muybridge-health"  # no key can have it: keys name their tenants tenant_... or as the operator says
PROBE_PATIENCE_S = 300.0  # a probe that has not ended by then says: not ready
MAX_USAGE_ROWS = 10_000


class Readiness:
    """Ready means: a worker has just made something, one step long. The proof is kept for `limits.ready_ttl_s`."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.probe: str | None = None  # the id of the one probe that is under way
        self.asked_at = 0.0
        why = "No worker has finished a one-step run yet; it may be warming up."
        self.proof: tuple[bool, float, str] = (False, time.time(), why)

    def check(self) -> tuple[bool, str]:
        """(ready, why). Starts a probe when the last proof is too old; never more than one at a time."""
        store, now = self.service.store, time.time()
        if self.probe is not None:
            job = store.get(self.probe)
            if job.ended:
                self._learn(job, now)
            elif now - self.asked_at > PROBE_PATIENCE_S:
                self.proof = (False, now, f"The last one-step run is still {job.status} after {PROBE_PATIENCE_S:g} s.")
        ok, at, why = self.proof
        if self.probe is None and (not ok or now - at > self.service.limits.ready_ttl_s):
            self.probe, self.asked_at = self._submit(), now
        stale = now - at > self.service.limits.ready_ttl_s + PROBE_PATIENCE_S
        return (ok and not stale), (why if not stale else "No worker answered the last one-step run.")

    def _learn(self, job: Job, now: float) -> None:
        took = (job.completed_at or now) - job.created_at
        told = (job.error or {}).get("message", "")
        ok = job.status == "completed"
        self.proof = (ok, now, f"A one-step run took {took:.2f} s." if ok else f"The one-step run {job.status}: {told}")
        self.probe = None
        self.service.store.delete(job.id, PROBE_TENANT)
        self.service.artifacts.delete_job(job.id)

    def _submit(self) -> str:
        request = Generation("A grey wall.", size="256p", seconds=3, num_inference_steps=1, seed=1)
        model = self.service.limits.models[0]
        new = NewJob(
            PROBE_TENANT,
            "health",
            "native",
            model,
            request.to_dict(),
            {},
            priority=100,
            quote={"seconds": 1.0},
            metadata={"probe": True},
        )
        return self.service.store.create(new)[0].id


def router(service: Service) -> APIRouter:
    """Health, metrics and usage."""
    routes = APIRouter(route_class=protocol_route(render), tags=["service"])
    readiness = Readiness(service)

    @routes.get("/health/live", summary="Is the process alive?")
    async def live() -> Response:
        """Always 200 while the event loop turns."""
        return JSONResponse({"status": "alive"})

    @routes.get("/health/ready", summary="Can it make a video?", responses={503: {"description": "Not now; says why"}})
    async def ready() -> Response:
        """200 when a worker has completed a one-step run recently, 503 and the reason otherwise."""
        try:
            ok, why = await in_thread(readiness.check)
        except MuybridgeError as error:
            ok, why = False, str(error)
        return JSONResponse({"status": "ready" if ok else "not ready", "reason": why}, 200 if ok else 503)

    @routes.get("/metrics", summary="Prometheus metrics")
    async def metrics() -> Response:
        """Text format 0.0.4. Holds no tenant's names."""
        gauges = await in_thread(gauges_of, service)
        gauges.append(("muybridge_ready", {}, float(readiness.proof[0])))
        return PlainTextResponse(service.metrics.text(gauges), media_type="text/plain; version=0.0.4")

    @routes.get("/v1/usage", summary="What was used (extension)", tags=["usage"])
    async def usage(
        request: Request,
        start: Annotated[float, Query(ge=0, le=1e11, description="Unix time, included")] = 0,
        end: Annotated[float, Query(ge=0, le=1e11, description="Unix time, excluded")] = 1e11,
        format: Literal["json", "csv"] = "json",  # noqa: A002  (the query's name)
    ) -> Response:
        """One row per published video of the tenant: output seconds, compute seconds, FLOPs, cost; and the sums."""

        def read(key: Key) -> list[Charge]:
            key.need("usage:read")
            return service.store.ledger.list(key.tenant, None, start, end, MAX_USAGE_ROWS)

        rows = await as_caller(service, request, read)
        if format == "csv":
            return PlainTextResponse(as_csv(rows), media_type="text/csv")
        return JSONResponse(as_json(rows))

    return routes


def gauges_of(service: Service) -> list[tuple[str, dict[str, str], float]]:
    """What is true now: jobs by status, age of the oldest waiting one."""
    rows = service.store.database.run(lambda tx: tx.rows("count_status"), write=False)
    out = [("muybridge_jobs", {"status": str(row["status"])}, float(row["n"])) for row in rows]
    heads = [float(lane["head_at"]) for lane in service.store.queue() if lane["head_at"]]
    return [*out, ("muybridge_queue_oldest_seconds", {}, max(0.0, time.time() - min(heads)) if heads else 0.0)]


def _row(charge: Charge) -> dict[str, Any]:
    from muybridge.api.ids import public_id

    return {
        "id": public_id(charge.job_id, "native"),
        "at": charge.at,
        "key_id": charge.key_id,
        "model": charge.model,
        "output_seconds": charge.output_s,
        "compute_seconds": charge.compute_s,
        "flops": charge.flops,
        "cost": charge.cost,
    }


def as_json(rows: list[Charge]) -> dict[str, Any]:
    """Rows and sums. `has_more` when the page is full: ask again with `start` after the last `at`."""
    data = [_row(row) for row in rows]
    sums = {name: sum(row[name] for row in data) for name in ("output_seconds", "compute_seconds", "flops", "cost")}
    total = {"videos": len(data), **sums, "currency": "USD"}
    return {"object": "list", "data": data, "total": total, "has_more": len(data) == MAX_USAGE_ROWS}


def as_csv(rows: list[Charge]) -> str:
    """The rows as a table with a head line."""
    out = io.StringIO()
    names = ["id", "at", "key_id", "model", "output_seconds", "compute_seconds", "flops", "cost"]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(row) for row in rows)
    return out.getvalue()
