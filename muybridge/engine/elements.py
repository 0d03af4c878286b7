"""Waves and fire: what moves in its place in a first picture, where the finder finds it (model/finder.py).

Crests of light and dark run down the water, the nearer the further apart, and its lower edge runs up the beach and back
at each wave that is heard (foley.py). Flames bend and stretch above their foot, and light what is around them unevenly.
Both begin as the picture is.

Letters: T frames, C colours, Y X rows and columns in pixels, K strikes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine.layers import EDGE, RIM_LEFT, Place, filled, grown, place_of
from muybridge.engine.lighting import lit
from muybridge.shapes import FPS
from muybridge.world.camera import ease

KINDS = ("waves", "fire")
BEGINS_S = 0.6  # in which all motion comes over the picture as it is
CRESTS, NEARER, DOWN = 3.4, 0.6, 0.42  # how many, how their spacing grows, how many pass a second
CREST, BENT, LIFTED = 0.5, 0.8, 0.011  # log of a crest's light, how far from straight, of the picture's height
RISE_S, SINK_S, RUN, FOAM = 0.9, 1.7, 0.05, 0.35  # of the edge: seconds, of the picture's height, how white
FAINT, FULL = 0.25, 0.55  # of a row's cover: none and all of the water
LEAN, STRETCH, LIGHT, AROUND = 0.24, 0.16, 0.16, 3.0  # of flames: half widths, heights, a log, half heights
TONGUES = ((1.7, 1.1, 0.0), (3.1, 2.3, 1.9), (5.3, 3.1, 4.0))  # turns a second, a flame's height, and where they begin


def moving(picture_CYX: Tensor, cover_YX: Tensor, strikes_K: Sequence[float], kind: str) -> Callable[[range], Tensor]:
    """What gives frames [C, T, Y, X] in which the covered thing of KINDS moves; waves break at these times."""
    place = place_of(cover_YX)
    if place is None:
        return lambda frames: picture_CYX[:, None].expand(-1, len(frames), -1, -1)
    at = _waves(picture_CYX, cover_YX, strikes_K) if kind == "waves" else _flames(picture_CYX, cover_YX, place)
    return lambda frames: torch.stack([at(frame / FPS) for frame in frames], 1)


def _waves(picture_CYX: Tensor, cover_YX: Tensor, strikes_K: Sequence[float]) -> Callable[[float], Tensor]:
    rows, cols = picture_CYX.shape[1:]
    water_Y = ((cover_YX.flatten(1).sort(1).values[:, cols // 2] - FAINT) / (FULL - FAINT)).clamp(0, 1)
    where = (water_Y > 0).nonzero()[:, 0]
    if not len(where):
        return lambda _: picture_CYX
    top, bottom = float(where[0]), float(where[-1] + 1)
    water_YX = water_Y[:, None] * torch.maximum(cover_YX.clamp(0, 1), _open(cover_YX))
    y_Y, x_X = torch.arange(rows) + 0.5, (torch.arange(cols) + 0.5) / rows
    depth_Y = ((y_Y - top) / (bottom - top)).clamp(0, 1)
    near_Y1 = (0.25 + 0.75 * depth_Y)[:, None]
    bent_YX = BENT * (torch.sin(4.1 * x_X[None] + 5 * depth_Y[:, None]) + torch.sin(9.7 * x_X[None] - 3.0))

    def at(at_s: float) -> Tensor:
        there = ease(at_s, 0.0, BEGINS_S)
        phase_YX = 2 * math.pi * (CRESTS * depth_Y[:, None] ** NEARER - DOWN * at_s) + bent_YX
        crest_YX = 0.5 * (1 + torch.sin(phase_YX))
        run = rows * RUN * there * run_up(strikes_K, at_s)
        down_YX = run * depth_Y[:, None] + rows * LIFTED * there * near_Y1 * torch.cos(phase_YX)
        moved = _from_below(torch.cat([picture_CYX, water_YX[None]]), y_Y[:, None] - down_YX)
        log_YX = CREST * there * near_Y1 * (crest_YX**3 - 0.31)  # the mean of such crests
        lit_CYX = lit(moved[:-1], log_YX)
        over_YX = moved[-1].clamp(0, 1)
        edge_YX = 4 * over_YX * (1 - over_YX) * (depth_Y > 0.5)[:, None] * (run > 0)
        lit_CYX = torch.lerp(lit_CYX, torch.ones_like(lit_CYX), FOAM * min(1.0, run / (rows * RUN)) * edge_YX)
        return torch.lerp(picture_CYX, lit_CYX, over_YX * there)

    return at


def _open(cover_YX: Tensor) -> Tensor:
    """[Y, X]: 1 but where most of a column's water is not to be seen: somebody stands before it."""
    rows_Y = cover_YX.amax(1, keepdim=True)
    return nnf.avg_pool2d((cover_YX > 0.1 * rows_Y)[None].float(), 5, 1, 2, count_include_pad=False)[0]


