"""Replicate's predictions. Outputs are deleted after about an hour: they are fetched at once."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from muybridge.providers.provider import CancelOutcome, ErrorClass, Failure, Order, Poll, Source, Ticket
from muybridge.providers.wire import HOUR_S, Answer, Call, Listed, class_of, inside, items, text, whole

POLL_S = 5.0
RETENTION_S = HOUR_S
INLINE = False
STATES: dict[str, Any] = {
    "starting": "queued",
    "processing": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "cancelled",
    "aborted": "cancelled",
}


def base(region: str) -> str:
    """One host."""
    del region
    return "https://api.replicate.com/v1"


def headers(key: str) -> dict[str, str]:
    """Bearer."""
    return {"Authorization": f"Bearer {key}"}


def submit(order: Order) -> Call:
    """The model's own input names; those of the HappyHorse model are taken."""
    request, inputs = order.request, order.inputs
    given: dict[str, Any] = {
        "prompt": request.prompt,
        "duration": whole(order.seconds),
        "resolution": order.tier,
        "aspect_ratio": order.ratio,
        "seed": request.seed,
    }
    if inputs.image:
        given["image"] = inputs.image
    body: dict[str, Any] = {"input": given}
    if order.callback_url:
        body |= {"webhook": order.callback_url, "webhook_events_filter": ["start", "completed"]}
    return Call("POST", f"/models/{order.model_id}/predictions", body)


def ticket_id(answer: Answer) -> str | None:
    """id."""
    return text(answer.object, "id") or None


def failure(answer: Answer) -> Failure | None:
    """`{"detail", "status", "title"}`."""
    detail = text(answer.object, "detail") or text(answer.object, "title")
    if not detail:
        return None
    return Failure(class_of(answer.status), detail, text(answer.object, "title"), answer.status, answer.retry_after_s)


def poll(ticket: Ticket) -> Call:
    """The prediction."""
    return Call("GET", f"/predictions/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """output is a text or a list."""
    del call, ticket
    if answer.status == 404:
        return Poll("gone")
    state = STATES.get(text(answer.object, "status"))
    if not answer.ok or state is None:
        return None
    if state == "failed":
        message = text(answer.object, "error")
        sensitive = any(word in message.lower() for word in ("nsfw", "sensitive", "moderation"))
        kind: ErrorClass = "moderation_output" if sensitive else "internal"
        return Poll("failed", failure=Failure(kind, message, "", 200))
    output = answer.object.get("output")
    urls = [output] if isinstance(output, str) else [u for u in items(answer.object, "output") if isinstance(u, str)]
    if state == "succeeded" and not urls:
        return Poll("gone")  # data_removed
    return Poll(state, results=tuple(Source(url) for url in urls[:1]))


def cancel(ticket: Ticket) -> Call | None:
    """POST."""
    return Call("POST", f"/predictions/{ticket.id}/cancel")


def cancelled(answer: Answer) -> CancelOutcome:
    """The prediction in its new state."""
    return "requested" if answer.ok else "unknown"


def find(order: Order, page: int, after: str) -> Call | None:
    """The newest predictions; each repeats its input."""
    del order, after
    return None if page > 1 else Call("GET", "/predictions")


def listed(answer: Answer) -> list[Listed]:
    """id, created_at (ISO), input.prompt."""
    rows = items(answer.object, "results")
    return [
        Listed(text(r, "id"), _unix(text(r, "created_at")), prompt=text(inside(r, "input"), "prompt")) for r in rows
    ]


def _unix(iso: str) -> float:
    try:
        return datetime.datetime.fromisoformat(iso).timestamp()
    except ValueError:
        return 0.0


def pushed(body: Mapping[str, Any]) -> str | None:
    """The prediction itself."""
    return text(body, "id") or None
