"""Runway: text, image and video to video, tasks, ephemeral uploads.

Wire facts (facts/apis.md 7): camelCase; `ratio` is pixels ("1280:720"); DELETE cancels at any time and answers 204; a
cancelled task must show CANCELLED; progress is 0..1. One credit is one cent.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import face, tickets, wire
from muybridge.errors import InvalidRequest, MuybridgeError, NotFound
from muybridge.shapes import MAX_LONG_SIDE, MAX_SHORT_SIDE

if TYPE_CHECKING:
    from muybridge.api.service import Service
    from muybridge.jobs.job import Job

PROTOCOL = "runway"
DOCS = "https://docs.dev.runwayml.com/api"
MAX_TEXT_UNITS = 2500
HAPPYHORSE_RATIOS = (
    "1280:720", "720:1280", "960:960", "1108:832", "832:1108",
    "1920:1080", "1080:1920", "1440:1440", "1662:1248", "1248:1662",
)  # fmt: skip
TEXT = {"model": "happyhorse_1_0", "promptText": "A horse at full gallop.", "ratio": "1280:720", "duration": 5}
IMAGE = {"model": "happyhorse_1_0", "promptImage": "https://example.com/horse.png", "resolution": "720p"}
VIDEO = {"model": "happyhorse_1_0", "promptText": "in snow", "promptVideo": "https://example.com/horse.mp4"}
STATUS = {
    "queued": "PENDING",
    "in_progress": "RUNNING",
    "completed": "SUCCEEDED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
}
FAILURE_CODES = {
    "moderation_input": "SAFETY.INPUT.TEXT",
    "moderation_output": "SAFETY.OUTPUT.VIDEO",
    "media_invalid": "ASSET.INVALID",
    "media_fetch": "ASSET.INVALID",
    "invalid_input": "INPUT_PREPROCESSING.INTERNAL",
}
HTTP_STATUS = face.STATUS | {"quota": 400, "model_retired": 400, "out_of_memory": 400}


def to_request(verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical request of a body posted to `text_to_video`, `image_to_video` or `video_to_video`."""
    model = wire.field(body, "model", str, "")
    if not model:
        raise InvalidRequest("model is required, for example happyhorse_1_0.", "model")
    text = wire.field(body, "promptText", str, "")
    if len(text.encode("utf-16-le")) // 2 > MAX_TEXT_UNITS:
        raise InvalidRequest(f"promptText is longer than {MAX_TEXT_UNITS} UTF-16 code units.", "promptText")
    if not text and verb != "image_to_video":
        raise InvalidRequest("promptText is required.", "promptText")
    request: dict[str, Any] = {"prompt": text or wire.PROMPTLESS}
    if verb == "image_to_video":
        request |= _frames(body)
    elif verb == "video_to_video":
        source = wire.field(body, "promptVideo", str, "") or wire.field(body, "videoUri", str, "")
        if not source:
            raise InvalidRequest("promptVideo is required.", "promptVideo")
        request["video"] = source
    pictures = [wire.field(item, "uri", str, "") for item in wire.objects(body, "references")]
    if not all(pictures):
        raise InvalidRequest("Each of references needs a uri.", "references")
    if pictures:
        request["references"] = wire.references(pictures)
    request |= _size(body, verb, model)
    if verb != "video_to_video":
        request["seconds"] = wire.within(body, "duration", 3, 15, 5)
    if (seed := wire.field(body, "seed", int, None)) is not None:
        request["seed"] = seed
    if negative := wire.field(body, "negativePrompt", str, ""):
        request["negative_prompt"] = negative
    if not wire.field(body, "audio", bool, True):
        request["audio_mode"] = "none"
    return request


def _frames(body: Mapping[str, Any]) -> dict[str, Any]:
    """`promptImage`: one source, or a list of `{uri, position}`."""
    given = body.get("promptImage")
    if isinstance(given, str) and given:
        return {"image": given}
    found: dict[str, Any] = {}
    for item in wire.objects(body, "promptImage") if isinstance(given, list) else ():
        name = {"first": "image", "last": "last_image"}[wire.one_of(item, "position", ("first", "last"), "first")]
        found[name] = wire.field(item, "uri", str, "")
    if not found or not all(found.values()):
        raise InvalidRequest("promptImage is required: a uri, or a list of {uri, position}.", "promptImage")
    return found


def _size(body: Mapping[str, Any], verb: str, model: str) -> dict[str, Any]:
    """`ratio` in pixels; for pictures and clips `resolution`, and the ratio follows the input."""
    if verb != "text_to_video" and not body.get("ratio"):
        tier = wire.field(body, "resolution", str, "1080p").lower()
        return {"size": wire.one_of({"resolution": tier}, "resolution", ("480p", "720p", "1080p"), "1080p")}
    ratio = wire.field(body, "ratio", str, "1280:720")
    if model.startswith("happyhorse"):
        wire.one_of(body, "ratio", HAPPYHORSE_RATIOS, "1280:720")
    width, _, height = ratio.partition(":")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()) or len(ratio) > 11:
        raise InvalidRequest(f"ratio is {ratio[:40]!r}; write width:height in pixels, as 1280:720.", "ratio")
    return sized(int(width), int(height))


