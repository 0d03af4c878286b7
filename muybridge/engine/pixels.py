"""From latents to pixels: decoded at exactly the asked size, enlarged until they cover it, as bytes.

Legend: B samples, C channels or colours, T frames (of latents too), Y X rows and columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from muybridge.model.codecs import SpatialTile, VideoCodec
from muybridge.shapes import PixelSize


def pixels_of(codec: VideoCodec, latent_BCTYX: Tensor) -> PixelSize:
    """The size of the picture that a latent decodes to, before it is cut."""
    rows, cols = (n * s for n, s in zip(latent_BCTYX.shape[3:], codec.stride[1:], strict=True))
    return PixelSize(cols, rows)


def decode_frames(codec: VideoCodec, latent_BCTYX: Tensor, size: PixelSize, num_frames: int) -> NDArray[np.uint8]:
    """The first `num_frames` frames [T, Y, X, 3], the centre of the rendered grid at exactly the asked size.

    Codecs that decode in pieces never hold the whole clip as floats (3 GB for 5 s of 1080p).
    """
    cols, rows = pixels_of(codec, latent_BCTYX)
    top, left = (rows - size.height) // 2, (cols - size.width) // 2
    if not isinstance(codec, DecodesPieces):
        return to_uint8(
            codec.decode(latent_BCTYX)[0, :, :num_frames, top : top + size.height, left : left + size.width]
        )
    frames = np.empty((num_frames, rows, cols, 3), np.uint8)
    for start, tile, piece_BCTYX in codec.decode_pieces(latent_BCTYX):
        piece = to_uint8(piece_BCTYX[0, :, : max(0, num_frames - start)])
        frames[(slice(start, start + len(piece)), *tile.place(codec.stride[1]))] = piece
    return np.ascontiguousarray(frames[:, top : top + size.height, left : left + size.width])


def covering(made: PixelSize, size: PixelSize) -> PixelSize:
    """The shape of a made picture, as large as it must be to cover `size`."""
    scale = max(size.height / made.height, size.width / made.width)
    return PixelSize(max(size.width, round(made.width * scale)), max(size.height, round(made.height * scale)))


def enlarge(frames_TYXC: NDArray[np.uint8], size: PixelSize) -> NDArray[np.uint8]:
    """Frames interpolated (bicubic) until they cover `size`, and its centre; a few at a time, for memory."""
    count, rows, cols, _ = frames_TYXC.shape
    wide, high = covering(PixelSize(cols, rows), size)
    top, left = (high - size.height) // 2, (wide - size.width) // 2
    out = np.empty((count, size.height, size.width, 3), np.uint8)
    for start in range(0, count, 8):
        # Bytes stay bytes: torch enlarges them thirty times faster than floats, three levels apart at most.
        part = torch.from_numpy(frames_TYXC[start : start + 8]).permute(0, 3, 1, 2)
        large = torch.nn.functional.interpolate(part, (high, wide), mode="bicubic", align_corners=False)
        cut = large[:, :, top : top + size.height, left : left + size.width]
        out[start : start + 8] = cut.permute(0, 2, 3, 1).numpy()
    return out


def to_uint8(frames_CTYX: Tensor) -> NDArray[np.uint8]:
    """[-1, 1] to 0..255, channels last."""
    pixels = frames_CTYX.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(1, 2, 3, 0).cpu().numpy()


@runtime_checkable
class DecodesPieces(VideoCodec, Protocol):
    """A codec that hands out (first frame, tile, frames of the tile) one after another."""

    def decode_pieces(self, latent_BCTYX: Tensor) -> Iterator[tuple[int, SpatialTile, Tensor]]: ...
