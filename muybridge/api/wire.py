"""What the compatible faces share beside `face.py`: typed fields of untrusted JSON, media as files, one way to submit.

A face's `to_request` is pure and leaves media as the sources the caller named (URL, data URL, upload id, job id);
`accept` turns them into checked local files and submits.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request

from muybridge.api import face, links
from muybridge.errors import InvalidRequest, NotFound, TimedOut
from muybridge.request import MAX_SEED, reference_name
from muybridge.shapes import MAX_SECONDS, MIN_SECONDS, RATIOS

if TYPE_CHECKING:
    from muybridge.api.keys import Key
    from muybridge.api.service import Service
    from muybridge.api.uploads import MediaKind
    from muybridge.jobs.job import Artifact, Job

T = TypeVar("T")
D = TypeVar("D")
POLL_S = (0.1, 1.0)  # how often a waiting answer looks at its job, at first and at most
PROMPTLESS = "The picture comes to life."  # where a protocol lets a picture stand without words
SOURCES: tuple[tuple[str, MediaKind], ...] = (
    ("image", "image"),
    ("last_image", "image"),
    ("video", "video"),
    ("audio", "audio"),
    ("extends", "video"),
)
_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}


def field(body: Mapping[str, Any], path: str, kind: type[T], default: D) -> T | D:
    """The value at a dotted path; absent and null give `default`, another type is an InvalidRequest naming the path."""
    value: Any = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        return default
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e15 else math.inf
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InvalidRequest(f"{path} must be {_NAMES.get(kind, kind.__name__)}, not {type(value).__name__}.", path)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f"{path} is {value}; it must be finite.", path)
    return value


def within(body: Mapping[str, Any], path: str, lowest: int, highest: int, default: int) -> int:
    """A whole number inside limits, at a dotted path."""
    value = field(body, path, int, default)
    if not lowest <= value <= highest:
        raise InvalidRequest(f"{path} is {value}; choose {lowest} to {highest}.", path)
    return value


def one_of(body: Mapping[str, Any], path: str, choices: tuple[str, ...], default: str) -> str:
    """A string out of a fixed set, at a dotted path."""
    value = field(body, path, str, default)
    if value not in choices:
        raise InvalidRequest(f"{path} is {value[:80]!r}; choose one of {', '.join(choices)}.", path)
    return value


def objects(body: Mapping[str, Any], path: str) -> list[Mapping[str, Any]]:
    """A list of objects at a dotted path; absent and null give []."""
    items = field(body, path, list, [])
    if any(not isinstance(item, Mapping) for item in items):
        raise InvalidRequest(f"Each item of {path} must be an object.", path)
    return items


def strings(body: Mapping[str, Any], path: str) -> list[str]:
    """A list of non-empty strings at a dotted path; absent and null give []."""
    items = field(body, path, list, [])
    if any(not isinstance(item, str) or not item for item in items):
        raise InvalidRequest(f"Each item of {path} must be a string.", path)
    return items


def references(sources: list[str]) -> list[dict[str, str]]:
    """References in the order given, named as prompts name them."""
    return [{"image": source, "name": reference_name(index)} for index, source in enumerate(sources)]


def data_url(mime: str, base64_text: str) -> str:
    """Inline bytes as the data URL that `Service.media` takes."""
    return f"data:{mime};base64,{base64_text}"


def task_of(request: Mapping[str, Any]) -> str:
    """The task of a stored request, by the rule of `Request.task` but without checking it again."""
    if request.get("video"):
        return "edit"
    if request.get("references"):
        return "r2v"
    if request.get("image") or request.get("last_image"):
        return "i2v"
    return "a2v" if request.get("audio") else "t2v"


def is_expired(job: Job) -> bool:
    """Whether a result was made and its retention is over."""
    return job.status == "completed" and not job.artifacts


def present(job: Job) -> Job:
    """The job itself. Raises NotFound once its result is gone, for protocols that know no such state."""
    if is_expired(job):
        raise NotFound("This result has expired and its files were removed.")
    return job


def video_of(job: Job) -> Artifact:
    """The finished clip of a completed job."""
    return next(a for a in job.artifacts if a.kind == "video")


def seconds_of(job: Job) -> float:
    """Length of the finished clip, to the millisecond."""
    return round(video_of(job).duration_s or float(job.request["seconds"]), 3)


def nearest_ratio(width: int, height: int) -> str:
    """The supported ratio closest to a picture's (in the logarithm, so that 2:1 and 1:2 are alike)."""
    return min(RATIOS, key=lambda r: abs(math.log(RATIOS[r][0] / RATIOS[r][1]) - math.log(width / height)))


def nearest_tier(width: int, height: int) -> int:
    """The named tier (short side of its 16:9 frame) closest in area."""
    return min((480, 720, 1080), key=lambda tier: abs(math.log(width * height / (tier * tier * 16 / 9))))


def follow_input(request: dict[str, Any]) -> dict[str, Any]:
    """`request` with what its files decide: the ratio of a first frame or source clip, the length of a source clip."""
    from muybridge.media import image_header, probe  # late: numpy and PyAV are not needed to start serving

    out = dict(request)
    if source := request.get("video"):
        info = probe(source)
        width, height = info.width, info.height
        out.setdefault("seconds", min(max(info.duration_s, MIN_SECONDS), MAX_SECONDS))
    elif source := request.get("image") or request.get("last_image"):
        with open(source, "rb") as file:  # noqa: PTH123  (source is a path or its text)
            header = image_header(file.read())
        width, height = header.width, header.height
    else:
        return out
    if width and height and "x" not in out.get("size", ""):
        out.setdefault("ratio", nearest_ratio(width, height))
    return out


