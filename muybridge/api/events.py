"""Server-sent events of one job: status, progress (stage, ETA) and preview frames; resumable by Last-Event-ID."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from muybridge.api import ids, video
from muybridge.api.face import as_caller, in_thread, protocol_route
from muybridge.api.video import render
from muybridge.errors import InvalidRequest, NotFound
from muybridge.jobs.job import TERMINAL, Event, Job

if TYPE_CHECKING:
    from muybridge.api.service import Service

__all__ = ["render", "router"]

POLL_S, MAX_POLL_S = 0.1, 1.0  # how often the event table is read while something, or nothing, happens
HEARTBEAT_S = 15.0  # a comment now and then, so that proxies keep the connection
MAX_STREAM_S = 3600.0  # then the client resumes with Last-Event-ID
INLINE_PREVIEW_BYTES = 256 * 1024


def router(service: Service) -> APIRouter:
    """GET /v1/videos/{id}/events."""
    routes = APIRouter(route_class=protocol_route(render), tags=["videos"])

    @routes.get(
        "/v1/videos/{video_id}/events",
        summary="Follow a video (server-sent events, extension)",
        responses={200: {"description": "text/event-stream", "content": {"text/event-stream": {}}}},
    )
    async def follow(
        video_id: str,
        request: Request,
        after: Annotated[int, Query(ge=0, le=2**53, description="As Last-Event-ID, for clients without headers")] = 0,
    ) -> Response:
        """`status`, `progress` and `preview` events, each with the job's sequence number as id; ends with the job."""
        job = await as_caller(service, request, lambda key: service.get(key, video_id))
        seen = last_event_id(request.headers.get("last-event-id"), after)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(stream(service, job, seen), 200, headers, "text/event-stream")

    return routes


def last_event_id(header: str | None, after: int) -> int:
    """The sequence number to go on from. Raises InvalidRequest for anything but a number."""
    if not header:
        return after
    if not header.isascii() or not header.isdigit() or len(header) > 15:
        raise InvalidRequest(
            f"Last-Event-ID is {header[:40]!r}; it must be a number that this stream gave.", "Last-Event-ID"
        )
    return int(header)


async def stream(service: Service, job: Job, seen: int) -> AsyncIterator[bytes]:
    """The events of `job` after `seen`, as they happen, until it has ended."""
    yield b"retry: 2000\n\n"
    pause_s, said, started = POLL_S, time.monotonic(), time.monotonic()
    while time.monotonic() - started < MAX_STREAM_S:
        events = await in_thread(service.store.events, job.id, seen)
        for event in events:
            seen = event.seq
            yield sse(event.kind, await in_thread(data_of, service, job, event), event.seq)
            if event.kind == "status" and event.data.get("status") in TERMINAL:
                return
        now = time.monotonic()
        if events:
            pause_s, said = POLL_S, now
            continue
        if now - said > HEARTBEAT_S:
            said = now
            yield b": still here\n\n"
        if pause_s >= MAX_POLL_S and await in_thread(_is_over, service, job):
            return
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, MAX_POLL_S)


def _is_over(service: Service, job: Job) -> bool:
    """Whether nothing can come any more: the client resumed after the last event, or the job is gone."""
    try:
        return service.store.get(job.id, job.tenant).ended
    except NotFound:
        return True


def data_of(service: Service, job: Job, event: Event) -> dict[str, Any]:
    """What one event says. A final status carries the whole Video object; a preview carries the picture."""
    out: dict[str, Any] = {"id": ids.public_id(job.id, "native"), "at": event.at}
    data = event.data
    if event.kind == "progress":
        return {**out, "progress": data["progress"], "stage": data["stage"], "eta_seconds": data["eta_s"]}
    if event.kind == "preview":
        return {**out, **preview(service, str(data["key"]))}
    if data.get("status") in TERMINAL:
        from muybridge.api.service import shown

        try:
            out["video"] = video.to_body(shown(service.store.get(job.id, job.tenant)))
        except NotFound:
            out["deleted"] = True
    return {**out, **data}


def preview(service: Service, key: str) -> dict[str, Any]:
    """A preview picture as a data URL; empty when it has been cleared away since."""
    try:
        data = service.artifacts.get(key)
    except NotFound:
        return {"image": None}
    if len(data) > INLINE_PREVIEW_BYTES:
        return {"image": None, "bytes": len(data)}
    mime = {b"\x89P": "image/png", b"\xff\xd8": "image/jpeg", b"RI": "image/webp"}.get(
        data[:2], "application/octet-stream"
    )
    return {"image": f"data:{mime};base64,{base64.b64encode(data).decode()}"}


def sse(kind: str, data: dict[str, Any], seq: int) -> bytes:
    """One event on the wire (WHATWG server-sent events)."""
    return f"event: {kind}\nid: {seq}\ndata: {json.dumps(data)}\n\n".encode()
