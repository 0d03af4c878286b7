"""xAI's REST face, over a real server. Its SDK speaks gRPC, so httpx is the client."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx
import pytest
from api_server import ApiServer

from muybridge.api import xai
from muybridge.errors import InvalidRequest

MODEL = "grok-imagine-video"


@pytest.fixture
def client(api_server: ApiServer) -> Any:
    headers = {"Authorization": f"Bearer {api_server.key}"}
    with httpx.Client(base_url=f"{api_server.url}/v1", headers=headers, timeout=30) as made:
        yield made


def finish(client: httpx.Client, request_id: str) -> dict[str, Any]:
    until = time.monotonic() + 20
    while (answer := client.get(f"/videos/{request_id}")).status_code == 202:
        assert answer.json()["status"] == "pending"
        assert time.monotonic() < until
        time.sleep(0.05)
    assert answer.status_code == 200
    return answer.json()


def submit(client: httpx.Client, verb: str, body: dict[str, Any]) -> str:
    answer = client.post(f"/videos/{verb}", json={"model": MODEL, **body})
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["request_id"]
    assert uuid.UUID(answer.json()["request_id"])
    return answer.json()["request_id"]


def test_requests_become_canonical() -> None:
    made = xai.to_request("generations", {"model": MODEL, "prompt": "a horse"})
    assert made == {"prompt": "a horse", "seconds": 8, "size": "480p", "ratio": "16:9"}
    made = xai.to_request("generations", {"model": MODEL, "image": {"url": "https://x/y.png"}, "duration": 4})
    assert made["image"] == "https://x/y.png"
    assert "ratio" not in made  # it follows the picture
    made = xai.to_request("generations", {"model": MODEL, "prompt": "p", "aspect_ratio": "3:2", "resolution": "720p"})
    assert made["size"] == "1080x720"
    made = xai.to_request("generations", {"model": MODEL, "prompt": "p", "reference_images": [{"url": "u"}] * 7})
    assert len(made["references"]) == 7
    assert xai.to_request("edits", {"model": MODEL, "prompt": "p", "video": {"url": "v"}})["video"] == "v"
    assert xai.to_request("extensions", {"model": MODEL, "prompt": "p", "video": {"url": "v"}})["extends"] == "v"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": "p", "duration": 16}, "duration"),
        ({"prompt": "p", "duration": "8"}, "duration"),
        ({"prompt": "p" * 4097}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "p", "aspect_ratio": "5:1"}, "aspect_ratio"),
        ({"prompt": "p", "reference_images": [{"url": "u"}] * 8}, "reference_images"),
        ({"prompt": "p", "reference_audios": [{"voice_id": "v"}]}, "reference_audios"),
    ],
)
def test_bad_bodies_name_their_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        xai.to_request("generations", {"model": MODEL, **body})
    assert caught.value.field == field


def test_claims_by_id_and_by_body() -> None:
    assert xai.claims(str(uuid.uuid4()))
    assert not xai.claims("video_68d1")
    assert xai.claims(b'{"model": "m", "prompt": "p", "video": {"url": "u"}}')
    assert not xai.claims(b'{"prompt": "p", "video": {"id": "video_1"}}')


def test_text_to_video(client: httpx.Client) -> None:
    done = finish(client, submit(client, "generations", {"prompt": "a horse", "duration": 4}))
    assert done["status"] == "done"
    assert done["progress"] == 100
    assert done["model"] == MODEL
    assert done["video"]["duration"] == 4
    assert done["video"]["respect_moderation"] is True
    assert done["usage"]["cost_in_usd_ticks"] == round(0.05 * 4 * 1e10)
    assert httpx.get(done["video"]["url"]).content[4:8] == b"ftyp"


def test_picture_references_edit_and_extension(client: httpx.Client, api_server: ApiServer) -> None:
    picture = {"url": f"{api_server.outside.url}/picture.png"}
    clip = {"url": f"{api_server.outside.url}/clip.mp4"}
    ids = {
        "i2v": submit(client, "generations", {"image": picture, "duration": 3}),
        "r2v": submit(client, "generations", {"prompt": "p", "reference_images": [picture, picture], "duration": 3}),
        "edit": submit(client, "edits", {"prompt": "in snow", "video": clip}),
        "extend": submit(client, "extensions", {"prompt": "and then", "video": clip, "duration": 4}),
    }
    for mode, request_id in ids.items():
        assert finish(client, request_id)["status"] == "done"
        job = api_server.wait(request_id)
        assert job.protocol == "xai"
        assert job.metadata["task"] == ("i2v" if mode == "extend" else mode)
    assert api_server.wait(ids["i2v"]).request["ratio"] == "4:3"  # 640x480
    assert api_server.wait(ids["edit"]).request["seconds"] == 3.0
    extended = api_server.wait(ids["extend"])
    assert extended.metadata["source_seconds"] == 3.0
    assert extended.request["extra"]["continues"].endswith(".mp4")


def test_errors_have_xai_shapes(client: httpx.Client, api_server: ApiServer) -> None:
    answer = client.post("/videos/generations", json={"model": MODEL, "prompt": "p", "duration": 99})
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "error"}
    answer = client.post("/videos/generations", json={"model": "no-such-model", "prompt": "p"})
    assert answer.status_code == 404
    answer = httpx.post(f"{api_server.url}/v1/videos/generations", json={}, headers={"Authorization": "Bearer bad"})
    assert answer.status_code == 400
    assert "Incorrect API key provided" in answer.json()["error"]
    unknown = client.get(f"/videos/{uuid.uuid4()}")
    assert unknown.status_code == 404
    assert set(unknown.json()) == {"code", "error"}
    assert "error" in client.get("/videos/video_" + "0" * 32).json()  # OpenAI's shape
    assert "message" in client.get("/videos/video_" + "0" * 32).json()["error"]


def test_failed_requests_say_why(client: httpx.Client) -> None:
    done = finish(client, submit(client, "generations", {"prompt": "[fail moderation_output]"}))
    assert done["status"] == "failed"
    assert done["error"]["code"] == "moderation_output"


def test_other_tenants_see_nothing(client: httpx.Client, api_server: ApiServer) -> None:
    request_id = submit(client, "generations", {"prompt": "mine"})
    other = {"Authorization": f"Bearer {api_server.other_key}"}
    assert httpx.get(f"{api_server.url}/v1/videos/{request_id}", headers=other).status_code == 404
