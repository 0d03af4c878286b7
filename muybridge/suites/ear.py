"""How far a mouth would be open for what is heard: phones, not loudness, so that it works where voices are even.

The ear is the shipped one, which hears given voices (engine/listener.py). It takes no part in lips that are drawn from
a plan, so it may judge them; lips that were driven by a given voice went through it, and are judged by loudness.

Letters: S samples, A audio latents, H half latents, R points at `sync.RATE`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from muybridge import media
from muybridge.engine.listener import LETTERS, RATE, Listener
from muybridge.engine.tiny import LISTENER, load_audio_codec
from muybridge.evaluate import sync
from muybridge.model.weights import load_into
from muybridge.model.world_audio_codec import WorldAudioCodec
from muybridge.suites.run import SHIPPED
from muybridge.world.visemes import SMOOTHING_S, jaw_of

Floats = NDArray[np.float64]
CODEC_RATE, LATENT = 24_000, 960  # Hz; samples
LEAST = 0.1  # of the time phones must be heard, or there is nobody whom the ear knows how to hear


def opening(waveform_S: NDArray[np.floating], sample_rate: int) -> Floats | None:
    """[R]: the jaw's opening expected of the phones heard, each as far as the ear is sure of it; None without any."""
    codec, ear = _parts()
    sound_1S = media.resample(np.asarray(waveform_S, np.float32)[None], sample_rate, CODEC_RATE)
    padded = torch.nn.functional.pad(torch.from_numpy(sound_1S), (0, -sound_1S.shape[1] % LATENT))
    audio_1AC = codec.encode(padded[None]).transpose(1, 2).float()
    with torch.inference_mode():
        odds_HK = ear(audio_1AC)[0].softmax(-1).double().numpy()
    if 1 - odds_HK[:, -1].mean() < LEAST:
        return None
    count = int(len(waveform_S) * sync.RATE / sample_rate)
    heard_R = np.interp(np.arange(count) / sync.RATE, (np.arange(len(odds_HK)) + 0.5) / RATE, odds_HK @ _jaws())
    kernel = np.hanning(round(SMOOTHING_S * sync.RATE) + 2)[1:-1]
    smooth: Floats = np.convolve(heard_R, kernel / kernel.sum(), "same")
    return smooth


@cache
def _jaws() -> Floats:
    """The opening that each of LETTERS asks for, and 0 for none."""
    return np.array([*(jaw_of(letter) for letter in LETTERS), 0.0])


@cache
def _parts() -> tuple[WorldAudioCodec, Listener]:
    ear = Listener().eval()
    load_into(ear, SHIPPED / f"{LISTENER}.safetensors", cast=lambda _: torch.float32, any_float=True)
    return load_audio_codec(SHIPPED), ear
