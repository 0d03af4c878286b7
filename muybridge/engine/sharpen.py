"""A drawn picture made clearer, and twice as large and more: what is drawn of a clip before its base (draft.py).

The picture painter denoises what may have been meant with the drawn picture in sight, the upscaler enlarges it.

Letters: C colours or channels, Y X rows and columns, W text features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine import faces, pipeline
from muybridge.engine.components import Components
from muybridge.engine.conditions import frames_to_tensor
from muybridge.flow.noise import noise
from muybridge.model.finder import Face
from muybridge.model.picture_painter import guess, open_, told
from muybridge.request import Request
from muybridge.shapes import Clock, PixelSize, Window

STEPS = 16  # of the painter, at even noise levels
SHARED = 0.25  # of a tile, at least, that its neighbour draws too


@torch.inference_mode()
def painted(parts: Components, words_W: Tensor, seed: int, drawn_BCTYX: Tensor) -> Tensor:
    """[1, C, 1, Y, X]: a drawn picture's latent, painted anew but for its faces; as it is without a painter."""
    if parts.picture_painter is None:
        return drawn_BCTYX
    drawn_BCYX = parts.video_codec.decode(drawn_BCTYX.to(parts.device))[:, :, 0].float().cpu().clamp(-1, 1)
    picture_BCYX = noise(seed, "picture painter", -1, "video", drawn_BCYX.shape)
    levels = torch.linspace(1, 0, STEPS + 1)
    for sigma, following in pairwise(levels):
        answer = parts.picture_painter(picture_BCYX, drawn_BCYX, told(words_W[None], sigma[None])).float()
        clean = (guess(picture_BCYX, drawn_BCYX, sigma) + open_(sigma) * answer).clamp(-1, 1)
        picture_BCYX = clean + (picture_BCYX - clean) * following / sigma
    people = [] if parts.finder is None else parts.finder.faces(drawn_BCYX[0])
    inside_YX = faces.covered(people, *drawn_BCYX.shape[2:])
    whole_BCYX = torch.lerp(picture_BCYX, drawn_BCYX, inside_YX)
    return parts.video_codec.encode(whole_BCYX[:, :, None].to(parts.device)).cpu()


@torch.inference_mode()
def sharpened(parts: Components, scene: str, seed: int, first_BCTYX: Tensor, people: Sequence[Face] = ()) -> Tensor:
    """[C, Y, X]: a drawn picture at twice its size, by the upscaler; its faces, not drawn yet, as they are.

    Sizes that no upscaler makes of it are enlarged as they are.
    """
    codec = parts.video_codec
    small = pipeline.pixels_of(codec, first_BCTYX)
    large = PixelSize(2 * small.width, 2 * small.height)
    soft = pipeline.enlarge(pipeline.decode_frames(codec, first_BCTYX.to(parts.device), small, 1), large)
    soft_CYX = frames_to_tensor(soft)[0, :, 0]
    still = Request(scene, size=str(large), seed=seed)
    alone = replace(parts, draft=None, listener=None)
    if parts.upscaler is None or [stage.size for stage in pipeline.stages_of(alone, still)] != [small, large]:
        return soft_CYX
    now = pipeline.encode(alone, still, None, Window(0, Clock(1, 0)))
    now = pipeline.upscale(alone, replace(now, latents={**now.latents, "video": first_BCTYX.cpu()}))
    prepared = pipeline.prepare(alone, now)
    for _ in range(pipeline.num_steps(alone, now)):
        now = pipeline.step(alone, now, prepared)
    sharp_CYX = codec.decode(now.latents["video"].to(parts.device))[0, :, 0].float().cpu()
    inside_YX = faces.covered(people, large.height, large.width)
    return torch.lerp(sharp_CYX, soft_CYX, inside_YX)


@torch.inference_mode()
def sharpened_again(
    parts: Components, scene: str, seed: int, picture_CYX: Tensor, tile: PixelSize, people: Sequence[Face] = ()
) -> Tensor:
    """[C, Y, X]: a picture at twice its size, tile by tile as large as the upscaler starts from, softly joined."""
    rows, cols = picture_CYX.shape[1:]
    soft_CYX = nnf.interpolate(picture_CYX[None], scale_factor=2, mode="bicubic", align_corners=False)[0].clamp(-1, 1)
    if rows < tile.height or cols < tile.width:
        return soft_CYX
    weight_YX = _ramp(2 * tile.height)[:, None] * _ramp(2 * tile.width)[None]
    sum_CYX, all_YX = torch.zeros(3, 2 * rows, 2 * cols), torch.zeros(2 * rows, 2 * cols)
    for top in _starts(rows, tile.height):
        for left in _starts(cols, tile.width):
            part_CYX = picture_CYX[:, top : top + tile.height, left : left + tile.width]
            first_BCTYX = parts.video_codec.encode(part_CYX[None, :, None].to(parts.device)).cpu()
            made_CYX = sharpened(parts, scene, seed, first_BCTYX)
            place = slice(2 * top, 2 * (top + tile.height)), slice(2 * left, 2 * (left + tile.width))
            sum_CYX[:, *place] += weight_YX * made_CYX
            all_YX[place] += weight_YX
    return torch.lerp(sum_CYX / all_YX, soft_CYX, faces.covered(people, 2 * rows, 2 * cols))


def _starts(whole: int, tile: int) -> list[int]:
    """Where tiles begin that share enough with each other and cover the whole."""
    count = 1 + math.ceil((whole - tile) / ((1 - SHARED) * tile))
    return [round(k * (whole - tile) / max(count - 1, 1)) for k in range(count)]


def _ramp(length: int) -> Tensor:
    """From next to nothing at both ends to 1 where a neighbour draws no more."""
    at = torch.arange(length) + 0.5
    return (torch.minimum(at, length - at) / (SHARED * length)).clamp(max=1)
