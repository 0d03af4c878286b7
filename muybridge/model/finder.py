"""Where a picture shows faces, heads, people and things, for what is done with them (engine/film.py, left_alone.py).

Letters: B samples, C colours, K kinds, Y X pixels or the cells of the answer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

KINDS = ("face", "head", "person", "thing", "hair")  # heads have hair and hats, people their heads and clothes
ROWS = 128  # pixels of a picture's height, as it is looked at
CELL, FINE = 4, 2  # pixels: of the cells that most is found in, of those of the answer
WIDTH, DILATIONS, EDGES = 56, (1, 2, 4, 8, 2, 1), 16
SURE, PART = 0.4, 0.15  # coverage of a cell that tells of a face, and of those around it that belong to it
LEAST_CELLS = 6.0  # a smaller face is not worth moving


class Face(NamedTuple):
    """A face in a picture: middle, half width and half height, all in shares of the picture's height."""

    x: float
    y: float
    half_width: float
    half_height: float


class Finder(nn.Module):
    """Convolutions over most of a small picture, and a few of its edges; 0.19 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 2 * CELL, CELL, CELL // 2)
        self.layers = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=d, dilation=d) for d in DILATIONS)
        self.edges = nn.Conv2d(3, EDGES, 3 * FINE, FINE, FINE)
        self.finer = nn.Conv2d(WIDTH, EDGES * (CELL // FINE) ** 2, 1)
        self.last = nn.Conv2d(EDGES, len(KINDS), 3, padding=1)

    def forward(self, pictures_BCYX: Tensor) -> Tensor:
        """[B, K, Y, X] logits of the share of each cell that KINDS cover, of pictures in -1..1, ROWS high."""
        hidden = F.gelu(self.first(pictures_BCYX))
        for layer in self.layers:
            hidden = hidden + F.gelu(layer(hidden))
        fine = F.pixel_shuffle(self.finer(hidden), CELL // FINE) + self.edges(pictures_BCYX)
        scores_BKYX: Tensor = self.last(F.gelu(fine))
        return scores_BKYX

    @torch.inference_mode()
    def faces(self, picture_CYX: Tensor) -> list[Face]:
        """The faces of a picture of any size, the largest first."""
        cover_11YX = self(_looked_at(picture_CYX))[:, :1].sigmoid()
        return faces_in(F.avg_pool2d(cover_11YX, CELL // FINE)[0, 0])

    @torch.inference_mode()
    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        """[Y, X] for each of KINDS: how much of each pixel it covers, 0 to 1."""
        cover_1KYX = self(_looked_at(picture_CYX)).sigmoid()
        cover_KYX = F.interpolate(cover_1KYX, picture_CYX.shape[1:], mode="bilinear", align_corners=False)[0]
        return dict(zip(KINDS, cover_KYX, strict=True))


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
