"""Fleets: local processes that are restarted and drained, Ray actors that move to another node, kill -9 at random."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from jobs_database import new_job, postgres, spec, store, url
from typer.testing import CliRunner

from muybridge.api.ids import public_id
from muybridge.cli import jobs as verbs
from muybridge.errors import NotFound, UserError
from muybridge.jobs.fleet import Fleet, RayFleet
from muybridge.jobs.store import Store
from muybridge.jobs.worker import WorkerSpec, load_runner

__all__ = ["postgres", "spec", "store", "url"]  # fixtures
BENCH = Path(__file__).parents[1] / "bench" / "jobs.py"


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_a_killed_worker_is_replaced_and_its_job_freed_at_once(store: Store, spec: WorkerSpec) -> None:
    job, _ = store.create(new_job(steps=40, step_s=0.05))
    fleet = Fleet(replace(spec, lease_s=600.0), 1)  # nobody waits for this lease
    fleet.start()
    try:
        wait_for(lambda: store.get(job.id).progress > 10.0)
        os.kill(fleet.pids()[0], signal.SIGKILL)
        wait_for(lambda: store.get(job.id).status == "completed")
        assert store.get(job.id).attempt == 2
    finally:
        assert fleet.stop(20.0)
    assert fleet.pids() == []


def test_stop_drains_every_worker(store: Store, spec: WorkerSpec) -> None:
    ids = [store.create(new_job(steps=400, step_s=0.05))[0].id for _ in range(2)]
    fleet = Fleet(spec, 2)
    fleet.start()
    wait_for(lambda: all(store.get(i).progress > 0 for i in ids))
    assert fleet.stop(20.0), "every worker ended by itself"
    assert [store.get(i).status for i in ids] == ["queued", "queued"]
    assert [store.get(i).failures for i in ids] == [0, 0]


def test_a_worker_that_does_not_drain_is_killed(tmp_path: Path) -> None:
    url = str(tmp_path / "jobs.sqlite")
    store = Store.open(url)
    job, _ = store.create(new_job(steps=2, step_s=60.0))
    fleet = Fleet(WorkerSpec(url, str(tmp_path / "a"), "muybridge.jobs.toy:runner"), 1)
    fleet.start()
    wait_for(lambda: store.get(job.id).status == "in_progress")
    assert not fleet.stop(0.3)
    assert store.get(job.id).status == "queued", "and its job is free again"
    store.close()


def test_a_worker_that_cannot_start_is_retried_ever_more_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MUYBRIDGE_LOG_LEVEL", "critical")
    caplog.set_level(logging.WARNING, "muybridge.fleet")
    fleet = Fleet(WorkerSpec(str(tmp_path / "jobs.sqlite"), str(tmp_path / "a"), "no.such:runner"), 1)
    fleet.start()
    wait_for(lambda: sum("a new one starts in" in r.message for r in caplog.records) >= 2)
    fleet.stop(5.0)
    pauses = [float(r.message.split("starts in ")[1].split()[0]) for r in caplog.records if "starts in" in r.message]
    assert pauses[:2] == [0.2, 0.4]


def test_a_spec_survives_the_journey() -> None:
    spec = WorkerSpec("d", "a", "m:r", models=("x", "y"), store={"max_failures": 5})
    assert WorkerSpec.from_json(spec.to_json()) == spec
    for name in ("json", "json:nothing", "no.such.module:runner", ":"):
        with pytest.raises(UserError, match="module:attribute"):
            load_runner(name)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_random_kills_lose_nothing(kind: str) -> None:
    """A short run of the experiment; `bench/jobs.py chaos` does 200 kills."""
    command = [sys.executable, str(BENCH), "chaos", "--kills", "15", "--jobs", "25"]
    done = subprocess.run(
        [*command, *(["--postgres"] if kind == "postgres" else [])], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout
    verdict = json.loads(done.stdout)
    assert sum(verdict["kills"].values()) == 15
    assert verdict["acknowledged"] == verdict["jobs"] == 25
    assert verdict["attempts"] > 25, "no kill met a running job: the experiment proved nothing"
    assert verdict["lost"] == verdict["published_twice"] == verdict["charged_twice"] == verdict["wrong_outputs"] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_ray_moves_workers_off_a_dead_node(tmp_path: Path) -> None:
    """Two nodes, a replica on each; one node is killed; its replica starts again elsewhere and its job is resumed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.cluster_utils import Cluster

    url = str(tmp_path / "jobs.sqlite")
    store = Store.open(url)
    spec = WorkerSpec(
        url, str(tmp_path / "a"), "muybridge.jobs.toy:runner", lease_s=3.0, poll_s=0.1, checkpoint_every_s=0.0
    )
    ids = [store.create(new_job(seed=n, steps=60, step_s=0.1))[0].id for n in range(4)]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        fleet = RayFleet(spec, 2)
        places = fleet.whereabouts()
        assert len({node for node, _ in places}) == 2, "one replica a node"
        wait_for(lambda: len(store.running()) == 2)
        spare = cluster.add_node(num_cpus=1)
        cluster.remove_node(nodes[0], allow_graceful=False)
        os.kill(fleet.whereabouts()[1][1], signal.SIGKILL)  # and one actor's process dies by itself
        wait_for(lambda: all(store.get(i).status == "completed" for i in ids), 120.0)
        assert spare.node_id in {node for node, _ in fleet.whereabouts()}
        assert sum(store.get(i).attempt for i in ids) > 4
        assert len(store.ledger.list()) == 4
        assert fleet.stop(30.0)
    finally:
        ray.shutdown()
        cluster.shutdown()
        store.close()


