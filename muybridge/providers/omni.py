"""Gemini Omni through Google's Interactions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muybridge.providers import google
from muybridge.providers.provider import CancelOutcome, Failure, Order, Poll, Source, Ticket, Usage
from muybridge.providers.wire import DAY_S, Answer, Call, Listed, data_parts, inside, items, number, text

POLL_S = 5.0
RETENTION_S = 2 * DAY_S
INLINE = True
TASKS = {"t2v": "text_to_video", "i2v": "image_to_video", "r2v": "reference_to_video", "edit": "edit"}
STATES: dict[str, Any] = {
    "queued": "queued",
    "in_progress": "running",
    "requires_action": "failed",
    "requires_continuation": "failed",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "incomplete": "failed",
    "budget_exceeded": "failed",
}
base, headers, failure = google.base, google.headers, google.failure


def submit(order: Order) -> Call:
    """In the background, media inline."""
    inputs = order.inputs
    parts: list[dict[str, Any]] = []
    for kind, url in (
        *(("image", u) for u in (inputs.image, inputs.last_image, *inputs.references)),
        ("video", inputs.video),
    ):
        if url:
            mime, data = data_parts(url)
            parts.append({"type": kind, "data": data, "mime_type": mime})
    body: dict[str, Any] = {
        "model": order.model_id,
        "input": [*parts, {"type": "text", "text": order.request.prompt}],
        "background": True,
        "store": True,
        "generation_config": {"video_config": {"task": TASKS[order.task]}},
        "response_format": {
            "type": "video",
            "aspect_ratio": order.ratio,
            "resolution": order.tier,
            "duration": f"{order.seconds:g}s",
            "delivery": "uri",
        },
    }
    if order.callback_url:
        body["webhook_config"] = {"uris": [order.callback_url]}
    return Call("POST", "/interactions", body)


def ticket_id(answer: Answer) -> str | None:
    """id."""
    return text(answer.object, "id") or None


def poll(ticket: Ticket) -> Call:
    """The interaction."""
    return Call("GET", f"/interactions/{ticket.id}", params={"stream": "false"})


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """The clip lies in a model_output step."""
    del call, ticket
    if answer.status == 404:
        return Poll("gone")
    name = text(answer.object, "status")
    state = STATES.get(name)
    if not answer.ok or state is None:
        return None
    if state == "failed":
        message = text(inside(answer.object, "error"), "message") or name
        kind = "quota" if name == "budget_exceeded" else "internal"
        return Poll("failed", failure=Failure(kind, message, name, 200))  # type: ignore[arg-type]  # two of its literals
    contents = [
        part
        for step in items(answer.object, "steps")
        if text(step, "type") == "model_output"
        for part in items(step, "content")
        if text(part, "type") == "video"
    ]
    found = tuple(Source(text(p, "uri"), text(p, "data"), ours=bool(text(p, "uri"))) for p in contents)
    if state == "succeeded" and not found:
        return Poll("failed", failure=Failure("moderation_output", "the output was filtered", "filtered", 200))
    tokens = number(inside(answer.object, "usage"), "total_output_tokens")
    return Poll(state, results=found, usage=None if tokens is None else Usage("tokens", tokens))


def cancel(ticket: Ticket) -> Call | None:
    """POST."""
    return Call("POST", f"/interactions/{ticket.id}/cancel")


def cancelled(answer: Answer) -> CancelOutcome:
    """The interaction in its new state."""
    state = text(answer.object, "status")
    if not answer.ok:
        return "unknown"
    return "cancelled" if state == "cancelled" else "too_late" if state == "completed" else "requested"


def find(order: Order, page: int, after: str) -> Call | None:
    """No list."""
    del order, page, after
    return None


def listed(answer: Answer) -> list[Listed]:
    """No list."""
    del answer
    return []


def pushed(body: Mapping[str, Any]) -> str | None:
    """id."""
    return text(body, "id") or text(inside(body, "data"), "id") or None
