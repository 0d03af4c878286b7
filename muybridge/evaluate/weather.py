"""Whether rain or snow falls in a clip: told from the pixels, by no net.

Letters: T frames, Y X rows and columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

AROUND = 7  # frames whose median is what stays
BRIGHT = 10.0  # grey levels above it: a drop
LEAST = 4e-3  # of all pixels: less is none
APART = 4  # pixels by which a streak is like itself, and a flake is not
TALL = 2.0  # times as much like itself up and down as to the side: a streak


def fall_of(frames_TYX3: NDArray[np.uint8]) -> str:
    """ "rain", "snow" or "none": bright, short-lived spots that are tall, that are not, or that are few.

    Of frames of about 448x256 whose camera stands.
    """
    grey_TYX = frames_TYX3.astype(np.float32).mean(-1)
    drops_TYX = (grey_TYX - median_filter(grey_TYX, (AROUND, 1, 1), mode="nearest") > BRIGHT).astype(np.float64)
    share = float(drops_TYX.mean())
    if share < LEAST:
        return "none"
    down, across = (float((drops_TYX * np.roll(drops_TYX, APART, axis)).mean()) / share for axis in (1, 2))
    return "rain" if down > TALL * max(across, share) else "snow"
