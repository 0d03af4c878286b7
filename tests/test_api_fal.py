"""The fal face, driven by the official Python client against a real server; what browsers send, by httpx."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import time
import uuid
import zlib
from pathlib import Path
from typing import Any

import fal_client
import fal_client.client as fal_module
import httpx
import numpy as np
import pytest
from api_server import ApiServer
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from muybridge.api import fal, fal_bodies
from muybridge.errors import InvalidRequest, NotFound
from muybridge.jobs.job import Artifact, Job
from muybridge.media import encode_image

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
T2V = "alibaba/happy-horse/v1.1/text-to-video"
I2V = "alibaba/happy-horse/v1.1/image-to-video"
R2V = "alibaba/happy-horse/v1.1/reference-to-video"
EDIT = "alibaba/happy-horse/video-edit"


@pytest.fixture
def client(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client, pointed at plain http the way facts 4.5 says."""
    monkeypatch.setattr(fal_module, "QUEUE_URL_FORMAT", f"{api_server.url}/fal/queue/")
    monkeypatch.setattr(fal_module, "RUN_URL_FORMAT", f"{api_server.url}/fal/run/")
    monkeypatch.setattr(fal_module, "REST_URL", f"{api_server.url}/fal/rest")
    monkeypatch.setattr(fal_module, "CDN_URL", f"{api_server.url}/fal/cdn")
    made = fal_client.SyncClient(key=api_server.key)
    yield made
    made._client.close()
    gc.collect()  # the client leaves sockets of its uploads to the garbage collector: here their warnings are ignored


@pytest.fixture
def raw(api_server: ApiServer) -> Any:
    with httpx.Client(base_url=f"{api_server.url}/fal", headers={"Authorization": f"Key {api_server.key}"}) as made:
        yield made


# Translations ----------------------------------------------------------------------------------------------------


def test_inputs_become_canonical() -> None:
    made = fal_bodies.to_request("text-to-video", {"prompt": "p", "duration": "3s", "enable_safety_checker": False})
    assert made == {"prompt": "p", "size": "1080p", "ratio": "16:9", "seconds": 3}
    made = fal_bodies.to_request("image-to-video", {"image_url": "https://x/a.png", "resolution": "720p", "seed": 1})
    assert (made["image"], made["size"], made["seed"]) == ("https://x/a.png", "720p", 1)
    assert made["prompt"]
    assert "ratio" not in made
    made = fal_bodies.to_request("reference-to-video", {"prompt": "character1", "image_urls": ["a", "b"]})
    assert [r["name"] for r in made["references"]] == ["Image 1", "Image 2"]
    made = fal_bodies.to_request("video-edit", {"prompt": "p", "video_url": "v", "audio_setting": "origin"})
    assert (made["video"], made["audio_mode"]) == ("v", "keep")
    assert "seconds" not in made


def test_bad_inputs_are_told_as_fal_tells_them() -> None:
    with pytest.raises(fal_bodies.Invalid) as caught:
        fal_bodies.to_request("text-to-video", {"prompt": "p", "duration": 99})
    assert caught.value.detail == [
        {
            "loc": ["body", "duration"],
            "msg": "Input should be less than or equal to 15",
            "type": "less_than_equal",
            "ctx": {"le": 15},
            "input": 99,
        }
    ]


@pytest.mark.parametrize(
    ("mode", "body", "field"),
    [
        ("text-to-video", {}, "prompt"),
        ("text-to-video", {"prompt": "p" * 2501}, "prompt"),
        ("text-to-video", {"prompt": "p", "aspect_ratio": "2:1"}, "aspect_ratio"),
        ("text-to-video", {"prompt": "p", "seed": -1}, "seed"),
        ("image-to-video", {"prompt": "p"}, "image_url"),
        ("reference-to-video", {"prompt": "p", "image_urls": ["u"] * 10}, "image_urls"),
        ("video-edit", {"prompt": "p", "video_url": "v", "reference_image_urls": ["u"] * 6}, "reference_image_urls"),
    ],
)
def test_limits(mode: str, body: dict[str, Any], field: str) -> None:
    with pytest.raises(fal_bodies.Invalid) as caught:
        fal_bodies.to_request(mode, body)
    assert caught.value.detail[0]["loc"][:2] == ["body", field]


