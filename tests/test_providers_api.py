"""The whole way: the OpenAI SDK, our API, the job table, a worker with the router, a simulated provider, and back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from starlette.testclient import TestClient
from test_api_faces import READ

from muybridge.api.app import create_app
from muybridge.api.limits import Limits
from muybridge.api.service import Service
from muybridge.config import ServerConfig
from muybridge.jobs.worker import WorkerSpec, run_worker
from muybridge.media import probe
from muybridge.providers import routing as rules
from muybridge.providers import tell
from muybridge.providers.attempts import Dispatch, World
from muybridge.providers.client import Remote
from muybridge.providers.ledger import Ledger
from muybridge.providers.remote import RemoteRunner
from muybridge.providers.results import check
from muybridge.providers.router import Wish
from muybridge.providers.simulator import InProcess, Simulator
from muybridge.request import Request

# The SDK marks its own videos methods as deprecated (OpenAI removed the hosted API); the protocol lives on here.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
RULES = {"substitute": ["sora-2", "sora-2-pro"], "allow": ["seed", "size", "ratio", "seconds"]}
KEYS = {"MUYBRIDGE_FAL_KEY": "simulated", "MUYBRIDGE_DASHSCOPE_KEY": "simulated", "MUYBRIDGE_RUNWAY_KEY": "simulated"}


@dataclass
class Routed:
    """A server whose jobs are routed to simulated providers."""

    url: str
    key: str
    service: Service
    simulator: Simulator
    ledger: Ledger


@pytest.fixture
def routed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Routed]:
    simulator = Simulator(render_s=0.3)
    operator = rules.parse(RULES, KEYS)
    monkeypatch.setattr(rules, "routing", lambda: operator)
    monkeypatch.setattr("muybridge.providers.remote.routing", lambda: operator)
    app = create_app(ServerConfig(data=tmp_path / "data"), Limits(models=("auto",)))
    service: Service = app.state.service
    ledger = Ledger.open(service.store.database.url)

    def dispatch(_: rules.Routing, url: str) -> Dispatch:
        assert url == service.store.database.url
        remotes = operator.remotes(InProcess(simulator))
        for remote in remotes:
            remote.base, remote.trusted = f"{simulator.url}/{remote.offers[0].lane}", True
            remote.wire = _Hasty(remote.wire)
        return Dispatch(ledger, operator.offers(), remotes, check, rules=operator.rules(), world=World())

    runner = RemoteRunner(lambda: operator, dispatch, sleep=lambda s: time.sleep(min(s, 0.05)))
    stop = threading.Event()
    spec = WorkerSpec("", "", "", models=("auto",), lease_s=60.0)
    work = threading.Thread(target=lambda: run_worker(service.store, service.artifacts, runner, spec=spec, stop=stop))
    core = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    serve = threading.Thread(target=core.run)
    key = service.keys.create("test")[1]
    for thread in (work, serve):
        thread.start()
    while not core.started:
        assert serve.is_alive(), "the server did not start"
        time.sleep(0.01)
    port = core.servers[0].sockets[0].getsockname()[1]
    yield Routed(f"http://127.0.0.1:{port}", key, service, simulator, ledger)
    stop.set()
    work.join()
    core.should_exit = True
    serve.join()
    ledger.close()


class _Hasty:
    """A wire that may be polled at once, so that the test does not wait as long as real providers demand."""

    POLL_S = 0.1

    def __init__(self, wire: Any) -> None:
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)


def test_sora_integration_runs_unchanged_but_for_its_base_url(routed: Routed, tmp_path: Path) -> None:
    with openai.OpenAI(api_key=routed.key, base_url=f"{routed.url}/v1") as client:
        answer = client.videos.with_raw_response.create(
            prompt="A paper boat on a calm lake.", model="sora-2", seconds="4", size="1280x720"
        )
        video = answer.parse()
        assert video.model == "sora-2"
        assert answer.headers["x-model-requested"] == "sora-2"
        assert answer.headers["x-model-actual"] == "wan-2.7"  # the cheapest of the accounts that makes it with sound
        assert answer.headers["deprecation"] == "@1774310400"  # 2026-03-24
        actual = answer.headers["x-model-actual"]
        assert answer.headers["link"] == f'</v1/models/{actual}>; rel="successor-version"'
        done = client.videos.poll(video.id, poll_interval_ms=50)
        assert done.status == "completed", done
        client.videos.download_content(video.id).write_to_file(tmp_path / "boat.mp4")
    assert probe(tmp_path / "boat.mp4").duration_s == pytest.approx(4.0, abs=0.05)
    assert len(routed.simulator.works) == 1
    (job,) = routed.service.store.list(None)
    assert job.model_actual == actual
    assert {a.kind for a in job.artifacts} == {"video", "thumbnail", "spritesheet", "last_frame"}
    billed = sum(micros for _, micros in routed.simulator.billed())
    assert billed > 0
    assert routed.ledger.totals()["cost"] == billed
    assert job.usage["cost"] == pytest.approx(billed / 1e6)
    assert job.usage["route"]["changes"][0] == {"what": "model", "asked": "sora-2", "gets": actual}
    assert "simulator" not in str(job.usage)  # no host of a provider reaches a caller
    (attempt,) = tell.attempts(routed.service.store.database.url, job.id)  # `muybridge jobs show`
    assert (attempt["state"], attempt["cost_usd"]) == ("succeeded", job.usage["cost"])
    assert attempt["offer"].startswith("dashscope/wan-2.7") and "cheapest" in attempt["reason"]
    told = tell.attempt_text(attempt)
    assert f"model: sora-2 -> {actual}" in told and attempt["offer"] in told


def test_every_face_names_the_model_that_ran(routed: Routed) -> None:
    """What a routed job really ran on is in the headers of all protocols; `auto` is never told."""
    headers = {"Authorization": f"Bearer {routed.key}", "x-goog-api-key": routed.key, "X-DashScope-Async": "enable"}
    asked = {
        "model": "happyhorse-1.1-t2v",
        "input": {"prompt": "x"},
        "parameters": {"resolution": "720P", "duration": 3},
    }
    with httpx.Client(base_url=routed.url, headers=headers) as client:
        path = "/api/v1/services/aigc/video-generation/video-synthesis"
        made = client.post(path, json=asked)
        assert made.headers["x-model-actual"] == "happyhorse-1.1", made.text
        job_id = made.json()["output"]["task_id"]
        until = time.monotonic() + 60
        ulid = routed.service.job_id(job_id, "dashscope")
        while not (job := routed.service.store.get(ulid)).ended:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert job.status == "completed", job.error
        # Found out late: the quote named another one than the worker chose in the end.
        routed.service.store.database.run(
            lambda tx: tx.connection.execute("UPDATE job SET model_actual = 'wan-2.7' WHERE status = 'completed'")
        )
        told = {}
        for protocol, where in READ.items():
            answer = client.get(where.format(id=routed.service.public_id(routed.service.store.get(ulid), protocol)))
            assert answer.status_code == 200, (protocol, answer.text)
            told[protocol] = answer.headers.get("x-model-actual")
        assert told == {p: None if p == "fal" else "wan-2.7" for p in READ}  # fal's status carries no headers of ours
        assert "x-model-actual" not in client.get("/v1/models/happyhorse-1.1").headers


def test_models_lists_what_accounts_here_sell_today(routed: Routed) -> None:
    with httpx.Client(base_url=routed.url, headers={"Authorization": f"Bearer {routed.key}"}) as client:
        listed = {m["id"]: m for m in client.get("/v1/models").json()["data"]}
        # fal, DashScope in one region and Runway have accounts; xAI, Kling and whatever has ended are not shown.
        assert {"auto", "sora-2", "happyhorse-1.1", "happyhorse-1.0", "wan-2.7", "gen4.5"} <= set(listed)
        assert not any(name.startswith(("grok", "kling", "veo", "gemini-omni-flash")) for name in listed)
        assert all(m["available"] and m["why_not"] is None and m["shutdown_date"] is None for m in listed.values())
        assert listed["wan-2.7"]["successor"] == "wan-3.0"
        # A name that nobody may stand in for ends with its last seller; sora-2 may be stood in for, and does not end.
        ended = client.get("/v1/models/gemini-omni-flash-preview")
        assert (ended.json()["shutdown_date"], ended.json()["available"]) == ("2026-09-30", False)
        assert ended.headers["sunset"] == "Wed, 30 Sep 2026 00:00:00 GMT"
        assert 'rel="successor-version"' in ended.headers["link"]
        assert "sunset" not in client.get("/v1/models/sora-2").headers


def test_refusals_come_before_the_queue_in_the_callers_protocol(routed: Routed) -> None:
    with httpx.Client(base_url=routed.url, headers={"Authorization": f"Bearer {routed.key}"}) as client:
        gone = client.post("/v1/videos", json={"prompt": "x", "model": "gemini-omni-flash-preview", "seconds": "4"})
        assert gone.status_code == 410
        assert "gemini-omni-1.2-flash" in gone.json()["error"]["message"]
        unknown = client.post("/v1/videos", json={"prompt": "x", "model": "no-such-model"})
        assert unknown.status_code == 404
    assert not routed.service.store.list(None)


def test_a_provider_refusing_the_prompt_ends_the_job_without_a_bill(routed: Routed) -> None:
    with openai.OpenAI(api_key=routed.key, base_url=f"{routed.url}/v1") as client:
        video = client.videos.create(prompt="Anything. [any:moderation_input]", model="happyhorse-1.1", seconds="4")
        done = client.videos.poll(video.id, poll_interval_ms=50)
    assert done.status == "failed"
    assert done.error is not None and done.error.code == "moderation_blocked"
    assert routed.ledger.totals()["cost"] == 0


def test_names_are_unknown_where_routing_is_off(tmp_path: Path) -> None:
    app = create_app(ServerConfig(data=tmp_path), Limits())
    with TestClient(app) as client:
        key = app.state.service.keys.create("test")[1]
        found = client.post(
            "/v1/videos", json={"prompt": "x", "model": "kling-3.0"}, headers={"Authorization": f"Bearer {key}"}
        )
        assert found.status_code == 404


def test_callers_narrow_the_operators_rules_but_never_widen_them() -> None:
    operator = rules.parse({**RULES, "runs_in": ["DE", "US"], "max_usd": 2.0}, KEYS)
    wish = operator.wish(Request("x"), "auto", {"runs_in": "DE", "max_usd": "0.5", "policy": "fastest"})
    assert isinstance(wish, Wish)
    assert (wish.runs_in, wish.max_micros, wish.policy) == (frozenset({"DE"}), 500_000, "fastest")
    assert operator.wish(Request("x"), "auto", {"max_usd": "50"}).max_micros == 2_000_000
    with pytest.raises(ValueError, match="keeps inference in DE, US"):
        operator.wish(Request("x"), "auto", {"runs_in": "CN"})


def test_each_region_has_its_own_key() -> None:
    environ = {"MUYBRIDGE_DASHSCOPE_KEY": "a", "MUYBRIDGE_DASHSCOPE_CN_BEIJING_KEY": "b", "MUYBRIDGE_XAI_KEY": "c"}
    accounts = rules.parse({}, environ).accounts
    assert [(a.provider, a.region, a.key) for a in accounts] == [
        ("dashscope", "ap-southeast-1", "a"),
        ("dashscope", "cn-beijing", "b"),
        ("xai", "", "c"),
    ]
    assert "'a'" not in repr(accounts)
    remotes = rules.parse({}, environ).remotes()
    assert {r.region for r in remotes} == {"ap-southeast-1", "cn-beijing", ""}
    for remote in remotes:
        assert isinstance(remote, Remote)
        remote.close()
