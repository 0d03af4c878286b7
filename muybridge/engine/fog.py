"""Fog over frames as they are delivered: thick where a picture is far away, thin over its people, and drifting.

How far away is what, a picture does not say: people are near, the ground comes nearer towards the lower edge, and all
above its middle is far. Swathes are where the seed and the clip's own clock say, so windows go on from one another.

Letters: T frames, C colours, Y X rows and columns in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine.components import Finds
from muybridge.engine.recolour import LUMINANCE, sure, to_linear, to_srgb
from muybridge.shapes import FPS

KIND = "fog"
FAR, GROUND, PERSON = 0.86, 0.42, 0.14  # how much of it is before what is far, the ground in front, and people
HORIZON = 0.5  # of the height: what is above is far
PALE, TINT = 0.8, 0.25  # as bright as so much of the place is at most; how much of the place's colour it has
LEAST = 0.03  # of white: it is never black
SWATHES, DRIFT, UNEVEN = (3, 12), 0.05, 0.16  # of noise: cells, picture heights a second, and how much it changes
ROWS = 128  # as high as it is made: it is soft
DRAWN = 0.6  # of one that is there from the start in a picture that was drawn from words: the draft was told, too


@torch.inference_mode()
def fogged(
    frames_CTYX: Tensor, strength_T: Sequence[float], numbers: Sequence[int], seed: int, finder: Finds | None
) -> Tensor:
    """Frames in -1..1 in fog so thick, 0 to 1; `numbers` are theirs in the clip. Nobody is near without a `finder`."""
    rows, cols = frames_CTYX.shape[2:]
    high, wide = min(ROWS, rows), max(1, round(cols * min(ROWS, rows) / rows))
    made = []
    for frame_CYX, strength, number in zip(frames_CTYX.unbind(1), strength_T, numbers, strict=True):
        small_CYX = nnf.interpolate(frame_CYX[None], (high, wide), mode="area")[0]
        person_YX = torch.zeros(high, wide) if finder is None else sure(finder.covers(small_CYX)["person"])
        cover_YX = strength * cover(number, seed, person_YX)
        colour_C = colour_of(to_linear((small_CYX.clamp(-1, 1) + 1) / 2), person_YX)
        cover_1YX = nnf.interpolate(cover_YX[None, None], (rows, cols), mode="bilinear", align_corners=False)[0]
        linear_CYX = to_linear((frame_CYX.clamp(-1, 1) + 1) / 2)
        made.append(2 * to_srgb(torch.lerp(linear_CYX, colour_C[:, None, None], cover_1YX)) - 1)
    return torch.stack(made, 1)


def cover(number: int, seed: int, person_YX: Tensor) -> Tensor:
    """[Y, X] in 0..1: how much of each pixel full fog covers in a frame in which people are there."""
    rows, cols = person_YX.shape
    down_Y = (torch.arange(rows) + 0.5) / rows
    near_Y = ((down_Y - HORIZON) / (1 - HORIZON)).clamp(0, 1)
    place_YX = (FAR + (GROUND - FAR) * near_Y)[:, None] + UNEVEN * swathes(number, seed, rows, cols)
    return torch.lerp(place_YX, torch.full_like(place_YX, PERSON), person_YX).clamp(0, 1)


def swathes(number: int, seed: int, rows: int, cols: int) -> Tensor:
    """[Y, X] of mean 0, about -1..1: smooth noise that drifts to the side, and comes again after a while."""
    high, wide = SWATHES
    noise = torch.rand(high, wide, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    around = torch.cat([noise, noise], 1)[None, None]  # it has no ends
    across_X = ((torch.arange(cols) + 0.5) / rows * high + number / FPS * DRIFT * high) % wide
    down_Y = (torch.arange(rows) + 0.5) / rows * (high - 1)
    x_YX = ((across_X + 0.5) / wide - 1)[None, :].expand(rows, -1)  # of two times `wide` cells, -1 to 1
    y_YX = ((down_Y + 0.5) / high * 2 - 1)[:, None].expand(-1, cols)
    grid = torch.stack([x_YX, y_YX], -1)[None]
    seen: Tensor = nnf.grid_sample(around, grid, mode="bicubic", padding_mode="border", align_corners=False)[0, 0]
    return seen - seen.mean()


def colour_of(linear_CYX: Tensor, person_YX: Tensor) -> Tensor:
    """[C] of linear light: nearly grey, and as bright as the brighter part of the place."""
    bare = person_YX < 0.5
    place_CN = linear_CYX[:, bare] if bool(bare.any()) else linear_CYX.flatten(1)
    luminance_N = LUMINANCE @ place_CN
    bright = float(luminance_N.quantile(PALE).clamp(min=LEAST))
    mean_C = place_CN.mean(1)
    tint_C = mean_C / (LUMINANCE @ mean_C).clamp(min=1e-4)
    return bright * torch.lerp(torch.ones(3), tint_C.clamp(max=2.0), TINT)
