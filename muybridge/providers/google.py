"""Google's Veo as a long-running operation of the developer API. Filtered output is a success with no video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Cancel: None in the protocol. List: No list that could be relied on.
from muybridge.providers.absent import cancel as cancel
from muybridge.providers.absent import cancelled as cancelled
from muybridge.providers.absent import find as find
from muybridge.providers.absent import listed as listed
from muybridge.providers.provider import ErrorClass, Failure, Order, Poll, Source, Ticket
from muybridge.providers.wire import (
    DAY_S,
    Answer,
    Call,
    class_of,
    data_parts,
    inside,
    items,
    number,
    text,
    whole,
)

POLL_S = 5.0
RETENTION_S = 2 * DAY_S
INLINE = True
STATUSES: dict[str, ErrorClass] = {
    "INVALID_ARGUMENT": "invalid_input",
    "FAILED_PRECONDITION": "invalid_input",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "model_retired",
    "RESOURCE_EXHAUSTED": "rate",
    "INTERNAL": "internal",
    "UNAVAILABLE": "capacity",
    "DEADLINE_EXCEEDED": "timeout",
}


def base(region: str) -> str:
    """The developer API."""
    del region
    return "https://generativelanguage.googleapis.com/v1beta"


def headers(key: str) -> dict[str, str]:
    """Its own header."""
    return {"x-goog-api-key": key}


def submit(order: Order) -> Call:
    """Pictures travel as base64."""
    request, inputs = order.request, order.inputs
    instance: dict[str, Any] = {"prompt": request.prompt}
    if inputs.image:
        instance["image"] = _image(inputs.image)
    if inputs.last_image:
        instance["lastFrame"] = _image(inputs.last_image)
    if inputs.references:
        instance["referenceImages"] = [{"image": _image(u), "referenceType": "ASSET"} for u in inputs.references]
    parameters: dict[str, Any] = {
        "sampleCount": 1,
        "durationSeconds": whole(order.seconds),
        "aspectRatio": order.ratio,
        "resolution": order.tier,
    }
    if request.negative_prompt:
        parameters["negativePrompt"] = request.negative_prompt
    body: dict[str, Any] = {"instances": [instance], "parameters": parameters}
    if order.callback_url:
        body["webhookConfig"] = {"uris": [order.callback_url]}
    return Call("POST", f"/models/{order.model_id}:predictLongRunning", body)


def _image(url: str) -> dict[str, str]:
    mime, data = data_parts(url)
    return {"bytesBase64Encoded": data, "mimeType": mime}


def ticket_id(answer: Answer) -> str | None:
    """The operation's name."""
    return text(answer.object, "name") or None


def failure(answer: Answer) -> Failure | None:
    """`{"error": {"code", "message", "status"}}`; a bad key is a 400."""
    error = inside(answer.object, "error")
    if not isinstance(error, Mapping):
        return None
    name, message = text(error, "status"), text(error, "message")
    kind = "auth" if "API key not valid" in message else STATUSES.get(name, class_of(answer.status))
    return Failure(kind, message, name, answer.status, answer.retry_after_s)


def poll(ticket: Ticket) -> Call:
    """The operation."""
    return Call("GET", f"/{ticket.id}")


def status(answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
    """`done` is absent until the end."""
    del call, ticket
    if answer.status == 404:
        return Poll("gone")
    if not answer.ok or not isinstance(answer.json, Mapping):
        return None
    if not answer.object.get("done"):
        return Poll("running")
    error = inside(answer.object, "error")
    if isinstance(error, Mapping):
        message = text(error, "message")
        if number(error, "code") == 1:
            return Poll("cancelled")
        return Poll("failed", failure=Failure("internal", message, str(error.get("code") or ""), 200))
    made = inside(answer.object, "response", "generateVideoResponse")
    samples = items(made, "generatedSamples")
    if not samples:
        reasons = "; ".join(str(r) for r in items(made, "raiMediaFilteredReasons"))
        return Poll(
            "failed", failure=Failure("moderation_output", reasons or "the output was filtered", "filtered", 200)
        )
    return Poll("succeeded", results=tuple(_source(s.get("video")) for s in samples if isinstance(s, Mapping)))


def _source(video: Any) -> Source:  # noqa: ANN401  (untrusted JSON)
    return (
        Source(base64=text(video, "encodedVideo"))
        if text(video, "encodedVideo")
        else Source(text(video, "uri"), ours=True)
    )


def pushed(body: Mapping[str, Any]) -> str | None:
    """The operation's name."""
    return text(body, "name") or text(inside(body, "operation"), "name") or None
