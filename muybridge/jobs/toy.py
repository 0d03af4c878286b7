"""A runner that makes numbers instead of video: deterministic, resumable, quick. For tests and benchmarks.

The request may say: seed, steps, step_s (seconds of sleep per step), values (array length), and for tests `raises`
(an error's code at half time). Each step mixes the state with noise drawn from (seed, step), so the result shows
whether every step ran exactly once and in order, whoever ran it.
"""

from __future__ import annotations

import io
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from muybridge import errors
from muybridge.jobs.job import Job
from muybridge.jobs.worker import Hook, ResultFile, RunResult


def runner(job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
    """Run (or resume) a toy job; its one artifact is `clip.npy`."""
    request = job.request
    seed, num_steps, step_s = int(request.get("seed", 0)), int(request.get("steps", 4)), float(request.get("step_s", 0))
    state = np.zeros(int(request.get("values", 64)))
    first = 0
    if checkpoint is not None:
        with np.load(io.BytesIO(checkpoint)) as saved:
            state, first = saved["state"], int(saved["step"])
    for step in range(first, num_steps):
        if step == num_steps // 2:
            _raise(request.get("raises"), job.attempt, int(request.get("raises_until_attempt", 1 << 30)))
        key = np.array([seed, step], dtype=np.uint64)  # counter-based: no generator whose state a crash could lose
        noise = np.random.Generator(np.random.Philox(key=key)).standard_normal(state.shape)
        state = np.tanh(0.9 * state + noise)
        time.sleep(step_s)
        stage = "base" if step < num_steps // 2 else "upscale"
        done = step + 1
        hook.step(stage, 100 * done / num_steps, (num_steps - done) * step_s, partial(_save, state, done))
    path = workdir / "clip.npy"
    np.save(path, state)
    return RunResult((ResultFile("video", path, "application/octet-stream"),), {"output_s": num_steps * 0.1})


def _save(state: np.ndarray[Any, np.dtype[np.float64]], step: int) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, state=state, step=step)
    return buffer.getvalue()


def _raise(code: str | None, attempt: int, until_attempt: int) -> None:
    """Raise the error with this code, while the attempt is at most `until_attempt`."""
    if code is None or attempt > until_attempt:
        return
    kinds = (getattr(errors, name) for name in dir(errors))
    found = [k for k in kinds if isinstance(k, type) and issubclass(k, errors.MuybridgeError) and k.code == code]
    raise found[-1](f"The toy was told to fail with {code}.") if found else ZeroDivisionError(code)
