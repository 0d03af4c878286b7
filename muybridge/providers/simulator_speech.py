"""The providers' sides of their protocols, one function each: (simulator, lane, method, path, query, body) to a reply.

Written from the protocols' documentation like the remotes, but apart from them: neither imports the other.
Over 400 lines: fourteen protocols of about forty lines, none of use without the others.
"""

# ruff: noqa: ARG001  (one signature for all speakers)

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from muybridge.providers.simulator import Asked, Reply, Work

if TYPE_CHECKING:
    from muybridge.providers.simulator import Simulator

Body = Mapping[str, Any]
Speaker = Callable[["Simulator", str, str, str, dict[str, str], Body], Reply | None]
SIZES = {(1280, 720): "720p", (1920, 1080): "1080p", (854, 480): "480p", (853, 480): "480p"}


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _iso(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()


# DashScope ----------------------------------------------------------------------------------------------------------

_DASHSCOPE = {
    "rate": (429, "Throttling.RateQuota"),
    "internal": (500, "InternalError"),
    "capacity": (503, "ModelUnavailable"),
    "auth": (401, "InvalidApiKey"),
    "moderation_input": (400, "DataInspectionFailed"),
}


def dashscope(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Submit, query, list, cancel."""
    if path.endswith("/video-synthesis"):
        p, media = body["parameters"], body["input"].get("media", [])
        asked = Asked(
            body["model"],
            body["input"]["prompt"],
            float(p.get("duration", 5)),
            p["resolution"].lower(),
            bool(p.get("audio", True)),
            sum(m["type"] != "video" for m in media),
            float(p.get("duration", 5)) if any(m["type"] == "video" for m in media) else 0.0,
        )
        return sim.submit(
            lane,
            asked,
            lambda w: Reply(200, {"output": {"task_status": "PENDING", "task_id": w.id}, "request_id": "r"}),
            lambda kind: Reply(
                _DASHSCOPE[kind][0], {"code": _DASHSCOPE[kind][1], "message": "simulated", "request_id": "r"}
            ),
        )
    if path.endswith("/cancel"):
        done = sim.cancel(lane, path.split("/")[-2]) == "cancelled"
        if done:
            return Reply(200, {"request_id": "r"})
        return Reply(400, {"code": "UnsupportedOperation", "message": "not PENDING", "request_id": "r"})
    if path.rstrip("/") == "/tasks":
        rows = [
            {
                "task_id": w.id,
                "gmt_create": round(w.created_at * 1000),
                "model_name": w.asked.model,
                "status": "RUNNING",
            }
            for w in sim.listed(lane)
            if w.asked.model == query.get("model_name", w.asked.model)
        ]
        size = int(query.get("page_size", 10))
        first = (int(query.get("page_no", 1)) - 1) * size
        return Reply(200, {"total": len(rows), "data": rows[first : first + size], "request_id": "r"})
    found = sim.poll(lane, _last(path))
    if isinstance(found, Reply):
        return found
    if found is None:
        return Reply(200, {"request_id": "r", "output": {"task_id": _last(path), "task_status": "UNKNOWN"}})
    names = {"queued": "PENDING", "running": "RUNNING", "succeeded": "SUCCEEDED", "cancelled": "CANCELED"}
    state = found.state(sim.now())
    output = {"task_id": found.id, "task_status": names.get(state, "FAILED")}
    if state == "succeeded":
        output |= {"orig_prompt": found.asked.prompt, "video_url": sim.media_url(found)}
        billed = found.asked.seconds + found.asked.input_s
        return Reply(200, {"request_id": "r", "output": output, "usage": {"duration": billed, "video_count": 1}})
    if state == "moderation_output":
        output |= {"code": "DataInspectionFailed", "message": "withheld"}
    elif state == "failed":
        output |= {"code": "InternalError.Algo", "message": "failed"}
    return Reply(200, {"request_id": "r", "output": output})


# fal ----------------------------------------------------------------------------------------------------------------


def fal(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """The queue; what is wrong with an input shows at the result."""
    if "/requests/" not in path:
        images = len(body.get("image_urls", [])) + ("image_url" in body)
        seconds = float(body.get("duration", 5))
        asked = Asked(path.lstrip("/"), body["prompt"], seconds, body["resolution"], True, images)
        asked.webhook = query.get("fal_webhook", "")
        asked.input_s = seconds if "video_url" in body else 0.0
        codes = {"rate": 429, "internal": 500, "capacity": 503, "auth": 401, "moderation_input": 422}
        return sim.submit(
            lane,
            asked,
            lambda w: Reply(200, {"request_id": w.id, "status": "IN_QUEUE", "queue_position": 0}),
            lambda kind: Reply(
                codes[kind],
                {"detail": [{"loc": ["body", "prompt"], "msg": "no", "type": "content_policy_violation"}]}
                if kind == "moderation_input"
                else {"detail": "simulated"},
            ),
        )
    work_id = path.split("/requests/")[1].split("/")[0]
    if path.endswith("/cancel"):
        done = sim.cancel(lane, work_id)
        return Reply({"cancelled": 200, "too_late": 400}.get(done, 404), {"status": done.upper()})
    if not path.endswith("/status"):
        return _fal_result(sim, lane, work_id)
    found = sim.poll(lane, work_id)
    if not isinstance(found, Work):
        return found or Reply(404, {"detail": "not found"})
    state = found.state(sim.now())
    if state == "queued":
        return Reply(202, {"status": "IN_QUEUE", "queue_position": 1, "request_id": work_id})
    if state == "running":
        return Reply(202, {"status": "IN_PROGRESS", "logs": None, "request_id": work_id})
    done_body: dict[str, Any] = {"status": "COMPLETED", "logs": None, "request_id": work_id}
    if state == "cancelled":
        done_body["error"] = "Request was cancelled"
    if state == "failed":
        done_body |= {"error": "runner died", "error_type": "runner_disconnected"}
    return Reply(200, done_body)


def _fal_result(sim: Simulator, lane: str, work_id: str) -> Reply:
    work = sim.works.get(work_id)
    state = work.state(sim.now()) if work and work.lane == lane else ""
    if work is None or not state:
        return Reply(404, {"detail": "not found"})
    if state == "succeeded":
        return Reply(200, {"video": {"url": sim.media_url(work), "duration": work.asked.seconds}, "seed": 1})
    if state == "moderation_output":
        return Reply(422, {"detail": [{"loc": ["body"], "msg": "withheld", "type": "content_policy_violation"}]})
    return Reply(400, {"detail": "Request is still in progress"})


# OpenAI-shaped ------------------------------------------------------------------------------------------------------


def openai(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Videos."""
    if method == "POST":
        width, _, height = body["size"].partition("x")
        tier = f"{min(int(width), int(height))}p"
        asked = Asked(body["model"], body["prompt"], float(body["seconds"]), tier)
        asked.num_images = int("input_reference" in body)
        return sim.submit(lane, asked, lambda w: Reply(200, _video(sim, w)), _openai_error)
    if path == "/videos":
        works = sim.listed(lane)
        first = next((n + 1 for n, w in enumerate(works) if w.id == query.get("after")), 0)
        return Reply(200, {"object": "list", "data": [_video(sim, w) for w in works[first : first + 100]]})
    work_id = path.split("/")[2]
    if path.endswith("/content"):
        return sim.download(work_id)
    if method == "DELETE":
        done = sim.cancel(lane, work_id, running_too=True) == "cancelled"
        return Reply(200 if done else 404, {"id": work_id, "deleted": done})
    found = sim.poll(lane, work_id)
    if not isinstance(found, Work):
        return found or Reply(404, {"error": {"message": "not found", "code": None, "type": "invalid_request_error"}})
    return Reply(200, _video(sim, found))


def _openai_error(kind: str) -> Reply:
    codes = {
        "rate": (429, "rate_limit_exceeded"),
        "internal": (500, "server_error"),
        "capacity": (503, "server_error"),
        "auth": (401, "invalid_api_key"),
        "moderation_input": (400, "moderation_blocked"),
    }
    status, code = codes[kind]
    return Reply(status, {"error": {"message": "simulated", "type": code, "code": code, "param": None}})


def _video(sim: Simulator, work: Work) -> dict[str, Any]:
    state = work.state(sim.now())
    names = {"queued": "queued", "running": "in_progress", "succeeded": "completed"}
    codes = {"cancelled": "cancelled", "moderation_output": "moderation_blocked", "failed": "video_generation_failed"}
    error = {"code": codes[state], "message": state} if state in codes else None
    return {
        "id": work.id,
        "object": "video",
        "created_at": int(work.created_at),
        "status": names.get(state, "failed"),
        "progress": 50,
        "model": work.asked.model,
        "prompt": work.asked.prompt,
        "seconds": str(work.asked.seconds),
        "error": error,
    }


# Google -------------------------------------------------------------------------------------------------------------


def _google_error(kind: str) -> Reply:
    codes = {
        "rate": (429, "RESOURCE_EXHAUSTED"),
        "internal": (500, "INTERNAL"),
        "capacity": (503, "UNAVAILABLE"),
        "auth": (400, "INVALID_ARGUMENT"),
        "moderation_input": (400, "INVALID_ARGUMENT"),
    }
    status, name = codes[kind]
    texts = {"auth": "API key not valid. Please pass a valid API key.", "moderation_input": "safety policy"}
    return Reply(status, {"error": {"code": status, "message": texts.get(kind, "simulated"), "status": name}})


def google(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Veo's long-running operations."""
    if method == "POST":
        model = path.split("/models/")[1].partition(":")[0]
        instance, p = body["instances"][0], body["parameters"]
        images = len(instance.get("referenceImages", [])) + ("image" in instance) + ("lastFrame" in instance)
        asked = Asked(model, instance["prompt"], float(p["durationSeconds"]), p["resolution"], True, images)
        asked.webhook = (body.get("webhookConfig") or {}).get("uris", [""])[0]
        return sim.submit(
            lane, asked, lambda w: Reply(200, {"name": f"models/{model}/operations/{w.id}"}), _google_error
        )
    if ":download" in path:
        return sim.download(_last(path).partition(":")[0])
    found = sim.poll(lane, _last(path))
    if not isinstance(found, Work):
        return found or Reply(404, {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}})
    state, name = found.state(sim.now()), path.lstrip("/")
    if state in ("queued", "running"):
        return Reply(200, {"name": name, "metadata": {}})
    if state == "succeeded":
        uri = f"{sim.url}/{lane}/files/{found.id}:download?alt=media"
        made: dict[str, Any] = {"generatedSamples": [{"video": {"uri": uri}}]}
    elif state == "moderation_output":
        made = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["withheld"]}
    else:
        code = 1 if state == "cancelled" else 13
        return Reply(200, {"name": name, "done": True, "error": {"code": code, "message": state}})
    return Reply(200, {"name": name, "done": True, "response": {"generateVideoResponse": made}})


def omni(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Interactions."""
    if path == "/interactions" and method == "POST":
        form, parts = body["response_format"], body["input"]
        prompt = next(p["text"] for p in parts if p["type"] == "text")
        asked = Asked(body["model"], prompt, float(form["duration"].rstrip("s")), form["resolution"])
        asked.num_images = sum(p["type"] == "image" for p in parts)
        asked.webhook = (body.get("webhook_config") or {}).get("uris", [""])[0]
        return sim.submit(
            lane, asked, lambda w: Reply(200, {"id": w.id, "object": "interaction", "status": "in_progress"}),
            _google_error,
        )  # fmt: skip
    if ":download" in path:
        return sim.download(_last(path).partition(":")[0])
    if path.endswith("/cancel"):
        sim.cancel(lane, path.split("/")[-2], running_too=True)
        path = path.removesuffix("/cancel")
    found = sim.poll(lane, _last(path))
    if not isinstance(found, Work):
        return found or Reply(404, {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}})
    state = found.state(sim.now())
    names = {"queued": "in_progress", "running": "in_progress", "succeeded": "completed", "cancelled": "cancelled"}
    out: dict[str, Any] = {"id": found.id, "object": "interaction", "status": names.get(state, "failed")}
    if state == "succeeded":
        uri = f"{sim.url}/{lane}/files/{found.id}:download?alt=media"
        content = [{"type": "video", "mime_type": "video/mp4", "uri": uri}]
        out |= {"steps": [{"type": "model_output", "content": content}]}
        out["usage"] = {"total_output_tokens": sim.tariff.tokens(lane, found.asked)}
    if state == "moderation_output":
        out |= {"status": "completed", "steps": []}
    if state == "failed":
        out["error"] = {"code": 13, "message": "failed"}
    return Reply(200, out)


# Runway, xAI --------------------------------------------------------------------------------------------------------


def runway(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Tasks and credits."""
    if method == "POST":
        sides = [int(v) for v in body.get("ratio", "0:0").split(":")]
        tier = body.get("resolution") or ("1080p" if min(sides) >= 1080 or max(sides) >= 1440 else "720p")
        seconds = float(body.get("duration", 5))
        asked = Asked(body["model"], body["promptText"], seconds, tier, True, int("promptImage" in body))
        asked.input_s = seconds if "promptVideo" in body else 0.0
        codes = {"rate": 429, "internal": 500, "capacity": 503, "auth": 401, "moderation_input": 400}
        return sim.submit(
            lane,
            asked,
            lambda w: Reply(200, {"id": w.id, "estimatedCost": {"credits": sim.units(w)}}),
            lambda kind: Reply(codes[kind], {"error": "simulated", "docUrl": ""}),
        )
    if method == "DELETE":
        done = sim.cancel(lane, _last(path), running_too=True)
        return Reply(404 if done == "unknown" else 204, body=b"")
    found = sim.poll(lane, _last(path))
    if not isinstance(found, Work):
        return found or Reply(404, {"error": "not found"})
    state = found.state(sim.now())
    names = {"queued": "THROTTLED", "running": "RUNNING", "succeeded": "SUCCEEDED", "cancelled": "CANCELLED"}
    out: dict[str, Any] = {"id": found.id, "status": names.get(state, "FAILED"), "createdAt": _iso(found.created_at)}
    if state == "running":
        out["progress"] = 0.4
    if state == "succeeded":
        out |= {"output": [sim.media_url(found)], "cost": {"credits": sim.units(found)}}
    if state == "moderation_output":
        out |= {"failure": "withheld", "failureCode": "SAFETY.OUTPUT.VIDEO", "cost": {"credits": 0}}
    if state == "failed":
        out |= {"failure": "failed", "failureCode": "INTERNAL.BAD_OUTPUT.CODE01", "cost": {"credits": 0}}
    return Reply(200, out)


def xai(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """202 while it runs; cost in ticks."""
    if method == "POST":
        images = len(body.get("reference_images", [])) + ("image" in body) + ("last_frame" in body)
        asked = Asked(
            body["model"], body["prompt"], float(body.get("duration", 8)), body.get("resolution", "720p"), True, images
        )
        codes = {"rate": 429, "internal": 500, "capacity": 503, "auth": 400, "moderation_input": 400}
        texts = {"auth": "Incorrect API key provided", "moderation_input": "rejected by content moderation"}
        return sim.submit(
            lane,
            asked,
            lambda w: Reply(200, {"request_id": w.id}),
            lambda kind: Reply(codes[kind], {"code": "simulated", "error": texts.get(kind, "simulated")}),
        )
    found = sim.poll(lane, _last(path))
    if not isinstance(found, Work):
        return found or Reply(404, {"code": "not found", "error": "not found"})
    state = found.state(sim.now())
    if state == "queued":
        return Reply(202, body=b"")
    if state == "running":
        return Reply(202, {"status": "pending", "progress": 40})
    if state == "succeeded":
        video = {"url": sim.media_url(found), "duration": found.asked.seconds, "respect_moderation": True}
        ticks = sim.price(found) * 10_000
        return Reply(200, {"status": "done", "progress": 100, "video": video, "usage": {"cost_in_usd_ticks": ticks}})
    message = "content moderation" if state == "moderation_output" else state
    return Reply(200, {"status": "failed", "error": {"code": state, "message": message}})


# Kling, Ark, MiniMax ------------------------------------------------------------------------------------------------


def kling(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Code 0 is success; our id can be asked for."""
    if method == "POST":
        p, options = body["settings"], body["options"]
        prompt = next(c["text"] for c in body["contents"] if c["type"] == "prompt")
        asked = Asked(_last(path), prompt, float(p["duration"]), p["resolution"], p["audio"] != "off")
        asked.num_images = len(body["contents"]) - 1
        asked.reference, asked.webhook = options["external_task_id"], options.get("callback_url", "")
        codes = {
            "rate": (429, 1302),
            "internal": (500, 5000),
            "capacity": (503, 5001),
            "auth": (401, 1002),
            "moderation_input": (400, 1301),
        }
        return sim.submit(
            lane,
            asked,
            lambda w: Reply(200, {"code": 0, "message": "SUCCEED", "data": {"id": w.id, "status": "submitted"}}),
            lambda kind: Reply(codes[kind][0], {"code": codes[kind][1], "message": "simulated"}),
        )
    if "external_task_ids" in query:
        wanted = query["external_task_ids"]
        works = [w for w in sim.listed(lane) if w.asked.reference == wanted]
    else:
        found = sim.poll(lane, query["task_ids"])
        if isinstance(found, Reply):
            return found
        works = [found] if found is not None else []
    return Reply(200, {"code": 0, "message": "SUCCEED", "data": {"result": [_kling_row(sim, w) for w in works]}})


def _kling_row(sim: Simulator, work: Work) -> dict[str, Any]:
    state = work.state(sim.now())
    names = {"queued": "submitted", "running": "processing", "succeeded": "succeeded"}
    row: dict[str, Any] = {
        "id": work.id,
        "status": names.get(state, "failed"),
        "external_id": work.asked.reference,
        "create_time": round(work.created_at * 1000),
        "message": "content policy" if state == "moderation_output" else "",
        "outputs": [],
    }
    if state == "succeeded":
        row["outputs"] = [{"type": "video", "url": sim.media_url(work)}]
        row["billing"] = [{"charge_type": "unit", "amount": str(sim.units(work))}]
    return row


def ark(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Contents with roles."""
    if method == "POST":
        prompt = next(c["text"] for c in body["content"] if c["type"] == "text")
        asked = Asked(body["model"], prompt, float(body["duration"]), body["resolution"], bool(body["generate_audio"]))
        asked.num_images = sum(c["type"] == "image_url" for c in body["content"])
        asked.webhook = body.get("callback_url", "")
        codes = {
            "rate": (429, "RateLimitExceeded"),
            "internal": (500, "InternalServiceError"),
            "capacity": (503, "ServerOverloaded"),
            "auth": (401, "AuthenticationError"),
            "moderation_input": (400, "InputTextSensitiveContentDetected"),
        }
        return sim.submit(
            lane,
            asked,
            lambda w: Reply(200, {"id": w.id}),
            lambda kind: Reply(codes[kind][0], {"error": {"code": codes[kind][1], "message": "simulated", "type": ""}}),
        )
    if path.endswith("/tasks"):
        works = [w for w in sim.listed(lane) if w.asked.model == query.get("filter.model", w.asked.model)]
        size = int(query.get("page_size", 20))
        works = works[(int(query.get("page_num", 1)) - 1) * size :]
        rows = [{"id": w.id, "created_at": int(w.created_at), "model": w.asked.model} for w in works[:size]]
        return Reply(200, {"items": rows, "total": len(works)})
    if method == "DELETE":
        done = sim.cancel(lane, _last(path)) == "cancelled"
        return Reply(200 if done else 400, {} if done else {"error": {"code": "InvalidAction", "message": "running"}})
    found = sim.poll(lane, _last(path))
    if not isinstance(found, Work):
        return found or Reply(404, {"error": {"code": "ResourceNotFound", "message": "not found", "type": ""}})
    state = found.state(sim.now())
    names = {"moderation_output": "failed"}
    out: dict[str, Any] = {"id": found.id, "status": names.get(state, state), "error": None, "model": found.asked.model}
    if state == "succeeded":
        out |= {"content": {"video_url": sim.media_url(found)}, "usage": {"completion_tokens": 108_000}}
    if state == "failed":
        out["error"] = {"code": "InternalServiceError", "message": "failed"}
    if state == "moderation_output":
        out["error"] = {"code": "OutputVideoSensitiveContentDetected", "message": "withheld"}
    return Reply(200, out)


def minimax(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """The second API."""
    if method == "POST":
        prompt = next(c["text"] for c in body["content"] if c["type"] == "text")
        asked = Asked(body["model"], prompt, float(body["duration"]), body["resolution"].lower())
        asked.num_images = sum(c["type"] == "image_url" for c in body["content"])
        codes = {"rate": 1002, "internal": 1000, "capacity": 1000, "auth": 1004, "moderation_input": 1026}
        return sim.submit(
            lane,
            asked,
            lambda w: Reply(200, {"task_id": w.id, "base_resp": {"status_code": 0, "status_msg": "success"}}),
            lambda kind: Reply(200, {"base_resp": {"status_code": codes[kind], "status_msg": "simulated"}}),
        )
    found = sim.poll(lane, _last(path))
    if not isinstance(found, Work):
        return found or Reply(404, {"error": {"code": "not_found", "message": "not found"}})
    state = found.state(sim.now())
    task: dict[str, Any] = {"id": found.id, "status": "failed" if state == "moderation_output" else state}
    if state == "succeeded":
        task["content"] = {"url": sim.media_url(found)}
    if state in ("failed", "moderation_output"):
        task["error"] = {"code": 1027 if state == "moderation_output" else 1000, "message": state}
    return Reply(200, {"task": task, "base_resp": {"status_code": 0}})


# Luma, Replicate, OpenRouter ----------------------------------------------------------------------------------------


def luma(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Agents."""
    if method == "POST":
        video = body["video"]
        asked = Asked(body["model"], body["prompt"], float(video["duration"].rstrip("s")), video["resolution"], False)
        codes = {"rate": 429, "internal": 500, "capacity": 503, "auth": 401, "moderation_input": 400}
        return sim.submit(
            lane,
            asked,
            lambda w: Reply(201, {"id": w.id, "state": "queued", "type": "video"}),
            lambda kind: Reply(
                codes[kind], {"detail": "content moderation" if kind == "moderation_input" else "simulated"}
            ),
        )
    found = sim.poll(lane, _last(path))
    if not isinstance(found, Work):
        return found or Reply(404, {"detail": "not found"})
    state = found.state(sim.now())
    names = {"queued": "queued", "running": "dreaming", "succeeded": "completed"}
    out: dict[str, Any] = {"id": found.id, "type": "video", "state": names.get(state, "failed")}
    if state == "succeeded":
        out["output"] = [{"type": "video", "url": sim.media_url(found)}]
    if state in ("failed", "moderation_output"):
        out |= {"failure_reason": state, "failure_code": "moderation" if state == "moderation_output" else "internal"}
    return Reply(200, out)


def replicate(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Predictions."""
    if path.endswith("/cancel"):
        sim.cancel(lane, path.split("/")[-2], running_too=True)
        work = sim.works.get(path.split("/")[-2])
        return Reply(200, _prediction(sim, work)) if work else Reply(404, {"detail": "not found", "status": 404})
    if method == "POST":
        model = re.sub(r"^/models/(.*)/predictions$", r"\1", path)
        given = body["input"]
        asked = Asked(
            model, given["prompt"], float(given["duration"]), given["resolution"], True, int("image" in given)
        )
        asked.webhook = body.get("webhook", "")
        codes = {"rate": 429, "internal": 500, "capacity": 503, "auth": 401, "moderation_input": 422}
        return sim.submit(
            lane,
            asked,
            lambda w: Reply(201, _prediction(sim, w)),
            lambda kind: Reply(codes[kind], {"detail": "simulated", "status": codes[kind], "title": kind}),
        )
    if path == "/predictions":
        return Reply(200, {"results": [_prediction(sim, w) for w in sim.listed(lane)[:100]], "next": None})
    found = sim.poll(lane, _last(path))
    if not isinstance(found, Work):
        return found or Reply(404, {"detail": "not found", "status": 404})
    return Reply(200, _prediction(sim, found))


def _prediction(sim: Simulator, work: Work) -> dict[str, Any]:
    state = work.state(sim.now())
    names = {"queued": "starting", "running": "processing", "succeeded": "succeeded", "cancelled": "canceled"}
    return {
        "id": work.id,
        "model": work.asked.model,
        "input": {"prompt": work.asked.prompt},
        "status": names.get(state, "failed"),
        "created_at": _iso(work.created_at),
        "output": sim.media_url(work) if state == "succeeded" else None,
        "error": {"moderation_output": "NSFW content", "failed": "worker died"}.get(state),
    }


def openrouter(sim: Simulator, lane: str, method: str, path: str, query: dict[str, str], body: Body) -> Reply | None:
    """Cost with the result."""
    if method == "POST":
        images = len(body.get("frame_images", [])) + len(body.get("input_references", []))
        asked = Asked(body["model"], body["prompt"], float(body["duration"]), body["resolution"], True, images)
        asked.webhook = body.get("callback_url", "")
        return sim.submit(lane, asked, lambda w: Reply(202, {"id": w.id, "status": "pending"}), _openai_error)
    work_id = path.split("/")[2]
    if "/content" in path:
        return sim.download(work_id)
    found = sim.poll(lane, work_id)
    if not isinstance(found, Work):
        return found or Reply(404, {"error": {"code": 404, "message": "not found"}})
    state = found.state(sim.now())
    names = {"queued": "pending", "running": "in_progress", "succeeded": "completed", "cancelled": "cancelled"}
    out: dict[str, Any] = {"id": work_id, "status": names.get(state, "failed")}
    if state == "succeeded":
        out |= {"unsigned_urls": [], "usage": {"cost": sim.price(found) / 1e6, "is_byok": False}}
    if state in ("failed", "moderation_output"):
        out["error"] = "content moderation" if state == "moderation_output" else "failed"
    return Reply(200, out)


SPEAKERS: dict[str, Speaker] = {
    "ark": ark,
    "azure": openai,
    "dashscope": dashscope,
    "fal": fal,
    "google": google,
    "kling": kling,
    "luma": luma,
    "minimax": minimax,
    "omni": omni,
    "openai": openai,
    "openrouter": openrouter,
    "replicate": replicate,
    "runway": runway,
    "xai": xai,
}
