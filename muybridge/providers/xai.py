"""xAI's Grok Imagine over REST. A bad key may be a 400; cost comes in ticks of 1e-10 USD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Cancel: None. List: No list, no push.
from muybridge.providers.absent import cancel as cancel
from muybridge.providers.absent import cancelled as cancelled
from muybridge.providers.absent import find as find
from muybridge.providers.absent import listed as listed
from muybridge.providers.provider import ErrorClass, Failure, Order, Poll, Source, Ticket, Usage
from muybridge.providers.wire import DAY_S, Answer, Call, class_of, error_object, inside, number, text, whole

POLL_S = 5.0
RETENTION_S = DAY_S
INLINE = False


def base(region: str) -> str:
    """One host."""
    del region
    return "https://api.x.ai/v1"


def headers(key: str) -> dict[str, str]:
    """Bearer."""
    return {"Authorization": f"Bearer {key}"}


def submit(order: Order) -> Call:
    """Generations, or edits of a clip."""
    inputs = order.inputs
    body: dict[str, Any] = {"model": order.model_id, "prompt": order.request.prompt}
    if order.task == "edit":
        return Call("POST", "/videos/edits", {**body, "video": {"url": inputs.video}})
    body |= {"duration": whole(order.seconds), "resolution": order.tier}
    if order.task != "i2v":
        body["aspect_ratio"] = order.ratio
    if inputs.image:
        body["image"] = {"url": inputs.image}
    if inputs.last_image:
        body["last_frame"] = {"url": inputs.last_image}
    if inputs.references:
        body["reference_images"] = [{"url": url} for url in inputs.references]
    return Call("POST", "/videos/generations", body)


def ticket_id(answer: Answer) -> str | None:
    """request_id."""
    return text(answer.object, "request_id") or None


def failure(answer: Answer) -> Failure | None:
    """`{"code", "error"}` with two texts, or OpenAI's shape."""
    message = text(answer.object, "error")
    if not message:
        return error_object(answer, {})
    kind: ErrorClass = "auth" if "API key" in message else class_of(answer.status)
    if "moderation" in message.lower():
        kind = "moderation_input"
    return Failure(kind, message, text(answer.object, "code"), answer.status, answer.retry_after_s)


def poll(ticket: Ticket) -> Call:
    """202 while it runs, perhaps with an empty body."""
    return Call("GET", f"/videos/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """pending, done, failed, expired."""
    del call, ticket
    if answer.status == 404:
        return Poll("gone")
    if answer.status == 202:
        return Poll("running", number(answer.object, "progress"))
    state = text(answer.object, "status")
    if not answer.ok or not state:
        return None
    if state == "pending":
        return Poll("running", number(answer.object, "progress"))
    if state == "expired":
        return Poll("gone")
    ticks = number(inside(answer.object, "usage"), "cost_in_usd_ticks")
    usage = None if ticks is None else Usage("ticks", ticks)
    if state == "failed":
        error = inside(answer.object, "error")
        if text(error, "code") == "cancelled":
            return Poll("cancelled")
        moderated = "moderation" in text(error, "message").lower()
        kind: ErrorClass = "moderation_output" if moderated else "internal"
        return Poll("failed", usage=usage, failure=Failure(kind, text(error, "message"), text(error, "code"), 200))
    video = inside(answer.object, "video")
    if inside(video, "respect_moderation") is False:
        withheld = Failure("moderation_output", "the output was withheld", "respect_moderation", 200)
        return Poll("failed", usage=usage, failure=withheld)
    url = text(video, "url")
    return Poll("succeeded", 100.0, results=(Source(url),), usage=usage) if url else None


def pushed(body: Mapping[str, Any]) -> str | None:
    """No push."""
    del body
    return None
