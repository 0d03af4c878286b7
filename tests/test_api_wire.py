"""What the compatible faces share: typed fields, sizes that follow an input, tickets; and bodies that break no face."""

from __future__ import annotations

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
