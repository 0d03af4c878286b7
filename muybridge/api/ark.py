"""Volcengine Ark and BytePlus ModelArk (Seedance): create, get, list, delete of generation tasks, and callbacks.

Wire facts (apis 9): the SDK sends a null for every unset field; DELETE cancels what is queued, deletes what has ended
and refuses what runs; a callback is the body of GET, unsigned, at every change; billing counts width x height x 24 x
seconds / 1024.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import face, wire
from muybridge.errors import InvalidRequest, MuybridgeError, NotFound, UserError
from muybridge.shapes import RATIOS

if TYPE_CHECKING:
    from muybridge.api.service import Service
    from muybridge.jobs.job import Delivery, Job

PROTOCOL = "ark"
KEPT_S = 7 * 86_400.0
MAX_PAGE = 500
EXAMPLE = {
    "model": "doubao-seedance-2-0-260128",
    "content": [{"type": "text", "text": "A horse at full gallop."}],
    "resolution": "720p",
    "duration": 5,
}
STATUS = {
    "queued": "queued",
    "in_progress": "running",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
IMAGE_ROLES = ("first_frame", "last_frame", "reference_image")
ERRORS = {  # canonical class: (HTTP status, code, type)
    "auth": (401, "AuthenticationError", "Unauthorized"),
    "permission": (403, "AccessDenied", "Forbidden"),
    "quota": (403, "AccountOverdueError", "Forbidden"),
    "rate": (429, "RateLimitExceeded.EndpointRPMExceeded", "TooManyRequests"),
    "not_found": (404, "ResourceNotFound", "NotFound"),
    "model_retired": (404, "InvalidEndpointOrModel.NotFound", "NotFound"),
    "conflict": (409, "Conflict", "Conflict"),
    "moderation_input": (400, "InputTextSensitiveContentDetected", "BadRequest"),
    "moderation_output": (400, "OutputVideoSensitiveContentDetected", "BadRequest"),
    "capacity": (503, "ServiceUnavailable", "ServiceUnavailable"),
    "timeout": (504, "RequestTimeout", "InternalServerError"),
}
INTERNAL = (500, "InternalServiceError", "InternalServerError")
INVALID = (400, "InvalidParameter", "BadRequest")


class Denied(UserError):
    """The task's state forbids it. Not a 409: the SDK would repeat that."""


def to_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical request of a task body."""
    request = _content(wire.objects(body, "content"))
    tier = wire.one_of(body, "resolution", ("480p", "720p", "1080p"), "720p")
    ratio = wire.one_of(body, "ratio", (*RATIOS, "adaptive"), "adaptive")
    follows = any(name in request for name in ("image", "last_image", "video"))
    request["size"] = tier
    if not follows:
        request["ratio"] = "16:9" if ratio == "adaptive" else ratio
    if "video" not in request:
        request["seconds"] = _seconds(body)
    seed = wire.field(body, "seed", int, -1)
    if seed != -1:  # -1 is "random" here
        request["seed"] = seed
    if not wire.field(body, "generate_audio", bool, True):
        request["audio_mode"] = "none"
    request["watermark"] = wire.field(body, "watermark", bool, False)
    wire.one_of(body, "output_format", ("mp4",), "mp4")
    wire.one_of(body, "service_tier", ("default", "flex"), "default")
    return request


def _content(items: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Prompt and media. A lone picture without a role is the first frame; several are references."""
    prompts: list[str] = []
    pictures: list[str] = []
    found: dict[str, Any] = {}
    unnamed = [i for i in items if i.get("type") == "image_url" and not i.get("role")]
    for item in items:
        kind = wire.one_of(item, "type", ("text", "image_url", "video_url", "audio_url", "draft_task"), "")
        if kind == "text":
            prompts.append(wire.field(item, "text", str, ""))
            continue
        if kind == "draft_task":
            raise InvalidRequest("content.type draft_task is not supported: there are no drafts here.", "content")
        url = wire.field(item, f"{kind}.url", str, "")
        if not url:
            raise InvalidRequest(f"content has a {kind} without a url.", "content")
        if kind == "image_url":
            role = wire.one_of(item, "role", IMAGE_ROLES, "first_frame" if len(unnamed) == 1 else "reference_image")
            if role == "reference_image":
                pictures.append(url)
            else:
                found["image" if role == "first_frame" else "last_image"] = url
        else:
            found["video" if kind == "video_url" else "audio"] = url
    prompt = "\n".join(prompts).strip()
    if not prompt and "image" not in found:
        raise InvalidRequest("content needs an item of type text.", "content")
    if pictures:
        found["references"] = wire.references(pictures)
    return {"prompt": prompt or wire.PROMPTLESS, **found}


def _seconds(body: Mapping[str, Any]) -> float:
    """`duration` (-1: automatic) or, for the oldest models, `frames` at 24 a second."""
    frames = wire.field(body, "frames", int, None)
    if frames is not None and body.get("duration") is None:
        return frames / 24
    duration = wire.field(body, "duration", int, 5)
    return 5 if duration == -1 else duration


