"""A horse that gallops through a drawn place: the world's horse, stride by stride, and the place passing behind it.

Of what the draft makes of a horse nothing can be told. The twelve phases of a stride are kept as the world draws them
(world/stride.py, after Muybridge's plates of 1878); a phase is shown when the hoofbeats have it (foley.py).

Letters: N phases, T frames, C colours, Y X rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge import media
from muybridge.engine.layers import passing
from muybridge.engine.recolour import LUMINANCE, MIDDLE, to_linear, to_srgb
from muybridge.shapes import FPS
from muybridge.world.characters import CLOTHES_COLORS, COATS, HAIR_COLORS
from muybridge.world.stride import PHASES, ROWS, USUAL

KIND = "gallop"  # of a film (engine/state.py)
STRIDE = Path(__file__).with_name("horse.png")
TALL, GROUND, WIDEST = 0.56, 0.88, 0.8  # of the picture's height: the horse, and where it runs; of its width, at most
PASSES = 0.55  # widths of the picture that pass it in a second
LIGHT = (0.12, 1.3)  # of a place, between which its light falls on the horse
SHADOW, SHADOW_WIDE, SHADOW_HIGH = 0.45, 0.36, 0.035  # how dark it is under it; in the horse's widths and heights


def moving(picture_CYX: Tensor, begins_s: tuple[float, float], heading: int, coat: str) -> Callable[[range], Tensor]:
    """What gives frames [C, T, Y, X] of a horse before a place in -1..1; strides begin at the two times, and so on."""
    rows, cols = picture_CYX.shape[1:]
    shown_CYX = to_linear((picture_CYX.clamp(-1, 1) + 1) / 2)
    light = float(torch.einsum("c,cyx->yx", LUMINANCE, shown_CYX).mean()) / MIDDLE
    own_C = coat_colour(coat) * min(max(light, LIGHT[0]), LIGHT[1])
    phases_N2YX = _phases()
    high = min(TALL * rows, WIDEST * cols * ROWS / phases_N2YX.shape[3])
    size = (round(high), round(high * phases_N2YX.shape[3] / ROWS))
    if heading < 0:
        phases_N2YX = phases_N2YX.flip(3)
    large_N2YX = nnf.interpolate(phases_N2YX, size, mode="bicubic", antialias=True, align_corners=False)
    steep = max(1.0, high / ROWS)  # an edge that is enlarged is as sharp as it was
    large_N2YX[:, 1] = ((large_N2YX[:, 1] - 0.5) * steep + 0.5).clamp(0, 1)
    top, left = min(round(GROUND * rows), rows) - size[0], (cols - size[1]) // 2
    shadow_YX = _shadow(rows, cols, top + size[0], left + size[1] / 2, size)

    def at(frame: int) -> Tensor:
        at_s = frame / FPS
        strides = (at_s - begins_s[0]) / (begins_s[1] - begins_s[0])
        shade_YX, cover_YX = large_N2YX[int(strides * PHASES + 0.5) % PHASES].clamp(min=0)
        frame_CYX = passing(picture_CYX, heading * PASSES * at_s * cols)
        frame_CYX = torch.lerp(frame_CYX, torch.tensor(-1.0), shadow_YX)
        horse_CYX = 2 * to_srgb((own_C[:, None, None] * shade_YX).clamp(0, 1)) - 1
        box = frame_CYX[:, top : top + size[0], left : left + size[1]]
        frame_CYX[:, top : top + size[0], left : left + size[1]] = torch.lerp(box, horse_CYX, cover_YX.clamp(max=1))
        return frame_CYX

    return lambda frames: torch.stack([at(frame) for frame in frames], 1)


def coat_colour(name: str) -> Tensor:
    """[C] of linear light: a coat as the world has it, or any other colour."""
    known = {colour: body for colour, (body, _) in COATS.items()}
    return torch.tensor(known.get(name) or {**CLOTHES_COLORS, **HAIR_COLORS}[name])


def _shadow(rows: int, cols: int, ground: float, middle: float, size: tuple[int, int]) -> Tensor:
    y_Y, x_X = torch.arange(rows) + 0.5, torch.arange(cols) + 0.5
    across_X, down_Y = (x_X - middle) / (SHADOW_WIDE * size[1]), (y_Y - ground) / (SHADOW_HIGH * size[0])
    return SHADOW * (1.3 - torch.hypot(across_X[None], down_Y[:, None])).clamp(0, 1)


@cache
def _phases() -> Tensor:
    """[N, 2, Y, X]: how light the coat is (1: as usual), and how much of a pixel the horse covers."""
    kept = torch.from_numpy(media.read_image(STRIDE)).float().unflatten(0, (PHASES, ROWS))
    return torch.stack([kept[..., 0] / USUAL, kept[..., 1] / 255], 1)
