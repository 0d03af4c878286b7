"""Jobs through the service give files that verify, whoever made them and whatever was killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from api_server import toy_runner
from test_api_serve import serve
from test_providers_api import _Hasty

from muybridge.jobs.artifacts import open_artifacts, sha256_of
from muybridge.jobs.job import Artifact, Job, NewJob
from muybridge.jobs.store import Store
from muybridge.jobs.worker import Finisher, WorkerSpec, run_worker
from muybridge.providers import routing
from muybridge.providers.attempts import Dispatch, World
from muybridge.providers.ledger import Ledger
from muybridge.providers.remote import RemoteRunner
from muybridge.providers.results import check
from muybridge.providers.signed import finisher as real_finisher
from muybridge.providers.signed import signing
from muybridge.providers.simulator import InProcess, Simulator, small_clip
from muybridge.request import Request
from muybridge.trust.identity import open_identity
from muybridge.trust.provenance import Signer, Statement
from muybridge.trust.rules import Rules
from muybridge.trust.verify import verify

HERE = Path(__file__).parent


def spec_in(data: Path, rules: Rules | None = None, runner: str = "api_server:toy_runner") -> WorkerSpec:
    data.mkdir(exist_ok=True)
    spec = WorkerSpec(str(data / "jobs.sqlite"), str(data / "artifacts"), runner, lease_s=2.0, backoff_s=0.0)
    return signing(spec, data, rules or Rules())


def submit(store: Store, model: str = "tiny", **request: object) -> Job:
    body = Request(**{"prompt": "A secret horse.", "seconds": 3.0, "size": "720p"} | request).to_dict()  # type: ignore[arg-type]
    return store.create(NewJob("tenant-acme", "key-1", "native", model, body | {"seed": 3}, quote={"cost": 9.0}))[0]


def fetched(spec: WorkerSpec, artifact: Artifact, folder: Path) -> Path:
    path = folder / artifact.key.rpartition("/")[2]
    path.write_bytes(open_artifacts(spec.artifacts).get(artifact.key))
    return path


def test_a_job_gives_files_that_verify(tmp_path: Path) -> None:
    spec = spec_in(tmp_path / "data")
    store = Store.open(spec.database)
    job = submit(store)
    run_worker(store, open_artifacts(spec.artifacts), toy_runner, spec=spec, until_idle=True)
    done = store.get(job.id)
    assert done.status == "completed", done.error
    assert {a.kind for a in done.artifacts} == {"video", "last_frame", "thumbnail"}
    for artifact in done.artifacts:
        path = fetched(spec, artifact, tmp_path)
        assert (sha256_of(path), path.stat().st_size) == (artifact.sha256, artifact.bytes)
        report = verify(path, tmp_path / "data/provenance/root.pem")
        assert report.complaint() is None and report.trusted
        assert report.made_by == {"job": job.id, "model": "tiny"}
        data = path.read_bytes()
        assert not any(word in data for word in (b"secret", b"acme", b"key-1"))
    store.close()


def test_an_edit_says_that_it_is_one(tmp_path: Path) -> None:
    spec = spec_in(tmp_path / "data")
    store = Store.open(spec.database)
    (tmp_path / "source.mp4").write_bytes(small_clip(3.0))
    job = submit(store, video=tmp_path / "source.mp4")
    run_worker(store, open_artifacts(spec.artifacts), toy_runner, spec=spec, until_idle=True)
    clip = next(a for a in store.get(job.id).artifacts if a.kind == "video")
    assert verify(fetched(spec, clip, tmp_path)).source_type == "compositeWithTrainedAlgorithmicMedia"
    store.close()


def test_switched_off_files_are_as_the_runner_made_them(tmp_path: Path) -> None:
    spec = spec_in(tmp_path / "data", Rules(sign=False))
    assert spec.finisher is None and not (tmp_path / "data/provenance").exists()


def killing_finisher(folder: str, rules: dict[str, object]) -> Finisher:
    """Signs like the real one; the first time, the process is gone between the signature and the publication."""
    finish = real_finisher(folder, rules)

    def once(job: Job, result: object, workdir: Path) -> object:
        done = finish(job, result, workdir)  # type: ignore[arg-type]  # handed on
        if job.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return once  # type: ignore[return-value]


def test_a_kill_between_signing_and_publishing_loses_and_doubles_nothing(tmp_path: Path) -> None:
    spec = replace(spec_in(tmp_path / "data"), finisher="test_providers_signed:killing_finisher")
    store = Store.open(spec.database)
    job = submit(store)
    code = "import sys, muybridge.jobs.worker as w; w.work(w.WorkerSpec.from_json(sys.argv[1]), until_idle=True)"
    command = [sys.executable, "-c", code, spec.to_json()]
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    assert store.get(job.id).status == "in_progress" and store.get(job.id).artifacts == ()
    until = time.monotonic() + 60
    while not store.get(job.id).ended and time.monotonic() < until:
        assert subprocess.run(command, env=environment).returncode == 0
        time.sleep(0.2)
    done = store.get(job.id)
    assert (done.status, done.attempt) == ("completed", 2)
    assert len(store.ledger.list()) == 1
    clip = next(a for a in done.artifacts if a.kind == "video")
    assert clip.key.startswith(f"{job.id}/2/")
    assert verify(fetched(spec, clip, tmp_path)).complaint() is None
    store.close()


class Provider:
    """A simulated provider that signs its clips, behind the real router and the real check of its files."""

    def __init__(self, folder: Path) -> None:
        theirs = Signer(open_identity(Rules(organisation="A Provider Ltd"), folder / "theirs"))

        def clip(seconds: float) -> bytes:
            source, target = folder / "theirs.mp4", folder / "theirs-signed.mp4"
            source.write_bytes(small_clip(seconds))
            theirs.sign(source, target, "video/mp4", Statement("their-job", "their-model"))
            return target.read_bytes()

        self.simulator = Simulator(render_s=0.1, clip=clip)

    def runner(self, spec: WorkerSpec) -> RemoteRunner:
        operator = routing.parse({"allow": ["seed", "size"]}, {"MUYBRIDGE_FAL_KEY": "simulated"})
        ledger = Ledger.open(Store.open(spec.database).database.url)

        def dispatch(_: routing.Routing, __: str) -> Dispatch:
            remotes = operator.remotes(InProcess(self.simulator))
            for remote in remotes:
                remote.base, remote.trusted = f"{self.simulator.url}/{remote.offers[0].lane}", True
                remote.wire = _Hasty(remote.wire)
            return Dispatch(ledger, operator.offers(), remotes, check, rules=operator.rules(), world=World())

        return RemoteRunner(lambda: operator, dispatch, sleep=lambda s: time.sleep(min(s, 0.05)))


@pytest.mark.parametrize("leave", [(), ("fal",)])
def test_a_provider_s_result_is_signed_on_top_of_its_own_manifest(tmp_path: Path, leave: tuple[str, ...]) -> None:
    spec = replace(spec_in(tmp_path / "data", Rules(leave=leave)), lease_s=60.0)
    store = Store.open(spec.database)
    provider = Provider(tmp_path)
    job = submit(store, "auto", size="480p")
    run_worker(store, open_artifacts(spec.artifacts), provider.runner(spec), spec=spec, until_idle=True)
    done = store.get(job.id)
    assert done.status == "completed", done.error
    assert "original" not in done.usage and "original" not in done.usage["route"]
    clip, *pictures = sorted(done.artifacts, key=lambda a: a.kind != "video")
    report = verify(fetched(spec, clip, tmp_path))
    if leave:
        assert not report.signed
        return
    assert report.complaint() is None
    assert report.made_by["provider"] == "fal" and report.made_by["model"] == done.model_actual
    assert report.made_by["model_id"] and report.made_by["original"]["manifest"] == "intact"
    (parent,) = report.ingredients
    assert (parent["signer"], parent["relationship"]) == ("A Provider Ltd, Local signer", "parentOf")
    assert all(verify(fetched(spec, p, tmp_path)).complaint() is None for p in pictures)
    store.close()


def test_muybridge_serve_signs_without_being_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("MUYBRIDGE_HOME", str(tmp_path / "home"))
    with serve(tmp_path / "data", runner="api_server:toy_runner") as served:
        client = httpx.Client(
            base_url=served.url, headers={"Authorization": f"Bearer {served.key}"}, trust_env=False, timeout=60
        )
        with client:
            made = client.post("/v1/videos", json={"prompt": "A horse.", "seconds": 3}).json()
            until = time.monotonic() + 60
            while (now := client.get(f"/v1/videos/{made['id']}").json())["status"] != "completed":
                assert time.monotonic() < until, now
                threading.Event().wait(0.1)
            (tmp_path / "clip.mp4").write_bytes(client.get(f"/v1/videos/{made['id']}/content").content)
    report = verify(tmp_path / "clip.mp4", tmp_path / "data/provenance/root.pem")
    assert report.complaint() is None and report.trusted
    assert (tmp_path / "data/provenance/key.pem").stat().st_mode & 0o777 == 0o600
