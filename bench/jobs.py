"""What the job table does: cycles per second, restart with a long queue, and what 200 random kills cost.

python bench/jobs.py cycles [--postgres]     claim+finish cycles/s with 4 processes, beside a bare SQLite loop
python bench/jobs.py restart                 100,000 queued jobs, the writer killed; time to the first claim
python bench/jobs.py chaos [--postgres] [--kills 200]     kill -9 of workers, submitters and the database
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import logging
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from muybridge.errors import Unavailable
from muybridge.jobs.artifacts import open_artifacts, sweep
from muybridge.jobs.job import NewJob
from muybridge.jobs.postgres import PostgresServer
from muybridge.jobs.store import Store
from muybridge.jobs.worker import WorkerSpec, work

FORKS = multiprocessing.get_context("forkserver")


def new(number: int, tenants: int = 10, **request: Any) -> NewJob:  # noqa: ANN401
    """Job `number`: about 300 bytes of request, its own seed."""
    request = {"seed": number, "prompt": "x" * 200} | request
    quote = {"seconds": 3.0, "cost": 1.0}
    return NewJob(f"t{number % tenants}", "k", "native", "toy", request, None, f"job-{number}", "b", quote=quote)


# Cycles per second -------------------------------------------------------------------------------------------------


def cycles(postgres: bool, num_jobs: int, num_processes: int, tenants: int) -> dict[str, Any]:
    """Creates/s by one process, then claim+finish cycles/s by several, and the same with nothing but two UPDATEs."""
    with database(postgres) as (url, _):
        store = Store.open(url)
        began = time.perf_counter()
        for number in range(num_jobs):
            store.create(new(number, tenants))
        creates = num_jobs / (time.perf_counter() - began)
        store.close()
        rate, done = _race(_cycle_worker, url, num_processes)
        store = Store.open(url)
        assert sum(done) == len(store.ledger.list(limit=10**9)) == num_jobs, "a job was lost or ran twice"
        store.close()
    result = {"tenants": tenants, "processes": num_processes, "creates_per_s": creates, "cycles_per_s": rate}
    result["load_average"] = os.getloadavg()[0]  # other people's work on this machine: read the rates beside it
    if not postgres:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "bare.sqlite")
            _bare_table(path, num_jobs)
            result["bare_cycles_per_s"], _ = _race(_bare_worker, path, num_processes)
        result["ratio_to_bare"] = result["cycles_per_s"] / result["bare_cycles_per_s"]
    return result


def _race(target: Any, url: str, num_processes: int) -> tuple[float, list[int]]:  # noqa: ANN401
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    gate = context.Barrier(num_processes)
    processes = [context.Process(target=target, args=(url, n, gate, results)) for n in range(num_processes)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    span = max(end for _, _, end in found) - min(start for _, start, _ in found)
    return sum(n for n, _, _ in found) / span, [n for n, _, _ in found]


def _cycle_worker(url: str, number: int, gate: Any, results: Any) -> None:  # noqa: ANN401
    store = Store.open(url)
    gate.wait()
    began, done = time.time(), 0
    while (claim := store.claim(f"w{number}", ("toy",))) is not None:
        store.finish(claim, (), {})
        done += 1
    results.put((done, began, time.time()))


def _bare_table(path: str, num_jobs: int) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE j (id INTEGER PRIMARY KEY, status TEXT, body TEXT)")
        connection.execute("CREATE INDEX q ON j (id) WHERE status = 'queued'")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO j VALUES (?, 'queued', ?)", ((n, "x" * 300) for n in range(num_jobs)))
        connection.execute("COMMIT")


def _bare_worker(path: str, number: int, gate: Any, results: Any) -> None:  # noqa: ANN401, ARG001
    connection = sqlite3.connect(path, timeout=30.0, isolation_level=None)
    connection.execute("PRAGMA synchronous = NORMAL")
    take = "SELECT id FROM j WHERE status = 'queued' ORDER BY id LIMIT 1"
    gate.wait()
    began, done = time.time(), 0
    while True:
        row = connection.execute(f"UPDATE j SET status = 'run' WHERE id = ({take}) RETURNING *").fetchone()
        if row is None:
            break
        connection.execute("UPDATE j SET status = 'done' WHERE id = ?", row[:1])
        done += 1
    connection.close()
    results.put((done, began, time.time()))


# Restart -----------------------------------------------------------------------------------------------------------


def restart(num_jobs: int, tenants: int) -> dict[str, Any]:
    """Queue jobs, SIGKILL the writer, and time a new process from its start to its first claim."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "jobs.sqlite")
        writer = multiprocessing.get_context("spawn").Process(target=_fill, args=(path, num_jobs, tenants))
        writer.start()
        writer.join()
        began = time.perf_counter()
        code = (
            "import sys; from muybridge.jobs import Store; s = Store.open(sys.argv[1]); s.reap(); "
            "c = s.claim('w'); assert c; print(sum(r['queued'] for r in s.queue()))"
        )
        left = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
        took = time.perf_counter() - began
        assert int(left) == num_jobs - 1, left
        return {"queued": num_jobs, "tenants": tenants, "bytes": Path(path).stat().st_size, "restart_s": took}


