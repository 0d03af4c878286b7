"""The Runway face, driven by the official SDK against a real server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import runwayml
from api_server import ApiServer
from runwayml import RunwayML
from runwayml.lib import polling

from muybridge.api import runway
from muybridge.errors import InvalidRequest
from muybridge.jobs.job import Job

MODEL = "happyhorse_1_0"


@pytest.fixture
def client(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunwayML]:
    monkeypatch.setattr(polling, "POLL_TIME", 0.1)  # the SDK looks every 6 s
    monkeypatch.setattr(polling, "POLL_JITTER", 0.0)
    with RunwayML(api_key=api_server.key, base_url=api_server.url, max_retries=0) as made:
        yield made


def create(client: RunwayML, **fields: Any) -> Any:
    return client.text_to_video.create(**{"model": MODEL, "prompt_text": "a horse", "duration": 3, **fields})


def test_bodies_become_canonical() -> None:
    made = runway.to_request("text_to_video", {"model": MODEL, "promptText": "p", "ratio": "1280:720"})
    assert made == {"prompt": "p", "size": "1280x720", "ratio": "16:9", "seconds": 5}
    made = runway.to_request("image_to_video", {"model": MODEL, "promptImage": "https://x/a.png", "resolution": "720P"})
    assert (made["image"], made["size"]) == ("https://x/a.png", "720p")
    assert "ratio" not in made
    frames = [{"uri": "a", "position": "first"}, {"uri": "b", "position": "last"}]
    made = runway.to_request("image_to_video", {"model": "gen4.5", "promptImage": frames, "ratio": "720:1280"})
    assert (made["image"], made["last_image"], made["size"], made["ratio"]) == ("a", "b", "720x1280", "9:16")
    made = runway.to_request(
        "video_to_video",
        {"model": "gen4_aleph", "promptVideo": "v", "promptText": "p", "references": [{"uri": "r"}], "audio": False},
    )
    assert (made["video"], made["audio_mode"], made["references"][0]["image"]) == ("v", "none", "r")
    assert "seconds" not in made


@pytest.mark.parametrize("ratio", runway.HAPPYHORSE_RATIOS)
def test_every_documented_ratio_fits(ratio: str) -> None:
    from muybridge.request import Request

    made = runway.to_request("text_to_video", {"model": MODEL, "promptText": "p", "ratio": ratio})
    width, height = (int(v) for v in ratio.split(":"))
    delivered = Request.from_dict(made).pixel_size
    assert delivered.width / delivered.height == pytest.approx(width / height, rel=0.01)
    if max(width, height) <= 1920 and min(width, height) <= 1080:
        assert (delivered.width, delivered.height) == (width, height)


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("text_to_video", {"promptText": "p", "duration": 16}, "duration"),
        ("text_to_video", {"promptText": ""}, "promptText"),
        ("text_to_video", {"promptText": "\U0001f40e" * 1251}, "promptText"),  # 2502 UTF-16 units
        ("text_to_video", {"promptText": "p", "ratio": "999:1"}, "ratio"),
        ("image_to_video", {"promptText": "p"}, "promptImage"),
        ("image_to_video", {"promptImage": [{"uri": "a", "position": "middle"}]}, "position"),
        ("video_to_video", {"promptText": "p"}, "promptVideo"),
    ],
)
def test_bad_bodies_name_their_field(verb: str, body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        runway.to_request(verb, {"model": MODEL, **body})
    assert caught.value.field == field


def test_credits_round_up() -> None:
    assert [runway.credits_of(c) for c in (None, 0.0, 0.001, 0.75, 0.751)] == [0, 0, 1, 75, 76]


def test_a_requested_cancel_shows_at_once() -> None:
    job = Job("01", "t", "k", "runway", MODEL, {}, {}, "in_progress", 0.0, cancel_requested=True)
    assert runway.to_body(job, "id") == {
        "id": "id", "createdAt": "1970-01-01T00:00:00.000Z", "status": "CANCELLED", "cost": {"credits": 0},
    }  # fmt: skip


def test_text_to_video(client: RunwayML, api_server: ApiServer) -> None:
    task = create(client, ratio="720:1280")
    assert uuid.UUID(task.id)
    assert task.estimated_cost.credits > 0
    done = task.wait_for_task_output(timeout=20)
    assert done.status == "SUCCEEDED"
    assert done.cost.credits == 15  # 3 s at 0.05 USD
    assert httpx.get(done.output[0]).content[4:8] == b"ftyp"
    job = api_server.wait(task.id)
    assert (job.protocol, job.request["size"], job.request["ratio"]) == ("runway", "720x1280", "9:16")


def test_image_to_video_with_an_upload(client: RunwayML, api_server: ApiServer) -> None:
    with api_server.outside.image.open("rb") as file:
        upload = client.uploads.create_ephemeral(file=file)
    assert upload.uri.startswith("runway://")
    task = client.image_to_video.create(model=MODEL, prompt_image=upload.uri, duration=3, resolution="720p")
    assert task.wait_for_task_output(timeout=20).status == "SUCCEEDED"
    job = api_server.wait(task.id)
    assert (job.metadata["task"], job.request["ratio"]) == ("i2v", "4:3")


def test_video_to_video(client: RunwayML, api_server: ApiServer) -> None:
    body = {"model": MODEL, "promptText": "in snow", "promptVideo": f"{api_server.outside.url}/clip.mp4"}
    task = client.post("/v1/video_to_video", body=body, cast_to=object)
    job = api_server.wait(task["id"])
    assert (job.status, job.metadata["task"], job.request["seconds"]) == ("completed", "edit", 3.0)


def test_cancel_waiting_and_running(client: RunwayML, api_server: ApiServer) -> None:
    with api_server.paused():
        task = create(client)
        assert client.tasks.retrieve(task.id).status == "PENDING"
        client.tasks.delete(task.id)
        assert client.tasks.retrieve(task.id).status == "CANCELLED"
    task = create(client, prompt_text="[hold]")
    api_server.wait(task.id, status="in_progress")
    running = client.tasks.retrieve(task.id)
    assert running.status == "RUNNING"
    assert 0 <= running.progress < 1
    client.tasks.delete(task.id)
    assert client.tasks.retrieve(task.id).status == "CANCELLED"
    assert api_server.wait(task.id).status == "cancelled"


def test_delete_of_a_finished_task(client: RunwayML, api_server: ApiServer) -> None:
    task = create(client)
    api_server.wait(task.id)
    client.tasks.delete(task.id)
    with pytest.raises(runwayml.NotFoundError):
        client.tasks.retrieve(task.id)


def test_failures(client: RunwayML) -> None:
    task = create(client, prompt_text="[fail moderation_input]")
    with pytest.raises(polling.TaskFailedError) as caught:
        task.wait_for_task_output(timeout=20)
    details = caught.value.task_details
    assert (details.failure_code, details.cost.credits) == ("SAFETY.INPUT.TEXT", 0)
    assert details.failure


def test_errors(client: RunwayML, api_server: ApiServer) -> None:
    with pytest.raises(runwayml.BadRequestError) as caught:
        create(client, duration=99)
    body = caught.value.response.json()
    assert body["error"] == "Validation of body failed"
    assert body["issues"][0]["path"] == ["duration"]
    with pytest.raises(runwayml.BadRequestError) as caught:
        create(client, model="no-such-model")
    assert caught.value.response.json()["issues"][0]["path"] == ["model"]
    with pytest.raises(runwayml.BadRequestError):
        client.image_to_video.create(model=MODEL, prompt_image=f"{api_server.outside.url}/broken.png")
    with pytest.raises(runwayml.NotFoundError):
        client.tasks.retrieve(str(uuid.uuid4()))
    with RunwayML(api_key="wrong", base_url=api_server.url) as stranger, pytest.raises(runwayml.AuthenticationError):
        create(stranger)
    task = create(client)
    with (
        RunwayML(api_key=api_server.other_key, base_url=api_server.url) as other,
        pytest.raises(runwayml.NotFoundError),
    ):
        other.tasks.retrieve(task.id)


def test_the_twin_prefix(api_server: ApiServer) -> None:
    with RunwayML(api_key=api_server.key, base_url=f"{api_server.url}/runway") as client:
        task = create(client)
        until = time.monotonic() + 20
        while client.tasks.retrieve(task.id).status != "SUCCEEDED":
            assert time.monotonic() < until
            time.sleep(0.05)
