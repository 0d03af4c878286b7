"""Pushes of providers: over HTTP to the attempt they belong to, and nobody else's."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.testclient import TestClient

from muybridge.api import fal_webhooks
from muybridge.api.app import create_app
from muybridge.api.limits import Limits
from muybridge.api.service import Service
from muybridge.api.webhooks import sign
from muybridge.config import ServerConfig
from muybridge.errors import AuthFailed
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
