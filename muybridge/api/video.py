"""The Video object: our job in the OpenAI Videos shape, with our extensions added. Pure functions, no routes.

The shape is facts apis 5. Extensions only add fields, so OpenAI's SDKs read it as their own; the one thing that cannot
be added is the status `cancelled`, which the OpenAI dialect shows as `failed` with error code `cancelled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request as HttpRequest
from fastapi import Response
from fastapi.responses import JSONResponse

from muybridge.api import ids
from muybridge.api.face import flag_of, integer_of, number_of, status_of, text_of
from muybridge.api.models import AUTO, ModelNotFound, ServedModel
from muybridge.errors import InvalidRequest, MuybridgeError
from muybridge.jobs.job import Job
from muybridge.request import Task, reference_name

# OpenAI's names for our error classes: (type, code). None: the class's own word.
ERROR_NAMES: dict[str, tuple[str, str | None]] = {
    "invalid_input": ("invalid_request_error", "invalid_value"),
    "media_invalid": ("invalid_request_error", "invalid_media"),
    "media_fetch": ("invalid_request_error", "invalid_media_url"),
    "out_of_memory": ("invalid_request_error", "invalid_value"),
    "moderation_input": ("invalid_request_error", "moderation_blocked"),
    "moderation_output": ("server_error", "moderation_blocked"),
    "auth": ("invalid_request_error", "invalid_api_key"),
    "permission": ("invalid_request_error", "insufficient_permissions"),
    "not_found": ("invalid_request_error", "not_found"),
    "conflict": ("invalid_request_error", "conflict"),
    "rate": ("rate_limit_error", "rate_limit_exceeded"),
    "quota": ("insufficient_quota", "insufficient_quota"),
    "model_retired": ("invalid_request_error", "model_not_found"),
}
JOB_ERROR_CODES = {"moderation_input": "moderation_blocked", "moderation_output": "moderation_blocked"}
SORA_SIZE, SORA_SECONDS = "720x1280", 4.0  # OpenAI's own defaults, used when a sora name is asked for
ROUTING = {  # what a caller may wish of the router
    "prefer": "text",
    "providers": "list",
    "not_providers": "list",
    "max_usd": "number",
    "deadline_s": "number",
    "runs_in": "list",
    "allow": "list",
    "project": "text",
}
PREFERENCES = {"cheapest": "cheapest", "fastest": "fastest", "quality": "best", "weighted": "weighted"}
MEDIA_FIELDS = ("image", "last_image", "video", "audio")


def render(error: MuybridgeError, request: HttpRequest) -> Response:  # noqa: ARG001  (every face's signature)
    """An error in OpenAI's body: `{"error": {"message", "type", "param", "code"}}`."""
    kind, code = ERROR_NAMES.get(error.code, ("server_error", None))
    if isinstance(error, ModelNotFound):
        code = "model_not_found"
    param = getattr(error, "field", None)
    body = {"error": {"message": str(error), "type": kind, "param": param, "code": code or error.code}}
    return JSONResponse(body, status_of(error))


def is_openai(request: HttpRequest) -> bool:
    """Whether the caller speaks the OpenAI dialect: its SDKs name themselves; the `/openai` twin says it."""
    scope = request.scope
    return scope["path"].startswith("/openai/") or any(name == b"x-stainless-lang" for name, _ in scope["headers"])


def to_body(job: Job, openai: bool = False) -> dict[str, Any]:
    """The Video object of a job."""
    asked = job.request
    pixels = asked.get("pixels") or asked.get("size")
    made = next((a for a in job.artifacts if a.kind == "video"), None)
    seconds = made.duration_s if made and made.duration_s else _asked_seconds(job)
    return {
        "id": ids.public_id(job.id, "openai"),
        "object": "video",
        "created_at": int(job.created_at),
        "completed_at": _whole(job.completed_at) if job.status == "completed" else None,
        "expires_at": _whole(job.expires_at),
        "status": "failed" if openai and job.status == "cancelled" else job.status,
        "progress": 100 if job.status == "completed" else min(int(job.progress), 99),
        "model": job.model,
        "prompt": asked.get("prompt"),
        "seconds": f"{seconds:g}",
        "size": f"{made.width}x{made.height}" if made and made.width else pixels,
        "error": _error(job),
        "remixed_from_video_id": ids.public_id(job.parent_id, "openai") if job.parent_id else None,
        # extensions
        "model_actual": job.model_actual,
        "task": job.metadata.get("task"),
        "stage": job.stage,
        "eta_seconds": None if job.eta_s is None else round(job.eta_s, 1),
        "cancel_requested": job.cancel_requested,
        "attempt": job.attempt,
        "ratio": asked.get("ratio"),
        "seed": asked.get("seed"),
        "quote": job.quote,
        "usage": job.usage,
        "variants": [a.kind for a in job.artifacts],
        "metadata": job.metadata.get("user") or {},
    }


