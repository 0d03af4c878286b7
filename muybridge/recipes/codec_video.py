"""Tiny's video codec: reconstruction of world clips, real pictures and textures; a latent that is small and smooth.

Loss: L1 of pixels + L1 of their differences in space and time (edges and motion) + a pull of the latent to the origin;
noise on the latent while training makes the decoder forgiving to what a denoiser leaves. Mouths weigh more: they are a
few pixels and all of the lip sync. Training starts from the best linear code, a projection on the principal patches of
the data (Hotelling 1933), or from an earlier codec; the networks then improve it.

Legend: B samples, C channels, T frames, Y X rows/columns, P numbers of a patch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from muybridge.config import ModelConfig
from muybridge.media import write_image
from muybridge.model.tiny_video_codec import TinyCodecConfig, TinyVideoCodec, load_video_codec
from muybridge.model.weights import load_into, save
from muybridge.shapes import LATENT_CHANNELS, STRIDE_T, STRIDE_Y
from muybridge.train import frames as cache
from muybridge.train.trainer import Losses, Recipe

Module = TypeVar("Module", bound=nn.Module)


def recipe(
    frames: str = "runs/frames",
    batch_size: int = 6,
    num_steps: int = 20_000,
    learning_rate: float = 1e-3,
    latent_noise: float = 0.05,
    latent_weight: float = 1e-4,
    edge_weight: float = 1.0,
    crop: int = 128,
    num_frames: int = 5,
    start_shards: int = 40,
    start: str = "",
    mouth_weight: float = 4.0,
    average_decay: float = 0.999,
    deep_encoder: bool = True,
) -> Recipe:
    """All settings; `frames` is what `muybridge world frames` and `cuts` wrote.

    `start` is the weights file of an earlier codec: a base that was trained on its latents then knows most of the new.
    """
    settings: dict[str, Any] = dict(locals())
    crops = cache.read(Path(frames))

    def batch(step: int, device: torch.device) -> tuple[Tensor, Tensor]:
        clips_BTYXC, mouths_BYX = crops.batch(step, batch_size, crop)
        first = step * STRIDE_T % (clips_BTYXC.shape[1] - num_frames + 1)
        clips = to_tensor(clips_BTYXC[:, first : first + num_frames])
        return clips.to(device), torch.from_numpy(mouths_BYX).to(device)

    def build() -> dict[str, nn.Module]:
        codec = TinyVideoCodec(TinyCodecConfig(deep_encoder=deep_encoder))
        if start:
            held = load_video_codec(Path(start)).state_dict()
            codec.load_state_dict(codec.state_dict() | held)
        else:
            mean_P, basis_PC, scale_C = principal_patches(crops, start_shards)
            codec.start_from(mean_P, basis_PC, scale_C)
            codec.std_C.copy_(half_whitened(scale_C))
        if not deep_encoder:  # the latent stays what it is, so that the base may be trained beside its decoder
            codec.encode_straight.requires_grad_(False)
        for module in codec.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        return {"video_codec": codec}

    def loss(modules: dict[str, nn.Module], drawn: tuple[Tensor, Tensor]) -> Losses:
        codec = modules["video_codec"]
        assert isinstance(codec, TinyVideoCodec)
        frames_BCTYX, mouths_BYX = drawn
        latent = codec.to_latent(frames_BCTYX)
        noisy = latent + latent_noise * torch.randn_like(latent)
        weight = 1 + mouth_weight * mouths_BYX[:, None, None]
        again = codec.to_frames(noisy)
        return reconstruction_losses(again, frames_BCTYX, latent, edge_weight, latent_weight, weight)

    def export(modules: dict[str, nn.Module], folder: Path) -> None:
        export_module(modules["video_codec"], folder / "video_codec.safetensors")

    def preview(modules: dict[str, nn.Module], folder: Path) -> None:
        codec = modules["video_codec"]
        assert isinstance(codec, TinyVideoCodec)
        frames_BCTYX = to_tensor(crops.batch(10**9, 8, crop)[0]).to(next(codec.parameters()).device)
        again = codec.to_frames(codec.to_latent(frames_BCTYX)).clamp(-1, 1)
        rows = torch.stack([frames_BCTYX[:, :, 0], again[:, :, 0], frames_BCTYX[:, :, -1], again[:, :, -1]], 1)
        sheet = rows.permute(1, 3, 0, 4, 2).flatten(2, 3).flatten(0, 1)
        write_image(folder / "preview.png", sheet.add(1).mul(127.5).clamp(0, 255).byte().cpu().numpy())

    return Recipe(
        "codec_video",
        settings,
        build,
        batch,
        loss,
        export,
        preview,
        num_steps=num_steps,
        learning_rate=learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.0,
        average_decay=average_decay,
    )


def principal_patches(crops: cache.FrameCache, num_shards: int, per_shard: int = 3000) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [P], orthonormal basis [P, C] and standard deviations [C] of 4 x 16 x 16 patches, in codec order.

    Looks at `num_shards` shards, spread over the cache; first frames count as groups of four equal ones.
    """
    generator = torch.Generator().manual_seed(0)
    shards = [shard for size in sorted(crops.shards) for shard in crops.shards[size]]
    total_P: Tensor | float = 0.0
    square_PP: Tensor | float = 0.0
    count = 0
    for shard in shards[:: max(1, len(shards) // num_shards)][:num_shards]:
        frames = to_tensor(shard.copy())
        frames = torch.cat([frames[:, :, :1].expand(-1, -1, STRIDE_T, -1, -1), frames[:, :, 1:]], 2)
        rows = frames.unfold(2, STRIDE_T, STRIDE_T).unfold(3, STRIDE_Y, STRIDE_Y).unfold(4, STRIDE_Y, STRIDE_Y)
        patches = rows.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(0, 3)
        patches_NP = patches[torch.randperm(len(patches), generator=generator)[:per_shard]]
        total_P = total_P + patches_NP.sum(0)
        square_PP = square_PP + patches_NP.T @ patches_NP
        count += len(patches_NP)
    assert isinstance(total_P, Tensor)
    assert isinstance(square_PP, Tensor)
    mean_P = total_P / count
    values, vectors = torch.linalg.eigh(square_PP / count - torch.outer(mean_P, mean_P))
    basis_PC = vectors.flip(1)[:, :LATENT_CHANNELS].contiguous()
    return mean_P, basis_PC, values.flip(0)[:LATENT_CHANNELS].clamp(min=1e-6).sqrt()


def half_whitened(scale_C: Tensor) -> Tensor:
    """What to divide a unit-variance latent by so that channels keep the root of their spread, mean square 1.

    All alike, a coarse channel would drown in noise as early as a fine one; as spread as in the picture, fine ones
    would never rise above it. The root keeps pictures growing from coarse to fine (Skorokhodov et al. 2025,
    arXiv 2502.14831, on why that matters).
    """
    kept_C = scale_C.sqrt()
    return kept_C.square().mean().sqrt() / kept_C


def to_tensor(frames_BTYXC: cache.Bytes) -> Tensor:
    """uint8 clips to [B, 3, T, Y, X] float32 in [-1, 1]."""
    return torch.from_numpy(frames_BTYXC).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def reconstruction_losses(
    again: Tensor, frames: Tensor, latent: Tensor, edge: float, pull: float, weight: Tensor | float = 1.0
) -> Losses:
    """`loss` and its parts; also PSNR in dB over the batch (pixels in [-1, 1]). `weight` [B, 1, 1, Y, X] of pixels."""
    difference = again - frames
    pixel_square = difference.detach().clamp(-2, 2).square().mean()
    difference = difference * weight
    pixel = difference.abs().mean()
    edges = sum(difference.diff(dim=d).abs().mean() for d in ((2, 3, 4) if frames.shape[2] > 1 else (3, 4)))
    return {
        "loss": pixel + edge * edges + pull * latent.square().mean(),
        "pixel": pixel,
        "edges": torch.as_tensor(edges),
        "psnr": 10 * torch.log10(4 / pixel_square),
        "latent": latent.detach().square().mean().sqrt(),
    }


def begun(module: Module, start: str, name: str) -> Module:
    """A module to train: from what `export_module` wrote into the folder `start`, or as it is without one."""
    if not start:
        return module
    load_into(module, Path(start) / name, cast=lambda _: torch.float32, any_float=True)
    return module.train().requires_grad_(True)


def export_module(module: nn.Module, path: Path, config: ModelConfig | None = None) -> None:
    """Write a module's state as int8 rows (vectors in float32); a transformer's with its config."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {n: t.detach().float().cpu().contiguous() for n, t in module.state_dict().items()}
    save(state, path, config=config, storage="int8")
