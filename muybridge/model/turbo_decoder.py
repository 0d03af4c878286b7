"""The turbo video decoder (decode only, about a fifth of the Wan decoder): latents -> frames in overlapping chunks.

A non-causal 3-D convolutional decoder distilled from the Wan 2.2 one (Zou et al. 2025, "Turbo-VAED", arXiv:2508.09136,
in the shape published with daVinci-MagiHuman's `turbo_vae/`). It runs on windows of 7 latent frames with one latent
frame of context on each side. Module names follow the published module, so that its
checkpoint's keys load one to one: under `decoder.` lie conv_in.conv, mid_block.resnets.N.{conv1, conv2}.conv,
up_blocks.N.{conv_in, upsamplers.0.{time_conv.conv, resample.1}, resnets.M}, conv_shortcut.conv, conv_out.conv.
With equal random weights it gives the published module's numbers; no published checkpoint was at hand.

Shape suffixes: B batch, C channels, T frames or latent frames, Y X rows/cols.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  the name every PyTorch code base uses

from muybridge.errors import WeightsInvalid
from muybridge.model.codecs import (
    WAN22_LATENT_MEAN,
    WAN22_LATENT_STD,
    OnTile,
    SpatialTile,
    check_latent,
    denormalize_latent,
    spatial_tiles,
    unpatchify,
)
from muybridge.model.weights import module_specs
from muybridge.model.weights_file import TensorSpec, check_state, read_json


@dataclass(frozen=True)
class TurboConfig:
    """The published config's fields. Every per-block tuple is in ENCODER order and is read reversed."""

    latent_channels: int = 48
    out_channels: int = 3
    decoder_block_out_channels: tuple[int, ...] = (64, 128, 256, 512)
    decoder_layers_per_block: tuple[int, ...] = (2, 2, 2, 3, 3)
    decoder_spatio_temporal_scaling: tuple[bool, ...] = (False, True, True, True)
    decoder_spatio_only: tuple[bool, ...] = (False, True, False, False)
    patch_size: int = 2
    resnet_norm_eps: float = 1e-6
    first_chunk_size: int = 7
    step_size: int = 7

    @staticmethod
    def read(path: Path) -> TurboConfig:
        """Read the published JSON; refuse a variant this file does not implement (WeightsInvalid)."""
        raw = read_json(path)
        for name, wanted in {"use_unpatchify": True, "patch_size_t": 1, "decoder_causal": False}.items():
            if raw.get(name, wanted) != wanted:
                raise WeightsInvalid(f"{path}: {name}={raw[name]} is not supported; this decoder has {name}={wanted}.")
        if any(raw.get("decoder_is_dw_conv", ())):
            raise WeightsInvalid(f"{path}: depthwise convolutions (decoder_is_dw_conv) are not supported.")
        known = {f.name for f in fields(TurboConfig)}
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in known}
        return TurboConfig(**values)


def _rms_norm(x_BCTYX: torch.Tensor, eps: float) -> torch.Tensor:
    """Divide by the root mean square over channels, without a weight; the mean is taken in float32."""
    mean_square = x_BCTYX.float().square().mean(dim=1, keepdim=True)
    return (x_BCTYX * torch.rsqrt(mean_square + eps)).to(x_BCTYX.dtype)


