"""Measure the HTTP service on this machine: start-up, accepted submits a second, latency at 300/s, memory under attack.

    python bench/api.py [start] [submit] [attack] [--seconds 10] [--json]

Server and load generator share the machine's cores. The load generator is a bare keep-alive client (raw HTTP/1.1 over
asyncio), so that what is measured is the server. Every answer is checked to be 200 with a new id. `start` runs the real
command with a worker; `submit` runs it without one, so that nothing but accepting is timed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

ENTRY = "from muybridge.cli import build; build(('serve', 'keys'))()"
BODY = json.dumps({"prompt": "A paper boat on a calm lake.", "seconds": 4, "size": "448x256"}).encode()


@dataclass
class Served:
    """A running `muybridge serve`."""

    process: subprocess.Popen[str]
    url: str
    key: str
    spawned_at: float

    def stop(self) -> None:
        """Drain and end."""
        self.process.terminate()
        self.process.wait(60)


def serve(data: Path, workers: int) -> Served:
    """Start the command with a toy runner on a free port."""
    config = data / "serve.toml"
    config.write_text('runner = "muybridge.jobs.toy:runner"\n')
    arguments = ["serve", "--port", "0", "--data", str(data / "d"), "--config", str(config), "--workers", str(workers)]
    spawned_at = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", ENTRY, *arguments, "--json"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    return Served(process, told["url"], told["key"], spawned_at)


def start_up(tries: int = 3) -> dict[str, float]:
    """Seconds from the command to the first accepted job, and to the first finished one (toy runner)."""
    accepted, finished = [], []
    for _ in range(tries):
        with tempfile.TemporaryDirectory() as folder:
            served = serve(Path(folder), 1)
            headers = {"Authorization": f"Bearer {served.key}"}
            with httpx.Client(headers=headers, timeout=30) as client:
                made = client.post(
                    f"{served.url}/v1/videos", content=BODY, headers={"Content-Type": "application/json"}
                )
                assert made.status_code == 200, made.text
                accepted.append(time.monotonic() - served.spawned_at)
                while client.get(f"{served.url}/v1/videos/{made.json()['id']}").json()["status"] != "completed":
                    time.sleep(0.02)
                finished.append(time.monotonic() - served.spawned_at)
            served.stop()
    return {"to_first_accepted_s": min(accepted), "worst_s": max(accepted), "to_first_finished_s": min(finished)}


class Line:
    """One keep-alive connection that sends the same submit again and again."""

    def __init__(self, url: str, key: str) -> None:
        self.at = urlsplit(url)
        head = (
            f"POST /v1/videos HTTP/1.1\r\nHost: {self.at.netloc}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        self.message = head.encode() + BODY

    async def open(self) -> None:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection(self.at.hostname, self.at.port)

    async def submit(self) -> bytes:
        """One submit; the id it was given."""
        self.writer.write(self.message)
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        where = head.index(b"content-length: ") + 16
        body = await self.reader.readexactly(int(head[where : head.index(b"\r", where)]))
        return body[7:45] if body.startswith(b'{"id":"') else body


async def flood(url: str, key: str, seconds: float, num_lines: int = 32) -> dict[str, float]:
    """As many submits as the server takes, closed loop over `num_lines` connections."""
    lines = [Line(url, key) for _ in range(num_lines)]
    ids: set[bytes] = set()
    count = 0
    for line in lines:
        await line.open()
    await asyncio.gather(*(line.submit() for line in lines))  # warm
    until = time.monotonic() + seconds

    async def run(line: Line) -> None:
        nonlocal count
        while time.monotonic() < until:
            ids.add(await line.submit())
            count += 1

    started = time.monotonic()
    await asyncio.gather(*(run(line) for line in lines))
    took = time.monotonic() - started
    assert len(ids) == count, "an id was given twice"
    return {"submits_per_s": count / took, "submits": count}


async def steady(url: str, key: str, seconds: float, rate: float = 300.0, num_lines: int = 64) -> dict[str, float]:
    """Latency of an open loop: a submit is due every 1/rate s whether or not earlier ones came back."""
    free: asyncio.Queue[Line] = asyncio.Queue()
    for _ in range(num_lines):
        line = Line(url, key)
        await line.open()
        await line.submit()
        free.put_nowait(line)
    latencies: list[float] = []

    async def one(due: float) -> None:
        line = await free.get()
        await line.submit()
        latencies.append(time.monotonic() - due)  # from when it was due: queueing counts
        free.put_nowait(line)

    started = time.monotonic()
    tasks = []
    for i in range(int(seconds * rate)):
        due = started + i / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    latencies.sort()
    at = {f"p{p}_ms": 1000 * latencies[min(len(latencies) - 1, int(len(latencies) * p / 100))] for p in (50, 95, 99)}
    return {"rate_per_s": len(latencies) / (time.monotonic() - started), **at, "max_ms": 1000 * latencies[-1]}


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used: unlike a rate, hardly changed by what else runs on the machine."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def attack(num_rounds: int = 2) -> dict[str, float]:
    """Hostile media, four at a time, as uploads and as data URLs; the largest memory of the API process meanwhile."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import concurrent.futures

    from test_ingest import PICTURES, SOUNDS, VIDEOS  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as folder:
        served = serve(Path(folder), 0)
        room = Path(folder) / "media"
        room.mkdir()
        cases = [(name, make(), "image") for name, (make, _) in PICTURES.items()]
        cases += [(n, make(room), "audio" if n.startswith("m4a") else "video") for n, (make, _) in VIDEOS.items()]
        cases += [(name, make(), "audio") for name, (make, _) in SOUNDS.items()]
        # Pictures within the byte cap, inside JSON: the body is read whole, and still memory must stay flat.
        cases += [(f"inline {i}", os.urandom(19 << 20), "inline") for i in range(6)]
        cases += [("inline too large", os.urandom(40 << 20), "inline")]
        peak, refused, wrong = memory_mib(served.process.pid), 0, []
        before = peak
        headers = {"Authorization": f"Bearer {served.key}"}

        def send(case: tuple[str, bytes, str]) -> tuple[str, int]:
            name, data, kind = case
            with httpx.Client(headers=headers, timeout=300) as client:
                if kind == "inline":
                    body = {"prompt": "x", "image": "data:image/png;base64," + base64.b64encode(data).decode()}
                    return name, client.post(f"{served.url}/v1/videos", json=body).status_code
                files = {"file": (name, data)}
                answer = client.post(f"{served.url}/v1/files", files=files, data={"kind": kind})
                return name, answer.status_code

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            waiting = {pool.submit(send, case) for _ in range(num_rounds) for case in cases}
            while waiting:
                done, waiting = concurrent.futures.wait(waiting, timeout=0.05)
                peak = max(peak, memory_mib(served.process.pid))
                for future in done:
                    name, status = future.result()
                    refused += status in (400, 413)
                    wrong += [f"{name}: {status}"] if status not in (400, 413) else []
        served.stop()
    assert not wrong, wrong
    return {"cases": len(cases), "refused": refused, "rss_before_mib": before, "rss_peak_mib": peak}


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["start", "submit", "attack"])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    if "start" in options.parts:
        found["start"] = start_up()
    if "submit" in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            served = serve(Path(folder), 0)
            before, own = cpu_s(served.process.pid), time.process_time()
            flooded = asyncio.run(flood(served.url, served.key, options.seconds))
            per_submit = 1000 / (flooded["submits"] + 32)
            flooded["server_cpu_ms"] = (cpu_s(served.process.pid) - before) * per_submit
            flooded["client_cpu_ms"] = (time.process_time() - own) * per_submit
            found["flood"] = flooded
            found["steady"] = asyncio.run(steady(served.url, served.key, options.seconds))
            found["rss_mib"] = memory_mib(served.process.pid)
            served.stop()
    if "attack" in options.parts:
        found["attack"] = attack()
    if options.json:
        print(json.dumps(found))
        return
    for part, values in found.items():
        print(f"{part:<8}", values if not isinstance(values, dict) else {k: round(v, 2) for k, v in values.items()})


if __name__ == "__main__":
    main()
