"""Kling's new generation: the model is in the path, HTTP 200 is not success, and an own id can be sent along.

`external_task_id` is unique per account: the one protocol in which a lost submit can be looked up for certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muybridge.providers.provider import CancelOutcome, ErrorClass, Failure, Order, Poll, Source, Ticket, Usage
from muybridge.providers.wire import DAY_S, Answer, Call, Listed, class_of, inside, items, number, text, whole

POLL_S = 5.0
RETENTION_S = 30 * DAY_S
INLINE = False
PATHS = {"t2v": "text-to-video", "i2v": "image-to-video", "r2v": "omni-video"}
HOSTS = {"": "api-singapore", "singapore": "api-singapore", "beijing": "api-beijing"}
STATES: dict[str, Any] = {
    "submitted": "queued",
    "processing": "running",
    "succeed": "succeeded",
    "succeeded": "succeeded",
    "failed": "failed",
}
CODES: dict[int, ErrorClass] = {
    1000: "auth",
    1001: "auth",
    1002: "auth",
    1003: "auth",
    1004: "auth",
    1100: "quota",
    1101: "quota",
    1102: "quota",
    1103: "permission",
    1200: "invalid_input",
    1201: "invalid_input",
    1202: "model_retired",
    1203: "model_retired",
    1300: "moderation_input",
    1301: "moderation_input",
    1302: "rate",
    1303: "capacity",
    1304: "permission",
    5000: "internal",
    5001: "capacity",
    5002: "timeout",
}


def base(region: str) -> str:
    """Singapore, or Beijing for China."""
    return f"https://{HOSTS.get(region, HOSTS[''])}.klingai.com"


def headers(key: str) -> dict[str, str]:
    """Bearer."""
    return {"Authorization": f"Bearer {key}"}


def submit(order: Order) -> Call:
    """Everything visible is a content."""
    inputs = order.inputs
    contents: list[dict[str, Any]] = [{"type": "prompt", "text": order.request.prompt}]
    for kind, url in (
        ("first_frame", inputs.image),
        ("last_frame", inputs.last_image),
        *(("refer_image", url) for url in inputs.references),
    ):
        if url:
            contents.append({"type": kind, "url": url})
    settings: dict[str, Any] = {
        "resolution": order.tier,
        "duration": whole(order.seconds),
        "audio": "native" if order.audio else "off",
    }
    if order.task != "i2v":
        settings["aspect_ratio"] = order.ratio
    options: dict[str, Any] = {"external_task_id": order.reference, "watermark_info": {"enabled": False}}
    if order.callback_url:
        options["callback_url"] = order.callback_url
    kind = "omni-video" if order.model_id.endswith("omni") else PATHS[order.task]
    return Call("POST", f"/{kind}/{order.model_id}", {"contents": contents, "settings": settings, "options": options})


def ticket_id(answer: Answer) -> str | None:
    """data.id, if the code is 0."""
    if answer.object.get("code") != 0:
        return None
    data = inside(answer.object, "data")
    return text(data, "id") or text(data, "task_id") or None


def failure(answer: Answer) -> Failure | None:
    """A code other than 0."""
    code = number(answer.object, "code")
    if code is None or code == 0:
        return None
    kind = CODES.get(int(code), class_of(answer.status))
    return Failure(kind, text(answer.object, "message"), str(int(code)), answer.status, answer.retry_after_s)


def poll(ticket: Ticket) -> Call:
    """By our id or theirs."""
    return Call("GET", "/tasks", params={"task_ids": ticket.id})


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """data.result[]."""
    del call
    if answer.status == 404 or answer.object.get("code") == 1203:
        return Poll("gone")
    if not answer.ok or answer.object.get("code") != 0:
        return None
    rows = items(inside(answer.object, "data"), "result")
    row = next((r for r in rows if text(r, "id") == ticket.id), None)
    if row is None:
        return Poll("gone")
    state = STATES.get(text(row, "status"))
    if state is None:
        return None
    bills = [b for b in items(row, "billing") if number(b, "amount") is not None]
    usage = Usage("units", sum(number(b, "amount") or 0.0 for b in bills)) if bills else None
    if state == "failed":
        message = text(row, "message")
        kind: ErrorClass = "moderation_output" if "policy" in message.lower() else "internal"
        return Poll("failed", usage=usage, failure=Failure(kind, message, "", 200))
    results = tuple(Source(text(o, "url")) for o in items(row, "outputs") if text(o, "url"))
    return Poll(state, results=results, usage=usage)


def cancel(ticket: Ticket) -> Call | None:
    """None."""
    del ticket
    return None


def cancelled(answer: Answer) -> CancelOutcome:
    """Never asked."""
    del answer
    return "impossible"


def find(order: Order, page: int, after: str) -> Call | None:
    """By our own id."""
    del after
    return None if page > 1 else Call("GET", "/tasks", params={"external_task_ids": order.reference})


def listed(answer: Answer) -> list[Listed]:
    """With our own id."""
    return [
        Listed(text(r, "id"), (number(r, "create_time") or 0) / 1000, reference=text(r, "external_id"))
        for r in items(inside(answer.object, "data"), "result")
    ]


def pushed(body: Mapping[str, Any]) -> str | None:
    """id (new) or task_id (old)."""
    return text(body, "id") or text(body, "task_id") or None
