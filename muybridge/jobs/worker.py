"""The worker loop: claim, run, publish. One process, one job at a time; the runner is any callable that knows the work.

The runner's only tie to us is the hook it calls between steps. That call renews the lease, so a runner that hangs
loses its job: no thread keeps a dead computation alive. The one thread here belongs to `faulthandler` and can only end
the process.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import importlib
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from muybridge.errors import (
    Cancelled,
    DeviceFailed,
    DoesNotFit,
    MuybridgeError,
    NotFound,
    Unavailable,
    UserError,
    WorkerLost,
)
from muybridge.jobs import inputs
from muybridge.jobs.artifacts import ArtifactStore, artifact_key, open_artifacts, sha256_of, sweep
from muybridge.jobs.job import Artifact, Claim, Job, Preempted, Signals, new_id
from muybridge.jobs.store import Store

log = logging.getLogger("muybridge.worker")

EXIT_OK, EXIT_RESTART = 0, 75  # 75 (EX_TEMPFAIL): the process is no longer to be trusted, start a new one
UPLOAD_BYTES_PER_S = 1e6  # uploads have no steps: their lease allows for a link as slow as this
SWEEP_EVERY_S = 60.0
WATCHDOG_GRACE_S = 5.0


@dataclass(frozen=True)
class ResultFile:
    """One file that a runner made: sizes in pixels, duration in seconds."""

    kind: str
    path: Path
    mime: str
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    fps: float | None = None


@dataclass(frozen=True)
class RunResult:
    """What a runner returns. `usage` may carry output_s, compute_s, flops and cost; they go to the ledger."""

    artifacts: tuple[ResultFile, ...]
    usage: dict[str, Any] = field(default_factory=dict)
    model_actual: str | None = None
    origin: dict[str, Any] = field(default_factory=dict)  # for the finisher alone: provider, model_id, original


class Runner(Protocol):
    """Turns a job into files. `checkpoint` is what an earlier attempt last handed to the hook, else None."""

    def __call__(self, job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult: ...


class Finisher(Protocol):
    """The last word on a result's files before they are published, such as a signature; new files go into `workdir`.

    It may run again after a crash, on files made again, and must not change what it is given. What it raises ends the
    attempt as if the runner had raised it.
    """

    def __call__(self, job: Job, result: RunResult, workdir: Path) -> RunResult: ...


@dataclass(frozen=True)
class WorkerSpec:
    """Everything a worker process needs, as plain data: it crosses to other processes and machines as JSON."""

    database: str
    artifacts: str
    runner: str  # "module:attribute", imported in the worker process
    models: tuple[str, ...] | None = None
    lease_s: float = 60.0
    poll_s: float = 0.5  # the longest pause between two looks at an empty queue
    checkpoint_every_s: float = 2.0
    backoff_s: float = 1.0  # pause before the first retry of a failure that may pass; doubles each time
    watchdog: bool = False  # end the process when a lease has run out under a hung runner; worker processes set it
    store: dict[str, Any] = field(default_factory=dict)  # keyword arguments of Store
    finisher: str | None = None  # "module:attribute", called once a process with `finishing`: gives a Finisher
    finishing: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> WorkerSpec:
        """The inverse of `to_json`."""
        values = json.loads(text)
        return WorkerSpec(**values | {"models": None if values["models"] is None else tuple(values["models"])})


class Hook:
    """What a runner calls between steps. Lives as long as one claim."""

    def __init__(
        self, store: Store, artifacts: ArtifactStore, claim: Claim, spec: WorkerSpec, draining: Callable[[], bool]
    ) -> None:
        self._store, self._artifacts, self._claim, self._spec = store, artifacts, claim, spec
        self._draining = draining
        self._stage: str | None = None
        self._num_saved = 0
        self._saved_at = self._previewed_at = -1e9
        self.checkpoint_key = claim.checkpoint_key
        self.stopped: MuybridgeError | None = None  # what was raised; a runner that swallows it publishes nothing
        self._watch(claim.lease_s)

    @property
    def database_url(self) -> str:
        """The job database, for a runner that keeps rows of its own beside the jobs."""
        return self._store.database.url

    def step(
        self,
        stage: str,
        progress: float,
        eta_s: float | None = None,
        checkpoint: Callable[[], bytes] | None = None,
        preview: Callable[[], bytes] | None = None,
        lease_s: float | None = None,
    ) -> None:
        """Report one finished step: `progress` 0..100, seconds left if known.

        `checkpoint` is called (and its bytes stored) when a new stage begins and then at most every
        `checkpoint_every_s`; `preview` (a JPEG) at most once a second. `lease_s` announces a longer silence, such as
        compiling. Raises Cancelled, Preempted, or WorkerLost (somebody else has the job): let them pass.
        """
        key = preview_key = None
        now = time.monotonic()
        new_stage, self._stage = stage != self._stage, stage
        if checkpoint is not None and (new_stage or now - self._saved_at >= self._spec.checkpoint_every_s):
            key = self._save(checkpoint)
        if preview is not None and now - self._previewed_at >= 1.0:
            self._previewed_at = now
            preview_key = artifact_key(self._claim.job.id, self._claim.attempt, f"preview-{new_id()}.jpg")
            self._artifacts.put(preview_key, preview(), "image/jpeg")
        signals = self._renew(stage, progress, eta_s, key, preview_key, lease_s, new_stage)
        if signals.cancel:
            raise self._stop(Cancelled("The caller cancelled this job."))
        if signals.preempt or self._draining():
            if checkpoint is not None and key is None:
                self._renew(stage, progress, eta_s, self._save(checkpoint))
            raise self._stop(Preempted("A job of higher priority waits." if signals.preempt else "The worker drains."))

    def requote(self, cost: float) -> None:
        """The job will cost more than it was quoted. Raises QuotaExceeded, WorkerLost; nothing is changed then."""
        self._store.requote(self._claim, cost)

    def fetching(self, num_bytes: int) -> None:
        """Hold the lease while an input file comes. Raises Cancelled, WorkerLost."""
        self.step("inputs", 0.0, lease_s=self._claim.lease_s + num_bytes / UPLOAD_BYTES_PER_S)

    def publishing(self, num_bytes: int) -> None:
        """All steps are done: hold the lease while a file is uploaded. Raises Cancelled, WorkerLost."""
        lease_s = self._claim.lease_s + num_bytes / UPLOAD_BYTES_PER_S
        if self._renew("publish", 99.0, lease_s=lease_s).cancel:
            raise self._stop(Cancelled("The caller cancelled this job."))

    def _renew(
        self,
        stage: str,
        progress: float,
        eta_s: float | None = None,
        key: str | None = None,
        preview_key: str | None = None,
        lease_s: float | None = None,
        new_stage: bool = False,
    ) -> Signals:
        try:
            signals = self._store.renew(self._claim, stage, progress, eta_s, key, preview_key, lease_s, new_stage)
        except WorkerLost as lost:
            raise self._stop(lost) from None
        self._watch(self._claim.lease_s if lease_s is None else lease_s)
        if key is not None:  # the row points to the new one: the old one has served
            old, self.checkpoint_key = self.checkpoint_key, key
            if old is not None:
                self._artifacts.delete(old)
        return signals

    def _save(self, checkpoint: Callable[[], bytes]) -> str:
        """Store a checkpoint under a name that proves its content."""
        data = checkpoint()
        self._num_saved += 1
        name = f"checkpoint-{self._num_saved}-{hashlib.sha256(data).hexdigest()[:16]}"
        key = artifact_key(self._claim.job.id, self._claim.attempt, name)
        self._artifacts.put(key, data)
        self._saved_at = time.monotonic()
        return key

    def _stop(self, why: MuybridgeError) -> MuybridgeError:
        self.stopped = why
        return why

    def _watch(self, lease_s: float) -> None:
        """Arm a timer outside the interpreter that ends this process if the lease runs out in silence."""
        if self._spec.watchdog:
            faulthandler.dump_traceback_later(lease_s + WATCHDOG_GRACE_S, exit=True)

    def close(self) -> None:
        """Disarm the timer."""
        if self._spec.watchdog:
            faulthandler.cancel_dump_traceback_later()


def run_worker(
    store: Store,
    artifacts: ArtifactStore,
    runner: Runner,
    *,
    spec: WorkerSpec,
    worker_id: str | None = None,
    stop: threading.Event | None = None,
    max_jobs: int | None = None,
    until_idle: bool = False,
) -> int:
    """Claim and run jobs until `stop` is set (or `max_jobs` are done, or nothing is queued): the exit code.

    Setting `stop` drains: nothing new is claimed, the running job is checkpointed at its next step and requeued.
    EXIT_RESTART says that the process must not run another job (device failure).
    """
    worker_id = worker_id or new_worker_id()
    stop = stop or threading.Event()
    finisher = load_finisher(spec)
    pause_s, next_reap, next_sweep, num_done = 0.02, 0.0, time.monotonic() + SWEEP_EVERY_S, 0
    log.info("worker %s is ready", worker_id)
    while not stop.is_set():
        try:
            now = time.monotonic()
            if now >= next_reap:
                next_reap = now + min(max(spec.lease_s / 4, 0.1), 15.0)
                for job_id in store.reap():
                    log.warning("job %s: its worker stopped reporting", job_id)
            if now >= next_sweep:
                next_sweep = now + SWEEP_EVERY_S
                sweep(store, artifacts)
            claim = store.claim(worker_id, spec.models, spec.lease_s)
        except Unavailable as error:
            log.error("%s", error)
            claim = None
        if claim is None:
            if until_idle:
                return EXIT_OK
            stop.wait(pause_s)
            pause_s = min(pause_s * 1.5, spec.poll_s)
            continue
        pause_s = 0.02
        if run_claim(store, artifacts, runner, claim, spec, stop.is_set, finisher) == EXIT_RESTART:
            return EXIT_RESTART
        num_done += 1
        if max_jobs is not None and num_done >= max_jobs:
            break
    return EXIT_OK


def run_claim(
    store: Store,
    artifacts: ArtifactStore,
    runner: Runner,
    claim: Claim,
    spec: WorkerSpec,
    draining: Callable[[], bool],
    finisher: Finisher | None = None,
) -> int:
    """Run one claimed job to an outcome in the job table; EXIT_RESTART when the process should end after it."""
    job = claim.job
    hook = Hook(store, artifacts, claim, spec, draining)
    log.info("job %s: attempt %d", job.id, claim.attempt)
    try:
        with _outcome(store, claim, hook, spec), tempfile.TemporaryDirectory(prefix=f"{job.id}-") as folder:
            started = time.monotonic()
            job = inputs.here(artifacts, job, Path(folder), hook.fetching)
            result = runner(job, _load_checkpoint(artifacts, claim.checkpoint_key), hook, Path(folder))
            if hook.stopped is not None:
                raise hook.stopped
            if finisher is not None:
                hook.publishing(sum(file.path.stat().st_size for file in result.artifacts))
                result = finisher(job, result, Path(folder))
            published = tuple(_publish(artifacts, claim, hook, file) for file in result.artifacts)
            usage = {"compute_s": time.monotonic() - started} | result.usage
            store.finish(claim, published, usage, result.model_actual)
            if hook.checkpoint_key is not None:
                artifacts.delete(hook.checkpoint_key)
            log.info("job %s: completed", job.id)
    except DeviceFailed:
        return EXIT_RESTART
    finally:
        hook.close()
    return EXIT_OK


@contextlib.contextmanager
def _outcome(store: Store, claim: Claim, hook: Hook, spec: WorkerSpec) -> Iterator[None]:
    """Write how an attempt ended into the job table. Only DeviceFailed passes on: the process must end."""
    job_id = claim.job.id
    try:
        try:
            yield
        except WorkerLost as lost:
            log.warning("%s", lost)
        except Cancelled:
            store.confirm_cancel(claim)
            log.info("job %s: cancelled", job_id)
        except Preempted as why:
            store.requeue(claim, hook.checkpoint_key, str(why))
            log.info("job %s: back to the queue (%s)", job_id, why)
        except MuybridgeError as error:
            log.warning("job %s: %s: %s", job_id, error.code, error)
            store.fail(claim, error.code, str(error), error.retryable, _retry_after_s(error, claim, spec))
            if isinstance(error, DeviceFailed):
                raise
        except MemoryError:
            store.fail(
                claim, DoesNotFit.code, "The worker ran out of memory; ask for a smaller or shorter clip.", False
            )
        except Exception as error:
            # A fault of ours: it would happen again, so it is not retried, and its text stays in our log.
            log.exception("job %s failed", job_id)
            store.fail(claim, MuybridgeError.code, f"Internal error ({type(error).__name__}).", False)
    except WorkerLost as lost:
        log.warning("%s", lost)
    except Unavailable as error:
        if isinstance(error, DeviceFailed):
            raise
        log.error("job %s: its outcome could not be stored (%s); the next attempt repeats it", job_id, error)


def _retry_after_s(error: MuybridgeError, claim: Claim, spec: WorkerSpec) -> float:
    """A pause before the next attempt: what the error asks for, none after a device failure, else doubling."""
    if isinstance(error, DeviceFailed):
        return 0.0
    asked: float = getattr(error, "retry_after_s", spec.backoff_s * 2.0**claim.job.failures)
    return asked


def _load_checkpoint(artifacts: ArtifactStore, key: str | None) -> bytes | None:
    """The checkpoint, or None when it is missing or not what its name says: then the work starts anew."""
    if key is None:
        return None
    try:
        data = artifacts.get(key)
    except NotFound:
        log.warning("checkpoint %s is gone; starting anew", key)
        return None
    if hashlib.sha256(data).hexdigest()[:16] != key.rsplit("-", 1)[-1]:
        log.warning("checkpoint %s is damaged; starting anew", key)
        return None
    return data


def _publish(artifacts: ArtifactStore, claim: Claim, hook: Hook, file: ResultFile) -> Artifact:
    """Copy one result into the attempt's folder of the artifact store."""
    hook.publishing(file.path.stat().st_size)
    key = artifact_key(claim.job.id, claim.attempt, file.path.name)
    artifacts.put(key, file.path, file.mime)
    size = {"width": file.width, "height": file.height, "duration_s": file.duration_s, "fps": file.fps}
    return Artifact(file.kind, key, file.mime, file.path.stat().st_size, sha256_of(file.path), **size)  # type: ignore[arg-type]


