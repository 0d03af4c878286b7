"""The Ark face, driven by the official SDK against a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api_server import ApiServer
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime import _exceptions as sdk_errors

from muybridge.api import ark
from muybridge.errors import InvalidRequest
from muybridge.jobs.job import Artifact, Job

MODEL = "doubao-seedance-2-0-260128"


@pytest.fixture
def tasks(api_server: ApiServer) -> Iterator[Any]:
    client = Ark(api_key=api_server.key, base_url=f"{api_server.url}/api/v3", max_retries=0)
    yield client.content_generation.tasks
    client.close()


def text(prompt: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": prompt}]


def finish(tasks: Any, made: Any) -> Any:
    until = time.monotonic() + 20
    while (found := tasks.get(task_id=made.id)).status in ("queued", "running"):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def test_bodies_become_canonical() -> None:
    nulls = dict.fromkeys(("resolution", "ratio", "duration", "seed", "watermark", "generate_audio", "service_tier"))
    assert ark.to_request({"model": MODEL, "content": text("p"), **nulls}) == {
        "prompt": "p", "size": "720p", "ratio": "16:9", "seconds": 5, "watermark": False,
    }  # fmt: skip
    picture = {"type": "image_url", "image_url": {"url": "https://x/a.png"}}
    made = ark.to_request({"content": [*text("p"), picture], "duration": -1, "seed": -1, "generate_audio": False})
    assert (made["image"], made["seconds"], made["audio_mode"]) == ("https://x/a.png", 5, "none")
    assert not {"ratio", "seed"} & made.keys()
    assert len(ark.to_request({"content": [*text("p"), picture, picture]})["references"]) == 2
    first, last = ({**picture, "role": role} for role in ("first_frame", "last_frame"))
    made = ark.to_request({"content": [*text("p"), first, last]})
    assert {"image", "last_image"} <= made.keys()
    clip = {"type": "video_url", "video_url": {"url": "v"}, "role": "reference_video"}
    sound = {"type": "audio_url", "audio_url": {"url": "a"}, "role": "reference_audio"}
    made = ark.to_request({"content": [*text("p"), clip, sound]})
    assert (made["video"], made["audio"]) == ("v", "a")
    assert ark.to_request({"content": text("p"), "frames": 121})["seconds"] == pytest.approx(121 / 24)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": []},
        {"content": [{"type": "image_url", "image_url": {}}]},
        {"content": [{"type": "draft_task", "draft_task": {"id": "x"}}]},
        {"content": text("p"), "resolution": "4k"},
        {"content": text("p"), "ratio": "7:1"},
        {"content": text("p"), "duration": "5"},
        {"content": text("p"), "output_format": "mov"},
    ],
)
def test_bad_bodies_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        ark.to_request(body)


def test_tokens_follow_the_formula() -> None:
    clip = Artifact("video", "j/1/clip.mp4", "video/mp4", 1, "0", 1280, 720, 5.0, 25.0)
    job = Job("01", "t", "k", "ark", MODEL, {"seconds": 5.0}, {}, "completed", 0.0, artifacts=(clip,))
    assert ark.to_body(job, "cgt-1")["usage"]["total_tokens"] == 1280 * 720 * 24 * 5 // 1024


def test_text_to_video(tasks: Any, api_server: ApiServer) -> None:
    made = tasks.create(model=MODEL, content=text("a horse"), duration=4, ratio="9:16", seed=11, return_last_frame=True)
    assert made.id.startswith("cgt-")
    done = finish(tasks, made)
    assert (done.status, done.error, done.seed, done.ratio, done.duration) == ("succeeded", None, 11, "9:16", 4)
    assert done.usage.total_tokens == round(128 * 72 * 24 * 4 / 1024)
    assert httpx.get(done.content.video_url).content[4:8] == b"ftyp"
    assert httpx.get(done.content.last_frame_url).content[:4] == b"\x89PNG"
    job = api_server.wait(made.id)
    assert (job.protocol, job.request["watermark"], job.request["ratio"]) == ("ark", False, "9:16")


def test_all_modes(tasks: Any, api_server: ApiServer) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"{api_server.outside.url}/picture.png"}}
    clip = {"type": "video_url", "video_url": {"url": f"{api_server.outside.url}/clip.mp4"}, "role": "reference_video"}
    made = {
        "i2v": tasks.create(model=MODEL, content=[*text("p"), {**picture, "role": "first_frame"}]),
        "r2v": tasks.create(model=MODEL, content=[*text("p"), *[{**picture, "role": "reference_image"}] * 3]),
        "edit": tasks.create(model=MODEL, content=[*text("in snow"), clip]),
    }
    for task, one in made.items():
        assert finish(tasks, one).status == "succeeded"
        assert api_server.wait(one.id).metadata["task"] == task


def test_list_and_filters(tasks: Any) -> None:
    made = [tasks.create(model="doubao-seedance-2-5-260628", content=text(f"listed {i}")) for i in range(3)]
    for one in made:
        finish(tasks, one)
    page = tasks.list(page_num=1, page_size=2, model="doubao-seedance-2-5-260628", status="succeeded")
    assert page.total == 3
    assert [one.id for one in page.items] == [made[2].id, made[1].id]
    assert [one.id for one in tasks.list(page_size=10, task_ids=[made[0].id]).items] == [made[0].id]


def test_delete_by_state(tasks: Any, api_server: ApiServer) -> None:
    with api_server.paused():
        waiting = tasks.create(model=MODEL, content=text("p"))
        assert tasks.get(task_id=waiting.id).status == "queued"
        tasks.delete(task_id=waiting.id)
        assert tasks.get(task_id=waiting.id).status == "cancelled"
    running = tasks.create(model=MODEL, content=text("[hold]"))
    api_server.wait(running.id, status="in_progress")
    assert tasks.get(task_id=running.id).status == "running"
    with pytest.raises(sdk_errors.ArkBadRequestError):
        tasks.delete(task_id=running.id)
    api_server.service.store.cancel(api_server.service.job_id(running.id, "ark"))
    api_server.wait(running.id)
    tasks.delete(task_id=running.id)  # ended: now it goes
    with pytest.raises(sdk_errors.ArkNotFoundError):
        tasks.get(task_id=running.id)


def test_failures(tasks: Any) -> None:
    done = finish(tasks, tasks.create(model=MODEL, content=text("[fail moderation_output]")))
    assert (done.status, done.error.code) == ("failed", "OutputVideoSensitiveContentDetected")
    assert done.error.message


def test_errors(tasks: Any, api_server: ApiServer) -> None:
    with pytest.raises(sdk_errors.ArkBadRequestError) as caught:
        tasks.create(model=MODEL, content=text("p"), duration=99)
    body = caught.value.response.json()["error"]
    assert set(body) == {"code", "message", "param", "type"}
    assert body["code"] == "InvalidParameter"
    bad = {"type": "image_url", "image_url": {"url": f"{api_server.outside.url}/broken.png"}}
    with pytest.raises(sdk_errors.ArkBadRequestError):
        tasks.create(model=MODEL, content=[*text("p"), bad])
    with pytest.raises(sdk_errors.ArkNotFoundError) as caught:
        tasks.create(model="no-such-model", content=text("p"))
    assert caught.value.response.json()["error"]["code"] == "InvalidEndpointOrModel.NotFound"
    with pytest.raises(sdk_errors.ArkNotFoundError):
        tasks.get(task_id="cgt-" + "0" * 26)
    stranger = Ark(api_key="wrong", base_url=f"{api_server.url}/api/v3", max_retries=0)
    with pytest.raises(sdk_errors.ArkAuthenticationError):
        stranger.content_generation.tasks.create(model=MODEL, content=text("p"))
    stranger.close()
    made = tasks.create(model=MODEL, content=text("mine"))
    other = Ark(api_key=api_server.other_key, base_url=f"{api_server.url}/api/v3", max_retries=0)
    with pytest.raises(sdk_errors.ArkNotFoundError):
        other.content_generation.tasks.get(task_id=made.id)
    assert other.content_generation.tasks.list().total == 0
    other.close()


def test_callback_has_the_body_of_get(tasks: Any, api_server: ApiServer) -> None:
    hook = f"{api_server.outside.url}/ark"
    made = tasks.create(model=MODEL, content=text("p"), duration=4, callback_url=hook)
    api_server.wait(made.id)
    told = settled(api_server, made.id, "/ark")[-1]
    assert (told["id"], told["status"]) == (made.id, "succeeded")
    assert httpx.get(told["content"]["video_url"]).status_code == 200


def test_flex_waits_behind(tasks: Any, api_server: ApiServer) -> None:
    made = tasks.create(model=MODEL, content=text("p"), service_tier="flex")
    assert api_server.wait(made.id).priority == -1
    assert tasks.get(task_id=made.id).service_tier == "flex"


def settled(api_server: ApiServer, job_id: str, path: str) -> list[dict[str, Any]]:
    """What came to `path` once every webhook of an ended job was sent; the end comes last."""
    ulid, until = api_server.wait(job_id).id, time.monotonic() + 30
    while any(d.delivered_at is None for d in api_server.service.store.deliveries.of_job(ulid)):
        assert time.monotonic() < until
        time.sleep(0.05)
    found = [json.loads(body) for at, _, body in api_server.outside.hooks if at == path]
    return sorted((b for b in found if b["id"] == job_id), key=lambda b: b["status"] == "succeeded")


def test_callbacks_come_at_every_change(tasks: Any, api_server: ApiServer) -> None:
    made = tasks.create(
        model=MODEL, content=text("p"), duration=4, callback_url=f"{api_server.outside.url}/ark-changes"
    )
    bodies = settled(api_server, made.id, "/ark-changes")
    assert sorted(b["status"] for b in bodies) == ["queued", "running", "succeeded"]
    for body in bodies:
        assert ("content" in body) is (body["status"] == "succeeded")
