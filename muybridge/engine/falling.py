"""Rain, snow and fog over frames as they are delivered: drops of their own, which no codec of a small base could keep.

A drop is where its number, the seed and the clip's own clock say, so a programme's windows go on from one another and a
resumed clip is the same. Rain streaks fall fast and stand slanted, flakes sway. Near ones are larger and faster; all
fall before everything that a picture shows. Fog (fog.py) comes and goes as they do.

Letters: T frames, N drops, J rows and K columns of one drop, C colours, Y X rows and columns in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine import fog
from muybridge.engine.components import Finds
from muybridge.shapes import FPS
from muybridge.speech import weather
from muybridge.world.camera import ease

Floats = NDArray[np.float64]
COMES_S = {"rain": 0.6, "snow": 0.6, "fog": 1.5}  # in which it begins, and as long it takes to end
GOLDEN = 0.6180339887498949  # a drop that falls again does so at another place


@dataclass(frozen=True)
class Kind:
    """How drops of a kind fall. Lengths in picture heights, of the nearest ones; the furthest have FAR of all."""

    count: int  # in a square picture
    fall: float  # a second
    slant: float  # to the side for one down
    long: float
    wide: float
    cover: float  # of what is behind it
    sway: float = 0.0
    round: bool = False


KINDS = {
    "rain": Kind(220, 8.0, 0.06, 0.13, 0.0045, 0.6),
    "snow": Kind(170, 0.42, 0.05, 0.019, 0.019, 0.95, 0.015, True),
}
FAR = 0.35
LIGHT = {"rain": (0.6, 0.5), "snow": (0.7, 0.6)}  # of drops: in the dark, and how much more in full light
HALVED = 512  # rows, from which on drops are drawn at half the size: they are soft
PALE = torch.tensor([0.94, 0.98, 1.0])


_NEVER = torch.zeros(0)


@dataclass(frozen=True, eq=False)
class Fall:
    """What falls in a clip, "" for nothing, and how much of it in each frame, 0 to 1."""

    kind: str = ""
    strength_T: Tensor = _NEVER

    def at(self, frames: Tensor) -> Fall:
        """In the frames with these numbers."""
        return Fall(self.kind, self.strength_T[frames]) if self.kind else self


NOTHING = Fall()


def fall(asked: Sequence[weather.Fall], num_frames: int, is_given: bool) -> Fall:
    """The first kind that is asked for.

    What lasts from the start on is there at once, but comes over a given picture, which is as it is in its first frame.
    """
    if not asked:
        return NOTHING
    kind, total_T = asked[0].kind, np.zeros(num_frames)
    times = [number / FPS for number in range(num_frames)]
    for one in asked:
        is_there = one.start_s <= 0 and not is_given
        within_s = COMES_S[kind]
        comes_T = np.array([1.0 if is_there else ease(t, one.start_s, one.start_s + within_s) for t in times])
        goes_T = np.array([1 - ease(t, one.end_s, one.end_s + within_s) for t in times])
        share = fog.DRAWN if kind == fog.KIND and is_there else 1.0
        total_T = np.maximum(total_T, share * (one.kind == kind) * comes_T * goes_T)
    return Fall(kind, torch.from_numpy(total_T).float())


def laid_on(
    frames_CTYX: Tensor, kind: str, strength_T: Sequence[float], numbers: Sequence[int], seed: int, light: float,
    finder: Finds | None,
) -> Tensor:  # fmt: skip
    """Frames in -1..1 with what falls in them or hangs over them, as `fallen` or fog.py say."""
    if kind == fog.KIND:
        return fog.fogged(frames_CTYX, strength_T, numbers, seed, finder)
    return fallen(frames_CTYX, kind, strength_T, numbers, seed, light)


def fallen(
    frames_CTYX: Tensor, kind: str, strength_T: Sequence[float], numbers: Sequence[int], seed: int, light: float
) -> Tensor:
    """Frames in -1..1 with what falls in them; `numbers` are theirs in the clip, `light` the picture's mean in 0..1."""
    rows, cols = frames_CTYX.shape[2:]
    high, wide = (rows, cols) if rows <= HALVED else (-(-rows // 2), -(-cols // 2))
    covers = [cover(kind, *each, seed, high, wide) for each in zip(strength_T, numbers, strict=True)]
    cover_TYX = torch.from_numpy(np.stack(covers)).float()
    if high != rows:
        cover_TYX = nnf.interpolate(cover_TYX[:, None], (rows, cols), mode="bilinear")[:, 0]
    dark, more = LIGHT[kind]
    colour_C = (PALE * min(1.0, dark + more * light) * 2 - 1)[:, None, None, None]
    return torch.lerp(frames_CTYX, colour_C.expand_as(frames_CTYX), cover_TYX)


def cover(kind: str, strength: float, number: int, seed: int, rows: int, cols: int) -> Floats:
    """[Y, X] in 0..1: how much of each pixel drops cover in a frame."""
    of, aspect = KINDS[kind], cols / rows
    rng = np.random.default_rng([0xFA11, seed, len(kind)])
    count = round(of.count * aspect)
    x_N, y_N, rank_N, phase_N = rng.random((4, count))
    near_N = FAR + (1 - FAR) * rng.random(count) ** 2  # most are far
    chosen = rank_N < strength
    x_N, y_N, near_N, phase_N = (each[chosen] for each in (x_N, y_N, near_N, phase_N))
    reach_N = 1 + of.long * near_N
    turns_N, down_N = np.divmod(y_N * reach_N + of.fall * near_N * number / FPS, reach_N)
    top_N = down_N - of.long * near_N
    swing_N = of.sway * np.sin(2 * np.pi * (0.35 * number / FPS + phase_N))
    wide = aspect + of.slant + 2 * of.sway
    left_N = (x_N + GOLDEN * turns_N) % 1.0 * wide - of.sway + swing_N - of.slant
    return _splat(of, left_N, top_N, near_N, rows, cols)


def _splat(of: Kind, left_N: Floats, top_N: Floats, near_N: Floats, rows: int, cols: int) -> Floats:
    """[Y, X]: drops from their upper ends on."""
    if not len(near_N):
        return np.zeros((rows, cols))
    long_N, wide_N = of.long * near_N * rows, of.wide * near_N * rows  # in pixels
    high, broad = int(np.ceil(long_N.max())) + 2, int(np.ceil(max(wide_N.max(), 1.0))) + 2
    y_NJ = np.floor(top_N * rows)[:, None] + np.arange(high)
    down_NJ = y_NJ + 0.5 - (top_N * rows)[:, None]  # below its upper end
    middle_NJ = (left_N * rows)[:, None] + of.slant * (y_NJ + 0.5)
    x_NJK = np.floor(middle_NJ - broad / 2)[..., None] + np.arange(broad + 1)
    beside_NJK = x_NJK + 0.5 - middle_NJ[..., None]
    if of.round:
        radius_N = np.maximum(long_N / 2, 0.7)
        off_NJK = np.hypot(beside_NJK, (down_NJ - (long_N / 2)[:, None])[..., None])
        share_NJK = np.clip(1.35 * (1 - (off_NJK / (radius_N[:, None, None] + 0.5)) ** 2), 0, 1)
        thin_N = np.minimum(1.0, (long_N / 2 / radius_N) ** 2)
    else:
        half_N = np.maximum(wide_N, 1.0)[:, None, None] / 2
        across_NJK = np.clip(half_N + 0.5 - np.abs(beside_NJK), 0, 1)
        along_NJ = np.clip(np.minimum(down_NJ + 0.5, long_N[:, None] - down_NJ + 0.5), 0, 1)
        share_NJK = across_NJK * (along_NJ * np.clip(down_NJ / long_N[:, None], 0, 1))[..., None]
        thin_N = np.minimum(1.0, wide_N)  # thinner than a pixel: paler
    share_NJK *= (of.cover * thin_N * (0.5 + 0.5 * near_N))[:, None, None]
    y_NJK = np.broadcast_to(y_NJ[..., None], x_NJK.shape)
    seen = (y_NJK >= 0) & (y_NJK < rows) & (x_NJK >= 0) & (x_NJK < cols) & (share_NJK > 0)
    places = y_NJK[seen].astype(np.intp) * cols + x_NJK[seen].astype(np.intp)
    return np.bincount(places, share_NJK[seen], rows * cols).clip(0, of.cover).reshape(rows, cols)
