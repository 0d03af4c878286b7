"""Word and character error rates with the normalisation that makes transcripts comparable."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from muybridge.speech.cardinals import cardinal, digits
from muybridge.speech.reading import read_out

BY_CHARACTER = frozenset({"zh", "yue", "ja", "ko"})


def normalise(text: str, language: str) -> list[str]:
    """Lower case, punctuation gone; words, or characters where the language is counted by them."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"[^\w\s']|_", " ", text)
    return [c for c in text if not c.isspace()] if language in BY_CHARACTER else text.split()


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein distance: insertions, deletions and substitutions that turn `a` into `b`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def error_rate(said: str, heard: str, language: str) -> float:
    """Edit distance over the length of what was said; may pass 1.

    Recognisers write figures: "88 dollars" and "2 1 9 2" count as heard where they are read as what was said.
    """
    wanted = normalise(said, language)
    return min(distance(wanted, normalise(r, language)) for r in readings(heard, language)) / max(1, len(wanted))


def readings(text: str, language: str) -> list[str]:
    """The text as it is, with its numbers, times and signs read out, and with its figures read one by one."""
    if not re.search(r"\d", text):
        return [text]
    numbers = re.sub(r"\d+", lambda found: cardinal(int(found[0]), language), read_out(text, language))
    return [text, numbers, re.sub(r"\d+", lambda found: f" {digits(found[0], language)} ", text)]
