"""The audio codec with tiny random weights of the true layout: exact lengths, resampling, both published layouts."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from muybridge.errors import InvalidRequest, WeightsInvalid
from muybridge.model.audio_codec import (
    OOBLECK_CONFIG,
    OobleckAudioCodec,
    build_oobleck,
    diffusers_name,
    load_oobleck_codec,
    resample_fft,
)
from muybridge.model.codecs import AudioCodec

TINY = OOBLECK_CONFIG | {
    "encoder_hidden_size": 8,
    "decoder_channels": 4,
    "decoder_input_channels": 4,
    "channel_multiples": [1, 1, 1, 1, 1],
}


@pytest.fixture(scope="module")
def codec() -> OobleckAudioCodec:
    vae = build_oobleck(TINY)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            small = 0.2 if name.endswith(("alpha", "beta", "bias")) else 1.0
            parameter.copy_(small * torch.randn(parameter.shape, generator=generator))
            if name.endswith("weight_g"):
                parameter.fill_(1.0)
    return OobleckAudioCodec(vae)


def noise(num_samples: int, channels: int = 2) -> torch.Tensor:
    return torch.rand(1, channels, num_samples, generator=torch.Generator().manual_seed(num_samples)) * 2 - 1


def test_is_an_audio_codec_on_the_clock(codec: OobleckAudioCodec) -> None:
    """25 latents a second: hop 2048 at 51.2 kHz is 1764 samples at 44.1 kHz, exactly."""
    assert isinstance(codec, AudioCodec)
    assert codec.sample_rate == 25 * codec.samples_per_latent
    assert codec.samples_per_latent * 512 == 2048 * 441


@pytest.mark.parametrize("k", [0, 1, 2, 6, 25])
def test_lengths_are_exact_for_every_k(codec: OobleckAudioCodec, k: int) -> None:
    latents = 4 * k + 1
    latent = torch.randn(1, codec.num_channels, latents)
    waveform = codec.decode(latent)
    assert waveform.shape == (1, 2, latents * 1764)
    assert waveform.dtype == torch.float32
    assert codec.encode(waveform).shape == (1, codec.num_channels, latents)


@pytest.mark.parametrize(("num_samples", "latents"), [(1, 1), (1763, 1), (1764, 1), (1765, 2), (44_100, 25)])
def test_a_partial_latent_is_filled_with_silence(codec: OobleckAudioCodec, num_samples: int, latents: int) -> None:
    short = noise(num_samples)
    latent = codec.encode(short)
    assert latent.shape[2] == latents
    padded = nn.functional.pad(short, (0, latents * 1764 - num_samples))
    assert torch.equal(codec.encode(padded), latent)


def test_encoding_is_the_mean_and_deterministic(codec: OobleckAudioCodec) -> None:
    sound = noise(5 * 1764)
    torch.manual_seed(1)
    first = codec.encode(sound)
    torch.manual_seed(2)
    assert torch.equal(codec.encode(sound), first)
    at_codec_rate = resample_fft(sound, 5 * 2048)
    assert torch.equal(first, codec.vae.encode(at_codec_rate).latent_dist.mode())


def test_stereo_is_kept_and_mono_is_doubled(codec: OobleckAudioCodec) -> None:
    stereo = noise(3 * 1764)
    swapped = stereo.flip(1)
    assert not torch.allclose(codec.encode(stereo), codec.encode(swapped))
    mono = noise(3 * 1764, channels=1)
    assert torch.equal(codec.encode(mono), codec.encode(mono.repeat(1, 2, 1)))


@given(st.integers(2, 400), st.integers(2, 400), st.integers(0, 2**31))
@settings(deadline=None)
def test_resampling_equals_scipy(old: int, new: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((1, 2, old))
    expected = scipy.signal.resample(x, new, axis=-1)
    np.testing.assert_allclose(resample_fft(torch.from_numpy(x), new).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_a_tone_keeps_pitch_and_level_through_the_clock() -> None:
    """440 Hz at 51.2 kHz is 440 Hz at 44.1 kHz, sample for sample, and comes back."""
    seconds = 1
    for rate_in, rate_out in [(51_200, 44_100), (44_100, 51_200)]:
        time_in = torch.arange(rate_in * seconds, dtype=torch.float64) / rate_in
        time_out = torch.arange(rate_out * seconds, dtype=torch.float64) / rate_out
        out = resample_fft(torch.sin(2 * torch.pi * 440 * time_in)[None, None], rate_out * seconds)
        torch.testing.assert_close(out[0, 0], torch.sin(2 * torch.pi * 440 * time_out), rtol=0, atol=1e-10)


def test_refuses_what_is_not_a_waveform_or_latent(codec: OobleckAudioCodec) -> None:
    for shape in [(2, 100), (1, 3, 100), (1, 2, 0)]:
        with pytest.raises(InvalidRequest, match="waveform must be"):
            codec.encode(torch.zeros(shape))
    for shape in [(4, 10), (1, 5, 10), (1, 4, 0)]:
        with pytest.raises(InvalidRequest, match="audio latent must be"):
            codec.decode(torch.zeros(shape))


# --- the original layout, rebuilt here independently of diffusers from its published description ---------------------


class Snake(nn.Module):
    """x + sin^2(x e^a) / e^b, with [C] parameters."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(0.3 * torch.randn(dim)), nn.Parameter(0.3 * torch.randn(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.alpha.exp()[:, None], self.beta.exp()[:, None]
        return x + torch.sin(a * x) ** 2 / (b + 1e-9)