def to_request(body: Mapping[str, Any], model: ServedModel) -> dict[str, Any]:
    """The canonical request of a create body; media stay as the caller gave them (`Service.submit` fetches them).

    `prompt`, `size`, `seconds`, `input_reference` are OpenAI's; the rest are ours. Raises InvalidRequest.
    """
    b = dict(body)
    sora = model.tier is not None
    out: dict[str, Any] = {"prompt": text_of(b, "prompt")}
    if out["prompt"] is None:
        raise InvalidRequest("prompt is missing; say what should be seen and heard.", "prompt")
    if size := text_of(b, "size", SORA_SIZE if sora else None):
        out["size"] = size
    seconds = number_of(b, "seconds")
    out["seconds"] = seconds if seconds is not None else (SORA_SECONDS if sora else 5.0)
    for name in ("ratio", "negative_prompt", "language", "audio_mode"):
        if value := text_of(b, name):
            out[name] = value
    for name in ("seed", "num_inference_steps"):
        if (number := integer_of(b, name)) is not None:
            out[name] = number
    if (scale := number_of(b, "guidance_scale")) is not None:
        out["guidance_scale"] = scale
    if (mark := flag_of(b, "watermark")) is not None:
        out["watermark"] = mark
    for name in ("dialogue", "beats"):
        if b.get(name) is not None:
            out[name] = _objects(b[name], name)
    if (options := _routing(b.get("routing"), model)) is not None:
        out["extra"] = options
    out.update(_media(b))
    _check_task(text_of(b, "task"), out)
    return out


def _routing(given: object, model: ServedModel) -> dict[str, str] | None:
    """The caller's wishes for the router, as `Routing.wish` takes them. Raises InvalidRequest."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InvalidRequest("routing must be an object.", "routing")
    if model.actual != AUTO:
        raise InvalidRequest(
            f"{model.name} runs on this server's own machines; routing needs a routed model.", "routing"
        )
    if unknown := set(given) - set(ROUTING):
        raise InvalidRequest(f"routing has no field {sorted(unknown)[0]!r}; known are {', '.join(ROUTING)}.", "routing")
    out = {}
    for name, value in given.items():
        items = value if isinstance(value, list) else [value]
        if isinstance(value, list) and ROUTING[name] != "list":
            raise InvalidRequest(f"routing.{name} must be one value, not a list.", f"routing.{name}")
        if not all(isinstance(v, str) or (isinstance(v, int | float) and not isinstance(v, bool)) for v in items):
            raise InvalidRequest(f"routing.{name} must be text or a number.", f"routing.{name}")
        if ROUTING[name] == "number" and not isinstance(value, int | float):
            raise InvalidRequest(f"routing.{name} must be a number.", f"routing.{name}")
        if items:
            out[name] = ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in items)
    if (prefer := out.pop("prefer", None)) is not None:
        if prefer not in PREFERENCES:
            raise InvalidRequest(
                f"routing.prefer is {prefer[:40]!r}; choose {', '.join(PREFERENCES)}.", "routing.prefer"
            )
        out["policy"] = PREFERENCES[prefer]
    return out or None


def _media(body: dict[str, Any]) -> dict[str, Any]:
    """Every picture, clip and sound of a body, by its role. `input_reference` is the first frame."""
    out: dict[str, Any] = {}
    for name in MEDIA_FIELDS:
        if _given(body.get(name)):
            out[name] = body[name]
    if _given(body.get("input_reference")):
        if "image" in out:
            raise InvalidRequest("Give input_reference or image, not both: each is the first frame.", "input_reference")
        out["image"] = body["input_reference"]
    references = body.get("references")
    if _given(references):
        items = references if isinstance(references, list) else [references]
        out["references"] = [_reference(item, i) for i, item in enumerate(items)]
    return out


def _reference(item: object, index: int) -> dict[str, Any]:
    """A typed reference: `{"type": "image", "image": MEDIA, "name": "hero"}`, or just MEDIA."""
    if not isinstance(item, Mapping) or not {"type", "image", "name"} & set(item):
        return {"image": item, "name": reference_name(index)}
    kind = item.get("type", "image")
    if kind != "image":
        raise InvalidRequest(
            f"references[{index}].type is {str(kind)[:40]!r}; only image references are used.", "references"
        )
    media = item.get("image") or {k: v for k, v in item.items() if k not in ("type", "name")}
    name = item.get("name") or reference_name(index)
    if not isinstance(name, str) or not _given(media):
        raise InvalidRequest(f"references[{index}] needs an image, and its name must be text.", "references")
    return {"image": media, "name": name}


def _objects(value: object, name: str) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        raise InvalidRequest(f"{name} must be a list of objects.", name)
    return value


def _check_task(task: str | None, request: Mapping[str, Any]) -> None:
    """An explicit task must be the one that the given media mean: nothing is silently ignored."""
    if task is None:
        return
    found = task_of(request)
    if task not in set(Task):
        raise InvalidRequest(f"task is {task[:40]!r}; choose one of {', '.join(Task)}, or leave it out.", "task")
    if task != found:
        raise InvalidRequest(f"task is {task}, but what was given makes it {found}; add or remove media.", "task")


def task_of(request: Mapping[str, Any]) -> Task:
    """As `Request.task`, before media are fetched."""
    if request.get("video") is not None:
        return Task.EDIT
    if request.get("references"):
        return Task.R2V
    if request.get("image") is not None or request.get("last_image") is not None:
        return Task.I2V
    return Task.A2V if request.get("audio") is not None else Task.T2V


def _given(value: object) -> bool:
    return value is not None and value != "" and value != [] and value != {}


def _asked_seconds(job: Job) -> float:
    """Before the clip exists: what was asked for, and for an extension the source's length as well."""
    return float(job.request.get("seconds", 0)) + float(job.metadata.get("source_seconds", 0))


def _whole(at: float | None) -> int | None:
    return None if at is None else int(at)


def _error(job: Job) -> dict[str, str] | None:
    if job.status == "cancelled":
        return {"code": "cancelled", "message": "The video was cancelled before it was finished."}
    if job.status != "failed" or job.error is None:
        return None
    code = job.error.get("code", "internal")
    shown = JOB_ERROR_CODES.get(code, "video_generation_failed" if code == "internal" else code)
    return {"code": shown, "message": job.error.get("message", "")}
