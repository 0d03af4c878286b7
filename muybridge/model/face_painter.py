"""A face drawn anew in its place: clearer, speaking or in another mood, as face units say.

The base's tokens are 32 pixels wide, and a face in one or two of them is a blank. Faces are alike once they lie alike,
so a small U-net (Ronneberger et al. 2015, arXiv 1505.04597) that sees nothing but a square around the face draws eyes
and mouth where the large network draws a smear, and moves them as face units ask. Where to look says finder.py.

Letters: B samples, C channels, Y X pixels of the square, K what is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

SIDE = 96  # pixels of the square
REACH = 1.45  # half of it, in half heights of the face
NUM_UNITS = 52
WORDS = 512  # numbers that say what the prompt says
TOLD = NUM_UNITS + WORDS + 2  # and whether the face was drawn, and its size
WIDTHS = (32, 64, 96, 128)
HIDDEN, GROUPS = 128, 8


class Block(nn.Module):
    """Two convolutions beside the way past them, scaled and shifted by what is told (Perez et al. 2018, "FiLM")."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.before, self.between = (nn.GroupNorm(GROUPS, width) for _ in range(2))
        self.film = nn.Linear(HIDDEN, 2 * width)
        nn.init.zeros_(self.second.weight)

    def forward(self, x_BCYX: Tensor, told_BH: Tensor) -> Tensor:
        """Shaped like `x_BCYX`."""
        scale, shift = self.film(told_BH)[:, :, None, None].chunk(2, 1)
        hidden = self.first(F.silu(self.before(x_BCYX)))
        hidden = F.silu(self.between(hidden) * (1 + scale) + shift)
        out_BCYX: Tensor = x_BCYX + self.second(hidden)
        return out_BCYX


class UNet(nn.Module):
    """Blocks at falling sizes and back, each size beside what it was on the way down."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.down = nn.ModuleList(Block(width) for width in widths)
        self.up = nn.ModuleList(Block(width) for width in widths)
        self.widen = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.join = nn.ModuleList(nn.Conv2d(2 * a, a, 1) for a, _ in pairs)

    def through(self, x_BCYX: Tensor, told_BH: Tensor, bottom: Iterable[nn.Module] = ()) -> Tensor:
        """Shaped like `x_BCYX`; `bottom` are more blocks at the smallest size."""
        x, sides = x_BCYX, []
        for level, block in enumerate(self.down):
            x = block(x, told_BH)
            if level < len(self.narrow):
                sides.append(x)
                x = self.narrow[level](x)
        for block in (*bottom, self.up[-1]):
            x = block(x, told_BH)
        for level in reversed(range(len(self.narrow))):
            x = F.interpolate(self.widen[level](x), scale_factor=2, mode="nearest")
            x = self.up[level](self.join[level](torch.cat([x, sides[level]], 1)), told_BH)
        return x


class FacePainter(UNet):
    """1.5 million weights; about 0.4 billion products a face."""

    def __init__(self) -> None:
        super().__init__(WIDTHS)
        self.words = nn.Linear(WORDS, 32)
        self.told = nn.Sequential(nn.Linear(TOLD - WORDS + 32, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN))
        self.enter = nn.Conv2d(12, WIDTHS[0], 3, padding=1)
        self.norm = nn.GroupNorm(GROUPS, WIDTHS[0])
        self.leave = nn.Conv2d(WIDTHS[0], 12, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        """The squares [B, 3, SIDE, SIDE] in -1..1 with their faces drawn anew; `told_BK` as `told` makes it."""
        told_BH = self.told(torch.cat([told_BK[:, :-WORDS], self.words(told_BK[:, -WORDS:])], 1))
        x = self.through(self.enter(F.pixel_unshuffle(faces_BCYX, 2)), told_BH)
        out_BCYX: Tensor = faces_BCYX + F.pixel_shuffle(self.leave(F.silu(self.norm(x))), 2)
        return out_BCYX


def told(units_BU: Tensor, words_W: Tensor, was_drawn: bool, half_height: float) -> Tensor:
    """[B, TOLD]: how the face is to change in face units, the mean of the prompt's text features, what it is."""
    rest = units_BU.new_tensor([float(was_drawn), 4 * half_height]).expand(len(units_BU), -1)
    return torch.cat([units_BU, rest, words_W.expand(len(units_BU), -1)], 1)
