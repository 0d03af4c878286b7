"""Google's Veo: predictLongRunning and its operations, as the developer API and as Vertex spell them, and downloads.

Wire facts (apis 6.1, 6.2): `done` is absent until an operation ends; filtered output is a success without samples; the
SDK cuts the file id out of an https uri and wants it in lower-case letters and digits. See also `interactions.py`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import face, ids, interactions, links, wire
from muybridge.errors import InvalidRequest, MuybridgeError, PermissionDenied, UserError
from muybridge.shapes import RATIOS

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service
    from muybridge.jobs.job import Delivery, Job

PROTOCOL = "veo"
TYPE_MLDEV = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
TYPE_VERTEX = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
MODERATION = ("moderation_input", "moderation_output")
HTTP_STATUS = face.STATUS | {"auth": 400, "conflict": 409, "model_retired": 404}
NAMES = {  # HTTP status: Google's name
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
EXAMPLE = {"instances": [{"prompt": "A horse at full gallop."}], "parameters": {"durationSeconds": 4}}
RPC_CODES = {"cancelled": 1, "invalid_input": 3, "media_invalid": 3, "media_fetch": 3, "timeout": 4, "capacity": 14}
_OWN_FILE = re.compile(r"https?://[^/]+/v1(?:beta)?/files/([0-9a-z]{26})(?::download)?(?:\?.*)?\Z")


def to_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical request of a predictLongRunning body. A `video` is gone on from, as Veo does."""
    instances = wire.objects(body, "instances")
    if len(instances) != 1:
        raise InvalidRequest(f"instances has {len(instances)} items; send exactly one.", "instances")
    one = instances[0]
    request: dict[str, Any] = {"prompt": wire.field(one, "prompt", str, "")}
    for theirs, ours, inline in (
        ("image", "image", "bytesBase64Encoded"),
        ("lastFrame", "last_image", "bytesBase64Encoded"),
        ("video", "extends", "encodedVideo"),
    ):
        if one.get(theirs) is not None:
            request[ours] = source_of(one, theirs, inline)
    if one.get("mask") is not None:
        raise InvalidRequest("instances[0].mask is not supported.", "instances")
    pictures = [source_of(item, "image", "bytesBase64Encoded") for item in wire.objects(one, "referenceImages")]
    if pictures:
        request["references"] = wire.references(pictures)
    if not request["prompt"]:
        if "image" not in request:
            raise InvalidRequest("instances[0].prompt is missing.", "instances")
        request["prompt"] = wire.PROMPTLESS
    return request | _parameters(body, follows="image" in request or "extends" in request)


def _parameters(body: Mapping[str, Any], follows: bool) -> dict[str, Any]:
    wire.within(body, "parameters.sampleCount", 1, 1, 1)
    if wire.field(body, "parameters.storageUri", str, ""):
        raise InvalidRequest("parameters.storageUri is not supported; the answer carries the clip.", "storageUri")
    found: dict[str, Any] = {
        "size": wire.one_of(body, "parameters.resolution", ("720p", "1080p"), "720p"),
        "seconds": wire.within(body, "parameters.durationSeconds", 3, 15, 8),
    }
    ratio = wire.one_of(body, "parameters.aspectRatio", tuple(RATIOS), "16:9")
    if not follows or wire.field(body, "parameters.aspectRatio", str, ""):
        found["ratio"] = ratio
    if negative := wire.field(body, "parameters.negativePrompt", str, ""):
        found["negative_prompt"] = negative
    if (seed := wire.field(body, "parameters.seed", int, None)) is not None:
        found["seed"] = seed
    if not wire.field(body, "parameters.generateAudio", bool, True):
        found["audio_mode"] = "none"
    return found