class Layers(nn.Module):
    def __init__(self, *layers: nn.Module, residual: bool = False) -> None:
        super().__init__()
        self.layers, self.residual = nn.Sequential(*layers), residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + (x if self.residual else 0)


def normed(conv: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the original layout is the old weight_norm
        return nn.utils.weight_norm(conv)


def unit(dim: int, dilation: int) -> Layers:
    conv = nn.Conv1d(dim, dim, 7, dilation=dilation, padding=3 * dilation)
    return Layers(Snake(dim), normed(conv), Snake(dim), normed(nn.Conv1d(dim, dim, 1)), residual=True)


def original_model(encoder: int, decoder: int, latent: int) -> nn.ModuleDict:
    down = [2, 4, 4, 8, 8]
    units = [1, 3, 9]

    def down_block(s: int) -> Layers:
        conv = nn.Conv1d(encoder, encoder, 2 * s, stride=s, padding=s // 2)
        return Layers(*[unit(encoder, d) for d in units], Snake(encoder), normed(conv))

    def up_block(s: int) -> Layers:
        conv = nn.ConvTranspose1d(decoder, decoder, 2 * s, stride=s, padding=s // 2)
        return Layers(Snake(decoder), normed(conv), *[unit(decoder, d) for d in units])

    return nn.ModuleDict(
        {
            "encoder": Layers(
                normed(nn.Conv1d(2, encoder, 7, padding=3)),
                *[down_block(s) for s in down],
                Snake(encoder),
                normed(nn.Conv1d(encoder, encoder, 3, padding=1)),
            ),
            "decoder": Layers(
                normed(nn.Conv1d(latent, decoder, 7, padding=3)),
                *[up_block(s) for s in reversed(down)],
                Snake(decoder),
                normed(nn.Conv1d(decoder, 2, 7, padding=3, bias=False)),
            ),
        }
    )


def test_the_original_checkpoint_layout_loads(tmp_path: Path) -> None:
    """Same weights, original names: same numbers. The diffusion model's tensors in that file are left alone."""
    torch.manual_seed(0)
    model = original_model(8, 4, 4)
    state = {f"pretransform.model.{name}": tensor for name, tensor in model.state_dict().items()}
    state["model.model.transformer.layers.0.weight"] = torch.zeros(3)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    codec = load_oobleck_codec(tmp_path)
    sound = noise(6 * 1764)
    with torch.no_grad():
        mean = model["encoder"](resample_fft(sound, 6 * 2048))[:, :4]
        again = resample_fft(model["decoder"](mean), 6 * 1764)
    torch.testing.assert_close(codec.encode(sound), mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(codec.decode(mean), again, rtol=1e-4, atol=1e-5)


def test_original_names_map_onto_the_full_size_layout() -> None:
    """A bijection onto diffusers' names at the published size, built without allocating."""
    with torch.device("meta"):
        ours = build_oobleck().state_dict()
        theirs = original_model(8, 4, 4).state_dict()
    assert sorted(diffusers_name(f"pretransform.model.{name}") for name in theirs) == sorted(ours)


def test_the_diffusers_layout_loads_and_is_strict(codec: OobleckAudioCodec, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderOobleck", **TINY}))
    state = codec.vae.state_dict()
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    save_file(state, file)
    sound = noise(2 * 1764)
    assert torch.equal(load_oobleck_codec(tmp_path).encode(sound), codec.encode(sound))
    save_file(state | {"encoder.extra": torch.zeros(1)}, file)
    with pytest.raises(WeightsInvalid, match=r"1 extra tensors \(encoder\.extra\)"):
        load_oobleck_codec(tmp_path)
    original = {"pretransform.model.encoder.layers.9.weight_g": torch.zeros(1)}
    save_file(original, file)
    with pytest.raises(WeightsInvalid, match=r"missing tensors .* 1 extra tensors \(encoder\.layers\.9\.weight_g\)"):
        load_oobleck_codec(tmp_path)
