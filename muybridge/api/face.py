"""What every protocol face needs: its own error shape around each route, the body, threads, public addresses."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from muybridge.errors import InvalidRequest, MuybridgeError, NotFound, Throttled

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service

log = logging.getLogger("muybridge.api")
T = TypeVar("T")

# Our error classes as HTTP statuses (facts: apis 19.2); a face whose protocol differs keeps its own table.
STATUS: dict[str, int] = {
    "invalid_input": 400,
    "media_invalid": 400,
    "media_fetch": 400,
    "moderation_input": 400,
    "out_of_memory": 400,
    "not_installed": 501,
    "weights_invalid": 503,
    "auth": 401,
    "permission": 403,
    "quota": 429,
    "rate": 429,
    "not_found": 404,
    "conflict": 409,
    "model_retired": 410,
    "capacity": 503,
    "timeout": 504,
}

Render = Callable[[MuybridgeError, Request], Response]


def status_of(error: MuybridgeError) -> int:
    """The HTTP status of an error; 500 for our own faults. `error.http_status` wins where one was set."""
    return getattr(error, "http_status", None) or STATUS.get(error.code, 500)


def protocol_route(render: Render) -> type[APIRoute]:
    """A route class for `APIRouter(route_class=...)`: whatever a handler raises leaves in the protocol's own shape."""

    class ProtocolRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Any]:
            handle = super().get_route_handler()

            return guarded(handle, render)

    return ProtocolRoute


def guarded(handle: Callable[[Request], Awaitable[Response]], render: Render) -> Callable[[Request], Any]:
    """`handle`, with whatever it raises rendered in the protocol's shape."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except (ClientDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:  # the last line of defence: no traceback leaves the process
            shown = render(known(error, request), request)
            if isinstance(error, Throttled):
                shown.headers.setdefault("retry-after", str(max(1, round(error.retry_after_s))))
            forget_frames(error)
            return shown
        finally:
            await request.close()  # the files of a form that `read_body` parsed

    return answer


def forget_frames(error: BaseException | None) -> None:
    """Cut an answered error and its causes off the frames they came through.

    A future, its exception and the frame that awaited it form a cycle; without this a refused body of many megabytes
    stays until the garbage collector comes by.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def direct(handle: Callable[[Request], Awaitable[Response]], render: Render, path: str) -> ASGIApp:
    """A handler as a bare ASGI application, for a path that is called a thousand times a second.

    It does what the framework would do with a route that takes only the request; the framework's own way there costs
    about as much again as the work itself (bench/api.py submit).
    """
    answer = guarded(handle, render)
    route = SimpleNamespace(path=path)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = route  # what metrics count by
        response = await answer(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


def known(error: Exception, request: Request) -> MuybridgeError:
    """Any exception as one of ours; an unexpected one is logged whole and shown without its text."""
    if isinstance(error, MuybridgeError):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"] if p not in ("body", "query", "path"))
        return InvalidRequest(f"{where or 'The request'}: {first['msg']}.", where or None)
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return NotFound(str(error.detail))
        if error.status_code < 500:
            return InvalidRequest(str(error.detail))
    log.exception("request %s failed", getattr(request.state, "request_id", "?"))
    return MuybridgeError("The server failed while it handled this request; nothing was charged. Try again.")


async def in_thread(call: Callable[..., T], *args: object, limiter: CapacityLimiter | None = None) -> T:
    """Run a synchronous service call off the event loop; `limiter` (Service.ingest_slots) for fetches and decoding."""
    return await to_thread.run_sync(lambda: call(*args), limiter=limiter)


async def as_caller(service: Service, request: Request, work: Callable[[Key], T]) -> T:
    """Authenticate and do `work` in one hop to a thread: neither may block the event loop."""
    header = request.headers.get("authorization")
    return await in_thread(lambda: work(service.authenticate(header)))


async def read_body(request: Request) -> dict[str, Any]:
    """The body of a submit as a dict: JSON, or multipart/urlencoded form (files stay `UploadFile`).

    Form names like `characters[][id]` or `input_reference[file_id]` are unfolded. An empty body is {}. Raises
    InvalidRequest when it is not an object.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        form = await request.form(max_files=16, max_fields=200, max_part_size=64 * 1024 * 1024)
        return unfold(list(form.multi_items()))
    raw = b"".join([piece async for piece in request.stream()])  # `request.body()` would keep a copy
    if not raw:
        return {}
    try:
        value = json.loads(raw, parse_constant=_not_json, parse_float=_finite)
        if b"\\u" in raw or b"\xed" in raw:  # only these can hide half a surrogate pair, which no answer could repeat
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The body is not JSON: {error}. Send an object, or multipart/form-data.") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"The body must be a JSON object, not {type(value).__name__}.")
    return value


def _not_json(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_json(text[:40])  # 1e999


def unfold(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Form fields as nested values: `a[b]=1` is {"a": {"b": 1}}, `a[]=1` {"a": [1]}, `a[][id]=1` {"a": [{"id": 1}]}."""
    out: dict[str, Any] = {}
    for name, value in items:
        head, *rest = name.replace("]", "").split("[")
        if not rest:
            if head in out:  # a repeated plain field is a list
                out[head] = [*out[head], value] if isinstance(out[head], list) else [out[head], value]
            else:
                out[head] = value
        elif rest[0] == "" or rest[0].isdigit():
            group = out.setdefault(head, [])
            if not isinstance(group, list):
                raise InvalidRequest(f"The form field {name!r} mixes a list with something else.", head)
            if len(rest) == 1:
                group.append(value)
            elif (rest[0] == "" and (not group or not isinstance(group[-1], dict) or rest[1] in group[-1])) or (
                rest[0].isdigit() and int(rest[0]) == len(group)
            ):
                group.append({rest[1]: value})
            elif group and isinstance(group[-1], dict):
                group[-1][rest[1]] = value
            else:
                raise InvalidRequest(f"The form field {name!r} mixes two spellings.", head)
        else:
            group = out.setdefault(head, {})
            if not isinstance(group, dict):
                raise InvalidRequest(f"The form field {name!r} mixes an object with something else.", head)
            group[rest[0]] = value
    return out


def plain_body(body: dict[str, Any]) -> dict[str, Any]:
    """The body as JSON for the record: files as name, size and hash; long data URLs shortened to their hash."""

    def plain(value: Any) -> Any:  # noqa: ANN401  (walks any JSON-like value)
        if isinstance(value, UploadFile):
            digest = hashlib.file_digest(value.file, "sha256").hexdigest()  # type: ignore[arg-type]  # a BinaryIO
            value.file.seek(0)
            return {"filename": value.filename, "bytes": value.size, "sha256": digest}
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, list):
            return [plain(v) for v in value]
        if isinstance(value, str) and len(value) > 4096 and value.startswith("data:"):
            return f"{value[:64]}... sha256={hashlib.sha256(value.encode()).hexdigest()}"
        return value

    shown: dict[str, Any] = plain(body)
    return shown