def source_of(holder: Mapping[str, Any], name: str, inline: str) -> str:
    """Inline bytes as a data URL, or the uri; one of our own file uris becomes the job's id."""
    kind = "video/mp4" if "video" in name.lower() else "image/png"
    for key in (inline, "bytesBase64Encoded", "data"):
        if data := wire.field(holder, f"{name}.{key}", str, ""):
            mime = wire.field(holder, f"{name}.mimeType", str, "") or wire.field(holder, f"{name}.mime_type", str, "")
            return wire.data_url(mime or kind, data)
    uri = wire.field(holder, f"{name}.uri", str, "")
    if match := _OWN_FILE.match(uri):
        return ids.public_id(ids.job_id(match.group(1), PROTOCOL), "native")
    if not uri:
        raise InvalidRequest(f"{name} needs inline bytes or an https uri (gs:// is not reachable from here).", name)
    return uri


def to_operation(job: Job, name: str, response: Mapping[str, Any] | None) -> dict[str, Any]:
    """The operation; `response` is the protocol's object for what was made, None when it failed."""
    body: dict[str, Any] = {"name": name, "metadata": {"createTime": job.created_at, "progress": int(job.progress)}}
    if not job.ended:
        return body
    error = job.error or {}
    code = "cancelled" if job.status == "cancelled" else error.get("code", "internal")
    if response is not None:
        return body | {"done": True, "response": dict(response)}
    message = error.get("message", "The operation was cancelled." if code == "cancelled" else "The operation failed.")
    return body | {"done": True, "error": {"code": RPC_CODES.get(code, 13), "message": message}}


def is_filtered(job: Job) -> bool:
    """Whether the policy kept the result back: a success with nothing in it."""
    return job.status == "failed" and (job.error or {}).get("code") in MODERATION


def file_uri(base: str, job: Job) -> str:
    """Where the clip is downloaded. Always https: the SDK reads the id out of nothing else, and calls its own base."""
    return f"https://{urlsplit(base).netloc}/v1beta/files/{ids.public_id(job.id, PROTOCOL)}:download?alt=media"


def mldev_response(job: Job, base: str) -> dict[str, Any] | None:
    """The developer API's response."""
    if is_filtered(job):
        reasons = [(job.error or {}).get("message", "")]
        found: dict[str, Any] = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": reasons}
    elif job.status == "completed":
        found = {"generatedSamples": [{"video": {"uri": file_uri(base, job)}}]}
    else:
        return None
    return {"@type": TYPE_MLDEV, "generateVideoResponse": found}


def vertex_response(service: Service, job: Job) -> dict[str, Any] | None:
    """Vertex's response: the clip itself, inline."""
    if is_filtered(job):
        reasons = [(job.error or {}).get("message", "")]
        return {"@type": TYPE_VERTEX, "raiMediaFilteredCount": 1, "raiMediaFilteredReasons": reasons}
    if job.status != "completed":
        return None
    video = service.artifact(job)
    clip = base64.b64encode(service.artifacts.get(video.key)).decode()
    return {
        "@type": TYPE_VERTEX,
        "raiMediaFilteredCount": 0,
        "videos": [{"bytesBase64Encoded": clip, "mimeType": video.mime}],
    }


async def caller(service: Service, http: Request) -> Key:
    """Whoever `x-goog-api-key`, `?key=` or a bearer token names."""
    secret = http.headers.get("x-goog-api-key") or http.query_params.get("key")
    if secret:
        return await face.in_thread(service.authenticate, secret, "")
    if "authorization" in http.headers:
        return await wire.caller(service, http)
    raise PermissionDenied("Method doesn't allow unregistered callers. Please use an API key.")


def render(error: MuybridgeError, _: Request) -> Response:
    """`{"error": {"code", "message", "status"}}`."""
    status = getattr(error, "http_status", None) or HTTP_STATUS.get(
        error.code, 400 if isinstance(error, UserError) else 500
    )
    message = "API key not valid. Please pass a valid API key." if error.code == "auth" else str(error)
    body = {"code": status, "message": message, "status": NAMES.get(status, "INTERNAL")}
    return JSONResponse({"error": body}, status)


