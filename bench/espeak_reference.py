"""Reference phonemes from the espeak-ng library (GPL): for building tables and for tests only, never at run time."""

from __future__ import annotations

import ctypes
import ctypes.util
import re
from functools import cache

VOICES = {"en": "en-us", "de": "de", "fr": "fr", "yue": "yue", "ko": "ko"}


@cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
    library = ctypes.CDLL(name)
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    if library.espeak_Initialize(2, 0, None, 0) <= 0:
        raise RuntimeError("espeak-ng does not start; install it with `apt-get install espeak-ng`")
    return library


def espeak_ipa(text: str, language: str) -> str:
    """IPA of one text, one space between words, punctuation lost; language as in `VOICES`."""
    library = _library()
    if library.espeak_SetVoiceByName(VOICES[language].encode()) != 0:  # keeps the old voice when it fails
        raise RuntimeError(f"espeak-ng has no voice {VOICES[language]!r}")
    pointer = ctypes.c_char_p(text.encode())
    clauses = []
    while pointer.value is not None:
        clauses.append(library.espeak_TextToPhonemes(ctypes.byref(pointer), 1, 2).decode())
    ipa = " ".join(clauses).replace("??", "ʊɾ")  # 1.51 writes the German vowel of "Turm" so
    return re.sub(r"\([a-z-]+\)", "", ipa).strip()
