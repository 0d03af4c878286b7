"""DashScope bodies, as pure functions: a submit as a canonical request, a job as a query's answer or a list row.

Facts: apis 3. Times carry no zone; HappyHorse's undocumented fields are ignored, as hosted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from muybridge.api import wire
from muybridge.errors import InvalidRequest, UserError
from muybridge.shapes import RATIOS

if TYPE_CHECKING:
    from muybridge.jobs.job import Job

BEIJING = timezone(timedelta(hours=8))  # task times carry no zone; the hosted service shows this one
KEPT_S = 24 * 3600.0
TIERS = ("480P", "720P", "1080P")
MEDIA_COUNTS: dict[str, dict[str, tuple[int, int]]] = {  # model suffix: {media type: (fewest, most)}
    "t2v": {},
    "i2v": {"first_frame": (1, 1)},
    "r2v": {"reference_image": (1, 9)},
    "video-edit": {"video": (1, 1), "reference_image": (0, 5)},
}
MEDIA_NAMES = {"first_frame": "image", "last_frame": "last_image", "video": "video"}
AUDIO_NAMES = ("driving_audio", "reference_audio")
WAN_NAMES = (
    ("img_url", "image"),
    ("first_frame_url", "image"),
    ("last_frame_url", "last_image"),
    ("audio_url", "audio"),
    ("negative_prompt", "negative_prompt"),
)
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


class Refused(UserError):
    """An answer with a code of its own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = (status, code)


