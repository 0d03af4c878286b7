"""Signed links to results: `/media/{job}/{variant}.{ext}?exp=&sig=`. They need no key, expire, die with their job."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import mimetypes
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from muybridge.api import ids
from muybridge.api.face import in_thread, protocol_route
from muybridge.api.video import render
from muybridge.errors import NotFound
from muybridge.jobs import inputs
from muybridge.jobs.job import INPUTS, Artifact

if TYPE_CHECKING:
    from muybridge.api.service import Service

EXTENSIONS = {
    "video/mp4": "mp4", "image/webp": "webp", "image/jpeg": "jpg", "image/png": "png", "audio/wav": "wav",
    "audio/x-wav": "wav", "audio/mp4": "m4a", "audio/mpeg": "mp3",
}  # fmt: skip
_PATH = re.compile(r"/media/([0-9A-Z]{26})/([a-z0-9_]{1,40})\.([a-z0-9]{1,5})\Z")


class Link(NamedTuple):
    """What a valid link stands for."""

    job_id: str
    variant: str


def sign(secret: bytes, job_id: str, variant: str, until: int, mime: str) -> str:
    """Path and query of a link to one artifact, good until a unix time."""
    path = f"/media/{job_id}/{variant}.{EXTENSIONS.get(mime, 'bin')}"
    return f"{path}?exp={until}&sig={_signature(secret, job_id, variant, until)}"


def read(secret: bytes, url: str) -> Link | None:
    """The job and variant of one of our own links, wherever its host points; None when it is not one or has expired."""
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        until, given = int(query["exp"][0]), query["sig"][0]
    except (KeyError, ValueError):
        return None
    match = _PATH.fullmatch(parts.path)
    if match is None or until < time.time() or not given.isascii():
        return None
    job_id, variant = match.group(1), match.group(2)
    return Link(job_id, variant) if hmac.compare_digest(given, _signature(secret, job_id, variant, until)) else None


def _signature(secret: bytes, job_id: str, variant: str, until: int) -> str:
    return hmac.new(secret, f"{job_id}/{variant}/{until}".encode(), hashlib.sha256).hexdigest()[:40]


async def content(service: Service, job_id: str, artifact: Artifact, request: Request) -> Response:
    """An artifact as an answer to GET or HEAD: `Range` (one range), `ETag`, a file name; browsers do not render it."""
    size = await in_thread(service.artifacts.size, artifact.key)
    etag = f'"{artifact.sha256[:32]}"'
    extension = EXTENSIONS.get(artifact.mime, "bin")
    headers = {
        "accept-ranges": "bytes",
        "etag": etag,
        "cache-control": "private, max-age=3600",
        "content-disposition": f'attachment; filename="{ids.public_id(job_id, "native")}-{artifact.kind}.{extension}"',
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range")
    if request.headers.get("if-range", etag) != etag:
        asked = None
    span = byte_range(asked, size) if asked else (0, size)
    if span is None:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
    start, end = span
    partial = asked is not None
    headers["content-length"] = str(end - start)
    if partial:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    status = 206 if partial else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=artifact.mime)
    pieces = await in_thread(service.artifacts.open_range, artifact.key, start, end)
    return StreamingResponse(pieces, status, headers, artifact.mime)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """[start, end) of a Range header (RFC 9110 14.1.2); None when it cannot be satisfied. Several: the whole file."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip())
    if match is None or match.group(0) == "bytes=-":
        return 0, size
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    return (start, end) if start < end else (None if start >= size else (0, size))


def frame_png(clip: bytes, first: bool = False) -> bytes:
    """The last (or first) frame of an MP4 of our own making, as PNG."""
    from muybridge.media import ClipReader, write_image  # loads PyAV: only when it is needed

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "clip.mp4", Path(folder) / "last.png"
        source.write_bytes(clip)
        reader = ClipReader(source, sound=False)
        frame_YXC = None
        for frame_YXC in itertools.islice(reader.frames(), 1 if first else None):  # noqa: B007  (the last one counts)
            pass
        reader.close()
        if frame_YXC is None:
            raise NotFound("The clip has no frames.")
        write_image(target, frame_YXC)
        return target.read_bytes()


def router(service: Service) -> APIRouter:
    """GET and HEAD of signed links."""
    routes = APIRouter(route_class=protocol_route(render), tags=["results"])

    @routes.get("/media/{job_id}/{name}", summary="A result by its signed link")
    @routes.head("/media/{job_id}/{name}", include_in_schema=False)
    async def media(job_id: str, name: str, request: Request) -> Response:
        """No API key: the link carries the right. 404 once it has expired, or its job is gone."""
        link = read(service.link_secret, f"/media/{job_id}/{name}?{request.url.query}")
        if link is None:
            raise NotFound("This link is not valid or has expired; ask for the job again to get a new one.")
        job = await in_thread(service.store.get, link.job_id)
        return await content(service, job.id, service.artifact(job, link.variant), request)

    @routes.get("/inputs/{job_id}/{slot}", include_in_schema=False)
    @routes.head("/inputs/{job_id}/{slot}", include_in_schema=False)
    async def given(job_id: str, slot: str, request: Request, exp: int = 0, sig: str = "") -> Response:
        """An input of a job, for the provider that was asked to work on it."""
        if not inputs.is_valid(service.link_secret.decode(), job_id, slot, exp, sig, time.time()):
            raise NotFound("This link is not valid or has expired.")
        job = await in_thread(service.store.get, job_id)
        path = inputs.slot_of(job.request, slot) or ""
        root = service.uploads.root.resolve()
        mime = mimetypes.guess_type(path)[0] or "application/octet-stream"
        whole = Path(path).resolve()
        if whole.is_relative_to(root) and whole.is_file():
            return FileResponse(whole, media_type=mime)
        kept = (job.metadata.get(INPUTS) or {}).get(path)
        if kept is None:
            raise NotFound("This input is gone.")
        return await content(service, job.id, Artifact("input", kept["key"], mime, 0, kept["sha256"]), request)

    return routes
