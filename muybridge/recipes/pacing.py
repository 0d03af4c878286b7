"""The pacing tables: how long phones last, fitted to the neural voices (only their duration model runs, no sound)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from muybridge.errors import InvalidRequest, UserError
from muybridge.request import LANGUAGES
from muybridge.speech.durations import Phone, features, merge_marks
from muybridge.speech.phonemes import phonemes

RIDGE = 1.0
FRAME_S = 0.025
HELD_OUT = 5  # every fifth sentence
LEAST = 0.004  # a smaller weight is left out of the table
Sentences = list[list[Phone]]


def run(
    out: Path, sentences: str | None = None, count: int = 400, languages: str = ",".join(LANGUAGES), quiet: bool = False
) -> Path:
    """Fit every language on up to `count` sentences, print the error on every fifth, write `export/durations.json`.

    `sentences` is a folder of en.txt ... with a sentence a line (yue: zh.txt where there is no yue.txt); without one
    the world's own training sentences are read. Raises NotInstalled (no voices), InvalidRequest (no sentences).
    """
    tables = {}
    for language in languages.split(","):
        if language not in LANGUAGES:
            raise InvalidRequest(f"There is no language {language!r}; choose from {', '.join(LANGUAGES)}.", "languages")
        lines = texts(language, count, None if sentences is None else Path(sentences))
        spoken = [voiced(line, language) for line in track(lines, f"{language}: timing", disable=quiet)]
        timed = [phones for phones in spoken if phones]
        if len(timed) < 2 * HELD_OUT:
            raise InvalidRequest(
                f"{language} has {len(timed)} sentences that can be read; give at least {2 * HELD_OUT}.", "sentences"
            )
        Console().print(f"{language}: {report(timed)}", highlight=False, soft_wrap=True)
        tables[language] = {n: round(w, 4) for n, w in fit(timed).items() if abs(w) >= LEAST}
    path = out / "export" / "durations.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tables, ensure_ascii=False, separators=(",", ":")) + "\n")
    return path


def texts(language: str, count: int, folder: Path | None) -> list[str]:
    """Sentences to time: a file's lines, or the world's."""
    if folder is None:
        from muybridge.world.sentences import sentence

        return [sentence(index, "train", language) for index in range(count)]
    source = folder / f"{language}.txt"
    source = source if source.exists() else folder / "zh.txt"
    if not source.exists():
        raise InvalidRequest(f"{folder} holds no {language}.txt; write one sentence a line.", "sentences")
    return source.read_text().strip().split("\n")[:count]


def voiced(sentence: str, language: str) -> list[Phone] | None:
    """Phones as the default voice times them; None for what cannot be read, or is longer than the voice takes."""
    from muybridge.world.voices import SPEED, VOICES, durations

    try:
        said = phonemes(sentence, language)
    except UserError:
        return None
    if len(said) > 400:
        return None
    frames = np.maximum(np.round(durations(said, VOICES[language][0], SPEED[language])), 1) * FRAME_S
    return merge_marks(said, [0.0, *np.cumsum(frames).tolist()])


def fit(sentences: Sentences) -> dict[str, float]:
    """Ridge least squares on log seconds; `smear` makes the sum of seconds right (Duan 1983)."""
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


def report(timed: Sentences) -> str:
    """Errors on every fifth sentence of a table fitted on the others."""
    held, known = timed[::HELD_OUT], [p for i, p in enumerate(timed) if i % HELD_OUT]
    table = fit(known)
    # To the start of the last pause: the closing mark has no time of its own.
    spoken = [(sum(predicted(p, table)[:-1]), p[-1].start_s) for p in held]
    errors = np.array([abs(ours / theirs - 1) for ours, theirs in spoken])
    ratios = [
        abs(np.log(a / max(b.end_s - b.start_s, 0.02)))
        for p in held
        for a, b in zip(predicted(p, table), p, strict=True)
    ]
    return (
        f"{len(known)} sentences; {len(held)} unseen: sentence duration error median {np.median(errors):.3f}, "
        f"95 % {np.quantile(errors, 0.95):.3f}; phone |log ratio| {np.median(ratios):.3f}"
    )