def webhook(service: Service, job: Job, delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    """Body and headers of one delivery: the finished operation, with what the caller wanted to see again."""
    base = str(delivery.webhook.get("base"))
    name = str(job.metadata.get("operation")) + service.public_id(job, PROTOCOL)
    body = to_operation(job, name, mldev_response(job, base))
    told = json.dumps({**body, "userMetadata": delivery.webhook.get("user_metadata")}).encode()
    return told, {"content-type": "application/json"}


def router(service: Service) -> APIRouter:
    """The routes under /v1beta and /v1beta1, and the downloads."""
    api = APIRouter(route_class=face.protocol_route(render), tags=["Google"])
    service.webhook_formats[PROTOCOL] = webhook
    interactions.add_routes(api, service, caller)

    async def start(prefix: str, model: str, http: Request) -> Response:
        key = await caller(service, http)
        body = await face.read_body(http)
        request = to_request(body)
        hook = None
        if uris := wire.strings(wire.field(body, "webhookConfig", dict, {}), "uris"):
            if len(uris) > 1:
                raise InvalidRequest("webhookConfig.uris takes one address here.", "webhookConfig")
            base = face.base_url(http, service.config.public_url)
            about = wire.field(body, "webhookConfig.userMetadata", dict, {})
            hook = {"format": PROTOCOL, "url": uris[0], "base": base, "user_metadata": about}
        metadata = {"operation": f"{prefix}models/{model}/operations/"}
        job = await wire.accept(service, http, key, PROTOCOL, model, request, body, webhook=hook, metadata=metadata)
        name = metadata["operation"] + service.public_id(job, PROTOCOL)
        return JSONResponse({"name": name}, headers=service.lifecycle(job))

    @api.post(
        "/v1beta/models/{model}:predictLongRunning", summary="Start an operation", openapi_extra=wire.takes(EXAMPLE)
    )
    async def predict(model: str, http: Request) -> Response:
        return await start("", model, http)

    @api.get("/v1beta/models/{model}/operations/{operation_id}", summary="Get a Veo operation")
    async def operation(model: str, operation_id: str, http: Request) -> Response:
        key = await caller(service, http)
        job = wire.present(await face.in_thread(service.get, key, operation_id, PROTOCOL))
        name = f"models/{model}/operations/{operation_id}"
        base = face.base_url(http, service.config.public_url)
        return JSONResponse(to_operation(job, name, mldev_response(job, base)), headers=service.lifecycle(job))

    @api.post("/v1beta1/publishers/google/models/{model}:predictLongRunning", openapi_extra=wire.takes(EXAMPLE))
    async def vertex_predict(model: str, http: Request) -> Response:
        return await start("publishers/google/", model, http)

    @api.post("/v1beta1/projects/{project}/locations/{location}/publishers/google/models/{model}:predictLongRunning")
    async def vertex_project_predict(project: str, location: str, model: str, http: Request) -> Response:
        return await start(f"projects/{project}/locations/{location}/publishers/google/", model, http)

    @api.post("/v1beta1/publishers/google/models/{model}:fetchPredictOperation", summary="Get an operation (Vertex)")
    @api.post("/v1beta1/projects/{project}/locations/{location}/publishers/google/models/{model}:fetchPredictOperation")
    async def vertex_operation(http: Request) -> Response:
        key = await caller(service, http)
        name = wire.field(await face.read_body(http), "operationName", str, "")
        job = wire.present(await face.in_thread(service.get, key, name.rpartition("/")[2], PROTOCOL))
        response = await face.in_thread(vertex_response, service, job)
        return JSONResponse(to_operation(job, name, response), headers=service.lifecycle(job))

    @api.get("/v1beta/files/{file_id}:download", summary="Download a clip")
    @api.get("/v1/files/{file_id}:download", include_in_schema=False)
    async def download(file_id: str, http: Request) -> Response:
        key = await caller(service, http)
        job = await face.in_thread(service.get, key, file_id, PROTOCOL)
        return await links.content(service, job.id, service.artifact(job), http)

    return api
