"""Text to phonemes in seven languages: offline, no GPL code, in the symbols of `muybridge.speech.symbols`.

One character a symbol; words are separated by one space, pause marks stay where they were written.
"""

from __future__ import annotations

import re
from functools import lru_cache

from muybridge.errors import NotInstalled, UserError
from muybridge.request import LANGUAGES
from muybridge.speech.alphabetic import alphabetic_phonemes
from muybridge.speech.chinese import HAN, cantonese_phonemes, mandarin_phonemes
from muybridge.speech.japanese import japanese_phonemes
from muybridge.speech.korean import korean_phonemes
from muybridge.speech.reading import read_out
from muybridge.speech.symbols import PAUSES, SYMBOLS

_MARKS = {"，": ",", "、": ",", "。": ".", "．": ".", "！": "!", "？": "?", "：": ":", "；": ";", "–": "—", "·": " "}
_OWN_SCRIPT = {
    "zh": HAN,
    "yue": HAN,
    "ko": "가-힣",
    "ja": HAN + r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f々〆ヶ",
}


@lru_cache(maxsize=4096)
def phonemes(text: str, language: str) -> str:
    """`text` as phonemes, ending in a pause mark. Raises UserError when nothing in it can be said in `language`.

    >>> phonemes("Hello world", "en")
    'həlˈO wˈɜːld.'
    """
    if language not in LANGUAGES:
        raise UserError(f"There is no voice for language {language!r}; choose one of {', '.join(LANGUAGES)}.")
    said = _tidy("".join(_said(part, own, language) for part, own in _runs(read_out(text, language), language)))
    if not re.search(r"\w", said):
        raise UserError(f"There is nothing to say in {language} in {text!r}; write words in that language.")
    return said if said[-1] in PAUSES else said + "."


def words(phoneme_text: str) -> list[str]:
    """The words of a phoneme string, without pause marks."""
    return [w for w in re.split(rf"[\s{re.escape(''.join(PAUSES))}\"()“”]+", phoneme_text) if w]


def _said(text: str, is_own_script: bool, language: str) -> str:
    """One run of text in one script. Raises NotInstalled when the language's reader is missing."""
    if language in ("en", "de", "fr"):
        return alphabetic_phonemes(text, language)
    if not is_own_script:
        return f" {alphabetic_phonemes(text, 'en').strip()} "
    try:
        if language == "ja":
            return japanese_phonemes(text)
        text = "".join(_MARKS.get(c, c) for c in text)
        text = re.sub(r"([,.!?:;])(?=\S)", r"\1 ", text)
        return {"zh": mandarin_phonemes, "yue": cantonese_phonemes, "ko": korean_phonemes}[language](text)
    except ImportError as error:
        raise NotInstalled(f"Reading {language} needs {error.name}: pip install 'muybridge[local]'") from error


def _runs(text: str, language: str) -> list[tuple[str, bool]]:
    """The text cut where the script changes between the language's own and Latin letters."""
    if language not in _OWN_SCRIPT:
        return [(text, True)]
    found = re.findall(r"[A-Za-zÀ-ɏ'’]+(?:[\s-]+[A-Za-zÀ-ɏ'’]+)*|[^A-Za-zÀ-ɏ'’]+", text)
    return [(part, not re.match(r"[A-Za-zÀ-ɏ]", part)) for part in found]


def _tidy(said: str) -> str:
    """Only symbols of the alphabet, one space between words, none before a pause mark, no pause mark twice."""
    said = "".join(_MARKS.get(c, c) for c in said)
    said = re.sub(r"\.{2,}", "…", said)
    said = "".join(c for c in said if c in SYMBOLS)
    said = re.sub(r"\s+", " ", said)
    said = re.sub(r" (?=[,.;:!?…])", "", said)
    said = re.sub(r"([,.;:!?—…])[\s,.;:—…]*(?=[,.;:!?…])", "", said)
    return re.sub(r"^[\s,.;:!?—…]+", "", said).strip()