def to_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical request of a submit body; media stand as the sources the caller named.

    Fields that HappyHorse does not document (`extend_prompt`, `function`, `shot_type` ...) are ignored, as hosted.
    """
    model = wire.field(body, "model", str, "")
    if not model:
        raise Refused(400, "BadRequest.EmptyModel", "model is missing; name one, for example happyhorse-1.1-t2v.")
    if not wire.field(body, "input", dict, {}):
        raise Refused(400, "BadRequest.EmptyInput", "input is missing; it holds the prompt and the media.")
    mode = next((m for m in MEDIA_COUNTS if model.startswith("happyhorse-") and f"-{m}" in model), None)
    tiers = TIERS[1:] if model.startswith("happyhorse-1.0") else TIERS
    tier = wire.field(body, "parameters.resolution", str, "1080P").upper()
    request: dict[str, Any] = {
        "prompt": cut_prompt(wire.field(body, "input.prompt", str, "")),
        "size": wire.one_of({"resolution": tier}, "resolution", tiers, "1080P").lower(),
        "watermark": wire.field(body, "parameters.watermark", bool, True),
        **_media(body, mode),
    }
    ratio = wire.one_of(body, "parameters.ratio", tuple(RATIOS), "16:9")
    if mode is None:
        request |= _wan(body)
    if not {"image", "last_image", "video"} & request.keys():  # those two modes follow their input
        request["ratio"] = ratio
    if "video" not in request:
        request["seconds"] = wire.within(body, "parameters.duration", 3, 15, 5)
    if (seed := wire.field(body, "parameters.seed", int, None)) is not None:
        request["seed"] = seed
    if wire.one_of(body, "parameters.audio_setting", ("auto", "origin"), "auto") == "origin" and "video" in request:
        request["audio_mode"] = "keep"
    if not request["prompt"] and "image" in request and "video" not in request:
        request["prompt"] = wire.PROMPTLESS
    return request


def _media(body: Mapping[str, Any], mode: str | None) -> dict[str, Any]:
    """The media list by role. Raises InvalidRequest for a type or a count that the model does not take."""
    kinds: list[str] = []
    found: dict[str, Any] = {}
    pictures: list[str] = []
    for index, item in enumerate(wire.objects(body, "input.media")):
        kind, url = (wire.field(item, name, str, "") for name in ("type", "url"))
        kinds.append(kind)
        if not url:
            raise InvalidRequest(f"input.media[{index}].url is empty.", "input.media")
        if kind == "reference_image":
            pictures.append(url)
        elif kind in MEDIA_NAMES:
            found[MEDIA_NAMES[kind]] = url
        elif kind in AUDIO_NAMES and mode is None:
            found["audio"] = url
        else:
            raise InvalidRequest(f"input.media[{index}].type {kind!r} is not taken by this model.", "input.media")
    if mode is not None:
        for kind in {*kinds, *MEDIA_COUNTS[mode]}:
            fewest, most = MEDIA_COUNTS[mode].get(kind, (0, 0))
            if not fewest <= kinds.count(kind) <= most:
                wanted = str(most) if fewest == most else f"{fewest} to {most}"
                raise InvalidRequest(
                    f"input.media has {kinds.count(kind)} of type {kind!r}; {mode} takes {wanted}.", "input.media"
                )
    return found | ({"references": wire.references(pictures)} if pictures else {})


def _wan(body: Mapping[str, Any]) -> dict[str, Any]:
    """The older single-url fields and settings, honoured for every model that is not a happyhorse."""
    found: dict[str, Any] = {}
    if size := wire.field(body, "parameters.size", str, ""):
        found["size"] = size.replace("*", "x")
    for theirs, ours in WAN_NAMES:
        if value := wire.field(body, f"input.{theirs}", str, ""):
            found[ours] = value
    if not wire.field(body, "parameters.audio", bool, True):
        found["audio_mode"] = "none"
    return found


def cut_prompt(prompt: str) -> str:
    """The first 5000 characters, Chinese ones counting double: longer prompts are cut without a word, as hosted."""
    weight = 0
    for index, char in enumerate(prompt):
        weight += 2 if "\u4e00" <= char <= "\u9fff" or "\u3400" <= char <= "\u4dbf" else 1
        if weight > 5000:
            return prompt[:index]
    return prompt


def to_body(job: Job, task_id: str, video_url: str | None = None) -> dict[str, Any]:
    """The answer to a query, without its request_id. A result that has expired is an unknown task."""
    if wire.is_expired(job):
        return {"output": {"task_id": task_id, "task_status": "UNKNOWN"}}
    output: dict[str, Any] = {"task_id": task_id, "task_status": STATUS[job.status]}
    for name, moment in (
        ("submit_time", job.created_at),
        ("scheduled_time", job.started_at),
        ("end_time", job.completed_at),
    ):
        if moment is not None:
            output[name] = datetime.fromtimestamp(moment, BEIJING).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if job.status == "failed":
        error = job.error or {}
        output["code"] = ERRORS.get(str(error.get("code")), (500, "InternalError.Algo"))[1]
        output["message"] = error.get("message", "The task failed.")
    if job.status != "completed":
        return {"output": output}
    output |= {"orig_prompt": job.request["prompt"], "video_url": video_url}
    return {"output": output, "usage": usage(job)}


def usage(job: Job) -> dict[str, Any]:
    """Billed seconds (an edit: input and output, to the hundredth), delivered tier, and the ratio where it is asked."""
    video, made_s, task = wire.video_of(job), wire.seconds_of(job), wire.task_of(job.request)
    used: dict[str, Any] = {
        "duration": math.ceil(made_s),
        "input_video_duration": 0,
        "output_video_duration": math.ceil(made_s),
        "video_count": 1,
        "SR": wire.nearest_tier(video.width or 1, video.height or 1),
    }
    if task == "edit":
        used |= {"duration": round(2 * made_s, 2), "input_video_duration": made_s, "output_video_duration": made_s}
    if task in ("t2v", "r2v"):
        used["ratio"] = job.request.get("ratio", "16:9")
    return used


def to_row(job: Job, task_id: str) -> dict[str, Any]:
    """One row of the list; our own ids stand where the hosted service shows account numbers."""
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
        "user_api_unique_key": f"apikey:v1:aigc:video-generation:video-synthesis:{job.model}",
    }


def window(start: str | None, end: str | None, now: float) -> tuple[float, float]:
    """The listed span in unix seconds: `YYYYMMDDhhmmss` (UTC+8), at most 24 h, by default the last 24 h."""

    def moment(text: str, name: str) -> float:
        try:
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING).timestamp()
        except (ValueError, OverflowError):
            raise InvalidRequest(f"{name} is {text[:40]!r}; write YYYYMMDDhhmmss.", name) from None

    last = moment(end, "end_time") if end else (moment(start, "start_time") + KEPT_S if start else now)
    first = moment(start, "start_time") if start else last - KEPT_S
    if not 0 <= last - first <= KEPT_S:
        raise InvalidRequest("start_time and end_time are at most 24 hours apart.", "end_time")
    return first, last
