"""fal's queue: submit, status, stream, result, cancel, the synchronous run, and the proxy that its browser client uses.

Wire facts (apis 4): status, result and cancel paths carry only owner/app; status is a 202 until COMPLETED; a bad input
is accepted and fails at its result with 422; a failed request shows as COMPLETED with `error`. Schemas are in
`fal_bodies.py`, uploads in `fal_storage.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from muybridge.api import face, fal_bodies, fal_storage, fal_webhooks, wire
from muybridge.errors import InvalidRequest, MuybridgeError, NotFound, Throttled, TimedOut

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service
    from muybridge.jobs.job import Job

PROTOCOL = "fal"
EXAMPLE = {"prompt": "A horse at full gallop, its hooves drum on hard sand.", "duration": 5, "resolution": "720p"}
PROXY_HOSTS = {  # a fixed list: otherwise this would be an open proxy
    "queue.fal.run": "/fal/queue",
    "queue.falrun.com": "/fal/queue",
    "fal.run": "/fal/run",
    "falrun.com": "/fal/run",
    "rest.fal.ai": "/fal/rest",
    "rest.alpha.fal.ai": "/fal/rest",
}


class StartTimeout(TimedOut):
    """The caller's own X-Fal-Request-Timeout passed before the request was started."""


def render(error: MuybridgeError, _: Request) -> Response:
    """`{detail}`, with `error_type` for what is not the input's fault."""
    status, body, kind = fal_bodies.to_error(error)
    headers = {"X-Fal-Error-Type": kind} if kind else {}
    if isinstance(error, StartTimeout):
        headers["X-Fal-Request-Timeout-Type"] = "user"
    return JSONResponse(body, getattr(error, "http_status", None) or status, headers)


