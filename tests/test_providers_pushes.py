"""Pushes of providers: over HTTP to the attempt they belong to, and nobody else's."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.testclient import TestClient

from muybridge.api import fal_webhooks
from muybridge.api.app import create_app
from muybridge.api.limits import Limits
from muybridge.api.service import Service
from muybridge.api.webhooks import sign
from muybridge.config import ServerConfig
from muybridge.errors import AuthFailed, InvalidRequest
from muybridge.media import write_clip
from muybridge.providers import pushes, remote, routing
from muybridge.providers.attempts import Task
from muybridge.providers.results import check
from muybridge.providers.router import Wish
from muybridge.providers.simulator import InProcess, Simulator
from muybridge.request import Request

BASE = "https://video.example.com"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, Service, Any, Simulator]]:
    """An API with a public address, and a worker's dispatch to simulated providers on the same database."""
    rules = routing.parse({}, {"MUYBRIDGE_REPLICATE_KEY": "x", "MUYBRIDGE_FAL_KEY": "x", "MUYBRIDGE_ARK_KEY": "x"})
    monkeypatch.setattr(routing, "routing", lambda: rules)
    simulator = Simulator()
    made = routing.Routing.remotes

    def simulated(self: routing.Routing) -> Any:
        remotes = made(self, InProcess(simulator))
        for account in remotes:
            account.base, account.trusted = f"{simulator.url}/{account.offers[0].lane}", True
        return remotes

    monkeypatch.setattr(routing.Routing, "remotes", simulated)
    app = create_app(ServerConfig(data=tmp_path, public_url=BASE), Limits(models=("auto",)))
    with TestClient(app, base_url=BASE) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        yield client, service, remote.open_dispatch(rules, service.store.database.url), simulator
    assert check is remote.check


def lost_submit(dispatch: Any, simulator: Simulator, provider: str, tmp_path: Path) -> tuple[Any, str, dict[str, Any]]:
    """A submit whose answer was lost, at a provider that pushes: the attempt, the address, the body of the push."""
    offer = next(
        o
        for o in dispatch.catalog.offers
        if o.provider == provider and o.lane in dispatch.providers and o.does("t2v") and o.price
    )
    seconds = offer.model.choices[0] if offer.model.choices else 5.0
    changes = frozenset({"size", "seconds", "ratio", "audio", "language", "seed"})
    wish = Wish(Request("A horse. [any:lost_answer]", seconds=seconds, size="720p"), offer.key, allow=changes)
    step = dispatch.step(Task("job-1", "t", "k", wish), tmp_path)
    assert step.attempt is not None, step.error
    work = next(iter(simulator.works.values()))
    _, _, url, body = simulator.outbox[0]
    assert url == work.asked.webhook
    return dispatch.ledger.attempt(step.attempt.id), url, body


def test_a_push_over_http_names_a_lost_job(server: Any, tmp_path: Path) -> None:
    client, _, dispatch, simulator = server
    attempt, url, body = lost_submit(dispatch, simulator, "ark", tmp_path)
    assert attempt.ticket is None and attempt.state == "unknown"
    assert url.startswith(f"{BASE}/pushes/{attempt.id}/")
    wrong = url[:-1] + ("0" if url[-1] != "0" else "1")
    for bad in (wrong, url.replace(attempt.id, "0" * 26), f"{BASE}/pushes/{attempt.id}/x"):
        assert client.post(bad, json=body).status_code == 404
    assert client.post(url, content=b"not json").status_code == 400
    assert client.post(url, content=b"[" * 2_000_000).status_code == 400
    assert dispatch.ledger.attempt(attempt.id).ticket is None
    for _ in range(3):  # duplicates are harmless
        assert client.post(url, json=body).json() == {"received": True}
    found = dispatch.ledger.attempt(attempt.id)
    assert (found.state, found.ticket.id) == ("accepted", body["id"])


def test_fal_pushes_must_be_signed_by_fal(server: Any, tmp_path: Path) -> None:
    client, service, dispatch, simulator = server
    attempt, url, body = lost_submit(dispatch, simulator, "fal", tmp_path)
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    service.pushes.signatures = pushes.Signatures(lambda: [key.public_key().public_bytes_raw()])
    raw, now = json.dumps(body).encode(), int(time.time())

    def headers(signer: Ed25519PrivateKey, at: int) -> dict[str, str]:
        return fal_webhooks.headers(signer, body["request_id"], "user", at, raw)

    for bad in ({}, headers(other, now), headers(key, now - 400), {**headers(key, now), "X-Fal-Webhook-User-Id": "u"}):
        assert client.post(url, content=raw, headers=bad).status_code == 401
    assert client.post(url, content=raw + b" ", headers=headers(key, now)).status_code == 401
    assert dispatch.ledger.attempt(attempt.id).ticket is None
    assert client.post(url, content=raw, headers=headers(key, now)).status_code == 200
    assert dispatch.ledger.attempt(attempt.id).ticket.id == body["request_id"]


def test_standard_webhooks_are_checked_once_the_secret_is_known() -> None:
    now, raw = int(time.time()), b'{"id": "p1"}'
    good = {"webhook-id": "m1", "webhook-timestamp": str(now), "webhook-signature": sign(SECRET, "m1", now, raw)}
    checks = pushes.Signatures(secret=lambda provider: SECRET if provider == "replicate" else None)
    checks.check("replicate", good, raw)
    checks.check("replicate", {**good, "webhook-signature": "v1,old " + good["webhook-signature"]}, raw)
    checks.check("kling", {}, raw)  # no secret set up: guarded by the address alone
    for bad in ({}, {**good, "webhook-id": "m2"}, {**good, "webhook-timestamp": str(now - 301)}):
        with pytest.raises(AuthFailed):
            checks.check("replicate", bad, raw)
    with pytest.raises(AuthFailed):
        checks.check("replicate", good, raw + b" ")


