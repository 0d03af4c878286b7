"""`muybridge serve` and `muybridge keys` as processes: first start, drain, kill -9."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from muybridge.jobs.store import Store
from muybridge.media import write_image

ENTRY = "from muybridge.cli import build; build(('serve', 'keys'))()"


@dataclass
class Served:
    """A running `muybridge serve`."""

    process: subprocess.Popen[str]
    url: str
    key: str | None
    started_at: float

    def kill(self) -> None:
        """kill -9 of the API process alone; its workers notice and leave."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def serve(data: Path, *more: str, runner: str = "muybridge.jobs.toy:runner") -> Iterator[Served]:
    """Start the command on a free port with a toy runner; end it at the latest when the block ends."""
    config = data.parent / f"{data.name}.toml"
    config.write_text(f'runner = "{runner}"\nlease_s = 5.0\n')
    arguments = ["serve", "--port", "0", "--data", str(data), "--config", str(config), "--json", *more]
    started_at = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", ENTRY, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield Served(process, told["url"], told["key"], started_at)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        process.stdout.close()


def post(served: Served, key: str, prompt: str = "x", **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}", **more}
    return httpx.post(f"{served.url}/v1/videos", json={"prompt": prompt}, headers=headers, timeout=20)


def keys(data: Path, *arguments: str) -> Any:
    """`muybridge keys ... --json`."""
    command = [sys.executable, "-c", ENTRY, "keys", *arguments, "--data", str(data), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_first_start_to_finished_video_and_orderly_end(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serve(data) as served:
        assert served.key is not None
        made = post(served, served.key)
        assert made.status_code == 200, made.text
        headers = {"Authorization": f"Bearer {served.key}"}
        until = time.monotonic() + 30
        while (video := httpx.get(f"{served.url}/v1/videos/{made.json()['id']}", headers=headers).json())[
            "status"
        ] != "completed":
            assert time.monotonic() < until, video
            time.sleep(0.1)
        assert httpx.get(video["urls"]["video"]).content[:6] == b"\x93NUMPY"  # the toy's clip
        until = time.monotonic() + 30
        while httpx.get(f"{served.url}/health/ready").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.2)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0
    with serve(data, "--workers", "0") as again:
        assert again.key is None  # shown once
        assert httpx.get(f"{again.url}/v1/videos/{made.json()['id']}", headers=headers).json()["status"] == "completed"


def test_people_see_a_key_and_a_line_to_try(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENTRY, "serve", "--port", "0", "--data", str(tmp_path / "d"), "--workers", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        process.terminate()
    assert "listens on http://127.0.0.1:" in lines[0]
    assert "shown only now:  mb_" in lines[2]
    assert lines[4].strip().startswith("curl http://127.0.0.1:")
    assert "A paper boat" in lines[5]


@pytest.mark.parametrize("patience_s", [0.05, 0.6])
def test_accepted_is_durable_when_the_api_is_killed(tmp_path: Path, patience_s: float) -> None:
    """kill -9 in the middle of a stream of submits: every id that a client was given is there afterwards."""
    data = tmp_path / "data"
    accepted: dict[str, str] = {}  # idempotency key -> id
    with serve(data, "--workers", "0") as served:
        key = served.key
        assert key is not None

        def submit(number: int) -> None:
            with httpx.Client(timeout=20) as client, contextlib.suppress(httpx.TransportError):
                for i in range(10_000):
                    body = {"prompt": f"{number} {i}"}
                    name = f"{number}-{i}"
                    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": name}
                    answer = client.post(f"{served.url}/v1/videos", json=body, headers=headers)
                    assert answer.status_code == 200, answer.text
                    accepted[name] = answer.json()["id"]

        threads = [threading.Thread(target=submit, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        while "0-0" not in accepted:
            time.sleep(0.01)
        time.sleep(patience_s)
        served.kill()
        for thread in threads:
            thread.join()
    assert accepted
    with serve(data, "--workers", "0") as again:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(headers=headers, timeout=20) as client:
            for video_id in accepted.values():
                found = client.get(f"{again.url}/v1/videos/{video_id}")
                assert (found.status_code, found.json()["status"]) == (200, "queued")
            # A client that lost its answer repeats, and never makes a second job.
            repeat = client.post(
                f"{again.url}/v1/videos", json={"prompt": "0 0"}, headers={"Idempotency-Key": "0-0"}
            ).json()
            assert repeat["id"] == accepted["0-0"]


def test_a_relative_data_folder_takes_media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is one, and a job's inputs must be found by workers started anywhere else."""
    monkeypatch.chdir(tmp_path)
    picture = write_image(tmp_path / "a.png", np.full((320, 320, 3), 90, np.uint8))
    with serve(Path("muybridge-data")) as served:
        headers = {"Authorization": f"Bearer {served.key}"}
        files = {"image": ("a.png", picture.read_bytes(), "image/png")}
        made = httpx.post(f"{served.url}/v1/videos", data={"prompt": "x"}, files=files, headers=headers, timeout=30)
        assert made.status_code == 200 and made.json()["task"] == "i2v", made.text
    store = Store.open(str(tmp_path / "muybridge-data" / "jobs.sqlite"))
    (job,) = [job for job in store.list(None) if job.request["prompt"] == "x"]
    store.close()
    assert Path(job.request["image"]).is_relative_to(tmp_path / "muybridge-data")


def test_killed_api_leaves_no_worker_and_loses_no_job(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serve(data) as served:
        key = served.key
        assert key is not None
        made = [post(served, key, f"job {i}").json()["id"] for i in range(5)]
        served.kill()
    with serve(data) as again:
        headers = {"Authorization": f"Bearer {key}"}
        until = time.monotonic() + 40
        for video_id in made:
            while (
                status := httpx.get(f"{again.url}/v1/videos/{video_id}", headers=headers).json()["status"]
            ) != "completed":
                assert time.monotonic() < until, status
                time.sleep(0.1)
    store = Store.open(data / "jobs.sqlite")
    charges = [c.job_id for c in store.ledger.list()]
    assert len(charges) == len(set(charges)) >= 5
    store.close()


@pytest.mark.slow
def test_random_kills_of_the_whole_service_break_no_promise() -> None:
    """A short run of the experiment over HTTP; it exits with 1 for any job lost, made, published or charged twice."""
    command = [sys.executable, str(Path(__file__).parents[1] / "bench/chaos_api.py"), "--kills", "10", "--jobs", "15"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout
    found = json.loads(done.stdout)
    assert sum(found["kills"].values()) == 10 and found["kills"]["api"] > 0
    assert found["acknowledged"] == found["jobs"] == 15
    assert found["answers"]["200"] >= 15 + 4  # every fourth is sent twice


def test_keys_by_command(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = keys(data, "create", "--name", "ci", "--limit", "requests_per_s=5", "--limit", "max_open=3", "--days", "2")
    assert made["key"].startswith("mb_")
    listed = keys(data, "list")["keys"]
    assert [(k["name"], k["limits"]) for k in listed] == [("ci", {"requests_per_s": 5.0, "max_open": 3})]
    successor = keys(data, "rotate", made["id"], "--overlap-hours", "0")
    assert successor["tenant"] == made["tenant"]
    with serve(data, "--workers", "0") as served:
        assert served.key is None
        assert post(served, successor["key"]).status_code == 200
        assert post(served, made["key"]).status_code == 401
        assert keys(data, "revoke", successor["id"])["revoked"]
        until = time.monotonic() + 10
        while post(served, successor["key"]).status_code != 401:
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("runner = 1\n[limits]\nmodels = 3\nmax_body_bytes = 'x'", "max_body_bytes"),
        ("[limits]\nno_such = 1", "no_such"),
        ("colour = 'red'", "colour"),
        ("not toml", "TOML"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, why: str) -> None:
    from muybridge.api.run import limits_of, read_config
    from muybridge.errors import UserError

    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=why):
        limits_of(read_config(path).get("limits", {}), ("tiny",))


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    from muybridge.api.run import _listen
    from muybridge.config import ServerConfig
    from muybridge.errors import UserError

    with _listen(ServerConfig(port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=str(port)):
            _listen(ServerConfig(port=port, data=tmp_path))


def test_importing_the_api_needs_no_torch() -> None:
    code = "import sys, muybridge.api.app, muybridge.client, muybridge.api.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ.copy(), check=False).returncode == 0
