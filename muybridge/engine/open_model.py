"""Loading the open 15B from the folder that `muybridge weights pull 15b` fills, placed for the device it runs on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from muybridge.config import EngineConfig, ModelConfig, Precision, model_config
from muybridge.engine import offload, precision
from muybridge.engine.components import Components, Denoiser, SplitVideoCodec
from muybridge.engine.placement import Placement, Where, place
from muybridge.errors import DoesNotFit
from muybridge.model.audio_codec import load_oobleck_codec
from muybridge.model.text_encoder import load_text_encoder
from muybridge.model.turbo_decoder import load_turbo_decoder
from muybridge.model.video_codec import load_wan_codec
from muybridge.model.weights import load_transformer
from muybridge.request import Request
from muybridge.speech.script import magihuman_prompt, parse_script

VARIANTS = {"15b": "distill", "15b-base": "base"}
# Planned for unless less is asked of the engine: what most requests are at most.
LARGEST = Request("the largest usual request", size="1080p", seconds=5)
# What the guided base is told not to make; its three blocks are picture, sound and delivery.
NEGATIVE = (
    "blurry picture, distorted face, extra fingers, warped background, flicker, subtitles, logo, watermark. "
    "distorted sound, noise, clicks, echo, muffled voice, music over speech. "
    "speaking too fast, rushed, slurred, monotone, lips out of time with the words."
)


def load_open_model(
    folder: Path,
    size: str,
    device: torch.device,
    config: EngineConfig,
    shape: ModelConfig | None = None,
    large_shape: ModelConfig | None = None,
) -> Components:
    """All parts of `15b` (distilled) or `15b-base`, strictly checked. `shape` replaces the size's numbers (tests).

    Raises WeightsInvalid naming what does not fit, DoesNotFit where the device cannot hold even the smallest placement.
    """
    chosen = precision.choose(device, config.precision).precision
    base_config, large_config = shape or model_config("15b"), large_shape or shape or model_config("15b-1080p")
    placed = _placement(size, chosen, device, config)
    where = {name: _where(placed, name, config) for name in ("base", "upscaler", "text encoder")}
    home = str(device)

    def read(name: str, model: ModelConfig, at: Where) -> Denoiser:
        transformer = load_transformer(folder / name, model, matrix_dtype=_matrix_dtype(chosen))
        return offload.put(precision.apply(transformer, chosen), device, at)

    encoder_home = home if where["text encoder"] == "resident" else "cpu"
    text_dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    encoder = load_text_encoder(folder / "text_encoder", device=encoder_home, dtype=text_dtype)
    codec_dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    return Components(
        size,
        read(VARIANTS[size], base_config, where["base"]),
        offload.OnDemand(partial(read, "1080p_sr", large_config, where["upscaler"])),
        SplitVideoCodec(
            load_wan_codec(folder / "video_codec" / "vae", device=home, dtype=codec_dtype),
            load_turbo_decoder(folder / "turbo_vae", device=home, dtype=codec_dtype),
        ),
        load_oobleck_codec(folder / "audio_codec" / "vae", device=home),
        encoder if encoder_home == home else offload.VisitingEncoder(encoder, encoder.model, device),
        small_upscaler=offload.OnDemand(partial(read, "540p_sr", base_config, where["upscaler"])),
        device=device,
        format_prompt=format_prompt,
        negative_prompt=NEGATIVE,
    )


def format_prompt(request: Request) -> str:
    """The prompt in the form the open 15B was trained on: dialogue said twice, CJK spaced, background sound named."""
    return magihuman_prompt(parse_script(request.prompt, request.language))


def _matrix_dtype(chosen: Precision) -> torch.dtype:
    return torch.float32 if chosen == "fp32" else torch.bfloat16


def _placement(size: str, chosen: Precision, device: torch.device, config: EngineConfig) -> Placement | None:
    """The placement for the largest usual request; None on a CPU, where everything is in the one memory."""
    if device.type != "cuda":
        return None
    memory = config.memory_limit_bytes or torch.cuda.get_device_properties(device).total_memory
    try:
        return place(LARGEST, size, chosen, memory)
    except DoesNotFit:
        return place(LARGEST.replace(size="480p"), size, chosen, memory)


def _where(placed: Placement | None, name: str, config: EngineConfig) -> Where:
    """The plan's place, or what the user asked for: `none` keeps all resident, `layers` streams both transformers."""
    if config.offload == "none" or (placed is None and config.offload == "auto"):
        return "resident"
    if config.offload == "layers":
        return "waiting" if name == "text encoder" else "streamed"
    if config.offload == "components":
        return "resident" if name == "base" else "waiting"
    assert placed is not None
    return placed.where(name)
