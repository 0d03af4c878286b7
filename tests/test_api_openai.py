"""The OpenAI Videos face, driven by the official SDK against a real server."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from api_server import ApiServer

from muybridge.media import probe

# The SDK marks its own videos methods as deprecated (OpenAI removed the hosted API); the protocol lives on here.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def client(api_server: ApiServer) -> Any:
    with openai.OpenAI(api_key=api_server.key, base_url=f"{api_server.url}/v1") as made:
        yield made


def finished(client: openai.OpenAI, video_id: str) -> Any:
    video = client.videos.poll(video_id, poll_interval_ms=50)
    assert video.status == "completed", video
    return video


def test_text_to_video_by_the_sdks_own_loop(client: openai.OpenAI, tmp_path: Path) -> None:
    video = client.videos.create_and_poll(
        prompt="A paper boat.", model="sora-2", seconds="4", size="1280x720", poll_interval_ms=50
    )
    assert (video.status, video.progress, video.seconds, video.model) == ("completed", 100, "4", "sora-2")
    assert video.id.startswith("video_")
    assert video.error is None
    assert video.completed_at is not None and video.expires_at is not None
    assert video.expires_at - video.completed_at == 86_400
    content = client.videos.download_content(video.id)
    content.write_to_file(tmp_path / "boat.mp4")
    assert probe(tmp_path / "boat.mp4").duration_s == pytest.approx(4.0, abs=0.05)
    assert content.response.headers["content-type"] == "video/mp4"
    assert client.videos.download_content(video.id, variant="thumbnail").read()[:4] == b"\x89PNG"
    with pytest.raises(openai.NotFoundError, match="has no spritesheet"):
        client.videos.download_content(video.id, variant="spritesheet")


def test_sora_defaults_and_lifecycle_headers(client: openai.OpenAI) -> None:
    answer = client.videos.with_raw_response.create(prompt="A paper boat.")
    video = answer.parse()
    assert (video.model, video.seconds, video.size) == ("sora-2", "4", "720x1280")
    assert answer.headers["x-model-actual"] == "tiny"
    assert answer.headers["deprecation"].startswith("@")
    assert 'rel="successor-version"' in answer.headers["link"]
    assert answer.headers["x-request-id"].startswith("req_")
    assert int(answer.headers["openai-processing-ms"]) >= 0
    assert int(answer.headers["openai-poll-after-ms"]) >= 100


@pytest.mark.parametrize("how", ["file", "url", "data", "file_id"])
def test_image_to_video(client: openai.OpenAI, api_server: ApiServer, how: str) -> None:
    picture = api_server.outside.image
    if how == "file":
        video = client.videos.create(prompt="It moves.", input_reference=picture)
    else:
        data = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
        reference = {
            "url": {"image_url": f"{api_server.outside.url}/picture.png"},
            "data": {"image_url": data},
            "file_id": {"file_id": client.files.create(file=picture, purpose="vision").id if how == "file_id" else ""},
        }[how]
        body = {"prompt": "It moves.", "model": "sora-2", "input_reference": reference}
        video = client.post("/videos", body=body, cast_to=openai.types.Video)
    job = api_server.wait(finished(client, video.id).id)
    assert job.metadata["task"] == "i2v"
    assert Path(job.request["image"]).read_bytes()[:4] == b"\x89PNG"
    assert "base64" not in json.dumps(job.request_raw) or len(json.dumps(job.request_raw)) < 5000


def test_references_to_video_in_json_and_form(client: openai.OpenAI, api_server: ApiServer) -> None:
    url = f"{api_server.outside.url}/picture.png"
    named = [{"type": "image", "image": {"url": url}, "name": "hero"}, url]
    video = client.videos.create(prompt="[Image 2] waves at hero.", extra_body={"references": named})
    job = api_server.wait(video.id)
    assert job.metadata["task"] == "r2v"
    assert [r["name"] for r in job.request["references"]] == ["hero", "Image 2"]
    with api_server.outside.image.open("rb") as file:
        answer = httpx.post(
            f"{api_server.url}/v1/videos",
            data={"prompt": "x", "seconds": "3", "watermark": "false"},
            files=[("references[]", file)],
            headers={"Authorization": f"Bearer {api_server.key}"},
        )
    assert answer.status_code == 200, answer.text
    job = api_server.wait(answer.json()["id"])
    assert (job.metadata["task"], job.request["watermark"], job.request["seconds"]) == ("r2v", False, 3.0)


def test_edit_of_an_uploaded_clip_and_of_our_own(client: openai.OpenAI, api_server: ApiServer) -> None:
    with api_server.outside.clip.open("rb") as file:
        video = client.videos.edit(prompt="Make it snow.", video=file)
    assert api_server.wait(finished(client, video.id).id).metadata["task"] == "edit"
    again = client.post(
        "/videos/edits", body={"prompt": "Now rain.", "video": {"id": video.id}}, cast_to=openai.types.Video
    )
    job = api_server.wait(finished(client, again.id).id)
    assert job.metadata["task"] == "edit" and job.request["video"].endswith(".mp4")


def test_remix_points_to_its_origin(client: openai.OpenAI, api_server: ApiServer) -> None:
    first = finished(client, client.videos.create(prompt="A paper boat.", seconds="4", size="1280x720").id)
    remix = client.videos.remix(first.id, prompt="The same at night.")
    assert remix.remixed_from_video_id == first.id
    assert (remix.seconds, remix.size, remix.model) == ("4", "1280x720", "sora-2")
    assert api_server.wait(finished(client, remix.id).id).metadata["task"] == "edit"


def test_remix_of_an_unfinished_video_is_refused(client: openai.OpenAI, api_server: ApiServer) -> None:
    with api_server.paused():
        first = client.videos.create(prompt="A paper boat.")
        with pytest.raises(openai.BadRequestError, match="wait until it is completed"):
            client.videos.remix(first.id, prompt="At night.")
        client.videos.delete(first.id)


def test_extension_adds_to_the_length(client: openai.OpenAI, api_server: ApiServer) -> None:
    first = finished(client, client.videos.create(prompt="A paper boat.", seconds="4").id)
    body = {"prompt": "It sinks.", "seconds": "5", "video": {"id": first.id}}
    with api_server.paused():
        longer = client.post("/videos/extensions", body=body, cast_to=openai.types.Video)
        assert longer.seconds == "9"
    job = api_server.wait(longer.id)
    assert job.request["extra"]["continues"].endswith(".mp4")
    assert Path(job.request["image"]).is_file()


def test_list_pages_both_ways(client: openai.OpenAI, api_server: ApiServer) -> None:
    with api_server.paused():
        made = [client.videos.create(prompt=f"page {i}").id for i in range(5)]
        page = client.videos.list(limit=3)
        assert [v.id for v in page.data] == made[:-4:-1]
        assert page.has_more
        assert [v.id for v in page.get_next_page().data][:2] == made[1::-1]
        oldest = client.videos.list(limit=100, order="asc", after=made[0])
        assert [v.id for v in oldest.data] == made[1:]
        for video_id in made:
            client.videos.delete(video_id)


def test_delete_removes_words_and_files(client: openai.OpenAI, api_server: ApiServer) -> None:
    video = finished(client, client.videos.create(prompt="secret words").id)
    job = api_server.wait(video.id)
    shown = httpx.get(
        f"{api_server.url}/v1/videos/{video.id}", headers={"Authorization": f"Bearer {api_server.key}"}
    ).json()
    link = shown["urls"]["video"]
    assert httpx.get(link).status_code == 200
    gone = client.videos.delete(video.id)
    assert gone.deleted and gone.id == video.id and gone.object == "video.deleted"
    for call in (client.videos.retrieve, client.videos.download_content, client.videos.delete):
        with pytest.raises(openai.NotFoundError, match=f"Video with id '{video.id}' not found"):
            call(video.id)
    assert httpx.get(link).status_code == 404
    assert api_server.service.artifacts.list(job.id) == []
    assert api_server.service.store.receipts.of_job(job.id, job.tenant)[0].completed_at is not None


def test_delete_of_a_running_video_stops_it(client: openai.OpenAI, api_server: ApiServer) -> None:
    video = client.videos.create(prompt="[hold]")
    api_server.wait(video.id, status="in_progress")
    assert client.videos.delete(video.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)


def test_cancelled_shows_as_failed_to_sdks_and_as_itself_to_others(
    client: openai.OpenAI, api_server: ApiServer
) -> None:
    headers = {"Authorization": f"Bearer {api_server.key}"}
    with api_server.paused():
        video = client.videos.create(prompt="never mind")
        answer = httpx.post(f"{api_server.url}/v1/videos/{video.id}/cancel", headers=headers)
    assert answer.json()["status"] == "cancelled"
    seen = client.videos.poll(video.id)
    assert seen.status == "failed"
    assert seen.error is not None and seen.error.code == "cancelled"


@pytest.mark.parametrize(("code", "shown"), [("moderation_output", "moderation_blocked"), ("out_of_memory",) * 2])
def test_failures_end_the_sdks_loop(client: openai.OpenAI, code: str, shown: str) -> None:
    video = client.videos.create_and_poll(prompt=f"[fail {code}]", poll_interval_ms=50)
    assert video.status == "failed"
    assert video.error is not None and video.error.code == shown


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "", "seconds": "4"}, "prompt"),
        ({"prompt": "x", "seconds": "20"}, "seconds"),
        ({"prompt": "x", "seconds": "four"}, "seconds"),
        ({"prompt": "x", "size": "huge"}, "size"),
        ({"prompt": "x" * 5001}, "prompt"),
        ({"prompt": "x", "extra_body": {"task": "r2v"}}, "task"),
        ({"prompt": "x", "extra_body": {"seed": -1}}, "seed"),
        ({"prompt": "x", "extra_body": {"references": [{"type": "video", "image": "u"}]}}, "references"),
        ({"prompt": "x", "extra_body": {"metadata": {"a": "b" * 600}}}, "metadata"),
        ({"prompt": "x", "extra_body": {"webhook": "http://127.0.0.1:1/"}}, None),
    ],
)
def test_bad_requests_name_the_field(client: openai.OpenAI, fields: dict[str, Any], param: str | None) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create(**fields)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param == param
    assert caught.value.code in ("invalid_value", "invalid_media_url")


def test_other_errors_have_the_sdks_own_classes(client: openai.OpenAI, api_server: ApiServer) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-9") as missing:
        client.videos.create(prompt="x", model="gpt-9")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="Video with id 'video_123' not found"):
        client.videos.retrieve("video_123")
    for key in ("sk-not-ours", api_server.key[:-1] + ("0" if api_server.key[-1] != "0" else "1")):
        with pytest.raises(openai.AuthenticationError) as denied:
            client.with_options(api_key=key).videos.list()
        assert denied.value.code == "invalid_api_key"
    for path in ("/videos/edits", "/videos/extensions"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.post(path, body={"prompt": "x"}, cast_to=object)
        assert caught.value.param == "video"


def test_models_show_aliases_and_dates(client: openai.OpenAI) -> None:
    models = {m.id: m for m in client.models.list()}
    assert {"tiny", "sora-2", "sora-2-pro"} <= set(models)
    assert models["sora-2"].model_dump()["shutdown_date"] is None
    assert client.models.retrieve("sora-2").model_dump()["successor"] == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


def test_files(client: openai.OpenAI, api_server: ApiServer) -> None:
    made = client.files.create(file=api_server.outside.clip, purpose="vision")
    assert made.id.startswith("file-") and made.bytes > 0
    assert client.files.retrieve(made.id).filename == "clip.mp4"
    assert made.id in [f.id for f in client.files.list().data]
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("x.png", io.BytesIO(b"\x89PNG\r\n\x1a\n nothing more")), purpose="vision")
    assert caught.value.code == "invalid_media"


def test_webhook_of_an_endpoint_verifies_in_the_sdk(client: openai.OpenAI, api_server: ApiServer) -> None:
    headers = {"Authorization": f"Bearer {api_server.key}"}
    hook = {"url": f"{api_server.outside.url}/openai-hook"}
    endpoint = httpx.post(f"{api_server.url}/v1/webhooks", json=hook, headers=headers).json()
    video = client.videos.create(prompt="Tell me when it is done.")
    sent, body = api_server.outside.hook("/openai-hook")
    event: Any = client.webhooks.unwrap(body, sent, secret=endpoint["secret"])
    assert (event.type, event.data["id"] if isinstance(event.data, dict) else event.data.id) == (
        "video.completed",
        video.id,
    )
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body + b" ", sent, secret=endpoint["secret"])
    gone = httpx.delete(f"{api_server.url}/v1/webhooks/{endpoint['id']}", headers=headers)
    assert gone.json()["deleted"]


def test_content_supports_range_and_head(client: openai.OpenAI, api_server: ApiServer) -> None:
    video = finished(client, client.videos.create(prompt="A paper boat.").id)
    url = f"{api_server.url}/v1/videos/{video.id}/content"
    headers = {"Authorization": f"Bearer {api_server.key}"}
    whole = httpx.get(url, headers=headers)
    data = whole.content
    head = httpx.head(url, headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(data)
    assert "attachment" in head.headers["content-disposition"]
    assert whole.headers["x-content-type-options"] == "nosniff"
    for asked, expected in (("bytes=0-99", data[:100]), ("bytes=100-", data[100:]), ("bytes=-7", data[-7:])):
        part = httpx.get(url, headers={**headers, "Range": asked})
        assert part.status_code == 206
        assert part.content == expected
        assert part.headers["content-range"].endswith(f"/{len(data)}")
    assert httpx.get(url, headers={**headers, "Range": f"bytes={len(data)}-"}).status_code == 416
    assert httpx.get(url, headers={**headers, "If-None-Match": whole.headers["etag"]}).status_code == 304
    job = api_server.wait(video.id)
    assert hashlib.sha256(data).hexdigest() == job.artifacts[0].sha256
    link = httpx.get(f"{api_server.url}/v1/videos/{video.id}", headers=headers).json()["urls"]["video"]
    assert httpx.get(link).content == data
    assert httpx.head(link).status_code == 200
    assert httpx.get(link.replace("sig=", "sig=0")).status_code == 404
    assert httpx.get(link.replace("exp=1", "exp=2")).status_code == 404


def test_a_retried_submit_is_the_same_video(client: openai.OpenAI, api_server: ApiServer) -> None:
    with api_server.paused():
        first = client.videos.create(prompt="The answer was lost.")
        lost = client.videos.create(prompt="The answer was lost.", extra_headers={"x-stainless-retry-count": "1"})
        other = client.videos.create(prompt="The answer was lost.")
        assert lost.id == first.id
        assert other.id != first.id
        for video_id in (first.id, other.id):
            client.videos.delete(video_id)


def test_the_prefixed_twin_answers_alike(api_server: ApiServer) -> None:
    with openai.OpenAI(api_key=api_server.key, base_url=f"{api_server.url}/openai/v1") as client:
        video = client.videos.create_and_poll(prompt="Twin.", poll_interval_ms=50)
        assert video.status == "completed"


def test_characters_become_references(client: openai.OpenAI, api_server: ApiServer) -> None:
    with api_server.outside.clip.open("rb") as file:
        hero = client.videos.create_character(name="hero", video=file)
    assert hero.name == "hero" and hero.id is not None and hero.id.startswith("char_")
    assert client.videos.get_character(hero.id).name == "hero"
    video = client.videos.create(prompt="hero waves.", extra_body={"characters": [{"id": hero.id}]})
    job = api_server.wait(video.id)
    assert job.metadata["task"] == "r2v"
    assert [r["name"] for r in job.request["references"]] == ["hero"]
    with openai.OpenAI(api_key=api_server.other_key, base_url=f"{api_server.url}/v1") as stranger:
        for call in (
            stranger.videos.get_character,
            lambda i: stranger.videos.create(prompt="x", extra_body={"characters": [{"id": i}]}),
        ):
            with pytest.raises(openai.NotFoundError, match="Character with id"):
                call(hero.id)
