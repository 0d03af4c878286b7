"""From a size or a folder to loaded components, on the device and in the precision that fit."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from muybridge.config import TINY_UPSCALER, EngineConfig, ModelConfig, model_config, settings
from muybridge.engine import precision
from muybridge.engine.components import Components
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
    # Of compiled products, one a shape: a programme's windows have many lengths. oneDNN reads it when it is first used.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    config = config or EngineConfig()
    device = pick_device(config.device)
    precision.choose(device, config.precision)  # refused before weights are looked for
    folder = weights_folder(size_or_path)
    if not Path(size_or_path).is_dir():
        size = str(size_or_path)
        if not folder.is_dir():
            if size == "tiny":
                raise UserError(
                    "This copy has no weights for tiny. Train them (docs/how/train.md), or use a "
                    "provider: --model PROVIDER/MODEL (`muybridge models`)."
                )
            raise UserError(f"There are no weights for {size} in {folder}; run `muybridge weights pull {size}`.")
    else:
        size = "15b" if (folder / "distill").is_dir() else "tiny"
    if size == "tiny":
        from muybridge.engine.tiny import load_tiny

        return Engine(load_tiny(folder, device, config.precision))
    from muybridge.engine.open_model import load_open_model

    return Engine(load_open_model(folder, size, device, config))


def weights_folder(size_or_path: str | Path) -> Path:
    """Where the weights of a size lie, or the folder itself. Raises InvalidRequest for an unknown size."""
    if Path(size_or_path).is_dir():
        return Path(size_or_path)
    size = str(size_or_path)
    model_config(size)
    return SHIPPED / "tiny" if size == "tiny" else settings().weights / "15b"


def weights_identity(size_or_path: str | Path) -> str:
    """Tells weights apart by their files' names, sizes and times of change: to read gigabytes would take too long."""
    folder = weights_folder(size_or_path)
    files = [(str(p.relative_to(folder)), p.stat()) for p in sorted(folder.rglob("*")) if p.is_file()]
    rows = [(str(size_or_path), *((name, stat.st_size, stat.st_mtime_ns) for name, stat in files))]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


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
