"""fal's HappyHorse schemas and status objects, as pure functions. Inputs are checked by pydantic, as fal does."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from muybridge.api import wire
from muybridge.errors import InvalidRequest, MuybridgeError, NotFound
from muybridge.request import MAX_SEED

if TYPE_CHECKING:
    from muybridge.jobs.job import Event, Job

MAX_REFUSAL_BYTES = 16_384
MODES = ("text-to-video", "image-to-video", "reference-to-video", "video-edit")
Ratio = Literal["16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "9:21", "5:4", "4:5"]
Resolution = Literal["480p", "720p", "1080p"]  # fal itself lists the last two


def _seconds(value: object) -> object:
    """`"3s"` and `"3"` as 3: the Vercel provider sends the first."""
    if isinstance(value, str) and value.removesuffix("s").isdigit():
        return int(value.removesuffix("s"))
    return value


Duration = Annotated[int, BeforeValidator(_seconds), Field(ge=3, le=15)]
Prompt = Annotated[str, Field(min_length=1, max_length=2500)]
Source = Annotated[str, Field(min_length=1)]


class _Input(BaseModel):
    model_config = ConfigDict(extra="ignore")

    resolution: Resolution = "1080p"
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    enable_safety_checker: bool = True


class TextToVideo(_Input):
    """t2v."""

    prompt: Prompt
    aspect_ratio: Ratio = "16:9"
    duration: Duration = 5


class ImageToVideo(_Input):
    """i2v: the ratio follows the picture."""

    prompt: Annotated[str, Field(max_length=2500)] | None = None
    image_url: Source
    duration: Duration = 5


class ReferenceToVideo(_Input):
    """r2v: the prompt calls the pictures character1 to character9."""

    prompt: Prompt
    image_urls: Annotated[list[Source], Field(min_length=1, max_length=9)]
    aspect_ratio: Ratio = "16:9"
    duration: Duration = 5


class VideoEdit(_Input):
    """edit: length and ratio follow the clip."""

    prompt: Prompt
    video_url: Source
    reference_image_urls: Annotated[list[Source], Field(max_length=5)] = []
    audio_setting: Literal["auto", "origin"] = "auto"


SCHEMAS: dict[str, type[_Input]] = dict(
    zip(MODES, (TextToVideo, ImageToVideo, ReferenceToVideo, VideoEdit), strict=True)
)


class Invalid(InvalidRequest):
    """An input that the schema refuses; `detail` is fal's list of what is wrong."""

    def __init__(self, detail: list[dict[str, Any]]) -> None:
        first = detail[0]
        super().__init__(f"{'.'.join(str(p) for p in first['loc'][1:])}: {first['msg']}.", str(first["loc"][-1]))
        self.detail = detail


def endpoint(path: str) -> tuple[str, str]:
    """(model, mode) of an endpoint id such as `alibaba/happy-horse/v1.1/text-to-video`. Raises NotFound.

    A leading `fal-ai/` is dropped; a model of this server is addressed as `muybridge/tiny/text-to-video`.
    """
    name = path.strip("/").removeprefix("fal-ai/")
    model, _, mode = name.rpartition("/")
    if mode not in MODES or model.count("/") < 1:
        raise NotFound(f"Application {name[:120]!r} not found")
    return (model if model.startswith("muybridge/") else name), mode


