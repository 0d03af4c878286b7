"""Replicate: predictions (by model or version), `Prefer: wait`, list, cancel, files, the default webhook secret.

Wire facts (apis 11): 201 on create; `urls.get` is followed by the SDK, so it names this server; an answer to
`Prefer: wait` that is not done must say `starting`, because the SDK takes every other status for the end.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile

from muybridge.api import face, wire
from muybridge.api.webhooks import sign
from muybridge.errors import InvalidRequest, MuybridgeError

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service
    from muybridge.api.uploads import Upload
    from muybridge.jobs.job import Delivery, Job

PROTOCOL = "replicate"
PAGE = 100
MAX_WAIT_S = 60.0
EXAMPLE: dict[str, Any] = {"input": {"prompt": "A horse at full gallop.", "duration": 5, "resolution": "720p"}}
VERSIONED = {"version": "alibaba/happyhorse-1.1", **EXAMPLE}
EVENTS = {  # what each is at our jobs: the log is the stage, and the one output comes with the end
    "start": ("in_progress",),
    "output": ("completed",),
    "logs": ("stage",),
    "completed": ("completed", "failed", "cancelled"),
}
DEFAULT_EVENTS = ("output", "completed")
STATUS = {
    "queued": "starting",
    "in_progress": "processing",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "canceled",
}
TITLES = {
    401: "Unauthenticated",
    402: "Insufficient credit",
    403: "Permission denied",
    404: "Not found",
    409: "Conflict",
    422: "Input validation failed",
    429: "Too many requests",
}
HTTP_STATUS = face.STATUS | {
    "invalid_input": 422,
    "media_invalid": 422,
    "media_fetch": 422,
    "moderation_input": 422,
    "out_of_memory": 422,
    "quota": 402,
    "model_retired": 404,
}
NAMES: tuple[
    tuple[str, tuple[str, ...]], ...
] = (  # the input's names for our media fields; models on the hosted service differ in their spelling
    ("image", ("image", "start_image", "first_frame_image", "first_frame", "input_image")),
    ("last_image", ("last_frame_image", "last_frame", "end_image", "last_image")),
    ("video", ("video", "input_video")),
    ("audio", ("audio", "input_audio")),
)
_FILE = re.compile(r"https?://[^/]+(?:/replicate)?/v1/files/(file-[0-9a-f]{32})\Z")


def to_request(given: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical request of a prediction's `input`."""
    request: dict[str, Any] = {"prompt": wire.field(given, "prompt", str, "")}
    for ours, spellings in NAMES:
        if source := next((s for name in spellings if (s := wire.field(given, name, str, ""))), ""):
            request[ours] = source
    if pictures := wire.strings(given, "reference_images") or wire.strings(given, "images"):
        request["references"] = wire.references(pictures)
    if not request["prompt"]:
        if "image" not in request:
            raise InvalidRequest("prompt is required", "prompt")
        request["prompt"] = wire.PROMPTLESS
    if "video" not in request:
        request["seconds"] = wire.field(given, "duration", float, 5.0)
    for theirs, ours in (("aspect_ratio", "ratio"), ("negative_prompt", "negative_prompt")):
        if value := wire.field(given, theirs, str, ""):
            request[ours] = value
    request["size"] = wire.field(given, "size", str, "") or wire.field(given, "resolution", str, "720p").lower()
    request["size"] = request["size"].replace("*", "x")
    if (seed := wire.field(given, "seed", int, None)) is not None:
        request["seed"] = seed
    if not wire.field(given, "generate_audio", bool, True):
        request["audio_mode"] = "none"
    request["watermark"] = wire.field(given, "watermark", bool, True)
    return wire.map_sources(request, lambda s: m.group(1) if (m := _FILE.match(s)) else s)


def model_of(version: str) -> str:
    """The model of `owner/name`, or of `owner/name:version`."""
    return version.partition(":")[0]


def iso(unix_s: float | None) -> str | None:
    """A time as Replicate writes it."""
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")


