"""The phoneme alphabet: the 114 one-character symbols of the Kokoro voices, and IPA brought into it.

Source of the alphabet: the vocabulary of Kokoro-82M v1.0. A phoneme string is a sequence of these characters; marks
(stress, length, tone ...) are characters of their own.
"""

from __future__ import annotations

import re

PUNCTUATION = {";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, "—": 9, "…": 10, '"': 11, "(": 12, ")": 13}
PUNCTUATION |= {"“": 14, "”": 15, " ": 16}
# fmt: off
PHONES = {
    "ʣ": 18, "ʥ": 19, "ʦ": 20, "ʨ": 21, "ꭧ": 23, "ʤ": 82, "ʧ": 133, "A": 24, "I": 25, "O": 31, "Q": 33, "S": 35,
    "T": 36, "W": 39, "Y": 41, "a": 43, "b": 44, "c": 45, "d": 46, "e": 47, "f": 48, "h": 50, "i": 51, "j": 52,
    "k": 53, "l": 54, "m": 55, "n": 56, "o": 57, "p": 58, "q": 59, "r": 60, "s": 61, "t": 62, "u": 63, "v": 64,
    "w": 65, "x": 66, "y": 67, "z": 68, "ɑ": 69, "ɐ": 70, "ɒ": 71, "æ": 72, "ɔ": 76, "ə": 83, "ɚ": 85, "ɛ": 86,
    "ɜ": 87, "ɨ": 101, "ɪ": 102, "ɯ": 110, "ø": 116, "œ": 120, "ʊ": 135, "ʌ": 138, "ɤ": 140, "ᵊ": 42, "ᵻ": 177,
    "β": 75, "ɕ": 77, "ç": 78, "ɖ": 80, "ð": 81, "ɟ": 90, "ɡ": 92, "ɥ": 99, "ʝ": 103, "ɰ": 111, "ŋ": 112, "ɳ": 113,
    "ɲ": 114, "ɴ": 115, "ɸ": 118, "θ": 119, "ɹ": 123, "ɾ": 125, "ɻ": 126, "ʁ": 128, "ɽ": 129, "ʂ": 130, "ʃ": 131,
    "ʈ": 132, "ʋ": 136, "ɣ": 139, "χ": 142, "ʎ": 143, "ʒ": 147, "ʔ": 148,
}
MARKS = {
    "\u0303": 17, "ᵝ": 22, "ˈ": 156, "ˌ": 157, "ː": 158, "ʰ": 162, "ʲ": 164, "↓": 169, "→": 171, "↗": 172, "↘": 173,
}
# fmt: on
SYMBOLS: dict[str, int] = PUNCTUATION | PHONES | MARKS
BEFORE_MARKS = frozenset("ˈˌ")  # their time belongs to the phone after them; that of all other marks to the one before
VOWELS = frozenset("aeiouyAIOQWYɑɐɒæɔəɚɛɜɨɪɯøœʊʌɤᵊᵻ")
PAUSES = frozenset(",.;:!?—…")

# In this order; IPA as espeak-ng writes it on the left.
_IPA = {
    "en": (
        [
            ("aɪ", "I"),
            ("aʊ", "W"),
            ("eɪ", "A"),
            ("oʊ", "O"),
            ("əʊ", "Q"),
            ("ɔɪ", "Y"),
            ("tʃ", "ʧ"),
            ("dʒ", "ʤ"),
            ("ts", "ʦ"),
            ("ɚ", "əɹ"),
            ("ɝ", "ɜɹ"),
            ("ɐ", "ə"),
            ("r", "ɹ"),
            ("ɹɹ", "ɹ"),
        ]
    ),
    "de": (
        [
            ("ɔø", "Y"),
            ("ɔʏ", "Y"),
            ("aɪ", "I"),
            ("aʊ", "W"),
            ("ɜ", "ɐ"),
            ("ʏ", "y"),
            ("ɑ", "a"),
            ("tʃ", "ʧ"),
            ("ɾ", "ʁ"),
            ("r", "ʁ"),
        ]
    ),
    "fr": [],
}


def to_kokoro(ipa: str, language: str) -> str:
    """IPA of en, de or fr in the alphabet's symbols; what the alphabet has no letter for is dropped."""
    text = ipa.replace("g", "ɡ").replace("\u0329", "")
    for old, new in _IPA[language]:
        text = text.replace(old, new)
    return re.sub(r"[^" + re.escape("".join(SYMBOLS)) + "]", "", text)


def token_ids(phonemes: str) -> list[int]:
    """One id a character; an unknown character is our own bug (the voices would drop it silently)."""
    unknown = sorted(set(phonemes) - SYMBOLS.keys())
    assert not unknown, f"not in the phoneme alphabet: {unknown} in {phonemes!r}"
    return [SYMBOLS[c] for c in phonemes]
