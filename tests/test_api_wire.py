"""What the compatible faces share: typed fields, sizes that follow an input, tickets; and bodies that break no face."""

from __future__ import annotations

import importlib
import json
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from api_server import ApiServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from muybridge import errors
from muybridge.api import ark, fal_bodies, interactions, replicate, runway, tickets, veo, wire, xai
from muybridge.api import dashscope_bodies as dashscope
from muybridge.api.keys import Key
from muybridge.errors import InvalidRequest, MuybridgeError, PermissionDenied
from muybridge.media import write_image
from muybridge.shapes import RATIOS

KEY = Key("key_1", "tenant_1", "test", frozenset({"videos:write"}))


def test_field_reads_dotted_paths() -> None:
    body = {"a": {"b": 1, "c": None, "f": 2.0, "t": True, "s": "x", "big": 10**400}}
    assert wire.field(body, "a.b", int, 5) == 1
    assert wire.field(body, "a.c", int, 5) == 5
    assert wire.field(body, "a.missing.deeper", int, 5) == 5
    assert wire.field(body, "a.f", int, 5) == 2
    assert wire.field(body, "a.b", float, 0.5) == 1.0
    assert wire.field(body, "a.t", bool, False) is True
    for path, kind in (("a.t", int), ("a.b", bool), ("a.s", int), ("a", str), ("a.b", list), ("a.big", float)):
        with pytest.raises(InvalidRequest) as caught:
            wire.field(body, path, kind, None)
        assert caught.value.field == path


@pytest.mark.parametrize("ratio", RATIOS)
def test_nearest_ratio_finds_each_ratio_at_any_scale(ratio: str) -> None:
    across, down = RATIOS[ratio]
    for scale in (40, 100, 333):
        assert wire.nearest_ratio(across * scale + 1, down * scale) == ratio


def test_nearest_tier_by_area() -> None:
    assert [wire.nearest_tier(*size) for size in ((854, 480), (720, 1280), (1200, 1200), (1920, 1080), (16, 16))] == [
        480, 720, 1080, 1080, 480,
    ]  # fmt: skip


def test_a_first_frame_decides_the_ratio_but_not_over_the_caller(tmp_path: Path) -> None:
    picture = write_image(tmp_path / "tall.png", np.zeros((640, 360, 3), np.uint8))
    assert wire.follow_input({"image": str(picture), "size": "720p"})["ratio"] == "9:16"
    assert wire.follow_input({"image": str(picture), "ratio": "1:1"})["ratio"] == "1:1"
    assert "ratio" not in wire.follow_input({"image": str(picture), "size": "640x480"})
    assert wire.follow_input({"prompt": "p"}) == {"prompt": "p"}


@dataclass
class Secret:
    """As much of a service as a ticket needs."""

    link_secret: bytes


def test_tickets_are_bound_to_their_maker_claims_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ours: Any = Secret(b"one")
    text = tickets.mint(ours, KEY, "folder", 60)
    ticket = tickets.read(ours, text)
    assert (ticket.tenant, ticket.folder, ticket.key.scopes) == ("tenant_1", "folder", frozenset({"videos:write"}))
    body, _, signature = text.rpartition(".")
    other: Any = Secret(b"two")
    for service, forged in ((other, text), (ours, f"{body}x.{signature}"), (ours, ""), (ours, "."), (ours, "é.é")):
        with pytest.raises(PermissionDenied):
            tickets.read(service, forged)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    with pytest.raises(PermissionDenied, match="expired"):
        tickets.read(ours, text)
    with pytest.raises(PermissionDenied):
        tickets.mint(ours, Key("k", "t", "reader", frozenset({"videos:read"})), "folder", 60)


# No body breaks a face -------------------------------------------------------------------------------------------

FIELDS = """
    model input prompt media type url parameters resolution ratio duration seed watermark audio_setting first_frame
    reference_image video image image_url image_urls video_url aspect_ratio promptText promptImage uri position
    references instances bytesBase64Encoded mimeType referenceImages durationSeconds content text role first last
    reference_images generation_config video_config task response_format happyhorse-1.1-i2v 720p 16:9 auto 5
"""
WORDS = FIELDS.split()
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS), st.text(string.printable, max_size=12)
)
bodies = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=30,
).filter(lambda value: isinstance(value, dict))
TRANSLATIONS: dict[str, Callable[[Any], Any]] = {
    "dashscope": dashscope.to_request,
    "fal": lambda body: [_quiet(fal_bodies.to_request, mode, body) for mode in fal_bodies.MODES],
    "runway": lambda body: [
        _quiet(runway.to_request, verb, body) for verb in ("text_to_video", "image_to_video", "video_to_video")
    ],
    "xai": lambda body: [_quiet(xai.to_request, verb, body) for verb in ("generations", "edits", "extensions")],
    "replicate": replicate.to_request,
    "ark": ark.to_request,
    "veo": veo.to_request,
    "interactions": lambda body: interactions.to_request(body, veo.source_of),
}