def test_new_keys_of_fal_are_fetched_but_not_for_every_forgery() -> None:
    fetched, now = [], [1000.0]
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    current = [old]

    def fetch() -> list[bytes]:
        fetched.append(now[0])
        return [key.public_key().public_bytes_raw() for key in current]

    checks = pushes.Signatures(fetch, clock=lambda: now[0])

    def push(signer: Ed25519PrivateKey) -> None:
        given = fal_webhooks.headers(signer, "r", "u", int(now[0]), b"{}")
        checks.check("fal", {name.lower(): value for name, value in given.items()}, b"{}")

    push(old)
    for _ in range(5):
        with pytest.raises(AuthFailed):
            push(new)
    assert fetched == [1000.0]
    current.append(new)
    now[0] += 61.0
    push(new)
    assert fetched == [1000.0, 1061.0]


def test_without_a_public_address_providers_are_polled_only(tmp_path: Path) -> None:
    service = Service.open(ServerConfig(data=tmp_path, public_url=BASE))
    url, rules = service.store.database.url, routing.parse({}, {})
    address = remote.open_dispatch(rules, url).rules.callback_url
    assert address is not None
    token = hashlib.sha256(address("A").encode()).digest() != hashlib.sha256(address("B").encode()).digest()
    assert token and len(address("A").rsplit("/", 1)[1]) == 64
    service.close()
    Service.open(ServerConfig(data=tmp_path)).close()
    assert remote.open_dispatch(rules, url).rules.callback_url is None


# Inputs by address --------------------------------------------------------------------------------------------------


def edit(service: Service, folder: Path) -> tuple[Any, Path]:
    """A submitted edit whose source clip the server keeps, and that file."""
    frames = np.full((75, 180, 320, 3), 90, np.uint8)
    clip = write_clip(folder / "clip.mp4", frames, np.zeros((1, 48_000), np.float32), sample_rate=16_000).path
    key = service.keys.authenticate(service.keys.create("edits")[1])
    kept = service.upload(key, clip.read_bytes(), "clip.mp4", "video").path
    request = {"prompt": "in snow", "video": str(kept), "seconds": 3.0, "size": "720p"}
    return service.submit(key, "native", "dashscope/happyhorse-1.0", request, {}), kept


def with_dashscope(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> tuple[routing.Routing, list[Any]]:
    rules = routing.parse({"allow": ["seed", "size", "ratio", "seconds"]}, {"MUYBRIDGE_DASHSCOPE_KEY": "x"})
    monkeypatch.setattr(routing, "routing", lambda: rules)
    monkeypatch.setattr(remote, "routing", lambda: rules)
    sent: list[Any] = []

    class Seen(InProcess):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(json.loads(request.content) if request.content else None)
            return super().handle_request(request)

    made = routing.Routing.remotes

    def simulated(self: routing.Routing) -> Any:
        remotes = made(self, Seen(simulator))
        for account in remotes:
            account.base, account.trusted = f"{simulator.url}/{account.offers[0].lane}", True
        return remotes

    monkeypatch.setattr(routing.Routing, "remotes", simulated)
    return rules, sent


def test_dashscope_edits_read_the_clip_at_our_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules, sent = with_dashscope(monkeypatch, Simulator())
    app = create_app(ServerConfig(data=tmp_path / "d", public_url=BASE), Limits(models=("auto",)))
    with TestClient(app, base_url=BASE) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        job, kept = edit(service, tmp_path)
        dispatch = remote.open_dispatch(rules, service.store.database.url)
        stored = service.store.get(job.id)
        step = dispatch.step(remote.task_of(stored, rules, dispatch.world.input_address), tmp_path)
        assert (step.state, step.stage) == ("working", "queued"), step.error
        (medium,) = sent[0]["input"]["media"]
        assert medium["type"] == "video" and medium["url"].startswith(f"{BASE}/inputs/{job.id}/video?")
        answer = client.get(medium["url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        assert answer.content == kept.read_bytes()
        part = client.get(medium["url"], headers={"Range": "bytes=0-9"})
        assert (part.status_code, part.content) == (206, kept.read_bytes()[:10])
        url = httpx.URL(medium["url"])
        late = url.copy_set_param("exp", str(int(time.time()) - 10))
        other = url.copy_with(path=f"/inputs/{job.id}/image")
        for bad in (late, other, url.copy_set_param("sig", "0" * 40), url.copy_with(query=b"")):
            assert client.get(str(bad)).status_code == 404


def test_without_an_https_address_edits_pass_dashscope_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules, _ = with_dashscope(monkeypatch, Simulator())
    service = Service.open(ServerConfig(data=tmp_path / "d", public_url="http://plain.example"), Limits(("auto",)))
    with pytest.raises(InvalidRequest, match="the operator sets public_url"):
        edit(service, tmp_path)
    assert service.store.list(None) == []
    assert remote.open_dispatch(rules, service.store.database.url).world.input_address is None
    service.close()


def test_large_files_go_by_address_small_ones_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MAX_INLINE_BYTES", 100)
    for name, size in (("small.png", 50), ("large.png", 500)):
        (tmp_path / name).write_bytes(b"x" * size)
    large = Request("x", image=tmp_path / "large.png")
    assert (remote.inputs_of(Request("x", image=tmp_path / "small.png")).image or "").startswith("data:image/png")
    assert remote.inputs_of(large, False, lambda slot: f"https://here/{slot}").image == "https://here/image"
    for inline, address in ((True, lambda slot: f"https://here/{slot}"), (False, None)):
        with pytest.raises(InvalidRequest, match="public_url"):
            remote.inputs_of(large, inline, address)
