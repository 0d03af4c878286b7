"""Two people for a picture in which a draft shows one: each drawn alone, and both put into the place of one of them.

Letters: C colours, Y X rows and columns.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine.components import Finds
from muybridge.engine.layers import filled, grown
from muybridge.engine.recolour import sure
from muybridge.model.finder import Face

PLACES = (0.29, 0.71)  # of the picture's width, where their faces are
TALL = (0.1, 0.21)  # half heights of faces, in the picture's: those that are smaller or larger are made so
AROUND = 0.03  # of the picture's height: how far around somebody the place is made up


class Alone(NamedTuple):
    """A picture [C, Y, X] in -1..1 and the face of the one who is in it."""

    picture_CYX: Tensor
    face: Face


def together(finder: Finds, left: Alone, right: Alone) -> Tensor:
    """[C, Y, X]: both people side by side, in the place of the one on the left. The pictures are of one size."""
    covers = [finder.covers(one.picture_CYX)["person"] for one in (left, right)]
    shown_CYX = filled(left.picture_CYX, grown(covers[0], AROUND).clamp(0, 1))
    cols = shown_CYX.shape[2]
    for one, cover_YX, place in zip((left, right), covers, PLACES, strict=True):
        layer_CYX = torch.cat([one.picture_CYX, sure(cover_YX)[None]])
        moved_CYX = _moved(layer_CYX, one.face, place * cols / shown_CYX.shape[1])
        shown_CYX = torch.lerp(shown_CYX, moved_CYX[:-1], moved_CYX[-1:].clamp(0, 1))
    return shown_CYX


def _moved(layer_CYX: Tensor, face: Face, to_x: float) -> Tensor:
    """A layer whose face is at `to_x`, in the picture's heights, and of a usual size; what stands below still does."""
    rows, cols = layer_CYX.shape[1:]
    size = min(max(face.half_height, TALL[0]), TALL[1]) / face.half_height
    y_Y, x_X = (torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5) / rows
    # Somebody who is made smaller keeps the ground; of a bust the picture's edge is the ground.
    from_x, from_y = face.x + (x_X - to_x) / size, 1 - (1 - y_Y) / size
    grid = torch.stack(torch.broadcast_tensors(2 * from_x[None] * rows / cols - 1, 2 * from_y[:, None] - 1), -1)
    found: Tensor = nnf.grid_sample(layer_CYX[None], grid[None], mode="bilinear", align_corners=False)[0]
    return found
