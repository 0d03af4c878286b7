"""What one clip costs a user: seconds from the command to the file, peak memory, and how true the ETA is.

    python bench/generate.py [--model tiny] [--sizes 448x256 1080p] [--seconds 5]

The first two are those of a fresh `muybridge generate` process, start and imports included; the ETA is that of the
engine's own progress, from the end of the first quarter of the steps on: |elapsed + ETA - whole| / whole, the worst.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import muybridge
from muybridge.engine.meter import Progress

PROMPT = 'A woman with red hair stands in a kitchen in the morning. She says: "Good morning, the coffee is ready."'


def command(model: str, size: str, seconds: float) -> tuple[float, float]:
    """(seconds, peak MB) of the command in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        line = [Path(sys.executable).with_name("muybridge"), "generate", PROMPT, "--model", model, "--size", size]
        line += ["--seconds", str(seconds), "-o", Path(folder) / "clip.mp4", "--seed", "1"]
        started = time.perf_counter()
        child = subprocess.Popen([str(word) for word in line], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"muybridge generate ended with {child.returncode}")
    return time.perf_counter() - started, used.ru_maxrss / 1000


def eta_error(engine: muybridge.Engine, size: str, seconds: float) -> float:
    """The worst relative error of the whole time as told after the first quarter of the steps."""
    told: list[tuple[float, Progress]] = []
    started = time.perf_counter()
    request = muybridge.Request(PROMPT, size=size, seconds=seconds, seed=1)
    engine.generate(request, lambda progress: told.append((time.perf_counter() - started, progress)))
    whole = time.perf_counter() - started
    late = [(at, p.eta_s) for at, p in told if p.step * 4 >= p.num_steps and p.eta_s is not None]
    return max(abs(at + eta_s - whole) / whole for at, eta_s in late)


def main() -> None:
    """Prints one row a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--sizes", nargs="+", default=["448x256", "1080p"])
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    engine = muybridge.load(asked.model)
    print(f"{'size':>9} {'seconds':>8} {'command (s)':>12} {'peak (MB)':>10} {'ETA off by':>11}")
    for size in asked.sizes:
        wall_s, peak_mb = command(asked.model, size, asked.seconds)
        off = eta_error(engine, size, asked.seconds)
        print(f"{size:>9} {asked.seconds:8g} {wall_s:12.1f} {peak_mb:10.0f} {off:11.2f}", flush=True)


if __name__ == "__main__":
    main()