def to_request(mode: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical request of an input object. Raises Invalid with pydantic's own list, as fal's workers do."""
    try:
        given = SCHEMAS[mode].model_validate(body)
    except ValidationError as error:
        detail = [
            {**{k: v for k, v in item.items() if k in ("msg", "type", "ctx", "input")}, "loc": ["body", *item["loc"]]}
            for item in error.errors(include_url=False, include_context=True)
        ]
        raise Invalid(detail) from None
    values = given.model_dump()
    request: dict[str, Any] = {"prompt": values["prompt"] or wire.PROMPTLESS, "size": values["resolution"]}
    if values.get("seed") is not None:
        request["seed"] = values["seed"]
    for theirs, ours in (
        ("aspect_ratio", "ratio"),
        ("duration", "seconds"),
        ("image_url", "image"),
        ("video_url", "video"),
    ):
        if values.get(theirs) is not None:
            request[ours] = values[theirs]
    if pictures := values.get("image_urls") or values.get("reference_image_urls"):
        request["references"] = wire.references(pictures)
    if values.get("audio_setting") == "origin":
        request["audio_mode"] = "keep"
    return request


def to_body(job: Job, url: str) -> dict[str, Any]:
    """The output of a completed request."""
    video = wire.video_of(job)
    duration_s = wire.seconds_of(job)
    fps = video.fps or 25.0
    file = {
        "url": url,
        "content_type": video.mime,
        "file_name": video.key.rpartition("/")[2],
        "file_size": video.bytes,
        "width": video.width,
        "height": video.height,
        "fps": int(fps) if float(fps).is_integer() else fps,
        "duration": duration_s,
        "num_frames": round(duration_s * fps),
    }
    return {"video": file, "seed": job.request.get("seed", 0)}


def urls(base: str, app: str, request_id: str) -> dict[str, str]:
    """The four fields that every queue answer carries. `app` is owner/name without the sub-path."""
    root = f"{base}/fal/queue/{app}/requests/{request_id}"
    return {
        "request_id": request_id,
        "response_url": root,
        "status_url": f"{root}/status",
        "cancel_url": f"{root}/cancel",
    }


def to_status(job: Job, links: Mapping[str, str], position: int, logs: list[dict[str, str]] | None) -> dict[str, Any]:
    """The status object; `logs` is None when the caller did not ask for them."""
    if job.status == "queued":
        return {"status": "IN_QUEUE", "queue_position": position, **links}
    if job.status == "in_progress":
        return {"status": "IN_PROGRESS", "logs": logs, **links}
    ran_s = (job.completed_at or 0.0) - (job.started_at or job.completed_at or 0.0)
    body = {"status": "COMPLETED", "logs": logs, "metrics": {"inference_time": round(max(ran_s, 0.0), 3)}, **links}
    if job.status != "completed":
        code, _, error_type = failure(job)
        body |= {"error": _message(job), "error_type": error_type if code != 422 else "validation_error"}
    return body


def failure(job: Job) -> tuple[int, dict[str, Any], str]:
    """(HTTP status, body, error type) of a failed or cancelled request, as its result url answers."""
    code = (job.error or {}).get("code", "internal")
    if job.status == "cancelled":
        return 422, {"detail": _message(job), "error_type": "cancelled"}, "cancelled"
    if code in INPUT_ERRORS:
        kind = INPUT_ERRORS[code]
        return 422, {"detail": [{"loc": ["body"], "msg": _message(job), "type": kind, "input": None}]}, kind
    status, kind = FAILURES.get(code, (500, "internal_server_error"))
    return status, {"detail": _message(job), "error_type": kind}, kind


INPUT_ERRORS = {  # canonical class: fal's type of a 422
    "invalid_input": "value_error",
    "out_of_memory": "value_error",
    "media_invalid": "file_invalid",
    "media_fetch": "file_download_error",
    "moderation_input": "content_policy_violation",
    "moderation_output": "content_policy_violation",
}
FAILURES = {  # canonical class: (HTTP status, error_type)
    "timeout": (504, "request_timeout"),
    "worker_lost": (503, "runner_disconnected"),
    "capacity": (503, "runner_scheduling_failure"),
    "device_error": (503, "runner_server_error"),
}


def _message(job: Job) -> str:
    return "Request was cancelled" if job.status == "cancelled" else (job.error or {}).get("message", "Request failed")


def log_lines(events: list[Event]) -> list[dict[str, str]]:
    """A job's events as fal's log objects."""
    lines = []
    for event in events:
        if event.kind == "progress":
            message = f"{event.data.get('stage') or 'working'}: {event.data.get('progress') or 0:.0f}%"
        elif event.kind == "status":
            message = f"status: {event.data.get('status')}"
        else:
            continue
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
        lines.append({"message": message, "level": "INFO", "source": "USER", "timestamp": at})
    return lines


REFUSED = "refused-"


def refusal_id(body: Mapping[str, Any]) -> str:
    """A request id that carries why its input was refused: fal accepts a bad input and answers 422 at the result.

    Nothing was queued and nothing is kept: the id is all there is, and it tells its bearer only what he sent.
    """
    detail = [{**item, "msg": item["msg"][:300], "input": _brief(item.get("input"))} for item in body["detail"][:5]]
    text = json.dumps({"detail": detail}, separators=(",", ":"))
    return REFUSED + base64.urlsafe_b64encode(zlib.compress(text.encode())).decode().rstrip("=")


def _brief(value: object) -> object:
    return value if isinstance(value, int | float | bool | None) else str(value)[:100]


def is_refusal(request_id: str) -> bool:
    """Whether an id was made by `refusal_id`."""
    return request_id.startswith(REFUSED)


def refusal(request_id: str) -> dict[str, Any]:
    """The 422 body inside a refusal's id. Raises NotFound when it was not made here."""
    text = request_id.removeprefix(REFUSED)
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        body = json.loads(zlib.decompressobj().decompress(packed, MAX_REFUSAL_BYTES))
        return {"detail": [dict(item) for item in body["detail"]]}
    except (ValueError, TypeError, KeyError, RecursionError, zlib.error):
        raise NotFound(f"Request {request_id[:80]!r} not found") from None


def refusal_status(request_id: str, links: Mapping[str, str]) -> dict[str, Any]:
    """The status object of a refused request."""
    first = refusal(request_id)["detail"][0]
    ended = {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": 0.0}, **links}
    return {**ended, "error": str(first.get("msg")), "error_type": "validation_error"}


def webhook_body(job: Job, request_id: str, url: str | None) -> dict[str, Any]:
    """What the webhook of a finished request carries."""
    body: dict[str, Any] = {"request_id": request_id, "gateway_request_id": request_id}
    if job.status == "completed" and url:
        return body | {"status": "OK", "payload": to_body(job, url)}
    _, payload, _ = failure(job)
    return body | {"status": "ERROR", "error": _message(job), "payload": payload}


def to_error(error: MuybridgeError) -> tuple[int, dict[str, Any], str | None]:
    """(HTTP status, body, error_type) of an error at submit. Never 408, 409 or 429 for what a retry cannot mend: the
    Python client repeats those ten times."""
    if isinstance(error, Invalid):
        return 422, {"detail": error.detail}, None
    if error.code in INPUT_ERRORS:
        where = ["body", error.field] if isinstance(error, InvalidRequest) and error.field else ["body"]
        item = {"loc": where, "msg": str(error), "type": INPUT_ERRORS[error.code], "input": None}
        return 422, {"detail": [item]}, None
    if error.code == "auth":
        return (
            401,
            {
                "detail": "Cannot access application. Authentication is required to access this application.",
            },
            None,
        )
    if error.code in FAILURES:
        status, kind = FAILURES[error.code]
        return status, {"detail": str(error), "error_type": kind}, kind
    statuses = {"permission": 403, "quota": 403, "not_found": 404, "model_retired": 404, "rate": 429, "conflict": 422}
    return statuses.get(error.code, 500), {"detail": str(error)}, None