def run_up(strikes_K: Sequence[float], at_s: float) -> float:
    """0 to 1: how far the water has run up, which rises to each wave's time and sinks after it."""
    rises = [ease(at_s, k - RISE_S, k) * (1 - ease(at_s, k, k + SINK_S)) for k in strikes_K]
    return max(rises, default=0.0)


def _from_below(layer_CYX: Tensor, from_YX: Tensor) -> Tensor:
    """Each pixel from another row of its column."""
    rows, cols = layer_CYX.shape[1:]
    x_YX = (2 * (torch.arange(cols) + 0.5) / cols - 1).expand(rows, -1)
    grid = torch.stack([x_YX, (2 * from_YX / rows - 1).expand(rows, cols)], -1)[None]
    found: Tensor = nnf.grid_sample(layer_CYX[None], grid, padding_mode="border", align_corners=False)[0]
    return found


def _flames(picture_CYX: Tensor, cover_YX: Tensor, place: Place) -> Callable[[float], Tensor]:
    rows, cols = picture_CYX.shape[1:]
    part_YX = grown(cover_YX, EDGE).clamp(0, 1)
    layer, place_CYX = torch.cat([picture_CYX, part_YX[None]]), filled(picture_CYX, grown(part_YX, RIM_LEFT))
    y_YX, x_YX = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(cols) + 0.5, indexing="ij")
    foot = place.y + place.half_height
    high_YX = ((foot - y_YX) / (2 * place.half_height)).clamp(0, 1.5)  # 0 at the foot, 1 at the tips
    far_YX = torch.hypot(x_YX - place.x, y_YX - place.y) / (AROUND * place.half_height)

    def at(at_s: float) -> Tensor:
        there = ease(at_s, 0.0, BEGINS_S)
        turns = [(2 * math.pi * (a * at_s - b * high_YX) + c, 1 / (k + 1)) for k, (a, b, c) in enumerate(TONGUES)]
        lean_YX = sum((share * torch.sin(turn) for turn, share in turns), torch.zeros(())) * LEAN * place.half_width
        lick = sum(math.sin(2 * math.pi * a * at_s * 0.83 + c) / (k + 1) for k, (a, _, c) in enumerate(TONGUES)) / 1.8
        from_x = x_YX - there * high_YX**1.5 * lean_YX
        from_y = foot - (foot - y_YX) / (1 + there * STRETCH * lick)
        grid = torch.stack([2 * from_x / cols - 1, 2 * from_y / rows - 1], -1)[None]
        moved = nnf.grid_sample(layer[None], grid, align_corners=False)[0]
        both_CYX = torch.lerp(place_CYX, moved[:-1], moved[-1:].clamp(0, 1))
        near_YX = torch.maximum(part_YX, moved[-1]).clamp(0, 1)
        shown_CYX = torch.lerp(picture_CYX, both_CYX, (grown(near_YX, RIM_LEFT) * there).clamp(0, 1))
        return lit(shown_CYX, there * LIGHT * lick * (-far_YX.square()).exp())

    return at
