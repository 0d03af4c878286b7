"""Whether a seam between two windows shows: a click in the sound, a jump of colour or of the person.

A figure at a seam means nothing alone: speech has bursts, pictures have motion. So the same figure is taken everywhere
else in the clip, and a seam is a fault when it stands clear of what the clip does by itself.

Legend: S samples, T frames, D numbers of one frame, Y X rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muybridge.evaluate.sync import STEP_MS, Windows

Floats = NDArray[np.float64]

NEAR_S, AROUND_S, HOP_S = 0.002, 0.030, 0.001  # a click is this short; what it is measured against; places tried
REACH = 5  # frames on each side of a cut that are compared
CLEAR = 1.5  # times the clip's own 99.9 % quantile
LEAST_COLOUR = 2.0  # of 255: less is not seen


@dataclass(frozen=True)
class Seam:
    """One figure at one seam beside the clip's own: `usual` is what 99.9 % of other places stay under."""

    kind: str  # click | colour | identity | sync
    at_s: float
    figure: float
    usual: float
    is_fault: bool


def clicks(waveform_S: NDArray[np.floating], sample_rate: int, seams_s: Sequence[float]) -> list[Seam]:
    """Peak of the second difference within 2 ms of a seam over its peak in the 30 ms around."""
    bend_S = np.abs(np.diff(np.asarray(waveform_S, np.float64), 2, prepend=0, append=0))
    # One step of 16-bit sound: below it there is nothing to hear, and ratios of silences mean nothing.
    floor = 2 / 32768
    hop = max(1, round(HOP_S * sample_rate))
    near, around = round(NEAR_S / HOP_S), round(AROUND_S / HOP_S)
    whole = len(bend_S) // hop * hop
    peaks = bend_S[:whole].reshape(-1, hop).max(1)  # one a millisecond
    padded = np.pad(peaks, around)
    spans = np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1)
    inner = spans[:, around - near : around + near + 1].max(1)
    gap = near + 1
    outer = np.maximum(spans[:, : around - gap].max(1), spans[:, around + gap + 1 :].max(1))
    ratio = inner / (outer + floor)
    places = [min(int(s / HOP_S), len(ratio) - 1) for s in seams_s]
    usual = _usual(ratio, places, 2 * around)
    found = [float(ratio[max(0, p - near) : p + near + 1].max()) for p in places]
    return [Seam("click", s, f, usual, f > max(CLEAR * usual, 2.0)) for s, f in zip(seams_s, found, strict=True)]


def colour_TD(frames_TYX3: NDArray[np.uint8]) -> Floats:
    """Mean colours of a 4 x 4 grid of each frame, [T, 48], of 255."""
    num_frames, height, width = frames_TYX3.shape[:3]
    rows, columns = np.arange(5) * height // 4, np.arange(5) * width // 4
    cells = [
        frames_TYX3[:, rows[i] : rows[i + 1], columns[j] : columns[j + 1]].mean((1, 2))
        for i in range(4)
        for j in range(4)
    ]
    return np.concatenate(cells, 1).reshape(num_frames, -1).astype(np.float64)


def jumps(kind: str, values_TD: Floats, seams_s: Sequence[float], fps: float, least: float = 0.0) -> list[Seam]:
    """Distance of the means of the five frames before and after a seam: colours, or the numbers of a person."""
    count = len(values_TD)
    sums = np.concatenate([np.zeros((1, values_TD.shape[1])), np.cumsum(values_TD, 0)])
    at = np.arange(REACH, count - REACH + 1)
    before, after = (sums[at] - sums[at - REACH]) / REACH, (sums[at + REACH] - sums[at]) / REACH
    distance = np.full(count + 1, np.nan)
    distance[at] = np.sqrt(((after - before) ** 2).mean(1))
    places = [round(s * fps) for s in seams_s]
    usual = _usual(distance, places, 2 * REACH)
    found = [float(distance[p]) if p <= count else math.nan for p in places]
    return [Seam(kind, s, f, usual, f > max(CLEAR * usual, least)) for s, f in zip(seams_s, found, strict=True)]


def sync_steps(found: Windows, seams_s: Sequence[float], reach_s: float = 12.0) -> list[Seam]:
    """Change of the median lag (ms) over a seam, from windows that do not hold it, up to `reach_s` on each side."""
    out = []
    for seam in seams_s:
        apart = found.centre_s - seam
        sides = [found.lag_ms[(sign * apart >= 2) & (sign * apart <= reach_s)] for sign in (-1, 1)]
        step = math.nan if min(map(len, sides)) < 3 else float(np.median(sides[1]) - np.median(sides[0]))
        out.append(Seam("sync", seam, step, STEP_MS, abs(step) > STEP_MS))
    return out


def _usual(values: Floats, places: Sequence[int], apart: int) -> float:
    """The 99.9 % quantile away from all seams; infinite where nothing is left to compare with."""
    away = np.isfinite(values)
    for place in places:
        away[max(0, place - apart) : place + apart + 1] = False
    return float(np.quantile(values[away], 0.999)) if away.any() else math.inf
