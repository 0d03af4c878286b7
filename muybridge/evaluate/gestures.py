"""Which gesture of the head is this? Told from how a face mesh turns, nods, tilts and grows during it.

Each gesture moves one number of the pose by a usual amount, that of drawn people (HELD, SWUNG); the one that is moved
by the largest share of its amount is the answer. Waving and shrugging are not seen in a face.

Letters: T frames, K numbers of a pose: turn, nod, tilt, log size (suites/face_mesh.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from muybridge.shapes import FPS

Poses = NDArray[np.float32]
TURN, NOD, TILT, SIZE = range(4)
# Number, by how much it is held aside (its median over the gesture, from what it is else); negative: the other way.
HELD: dict[str, tuple[int, float]] = {
    "turn left": (TURN, -0.45),
    "turn right": (TURN, 0.45),
    "look up": (NOD, -0.15),
    "look down": (NOD, 0.15),
    "tilt head": (TILT, 0.24),
    "lean in": (SIZE, 0.12),
}
# Number, how far it swings around its mean of half a second (root mean square).
SWUNG: dict[str, tuple[int, float]] = {"nod": (NOD, 0.044), "shake head": (TURN, 0.09)}
SEEN = (*HELD, *SWUNG)
EDGE_S, AROUND, LEAST_SHARE = (
    0.3,
    13,
    0.5,
)  # a gesture comes and goes in EDGE_S; frames of a mean; of frames with a face


def gesture(poses_TK: Poses, start_s: float, end_s: float) -> str:
    """The gesture between two times; empty where a face is found in less than half of the frames."""
    known = np.isfinite(poses_TK[:, 0])
    if known.mean() < LEAST_SHARE:
        return ""
    times = np.arange(len(poses_TK)) / FPS
    filled = np.stack([np.interp(times, times[known], column[known]) for column in poses_TK.T], 1)
    during = (times >= start_s) & (times <= end_s)
    inner = (times >= start_s + EDGE_S) & (times <= end_s - EDGE_S)
    else_ = (times < start_s - EDGE_S) | (times > end_s + EDGE_S)
    usual = np.median(filled[else_] if else_.sum() > EDGE_S * FPS else filled, 0)
    aside = np.median(filled[inner if inner.any() else during], 0) - usual
    padded = np.pad(filled, ((AROUND // 2, AROUND // 2), (0, 0)), mode="edge")
    mean = np.lib.stride_tricks.sliding_window_view(padded, AROUND, 0).mean(-1)
    swing = (filled - mean)[during].std(0)
    shares = {name: aside[number] / amount for name, (number, amount) in HELD.items()}
    shares |= {name: swing[number] / amount for name, (number, amount) in SWUNG.items()}
    return max(shares, key=lambda name: float(shares[name]))
