"""Tiny's audio codec has no weights, only statistics of each latent channel over the world's sound."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from muybridge.model.world_audio_codec import WorldAudioCodec, half_whitened


def run(out: Path, seconds: float = 900.0, quiet: bool = False) -> Path:
    """Measure over `seconds` of the world's sound and write `audio_codec.json`; returns its path."""
    from muybridge.world.talking import sound_stream

    return measure(sound_stream(seconds), out / "export" / "audio_codec.json", quiet)


def measure(waveforms_S: Iterable[NDArray[np.float32]], path: Path, quiet: bool = True) -> Path:
    """Statistics of the raw latents of mono waveforms at 24 kHz, written as JSON."""
    codec = WorldAudioCodec()
    parts = []
    for waveform in track(waveforms_S, "analysing sound", disable=quiet):
        whole = len(waveform) // codec.samples_per_latent * codec.samples_per_latent
        parts.append(codec.encode(torch.from_numpy(waveform[:whole])[None, None])[0])
    latents = torch.cat(parts, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    spread_C = half_whitened(latents.std(1).clamp(min=1e-3))
    values = {"mean": latents.mean(1).tolist(), "std": spread_C.tolist()}
    path.write_text(json.dumps(values | {"num_latents": latents.shape[1]}))
    return path
