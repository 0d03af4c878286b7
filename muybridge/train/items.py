"""One pre-encoded training clip: what the base recipe reads and the latents cache holds. All tensors are on one device.

Legend: C channels, T latent frames, Y X latent rows/columns, A audio latents, N tokens, R references.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from muybridge.model.phrase_encoder import NUM_CHANNELS, TextPieces

EMPTY_TEXT = TextPieces(torch.zeros(0, NUM_CHANNELS), torch.zeros(1, dtype=torch.int64))  # row 0: nobody's word


@dataclass(frozen=True, eq=False)
class ItemBeat:
    """A beat's text and span in seconds."""

    pieces: TextPieces
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class ItemLine:
    """A line's phones: the alphabet's numbers of letter and marks, and each phone's middle in seconds."""

    ids: tuple[tuple[int, ...], ...]
    middles_s: tuple[float, ...]
    language: str
    register: str


@dataclass(frozen=True, eq=False)
class Item:
    """One clip. `video` [C, T, Y, X] and `audio` [A, C] are normalised latents; `mouth_TYX` is coverage per token.

    `references` [R, C, 1, Y, X] are other pictures of the same person; `source` is the clip before the edit that
    `instruction` asks for, and `edited_TYX` says where the two differ. `lips_KCYX` are, for the tokens that hold the
    mouth, the two directions in which speaking moves a token's latent most, each as long as the motion is strong.
    """

    index: int
    video: Tensor
    audio: Tensor
    mouth_TYX: Tensor
    caption: TextPieces
    beats: tuple[ItemBeat, ...] = ()
    lines: tuple[ItemLine, ...] = ()
    references: Tensor | None = None
    source: Tensor | None = None
    instruction: TextPieces | None = None
    edited_TYX: Tensor | None = None
    lips_KCYX: Tensor | None = None

    def to(self, device: torch.device) -> Item:
        """The same item with its latents on `device` in float32; text follows the tables later."""
        moved = {
            name: value.to(device, torch.float32)
            for name in ("video", "audio", "mouth_TYX", "references", "source", "edited_TYX", "lips_KCYX")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **moved)
