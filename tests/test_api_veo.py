"""Google's faces, driven by google-genai against a real server: Veo (developer API and Vertex form), Interactions."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_server import ApiServer
from google import genai
from google.genai import errors, types

from muybridge.api import interactions, veo
from muybridge.errors import InvalidRequest
from muybridge.jobs.job import Job

MODEL = "veo-3.1-generate-preview"
OMNI = "gemini-omni-1.2-flash"


@pytest.fixture
def client(api_server: ApiServer) -> Iterator[genai.Client]:
    with genai.Client(api_key=api_server.key, http_options=types.HttpOptions(base_url=api_server.url)) as made:
        yield made


@pytest.fixture
def raw(api_server: ApiServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api_server.url, headers={"x-goog-api-key": api_server.key}, timeout=30) as made:
        yield made


def start(client: genai.Client, model: str = MODEL, config: Any = None, **source: Any) -> types.GenerateVideosOperation:
    given = types.GenerateVideosSource(**source)
    return client.models.generate_videos(model=model, source=given, config=config)


def finish(client: genai.Client, operation: types.GenerateVideosOperation) -> types.GenerateVideosOperation:
    until = time.monotonic() + 20
    while not operation.done:
        assert time.monotonic() < until
        time.sleep(0.05)
        operation = client.operations.get(operation)
    return operation


def test_bodies_become_canonical() -> None:
    body = {
        "instances": [{"prompt": "p", "image": {"bytesBase64Encoded": "AAAA", "mimeType": "image/jpeg"}}],
        "parameters": {"durationSeconds": 4, "resolution": "1080p", "negativePrompt": "n", "generateAudio": False},
    }
    assert veo.to_request(body) == {
        "prompt": "p", "image": "data:image/jpeg;base64,AAAA", "size": "1080p", "seconds": 4, "negative_prompt": "n",
        "audio_mode": "none",
    }  # fmt: skip
    plain = veo.to_request({"instances": [{"prompt": "p"}]})
    assert plain == {"prompt": "p", "size": "720p", "seconds": 8, "ratio": "16:9"}
    clip = {"video": {"encodedVideo": "AAAA", "encoding": "video/mp4"}}
    assert veo.to_request({"instances": [{"prompt": "p", **clip}]})["extends"] == "data:video/mp4;base64,AAAA"
    own = "https://host/v1beta/files/01m7ykztz9w000000000000000:download?alt=media"
    assert veo.source_of({"video": {"uri": own}}, "video", "encodedVideo").startswith("video_")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instances": [{"prompt": "p"}, {"prompt": "q"}]},
        {"instances": [{}]},
        {"instances": [{"prompt": "p"}], "parameters": {"sampleCount": 2}},
        {"instances": [{"prompt": "p"}], "parameters": {"durationSeconds": 60}},
        {"instances": [{"prompt": "p"}], "parameters": {"resolution": "4k"}},
        {"instances": [{"prompt": "p", "image": {"gcsUri": "gs://b/o"}}]},
        {"instances": [{"prompt": "p", "mask": {}}]},
    ],
)
def test_bad_bodies_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        veo.to_request(body)


def test_interaction_inputs() -> None:
    def made(given: Any, task: str | None = None, **shape: Any) -> dict[str, Any]:
        config = {"video_config": {"task": task}} if task else {}
        body = {"input": given, "generation_config": config, "response_format": {"type": "video", **shape}}
        return interactions.to_request(body, veo.source_of)

    assert made("p", duration="4s", aspect_ratio="9:16") == {
        "prompt": "p", "size": "720p", "ratio": "9:16", "seconds": 4.0,
    }  # fmt: skip
    picture = {"type": "image", "data": "AAAA", "mime_type": "image/png"}
    assert made([picture, {"type": "text", "text": "p"}])["image"] == "data:image/png;base64,AAAA"
    assert len(made([picture, picture, {"type": "text", "text": "p"}])["references"]) == 2
    assert made([picture, {"type": "text", "text": "p"}], "reference_to_video")["references"]
    clip = {"type": "video", "data": "AAAA", "mime_type": "video/mp4"}
    assert made([clip, {"type": "text", "text": "p"}])["video"]
    assert made([clip, {"type": "text", "text": "p"}], "extend")["extends"]
    step = [{"type": "user_input", "content": [{"type": "text", "text": "p"}]}]
    assert made(step)["prompt"] == "p"
    for bad in ([], [clip], [{"type": "document"}]):
        with pytest.raises(InvalidRequest):
            made(bad)


def test_operation_objects() -> None:
    job = Job("01", "t", "k", "veo", MODEL, {}, {}, "in_progress", 0.0)
    assert "done" not in veo.to_operation(job, "n", None)
    ended = Job("01", "t", "k", "veo", MODEL, {}, {}, "cancelled", 0.0)
    assert veo.to_operation(ended, "n", None)["error"]["code"] == 1


def test_text_to_video(client: genai.Client, api_server: ApiServer) -> None:
    config = types.GenerateVideosConfig(duration_seconds=4, aspect_ratio="9:16", resolution="720p", number_of_videos=1)
    operation = start(client, prompt="a horse", config=config)
    assert operation.name.startswith(f"models/{MODEL}/operations/")
    done = finish(client, operation)
    video = done.response.generated_videos[0].video
    assert video.uri.startswith("https://")
    assert client.files.download(file=video)[4:8] == b"ftyp"
    job = api_server.wait(operation.name.rpartition("/")[2])
    assert (job.protocol, job.request["ratio"], job.request["seconds"]) == ("veo", "9:16", 4.0)
    # go on from the result
    config = types.GenerateVideosConfig(duration_seconds=4)
    more = start(client, prompt="and then", video=video, config=config)
    assert finish(client, more).response.generated_videos
    extended = api_server.wait(more.name.rpartition("/")[2])
    assert extended.metadata["source_seconds"] == 4.0


def test_frames_and_references(client: genai.Client, api_server: ApiServer) -> None:
    picture = types.Image.from_file(location=str(api_server.outside.image))
    config = types.GenerateVideosConfig(duration_seconds=4, last_frame=picture)
    framed = start(client, prompt="p", image=picture, config=config)
    reference = types.VideoGenerationReferenceImage(image=picture, reference_type="ASSET")
    config = types.GenerateVideosConfig(duration_seconds=8, reference_images=[reference, reference])
    referred = start(client, prompt="p", config=config)
    for operation, task in ((framed, "i2v"), (referred, "r2v")):
        assert finish(client, operation).response.generated_videos
        assert api_server.wait(operation.name.rpartition("/")[2]).metadata["task"] == task


def test_filtered_and_failed(client: genai.Client) -> None:
    filtered = finish(client, start(client, prompt="[fail moderation_output]"))
    assert filtered.error is None
    assert filtered.response.generated_videos is None
    assert filtered.response.rai_media_filtered_count == 1
    failed = finish(client, start(client, prompt="[fail internal]"))
    assert failed.error["code"] == 13
    assert failed.response is None


def test_errors(client: genai.Client, api_server: ApiServer, raw: httpx.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        start(client, prompt="p", config=types.GenerateVideosConfig(duration_seconds=60))
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    with pytest.raises(errors.ClientError) as caught:
        start(client, "no-such-model", prompt="p")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    options = types.HttpOptions(base_url=api_server.url)
    with genai.Client(api_key="wrong", http_options=options) as stranger, pytest.raises(errors.ClientError) as caught:
        start(stranger, prompt="p")
    assert (caught.value.code, caught.value.message) == (400, "API key not valid. Please pass a valid API key.")
    unknown = raw.get(f"/v1beta/models/{MODEL}/operations/{'0' * 26}")
    assert (unknown.status_code, unknown.json()["error"]["status"]) == (404, "NOT_FOUND")
    assert httpx.post(f"{api_server.url}/v1beta/models/{MODEL}:predictLongRunning", json={}).status_code == 403
    by_query = httpx.post(
        f"{api_server.url}/v1beta/models/{MODEL}:predictLongRunning",
        params={"key": api_server.key},
        json={"instances": [{"prompt": "p"}]},
    )
    operation = by_query.json()["name"]
    other = {"x-goog-api-key": api_server.other_key}
    assert httpx.get(f"{api_server.url}/v1beta/{operation}", headers=other).status_code == 404


def test_webhook(raw: httpx.Client, api_server: ApiServer) -> None:
    hook = {"uris": [f"{api_server.outside.url}/veo"], "userMetadata": {"mine": "yes"}}
    body = {"instances": [{"prompt": "p"}], "parameters": {"durationSeconds": 4}, "webhookConfig": hook}
    name = raw.post(f"/v1beta/models/{MODEL}:predictLongRunning", json=body).json()["name"]
    _, told = api_server.outside.hook("/veo")
    found = httpx.Response(200, content=told).json()
    assert (found["name"], found["done"], found["userMetadata"]) == (name, True, {"mine": "yes"})
    assert found["response"]["generateVideoResponse"]["generatedSamples"]


def test_vertex_form(api_server: ApiServer) -> None:
    options = types.HttpOptions(base_url=api_server.url)
    with genai.Client(vertexai=True, api_key=api_server.key, http_options=options) as client:
        config = types.GenerateVideosConfig(duration_seconds=4, generate_audio=False, seed=3)
        operation = start(client, "veo-3.1-generate-001", prompt="a horse", config=config)
        done = finish(client, operation)
        assert done.response.generated_videos[0].video.video_bytes[4:8] == b"ftyp"
        job = api_server.wait(operation.name.rpartition("/")[2])
        assert (job.request["audio_mode"], job.request["seed"]) == ("none", 3)
        filtered = finish(client, start(client, prompt="[fail moderation_input]"))
        assert filtered.response.rai_media_filtered_count == 1


def test_interactions(client: genai.Client, api_server: ApiServer) -> None:
    shape: Any = {"type": "video", "resolution": "720p", "duration": "4s"}
    made = client.interactions.create(model=OMNI, input="a horse", response_format=shape)  # waits: no background
    assert made.status == "completed"
    assert base64.b64decode(made.output_video.data)[4:8] == b"ftyp"
    picture = base64.b64encode(Path(api_server.outside.image).read_bytes()).decode()
    given: Any = [{"type": "image", "data": picture, "mime_type": "image/png"}, {"type": "text", "text": "it moves"}]
    shape = {"type": "video", "duration": "4s", "delivery": "uri"}
    started = client.interactions.create(model=OMNI, input=given, background=True, response_format=shape)
    assert api_server.wait(started.id).metadata["task"] == "i2v"
    done = client.interactions.get(started.id)
    assert done.status == "completed"
    assert client.files.download(file=done.output_video.uri)[4:8] == b"ftyp"
    edited = client.interactions.create(model=OMNI, input="in snow", previous_interaction_id=made.id)
    job = api_server.wait(edited.id)
    assert (job.metadata["task"], job.request["seconds"]) == ("edit", 4.0)


def test_interactions_end_early(client: genai.Client, api_server: ApiServer) -> None:
    started = client.interactions.create(model=OMNI, input="[hold]", background=True)
    assert started.status == "in_progress"
    client.interactions.cancel(started.id)
    api_server.wait(started.id)
    assert client.interactions.get(started.id).status == "cancelled"
    client.interactions.delete(started.id)
    with pytest.raises(Exception) as caught:
        client.interactions.get(started.id)
    assert getattr(caught.value, "status_code", getattr(caught.value, "code", None)) == 404
    failed = client.interactions.create(model=OMNI, input="[fail internal]")
    assert failed.status == "failed"


def test_v1_paths_of_the_newer_sdk(raw: httpx.Client, api_server: ApiServer) -> None:
    shape = {"type": "video", "duration": "4s", "delivery": "uri"}
    made = raw.post("/v1/interactions", json={"model": OMNI, "input": "p", "response_format": shape}).json()
    assert made["steps"][0]["content"][0]["uri"].startswith("https://")
    assert raw.get(f"/v1/interactions/{made['id']}", params={"stream": "false"}).json()["status"] == "completed"
    assert raw.get(f"/v1/files/{made['id']}:download", params={"alt": "media"}).content[4:8] == b"ftyp"
    assert api_server.wait(made["id"]).status == "completed"
