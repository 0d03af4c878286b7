"""What a first picture's face looks like while its person speaks, blinks and changes mood: drawn, frame by frame.

The plan says when which phone is said, the world which face units a phone takes (world/visemes.py), and the painter
(model/face_painter.py) draws a face with any units in its place. In a picture that the draft drew, the face is drawn
anew from the start. As a gesture or a camera's move the result is a film that the base takes for its guess over time.

Letters: T frames, C colours, Y X rows and columns in pixels, U face units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine.components import PaintsFaces
from muybridge.model.face_painter import REACH, SIDE, told
from muybridge.model.finder import Face
from muybridge.shapes import FPS
from muybridge.speech.acts import Act
from muybridge.speech.durations import Phone
from muybridge.world.anatomy import ARKIT_UNITS, EXPRESSION_UNITS, UNIT_INDEX
from muybridge.world.visemes import speech_units

BLINK_S = 0.1  # from open to shut
BLINKS_APART_S = (1.8, 4.6)
WHILE_TALKING = 0.45  # of a mood that a mouth keeps
LEAST = 0.02  # a change of all units together that is not worth drawing
TOGETHER = 16  # faces drawn at a time
# Times that a blank face is drawn over before its units are: each time decides what the one before left vague.
PASSES = 4
EDGE = (0.72, 0.98)  # of the square's half side, over which what was drawn ends
# The head that is lent, beside the face: half width, half height, how far up its middle is, and where it has faded.
HEAD_WIDE, HEAD_HIGH, HEAD_UP, HEAD_EDGE, SEEN = 1.8, 1.35, 0.12, 1.15, 0.3
OVAL = (0.9, 1.15)  # of a face's halves, over which it ends
FELT = EXPRESSION_UNITS | {"shrug": {"mouthShrugLower": 0.7, "browInnerUp": 0.6}}  # moods, and an act that a face shows
MOUTHY = torch.tensor([name.startswith(("mouth", "jaw", "tongue")) for name in ARKIT_UNITS])


def units_of(phones: Sequence[Phone], moods: Sequence[Act], num_frames: int, seed: int) -> Tensor:
    """[T, U]: what a face does in each frame of what it says and feels; it blinks now and then."""
    times_T = [frame / FPS for frame in range(num_frames)]
    units_TU = felt(moods, num_frames, phones)
    blink_T = torch.zeros(num_frames)
    for at in blink_times(seed, num_frames / FPS):
        blink_T = torch.maximum(blink_T, torch.tensor([1.35 * (1 - abs(t - at) / BLINK_S) for t in times_T]))
    for side in ("Left", "Right"):
        shut_T = units_TU[:, UNIT_INDEX[f"eyeBlink{side}"]]
        units_TU[:, UNIT_INDEX[f"eyeBlink{side}"]] = torch.maximum(shut_T, blink_T.clamp(0, 1))
    if phones:
        units_TU = units_TU + torch.from_numpy(speech_units(phones, num_frames))
    return units_TU.clamp(0, 1)


def felt(moods: Sequence[Act], num_frames: int, phones: Sequence[Phone] = ()) -> Tensor:
    """[T, U]: what moods, and acts that a face shows, do to it in each frame; less to a mouth that talks."""
    units_TU = torch.zeros(num_frames, len(ARKIT_UNITS))
    for mood in moods:
        held_T = torch.tensor([mood.value(frame / FPS) for frame in range(num_frames)])
        for name, weight in FELT[mood.name].items():
            units_TU[:, UNIT_INDEX[name]] += weight * held_T
    if phones and moods:
        spoken_TU = torch.from_numpy(speech_units(phones, num_frames))
        talks_T = nnf.max_pool1d((3 * spoken_TU.sum(1)).clamp(max=1)[None, None], 11, 1, 5)[0, 0]
        units_TU = torch.where(MOUTHY, units_TU * (1 - (1 - WHILE_TALKING) * talks_T[:, None]), units_TU)
    return units_TU.clamp(0, 1)


def blink_times(seed: int, seconds: float) -> list[float]:
    """Moments at which eyes are shut."""
    rng = np.random.default_rng([0xB11A, seed])
    times, now = [], float(rng.uniform(0.6, 2.4))
    while now < seconds:
        times.append(now)
        now += float(rng.uniform(*BLINKS_APART_S))
    return times


class Change(NamedTuple):
    """What is added to the square around a face in each frame, [T, C, SIDE, SIDE]."""

    face: Face
    change_TCYX: Tensor


@torch.inference_mode()
def changes(
    painter: PaintsFaces,
    picture_CYX: Tensor,
    people: Sequence[tuple[Face, Tensor]],
    words_W: Tensor,
    was_drawn: bool,
    felt_PTU: Sequence[Tensor] = (),
) -> list[Change]:
    """What makes faces as their units [T, U] ask; nothing where they ask nothing of a good one.

    Units say how a face is where it `was_drawn`, else how it is to change. What of them is `felt` is drawn timidly in a
    drawn face, so the same change of a good face is added.
    """
    found = []
    for number, (face, units_TU) in enumerate(people):
        square_BCYX = cut(picture_CYX[None].float(), face)
        begin_BCYX = square_BCYX
        for _ in range(PASSES if was_drawn else 0):
            rest_BK = told(torch.zeros(1, units_TU.shape[1]), words_W, was_drawn, face.half_height)
            begin_BCYX = painter(begin_BCYX, rest_BK).float().clamp(-1, 1)
        change_TCYX = _painted(painter, begin_BCYX, units_TU, words_W, was_drawn, face) - square_BCYX
        if not was_drawn:
            change_TCYX[units_TU.abs().sum(1) < LEAST] = 0.0
        elif len(felt_PTU) and bool(felt_PTU[number].any()):
            rest_BCYX = painter(begin_BCYX, told(0 * units_TU[:1], words_W, was_drawn, face.half_height)).float()
            more_TCYX = _painted(painter, rest_BCYX.clamp(-1, 1), felt_PTU[number], words_W, False, face) - rest_BCYX
            change_TCYX += more_TCYX * (felt_PTU[number].sum(1) >= LEAST)[:, None, None, None]
        found.append(Change(face, change_TCYX))
    return found


def _painted(
    painter: PaintsFaces, begin_BCYX: Tensor, units_TU: Tensor, words_W: Tensor, was_drawn: bool, face: Face
) -> Tensor:
    """[T, C, SIDE, SIDE]: a square with the face that each frame asks for."""
    which_T, wanted = _apart(units_TU)
    drawn = []
    for begin in range(0, len(wanted), TOGETHER):
        some_BU = torch.stack(wanted[begin : begin + TOGETHER])
        told_BK = told(some_BU, words_W, was_drawn, face.half_height)
        drawn.append(painter(begin_BCYX.expand(len(some_BU), -1, -1, -1), told_BK).float())
    return torch.cat(drawn)[which_T]


def changed(picture_CYX: Tensor, found: Sequence[Change], frames: slice = slice(None)) -> Tensor:
    """[C, T, Y, X]: the picture with its changes of these frames."""
    film_TCYX = picture_CYX.float()[None]
    for face, change_TCYX in found:
        film_TCYX = film_TCYX + pasted(change_TCYX[frames], face, *picture_CYX.shape[1:])
    return film_TCYX.clamp(-1, 1).transpose(0, 1)


def _apart(units_TU: Tensor) -> tuple[list[int], list[Tensor]]:
    """(the number of each frame's face, faces that differ): a face at rest is drawn once."""
    which_T: list[int] = []
    wanted: list[Tensor] = []
    for units_U in units_TU:
        near = [
            k for k, other_U in enumerate(wanted[:1] + wanted[-1:]) if float((units_U - other_U).abs().sum()) < LEAST
        ]
        if near:
            which_T.append(0 if near[0] == 0 else len(wanted) - 1)
        else:
            which_T.append(len(wanted))
            wanted.append(units_U)
    return which_T, wanted


def cut(picture_BCYX: Tensor, face: Face) -> Tensor:
    """[B, C, SIDE, SIDE]: the square around a face."""
    rows, cols = picture_BCYX.shape[2:]
    half = REACH * face.half_height
    at = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * half
    x_X, y_Y = 2 * (face.x + at) * rows / cols - 1, 2 * (face.y + at) - 1
    grid = torch.stack([x_X[None].expand(SIDE, -1), y_Y[:, None].expand(-1, SIDE)], -1)[None]
    many = 2 * int(half * rows / SIDE) + 1  # pixels of the picture to one of the square, an odd number
    smooth = picture_BCYX if many == 1 else nnf.avg_pool2d(picture_BCYX, many, 1, many // 2, count_include_pad=False)
    return nnf.grid_sample(smooth, grid, mode="bilinear", padding_mode="border", align_corners=False)


def pasted(change_BCYX: Tensor, face: Face, rows: int, cols: int) -> Tensor:
    """[B, C, Y, X]: a change of the square where it is in the picture, nothing around it."""
    half = REACH * face.half_height
    x_X = ((torch.arange(cols) + 0.5) / rows - face.x) / half
    y_Y = ((torch.arange(rows) + 0.5) / rows - face.y) / half
    inside_Y, inside_X = (y_Y.abs() < 1).nonzero()[:, 0], (x_X.abs() < 1).nonzero()[:, 0]
    out = change_BCYX.new_zeros(*change_BCYX.shape[:2], rows, cols)
    if not len(inside_Y) or not len(inside_X):
        return out
    x_X, y_Y = x_X[inside_X], y_Y[inside_Y]
    grid = torch.stack([x_X[None].expand(len(y_Y), -1), y_Y[:, None].expand(-1, len(x_X))], -1)
    far_YX = (grid**4).sum(-1) ** 0.25
    share = ((EDGE[1] - far_YX) / (EDGE[1] - EDGE[0])).clamp(0, 1)
    mask_YX = share * share * (3 - 2 * share)
    found = nnf.grid_sample(
        change_BCYX, grid[None].expand(len(change_BCYX), -1, -1, -1), mode="bilinear", align_corners=False
    )
    top, left = int(inside_Y[0]), int(inside_X[0])
    out[:, :, top : top + len(y_Y), left : left + len(x_X)] = found * mask_YX
    return out


def exchanged(picture_CYX: Tensor, face: Face, other_CYX: Tensor, other: Face, heads_YX: Tensor) -> Tensor:
    """[C, Y, X]: the picture with the head of another picture where its own is; `heads` covers those of the other."""
    rows, cols = picture_CYX.shape[1:]
    square_BCYX = cut(torch.cat([other_CYX.float(), heads_YX[None]])[None], other)
    cover_YX = covered([face], rows, cols).clamp(min=1e-6)
    there_CYX = pasted(square_BCYX, face, rows, cols)[0] / cover_YX
    down_Y, right_X = ((torch.arange(n) + 0.5) / rows for n in (rows, cols))
    far_YX = torch.hypot(
        (right_X - face.x)[None] / (HEAD_WIDE * face.half_width),
        (down_Y - face.y + HEAD_UP * face.half_height)[:, None] / (HEAD_HIGH * face.half_height),
    )
    share_YX = ((HEAD_EDGE - far_YX) / (HEAD_EDGE - 1)).clamp(0, 1) * (cover_YX > SEEN) * there_CYX[3].clamp(0, 1)
    return torch.lerp(picture_CYX.float(), there_CYX[:3], share_YX)


def covered(people: Sequence[Face], rows: int, cols: int) -> Tensor:
    """[Y, X] in 0..1: how much of each pixel is drawn anew where these faces are."""
    cover_YX = torch.zeros(rows, cols)
    for face in people:
        cover_YX = torch.maximum(cover_YX, pasted(torch.ones(1, 1, SIDE, SIDE), face, rows, cols)[0, 0])
    return cover_YX


def ovals(people: Sequence[Face], rows: int, cols: int) -> Tensor:
    """[Y, X] in 0..1: how much of each pixel is these faces' own, without the hair and what is around them."""
    cover_YX = torch.zeros(rows, cols)
    down_Y, right_X = ((torch.arange(n) + 0.5) / rows for n in (rows, cols))
    for face in people:
        far_YX = torch.hypot((right_X - face.x)[None] / face.half_width, (down_Y - face.y)[:, None] / face.half_height)
        cover_YX = torch.maximum(cover_YX, ((OVAL[1] - far_YX) / (OVAL[1] - OVAL[0])).clamp(0, 1))
    return cover_YX
