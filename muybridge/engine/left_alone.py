"""What an edit leaves alone is the source's own picture, pixel for pixel; what it changes is the model's.

A base that knows its source (flow/continuity.py) copies it well and changes it timidly. Where its first picture was
edited by itself (draft.py), cells that changed there go on from that picture, and the others from the source. Without
that, what the base changes is pushed on at every step, cell by cell, the more the more it is.

At the end of the base stage the made latents are compared with the source's, cell by cell. Cells that differ by no more
than the model's own softness count as left alone, less a margin of one cell and one latent around every change. Where
words are said anew nothing is put back: lips are small changes.

Letters: B batch, C channels, T latent frames (frames of pixels), Y X latent rows and columns (or those of pixels).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine.state import GenerationState
from muybridge.media import ClipReader
from muybridge.shapes import FPS, STRIDE_T

SOFT, CLEAR = 0.3, 0.8  # mean squares of a cell's neighbourhood from which a drawn edit is one, and one beyond doubt
SAME = 0.3  # mean square by which a cell's latent may differ and still be a copy
PUSH, TIMID = 1.2, 0.2  # how much further large changes go; the mean square of a change that goes half as much further


def is_edit(state: GenerationState) -> bool:
    """Whether there is a source, and nothing is said anew."""
    return state.conditions.source_BCTYX is not None and not state.conditions.is_said


def pushed(velocity_BCTYX: Tensor, x_BCTYX: Tensor, sigma: float, source_BCTYX: Tensor) -> Tensor:
    """The velocity to a picture that differs from the source in the same way, and more."""
    change = x_BCTYX - sigma * velocity_BCTYX - source_BCTYX
    size_BTYX = nnf.avg_pool2d(change.square().mean(1), 3, 1, 1)
    further_BCTYX = change * ((PUSH - 1) * size_BTYX / (size_BTYX + TIMID))[:, None]
    return velocity_BCTYX - further_BCTYX / sigma


def only_changes(made_BCTYX: Tensor, source_BCTYX: Tensor) -> Tensor:
    """A drawn edit of one latent with the source's own cells wherever they are no further apart than it is soft."""
    apart_BTYX = nnf.avg_pool2d((made_BCTYX - source_BCTYX).float().square().mean(1), 3, 1, 1, count_include_pad=False)
    share_BTYX = ((apart_BTYX - SOFT) / (CLEAR - SOFT)).clamp(0, 1)
    return torch.lerp(source_BCTYX, made_BCTYX, share_BTYX[:, None])


def edited_cells(first_BCTYX: Tensor, source_BCTYX: Tensor) -> Tensor:
    """[Y, X] in 0..1: how far each cell's neighbourhood was changed in the first picture, softly at the edges."""
    changed = (first_BCTYX[0, :, 0] - source_BCTYX[0, :, 0]).float().square().mean(0) > SAME
    near = nnf.max_pool2d(changed.float()[None, None], 3, 1, 1)
    return nnf.avg_pool2d(near, 3, 1, 1, count_include_pad=False)[0, 0]


def left_alone(state: GenerationState) -> Tensor | None:
    """[T, Y, X] in 0..1 at the end of the base stage: 1 where the source stays; None where there is nothing to keep."""
    source_BCTYX = state.conditions.source_BCTYX
    if source_BCTYX is None or not is_edit(state):
        return None
    return unchanged(state.latents["video"].cpu(), source_BCTYX.cpu())


def unchanged(made_BCTYX: Tensor, source_BCTYX: Tensor) -> Tensor:
    """[T, Y, X]: 1 where a cell and all its neighbours in place and time are the source's, else 0."""
    apart_TYX = (made_BCTYX - source_BCTYX)[0].float().square().mean(0)
    changed = (apart_TYX > SAME).float()[None, None]
    near = nnf.max_pool3d(changed, 3, 1, 1)
    return 1 - near[0, 0]


def put_back(frames_TYXC: NDArray[np.uint8], alone_TYX: Tensor, state: GenerationState) -> None:
    """Write the source's pixels over the delivered frames, in place, softly at the edges."""
    assert state.request.video is not None  # else nothing was left alone
    count, high, wide, _ = frames_TYXC.shape
    smooth = nnf.interpolate(alone_TYX[None].float(), (high, wide), mode="bilinear", align_corners=False)[0]
    reader = ClipReader(state.request.video, size=(high, wide), max_seconds=count / FPS, sound=False)
    picture = None
    try:
        frames = reader.frames()
        for number in range(count):
            picture = next(frames, picture)  # a shorter source holds its last frame
            assert picture is not None
            share_YX1 = smooth[-(-number // STRIDE_T)].numpy()[..., None]
            made = frames_TYXC[number]
            np.copyto(made, np.rint(made + share_YX1 * (picture.astype(np.float32) - made)), casting="unsafe")
    finally:
        reader.close()
