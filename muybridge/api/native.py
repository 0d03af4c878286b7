"""The one native endpoint, /v1/videos: the OpenAI Videos shape with our extensions, for all four ways in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from muybridge.api import characters, examples, links, video
from muybridge.api.face import as_caller, base_url, direct, in_thread, plain_body, protocol_route, read_body, text_of
from muybridge.api.video import render
from muybridge.errors import InvalidRequest
from muybridge.jobs.job import Job
from muybridge.request import MAX_SEED

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service

__all__ = ["render", "router"]

PATH = "/v1/videos"
DEFAULT_MODEL = "sora-2"  # for callers in the OpenAI dialect that name none; others get the model served first
PRIORITIES = {"batch": -10, "normal": 0, "interactive": 10}
VARIANTS = Literal["video", "thumbnail", "spritesheet", "audio", "last_frame"]


def router(service: Service) -> APIRouter:
    """The routes of /v1/videos."""
    routes = APIRouter(route_class=protocol_route(render), tags=["videos"])

    @routes.post(PATH, summary="Make a video", openapi_extra=examples.CREATE, responses=examples.VIDEO)
    async def create(request: Request) -> Response:
        """From text alone, a first frame, references, or a clip to edit. What is passed decides the task."""
        return await submit(service, request, await read_body(request))

    @routes.get("/v1/videos", summary="List videos", responses=examples.LIST)
    async def list_videos(
        request: Request,
        after: Annotated[str | None, Query(description="Id of the last video of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
        status: Annotated[str | None, Query(description="Only this status (extension)")] = None,
    ) -> Response:
        """The tenant's videos, whichever protocol they came by, newest first."""
        found = await as_caller(service, request, lambda key: service.list(key, None, after, limit + 1, order, status))
        page = [video.to_body(job, video.is_openai(request)) for job in found[:limit]]
        ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
        return JSONResponse({"object": "list", "data": page, **ends, "has_more": len(found) > limit})

    @routes.get("/v1/videos/{video_id}", summary="Get a video", responses=examples.VIDEO)
    async def retrieve(video_id: str, request: Request) -> Response:
        """Status, progress, stage, ETA and, when completed, what it contains."""
        job = await as_caller(service, request, lambda key: service.get(key, video_id))
        return answer(service, request, job)

    @routes.delete("/v1/videos/{video_id}", summary="Delete a video", responses=examples.DELETED)
    async def delete(video_id: str, request: Request) -> Response:
        """Stops it if it runs, then removes its words and files. 409 while it is still stopping: repeat."""
        receipt = await as_caller(service, request, lambda key: service.delete(key, video_id))
        shown = {"id": video_id, "object": "video.deleted", "deleted": True}
        return JSONResponse({**shown, "receipt": {"id": receipt.id, "files_removed": len(receipt.artifacts)}})

    @routes.post("/v1/videos/{video_id}/cancel", summary="Cancel a video (extension)", responses=examples.VIDEO)
    async def cancel(video_id: str, request: Request) -> Response:
        """Queued: cancelled at once. Running: `cancel_requested` is true, and it stops at its next step."""
        return answer(service, request, await as_caller(service, request, lambda key: service.cancel(key, video_id)))

    @routes.get("/v1/videos/{video_id}/content", summary="Download a video", responses=examples.CONTENT)
    @routes.head("/v1/videos/{video_id}/content", include_in_schema=False)
    async def download(video_id: str, request: Request, variant: VARIANTS = "video") -> Response:
        """The file itself: MP4, WebP or JPEG, WAV. Supports Range and HEAD."""
        job = await as_caller(service, request, lambda key: service.get(key, video_id))
        if not job.ended:
            raise InvalidRequest(f"Video '{video_id}' is {job.status}; download it once it is completed.", "video_id")
        return await links.content(service, job.id, service.artifact(job, variant), request)

    return routes


def direct_create(service: Service) -> ASGIApp:
    """POST /v1/videos around the framework; the route in `router` documents it and serves the prefixed twin."""

    async def create(request: Request) -> Response:
        return await submit(service, request, await read_body(request))

    return direct(create, render, PATH)


