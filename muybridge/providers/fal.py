"""fal's queue. The sub-path of an endpoint belongs to the submit only; a bad input fails at the result, not before.

So a policy violation at the result may be about the prompt as well as about the clip: it counts as the prompt's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muybridge.providers.provider import CancelOutcome, ErrorClass, Failure, Order, Poll, Source, Ticket
from muybridge.providers.wire import DAY_S, Answer, Call, Listed, class_of, inside, items, number, text, whole
from muybridge.request import AudioMode

POLL_S = 5.0
RETENTION_S = DAY_S
INLINE = False
TYPES: dict[str, ErrorClass] = {
    "content_policy_violation": "moderation_input",
    "file_download_error": "media_fetch",
    "image_too_small": "media_invalid",
    "request_timeout": "timeout",
    "startup_timeout": "timeout",
    "runner_connection_timeout": "timeout",
    "runner_scheduling_failure": "capacity",
}


def base(region: str) -> str:
    """One host."""
    del region
    return "https://queue.fal.run"


def headers(key: str) -> dict[str, str]:
    """`Key id:secret`."""
    return {"Authorization": f"Key {key}"}


def submit(order: Order) -> Call:
    """The input itself is the body."""
    request, inputs = order.request, order.inputs
    body: dict[str, Any] = {"prompt": request.prompt, "resolution": order.tier, "seed": request.seed}
    if order.task in ("t2v", "r2v"):
        body["aspect_ratio"] = order.ratio
    if order.task != "edit":
        body["duration"] = whole(order.seconds)
    if inputs.image:
        body["image_url"] = inputs.image
    if inputs.video:
        body["video_url"] = inputs.video
        body["audio_setting"] = "origin" if request.audio_mode is AudioMode.KEEP else "auto"
    if inputs.references:
        body["reference_image_urls" if inputs.video else "image_urls"] = list(inputs.references)
    params = {"fal_webhook": order.callback_url} if order.callback_url else {}
    return Call("POST", f"/{order.model_id}", body, params)


def ticket_id(answer: Answer) -> str | None:
    """request_id."""
    return text(answer.object, "request_id") or None


def failure(answer: Answer) -> Failure | None:
    """`detail` is a text, or a list of what is wrong with the input."""
    detail = answer.object.get("detail")
    kind = text(answer.object, "error_type") or answer.headers.get("x-fal-error-type", "")
    if isinstance(detail, list):
        first = detail[0] if detail else {}
        kind = text(first, "type")
        return Failure(TYPES.get(kind, "invalid_input"), text(first, "msg"), kind, answer.status)
    if not isinstance(detail, str):
        return None
    found = TYPES.get(kind) or class_of(answer.status)
    return Failure(found, detail, kind, answer.status, answer.retry_after_s)


def _app(ticket: Ticket) -> str:
    return "/" + "/".join(ticket.model_id.split("/")[:2]) + f"/requests/{ticket.id}"


def poll(ticket: Ticket) -> Call:
    """The status; the result is another address."""
    return Call("GET", f"{_app(ticket)}/status")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """COMPLETED also means failed: only the result tells."""
    if not call.path.endswith("/status"):
        return _result(answer)
    if answer.status == 404:
        return Poll("gone")
    state = text(answer.object, "status")
    if state == "IN_QUEUE":
        return Poll("queued", queue_position=int(number(answer.object, "queue_position") or 0))
    if state == "IN_PROGRESS":
        return Poll("running")
    if state != "COMPLETED":
        return None
    error = text(answer.object, "error")
    if error:
        if "cancel" in error.lower():
            return Poll("cancelled")
        kind = text(answer.object, "error_type")
        return Poll("failed", failure=Failure(TYPES.get(kind, "internal"), error, kind, answer.status))
    return Call("GET", _app(ticket))


def _result(answer: Answer) -> Poll | None:
    if answer.ok:
        url = text(inside(answer.object, "video"), "url")
        return Poll("succeeded", results=(Source(url),)) if url else None
    found = failure(answer)
    if found is None or "still in progress" in found.message:
        return None
    return Poll("failed", failure=found)


def cancel(ticket: Ticket) -> Call | None:
    """Removes it from the queue, or asks a running one to stop."""
    return Call("PUT", f"{_app(ticket)}/cancel")


def cancelled(answer: Answer) -> CancelOutcome:
    """200 removed, 202 asked, 400 too late."""
    found: dict[int, CancelOutcome] = {200: "cancelled", 202: "requested", 400: "too_late"}
    return found.get(answer.status, "unknown")


def find(order: Order, page: int, after: str) -> Call | None:
    """No list: only a push can tell."""
    del order, page, after
    return None


def listed(answer: Answer) -> list[Listed]:
    """No list."""
    return [Listed(text(row, "request_id"), 0.0) for row in items(answer.object, "items")]


def pushed(body: Mapping[str, Any]) -> str | None:
    """request_id of the webhook."""
    return text(body, "request_id") or None