def to_body(job: Job, task_id: str, urls: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The task object. `urls` by artifact kind."""
    ended = job.completed_at or job.started_at or job.created_at
    raw = job.request_raw or {}
    body: dict[str, Any] = {
        "id": task_id,
        "model": job.model,
        "status": "expired" if wire.is_expired(job) else STATUS[job.status],
        "error": None,
        "created_at": int(job.created_at),
        "updated_at": int(ended),
        "seed": job.request.get("seed"),
        "service_tier": raw.get("service_tier") or "default",
        "execution_expires_after": raw.get("execution_expires_after") or 172_800,
        "generate_audio": job.request.get("audio_mode") != "none",
        "ratio": job.request.get("ratio"),
        "resolution": job.request.get("size"),
        "duration": round(job.request.get("seconds", 5)),
    }
    if job.status == "failed":
        error = job.error or {}
        code = ERRORS.get(str(error.get("code")), INTERNAL)[1]
        body["error"] = {"code": code, "message": error.get("message", "The task failed.")}
    if job.status != "completed" or not job.artifacts:
        return body
    video, seconds = wire.video_of(job), wire.seconds_of(job)
    tokens = round((video.width or 0) * (video.height or 0) * 24 * seconds / 1024)
    found = urls or {}
    return body | {
        "content": {
            "video_url": found.get("video"),
            "last_frame_url": found.get("last_frame") if raw.get("return_last_frame") else None,
            "file_url": None,
        },
        "usage": {"completion_tokens": tokens, "total_tokens": tokens},
        "framespersecond": round(video.fps or 25),
        "duration": round(seconds),
    }


def callback(service: Service, job: Job, delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    """Body and headers of one delivery: what GET answers, unsigned."""
    base = str(delivery.webhook.get("base") or "") or None
    urls = {a.kind: service.media_url(job, a.kind, base) for a in job.artifacts}
    body = to_body(job, service.public_id(job, PROTOCOL), urls)
    return json.dumps(body).encode(), {"content-type": "application/json"}


def render(error: MuybridgeError, request: Request) -> Response:
    """OpenAI's shape with Ark's codes."""
    status, code, kind = ERRORS.get(error.code, INVALID if isinstance(error, UserError) else INTERNAL)
    status = getattr(error, "http_status", None) or status
    if isinstance(error, Denied):
        code = "OperationDenied"
    elif error.code == "not_found" and request.method == "POST":
        code = "InvalidEndpointOrModel.NotFound"
    param = getattr(error, "field", None) or ""
    return JSONResponse({"error": {"code": code, "message": str(error), "param": param, "type": kind}}, status)


def router(service: Service) -> APIRouter:
    """The routes under /api/v3."""
    api = APIRouter(prefix="/api/v3/contents/generations/tasks", route_class=face.protocol_route(render), tags=["Ark"])
    service.webhook_formats[PROTOCOL] = callback

    def shown(job: Job, http: Request) -> dict[str, Any]:
        base = face.base_url(http, service.config.public_url)
        urls = {a.kind: service.media_url(job, a.kind, base) for a in job.artifacts}
        return to_body(job, service.public_id(job, PROTOCOL), urls)

    @api.post("", summary="Create a task", openapi_extra=wire.takes(EXAMPLE))
    async def create(http: Request) -> Response:
        key = await wire.caller(service, http)
        body = await face.read_body(http)
        model = wire.field(body, "model", str, "")
        if not model:
            raise InvalidRequest("model is missing.", "model")
        request = to_request(body)
        url = wire.field(body, "callback_url", str, "")
        base = face.base_url(http, service.config.public_url)
        hook = {"format": PROTOCOL, "url": url, "base": base, "on": list(STATUS)} if url else None
        priority = -1 if body.get("service_tier") == "flex" else wire.within(body, "priority", 0, 9, 0)
        job = await wire.accept(service, http, key, PROTOCOL, model, request, body, webhook=hook, priority=priority)
        return JSONResponse({"id": service.public_id(job, PROTOCOL)}, headers=service.lifecycle(job))

    @api.get("/{task_id}", summary="Get a task")
    async def get(task_id: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        job = await face.in_thread(service.get, key, task_id, PROTOCOL)
        return JSONResponse(shown(job, http), headers=service.lifecycle(job))

    @api.get("", summary="List tasks")
    async def list_tasks(
        http: Request,
        page_num: int = 1,
        page_size: int = 10,
        status: str | None = Query(None, alias="filter.status"),
        model: str | None = Query(None, alias="filter.model"),
        task_ids: list[str] = Query([], alias="filter.task_ids"),  # noqa: B008  (FastAPI reads the default)
        tier: str | None = Query(None, alias="filter.service_tier"),
    ) -> Response:
        key = await wire.caller(service, http)
        if not 1 <= page_num <= MAX_PAGE or not 1 <= page_size <= MAX_PAGE:
            raise InvalidRequest(f"page_num and page_size are 1 to {MAX_PAGE}.", "page_size")

        def rows() -> list[dict[str, Any]]:
            jobs = itertools.islice(wire.jobs_since(service, key, PROTOCOL, time.time() - KEPT_S), 10_000)
            found = (shown(job, http) for job in jobs)
            wanted = {"status": status, "model": model, "service_tier": tier}
            return [
                r
                for r in found
                if all(v is None or r[n] == v for n, v in wanted.items()) and (not task_ids or r["id"] in task_ids)
            ]

        found = await face.in_thread(rows)
        return JSONResponse({"items": found[(page_num - 1) * page_size :][:page_size], "total": len(found)})

    @api.delete("/{task_id}", summary="Cancel or delete a task")
    async def delete(task_id: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        job = await face.in_thread(service.get, key, task_id, PROTOCOL)
        if job.status == "in_progress":
            raise Denied(f"The task {task_id} is running; it can be deleted when it has ended.")
        if job.created_at < time.time() - KEPT_S:
            raise NotFound(f"There is no task {task_id!r}.")
        await face.in_thread(service.cancel if job.status == "queued" else service.delete, key, task_id, PROTOCOL)
        return JSONResponse({})

    return api
