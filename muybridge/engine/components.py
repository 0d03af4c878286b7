"""The parts that generate: two transformers, two codecs, a text encoder, and where they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from muybridge.flow.scaling import NO_MOMENTS, Moments
from muybridge.model.codecs import AudioCodec, OnTile, SpatialTile, TextEncoder, VideoCodec
from muybridge.model.finder import Face
from muybridge.model.tokens import Packed
from muybridge.request import Request
from muybridge.shapes import PATCH
from muybridge.speech.durations import Phone


class Denoiser(Protocol):
    """A transformer, however it is placed: `forward(packed) -> (video, audio) velocity tokens`."""

    def __call__(self, packed: Packed) -> tuple[Tensor, Tensor]: ...


class DecodesVideo(Protocol):
    """The decoding half of a video codec, whole or in pieces (first frame, tile, frames of the tile)."""

    def decode(self, latent_BCTYX: Tensor, on_tile: OnTile | None = None) -> Tensor: ...

    def decode_pieces(self, latent_BCTYX: Tensor) -> Iterator[tuple[int, SpatialTile, Tensor]]: ...


class PhonemeEncoder(Protocol):
    """Phonemes to text features, for sizes that place speech on the clock."""

    def encode_phonemes(self, ids: Sequence[Sequence[int]], language: str, register: str) -> Tensor:
        """[N, text channels], one row per phone; `ids` number its letter and marks in speech/symbols.py."""
        ...


@dataclass
class SplitVideoCodec:
    """A video codec that encodes with one network and decodes with another of the same latent space."""

    encoder: VideoCodec
    decoder: DecodesVideo
    stride: tuple[int, int, int] = (4, 16, 16)
    num_channels: int = 48

    def encode(self, frames_BCTYX: Tensor) -> Tensor:
        """As the encoder's."""
        return self.encoder.encode(frames_BCTYX)

    def decode(self, latent_BCTYX: Tensor, on_tile: OnTile | None = None) -> Tensor:
        """As the decoder's."""
        return self.decoder.decode(latent_BCTYX, on_tile)

    def decode_pieces(self, latent_BCTYX: Tensor) -> Iterator[tuple[int, SpatialTile, Tensor]]:
        """As the decoder's."""
        return self.decoder.decode_pieces(latent_BCTYX)


class HearsPhones(Protocol):
    """What is said in a voice track, from the latents of its sound."""

    def phones(self, audio_AC: Tensor) -> list[Phone]:
        """Phones with their times in seconds from the first latent [A, C]."""
        ...


class Finds(Protocol):
    """Where a picture shows faces, heads, people and things."""

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        """The faces of a picture [C, Y, X] in -1..1, the largest first."""
        ...

    def covers(self, picture_CYX: Tensor) -> Mapping[str, Tensor]:
        """[Y, X] for each of model/finder.py's KINDS: how much of each pixel it covers, 0 to 1."""
        ...


class PaintsFaces(Protocol):
    """Squares around faces, drawn anew (model/face_painter.py)."""

    def __call__(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        """Shaped like `faces_BCYX`."""
        ...


class PaintsPictures(Protocol):
    """What was drawn, painted anew from noise (model/picture_painter.py)."""

    def __call__(self, noisy_BCYX: Tensor, drawn_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        """Shaped like both."""
        ...


def _as_written(request: Request) -> str:
    return request.prompt


@dataclass
class Components:
    """A loaded size. Without an `upscaler` only the base size can be made, unless pixels may be enlarged."""

    size: str
    base: Denoiser
    upscaler: Denoiser | None
    video_codec: VideoCodec
    audio_codec: AudioCodec
    text_encoder: TextEncoder
    phoneme_encoder: PhonemeEncoder | None = None
    has_roles: bool = False  # whether the checkpoint knows references, sources and beats
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    aligned_corners: bool = True  # as its upscaler was probably trained
    enlarges_pixels: bool = False  # larger pictures are interpolated ones: an upscaler's start, or what is delivered
    moments: Mapping[str, Moments] = field(default_factory=dict)  # of the base's answers: flow/scaling.py
    upscaler_moments: Moments = NO_MOMENTS  # and of the upscaler's, with the noise of its start
    draft: Denoiser | None = None  # draws the first picture of clips from words alone (draft.py)
    draft_moments: Moments = NO_MOMENTS
    draft_step: int = PATCH  # from token to token of its picture
    video_step: int = PATCH  # and of what the base denoises
    listener: HearsPhones | None = None  # hears the phones of a given voice
    finder: Finds | None = None  # finds whose face is to move, and what is in front
    face_painter: PaintsFaces | None = None  # draws faces anew, speaking or in a mood (faces.py)
    picture_painter: PaintsPictures | None = None  # paints what the draft drew anew (sharpen.py)
    small_upscaler: Denoiser | None = None  # for outputs up to 1024x576, where the size has another one for them
    voice_gain: float = 1.0  # what its base's sound is multiplied by
    format_prompt: Callable[[Request], str] = _as_written
    negative_prompt: str = " "  # where the request gives none