def to_body(job: Job, public: str, base: str, video_url: str | None = None) -> dict[str, Any]:
    """The prediction object."""
    body: dict[str, Any] = {
        "id": public,
        "model": job.model,
        "version": "hidden",
        "input": (job.request_raw or {}).get("input", {"prompt": job.request.get("prompt")}),
        "logs": f"{job.stage}: {job.progress:.0f}%\n" if job.stage else "",
        "output": video_url if job.status == "completed" else None,
        "error": None,
        "status": STATUS[job.status],
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "completed_at": iso(job.completed_at),
        "data_removed": job.status == "completed" and not job.artifacts,
        "urls": {"get": f"{base}/v1/predictions/{public}", "cancel": f"{base}/v1/predictions/{public}/cancel"},
    }
    if job.status == "failed":
        body["error"] = (job.error or {}).get("message", "The prediction failed.")
    if job.status == "completed" and job.completed_at and job.started_at:
        body["metrics"] = {"predict_time": round(job.completed_at - job.started_at, 6)}
    return body


def patience(prefer: str | None) -> float:
    """Seconds that a `Prefer: wait` or `wait=n` header asks for, at most 60; 0 without one."""
    for part in (prefer or "").replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        if name == "wait":
            return min(float(value), MAX_WAIT_S) if value.isascii() and value.isdigit() else MAX_WAIT_S
    return 0.0


def webhook_secret(service: Service, tenant: str) -> str:
    """A tenant's signing secret, derived, so that nothing is stored."""
    made = hmac.new(service.link_secret, f"replicate webhook\n{tenant}".encode(), hashlib.sha256).digest()
    return f"whsec_{base64.b64encode(made).decode()}"


