"""The tiny size's audio codec: WORLD analysis and synthesis behind a fixed transform to 64 numbers a frame.

Morise et al. 2016, "WORLD". Every 10 ms: pitch, voicing, a spectral envelope and aperiodicity; four such rows make one
latent of 40 ms through cosines in time and, for the envelope, fewer in time for finer detail in frequency. Nothing is
learned but the statistics that normalise the latent. Mono in both channels.

Legend: B samples, C channels, A audio latents, S samples, R rows of 10 ms, F features.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from muybridge.errors import NotInstalled
from muybridge.model.fixed_codec import cosines
from muybridge.shapes import AUDIO_CHANNELS, FPS

RATE = 24000
ROW_MS = 10.0
ROWS = 4  # rows of 10 ms in one latent
FFT = 1024
ENVELOPE, APERIODICITY = 40, 3
MEAN_LOG_F0 = 5.0  # log Hz, about 150 Hz
# (features kept, at time frequency): the slow part of the envelope in full, its fast part coarsely.
KEEP_ENVELOPE = (36, 11, 3, 0)
KEEP_PITCH, KEEP_VOICING, KEEP_APERIODICITY = 4, 4, (2, 2, 2)
# What a unit of each kind is to the ear, in units of the envelope's numbers: log Hz, 0 or 1, dB. Set by hand.
PITCH_WEIGHT, VOICING_WEIGHT, APERIODICITY_WEIGHT = 5.0, 2.0, 0.15

Rows = NDArray[np.float64]


class WorldAudioCodec:
    """AudioCodec over pyworld at 24 kHz; `mean_C` and `std_C` normalise the latent (see recipes/codec_audio)."""

    sample_rate = RATE
    samples_per_latent = RATE // FPS
    num_channels = AUDIO_CHANNELS

    def __init__(self, mean_C: Tensor | None = None, std_C: Tensor | None = None) -> None:
        self.pyworld = load_pyworld()
        self.basis_FF = torch.from_numpy(_transform()).float()
        self.mean_C = torch.zeros(AUDIO_CHANNELS) if mean_C is None else mean_C.float().cpu()
        self.std_C = torch.ones(AUDIO_CHANNELS) if std_C is None else std_C.float().cpu()

    def encode(self, waveform_BCS: Tensor) -> Tensor:
        """[B, 2 or 1, A * 960] at 24 kHz -> normalised [B, 64, A], deterministic."""
        mono = waveform_BCS.float().mean(1).cpu().numpy()
        latents = [torch.from_numpy(self.analyse(w.astype(np.float64))).float().flatten(1) for w in mono]
        raw_BAC = torch.stack(latents) @ self.basis_FF.T
        return ((raw_BAC - self.mean_C) / self.std_C).transpose(1, 2)

    def decode(self, latent_BCA: Tensor) -> Tensor:
        """Normalised [B, 64, A] -> [B, 2, A * 960]; what somebody made up may be louder than [-1, 1]."""
        raw_BAC = latent_BCA.float().cpu().transpose(1, 2) * self.std_C + self.mean_C
        rows = (raw_BAC @ self.basis_FF).unflatten(-1, (ROWS, -1)).double().numpy()
        mono = [self.synthesise(r.reshape(-1, r.shape[-1])) for r in rows]
        return torch.from_numpy(np.stack(mono)).float()[:, None].expand(-1, 2, -1)

    def analyse(self, waveform_S: Rows) -> Rows:
        """[A, 4, 45]: log pitch (bridged where unvoiced), voicing, 40 envelope and 3 aperiodicity numbers."""
        world = self.pyworld
        num_latents = len(waveform_S) // self.samples_per_latent
        # A little noise: WORLD's envelope of exact zeros is not finite.
        waveform_S = np.ascontiguousarray(waveform_S) + 1e-6 * np.random.Generator(np.random.Philox(0)).standard_normal(
            len(waveform_S)
        )
        # Harvest takes fourteen times as long and resynthesises no nearer (docs/log.md).
        rough, times = world.dio(waveform_S, RATE, f0_floor=60.0, f0_ceil=600.0, frame_period=ROW_MS)
        f0 = world.stonemask(waveform_S, rough, times, RATE)
        envelope = world.cheaptrick(waveform_S, f0, times, RATE, fft_size=FFT)
        aperiodicity = world.d4c(waveform_S, f0, times, RATE, fft_size=FFT)
        features = np.concatenate(
            [
                _bridge(f0)[:, None] - MEAN_LOG_F0,
                (f0 > 0).astype(np.float64)[:, None],
                world.code_spectral_envelope(envelope, RATE, ENVELOPE),
                world.code_aperiodicity(aperiodicity, RATE),
            ],
            1,
        )
        wanted = num_latents * ROWS
        features = np.concatenate([features, np.repeat(features[-1:], max(0, wanted - len(features)), 0)])[:wanted]
        return features.reshape(num_latents, ROWS, -1)

    def synthesise(self, features_RF: Rows) -> Rows:
        """Rows back to A * 960 samples."""
        world = self.pyworld
        pitch, voicing = features_RF[:, 0], features_RF[:, 1]
        f0 = np.where(voicing > 0.5, np.exp(np.clip(pitch + MEAN_LOG_F0, 3.9, 6.5)), 0.0)
        envelope = world.decode_spectral_envelope(np.ascontiguousarray(features_RF[:, 2 : 2 + ENVELOPE]), RATE, FFT)
        bands = np.minimum(np.ascontiguousarray(features_RF[:, 2 + ENVELOPE :]), 0.0)
        aperiodicity = world.decode_aperiodicity(bands, RATE, FFT)
        waveform = world.synthesize(f0, envelope, aperiodicity, RATE, ROW_MS)
        wanted = len(features_RF) * RATE // 100
        return np.pad(waveform, (0, max(0, wanted - len(waveform))))[:wanted]


def half_whitened(std_C: Tensor) -> Tensor:
    """What to divide the raw latent by, so that a channel keeps the root of what it weighs to the ear.

    Divided by their whole spread, the envelope's fine and fast parts, which hardly anyone hears and nothing predicts,
    count as much as loudness and vowels: a phone then tells a tenth of the variance. Undivided, loudness drowns all.
    """
    counts = (KEEP_PITCH, KEEP_VOICING, sum(KEEP_ENVELOPE), sum(KEEP_APERIODICITY))
    weights = (PITCH_WEIGHT, VOICING_WEIGHT, 1.0, APERIODICITY_WEIGHT)
    weight_C = torch.cat([torch.full((count,), weight) for count, weight in zip(counts, weights, strict=True)])
    return (std_C / weight_C).sqrt()


@cache
def load_pyworld() -> Any:  # noqa: ANN401  (a compiled module without types)
    """pyworld's compiled core, loaded past its `__init__`, which needs the pkg_resources that setuptools 81 dropped."""
    package = importlib.util.find_spec("pyworld")
    if package is None or not package.submodule_search_locations:
        raise NotInstalled("WORLD analysis needs pyworld: pip install 'muybridge[local]'")
    folder = Path(package.submodule_search_locations[0])
    (core,) = (p for p in folder.glob("pyworld*") if p.suffix in importlib.machinery.EXTENSION_SUFFIXES[-1:])
    spec = importlib.util.spec_from_file_location("pyworld.pyworld", core)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _transform() -> Rows:
    """[64, 4 * 45]: orthonormal rows over (row in time, feature): cosines in time of each kept feature."""
    times = cosines(ROWS, ROWS).numpy()
    size = 2 + ENVELOPE + APERIODICITY
    kept = [(0, t) for t in range(KEEP_PITCH)] + [(1, t) for t in range(KEEP_VOICING)]
    kept += [(2 + i, t) for t, count in enumerate(KEEP_ENVELOPE) for i in range(count)]
    kept += [(2 + ENVELOPE + i, t) for i, count in enumerate(KEEP_APERIODICITY) for t in range(count)]
    basis = np.zeros((len(kept), ROWS, size))
    for row, (feature, t) in enumerate(kept):
        basis[row, :, feature] = times[t]
    assert len(kept) == AUDIO_CHANNELS
    return basis.reshape(len(kept), -1)


def _bridge(f0: Rows) -> Rows:
    """Log pitch with straight lines across unvoiced stretches; flat where nothing is voiced."""
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) == 0:
        return np.full(len(f0), MEAN_LOG_F0)
    bridged: Rows = np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))
    return bridged
