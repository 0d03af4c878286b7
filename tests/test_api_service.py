"""The service behind the faces: keys, tenants, idempotency, rates, budgets, links, webhooks, readiness."""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from test_api_fetch import HOSTILE

from muybridge.api import edge, ids, keys, links, webhooks
from muybridge.api.app import create_app
from muybridge.api.health import PROBE_TENANT
from muybridge.api.limits import Limits
from muybridge.api.service import Service
from muybridge.api.turns import Turns
from muybridge.api.video import to_request
from muybridge.config import ServerConfig
from muybridge.errors import AuthFailed, InvalidRequest, ModelRetired, NotFound, Throttled
from muybridge.jobs.job import Artifact, Delivery, Job, new_id

Api = tuple[TestClient, Service]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The application without workers: what is submitted stays queued."""
    app = create_app(ServerConfig(data=tmp_path), Limits(price_per_gpu_hour=3600.0))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, app.state.service


def bearer(service: Service, name: str = "test", **more: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.keys.create(name, **more)[1]}"}


def complete(service: Service, job_id: str, data: bytes = b"clip") -> Job:
    """Publish a job as a worker would."""
    claim = service.store.claim("worker")
    assert claim is not None and claim.job.id == job_id
    key = f"{job_id}/{claim.attempt}/clip.mp4"
    service.artifacts.put(key, data)
    artifact = Artifact("video", key, "video/mp4", len(data), "0" * 64, 96, 64, 4.0, 25)
    return service.store.finish(claim, (artifact,), {"output_s": 4.0})


# Ids ----------------------------------------------------------------------------------------------------------------


def test_one_id_in_every_spelling() -> None:
    ulid = new_id()
    spelled = {p: ids.public_id(ulid, p) for p in ("native", "openai", "dashscope", "fal", "replicate", "ark", "veo")}
    assert spelled["openai"].startswith("video_") and len(spelled["openai"]) == 38
    assert re.fullmatch(r"[a-z0-9]+", spelled["veo"])
    for text in spelled.values():
        assert ids.job_id(text, "native") == ulid
    for bad in ("", "video_", "video_xyz", "x" * 5000, ulid[:-1], "8" + ulid[1:], "../" + ulid):
        with pytest.raises(NotFound):
            ids.job_id(bad, "native")


# Keys ---------------------------------------------------------------------------------------------------------------


def test_secrets_have_a_pattern_a_checksum_and_256_bits() -> None:
    secrets = {keys.new_secret() for _ in range(200)}
    assert len(secrets) == 200
    for secret in secrets:
        assert re.fullmatch(keys.PATTERN, secret)
        assert keys.is_well_formed(secret)
    secret = secrets.pop()
    for i in range(3, len(secret)):
        assert not keys.is_well_formed(secret[:i] + ("a" if secret[i] != "a" else "b") + secret[i + 1 :])
    assert not keys.is_well_formed(secret[:-1])


def test_only_hashes_are_stored(api: Api, tmp_path: Path) -> None:
    _, service = api
    secret = service.keys.create("hidden")[1]
    service.store.database.run(lambda tx: tx.connection.execute("SELECT 1"))
    files = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert any(keys.digest(secret).encode() in data for data in files)
    assert not any(secret.encode() in data for data in files)
    assert "secret" not in str(service.keys.list()) and keys.digest(secret) not in str(service.keys.list())


def test_expiry_revocation_rotation_and_last_use(api: Api) -> None:
    client, service = api
    old, secret = service.keys.create("rotating", limits={"max_open": 3})
    assert service.keys.authenticate(secret).tenant == old.tenant
    service.keys.flush()
    assert service.keys.list()[0]["last_used_at"] == pytest.approx(time.time(), abs=10)
    new, successor = service.keys.rotate(old.id, overlap_s=0.3)
    assert (new.tenant, new.max_open, new.id != old.id) == (old.tenant, 3, True)
    assert service.keys.authenticate(secret).id == old.id  # both work during the overlap
    assert service.keys.authenticate(successor).id == new.id
    time.sleep(0.35)
    with pytest.raises(AuthFailed, match="expired"):
        service.keys.authenticate(secret)
    service.keys.revoke(new.id)
    with pytest.raises(AuthFailed, match="revoked"):
        service.keys.authenticate(successor)
    short = service.keys.create("short", days=1e-6)[1]
    time.sleep(0.1)
    answer = client.get("/v1/videos", headers={"Authorization": f"Bearer {short}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_scopes_are_kept(api: Api) -> None:
    client, service = api
    reader = bearer(service, scopes=("videos:read",))
    assert client.get("/v1/videos", headers=reader).status_code == 200
    calls = [
        ("POST", "/v1/videos", {"prompt": "x"}),
        ("POST", "/v1/webhooks", {"url": "https://example.com"}),
        ("GET", "/v1/usage", None),
    ]
    for method, path, body in calls:
        answer = client.request(method, path, json=body, headers=reader)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_permissions"), path
    with pytest.raises(InvalidRequest, match="no scope"):
        service.keys.create("x", scopes=("root",))


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "mb_x", "Bearer mb_x y"])
def test_missing_and_malformed_credentials(api: Api, header: str | None) -> None:
    client, _ = api
    answer = client.get("/v1/videos", headers={"Authorization": header} if header is not None else {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_rates_are_kept_and_told(api: Api) -> None:
    client, service = api
    slow = bearer(service, limits={"requests_per_s": 1.0})
    answers = [client.get("/v1/videos", headers=slow) for _ in range(6)]
    assert [a.status_code for a in answers[:2]] == [200, 200]
    refused = next(a for a in answers if a.status_code == 429)
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(refused.headers["retry-after"]) >= 1
    time.sleep(1.1)
    told = client.post("/v1/videos", json={"prompt": "x"}, headers=slow)
    assert told.headers["x-ratelimit-limit-requests"] == "2"
    assert int(told.headers["x-ratelimit-remaining-requests"]) < 2


def test_budgets_hold_under_concurrency(api: Api) -> None:
    client, service = api
    body = {"prompt": "x", "seconds": 4}
    quoted = client.post("/v1/videos", json=body, headers=bearer(service)).json()["quote"]["cost"]
    assert quoted > 0
    poor = bearer(service, limits={"budget_usd": quoted * 5.5})

    def submit(_: int) -> int:
        return client.post("/v1/videos", json=body, headers=poor).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(submit, range(16)))
    assert sorted(codes) == [200] * 5 + [429] * 11
    answer = client.post("/v1/videos", json=body, headers=poor)
    assert answer.json()["error"]["type"] == "insufficient_quota"


def test_open_jobs_are_capped(api: Api) -> None:
    client, service = api
    few = bearer(service, limits={"max_open": 2})
    made = [client.post("/v1/videos", json={"prompt": "x"}, headers=few) for _ in range(3)]
    assert [a.status_code for a in made] == [200, 200, 429]
    client.delete(f"/v1/videos/{made[0].json()['id']}", headers=few)
    assert client.post("/v1/videos", json={"prompt": "x"}, headers=few).status_code == 200


# Tenants ------------------------------------------------------------------------------------------------------------


def test_tenants_cannot_see_each_other(api: Api) -> None:
    client, service = api
    alice, bob = bearer(service, "alice"), bearer(service, "bob")
    made = client.post("/v1/videos", json={"prompt": "private"}, headers=alice).json()["id"]
    job_id = ids.job_id(made, "native")
    complete(service, job_id)
    missing = client.get("/v1/videos/video_" + "0" * 32, headers=bob).json()["error"]
    spellings = [made, *(ids.public_id(job_id, p) for p in ("dashscope", "replicate", "ark"))]
    for public in spellings:
        for method, path in [
            ("GET", ""), ("DELETE", ""), ("POST", "/cancel"),
            ("GET", "/content"), ("GET", "/events"), ("POST", "/remix"),
        ]:  # fmt: skip
            body = {"json": {"prompt": "steal"}} if path == "/remix" else {}
            answer = client.request(method, f"/v1/videos/{public}{path}", headers=bob, **body)
            assert answer.status_code == 404, (method, path)
            if ids.is_uuid(public):
                continue  # a UUID under this path is an xAI id, answered in that shape
            assert answer.json()["error"]["message"].replace(public, "ID") == missing["message"].replace(
                "video_" + "0" * 32, "ID"
            )
    assert client.get("/v1/videos", headers=bob).json()["data"] == []
    assert client.get("/v1/usage", headers=bob).json()["data"] == []
    assert client.get("/v1/usage", headers=alice).json()["total"]["videos"] == 1
    for field in ("image", "video", "references", "input_reference"):
        value = [made] if field == "references" else {"id": made}
        answer = client.post("/v1/videos", json={"prompt": "x", field: value}, headers=bob)
        assert answer.status_code == 404, field
    page = client.get("/v1/videos", headers=bob, params={"after": made})
    assert page.json()["data"] == []


def test_uploads_belong_to_their_tenant(api: Api, tmp_path: Path) -> None:
    import numpy as np

    from muybridge.media import write_image

    client, service = api
    alice, bob = bearer(service, "alice"), bearer(service, "bob")
    picture = write_image(tmp_path / "p.png", np.full((300, 300, 3), 9, np.uint8))
    with picture.open("rb") as file:
        made = client.post("/v1/files", files={"file": ("p.png", file)}, headers=alice).json()
    assert made["kind"] == "image"
    for method in ("GET", "DELETE"):
        assert client.request(method, f"/v1/files/{made['id']}", headers=bob).status_code == 404
    answer = client.post("/v1/videos", json={"prompt": "x", "image": made["id"]}, headers=bob)
    assert answer.status_code == 404
    assert client.post("/v1/videos", json={"prompt": "x", "image": made["id"]}, headers=alice).status_code == 200
    assert client.post("/v1/videos", json={"prompt": "x", "video": made["id"]}, headers=alice).status_code == 400
    for bad in ("file-../../../etc/passwd", "file-" + "0" * 32, "file-", "/etc/passwd", "../x", "file:///etc/passwd"):
        assert client.post("/v1/videos", json={"prompt": "x", "image": bad}, headers=alice).status_code in (400, 404)


def test_callers_cannot_set_what_is_ours(api: Api) -> None:
    """No mass assignment: price, tenant, status and paths in a body change nothing."""
    client, service = api
    key = bearer(service)
    body = {"prompt": "x", "tenant": "other", "quote": {"cost": 0}, "status": "completed", "extra": {"continues": "/x"}}
    made = client.post("/v1/videos", json={**body, "model_actual": "15b"}, headers=key).json()
    job = service.store.get(ids.job_id(made["id"], "native"))
    assert (job.status, job.model_actual, job.request["extra"]) == ("queued", None, {})
    assert job.quote["cost"] > 0 and job.tenant != "other"


# Idempotency --------------------------------------------------------------------------------------------------------


def test_idempotency_keys(api: Api) -> None:
    client, service = api
    alice, bob = bearer(service, "alice"), bearer(service, "bob")
    once = {"Idempotency-Key": "order-42"}

    def submit(who: dict[str, str], prompt: str = "x") -> Any:
        return client.post("/v1/videos", json={"prompt": prompt}, headers={**who, **once})

    first = submit(alice)
    assert submit(alice).json()["id"] == first.json()["id"]
    other = submit(alice, "y")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    assert submit(bob).json()["id"] != first.json()["id"]
    assert len(client.get("/v1/videos", headers=alice).json()["data"]) == 1
    bad = client.post("/v1/videos", json={"prompt": "x"}, headers={**alice, "Idempotency-Key": "k" * 300})
    assert bad.status_code == 400


def test_concurrent_repeats_make_one_job(api: Api) -> None:
    client, service = api
    key = {**bearer(service), "Idempotency-Key": "same"}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = set(
            pool.map(lambda _: client.post("/v1/videos", json={"prompt": "x"}, headers=key).json()["id"], range(16))
        )
    assert len(made) == 1


def test_a_repeated_submit_does_not_fetch_again(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, service = api
    picture = tmp_path / "p.png"
    picture.write_bytes(b"x")
    fetched: list[str] = []
    monkeypatch.setattr(service, "fetch", lambda _key, url, _kind: fetched.append(url) or picture)
    key = {**bearer(service), "Idempotency-Key": "with-media"}
    body = {"prompt": "x", "image": "https://example.com/p.png"}
    first = client.post("/v1/videos", json=body, headers=key)
    assert client.post("/v1/videos", json=body, headers=key).json()["id"] == first.json()["id"]
    assert len(fetched) == 1
    assert client.post("/v1/videos", json={**body, "prompt": "y"}, headers=key).status_code == 409
    assert len(fetched) == 1


# Requests, links, models --------------------------------------------------------------------------------------------


def test_bad_text_is_refused_before_anything_is_fetched(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    client, service = api
    monkeypatch.setattr(service, "fetch", lambda *_: pytest.fail("fetched"))
    body = {"prompt": "x", "seconds": 99, "image": "https://example.com/p.png"}
    assert client.post("/v1/videos", json=body, headers=bearer(service)).json()["error"]["param"] == "seconds"


@pytest.mark.parametrize(
    ("body", "task"),
    [
        ({}, "t2v"),
        ({"image": "u"}, "i2v"),
        ({"input_reference": "u"}, "i2v"),
        ({"last_image": "u"}, "i2v"),
        ({"references": ["u"]}, "r2v"),
        ({"video": "u"}, "edit"),
        ({"video": "u", "references": ["u"]}, "edit"),
        ({"audio": "u"}, "a2v"),
    ],
)
def test_what_is_passed_decides_the_task(api: Api, body: dict[str, Any], task: str) -> None:
    model = api[1].model("tiny")
    to_request({"prompt": "x", "task": task, **body}, model)
    for other in {"t2v", "i2v", "r2v", "edit", "a2v"} - {task}:
        with pytest.raises(InvalidRequest, match=f"makes it {task}"):
            to_request({"prompt": "x", "task": other, **body}, model)


def test_links_are_signed_and_expire() -> None:
    secret, job_id = b"secret", new_id()
    until = int(time.time()) + 60
    path = links.sign(secret, job_id, "video", until, "video/mp4")
    assert links.read(secret, "https://host" + path) == (job_id, "video")
    assert links.read(b"other", path) is None
    assert links.read(secret, path.replace("video.mp4", "audio.mp4")) is None
    assert links.read(secret, path.replace(f"exp={until}", f"exp={until + 1}")) is None
    assert links.read(secret, links.sign(secret, job_id, "video", int(time.time()) - 1, "video/mp4")) is None
    for junk in ("", "/media/x", path + "x", path.replace("sig=", "sig=é")):
        assert links.read(secret, junk) is None


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 1)), ("bytes=5-", (5, 10)), ("bytes=-3", (7, 10)), ("bytes=-99", (0, 10)),
        ("bytes=2-99", (2, 10)), ("bytes=10-", None), ("bytes=-0", None), ("bytes=5-2", (0, 10)),
        ("bytes=0-1,3-4", (0, 10)), ("items=0-1", (0, 10)),
    ],
)  # fmt: skip
def test_ranges(header: str, span: tuple[int, int] | None) -> None:
    assert links.byte_range(header, 10) == span


def test_retired_models_are_refused_with_their_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    from muybridge.api import models

    ended = models.Alias("old-*", None, "2025-01-01", "2026-01-01")
    monkeypatch.setattr(models, "ALIASES", (ended, *models.ALIASES))
    with pytest.raises(ModelRetired, match="use tiny") as caught:
        models.resolve("old-1", ("tiny",))
    assert caught.value.successor == "tiny"
    before = models.resolve("old-1", ("tiny",), now=1.75e9).headers()
    assert before["Sunset"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert before["Deprecation"] == "@1735689600"


def test_jobs_of_a_model_no_longer_served_stay_readable(tmp_path: Path) -> None:
    with TestClient(create_app(ServerConfig(data=tmp_path), Limits(models=("15b",)))) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        key = bearer(service)
        made = client.post("/v1/videos", json={"prompt": "x"}, headers=key).json()["id"]
    with TestClient(create_app(ServerConfig(data=tmp_path), Limits(models=("tiny",)))) as client:
        assert client.post("/v1/videos", json={"prompt": "x", "model": "15b"}, headers=key).status_code == 404
        shown = client.get(f"/v1/videos/{made}", headers=key)
        assert (shown.status_code, shown.json()["model"]) == (200, "15b")


# Bodies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"), (b"[]", "application/json"), (b'"x"', "application/json"),
        (b"\xff", "application/json"),
        (b"[" * 100_000, "application/json"), (b'{"prompt": NaN}', "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"), (b"x", "multipart/form-data"), (b"<x/>", "text/xml"),
    ],
)  # fmt: skip
def test_broken_bodies_are_the_callers_fault(api: Api, content: bytes, kind: str) -> None:
    client, service = api
    answer = client.post("/v1/videos", content=content, headers={**bearer(service), "Content-Type": kind})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_bodies_have_a_cap(tmp_path: Path, kind: str) -> None:
    app = create_app(ServerConfig(data=tmp_path), Limits(max_body_bytes=10_000, max_json_bytes=10_000))
    with TestClient(app) as client:
        key = bearer(app.state.service)
        for content in (b"x" * 20_000, iter([b"x" * 6000, b"x" * 6000])):  # by its length, and by what really comes
            answer = client.post("/v1/videos", content=content, headers={**key, "Content-Type": kind})
            assert (answer.status_code, answer.json()["error"]["type"]) == (413, "invalid_request_error")


def test_large_json_waits_for_memory_and_gives_it_back() -> None:
    async def story() -> list[int]:
        memory, free = edge.Memory(100), []

        async def body(size: int) -> None:
            async with memory.hold(size):
                free.append(memory.free_bytes)
                await asyncio.sleep(0.01)

        await asyncio.gather(*(body(60) for _ in range(4)))
        return [*free, memory.free_bytes]

    assert asyncio.run(story()) == [40, 40, 40, 40, 100]  # one at a time


def test_a_body_that_drips_is_cut_off() -> None:
    async def story() -> None:
        async def drip() -> dict[str, Any]:
            await asyncio.sleep(0.02)
            return {"type": "http.request", "body": b"x", "more_body": True}

        receive = edge._capped(drip, 1000, 0.2)
        with pytest.raises(edge.BodyTooLarge, match="too long"):
            for _ in range(100):
                await receive()

    asyncio.run(story())


def test_unknown_paths_and_methods_answer_in_shape(api: Api) -> None:
    client, _ = api
    assert client.get("/v1/nothing").status_code == 404
    answer = client.put("/v1/videos")
    assert answer.status_code == 405 and answer.json()["error"]["message"]
    assert "POST" in answer.headers["allow"]


def test_our_own_faults_show_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    client, service = api
    key = bearer(service)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(service.store, "create", fail)
    answer = client.post("/v1/videos", json={"prompt": "x"}, headers=key)
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "hunter2" not in answer.text


def test_forty_hostile_urls_are_refused_in_the_protocols_shape(api: Api) -> None:
    client, service = api
    key = bearer(service)
    for url in filter(None, HOSTILE):
        for field in ("image", "video"):
            answer = client.post("/v1/videos", json={"prompt": "x", field: url}, headers=key)
            assert answer.status_code == 400, (url, answer.text)
            assert answer.json()["error"]["type"] == "invalid_request_error"
            assert answer.json()["error"]["message"].startswith(f"{field}: ")
    assert client.get("/v1/videos", headers=key).json()["data"] == []


# Webhooks -----------------------------------------------------------------------------------------------------------


def test_signatures_verify_by_the_standard() -> None:
    from standardwebhooks import Webhook

    secret = webhooks.new_secret()
    body, headers = webhooks.standard(_job("completed"), _delivery({}), secret)
    assert Webhook(secret).verify(body.decode(), headers)["type"] == "video.completed"


def _job(status: str) -> Job:
    return Job(new_id(), "t", "k", "native", "tiny", {}, {}, status, time.time())  # type: ignore[arg-type]


def _delivery(webhook: dict[str, Any], tries: int = 1) -> Delivery:
    return Delivery(new_id(), "job", "t", 1, webhook, tries, time.time())


def test_webhooks_to_inside_addresses_are_refused_at_the_door_and_at_the_send(api: Api) -> None:
    client, service = api
    key = bearer(service)
    for url in ("https://127.0.0.1/x", "http://example.com/x", "https://169.254.169.254/", "not a url"):
        answer = client.post("/v1/videos", json={"prompt": "x", "webhook": url}, headers=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_media_url")
        assert client.post("/v1/webhooks", json={"url": url}, headers=key).status_code == 400
    error = webhooks.send(service, {"url": "https://[::1]/"}, _job("completed"), _delivery({}))
    assert error is not None and "public internet" in error


def test_deliveries_are_retried_then_given_up_and_the_endpoint_switched_off(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, service = api
    key = bearer(service)
    monkeypatch.setattr(webhooks, "check_url", lambda *_: None)
    made = client.post("/v1/webhooks", json={"url": "https://example.com/h"}, headers=key).json()
    assert made["secret"].startswith("whsec_")
    video = client.post("/v1/videos", json={"prompt": "x"}, headers=key).json()
    tried: list[str] = []
    monkeypatch.setattr(webhooks, "send", lambda _s, target, *_: tried.append(target["url"]) or "500 from example.com")
    client.post(f"/v1/videos/{video['id']}/cancel", headers=key)
    webhooks.deliver_due(service)  # fans out
    webhooks.deliver_due(service)  # fails
    assert tried == ["https://example.com/h"]
    rows = service.store.deliveries.of_job(ids.job_id(video["id"], "native"))
    failed = next(d for d in rows if d.webhook.get("endpoint"))
    assert failed.last_error == "500 from example.com"
    assert failed.due_at is not None and failed.due_at - time.time() == pytest.approx(webhooks.RETRY_AFTER_S[0], abs=2)
    assert webhooks.deliver_due(service) == 0  # not due yet
    monkeypatch.setattr(webhooks, "DISABLE_AFTER_S", -1.0)
    webhooks.deliver(service, failed)
    assert client.get("/v1/webhooks", headers=key).json()["data"][0]["disabled_at"] is not None
    last = Delivery(failed.id, failed.job_id, failed.tenant, failed.seq, failed.webhook, 99, time.time())
    webhooks.deliver(service, last)
    given_up = next(d for d in service.store.deliveries.of_job(failed.job_id) if d.id == failed.id)
    assert given_up.due_at is None and given_up.delivered_at is None
    assert client.post(f"/v1/webhooks/{made['id']}/enable", headers=key).json()["enabled"]
    assert client.get("/v1/webhooks", headers=key).json()["data"][0]["disabled_at"] is None
    assert client.delete(f"/v1/webhooks/{made['id']}", headers=bearer(service, "other")).status_code == 404


# Health, metrics, usage ---------------------------------------------------------------------------------------------


def test_ready_only_after_a_worker_has_run_one_step(api: Api) -> None:
    client, service = api
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/ready").status_code == 503
    probes = service.store.list(PROBE_TENANT)
    assert len(probes) == 1  # never more than one under way
    assert probes[0].request["num_inference_steps"] == 1
    complete(service, probes[0].id)
    assert client.get("/health/ready").json()["status"] == "ready"
    assert service.store.list(PROBE_TENANT) == []  # and it leaves nothing behind
    assert service.artifacts.list(probes[0].id) == []


def test_a_failed_probe_says_why(api: Api) -> None:
    client, service = api
    client.get("/health/ready")
    claim = service.store.claim("worker")
    assert claim is not None
    service.store.fail(claim, "device_error", "the GPU fell off the bus", False)
    answer = client.get("/health/ready")
    assert answer.status_code == 503 and "fell off the bus" in answer.json()["reason"]


def test_metrics_count_by_template(api: Api) -> None:
    client, service = api
    key = bearer(service)
    made = client.post("/v1/videos", json={"prompt": "x"}, headers=key).json()["id"]
    client.get(f"/v1/videos/{made}", headers=key)
    text = client.get("/metrics").text
    assert 'muybridge_http_requests_total{method="GET",route="/v1/videos/{video_id}",status="200"} 1' in text
    assert 'muybridge_jobs{status="queued"} 1' in text
    assert 'muybridge_jobs_accepted_total{model="tiny",protocol="native"} 1' in text
    assert made not in text and "tenant" not in text
    buckets = re.findall(r'muybridge_http_seconds_bucket\{method="POST",route="/v1/videos",le="[^"]+"\} (\d+)', text)
    assert [int(b) for b in buckets] == sorted(int(b) for b in buckets) and buckets[-1] == "1"


def test_usage_sums_and_exports(api: Api) -> None:
    client, service = api
    key = bearer(service)
    for _ in range(3):
        made = client.post("/v1/videos", json={"prompt": "x"}, headers=key).json()["id"]
        complete(service, ids.job_id(made, "native"))
    body = client.get("/v1/usage", headers=key).json()
    assert body["total"]["videos"] == 3
    assert body["total"]["output_seconds"] == 12.0
    assert body["total"]["cost"] == pytest.approx(sum(row["cost"] for row in body["data"]))
    lines = client.get("/v1/usage", headers=key, params={"format": "csv"}).text.splitlines()
    assert lines[0].startswith("id,at,key_id,model") and len(lines) == 4
    assert client.get("/v1/usage", headers=key, params={"start": time.time() + 60}).json()["data"] == []


def test_a_file_that_gets_no_turn_is_throttled() -> None:
    turns = Turns(1, 1, 0.05)
    with turns.of("a"), pytest.raises(Throttled), turns.of("b"):
        pass
    with turns.of("b"):
        pass
