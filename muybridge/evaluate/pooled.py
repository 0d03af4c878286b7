"""Several long clips judged together: what one minute cannot prove, five can.

The lag of a real voice in a 4 s window is known to about 7 ms, so the interval of one minute's slope x length is often
wider than the bound even where lips are true (`bench/drift.py`). Slopes of different clips are independent: their mean
has an interval that needs no model of the windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muybridge.evaluate import sync
from muybridge.evaluate.drift_report import Report

LEAST = 3  # clips
# Two-sided 90 % quantiles of Student's t for 2 .. 10 degrees of freedom; beyond, a little too wide (1.812).
_T90 = (2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)


@dataclass(frozen=True)
class Pooled:
    """`slope_x_length_ms` is the mean over the clips, `interval_ms` its 90 % interval; faults are in words."""

    count: int
    slope_x_length_ms: float
    interval_ms: tuple[float, float]
    offset_ms: float
    faults: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """No fault."""
        return not self.faults

    def line(self) -> str:
        """One line for a terminal."""
        low, high = self.interval_ms
        said = "pass together" if self.passes else "do not pass together: " + "; ".join(self.faults)
        return (
            f"{self.count} clips {said}. Slope x length {self.slope_x_length_ms:+.1f} ms, 90 % interval "
            f"{low:+.1f} .. {high:+.1f} (inside +-{sync.DRIFT_MS:g}); offset {self.offset_ms:+.1f} ms."
        )


def pool(reports: Sequence[Report]) -> Pooled | None:
    """The clips as one test; None for fewer than three.

    It passes when the interval of the mean slope x length lies inside 20 ms, the mean offset within 20 ms, and no clip
    has a fault of its own: a clip may be "unsure" (too short to tell), but not off, drifting, jumping, without sync,
    with a seam that shows or a container that adds something.
    """
    if len(reports) < LEAST:
        return None
    known = [r for r in reports if math.isfinite(r.drift.slope_ms_per_s)]
    faults = [f"{r.name}: {fault}" for r in reports for fault in r.faults if not fault.endswith(": unsure")]
    if len(known) < LEAST:
        return Pooled(len(reports), math.nan, (-math.inf, math.inf), math.nan, (*faults, "too few clips have sync"))
    moved = np.array([r.drift.slope_ms_per_s * r.seconds for r in known])
    mean, offset = float(moved.mean()), float(np.mean([r.drift.offset_ms for r in known]))
    quantile = _T90[min(len(moved) - 3, len(_T90) - 1)]
    reach = quantile * float(moved.std(ddof=1)) / math.sqrt(len(moved))
    if max(abs(mean - reach), abs(mean + reach)) > sync.DRIFT_MS:
        faults.append(f"slope x length is not shown to be within {sync.DRIFT_MS:g} ms")
    if abs(offset) > sync.OFFSET_MS:
        faults.append(f"the mean offset is {offset:+.1f} ms")
    return Pooled(len(reports), mean, (mean - reach, mean + reach), offset, tuple(faults))
