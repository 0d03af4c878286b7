"""The bridge from jobs to the engine: files of a clip, previews, resume after kill -9 with the same bytes, cancel."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from local_worker import small_engine

from muybridge import media
from muybridge.jobs.artifacts import open_artifacts
from muybridge.jobs.job import Job, NewJob
from muybridge.jobs.store import Store
from muybridge.jobs.worker import WorkerSpec, run_worker
from muybridge.providers import local
from muybridge.request import Request
from muybridge.shapes import cost

REQUEST = Request("a horse runs", seconds=3, size="64x64", num_inference_steps=6)


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    threads = torch.get_num_threads()
    local._loaded.clear()
    local._loaded["tiny"] = small_engine()
    yield
    local._loaded.clear()
    torch.set_num_threads(threads)


def spec_in(folder: Path) -> WorkerSpec:
    folder.mkdir(exist_ok=True)
    runner = "muybridge.providers.local:runner"
    return WorkerSpec(str(folder / "jobs.db"), str(folder / "files"), runner, lease_s=3.0, checkpoint_every_s=0.0)


def submit(spec: WorkerSpec, request: Request = REQUEST) -> Job:
    job, created = Store.open(spec.database).create(NewJob("t", "k", "native", "tiny", request.to_dict()))
    assert created
    return job


def run(spec: WorkerSpec) -> None:
    run_worker(Store.open(spec.database), open_artifacts(spec.artifacts), local.runner, spec=spec, until_idle=True)


def sums(spec: WorkerSpec, job: Job) -> dict[str, str]:
    done = Store.open(spec.database).get(job.id)
    assert done.status == "completed", done.error
    return {a.kind: a.sha256 for a in done.artifacts}


def test_a_job_becomes_a_clip_with_its_pictures(tmp_path: Path) -> None:
    spec = spec_in(tmp_path / "a")
    job = submit(spec)
    run(spec)
    done = Store.open(spec.database).get(job.id)
    assert set(sums(spec, job)) == {"video", "thumbnail", "spritesheet", "last_frame"}
    clip = next(a for a in done.artifacts if a.kind == "video")
    path = tmp_path / "clip.mp4"
    path.write_bytes(open_artifacts(spec.artifacts).get(clip.key))
    info = media.probe(path)
    assert (info.width, info.height) == (64, 64)
    assert info.duration_s == pytest.approx(3.0)
    assert done.usage["output_s"] == 3.0
    assert done.usage["flops"] > 0
    assert done.usage["device"] == "cpu" and done.usage["compute_s"] > 0
    (charge,) = Store.open(spec.database).ledger.list()  # what later quotes are measured by
    assert (charge.model_actual, charge.device) == ("tiny", "cpu")
    assert charge.formula_s == pytest.approx(cost(REQUEST, "tiny").seconds, rel=1e-6)


def test_a_worker_killed_mid_denoise_is_followed_by_one_that_gives_the_same_bytes(tmp_path: Path) -> None:
    calm, rough = spec_in(tmp_path / "calm"), spec_in(tmp_path / "rough")
    whole = submit(calm)
    run(calm)
    job = submit(rough)
    store = Store.open(rough.database)
    script = Path(__file__).parent / "local_worker.py"
    worker = subprocess.Popen([sys.executable, str(script), rough.to_json()], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        now = store.get(job.id)
        if now.stage == "base" and now.progress > 10:
            break
        assert worker.poll() is None
        time.sleep(0.005)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert worker.stdout is not None
    worker.stdout.close()
    assert store.get(job.id).status == "in_progress"
    deadline = time.monotonic() + 60
    while not store.get(job.id).ended and time.monotonic() < deadline:
        run(rough)
        time.sleep(0.2)
    assert sums(rough, job) == sums(calm, whole)
    assert store.get(job.id).attempt == 2


def test_a_cancelled_job_stops_at_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_in(tmp_path / "c")
    job = submit(spec)
    store = Store.open(spec.database)
    steps: list[int] = []
    real = local._loaded["tiny"].step

    def step(state: object) -> object:
        steps.append(1)
        if len(steps) == 2:
            store.cancel(job.id, "t")
        return real(state)  # type: ignore[arg-type]  # the engine's own state passes through

    monkeypatch.setattr(local._loaded["tiny"], "step", step)
    run(spec)
    assert store.get(job.id).status == "cancelled"
    assert len(steps) <= 3


def test_what_the_model_cannot_do_is_the_user_s_error(tmp_path: Path) -> None:
    spec = spec_in(tmp_path / "d")
    local._loaded["tiny"].parts = replace(local._loaded["tiny"].parts, upscaler=None)
    job = submit(spec, REQUEST.replace(size="720p"))
    run(spec)
    failed = Store.open(spec.database).get(job.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert "upscaler" in failed.error["message"]
    assert failed.attempt == 1


@pytest.mark.parametrize("has_sound", [True, False])
def test_an_extension_is_joined_to_the_clip_before_it(tmp_path: Path, has_sound: bool) -> None:
    before = tmp_path / "before.mp4"
    sound = np.full((1, 50 * 960), 0.25, np.float32) if has_sound else None
    grey = np.full((50, 32, 32, 3), 120, np.uint8)
    media.write_clip(before, grey, sound, sample_rate=24000 if has_sound else None, poster=False)
    new = local._loaded["tiny"].generate(REQUEST.replace(num_inference_steps=1))
    whole = local.joined(before, new)
    assert len(whole.frames_TYXC) == 50 + 75
    assert np.abs(whole.frames_TYXC[:50].astype(int) - 120).max() < 8
    np.testing.assert_array_equal(whole.frames_TYXC[50:], new.frames_TYXC)
    assert whole.waveform_CS is not None
    assert whole.waveform_CS.shape == (2, 125 * 960)
    level = float(np.abs(whole.waveform_CS[:, 4800:43200]).mean())
    assert level == pytest.approx(0.25 if has_sound else 0.0, abs=0.02)
