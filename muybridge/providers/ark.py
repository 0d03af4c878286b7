"""Volcengine Ark and BytePlus ModelArk: Seedance. Billed in tokens; its pushes are unsigned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muybridge.providers.provider import CancelOutcome, ErrorClass, Failure, Order, Poll, Source, Ticket, Usage
from muybridge.providers.wire import DAY_S, Answer, Call, Listed, error_object, inside, items, number, text, whole

POLL_S = 5.0
RETENTION_S = 7 * DAY_S
INLINE = False
STATES: dict[str, Any] = {
    "queued": "queued",
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "failed",
}
CODES: dict[str, ErrorClass] = {
    "InputTextSensitiveContentDetected": "moderation_input",
    "InputImageSensitiveContentDetected": "moderation_input",
    "OutputVideoSensitiveContentDetected": "moderation_output",
    "AuthenticationError": "auth",
    "AccountOverdueError": "quota",
    "InvalidEndpointOrModel.NotFound": "model_retired",
    "ModelNotOpen": "permission",
    "RateLimitExceeded": "rate",
    "ServerOverloaded": "capacity",
    "InternalServiceError": "internal",
}


def base(region: str) -> str:
    """Ark in Beijing, ModelArk elsewhere."""
    if region == "cn-beijing":
        return "https://ark.cn-beijing.volces.com/api/v3"
    return "https://ark.ap-southeast.bytepluses.com/api/v3"


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
    if inputs.video:
        content.append({"type": "video_url", "video_url": {"url": inputs.video}, "role": "reference_video"})
    body: dict[str, Any] = {
        "model": order.model_id,
        "content": content,
        "resolution": order.tier,
        "ratio": order.ratio if order.task in ("t2v", "r2v") else "adaptive",
        "duration": whole(order.seconds),
        "generate_audio": order.audio,
        "watermark": False,
    }
    if order.task == "edit":
        body["omni_reference_task_type"] = "edit"
    if order.callback_url:
        body["callback_url"] = order.callback_url
    return Call("POST", "/contents/generations/tasks", body)


def ticket_id(answer: Answer) -> str | None:
    """id."""
    return text(answer.object, "id") or None


def failure(answer: Answer) -> Failure | None:
    """OpenAI's shape, own codes."""
    return error_object(answer, CODES)


def poll(ticket: Ticket) -> Call:
    """The task."""
    return Call("GET", f"/contents/generations/tasks/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """Tokens come with the result."""
    del call, ticket
    if answer.status == 404:
        return Poll("gone")
    state = STATES.get(text(answer.object, "status"))
    if not answer.ok or state is None:
        return None
    if state == "failed":
        error = inside(answer.object, "error")
        code = text(error, "code")
        kind: ErrorClass = "timeout" if text(answer.object, "status") == "expired" else CODES.get(code, "internal")
        return Poll("failed", failure=Failure(kind, text(error, "message"), code, 200))
    url = text(inside(answer.object, "content"), "video_url")
    tokens = number(inside(answer.object, "usage"), "completion_tokens")
    usage = None if tokens is None else Usage("tokens", tokens)
    return Poll(state, results=(Source(url),) if url else (), usage=usage)


def cancel(ticket: Ticket) -> Call | None:
    """Only what is queued."""
    return Call("DELETE", f"/contents/generations/tasks/{ticket.id}")


def cancelled(answer: Answer) -> CancelOutcome:
    """A running task cannot be cancelled."""
    return "cancelled" if answer.ok else "too_late"


def find(order: Order, page: int, after: str) -> Call | None:
    """The newest tasks of the model."""
    del after
    params = {"page_num": str(page), "page_size": "100", "filter.model": order.model_id}
    return Call("GET", "/contents/generations/tasks", params=params)


def listed(answer: Answer) -> list[Listed]:
    """No prompt and no id of ours: only the time tells."""
    return [Listed(text(r, "id"), number(r, "created_at") or 0.0) for r in items(answer.object, "items")]


def pushed(body: Mapping[str, Any]) -> str | None:
    """The same body as the query's."""
    return text(body, "id") or None