def test_endpoints() -> None:
    assert fal_bodies.endpoint(T2V) == (T2V, "text-to-video")
    assert fal_bodies.endpoint(f"fal-ai/{EDIT}") == (EDIT, "video-edit")
    assert fal_bodies.endpoint("muybridge/tiny/image-to-video") == ("muybridge/tiny", "image-to-video")
    for path in ("alibaba/happy-horse", "text-to-video", "", "a/b/c"):
        with pytest.raises(NotFound):
            fal_bodies.endpoint(path)


def test_output_object() -> None:
    clip = Artifact("video", "j/1/clip.mp4", "video/mp4", 123, "0", 1920, 1080, 5.0, 24.0)
    job = Job("01", "t", "k", "fal", T2V, {"seed": 42, "seconds": 5.0}, {}, "completed", 0.0, artifacts=(clip,))
    assert fal_bodies.to_body(job, "https://v") == {
        "video": {
            "url": "https://v", "content_type": "video/mp4", "file_name": "clip.mp4", "file_size": 123, "width": 1920,
            "height": 1080, "fps": 24, "duration": 5.0, "num_frames": 120,
        },
        "seed": 42,
    }  # fmt: skip


def test_refusals_travel_in_their_id() -> None:
    item = {"loc": ["body", "seed"], "msg": "m" * 1000, "type": "t", "input": {"deep": "x" * 10_000}}
    request_id = fal_bodies.refusal_id({"detail": [item] * 20})
    assert len(request_id) < 500
    assert request_id.replace("-", "").replace("_", "").isalnum()
    assert fal_bodies.refusal(request_id)["detail"][0]["loc"] == ["body", "seed"]
    bomb = fal_bodies.REFUSED + base64.urlsafe_b64encode(zlib.compress(b"[" * 10_000_000)).decode()
    for forged in ("refused-", "refused-AAAA", f"{request_id[:-9]}", bomb):
        with pytest.raises(NotFound):
            fal_bodies.refusal(forged)


def test_proxy_goes_only_to_fals_addresses() -> None:
    assert fal.inner_path("https://queue.fal.run/a/b?x=1") == ("/fal/queue/a/b", "x=1")
    assert fal.inner_path("https://fal.run/a/b") == ("/fal/run/a/b", "")
    for target in (
        "", "https://evil.example/a", "http://queue.fal.run/a", "https://queue.fal.run@evil.example/a",
        "https://queue.fal.run:8443/a", "https://queue.fal.run/../../v1/videos",
    ):  # fmt: skip
        with pytest.raises(InvalidRequest):
            fal.inner_path(target)


# The Python client -----------------------------------------------------------------------------------------------


def test_subscribe(client: fal_client.SyncClient, api_server: ApiServer) -> None:
    seen: list[Any] = []
    queued: list[str] = []
    made = client.subscribe(
        T2V,
        {"prompt": "a horse", "duration": 3, "seed": 7, "resolution": "720p"},
        with_logs=True,
        on_enqueue=queued.append,
        on_queue_update=seen.append,
    )
    assert made["seed"] == 7
    assert made["video"]["content_type"] == "video/mp4"
    assert (made["video"]["duration"], made["video"]["num_frames"], made["video"]["fps"]) == (3.0, 75, 25)
    body = httpx.get(made["video"]["url"]).content
    assert (len(body), body[4:8]) == (made["video"]["file_size"], b"ftyp")
    assert isinstance(seen[-1], fal_client.Completed)
    assert seen[-1].error is None
    assert any("base" in line["message"] for line in seen[-1].logs)
    job = api_server.wait(queued[0])
    assert (job.protocol, job.request["size"], job.model) == ("fal", "720p", "tiny")


