"""Around every request: an id, a body cap, timing, safe headers, and who is meant where two protocols share a path.

Plain ASGI rather than Starlette's BaseHTTPMiddleware: that one costs a task and a queue per request and breaks streams.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muybridge.api.ids import is_uuid
from muybridge.api.limits import Limits
from muybridge.api.metrics import Metrics
from muybridge.errors import InvalidRequest

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,100}\Z")
TOO_LARGE = "The body is larger than this server accepts; upload large files one by one, or pass an https URL."
SMALL_BYTES = 1024 * 1024  # JSON up to this size is not counted; without a Content-Length it is the cap
BODY_PATIENCE_S = 30.0  # for a large JSON body to arrive: it holds memory that others wait for


class BodyTooLarge(InvalidRequest):
    """Raised out of `receive` when more than the cap arrives; every face shows it as 413 in its own shape."""

    http_status = 413


class Edge:
    """The outermost layer."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        limits: Limits,
        direct: Mapping[tuple[str, str], ASGIApp],
        xai: bool = True,
    ) -> None:
        self.app, self.metrics, self.limits, self.direct, self.xai = app, metrics, limits, direct, xai
        self.memory = Memory(limits.max_json_memory_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; lifespan and other scopes pass untouched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if _REQUEST_ID.match(given) else b"req_" + secrets.token_hex(12).encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                took_ms = b"%d" % round((time.perf_counter() - started) * 1000)
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", request_id),
                    (b"openai-processing-ms", took_ms),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            is_json = headers.get(b"content-type", b"").startswith(b"application/json")
            length = _length(headers)
            if length > (self.limits.max_json_bytes if is_json else self.limits.max_body_bytes):
                raise BodyTooLarge(TOO_LARGE)
            if not is_json or length <= SMALL_BYTES:
                cap = min(SMALL_BYTES, self.limits.max_json_bytes) if is_json else self.limits.max_body_bytes
                await self._serve(scope, headers, _capped(receive, cap), send_with_headers)
            else:
                async with self.memory.hold(length):
                    await self._serve(scope, headers, _capped(receive, length, BODY_PATIENCE_S), send_with_headers)
        except BodyTooLarge:
            if not status:
                await self._refuse_body(send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self.metrics.observe(scope["method"][:10], route, status, time.perf_counter() - started)

    async def _serve(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        if self.xai:
            receive = await send_to_twin(scope, headers, receive)
        app = self.direct.get((scope["method"], scope["path"]), self.app)
        await app(scope, receive, send)

    async def _refuse_body(self, send: Send) -> None:
        error = {"message": TOO_LARGE, "type": "invalid_request_error", "param": None, "code": "body_too_large"}
        body = json.dumps({"error": error}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Memory:
    """Bytes for bodies that are read whole. Who does not fit waits, and is not read meanwhile (TCP holds it back)."""

    def __init__(self, total_bytes: int) -> None:
        self.free_bytes = total_bytes
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, num_bytes: int) -> AsyncIterator[None]:
        """Reserve memory for one body, until its answer has been given."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.free_bytes >= num_bytes)
            self.free_bytes -= num_bytes
        try:
            yield
        finally:
            async with self._changed:
                self.free_bytes += num_bytes
                self._changed.notify_all()


def _capped(receive: Receive, max_bytes: int, patience_s: float | None = None) -> Receive:
    """`receive`, which refuses more than `max_bytes` and, if told, a body that takes too long to come."""
    seen, done = 0, False
    deadline = None if patience_s is None else time.monotonic() + patience_s

    async def capped() -> Message:
        nonlocal seen, done
        if deadline is None or done:
            message = await receive()
        else:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise BodyTooLarge("The body took too long to arrive; upload large files as multipart parts.") from None
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            done = not message.get("more_body")
            if seen > max_bytes:
                raise BodyTooLarge(TOO_LARGE)
        return message

    return capped


def _length(headers: dict[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 16 else 0  # the server core has refused malformed lengths


async def send_to_twin(scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
    """Rewrite the path to `/xai/...` where an OpenAI path is called the xAI way (facts: apis 2); the new `receive`.

    A UUID is an xAI id; an edit or extension with a top-level `model` and a `video.url` is an xAI body.
    """
    path: str = scope["path"]
    if scope["method"] == "GET" and path.startswith("/v1/videos/") and is_uuid(path.removeprefix("/v1/videos/")):
        _rewrite(scope, "/xai" + path)
    elif (
        scope["method"] == "POST"
        and path in ("/v1/videos/edits", "/v1/videos/extensions")
        and headers.get(b"content-type", b"").startswith(b"application/json")
    ):
        body = await _whole_body(receive)
        if is_xai_body(body):
            _rewrite(scope, "/xai" + path)
        return _replay(body, receive)
    return receive


def is_xai_body(body: bytes) -> bool:
    """Whether a JSON edit or extension is in xAI's shape."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False
    video = value.get("video") if isinstance(value, dict) else None
    return isinstance(video, dict) and "url" in video and "model" in value


def _rewrite(scope: Scope, path: str) -> None:
    scope["path"] = path
    scope["raw_path"] = path.encode()


async def _whole_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
