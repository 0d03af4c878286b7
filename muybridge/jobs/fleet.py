"""Where workers run: processes of this machine, restarted when they die, or actors that Ray places on many machines.

Neither holds a job. A lost process, machine or Ray head costs the step it was in; the job table knows the rest.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from muybridge.errors import MuybridgeError, NotInstalled
from muybridge.jobs.artifacts import open_artifacts
from muybridge.jobs.store import Store
from muybridge.jobs.worker import EXIT_OK, WorkerSpec, load_runner, new_worker_id, run_worker

log = logging.getLogger("muybridge.fleet")

MAX_PAUSE_S = 30.0  # between two starts of a worker that keeps dying
STEADY_S = 60.0  # a worker that lived this long starts again at once


@dataclass
class _Slot:
    """One place for a worker process, filled again whenever it falls empty."""

    process: subprocess.Popen[bytes] | None = None
    worker_id: str = ""
    started_at: float = 0.0
    start_after: float = 0.0
    num_deaths: int = 0


@dataclass
class Fleet:
    """`num_workers` processes that run `spec`. A thread here watches them and frees the job of a dead one at once."""

    spec: WorkerSpec
    num_workers: int
    _slots: list[_Slot] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    def start(self) -> None:
        """Start all workers and the watch over them; returns at once (workers load their models by themselves)."""
        assert self._watcher is None, "a fleet starts once"
        self._slots = [_Slot() for _ in range(self.num_workers)]
        for slot in self._slots:
            self._fill(slot)
        self._watcher = threading.Thread(target=self._watch, name="fleet", daemon=True)
        self._watcher.start()

    def stop(self, grace_s: float = 60.0) -> bool:
        """Drain: SIGTERM, wait for checkpoints, SIGKILL what is left. True when all ended by themselves."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
        for slot in self._slots:
            if slot.process is not None and slot.process.poll() is None:
                slot.process.terminate()
        deadline = time.monotonic() + grace_s
        clean = True
        for slot in self._slots:
            if slot.process is None:
                continue
            try:
                slot.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                clean = False
                slot.process.kill()
                slot.process.wait()
                self._free_jobs(slot)
        return clean

    def pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return [s.process.pid for s in self._slots if s.process is not None and s.process.poll() is None]

    def _fill(self, slot: _Slot) -> None:
        slot.worker_id, slot.started_at = new_worker_id(), time.monotonic()
        # A session of its own: Ctrl-C in the terminal reaches the parent only, which then drains in order.
        slot.process = subprocess.Popen(
            [sys.executable, "-c", "from muybridge.jobs.worker import main; main()", slot.worker_id],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        assert slot.process.stdin is not None
        try:
            slot.process.stdin.write(self.spec.to_json().encode())  # not an argument: it may hold a password
            slot.process.stdin.close()
        except BrokenPipeError:
            log.error("worker %s died while starting", slot.worker_id)

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            for slot in self._slots:
                if slot.process is not None and slot.process.poll() is not None:
                    self._bury(slot)
                if slot.process is None and time.monotonic() >= slot.start_after:
                    self._fill(slot)

    def _bury(self, slot: _Slot) -> None:
        """Note a death, free its job, and decide when the next worker takes the place."""
        assert slot.process is not None
        code, lived_s = slot.process.returncode, time.monotonic() - slot.started_at
        slot.process = None
        slot.num_deaths = 0 if lived_s > STEADY_S else slot.num_deaths + 1
        pause_s = min(0.1 * 2.0**slot.num_deaths, MAX_PAUSE_S)
        slot.start_after = time.monotonic() + pause_s
        if code != EXIT_OK:
            log.warning("worker %s ended with %d; a new one starts in %.1f s", slot.worker_id, code, pause_s)
        self._free_jobs(slot)

    def _free_jobs(self, slot: _Slot) -> None:
        try:
            store = Store.open(self.spec.database, **self.spec.store | {"patience_s": 1.0})
            try:
                store.reap(worker=slot.worker_id)
            finally:
                store.close()
        except MuybridgeError as error:
            log.warning("jobs of %s wait for their lease to run out (%s)", slot.worker_id, error)


class RayFleet:
    """The same workers as Ray actors, one placement group each; Ray restarts them, on another machine if it must.

    `cpus` and `gpus` are per replica. Connects to the running cluster (`ray start`, KubeRay), or to `address`.
    Every machine needs the same database and artifacts: PostgreSQL and S3 (or a shared folder).
    """

    def __init__(
        self, spec: WorkerSpec, num_replicas: int, cpus: float = 1, gpus: float = 0, address: str | None = None
    ) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
            placement: Any = importlib.import_module("ray.util.placement_group")
            strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
        except ImportError:
            raise NotInstalled("Ray is not installed: pip install 'muybridge[ray]'.") from None
        if not self._ray.is_initialized():
            self._ray.init(address=address or "auto", log_to_driver=False)
        self._placement = placement
        # Restarts and retries without end: the body is a loop over the job table and safe to start again anywhere.
        actor = self._ray.remote(max_restarts=-1, max_task_retries=-1, max_concurrency=2)(_Replica)
        bundle = {name: amount for name, amount in (("CPU", cpus), ("GPU", gpus)) if amount}
        self._groups = [placement.placement_group([bundle], strategy="STRICT_PACK") for _ in range(num_replicas)]
        self._actors = [
            actor.options(
                num_cpus=cpus,
                num_gpus=gpus,
                scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(placement_group=group),
            ).remote(spec.to_json())
            for group in self._groups
        ]
        self._runs = [a.run.remote() for a in self._actors]

    def whereabouts(self, timeout_s: float = 60.0) -> list[tuple[str, int]]:
        """(Ray node id, process id) of every replica; waits for those that are starting."""
        places: list[tuple[str, int]] = self._ray.get([a.where.remote() for a in self._actors], timeout=timeout_s)
        return places

    def wait(self) -> None:
        """Until every replica has drained."""
        self._ray.get(self._runs)

    def stop(self, grace_s: float = 60.0) -> bool:
        """Drain all replicas, then release their places. True when all ended by themselves in time."""
        for actor in self._actors:
            actor.drain.remote()
        ready, _ = self._ray.wait(self._runs, num_returns=len(self._runs), timeout=grace_s)
        for actor in self._actors:
            self._ray.kill(actor)
        for group in self._groups:
            self._placement.remove_placement_group(group)
        return len(ready) == len(self._runs)


class _Replica:
    """The body of a Ray actor: the ordinary worker loop."""

    def __init__(self, spec: str) -> None:
        self._spec = WorkerSpec.from_json(spec)
        self._stop = threading.Event()

    def where(self) -> tuple[str, int]:
        """This actor's node and process."""
        context: Any = importlib.import_module("ray").get_runtime_context()
        return context.get_node_id(), os.getpid()

    def drain(self) -> None:
        """Checkpoint, requeue, end `run`."""
        self._stop.set()

    def run(self) -> None:
        """Work until drained. A process that is no longer to be trusted ends itself; Ray starts another."""
        store = Store.open(self._spec.database, **self._spec.store)
        runner = load_runner(self._spec.runner)
        if run_worker(store, open_artifacts(self._spec.artifacts), runner, spec=self._spec, stop=self._stop) != EXIT_OK:
            os._exit(1)
        store.close()
