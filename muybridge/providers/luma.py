"""Luma's Agents API: Ray without sound. Result links live an hour; asking again gives a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Cancel: None. List: No list, no push that could be relied on.
from muybridge.providers.absent import cancel as cancel
from muybridge.providers.absent import cancelled as cancelled
from muybridge.providers.absent import find as find
from muybridge.providers.absent import listed as listed
from muybridge.providers.provider import ErrorClass, Failure, Order, Poll, Source, Ticket
from muybridge.providers.wire import DAY_S, Answer, Call, class_of, error_object, items, text

POLL_S = 5.0
RETENTION_S = 365 * DAY_S
INLINE = False
STATES: dict[str, Any] = {
    "queued": "queued",
    "pending": "queued",
    "dreaming": "running",
    "processing": "running",
    "completed": "succeeded",
    "failed": "failed",
}


def base(region: str) -> str:
    """One host."""
    del region
    return "https://agents.lumalabs.ai/v1"


def headers(key: str) -> dict[str, str]:
    """Bearer."""
    return {"Authorization": f"Bearer {key}"}


def submit(order: Order) -> Call:
    """Frames are addresses."""
    video: dict[str, Any] = {"resolution": order.tier, "duration": f"{order.seconds:g}s"}
    for name, url in (("start_frame", order.inputs.image), ("end_frame", order.inputs.last_image)):
        if url:
            video[name] = {"type": "image", "url": url}
    body: dict[str, Any] = {
        "model": order.model_id,
        "type": "video",
        "prompt": order.request.prompt,
        "video": video,
    }
    if order.task == "t2v":
        body["aspect_ratio"] = order.ratio
    return Call("POST", "/generations", body)


def ticket_id(answer: Answer) -> str | None:
    """id."""
    return text(answer.object, "id") or None


def failure(answer: Answer) -> Failure | None:
    """`detail`, or OpenAI's shape."""
    detail = text(answer.object, "detail")
    if detail:
        kind: ErrorClass = "moderation_input" if "moderation" in detail.lower() else class_of(answer.status)
        return Failure(kind, detail, "", answer.status, answer.retry_after_s)
    return error_object(answer, {})


def poll(ticket: Ticket) -> Call:
    """The generation."""
    return Call("GET", f"/generations/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """An unknown state in flight counts as running."""
    del call, ticket
    if answer.status == 404:
        return Poll("gone")
    name = text(answer.object, "state")
    if not answer.ok or not name:
        return None
    state = STATES.get(name, "running")
    if state == "failed":
        code = text(answer.object, "failure_code")
        kind: ErrorClass = "moderation_output" if "moderation" in code.lower() else "internal"
        return Poll("failed", failure=Failure(kind, text(answer.object, "failure_reason"), code, 200))
    urls = [text(o, "url") for o in items(answer.object, "output") if text(o, "type") == "video"]
    return Poll(state, results=tuple(Source(url) for url in urls if url))


def pushed(body: Mapping[str, Any]) -> str | None:
    """id."""
    return text(body, "id") or None
