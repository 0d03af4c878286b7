"""The stable-audio-open-1.0 audio codec (Oobleck: 64 channels, hop 2048) on the video's clock: 25 latents a second.

Trick of the open 15B: the codec runs as if sound were sampled at 51.2 kHz (25 * 2048), so that one latent is one video
frame. Sound is resampled by the exact ratio 441/512 to 44.1 kHz, where one latent is 1764 samples, by cutting the
spectrum (the whole clip is one period): no filter delay, no rounding of lengths, ever.

Shape suffixes: B batch, C channels, S samples, A audio latents.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from muybridge.errors import InvalidRequest, NotInstalled
from muybridge.model.weights import load_into, module_specs
from muybridge.model.weights_file import Checkpoint, TensorSpec, check_state, read_json

HOP = 2048
SAMPLE_RATE = 44_100
SAMPLES_PER_LATENT = 1764  # at 44.1 kHz: 2048 * 441 / 512

# Constructor arguments of AutoencoderOobleck for stable-audio-open-1.0.
OOBLECK_CONFIG: dict[str, Any] = {
    "encoder_hidden_size": 128,
    "downsampling_ratios": [2, 4, 4, 8, 8],
    "channel_multiples": [1, 2, 4, 8, 16],
    "decoder_channels": 128,
    "decoder_input_channels": 64,
    "audio_channels": 2,
    "sampling_rate": 44_100,
}
ORIGINAL_PREFIX = "pretransform.model."


def build_oobleck(config: dict[str, Any] | None = None) -> nn.Module:
    """AutoencoderOobleck with random weights; raises NotInstalled without diffusers."""
    try:
        from diffusers import AutoencoderOobleck
    except ImportError as error:
        raise NotInstalled("The audio codec needs diffusers: pip install 'muybridge[15b]'") from error
    known = {k: v for k, v in (config or OOBLECK_CONFIG).items() if not k.startswith("_")}
    with warnings.catch_warnings():
        # diffusers still builds on torch.nn.utils.weight_norm, whose tensor names the published files use.
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*weight_norm.*")
        vae: nn.Module = cast(Any, AutoencoderOobleck)(**known)  # untyped in diffusers
    return vae.eval().requires_grad_(False)


def load_oobleck_codec(path: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> OobleckAudioCodec:
    """Load the published weights strictly, in either layout.

    * the diffusers folder (`vae/`: config.json and one safetensors file);
    * the original single file `model.safetensors`, of which only the `pretransform.model.` tensors are read.
    Raises WeightsInvalid for missing, extra or misshapen tensors.
    """
    config = read_json(path / "config.json") if (path / "config.json").is_file() else None
    with torch.device("meta"):
        vae = build_oobleck(config)
    with Checkpoint.open(path) as checkpoint:
        original = [name for name in checkpoint.specs if name.startswith(ORIGINAL_PREFIX)]
        if original:
            state = {diffusers_name(name): _reshape_snake(name, checkpoint.read(name)) for name in original}
            specs = {name: TensorSpec.of(tensor) for name, tensor in state.items()}
            check_state(specs, module_specs(vae), source=str(path), any_float=True)
            vae.load_state_dict({n: t.to(device, dtype, copy=True) for n, t in state.items()}, assign=True)
    if not original:
        load_into(vae, path, device=device, cast=lambda _: dtype, any_float=True)
    return OobleckAudioCodec(vae.requires_grad_(False))


class OobleckAudioCodec:
    """AudioCodec over an AutoencoderOobleck, float32 as the reference runs it, on whatever device its weights are."""

    sample_rate = SAMPLE_RATE
    samples_per_latent = SAMPLES_PER_LATENT

    def __init__(self, vae: nn.Module) -> None:
        self.vae = cast(Any, vae)  # its submodules and config are not declared in diffusers' types
        self.num_channels: int = self.vae.config.decoder_input_channels
        assert self.vae.hop_length == HOP, f"the clock needs hop {HOP}, not {self.vae.hop_length}"

    @torch.no_grad()
    def encode(self, waveform_BCS: torch.Tensor) -> torch.Tensor:
        """44.1 kHz samples [B, 1 or 2, S] in [-1, 1] -> posterior mean [B, 64, ceil(S / 1764)], float32.

        Both channels are kept; mono is given to both. A last partial latent is filled with silence. Deterministic.
        Raises InvalidRequest for other shapes or no samples.
        """
        if waveform_BCS.ndim != 3 or waveform_BCS.shape[1] not in (1, 2) or waveform_BCS.shape[2] == 0:
            raise InvalidRequest(
                f"a waveform must be [batch, 1 or 2, samples], not {list(waveform_BCS.shape)}.", "audio"
            )
        weight = self.vae.encoder.conv1.weight_v
        num_latents = -(-waveform_BCS.shape[2] // SAMPLES_PER_LATENT)
        silence = num_latents * SAMPLES_PER_LATENT - waveform_BCS.shape[2]
        stereo = waveform_BCS.float().expand(-1, 2, -1)
        codec_rate = resample_fft(nn.functional.pad(stereo, (0, silence)), num_latents * HOP)
        mean: torch.Tensor = self.vae.encode(codec_rate.to(weight)).latent_dist.mean
        return mean.float()

    @torch.no_grad()
    def decode(self, latent_BCA: torch.Tensor) -> torch.Tensor:
        """Latents [B, 64, A] -> 44.1 kHz float32 stereo [B, 2, A * 1764] on the CPU: exactly A frames of sound."""
        if latent_BCA.ndim != 3 or latent_BCA.shape[1] != self.num_channels or latent_BCA.shape[2] == 0:
            wanted = f"[batch, {self.num_channels}, latents]"
            raise InvalidRequest(f"an audio latent must be {wanted}, not {list(latent_BCA.shape)}.", "audio")
        codec_rate = self.vae.decode(latent_BCA.to(self.vae.decoder.conv1.weight_v)).sample
        return resample_fft(codec_rate.float(), latent_BCA.shape[2] * SAMPLES_PER_LATENT).cpu()


def resample_fft(waveform_BCS: torch.Tensor, num_samples: int) -> torch.Tensor:
    """Band-limited resampling to exactly `num_samples` by cutting or padding the spectrum of the whole signal.

    The signal is taken as one period, as scipy.signal.resample does (same numbers); the shared highest bin of an even
    length is halved or doubled so that a sine keeps its amplitude.
    """
    old = waveform_BCS.shape[-1]
    if old == num_samples:
        return waveform_BCS
    spectrum = torch.fft.rfft(waveform_BCS)
    shared = min(old, num_samples)
    kept = torch.zeros(*spectrum.shape[:-1], num_samples // 2 + 1, dtype=spectrum.dtype, device=spectrum.device)
    kept[..., : shared // 2 + 1] = spectrum[..., : shared // 2 + 1]
    if shared % 2 == 0:
        kept[..., shared // 2] *= 2.0 if num_samples < old else 0.5
    resampled: torch.Tensor = torch.fft.irfft(kept, n=num_samples) * (num_samples / old)
    return resampled


_UNIT = {"0": "snake1", "1": "conv1", "2": "snake2", "3": "conv2"}
_ENCODER_BLOCK = {"0": "res_unit1", "1": "res_unit2", "2": "res_unit3", "3": "snake1", "4": "conv1"}
_DECODER_BLOCK = {"0": "snake1", "1": "conv_t1", "2": "res_unit1", "3": "res_unit2", "4": "res_unit3"}


def diffusers_name(original: str, num_blocks: int = 5) -> str:
    """`pretransform.model.encoder.layers.2.layers.0.layers.1.weight_g` -> `encoder.block.1.res_unit1.conv1.weight_g`.

    The original is nested sequences: first convolution, `num_blocks` blocks, snake, last convolution. A name outside
    that pattern is returned without its prefix, so that the strict check reports it.
    """
    name = original.removeprefix(ORIGINAL_PREFIX)
    match = re.fullmatch(r"(encoder|decoder)\.layers\.(\d+)((?:\.layers\.\d+)*)\.(\w+)", name)
    if not match:
        return name
    side, outer, inner = match[1], int(match[2]), re.findall(r"\d+", match[3])
    if not 1 <= outer <= num_blocks:
        top = {0: "conv1", num_blocks + 1: "snake1", num_blocks + 2: "conv2"}.get(outer)
        return f"{side}.{top}.{match[4]}" if top and not inner else name
    steps = [(_ENCODER_BLOCK if side == "encoder" else _DECODER_BLOCK), _UNIT]
    parts = [table.get(number, number) for table, number in zip(steps, inner, strict=False)]
    return ".".join([side, "block", str(outer - 1), *parts, match[4]])


def _reshape_snake(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Snake parameters are [C] in the original and [1, C, 1] in diffusers."""
    return tensor.reshape(1, -1, 1) if name.endswith((".alpha", ".beta")) else tensor
