"""The HTTP face on PostgreSQL: the same behaviour, its own statements included."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from muybridge.api import ids, webhooks
from muybridge.api.app import create_app
from muybridge.api.limits import Limits
from muybridge.api.service import Service
from muybridge.config import ServerConfig
from muybridge.jobs.postgres import PostgresServer


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Service]]:
    server = PostgresServer().start()
    try:
        config = ServerConfig(data=tmp_path_factory.mktemp("data"), database=server.url)
        app = create_app(config, Limits(price_per_gpu_hour=3600.0))
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client, app.state.service
    finally:
        server.stop()


def bearer(service: Service, **more: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.keys.create('test', **more)[1]}"}  # type: ignore[arg-type]


def test_a_job_from_submit_to_deletion(api: tuple[TestClient, Service]) -> None:
    client, service = api
    key = bearer(service)
    once = {**key, "Idempotency-Key": "one"}
    made = client.post("/v1/videos", json={"prompt": "x"}, headers=once)
    assert made.status_code == 200, made.text
    assert client.post("/v1/videos", json={"prompt": "x"}, headers=once).json()["id"] == made.json()["id"]
    assert client.post("/v1/videos", json={"prompt": "y"}, headers=once).status_code == 409
    again = client.post("/v1/videos", json={"prompt": "x"}, headers={**key, "x-stainless-retry-count": "1"})
    assert again.json()["id"] == made.json()["id"]
    assert [v["id"] for v in client.get("/v1/videos", headers=key).json()["data"]] == [made.json()["id"]]
    assert client.get(f"/v1/videos/{made.json()['id']}", headers=bearer(service)).status_code == 404
    assert 'muybridge_jobs{status="queued"}' in client.get("/metrics").text
    assert client.get("/v1/usage", headers=key).json()["data"] == []
    assert client.delete(f"/v1/videos/{made.json()['id']}", headers=key).json()["deleted"]


def test_budgets_hold_under_concurrency(api: tuple[TestClient, Service]) -> None:
    client, service = api
    body = {"prompt": "x", "seconds": 4}
    quoted = client.post("/v1/videos", json=body, headers=bearer(service)).json()["quote"]["cost"]
    poor = bearer(service, limits={"budget_usd": quoted * 3.5})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: client.post("/v1/videos", json=body, headers=poor).status_code, range(10)))
    assert sorted(codes) == [200] * 3 + [429] * 7


def test_keys_endpoints_and_deliveries(api: tuple[TestClient, Service], monkeypatch: pytest.MonkeyPatch) -> None:
    client, service = api
    key = bearer(service)
    monkeypatch.setattr(webhooks, "check_url", lambda *_: None)
    monkeypatch.setattr(webhooks, "send", lambda *_: "500 from example.com")
    made = client.post("/v1/webhooks", json={"url": "https://example.com/h"}, headers=key).json()
    video = client.post("/v1/videos", json={"prompt": "x"}, headers=key).json()["id"]
    client.post(f"/v1/videos/{video}/cancel", headers=key)
    rows = service.store.deliveries.of_job(ids.job_id(video, "native"))
    while not any(d.last_error for d in rows):
        webhooks.deliver_due(service)
        rows = service.store.deliveries.of_job(ids.job_id(video, "native"))
    assert len(rows) == 2
    shown = client.get("/v1/webhooks", headers=key).json()["data"][0]
    assert shown["failing_since"] is not None and shown["disabled_at"] is None
    assert client.post(f"/v1/webhooks/{made['id']}/enable", headers=key).json()["enabled"]
    assert client.delete(f"/v1/webhooks/{made['id']}", headers=key).json()["deleted"]
    service.keys.flush()
    assert any(row["last_used_at"] for row in service.keys.list())


def test_another_process_on_the_database_signs_alike(api: tuple[TestClient, Service], tmp_path: Path) -> None:
    _, service = api
    other = Service.open(ServerConfig(data=tmp_path, database=service.config.database))
    assert other.link_secret == service.link_secret
    other.close()
