"""The rest of the OpenAI Videos API beside /v1/videos itself: remix, edits, extensions, characters, files, models."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import examples, links, replicate
from muybridge.api.face import as_caller, in_thread, protocol_route, read_body, text_of
from muybridge.api.models import listed
from muybridge.api.native import submit
from muybridge.api.uploads import Upload, as_kind
from muybridge.api.video import render
from muybridge.errors import InvalidRequest, NotInstalled
from muybridge.jobs.job import Job

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service

__all__ = ["render", "router"]


def router(service: Service) -> APIRouter:
    """Everything of the OpenAI dialect that /v1/videos does not already answer."""
    routes = APIRouter(route_class=protocol_route(render))
    _videos(routes, service)
    _files(routes, service)
    _models(routes, service)
    return routes


def _videos(routes: APIRouter, service: Service) -> None:
    @routes.post(
        "/v1/videos/edits",
        summary="Edit a clip",
        tags=["videos"],
        openapi_extra=examples.EDIT,
        responses=examples.VIDEO,
    )
    async def edit(request: Request) -> Response:
        """A clip (uploaded, by URL, or one made here) and what should be different."""
        body = await read_body(request)
        if not body.get("video"):
            raise InvalidRequest('video is missing; upload a clip or name one: {"id": "video_..."}.', "video")
        return await submit(service, request, _like_parent(body, await _named_parent(service, request, body)))

    @routes.post(
        "/v1/videos/extensions",
        summary="Extend a clip",
        tags=["videos"],
        openapi_extra=examples.EXTENSION,
        responses=examples.VIDEO,
    )
    async def extend(request: Request) -> Response:
        """Go on from a clip's last frame for `seconds` more."""
        body = await read_body(request)
        source = body.get("video")
        if not source:
            raise InvalidRequest('video is missing; upload a clip or name one: {"id": "video_..."}.', "video")
        parent = await _named_parent(service, request, body)
        source_s = float(parent.request["seconds"]) if parent else 0.0

        def go_on(key: Key, wanted: dict[str, Any]) -> dict[str, Any]:
            clip = service.media(key, source, "video")
            frame = service.media(key, links.frame_png(clip.read_bytes()), "image")
            return {**wanted, "image": frame, "extra": {"continues": str(clip)}}

        fields = {k: v for k, v in _like_parent(body, parent).items() if k != "video"}
        return await submit(service, request, fields, go_on, parent, {"source_seconds": source_s})

    @routes.post(
        "/v1/videos/{video_id}/remix",
        summary="Remix a video",
        tags=["videos"],
        openapi_extra=examples.REMIX,
        responses=examples.VIDEO,
    )
    async def remix(video_id: str, request: Request) -> Response:
        """A finished video made anew with another prompt: an edit whose source is that video."""
        body = await read_body(request)
        parent = await as_caller(service, request, lambda key: service.get(key, video_id))
        fields = {**_like_parent(body, parent), "video": {"id": video_id}}
        return await submit(service, request, fields, None, parent)


async def _named_parent(service: Service, request: Request, body: Mapping[str, Any]) -> Job | None:
    """The job behind `"video": {"id": "video_..."}`; None for an upload or a URL."""
    source = body.get("video")
    name = source.get("id") if isinstance(source, dict) else source
    if not isinstance(name, str) or not name.startswith("video_"):
        return None
    return await as_caller(service, request, lambda key: service.get(key, name))


def _like_parent(body: Mapping[str, Any], parent: Job | None) -> dict[str, Any]:
    """A body that names neither model, size nor length takes them from the video it builds on."""
    out = dict(body)
    if parent is None:
        return out
    out.setdefault("model", parent.model)
    for name in ("size", "ratio", "seconds"):
        out.setdefault(name, parent.request[name])
    return out


def _files(routes: APIRouter, service: Service) -> None:
    @routes.post(
        "/v1/files", summary="Upload a file", tags=["files"], openapi_extra=examples.FILE, responses=examples.FILES
    )
    async def upload(request: Request) -> Response:
        """Checked and re-encoded now, so that a bad file is refused here. Kept for two days. `kind` is sniffed."""
        body = await read_body(request)
        if "content" in body and "file" not in body:  # Replicate's clients use the same path
            return await replicate.keep_file(service, request, body)
        file: Any = body.get("file")
        if getattr(file, "file", None) is None:
            raise InvalidRequest("file is missing; send multipart/form-data with a part named file.", "file")
        kind = text_of(body, "kind")
        wanted = as_kind(kind) if kind else None
        header = request.headers.get("authorization")

        def work() -> Upload:
            return service.upload(service.authenticate(header), file.file, file.filename or "upload", wanted)

        return JSONResponse(_file(await in_thread(work, limiter=service.ingest_slots)))

    @routes.get("/v1/files", summary="List uploads", tags=["files"])
    async def list_files(request: Request) -> Response:
        """The tenant's uploads, newest first."""
        found = await as_caller(service, request, lambda key: service.uploads.list(key.tenant))
        return JSONResponse({"object": "list", "data": [_file(u) for u in found], "has_more": False})

    @routes.get("/v1/files/{file_id}", summary="Get an upload", tags=["files"])
    async def get_file(file_id: str, request: Request) -> Response:
        """What an upload is: kind, size, length."""
        return JSONResponse(_file(await as_caller(service, request, lambda key: service.uploaded(key, file_id))))

    @routes.delete("/v1/files/{file_id}", summary="Delete an upload", tags=["files"])
    async def delete_file(file_id: str, request: Request) -> Response:
        """Gone at once; jobs that already run keep their copy open."""
        await as_caller(service, request, lambda key: service.uploads.delete(key.tenant, file_id))
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})


def _file(upload: Upload) -> dict[str, Any]:
    facts = {name: upload.facts.get(name) for name in ("width", "height", "duration_s", "sha256")}
    return {
        "id": upload.id,
        "object": "file",
        "bytes": upload.bytes,
        "created_at": int(upload.created_at),
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": "processed",
        "kind": upload.kind,
        **facts,
    }


def _models(routes: APIRouter, service: Service) -> None:
    def shown(name: str) -> dict[str, Any]:
        model = service.model(name)
        ended = model.sunset is not None and model.sunset <= time.strftime("%Y-%m-%d", time.gmtime())
        why = f"It ended on {model.sunset}." if ended else None
        try:
            service.model_to_run(name)
        except NotInstalled as error:
            why = str(error)
        return {
            "id": name,
            "object": "model",
            "created": 1782086400,  # 2026-06-22: the class of model that this server stands in for
            "owned_by": "muybridge",
            "shutdown_date": model.sunset,
            "model_actual": model.actual,
            "successor": model.successor,
            "available": why is None,
            "why_not": why,
        }

    @routes.get("/v1/models", summary="List models", tags=["models"], responses=examples.MODELS)
    async def models(request: Request) -> Response:
        """What is served here, and the OpenAI names that stand for it; where jobs are routed, also what providers with
        an account here sell today. `shutdown_date` as OpenAI gives it; `available` and `why_not` are extensions."""

        def read(key: Key) -> list[dict[str, Any]]:
            key.need("videos:read")
            return [shown(name) for name in listed(service.limits.models)]

        return JSONResponse({"object": "list", "data": await as_caller(service, request, read)})

    @routes.get("/v1/models/{name:path}", summary="Get a model", tags=["models"])
    async def model(name: str, request: Request) -> Response:
        """One name, alias or served model."""
        await as_caller(service, request, lambda key: key.need("videos:read"))
        return JSONResponse(await in_thread(shown, name), headers=service.model(name).headers())
