"""The ten promises of the job table, each a test of that name, on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from jobs_database import new_job, postgres, spec, store, url

from muybridge.errors import Conflict, DoesNotFit, Unavailable, WorkerLost
from muybridge.jobs import toy
from muybridge.jobs.artifacts import open_artifacts
from muybridge.jobs.job import Artifact, Claim, Job, NewJob
from muybridge.jobs.store import Store
from muybridge.jobs.worker import EXIT_RESTART, Hook, RunResult, WorkerSpec, run_worker

__all__ = ["postgres", "spec", "store", "url"]  # fixtures


def run(store: Store, spec: WorkerSpec, runner: Callable[..., RunResult] = toy.runner, **settings: object) -> int:
    return run_worker(store, open_artifacts(spec.artifacts), runner, spec=spec, until_idle=True, **settings)  # type: ignore[arg-type]


def start_worker(spec: WorkerSpec, worker_id: str = "child") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from muybridge.jobs.worker import main; main()", worker_id]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(spec.to_json().encode())
    process.stdin.close()
    return process


def wait_for(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def claimed(store: Store, worker: str = "w", lease_s: float = 60.0) -> Claim:
    claim = store.claim(worker, lease_s=lease_s)
    assert claim is not None
    return claim


def sha256(job: Job) -> str:
    return job.artifacts[0].sha256


def uninterrupted(tmp_path: Path, request: NewJob) -> str:
    """The digest of the result of a run that nothing disturbed, in a world of its own."""
    alone = Store.open(str(tmp_path / "alone.sqlite"))
    job, _ = alone.create(replace(request, idempotency_key=None))
    spec = WorkerSpec("", str(tmp_path / "alone"), "", checkpoint_every_s=1e9)
    run(alone, spec)
    digest = sha256(alone.get(job.id))
    alone.close()
    return digest


def test_1_create_is_idempotent(store: Store) -> None:
    new = new_job(idempotency_key="k", body_hash="one")
    first, created = store.create(new)
    assert created
    assert store.create(new) == (first, False)
    with pytest.raises(Conflict, match="another body"):
        store.create(replace(new, body_hash="two"))
    other, created = store.create(replace(new, tenant="other"))
    assert created and other.id != first.id
    with ThreadPoolExecutor(8) as pool:
        racing = list(pool.map(lambda _: store.create(replace(new, idempotency_key="race")), range(16)))
    assert len({job.id for job, _ in racing}) == 1
    assert sum(created for _, created in racing) == 1
    assert sum(lane["queued"] for lane in store.queue()) == 3


def test_1_an_idempotency_key_may_be_used_anew_after_its_window(url: str) -> None:
    store = Store.open(url, idempotency_s=0.2)
    new = new_job(idempotency_key="k", body_hash="one")
    first, _ = store.create(new)
    time.sleep(0.25)
    second, created = store.create(replace(new, body_hash="two"))
    assert created and second.id != first.id
    assert store.get(first.id).idempotency_key is None
    store.close()


def test_2_execution_is_at_least_once_and_publication_exactly_once(store: Store) -> None:
    """A worker whose lease ran out goes on, finishes and even publishes late: only the new holder's result counts."""
    job, _ = store.create(new_job(quote={"cost": 2.0}, webhook={"url": "https://example.org"}))
    old = claimed(store, "old", lease_s=0.0)
    assert store.reap(now=time.time() + 1) == [job.id]
    new = claimed(store, "new")
    assert (old.attempt, new.attempt) == (1, 2)
    stale, good = (Artifact("video", f"{job.id}/{n}/clip", "video/mp4", 1, str(n)) for n in (1, 2))
    for write in (
        lambda: store.renew(old, "base", 50.0),
        lambda: store.finish(old, (stale,), {}),
        lambda: store.fail(old, "internal", "", False),
        lambda: store.requeue(old, None, "drain"),
        lambda: store.confirm_cancel(old),
    ):
        with pytest.raises(WorkerLost):
            write()
    done = store.finish(new, (good,), {"output_s": 5.0})
    assert done.status == "completed" and done.artifacts == (good,)
    with pytest.raises(WorkerLost):
        store.finish(old, (stale,), {})
    assert store.finish(new, (good,), {"output_s": 5.0}).artifacts == (good,)  # a lost answer, asked again
    assert [(c.job_id, c.attempt, c.cost) for c in store.ledger.list()] == [(job.id, 2, 2.0)]
    assert len(store.deliveries.of_job(job.id)) == 1


