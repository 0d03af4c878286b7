"""Talk to a Muybridge server: make a video, watch it, download it. Sync and async, thin over httpx.

    client = muybridge.Client("http://127.0.0.1:8000", api_key="mb_...")
    video = client.create("A paper boat on a calm lake.", seconds=4)
    client.download(client.wait(video), "boat.mp4")

Every create carries an idempotency key, so the retries below can never make two videos. Over 400 lines because the
client exists twice, blocking and async, method by method.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from muybridge import errors
from muybridge.config import settings

DEFAULT_URL = "http://127.0.0.1:8000"
NUM_TRIES = 4
MAX_PAUSE_S = 8.0
ENDED = frozenset({"completed", "failed", "cancelled"})
_CHUNK_BYTES = 256 * 1024

Media = str | Path | Mapping[str, Any]  # a file here, an https or data URL, an upload id, a video id
OnProgress = Callable[["Video"], None]

_CLASSES: dict[str, type[errors.MuybridgeError]] = {
    "invalid_value": errors.InvalidRequest,
    "invalid_media": errors.MediaInvalid,
    "invalid_media_url": errors.MediaFetch,
    "moderation_blocked": errors.ModerationRefused,
    "invalid_api_key": errors.AuthFailed,
    "insufficient_permissions": errors.PermissionDenied,
    "not_found": errors.NotFound,
    "conflict": errors.Conflict,
    "rate_limit_exceeded": errors.Throttled,
    "insufficient_quota": errors.QuotaExceeded,
    "model_not_found": errors.NotFound,
}


@dataclass(frozen=True)
class Video:
    """A job as the server shows it; `raw` is the whole answer."""

    id: str
    status: str
    progress: int
    model: str
    prompt: str | None = None
    seconds: str = ""
    size: str | None = None
    stage: str | None = None
    eta_seconds: float | None = None
    error: Mapping[str, str] | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ENDED


@dataclass(frozen=True)
class Event:
    """One server-sent event: `kind` is status, progress or preview; `seq` resumes the stream."""

    kind: str
    seq: int
    data: Mapping[str, Any]


@dataclass(frozen=True)
class _Call:
    """One HTTP request, before it is sent."""

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    file: Path | None = None


def _create(prompt: str, fields: Mapping[str, Any], idempotency_key: str | None) -> _Call:
    key = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    body = {"prompt": prompt, **{k: v for k, v in fields.items() if v is not None}}
    return _Call("POST", "/v1/videos", body, headers=key)


def _local(value: object) -> Path | None:
    """The file that a medium names on this machine, or None when it is a URL, an id or already an object."""
    if isinstance(value, Path):
        return value
    if isinstance(value, str) and not value.startswith(("http://", "https://", "data:", "file-", "video_")):
        return Path(value)
    return None


def _media_files(fields: Mapping[str, Any]) -> dict[Path, None]:
    """Every local file among the media of a request, each once."""
    references = fields.get("references") or ()
    values = [fields.get(n) for n in ("image", "last_image", "video", "audio")]
    values += [r.get("image") if isinstance(r, Mapping) else r for r in references]
    found = [path for path in map(_local, values) if path is not None]
    for path in found:
        if not path.is_file():
            raise errors.MediaInvalid(f"{path} is not a file here, and no URL or id either; check the path.")
    return dict.fromkeys(found)


def _with_ids(fields: Mapping[str, Any], ids: Mapping[Path, str]) -> dict[str, Any]:
    """The fields with local files replaced by the ids of their uploads."""

    def named(value: Any) -> Any:  # noqa: ANN401  (any medium)
        path = _local(value)
        return value if path is None else ids[path]

    out = dict(fields)
    for name in ("image", "last_image", "video", "audio"):
        if out.get(name) is not None:
            out[name] = named(out[name])
    if out.get("references"):
        out["references"] = [
            {**r, "image": named(r["image"])} if isinstance(r, Mapping) and "image" in r else named(r)
            for r in out["references"]
        ]
    return out


def _video(body: Mapping[str, Any]) -> Video:
    names = ("id", "status", "progress", "model", "prompt", "seconds", "size", "stage", "eta_seconds", "error")
    return Video(**{n: body.get(n) for n in names}, urls=body.get("urls") or {}, raw=body)  # type: ignore[arg-type]


def _failure(answer: httpx.Response) -> errors.MuybridgeError:
    """The error of our tree that an answer stands for."""
    try:
        told = answer.json()["error"]
        code, message, param = told.get("code"), str(told.get("message")), told.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message, param = None, answer.text[:200], None
    kind = _CLASSES.get(str(code))
    if kind is errors.InvalidRequest:
        return errors.InvalidRequest(message, param)
    if kind is errors.Throttled:
        return errors.Throttled(message, float(answer.headers.get("retry-after", "1")))
    if kind is not None:
        return kind(message)
    if answer.status_code < 500:
        return errors.UserError(f"{answer.status_code}: {message}")
    return errors.Unavailable(f"The server answered {answer.status_code}: {message}")


def _pause_s(attempt: int, answer: httpx.Response | None) -> float | None:
    """How long to wait before the next try, or None when trying again cannot help."""
    if attempt >= NUM_TRIES - 1 or (answer is not None and answer.status_code not in (408, 429, 500, 502, 503, 504)):
        return None
    if answer is not None:
        try:
            return min(float(answer.headers["retry-after"]), MAX_PAUSE_S)
        except (KeyError, ValueError):
            pass
    return min(0.5 * 2.0**attempt, MAX_PAUSE_S)


def _next_look_s(video: Video) -> float:
    """How long to wait before asking again: a tenth of the time left, between 0.2 and 5 s."""
    return min(max((video.eta_seconds or 0.0) / 10, 0.2), 5.0)


def _events_call(video: Video | str, after: int) -> tuple[str, dict[str, str]]:
    return f"/v1/videos/{_id(video)}/events", {"Last-Event-ID": str(after)} if after else {}


def _id(video: Video | str) -> str:
    return video if isinstance(video, str) else video.id


def _check_wait(video: Video, started: float, timeout_s: float | None) -> None:
    """Raises what ended a wait without a video."""
    if video.status == "failed":
        told = video.error or {}
        raise errors.ProviderFailed(f"Video {video.id} failed: {told.get('message')} ({told.get('code')})")
    if video.status == "cancelled":
        raise errors.Cancelled(f"Video {video.id} was cancelled.")
    if not video.ended and timeout_s is not None and time.monotonic() - started > timeout_s:
        raise errors.TimedOut(f"Video {video.id} is still {video.status} after {timeout_s:g} s; it goes on.")


class _Lines:
    """Lines of an event stream into events (WHATWG server-sent events)."""

    def __init__(self) -> None:
        self.kind, self.seq, self.data = "message", 0, ""
        self.ended = False  # the last event of a job has come

    def add(self, line: str) -> Event | None:
        """An event when its last line has come."""
        if line:
            name, _, value = line.partition(": ")
            if name == "event":
                self.kind = value
            elif name == "id":
                self.seq = int(value)
            elif name == "data":
                self.data += value
            return None
        if not self.data:
            return None
        event = Event(self.kind, self.seq, json.loads(self.data))
        self.kind, self.data = "message", ""
        self.ended = event.data.get("status") in ENDED
        return event


def _settings(base_url: str | None, api_key: str | None, timeout_s: float) -> dict[str, Any]:
    key = api_key or settings().api_key
    if not key:
        raise errors.AuthFailed(
            "No API key: pass api_key, or set MUYBRIDGE_API_KEY. `muybridge keys create` makes one."
        )
    headers = {"Authorization": f"Bearer {key}", "User-Agent": "muybridge-client/0.1"}
    return {"base_url": (base_url or DEFAULT_URL).rstrip("/"), "headers": headers, "timeout": timeout_s}


class Client:
    """A server, synchronously. Raises the errors of `muybridge.errors`; usable as a context manager."""

    def __init__(self, base_url: str | None = None, api_key: str | None = None, timeout_s: float = 120.0) -> None:
        self._http = httpx.Client(**_settings(base_url, api_key, timeout_s))

    def create(self, prompt: str, *, idempotency_key: str | None = None, **fields: Any) -> Video:  # noqa: ANN401
        """Start a video. `fields`: model, seconds, size, ratio, seed, image, last_image, references, video, audio,
        negative_prompt, dialogue, beats, webhook, metadata ... Local files are uploaded first."""
        ids = {path: str(self.upload(path)["id"]) for path in _media_files(fields)}
        return _video(self._send(_create(prompt, _with_ids(fields, ids), idempotency_key)))

    def upload(self, path: str | Path) -> dict[str, Any]:
        """Upload a file; its `id` can be used as a medium for two days."""
        return self._send(_Call("POST", "/v1/files", file=Path(path)))

    def get(self, video: Video | str) -> Video:
        """How a video is getting on."""
        return _video(self._send(_Call("GET", f"/v1/videos/{_id(video)}")))

    def list(self, *, limit: int = 20, after: str | None = None, status: str | None = None) -> list[Video]:
        """A page of videos, newest first."""
        params = {k: v for k, v in {"limit": limit, "after": after, "status": status}.items() if v is not None}
        return [_video(body) for body in self._send(_Call("GET", "/v1/videos", params=params))["data"]]

    def cancel(self, video: Video | str) -> Video:
        """Ask for an end; a running video stops at its next step."""
        return _video(self._send(_Call("POST", f"/v1/videos/{_id(video)}/cancel")))

    def delete(self, video: Video | str) -> dict[str, Any]:
        """Remove a video, its words and files; the answer holds the deletion receipt."""
        return self._send(_Call("DELETE", f"/v1/videos/{_id(video)}"))

    def wait(self, video: Video | str, on_progress: OnProgress | None = None, timeout_s: float | None = None) -> Video:
        """Block until it is completed. Raises ProviderFailed, Cancelled or TimedOut (the video goes on)."""
        started = time.monotonic()
        while True:
            found = self.get(video)
            if on_progress is not None:
                on_progress(found)
            _check_wait(found, started, timeout_s)
            if found.ended:
                return found
            time.sleep(_next_look_s(found))

    def download(self, video: Video | str, path: str | Path, variant: str = "video") -> Path:
        """Save the clip (or thumbnail, spritesheet, audio, last_frame); appears whole or not at all."""
        target, part = Path(path), Path(f"{path}.part")
        with self._stream(f"/v1/videos/{_id(video)}/content", {}, {"variant": variant}) as answer:
            if answer.status_code != 200:
                answer.read()
                raise _failure(answer)
            with part.open("wb") as file:
                for chunk in answer.iter_bytes(_CHUNK_BYTES):
                    file.write(chunk)
        return part.replace(target)

    def events(self, video: Video | str, after: int = 0) -> Iterator[Event]:
        """Follow a video as it happens; reconnects where the stream broke off."""
        while True:
            path, headers = _events_call(video, after)
            lines = _Lines()
            try:
                with self._stream(path, headers) as answer:
                    if answer.status_code != 200:
                        answer.read()
                        raise _failure(answer)
                    for line in answer.iter_lines():
                        if (event := lines.add(line)) is not None:
                            after = event.seq
                            yield event
                if lines.ended or self.get(video).ended:
                    return
            except httpx.TransportError:
                time.sleep(1.0)

    def usage(self, start: float = 0, end: float = 1e11) -> dict[str, Any]:
        """What was used and what it cost, between two unix times."""
        return self._send(_Call("GET", "/v1/usage", params={"start": start, "end": end}))

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def _stream(
        self, path: str, headers: Mapping[str, str], params: Mapping[str, str] | None = None
    ) -> AbstractContextManager[httpx.Response]:
        return self._http.stream("GET", path, headers=dict(headers), params=params)

    def _send(self, call: _Call) -> dict[str, Any]:
        attempt = 0
        while True:
            answer: httpx.Response | None = None
            try:
                files = {"file": (call.file.name, call.file.read_bytes())} if call.file else None
                answer = self._http.request(
                    call.method, call.path, json=call.json, params=call.params, headers=call.headers, files=files
                )
                if answer.is_success:
                    body: dict[str, Any] = answer.json()
                    return body
            except httpx.TransportError as error:
                if _pause_s(attempt, None) is None:
                    raise errors.Unavailable(f"{self._http.base_url} cannot be reached: {error}") from error
            pause_s = _pause_s(attempt, answer)
            if pause_s is None and answer is not None:
                raise _failure(answer)
            time.sleep(pause_s or 0.0)
            attempt += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """A server, asynchronously: the same methods as `Client`, awaited."""

    def __init__(self, base_url: str | None = None, api_key: str | None = None, timeout_s: float = 120.0) -> None:
        self._http = httpx.AsyncClient(**_settings(base_url, api_key, timeout_s))

    async def create(self, prompt: str, *, idempotency_key: str | None = None, **fields: Any) -> Video:  # noqa: ANN401
        """As `Client.create`."""
        ids = {path: str((await self.upload(path))["id"]) for path in _media_files(fields)}
        return _video(await self._send(_create(prompt, _with_ids(fields, ids), idempotency_key)))

    async def upload(self, path: str | Path) -> dict[str, Any]:
        """As `Client.upload`."""
        return await self._send(_Call("POST", "/v1/files", file=Path(path)))

    async def get(self, video: Video | str) -> Video:
        """As `Client.get`."""
        return _video(await self._send(_Call("GET", f"/v1/videos/{_id(video)}")))

    async def list(self, *, limit: int = 20, after: str | None = None, status: str | None = None) -> list[Video]:
        """As `Client.list`."""
        params = {k: v for k, v in {"limit": limit, "after": after, "status": status}.items() if v is not None}
        return [_video(body) for body in (await self._send(_Call("GET", "/v1/videos", params=params)))["data"]]

    async def cancel(self, video: Video | str) -> Video:
        """As `Client.cancel`."""
        return _video(await self._send(_Call("POST", f"/v1/videos/{_id(video)}/cancel")))

    async def delete(self, video: Video | str) -> dict[str, Any]:
        """As `Client.delete`."""
        return await self._send(_Call("DELETE", f"/v1/videos/{_id(video)}"))

    async def wait(
        self, video: Video | str, on_progress: OnProgress | None = None, timeout_s: float | None = None
    ) -> Video:
        """As `Client.wait`."""
        started = time.monotonic()
        while True:
            found = await self.get(video)
            if on_progress is not None:
                on_progress(found)
            _check_wait(found, started, timeout_s)
            if found.ended:
                return found
            await asyncio.sleep(_next_look_s(found))

    async def download(self, video: Video | str, path: str | Path, variant: str = "video") -> Path:
        """As `Client.download`."""
        target, part = Path(path), Path(f"{path}.part")
        async with self._stream(f"/v1/videos/{_id(video)}/content", {}, {"variant": variant}) as answer:
            if answer.status_code != 200:
                await answer.aread()
                raise _failure(answer)
            with part.open("wb") as file:
                async for chunk in answer.aiter_bytes(_CHUNK_BYTES):
                    file.write(chunk)
        return part.replace(target)

    async def events(self, video: Video | str, after: int = 0) -> AsyncIterator[Event]:
        """As `Client.events`."""
        while True:
            path, headers = _events_call(video, after)
            lines = _Lines()
            try:
                async with self._stream(path, headers) as answer:
                    if answer.status_code != 200:
                        await answer.aread()
                        raise _failure(answer)
                    async for line in answer.aiter_lines():
                        if (event := lines.add(line)) is not None:
                            after = event.seq
                            yield event
                if lines.ended or (await self.get(video)).ended:
                    return
            except httpx.TransportError:
                await asyncio.sleep(1.0)

    async def usage(self, start: float = 0, end: float = 1e11) -> dict[str, Any]:
        """As `Client.usage`."""
        return await self._send(_Call("GET", "/v1/usage", params={"start": start, "end": end}))

    async def close(self) -> None:
        """As `Client.close`."""
        await self._http.aclose()

    def _stream(
        self, path: str, headers: Mapping[str, str], params: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[httpx.Response]:
        return self._http.stream("GET", path, headers=dict(headers), params=params)

    async def _send(self, call: _Call) -> dict[str, Any]:
        attempt = 0
        while True:
            answer: httpx.Response | None = None
            try:
                files = {"file": (call.file.name, call.file.read_bytes())} if call.file else None
                answer = await self._http.request(
                    call.method, call.path, json=call.json, params=call.params, headers=call.headers, files=files
                )
                if answer.is_success:
                    body: dict[str, Any] = answer.json()
                    return body
            except httpx.TransportError as error:
                if _pause_s(attempt, None) is None:
                    raise errors.Unavailable(f"{self._http.base_url} cannot be reached: {error}") from error
            pause_s = _pause_s(attempt, answer)
            if pause_s is None and answer is not None:
                raise _failure(answer)
            await asyncio.sleep(pause_s or 0.0)
            attempt += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()
