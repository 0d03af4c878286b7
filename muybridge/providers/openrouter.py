"""OpenRouter's video jobs. What a job cost comes with its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Cancel: None. List: No list of one's own jobs.
from muybridge.providers.absent import cancel as cancel
from muybridge.providers.absent import cancelled as cancelled
from muybridge.providers.absent import find as find
from muybridge.providers.absent import listed as listed
from muybridge.providers.provider import ErrorClass, Failure, Order, Poll, Source, Ticket, Usage
from muybridge.providers.wire import DAY_S, Answer, Call, error_object, inside, number, text, whole

POLL_S = 10.0
RETENTION_S = DAY_S
INLINE = False
STATES: dict[str, Any] = {
    "pending": "queued",
    "in_progress": "running",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "gone",
}


def base(region: str) -> str:
    """One host."""
    del region
    return "https://openrouter.ai/api/v1"


def headers(key: str) -> dict[str, str]:
    """Bearer."""
    return {"Authorization": f"Bearer {key}"}


def submit(order: Order) -> Call:
    """Frames and references are image_url objects."""
    inputs = order.inputs
    body: dict[str, Any] = {
        "model": order.model_id,
        "prompt": order.request.prompt,
        "duration": whole(order.seconds),
        "resolution": order.tier,
        "aspect_ratio": order.ratio,
        "generate_audio": order.audio,
    }
    if order.offer.model.seed:
        body["seed"] = order.request.seed
    frames = [("first_frame", inputs.image), ("last_frame", inputs.last_image)]
    if any(url for _, url in frames):
        body["frame_images"] = [
            {"type": "image_url", "image_url": {"url": url}, "frame_type": kind} for kind, url in frames if url
        ]
    if inputs.references:
        body["input_references"] = [{"type": "image_url", "image_url": {"url": url}} for url in inputs.references]
    if order.callback_url:
        body["callback_url"] = order.callback_url
    return Call("POST", "/videos", body)


def ticket_id(answer: Answer) -> str | None:
    """id."""
    return text(answer.object, "id") or None


def failure(answer: Answer) -> Failure | None:
    """OpenAI's shape; the code is the HTTP status."""
    return error_object(answer, {})


def poll(ticket: Ticket) -> Call:
    """The job."""
    return Call("GET", f"/videos/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """usage.cost is in USD."""
    del call
    if answer.status == 404:
        return Poll("gone")
    state = STATES.get(text(answer.object, "status"))
    if not answer.ok or state is None:
        return None
    cost = number(inside(answer.object, "usage"), "cost")
    usage = None if cost is None else Usage("usd", cost)
    if state == "failed":
        error = answer.object.get("error")
        message = error if isinstance(error, str) else text(error, "message")
        kind: ErrorClass = "moderation_output" if "moderation" in message.lower() else "internal"
        return Poll("failed", usage=usage, failure=Failure(kind, message, "", 200))
    done = state == "succeeded"
    results = (Source(f"/videos/{ticket.id}/content?index=0", ours=True),) if done else ()
    return Poll(state, results=results, usage=usage)


def pushed(body: Mapping[str, Any]) -> str | None:
    """id."""
    return text(body, "id") or None
