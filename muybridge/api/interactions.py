"""Google's Interactions (Gemini Omni): create, get, cancel, delete. Mounted by `veo.py`: same errors, same keys.

Wire facts (apis 6.3): without `background` the answer waits for the end; the SDK takes the video out of the first
model_output step; a `previous_interaction_id` goes on with that interaction's clip.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import face, ids, wire
from muybridge.errors import InvalidRequest
from muybridge.shapes import RATIOS

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service
    from muybridge.jobs.job import Job

PROTOCOL = "veo"
EXAMPLE = {"model": "gemini-omni-1.2-flash", "input": "A horse at full gallop.", "background": True}
TASKS = ("text_to_video", "image_to_video", "reference_to_video", "edit", "extend")
STATUS = {
    "queued": "in_progress",
    "in_progress": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
Caller = Callable[["Service", Request], Awaitable["Key"]]


def contents(given: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401  (untrusted JSON)
    """Every content object of an input: text, one object, a list of them, or steps that hold such lists."""
    if isinstance(given, str):
        yield {"type": "text", "text": given}
    elif isinstance(given, Mapping):
        if isinstance(given.get("content"), list | str):
            yield from contents(given["content"])
        else:
            yield given
    elif isinstance(given, list):
        for item in given:
            yield from contents(item)


def to_request(body: Mapping[str, Any], source_of: Callable[[Mapping[str, Any], str, str], str]) -> dict[str, Any]:
    """The canonical request of an interaction. `source_of` is `veo.source_of`."""
    texts: list[str] = []
    media: dict[str, list[str]] = {"image": [], "video": [], "audio": []}
    for item in contents(body.get("input")):
        kind = wire.one_of(item, "type", ("text", "image", "video", "audio"), "")
        if kind == "text":
            texts.append(wire.field(item, "text", str, ""))
        else:
            media[kind].append(source_of({kind: item}, kind, "data"))
    task = wire.one_of(body, "generation_config.video_config.task", TASKS, _guess(media))
    request: dict[str, Any] = {"prompt": "\n".join(t for t in texts if t).strip()}
    if media["video"]:
        request["extends" if task == "extend" else "video"] = media["video"][0]
    if media["audio"]:
        request["audio"] = media["audio"][0]
    if media["image"] and task == "image_to_video":
        request |= dict(zip(("image", "last_image"), media["image"], strict=False))
    elif media["image"]:
        request["references"] = wire.references(media["image"])
    if not request["prompt"]:
        if "image" not in request:
            raise InvalidRequest("input has no text.", "input")
        request["prompt"] = wire.PROMPTLESS
    return request | _format(body, follows=bool(media["video"]) or "image" in request)


def _guess(media: Mapping[str, list[str]]) -> str:
    if media["video"]:
        return "edit"
    return {0: "text_to_video", 1: "image_to_video"}.get(len(media["image"]), "reference_to_video")


def video_format(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The video part of `response_format`, which may be one object or a list."""
    given = body.get("response_format")
    found = given if isinstance(given, list) else [given]
    return next((f for f in found if isinstance(f, Mapping) and f.get("type") == "video"), {})


def _format(body: Mapping[str, Any], follows: bool) -> dict[str, Any]:
    asked = video_format(body)
    wire.one_of(asked, "delivery", ("inline", "uri"), "inline")
    tier = wire.one_of(asked, "resolution", ("720p", "1080p"), "720p")
    found: dict[str, Any] = {"size": tier}
    if ratio := wire.field(asked, "aspect_ratio", str, "" if follows else "16:9"):
        found["ratio"] = wire.one_of({"aspect_ratio": ratio}, "aspect_ratio", tuple(RATIOS), "16:9")
    if duration := wire.field(asked, "duration", str, ""):
        try:
            found["seconds"] = float(duration.removesuffix("s"))
        except ValueError:
            raise InvalidRequest(f"duration is {duration[:20]!r}; write seconds as 4s.", "duration") from None
    if (seed := wire.field(body, "generation_config.seed", int, None)) is not None:
        found["seed"] = seed
    return found


