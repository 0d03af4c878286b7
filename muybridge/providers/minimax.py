"""MiniMax H3 (its second API)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Both exist; their paths are not known for certain, so neither is called and a lost submit stays unknown.
from muybridge.providers.absent import cancel as cancel
from muybridge.providers.absent import cancelled as cancelled
from muybridge.providers.absent import find as find
from muybridge.providers.absent import listed as listed
from muybridge.providers.provider import ErrorClass, Failure, Order, Poll, Source, Ticket
from muybridge.providers.wire import DAY_S, Answer, Call, class_of, error_object, inside, number, text, whole

POLL_S = 5.0
RETENTION_S = 7 * DAY_S
INLINE = False
STATES: dict[str, Any] = {
    "queued": "queued",
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
CODES: dict[int, ErrorClass] = {  # of base_resp, as in its first API
    1002: "rate",
    1004: "auth",
    1008: "quota",
    1026: "moderation_input",
    1027: "moderation_output",
    2013: "invalid_input",
}


def base(region: str) -> str:
    """One host."""
    del region
    return "https://api.minimax.io"


def headers(key: str) -> dict[str, str]:
    """Bearer."""
    return {"Authorization": f"Bearer {key}"}


def submit(order: Order) -> Call:
    """Prompt and media are contents with roles."""
    inputs = order.inputs
    content: list[dict[str, Any]] = [{"type": "text", "text": order.request.prompt}]
    pictures = [("first_frame", inputs.image), ("last_frame", inputs.last_image)]
    pictures += [("reference_image", url) for url in inputs.references]
    content += [{"type": "image_url", "image_url": {"url": url}, "role": role} for role, url in pictures if url]
    body: dict[str, Any] = {
        "model": order.model_id,
        "content": content,
        "resolution": order.tier.upper(),
        "duration": whole(order.seconds),
        "ratio": order.ratio if order.task in ("t2v", "r2v") else "adaptive",
    }
    return Call("POST", "/v2/video_generation", body)


def ticket_id(answer: Answer) -> str | None:
    """task_id."""
    return text(answer.object, "task_id") or text(inside(answer.object, "task"), "id") or None


def failure(answer: Answer) -> Failure | None:
    """An error object, or a base_resp whose code is not 0, also inside a 200."""
    resp = inside(answer.object, "base_resp")
    code = number(resp, "status_code")
    if code:
        kind = CODES.get(int(code), class_of(answer.status) if not answer.ok else "internal")
        return Failure(kind, text(resp, "status_msg"), str(int(code)), answer.status, answer.retry_after_s)
    return error_object(answer, {})


def poll(ticket: Ticket) -> Call:
    """The task."""
    return Call("GET", f"/v2/query/video_generation/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """task.status and task.content.url."""
    del call, ticket
    if answer.status == 404:
        return Poll("gone")
    task = inside(answer.object, "task") or answer.object
    state = STATES.get(text(task, "status"))
    if not answer.ok or state is None:
        return None
    if state == "failed":
        error = inside(task, "error")
        kind = CODES.get(int(number(error, "code") or 0), "internal")
        return Poll("failed", failure=Failure(kind, text(error, "message"), str(inside(error, "code") or ""), 200))
    url = text(inside(task, "content"), "url")
    return Poll(state, results=(Source(url),) if url else ())


def pushed(body: Mapping[str, Any]) -> str | None:
    """Its pushes need a handshake that we do not offer: none is asked for."""
    return text(body, "task_id") or None
