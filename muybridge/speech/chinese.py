"""Mandarin and Cantonese to phonemes: characters to pinyin or jyutping by packages, syllables to symbols by tables.

Packages: pypinyin and jieba (MIT) for Mandarin, ToJyutping (BSD) for Cantonese. Mandarin tones are marks after the
nucleus; Cantonese tones are not symbols (the voices know none): `cantonese_syllables` gives them beside.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
_INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k", "k": "kʰ", "h": "x",
    "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s", "": "",
}  # fmt: skip
# final -> (before the tone, after it)
_FINALS = {
    "a": ("a", ""), "ai": ("ai", ""), "an": ("a", "n"), "ang": ("a", "ŋ"), "ao": ("au", ""), "e": ("ɤ", ""),
    "ei": ("ei", ""), "en": ("ə", "n"), "eng": ("ə", "ŋ"), "er": ("ɚ", ""), "i": ("i", ""), "ia": ("ja", ""),
    "ian": ("jɛ", "n"), "iang": ("ja", "ŋ"), "iao": ("jau", ""), "ie": ("je", ""), "in": ("i", "n"),
    "iu": ("jou", ""), "ing": ("i", "ŋ"), "iong": ("jʊ", "ŋ"), "ong": ("ʊ", "ŋ"), "ou": ("ou", ""), "u": ("u", ""),
    "ui": ("wei", ""), "ua": ("wa", ""), "uai": ("wai", ""), "uan": ("wa", "n"), "un": ("wə", "n"),
    "uang": ("wa", "ŋ"), "ueng": ("wə", "ŋ"), "uo": ("wo", ""), "o": ("wo", ""), "v": ("y", ""), "ve": ("ɥe", ""),
    "van": ("ɥɛ", "n"), "vn": ("y", "n"), "io": ("jɔ", ""),
}  # fmt: skip
_WHOLE = {"m": ("m", ""), "n": ("n", ""), "ng": ("ŋ", ""), "hm": ("hm", ""), "hng": ("hŋ", ""), "o": ("ɔ", "")}
_WHOLE |= {"ê": ("ɛ", ""), "yo": ("jɔ", ""), "lo": ("lwo", "")}
_APICAL = frozenset(("zh", "ch", "sh", "r", "z", "c", "s"))

_YUE_INITIALS = {
    "gw": "kw", "kw": "kʰw", "ng": "ŋ", "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n",
    "l": "l", "g": "k", "k": "kʰ", "h": "h", "w": "w", "z": "ʦ", "c": "ʦʰ", "s": "s", "j": "j",
}  # fmt: skip
_YUE_NUCLEI = {"aa": "aː", "a": "ɐ", "e": "ɛ", "i": "i", "o": "ɔ", "u": "u", "oe": "œ", "eo": "ə", "yu": "y"}
_YUE_RIMES = {"ei": "ei", "ou": "ou", "ing": "ɪŋ", "ik": "ɪk", "ung": "ʊŋ", "uk": "ʊk", "eoi": "əy"}
_YUE_ENDINGS = {"": "", "i": "i", "u": "u", "m": "m", "n": "n", "ng": "ŋ", "p": "p", "t": "t", "k": "k"}
HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ffff〇"


def mandarin_phonemes(text: str) -> str:
    """Phonemes of Mandarin text; a space between words; characters that are not Han are kept as they are."""
    from pypinyin import Style, lazy_pinyin

    out = []
    for part in re.findall(rf"[{HAN}]+|[^{HAN}]+", text):
        if not re.match(rf"[{HAN}]", part):
            out.append(part)
            continue
        words = (w for w in _jieba().lcut(part) if w.strip())
        read = [lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True) for word in words]
        said = ("".join(map(syllable, reading)) for reading in read)
        out.append(" ".join(s for s in said if s))
    return "".join(out)


def syllable(pinyin: str) -> str:
    """One syllable, tone as a final digit 1-5 (`hao3`), in symbols; "" when it is none."""
    match = re.fullmatch(r"([a-zêü]+)([1-5])", pinyin.replace("ü", "v"))
    if not match:
        return ""
    body, tone = match[1], _TONES[match[2]]
    if body in _WHOLE:
        return _WHOLE[body][0] + tone
    body = re.sub("^yu", "v", body) if body != "you" else "iu"
    body = re.sub("^(y)(?=i)|^w(?=u)", "", body)
    body = re.sub("^y", "i", body)
    body = {"wei": "ui", "wen": "un", "weng": "ueng"}.get(body, re.sub("^w", "u", body))
    initial = re.match("zh|ch|sh|[bpmfdtnlgkhjqxrzcs]", body)
    head = initial[0] if initial else ""
    rime = body[len(head) :]
    if head in ("j", "q", "x"):
        rime = re.sub("^u", "v", rime)
    if head in _APICAL and rime == "i":
        return _INITIALS[head] + "ɨ" + tone
    before, after = _FINALS.get(rime, ("", ""))
    return _INITIALS[head] + before + tone + after if before else ""


def cantonese_phonemes(text: str) -> str:
    """Phonemes of Cantonese text, without tones; other characters are kept, Han without a reading are dropped."""
    return "".join(said for said, _ in _cantonese(text))


def cantonese_syllables(text: str) -> list[tuple[str, int]]:
    """The syllables of `cantonese_phonemes(text)` in order, each with its tone 1-6."""
    return [(said, tone) for said, tone in _cantonese(text) if tone]


def _cantonese(text: str) -> list[tuple[str, int]]:
    import ToJyutping

    out: list[tuple[str, int]] = []
    for char, reading in ToJyutping.get_jyutping_list(text):
        if reading is None:
            out.append(("" if re.fullmatch(rf"[{HAN}]", char) else char, 0))
            continue
        out += [(jyutping_syllable(part[:-1]), int(part[-1])) for part in reading.split()]
    return out


def jyutping_syllable(body: str) -> str:
    """One syllable without its tone digit (`hoi`) in symbols."""
    if body in ("m", "ng", "hm", "hng"):
        return body.replace("ng", "ŋ")
    initial = re.match("gw|kw|ng|[bpmfdtnlgkhwzcsj]", body)
    head = initial[0] if initial else ""
    rime = body[len(head) :]
    start = _YUE_INITIALS.get(head, "")
    if rime in _YUE_RIMES:
        return start + _YUE_RIMES[rime]
    match = re.fullmatch("(aa|oe|eo|yu|[aeiou])(ng|[iumnptk])?", rime)
    return start + _YUE_NUCLEI[match[1]] + _YUE_ENDINGS[match[2] or ""] if match else ""


@cache
def _jieba() -> Any:  # noqa: ANN401  (an untyped module)
    import logging

    import jieba  # type: ignore[import-untyped]

    jieba.setLogLevel(logging.WARNING)
    return jieba
