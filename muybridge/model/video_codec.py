"""The Wan 2.2 video codec (48 channels, strides 4x16x16) through diffusers' AutoencoderKLWan, streamed and tiled.

diffusers holds the layers; the loop is ours, because its own (a) keeps the time cache inside the module, so one module
cannot serve two clips, (b) blends seams of tiles that each see their own attention, and (c) reports no progress. Here
the small part with global attention (conv_in, mid_block) runs on the whole latent grid, one latent frame at a time, and
only the convolutional rest is cut into tiles, with a halo as wide as its receptive field: tiled equals untiled.

Shape suffixes: B batch, C channels, T frames or latent frames, Y X rows/cols.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from muybridge.errors import NotInstalled
from muybridge.model.codecs import (
    WAN22_LATENT_MEAN,
    WAN22_LATENT_STD,
    OnTile,
    SpatialTile,
    check_frames,
    check_latent,
    denormalize_latent,
    normalize_latent,
    patchify,
    spatial_tiles,
    unpatchify,
)
from muybridge.model.weights import load_into
from muybridge.model.weights_file import read_json

# Constructor arguments of AutoencoderKLWan for the published Wan2.2-TI2V-5B VAE: encoder 150M, decoder 555M parameters.
WAN22_CONFIG: dict[str, Any] = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
    "dropout": 0.0,
    "latents_mean": list(WAN22_LATENT_MEAN),
    "latents_std": list(WAN22_LATENT_STD),
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_temporal": 4,
    "scale_factor_spatial": 16,
}

_Cache = list[Any]


def build_wan_vae(config: dict[str, Any] | None = None) -> nn.Module:
    """AutoencoderKLWan with random weights (on the meta device inside `with torch.device("meta")`).

    Raises NotInstalled without diffusers.
    """
    try:
        from diffusers import AutoencoderKLWan
    except ImportError as error:
        raise NotInstalled("The Wan video codec needs diffusers: pip install 'muybridge[15b]'") from error
    known = {k: v for k, v in (config or WAN22_CONFIG).items() if not k.startswith("_")}
    vae: nn.Module = cast(Any, AutoencoderKLWan)(**known)  # untyped in diffusers
    return vae.eval().requires_grad_(False)


def load_wan_codec(
    folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.bfloat16, tile: int | None = None
) -> WanVideoCodec:
    """Load a diffusers-layout folder (config.json, diffusion_pytorch_model.safetensors) strictly.

    Raises WeightsInvalid for missing, extra or misshapen tensors. The original `Wan2.2_VAE.pth` is not read: the same
    weights are published in this layout, without a pickle, in the -Diffusers repository.
    """
    with torch.device("meta"):
        vae = build_wan_vae(read_json(folder / "config.json"))
    load_into(vae, folder, device=device, cast=lambda _: dtype, any_float=True)
    return WanVideoCodec(vae, tile=tile)


class WanVideoCodec:
    """VideoCodec over an AutoencoderKLWan of the Wan 2.2 layout, on whatever device and dtype its weights have.

    `tile` is the core of a decode tile in latent cells (None: whole frames). Peak memory is that of four frames of one
    tile plus the time cache of that tile; time is streamed in both directions. `halo` defaults to the receptive field
    of the tiled part, which makes tiling exact; a smaller one is faster and approximate.
    The reference encodes in bf16 and normalises in bf16 too; here normalisation is float32.
    """

    stride = (4, 16, 16)

    def __init__(self, vae: nn.Module, *, tile: int | None = None, halo: int | None = None) -> None:
        self.vae = cast(Any, vae)  # its submodules and config are not declared in diffusers' types
        self.num_channels: int = self.vae.config.z_dim
        self.tile = tile
        self.halo = receptive_cells(self.vae.decoder.up_blocks) if halo is None else halo
        self.mean_C = torch.tensor(self.vae.config.latents_mean, dtype=torch.float32)
        self.std_C = torch.tensor(self.vae.config.latents_std, dtype=torch.float32)

    @property
    def _where(self) -> tuple[torch.device, torch.dtype]:
        weight = self.vae.post_quant_conv.weight
        return weight.device, weight.dtype

    @torch.no_grad()
    def encode(self, frames_BCTYX: torch.Tensor) -> torch.Tensor:
        """Frames [B, 3, 4k+1, rows, cols] in [-1, 1] -> normalised posterior mean [B, C, k+1, rows/16, cols/16].

        One frame gives one latent frame. Causal: a prefix of the clip gives the prefix of the latents. Float32, on the
        codec's device. Raises InvalidRequest for lengths or sizes that do not fill whole latents.
        """
        check_frames(frames_BCTYX, self.stride)
        device, dtype = self._where
        patch = self.vae.config.patch_size
        cache: _Cache = [None] * _num_convs(self.vae.encoder)
        means = []
        for start, end in [(0, 1), *((t, t + 4) for t in range(1, frames_BCTYX.shape[2], 4))]:
            chunk = patchify(frames_BCTYX[:, :, start:end].to(device, dtype), patch)
            moments = self.vae.quant_conv(self.vae.encoder(chunk, feat_cache=cache, feat_idx=[0]))
            means.append(moments[:, : self.num_channels])
        return normalize_latent(torch.cat(means, dim=2), self.mean_C, self.std_C)

    @torch.no_grad()
    def decode(self, latent_BCTYX: torch.Tensor, on_tile: OnTile | None = None) -> torch.Tensor:
        """Normalised latent [B, C, T, Y, X] -> float32 frames [B, 3, 4(T-1)+1, 16Y, 16X] in [-1, 1] on the CPU."""
        batch, _, num, rows, cols = latent_BCTYX.shape
        frames_BCTYX = torch.empty(batch, 3, 4 * (num - 1) + 1, rows * 16, cols * 16)
        tiles_total = len(list(spatial_tiles(rows, cols, self.tile, self.halo))) * num
        for done, (start, tile, piece_BCTYX) in enumerate(self.decode_pieces(latent_BCTYX), start=1):
            end = start + piece_BCTYX.shape[2]
            frames_BCTYX[:, :, start:end, *tile.place(16)] = piece_BCTYX.cpu()
            if on_tile:
                on_tile(done, tiles_total)
        return frames_BCTYX

    @torch.no_grad()
    def decode_pieces(self, latent_BCTYX: torch.Tensor) -> Iterator[tuple[int, SpatialTile, torch.Tensor]]:
        """Yield (first frame, tile, float32 frames of that tile), one latent frame at a time, tile after tile.

        For callers that turn frames into bytes at once: the float clip of 15 s at 1080p would be 9 GB.
        """
        check_latent(latent_BCTYX, self.num_channels)
        device, dtype = self._where
        latent = denormalize_latent(latent_BCTYX.to(device), self.mean_C, self.std_C).to(dtype)
        trunk = self._trunk(latent)
        for tile in spatial_tiles(latent.shape[3], latent.shape[4], self.tile, self.halo):
            cache: _Cache = [None] * _num_convs(self.vae.decoder)
            for t, features in enumerate(trunk):
                frames = self._upsample(tile.read(features), cache, first=t == 0)
                yield (0 if t == 0 else 4 * t - 3), tile, tile.crop(frames, 16).float().clamp(-1.0, 1.0)

    def _trunk(self, latent_BCTYX: torch.Tensor) -> list[torch.Tensor]:
        """conv_in and mid_block (whose attention spans the frame) for every latent frame, at latent resolution."""
        decoder = self.vae.decoder
        cache: _Cache = [None] * _num_convs(decoder)
        features = []
        for x in self.vae.post_quant_conv(latent_BCTYX).split(1, dim=2):
            index = [0]
            x = _cached_conv(decoder.conv_in, x, cache, index)
            features.append(decoder.mid_block(x, feat_cache=cache, feat_idx=index))
        return features

    def _upsample(self, x: torch.Tensor, cache: _Cache, *, first: bool) -> torch.Tensor:
        decoder, index = self.vae.decoder, [0]
        for up_block in decoder.up_blocks:
            x = up_block(x, feat_cache=cache, feat_idx=index, first_chunk=first)
        x = decoder.nonlinearity(decoder.norm_out(x))
        return unpatchify(_cached_conv(decoder.conv_out, x, cache, index), self.vae.config.patch_size)


def _cached_conv(conv: nn.Module, x: torch.Tensor, cache: _Cache, index: list[int]) -> torch.Tensor:
    """Run a causal convolution on the next frames, with the last two input frames before them as its past."""
    past = cache[index[0]]
    seen = x if past is None else torch.cat([past, x], dim=2)
    out: torch.Tensor = conv(x, past)
    cache[index[0]] = seen[:, :, -2:].clone()
    index[0] += 1
    return out


def _num_convs(module: nn.Module) -> int:
    return sum(isinstance(m, nn.Conv3d) for m in module.modules())


def receptive_cells(up_blocks: Iterable[Any]) -> int:
    """Latent cells that the up-sampling part sees to each side: every 3x3 convolution adds one cell of its own size."""
    cells, size = 0.0, 1.0
    for block in up_blocks:
        cells += 2 * len(block.resnets) * size
        if block.upsampler is not None:
            size /= 2
            cells += size
    return math.ceil(cells + size)
