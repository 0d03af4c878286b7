"""Prints what the zero-drift test says of true lips and real voices, clean and with drift put in.

    python bench/drift.py [--languages en zh] [--seconds 60] [--scripts 5] [--hear loudness]

Talks of the test split's sentences, said by the neural voices (muybridge[world]); the mouth is the renderer's own jaw
track, frame by frame. Nothing generated is in it: this is the measure's floor. Sound is then shifted (ms), stretched
(ms/s) or stepped in the middle (ms). Clean talks should pass and nothing else. A row is a language and what was put in:
how many scripts pass alone, worst window and step of any, the mean half width of their intervals; and all of them
judged together (muybridge/evaluate/pooled.py).
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from muybridge.evaluate.drift_report import Hears, Report, judge
from muybridge.evaluate.pooled import pool
from muybridge.request import LANGUAGES
from muybridge.suites import ear
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


def talk(language: str, seconds: float, number: int = 0) -> tuple[Floats, Floats]:
    """(jaw opening a frame, waveform) of sentences from `number` on, until `seconds` are full."""
    num_frames = round(seconds * 25)
    opening_T, waveform_S = np.zeros(num_frames), np.zeros(num_frames * SAMPLE_RATE // 25)
    at = 0.3
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
    parser.add_argument("--scripts", type=int, default=5, help="talks in each language")
    parser.add_argument("--hear", choices=("phones", "loudness"), default="phones", help="what tells of the sound")
    options = parser.parse_args()
    heard = ear.opening if options.hear == "phones" else None
    print("lang case         alone   valid  worst   step   +-alone   together: slope x length, 90 % interval, offset")
    for language in options.languages:
        talks = [talk(language, options.seconds, 1000 * k) for k in range(options.scripts)]
        for name, *wrong in CASES:
            row(language, name, [judged(o, late(w, *wrong), k, heard) for k, (o, w) in enumerate(talks)])


def judged(opening_T: Floats, waveform_S: Floats, number: int, heard: Hears | None) -> Report:
    """One talk by itself, a seam in its middle."""
    return judge(f"script {number}", opening_T, waveform_S, SAMPLE_RATE, (len(opening_T) / 50,), heard=heard)


def row(language: str, name: str, reports: list[Report]) -> None:
    """Prints what one case gives."""
    drifts = [r.drift for r in reports]
    wide = np.mean([(d.slope_ci_ms[1] - d.slope_ci_ms[0]) / 2 for d in drifts])
    passed = sum(r.passes for r in reports)
    text = (
        f"{language:4} {name:11} {passed:3d}/{len(reports):<3d} {min(d.valid_share for d in drifts):5.0%} "
        f"{max(d.worst_ms for d in drifts):6.1f} {max(d.step_ms for d in drifts):6.1f} {wide:8.1f}"
    )
    together = pool(reports)
    if together is not None:
        low, high = together.interval_ms
        verdict = "passes" if together.passes else "does not pass"
        text += (
            f"   {together.slope_x_length_ms:+12.1f} {low:+7.1f} ..{high:+7.1f} {together.offset_ms:+7.1f}   {verdict}"
        )
    print(text, flush=True)


if __name__ == "__main__":
    main()
