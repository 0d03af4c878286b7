"""Light that follows the words: the side of a drawn person it falls on, and how it changes while a film is shown.

People are taken for pillars that stand upright: what is left in a row of theirs faces left. A key light makes one side
brighter than the other, by as much as in the rendered world; what is there already is taken out first. A change
multiplies all light, or lets the key wander from side to side.

Letters: T frames, C colours, Y X rows and columns in pixels, 4 red, green, blue and side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine.recolour import LUMINANCE, sure, to_linear
from muybridge.model.finder import Face
from muybridge.shapes import FPS
from muybridge.speech.lights import Change
from muybridge.world.camera import ease
from muybridge.world.changes import factor

SIDE = 0.9  # log of how much brighter a pillar's edge is than its middle, where a key light comes from its side
MOST = 1.4  # of a change of that, whatever was there before
SHADOW, RIM, RIM_WIDE = 0.5, 2.0, 0.16  # of a light from behind: logs, and half heights of a face
GAMMA = 2.2  # near enough to sRGB for a gain
LOW = 0.35  # of the light of a drawn picture that brightens: what it begins with
BRIGHT = 1.9  # times the light of a given picture, which cannot begin darker
AT_ONCE_S = 0.4  # in which a change that never begins at nothing comes over a given picture


def keyed(picture_CYX: Tensor, covers: Mapping[str, Tensor], people: Sequence[Face], side: str) -> Tensor:
    """[C, Y, X] in -1..1: a picture whose people have the key light from this side."""
    shade_YX, person_YX, face_YX = shades(covers["person"], people), sure(covers["person"]), covers["face"]
    linear_CYX = to_linear((picture_CYX.clamp(-1, 1) + 1) / 2)
    bright_YX = torch.einsum("c,cyx->yx", LUMINANCE, linear_CYX).clamp(min=2e-3).log()
    wanted = {"left": -SIDE, "right": SIDE}.get(side, 0.0)
    log_YX = (wanted - _slope(shade_YX, bright_YX, face_YX)) * shade_YX
    log_YX = log_YX.clamp(-MOST, MOST)
    if side == "behind":
        wide = 2 * max(1, round(RIM_WIDE * max(face.half_height for face in people) * picture_CYX.shape[1])) + 1
        inner_YX = nnf.avg_pool2d(person_YX[None], wide, 1, wide // 2)[0]
        log_YX = log_YX + person_YX * (RIM * (1 - inner_YX) - SHADOW)
    return lit(picture_CYX, log_YX).clamp(-1, 1)


def shades(person_YX: Tensor, people: Sequence[Face]) -> Tensor:
    """[Y, X]: which way people's surfaces face, -1 for left to 1 for right; 0 where there is nobody."""
    person_YX = sure(person_YX)
    rows, cols = person_YX.shape
    x_X = (torch.arange(cols) + 0.5) / rows
    nearest_X = torch.stack([(x_X - face.x).abs() for face in people]).argmin(0)
    shade_YX = torch.zeros_like(person_YX)
    for number, face in enumerate(people):
        own_YX = person_YX * (nearest_X == number)
        high = 2 * max(1, round(0.25 * face.half_height * rows)) + 1  # rows together: edges are ragged
        sums_YK = torch.stack([own_YX.sum(1), (own_YX * x_X).sum(1), (own_YX * x_X**2).sum(1)], 1)
        smooth_YK = nnf.avg_pool1d(sums_YK.T[None], high, 1, high // 2)[0].T
        count_Y1, sum_Y1, square_Y1 = smooth_YK.clamp(min=1e-6).split(1, 1)
        middle_Y1 = sum_Y1 / count_Y1
        spread_Y1 = (square_Y1 / count_Y1 - middle_Y1**2).clamp(min=(1.5 / rows) ** 2).sqrt()
        shade_YX += own_YX * ((x_X - middle_Y1) / (3**0.5 * spread_Y1)).clamp(-1.2, 1.2)  # as wide as a flat spread
    return shade_YX


def _slope(shade_YX: Tensor, bright_YX: Tensor, face_YX: Tensor) -> float:
    """How much brighter, as a log, a face gets with its shade; 0 without a face."""
    total = face_YX.sum().clamp(min=1e-6)
    apart_YX = shade_YX - (face_YX * shade_YX).sum() / total
    spread = float((face_YX * apart_YX**2).sum())
    return float((face_YX * apart_YX * bright_YX).sum()) / spread if spread > 1e-3 else 0.0


def gains(changes: Sequence[Change], num_frames: int, seed: int, is_given: bool) -> Tensor:
    """[4, T]: logs of how much more light there is in each frame, and how far to the right the key has gone.

    A given picture is as it is in its first frame; a drawn one may begin dark, or have its light on the left.
    """
    total_4T = np.zeros((4, num_frames))
    for change in changes:
        total_4T += np.stack([_gain(change, frame / FPS, seed, is_given) for frame in range(num_frames)], 1)
    return torch.from_numpy(total_4T).float()


def _gain(change: Change, t_s: float, seed: int, is_given: bool) -> NDArray[np.float64]:
    e = ease(t_s, change.start_s, change.end_s)
    there = ease(t_s, change.start_s, change.start_s + AT_ONCE_S) if is_given else 1.0
    colour: NDArray[np.floating] = np.ones(3)
    side = 0.0
    match change.name:
        case "brightens":
            colour *= 1 + (BRIGHT - 1) * e if is_given else LOW + (1 - LOW) * e
        case "sweeps":
            side = SIDE * (2 * e - 1) * there
        case "flickers" if not change.start_s <= t_s <= change.end_s:
            pass  # it ends with its beat
        case name:
            colour = factor(name, e, seed, t_s) ** (there if name == "flickers" else 1.0)
    return np.array([*np.log(colour), side])


def logs_of(light_4T: Tensor, shade_YX: Tensor) -> Tensor:
    """[C, T, Y, X], or one row and column for all: the logs of some frames' light, with the side of the key."""
    log_CT11, side_T11 = light_4T[:3, :, None, None], light_4T[3, :, None, None]
    return log_CT11 + side_T11 * shade_YX if shade_YX.numel() and bool(side_T11.any()) else log_CT11


def lit(film_CTYX: Tensor, log_CTYX: Tensor) -> Tensor:
    """[C, T, Y, X] in -1..1: frames with so much more light, in logs; it may pass 1."""
    return (film_CTYX + 1) * (log_CTYX / GAMMA).exp() - 1
