"""DashScope / Model Studio, HappyHorse's own protocol: submit with the async header, query, list, cancel, upload policy.

Wire facts (facts/apis.md 3): a query answers HTTP 200 whatever became of the task; an unknown or foreign id is a 200 with
task_status UNKNOWN; `code` stands at top level only in errors, because SDK v2 takes a 200 with `code` for one.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from muybridge.api import wire
from muybridge.errors import Conflict, InvalidRequest, MuybridgeError, NotFound, PermissionDenied
from muybridge.shapes import RATIOS

if TYPE_CHECKING:
    from muybridge.api.service import Key, Service
    from muybridge.jobs.job import Job

PROTOCOL = "dashscope"
SUBMIT_PATH = "/services/aigc/{group}/video-synthesis"
BEIJING = timezone(timedelta(hours=8))  # task times carry no zone; the hosted service shows this one
KEPT_S = 24 * 3600.0
TIERS = ("480P", "720P", "1080P")
MEDIA_COUNTS = {  # model suffix: {media type: (fewest, most)}
    "t2v": {},
    "i2v": {"first_frame": (1, 1)},
    "r2v": {"reference_image": (1, 9)},
    "video-edit": {"video": (1, 1), "reference_image": (0, 5)},
}
STATUS = {
    "queued": "PENDING",
    "in_progress": "RUNNING",
    "completed": "SUCCEEDED",
    "failed": "FAILED",
    "cancelled": "CANCELED",
}
ERRORS = {  # canonical class: (HTTP status, code)
    "invalid_input": (400, "InvalidParameter"),
    "media_invalid": (400, "InvalidFile.Format"),
    "media_fetch": (400, "InvalidURL"),
    "out_of_memory": (400, "InvalidParameter"),
    "auth": (401, "InvalidApiKey"),
    "permission": (403, "AccessDenied"),
    "quota": (400, "Arrearage"),
    "rate": (429, "Throttling.RateQuota"),
    "capacity": (503, "ModelUnavailable"),
    "moderation_input": (400, "DataInspectionFailed"),
    "moderation_output": (400, "DataInspectionFailed"),
    "not_found": (404, "NotFound"),
    "conflict": (409, "Conflict"),
    "model_retired": (404, "ModelNotFound"),
    "timeout": (500, "InternalError.Timeout"),
    "worker_lost": (500, "SystemError"),
}


def to_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical request of a submit body; media stand as the sources the caller named.

    Fields that belong to other families (`extend_prompt`, `function`, `shot_type` ...) are ignored, as hosted.
    """
    model = wire.field(body, "model", str, "")
    if not model:
        raise InvalidRequest("model is missing; name one, for example happyhorse-1.1-t2v.", "model")
    if not isinstance(body.get("input"), Mapping):
        raise InvalidRequest("input is missing; it holds the prompt and the media.", "input")
    mode = next((m for m in MEDIA_COUNTS if model.startswith("happyhorse-") and f"-{m}" in model), None)
    media = _media(body, mode)
    prompt = cut_prompt(wire.field(body, "input.prompt", str, ""))
    request: dict[str, Any] = {
        "prompt": prompt if prompt or mode != "i2v" else wire.PROMPTLESS,
        "size": _tier(body, model).lower(),
        "watermark": wire.field(body, "parameters.watermark", bool, True),
        **media,
    }
    ratio = wire.field(body, "parameters.ratio", str, "16:9")
    if ratio not in RATIOS:
        raise InvalidRequest(f"parameters.ratio is {ratio!r}; choose one of {', '.join(RATIOS)}.", "parameters.ratio")
    if mode not in ("i2v", "video-edit"):
        request["ratio"] = ratio
    if mode != "video-edit":
        request["seconds"] = wire.within(body, "parameters.duration", 3, 15, 5)
    seed = wire.field(body, "parameters.seed", int, None)
    if seed is not None:
        request["seed"] = seed
    setting = wire.field(body, "parameters.audio_setting", str, "auto")
    if setting not in ("auto", "origin"):
        raise InvalidRequest(
            f"parameters.audio_setting is {setting!r}; choose auto or origin.", "parameters.audio_setting"
        )
    if setting == "origin" and "video" in request:
        request["audio_mode"] = "keep"
    if mode is None:
        _wan(body, request)
    return request


def _media(body: Mapping[str, Any], mode: str | None) -> dict[str, Any]:
    items = wire.objects(body, "input.media")
    counts: dict[str, int] = {}
    found: dict[str, Any] = {}
    for index, item in enumerate(items):
        kind, url = (wire.field(item, name, str, "") for name in ("type", "url"))
        if not url:
            raise InvalidRequest(f"input.media[{index}].url is empty.", "input.media")
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "reference_image":
            found.setdefault("references", []).append(wire.reference(len(found.get("references", [])), url))
        elif kind in (names := {"first_frame": "image", "last_frame": "last_image", "video": "video"}):
            found[names[kind]] = url
        elif kind in ("driving_audio", "reference_audio") and mode is None:
            found["audio"] = url
        else:
            raise InvalidRequest(f"input.media[{index}].type {kind!r} is not taken by this model.", "input.media")
    for kind in {*counts, *MEDIA_COUNTS[mode]} if mode is not None else ():
        fewest, most = MEDIA_COUNTS[mode].get(kind, (0, 0))
        if not fewest <= counts.get(kind, 0) <= most:
            wanted = str(most) if fewest == most else f"{fewest} to {most}"
            raise InvalidRequest(
                f"input.media has {counts.get(kind, 0)} of type {kind!r}; {mode} takes {wanted}.", "input.media"
            )
    return found