def sized(width: int, height: int) -> dict[str, Any]:
    """Pixels as asked where they fit our limits, else the same shape scaled down into them (1440:1440 is 1080x1080)."""
    scale = min(1.0, MAX_LONG_SIDE / max(width, height, 1), MAX_SHORT_SIDE / max(min(width, height), 1))
    width, height = (int(side * scale) // 2 * 2 for side in (width, height))
    return {"size": f"{width}x{height}", "ratio": wire.nearest_ratio(max(width, 1), max(height, 1))}


def credits_of(cost: float | None) -> int:
    """Money (USD) in credits, rounded up."""
    return math.ceil(round((cost or 0.0) * 100, 6))


def to_body(job: Job, task_id: str, video_url: str | None = None) -> dict[str, Any]:
    """The task object, by status. A cancel that was accepted shows at once: the SDK polls until it sees it."""
    status = STATUS[job.status]
    if job.cancel_requested and not job.ended:
        status = "CANCELLED"
    created = datetime.fromtimestamp(job.created_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body: dict[str, Any] = {"id": task_id, "createdAt": created, "status": status}
    if status in ("PENDING", "RUNNING"):
        body["estimatedCost"] = {"credits": credits_of(job.quote.get("cost"))}
    else:
        body["cost"] = {"credits": credits_of(job.usage.get("cost")) if status == "SUCCEEDED" else 0}
    if status == "RUNNING":
        body["progress"] = round(min(max(job.progress, 0.0), 100.0) / 100, 4)
    elif status == "SUCCEEDED":
        body["output"] = [video_url]
    elif status == "FAILED":
        error = job.error or {}
        body["failure"] = error.get("message", "The task failed.")
        body["failureCode"] = FAILURE_CODES.get(str(error.get("code")), "INTERNAL")
    return body


def render(error: MuybridgeError, _: Request) -> Response:
    """`{error}`; for a refused field also `issues` and `docUrl`."""
    status = getattr(error, "http_status", None) or HTTP_STATUS.get(error.code, 500)
    if isinstance(error, InvalidRequest):
        issue = {"code": "custom", "path": [error.field] if error.field else [], "message": str(error)}
        return JSONResponse({"error": "Validation of body failed", "issues": [issue], "docUrl": DOCS}, status)
    return JSONResponse({"error": str(error), "docUrl": DOCS}, status)


def router(service: Service) -> APIRouter:
    """The routes under /v1."""
    api = APIRouter(prefix="/v1", route_class=face.protocol_route(render), tags=["Runway"])

    async def submit(verb: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        body = await face.read_body(http)
        request = to_request(verb, body)
        try:
            service.model_to_run(body["model"])
        except NotFound as error:
            raise InvalidRequest(str(error), "model") from None
        request = tickets.resolved(request, "runway://")
        job = await wire.accept(service, http, key, PROTOCOL, body["model"], request, body)
        cost = {"credits": credits_of(job.quote.get("cost"))}
        told = {"id": service.public_id(job, PROTOCOL), "estimatedCost": cost}
        return JSONResponse(told, headers=service.lifecycle(job))

    @api.post("/text_to_video", summary="Text to video", openapi_extra=wire.takes(TEXT))
    async def text_to_video(http: Request) -> Response:
        return await submit("text_to_video", http)

    @api.post("/image_to_video", summary="Image to video", openapi_extra=wire.takes(IMAGE))
    async def image_to_video(http: Request) -> Response:
        return await submit("image_to_video", http)

    @api.post("/video_to_video", summary="Edit a video", openapi_extra=wire.takes(VIDEO))
    async def video_to_video(http: Request) -> Response:
        return await submit("video_to_video", http)

    @api.get("/tasks/{task_id}", summary="Get a task")
    async def task(task_id: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        job = wire.present(await face.in_thread(service.get, key, task_id, PROTOCOL))
        url = service.media_url(job, "video", face.base_url(http, service.config.public_url)) if job.artifacts else None
        return JSONResponse(to_body(job, task_id, url), headers=service.lifecycle(job))

    @api.delete("/tasks/{task_id}", status_code=204, summary="Cancel or delete a task")
    async def remove(task_id: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        job = await face.in_thread(service.get, key, task_id, PROTOCOL)
        await face.in_thread(service.delete if job.ended else service.cancel, key, task_id, PROTOCOL)
        return Response(status_code=204)

    @api.post(
        "/uploads", summary="Start an upload", openapi_extra=wire.takes({"filename": "a.png", "type": "ephemeral"})
    )
    async def start_upload(http: Request) -> Response:
        key = await wire.caller(service, http)
        body = await face.read_body(http)
        name = wire.field(body, "filename", str, "")
        if not name:
            raise InvalidRequest("filename is required.", "filename")
        wire.one_of(body, "type", ("ephemeral",), "ephemeral")
        address = uuid.uuid4().hex
        fields = {"key": address, "policy": tickets.mint(service, key, address, ttl_s=3600)}
        url = f"{face.base_url(http, service.config.public_url)}{http.url.path}/files"
        return JSONResponse({"uploadUrl": url, "fields": fields, "runwayUri": f"runway://{address}"})

    @api.post("/uploads/files", status_code=204, summary="Send the file of an upload")
    async def upload(http: Request) -> Response:
        form = await face.read_body(http)
        ticket = tickets.read(service, wire.field(form, "policy", str, ""))
        await tickets.receive(service, ticket, tickets.file_id(f"runway://{ticket.folder}"), form.get("file"))
        return Response(status_code=204)

    return api