def to_body(job: Job, public: str, video: Mapping[str, Any] | None) -> dict[str, Any]:
    """The interaction; `video` is its content object once there is one."""

    def iso(at: float) -> str:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    body: dict[str, Any] = {
        "id": public,
        "object": "interaction",
        "model": job.model,
        "status": STATUS[job.status],
        "created": iso(job.created_at),
        "updated": iso(job.completed_at or job.started_at or job.created_at),
        "steps": [],
    }
    if video is not None:
        body["steps"] = [{"type": "model_output", "content": [dict(video)]}]
    if job.status == "failed":
        error = job.error or {}
        body["errors"] = [{"code": error.get("code", "internal"), "message": error.get("message", "It failed.")}]
    return body


def add_routes(api: APIRouter, service: Service, caller: Caller) -> None:
    """The routes, onto Google's router."""
    from muybridge.api import veo  # late: veo mounts this module

    def shown(job: Job, http: Request) -> Response:
        video: dict[str, Any] | None = None
        if job.status == "completed" and job.artifacts:
            found = service.artifact(job)
            video = {"type": "video", "mime_type": found.mime}
            if video_format(job.request_raw or {}).get("delivery") == "uri":
                video["uri"] = veo.file_uri(face.base_url(http, service.config.public_url), job)
            else:
                video["data"] = base64.b64encode(service.artifacts.get(found.key)).decode()
        body = to_body(job, service.public_id(job, PROTOCOL), video)
        return JSONResponse(body, headers=service.lifecycle(job))

    async def create(http: Request) -> Response:
        key = await caller(service, http)
        body = await face.read_body(http)
        model = wire.field(body, "model", str, "")
        if not model:
            raise InvalidRequest("model is missing; agents are not served here.", "model")
        if wire.field(body, "stream", bool, False):
            raise InvalidRequest("stream is not supported; use background and poll.", "stream")
        request = to_request(body, veo.source_of)
        if (before := wire.field(body, "previous_interaction_id", str, "")) and not request.get("video"):
            job = await face.in_thread(service.get, key, before, PROTOCOL)
            wanted = wire.one_of(body, "generation_config.video_config.task", TASKS, "edit")
            request["extends" if wanted == "extend" else "video"] = ids.public_id(job.id, "native")
        job = await wire.accept(service, http, key, PROTOCOL, model, request, body)
        if not wire.field(body, "background", bool, False):
            public = service.public_id(job, PROTOCOL)
            job = await wire.ended(service, key, public, PROTOCOL, service.limits.sync_timeout_s)
        return await face.in_thread(shown, job, http)

    async def get(interaction_id: str, http: Request, stream: bool = False) -> Response:
        key = await caller(service, http)
        if stream:
            raise InvalidRequest("stream is not supported; poll without it.", "stream")
        job = wire.present(await face.in_thread(service.get, key, interaction_id, PROTOCOL))
        return await face.in_thread(shown, job, http)

    async def cancel(interaction_id: str, http: Request) -> Response:
        key = await caller(service, http)
        job = await face.in_thread(service.cancel, key, interaction_id, PROTOCOL)
        return await face.in_thread(shown, job, http)

    async def delete(interaction_id: str, http: Request) -> Response:
        key = await caller(service, http)
        await face.in_thread(service.delete, key, interaction_id, PROTOCOL)
        return JSONResponse({})

    for version, is_shown in (("v1beta", True), ("v1", False)):
        root = f"/{version}/interactions"
        more: dict[str, Any] = {"include_in_schema": is_shown}
        asked = {"openapi_extra": wire.takes(EXAMPLE), **more}
        api.add_api_route(root, create, methods=["POST"], summary="Create an interaction", **asked)
        api.add_api_route(f"{root}/{{interaction_id}}", get, methods=["GET"], summary="Get an interaction", **more)
        api.add_api_route(f"{root}/{{interaction_id}}", delete, methods=["DELETE"], summary="Delete it", **more)
        api.add_api_route(f"{root}/{{interaction_id}}/cancel", cancel, methods=["POST"], summary="Cancel it", **more)
