"""Prints what the zero-drift test says of true lips and real voices, clean and with drift put in.

    python bench/drift.py [--languages en zh] [--seconds 60]

A talk of the test split's sentences, said by the neural voices (muybridge[world]); the mouth is the renderer's own jaw
track, frame by frame. Nothing generated is in it: this is the measure's floor. Sound is then shifted (ms), stretched
(ms/s) or stepped in the middle (ms); a clean talk should pass and nothing else.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from muybridge.evaluate import sync
from muybridge.evaluate.drift_report import judge
from muybridge.request import LANGUAGES
from muybridge.world.soundtrack import EFFORT
from muybridge.world.utterances import utterance
from muybridge.world.visemes import viseme_tracks
from muybridge.world.voices import SAMPLE_RATE

Floats = NDArray[np.float64]
GAP_S = 0.35
CASES: list[tuple[str, int, float, int]] = [
    ("clean", 0, 0, 0),
    *((f"{s:+d} ms", s, 0, 0) for s in (-80, -40, 20, 40, 80)),
]
CASES += [*((f"{s:+g} ms/s", 0, s, 0) for s in (0.5, 1, 2)), ("step 40 ms", 0, 0, 40), ("step 80 ms", 0, 0, 80)]


def talk(language: str, seconds: float) -> tuple[Floats, Floats]:
    """(jaw opening a frame, waveform) of sentences one after the other until `seconds` are full."""
    num_frames = round(seconds * 25)
    opening_T, waveform_S = np.zeros(num_frames), np.zeros(num_frames * SAMPLE_RATE // 25)
    at, number = 0.3, 0
    while True:
        item = utterance(number, "test", language)
        number += 1
        speech = item.speech.waveform_S
        if at + len(speech) / SAMPLE_RATE > seconds:
            return opening_T, waveform_S
        start = round(at * SAMPLE_RATE)
        waveform_S[start : start + len(speech)] += speech
        phones = [p.moved(at) for p in item.speech.phones]
        padded = np.concatenate([np.zeros(start, np.float32), speech])
        jaw = viseme_tracks(phones, num_frames, padded, SAMPLE_RATE, EFFORT[item.register])["jawOpen"]
        opening_T = np.maximum(opening_T, jaw)
        at += len(speech) / SAMPLE_RATE + GAP_S


def late(waveform_S: Floats, shift_ms: float, slope: float, step_ms: float) -> Floats:
    """The sound later by a shift, a slope about the middle, and a step there."""
    t = np.arange(len(waveform_S)) / SAMPLE_RATE
    middle = t[-1] / 2
    lag = (shift_ms + slope * (t - middle) + np.where(t > middle, step_ms, 0.0)) / 1000
    return np.asarray(np.interp(t - lag, t, waveform_S))


def main() -> None:
    """Prints a row for each language and case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), help="of the seven")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each talk")
    options = parser.parse_args()
    print("lang case          valid   offset   slope x length    90 % interval      worst   step   verdict")
    for language in options.languages:
        opening_T, waveform_S = talk(language, options.seconds)
        for name, *wrong in CASES:
            found = judge(name, opening_T, late(waveform_S, *wrong), SAMPLE_RATE, (options.seconds / 2,))
            d: sync.Drift = found.drift
            low, high = d.slope_ci_ms
            moved = d.slope_ms_per_s * found.seconds
            print(
                f"{language:4} {name:11}  {d.valid_share:6.0%}  {d.offset_ms:+7.1f}  {moved:+14.1f}"
                f"   {low:+7.1f} ..{high:+7.1f}  {d.worst_ms:7.1f} {d.step_ms:6.1f}   "
                f"{d.verdict}{' (passes)' if found.passes else ''}",
                flush=True,
            )


if __name__ == "__main__":
    main()
