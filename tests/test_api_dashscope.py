"""The DashScope face, driven by the official SDK (v1 and v2) against a real server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import dashscope
import httpx
import pytest
from api_server import ApiServer
from dashscope import VideoSynthesis
from dashscope.v2 import errors as v2_errors
from dashscope.v2.client import Client

from muybridge.api import dashscope_bodies as bodies
from muybridge.errors import InvalidRequest
from muybridge.jobs.job import Artifact, Job

T2V = "happyhorse-1.1-t2v"


@pytest.fixture
def sdk(api_server: ApiServer) -> Iterator[ApiServer]:
    """Point SDK v1 at the server."""
    before = dashscope.base_http_api_url, dashscope.api_key
    dashscope.base_http_api_url, dashscope.api_key = f"{api_server.url}/api/v1", api_server.key
    yield api_server
    dashscope.base_http_api_url, dashscope.api_key = before


def finish(answer: Any) -> Any:
    """Poll a submitted task to its end, without the SDK's own pauses."""
    assert answer.status_code == HTTPStatus.OK, answer
    assert answer.output.task_status == "PENDING"
    until = time.monotonic() + 20
    while True:
        found = VideoSynthesis.fetch(answer)
        assert found.status_code == HTTPStatus.OK
        if found.output.task_status not in ("PENDING", "RUNNING"):
            return found
        assert time.monotonic() < until
        time.sleep(0.05)


# Translations ----------------------------------------------------------------------------------------------------


def test_what_the_sdk_sends_becomes_canonical() -> None:
    """The body of facts 3.3, with the SDK's own extra fields."""
    body = {
        "model": T2V,
        "parameters": {"duration": 3, "seed": 42, "watermark": False, "resolution": "720P", "ratio": "16:9"},
        "input": {"prompt": "a horse", "extend_prompt": True, "function": "video-synthesis"},
    }
    assert bodies.to_request(body) == {
        "prompt": "a horse", "size": "720p", "ratio": "16:9", "seconds": 3, "seed": 42, "watermark": False,
    }  # fmt: skip


def test_defaults_are_happyhorses() -> None:
    made = bodies.to_request({"model": T2V, "input": {"prompt": "p"}, "parameters": None})
    assert made == {"prompt": "p", "size": "1080p", "ratio": "16:9", "seconds": 5, "watermark": True}


def test_media_take_their_roles() -> None:
    frame = {"type": "first_frame", "url": "https://x/a.png"}
    i2v = bodies.to_request({"model": "happyhorse-1.0-i2v-20260618", "input": {"media": [frame]}})
    assert i2v["image"] == frame["url"]
    assert i2v["prompt"]
    assert "ratio" not in i2v
    pictures = [{"type": "reference_image", "url": f"https://x/{i}.png"} for i in range(9)]
    r2v = bodies.to_request({"model": "happyhorse-1.1-r2v", "input": {"prompt": "p", "media": pictures}})
    assert [r["name"] for r in r2v["references"]] == [f"Image {i}" for i in range(1, 10)]
    clip = {"type": "video", "url": "https://x/v.mp4"}
    edit = bodies.to_request(
        {
            "model": "happyhorse-1.0-video-edit",
            "input": {"prompt": "p", "media": [clip, *pictures[:5]]},
            "parameters": {"audio_setting": "origin", "duration": 99},
        }
    )
    assert edit["audio_mode"] == "keep"
    assert len(edit["references"]) == 5
    assert "seconds" not in edit  # it follows the clip


def test_wan_fields_count_for_wan_only() -> None:
    given = {"img_url": "https://x/a.png", "prompt": "p", "negative_prompt": "n"}
    settings = {"size": "1280*720", "audio": False}
    wan = bodies.to_request({"model": "wan2.6-i2v", "input": given, "parameters": settings})
    assert (wan["image"], wan["size"], wan["negative_prompt"], wan["audio_mode"]) == (
        "https://x/a.png", "1280x720", "n", "none",
    )  # fmt: skip
    horse = bodies.to_request({"model": T2V, "input": given, "parameters": settings})
    assert horse["size"] == "1080p"
    assert not {"image", "negative_prompt", "audio_mode"} & horse.keys()


