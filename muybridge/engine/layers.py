"""What stands in front of a picture's place, taken off it and put back elsewhere: a ball, a bell, a horse.

Where a thing or a person is says the finder (model/finder.py). Behind it the place goes on softly, from its edges. When
a thing is struck is planned with its sound (foley.py), and as geometry, like a camera's move, the motion is part of
the clip's film (film.py): a ball flies as a body does between two contacts, a bell turns where it is struck, a horse
that the camera goes along with rises and dips in its stride, and the place passes behind it.

Letters: T frames, C colours, Y X rows and columns in pixels, K strikes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.shapes import FPS

LEAST = 0.002  # of a picture: a smaller thing is not taken off
SURE, UNSURE, REACH = 0.6, 0.3, 4  # of a cover: what tells of a thing, what is none; pixels between its parts
EDGE = 0.006  # of the picture's height: how far beyond what was found a thing is taken off
RIM_LEFT = 0.025  # and how much further its place is made up, or its rim stays where it was
GRAIN, BESIDE = 2, 7  # halvings of all; from how few columns on a place is no longer filled from beside alone
GRAVITY = 9.81  # m/s^2
BALL = 0.125  # m, its radius
HIGHEST = 0.05  # of the picture's height, which a ball leaves free above it
KINDS = ("ball", "bell", "horse")
WIDEST = {"ball": 0.25, "bell": 0.5, "horse": 0.75}  # of the picture: what is wider is its place
SURER = (0.5, 0.7, 0.85)  # of a cover: what is none where a thing and its place hang together
SOFT = 0.1  # of a cover, at least: from none to all
RISE, DIP, PASSES = 0.09, 0.05, 0.16  # of a horse: half heights, radians; widths of the picture a second that pass it
SWING = 0.42  # radians to either side
# A bell hangs in a frame: its pivot and its rim from the frame's top, and its half width, as shares of the frame.
PIVOT, RIM, BELL_WIDE = 0.1, 0.56, 0.66


class Place(NamedTuple):
    """Where a thing is: middle, half width and half height, in pixels."""

    x: float
    y: float
    half_width: float
    half_height: float


def one(cover_YX: Tensor, widest: float = 1.0) -> Tensor:
    """[Y, X]: of a cover, the part around its surest pixel that hangs together; nothing where nothing is sure.

    A part that is wider than `widest` of the picture is looked at where it is surer; one that stays so wide is none.
    """
    nothing_YX = torch.zeros_like(cover_YX)
    if float(cover_YX.max()) < SURE:
        return nothing_YX
    for unsure in (UNSURE, *SURER):
        left_YX = ((cover_YX - unsure) / max(1 - 2 * unsure, SOFT)).clamp(0, 1)
        part_YX = _around(left_YX > 0, int(cover_YX.argmax()))
        cols = part_YX.any(0).nonzero()[:, 0]
        if len(cols) and int(cols[-1] - cols[0]) < widest * cover_YX.shape[1]:
            return torch.where(part_YX, left_YX, 0.0)
    return nothing_YX


def _around(some_YX: Tensor, seed: int) -> Tensor:
    """Of some pixels, those that hang together with one of them, whose number is the seed."""
    part_YX = torch.zeros_like(some_YX)
    part_YX.view(-1)[seed] = True
    part_YX &= some_YX
    count = 0
    while count != int(part_YX.sum()):
        count = int(part_YX.sum())
        near_YX = nnf.max_pool2d(part_YX[None].float(), 2 * REACH + 1, 1, REACH)[0] > 0
        part_YX = near_YX & some_YX
    return part_YX


def place_of(cover_YX: Tensor) -> Place | None:
    """The box around most of a cover; None where there is next to nothing."""
    if float(cover_YX.mean()) < LEAST:
        return None
    edges = []
    for axis in (0, 1):
        shares = (cover_YX.sum(axis) / cover_YX.sum()).cumsum(0)
        edges.append([int((shares < share).sum()) for share in (0.02, 0.98)])
    (left, right), (top, bottom) = edges
    return Place((left + right + 1) / 2, (top + bottom + 1) / 2, (right - left + 1) / 2, (bottom - top + 1) / 2)


def rounded(picture_CYX: Tensor, cover_YX: Tensor) -> tuple[Tensor, Tensor]:
    """(the picture without what of a dented ball juts out, [Y, X] a round one of as much size in its place)."""
    place = place_of(cover_YX)
    assert place is not None  # there is a ball
    disc_YX = disc(place, *cover_YX.shape)
    dent_YX = (grown(cover_YX, RIM_LEFT) - disc_YX).clamp(0, 1)
    place_CYX = filled(picture_CYX, grown(torch.maximum(cover_YX, disc_YX), RIM_LEFT))
    return torch.lerp(picture_CYX, place_CYX, dent_YX), disc_YX


def disc(place: Place, rows: int, cols: int) -> Tensor:
    """[rows, cols]: a ball of as much size at a place, its edge a pixel soft."""
    y, x = torch.arange(rows)[:, None] + 0.5, torch.arange(cols)[None] + 0.5
    radius = math.sqrt(place.half_width * place.half_height)
    return (radius + 0.5 - torch.hypot(x - place.x, y - place.y)).clamp(0, 1)


def filled(picture_CYX: Tensor, cover_YX: Tensor) -> Tensor:
    """[C, Y, X]: the picture as it would be without what is covered, from ever larger means of what is not.

    As Gortler et al. 1996, "The Lumigraph" (pull and push), and sooner from beside than from above or below: a place
    lies in layers, ground, walls, sky.
    """
    known_1YX = (1 - cover_YX)[None]
    levels = [(picture_CYX * known_1YX, known_1YX)]
    while min(levels[-1][0].shape[1:]) > 1:
        cols = levels[-1][0].shape[2]
        is_beside = len(levels) > GRAIN and cols > BESIDE
        size = (1, 2) if is_beside else 2
        value, weight = (nnf.avg_pool2d(x[None], size, ceil_mode=True, count_include_pad=False)[0] for x in levels[-1])
        levels.append((value, weight))
    below: Tensor | None = None
    for value, weight in reversed(levels):
        mean = value / weight.clamp(min=1e-6)
        if below is not None:
            wider = nnf.interpolate(below[None], mean.shape[1:], mode="bilinear", align_corners=False)[0]
            mean = torch.lerp(wider, mean, weight.clamp(0, 1))
        below = mean
    assert below is not None  # there is at least one level
    return below


def movable(cover_YX: Tensor, kind: str) -> Tensor:
    """[Y, X]: of a covered thing of KINDS what is taken off its place: of a bell what hangs in its frame."""
    cover_YX = grown(cover_YX, EDGE)
    place = place_of(cover_YX)
    return cover_YX * _hanging(place, cover_YX) if kind == "bell" and place is not None else cover_YX


def without(picture_CYX: Tensor, cover_YX: Tensor, kind: str) -> Tensor:
    """[C, Y, X]: the picture's place, as it may go on behind a covered thing of KINDS."""
    return filled(picture_CYX, grown(movable(cover_YX, kind), RIM_LEFT))


