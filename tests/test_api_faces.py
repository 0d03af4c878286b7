"""What holds across all protocols: states, expiry, idempotency, errors; one job is readable through every face."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_server import ApiServer
from starlette.requests import Request
from starlette.testclient import TestClient

from muybridge import config, errors
from muybridge.api.app import create_app
from muybridge.api.limits import Limits
from muybridge.api.service import Service
from muybridge.errors import MuybridgeError
from muybridge.providers import presence, routing

# One job, many faces ---------------------------------------------------------------------------------------------

READ: dict[str, str] = {
    "native": "/v1/videos/{id}",
    "dashscope": "/api/v1/tasks/{id}",
    "fal": "/fal/queue/alibaba/happy-horse/requests/{id}/status?logs=1",
    "runway": "/v1/tasks/{id}",
    "xai": "/xai/v1/videos/{id}",
    "replicate": "/v1/predictions/{id}",
    "ark": "/api/v3/contents/generations/tasks/{id}",
    "veo": "/v1beta/models/veo-3.1/operations/{id}",
    "interactions": "/v1beta/interactions/{id}",
}
STATE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "native": lambda body: body["status"],
    "dashscope": lambda body: body["output"]["task_status"],
    "fal": lambda body: (body["status"], "error" in body),
    "runway": lambda body: body["status"],
    "xai": lambda body: body["status"],
    "replicate": lambda body: body["status"],
    "ark": lambda body: body["status"],
    "veo": lambda body: (body.get("done"), "error" in body),
    "interactions": lambda body: body["status"],
}
SHOWN: dict[str, dict[str, Any]] = {  # facts 19.2, row by row
    "queued": {
        "native": "queued", "dashscope": "PENDING", "fal": ("IN_QUEUE", False), "runway": "PENDING", "xai": "pending",
        "replicate": "starting", "ark": "queued", "veo": (None, False), "interactions": "in_progress",
    },
    "in_progress": {
        "native": "in_progress", "dashscope": "RUNNING", "fal": ("IN_PROGRESS", False), "runway": "RUNNING",
        "xai": "pending", "replicate": "processing", "ark": "running", "veo": (None, False),
        "interactions": "in_progress",
    },
    "completed": {
        "native": "completed", "dashscope": "SUCCEEDED", "fal": ("COMPLETED", False), "runway": "SUCCEEDED",
        "xai": "done", "replicate": "succeeded", "ark": "succeeded", "veo": (True, False), "interactions": "completed",
    },
    "failed": {
        "native": "failed", "dashscope": "FAILED", "fal": ("COMPLETED", True), "runway": "FAILED", "xai": "failed",
        "replicate": "failed", "ark": "failed", "veo": (True, True), "interactions": "failed",
    },
    "cancelled": {
        "native": "cancelled", "dashscope": "CANCELED", "fal": ("COMPLETED", True), "runway": "CANCELLED",
        "xai": "failed", "replicate": "canceled", "ark": "cancelled", "veo": (True, True),
        "interactions": "cancelled",
    },
}  # fmt: skip


def test_every_face_shows_every_state_of_any_job(api_server: ApiServer) -> None:
    """A job that came by one protocol, read by all others, in each of its states."""
    service = api_server.service
    headers = {"Authorization": f"Bearer {api_server.key}"}
    key = service.authenticate(headers["Authorization"])

    def submit(protocol: str, prompt: str) -> str:
        request = {"prompt": prompt, "seconds": 3.0, "size": "720p"}
        return service.submit(key, protocol, "tiny", request, {"prompt": prompt}).id

    def check(job_id: str, status: str) -> None:
        with httpx.Client(base_url=api_server.url, headers=headers) as client:
            for face, path in READ.items():
                public = service.public_id(service.store.get(job_id), "veo" if face == "interactions" else face)
                answer = client.get(path.format(id=public))
                assert answer.status_code in (200, 202), (face, status, answer.text)
                assert STATE[face](answer.json()) == SHOWN[status][face], (face, status)

    protocols = ("native", "dashscope", "fal", "runway", "xai", "replicate", "ark", "veo")
    with api_server.paused():
        waiting = [submit(protocol, "waits") for protocol in protocols]
        for job_id in waiting:
            check(job_id, "queued")
    for job_id in waiting:
        api_server.wait(job_id)
        check(job_id, "completed")
    failed = submit("ark", "[fail internal]")
    api_server.wait(failed)
    check(failed, "failed")
    held = submit("runway", "[hold]")
    api_server.wait(held, status="in_progress")
    check(held, "in_progress")
    service.cancel(key, held)
    api_server.wait(held)
    check(held, "cancelled")


def test_an_expired_result_is_gone_in_every_protocols_own_way(api_server: ApiServer) -> None:
    service = api_server.service
    headers = {"Authorization": f"Bearer {api_server.key}"}
    key = service.authenticate(headers["Authorization"])
    job_id = service.submit(key, "native", "tiny", {"prompt": "soon gone", "seconds": 3.0}, {"prompt": "p"}).id
    api_server.wait(job_id)
    service.store.database.run(lambda tx: tx.run("hide_artifacts", id=job_id, now=time.time() + 1e6))
    gone: dict[str, Any] = {
        "dashscope": "UNKNOWN", "fal": 404, "runway": 404, "xai": "expired", "ark": "expired", "veo": 404,
        "interactions": 404, "replicate": "succeeded",
    }  # fmt: skip
    with httpx.Client(base_url=api_server.url, headers=headers) as client:
        for face, shown in gone.items():
            public = service.public_id(service.store.get(job_id), "veo" if face == "interactions" else face)
            answer = client.get(READ[face].format(id=public))
            if shown == 404:
                assert answer.status_code == 404, (face, answer.text)
                continue
            assert STATE[face](answer.json()) == shown, (face, answer.text)
            if face == "replicate":
                assert (answer.json()["data_removed"], answer.json()["output"]) == (True, None)
        mine = service.submit(key, "dashscope", "tiny", {"prompt": "soon gone", "seconds": 3.0}, {"prompt": "q"}).id
        api_server.wait(mine)
        service.store.database.run(lambda tx: tx.run("hide_artifacts", id=mine, now=time.time() + 1e6))
        listed = client.get("/api/v1/tasks").json()["tasks"]
        task_id = service.public_id(service.store.get(mine), "dashscope")
        assert next(t for t in listed if t["task_id"] == task_id)["task_status"] == "UNKNOWN"


def test_posts_are_never_redirected(api_server: ApiServer) -> None:
    headers = {"Authorization": f"Bearer {api_server.key}"}
    for path in ("/v1/text_to_video/", "/v1/videos/", "/api/v3/contents/generations/tasks/", "/fal/run/"):
        answer = httpx.post(api_server.url + path, json={}, headers=headers)
        assert not answer.is_redirect, path


SUBMIT: dict[str, tuple[str, Callable[[str], dict[str, Any]], Callable[[dict[str, Any]], str], int]] = {
    "dashscope": (
        "/api/v1/services/aigc/video-generation/video-synthesis",
        lambda prompt: {"model": "happyhorse-1.1-t2v", "input": {"prompt": prompt}},
        lambda answer: answer["output"]["task_id"],
        409,
    ),
    "fal": (
        "/fal/queue/alibaba/happy-horse/text-to-video",
        lambda prompt: {"prompt": prompt},
        lambda answer: answer["request_id"],
        422,  # its client repeats a 409 ten times
    ),
    "runway": (
        "/v1/text_to_video",
        lambda prompt: {"model": "happyhorse_1_0", "promptText": prompt},
        lambda answer: answer["id"],
        409,
    ),
    "xai": (
        "/v1/videos/generations",
        lambda prompt: {"model": "grok-imagine-video", "prompt": prompt},
        lambda answer: answer["request_id"],
        409,
    ),
    "replicate": (
        "/v1/models/alibaba/happyhorse-1.1/predictions",
        lambda prompt: {"input": {"prompt": prompt}},
        lambda answer: answer["id"],
        409,
    ),
    "ark": (
        "/api/v3/contents/generations/tasks",
        lambda prompt: {"model": "seedance-2-0", "content": [{"type": "text", "text": prompt}]},
        lambda answer: answer["id"],
        409,
    ),
    "veo": (
        "/v1beta/models/veo-3.1:predictLongRunning",
        lambda prompt: {"instances": [{"prompt": prompt}]},
        lambda answer: answer["name"],
        409,
    ),
    "interactions": (
        "/v1beta/interactions",
        lambda prompt: {"model": "gemini-omni-1.2-flash", "input": prompt, "background": True},
        lambda answer: answer["id"],
        409,
    ),
}


@pytest.mark.parametrize("face", SUBMIT)
def test_idempotency_and_model_headers_on_every_submit(face: str, api_server: ApiServer) -> None:
    path, body, id_of, conflict = SUBMIT[face]
    headers = {"Authorization": f"Bearer {api_server.key}", "X-DashScope-Async": "enable"}
    headers["Idempotency-Key"] = f"{face}-{time.monotonic_ns()}"
    with httpx.Client(base_url=api_server.url, headers=headers, timeout=30) as client:
        first, second = (client.post(path, json=body("once")) for _ in range(2))
        assert id_of(first.json()) == id_of(second.json())
        assert client.post(path, json=body("twice")).status_code == conflict
        assert first.headers["x-model-actual"] == "tiny"
        assert first.headers["x-model-requested"]


RENDERED: dict[type[MuybridgeError], set[int]] = {
    errors.InvalidRequest: {400, 422},
    errors.MediaInvalid: {400, 422},
    errors.MediaFetch: {400, 422},
    errors.ModerationRefused: {400, 422},
    errors.DoesNotFit: {400, 422},
    errors.AuthFailed: {400, 401},
    errors.PermissionDenied: {403},
    errors.QuotaExceeded: {400, 402, 403, 429},
    errors.Throttled: {429},
    errors.NotFound: {404},
    errors.Conflict: {409, 422},
    errors.ModelRetired: {400, 404, 410},
    errors.Unavailable: {503},
    errors.TimedOut: {500, 504},
    errors.MuybridgeError: {500},
}


@pytest.mark.parametrize("name", ["dashscope", "fal", "runway", "xai", "replicate", "ark", "veo"])
@pytest.mark.parametrize("kind", RENDERED)
def test_every_error_has_a_place_in_every_protocol(name: str, kind: type[MuybridgeError]) -> None:
    module = importlib.import_module(f"muybridge.api.{name}")
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})
    answer = module.render(kind("what happened"), request)
    body = json.loads(answer.body)
    assert answer.status_code in RENDERED[kind], (answer.status_code, body)
    required = {
        "dashscope": {"code", "message", "request_id"}, "fal": {"detail"}, "runway": {"error"},
        "xai": {"code", "error"}, "replicate": {"detail", "status", "title"}, "ark": {"error"}, "veo": {"error"},
    }  # fmt: skip
    assert required[name] <= body.keys()
    if name == "ark":
        assert set(body["error"]) == {"code", "message", "param", "type"}
    if name == "veo":
        assert (body["error"]["code"], set(body["error"])) == (answer.status_code, {"code", "message", "status"})
    if name == "replicate":
        assert body["status"] == answer.status_code


# A model that can run nowhere --------------------------------------------------------------------------------------

SUBMITS: dict[str, tuple[str, dict[str, Any]]] = {  # a valid submit in each protocol
    "openai": ("/openai/v1/videos", {"prompt": "x", "model": "sora-2", "seconds": "4"}),
    "native": ("/v1/videos", {"prompt": "x"}),
    "dashscope": (
        "/api/v1/services/aigc/video-generation/video-synthesis",
        {"model": "happyhorse-1.1-t2v", "input": {"prompt": "x"}},
    ),
    "fal": ("/fal/queue/alibaba/happy-horse/text-to-video", {"prompt": "x"}),
    "runway": (
        "/runway/v1/text_to_video",
        {"model": "happyhorse_1_0", "promptText": "x", "ratio": "1280:720", "duration": 5},
    ),
    "xai": ("/xai/v1/videos/generations", {"model": "grok-imagine-video", "prompt": "x", "duration": 5}),
    "replicate": ("/v1/models/alibaba/happyhorse-1.1/predictions", {"input": {"prompt": "x"}}),
    "ark": (
        "/api/v3/contents/generations/tasks",
        {"model": "doubao-seedance-2-0-260128", "content": [{"type": "text", "text": "x"}]},
    ),
    "veo": ("/v1beta/models/veo-3.1:predictLongRunning", {"instances": [{"prompt": "x"}]}),
    "interactions": (
        "/v1beta/interactions",
        {"model": "gemini-omni-flash-preview", "input": "x", "background": True},
    ),
}


@pytest.fixture
def weightless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A server with our own runner beside it and no weights anywhere."""
    monkeypatch.setattr(presence, "settings", lambda: replace(config.settings(), weights=tmp_path / "weights"))
    app = create_app(
        config.ServerConfig(data=tmp_path), Limits(models=("15b",)), runner="muybridge.providers.remote:runner"
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        secret = app.state.service.keys.create("test")[1]
        client.headers.update(
            {"Authorization": f"Bearer {secret}", "x-goog-api-key": secret, "X-DashScope-Async": "enable"}
        )
        yield client


@pytest.mark.parametrize("protocol", SUBMITS)
def test_a_model_without_weights_is_refused_before_the_queue(
    weightless: TestClient, tmp_path: Path, protocol: str
) -> None:
    path, body = SUBMITS[protocol]
    service: Service = weightless.app.state.service  # type: ignore[attr-defined]
    refused = weightless.post(path, json=body)
    assert refused.status_code in (400, 500, 501), refused.text
    assert "muybridge weights pull 15b" in refused.text
    assert set(refused.json()) <= {"error", "detail", "code", "message", "request_id", "status", "title", "docUrl"}
    assert not service.store.list(None)
    listed = weightless.get("/v1/models").json()["data"]
    assert [m["id"] for m in listed] == ["15b", "sora-2", "sora-2-pro"]
    assert all(not m["available"] and "weights pull 15b" in m["why_not"] for m in listed)
    for part in ("distill", *presence.PARTS_15B):
        (tmp_path / "weights/15b" / part).mkdir(parents=True)
    accepted = weightless.post(path, json=body)  # no restart is needed once they are there
    assert accepted.status_code < 300, accepted.text
    assert [job.quote["cost"] for job in service.store.list(None)] == [0.0]


def test_auto_without_any_account_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = routing.parse({"local": {"models": ["15b"]}}, {})
    monkeypatch.setattr(presence, "settings", lambda: replace(config.settings(), weights=tmp_path / "weights"))
    monkeypatch.setattr(routing, "routing", lambda: rules)
    monkeypatch.setattr("muybridge.providers.remote.routing", lambda: rules)
    settings = {"limits": Limits(models=("auto",)), "runner": "muybridge.providers.remote:runner"}
    with TestClient(create_app(config.ServerConfig(data=tmp_path), **settings)) as client:  # type: ignore[arg-type]
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        key = {"Authorization": f"Bearer {service.keys.create('test')[1]}"}
        refused = client.post("/v1/videos", json={"prompt": "x", "model": "auto"}, headers=key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (501, "not_installed")
        assert "MUYBRIDGE_FAL_KEY" in refused.json()["error"]["message"]
        assert not service.store.list(None)


def test_workers_on_other_machines_may_have_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "settings", lambda: replace(config.settings(), weights=tmp_path / "weights"))
    place = config.ServerConfig(data=tmp_path, workers=0)
    with TestClient(create_app(place, Limits(models=("15b",)), runner="muybridge.providers.remote:runner")) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        key = {"Authorization": f"Bearer {service.keys.create('test')[1]}"}
        assert client.post("/v1/videos", json={"prompt": "x"}, headers=key).status_code == 200