def new_worker_id() -> str:
    """Unique to this process and this start: `host:pid:random`."""
    return f"{socket.gethostname()}:{os.getpid()}:{new_id()[-8:]}"


def load_runner(name: str) -> Runner:
    """The runner called `module:attribute`. Raises UserError when there is none."""
    module_name, _, attribute = name.partition(":")
    try:
        runner: Runner = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"Cannot load the runner {name!r} ({error}); name it as module:attribute.") from error
    return runner


def load_finisher(spec: WorkerSpec) -> Finisher | None:
    """The finisher that the spec names, made with its values. Raises UserError when there is none of that name."""
    if spec.finisher is None:
        return None
    module_name, _, attribute = spec.finisher.partition(":")
    try:
        make: Callable[..., Finisher] = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"Cannot load the finisher {spec.finisher!r} ({error}).") from error
    return make(**spec.finishing)


def work(spec: WorkerSpec, worker_id: str | None = None, until_idle: bool = False, follow_parent: bool = False) -> int:
    """The body of a worker process: open everything, load the runner, then serve. SIGTERM or Ctrl-C drains.

    `follow_parent`: also drain when the parent process is gone, so that a killed server leaves no worker behind.
    """
    spec = replace(spec, watchdog=True)
    stop = _Stop(os.getppid() if follow_parent else None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.on_signal)
    store, artifacts = Store.open(spec.database, **spec.store), open_artifacts(spec.artifacts)
    try:
        runner = load_runner(spec.runner)
        return run_worker(store, artifacts, runner, spec=spec, worker_id=worker_id, stop=stop, until_idle=until_idle)
    finally:
        store.close()


class _Stop(threading.Event):
    """Set by a signal or by the loss of the parent. A second signal ends the process at once."""

    def __init__(self, parent: int | None) -> None:
        super().__init__()
        self._parent = parent

    def on_signal(self, number: int, frame: object) -> None:  # noqa: ARG002 (the signature of a signal handler)
        if super().is_set():
            raise KeyboardInterrupt
        self.set()

    def is_set(self) -> bool:
        return super().is_set() or (self._parent is not None and os.getppid() != self._parent)


def main() -> None:
    """Entry point of the processes that a Fleet starts: the spec comes on stdin, the worker's id as the argument."""
    logging.basicConfig(level=os.environ.get("MUYBRIDGE_LOG_LEVEL", "warning").upper(), stream=sys.stderr)
    sys.exit(work(WorkerSpec.from_json(sys.stdin.read()), sys.argv[1], follow_parent=True))