def struck(
    picture_CYX: Tensor,
    cover_YX: Tensor,
    strikes_K: Sequence[float],
    kind: str,
    heading: int = 1,
    behind_CYX: Tensor | None = None,
) -> Callable[[range], Tensor]:
    """What gives frames [C, T, Y, X] in which the covered thing of KINDS moves so that it is struck at these times.

    A horse strides then. `heading` is 1 for one that runs to the viewer's right, else -1. `behind` is the place without
    it, where that is known.
    """
    part_YX = movable(cover_YX, kind)
    place = place_of(grown(cover_YX, EDGE))
    if place is None or not strikes_K:
        return lambda frames: picture_CYX[:, None].expand(-1, len(frames), -1, -1)
    place_CYX = without(picture_CYX, cover_YX, kind) if behind_CYX is None else behind_CYX
    layer = torch.cat([picture_CYX, part_YX[None]])

    def at(frame: int) -> Tensor:
        at_s, seen_CYX = frame / FPS, place_CYX
        match kind:
            case "ball":
                up = flight(strikes_K, at_s) / BALL * min(place.half_width, place.half_height)
                moved = _lifted(layer, up, place)
            case "bell":
                moved = _turned(layer, SWING * swing(strikes_K, at_s), place.x, _pivot(place))
            case _:
                phase = 2 * math.pi * stride(strikes_K, at_s)
                moved = _turned(layer, -heading * DIP * math.cos(phase), place.x, place.y)
                moved = _sampled(moved, torch.eye(2), (0.0, RISE * place.half_height * math.sin(phase)))
                seen_CYX = passing(place_CYX, heading * PASSES * at_s * picture_CYX.shape[2])
        return torch.lerp(seen_CYX, moved[:-1], moved[-1:].clamp(0, 1))

    return lambda frames: torch.stack([at(frame) for frame in frames], 1)


