"""Telling a tenant that a job has ended: Standard Webhooks (signed HMAC-SHA256), retried, guarded like any strange URL.

The store writes a delivery in the transaction that ends the job; this file sends. At least once, the id deduplicates.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import ids
from muybridge.api.face import as_caller, protocol_route, read_body, text_of
from muybridge.api.video import render
from muybridge.errors import InvalidRequest, MediaFetch, MuybridgeError, NotFound
from muybridge.fetch import FetchPolicy, check_url, exchange
from muybridge.jobs.job import Delivery, Job, Status, new_id

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service

__all__ = ["render", "router"]
log = logging.getLogger("muybridge.api")

EVENTS = ("video.completed", "video.failed", "video.cancelled")
MAX_ENDPOINTS = 10
RETRY_AFTER_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800)  # then given up, about 16 hours after the first try
MAX_RETRIES_UNDER_WAY = 3  # of a webhook about a state that has passed meanwhile (Ark's own number)
DISABLE_AFTER_S = 3 * 86_400.0  # an endpoint that failed for this long without one success is switched off


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64 HMAC-SHA256 of id.timestamp.body>`; the key: base64 after `whsec_` (Standard Webhooks)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def new_secret() -> str:
    """A signing secret: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """Raises InvalidRequest unless `secret` can sign."""
    try:
        size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not secret.startswith("whsec_") or not 24 <= size <= 64:
        raise InvalidRequest("A webhook secret is whsec_ and 24 to 64 bytes in base64 (Standard Webhooks).", "webhook")


def event_of(job: Job) -> str:
    """The event that the end of a job is; OpenAI knows no cancelled, so receivers that care subscribe to ours."""
    return f"video.{job.status}"


def standard(job: Job, delivery: Delivery, secret: str | None) -> tuple[bytes, dict[str, str]]:
    """Body and headers in OpenAI's form, `{"id", "object": "event", "type", "data"}`; signed if there is a secret."""
    message_id = f"evt_{delivery.id.lower()}"
    body = {
        "id": message_id,
        "object": "event",
        "created_at": int(job.completed_at or time.time()),
        "type": event_of(job),
        "data": {"id": ids.public_id(job.id, "openai")},
    }
    raw = json.dumps(body, separators=(",", ":")).encode()
    now = int(time.time())
    headers = {"content-type": "application/json", "webhook-id": message_id, "webhook-timestamp": str(now)}
    if secret:
        headers["webhook-signature"] = sign(secret, message_id, now, raw)
    return raw, headers


def deliver_due(service: Service, limit: int = 20) -> int:
    """Send what is due; how many were tried. Each is this process's alone for a minute, so several may run."""
    taken = service.store.deliveries.take(limit)
    for delivery in taken:
        try:
            deliver(service, delivery)
        except Exception:  # one broken delivery must not stop the others; it stays due
            log.exception("webhook %s", delivery.id)
    return len(taken)


def deliver(service: Service, delivery: Delivery) -> None:
    """Send one webhook and write down how it went."""
    from muybridge.api.service import shown

    try:
        job = shown(service.store.get(delivery.job_id, delivery.tenant))
    except NotFound:
        service.store.deliveries.settle(delivery.id, "the job was deleted")
        return
    target = dict(delivery.webhook)
    if target.pop("endpoints", None):
        fan_out(service, delivery, job)
    if not target.get("url"):
        service.store.deliveries.settle(delivery.id)
        return
    error = send(service, target, job, delivery)
    endpoint = target.get("endpoint")
    gone = error is not None and error.startswith("410")  # the receiver says: never again
    gone = gone or (target.get("moment") is not None and delivery.tries > MAX_RETRIES_UNDER_WAY)
    retry_s = (
        None if error is None or gone or delivery.tries > len(RETRY_AFTER_S) else RETRY_AFTER_S[delivery.tries - 1]
    )
    service.store.deliveries.settle(delivery.id, error, retry_s)
    service.metrics.count("muybridge_webhook_deliveries_total", outcome="sent" if error is None else "failed")
    if endpoint:
        before = 1e18 if gone else time.time() - DISABLE_AFTER_S
        name = "endpoint_worked" if error is None else "endpoint_failed"
        more = {} if error is None else {"before": before}
        service.store.database.run(lambda tx: tx.run(name, id=endpoint, **({"now": tx.now, **more} if more else {})))


def fan_out(service: Service, delivery: Delivery, job: Job) -> None:
    """One delivery of its own for every endpoint of the tenant that wants this event."""
    for endpoint in service.endpoints(delivery.tenant):
        wanted = json.loads(endpoint["events"]) or EVENTS
        if event_of(job) in wanted:
            webhook = {"url": endpoint["url"], "secret": endpoint["secret"], "endpoint": endpoint["id"]}
            row = {"job_id": delivery.job_id, "tenant": delivery.tenant, "seq": delivery.seq}
            child = f"{delivery.id}-{endpoint['id'][3:]}"
            text = json.dumps(webhook)
            service.store.database.run(
                lambda tx, c=child, w=text, r=row: tx.run("add_child_delivery", id=c, webhook=w, now=tx.now, **r)  # type: ignore[misc]
            )


