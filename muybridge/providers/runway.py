"""Runway's tasks. THROTTLED is a place in its queue, not an error; credits are told with the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muybridge.providers.fit import pixels
from muybridge.providers.provider import CancelOutcome, ErrorClass, Failure, Order, Poll, Source, Ticket, Usage
from muybridge.providers.wire import DAY_S, Answer, Call, Listed, class_of, inside, items, number, text, whole

POLL_S = 5.0
RETENTION_S = DAY_S
INLINE = False
PATHS = {"t2v": "/v1/text_to_video", "i2v": "/v1/image_to_video", "edit": "/v1/video_to_video"}
STATES: dict[str, Any] = {
    "PENDING": "queued",
    "THROTTLED": "throttled",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}
CODES: tuple[tuple[str, ErrorClass], ...] = (
    ("SAFETY.INPUT", "moderation_input"),
    ("SAFETY", "moderation_output"),
    ("ASSET.INVALID", "media_invalid"),
    ("INPUT_PREPROCESSING", "media_invalid"),
)
RATIOS_OF = {  # what happyhorse_1_0 accepts is not always the exact ratio
    ("720p", "1:1"): "960:960",
    ("720p", "4:3"): "1108:832",
    ("720p", "3:4"): "832:1108",
    ("1080p", "1:1"): "1440:1440",
    ("1080p", "4:3"): "1662:1248",
    ("1080p", "3:4"): "1248:1662",
}


def base(region: str) -> str:
    """One host."""
    del region
    return "https://api.dev.runwayml.com"


def headers(key: str) -> dict[str, str]:
    """Bearer, and the version that the hosted API demands."""
    return {"Authorization": f"Bearer {key}", "X-Runway-Version": "2024-11-06"}


def submit(order: Order) -> Call:
    """Text, picture or video decide the path."""
    inputs = order.inputs
    width, height = pixels(order.tier, order.ratio)
    body: dict[str, Any] = {"model": order.model_id, "promptText": order.request.prompt}
    if order.task != "edit":
        body["duration"] = whole(order.seconds)
    if inputs.image:
        body["promptImage"] = inputs.image
    if inputs.video:
        body["promptVideo"] = inputs.video
        body["references"] = [{"uri": url} for url in inputs.references]
    if order.task == "i2v" and order.model_id.startswith("happyhorse"):
        body["resolution"] = order.tier
    else:
        body["ratio"] = RATIOS_OF.get((order.tier, order.ratio), f"{width}:{height}")
    if order.offer.model.seed:
        body["seed"] = order.request.seed
    return Call("POST", PATHS[order.task], body)


def ticket_id(answer: Answer) -> str | None:
    """id."""
    return text(answer.object, "id") or None


def failure(answer: Answer) -> Failure | None:
    """`error` is a text."""
    message = text(answer.object, "error")
    if not message:
        return None
    kind = class_of(answer.status)
    if answer.status == 400 and "credit" in message.lower():
        kind = "quota"
    return Failure(kind, message, "", answer.status, answer.retry_after_s)


def poll(ticket: Ticket) -> Call:
    """The task."""
    return Call("GET", f"/v1/tasks/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """progress is 0..1."""
    del call, ticket
    if answer.status == 404:
        return Poll("gone")
    state = STATES.get(text(answer.object, "status"))
    if not answer.ok or state is None:
        return None
    spent = number(inside(answer.object, "cost"), "credits")
    usage = None if spent is None else Usage("credits", spent)
    if state == "failed":
        code = text(answer.object, "failureCode")
        kind = next((k for start, k in CODES if code.startswith(start)), "internal")
        message = text(answer.object, "failure")
        return Poll("failed", usage=usage, failure=Failure(kind, message, code, 200))  # type: ignore[arg-type]  # str default
    progress = number(answer.object, "progress")
    results = tuple(Source(url) for url in items(answer.object, "output") if isinstance(url, str))
    return Poll(state, None if progress is None else 100 * progress, results=results, usage=usage)


def cancel(ticket: Ticket) -> Call | None:
    """At any time; also deletes."""
    return Call("DELETE", f"/v1/tasks/{ticket.id}")


def cancelled(answer: Answer) -> CancelOutcome:
    """204."""
    return "requested" if answer.ok else "unknown"


def find(order: Order, page: int, after: str) -> Call | None:
    """No list, no push: a lost submit stays unknown until the invoice."""
    del order, page, after
    return None


def listed(answer: Answer) -> list[Listed]:
    """No list."""
    del answer
    return []


def pushed(body: Mapping[str, Any]) -> str | None:
    """No push."""
    del body
    return None
