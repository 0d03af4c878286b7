"""Tiny's upscaler: a flow from the noised, enlarged base latent to the latent of the large picture, on crops.

Each item is a clip of the frame cache: encoded large, and encoded small after shrinking by two or three. At use the
windows are one latent to each side, so a crop is all that any token ever sees of the whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from muybridge.config import TINY_UPSCALER
from muybridge.flow.objective import interpolate, sample_sigma, velocity_target, weighted_mse
from muybridge.flow.upscale_start import audio_context, upscale_start
from muybridge.model import tokens
from muybridge.model.tiny_video_codec import TinyVideoCodec, load_video_codec
from muybridge.model.tokens import Role, pack, unpatchify
from muybridge.model.transformer import Transformer
from muybridge.model.weights import save
from muybridge.recipes.codec_video import to_tensor
from muybridge.shapes import AUDIO_CHANNELS, STRIDE_T
from muybridge.train import frames as cache
from muybridge.train.trainer import Losses, Recipe

LARGE = 192  # pixels a side
SMALL = (64, 96)


def recipe(
    frames: str = "runs/frames",
    codec: str = "runs/codec_video/export/video_codec.safetensors",
    batch_size: int = 16,
    num_steps: int = 20_000,
    learning_rate: float = 6e-4,
    shift: float = 3.0,
) -> Recipe:
    """All settings; `codec` is the trained video codec."""
    settings: dict[str, Any] = dict(locals())
    crops = cache.read(Path(frames))

    def build() -> dict[str, nn.Module]:
        return {"upscaler": Transformer(TINY_UPSCALER).initialise(), "codec": load_video_codec(Path(codec))}

    def batch(step: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        large = to_tensor(crops.batch(step, batch_size, LARGE)[0])
        side = SMALL[int(torch.randint(len(SMALL), (1,), generator=generator))]
        small = F.interpolate(large.transpose(1, 2).flatten(0, 1), size=(side, side), mode="area")
        small = small.unflatten(0, (batch_size, -1)).transpose(1, 2)
        return large.to(device), small.to(device), sample_sigma(batch_size, shift=shift, generator=generator).to(device)

    def loss(modules: dict[str, nn.Module], drawn: tuple[Tensor, Tensor, Tensor]) -> Losses:
        upscaler, trained = modules["upscaler"], modules["codec"]
        assert isinstance(upscaler, Transformer)
        assert isinstance(trained, TinyVideoCodec)
        large, small, sigma_B = drawn
        wanted, base = trained.encode(large), trained.encode(small)
        start = upscale_start(base, torch.randn_like(wanted), align_corners=False)
        x = interpolate(wanted, start, sigma_B)
        found = velocity(upscaler, x)
        return {"loss": weighted_mse(found, velocity_target(wanted, start))}

    def export(modules: dict[str, nn.Module], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = {n: t.detach().float().cpu().contiguous() for n, t in modules["upscaler"].state_dict().items()}
        save(state, folder / "upscaler.safetensors", config=TINY_UPSCALER, storage="int8")

    return Recipe(
        "upscaler",
        settings,
        build,
        batch,
        loss,
        export,
        num_steps=num_steps,
        learning_rate=learning_rate,
        frozen=("codec",),
    )


def velocity(upscaler: Transformer, x_BCTYX: Tensor) -> Tensor:
    """The upscaler's velocity for a batch of crops, heard against noise: crops have no sound and no text."""
    batch, _, count, rows, cols = x_BCTYX.shape
    samples = []
    for x_CTYX in x_BCTYX:
        num_audio = STRIDE_T * (count - 1) + 1
        silence = torch.zeros(num_audio, AUDIO_CHANNELS, device=x_CTYX.device)
        context = audio_context(silence, torch.randn_like(silence))
        scene = tokens.text_tokens(
            torch.zeros(1, TINY_UPSCALER.text_in_channels, device=x_CTYX.device), tokens.scene_coords(1), Role.SCENE
        )
        samples.append(tokens.sequence(scene, x_CTYX, context))
    video_NC, _ = upscaler(pack(samples))
    return torch.stack([unpatchify(part, rows, cols) for part in video_NC.chunk(batch)])
