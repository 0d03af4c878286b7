"""Loading the tiny size: small files that lie inside the package, int8 or bf16, each naming its config and recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from muybridge.config import ModelConfig, Precision
from muybridge.engine import precision
from muybridge.engine.components import Components
from muybridge.engine.listener import Listener
from muybridge.flow.scaling import NO_MOMENTS, Moments, from_noise, video_moments
from muybridge.model.face_painter import FacePainter
from muybridge.model.finder import Finder
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.picture_painter import PicturePainter
from muybridge.model.tiny_video_codec import load_video_codec
from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_into, load_transformer
from muybridge.model.world_audio_codec import WorldAudioCodec
from muybridge.shapes import PATCH

# File names, `.safetensors`.
BASE, UPSCALER, DRAFT, VIDEO_CODEC, TEXT = "base", "upscaler", "draft", "video_codec", "text"
LISTENER, FINDER, FACE_PAINTER, PICTURE_PAINTER = "listener", "finder", "face_painter", "picture_painter"
STATISTICS = "audio_codec.json"

VOICE_GAIN = 0.5  # its base speaks 6 dB louder than what it learned from (`evaluate speech`)

Part = TypeVar("Part", bound=nn.Module)


def load_tiny(folder: Path, device: torch.device, asked: Precision = "auto") -> Components:
    """All parts of the tiny size from `folder`. Raises WeightsInvalid naming what does not fit."""
    chosen = precision.choose(device, asked).precision
    base = load_transformer(folder / f"{BASE}.safetensors", matrix_dtype=torch.float32)
    upscaler, draft = (_transformer(folder / f"{name}.safetensors") for name in (UPSCALER, DRAFT))
    small = (LISTENER, FINDER, FACE_PAINTER, PICTURE_PAINTER)
    listener, finder, painter, pictures = (folder / f"{name}.safetensors" for name in small)
    text = _filled(PhraseEncoder(), folder / f"{TEXT}.safetensors")
    text.encode(["."])  # the frozen encoder is read now, not within the first clip
    return Components(
        "tiny" if base.config.distilled else "tiny-base",
        precision.apply(base, chosen).to(device),
        None if upscaler is None else precision.apply(upscaler, chosen).to(device),
        precision.apply_to_codec(load_video_codec(folder / f"{VIDEO_CODEC}.safetensors").to(device), chosen),
        load_audio_codec(folder),
        text,
        phoneme_encoder=text,
        has_roles=True,
        device=device,
        aligned_corners=False,
        enlarges_pixels=True,
        moments={"video": video_moments(base.config), "audio": from_noise(base.config.audio_moments)},
        upscaler_moments=NO_MOMENTS if upscaler is None else upscaler_moments(upscaler.config),
        draft=None if draft is None else precision.apply(draft, chosen).to(device),
        listener=_filled(Listener(), listener) if listener.is_file() else None,
        finder=_filled(Finder(), finder) if finder.is_file() else None,
        face_painter=precision.apply_to_painter(_filled(FacePainter(), painter), chosen) if painter.is_file() else None,
        picture_painter=(
            precision.apply_to_painter(_filled(PicturePainter(), pictures), chosen) if pictures.is_file() else None
        ),
        draft_moments=NO_MOMENTS if draft is None else video_moments(draft.config),
        draft_step=PATCH if draft is None else draft.config.video_step,
        voice_gain=VOICE_GAIN,
    )


def _transformer(path: Path) -> Transformer | None:
    """One that may be missing."""
    return load_transformer(path, matrix_dtype=torch.float32) if path.is_file() else None


def upscaler_moments(config: ModelConfig) -> Moments:
    """What the upscaler's answers are scaled by."""
    return Moments(config.video_moments, config.rest_moments, config.rest_products, config.start_noise)


def load_audio_codec(folder: Path) -> WorldAudioCodec:
    """The codec with the statistics that its recipe measured."""
    path = folder / STATISTICS
    if not path.is_file():
        return WorldAudioCodec()
    values = json.loads(path.read_text())
    return WorldAudioCodec(torch.tensor(values["mean"]), torch.tensor(values["std"]))


def _filled(module: Part, path: Path) -> Part:
    load_into(module, path, cast=lambda _: torch.float32, any_float=True)
    return module.eval().requires_grad_(False)
