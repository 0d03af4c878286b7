"""Which change of the light a clip shows, and when half of it is done: told from the pixels, by no net.

Letters: T frames, Y X rows and columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from muybridge.shapes import FPS

Floats = NDArray[np.float64]

FLICKER = 0.06  # of the log of the light, around its mean over half a second
LEAST = 0.35  # of what the rendered world's changes are: less is none
ENDS = 8  # frames at both ends that are compared
# Logs of what the world's changes make of all light, of red over blue, and of a face's right half over its left one.
WHOLE = {"brightens": ("light", 1.2), "dims": ("light", -1.27), "turns warm": ("warmth", 0.96),
         "turns blue": ("warmth", -1.03), "sweeps": ("side", 1.1)}  # fmt: skip


def change_of(frames_TYX3: NDArray[np.uint8], faces_T3: NDArray[np.float32]) -> tuple[str, float]:
    """The name of the change (speech/lights.py), or "steady", and its middle in seconds (NaN for those without one).

    `faces_T3` are mouths (x, y) and heights in pixels of the same frames (evaluate/witness.py).
    """
    signals = _signals(frames_TYX3, faces_T3)
    light_T = signals["light"]
    around_T = np.convolve(np.pad(light_T, FPS // 4, mode="edge"), np.ones(2 * (FPS // 4) + 1), "valid")
    if float(np.std(light_T - around_T / (2 * (FPS // 4) + 1))) > FLICKER:
        return "flickers", float("nan")
    shares = {
        name: float(signals[of][-ENDS:].mean() - signals[of][:ENDS].mean()) / whole
        for name, (of, whole) in WHOLE.items()
    }
    name = max(shares, key=lambda key: shares[key])
    if shares[name] < LEAST:
        return "steady", float("nan")
    return name, middle_s(signals[WHOLE[name][0]])


def middle_s(signal_T: Floats) -> float:
    """When a signal that goes from one level to another is half way, in seconds."""
    first, last = signal_T[:ENDS].mean(), signal_T[-ENDS:].mean()
    return float(np.argmax((signal_T - first) / (last - first) >= 0.5)) / FPS


def _signals(frames_TYX3: NDArray[np.uint8], faces_T3: NDArray[np.float32]) -> dict[str, Floats]:
    all_light, warmth, side = [], [], []
    for frame_YX3, (x, y, high) in zip(frames_TYX3, faces_T3, strict=True):
        linear_YX3 = linear(frame_YX3)
        red, green, blue = linear_YX3.mean((0, 1)) + 1e-4
        all_light.append(np.log(0.2126 * red + 0.7152 * green + 0.0722 * blue))
        warmth.append(np.log(red / blue))
        rows = linear_YX3[max(0, int(y - 0.9 * high)) : max(1, int(y + 0.3 * high))]
        left, right = (_mean(rows, x + a * high, x + b * high) for a, b in ((-0.6, -0.1), (0.1, 0.6)))
        side.append(np.log(right / left))
    return {name: np.array(of) for name, of in (("light", all_light), ("warmth", warmth), ("side", side))}


def _mean(rows_YX3: Floats, start: float, end: float) -> float:
    """Of some columns, where they are in the picture."""
    is_there = end > 1 and start < rows_YX3.shape[1] - 1
    return float(rows_YX3[:, max(0, int(start)) : max(1, int(end))].mean()) + 1e-3 if is_there else 1e-3


def linear(pixels: NDArray[np.uint8]) -> Floats:
    """sRGB bytes to linear light in 0..1 (IEC 61966-2-1)."""
    share = pixels.astype(np.float64) / 255
    found: Floats = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return found
