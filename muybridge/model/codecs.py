"""The three small protocols behind which codecs and text encoders differ by size, and exact spatial tiling.

Shape suffixes: B batch, C channels, T frames (or latent frames in a latent), Y X rows/cols, S samples, N tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from muybridge.errors import InvalidRequest

OnTile = Callable[[int, int], None]
"""Progress of a decode: called with (pieces done, pieces in all) after each piece."""


@runtime_checkable
class VideoCodec(Protocol):
    """Frames <-> normalised latents. One latent frame stands for 4 frames, the very first for one: 4k+1 <-> k+1."""

    stride: tuple[int, int, int]
    """(time, rows, cols): frames per latent frame and pixels per latent cell; (4, 16, 16) for both sizes."""
    num_channels: int

    def encode(self, frames_BCTYX: torch.Tensor) -> torch.Tensor:
        """Frames in [-1, 1] (4k+1 of them, rows and cols whole strides) -> normalised posterior mean, float32."""
        ...

    def decode(self, latent_BCTYX: torch.Tensor, on_tile: OnTile | None = None) -> torch.Tensor:
        """Normalised latent -> float32 frames in [-1, 1] on the CPU."""
        ...


@runtime_checkable
class AudioCodec(Protocol):
    """Waveform <-> latents at exactly 25 latents a second: A latents are A * samples_per_latent samples."""

    sample_rate: int
    samples_per_latent: int
    num_channels: int

    def encode(self, waveform_BCS: torch.Tensor) -> torch.Tensor:
        """Stereo samples at `sample_rate` -> posterior MEAN [B, num_channels, A], never a random draw."""
        ...

    def decode(self, latent_BCA: torch.Tensor) -> torch.Tensor:
        """Latents -> float32 samples [B, 2, A * samples_per_latent] on the CPU."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Prompts -> features of true length (no padding ever reaches the transformer)."""

    num_channels: int

    def encode(self, prompts: Sequence[str]) -> list[torch.Tensor]:
        """One [N, num_channels] tensor per prompt, N its own token count."""
        ...


# Per-channel statistics of the Wan 2.2 latent space (48 channels), shared by both 15b decoders.
# Source: the `vae` config published with Wan2.2-TI2V-5B.
WAN22_LATENT_MEAN = (
    *(-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891),
    *(0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502),
    *(-0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723),
    *(-0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667),
)
WAN22_LATENT_STD = (
    *(0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901),
    *(0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659),
    *(0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944),
    *(0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744),
)


def normalize_latent(latent_BCTYX: torch.Tensor, mean_C: torch.Tensor, std_C: torch.Tensor) -> torch.Tensor:
    """(latent - mean) * (1 / std) in float32, in the order of the reference (dividing by std differs at 1e-4)."""
    shape = (1, -1, 1, 1, 1)
    mean, std = (v.to(latent_BCTYX.device, torch.float32).view(shape) for v in (mean_C, std_C))
    return (latent_BCTYX.float() - mean) * (1.0 / std)


def denormalize_latent(latent_BCTYX: torch.Tensor, mean_C: torch.Tensor, std_C: torch.Tensor) -> torch.Tensor:
    """latent / (1 / std) + mean in float32, in the order of the reference."""
    shape = (1, -1, 1, 1, 1)
    mean, std = (v.to(latent_BCTYX.device, torch.float32).view(shape) for v in (mean_C, std_C))
    return latent_BCTYX.float() / (1.0 / std) + mean


