"""Measures on pictures: PSNR, inside or outside a mask, motion, flicker.

Legend: T frames, Y X rows/columns, C channels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


def psnr(a_TYXC: Frames, b_TYXC: Frames, mask_TYX: NDArray[np.bool_] | None = None) -> float:
    """Peak signal to noise in dB over all pixels, or those of `mask_TYX`; infinite for equal pictures."""
    error = np.square(a_TYXC.astype(np.float64) - b_TYXC.astype(np.float64)).mean(-1)
    mean = float(error.mean() if mask_TYX is None else error[mask_TYX].mean())
    return math.inf if mean == 0 else 10 * math.log10(255**2 / mean)


def shrunk(frames_TYXC: Frames, rows: int, cols: int) -> Frames:
    """Means over whole blocks of pixels: `frames_TYXC` must be a multiple of rows x cols, or is them already."""
    count, high, wide, colours = frames_TYXC.shape
    blocks = frames_TYXC.reshape(count, rows, high // rows, cols, wide // cols, colours)
    means: Frames = blocks.mean((2, 4)).round().astype(np.uint8)
    return means


def motion(frames_TYXC: Frames) -> float:
    """Mean absolute change from frame to frame, in grey levels: 0 for a still."""
    return float(np.abs(np.diff(frames_TYXC.astype(np.int16), axis=0)).mean()) if len(frames_TYXC) > 1 else 0.0


def freeze_share(frames_TYXC: Frames, least: float = 0.02) -> float:
    """Share of frames that repeat the one before (change under `least` grey levels)."""
    if len(frames_TYXC) < 2:
        return 0.0
    change = np.abs(np.diff(frames_TYXC.astype(np.int16), axis=0)).mean((1, 2, 3))
    return float((change < least).mean())
