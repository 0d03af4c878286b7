"""Uploads whose address is given out before the bytes arrive: signed tickets, and an address that names its file.

DashScope (`oss://`), Runway (`runway://`) and fal (a CDN url) announce a file first and then send it to another address
without the API key. The ticket carries the right to do so: its claims under HMAC-SHA256, with an end. The id of the
file follows from its address, so no table stands between them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import io
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from starlette.datastructures import UploadFile

from muybridge.api import face
from muybridge.api.keys import Key
from muybridge.api.wire import map_sources
from muybridge.errors import InvalidRequest, PermissionDenied, Throttled

if TYPE_CHECKING:
    from muybridge.api.service import Service


PATIENCE_S = 60.0


@dataclass(frozen=True)
class Ticket:
    """The right to put files under `folder`, for one tenant, until `expires_at` (unix seconds)."""

    tenant: str
    key_id: str
    folder: str
    expires_at: int

    @property
    def key(self) -> Key:
        """The caller that the ticket stands for; it may write and no more."""
        return Key(self.key_id, self.tenant, "upload ticket", frozenset({"videos:write"}))


def mint(service: Service, key: Key, folder: str, ttl_s: float) -> str:
    """A ticket as text: base64url claims, a dot, a hex signature."""
    key.need("videos:write")
    claims = asdict(Ticket(key.tenant, key.id, folder, int(time.time() + ttl_s)))
    body = base64.urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode()).decode()
    return f"{body}.{_signature(service, body)}"


def read(service: Service, text: str) -> Ticket:
    """The ticket behind a text. Raises PermissionDenied when it was not made here or is past its end."""
    body, _, signature = text.rpartition(".")
    if not hmac.compare_digest(_signature(service, body).encode(), signature.encode()):
        raise PermissionDenied("The upload ticket is not valid; ask for a new one.")
    try:
        ticket = Ticket(**json.loads(base64.urlsafe_b64decode(body)))
    except (binascii.Error, ValueError, TypeError):
        raise PermissionDenied("The upload ticket is not readable; ask for a new one.") from None
    if ticket.expires_at < time.time():
        raise PermissionDenied("The upload ticket has expired; ask for a new one.")
    return ticket


def _signature(service: Service, body: str) -> str:
    return hmac.new(service.link_secret, b"upload ticket\n" + body.encode(), hashlib.sha256).hexdigest()


def file_id(address: str) -> str:
    """The upload id behind an address that was announced by a ticket."""
    return f"file-{hashlib.sha256(address.encode()).hexdigest()[:32]}"


async def receive(service: Service, ticket: Ticket, upload_id: str, file: object, name: str = "file") -> None:
    """Check, re-encode and keep a file under an id. `file` is a form's file, bytes or a path.

    Raises MediaInvalid, and InvalidRequest when there is no file.
    """
    if isinstance(file, UploadFile):
        source: BinaryIO = file.file
        name = file.filename or name
    elif isinstance(file, bytes) and file:
        source = io.BytesIO(file)
    elif isinstance(file, Path):
        source = file.open("rb")
    else:
        raise InvalidRequest("The upload has no file.", "file")

    def keep() -> None:
        source.seek(0)
        service.upload(ticket.key, source, name, file_id=upload_id)

    with source:
        await _patiently(lambda: face.in_thread(keep, limiter=service.ingest_slots))


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    """Wait for a slot rather than answer 429: clients send files in parallel and never repeat them."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await work()
        except Throttled:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)


def resolved(request: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """`request` with every source that starts with `prefix` replaced by its upload id."""
    return map_sources(request, lambda source: file_id(source) if source.startswith(prefix) else source)
