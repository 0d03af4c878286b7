"""fal's file uploads: a CDN token and raw upload, the multipart way for large files, and the `initiate` + PUT way.

Facts: apis 4.4. Every address given out ends in `/fal/cdn/files/<32 hex>/<name>`; the hex is the upload id, so a
source url needs no fetch.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import face, tickets, wire
from muybridge.api.limits import DAY_S
from muybridge.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from muybridge.api.service import Service

TOKEN_TTL_S = 3600
MAX_PARTS = 10_000
_ADDRESS = re.compile(r"https?://[^/]+/fal/cdn/files/([0-9a-f]{32})/[^/]*\Z")
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def resolved(request: Mapping[str, Any]) -> dict[str, Any]:
    """`request` with every address of this CDN replaced by its upload id."""
    return wire.map_sources(request, lambda s: f"file-{m.group(1)}" if (m := _ADDRESS.match(s)) else s)


def safe_name(name: str | None) -> str:
    """A file name as it may stand in an address."""
    return _NAME.sub("_", name or "")[-80:].lstrip(".") or "file"


def add_routes(api: APIRouter, service: Service) -> None:
    """The upload routes, onto fal's router (prefix /fal)."""
    parts = Parts(service.config.data / "parts", service.limits.max_video_bytes)

    def cdn(http: Request) -> str:
        return f"{face.base_url(http, service.config.public_url)}/fal/cdn"

    def bearer(http: Request) -> tickets.Ticket:
        return tickets.read(service, http.headers.get("authorization", "").removeprefix("Bearer "))

    async def keep(ticket: tickets.Ticket, number: str, name: str) -> None:
        """All parts that came, as one upload."""
        try:
            file = await face.in_thread(parts.join, number)
            await tickets.receive(service, ticket, f"file-{number}", file, name)
        finally:
            await face.in_thread(parts.drop, number)

    async def keep_body(ticket: tickets.Ticket, number: str, http: Request, name: str) -> None:
        await parts.receive(number, 1, http)
        await keep(ticket, number, name)

    @api.post("/rest/storage/auth/token", summary="Get an upload token")
    async def token(http: Request) -> Response:
        key = await wire.caller(service, http, "Key")
        ticket = tickets.mint(service, key, "fal", TOKEN_TTL_S)
        ends = datetime.fromtimestamp(tickets.read(service, ticket).expires_at, UTC).isoformat()
        return JSONResponse({"token": ticket, "token_type": "Bearer", "base_url": cdn(http), "expires_at": ends})

    @api.post("/cdn/files/upload", summary="Upload a file")
    async def upload(http: Request) -> Response:
        ticket, number, name = bearer(http), uuid.uuid4().hex, safe_name(http.headers.get("x-fal-file-name"))
        await keep_body(ticket, number, http, name)
        return JSONResponse({"access_url": f"{cdn(http)}/files/{number}/{name}"})

    @api.post("/rest/storage/upload/initiate", summary="Get an address to send a file to")
    @api.post("/rest/storage/upload/initiate-multipart", include_in_schema=False)
    async def initiate(http: Request) -> Response:
        key = await wire.caller(service, http, "Key")
        name = safe_name(wire.field(await face.read_body(http), "file_name", str, "file"))
        number = uuid.uuid4().hex
        ticket = tickets.mint(service, key, number, TOKEN_TTL_S)
        url = f"{cdn(http)}/upload/{number}?name={name}&ticket={ticket}"
        return JSONResponse({"upload_url": url, "file_url": f"{cdn(http)}/files/{number}/{name}"})

    def granted(number: str, text: str) -> tickets.Ticket:
        ticket = tickets.read(service, text)
        if ticket.folder != number:
            raise NotFound(f"Upload {number[:80]!r} not found")
        return ticket

    @api.put("/cdn/upload/{number}", summary="Send the file of an initiated upload")
    async def send(number: str, http: Request, ticket: str = "", name: str = "file") -> Response:
        await keep_body(granted(number, ticket), number, http, safe_name(name))
        return Response(status_code=200)

    @api.put("/cdn/upload/{number}/{part}", summary="Send one part of an initiated upload")
    async def send_part(number: str, part: int, http: Request, ticket: str = "") -> Response:
        granted(number, ticket)
        return await parts.receive(number, part, http)

    @api.post("/cdn/upload/{number}/complete", summary="Put the parts of an initiated upload together")
    async def complete_initiated(number: str, ticket: str = "", name: str = "file") -> Response:
        await keep(granted(number, ticket), number, safe_name(name))
        return JSONResponse({})

    @api.post("/cdn/files/upload/multipart", summary="Start a multipart upload")
    async def start(http: Request) -> Response:
        bearer(http)
        number, name = uuid.uuid4().hex, safe_name(http.headers.get("x-fal-file-name"))
        return JSONResponse({"access_url": f"{cdn(http)}/files/{number}/{name}", "uploadId": number})

    @api.put("/cdn/files/{number}/{name}/multipart/{upload_id}/{part}", summary="Send one part")
    async def multipart_part(number: str, upload_id: str, part: int, http: Request) -> Response:
        bearer(http)
        return await parts.receive(_same(number, upload_id), part, http)

    @api.post("/cdn/files/{number}/{name}/multipart/{upload_id}/complete", summary="Put the parts together")
    async def complete(number: str, name: str, upload_id: str, http: Request) -> Response:
        await keep(bearer(http), _same(number, upload_id), safe_name(name))
        return JSONResponse({"access_url": f"{cdn(http)}/files/{number}/{safe_name(name)}"})