# The verbs


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    verbs.register(app)
    return app


def test_list_show_and_cancel(app: typer.Typer, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "jobs.sqlite"))
    job, _ = store.create(new_job())
    data = ["--data", str(tmp_path)]
    run = CliRunner().invoke
    assert job.id in run(app, ["jobs", "list", *data]).output
    assert [j["id"] for j in json.loads(run(app, ["jobs", "list", *data, "--json"]).output)] == [job.id]
    assert json.loads(run(app, ["jobs", "list", *data, "--json", "--status", "failed"]).output) == []
    shown = json.loads(run(app, ["jobs", "show", job.id, *data, "--json"]).output)
    assert shown["status"] == "queued" and shown["events"][0]["status"] == "queued"
    assert "queued" in run(app, ["jobs", "show", job.id, *data]).output
    public = public_id(job.id, "native")  # what a caller quotes
    assert json.loads(run(app, ["jobs", "show", public, *data, "--json"]).output)["id"] == job.id
    claim = store.claim("w")
    assert claim is not None
    assert "stops at its next step" in run(app, ["jobs", "cancel", job.id, *data]).output
    store.confirm_cancel(claim)
    assert json.loads(run(app, ["jobs", "cancel", job.id, *data, "--json"]).output)["status"] == "cancelled"
    assert isinstance(run(app, ["jobs", "show", "nothing", *data]).exception, NotFound)
    assert isinstance(run(app, ["jobs", "list", "--data", str(tmp_path / "nowhere")]).exception, UserError)
    assert not (tmp_path / "nowhere").exists()
    store.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_worker_verb_works_until_it_is_told_to_stop(tmp_path: Path, workers: str) -> None:
    store = Store.open(str(tmp_path / "jobs.sqlite"))
    mine, _ = store.create(new_job(model="toy"))
    other, _ = store.create(new_job(model="other"))
    code = "import typer; from muybridge.cli import jobs; app = typer.Typer(); jobs.register(app); app()"
    args = ["worker", "--data", str(tmp_path), "--runner", "muybridge.jobs.toy:runner", "--model", "toy,none"]
    process = subprocess.Popen([sys.executable, "-c", code, *args, "--workers", workers])
    wait_for(lambda: store.get(mine.id).status == "completed")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20.0) == 0
    assert store.get(other.id).status == "queued"
    store.close()
