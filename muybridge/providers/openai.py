"""OpenAI Videos and every server that speaks it: Muybridge itself, other self-hosted engines, resellers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muybridge.providers.fit import pixels
from muybridge.providers.provider import CancelOutcome, ErrorClass, Failure, Order, Poll, Source, Ticket
from muybridge.providers.wire import DAY_S, Answer, Call, Listed, error_object, inside, items, number, text, whole

POLL_S = 5.0
RETENTION_S = DAY_S
INLINE = False
STATES: dict[str, Any] = {"queued": "queued", "in_progress": "running", "completed": "succeeded", "failed": "failed"}
CODES: dict[str, ErrorClass] = {
    "moderation_blocked": "moderation_input",
    "content_policy_violation": "moderation_input",
    "insufficient_quota": "quota",
    "rate_limit_exceeded": "rate",
    "invalid_api_key": "auth",
    "model_not_found": "model_retired",
    "server_error": "internal",
}


def base(region: str) -> str:
    """The hosted API is gone: an account names its own base URL."""
    del region
    return "https://api.openai.com/v1"


def headers(key: str) -> dict[str, str]:
    """Bearer."""
    return {"Authorization": f"Bearer {key}"}


def submit(order: Order) -> Call:
    """JSON; a first frame travels as an image_url."""
    width, height = pixels(order.tier, order.ratio)
    body: dict[str, Any] = {
        "model": order.model_id,
        "prompt": order.request.prompt,
        "seconds": str(whole(order.seconds)),
        "size": f"{width}x{height}",
    }
    if order.inputs.image:
        body["input_reference"] = {"image_url": order.inputs.image}
    return Call("POST", "/videos", body)


def ticket_id(answer: Answer) -> str | None:
    """id."""
    return text(answer.object, "id") or None


def failure(answer: Answer) -> Failure | None:
    """The usual error object."""
    return error_object(answer, CODES)


def poll(ticket: Ticket) -> Call:
    """Retrieve."""
    return Call("GET", f"/videos/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """A cancelled job shows as failed with the code `cancelled`."""
    del call
    if answer.status == 404:
        return Poll("gone")
    state = STATES.get(text(answer.object, "status"))
    if not answer.ok or state is None:
        return None
    progress = number(answer.object, "progress")
    if state == "failed":
        error = inside(answer.object, "error")
        code = text(error, "code")
        if code == "cancelled":
            return Poll("cancelled")
        kind: ErrorClass = "moderation_output" if code == "moderation_blocked" else CODES.get(code, "internal")
        return Poll("failed", progress, failure=Failure(kind, text(error, "message"), code, 200))
    if state == "succeeded":
        return Poll("succeeded", 100.0, results=(Source(f"/videos/{ticket.id}/content", ours=True),))
    return Poll(state, progress)


def cancel(ticket: Ticket) -> Call | None:
    """There is no cancel: deleting is the way out."""
    return Call("DELETE", f"/videos/{ticket.id}")


def cancelled(answer: Answer) -> CancelOutcome:
    """Deleted, still stopping (409), or gone."""
    if answer.ok:
        return "cancelled"
    return "requested" if answer.status == 409 else "unknown"


def find(order: Order, page: int, after: str) -> Call | None:
    """The newest videos; each repeats its prompt."""
    del order, page
    return Call("GET", "/videos", params={"limit": "100", "order": "desc"} | ({"after": after} if after else {}))


def listed(answer: Answer) -> list[Listed]:
    """id, created_at, prompt."""
    rows = items(answer.object, "data")
    return [Listed(text(r, "id"), number(r, "created_at") or 0.0, prompt=text(r, "prompt") or None) for r in rows]


def pushed(body: Mapping[str, Any]) -> str | None:
    """data.id of an event."""
    return text(inside(body, "data"), "id") or None
