"""Spill-over, live: jobs fill our own machines' queue up to a limit, then go to providers, and come back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from muybridge.api import run
from muybridge.api.app import create_app
from muybridge.api.health import PROBE_TENANT
from muybridge.api.limits import Limits
from muybridge.api.service import Service
from muybridge.config import ServerConfig
from muybridge.jobs.job import Job
from muybridge.jobs.worker import Hook, ResultFile, RunResult, WorkerSpec, run_worker
from muybridge.providers import remote, routing
from muybridge.providers.attempts import Dispatch
from muybridge.providers.fleet import quick_check
from muybridge.providers.ledger import Ledger
from muybridge.providers.remote import RemoteRunner
from muybridge.providers.simulator import InProcess, Simulator

KEYS = {"MUYBRIDGE_FAL_KEY": "x", "MUYBRIDGE_DASHSCOPE_KEY": "x"}
LIMIT_S = 100.0


def own_engine(job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
    """Stands in for our engine."""
    del checkpoint
    hook.step("base", 50.0)
    clip = workdir / "clip.mp4"
    clip.write_bytes(b"made here")
    return RunResult((ResultFile("video", clip, "video/mp4"),), {"output_s": job.request["seconds"]}, job.model)


@dataclass
class Place:
    """A server, and the two kinds of workers that an operator starts."""

    client: TestClient
    service: Service
    runner: RemoteRunner
    simulator: Simulator

    def submit(self, model: str = "auto") -> Job:
        body = {"prompt": "A horse.", "model": model, "seconds": 5, "size": "720p"}
        made = self.client.post("/v1/videos", json=body)
        assert made.status_code == 200, made.text
        time.sleep(remote.QUEUE_FRESH_S + 0.05)
        return self.service.store.get(self.service.job_id(made.json()["id"], "native"))

    def work(self, *models: str, max_jobs: int | None = None) -> None:
        spec = WorkerSpec("", "", "", models=models)
        store, artifacts = self.service.store, self.service.artifacts
        run_worker(store, artifacts, self.runner, spec=spec, until_idle=True, max_jobs=max_jobs)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    rules = routing.parse({"local": {"models": ["15b"]}, "own_max_wait_s": LIMIT_S, "allow": ["seed", "size"]}, KEYS)
    monkeypatch.setattr(routing, "routing", lambda: rules)
    monkeypatch.setattr(remote, "routing", lambda: rules)
    simulator = Simulator(render_s=0.1)
    app = create_app(ServerConfig(data=tmp_path), Limits(models=("auto",)))
    service: Service = app.state.service
    ledger = Ledger.open(service.store.database.url)
    monkeypatch.setattr("muybridge.providers.local.runner", own_engine)

    def dispatch(_: routing.Routing, __: str) -> Dispatch:
        remotes = rules.remotes(InProcess(simulator))
        for account in remotes:
            account.base, account.trusted = f"{simulator.url}/{account.offers[0].lane}", True
        return Dispatch(ledger, rules.offers(), remotes, quick_check, rules=rules.rules(), local=True)

    runner = RemoteRunner(lambda: rules, dispatch, sleep=lambda s: time.sleep(min(s, 0.05)))
    with TestClient(app) as client:
        client.headers["Authorization"] = f"Bearer {service.keys.create('test')[1]}"
        yield Place(client, service, runner, simulator)
    ledger.close()


def test_jobs_spill_over_while_the_own_queue_is_long(place: Place) -> None:
    first = place.submit()
    assert first.model == "15b" and first.quote["seconds"] > 1.0
    fits = int(LIMIT_S / first.quote["seconds"]) + 1  # the one that makes the queue longer than the limit is the last
    jobs = [first, *(place.submit() for _ in range(fits + 2))]
    where = Counter(job.model for job in jobs)
    assert where == {"15b": fits, "auto": 3}
    assert [job.model for job in jobs] == ["15b"] * fits + ["auto"] * 3
    spilt = jobs[-1]
    assert spilt.quote["model_actual"] != "15b" and spilt.quote["cost"] > 0

    place.work("15b")  # our machines empty their queue: the next job is theirs again
    made = place.service.store.list(None, status="completed")
    assert len(made) == fits and {job.model_actual for job in made} == {"15b"}
    assert not place.simulator.submits
    assert place.submit().model == "15b"


def test_busy_workers_shorten_the_wait(place: Place) -> None:
    """The same queue before two machines at work is half as long."""
    work_s = place.submit().quote["seconds"]
    ledger = Ledger.open(place.service.store.database.url)
    for _ in range(3):
        place.submit()
    assert ledger.own_queue_s(("15b",)) == pytest.approx(4 * work_s)
    one, two = (place.service.store.claim(f"gpu-{n}", ("15b",)) for n in range(2))
    assert one is not None and two is not None
    assert ledger.own_queue_s(("15b",)) == pytest.approx((2 + 2) * work_s / 2)
    place.service.store.renew(one, "base", 50.0, eta_s=0.5 * work_s)
    assert ledger.own_queue_s(("15b",)) == pytest.approx((2 + 1 + 0.5) * work_s / 2)
    ledger.close()


def test_what_spilt_over_is_made_by_a_provider(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteRunner, "_publish", lambda *_: RunResult((), {"cost": 0.1}, "bought"))
    work_s = place.submit().quote["seconds"]
    while place.submit().model == "15b":
        pass
    spilt = next(job for job in place.service.store.list(None) if job.model == "auto")
    # The worker decides anew: its own view of the queue is as long.
    monkeypatch.setattr("muybridge.providers.attempts.Dispatch.decide", long_queue(place, work_s))
    place.work("auto")
    done = place.service.store.get(spilt.id)
    assert (done.status, done.model_actual) == ("completed", "bought"), done.error
    assert len(place.simulator.submits) == 1


def long_queue(place: Place, work_s: float) -> Any:
    """`Dispatch.decide` with the queue as the job table says it is."""
    ledger, decide = Ledger.open(place.service.store.database.url), Dispatch.decide

    def deciding(self: Dispatch, *given: Any) -> Any:
        self.world.own_queue_s = lambda: ledger.own_queue_s(("15b",))
        self.rules = routing.routing().rules()
        assert self.world.own_queue_s() > LIMIT_S > work_s
        return decide(self, *given)

    return deciding


def test_workers_beside_a_router_take_what_it_gives_to_our_machines(place: Place) -> None:
    del place
    assert run.claimed(("auto",)) == ("auto", "15b")
    assert run.claimed(("tiny",)) == ("tiny",)


def test_readiness_of_a_router_buys_nothing(place: Place) -> None:
    assert place.client.get("/health/ready").status_code == 503
    (probe,) = place.service.store.list(PROBE_TENANT)
    assert probe.model == "auto"
    place.work("auto")
    assert place.client.get("/health/ready").status_code == 200
    assert not place.simulator.submits
