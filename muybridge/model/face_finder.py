"""Where a picture shows a face: read from its latent, for what is done with a head (engine/acting.py).

Letters: B samples, C channels, Y X latent cells.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from muybridge.shapes import LATENT_CHANNELS

WIDTH, DILATIONS = 64, (1, 2, 1)
SURE, PART = 0.4, 0.1  # coverage of a cell that tells of a face, and of those around it that belong to it
LEAST_CELLS = 0.5  # a smaller face is not worth moving


class Face(NamedTuple):
    """A face in a picture: middle, half width and half height, all in shares of the picture's height."""

    x: float
    y: float
    half_width: float
    half_height: float


class FaceFinder(nn.Module):
    """Convolutions over eleven cells; 0.1 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(LATENT_CHANNELS, WIDTH, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=d, dilation=d) for d in DILATIONS)
        self.last = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, latent_BCYX: Tensor) -> Tensor:
        """[B, Y, X] logits of the share of each cell that a face covers."""
        hidden = nn.functional.gelu(self.first(latent_BCYX))
        for layer in self.layers:
            hidden = hidden + nn.functional.gelu(layer(hidden))
        scores_BYX: Tensor = self.last(hidden)[:, 0]
        return scores_BYX

    @torch.inference_mode()
    def faces(self, latent_CYX: Tensor) -> list[Face]:
        """The faces of one picture, the largest first."""
        return faces_in(self(latent_CYX[None].float())[0].sigmoid())


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
