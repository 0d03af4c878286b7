"""kill -9 of the whole service while clients use it over HTTP: `muybridge serve`, its workers and the database.

    python bench/chaos_api.py [--postgres] [--kills 200] [--jobs 200] [--seed 0]

The real command serves a toy runner. One client submits by HTTP with idempotency keys, repeats what got no answer, and
asks for a webhook. Whatever is killed is started again. Then every answer that was given must be true: each id leads to
a completed job with the bytes of an uninterrupted run, published once, charged once, and its webhook has come at least
once. Prints one JSON object; exit status 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from jobs import FAULTS, database, uninterrupted  # bench/jobs.py, beside this file
from rich.progress import Progress

from muybridge.api.ids import public_id
from muybridge.jobs import toy
from muybridge.jobs.artifacts import open_artifacts
from muybridge.jobs.job import Job
from muybridge.jobs.postgres import PostgresServer
from muybridge.jobs.store import Store
from muybridge.jobs.worker import Hook, RunResult

ENTRY = "from muybridge.cli import build; build(('serve', 'keys'))()"
WORK = {"steps": 20, "step_s": 0.05, "values": 64}  # what the toy does for every request: a second
AT_WORK = 0.75  # share of the kills that wait for a job under way; the others come at any moment, also of a start


def runner(job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
    """The toy, a little slower: a kill shall find it at work."""
    return toy.runner(replace(job, request=job.request | WORK), checkpoint, hook, workdir)


class Hooks(http.server.BaseHTTPRequestHandler):
    """Counts the webhooks of each video."""

    seen: Counter[str]

    def do_POST(self) -> None:
        """One delivery."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen[body["data"]["id"]] += 1
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Service:
    """`muybridge serve` on one port and folder, started again and again."""

    def __init__(self, folder: Path, url: str | None, hook_port: int, num_workers: int = 2) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.data, self.log = folder / "data", folder / "serve.log"
        config = folder / "serve.toml"
        # A victim of our kills is not at fault: it is tried again and again.
        config.write_text(
            f'runner = "chaos_api:runner"\nlease_s = 2.0\nretries = 1000000\nartifacts = "{folder / "artifacts"}"\n'
            f'[limits]\nmax_queued = 0\nhttp_hosts = ["127.0.0.1:{hook_port}"]\n'
        )
        more = ["--database", url] if url else []
        arguments = ["--port", str(self.port), "--data", str(self.data), "--config", str(config), *more]
        self.command = [sys.executable, "-c", ENTRY, "serve", *arguments, "--workers", str(num_workers), "--json"]
        keys = ["keys", "create", "--name", "chaos", "--data", str(self.data), "--json", *more]
        made = subprocess.run([sys.executable, "-c", ENTRY, *keys], capture_output=True, text=True, check=True)
        self.key = json.loads(made.stdout)["key"]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def tend(self) -> None:
        """Start it unless it runs."""
        if self.process is None or self.process.poll() is not None:
            path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.command, stdout=subprocess.DEVNULL, stderr=log, env=os.environ | {"PYTHONPATH": path}
                )

    def workers(self) -> list[int]:
        """The worker processes of the server that runs now."""
        assert self.process is not None
        found: list[int] = []
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
                found += [int(pid) for pid in (thread / "children").read_text().split()]
        return [pid for pid in found if b"muybridge.jobs.worker" in _command_line(pid)]

    def kill(self) -> None:
        """kill -9 of the API process; its workers see that it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Drain and end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60.0)


def _command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


class Caller(threading.Thread):
    """Submits every job until it is answered, as a careful client does, and remembers what it was told."""

    def __init__(self, service: Service, hook: str, num_jobs: int, every_s: float) -> None:
        super().__init__(daemon=True)
        self.service, self.hook, self.num_jobs, self.every_s = service, hook, num_jobs, every_s
        self.told: dict[str, set[str]] = {}  # idempotency key -> the ids that it was answered with
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        """Until the last job is acknowledged. Every fourth is sent a second time: the same id must come back."""
        headers = {"Authorization": f"Bearer {self.service.key}"}
        with httpx.Client(headers=headers, timeout=60.0) as client:
            for number in range(self.num_jobs):
                name = f"job-{number}"
                body = {"prompt": f"chaos {number}", "seed": number, "seconds": 3, "webhook": self.hook}
                for _ in range(1 + (number % 4 == 0)):
                    self.told.setdefault(name, set()).add(self._submit(client, name, body))
                time.sleep(self.every_s)

    def _submit(self, client: httpx.Client, name: str, body: dict[str, Any]) -> str:
        while True:
            try:
                answer = client.post(f"{self.service.url}/v1/videos", json=body, headers={"Idempotency-Key": name})
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
            else:
                self.answers[str(answer.status_code)] += 1
                if answer.status_code == 200:
                    return str(answer.json()["id"])
                assert answer.status_code >= 500, answer.text
            time.sleep(0.05)


def chaos(postgres: bool, num_kills: int, num_jobs: int, seed: int) -> dict[str, Any]:
    """The whole experiment in a folder of its own."""
    Hooks.seen = Counter()
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hooks)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    hook_port = int(receiver.server_address[1])
    with tempfile.TemporaryDirectory() as name, database(postgres) as (url, server):
        folder = Path(name)
        service = Service(folder, url if postgres else None, hook_port)
        caller = Caller(service, f"http://127.0.0.1:{hook_port}/hook", num_jobs, num_kills / num_jobs)
        service.tend()
        caller.start()
        try:
            store = Store.open(url if postgres else str(service.data / "jobs.sqlite"))
            kills = kill_at_random(service, server, store, num_kills, random.Random(seed))
            await_the_end(service, store, caller)
            service.stop()
            found = {"kills": dict(kills), "answers": dict(caller.answers)}
            found |= verdict(store, str(folder / "artifacts"), caller.told)
            store.close()
        finally:
            service.stop()
    receiver.shutdown()
    return found


def kill_at_random(
    service: Service, server: PostgresServer | None, store: Store, num_kills: int, dice: random.Random
) -> Counter[str]:
    """SIGKILL one process after another and start again what was killed; how many of each kind."""
    kills: Counter[str] = Counter()
    with Progress(disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("kills", total=num_kills)
        while kills.total() < num_kills:
            if dice.random() < AT_WORK:
                await_work(store)
            time.sleep(dice.expovariate(1 / 0.5))
            alive = service.workers()
            choices = ["api"] * 4 + ["worker"] * 8 * bool(alive) + ["database"] * 3 * (server is not None)
            victim = dice.choice(choices)
            if victim == "api":
                service.kill()
            elif victim == "worker":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(dice.choice(alive), signal.SIGKILL)
            elif server is not None:
                server.kill()
                time.sleep(dice.random() * 0.3)
                server.start()
            kills[victim] += 1
            service.tend()
            progress.advance(bar)
    return kills


def await_work(store: Store, patience_s: float = 20.0) -> None:
    """Until a job is under way: a kill of an idle service proves little."""
    deadline = time.monotonic() + patience_s
    while not store.list(None, limit=1, status="in_progress") and time.monotonic() < deadline:
        time.sleep(0.05)


def await_the_end(service: Service, store: Store, caller: Caller, patience_s: float = 300.0) -> None:
    """Until all jobs were acknowledged, all have ended and every webhook has come."""
    deadline = time.monotonic() + patience_s

    def done() -> bool:
        ended = all(job.ended for job in store.list(None, limit=10**6))
        return ended and not caller.is_alive() and len(Hooks.seen) >= len(caller.told)

    while not done():
        if time.monotonic() > deadline:
            print(service.log.read_text()[-3000:], file=sys.stderr)
            print(f"{len(caller.told)} told, {len(Hooks.seen)} webhooks after {patience_s} s", file=sys.stderr)
            return  # the verdict counts what is missing
        time.sleep(0.3)
        service.tend()


def verdict(store: Store, artifacts_at: str, told: dict[str, set[str]]) -> dict[str, Any]:
    """Compare what the tables say with what callers were told."""
    artifacts = open_artifacts(artifacts_at)
    every = store.list(None, limit=10**6)
    jobs = {job.idempotency_key: job for job in every}
    published = Counter(
        event.job_id
        for job in every
        for event in store.events(job.id, limit=10**6)
        if event.kind == "status" and event.data["status"] == "completed"
    )
    charged = Counter(charge.job_id for charge in store.ledger.list(limit=10**6))
    wrong = 0
    for job in every:
        expected = uninterrupted(job.request | WORK)
        for artifact in job.artifacts:
            there = hashlib.sha256(artifacts.get(artifact.key)).hexdigest()
            wrong += (artifact.sha256 != expected) + (there != expected)
    by_id = {public_id(job.id, "native"): job for job in every}
    answered = {one for ids in told.values() for one in ids}
    return {
        "jobs": len(every),
        "acknowledged": len(told),
        "attempts": sum(job.attempt for job in every),
        "lost": len(answered - set(by_id)) + sum(job.status != "completed" for job in every),
        "created_twice": len(every) - len(jobs) + sum(len(ids) > 1 for ids in told.values()),
        "published_twice": sum(n > 1 for n in published.values()),
        "charged_twice": sum(n > 1 for n in charged.values()),
        "charged_without_publishing": len(set(charged) - set(published)),
        "published_without_charge": len(set(published) - set(charged)),
        "wrong_outputs": wrong,
        "queued_left_in_lanes": sum(lane["queued"] for lane in store.queue()),
        "webhooks_missing": len(answered - set(Hooks.seen)),
        "webhooks_repeated": sum(n > 1 for n in Hooks.seen.values()),
    }


def main() -> int:
    """Parse, run, print; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL instead of SQLite, and killed as well")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = chaos(args.postgres, args.kills, args.jobs, args.seed)
    print(json.dumps(found))
    return int(any(found.get(fault, 0) for fault in (*FAULTS, "webhooks_missing")))


if __name__ == "__main__":
    sys.exit(main())