async def submit(
    service: Service,
    request: Request,
    body: Mapping[str, Any],
    change: Callable[[Key, dict[str, Any]], dict[str, Any]] | None = None,
    parent: Job | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Response:
    """Accept a job from a body in the native shape. `change` may complete the request with slow work (a parent's clip).

    One hop to a thread does it all: this is the path that a thousand submits a second take.
    """

    openai = video.is_openai(request)

    def work() -> Response:
        key, rate = service.admit(request.headers.get("authorization"))
        name = text_of(dict(body), "model") or (DEFAULT_MODEL if openai else service.limits.models[0])
        model = service.model_to_run(name)
        wanted = video.to_request(body, model)
        raw = plain_body({"path": request.scope["path"], **body})
        once = request.headers.get("idempotency-key")
        protocol = "openai" if openai else "native"
        job = service.repeated(key, protocol, name, raw, once) if slow else None
        if job is None:
            if slow:
                if known := characters.references(service, key, body):
                    wanted["references"] = [*wanted.get("references", ()), *known]
                wanted = service.ingest(key, change(key, wanted) if change else wanted)
            job = service.submit(
                key,
                protocol,
                name,
                {"seed": secrets.randbelow(MAX_SEED + 1), **wanted},
                raw,
                idempotency_key=once,
                parent=parent.id if parent else None,
                webhook=webhook_of(body),
                priority=_priority(body),
                metadata={"user": _metadata(body), **(metadata or {})},
                retry=request.headers.get("x-stainless-retry-count", "0") not in ("", "0"),
            )
        return answer(service, request, job, rate)

    slow = change is not None or any(
        n in body for n in (*video.MEDIA_FIELDS, "input_reference", "references", "characters")
    )
    if slow:
        return await in_thread(work, limiter=service.ingest_slots)
    return await (in_thread(work) if service.checks else service.lane.run(work))  # a check may take its time


def answer(service: Service, request: Request, job: Job, rate: tuple[int, int, float] | None = None) -> Response:
    """The Video object with its headers: lifecycle of the model, when to poll again, what is left of the rate."""
    headers = service.lifecycle(job)
    if not job.ended:
        pause_s = min(max((job.eta_s or 0.0) / 10, 0.5), 5.0)
        headers["openai-poll-after-ms"] = str(int(pause_s * 1000))
    if rate is not None:
        limit, remaining, reset_s = rate
        headers["x-ratelimit-limit-requests"] = str(limit)
        headers["x-ratelimit-remaining-requests"] = str(remaining)
        headers["x-ratelimit-reset-requests"] = f"{reset_s:.3f}s"
    openai = video.is_openai(request)
    shown = video.to_body(job, openai)
    if job.status == "completed" and not openai:
        base = base_url(request, service.config.public_url)
        shown["urls"] = {a.kind: service.media_url(job, a.kind, base) for a in job.artifacts}
    return JSONResponse(shown, headers=headers)


def webhook_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """`webhook`: a URL, or `{"url", "secret"}`; it is told of this job only, besides the tenant's endpoints."""
    given = body.get("webhook")
    if given is None or given == "":
        return None
    found = {"url": given} if isinstance(given, str) else given
    if not isinstance(found, dict) or not isinstance(found.get("url"), str):
        raise InvalidRequest("webhook must be a URL, or an object with url and, if you like, secret.", "webhook")
    if unknown := set(found) - {"url", "secret"}:
        raise InvalidRequest(f"webhook has no field {sorted(unknown)[0]!r}.", "webhook")
    secret = found.get("secret")
    if secret is not None and not (isinstance(secret, str) and secret.startswith("whsec_")):
        raise InvalidRequest("webhook.secret must start with whsec_ and hold base64 (Standard Webhooks).", "webhook")
    return dict(found)


def _priority(body: Mapping[str, Any]) -> int:
    name = body.get("priority", "normal")
    if not isinstance(name, str) or name not in PRIORITIES:
        raise InvalidRequest(f"priority is {str(name)[:40]!r}; choose one of {', '.join(PRIORITIES)}.", "priority")
    return PRIORITIES[name]


def _metadata(body: Mapping[str, Any]) -> dict[str, str]:
    """The caller's own labels: at most 16, given back as they came."""
    given = body.get("metadata") or {}
    if not isinstance(given, dict) or len(given) > 16:
        raise InvalidRequest("metadata must be an object of at most 16 texts.", "metadata")
    for name, value in given.items():
        if not isinstance(value, str) or len(name) > 64 or len(value) > 512:
            raise InvalidRequest("metadata holds texts: names up to 64 characters, values up to 512.", "metadata")
    return given