def _tier(body: Mapping[str, Any], model: str) -> str:
    tier = wire.field(body, "parameters.resolution", str, "1080P").upper()
    allowed = TIERS[1:] if model.startswith("happyhorse-1.0") else TIERS
    if tier not in allowed:
        raise InvalidRequest(
            f"parameters.resolution is {tier!r}; choose one of {', '.join(allowed)}.", "parameters.resolution"
        )
    return tier


def _wan(body: Mapping[str, Any], request: dict[str, Any]) -> None:
    """The older single-url fields and settings, honoured for every model that is not a happyhorse."""
    size = wire.field(body, "parameters.size", str, "")
    if size:
        request["size"] = size.replace("*", "x")
    for source, name in (
        ("img_url", "image"),
        ("first_frame_url", "image"),
        ("last_frame_url", "last_image"),
        ("audio_url", "audio"),
    ):
        if url := wire.field(body, f"input.{source}", str, ""):
            request[name] = url
    if negative := wire.field(body, "input.negative_prompt", str, ""):
        request["negative_prompt"] = negative
    if not wire.field(body, "parameters.audio", bool, True):
        request["audio_mode"] = "none"
    if not request["prompt"] and "image" in request:
        request["prompt"] = wire.PROMPTLESS


def cut_prompt(prompt: str) -> str:
    """The first 5000 characters, Chinese ones counting double: longer prompts are cut without a word, as hosted."""
    weight = 0
    for index, char in enumerate(prompt):
        weight += 2 if "一" <= char <= "鿿" or "㐀" <= char <= "䶿" else 1
        if weight > 5000:
            return prompt[:index]
    return prompt


def to_body(job: Job, task_id: str, video_url: str | None) -> dict[str, Any]:
    """The answer to a query, without its request_id."""
    output: dict[str, Any] = {"task_id": task_id, "task_status": STATUS[job.status], "submit_time": _clock(job.created_at)}
    if job.started_at is not None:
        output["scheduled_time"] = _clock(job.started_at)
    if job.completed_at is not None:
        output["end_time"] = _clock(job.completed_at)
    if job.status == "failed":
        error = job.error or {}
        output["code"] = ERRORS.get(error.get("code", ""), (500, "InternalError.Algo"))[1]
        output["message"] = error.get("message", "The task failed.")
    if job.status != "completed":
        return {"output": output}
    output["orig_prompt"] = job.request["prompt"]
    output["video_url"] = video_url
    return {"output": output, "usage": _usage(job)}


def _usage(job: Job) -> dict[str, Any]:
    video = wire.video_of(job)
    task = wire.task_of(job.request)
    made_s = round(video.duration_s or job.request["seconds"], 2)
    short = min(video.width or 0, video.height or 0)
    usage: dict[str, Any] = {
        "duration": math.ceil(made_s),
        "input_video_duration": 0,
        "output_video_duration": math.ceil(made_s),
        "video_count": 1,
        "SR": min((480, 720, 1080), key=lambda tier: abs(tier - short)),
    }
    if task == "edit":  # billed for what goes in and what comes out, to the hundredth
        usage |= {"duration": round(2 * made_s, 2), "input_video_duration": made_s, "output_video_duration": made_s}
    if task in ("t2v", "r2v"):
        usage["ratio"] = job.request.get("ratio", "16:9")
    return usage


def _clock(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, BEIJING).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def to_row(job: Job, task_id: str) -> dict[str, Any]:
    """One row of the list. Only what the caller may know: our own ids stand where the hosted service shows account ids."""
    mode = {"edit": "video-edit"}.get(wire.task_of(job.request), wire.task_of(job.request))
    return {
        "api_key_id": job.key_id,
        "caller_parent_id": job.tenant,
        "caller_uid": job.tenant,
        "gmt_create": int(job.created_at * 1000),
        "start_time": int((job.started_at or job.created_at) * 1000),
        "end_time": int(job.completed_at * 1000) if job.completed_at else None,
        "model_name": job.model,
        "region": "local",
        "request_id": task_id,
        "status": STATUS[job.status],
        "task_id": task_id,
        "task_status": STATUS[job.status],
        "user_api_unique_key": f"apikey:v1:aigc:video-generation:video-synthesis:{job.model or mode}",
    }


def answer(error: MuybridgeError) -> JSONResponse:
    """The protocol's error body: code, message and request_id at top level."""
    status, code = ERRORS.get(error.code, (500, "InternalError"))
    message = str(error)
    if isinstance(error, InvalidRequest):
        empty = {"model": "BadRequest.EmptyModel", "input": "BadRequest.EmptyInput"}
        code = empty.get(error.field or "", code) if "missing" in message else code
    if error.code == "auth":
        message = "Invalid API-key provided."
    if isinstance(error, wire.UnknownModel):
        status, code, message = 404, "ModelNotFound", f"Model can not be found. {message}"
    if isinstance(error, Conflict) and error.__class__.__name__ == "NotPending":
        status, code = 400, "UnsupportedOperation"
    return JSONResponse({"code": code, "message": message, "request_id": str(uuid.uuid4())}, status, wire.retry_headers(error))