@pytest.mark.parametrize(
    ("model", "given", "parameters", "field"),
    [
        (T2V, {"prompt": "p"}, {"duration": 2}, "parameters.duration"),
        (T2V, {"prompt": "p"}, {"duration": True}, "parameters.duration"),
        (T2V, {"prompt": "p"}, {"ratio": "2:1"}, "parameters.ratio"),
        (T2V, {"prompt": ["p"]}, {}, "input.prompt"),
        (T2V, {"prompt": "p", "media": [{"type": "first_frame", "url": "u"}]}, {}, "input.media"),
        ("happyhorse-1.0-t2v", {"prompt": "p"}, {"resolution": "480P"}, "resolution"),
        ("happyhorse-1.1-i2v", {"prompt": "p"}, {}, "input.media"),
        (
            "happyhorse-1.1-r2v",
            {"prompt": "p", "media": [{"type": "reference_image", "url": "u"}] * 10},
            {},
            "input.media",
        ),
        ("happyhorse-1.0-video-edit", {"prompt": "p"}, {}, "input.media"),
    ],
)
def test_bad_bodies_name_their_field(model: str, given: dict[str, Any], parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bodies.to_request({"model": model, "input": given, "parameters": parameters})
    assert caught.value.field == field


def test_long_prompts_are_cut_silently() -> None:
    assert len(bodies.cut_prompt("a" * 6000)) == 5000
    assert len(bodies.cut_prompt("马" * 6000)) == 2500
    assert bodies.cut_prompt("马a" * 2000) == "马a" * 1666 + "马"  # 3 a pair: 4998, and 2 more


def test_a_finished_job_reads_as_the_facts_say() -> None:
    clip = Artifact("video", "j/1/clip.mp4", "video/mp4", 1, "0", 1920, 1080, 5.0, 25.0)
    at = 1763694123.456  # 2025-11-21 11:02:03.456 in Beijing
    job = Job(
        "01", "t", "k", "dashscope", T2V, {"prompt": "p", "ratio": "16:9", "seconds": 5.0}, {}, "completed", at,
        artifacts=(clip,), started_at=at + 2, completed_at=at + 97,
    )  # fmt: skip
    body = bodies.to_body(job, "id", "https://v")
    assert body["output"] == {
        "task_id": "id", "task_status": "SUCCEEDED", "submit_time": "2025-11-21 11:02:03.456",
        "scheduled_time": "2025-11-21 11:02:05.456", "end_time": "2025-11-21 11:03:40.456", "orig_prompt": "p",
        "video_url": "https://v",
    }  # fmt: skip
    lengths = {"duration": 5, "input_video_duration": 0, "output_video_duration": 5}
    assert body["usage"] == lengths | {"video_count": 1, "SR": 1080, "ratio": "16:9"}


def test_list_windows() -> None:
    now = 1_763_694_000.0
    assert bodies.window(None, None, now) == (now - 86_400, now)
    first, last = bodies.window("20251121000000", None, now)
    assert last - first == 86_400
    with pytest.raises(InvalidRequest):
        bodies.window("20251101000000", "20251121000000", now)
    with pytest.raises(InvalidRequest):
        bodies.window("yesterday", None, now)


# SDK v1 ----------------------------------------------------------------------------------------------------------


def test_text_to_video(sdk: ApiServer) -> None:
    answer = VideoSynthesis.async_call(
        T2V, "a horse", duration=3, resolution="720P", ratio="9:16", seed=7, watermark=False
    )
    assert uuid.UUID(answer.output.task_id)
    done = finish(answer)
    assert done.output.task_status == "SUCCEEDED"
    assert done.output.orig_prompt == "a horse"
    assert done.usage["duration"] == 3
    assert done.usage["ratio"] == "9:16"
    assert httpx.get(done.output.video_url).content[4:8] == b"ftyp"
    job = sdk.wait(answer.output.task_id)
    assert (job.request["seed"], job.request["watermark"], job.protocol) == (7, False, "dashscope")


def test_local_files_go_through_the_upload_policy(sdk: ApiServer) -> None:
    picture = {"type": "first_frame", "url": f"file://{sdk.outside.image}"}
    done = finish(VideoSynthesis.async_call("happyhorse-1.1-i2v", "it moves", media=[picture], duration=3))
    assert done.output.task_status == "SUCCEEDED"
    assert "ratio" not in done.usage
    job = sdk.wait(done.output.task_id)
    assert job.metadata["task"] == "i2v"
    assert job.request["ratio"] == "4:3"


def test_references_and_edit(sdk: ApiServer) -> None:
    pictures = [{"type": "reference_image", "url": str(sdk.outside.image)} for _ in range(9)]
    r2v = VideoSynthesis.async_call("happyhorse-1.0-r2v", "[Image 9] and [Image 1]", media=pictures, duration=3)
    clip = {"type": "video", "url": f"{sdk.outside.url}/clip.mp4"}
    edit = VideoSynthesis.async_call("happyhorse-1.0-video-edit", "in snow", media=[clip], audio_setting="origin")
    assert finish(r2v).output.task_status == "SUCCEEDED"
    done = finish(edit)
    assert done.output.task_status == "SUCCEEDED"
    assert done.usage["duration"] == 6.0  # 3 s in, 3 s out
    assert sdk.wait(edit.output.task_id).request["audio_mode"] == "keep"
    assert len(sdk.wait(r2v.output.task_id).request["references"]) == 9


def test_call_submits_and_waits(sdk: ApiServer) -> None:
    done = VideoSynthesis.call(T2V, "a horse", duration=3)
    assert done.output.task_status == "SUCCEEDED"
    assert sdk.wait(done.output.task_id).status == "completed"


def test_failures_are_answered_with_200(sdk: ApiServer) -> None:
    done = finish(VideoSynthesis.async_call(T2V, "[fail moderation_output]"))
    assert (done.output.task_status, done.output.code) == ("FAILED", "DataInspectionFailed")
    assert done.output.message
    assert not done.usage
    assert sdk.wait(done.output.task_id).status == "failed"


def test_unknown_ids_are_unknown(sdk: ApiServer) -> None:
    for task_id in (str(uuid.uuid4()), "no-such-task"):
        found = VideoSynthesis.fetch(task_id)
        assert found.status_code == HTTPStatus.OK
        assert found.output.task_status == "UNKNOWN"
    answer = VideoSynthesis.async_call(T2V, "mine")
    foreign = VideoSynthesis.fetch(answer.output.task_id, api_key=sdk.other_key)
    assert foreign.output.task_status == "UNKNOWN"


def test_only_pending_tasks_are_cancelled(sdk: ApiServer) -> None:
    with sdk.paused():
        answer = VideoSynthesis.async_call(T2V, "a horse")
        cancelled = VideoSynthesis.cancel(answer)
        assert cancelled.status_code == HTTPStatus.OK
        assert VideoSynthesis.fetch(answer).output.task_status == "CANCELED"
    running = VideoSynthesis.async_call(T2V, "[hold]")
    sdk.wait(running.output.task_id, status="in_progress")
    refused = VideoSynthesis.cancel(running)
    assert (refused.status_code, refused.code) == (400, "UnsupportedOperation")
    assert refused.message == "Failed to cancel the task, please confirm if the task is in PENDING status."
    sdk.service.store.cancel(sdk.service.job_id(running.output.task_id, "dashscope"))
    sdk.wait(running.output.task_id)


def test_list_in_both_dialects(sdk: ApiServer) -> None:
    answer = VideoSynthesis.async_call("happyhorse-1.0-t2v", "listed")
    finish(answer)
    found = VideoSynthesis.list(model_name="happyhorse-1.0-t2v", status="SUCCEEDED", page_size=5)
    assert found.status_code == HTTPStatus.OK
    assert answer.output.task_id in [row["task_id"] for row in found.output["data"]]
    assert found.output["page_size"] == 5
    with Client(api_key=sdk.key, base_url=f"{sdk.url}/api/v1") as client:
        page = client.videos.jobs.list(model_name="happyhorse-1.0-t2v", page_size=5)
    assert page.total == found.output["total"]
    assert answer.output.task_id in [job.task_id for job in page.tasks]
    assert all(job.status == "SUCCEEDED" for job in page.tasks)


def test_bad_input_never_queues(sdk: ApiServer) -> None:
    before = len(sdk.service.store.list(None, limit=1000))
    refused = VideoSynthesis.async_call(T2V, "p", duration=99)
    assert (refused.status_code, refused.code) == (400, "InvalidParameter")
    assert "parameters.duration" in refused.message
    bad = {"type": "first_frame", "url": f"{sdk.outside.url}/broken.png"}
    refused = VideoSynthesis.async_call("happyhorse-1.1-i2v", "p", media=[bad])
    assert (refused.status_code, refused.code) == (400, "InvalidFile.Format")
    inside = {"type": "first_frame", "url": "https://169.254.169.254/latest"}
    refused = VideoSynthesis.async_call("happyhorse-1.1-i2v", "p", media=[inside])
    assert (refused.status_code, refused.code) == (400, "InvalidURL")
    refused = VideoSynthesis.async_call("no-such-model", "p")
    assert (refused.status_code, refused.code, refused.message) == (404, "ModelNotFound", "Model can not be found.")
    refused = VideoSynthesis.async_call(T2V, "p", api_key="sk-wrong")
    assert (refused.status_code, refused.code, refused.message) == (401, "InvalidApiKey", "Invalid API-key provided.")
    assert len(sdk.service.store.list(None, limit=1000)) == before


# The wire itself -------------------------------------------------------------------------------------------------


def test_the_async_header_is_required(api_server: ApiServer) -> None:
    path = "/api/v1/services/aigc/video-generation/video-synthesis"
    headers = {"Authorization": f"Bearer {api_server.key}"}
    body = {"model": T2V, "input": {"prompt": "p"}}
    for prefix in ("", "/dashscope"):
        answer = httpx.post(api_server.url + prefix + path, json=body, headers=headers)
        assert answer.status_code == 403
        assert set(answer.json()) == {"code", "message", "request_id"}
        assert answer.json()["code"] == "AccessDenied"
        assert answer.json()["message"] == "current user api does not support synchronous calls."


def test_idempotency_key(api_server: ApiServer) -> None:
    url = f"{api_server.url}/api/v1/services/aigc/video-generation/video-synthesis"
    headers = {
        "Authorization": f"Bearer {api_server.key}",
        "X-DashScope-Async": "enable",
        "Idempotency-Key": str(uuid.uuid4()),
    }

    def submit(prompt: str) -> httpx.Response:
        return httpx.post(url, json={"model": T2V, "input": {"prompt": prompt}}, headers=headers)

    first, second = submit("once"), submit("once")
    assert first.json()["output"]["task_id"] == second.json()["output"]["task_id"]
    other = submit("another")
    assert (other.status_code, other.json()["code"]) == (409, "Conflict")


def test_upload_tickets_cannot_be_forged_or_reused(sdk: ApiServer) -> None:
    api_server = sdk
    headers = {"Authorization": f"Bearer {api_server.key}"}
    url = f"{api_server.url}/api/v1/uploads"
    policy = httpx.get(url, params={"action": "getPolicy", "model": T2V}, headers=headers).json()["data"]
    assert policy["upload_host"].startswith(api_server.url)

    def send(**fields: str) -> httpx.Response:
        form = {"key": f"{policy['upload_dir']}/a.png", "policy": policy["policy"], **fields}
        return httpx.post(policy["upload_host"], data=form, files={"file": Path(api_server.outside.image).read_bytes()})

    assert send(policy=policy["policy"][:-1] + ("0" if policy["policy"][-1] != "0" else "1")).status_code == 403
    assert send(key="dashscope-instant/elsewhere/a.png").status_code == 403
    assert send().status_code == 200
    assert send().status_code == 409  # x-oss-forbid-overwrite
    foreign = {"type": "first_frame", "url": f"oss://{policy['upload_dir']}/a.png"}
    refused = VideoSynthesis.async_call("happyhorse-1.1-i2v", "p", media=[foreign], api_key=api_server.other_key)
    assert refused.status_code == 404


# SDK v2 ----------------------------------------------------------------------------------------------------------


def test_v2_generates_and_raises(api_server: ApiServer) -> None:
    base = f"{api_server.url}/api/v1"
    with Client(api_key=api_server.key, base_url=base) as client:
        job = client.videos.generate(model=T2V, prompt="a horse", duration=3, poll_interval=0.05)
        assert job.status == "SUCCEEDED"
        assert job.video_url.startswith(api_server.url)
        with pytest.raises(v2_errors.ContentFilterError):
            client.videos.generate(model=T2V, prompt="[fail moderation_input]", poll_interval=0.05)
        with pytest.raises(v2_errors.BadRequestError):
            client.videos.jobs.create(model=T2V, prompt="p", duration=99)
        with api_server.paused():
            waiting = client.videos.jobs.create(model=T2V, prompt="p")
            client.videos.jobs.cancel(waiting.task_id)
            assert client.videos.jobs.fetch(waiting.task_id).status == "CANCELED"
    with Client(api_key="wrong", base_url=base) as client, pytest.raises(v2_errors.AuthenticationError):
        client.videos.jobs.create(model=T2V, prompt="p")
