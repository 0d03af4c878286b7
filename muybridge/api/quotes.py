"""What a request will take, told before it is accepted: operations, memory, seconds of a machine, money."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muybridge.jobs.records import Ledger
from muybridge.request import Reference, Request, reference_name
from muybridge.shapes import cost

MIN_JOBS = 3  # fewer say little: the first ones warm up caches and compile
SPEED_FRESH_S = 30.0
FORMULA = "by formula, one H100"


@dataclass(frozen=True)
class Speed:
    """How much slower than by formula our machines are, and how that is known."""

    factor: float = 1.0
    source: str = FORMULA


class Speeds:
    """Measured speeds of our own sizes, out of the ledger of finished jobs. Safe from any thread."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger, self._clock = ledger, clock
        self._known: dict[str, tuple[float, Speed]] = {}

    def of(self, model: str) -> Speed:
        """The speed of a size here, read at most every SPEED_FRESH_S; the formula's until MIN_JOBS are done.

        Where several kinds of machines work, each counts by the share of the newest jobs that it made.
        """
        at, speed = self._known.get(model, (-1e18, Speed()))
        if self._clock() - at > SPEED_FRESH_S:
            speed = self._read(model)
            self._known[model] = (self._clock(), speed)
        return speed

    def _read(self, model: str) -> Speed:
        found = self._ledger.slowdown(model)
        num = sum(row.num_jobs for row in found)
        if num < MIN_JOBS:
            return Speed()
        factor = sum(row.factor * row.num_jobs for row in found) / num
        devices = ", ".join(f"{row.num_jobs} jobs on {row.device}" for row in found)
        return Speed(factor, f"measured: {devices}")


def quote_of(request: Request, model: str, price_per_gpu_hour: float, speed: Speed = Speed()) -> dict[str, Any]:
    """flops, peak bytes, seconds and USD of `request` on `model` (a size), at the speed of the machines here."""
    flops, peak_bytes, seconds = _cost(
        model,
        request.size,
        request.ratio,
        request.seconds,
        len(request.references),
        request.video is not None,
        request.num_inference_steps,
        request.guidance_scale,
    )
    seconds *= speed.factor
    money = round(seconds / 3600 * price_per_gpu_hour, 6)
    found = {"flops": flops, "bytes": peak_bytes, "seconds": seconds, "cost": money, "currency": "USD"}
    return found | {"speed": speed.source}


@functools.lru_cache(maxsize=1024)
def _cost(
    model: str,
    size: str,
    ratio: str,
    seconds: float,
    num_references: int,
    edits: bool,
    num_inference_steps: int | None,
    guidance_scale: float | None,
) -> tuple[float, int, float]:
    """flops, peak bytes and seconds of a shape of request; the formulas take a millisecond, so results are kept."""
    like = Request(
        "shape",
        references=tuple(Reference(Path("x"), reference_name(i)) for i in range(num_references)),
        video=Path("x") if edits else None,
        size=size,
        ratio=ratio,
        seconds=seconds,
        num_inference_steps=num_inference_steps,
        guidance_scale=guidance_scale,
    )
    found = cost(like, model)
    return found.flops, found.bytes, found.seconds
