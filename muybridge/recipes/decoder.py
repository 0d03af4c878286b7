"""The video codec's decoder once more, on what the base leaves: latents that are guessed, not encoded.

A small base gets the coarse channels of a latent right and the fine ones wrong, each token on its own, so a decoder
that knows only encoded latents shows grain and seams. Here it reads the base's own estimate x_0 = x_t - sigma v beside
the encoded latent, and learns the picture behind both: it sees further in space than a token and mends what does not
fit. The encoder stays as it is, and with it every latent. Noise on a decoder's input: Zheng et al. 2025 (arXiv
2510.11690).

Legend: B samples, C channels, T latent frames, Y X rows/columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.flow.solver import predict_x0
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.tiny_video_codec import TinyVideoCodec, load_video_codec
from muybridge.model.transformer import Transformer
from muybridge.recipes.base import load_export, noised, velocities
from muybridge.recipes.codec_video import export_module, reconstruction_losses, to_tensor
from muybridge.recipes.losses import Task
from muybridge.shapes import STRIDE_T
from muybridge.train import latents as cache
from muybridge.train import takes
from muybridge.train.cuts import heard, shortened
from muybridge.train.items import Item
from muybridge.train.trainer import Losses, Recipe


@dataclass(frozen=True, eq=False)
class Pairs:
    """Normalised latents [B, C, T, Y, X] as the decoder may meet them, and their frames [B, 3, 4T-3, Y, X]."""

    latents: Tensor
    frames: Tensor


def recipe(
    latents: str = "runs/latents",
    clips: str = "runs/takes",
    stills: str = "",
    still_clips: str = "",
    codec: str = "runs/codecs/video_codec.safetensors",
    base: str = "runs/base/export",
    batch_size: int = 4,
    num_stills: int = 12,
    longest: int = 3,
    encoded: float = 0.25,
    lowest: float = 0.3,
    highest: float = 0.8,
    num_steps: int = 2000,
    learning_rate: float = 5e-4,
    edge_weight: float = 1.0,
    average_decay: float = 0.995,
) -> Recipe:
    """All settings. `latents` were encoded with `codec` from the takes in `clips`, `stills` from `still_clips`.

    A batch has `batch_size` cuts of `longest` latents and, with `stills`, `num_stills` stills. A share `encoded`
    of the steps shows encoded latents, the others estimates of `base` at noise levels between `lowest` and `highest`.
    """
    settings: dict[str, Any] = dict(locals())
    sources = [(cache.read(Path(latents)), Path(clips), batch_size)]
    if stills:
        sources.append((cache.read(Path(stills)), Path(still_clips), num_stills))
    denoiser, text = load_export(Path(base))

    def build() -> dict[str, nn.Module]:
        trained = load_video_codec(Path(codec)).train().requires_grad_(True)
        for name, layer in trained.named_children():
            layer.requires_grad_(not name.startswith("encode"))
        return {"video_codec": trained}

    def batch(step: int, device: torch.device) -> list[Pairs]:
        generator = torch.Generator().manual_seed(step)
        is_encoded = float(torch.rand(1, generator=generator)) < encoded
        out = []
        for items, folder, size in sources:
            firsts = torch.rand(size, generator=generator).tolist()
            cuts = [cut(item, longest, f, folder) for item, f in zip(items.batch(step, size), firsts, strict=True)]
            shown = [item.video for item, _ in cuts]
            if not is_encoded:
                sigma = lowest + (highest - lowest) * float(torch.rand(1, generator=generator))
                shown = estimates(denoiser, text, [item for item, _ in cuts], sigma, generator)
            for length in sorted({len(frames) for _, frames in cuts}):
                same = [k for k, (_, frames) in enumerate(cuts) if len(frames) == length]
                frames = torch.cat([to_tensor(cuts[k][1][None]) for k in same])
                out.append(Pairs(torch.stack([shown[k] for k in same]).to(device), frames.to(device)))
        return out

    def loss(modules: dict[str, nn.Module], pairs: list[Pairs]) -> Losses:
        trained = modules["video_codec"]
        assert isinstance(trained, TinyVideoCodec)
        found = []
        for pair in pairs:
            raw = trained.raw_of(pair.latents)
            found.append(reconstruction_losses(trained.to_frames(raw), pair.frames, raw, edge_weight, 0.0))
        return {name: torch.stack([losses[name] for losses in found]).mean() for name in ("loss", "pixel", "psnr")}

    def export(modules: dict[str, nn.Module], folder: Path) -> None:
        export_module(modules["video_codec"], folder / "video_codec.safetensors")

    return Recipe(
        "decoder",
        settings,
        build,
        batch,
        loss,
        export,
        num_steps=num_steps,
        learning_rate=learning_rate,
        warmup_steps=min(50, num_steps // 10),
        weight_decay=0.0,
        average_decay=average_decay,
    )


def cut(item: Item, longest: int, first: float, folder: Path) -> tuple[Item, takes.Bytes]:
    """At most `longest` latents of an item, from `first` (0..1 of where a cut may begin), and their frames."""
    start = int(first * (max(0, item.video.shape[1] - longest) + 1))
    count = min(longest, item.video.shape[1])
    frames_TYX3 = takes.load(takes.path_of(folder, item.index, "train")).frames_TYX3
    # A latent shows four frames; of a cut's first one the last is decoded.
    return shortened(item, count, start), frames_TYX3[STRIDE_T * start : STRIDE_T * (start + count - 1) + 1]


@torch.no_grad()
def estimates(
    base: Transformer, text: PhraseEncoder, items: Sequence[Item], sigma: float, generator: torch.Generator
) -> list[Tensor]:
    """What the base takes each item's latent [C, T, Y, X] for, seen through noise of one level."""
    # A still without its sound is a fifth of the tokens.
    pairs = [(heard(i, 1) if i.video.shape[1] == 1 else i, Task("t2v", sigma, frozenset())) for i in items]
    noisy = [noised(item, sigma, generator)[0] for item, _ in pairs]
    answers = velocities(base, text, pairs, noisy)
    return [predict_x0(video, velocity, sigma) for (video, _), (velocity, _) in zip(noisy, answers, strict=True)]
