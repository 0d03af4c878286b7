"""The pacing recipe: a table that made the durations is found again, and the error of unseen sentences is printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from muybridge.errors import InvalidRequest
from muybridge.recipes import pacing, run
from muybridge.speech.durations import Phone, natural_durations
from muybridge.speech.phonemes import phonemes

SENTENCES = [
    f"{who} {what} {where}."
    for who in ("My brother", "The old woman", "A small dog", "Our neighbour")
    for what in ("bought fresh bread", "waited quietly", "ran across the road", "looked for the key")
    for where in ("this morning", "in the garden", "near the station")
]


def timed(noise: float = 0.0) -> list[list[Phone]]:
    """Sentences as the shipped table times them, each phone's length changed by chance."""
    rng = np.random.default_rng(0)
    out = []
    for text in SENTENCES:
        at, phones = 0.0, []
        for phone in natural_durations(phonemes(text, "en"), "en"):
            length = (phone.end_s - phone.start_s) * float(np.exp(noise * rng.standard_normal()))
            phones.append(Phone(phone.symbol, at, at + length, phone.ends_word))
            at += length
        out.append(phones)
    return out


def test_durations_of_unseen_sentences_are_found_again() -> None:
    clean, noisy = (float(pacing.report(timed(noise)).split("median ")[1].split(",")[0]) for noise in (0.0, 0.5))
    assert clean < 0.03
    assert noisy > clean


def test_the_recipe_writes_tables_and_prints_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "en.txt").write_text("\n".join(SENTENCES))
    monkeypatch.setattr(
        pacing, "voiced", lambda text, language: list(natural_durations(phonemes(text, language), language))
    )
    settings = {"sentences": str(tmp_path), "languages": "en"}
    path = run("pacing", tmp_path / "out", settings, None, "cpu", True)
    tables = json.loads(path.read_text())
    assert set(tables) == {"en"}
    assert tables["en"]["smear"] == pytest.approx(1.0, abs=0.1)
    assert "unseen: sentence duration error median" in capsys.readouterr().out


def test_too_few_sentences_are_refused(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("")
    with pytest.raises(InvalidRequest, match="0 sentences"):
        pacing.run(tmp_path, str(tmp_path), languages="en", quiet=True)
    with pytest.raises(InvalidRequest, match="xx"):
        pacing.run(tmp_path, str(tmp_path), languages="xx", quiet=True)
