"""Codecs and a text encoder without training: cosines for picture and sound, hashes for words.

The floor of the codec suite, and what benchmarks and the engine's tests run on: exact shapes, linear, invertible on
their own range.
Legend: B samples, C channels, T Y X time, rows, columns (of frames or latents), A audio latents, S samples.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from muybridge.model.codecs import OnTile, check_frames, check_latent
from muybridge.shapes import AUDIO_CHANNELS, FPS, LATENT_CHANNELS, STRIDE_T, STRIDE_X, STRIDE_Y

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601 weights, only to order the colour axes
_COUNTS = ((0, 0, 26), (0, 1, 6), (1, 0, 6), (2, 0, 6), (0, 2, 4))  # (colour axis, time frequency, space frequencies)


def cosines(size: int, count: int) -> Tensor:
    """The first `count` rows of the orthonormal DCT-II of length `size` (Ahmed et al. 1974), float64."""
    k, n = torch.arange(count, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi / size * (n + 0.5) * k) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis


def _colour_axes() -> Tensor:
    luma = torch.tensor(_LUMA, dtype=torch.float64)
    axes = torch.stack([luma, torch.tensor([0.0, 0, 1]) - luma, torch.tensor([1.0, 0, 0]) - luma])
    basis, _ = torch.linalg.qr(axes.T)
    rows: Tensor = basis.T
    return rows * torch.sign(rows.sum(1, keepdim=True) + 1e-9)


class FixedVideoCodec:
    """48 orthonormal cosines of every 4 x 16 x 16 block; the first frame is its own block, repeated four times."""

    stride = (STRIDE_T, STRIDE_Y, STRIDE_X)
    num_channels = LATENT_CHANNELS

    def __init__(self) -> None:
        colours, times, spaces = _colour_axes(), cosines(STRIDE_T, STRIDE_T), cosines(STRIDE_Y, 8)
        order = sorted((y + x, y, x) for y in range(8) for x in range(8))
        kernels = [
            torch.einsum("c,t,y,x->ctyx", colours[colour], times[time], spaces[y], spaces[x])
            for colour, time, count in _COUNTS
            for _, y, x in order[:count]
        ]
        self.kernel = torch.stack(kernels).float()
        weights = [1.0 / (8.0 if s == 0 and not t else 2.0 / (1 + 0.2 * s)) for _, t, n in _COUNTS for s in range(n)]
        self.scale_C = torch.tensor(weights).view(1, -1, 1, 1, 1)

    def encode(self, frames_BCTYX: Tensor) -> Tensor:
        check_frames(frames_BCTYX, self.stride)
        head = frames_BCTYX[:, :, :1].expand(-1, -1, STRIDE_T, -1, -1)
        frames = torch.cat([head, frames_BCTYX[:, :, 1:]], 2)
        latent_BCTYX: Tensor = F.conv3d(frames, self.kernel.to(frames), stride=self.stride)
        return latent_BCTYX * self.scale_C.to(frames)

    def decode(self, latent_BCTYX: Tensor, on_tile: OnTile | None = None) -> Tensor:
        check_latent(latent_BCTYX, self.num_channels)
        frames = F.conv_transpose3d(
            latent_BCTYX / self.scale_C.to(latent_BCTYX), self.kernel.to(latent_BCTYX), stride=self.stride
        )
        if on_tile:
            on_tile(1, 1)
        return frames[:, :, STRIDE_T - 1 :].clamp(-1, 1).cpu()


class FixedAudioCodec:
    """The lowest 64 cosines (to 800 Hz) of the mean of both channels, 40 ms at a time, at 24 kHz."""

    sample_rate = 24000
    samples_per_latent = 24000 // FPS
    num_channels = AUDIO_CHANNELS

    def __init__(self) -> None:
        self.kernel = cosines(self.samples_per_latent, AUDIO_CHANNELS).float()[:, None]

    def encode(self, waveform_BCS: Tensor) -> Tensor:
        mono = waveform_BCS.mean(1, keepdim=True)
        return F.conv1d(mono, self.kernel.to(mono), stride=self.samples_per_latent)

    def decode(self, latent_BCA: Tensor) -> Tensor:
        mono = F.conv_transpose1d(latent_BCA, self.kernel.to(latent_BCA), stride=self.samples_per_latent)
        return mono.expand(-1, 2, -1).clamp(-1, 1).cpu()


class FixedTextEncoder:
    """One feature per word, drawn from a hash of the word: tells words apart and knows nothing about them."""

    def __init__(self, num_channels: int) -> None:
        self.num_channels = num_channels

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        return [torch.stack([self._word(w) for w in p.lower().split()] or [self._word("")]) for p in prompts]

    def _word(self, word: str) -> Tensor:
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        draws = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
        return torch.from_numpy(draws.standard_normal(self.num_channels, dtype=np.float32))
