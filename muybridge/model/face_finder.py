"""Where a picture shows faces and heads, for what is done with them (engine/acting.py, engine/faces.py).

Letters: B samples, C colours, Y X pixels or the cells of the answer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

ROWS = 128  # pixels of a picture's height, as it is looked at
CELL = 4  # pixels
WIDTH, DILATIONS = 48, (1, 2, 4, 8, 2, 1)
SURE, PART = 0.4, 0.15  # coverage of a cell that tells of a face, and of those around it that belong to it
LEAST_CELLS = 6.0  # a smaller face is not worth moving


class Face(NamedTuple):
    """A face in a picture: middle, half width and half height, all in shares of the picture's height."""

    x: float
    y: float
    half_width: float
    half_height: float


class FaceFinder(nn.Module):
    """Convolutions over most of a small picture; 0.15 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 2 * CELL, CELL, CELL // 2)
        self.layers = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=d, dilation=d) for d in DILATIONS)
        self.last = nn.Conv2d(WIDTH, 2, 1)

    def forward(self, pictures_BCYX: Tensor) -> Tensor:
        """[B, 2, Y, X] logits of the share of each cell that faces and heads cover, of pictures in -1..1, ROWS high."""
        hidden = F.gelu(self.first(pictures_BCYX))
        for layer in self.layers:
            hidden = hidden + F.gelu(layer(hidden))
        scores_B2YX: Tensor = self.last(hidden)
        return scores_B2YX

    @torch.inference_mode()
    def faces(self, picture_CYX: Tensor) -> list[Face]:
        """The faces of a picture of any size, the largest first."""
        return faces_in(self(_looked_at(picture_CYX))[0, 0].sigmoid())

    @torch.inference_mode()
    def heads(self, picture_CYX: Tensor) -> Tensor:
        """[Y, X]: how much of each pixel heads cover, with their hair and hats, 0 to 1."""
        cover_B1YX = self(_looked_at(picture_CYX))[:, 1:].sigmoid()
        return F.interpolate(cover_B1YX, picture_CYX.shape[1:], mode="bilinear", align_corners=False)[0, 0]


def _looked_at(picture_CYX: Tensor) -> Tensor:
    """[1, C, Y, X]: the picture as high as it is looked at."""
    rows, cols = picture_CYX.shape[1:]
    size = (ROWS, CELL * round(ROWS * cols / rows / CELL))
    return F.interpolate(picture_CYX[None].float(), size, mode="bilinear", antialias=True, align_corners=False)


def faces_in(cover_YX: Tensor) -> list[Face]:
    """Cells that hang together, as ellipses with the same moments: an ellipse's half width is twice its spread."""
    rows = cover_YX.shape[0]
    left = cover_YX.clone()
    found: list[tuple[float, Face]] = []
    while float(left.max()) >= SURE:
        part = torch.zeros_like(left, dtype=torch.bool)
        part.view(-1)[left.argmax()] = True
        grown = 0
        while grown != int(part.sum()):
            grown = int(part.sum())
            near = nn.functional.max_pool2d(part.float()[None, None], 3, 1, 1)[0, 0] > 0
            part = near & (left >= PART)
        weight = torch.where(part, left, 0.0)
        left = torch.where(part, 0.0, left)
        cells = float(weight.sum())
        if cells < LEAST_CELLS:
            continue
        y_Y, x_X = (torch.arange(count) + 0.5 for count in weight.shape)
        y, x = float((weight.sum(1) * y_Y).sum()) / cells, float((weight.sum(0) * x_X).sum()) / cells
        # A cell's own width spreads what it holds by a twelfth of a square.
        high = float((weight.sum(1) * (y_Y - y).square()).sum()) / cells - 1 / 12
        wide = float((weight.sum(0) * (x_X - x).square()).sum()) / cells - 1 / 12
        half_high, half_wide = (2 * max(square, 0.04) ** 0.5 for square in (high, wide))
        found.append((cells, Face(x / rows, y / rows, half_wide / rows, half_high / rows)))
    return [face for _, face in sorted(found, reverse=True)]