def _same(number: str, upload_id: str) -> str:
    if number != upload_id:
        raise NotFound(f"Upload {upload_id[:80]!r} not found")
    return number


class Parts:
    """Parts of uploads that are under way, as files `<root>/<number>/<part>`; a day-old rest is swept."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.root, self.max_bytes = root, max_bytes

    async def receive(self, number: str, part: int, http: Request) -> Response:
        """Keep one part; answers its ETag both ways that clients read it."""
        if not re.fullmatch(r"[0-9a-f]{32}", number) or not 1 <= part <= MAX_PARTS:
            raise InvalidRequest(
                f"Part {part} of upload {number[:40]!r} cannot be; parts are 1 to {MAX_PARTS}.", "part"
            )
        folder = self.root / number
        folder.mkdir(parents=True, exist_ok=True)
        size = sum(p.stat().st_size for p in folder.iterdir() if p.name != str(part))
        digest = hashlib.md5(usedforsecurity=False)
        with (folder / str(part)).open("wb") as out:  # straight to disk: parts are large and come in parallel
            async for piece in http.stream():
                size += len(piece)
                if size > self.max_bytes:
                    raise InvalidRequest(f"The upload is larger than {self.max_bytes} bytes.", "file")
                digest.update(piece)
                out.write(piece)
        etag = digest.hexdigest()
        return JSONResponse({"partNumber": part, "etag": etag}, headers={"etag": f'"{etag}"'})

    def join(self, number: str) -> Path:
        """All parts in order as one file. Raises NotFound when there are none."""
        folder = self.root / number
        there = folder.iterdir() if number.isalnum() and folder.is_dir() else ()
        found = sorted(int(p.name) for p in there if p.name != "0")
        if not found:
            raise NotFound(f"Upload {number[:80]!r} has no parts")
        with (folder / "0").open("wb") as out:
            for part in found:
                with (folder / str(part)).open("rb") as piece:
                    shutil.copyfileobj(piece, out)
        return folder / "0"

    def drop(self, number: str) -> None:
        """Remove the parts of an upload, and what others left lying for a day."""
        if number.isalnum():
            shutil.rmtree(self.root / number, ignore_errors=True)
        for folder in self.root.glob("*"):
            with suppress(FileNotFoundError):
                if folder.stat().st_mtime < time.time() - DAY_S:
                    shutil.rmtree(folder, ignore_errors=True)
