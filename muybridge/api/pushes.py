"""Where providers tell of jobs that we bought from them: POST /pushes/{attempt}/{token}, without an API key.

Only addresses that a submit of ours handed out exist (`providers.pushes`); all others are 404.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api.face import in_thread, protocol_route
from muybridge.api.video import render
from muybridge.errors import InvalidRequest, NotFound
from muybridge.providers import pushes

if TYPE_CHECKING:
    from muybridge.api.service import Service
    from muybridge.providers.attempts import Dispatch

__all__ = ["render", "router"]
MAX_BYTES = 1 << 20


class Receiver:
    """Takes pushes. Opens the accounts and the attempts with the first real one."""

    def __init__(self, service: Service, signatures: pushes.Signatures | None = None) -> None:
        self.service, self.signatures = service, signatures or pushes.Signatures()
        self._dispatch: Dispatch | None = None
        self._lock = threading.Lock()

    def take(self, attempt_id: str, token: str, headers: dict[str, str], raw: bytes) -> bool:
        """Pass a push on; True: it named a job that was lost. Raises NotFound, AuthFailed, InvalidRequest."""
        if not pushes.is_ours(self.service.link_secret.decode(), attempt_id, token):
            raise NotFound("There is nothing here.")
        dispatch = self._open()
        attempt = dispatch.ledger.attempt(attempt_id)
        if attempt is None or attempt.lane not in dispatch.providers:
            return False  # an old attempt, or of an account that is gone
        self.signatures.check(dispatch.providers[attempt.lane].name, headers, raw)
        body = pushes.body_of(raw)
        if body is None:
            raise InvalidRequest("A push is a JSON object.")
        return dispatch.pushed(attempt_id, body)

    def _open(self) -> Dispatch:
        with self._lock:
            if self._dispatch is None:
                from muybridge.providers import remote, routing  # late: the catalogue is read only when it is needed

                self._dispatch = remote.open_dispatch(routing.routing(), self.service.store.database.url)
            return self._dispatch


def router(service: Service) -> APIRouter:
    """The one route."""
    routes = APIRouter(route_class=protocol_route(render))
    receiver = Receiver(service)
    service.pushes = receiver

    @routes.post("/pushes/{attempt_id}/{token}", include_in_schema=False)
    async def push(attempt_id: str, token: str, request: Request) -> Response:
        raw = bytearray()
        async for piece in request.stream():
            raw += piece
            if len(raw) > MAX_BYTES:
                raise InvalidRequest(f"A push has at most {MAX_BYTES} bytes.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        await in_thread(receiver.take, attempt_id, token, headers, bytes(raw))
        return JSONResponse({"received": True})

    return routes
