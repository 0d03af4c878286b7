"""From a size or a folder to loaded components, on the device and in the precision that fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from muybridge.config import TINY_UPSCALER, EngineConfig, ModelConfig, model_config, settings
from muybridge.engine import offload, precision
from muybridge.engine.components import Components, SplitVideoCodec
from muybridge.engine.engine import Engine
from muybridge.errors import UserError
from muybridge.model import Transformer
from muybridge.model.device import pick_device
from muybridge.model.fixed_codec import FixedAudioCodec, FixedTextEncoder, FixedVideoCodec

SHIPPED = Path(__file__).parent.parent / "shipped"


def load(size_or_path: str | Path = "tiny", config: EngineConfig | None = None) -> Engine:
    """A ready engine for `tiny`, `15b`, `15b-base`, or a folder of weights.

    Raises InvalidRequest for an unknown size, UserError where the weights are not there (with the command that gets
    them), WeightsInvalid where they do not fit their config.
    """
    config = config or EngineConfig()
    device = pick_device(config.device)
    precision.choose(device, config.precision)  # refused before weights are looked for
    folder = Path(size_or_path)
    if not folder.is_dir():
        size = str(size_or_path)
        model_config(size)
        folder = SHIPPED / "tiny" if size == "tiny" else settings().weights / "15b"
        if not folder.is_dir():
            remedy = "run `muybridge train base` first" if size == "tiny" else f"run `muybridge weights pull {size}`"
            raise UserError(f"There are no weights for {size} in {folder}; {remedy}.")
    else:
        size = "15b" if (folder / "distill").is_dir() else "tiny"
    if size == "tiny":
        from muybridge.engine.tiny import load_tiny

        return Engine(load_tiny(folder, device, config.precision))
    return Engine(_load_15b(folder, size, device, config))


def _load_15b(folder: Path, size: str, device: torch.device, config: EngineConfig) -> Components:
    from muybridge.model.audio_codec import load_oobleck_codec
    from muybridge.model.text_encoder import load_text_encoder
    from muybridge.model.turbo_decoder import load_turbo_decoder
    from muybridge.model.video_codec import load_wan_codec
    from muybridge.model.weights import load_transformer

    chosen = precision.choose(device, config.precision).precision
    variant = {"15b-base": "base", "15b": "distill"}.get(size, "distill")
    base = load_transformer(folder / variant, model_config("15b"), matrix_dtype=torch.bfloat16)
    large = load_transformer(folder / "1080p_sr", model_config("15b-1080p"), matrix_dtype=torch.bfloat16)
    place = str(device)
    wan = load_wan_codec(folder / "video_codec" / "vae", device=place)
    return Components(
        size,
        _place(base, device, chosen, streams=config.offload == "layers"),
        _place(large, device, chosen, streams=config.offload in ("layers", "components")),
        SplitVideoCodec(wan, load_turbo_decoder(folder / "turbo_vae", device=place)),
        load_oobleck_codec(folder / "audio_codec" / "vae", device=place),
        load_text_encoder(folder / "text_encoder", device="cpu" if config.offload != "none" else place),
        device=device,
    )


def _place(model: Transformer, device: torch.device, chosen: str, streams: bool) -> Transformer:
    model = precision.apply(model, chosen)  # type: ignore[arg-type]  # one of Precision's words
    return offload.stream_layers(model, device) if streams else model.to(device)


def random_components(
    size: str = "tiny", seed: int = 0, device: str = "cpu", shape: ModelConfig | None = None, std: float = 0.02
) -> Components:
    """Components with random transformer weights and the fixed codecs: for benchmarks and tests at any size.

    `shape` replaces the size's numbers (a smaller test model). Final layers are drawn too, so velocities are not zero.
    """
    config = shape or model_config(size)
    large = replace(config, local_layers=tuple(range(config.num_layers)), frame_receptive_field=1)
    if shape is None:
        large = TINY_UPSCALER if size == "tiny" else model_config("15b-1080p")
    base, upscaler = (_random(c, seed + i, device, std) for i, c in enumerate((config, large)))
    return Components(
        size,
        base,
        upscaler,
        FixedVideoCodec(),
        FixedAudioCodec(),
        FixedTextEncoder(config.text_in_channels),
        has_roles=config.num_roles > 0,
        device=torch.device(device),
    )


def _random(config: ModelConfig, seed: int, device: str, std: float) -> Transformer:
    with torch.device(device):
        model = Transformer(config)
    model.initialise(seed, std)
    generator = torch.Generator().manual_seed(seed)
    for final in (model.final_linear_video, model.final_linear_audio):
        nn.init.normal_(final.weight, std=std, generator=generator if device == "cpu" else None)
    return model.eval().requires_grad_(False)
