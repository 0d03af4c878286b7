"""The Replicate face, driven by the official SDK against a real server."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_server import ApiServer

with warnings.catch_warnings():  # it still imports pydantic's version 1 layer
    warnings.simplefilter("ignore")
    import replicate as sdk
    from replicate.exceptions import ModelError, ReplicateError
    from replicate.webhook import WebhookSigningSecret

from muybridge.api import replicate
from muybridge.errors import InvalidRequest

MODEL = "alibaba/happyhorse-1.1"


def opened(api_server: ApiServer, prefix: str) -> sdk.Client:
    made = sdk.Client(api_token=api_server.key, base_url=api_server.url + prefix)
    made.poll_interval = 0.05
    return made


@pytest.fixture
def client(api_server: ApiServer) -> Iterator[sdk.Client]:
    made = opened(api_server, "")
    yield made
    made._client.close()


@pytest.fixture(params=["", "/replicate"], ids=["root", "twin"])
def both(api_server: ApiServer, request: pytest.FixtureRequest) -> Iterator[sdk.Client]:
    made = opened(api_server, request.param)
    yield made
    made._client.close()


def test_inputs_become_canonical() -> None:
    made = replicate.to_request(
        {"prompt": "p", "duration": 4, "aspect_ratio": "9:16", "resolution": "1080P", "seed": 1}
    )
    assert made == {"prompt": "p", "seconds": 4.0, "ratio": "9:16", "size": "1080p", "seed": 1, "watermark": True}
    made = replicate.to_request({"start_image": "https://x/a.png", "generate_audio": False})
    assert (made["image"], made["audio_mode"]) == ("https://x/a.png", "none")
    assert len(replicate.to_request({"prompt": "p", "reference_images": ["a", "b"]})["references"]) == 2
    assert "seconds" not in replicate.to_request({"prompt": "p", "video": "v"})
    upload = f"https://host/v1/files/file-{'0' * 32}"
    assert replicate.to_request({"image": upload})["image"] == f"file-{'0' * 32}"
    for bad in ({}, {"prompt": 1}, {"prompt": "p", "duration": "4"}, {"prompt": "p", "reference_images": [1]}):
        with pytest.raises(InvalidRequest):
            replicate.to_request(bad)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("wait", 60), ("wait=5", 5), ("wait=500", 60), ("respond-async", 0), ("wait=x", 60)],
)
def test_prefer(header: str | None, seconds: float) -> None:
    assert replicate.patience(header) == seconds


def test_run_waits_for_the_output(both: sdk.Client, api_server: ApiServer) -> None:
    url = both.run(MODEL, input={"prompt": "a horse", "duration": 3})
    assert str(url).startswith(api_server.url)  # plain http: the SDK leaves it a string
    assert httpx.get(str(url)).content[4:8] == b"ftyp"


def test_create_poll_and_reload(client: sdk.Client, api_server: ApiServer) -> None:
    with api_server.paused():
        made = client.models.predictions.create(MODEL, input={"prompt": "p", "duration": 3})
        assert (made.status, made.output, made.model, made.version) == ("starting", None, MODEL, "hidden")
        assert made.urls["get"].endswith(f"/v1/predictions/{made.id}")
    made.wait()
    assert made.status == "succeeded"
    assert made.metrics["predict_time"] >= 0
    assert made.input == {"prompt": "p", "duration": 3}
    again = client.predictions.get(made.id)
    assert (again.status, again.completed_at) == ("succeeded", made.completed_at)
    assert api_server.wait(made.id).protocol == "replicate"
    by_version = client.predictions.create(version=f"{MODEL}:{'0' * 64}", input={"prompt": "p", "duration": 3})
    by_version.wait()
    assert by_version.status == "succeeded"


def test_an_unfinished_wait_says_starting(client: sdk.Client, api_server: ApiServer) -> None:
    """The SDK takes every status but `starting` for the end of a blocking call."""
    made = client.models.predictions.create(MODEL, input={"prompt": "[hold]"}, wait=1)
    assert made.status == "starting"
    api_server.wait(made.id, status="in_progress")
    made.reload()
    assert made.status == "processing"
    made.cancel()
    assert api_server.wait(made.id).status == "cancelled"
    made.reload()
    assert made.status == "canceled"


def test_files_and_modes(client: sdk.Client, api_server: ApiServer) -> None:
    with api_server.outside.image.open("rb") as picture:
        i2v = client.models.predictions.create(MODEL, input={"image": picture, "duration": 3})
    with api_server.outside.clip.open("rb") as clip:
        edit = client.models.predictions.create(MODEL, input={"prompt": "in snow", "video": clip})
    pictures = [f"{api_server.outside.url}/picture.png"] * 2
    r2v = client.models.predictions.create(MODEL, input={"prompt": "p", "reference_images": pictures, "duration": 3})
    for made, task in ((i2v, "i2v"), (edit, "edit"), (r2v, "r2v")):
        made.wait()
        assert (made.status, api_server.wait(made.id).metadata["task"]) == ("succeeded", task)


def test_list_pages(client: sdk.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicate, "PAGE", 2)
    made = [client.models.predictions.create(MODEL, input={"prompt": f"listed {i}"}) for i in range(3)]
    page = client.predictions.list()
    assert [p.id for p in page.results] == [made[2].id, made[1].id]
    following = client.predictions.list(page.next)
    assert following.results[0].id == made[0].id


def test_failures(client: sdk.Client) -> None:
    with pytest.raises(ModelError) as caught:
        client.run(MODEL, input={"prompt": "[fail internal]"})
    assert caught.value.prediction.error


def test_errors(client: sdk.Client, api_server: ApiServer) -> None:
    for given in ({"duration": 3}, {"prompt": "p", "duration": 99}, {"image": f"{api_server.outside.url}/broken.png"}):
        with pytest.raises(ReplicateError) as caught:
            client.models.predictions.create(MODEL, input=given)
        assert (caught.value.status, caught.value.title) == (422, "Input validation failed")
        assert caught.value.detail
    with pytest.raises(ReplicateError) as caught:
        client.models.predictions.create("nobody/nothing", input={"prompt": "p"})
    assert caught.value.status == 404
    with pytest.raises(ReplicateError) as caught:
        client.predictions.get("0" * 26)
    assert caught.value.status == 404
    stranger = sdk.Client(api_token="wrong", base_url=api_server.url)
    with pytest.raises(ReplicateError) as caught:
        stranger.predictions.get("0" * 26)
    stranger._client.close()
    assert (caught.value.status, caught.value.title) == (401, "Unauthenticated")
    made = client.models.predictions.create(MODEL, input={"prompt": "mine"})
    other = sdk.Client(api_token=api_server.other_key, base_url=api_server.url)
    with pytest.raises(ReplicateError) as caught:
        other.predictions.get(made.id)
    other._client.close()
    assert caught.value.status == 404


def test_webhooks_are_signed(both: sdk.Client, api_server: ApiServer) -> None:
    path = f"/replicate-{time.monotonic_ns()}"
    hook = {"webhook": api_server.outside.url + path, "webhook_events_filter": ["completed"]}
    made = both.models.predictions.create(MODEL, input={"prompt": "p", "duration": 3}, **hook)
    headers, body = api_server.outside.hook(path)
    told: dict[str, Any] = json.loads(body)
    assert (told["id"], told["status"]) == (made.id, "succeeded")
    assert told["urls"]["get"] == made.urls["get"]
    assert httpx.get(told["output"]).status_code == 200
    secret = both.webhooks.default.secret()
    sdk.webhook.Webhooks.validate(headers=headers, body=body.decode(), secret=secret, tolerance=300)
    with pytest.raises(Exception, match="signature"):
        sdk.webhook.Webhooks.validate(headers=headers, body=body.decode() + " ", secret=secret)
    wrong = WebhookSigningSecret(key="whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI=")
    with pytest.raises(Exception, match="signature"):
        sdk.webhook.Webhooks.validate(headers=headers, body=body.decode(), secret=wrong)


def test_uploads_are_named_by_url(both: sdk.Client, api_server: ApiServer) -> None:
    made = both.files.create(Path(api_server.outside.image))
    assert made.urls["get"].endswith(f"/v1/files/{made.id}")
    assert made.size > 0


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (["start", "completed"], ["processing", "succeeded"]),
        (["start", "logs"], ["processing", "processing"]),  # the toy has one stage
        (["completed"], ["succeeded"]),
        (None, ["succeeded"]),
    ],
)
def test_webhooks_come_at_the_moments_asked_for(
    client: sdk.Client, api_server: ApiServer, events: list[str] | None, told: list[str]
) -> None:
    path = f"/replicate-{'-'.join(events or ['default'])}"
    hook = {"webhook": api_server.outside.url + path} | ({"webhook_events_filter": events} if events else {})
    made = client.models.predictions.create(MODEL, input={"prompt": "p", "duration": 3}, **hook)
    job_id, until = api_server.wait(made.id).id, time.monotonic() + 30
    while any(d.delivered_at is None for d in api_server.service.store.deliveries.of_job(job_id)):
        assert time.monotonic() < until
        time.sleep(0.05)
    bodies = [json.loads(body) for at, _, body in api_server.outside.hooks if at == path]
    assert sorted(b["status"] for b in bodies) == told
    for body in bodies:
        assert (body["output"] is not None) is (body["status"] == "succeeded")
        assert (body["completed_at"] is not None) is (body["status"] == "succeeded")
