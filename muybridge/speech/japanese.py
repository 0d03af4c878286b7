"""Japanese to phonemes: readings from Open JTalk (pyopenjtalk-plus, BSD), kana to symbols by rule.

Kana are taken apart through their Unicode names (KATAKANA LETTER GA), so the table holds consonants, not syllables.
"""

from __future__ import annotations

import re
import unicodedata

_VOWELS = {"A": "a", "I": "i", "U": "ɯ", "E": "e", "O": "o"}
_CONSONANTS = {
    "": "", "K": "k", "G": "ɡ", "S": "s", "Z": "ʣ", "T": "t", "D": "d", "N": "n", "H": "h", "B": "b", "P": "p",
    "M": "m", "Y": "j", "R": "ɾ", "W": "β", "V": "v",
}  # fmt: skip
_BEFORE_I = {"S": "ɕ", "Z": "ʥ", "D": "ʥ", "T": "ʨ", "N": "ɲ", "H": "ç"}
_PALATAL = {"S": "ɕ", "Z": "ʥ", "D": "ʥ", "T": "ʨ", "N": "ɲ", "H": "ç"}
_PLAIN_I = frozenset(("", "Y", "W"))
_MARKS = {"、": ", ", "。": ". ", "？": "? ", "！": "! ", "，": ", ", "．": ". ", "：": ": ", "；": "; ", "…": "… "}
_MARKS |= dict.fromkeys(",・", ", ") | {c: f"{c} " for c in ".?!:;"} | {"—": "— ", "ー": "ː", "「": " “", "」": "” "}


def japanese_phonemes(text: str) -> str:
    """Phonemes of Japanese text: kanji and digits are read in context, a space between words."""
    import pyopenjtalk

    out = []
    for part in re.findall(
        r"[、。？！，．：；…,.?!:;—「」『』()（）]|[^、。？！，．：；…,.?!:;—「」『』()（）]+", text
    ):
        if part in _MARKS:
            out.append(_MARKS[part])
            continue
        if not part.strip() or not re.search(r"\w", part):
            continue
        nodes = pyopenjtalk.run_frontend(part, use_sudachi_kanji_yomi=False)
        words: list[str] = []
        for node in nodes:
            kana = re.sub(r"[^ァ-ヺー]", "", node["pron"]) if node["pos"] != "記号" else ""
            is_ending = node["chain_flag"] == 1 and (node["pos"] != "助詞" or kana in ("テ", "デ", "バ"))
            if words and kana and (is_ending or kana[0] == "ー"):
                words[-1] += kana  # endings, counters: one word
            elif kana:
                words.append(kana)
        out.append(" ".join(kana_phonemes(w) for w in words))
    return re.sub(r"\s+", " ", "".join(out)).strip()


def kana_phonemes(kana: str) -> str:
    """Phonemes of one word in katakana."""
    out: list[str] = []
    i = 0
    while i < len(kana):
        char, small = kana[i], kana[i + 1] if i + 1 < len(kana) and kana[i + 1] in "ァィゥェォャュョヮ" else ""
        i += 2 if small and char not in "ッンー" else 1
        if char == "ー":
            out.append("ː")
        elif char == "ッ":
            out.append("ʔ" if i < len(kana) else "")
        elif char == "ン":
            out.append("ン")
        else:
            out.append(_syllable(char, small))
    text = "".join(out)
    text = re.sub("ン(?=[mpb])", "m", text)
    text = re.sub("ン(?=[kɡ])", "ŋ", text)
    text = re.sub("ン(?=[ɲʨʥ])", "ɲ", text)
    text = re.sub("ン(?=[ntdɾz])", "n", text)
    return text.replace("ン", "ɴ")


def _syllable(char: str, small: str) -> str:
    name = unicodedata.name(char, "").rpartition(" ")[2]
    if not name or name[-1] not in _VOWELS:
        return ""
    row, vowel = re.sub("[AIUEO]$", "", name), name[-1]
    if not small:
        return _plain(row, vowel)
    glide = unicodedata.name(small).rpartition(" ")[2]
    target = _VOWELS[glide[-1]]
    if glide[0] == "Y":  # キャ: palatal consonant, and u is centred
        target = "ɨ" if glide == "YU" else target
        head = _PALATAL[row] if row in _PALATAL and vowel == "I" else _CONSONANTS.get(row, "") + "ʲ"
        return head + target
    if row == "W" or (row == "" and vowel == "U"):
        return "β" + target
    if row == "" and vowel == "I":
        return "j" + target
    if row in ("K", "G") and vowel == "U":
        return _CONSONANTS[row] + "ᵝ" + target
    if row == "H" and vowel == "U":
        return "ɸ" + ("ʲ" if glide == "I" else "") + target
    if row == "T" and vowel == "U":
        return "ʦ" + ("ʲ" if glide == "I" else "") + target
    if row in ("T", "D") and vowel in "EO":
        return _CONSONANTS[row] + ("ʲ" if glide == "I" else "") + target
    if row in _PALATAL and vowel == "I":
        return _PALATAL[row] + target
    return _CONSONANTS.get(row, "") + ("ʲ" if glide == "I" or vowel == "I" else "") + target


def _plain(row: str, vowel: str) -> str:
    if row == "W" and vowel != "A":
        return _VOWELS[vowel]
    if vowel == "I" and row not in _PLAIN_I:
        return _BEFORE_I[row] + "i" if row in _BEFORE_I else _CONSONANTS.get(row, "") + "ʲi"
    if vowel == "U" and row in ("S", "Z", "D", "T", "H"):
        return {"S": "sɨ", "Z": "zɨ", "D": "zɨ", "T": "ʦɨ", "H": "ɸɯ"}[row]
    return _CONSONANTS.get(row, "") + _VOWELS[vowel]
