"""Another place for the people of an edit's source: drawn once from words alone, and seen behind them in every frame.

What the draft makes of a source keeps too much of the old place to show the new one. So it draws somebody in the new
place, who is taken off again; the source's people stand before what is left, in their own pixels. It stands still.

Letters: C colours, Y X rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine.components import Components, Finds
from muybridge.engine.first import First, decoded, large
from muybridge.engine.layers import filled, grown
from muybridge.engine.recolour import to_linear, to_srgb
from muybridge.engine.state import GenerationState
from muybridge.speech import edits

AROUND = 0.03  # of the picture's height: how far around a drawn person its place is made up
INNER = (0.25, 0.7)  # of a cover, from none to all of a person: at its edge the old place is seen
TONED, TINTED, TONES = 0.6, 0.25, (0.25, 2.0)  # how much of the old place's light, and tint, falls on the new one
LEAST = 0.01  # of a frame: less of people is nobody
DARK = 0.02  # of white: what tells no light


def words(instruction: str) -> str:
    """The prompt of the picture that is drawn."""
    return f"A person stands in {edits.new_place(instruction)}."


def painted_place(parts: Components, state: GenerationState, drawn_BCTYX: Tensor, source_CYX: Tensor) -> Tensor:
    """[C, Y, X] in 0..1 as large as a film: the place of a drawn latent, nobody in it, in the light of the source's.

    `source` is the first frame in 0..1.
    """
    assert parts.finder is not None  # or the edit would be about anything
    drawn_CYX = decoded(parts, drawn_BCTYX).clamp(-1, 1)
    nobody_CYX = filled(drawn_CYX, grown(parts.finder.covers(drawn_CYX)["person"], AROUND).clamp(0, 1))
    asked = state.request.replace(prompt=words(state.request.prompt))
    place_CYX = large(parts, asked, First(nobody_CYX, (), was_drawn=True, is_blank=False)).clamp(-1, 1) / 2 + 0.5
    return toned(place_CYX, source_CYX, parts.finder.covers(2 * source_CYX - 1)["person"])


def toned(place_CYX: Tensor, source_CYX: Tensor, person_YX: Tensor) -> Tensor:
    """A place in most of the light that a source has around its people, all in 0..1."""
    linear_CYX, old_CYX, bare_YX = to_linear(place_CYX), to_linear(source_CYX), 1 - person_YX
    old_C = (old_CYX * bare_YX).sum((1, 2)) / bare_YX.sum().clamp(min=1.0)
    log_C = ((old_C + DARK) / (linear_CYX.mean((1, 2)) + DARK)).log()
    gain_C = (TONED * log_C.mean() + TINTED * (log_C - log_C.mean())).exp().clamp(*TONES)
    return to_srgb((linear_CYX * gain_C[:, None, None]).clamp(0, 1))


def behind(finder: Finds, place_CYX: Tensor) -> Callable[[Tensor], Tensor]:
    """What puts the people of a frame [C, Y, X] in 0..1 before a place; where there are none, its thing."""

    def standing(frame_CYX: Tensor) -> Tensor:
        covers = finder.covers(2 * frame_CYX - 1)
        nobody = float(covers["person"].mean()) < LEAST
        share_YX = ((covers["thing" if nobody else "person"] - INNER[0]) / (INNER[1] - INNER[0])).clamp(0, 1)
        return torch.lerp(_covering(place_CYX, *frame_CYX.shape[1:]), frame_CYX, share_YX)

    return standing


def _covering(place_CYX: Tensor, rows: int, cols: int) -> Tensor:
    """The middle of a place at the frame's size."""
    scale = max(rows / place_CYX.shape[1], cols / place_CYX.shape[2])
    size = [max(side, round(scale * own)) for side, own in zip((rows, cols), place_CYX.shape[1:], strict=True)]
    whole = nnf.interpolate(place_CYX[None], size, mode="bicubic", align_corners=False, antialias=True)[0]
    top, left = (size[0] - rows) // 2, (size[1] - cols) // 2
    return whole[:, top : top + rows, left : left + cols].clamp(0, 1)