def test_submit_status_result(client: fal_client.SyncClient, api_server: ApiServer) -> None:
    with api_server.paused():
        first, second = (client.submit(T2V, {"prompt": "p", "duration": 3}) for _ in range(2))
        assert uuid.UUID(first.request_id)
        assert first.response_url == f"{api_server.url}/fal/queue/alibaba/happy-horse/requests/{first.request_id}"
        status = second.status()
        assert isinstance(status, fal_client.Queued)
        assert status.position >= 1
        waiting = httpx.get(first.status_url, headers={"Authorization": f"Key {api_server.key}"})
        assert (waiting.status_code, waiting.json()["status"]) == (202, "IN_QUEUE")
        early = httpx.get(first.response_url, headers={"Authorization": f"Key {api_server.key}"})
        assert (early.status_code, early.json()) == (400, {"detail": "Request is still in progress"})
    assert first.get()["video"]["url"]
    assert client.result(T2V, second.request_id)["video"]["url"]  # the client builds this path itself
    done = client.status(T2V, second.request_id, with_logs=False)
    assert isinstance(done, fal_client.Completed)
    assert done.logs is None
    assert done.metrics["inference_time"] >= 0


def test_run_and_its_timeout(client: fal_client.SyncClient, api_server: ApiServer) -> None:
    assert client.run(T2V, {"prompt": "p", "duration": 3})["video"]["url"]
    with api_server.paused(), pytest.raises(fal_client.FalClientHTTPError) as caught:
        client.run(T2V, {"prompt": "never started"}, start_timeout=1.2)
    assert caught.value.status_code == 504
    assert caught.value.error_type == "request_timeout"
    assert caught.value.response_headers["x-fal-request-timeout-type"] == "user"


def test_all_modes_with_uploads(client: fal_client.SyncClient, api_server: ApiServer) -> None:
    picture = client.upload_file(str(api_server.outside.image))
    again = client.upload(Path(api_server.outside.image).read_bytes(), "image/png", file_name="weird name?.png")
    clip = client.upload_file(str(api_server.outside.clip))
    assert picture.startswith(f"{api_server.url}/fal/cdn/files/")
    assert client.subscribe(I2V, {"image_url": picture, "duration": 3})["video"]["url"]
    assert client.subscribe(R2V, {"prompt": "character1", "image_urls": [picture, again], "duration": 3})["video"]
    handle = client.submit(EDIT, {"prompt": "in snow", "video_url": clip, "audio_setting": "origin"})
    assert handle.get()["video"]["duration"] == 3.0
    assert api_server.wait(handle.request_id).request["audio_mode"] == "keep"


def test_data_urls_and_own_results(client: fal_client.SyncClient) -> None:
    data = f"data:image/png;base64,{base64.b64encode(_png()).decode()}"
    made = client.subscribe(I2V, {"image_url": data, "duration": 3})
    assert client.subscribe(EDIT, {"prompt": "again", "video_url": made["video"]["url"]})["video"]["url"]


def test_multipart_upload(client: fal_client.SyncClient, api_server: ApiServer) -> None:
    manager = fal_module.CDNTokenManager(client._auth)
    data = Path(api_server.outside.clip).read_bytes()
    url = fal_module.MultipartUpload.save(
        client=client._client, token_manager=manager, file_name="c.mp4", data=data, content_type="video/mp4",
        chunk_size=len(data) // 3 + 1,
    )  # fmt: skip
    assert client.subscribe(EDIT, {"prompt": "p", "video_url": url})["video"]["url"]
    assert not list((api_server.service.config.data / "parts").iterdir())


def test_storage_fallback(client: fal_client.SyncClient, api_server: ApiServer) -> None:
    url = client.upload(Path(api_server.outside.image).read_bytes(), "image/png", repository="fal")
    assert client.subscribe(I2V, {"image_url": url, "duration": 3})["video"]["url"]