def send(service: Service, target: Mapping[str, Any], job: Job, delivery: Delivery) -> str | None:
    """One POST; None when the receiver took it (2xx), else why not. No redirects; the answer's body is not read."""
    policy: FetchPolicy = service.fetch_policy("webhook")
    try:
        if target.get("moment"):  # told as it was: what followed has a webhook of its own
            status: Status = "queued" if target["moment"] == "queued" else "in_progress"
            job = replace(job, status=status, artifacts=(), error=None, completed_at=None)
        custom = service.webhook_formats.get(str(target.get("format")))
        if custom:
            body, headers = custom(service, job, delivery)
        else:
            body, headers = standard(job, delivery, target.get("secret"))
        checked = check_url(str(target["url"]), policy)
        with exchange(checked, "POST", policy, time.monotonic() + policy.timeout_s, body, headers) as answer:
            return None if 200 <= answer.status < 300 else f"{answer.status} from {checked.host}"
    except MediaFetch as error:
        return str(error)
    except MuybridgeError as error:
        return f"not sent: {error}"


def router(service: Service) -> APIRouter:
    """A tenant's endpoints, which hear of all its videos."""
    routes = APIRouter(route_class=protocol_route(render), tags=["webhooks"])

    @routes.post("/v1/webhooks", summary="Register a webhook endpoint (extension)", openapi_extra=_CREATE)
    async def register(request: Request) -> Response:
        """Told of every video submitted from now on when it ends. The signing secret is shown once."""
        body = await read_body(request)
        return JSONResponse(await as_caller(service, request, lambda key: add(service, key, body)))

    @routes.get("/v1/webhooks", summary="List webhook endpoints", tags=["webhooks"])
    async def list_endpoints(request: Request) -> Response:
        """The tenant's endpoints; `disabled_at` is set where deliveries failed for three days."""
        rows = await as_caller(service, request, lambda key: all_of(service, key))
        return JSONResponse({"object": "list", "data": [_shown(row) for row in rows], "has_more": False})

    @routes.post("/v1/webhooks/{endpoint_id}/enable", summary="Switch an endpoint on again")
    async def enable(endpoint_id: str, request: Request) -> Response:
        """After the receiver was mended."""
        await as_caller(service, request, lambda key: change(service, key, "enable_endpoint", endpoint_id))
        return JSONResponse({"id": endpoint_id, "object": "webhook_endpoint", "enabled": True})

    @routes.delete("/v1/webhooks/{endpoint_id}", summary="Delete a webhook endpoint")
    async def delete(endpoint_id: str, request: Request) -> Response:
        """No new deliveries; those on their way still arrive."""
        await as_caller(service, request, lambda key: change(service, key, "delete_endpoint", endpoint_id))
        return JSONResponse({"id": endpoint_id, "object": "webhook_endpoint", "deleted": True})

    return routes


def add(service: Service, key: Key, body: Mapping[str, Any]) -> dict[str, Any]:
    """Register an endpoint; the answer holds the secret. Raises InvalidRequest, MediaFetch (a refused address)."""
    key.need("webhooks:write")
    url = text_of(dict(body), "url")
    if not url:
        raise InvalidRequest("url is missing; give the https URL that receives the events.", "url")
    events = body.get("events") or []
    if not isinstance(events, list) or any(event not in EVENTS for event in events):
        raise InvalidRequest(f"events must be a list out of {', '.join(EVENTS)}; empty means all.", "events")
    check_url(url, service.fetch_policy("webhook"))
    if len(all_of(service, key)) >= MAX_ENDPOINTS:
        raise InvalidRequest(f"There are {MAX_ENDPOINTS} endpoints already; delete one first.", "url")
    row = {"id": f"we_{new_id().lower()}", "tenant": key.tenant, "url": url, "secret": new_secret()}
    text = json.dumps(events)
    service.store.database.run(lambda tx: tx.run("add_endpoint", events=text, now=tx.now, **row))
    service.forget_endpoints(key.tenant)
    return {"id": row["id"], "object": "webhook_endpoint", "url": url, "events": events, "secret": row["secret"]}


def all_of(service: Service, key: Key) -> list[dict[str, Any]]:
    """All endpoints of the caller's tenant, those switched off too."""
    key.need("webhooks:write")
    return service.store.database.run(lambda tx: tx.rows("endpoints", tenant=key.tenant), write=False)


def change(service: Service, key: Key, query: str, endpoint_id: str) -> None:
    """Delete or enable an endpoint of the caller's tenant. Raises NotFound."""
    key.need("webhooks:write")
    if not service.store.database.run(lambda tx: tx.run(query, id=endpoint_id, tenant=key.tenant)):
        raise NotFound(f"There is no webhook endpoint {endpoint_id[:80]!r}.")
    service.forget_endpoints(key.tenant)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    out = {name: row[name] for name in ("id", "url", "created_at", "failing_since", "disabled_at")}
    return {**out, "object": "webhook_endpoint", "events": json.loads(row["events"])}


_CREATE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["url"],
                    "properties": {
                        "url": {"type": "string", "format": "uri"},
                        "events": {"type": "array", "items": {"enum": list(EVENTS)}},
                    },
                },
                "example": {"url": "https://example.com/hooks", "events": ["video.completed"]},
            }
        },
    }
}
