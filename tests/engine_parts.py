"""A very small engine with random weights, and media made on the spot, for the engine's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from muybridge import media
from muybridge.config import ModelConfig
from muybridge.engine import Components, Engine, random_components
from muybridge.model.tokens import Packed

torch.set_num_threads(1)  # bits must not depend on how a sum was shared out, and the machine is shared

SHAPE = ModelConfig(
    name="tiny",
    num_layers=2,
    hidden_size=128,
    num_heads_kv=1,
    text_in_channels=16,
    mm_layers=(0,),
    gelu7_layers=(0,),
    num_roles=8,
    time_scale=4.0,
)


def parts(size: str = "tiny") -> Components:
    return random_components(size, seed=3, shape=SHAPE, std=0.05)


def engine(size: str = "tiny") -> Engine:
    return Engine(parts(size))


def picture(path: Path, seed: int = 0, width: int = 96, height: int = 64) -> Path:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
    return media.write_image(path, coarse.repeat(16, 0).repeat(16, 1))


def movie(path: Path, seconds: float = 3.0, with_sound: bool = True) -> Path:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 255, (round(seconds * 25), 4, 4, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    sound = None
    if with_sound:
        t = np.arange(round(seconds * 24_000)) / 24_000
        sound = np.stack([0.3 * np.sin(2 * np.pi * 220 * t)] * 2).astype(np.float32)
    media.write_clip(path, frames, sound, fps=25, sample_rate=24_000)
    return path


class Draft:
    """A network of pictures that are all alike, and of what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Packed] = []

    def __call__(self, packed: Packed) -> tuple[Tensor, Tensor]:
        self.seen.append(packed)
        return torch.zeros_like(packed.video_NC), torch.zeros_like(packed.audio_NC)
