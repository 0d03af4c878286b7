"""Prints how pacing does on sentences that nothing was fitted on, language by language.

    python bench/pacing.py [--count 40] [--voices 20]

pairs: share of texts that are at least 15 % quicker when shouted than when explained, by the prompt's words alone, and
the least and median ratio. pauses: share of inner punctuation with a pause of 80 ms. span: worst error of given starts
and ends. same pace: largest change of rate between clips of 6, 8 and 12 s. voice: median and 95 % error of a sentence's
predicted length against the neural voice's own (with --voices, which needs muybridge[world]).
"""

from __future__ import annotations

import argparse

import numpy as np

from muybridge.errors import UserError
from muybridge.evaluate import pacing
from muybridge.request import LANGUAGES
from muybridge.speech.durations import merge_marks, natural_durations
from muybridge.speech.phonemes import phonemes
from muybridge.world.sentences import sentence

FRAME_S = 0.025  # of the voices' duration model


def voice_errors(texts: list[str], language: str) -> list[float]:
    """|predicted / spoken - 1| of each sentence up to its closing mark."""
    from muybridge.world.voices import SPEED, VOICES, durations

    out = []
    for text in texts:
        said = phonemes(text, language)
        frames = np.maximum(np.round(durations(said, VOICES[language][0], SPEED[language])), 1) * FRAME_S
        spoken = merge_marks(said, [0.0, *np.cumsum(frames).tolist()])
        ours = natural_durations(said, language)
        at = -1 if spoken[-1].is_pause else len(spoken)
        end = spoken[at].start_s if at == -1 else spoken[-1].end_s
        mine = ours[at].start_s if at == -1 else ours[-1].end_s
        out.append(abs(mine / end - 1))
    return out


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="sentences of the test split in each language")
    parser.add_argument("--voices", type=int, default=0, help="of them compared with the neural voice")
    options = parser.parse_args()
    print("      pairs >= 15 %   ratio least median   pauses      span ms   same pace   voice median   95 %")
    for language in LANGUAGES:
        texts = [sentence(n, "test", language) for n in range(options.count)]
        found = pacing.pairs(texts, language)
        ratios = [p.ratio for p in found]
        marks = np.array([pacing.pauses(pacing.planned(t, language).phones) for t in texts]).sum(0)
        spans = [ms for t in texts for ms in pacing.span_errors_ms(t, language)]
        fits = []
        for text in texts:
            try:
                fits.append(pacing.invariance(text, language))
            except UserError:
                continue  # longer than 6 s
        row = (
            f"{language:4}  {np.mean([p.is_right for p in found]):13.0%}   {min(ratios):11.3f} {np.median(ratios):6.3f}"
            f"   {marks[1]:3d}/{marks[0]:<3d}   {max(spans):9.4f}   {max(fits) - 1:9.1%}"
        )
        if options.voices:
            errors = voice_errors(texts[: options.voices], language)
            row += f"   {np.median(errors):12.1%}   {np.quantile(errors, 0.95):4.1%}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