def _fill(path: str, num_jobs: int, tenants: int) -> None:
    store = Store.open(path)
    for number in range(num_jobs):
        store.create(new(number, tenants))
    os.kill(os.getpid(), signal.SIGKILL)


# Chaos -------------------------------------------------------------------------------------------------------------


@dataclass
class Chaos:
    """One run: processes that work, one that submits, and a hand that kills them at random moments."""

    url: str
    folder: Path
    server: PostgresServer | None
    num_jobs: int
    num_workers: int = 3
    seed: int = 0
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        settings = {"max_failures": 10**6, "patience_s": 20.0}  # a victim of our kills is not at fault
        self.spec = WorkerSpec(
            self.url, str(self.folder / "artifacts"), "muybridge.jobs.toy:runner",
            lease_s=1.0, poll_s=0.05, checkpoint_every_s=0.0, store=settings,
        )  # fmt: skip
        FORKS.set_forkserver_preload(["muybridge.jobs.worker", "muybridge.jobs.toy", "psycopg"])
        self.acknowledged = self.folder / "acknowledged"
        self.dice = random.Random(self.seed)
        self.workers: list[Any] = []
        self.submitter: Any = None

    def tend(self) -> None:
        """Start whatever is not running: workers, and the submitter until it has had every job acknowledged."""
        self.workers = [w for w in self.workers if w.is_alive()]
        while len(self.workers) < self.num_workers:
            self.workers.append(self._spawn(_work, self.spec.to_json(), f"w{time.time_ns()}"))
        if self.submitter is None or self.submitter.exitcode not in (None, 0):
            self.submitter = self._spawn(_submit, self.url, self.acknowledged, self.num_jobs)

    def _spawn(self, target: Any, *args: Any) -> Any:  # noqa: ANN401
        # Forked from a clean server with everything imported: a process that needs a second to start is seldom at
        # work when a kill comes, and then a kill proves nothing.
        process = FORKS.Process(target=target, args=args, daemon=True)
        process.start()
        return process

    def kill(self) -> None:
        """SIGKILL one process."""
        choices = ["worker"] * 14 + ["submitter"] * 3 * self.submitter.is_alive()
        choices += ["database"] * 3 * (self.server is not None)
        victim = self.dice.choice(choices)
        self.kills[victim] += 1
        if victim == "worker":
            self.dice.choice(self.workers).kill()
        elif victim == "submitter":
            self.submitter.kill()
            self.submitter.join()
        elif self.server is not None:
            self.server.kill()
            time.sleep(self.dice.random() * 0.3)
            self.server.start()

    def run(self, num_kills: int) -> None:
        """Kill at random moments; then let the rest be done."""
        self.tend()
        with Progress(disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task("kills", total=num_kills)
            for _ in range(num_kills):
                time.sleep(self.dice.expovariate(1 / 0.25))
                self.kill()
                self.tend()
                progress.advance(bar)
        store = self.open()
        deadline = time.monotonic() + 300.0
        while self.num_ended(store) < self.num_jobs:
            assert time.monotonic() < deadline, f"{self.num_ended(store)} of {self.num_jobs} jobs ended in time"
            time.sleep(0.2)
            self.tend()
        for process in self.workers:
            process.terminate()
        for process in self.workers:
            process.join(30.0)
            assert not process.is_alive(), f"worker {process.pid} did not drain"
        store.close()

    def open(self) -> Store:
        """The store, as an onlooker."""
        return Store.open(self.url)

    def num_ended(self, store: Store) -> int:
        """How many jobs have come to an end."""
        try:
            return sum(job.ended for job in store.list(None, limit=10**6))
        except Unavailable:
            return 0

    def verdict(self) -> dict[str, Any]:
        """Compare what the job table says with what was promised."""
        store, artifacts = self.open(), open_artifacts(self.spec.artifacts)
        jobs = {job.idempotency_key: job for job in store.list(None, limit=10**6)}
        promised = set(self.acknowledged.read_text().split())
        published = Counter(
            event.job_id
            for job in jobs.values()
            for event in store.events(job.id, limit=10**6)
            if event.kind == "status" and event.data["status"] == "completed"
        )
        charged = Counter(charge.job_id for charge in store.ledger.list(limit=10**6))
        wrong = 0
        for job in jobs.values():
            expected = uninterrupted(job.request)
            for artifact in job.artifacts:
                there = hashlib.sha256(artifacts.get(artifact.key)).hexdigest()
                wrong += (artifact.sha256 != expected) + (there != expected)
        sequences = [[e.seq for e in store.events(job.id, limit=10**6)] for job in jobs.values()]
        sweep(store, artifacts, limit=10**6)
        result = {
            "kills": dict(self.kills),
            "jobs": len(jobs),
            "acknowledged": len(promised),
            "attempts": sum(job.attempt for job in jobs.values()),
            "lost": len(promised - set(jobs)) + sum(job.status != "completed" for job in jobs.values()),
            "created_twice": len(store.list(None, limit=10**6)) - len(jobs),
            "published_twice": sum(n > 1 for n in published.values()),
            "charged_twice": sum(n > 1 for n in charged.values()),
            "charged_without_publishing": len(set(charged) - set(published)),
            "published_without_charge": len(set(published) - set(charged)),
            "wrong_outputs": wrong,
            "histories_with_gaps": sum(seq != list(range(1, len(seq) + 1)) for seq in sequences),
            "queued_left_in_lanes": sum(lane["queued"] for lane in store.queue()),
        }
        store.close()
        return result


def uninterrupted(request: dict[str, Any]) -> str:
    """The digest of the toy's result, computed here without any job machinery (see jobs/toy.py)."""
    state = np.zeros(int(request["values"]))
    for step in range(int(request["steps"])):
        key = np.array([request["seed"], step], dtype=np.uint64)
        state = np.tanh(0.9 * state + np.random.Generator(np.random.Philox(key=key)).standard_normal(state.shape))
    buffer = io.BytesIO()
    np.save(buffer, state)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _work(spec: str, worker_id: str) -> None:
    logging.disable()
    sys.exit(work(WorkerSpec.from_json(spec), worker_id))


def _submit(url: str, acknowledged: Path, num_jobs: int) -> None:
    """The caller: sends every job until it is acknowledged, and again after a crash, with the same idempotency key."""
    store = Store.open(url)
    acknowledged.touch()
    known = set(acknowledged.read_text().split())
    with acknowledged.open("a") as file:
        for number in range(num_jobs):
            job = new(number, steps=10, step_s=0.03, values=64)
            if job.idempotency_key in known:
                continue
            store.create(job)
            file.write(f"{job.idempotency_key}\n")
            file.flush()
            time.sleep(0.05)


def chaos(postgres: bool, num_kills: int, num_jobs: int, seed: int) -> dict[str, Any]:
    """The whole experiment in a folder of its own."""
    with database(postgres) as (url, server), tempfile.TemporaryDirectory() as folder:
        Store.open(url).close()
        experiment = Chaos(url, Path(folder), server, num_jobs, seed=seed)
        experiment.run(num_kills)
        return experiment.verdict()


@contextlib.contextmanager
def database(postgres: bool) -> Any:  # noqa: ANN401
    """An empty database of either kind: (url, server or None)."""
    if not postgres:
        with tempfile.TemporaryDirectory() as folder:
            yield str(Path(folder) / "jobs.sqlite"), None
        return
    server = PostgresServer().start()
    try:
        yield server.create_database("bench"), server
    finally:
        server.stop()


FAULTS = (
    *("lost", "created_twice", "published_twice", "charged_twice", "charged_without_publishing"),
    *("published_without_charge", "wrong_outputs", "histories_with_gaps", "queued_left_in_lanes"),
)


def main() -> int:
    """Parse, run, print one JSON object; 1 when chaos found a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("cycles", "restart", "chaos"):
        sub = verbs.add_parser(verb)
        sub.add_argument("--jobs", type=int, default={"cycles": 10_000, "restart": 100_000, "chaos": 150}[verb])
        sub.add_argument("--postgres", action="store_true", help="PostgreSQL instead of SQLite")
        sub.add_argument("--tenants", type=int, default=10)
        sub.add_argument("--kills", type=int, default=200)
        sub.add_argument("--seed", type=int, default=0)
        sub.add_argument("--processes", type=int, default=4)
    args = parser.parse_args()
    if args.verb == "cycles":
        result = cycles(args.postgres, args.jobs, args.processes, args.tenants)
    elif args.verb == "restart":
        result = restart(args.jobs, args.tenants)
    else:
        result = chaos(args.postgres, args.kills, args.jobs, args.seed)
    print(json.dumps(result))
    return int(any(result.get(fault, 0) for fault in FAULTS))


if __name__ == "__main__":
    sys.exit(main())