def base_url(request: Request, public_url: str | None = None) -> str:
    """Scheme and host by which this caller reaches us, without a trailing slash.

    Links must be on the origin the request came to (facts: apis 16), so the Host header decides unless the operator
    fixed `public_url`. X-Forwarded-* is honoured only as far as uvicorn trusts the proxy (it rewrites the scope).
    """
    return (public_url or str(request.base_url)).rstrip("/")


def text_of(body: dict[str, Any], name: str, default: str | None = None) -> str | None:
    """A string field, or None; anything but a string is an InvalidRequest that names it."""
    value = body.get(name, default)
    if value is None or isinstance(value, str):
        return value
    raise InvalidRequest(f"{name} must be a string, not {type(value).__name__}.", name)


def number_of(body: dict[str, Any], name: str) -> float | None:
    """A number field that forms may spell as text (`"4"`); None when absent."""
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidRequest(f"{name} must be a number, not {type(value).__name__}.", name)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{name} is {str(value)[:40]!r}; it must be a number.", name) from None
    if number != number or number in (float("inf"), float("-inf")):
        raise InvalidRequest(f"{name} is {value}; it must be finite.", name)
    return number


def integer_of(body: dict[str, Any], name: str) -> int | None:
    """As `number_of`, for whole numbers."""
    number = number_of(body, name)
    if number is None:
        return None
    if number != int(number):
        raise InvalidRequest(f"{name} is {number:g}; it must be a whole number.", name)
    return int(number)


def flag_of(body: dict[str, Any], name: str) -> bool | None:
    """A boolean field; forms spell it `true` or `false`. None when absent."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    raise InvalidRequest(f"{name} is {str(value)[:40]!r}; it must be true or false.", name)
