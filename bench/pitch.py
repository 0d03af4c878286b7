"""DIO with StoneMask against Harvest inside tiny's audio codec: time of analysis, distance of the resynthesis.

    python bench/pitch.py --count 8

Sound is that of talking clips (spoken live where the bank has none). The distance is the mean absolute difference of
log energies in 40 bands, over frames within 6 nepers of the loudest.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np
import torch
from numpy.typing import NDArray

from muybridge.model.world_audio_codec import RATE, ROW_MS, WorldAudioCodec, load_pyworld
from muybridge.world.talking import sound_stream

Floats = NDArray[np.float64]


class Harvest:
    """pyworld whose DIO answers with Harvest's pitch, which StoneMask leaves as it is."""

    def __init__(self) -> None:
        world = load_pyworld()
        self.dio = world.harvest
        self.stonemask = lambda _waveform_S, f0, _times, _rate: f0

    def __getattr__(self, name: str) -> object:
        return getattr(load_pyworld(), name)


def log_bands(waveform_S: Floats) -> Floats:
    """[frames, 40] log energies every 10 ms."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(waveform_S, 512), 1024)[:: int(RATE * ROW_MS / 1000)]
    power = np.abs(np.fft.rfft(windows * np.hanning(1024))) ** 2
    edges = (np.linspace(0, 1, 41) ** 1.7 * 400).astype(int) + np.arange(41)
    bands = [power[:, a:b].mean(1) for a, b in itertools.pairwise(edges)]
    out: Floats = np.log(np.stack(bands, 1) + 1e-3)
    return out


def main() -> None:
    """Print a line for each way of finding the pitch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=8, help="clips")
    count = parser.parse_args().count
    torch.set_num_threads(1)
    waves = [w.astype(np.float64) for w in itertools.islice(sound_stream(1e9, "train"), count)]
    for name, world in (("dio + stonemask", load_pyworld()), ("harvest", Harvest())):
        codec = WorldAudioCodec()
        codec.pyworld = world
        distances, seconds = [], 0.0
        for wave_S in waves:
            whole = torch.from_numpy(wave_S[: len(wave_S) // 960 * 960]).float()[None, None]
            started = time.perf_counter()
            latent = codec.encode(whole)
            seconds += time.perf_counter() - started
            wanted, found = (
                log_bands(whole[0, 0].double().numpy()),
                log_bands(codec.decode(latent)[0, 0].double().numpy()),
            )
            loud = wanted.max(1) > wanted.max() - 6
            distances.append(float(np.abs(wanted - found)[loud].mean()))
        length = sum(map(len, waves)) / RATE
        print(f"{name:16} {seconds / length:.3f} s of analysis a second, distance {np.mean(distances):.3f}")


if __name__ == "__main__":
    main()