def test_2_the_same_worker_name_does_not_defeat_the_fence(store: Store) -> None:
    store.create(new_job())
    old = claimed(store, "w", lease_s=0.0)
    store.reap(now=time.time() + 1)
    claimed(store, "w")
    with pytest.raises(WorkerLost):
        store.finish(old, (), {})


def test_3_the_lease_is_renewed_by_progress_not_by_a_thread(store: Store, spec: WorkerSpec) -> None:
    """A runner that hangs loses its job while its process lives; what it does afterwards is refused."""
    job, _ = store.create(new_job())
    spec = replace(spec, lease_s=0.5)
    hung, release = threading.Event(), threading.Event()
    fates: list[str] = []

    def hang(_job: Job, _checkpoint: bytes | None, hook: Hook, _workdir: Path) -> RunResult:
        hook.step("base", 10.0)
        hung.set()
        release.wait(20.0)
        try:
            hook.step("base", 20.0)
        except WorkerLost:
            fates.append("lost")
            raise
        return RunResult(())

    thread = threading.Thread(target=run, args=(store, spec, hang), kwargs={"max_jobs": 1})
    thread.start()
    hung.wait(20.0)
    wait_for(lambda: run(store, spec, worker_id="second") == 0 and store.get(job.id).status == "completed")
    release.set()
    thread.join()
    assert fates == ["lost"]
    done = store.get(job.id)
    assert (done.status, done.attempt) == ("completed", 2)
    assert len(store.ledger.list()) == 1


