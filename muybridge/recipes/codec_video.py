"""Tiny's video codec: reconstruction of world clips, real pictures and textures; a latent that is small and smooth.

Loss: L1 of pixels + L1 of their differences in space and time (edges and motion) + a pull of the latent to the origin;
noise on the latent while training makes the decoder forgiving to what a denoiser leaves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.media import write_image
from muybridge.model.tiny_video_codec import TinyVideoCodec
from muybridge.model.weights import save
from muybridge.train import frames as cache
from muybridge.train.trainer import Losses, Recipe


def recipe(
    frames: str = "runs/frames",
    batch_size: int = 8,
    num_steps: int = 20_000,
    learning_rate: float = 1.5e-3,
    latent_noise: float = 0.05,
    latent_weight: float = 1e-4,
    edge_weight: float = 1.0,
    crop: int = 128,
) -> Recipe:
    """All settings; `frames` is what `muybridge world frames` wrote."""
    settings: dict[str, Any] = dict(locals())
    crops = cache.read(Path(frames))

    def batch(step: int, device: torch.device) -> Tensor:
        return to_tensor(crops.batch(step, batch_size, crop)).to(device)

    def loss(modules: dict[str, nn.Module], frames_BCTYX: Tensor) -> Losses:
        codec = modules["video_codec"]
        assert isinstance(codec, TinyVideoCodec)
        latent = codec.to_latent(frames_BCTYX)
        noisy = latent + latent_noise * torch.randn_like(latent)
        return reconstruction_losses(codec.to_frames(noisy), frames_BCTYX, latent, edge_weight, latent_weight)

    def export(modules: dict[str, nn.Module], folder: Path) -> None:
        codec = modules["video_codec"]
        assert isinstance(codec, TinyVideoCodec)
        measure_latent(codec, [to_tensor(crops.batch(10**9 + i, batch_size, crop)) for i in range(8)])
        export_module(codec, folder / "video_codec.safetensors")

    def preview(modules: dict[str, nn.Module], folder: Path) -> None:
        codec = modules["video_codec"]
        assert isinstance(codec, TinyVideoCodec)
        frames_BCTYX = to_tensor(crops.batch(10**9, 8, crop)).to(next(codec.parameters()).device)
        again = codec.to_frames(codec.to_latent(frames_BCTYX)).clamp(-1, 1)
        rows = torch.stack([frames_BCTYX[:, :, 0], again[:, :, 0], frames_BCTYX[:, :, -1], again[:, :, -1]], 1)
        sheet = rows.permute(1, 3, 0, 4, 2).flatten(2, 3).flatten(0, 1)
        write_image(folder / "preview.png", sheet.add(1).mul(127.5).clamp(0, 255).byte().cpu().numpy())

    return Recipe(
        "codec_video",
        settings,
        lambda: {"video_codec": TinyVideoCodec()},
        batch,
        loss,
        export,
        preview,
        num_steps=num_steps,
        learning_rate=learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )


def to_tensor(frames_BTYXC: cache.Bytes) -> Tensor:
    """uint8 clips to [B, 3, T, Y, X] float32 in [-1, 1]."""
    return torch.from_numpy(frames_BTYXC).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def reconstruction_losses(again: Tensor, frames: Tensor, latent: Tensor, edge: float, pull: float) -> Losses:
    """`loss` and its parts; also PSNR in dB over the batch (pixels in [-1, 1])."""
    difference = again - frames
    pixel = difference.abs().mean()
    edges = sum(difference.diff(dim=d).abs().mean() for d in ((2, 3, 4) if frames.shape[2] > 1 else (3, 4)))
    pixel_square = difference.detach().clamp(-2, 2).square().mean()
    return {
        "loss": pixel + edge * edges + pull * latent.square().mean(),
        "pixel": pixel,
        "edges": torch.as_tensor(edges),
        "psnr": 10 * torch.log10(4 / pixel_square),
        "latent": latent.detach().square().mean().sqrt(),
    }


@torch.no_grad()
def measure_latent(codec: TinyVideoCodec, batches: list[Tensor]) -> None:
    """Put each channel's mean and standard deviation over `batches` into the codec's buffers."""
    device = next(codec.parameters()).device
    latents = torch.cat([codec.to_latent(b.to(device)).transpose(0, 1).flatten(1) for b in batches], 1)
    codec.mean_C.copy_(latents.mean(1))
    codec.std_C.copy_(latents.std(1).clamp(min=1e-3))


def export_module(module: nn.Module, path: Path) -> None:
    """Write a module's state as int8 rows (vectors in float32)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save({n: t.detach().float().cpu().contiguous() for n, t in module.state_dict().items()}, path, storage="int8")