class Forward(Response):
    """Serves the request again, inside this process, as if it had come to another path."""

    def __init__(self, app: Any, path: str, query: str) -> None:  # noqa: ANN401  (any ASGI application)
        super().__init__()
        self.app, self.path, self.query = app, path, query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the untouched body to the inner path."""
        inner = {k: v for k, v in scope.items() if k not in ("route", "router", "endpoint", "path_params", "state")}
        inner |= {"path": self.path, "raw_path": quote(self.path).encode(), "query_string": self.query.encode()}
        inner["headers"] = [(name, value) for name, value in scope["headers"] if name != b"x-fal-target-url"]
        await self.app(inner, receive, send)


def inner_path(target: str) -> tuple[str, str]:
    """(path, query) on this server of a fal address. Raises InvalidRequest for any other host."""
    parts = urlsplit(target)
    mount, path = PROXY_HOSTS.get(parts.netloc), unquote(parts.path)
    if parts.scheme != "https" or mount is None or ".." in path.split("/"):
        raise InvalidRequest(
            "x-fal-target-url must be an address of fal's queue, run or rest host.", "x-fal-target-url"
        )
    return mount + path, parts.query


def router(service: Service) -> APIRouter:
    """The routes under /fal."""
    api = APIRouter(prefix="/fal", route_class=face.protocol_route(render), tags=["fal"])
    fal_storage.add_routes(api, service)
    service.webhook_formats[PROTOCOL] = fal_webhooks.webhook

    @api.get("/rest/.well-known/jwks.json", summary="The keys that sign webhooks")
    async def jwks() -> Response:
        keys = await face.in_thread(fal_webhooks.jwks, service)
        return JSONResponse(keys, headers={"cache-control": "public, max-age=86400"})

    def public(job: Job) -> str:
        return service.public_id(job, PROTOCOL)

    def links(http: Request, app: str, request_id: str) -> dict[str, str]:
        return fal_bodies.urls(face.base_url(http, service.config.public_url), app, request_id)

    async def accept(http: Request, path: str, **more: Any) -> tuple[Key, Job]:  # noqa: ANN401  (for Service.submit)
        """Check, fetch, submit. Raises Invalid and other input errors, NotFound for an unknown endpoint."""
        key = await wire.caller(service, http, "Key")
        model, mode = fal_bodies.endpoint(path)
        service.model_to_run(model)
        body = await face.read_body(http)
        request = fal_storage.resolved(fal_bodies.to_request(mode, body))
        if http.headers.get("x-fal-queue-priority") == "low":
            more["priority"] = -1
        return key, await wire.accept(service, http, key, PROTOCOL, model, request, body, **more)

    async def found(http: Request, request_id: str) -> Job:
        key = await wire.caller(service, http, "Key")
        return wire.present(await face.in_thread(service.get, key, request_id, PROTOCOL))

    @api.post("/queue/{owner}/{app}/{sub:path}", summary="Queue a request", openapi_extra=wire.takes(EXAMPLE))
    async def submit(
        owner: str,
        app: str,
        sub: str,
        http: Request,
        fal_webhook: str | None = None,
        fal_max_queue_length: int | None = None,
    ) -> Response:
        base = face.base_url(http, service.config.public_url)
        hook = {"format": PROTOCOL, "url": fal_webhook, "base": base} if fal_webhook else None
        if fal_max_queue_length is not None:
            waiting = sum(int(lane["queued"]) for lane in await face.in_thread(service.store.queue))
            if waiting > fal_max_queue_length:
                raise Throttled(f"The queue holds {waiting} requests, more than {fal_max_queue_length}.", 5.0)
        try:
            _, job = await accept(http, f"{owner}/{app}/{sub}", webhook=hook)
            request_id, position = public(job), await face.in_thread(service.store.position, job.id)
            headers = service.lifecycle(job)
        except MuybridgeError as error:
            if error.code not in fal_bodies.INPUT_ERRORS or fal_webhook:  # a webhook needs a real request behind it
                raise
            request_id, position, headers = fal_bodies.refusal_id(fal_bodies.to_error(error)[1]), 0, {}
        body = {"status": "IN_QUEUE", "queue_position": position, **links(http, f"{owner}/{app}", request_id)}
        return JSONResponse(body, headers=headers | {"x-fal-request-id": request_id})

    @api.get("/queue/{owner}/{app}/requests/{request_id}/status", summary="Status of a request")
    async def status(owner: str, app: str, request_id: str, http: Request, logs: str = "0") -> Response:
        where = links(http, f"{owner}/{app}", request_id)
        if fal_bodies.is_refusal(request_id):
            await wire.caller(service, http, "Key")
            return JSONResponse(fal_bodies.refusal_status(request_id, where))
        job = await found(http, request_id)
        body = await face.in_thread(described, job, where, logs)
        return JSONResponse(body, 200 if job.ended else 202)

    def described(job: Job, where: dict[str, str], logs: str) -> dict[str, Any]:
        position = service.store.position(job.id) if job.status == "queued" else 0
        lines = fal_bodies.log_lines(service.store.events(job.id)) if logs.lower() in ("1", "true") else None
        return fal_bodies.to_status(job, where, position, lines)

    @api.get("/queue/{owner}/{app}/requests/{request_id}/status/stream", summary="Stream the status of a request")
    async def stream(owner: str, app: str, request_id: str, http: Request, logs: str = "0") -> Response:
        where = links(http, f"{owner}/{app}", request_id)
        key = await wire.caller(service, http, "Key")
        refused = fal_bodies.refusal_status(request_id, where) if fal_bodies.is_refusal(request_id) else None
        if refused is None:
            wire.present(await face.in_thread(service.get, key, request_id, PROTOCOL))

        async def lines() -> AsyncIterator[str]:
            if refused is not None:
                yield f"data: {json.dumps(refused)}\n\n"
                return
            async for job in wire.watched(service, key, request_id, PROTOCOL):
                yield f"data: {json.dumps(await face.in_thread(described, job, where, logs))}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    def outcome(job: Job, http: Request) -> Response:
        headers = {"x-fal-request-id": public(job), **service.lifecycle(job)}
        if job.status == "completed":
            url = service.media_url(job, "video", face.base_url(http, service.config.public_url))
            return JSONResponse(fal_bodies.to_body(job, url), headers=headers)
        code, body, kind = fal_bodies.failure(job)
        return JSONResponse(body, code, headers | ({"X-Fal-Error-Type": kind} if code >= 500 else {}))

    @api.get("/queue/{owner}/{app}/requests/{request_id}", summary="Result of a request")
    async def result(request_id: str, http: Request) -> Response:
        if fal_bodies.is_refusal(request_id):
            await wire.caller(service, http, "Key")
            return JSONResponse(fal_bodies.refusal(request_id), 422, {"x-fal-request-id": request_id})
        job = await found(http, request_id)
        if not job.ended:
            return JSONResponse({"detail": "Request is still in progress"}, 400, {"x-fal-request-id": request_id})
        return outcome(job, http)

    @api.put("/queue/{owner}/{app}/requests/{request_id}/cancel", summary="Cancel a request")
    async def cancel(request_id: str, http: Request) -> Response:
        key = await wire.caller(service, http, "Key")
        if fal_bodies.is_refusal(request_id):
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        try:
            before = await face.in_thread(service.get, key, request_id, PROTOCOL)
        except NotFound:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        if before.ended:
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        after = await face.in_thread(service.cancel, key, request_id, PROTOCOL)
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 200 if after.status == "cancelled" else 202)

    @api.post("/run/{path:path}", summary="Run a request and wait for its output", openapi_extra=wire.takes(EXAMPLE))
    async def run(path: str, http: Request) -> Response:
        start_s = wire.header_number(http, "x-fal-request-timeout")  # how long it may wait to be started
        now = time.monotonic()
        key, job = await accept(http, path)
        until = now + min(start_s, service.limits.sync_timeout_s)
        try:
            async for seen in wire.watched(service, key, public(job), PROTOCOL, until):
                job = seen
                if job.status != "queued":
                    break
            async for seen in wire.watched(service, key, public(job), PROTOCOL, now + service.limits.sync_timeout_s):
                job = seen
        except TimedOut as error:
            stopped = await face.in_thread(service.cancel, key, public(job), PROTOCOL)
            if stopped.started_at is None:
                raise StartTimeout(str(error)) from None
            raise
        return outcome(job, http)

    @api.api_route("/proxy", methods=["GET", "POST", "PUT"], include_in_schema=False)  # one operation id, three methods
    async def proxy(http: Request) -> Response:
        path, query = inner_path(http.headers.get("x-fal-target-url", ""))
        return Forward(http.app, path, query)

    return api
