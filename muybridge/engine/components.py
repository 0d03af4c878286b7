"""The parts that generate: two transformers, two codecs, a text encoder, and where they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from muybridge.model.codecs import AudioCodec, TextEncoder, VideoCodec
from muybridge.model.tokens import Packed


class Denoiser(Protocol):
    """A transformer, however it is placed: `forward(packed) -> (video, audio) velocity tokens`."""

    def __call__(self, packed: Packed) -> tuple[Tensor, Tensor]: ...


class PhonemeEncoder(Protocol):
    """Phonemes to text features, for sizes that place speech on the clock."""

    def encode_phonemes(self, symbols: Sequence[str], language: str, register: str) -> Tensor:
        """[N, text channels], one row per phoneme."""
        ...


@dataclass
class Components:
    """A loaded size. `upscaler` is None where only the base size can be made."""

    size: str
    base: Denoiser
    upscaler: Denoiser | None
    video_codec: VideoCodec
    audio_codec: AudioCodec
    text_encoder: TextEncoder
    phoneme_encoder: PhonemeEncoder | None = None
    has_roles: bool = False  # whether the checkpoint knows references, sources and beats
    device: torch.device = torch.device("cpu")
    upscaler_start: str = "noised"  # the open 15B starts from the noised, enlarged base latent
    aligned_corners: bool = True  # as its upscaler was probably trained