def _quiet(translate: Callable[..., Any], *given: Any) -> Any:
    try:
        return translate(*given)
    except MuybridgeError:
        return None


@pytest.mark.parametrize("name", TRANSLATIONS)
@given(body=bodies)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_any_body_is_translated_or_refused(name: str, body: dict[str, Any]) -> None:
    """Never another exception: those would be a 500."""
    _quiet(TRANSLATIONS[name], body)


def test_hostile_requests_are_never_a_5xx(api_server: ApiServer) -> None:
    """Every route of every face with bodies, ids and queries of the wrong shape."""
    app_routes = [
        ("POST", "/api/v1/services/aigc/video-generation/video-synthesis"),
        ("POST", "/fal/queue/alibaba/happy-horse/text-to-video"),
        ("POST", "/fal/run/alibaba/happy-horse/video-edit"),
        ("POST", "/fal/rest/storage/upload/initiate"),
        ("POST", "/fal/cdn/files/upload"),
        ("PUT", "/fal/cdn/upload/x/1"),
        ("POST", "/fal/cdn/files/x/y/multipart/x/complete"),
        ("GET", "/fal/queue/a/b/requests/refused-x/status/stream"),
        ("GET", "/fal/queue/a/b/requests/%00/status"),
        ("PUT", "/fal/queue/a/b/requests/x/cancel"),
        ("POST", "/fal/proxy"),
        ("POST", "/v1/text_to_video"),
        ("POST", "/v1/uploads"),
        ("POST", "/v1/uploads/files"),
        ("GET", "/v1/tasks/%F0%9F%90%8E"),
        ("DELETE", "/v1/tasks/x"),
        ("POST", "/v1/videos/generations"),
        ("POST", "/xai/v1/videos/extensions"),
        ("POST", "/v1/predictions"),
        ("POST", "/v1/models/a/b/predictions"),
        ("GET", "/v1/predictions?cursor=x"),
        ("POST", "/replicate/v1/files"),
        ("POST", "/api/v3/contents/generations/tasks"),
        ("GET", "/api/v3/contents/generations/tasks?page_num=x"),
        ("GET", "/api/v1/tasks?start_time=x&page_size=-1"),
        ("GET", "/api/v1/uploads?action=getPolicy"),
        ("POST", "/api/v1/uploads/oss"),
        ("POST", "/v1beta/models/veo-3.1:predictLongRunning"),
        ("POST", "/v1beta1/publishers/google/models/veo-3.1:fetchPredictOperation"),
        ("GET", "/v1beta/files/x:download"),
        ("POST", "/v1/interactions"),
    ]
    payloads: list[tuple[bytes, str]] = [
        (b"", "application/json"),
        (b"{}", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b'{"model":', "application/json"),
        (b"[" * 100_000, "application/json"),
        (
            b'{"model": "happyhorse-1.1-t2v", "input": {"prompt": {"a": 1}}, "version": 3, "instances": "x"}',
            "application/json",
        ),
        (b'{"duration": 1e999, "prompt": "p", "model": "wan2.6-t2v"}', "application/json"),
        (b'{"input": {"prompt": "\\ud83d"}, "prompt": "\\ud83d", "promptText": "\\ud83d"}', "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"x", "multipart/form-data"),
    ]
    auth = {"Authorization": f"Key {api_server.key}", "x-goog-api-key": api_server.key, "X-DashScope-Async": "enable"}
    with httpx.Client(base_url=api_server.url, timeout=30) as client:
        for method, path in app_routes:
            for body, kind in payloads if method in ("POST", "PUT") else [(b"", "text/plain")]:
                answer = client.request(method, path, content=body, headers={**auth, "content-type": kind})
                assert 200 <= answer.status_code < 500, (method, path, body[:60], answer.text[:200])
                if answer.status_code >= 400:
                    assert answer.headers["content-type"].startswith(("application/json", "application/problem+json"))
                    assert "Traceback" not in answer.text
            nobody = client.request(method, path, content=b"{}", headers={"content-type": "application/json"})
            assert 400 <= nobody.status_code < 500, (method, path, nobody.text[:200])


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
