"""The tiny size's video codec: a small causal autoencoder, 4 x 16 x 16 pixels to 48 channels.

Trained by `recipes/codec_video`: a linear projection of patches both ways, and a network that mends what it leaves
(the decoder's always, the encoder's where it is deep). Frames go in groups of four; the first frame is a group of its
own (four times the same), so a picture is a clip of one latent. Convolutions look at neighbours in space and at earlier
groups in time only: encoding is causal. All layers are local, so tiles with a halo equal the whole.

Legend: B samples, C channels, T latent frames (groups), Y X rows/columns (of frames or latents).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from muybridge.errors import NotFound
from muybridge.model.codecs import OnTile, SpatialTile, check_frames, check_latent, spatial_tiles
from muybridge.model.weights import load_into
from muybridge.shapes import LATENT_CHANNELS, STRIDE_T, STRIDE_X, STRIDE_Y

EIGHTH, QUARTER = 8, 4  # pixels per cell of the two inner resolutions
HALO = 10  # latent cells; at least the decoder's reach of 4 * 2 + 4 + 2 cells at 1/16, 1/8 and 1/4
TILE = 32  # latent cells a side: 512 pixels
CHUNK = 6  # groups decoded at a time, after as many groups of history as the causal blocks see


@dataclass(frozen=True)
class TinyCodecConfig:
    """Widths of the three resolutions: 1/16, 1/8 and 1/4 of a frame."""

    width: int = 160
    width_eighth: int = 112
    width_quarter: int = 48
    num_blocks: int = 2
    deep_encoder: bool = False  # False: the encoder is its straight path alone, a linear map


class PixelNorm(nn.Module):
    """Each pixel's channels to unit root mean square, times a weight: local, so tiles stay exact."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x_BCYX: Tensor) -> Tensor:
        scale = torch.rsqrt(x_BCYX.square().mean(1, keepdim=True) + 1e-6)
        return x_BCYX * scale * self.weight[:, None, None]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions on a normalised copy; with `causal`, the first also sees the group before."""

    def __init__(self, width: int, causal: bool = False) -> None:
        super().__init__()
        self.norm = PixelNorm(width)
        self.inner = nn.Conv2d(width * (2 if causal else 1), width, 3, padding=1)
        self.outer = nn.Conv2d(width, width, 3, padding=1)
        self.causal = causal

    def forward(self, x_NCYX: Tensor, num_groups: int) -> Tensor:
        """`x_NCYX` holds all groups of all samples: N = B * num_groups."""
        h = F.silu(self.norm(x_NCYX))
        if self.causal:
            grouped = h.unflatten(0, (-1, num_groups))
            before = torch.cat([grouped[:, :1], grouped[:, :-1]], 1)
            h = torch.cat([grouped, before], 2).flatten(0, 1)
        out: Tensor = x_NCYX + self.outer(F.silu(self.inner(h)))
        return out


class TinyVideoCodec(nn.Module):
    """Encoder and decoder with the latent's statistics as buffers; satisfies the VideoCodec protocol."""

    stride = (STRIDE_T, STRIDE_Y, STRIDE_X)
    num_channels = LATENT_CHANNELS
    mean_C: Tensor
    std_C: Tensor

    def __init__(self, config: TinyCodecConfig | None = None) -> None:
        super().__init__()
        config = config or TinyCodecConfig()
        self.config = config
        wide, eighth, quarter, blocks = config.width, config.width_eighth, config.width_quarter, config.num_blocks
        pixels = 3 * STRIDE_T
        self.encode_straight = nn.Conv2d(pixels, LATENT_CHANNELS, STRIDE_Y, stride=STRIDE_Y)
        if config.deep_encoder:
            self.encode_in = nn.Conv2d(pixels * EIGHTH**2, eighth, 3, padding=1)
            self.encode_eighth = nn.ModuleList(ResidualBlock(eighth) for _ in range(blocks))
            self.encode_down = nn.Conv2d(eighth, wide, 4, stride=2, padding=1)
            self.encode_blocks = nn.ModuleList(ResidualBlock(wide, causal=True) for _ in range(blocks))
            self.encode_out = nn.Conv2d(wide, LATENT_CHANNELS, 1)
        self.decode_straight = nn.Conv2d(LATENT_CHANNELS, pixels * STRIDE_Y**2, 1)
        self.decode_in = nn.Conv2d(LATENT_CHANNELS, wide, 3, padding=1)
        self.decode_blocks = nn.ModuleList(ResidualBlock(wide, causal=True) for _ in range(blocks + 1))
        self.decode_up = nn.Conv2d(wide, eighth * 4, 1)
        self.decode_eighth = nn.ModuleList(ResidualBlock(eighth) for _ in range(blocks))
        self.decode_up_again = nn.Conv2d(eighth, quarter * 4, 1)
        self.decode_quarter = nn.ModuleList(ResidualBlock(quarter) for _ in range(blocks - 1))
        self.decode_out = nn.Conv2d(quarter, pixels * QUARTER**2, 3, padding=1)
        # The networks start at nothing: `start_from` makes the codec a linear one that training then improves.
        for last in (self.decode_out, self.encode_out) if config.deep_encoder else (self.decode_out,):
            nn.init.zeros_(last.weight)
            if last.bias is not None:
                nn.init.zeros_(last.bias)
        self.register_buffer("mean_C", torch.zeros(LATENT_CHANNELS))
        self.register_buffer("std_C", torch.ones(LATENT_CHANNELS))

    @torch.no_grad()
    def start_from(self, mean_P: Tensor, basis_PC: Tensor, scale_C: Tensor) -> None:
        """Make the straight paths a projection on principal patches: P = (colour, frame, row, column) of a patch.

        `basis_PC` is orthonormal; `scale_C` is each channel's standard deviation, so that the raw latent has one of 1.
        """
        pixels = (3 * STRIDE_T, STRIDE_Y, STRIDE_X)
        self.encode_straight.weight.copy_((basis_PC / scale_C).T.reshape(-1, *pixels))
        decode_PC = basis_PC * scale_C
        self.decode_straight.weight.copy_(decode_PC[:, :, None, None])
        for layer, bias in ((self.encode_straight, -(mean_P @ basis_PC) / scale_C), (self.decode_straight, mean_P)):
            assert layer.bias is not None
            layer.bias.copy_(bias)

    def to_latent(self, frames_BCTYX: Tensor) -> Tensor:
        """Frames in [-1, 1] to the raw (not normalised) latent; differentiable."""
        batch, _, num_frames, rows, cols = frames_BCTYX.shape
        head = frames_BCTYX[:, :, :1].expand(-1, -1, STRIDE_T, -1, -1)
        frames = torch.cat([head, frames_BCTYX[:, :, 1:]], 2)
        groups = (num_frames - 1) // STRIDE_T + 1
        # Colours and the four frames of a group become channels of one picture.
        x = frames.unflatten(2, (groups, STRIDE_T)).permute(0, 2, 1, 3, 4, 5).reshape(batch * groups, -1, rows, cols)
        latent: Tensor = self.encode_straight(x)
        if self.config.deep_encoder:
            x = self.encode_in(F.pixel_unshuffle(x, EIGHTH))
            for block in self.encode_eighth:
                x = block(x, groups)
            x = self.encode_down(x)
            for block in self.encode_blocks:
                x = block(x, groups)
            latent = latent + self.encode_out(x)
        return latent.view(batch, groups, *latent.shape[1:]).transpose(1, 2)

    def to_frames(self, latent_BCTYX: Tensor) -> Tensor:
        """Raw latent to 4k+1 frames, not clipped; differentiable."""
        batch, _, groups, rows, cols = latent_BCTYX.shape
        latent_NCYX = latent_BCTYX.transpose(1, 2).flatten(0, 1)
        x = self.decode_in(latent_NCYX)
        for block in self.decode_blocks:
            x = block(x, groups)
        x = F.pixel_shuffle(self.decode_up(x), 2)
        for block in self.decode_eighth:
            x = block(x, groups)
        x = F.pixel_shuffle(self.decode_up_again(F.silu(x)), 2)
        for block in self.decode_quarter:
            x = block(x, groups)
        x = F.pixel_shuffle(self.decode_out(F.silu(x)), QUARTER)
        x = x + F.pixel_shuffle(self.decode_straight(latent_NCYX), STRIDE_Y)
        frames = x.view(batch, groups, 3, STRIDE_T, rows * STRIDE_Y, cols * STRIDE_X).permute(0, 2, 1, 3, 4, 5)
        return frames.flatten(2, 3)[:, :, STRIDE_T - 1 :]

    def raw_of(self, latent_BCTYX: Tensor) -> Tensor:
        """What `to_frames` reads of a normalised latent."""
        return latent_BCTYX * self._wide(self.std_C) + self._wide(self.mean_C)

    @torch.no_grad()
    def encode(self, frames_BCTYX: Tensor) -> Tensor:
        """Normalised latent, float32; raises InvalidRequest for sizes off the grid or counts that are not 4k+1."""
        check_frames(frames_BCTYX, self.stride)
        groups = (frames_BCTYX.shape[2] - 1) // STRIDE_T + 1
        # A piece's own first group counts as a clip's first, four times one frame: it is one more group of history.
        before = len(self.encode_blocks) + 1 if self.config.deep_encoder else 1
        pieces = []
        for start in range(0, groups, CHUNK):
            first, end = max(0, start - before), min(groups, start + CHUNK)
            piece = self.to_latent(frames_BCTYX[:, :, STRIDE_T * first : STRIDE_T * (end - 1) + 1])
            pieces.append(piece[:, :, start - first :])
        raw = torch.cat(pieces, 2)
        return (raw - self._wide(self.mean_C)) / self._wide(self.std_C)

    @torch.no_grad()
    def decode(self, latent_BCTYX: Tensor, on_tile: OnTile | None = None) -> Tensor:
        """Frames in [-1, 1] on the CPU."""
        batch, _, num, rows, cols = latent_BCTYX.shape
        frames = torch.empty(batch, 3, STRIDE_T * (num - 1) + 1, rows * STRIDE_Y, cols * STRIDE_X)
        total = -(-num // CHUNK) * len(list(spatial_tiles(rows, cols, TILE, HALO)))
        for done, (start, tile, piece) in enumerate(self.decode_pieces(latent_BCTYX), start=1):
            frames[:, :, start : start + piece.shape[2], *tile.place(STRIDE_Y)] = piece.cpu()
            if on_tile:
                on_tile(done, total)
        return frames

    @torch.no_grad()
    def decode_pieces(self, latent_BCTYX: Tensor) -> Iterator[tuple[int, SpatialTile, Tensor]]:
        """(first frame, tile, frames of the tile): a chunk of latents at a time with its history, tile after tile."""
        check_latent(latent_BCTYX, self.num_channels)
        raw = self.raw_of(latent_BCTYX)
        reach = len(self.decode_blocks)  # groups of history that the causal blocks see
        for tile in spatial_tiles(raw.shape[3], raw.shape[4], TILE, HALO):
            part = tile.read(raw)
            for start in range(0, raw.shape[2], CHUNK):
                first = max(0, start - reach)
                frames = self.to_frames(part[:, :, first : start + CHUNK])
                # Frames of a piece that does not start the clip lack their first group's three: they are history.
                fresh = frames[:, :, (start - first) * STRIDE_T - (STRIDE_T - 1) :] if start else frames
                yield max(0, STRIDE_T * start - STRIDE_T + 1), tile, tile.crop(fresh, STRIDE_Y).clamp(-1, 1)

    def latents_read(self, num_latents: int) -> int:
        """How many latents `decode` reads for so many: those of history count again. For estimates of time."""
        reach = len(self.decode_blocks)
        return sum(min(CHUNK, num_latents - s) + min(s, reach) for s in range(0, num_latents, CHUNK))

    def _wide(self, values_C: Tensor) -> Tensor:
        return values_C[:, None, None, None]


def load_video_codec(path: Path) -> TinyVideoCodec:
    """The codec of a weights file, with or without a deep encoder; frozen, float32, on the CPU.

    Raises NotFound for a missing file, WeightsInvalid for one that does not fit.
    """
    if not path.is_file():
        raise NotFound(f"{path} is missing; train it: muybridge train codec_video")
    with safe_open(path, "pt") as file:
        is_deep = any(name.startswith("encode_in.") for name in file.keys())  # noqa: SIM118  (not a mapping)
    codec = TinyVideoCodec(TinyCodecConfig(deep_encoder=is_deep))
    load_into(codec, path, cast=lambda _: torch.float32, any_float=True)
    return codec.eval().requires_grad_(False)
