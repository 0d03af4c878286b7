"""A real server for the tests of the API: uvicorn on a port, workers with a toy runner, and a host for media and hooks.

Words in a prompt steer the toy: `[hold]` runs until it is cancelled (at most 30 s), `[fail CODE]` ends with that error.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

from muybridge import errors
from muybridge.api.app import create_app
from muybridge.api.limits import Limits
from muybridge.api.service import Service
from muybridge.config import ServerConfig
from muybridge.jobs.job import Job
from muybridge.jobs.worker import Hook, ResultFile, RunResult, WorkerSpec, run_worker
from muybridge.media import write_clip, write_image

NUM_WORKERS = 2


def toy_runner(job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
    """A small grey clip of the asked length, with a last frame and a thumbnail; steered by words in the prompt."""
    del checkpoint
    prompt = job.request["prompt"]
    steps = 600 if "[hold]" in prompt else 3
    for step in range(steps):
        hook.step("base", 100 * step / steps, (steps - step) * 0.05)
        time.sleep(0.05 if steps > 3 else 0.0)
    if found := re.search(r"\[fail (\w+)\]", prompt):
        kinds = (k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.MuybridgeError))
        raise next(k for k in kinds if k.code == found.group(1))("The toy was told to fail.")
    seconds = float(job.request["seconds"])
    frames = np.full((round(seconds * 25), 72, 128, 3), job.request["seed"] % 256, np.uint8)
    clip = write_clip(
        workdir / "clip.mp4", frames, np.zeros((1, round(seconds * 25) * 640), np.float32), sample_rate=16000
    )
    still = write_image(workdir / "last.png", frames[-1])
    files = (
        ResultFile("video", clip.path, "video/mp4", 128, 72, seconds, 25.0),
        ResultFile("last_frame", still, "image/png", 128, 72),
        ResultFile("thumbnail", still, "image/png", 128, 72),
    )
    return RunResult(files, {"output_s": seconds, "cost": 0.05 * seconds}, "tiny")


@dataclass
class Outside:
    """The world outside the server: serves pictures and a clip, and takes webhooks."""

    url: str
    image: Path
    clip: Path
    hooks: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)  # path, headers (lower case), body

    def hook(self, path: str, timeout_s: float = 10.0) -> tuple[dict[str, str], bytes]:
        """The first webhook that came to `path`; waits for it."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for at, headers, body in list(self.hooks):
                if at == path:
                    return headers, body
            time.sleep(0.05)
        raise AssertionError(f"no webhook came to {path}; there were {[at for at, _, _ in self.hooks]}")


@dataclass
class ApiServer:
    """A running server and two tenants' keys."""

    url: str
    service: Service
    outside: Outside
    key: str
    other_key: str
    turns: list[threading.Lock]

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """No job is claimed inside (running ones end first): what is submitted stays queued."""
        with contextlib.ExitStack() as stack:
            for turn in self.turns:
                stack.enter_context(turn)
            yield

    def wait(self, job_id: str, *, status: str | None = None, timeout_s: float = 20.0) -> Job:
        """The job by ULID or public id once it has `status`, or has ended."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            job = self.service.store.get(self.service.job_id(job_id, "native"))
            if job.status == status or (status is None and job.ended):
                return job
            time.sleep(0.02)
        raise AssertionError(f"job {job_id} is {job.status}, not {status or 'at its end'}")


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files by GET; every POST is kept."""

    outside: Outside

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.outside.hooks.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the parent's signature)
        """Silence."""


@contextlib.contextmanager
def outside_world(folder: Path) -> Iterator[Outside]:
    """Start the media host."""
    rows = np.linspace(0, 255, 480, dtype=np.uint8)
    picture = np.broadcast_to(rows[:, None, None], (480, 640, 3)).copy()
    image = write_image(folder / "picture.png", picture)
    clip = write_clip(
        folder / "clip.mp4",
        np.full((75, 180, 320, 3), 90, np.uint8),
        np.zeros((1, 48000), np.float32),
        sample_rate=16000,
    )
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but then no more")
    handler = type("Handler", (_Handler,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    outside = Outside(f"http://127.0.0.1:{server.server_address[1]}", image, clip.path)
    handler.outside = outside
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield outside
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _work(service: Service, turn: threading.Lock, stop: threading.Event, number: int) -> None:
    spec = WorkerSpec("", "", "", lease_s=30.0, watchdog=False)
    while not stop.is_set():
        with turn:
            run_worker(
                service.store, service.artifacts, toy_runner, spec=spec, worker_id=f"toy-{number}", stop=stop,
                max_jobs=1, until_idle=True,
            )  # fmt: skip
        stop.wait(0.03)


@contextlib.contextmanager
def running_server(folder: Path, outside: Outside, **limits: Any) -> Iterator[ApiServer]:
    """Start the application and its workers; stop both."""
    allowed = frozenset({outside.url.removeprefix("http://")})
    config = ServerConfig(data=folder, port=0)
    app = create_app(config, Limits(http_hosts=allowed, price_per_gpu_hour=3.6, **limits))
    service: Service = app.state.service
    core = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    stop, turns = threading.Event(), [threading.Lock() for _ in range(NUM_WORKERS)]
    threads = [threading.Thread(target=core.run)]
    threads += [threading.Thread(target=_work, args=(service, t, stop, i)) for i, t in enumerate(turns)]
    keys = [service.keys.create(name)[1] for name in ("first", "second")]
    for thread in threads:
        thread.start()
    while not core.started:
        assert threads[0].is_alive(), "the server did not start"
        time.sleep(0.01)
    port = core.servers[0].sockets[0].getsockname()[1]
    try:
        yield ApiServer(f"http://127.0.0.1:{port}", service, outside, keys[0], keys[1], turns)
    finally:
        stop.set()
        for thread in threads[1:]:
            thread.join()
        core.should_exit = True
        threads[0].join()


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One server for all tests of the session; tests keep apart by their jobs' ids."""
    (files := tmp_path_factory.mktemp("outside")).mkdir(exist_ok=True)
    with outside_world(files) as outside, running_server(tmp_path_factory.mktemp("data"), outside) as server:
        yield server
