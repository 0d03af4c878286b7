"""A drawn picture drawn anew from noise, with what it shows in sight: edges, leaves and threads instead of smears.

The draft decides what a picture shows, and its tokens are 32 pixels wide. A U-net (Ronneberger et al. 2015, arXiv
1505.04597) on pixels denoises the picture that may have been meant, given the drawn one (as Saharia et al. 2021, "SR3",
arXiv 2104.07636). It answers in units of what the linear guess from noise and drawn picture leaves open (Karras et al.
2022, arXiv 2206.00364). Faces are not its work (face_painter.py).

Letters: B samples, C channels, Y X pixels, K what is told, W text features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from muybridge.model.face_painter import GROUPS, HIDDEN, WORDS, Block, UNet

WIDTHS = (64, 112, 160)
CELL = 2
SIDES = CELL * 2 ** (len(WIDTHS) - 1)  # its pictures' sides are multiples of this
SPREAD = 0.2  # how far true pictures are from drawn ones, in -1..1
WAVES = 8  # of the noise level, that is told as so many sines and cosines
TOLD = WORDS + 2 * WAVES


class PicturePainter(UNet):
    """2.4 million weights; 2 billion products a step of 224x128."""

    def __init__(self) -> None:
        super().__init__(WIDTHS)
        self.words = nn.Linear(WORDS, 48)
        self.told = nn.Sequential(nn.Linear(48 + 2 * WAVES, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN))
        self.enter = nn.Conv2d(6 * CELL**2, WIDTHS[0], 3, padding=1)
        self.bottom = nn.ModuleList([Block(WIDTHS[-1])])
        self.norm = nn.GroupNorm(GROUPS, WIDTHS[0])
        self.leave = nn.Conv2d(WIDTHS[0], 3 * CELL**2, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, noisy_BCYX: Tensor, drawn_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        """[B, 3, Y, X]: what `guess` lacks of the true picture, in units of `open_`; sides are multiples of SIDES."""
        told_BH = self.told(torch.cat([self.words(told_BK[:, :WORDS]), told_BK[:, WORDS:]], 1))
        seen = self.enter(F.pixel_unshuffle(torch.cat([noisy_BCYX, drawn_BCYX], 1), CELL))
        x = self.through(seen, told_BH, self.bottom)
        out_BCYX: Tensor = F.pixel_shuffle(self.leave(F.silu(self.norm(x))), CELL)
        return out_BCYX


def guess(noisy_BCYX: Tensor, drawn_BCYX: Tensor, sigma: Tensor) -> Tensor:
    """The true picture as noise of level `sigma` and the drawn one tell, were all pixels SPREAD from it by chance."""
    seen = 1 - sigma
    gain = seen * SPREAD**2 / (seen**2 * SPREAD**2 + sigma**2)
    return drawn_BCYX + gain * (noisy_BCYX - seen * drawn_BCYX)


def open_(sigma: Tensor) -> Tensor:
    """The standard deviation that `guess` leaves."""
    return SPREAD * sigma / ((1 - sigma) ** 2 * SPREAD**2 + sigma**2).sqrt()


def told(words_BW: Tensor, sigma_B: Tensor) -> Tensor:
    """[B, TOLD]: mean text features, and the noise level as waves."""
    turns_BK = sigma_B[:, None] * math.pi * 2.0 ** torch.arange(WAVES, device=sigma_B.device).sub(1)
    return torch.cat([words_BW, turns_BK.sin(), turns_BK.cos()], 1)
