"""Characters of the OpenAI Videos API: somebody seen in a short clip, kept by name, used as a reference picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import examples, links
from muybridge.api.face import as_caller, in_thread, protocol_route, read_body, text_of
from muybridge.api.uploads import Upload
from muybridge.api.video import render
from muybridge.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service

__all__ = ["render", "router"]

PURPOSE = "character"  # uploads of this purpose do not expire


def router(service: Service) -> APIRouter:
    """POST /v1/videos/characters and GET of one."""
    routes = APIRouter(route_class=protocol_route(render), tags=["videos"])

    @routes.post("/v1/videos/characters", summary="Keep a character", openapi_extra=examples.CHARACTER)
    async def create(request: Request) -> Response:
        """The first frame of the clip becomes a reference picture that prompts call by this name."""
        body = await read_body(request)
        header = request.headers.get("authorization")
        kept = await in_thread(lambda: keep(service, service.authenticate(header), body), limiter=service.ingest_slots)
        return JSONResponse(_shown(kept))

    @routes.get("/v1/videos/characters/{character_id}", summary="Get a character")
    async def get(character_id: str, request: Request) -> Response:
        """Its name and when it was made."""
        return JSONResponse(_shown(await as_caller(service, request, lambda key: find(service, key, character_id))))

    return routes


def keep(service: Service, key: Key, body: Mapping[str, Any]) -> Upload:
    """A new character out of `name` and `video`. Raises InvalidRequest, and what `Service.media` raises."""
    name = text_of(dict(body), "name")
    if not name or not name.strip() or len(name) > 100:
        raise InvalidRequest("name is missing or longer than 100 characters; prompts call the character by it.", "name")
    if not body.get("video"):
        raise InvalidRequest("video is missing; send a short clip that shows the character.", "video")
    clip = service.media(key, body["video"], "video")
    picture = links.frame_png(clip.read_bytes(), first=True)
    return service.uploads.add(key.tenant, io.BytesIO(picture), name, "image", len(picture), purpose=PURPOSE)


def find(service: Service, key: Key, character_id: str) -> Upload:
    """A tenant's character. Raises NotFound."""
    key.need("videos:read")
    try:
        found = service.uploads.get(key.tenant, "file-" + character_id.removeprefix("char_"))
    except NotFound:
        found = None
    if found is None or found.purpose != PURPOSE or not character_id.startswith("char_"):
        raise NotFound(f"Character with id '{character_id[:80]}' not found.")
    return found


def references(service: Service, key: Key, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The references that `characters: [{"id"}]` of a create body stand for."""
    given = body.get("characters") or []
    if not isinstance(given, list):
        raise InvalidRequest("characters must be a list of objects with an id.", "characters")
    out = []
    for item in given:
        name = item.get("id") if isinstance(item, Mapping) else item
        if not isinstance(name, str):
            raise InvalidRequest("Each of characters needs an id: char_...", "characters")
        found = find(service, key, name)
        out.append({"image": found.path, "name": found.filename})
    return out


def _shown(upload: Upload) -> dict[str, Any]:
    shown = {"id": "char_" + upload.id.removeprefix("file-"), "object": "character", "name": upload.filename}
    return {**shown, "created_at": int(upload.created_at)}
