"""DashScope (Alibaba Cloud Model Studio): HappyHorse and Wan. Key, host and model belong to one region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muybridge.errors import InvalidRequest
from muybridge.providers.provider import CancelOutcome, ErrorClass, Failure, Order, Poll, Source, Ticket, Usage
from muybridge.providers.wire import DAY_S, Answer, Call, Listed, class_of, inside, items, number, text, whole
from muybridge.request import AudioMode

POLL_S = 15.0
RETENTION_S = DAY_S
INLINE = False
HOSTS = {
    "": "dashscope-intl",
    "ap-southeast-1": "dashscope-intl",
    "cn-beijing": "dashscope",
    "us-east-1": "dashscope-us",
}
STATES: dict[str, Any] = {
    "PENDING": "queued",
    "SUSPENDED": "queued",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "cancelled",
    "UNKNOWN": "gone",
}
CLASSES: tuple[tuple[str, ErrorClass], ...] = (  # by the start of the code; the first match counts
    ("InvalidParameter.DataInspection", "moderation_input"),
    ("DataInspectionFailed", "moderation_input"),
    ("IPInfringementSuspect", "moderation_input"),
    ("InvalidURL", "media_fetch"),
    ("InvalidFile.DownloadFailed", "media_fetch"),
    ("InvalidFile", "media_invalid"),
    ("InvalidApiKey", "auth"),
    ("NOT AUTHORIZED", "auth"),
    ("Arrearage", "quota"),
    ("PrepaidBillOverdue", "quota"),
    ("PostpaidBillOverdue", "quota"),
    ("CommodityNotPurchased", "quota"),
    ("AllocationQuota", "quota"),
    ("AccessDenied", "permission"),
    ("Model.AccessDenied", "permission"),
    ("Workspace.AccessDenied", "permission"),
    ("Throttling", "rate"),
    ("ModelNotFound", "model_retired"),
    ("Model.NotExist", "model_retired"),
    ("ModelUnavailable", "capacity"),
    ("RequestTimeOut", "timeout"),
    ("InternalError.Timeout", "timeout"),
    ("Invalid", "invalid_input"),
    ("BadRequest", "invalid_input"),
)


def base(region: str) -> str:
    """A region's legacy host; the newer ones carry the workspace's name and come from the configuration."""
    return f"https://{HOSTS.get(region, HOSTS[''])}.aliyuncs.com/api/v1"


def headers(key: str) -> dict[str, str]:
    """Bearer."""
    return {"Authorization": f"Bearer {key}"}


def submit(order: Order) -> Call:
    """The asynchronous submit; without its header the service answers 403."""
    request, inputs = order.request, order.inputs
    if inputs.video and not inputs.video.startswith("https:"):
        raise InvalidRequest(
            'DashScope takes source clips by https address only: set public_url = "https://..." in the server\'s '
            "config.",
            "video",
        )
    parameters: dict[str, Any] = {"resolution": order.tier.upper(), "watermark": False}
    if order.task in ("t2v", "r2v"):
        parameters["ratio"] = order.ratio
    if order.task != "edit":
        parameters["duration"] = whole(order.seconds)
    elif request.audio_mode is AudioMode.KEEP:
        parameters["audio_setting"] = "origin"
    if order.offer.model.seed:
        parameters["seed"] = request.seed
    if order.offer.model.audio == "optional":
        parameters["audio"] = order.audio
    media = [
        {"type": kind, "url": url}
        for kind, url in (
            ("first_frame", inputs.image),
            ("last_frame", inputs.last_image),
            ("video", inputs.video),
            *(("reference_image", url) for url in inputs.references),
        )
        if url
    ]
    given: dict[str, Any] = {"prompt": request.prompt}
    if media:
        given["media"] = media
    if request.negative_prompt and order.offer.model.negative_prompt:
        given["negative_prompt"] = request.negative_prompt
    body = {"model": order.model_id, "input": given, "parameters": parameters}
    path = "/services/aigc/video-generation/video-synthesis"
    return Call("POST", path, body, headers={"X-DashScope-Async": "enable"})


def ticket_id(answer: Answer) -> str | None:
    """output.task_id."""
    return text(answer.object.get("output"), "task_id") or None


def failure(answer: Answer) -> Failure | None:
    """The flat `{"code", "message"}`: also inside a 200."""
    code = text(answer.object, "code")
    if not code:
        return None
    return Failure(_class(code, answer.status), text(answer.object, "message"), code, answer.status)


def _class(code: str, status: int) -> ErrorClass:
    return next((kind for start, kind in CLASSES if code.startswith(start)), class_of(status))


def poll(ticket: Ticket) -> Call:
    """A query; 20 a second an account."""
    return Call("GET", f"/tasks/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """Failures come with HTTP 200; an id that is too old is UNKNOWN."""
    del call, ticket
    output = answer.object.get("output")
    state = STATES.get(text(output, "task_status"))
    if not answer.ok or state is None:
        return None
    if state == "failed":
        code = text(output, "code")
        kind = _class(code, 500)
        if kind == "moderation_input":  # at the task the same code is about what was made
            kind = "moderation_output"
        return Poll("failed", failure=Failure(kind, text(output, "message"), code, 200))
    seconds = number(answer.object.get("usage"), "duration")
    usage = None if seconds is None else Usage("seconds", seconds)
    url = text(output, "video_url")
    return Poll(state, results=(Source(url),) if url else (), usage=usage)


def cancel(ticket: Ticket) -> Call | None:
    """Only what has not started."""
    return Call("POST", f"/tasks/{ticket.id}/cancel")


def cancelled(answer: Answer) -> CancelOutcome:
    """200, or 400 UnsupportedOperation once it runs."""
    if answer.ok:
        return "cancelled"
    return "too_late" if text(answer.object, "code") == "UnsupportedOperation" else "unknown"


def find(order: Order, page: int, after: str) -> Call | None:
    """Tasks of this model in the last 24 hours. No times are given: their zone is not documented."""
    del after
    return Call("GET", "/tasks/", params={"model_name": order.model_id, "page_size": "100", "page_no": str(page)})


def listed(answer: Answer) -> list[Listed]:
    """Times are milliseconds; prompts are told only by a finished task."""
    rows = items(answer.object, "data") or items(answer.object, "tasks")
    return [Listed(text(row, "task_id"), (number(row, "gmt_create") or 0) / 1000) for row in rows]


def prompt_of(answer: Answer) -> str | None:
    """The prompt as a finished task repeats it."""
    return text(inside(answer.object, "output"), "orig_prompt") or None


def pushed(body: Mapping[str, Any]) -> str | None:
    """An account's event, where one is set up."""
    return text(inside(body, "data"), "task_id") or None