class _Conv3d(nn.Module):
    """Same-size 3-D convolution: zeros around the frame, the first and last frame repeated in time."""

    def __init__(self, dim_in: int, dim_out: int, kernel: tuple[int, int, int] = (3, 3, 3)) -> None:
        super().__init__()
        self.time_pad = kernel[0] // 2
        self.conv = nn.Conv3d(dim_in, dim_out, kernel, padding=(0, kernel[1] // 2, kernel[2] // 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.time_pad:
            x = F.pad(x, (0, 0, 0, 0, self.time_pad, self.time_pad), mode="replicate")
        out: torch.Tensor = self.conv(x)
        return out


class _Resnet(nn.Module):
    """Two normalised convolutions and a shortcut. After an upsampler the first activation is ReLU instead of SiLU."""

    def __init__(self, dim_in: int, dim_out: int, eps: float, *, first_relu: bool = False) -> None:
        super().__init__()
        self.first_activation = F.relu if first_relu else F.silu
        self.eps = eps
        self.conv1 = _Conv3d(dim_in, dim_out)
        self.conv2 = _Conv3d(dim_out, dim_out)
        self.conv_shortcut = _Conv3d(dim_in, dim_out, (1, 1, 1)) if dim_in != dim_out else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.conv1(self.first_activation(_rms_norm(x, 1e-8)))
        hidden = self.conv2(F.silu(_rms_norm(hidden, 1e-8)))
        if self.conv_shortcut is not None:
            x = self.conv_shortcut(_rms_norm(x, self.eps))
        total: torch.Tensor = hidden + x
        return total


class _MidBlock(nn.Module):
    def __init__(self, dim: int, num_layers: int, eps: float) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Resnet(dim, dim, eps) for _ in range(num_layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for resnet in self.resnets:
            x = resnet(x)
        return x


class _Upsampler(nn.Module):
    """Twice the rows and cols (nearest, then 3x3); with `time` also twice the frames, by two outputs per frame."""

    def __init__(self, dim: int, *, time: bool) -> None:
        super().__init__()
        self.time_conv = _Conv3d(dim, 2 * dim, (3, 1, 1)) if time else None
        # Position 1 of the published module's sequence; position 0 is the parameterless nearest-neighbour step.
        self.resample = nn.ModuleDict({"1": nn.Conv2d(dim, dim, 3, padding=1)})

    def forward(self, x: torch.Tensor, *, first_chunk: bool) -> torch.Tensor:
        if self.time_conv is not None:
            batch, dim, num, rows, cols = x.shape
            pairs = self.time_conv(x).reshape(batch, 2, dim, num, rows, cols)
            x = pairs.permute(0, 2, 3, 1, 4, 5).reshape(batch, dim, 2 * num, rows, cols)
            if first_chunk:
                x = x[:, :, 1:]  # the first latent frame stands for one frame, not four
        batch, dim, num, rows, cols = x.shape
        flat = x.transpose(1, 2).reshape(batch * num, dim, rows, cols)
        flat = F.interpolate(flat, scale_factor=2.0, mode="nearest-exact")
        flat = cast(torch.Tensor, self.resample["1"](flat))
        return flat.reshape(batch, num, dim, 2 * rows, 2 * cols).transpose(1, 2)


class _UpBlock(nn.Module):
    def __init__(self, dim_in: int, dim_out: int, num_layers: int, eps: float, *, upsample: bool, time: bool) -> None:
        super().__init__()
        self.conv_in = _Resnet(dim_in, dim_out, eps) if dim_in != dim_out else None
        self.upsamplers = nn.ModuleList([_Upsampler(dim_out, time=time)] if upsample else [])
        self.resnets = nn.ModuleList(_Resnet(dim_out, dim_out, eps, first_relu=upsample) for _ in range(num_layers))

    def forward(self, x: torch.Tensor, *, first_chunk: bool) -> torch.Tensor:
        if self.conv_in is not None:
            x = self.conv_in(x)
        for upsampler in self.upsamplers:
            x = upsampler(x, first_chunk=first_chunk)
        for resnet in self.resnets:
            x = resnet(x)
        return x


class TurboDecoder(nn.Module):
    """One window of de-normalised latents -> frames: 4n-3 frames for the first window, 4n for any other."""

    def __init__(self, config: TurboConfig) -> None:
        super().__init__()
        dims = config.decoder_block_out_channels[::-1]
        layers = config.decoder_layers_per_block[::-1]
        upsample = config.decoder_spatio_temporal_scaling[::-1]
        spatial_only = config.decoder_spatio_only[::-1]
        eps = config.resnet_norm_eps
        self.patch_size = config.patch_size
        self.conv_in = _Conv3d(config.latent_channels, dims[0])
        self.mid_block = _MidBlock(dims[0], layers[0], eps)
        self.up_blocks = nn.ModuleList(
            _UpBlock(dim_in, dim_out, layers[i + 1], eps, upsample=upsample[i], time=not spatial_only[i])
            for i, (dim_in, dim_out) in enumerate(pairwise((dims[0], *dims)))
        )
        self.conv_out = _Conv3d(dims[-1], config.out_channels * config.patch_size**2)

    def forward(self, latent_BCTYX: torch.Tensor, *, first_chunk: bool) -> torch.Tensor:
        x = self.mid_block(self.conv_in(latent_BCTYX))
        for up_block in self.up_blocks:
            x = up_block(x, first_chunk=first_chunk)
        return unpatchify(self.conv_out(F.silu(_rms_norm(x, 1e-8))), self.patch_size)

    def receptive_cells(self) -> int:
        """Latent cells seen to each side of a pixel: every 3x3 convolution adds one cell of its own resolution."""
        cells, size = 1.0 + 2 * len(self.mid_block.resnets), 1.0
        for module in self.up_blocks:
            block: Any = module
            cells += 2 * size * (block.conv_in is not None)
            if len(block.upsamplers):
                size /= 2
                cells += size
            cells += 2 * len(block.resnets) * size
        return math.ceil(cells + size)


class TurboVideoDecoder(nn.Module):
    """The decode half of a VideoCodec: normalised latents -> frames, chunk by chunk, tile by tile.

    `tile` is the core of a tile in latent cells (None: whole frames); the halo is the receptive field, so tiles equal
    the untiled result. Chunks are part of the published model: cutting elsewhere gives other frames.
    `mean_C` and `std_C` are buffers, so they follow `.to(device)`; they stay float32 in use.
    """

    stride = (4, 16, 16)
    mean_C: torch.Tensor
    std_C: torch.Tensor

    def __init__(self, config: TurboConfig | None = None, *, tile: int | None = None) -> None:
        super().__init__()
        self.config = config or TurboConfig()
        self.num_channels = self.config.latent_channels
        self.tile = tile
        self.decoder = TurboDecoder(self.config)
        self.register_buffer("mean_C", torch.tensor(WAN22_LATENT_MEAN[: self.num_channels]), persistent=False)
        self.register_buffer("std_C", torch.tensor(WAN22_LATENT_STD[: self.num_channels]), persistent=False)

    @torch.no_grad()
    def decode(self, latent_BCTYX: torch.Tensor, on_tile: OnTile | None = None) -> torch.Tensor:
        """Normalised latent [B, C, T, Y, X] -> float32 frames [B, 3, 4(T-1)+1, 16Y, 16X] in [-1, 1] on the CPU."""
        batch, _, num, rows, cols = latent_BCTYX.shape
        frames_BCTYX = torch.empty(batch, self.config.out_channels, 4 * (num - 1) + 1, rows * 16, cols * 16)
        total = len(self.chunks(num)) * len(list(spatial_tiles(rows, cols, self.tile, self.decoder.receptive_cells())))
        for done, (start, tile, piece_BCTYX) in enumerate(self.decode_pieces(latent_BCTYX), start=1):
            end = start + piece_BCTYX.shape[2]
            frames_BCTYX[:, :, start:end, *tile.place(16)] = piece_BCTYX.cpu()
            if on_tile:
                on_tile(done, total)
        return frames_BCTYX

    @torch.no_grad()
    def decode_pieces(self, latent_BCTYX: torch.Tensor) -> Iterator[tuple[int, SpatialTile, torch.Tensor]]:
        """Yield (first frame, tile, float32 frames of that tile): chunk after chunk, each tile after tile."""
        check_latent(latent_BCTYX, self.num_channels)
        weight = self.decoder.conv_in.conv.weight
        num = latent_BCTYX.shape[2]
        num_frames = 4 * (num - 1) + 1
        latent = denormalize_latent(latent_BCTYX.to(weight.device), self.mean_C, self.std_C).to(weight.dtype)
        chunks = self.chunks(num)
        padding = chunks[-1][1] - num
        if padding:
            latent = torch.cat([latent, latent[:, :, -1:].expand(-1, -1, padding, -1, -1)], dim=2)
        for start, end in chunks:
            first, last = start == 0, end == latent.shape[2]
            window = latent[:, :, max(0, start - 1) : end if last else end + 1]
            frame = 0 if first else 4 * start - 3
            keep = min(num_frames - frame, 4 * (end - start) - (3 if first else 0))
            skip = 0 if first else 4
            for tile in spatial_tiles(latent.shape[3], latent.shape[4], self.tile, self.decoder.receptive_cells()):
                frames = self.decoder(tile.read(window), first_chunk=first)[:, :, skip : skip + keep]
                yield frame, tile, tile.crop(frames, 16).float().clamp(-1.0, 1.0)

    def chunks(self, num_latent_frames: int) -> list[tuple[int, int]]:
        """The windows' latent frames [start, end): the last may end past the clip, whose last latent is repeated."""
        first, step = self.config.first_chunk_size, self.config.step_size
        more = max(0, math.ceil((num_latent_frames - first) / step))
        return [(0, first), *((first + i * step, first + (i + 1) * step) for i in range(more))]


def load_turbo_decoder(
    folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.bfloat16, tile: int | None = None
) -> TurboVideoDecoder:
    """Load the published `turbo_vae/` folder: one JSON config and one torch pickle with `ema_state_dict`.

    Strict, and never executes the pickle (weights_only). Raises WeightsInvalid naming the tensors.
    """
    configs, checkpoints = sorted(folder.glob("*.json")), sorted([*folder.glob("*.ckpt"), *folder.glob("*.pt*")])
    if len(configs) != 1 or len(checkpoints) != 1:
        raise WeightsInvalid(
            f"{folder} must hold one config (*.json) and one checkpoint (*.ckpt); found {len(configs)} and "
            f"{len(checkpoints)}. Run `muybridge weights pull 15b`."
        )
    with torch.device("meta"):
        turbo = TurboVideoDecoder(TurboConfig.read(configs[0]), tile=tile)
    state = read_turbo_checkpoint(checkpoints[0])
    check_state(
        {name: TensorSpec.of(tensor) for name, tensor in state.items()},
        module_specs(turbo),
        source=str(checkpoints[0]),
        any_float=True,
    )
    turbo.load_state_dict({name: tensor.to(device, dtype) for name, tensor in state.items()}, assign=True)
    turbo.mean_C = torch.tensor(WAN22_LATENT_MEAN[: turbo.num_channels], device=device)
    turbo.std_C = torch.tensor(WAN22_LATENT_STD[: turbo.num_channels], device=device)
    return turbo.eval().requires_grad_(False)


def read_turbo_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The EMA weights with their names as this module has them: `module.` stripped, `decoder.` in front."""
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsInvalid(f"{path} is not a readable torch checkpoint of plain tensors: {error}") from error
    state = raw.get("ema_state_dict") if isinstance(raw, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise WeightsInvalid(f"{path} has no `ema_state_dict`; it is not a turbo decoder checkpoint.")
    plain = {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
    if not any(name.startswith("decoder.") for name in plain):
        plain = {f"decoder.{name}": tensor for name, tensor in plain.items()}
    return plain
