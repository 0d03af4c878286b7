"""A server's data folder: `jobs.sqlite` and `artifacts/`, unless a database or a bucket takes their place."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from muybridge.errors import UserError
from muybridge.jobs.fleet import Fleet, RayFleet
from muybridge.jobs.store import Store
from muybridge.jobs.worker import EXIT_OK, EXIT_RESTART, WorkerSpec, work


def open_store(data: Path, database: str | None) -> Store:
    """The job store of a data folder or of a database URL. Raises UserError where no server has made one."""
    if database is None and not (data / "jobs.sqlite").exists():
        raise UserError(f"There is no job table in {data}; name the server's folder with --data, or use --database.")
    return Store.open(database or str(data / "jobs.sqlite"))


def worker_spec(
    data: Path, database: str | None, artifacts: str | None, runner: str, models: tuple[str, ...] | None
) -> WorkerSpec:
    """What a worker beside (or far from) the server of this folder runs with."""
    data.mkdir(parents=True, exist_ok=True)
    return WorkerSpec(
        database=database or str((data / "jobs.sqlite").resolve()),
        artifacts=artifacts or str((data / "artifacts").resolve()),
        runner=runner,
        models=models,
    )


def serve_workers(spec: WorkerSpec, num_workers: int, ray_gpus: float | None = None) -> int:
    """Run workers until SIGTERM or Ctrl-C and drain them: the exit code. `ray_gpus`: place them with Ray instead."""
    if num_workers == 1 and ray_gpus is None:
        return work(spec)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    fleet: Fleet | RayFleet
    if ray_gpus is None:
        fleet = Fleet(spec, num_workers)
        fleet.start()
    else:
        fleet = RayFleet(spec, num_workers, gpus=ray_gpus)
    stop.wait()
    return EXIT_OK if fleet.stop() else EXIT_RESTART
