"""A drawn picture made clearer, and larger: what is drawn of a clip before its base (draft.py).

The picture painter denoises what may have been meant, with the drawn picture in sight: all of it first, and at each
doubling of the size the detail that is new there.

Letters: C colours, Y X rows and columns, W text features.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine import faces
from muybridge.engine.components import Components
from muybridge.flow.noise import noise
from muybridge.model.finder import Face
from muybridge.model.picture_painter import SIDES, guess, open_, told

STEPS, AGAIN_STEPS = 12, 4  # at even noise levels
AGAIN_FROM = 0.2  # the level at which an enlarged picture is painted once more


@torch.inference_mode()
def painted(
    parts: Components, words_W: Tensor, seed: int, drawn_CYX: Tensor, people: Sequence[Face] = (), level: float = 1.0
) -> Tensor:
    """[C, Y, X]: a picture painted anew from a noise level but for faces, drawn later; as it is without a painter."""
    if parts.picture_painter is None:
        return drawn_CYX
    rows, cols = drawn_CYX.shape[1:]
    seen = nnf.pad(drawn_CYX[None].clamp(-1, 1), (0, -cols % SIDES, 0, -rows % SIDES), mode="replicate")
    levels = torch.linspace(level, 0, (STEPS if level == 1 else AGAIN_STEPS) + 1)
    picture = (1 - level) * seen + level * noise(seed, "picture painter", rows, "video", seen.shape)
    for sigma, following in pairwise(levels):
        answer = parts.picture_painter(picture, seen, told(words_W[None], sigma[None])).float()
        clean = (guess(picture, seen, sigma) + open_(sigma) * answer).clamp(-1, 1)
        picture = clean + (picture - clean) * following / sigma
    return torch.lerp(picture[0, :, :rows, :cols], drawn_CYX, faces.ovals(people, rows, cols))


def doubled(parts: Components, words_W: Tensor, seed: int, picture_CYX: Tensor, people: Sequence[Face] = ()) -> Tensor:
    """[C, 2 Y, 2 X]: a drawn picture at twice its size, with the detail of that size."""
    large_CYX = nnf.interpolate(picture_CYX[None], scale_factor=2, mode="bicubic", align_corners=False)[0]
    return painted(parts, words_W, seed, large_CYX.clamp(-1, 1), people, AGAIN_FROM)
