"""The operator's moderation: asked before the queue, refusing in each protocol's words, closed or open on failure."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient
from test_api_faces import SUBMITS

from muybridge.api.app import create_app
from muybridge.api.moderation import Moderation, check_of, read
from muybridge.api.service import Service
from muybridge.config import ServerConfig
from muybridge.errors import UserError
from muybridge.media import write_image

Answer = Callable[[httpx.Request], httpx.Response]


def served(folder: Path, answer: Answer, **more: Any) -> TestClient:
    """A server that asks an endpoint which answers as told."""
    setup = Moderation(url="https://moderation.test/check", **more)
    app = create_app(ServerConfig(data=folder), checks=(check_of(setup, httpx.MockTransport(answer)),))
    client = TestClient(app, raise_server_exceptions=False)
    secret = app.state.service.keys.create("test")[1]
    client.headers.update(
        {"Authorization": f"Bearer {secret}", "x-goog-api-key": secret, "X-DashScope-Async": "enable"}
    )
    return client


def jobs(client: TestClient) -> list[Any]:
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    return service.store.list(None)


def refuse(request: httpx.Request) -> httpx.Response:
    assert json.loads(request.content)["prompt"] == "x"
    return httpx.Response(200, json={"allowed": False, "reason": "No horses today."})


WORDS = {
    "openai": "moderation_blocked",
    "native": "moderation_blocked",
    "dashscope": "DataInspectionFailed",
    "runway": "error",
    "xai": "error",
    "replicate": "detail",
    "ark": "InputTextSensitiveContentDetected",
    "veo": "INVALID_ARGUMENT",
    "interactions": "error",
}


@pytest.mark.parametrize("protocol", WORDS)
def test_a_refusal_speaks_the_callers_protocol(tmp_path: Path, protocol: str) -> None:
    path, body = SUBMITS[protocol]
    with served(tmp_path, refuse) as client:
        answer = client.post(path, json=body)
        assert 400 <= answer.status_code < 500, answer.text
        assert "No horses today." in answer.text
        assert WORDS[protocol] in answer.text
        assert jobs(client) == []


def test_fal_tells_it_at_the_result_as_hosted(tmp_path: Path) -> None:
    path, body = SUBMITS["fal"]
    with served(tmp_path, refuse) as client:
        queued = client.post(path, json=body).json()
        result = client.get(f"/fal/queue/alibaba/happy-horse/requests/{queued['request_id']}")
        assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "content_policy_violation")
        assert jobs(client) == []


def slow(_: httpx.Request) -> httpx.Response:
    time.sleep(2.0)
    return httpx.Response(200, json={"allowed": True})


def down(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens", request=request)


FAILURES: dict[str, Answer] = {
    "slow": slow,
    "down": down,
    "error": lambda _: httpx.Response(500),
    "not json": lambda _: httpx.Response(200, content=b"<html>"),
    "no verdict": lambda _: httpx.Response(200, json={}),
    "not a flag": lambda _: httpx.Response(200, json={"allowed": "yes"}),
    "a list": lambda _: httpx.Response(200, json=[True]),
    "endless": lambda _: httpx.Response(200, content=b"[" * 100_000),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize(("on_failure", "status", "num_jobs"), [("refuse", 503, 0), ("accept", 200, 1)])
def test_failures_close_or_open_as_set(
    tmp_path: Path, failure: str, on_failure: str, status: int, num_jobs: int
) -> None:
    with served(tmp_path, FAILURES[failure], on_failure=on_failure, timeout_s=0.3) as client:
        started = time.monotonic()
        answer = client.post("/v1/videos", json={"prompt": "x"})
        assert answer.status_code == status, answer.text
        assert len(jobs(client)) == num_jobs
        if failure == "slow":
            assert time.monotonic() - started < 1.9  # given up before the endpoint answered


def test_what_is_asked(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def allow(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(200, json={"allowed": True})

    picture = write_image(tmp_path / "p.png", np.full((480, 640, 3), 7, np.uint8))
    with served(tmp_path / "d", allow, send_media=True) as client:
        body = {"prompt": "A horse.", "negative_prompt": "rain"}
        with picture.open("rb") as file:
            made = client.post("/v1/videos", data=body, files={"image": file}, headers={"Idempotency-Key": "once"})
        assert made.status_code == 200, made.text
        (question,) = asked
        assert (question["prompt"], question["negative_prompt"], question["task"]) == ("A horse.", "rain", "i2v")
        (medium,) = question["media"]
        assert (medium["role"], medium["mime"]) == ("image", "image/png")
        assert medium["bytes"] > 0 and medium["data"]
        for _ in range(2):
            client.post("/v1/videos", json={"prompt": "x"}, headers={"Idempotency-Key": "again"})
        assert len(asked) == 2  # a repeated submit is the same job: nobody is asked again


def test_a_slow_moderation_does_not_hold_up_others(tmp_path: Path) -> None:
    """While one submit is being judged, another one's judgement and all reads go on."""

    def judge(request: httpx.Request) -> httpx.Response:
        if "slow" in json.loads(request.content)["prompt"]:
            time.sleep(1.5)
        return httpx.Response(200, json={"allowed": True})

    with served(tmp_path, judge) as client:
        waiting = threading.Thread(target=client.post, args=("/v1/videos",), kwargs={"json": {"prompt": "slow"}})
        waiting.start()
        time.sleep(0.1)
        assert client.post("/v1/videos", json={"prompt": "quick"}).status_code == 200
        assert waiting.is_alive()
        waiting.join()


def allow_short(asked: dict[str, Any]) -> dict[str, Any]:
    """A callable as an operator writes one."""
    return {"allowed": len(asked["prompt"]) < 5, "reason": "too long"}


def test_a_callable_is_asked(tmp_path: Path) -> None:
    check = check_of(read({"callable": "test_api_moderation:allow_short"}))
    with TestClient(create_app(ServerConfig(data=tmp_path), checks=(check,))) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        key = {"Authorization": f"Bearer {service.keys.create('test')[1]}"}
        assert client.post("/v1/videos", json={"prompt": "x"}, headers=key).status_code == 200
        assert "too long" in client.post("/v1/videos", json={"prompt": "xxxxxx"}, headers=key).text


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({}, "one of them"),
        ({"url": "https://x", "callable": "a:b"}, "one of them"),
        ({"url": "https://x", "colour": 1}, "colour"),
        ({"url": "https://x", "on_failure": "maybe"}, "maybe"),
        ({"url": "https://x", "timeout_s": 0}, "timeout_s"),
        ({"callable": "no_such_module:f"}, "no_such_module"),
    ],
)
def test_wrong_settings_are_named(table: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why):
        check_of(read(table))
