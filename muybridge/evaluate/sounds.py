"""Onsets of strikes (hoofbeat, bounce, bell), contacts seen in pixels, and whether the two fall together.

Legend: T frames, Y X rows/columns, S samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HOP_S = 0.005
FRAME_S = 0.04


def onsets(
    waveform_S: NDArray[np.floating], sample_rate: int, least_gap_s: float = 0.08, rise: float = 6.0
) -> list[float]:
    """Times of sudden rises: energy in 5 ms over the mean of the 50 ms before, by at least `rise` dB, local maxima."""
    hop = max(1, round(HOP_S * sample_rate))
    count = len(waveform_S) // hop
    energy = np.square(np.asarray(waveform_S[: count * hop], np.float64)).reshape(count, hop).mean(1)
    energy += energy.max(initial=0.0) * 1e-5 + 1e-12
    padded = np.concatenate([np.full(10, energy[:10].mean() if count else 0.0), energy])
    before = np.convolve(padded, np.ones(10) / 10, "valid")[:count]
    gain = 10 * np.log10(energy / np.maximum(before, 1e-12))
    found: list[float] = []
    for i in np.flatnonzero(gain >= rise):
        around = gain[max(0, i - 4) : i + 5]
        if gain[i] == around.max() and (not found or i * HOP_S - found[-1] >= least_gap_s):
            found.append(float(i * hop / sample_rate))
    return found


def hit_share(contacts_s: list[float], heard_s: list[float], tolerance_s: float = FRAME_S) -> float:
    """Share of contacts with an onset within `tolerance_s`; each onset serves one contact. NaN without contacts."""
    left, hits = sorted(heard_s), 0
    for contact in sorted(contacts_s):
        near = min(left, key=lambda h: abs(h - contact), default=None)
        if near is not None and abs(near - contact) <= tolerance_s:
            left.remove(near)
            hits += 1
    return hits / len(contacts_s) if contacts_s else float("nan")


SEEN = ("ball", "bell")  # whose contacts `seen_strikes` finds: a bounce at the lowest point, a stroke at both turns


def seen_strikes(frames_TYX3: NDArray[np.uint8], kind: str, fps: float = 25.0) -> list[float]:
    """Times at which a ball is lowest or a swinging bell turns, from a clip whose camera stands still.

    A ball's height is the mean row of what differs from each pixel's median over time; a bell turns where the change
    from frame to frame is least. Clips without motion have none.
    """
    step = max(1, frames_TYX3.shape[1] // 64)
    grey = frames_TYX3[:, ::step, ::step].mean(-1)
    if kind == "bell":
        change = np.abs(np.diff(grey, axis=0)).mean((1, 2))
        return [(peak + 0.5) / fps for peak in _peaks(-change)]
    moved = np.abs(grey - np.median(grey, 0))
    moved[moved < 12] = 0.0
    if not moved.any():
        return []
    rows = (moved.sum(2) @ np.arange(moved.shape[1])) / (moved.sum((1, 2)) + 1e-6)
    return [peak / fps for peak in _peaks(rows)]


def _peaks(values_T: NDArray[np.floating], share: float = 0.3) -> list[int]:
    """Local maxima that stand over the lows on both sides, as far as a higher peak, by a share of the range."""
    smooth = np.convolve(np.pad(values_T, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    least = share * float(np.ptp(smooth))
    found = []
    for t in range(1, len(smooth) - 1):
        if not smooth[t - 1] < smooth[t] >= smooth[t + 1]:
            continue
        sides = []
        for part in (smooth[:t][::-1], smooth[t + 1 :]):
            higher = np.flatnonzero(part > smooth[t])
            sides.append(float(part[: higher[0] if len(higher) else len(part)].min()))
        if smooth[t] - max(sides) >= least:
            found.append(t)
    return found