def test_3_a_hung_process_ends_itself(spec: WorkerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer of faulthandler needs no interpreter lock: it ends a process that is stuck anywhere."""
    monkeypatch.setattr("muybridge.jobs.worker.WATCHDOG_GRACE_S", 0.0)
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        alone = Store.open(spec.database)
        alone.create(new_job(steps=2, step_s=60.0))
        run(alone, replace(spec, lease_s=0.3, watchdog=True))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_4_a_crash_mid_run_resumes_from_the_last_checkpoint_with_the_same_bytes(
    store: Store, spec: WorkerSpec, tmp_path: Path
) -> None:
    request = new_job(seed=7, steps=12, step_s=0.1)
    job, _ = store.create(request)
    child = start_worker(spec)
    wait_for(lambda: store.get(job.id).progress >= 40.0)
    child.send_signal(signal.SIGKILL)
    child.wait()
    store.reap(worker="child")
    assert store.get(job.id).status == "queued"
    run(store, spec)
    done = store.get(job.id)
    assert (done.status, done.attempt) == ("completed", 2)
    assert sha256(done) == uninterrupted(tmp_path, request)
    events = store.events(job.id)
    again = next(e.seq for e in events if e.data.get("attempt") == 2)
    resumed_at = next(e.data["progress"] for e in events if e.kind == "progress" and e.seq > again)
    assert resumed_at > 40.0, "the second attempt began anew"


def test_4_a_damaged_or_missing_checkpoint_means_a_fresh_start(store: Store, spec: WorkerSpec, tmp_path: Path) -> None:
    artifacts = open_artifacts(spec.artifacts)
    for damage in ("flip", "remove"):
        job, _ = store.create(new_job(seed=3, steps=4))
        claim = claimed(store)
        hook = Hook(store, artifacts, claim, spec, lambda: False)
        hook.step("base", 25.0, checkpoint=lambda: b"good")
        assert hook.checkpoint_key is not None
        if damage == "flip":
            artifacts.put(hook.checkpoint_key, b"evil")
        else:
            artifacts.delete(hook.checkpoint_key)
        store.requeue(claim, None, "test")
        run(store, spec)
        assert sha256(store.get(job.id)) == uninterrupted(tmp_path, new_job(seed=3, steps=4))


def test_5_cancel_stops_the_work_at_the_next_step(store: Store, spec: WorkerSpec) -> None:
    queued, _ = store.create(new_job(model="nobody-serves-this"))
    assert store.cancel(queued.id, "acme").status == "cancelled"
    job, _ = store.create(new_job())
    steps: list[int] = []

    def endless(_job: Job, _checkpoint: bytes | None, hook: Hook, _workdir: Path) -> RunResult:
        for step in range(1000):
            steps.append(step)
            if step == 3:
                answer = store.cancel(job.id)
                assert answer.status == "in_progress" and answer.cancel_requested, "not cancelled before it stopped"
            hook.step("base", step / 10)
        return RunResult(())

    run(store, spec, endless)
    done = store.get(job.id)
    assert steps == [0, 1, 2, 3]
    assert (done.status, done.error["code"] if done.error else None) == ("cancelled", "cancelled")
    assert store.cancel(job.id) == done
    assert store.ledger.list() == []


def test_5_a_cancelled_job_whose_worker_dies_is_cancelled_not_retried(store: Store) -> None:
    job, _ = store.create(new_job())
    claimed(store, "w", lease_s=0.0)
    store.cancel(job.id)
    store.reap(now=time.time() + 1)
    assert store.get(job.id).status == "cancelled"
    assert store.claim("v") is None


def test_5_a_result_that_comes_before_the_cancel_is_seen_stays(store: Store) -> None:
    job, _ = store.create(new_job())
    claim = claimed(store)
    store.cancel(job.id)
    assert store.finish(claim, (), {}).status == "completed"
    assert store.cancel(job.id).status == "completed"


def test_6_a_job_of_higher_priority_preempts_at_a_step(store: Store, spec: WorkerSpec, tmp_path: Path) -> None:
    """The batch job is checkpointed and requeued, the urgent one runs, the batch job resumes and loses nothing."""
    batch, _ = store.create(new_job(seed=5, steps=6))
    order: list[tuple[int, str]] = []

    def watched(job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
        order.append((job.priority, "start" if checkpoint is None else "resume"))
        if job.priority == 0 and checkpoint is None:
            store.create(new_job(priority=5))
        return toy.runner(job, checkpoint, hook, workdir)

    run(store, spec, watched)
    assert order == [(0, "start"), (5, "start"), (0, "resume")]
    done = store.get(batch.id)
    assert (done.status, done.attempt, done.failures) == ("completed", 2, 0)
    assert sha256(done) == uninterrupted(tmp_path, new_job(seed=5, steps=6))


def test_6_only_as_many_jobs_yield_as_are_needed(store: Store) -> None:
    for priority in (0, 1, 1, 2):
        store.create(new_job(priority=priority))
    claims = [claimed(store, f"w{n}") for n in range(4)]
    store.create(new_job(priority=2))
    yields = {c.job.priority: [] for c in claims} | {}
    for claim in claims:
        yields[claim.job.priority].append(store.renew(claim, "base", 1.0).preempt)
    assert yields == {0: [True], 1: [False, False], 2: [False]}
    store.create(new_job(priority=9, model="other"))
    elsewhere = replace(claims[0], models=("toy",))
    assert not store.renew(elsewhere, "base", 2.0).preempt, "this worker could not serve that job"


def test_7_failures_are_typed_and_retried_by_rule(store: Store, spec: WorkerSpec) -> None:
    def outcome(**request: object) -> tuple[str, int, str | None]:
        job, _ = store.create(new_job(**request))
        while run(store, spec) == EXIT_RESTART:
            pass
        job = store.get(job.id)
        return job.status, job.attempt, job.error["code"] if job.error else None

    assert outcome(raises="invalid_input") == ("failed", 1, "invalid_input")
    assert outcome(raises="out_of_memory") == ("failed", 1, "out_of_memory")
    assert outcome(raises="moderation_output") == ("failed", 1, "moderation_output")
    assert outcome(raises="a bug of ours") == ("failed", 1, "internal")
    assert outcome(raises="device_error") == ("failed", 4, "device_error")
    assert outcome(raises="device_error", raises_until_attempt=2) == ("completed", 3, None)
    assert outcome(raises="timeout", raises_until_attempt=1) == ("completed", 2, None)
    assert len(store.ledger.list()) == 2, "failures cost nothing"


def test_7_a_device_failure_ends_the_process(store: Store, spec: WorkerSpec) -> None:
    store.create(new_job(raises="device_error", raises_until_attempt=1))
    assert run(store, spec) == EXIT_RESTART


def test_7_a_failure_that_may_pass_waits_before_its_retry(store: Store, spec: WorkerSpec) -> None:
    job, _ = store.create(new_job(raises="timeout", raises_until_attempt=1))
    run(store, replace(spec, backoff_s=0.3))
    assert store.get(job.id).status == "queued"
    wait_for(lambda: run(store, spec) == 0 and store.get(job.id).status == "completed")


def test_7_a_job_that_gets_on_between_crashes_is_not_given_up(store: Store) -> None:
    job, _ = store.create(new_job())
    for n in range(1, 9):
        claim = claimed(store)
        store.renew(claim, "base", 10.0 * n, checkpoint_key=f"{job.id}/{n}/c")
        store.reap(worker="w")
    assert store.get(job.id).status == "queued"
    for _ in range(3):
        claim = claimed(store)
        store.renew(claim, "base", 80.0, checkpoint_key=f"{job.id}/9/c")  # no further than before
        store.reap(worker="w")
    assert store.get(job.id).status == "failed"


def test_8_preflight_refuses_before_anything_is_queued(url: str) -> None:
    def preflight(new: NewJob) -> None:
        if new.request["seed"] > 1:
            raise DoesNotFit("1080p needs 96 GB and this machine has 80; choose 720p.")

    store = Store.open(url, preflight=preflight)
    with pytest.raises(DoesNotFit, match="choose 720p"):
        store.create(new_job(seed=2))
    assert store.list(None) == [] and store.queue() == []
    store.create(new_job(seed=1))
    for quote in ({"seconds": float("nan")}, {"cost": -1}, {"seconds": "long"}):
        with pytest.raises(ValueError, match="quote's"):
            store.create(new_job(quote=quote))
    assert len(store.list(None)) == 1
    store.close()


def test_9_sigterm_drains(store: Store, spec: WorkerSpec, tmp_path: Path) -> None:
    """Checkpoint, requeue, exit 0; another worker goes on from there."""
    request = new_job(seed=9, steps=30, step_s=0.1)
    job, _ = store.create(request)
    spec = replace(spec, checkpoint_every_s=1e9)  # nothing but the drain itself stores the last step
    child = start_worker(spec)
    wait_for(lambda: store.get(job.id).progress >= 20.0)
    child.send_signal(signal.SIGTERM)
    assert child.wait(10.0) == 0
    waiting = store.get(job.id)
    assert (waiting.status, waiting.failures, waiting.attempt) == ("queued", 0, 1)
    run(store, replace(spec, lease_s=30.0))
    done = store.get(job.id)
    assert (done.status, done.attempt) == ("completed", 2)
    assert sha256(done) == uninterrupted(tmp_path, replace(request, request=request.request | {"step_s": 0.0}))
    progress = [e.data["progress"] for e in store.events(job.id) if e.kind == "progress"]
    assert progress == sorted(progress)
    assert len(progress) == 30 + 1 + 1, "30 steps, one more report for the drain's checkpoint, one for publishing"


def test_9_a_worker_whose_parent_is_gone_drains(store: Store, spec: WorkerSpec) -> None:
    job, _ = store.create(new_job(steps=600, step_s=0.05))
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'from muybridge.jobs.worker import main; " \
        "main()', 'orphan'], stdin=sys.stdin); import time; time.sleep(60)"  # fmt: skip
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert parent.stdin is not None
    parent.stdin.write(spec.to_json().encode())
    parent.stdin.close()
    wait_for(lambda: store.get(job.id).progress > 0)
    parent.kill()
    parent.wait()
    wait_for(lambda: store.get(job.id).status == "queued")


def test_10_unknown_is_never_completed(store: Store, spec: WorkerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result exists but its publication could not be stored: the job is not completed, and nothing is charged."""
    job, _ = store.create(new_job(steps=2))

    def away(*_: object) -> None:
        raise Unavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish", away)
        patch.setattr(Store, "fail", away)
        run(store, replace(spec, lease_s=0.2), max_jobs=1)
    assert store.get(job.id).status == "in_progress"
    assert store.get(job.id).artifacts == () and store.ledger.list() == []
    store.reap(now=time.time() + 60.0)
    assert store.get(job.id).status == "queued"
    run(store, spec)
    assert store.get(job.id).status == "completed" and len(store.ledger.list()) == 1


def test_10_a_runner_that_returns_after_being_told_to_stop_publishes_nothing(store: Store, spec: WorkerSpec) -> None:
    job, _ = store.create(new_job())

    def deaf(_job: Job, _checkpoint: bytes | None, hook: Hook, _workdir: Path) -> RunResult:
        store.cancel(job.id)
        with contextlib.suppress(Exception):
            hook.step("base", 50.0)
        return RunResult(())

    run(store, spec, deaf)
    assert store.get(job.id).status == "cancelled"