def flight(strikes_K: Sequence[float], at_s: float) -> float:
    """Height in m above the ground of a ball that touches it at each strike, as a body flies between two of them."""
    apart = float(np.median(np.diff(strikes_K))) if len(strikes_K) > 1 else 0.8
    times: list[float] = [strikes_K[0] - apart, *strikes_K, strikes_K[-1] + apart]
    later = min(int(np.searchsorted(times, at_s, side="right")), len(times) - 1)
    before, after = times[later - 1], times[later]
    return max(0.0, 0.5 * GRAVITY * (at_s - before) * (after - at_s))


def swing(strikes_K: Sequence[float], at_s: float) -> float:
    """From -1 to 1: a bell that turns at each strike."""
    apart = float(np.median(np.diff(strikes_K))) if len(strikes_K) > 1 else 1.0
    count = int(np.searchsorted(strikes_K, at_s, side="right"))
    before = strikes_K[count - 1] if count else strikes_K[0] - apart
    after = strikes_K[count] if count < len(strikes_K) else before + apart
    return (1 - 2 * (count % 2)) * math.cos(math.pi * (at_s - before) / (after - before))


def stride(strikes_K: Sequence[float], at_s: float) -> float:
    """How many strides a horse has made since its first; `strikes_K` are the beginnings of its strides."""
    apart = float(np.median(np.diff(strikes_K))) if len(strikes_K) > 1 else 0.5
    return (at_s - strikes_K[0]) / apart


def grown(cover_YX: Tensor, far: float) -> Tensor:
    """A cover that reaches `far` further, in the picture's heights."""
    reach = max(1, round(far * cover_YX.shape[0]))
    return nnf.max_pool2d(cover_YX[None], 2 * reach + 1, 1, reach)[0]


def _lifted(layer_CYX: Tensor, pixels: float, place: Place) -> Tensor:
    """A layer higher by so many pixels, no higher than the picture's edge."""
    room = max(place.y - place.half_height - HIGHEST * layer_CYX.shape[1], 0.0)
    return _sampled(layer_CYX, torch.eye(2), (0.0, min(pixels, room)))


def passing(place_CYX: Tensor, pixels: float) -> Tensor:
    """A place moved to the left by so many pixels, which goes on as its mirror image."""
    rows, cols = place_CYX.shape[1:]
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5 + pixels) / cols, indexing="ij")
    grid = torch.stack([2 * x - 1, 2 * y - 1], -1)[None]
    found: Tensor = nnf.grid_sample(place_CYX[None], grid, padding_mode="reflection", align_corners=False)[0]
    return found


def _turned(layer_CYX: Tensor, angle: float, x: float, y: float) -> Tensor:
    """A layer turned about a pixel."""
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, sin], [-sin, cos]])
    middle = torch.tensor([x, y])
    moved = middle - turn @ middle
    return _sampled(layer_CYX, turn, (float(moved[0]), float(moved[1])))


def _sampled(layer_CYX: Tensor, turn: Tensor, from_xy: tuple[float, float]) -> Tensor:
    """Each pixel from `turn` times its place plus `from_xy`; nothing from outside."""
    rows, cols = layer_CYX.shape[1:]
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(cols) + 0.5, indexing="ij")
    there = torch.stack([x, y], -1) @ turn.T + torch.tensor(from_xy)
    grid = 2 * there / torch.tensor([cols, rows]) - 1
    found: Tensor = nnf.grid_sample(layer_CYX[None], grid[None], mode="bilinear", align_corners=False)[0]
    return found


def _pivot(place: Place) -> float:
    return place.y - place.half_height + 2 * PIVOT * place.half_height


def _hanging(place: Place, cover_YX: Tensor) -> Tensor:
    """[Y, X] in 0..1: where a bell hangs in its frame."""
    rows, cols = cover_YX.shape
    rim = place.y - place.half_height + 2 * RIM * place.half_height
    middle, half = (_pivot(place) + rim) / 2, (rim - _pivot(place)) / 2
    y_Y, x_X = torch.arange(rows) + 0.5, torch.arange(cols) + 0.5
    down_Y = ((y_Y - middle) / half).abs()
    across_X = ((x_X - place.x) / (BELL_WIDE * place.half_width)).abs()
    soft = 0.15
    inside: list[Tensor] = [((1 + soft - far) / soft).clamp(0, 1) for far in (down_Y, across_X)]
    return inside[0][:, None] * inside[1][None]
