"""Long programmes in windows on absolute time: where they start, what they share, never a rounded length.

A window is at most 15 s, or what suits the size (shapes.py). It starts on a clock unit of the programme and repeats
`overlap_units` latents of the window before, carried over in latent space. Cuts prefer the ends of sentences. Frame n
of the programme starts at sample n * rate / 25 whichever window made it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from muybridge.shapes import FPS, MAX_SECONDS, MIN_SECONDS, STRIDE_T, Clock, Window, clock

OVERLAP_UNITS = 4  # 640 ms


def plan_windows(
    seconds: float,
    sentence_ends_s: Sequence[float] = (),
    overlap_units: int = OVERLAP_UNITS,
    max_seconds: float = MAX_SECONDS,
    min_seconds: float = MIN_SECONDS,
) -> tuple[Window, ...]:
    """Windows that cover `seconds`, each at most `max_seconds`, cut after the last sentence that fits.

    Every frame belongs to exactly one window (`owned_frames`); overlapping latents belong to the earlier one.
    """
    whole = clock(seconds)
    most_frames = round(max_seconds * FPS)
    longest = (most_frames - 1) // STRIDE_T
    shortest = -(-(round(min_seconds * FPS) + 2) // STRIDE_T)  # the last window may deliver 2 frames less than 4k
    ends = [math.ceil(round(s * FPS, 6) / STRIDE_T) for s in sentence_ends_s]  # a cut is never inside the sentence
    windows: list[Window] = []
    start = 0
    while True:
        left = whole.num_units - start
        overlap = overlap_units if windows else 0
        if whole.num_frames - start * STRIDE_T <= most_frames:
            windows.append(Window(start, Clock(whole.num_frames - start * STRIDE_T, left), overlap))
            return tuple(windows)
        # Leave the last window no shorter than the shortest allowed.
        latest = min(start + longest, whole.num_units - shortest + overlap_units)
        stop = max((e for e in ends if start + shortest <= e <= latest), default=latest)
        windows.append(Window(start, _whole_units(stop - start), overlap))
        start = stop - overlap_units


def _whole_units(num_units: int) -> Clock:
    return Clock(STRIDE_T * num_units + 1, num_units)


def owned_frames(windows: Sequence[Window]) -> tuple[range, ...]:
    """Absolute frames that each window delivers: they tile the programme without gap or double.

    The first latent of a causal clip stands for one frame, so a window's frame f is programme frame start + f; the
    frames it shares with the window before (overlap * 4 + 1 of them) are that window's.
    """
    owned, at = [], 0
    for window in windows:
        stop = window.start_frame + window.clock.num_frames
        owned.append(range(at, stop))
        at = stop
    return tuple(owned)