def num_latent_frames(num_frames: int) -> int:
    """4k+1 frames -> k+1 latent frames; any other count raises InvalidRequest with the nearest valid ones."""
    if num_frames < 1 or (num_frames - 1) % 4:
        below = max(1, (num_frames - 1) // 4 * 4 + 1)
        raise InvalidRequest(
            f"{num_frames} frames do not fill whole latents; use 4k+1 frames, such as {below} or {below + 4}.",
            field="num_frames",
        )
    return (num_frames - 1) // 4 + 1


def check_frames(frames_BCTYX: torch.Tensor, stride: tuple[int, int, int]) -> None:
    """Raise InvalidRequest unless the tensor is [B, 3, 4k+1, rows, cols] with rows and cols whole strides."""
    if frames_BCTYX.ndim != 5 or frames_BCTYX.shape[1] != 3:
        raise InvalidRequest(f"frames must be [batch, 3, frames, rows, cols], not {list(frames_BCTYX.shape)}.")
    num_latent_frames(frames_BCTYX.shape[2])
    rows, cols = frames_BCTYX.shape[3:]
    if not rows or not cols or rows % stride[1] or cols % stride[2]:
        raise InvalidRequest(
            f"{cols}x{rows} frames do not fill whole latent cells; use multiples of {stride[2]}x{stride[1]}.",
            field="size",
        )


def check_latent(latent_BCTYX: torch.Tensor, num_channels: int) -> None:
    """Raise InvalidRequest unless the tensor is [B, num_channels, T>=1, Y>=1, X>=1]."""
    shape = list(latent_BCTYX.shape)
    if len(shape) != 5 or shape[1] != num_channels or 0 in shape:
        raise InvalidRequest(f"a video latent must be [batch, {num_channels}, time, rows, cols], not {shape}.")


def unpatchify(frames_BCTYX: torch.Tensor, patch: int) -> torch.Tensor:
    """Channels (c, patch col, patch row) back to pixels: the column factor is the slower one, as in Wan 2.2."""
    batch, channels, num, rows, cols = frames_BCTYX.shape
    split = frames_BCTYX.reshape(batch, channels // patch**2, patch, patch, num, rows, cols)
    return split.permute(0, 1, 4, 5, 3, 6, 2).reshape(batch, channels // patch**2, num, rows * patch, cols * patch)


def patchify(frames_BCTYX: torch.Tensor, patch: int) -> torch.Tensor:
    """The inverse of `unpatchify`."""
    batch, channels, num, rows, cols = frames_BCTYX.shape
    split = frames_BCTYX.reshape(batch, channels, num, rows // patch, patch, cols // patch, patch)
    return split.permute(0, 1, 6, 4, 2, 3, 5).reshape(batch, channels * patch**2, num, rows // patch, cols // patch)


@dataclass(frozen=True)
class SpatialTile:
    """One tile in latent cells: what is read (core plus halo, clipped to the latent) and what is kept (the core)."""

    rows: tuple[int, int]
    cols: tuple[int, int]
    read_rows: tuple[int, int]
    read_cols: tuple[int, int]

    def read(self, latent_BCTYX: torch.Tensor) -> torch.Tensor:
        """The piece to decode."""
        return latent_BCTYX[..., slice(*self.read_rows), slice(*self.read_cols)]

    def crop(self, frames_BCTYX: torch.Tensor, stride: int) -> torch.Tensor:
        """The core of the decoded piece; `stride` is pixels per latent cell."""
        y, x = (self.rows[0] - self.read_rows[0]) * stride, (self.cols[0] - self.read_cols[0]) * stride
        height, width = (self.rows[1] - self.rows[0]) * stride, (self.cols[1] - self.cols[0]) * stride
        return frames_BCTYX[..., y : y + height, x : x + width]

    def place(self, stride: int) -> tuple[slice, slice]:
        """Where the core lies in the full frame, in pixels."""
        return (
            slice(self.rows[0] * stride, self.rows[1] * stride),
            slice(self.cols[0] * stride, self.cols[1] * stride),
        )


def spatial_tiles(rows: int, cols: int, tile: int | None, halo: int) -> Iterator[SpatialTile]:
    """Cut rows x cols latent cells into cores of at most `tile` cells a side, each read with `halo` cells around it.

    A halo at least as wide as the decoder's receptive field makes the joined result equal to the untiled one: no
    blending, no seams. `tile=None` gives one tile.
    """
    step = tile or max(rows, cols)
    for y in range(0, rows, step):
        for x in range(0, cols, step):
            y1, x1 = min(y + step, rows), min(x + step, cols)
            yield SpatialTile(
                rows=(y, y1),
                cols=(x, x1),
                read_rows=(max(0, y - halo), min(rows, y1 + halo)),
                read_cols=(max(0, x - halo), min(cols, x1 + halo)),
            )