def webhook(service: Service, job: Job, delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    """Body and headers of one delivery: the prediction itself, signed by Standard Webhooks."""
    base, twin = (str(delivery.webhook.get(name) or "") for name in ("base", "root"))
    url = service.media_url(job, "video", base or None) if job.artifacts else None
    body = json.dumps(to_body(job, service.public_id(job, PROTOCOL), twin, url)).encode()
    now = int(time.time())
    signature = sign(webhook_secret(service, job.tenant), delivery.id, now, body)
    signed = {"webhook-id": delivery.id, "webhook-timestamp": str(now), "webhook-signature": signature}
    return body, {"content-type": "application/json", **signed}


def render(error: MuybridgeError, _: Request) -> Response:
    """`{detail, status, title}`."""
    status = getattr(error, "http_status", None) or HTTP_STATUS.get(error.code, 500)
    title = TITLES.get(status, "Internal server error" if status >= 500 else "Bad request")
    field = getattr(error, "field", None)
    invalid = {"invalid_fields": [{"type": "required", "field": f"input.{field}", "description": str(error)}]}
    body = {"detail": str(error), "status": status, "title": title, **(invalid if status == 422 and field else {})}
    return JSONResponse(body, status, media_type="application/problem+json")


def file_body(upload: Upload, base: str) -> dict[str, Any]:
    """The file object; its url is what an input names."""
    return {
        "id": upload.id,
        "name": upload.filename,
        "content_type": {"image": "image/png", "video": "video/mp4", "audio": "audio/wav"}[upload.kind],
        "size": upload.bytes,
        "etag": upload.facts.get("sha256", ""),
        "checksums": {"sha256": upload.facts.get("sha256", "")},
        "metadata": {},
        "created_at": iso(upload.created_at),
        "expires_at": None,
        "urls": {"get": f"{base}/v1/files/{upload.id}"},
    }


async def keep_file(service: Service, http: Request, body: Mapping[str, Any]) -> Response:
    """Answer an upload whose part is named `content`, as this protocol's clients send it."""
    key = await wire.caller(service, http)
    file = body.get("content")
    if not isinstance(file, UploadFile):
        raise InvalidRequest("content is missing: send the file as multipart/form-data.", "content")
    name = wire.field(body, "filename", str, "") or file.filename or "file"
    upload = await face.in_thread(service.upload, key, file.file, name, limiter=service.ingest_slots)
    return JSONResponse(file_body(upload, root(service, http)), 201)


def root(service: Service, http: Request) -> str:
    """Where this face answers the caller: the server, or its /replicate twin."""
    twin = "/replicate" if http.url.path.startswith("/replicate/") else ""
    return face.base_url(http, service.config.public_url) + twin


def router(service: Service) -> APIRouter:
    """The routes under /v1."""
    api = APIRouter(prefix="/v1", route_class=face.protocol_route(render), tags=["Replicate"])
    service.webhook_formats[PROTOCOL] = webhook

    def shown(job: Job, http: Request) -> dict[str, Any]:
        url = None
        if job.artifacts:
            url = service.media_url(job, "video", face.base_url(http, service.config.public_url))
        return to_body(job, service.public_id(job, PROTOCOL), root(service, http), url)

    async def create(model: str, body: Mapping[str, Any], http: Request, key: Key) -> Response:
        if not isinstance(body.get("input"), Mapping):
            raise InvalidRequest("input is required", "input")
        request = to_request(body["input"])
        hook = None
        if url := wire.field(body, "webhook", str, ""):
            events = wire.strings(body, "webhook_events_filter") or DEFAULT_EVENTS
            if unknown := set(events) - set(EVENTS):
                raise InvalidRequest(f"{sorted(unknown)[0][:40]!r} is not an event.", "webhook_events_filter")
            base, moments = face.base_url(http, service.config.public_url), {m for e in events for m in EVENTS[e]}
            about = {"format": PROTOCOL, "url": url, "base": base, "root": root(service, http)}
            hook = {**about, "on": sorted(moments)}
        job = await wire.accept(service, http, key, PROTOCOL, model, request, body, webhook=hook)
        wait_s = patience(http.headers.get("prefer"))
        if wait_s:
            job = await wire.ended(service, key, service.public_id(job, PROTOCOL), PROTOCOL, wait_s)
        answer = shown(job, http)
        if not job.ended:
            answer["status"] = "starting"
        return JSONResponse(answer, 201, service.lifecycle(job))

    @api.post(
        "/models/{owner}/{name}/predictions", status_code=201, summary="Run a model", openapi_extra=wire.takes(EXAMPLE)
    )
    async def by_model(owner: str, name: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        return await create(f"{owner}/{name}", await face.read_body(http), http, key)

    @api.post("/predictions", status_code=201, summary="Run a version", openapi_extra=wire.takes(VERSIONED))
    async def by_version(http: Request) -> Response:
        key = await wire.caller(service, http)
        body = await face.read_body(http)
        version = wire.field(body, "version", str, "")
        if not version:
            raise InvalidRequest("version is required: owner/name, or owner/name:version", "version")
        return await create(model_of(version), body, http, key)

    @api.get("/predictions", summary="List predictions")
    async def predictions(http: Request, cursor: str | None = None) -> Response:
        key = await wire.caller(service, http)
        jobs = await face.in_thread(lambda: service.list(key, PROTOCOL, after=cursor, limit=PAGE + 1))
        found = [shown(job, http) for job in jobs[:PAGE]]
        following = f"{root(service, http)}/v1/predictions?cursor={found[-1]['id']}" if len(jobs) > PAGE else None
        return JSONResponse({"previous": None, "next": following, "results": found})

    @api.get("/predictions/{prediction_id}", summary="Get a prediction")
    async def prediction(prediction_id: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        job = await face.in_thread(service.get, key, prediction_id, PROTOCOL)
        return JSONResponse(shown(job, http), headers=service.lifecycle(job))

    @api.post("/predictions/{prediction_id}/cancel", summary="Cancel a prediction")
    async def cancel(prediction_id: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        return JSONResponse(shown(await face.in_thread(service.cancel, key, prediction_id, PROTOCOL), http))

    @api.post("/files", status_code=201, summary="Upload a file")
    async def files(http: Request) -> Response:
        return await keep_file(service, http, await face.read_body(http))

    @api.get("/webhooks/default/secret", summary="The secret that signs webhooks")
    async def secret(http: Request) -> Response:
        key = await wire.caller(service, http)
        return JSONResponse({"key": webhook_secret(service, key.tenant)})

    return api
