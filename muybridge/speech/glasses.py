"""Whether words put glasses on somebody, in seven languages."""

from __future__ import annotations

import re

from muybridge.speech.script import without_quotes

_SUN = re.compile(
    r"\bsunglasses|墨[镜鏡]|太[阳陽]眼?[镜鏡]|サングラス|선글라스|\bsonnenbrille|\blunettes de soleil", re.IGNORECASE
)
_GLASSES = re.compile(
    rf"{_SUN.pattern}|\b(?:eye)?glasses\b|\bspectacles\b|眼[镜鏡]|メガネ|めがね|안경|\b\w*brille\b|\blunettes\b",
    re.IGNORECASE,
)
_WITHOUT = re.compile(r"\bwithout\b|\bno\b|\bohne\b|\bkeine\b|\bsans\b|[没沒不無无]|なし|없|벗", re.IGNORECASE)
BEFORE, AFTER = 12, 6  # characters around the word, in which one says that there are none


def glasses_of(scene: str) -> str | None:
    """ "glasses" or "sunglasses", where the scene has somebody wear them."""
    text = without_quotes(scene)
    hit = _GLASSES.search(text)
    if hit is None or _WITHOUT.search(text[max(0, hit.start() - BEFORE) : hit.end() + AFTER]):
        return None
    return "sunglasses" if _SUN.search(text) else "glasses"


def left_of(text: str) -> str:
    """A text without its words for glasses."""
    return _GLASSES.sub(" ", text)