def test_bad_input_is_accepted_and_fails_at_the_result(client: fal_client.SyncClient, api_server: ApiServer) -> None:
    before = len(api_server.service.store.list(None, limit=1000))
    handle = client.submit(T2V, {"prompt": "p", "duration": 99})
    done = handle.status()
    assert isinstance(done, fal_client.Completed)
    assert "15" in str(done.error)
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert caught.value.status_code == 422
    assert caught.value.response.json()["detail"][0]["type"] == "less_than_equal"
    bad_file = client.submit(I2V, {"image_url": f"{api_server.outside.url}/broken.png"})
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        bad_file.get()
    assert caught.value.response.json()["detail"][0]["type"] == "file_invalid"
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.cancel()
    assert caught.value.response.json() == {"status": "ALREADY_COMPLETED"}
    assert len(api_server.service.store.list(None, limit=1000)) == before
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        client.run(T2V, {"prompt": "p", "duration": 99})
    assert caught.value.status_code == 422


def test_failures(client: fal_client.SyncClient) -> None:
    handle = client.submit(T2V, {"prompt": "[fail moderation_output]"})
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert caught.value.status_code == 422
    assert caught.value.response.json()["detail"][0]["type"] == "content_policy_violation"
    handle = client.submit(T2V, {"prompt": "[fail internal]"})
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert (caught.value.status_code, caught.value.error_type) == (500, "internal_server_error")
    assert handle.status().error


