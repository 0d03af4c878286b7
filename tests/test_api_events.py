"""Server-sent events and the Python client, over a real server."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from api_server import ApiServer

import muybridge
from muybridge import errors
from muybridge.api import events
from muybridge.client import AsyncClient, Client, Video
from muybridge.media import probe, write_wav


@pytest.fixture
def client(api_server: ApiServer) -> Any:
    with Client(api_server.url, api_server.key) as made:
        yield made


def test_a_stream_tells_everything_in_order_and_ends(client: Client) -> None:
    video = client.create("A paper boat.", seconds=4)
    seen = list(client.events(video))
    assert [e.seq for e in seen] == list(range(1, len(seen) + 1))
    statuses = [e.data["status"] for e in seen if e.kind == "status"]
    assert statuses[0] == "queued" and statuses[-1] == "completed"
    progress = [e.data["progress"] for e in seen if e.kind == "progress"]
    assert progress == sorted(progress) and len(progress) >= 3
    assert {"stage", "eta_seconds"} <= set(next(e for e in seen if e.kind == "progress").data)
    assert seen[-1].data["video"]["id"] == video.id


def test_a_stream_resumes_after_the_last_seen_event(client: Client, api_server: ApiServer) -> None:
    video = client.create("A paper boat.", seconds=4)
    everything = list(client.events(video))
    rest = list(client.events(video, after=2))
    assert [e.seq for e in rest] == [e.seq for e in everything[2:]]
    assert list(client.events(video, after=everything[-1].seq)) == []  # nothing left: it ends, it does not hang
    bad = httpx.get(
        f"{api_server.url}/v1/videos/{video.id}/events",
        headers={"Authorization": f"Bearer {api_server.key}", "Last-Event-ID": "x"},
    )
    assert bad.status_code == 400


def test_previews_come_inline(client: Client, api_server: ApiServer) -> None:
    """A worker stores a preview: subscribers get the picture itself."""
    with api_server.paused():
        video = client.create("preview me")
        service = api_server.service
        claim = service.store.claim("by hand")
        assert claim is not None
        key = f"{claim.job.id}/1/preview-1.jpg"
        service.artifacts.put(key, b"\xff\xd8 picture")
        service.store.renew(claim, "base", 10.0, 5.0, preview_key=key)
        service.store.fail(claim, "internal", "enough", False)
        event = next(e for e in client.events(video) if e.kind == "preview")
    head, _, data = event.data["image"].partition(",")
    assert head == "data:image/jpeg;base64" and base64.b64decode(data) == b"\xff\xd8 picture"


def test_a_live_stream_follows_a_running_job(client: Client, api_server: ApiServer) -> None:
    video = client.create("[hold]")
    api_server.wait(video.id, status="in_progress")
    kinds = []
    for event in client.events(video):
        kinds.append(event.kind)
        if len(kinds) == 6:
            assert client.cancel(video).raw["cancel_requested"]
    assert kinds[-1] == "status"
    assert client.get(video).status == "cancelled"


def test_heartbeats_keep_an_idle_stream_alive(
    client: Client, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.3)
    with api_server.paused():
        video = client.create("waits")
        url = f"{api_server.url}/v1/videos/{video.id}/events"
        with httpx.stream("GET", url, headers={"Authorization": f"Bearer {api_server.key}"}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert ": still here" in next(line for line in answer.iter_lines() if line.startswith(":"))
        client.cancel(video)


def test_the_client_from_create_to_file(client: Client, tmp_path: Path) -> None:
    seen: list[Video] = []
    video = client.wait(client.create("A paper boat.", seconds=4, metadata={"order": "7"}), seen.append)
    assert (video.status, video.progress, video.raw["metadata"]) == ("completed", 100, {"order": "7"})
    assert seen[-1].ended and not seen[0].ended
    path = client.download(video, tmp_path / "boat.mp4")
    assert probe(path).duration_s == pytest.approx(4.0, abs=0.05)
    assert list(tmp_path.iterdir()) == [path]
    assert httpx.get(video.urls["video"]).content == path.read_bytes()
    assert video.id in [v.id for v in client.list(limit=100)]
    assert client.usage()["total"]["videos"] >= 1
    assert client.delete(video)["deleted"]
    with pytest.raises(errors.NotFound):
        client.get(video)
    with pytest.raises(errors.NotFound):
        client.download(video, tmp_path / "gone.mp4")


def test_the_client_uploads_local_files(client: Client, api_server: ApiServer) -> None:
    picture = api_server.outside.image
    video = client.create("[Image 1] and hero.", references=[picture, {"image": picture, "name": "hero"}])
    job = api_server.wait(video.id)
    assert job.metadata["task"] == "r2v"
    assert [r["name"] for r in job.request["references"]] == ["Image 1", "hero"]
    assert client.wait(client.create("It moves.", image=str(picture))).raw["task"] == "i2v"
    with pytest.raises(errors.MediaInvalid, match="not a file"):
        client.create("x", image="nowhere.png")


def test_a_voice_track_drives_the_lips(client: Client, api_server: ApiServer, tmp_path: Path) -> None:
    voice = write_wav(tmp_path / "voice.wav", np.zeros((1, 16_000), np.float32), 16_000)
    job = api_server.wait(client.create("She speaks.", audio=voice).id)
    assert job.metadata["task"] == "a2v" and job.request["audio"].endswith(".wav")
    with voice.open("rb") as file:  # the same as a part of a form
        answer = httpx.post(
            f"{api_server.url}/v1/videos",
            data={"prompt": "She speaks.", "audio_mode": "keep"},
            files={"audio": file},
            headers={"Authorization": f"Bearer {api_server.key}"},
        )
    assert answer.json()["task"] == "a2v", answer.text


def test_the_clients_errors_are_ours(client: Client, api_server: ApiServer) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        client.create("x", seconds=99)
    assert caught.value.field == "seconds"
    with pytest.raises(errors.NotFound):
        client.create("x", model="nothing")
    with pytest.raises(errors.AuthFailed), Client(api_server.url, "mb_wrong") as stranger:
        stranger.list()
    with pytest.raises(errors.ProviderFailed, match="moderation_blocked"):
        client.wait(client.create("[fail moderation_output]"))
    with pytest.raises(errors.TimedOut):
        client.wait(held := client.create("[hold]"), timeout_s=0.2)
    client.cancel(held)
    with pytest.raises(errors.Cancelled):
        client.wait(held)


def test_the_client_repeats_a_lost_submit_safely(
    client: Client, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = client._http.request, []

    def flaky(*args: Any, **more: Any) -> httpx.Response:
        answer = real(*args, **more)
        calls.append(answer.json()["id"])
        if len(calls) == 1:
            raise httpx.ReadError("the answer was lost")
        return answer

    monkeypatch.setattr(client._http, "request", flaky)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with api_server.paused():
        video = client.create("once")
        assert calls == [video.id, video.id]


def test_an_unreachable_server_says_so() -> None:
    with pytest.raises(errors.Unavailable, match="cannot be reached"), Client("http://127.0.0.1:9", "mb_x") as nobody:
        nobody._http.timeout = httpx.Timeout(0.2)
        nobody.list()


def test_the_async_client_does_the_same(api_server: ApiServer, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncClient(api_server.url, api_server.key) as client:
            videos = await asyncio.gather(*(client.create(f"boat {i}", seconds=4) for i in range(3)))
            done = await asyncio.gather(*(client.wait(v) for v in videos))
            assert [v.status for v in done] == ["completed"] * 3
            path = await client.download(done[0], tmp_path / "a.mp4")
            assert probe(path).duration_s == pytest.approx(4.0, abs=0.05)
            kinds = [e.kind async for e in client.events(videos[1])]
            assert kinds[0] == kinds[-1] == "status"
            picture = await client.create("It moves.", image=api_server.outside.image)
            assert (await client.wait(picture)).raw["task"] == "i2v"
            assert {v.id for v in videos} <= {v.id for v in await client.list(limit=100)}
            assert (await client.delete(done[2]))["deleted"]
            with pytest.raises(errors.NotFound):
                await client.get(done[2])

    asyncio.run(story())


def test_clients_are_exported_lazily() -> None:
    assert muybridge.Client is Client and muybridge.AsyncClient is AsyncClient
