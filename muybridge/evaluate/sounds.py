"""Onsets of strikes (hoofbeat, bounce, bell) and whether they fall on the contacts that are seen."""

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