def map_sources(request: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """`request` with `change` applied to every media source that is text."""

    def one(source: Any) -> Any:  # noqa: ANN401  (a source may be any JSON value)
        return change(source) if isinstance(source, str) else source

    out = {**request, **{name: one(request[name]) for name, _ in SOURCES if name in request}}
    if "references" in request:
        out["references"] = [{**item, "image": one(item["image"])} for item in request["references"]]
    return out


def ingested(service: Service, key: Key, request: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(`request` with its media as checked files and what follows from them, metadata). Slow: runs in an ingest slot.

    `extends` is a clip to go on from: its last frame becomes the first one, as in `openai.extend`.
    """
    plain = dict(request)
    source = plain.pop("extends", None)
    out = follow_input(service.ingest(key, plain))
    if source is None:
        return out, {}
    from muybridge.media import probe

    clip = service.media(key, source, "video")
    info = probe(clip)
    frame = service.media(key, links.frame_png(clip.read_bytes()), "image")
    out |= {"image": str(frame), "extra": {"continues": str(clip)}}
    out.setdefault("ratio", nearest_ratio(info.width, info.height))
    return out, {"source_seconds": round(info.duration_s, 3)}


def has_media(request: Mapping[str, Any]) -> bool:
    """Whether anything has to be fetched or decoded before the job can be submitted."""
    return any(request.get(name) for name in ("references", *(name for name, _ in SOURCES)))


async def accept(
    service: Service,
    http: Request,
    key: Key,
    protocol: str,
    model: str,
    request: Mapping[str, Any],
    raw: Mapping[str, Any],
    **more: Any,  # noqa: ANN401  (handed on to Service.submit: webhook, priority, metadata, parent)
) -> Job:
    """Fetch the media, draw a seed where none was asked for, submit. Raises what `Service.submit` raises."""
    service.model_to_run(model)  # an unknown model is refused before anything is fetched
    plain = face.plain_body(dict(raw))
    idempotency_key = http.headers.get("idempotency-key")
    known = await face.in_thread(service.repeated, key, protocol, model, plain, idempotency_key)
    if known is not None:
        return known
    metadata = dict(more.pop("metadata", {}))
    if has_media(request):
        request, about = await face.in_thread(ingested, service, key, request, limiter=service.ingest_slots)
        metadata |= about
    seeded = {"seed": secrets.randbelow(MAX_SEED + 1), **request}
    return await face.in_thread(
        lambda: service.submit(
            key, protocol, model, seeded, plain, idempotency_key=idempotency_key, metadata=metadata, **more
        )
    )


async def caller(service: Service, http: Request, scheme: str = "Bearer", header: str = "authorization") -> Key:
    """The authenticated caller of a request."""
    return await face.in_thread(service.authenticate, http.headers.get(header), scheme)


def header_number(http: Request, name: str) -> float:
    """A header with seconds in it; infinity when absent. Raises InvalidRequest."""
    text = http.headers.get(name)
    try:
        value = math.inf if text is None else float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise InvalidRequest(f"The header {name} is {str(text)[:40]!r}; give seconds above 0.", name)
    return value


def takes(example: Mapping[str, Any], **headers: str) -> dict[str, Any]:
    """`openapi_extra` of a route that reads a JSON object: an example of it, and headers that it needs."""
    content = {"application/json": {"schema": {"type": "object"}, "example": dict(example)}}
    asked = [
        {
            "name": name.replace("_", "-"),
            "in": "header",
            "required": True,
            "schema": {"type": "string", "enum": [value]},
        }
        for name, value in headers.items()
    ]
    return {"requestBody": {"required": True, "content": content}, **({"parameters": asked} if asked else {})}


def jobs_since(service: Service, key: Key, protocol: str, since: float) -> Iterator[Job]:
    """A tenant's jobs of one protocol, newest first, made at or after `since` (unix seconds)."""
    after: str | None = None
    while page := service.list(key, protocol=protocol, after=after, limit=100):
        for job in page:
            if job.created_at < since:
                return
            yield job
        after = service.public_id(page[-1], protocol)


async def watched(
    service: Service, key: Key, public: str, protocol: str, until: float = math.inf
) -> AsyncIterator[Job]:
    """A job each time it has changed, up to its end. Raises TimedOut at `until` (monotonic s); the job goes on."""
    seen: tuple[Any, ...] | None = None
    pause_s = POLL_S[0]
    while True:
        job = await face.in_thread(service.get, key, public, protocol)
        state = (job.status, job.stage, int(job.progress), job.cancel_requested)
        if state != seen:
            yield job
        if job.ended:
            return
        pause_s = POLL_S[0] if state != seen else min(pause_s * 1.5, POLL_S[1])
        seen = state
        if time.monotonic() + pause_s > until:
            raise TimedOut(f"The job {public} is still {job.status}; ask for it again later.")
        await asyncio.sleep(pause_s)


async def ended(service: Service, key: Key, public: str, protocol: str, patience_s: float) -> Job:
    """A job at its end, or as it is when the patience ends. Holds no thread while it waits."""
    job = await face.in_thread(service.get, key, public, protocol)
    with suppress(TimedOut):
        async for seen in watched(service, key, public, protocol, time.monotonic() + patience_s):
            job = seen
    return job