def test_cancel(client: fal_client.SyncClient, api_server: ApiServer, raw: httpx.Client) -> None:
    with api_server.paused():
        handle = client.submit(T2V, {"prompt": "p"})
        assert raw.put(handle.cancel_url).status_code == 200
        assert isinstance(handle.status(), fal_client.Completed)
        assert handle.status().error == "Request was cancelled"
    handle = client.submit(T2V, {"prompt": "[hold]"})
    api_server.wait(handle.request_id, status="in_progress")
    assert isinstance(handle.status(with_logs=True), fal_client.InProgress)
    answer = raw.put(handle.cancel_url)
    assert (answer.status_code, answer.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    assert api_server.wait(handle.request_id).status == "cancelled"
    answer = raw.put(handle.cancel_url)
    assert (answer.status_code, answer.json()) == (400, {"status": "ALREADY_COMPLETED"})
    answer = raw.put(f"/queue/alibaba/happy-horse/requests/{uuid.uuid4()}/cancel")
    assert (answer.status_code, answer.json()) == (404, {"status": "NOT_FOUND"})


def test_keys_and_unknown_things(client: fal_client.SyncClient, api_server: ApiServer) -> None:
    stranger = fal_client.SyncClient(key="id:secret")
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        stranger.submit(T2V, {"prompt": "p"})
    stranger._client.close()
    assert caught.value.status_code == 401
    detail = "Cannot access application. Authentication is required to access this application."
    assert caught.value.response.json() == {"detail": detail}
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        client.submit("alibaba/no-such-app", {"prompt": "p"})
    assert caught.value.status_code == 404
    handle = client.submit(T2V, {"prompt": "mine"})
    other = fal_client.SyncClient(key=api_server.other_key)
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        other.status(T2V, handle.request_id)
    other._client.close()
    assert caught.value.status_code == 404


# Streams, hooks, the proxy ---------------------------------------------------------------------------------------


def test_status_stream(client: fal_client.SyncClient, raw: httpx.Client) -> None:
    handle = client.submit(T2V, {"prompt": "p", "duration": 3})
    states = []
    with raw.stream("GET", f"{handle.status_url}/stream", params={"logs": "1"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line:
                assert line.startswith("data: ")
                states.append(json.loads(line.removeprefix("data: ")))
    assert states[-1]["status"] == "COMPLETED"
    assert states[-1]["logs"]
    assert all(s["request_id"] == handle.request_id for s in states)


def check_signature(api_server: ApiServer, headers: dict[str, str], body: bytes) -> None:
    """As facts 4.3 tell receivers to."""
    keys = httpx.get(f"{api_server.url}/fal/rest/.well-known/jwks.json").json()["keys"]
    assert {k: keys[0][k] for k in ("kty", "crv")} == {"kty": "OKP", "crv": "Ed25519"}
    assert abs(time.time() - int(headers["x-fal-webhook-timestamp"])) < 300
    names = ("x-fal-webhook-request-id", "x-fal-webhook-user-id", "x-fal-webhook-timestamp")
    message = "\n".join([*(headers[n] for n in names), hashlib.sha256(body).hexdigest()])
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(keys[0]["x"] + "=="))
    public.verify(bytes.fromhex(headers["x-fal-webhook-signature"]), message.encode())


def test_webhooks_are_signed(client: fal_client.SyncClient, api_server: ApiServer) -> None:
    handle = client.submit(T2V, {"prompt": "p", "duration": 3}, webhook_url=f"{api_server.outside.url}/fal-ok")
    headers, body = api_server.outside.hook("/fal-ok")
    told = json.loads(body)
    assert told["request_id"] == told["gateway_request_id"] == handle.request_id
    assert (told["status"], headers["x-fal-webhook-request-id"]) == ("OK", handle.request_id)
    assert httpx.get(told["payload"]["video"]["url"]).status_code == 200
    check_signature(api_server, headers, body)
    with pytest.raises(InvalidSignature):
        check_signature(api_server, headers, body + b" ")
    client.submit(T2V, {"prompt": "[fail moderation_output]"}, webhook_url=f"{api_server.outside.url}/fal-bad")
    headers, body = api_server.outside.hook("/fal-bad")
    told = json.loads(body)
    assert told["status"] == "ERROR"
    assert told["payload"]["detail"][0]["type"] == "content_policy_violation"
    check_signature(api_server, headers, body)
    with pytest.raises(fal_client.FalClientHTTPError) as caught:  # nobody would be told later
        client.submit(T2V, {"prompt": "p", "seed": -1}, webhook_url=f"{api_server.outside.url}/fal-never")
    assert caught.value.status_code == 422


def test_the_proxy_answers_for_fals_hosts(raw: httpx.Client, api_server: ApiServer) -> None:
    def through(method: str, target: str, body: Any = None) -> httpx.Response:
        return raw.request(method, "/proxy", headers={"x-fal-target-url": target}, json=body, timeout=30)

    made = through("POST", f"https://queue.fal.run/{T2V}", {"prompt": "p", "duration": 3}).json()
    root = f"https://queue.fal.run/alibaba/happy-horse/requests/{made['request_id']}"
    api_server.wait(made["request_id"])
    assert through("GET", f"{root}/status?logs=1").json()["status"] == "COMPLETED"
    done = through("GET", root)
    assert done.headers["x-fal-request-id"] == made["request_id"]
    assert done.json()["video"]["url"].startswith(api_server.url)
    start = {"content_type": "image/png", "file_name": "a.png"}
    target = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"
    upload = through("POST", target, start).json()
    assert httpx.put(upload["upload_url"], content=_png()).status_code == 200
    body = {"image_url": upload["file_url"], "duration": 3}
    assert through("POST", f"https://fal.run/{I2V}", body).json()["video"]["url"]
    assert through("GET", "https://example.com/").status_code == 422


def test_ai_sdk_prefix(raw: httpx.Client, api_server: ApiServer) -> None:
    """The Vercel provider posts to `fal-ai/...`, sends "3s" and follows the urls of the same origin."""
    made = raw.post(f"/queue/fal-ai/{T2V}", json={"prompt": "p", "duration": "3s"}).json()
    assert made["response_url"] == f"{api_server.url}/fal/queue/fal-ai/alibaba/requests/{made['request_id']}"
    api_server.wait(made["request_id"])
    assert raw.get(made["response_url"]).json()["video"]["duration"] == 3.0


def _png() -> bytes:
    return encode_image(np.full((480, 480, 3), 128, np.uint8), "png")
