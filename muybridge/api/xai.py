"""xAI's REST face (its SDK speaks gRPC): generations, edits, extensions, poll.

Wire facts (apis 8.2): a poll is a 202 while pending; a bad key is a 400. It shares /v1/videos with OpenAI: a UUID, and
an edit or extension with `model` and `video.url`, are xAI's; `edge.send_to_twin` sends those to the /xai twin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import face, wire
from muybridge.api.edge import is_xai_body
from muybridge.api.ids import is_uuid
from muybridge.errors import InvalidRequest, MuybridgeError

if TYPE_CHECKING:
    from muybridge.api.service import Service
    from muybridge.jobs.job import Job

PROTOCOL = "xai"
TICKS_PER_USD = 10**10
TIERS = {"480p": 480, "720p": 720, "1080p": 1080}
RATIOS = ("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3")
TEXT = {"model": "grok-imagine-video", "prompt": "A horse at full gallop.", "duration": 6, "resolution": "720p"}
CLIP = {"model": "grok-imagine-video", "prompt": "in snow", "video": {"url": "https://example.com/horse.mp4"}}
ERRORS = {  # canonical class: (HTTP status, code)
    "auth": (400, "Client specified an invalid argument"),
    "permission": (403, "The caller does not have permission to execute the specified operation"),
    "not_found": (404, "Some requested entity was not found"),
    "model_retired": (404, "Some requested entity was not found"),
    "rate": (429, "Some resource has been exhausted"),
    "quota": (429, "Some resource has been exhausted"),
    "conflict": (409, "The operation was aborted"),
    "capacity": (503, "The service is currently unavailable"),
    "timeout": (504, "The deadline expired before the operation could complete"),
}
INVALID = (400, "Client specified an invalid argument")
INTERNAL = (500, "Internal error")


def claims(value: object) -> bool:
    """Whether an id, or the raw JSON body of an edit or extension, under /v1/videos is meant for this face."""
    return is_xai_body(value) if isinstance(value, bytes) else isinstance(value, str) and is_uuid(value)


def to_request(verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical request of a body posted to `generations`, `edits` or `extensions`."""
    if not wire.field(body, "model", str, ""):
        raise InvalidRequest("model is missing, for example grok-imagine-video.", "model")
    prompt = wire.field(body, "prompt", str, "")
    if len(prompt) > 4096:
        raise InvalidRequest(f"prompt has {len(prompt)} characters; at most 4096 fit.", "prompt")
    request: dict[str, Any] = {"prompt": prompt}
    if verb == "generations":
        request |= _pictures(body) | {"seconds": wire.within(body, "duration", 1, 15, 8)}
    else:
        name = "video" if verb == "edits" else "extends"
        request[name] = wire.field(body, "video.url", str, "")
        if not request[name]:
            raise InvalidRequest("video.url is missing.", "video.url")
    if verb == "extensions":
        request["seconds"] = wire.within(body, "duration", 1, 10, 6)
    if not prompt and "image" not in request:
        raise InvalidRequest("prompt is missing.", "prompt")
    return request | {"prompt": prompt or wire.PROMPTLESS} | _size(body, follows="references" not in request)


def _pictures(body: Mapping[str, Any]) -> dict[str, Any]:
    if body.get("reference_audios"):
        raise InvalidRequest("reference_audios are not supported: there are no stored voices here.", "reference_audios")
    found: dict[str, Any] = {}
    if url := wire.field(body, "image.url", str, ""):
        found["image"] = url
    sources = [wire.field(item, "url", str, "") for item in wire.objects(body, "reference_images")]
    if not all(sources) or len(sources) > 7:
        raise InvalidRequest("reference_images takes 1 to 7 objects with a url.", "reference_images")
    if sources and "image" in found:
        raise InvalidRequest("Give image or reference_images, not both.", "image")
    return found | ({"references": wire.references(sources)} if sources else {})


def _size(body: Mapping[str, Any], follows: bool) -> dict[str, Any]:
    """Tier and ratio. Without a ratio a first frame or clip decides it; 3:2 and 2:3 are given in pixels."""
    tier = wire.one_of(body, "resolution", tuple(TIERS), "480p")
    ratio = wire.one_of(body, "aspect_ratio", RATIOS, "16:9")
    if ratio in ("3:2", "2:3"):
        short, long = TIERS[tier], TIERS[tier] * 3 // 2
        return {"size": f"{long}x{short}" if ratio == "3:2" else f"{short}x{long}"}
    chosen = body.get("aspect_ratio") is not None
    is_free = not (body.get("image") or body.get("video"))
    return {"size": tier, **({"ratio": ratio} if chosen or is_free or not follows else {})}


def to_body(job: Job, video_url: str | None = None) -> tuple[int, dict[str, Any]]:
    """(HTTP status, body) of a poll."""
    if job.status in ("queued", "in_progress"):
        return 202, {"status": "pending", "progress": min(int(job.progress), 99)}
    if wire.is_expired(job):
        return 200, {"status": "expired"}
    if job.status == "completed":
        clip = {"url": video_url, "duration": round(wire.seconds_of(job)), "respect_moderation": True}
        ticks = round((job.usage.get("cost") or 0.0) * TICKS_PER_USD)
        usage = {"cost_in_usd_ticks": ticks}
        return 200, {"status": "done", "progress": 100, "model": job.model, "video": clip, "usage": usage}
    error = job.error or {}
    code = "cancelled" if job.status == "cancelled" else error.get("code", "internal")
    return 200, {"status": "failed", "error": {"code": code, "message": error.get("message", "The request failed.")}}


def render(error: MuybridgeError, _: Request) -> Response:
    """`{code, error}`."""
    status, code = ERRORS.get(error.code, INVALID if isinstance(error, ValueError) else INTERNAL)
    status = getattr(error, "http_status", None) or status
    message = "Incorrect API key provided." if error.code == "auth" else str(error)
    return JSONResponse({"code": code, "error": message}, status)


def router(service: Service) -> APIRouter:
    """The routes under /v1/videos."""
    api = APIRouter(prefix="/v1/videos", route_class=face.protocol_route(render), tags=["xAI"])

    async def submit(verb: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        body = await face.read_body(http)
        request = to_request(verb, body)
        job = await wire.accept(service, http, key, PROTOCOL, body["model"], request, body)
        shown = {"request_id": service.public_id(job, PROTOCOL)}
        return JSONResponse(shown, headers=service.lifecycle(job))

    @api.post("/generations", summary="Text, image or references to video", openapi_extra=wire.takes(TEXT))
    async def generate(http: Request) -> Response:
        return await submit("generations", http)

    @api.post("/edits", summary="Edit a video", openapi_extra=wire.takes(CLIP))
    async def edit(http: Request) -> Response:
        return await submit("edits", http)

    @api.post("/extensions", summary="Extend a video", openapi_extra=wire.takes(CLIP))
    async def extend(http: Request) -> Response:
        return await submit("extensions", http)

    @api.get("/{request_id}", summary="Poll a request")
    async def poll(request_id: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        job = await face.in_thread(service.get, key, request_id, PROTOCOL)
        base = face.base_url(http, service.config.public_url)
        url = service.media_url(job, "video", base) if job.artifacts else None
        status, body = to_body(job, url)
        return JSONResponse(body, status, service.lifecycle(job))

    return api
