"""What a caller may wish of the router in the native body, and that nothing is bought above its quote unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs_database import new_job, postgres, store, url
from starlette.testclient import TestClient

from muybridge.api.app import create_app
from muybridge.api.limits import Limits
from muybridge.api.service import Service
from muybridge.config import ServerConfig
from muybridge.errors import QuotaExceeded, WorkerLost
from muybridge.jobs.job import Job, KeyRow
from muybridge.jobs.store import Store
from muybridge.jobs.worker import WorkerSpec, run_worker
from muybridge.providers import remote, routing
from muybridge.providers.attempts import Dispatch, Task
from muybridge.providers.fleet import Fleet
from muybridge.providers.remote import RemoteRunner
from muybridge.providers.router import Wish
from muybridge.request import Request

__all__ = ["postgres", "store", "url"]  # fixtures
KEYS = {"MUYBRIDGE_FAL_KEY": "x", "MUYBRIDGE_DASHSCOPE_KEY": "x", "MUYBRIDGE_RUNWAY_KEY": "x"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A routing server without workers."""
    rules = routing.parse({"allow": ["seed", "size", "ratio"]}, KEYS)
    monkeypatch.setattr(routing, "routing", lambda: rules)
    monkeypatch.setattr(remote, "routing", lambda: rules)
    with TestClient(create_app(ServerConfig(data=tmp_path), Limits(models=("auto", "tiny")))) as made:
        service: Service = made.app.state.service  # type: ignore[attr-defined]
        made.headers["Authorization"] = f"Bearer {service.keys.create('test')[1]}"
        yield made


def ask(client: TestClient, wish: object, model: str = "happyhorse-1.1") -> Any:
    return client.post("/v1/videos", json={"prompt": "x", "model": model, "size": "720p", "routing": wish})


def test_wishes_decide_and_are_kept_for_the_worker(client: TestClient) -> None:
    free, paid = ask(client, None).json(), ask(client, {"providers": ["fal"]}).json()
    assert free["status"] == paid["status"] == "queued"
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    wish = {
        "prefer": "quality", "providers": ["fal", "dashscope"], "not_providers": ["dashscope"], "max_usd": 20,
        "deadline_s": 900.5, "allow": ["seconds"], "project": "spring",
    }  # fmt: skip
    made = ask(client, wish)
    assert made.status_code == 200, made.text
    job = service.store.get(service.job_id(made.json()["id"], "native"))
    task = remote.task_of(job, routing.routing())
    assert task.wish.policy == "best"
    assert (task.wish.providers, task.wish.not_providers) == ({"fal", "dashscope"}, {"dashscope"})
    assert (task.wish.max_micros, task.wish.deadline_s, task.wish.project) == (20_000_000, 900.5, "spring")
    assert "seconds" in task.wish.allow
    assert task.deadline_at == pytest.approx(job.created_at + 900.5)


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ("cheapest", "object"), ({"colour": "red"}, "colour"), ({"prefer": "best"}, "prefer"),
        ({"providers": ["nobody"]}, "nobody"), ({"providers": [{}]}, "providers"), ({"max_usd": "1"}, "number"),
        ({"max_usd": -1}, "max_usd"), ({"max_usd": [1]}, "list"), ({"deadline_s": True}, "deadline_s"),
        ({"allow": ["everything"]}, "everything"), ({"project": ["a"]}, "list"),
    ],
)  # fmt: skip
def test_wishes_that_mean_nothing_are_refused(client: TestClient, wish: object, why: str) -> None:
    refused = ask(client, wish)
    assert refused.status_code == 400, refused.text
    assert why in refused.json()["error"]["message"]


def test_wishes_that_nobody_can_meet_are_refused_before_the_queue(client: TestClient) -> None:
    assert ask(client, {"max_usd": 0.000001}).status_code == 429
    assert ask(client, {"runs_in": ["AQ"]}).status_code == 400
    own = ask(client, {"prefer": "cheapest"}, "tiny")
    assert (own.status_code, own.json()["error"]["param"]) == (400, "routing")
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    assert service.store.list(None) == []


# The price floor ----------------------------------------------------------------------------------------------------


def test_a_running_job_is_quoted_anew_within_its_keys_budget(store: Store) -> None:
    store.keys.put(KeyRow("key-acme", "acme", "k", "hash", limits={"budget_usd": 3.0}))
    made = store.create(new_job(quote={"cost": 1.0, "seconds": 1.0}))[0]
    other = store.create(new_job(quote={"cost": 0.5, "seconds": 1.0}))[0]
    claim = store.claim("w1")
    assert claim is not None and claim.job.id == made.id
    store.requote(claim, 2.25)
    quote = store.get(made.id).quote
    assert (quote["cost"], quote["quoted_first"]) == (2.25, 1.0)
    store.requote(claim, 2.5)  # 0.5 is reserved by the other one
    with pytest.raises(QuotaExceeded, match=r"would now cost 2\.6"):
        store.requote(claim, 2.6)
    quote = store.get(made.id).quote
    assert (quote["cost"], quote["quoted_first"]) == (2.5, 1.0)
    store.requote(claim, 0.1)  # never lowered: what it costs in the end is charged anyway
    assert store.get(made.id).quote["cost"] == 2.5
    assert store.get(other.id).quote["cost"] == 0.5
    with pytest.raises(WorkerLost):
        store.requote(replace(claim, worker="w2"), 2.0)


def test_nothing_is_bought_that_the_job_cannot_afford(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "l.sqlite")
    asked: list[int] = []

    def refuse(micros: int) -> None:
        asked.append(micros)
        raise QuotaExceeded("over")

    wish = Wish(Request("A horse.", seconds=5, size="720p"), "happyhorse-1.1", allow=frozenset({"seed"}))
    step = fleet.dispatch.step(Task("job-1", "t", "k", wish, afford=refuse), tmp_path)
    assert (step.state, type(step.error)) == ("failed", QuotaExceeded)
    assert asked[0] > 0
    assert not fleet.simulator.submits and not fleet.ledger.attempts("job-1")
    assert fleet.ledger.totals()["held"] == 0
    fleet.close()


@pytest.mark.parametrize("over_quote", ["requote", "refuse"])
def test_a_job_quoted_too_low_fails_before_it_costs_anything(tmp_path: Path, over_quote: str) -> None:
    """From the job table through the runner: the quote is a tenth of the price, the budget does not cover the rest."""
    fleet = Fleet(tmp_path / "l.sqlite")
    jobs = Store.open(tmp_path / "jobs.sqlite")
    rules = routing.parse({"over_quote": over_quote}, KEYS)
    jobs.keys.put(KeyRow("key-acme", "acme", "k", "hash", limits={"budget_usd": 0.1}))
    request = Request("A horse.", seconds=5, size="720p").to_dict()
    base = new_job(model="auto", quote={"cost": 0.05, "seconds": 1.0}, metadata={"model_requested": "happyhorse-1.1"})
    job: Job = jobs.create(replace(base, request=request))[0]

    def dispatch(_: routing.Routing, __: str) -> Dispatch:
        return fleet.dispatch

    runner = RemoteRunner(lambda: rules, dispatch, sleep=lambda _: None)
    from muybridge.jobs.artifacts import open_artifacts

    run_worker(jobs, open_artifacts(tmp_path / "a"), runner, spec=WorkerSpec("", "", ""), until_idle=True)
    done = jobs.get(job.id)
    assert (done.status, (done.error or {})["code"]) == ("failed", "quota")
    assert "quoted at" in (done.error or {})["message"]
    assert not fleet.simulator.submits and jobs.ledger.list() == []
    jobs.close()
    fleet.close()
