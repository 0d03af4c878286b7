"""Word and character error rates with the normalisation that makes transcripts comparable."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

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
    """Edit distance over the length of what was said; may pass 1."""
    wanted = normalise(said, language)
    return distance(wanted, normalise(heard, language)) / max(1, len(wanted))
