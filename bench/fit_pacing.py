"""Fits the duration tables to the neural voices and prints how well unseen sentences are predicted.

    python bench/fit_pacing.py FOLDER muybridge/speech/data/durations.json     # FOLDER/en.txt ..., a sentence a line

For every language: the default voice says up to 400 sentences (its duration model only, no sound is made); every
fifth one is held out. Cantonese is fitted on the Mandarin sentences read in Cantonese where FOLDER has no yue.txt.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from muybridge.errors import UserError
from muybridge.request import LANGUAGES
from muybridge.speech.durations import Phone, features, merge_marks
from muybridge.speech.phonemes import phonemes
from muybridge.world.voices import SPEED, VOICES, durations

RIDGE = 1.0
FRAME_S = 0.025


def voiced(sentence: str, language: str) -> list[Phone] | None:
    """Phones as the default voice times them."""
    try:
        said = phonemes(sentence, language)
    except UserError:
        return None
    if len(said) > 400:
        return None
    frames = np.maximum(np.round(durations(said, VOICES[language][0], SPEED[language])), 1) * FRAME_S
    return merge_marks(said, [0.0, *np.cumsum(frames).tolist()])


def fit(sentences: list[list[Phone]]) -> dict[str, float]:
    """Ridge least squares on log seconds."""
    rows = [named for phones in sentences for named in features(phones)]
    target = np.array([np.log(max(p.end_s - p.start_s, 0.02)) for phones in sentences for p in phones])
    names = sorted({name for row in rows for name in row})
    index = {name: i for i, name in enumerate(names)}
    gram = np.eye(len(names)) * RIDGE
    moment = np.zeros(len(names))
    for row, y in zip(rows, target, strict=True):
        at = [index[name] for name in row]
        values = np.array(list(row.values()))
        gram[np.ix_(at, at)] += np.outer(values, values)
        moment[at] += values * y
    weights = np.linalg.solve(gram, moment)
    table = dict(zip(names, weights.tolist(), strict=True))
    guess = np.array([np.exp(sum(table[n] * v for n, v in row.items())) for row in rows])
    return table | {"smear": float(np.exp(target).sum() / guess.sum())}


def predicted(phones: list[Phone], table: dict[str, float]) -> list[float]:
    """Seconds of each phone."""
    return [table["smear"] * float(np.exp(sum(table.get(n, 0) * v for n, v in f.items()))) for f in features(phones)]


def main() -> None:
    """Fits, prints, writes."""
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    tables = {}
    for language in LANGUAGES:
        source = folder / f"{language}.txt"
        lines = (source if source.exists() else folder / "zh.txt").read_text().strip().split("\n")[:400]
        timed = [p for p in (voiced(line, language) for line in lines) if p]
        held, known = timed[::5], [p for i, p in enumerate(timed) if i % 5]
        table = fit(known)
        spoken = [(sum(predicted(p, table)[:-1]), p[-1].start_s) for p in held]  # to the start of the last pause
        errors = np.array([abs(ours / theirs - 1) for ours, theirs in spoken])
        phone_ratio = [
            abs(np.log(a / max(b.end_s - b.start_s, 0.02)))
            for p in held
            for a, b in zip(predicted(p, table), p, strict=True)
        ]
        print(
            f"{language}: {len(known)} sentences; {len(held)} unseen: sentence duration error median "
            f"{np.median(errors):.3f}, 95 % {np.quantile(errors, 0.95):.3f}; phone |log ratio| "
            f"{np.median(phone_ratio):.3f}"
        )
        full = fit(timed)
        tables[language] = {n: round(w, 4) for n, w in full.items() if abs(w) >= 0.004}
    target.write_text(json.dumps(tables, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
