"""Korean to phonemes: Hangul syllables through the standard sound changes, then jamo to symbols.

Source of the changes: the Standard Pronunciation (표준 발음법) of the National Institute of Korean Language, chapters
2-6. There is no symbol for tense consonants: they share the plain letter and are never voiced.
"""

from __future__ import annotations

import re

ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
CODAS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
SPLIT = {
    "ㄳ": "ㄱㅅ",
    "ㄵ": "ㄴㅈ",
    "ㄶ": "ㄴㅎ",
    "ㄺ": "ㄹㄱ",
    "ㄻ": "ㄹㅁ",
    "ㄼ": "ㄹㅂ",
    "ㄽ": "ㄹㅅ",
    "ㄾ": "ㄹㅌ",
    "ㄿ": "ㄹㅍ",
}
SPLIT |= {"ㅀ": "ㄹㅎ", "ㅄ": "ㅂㅅ"}
KEPT_SECOND = frozenset("ㄺㄻㄿ")  # clusters that keep their second member
CLASS = {"ㄲ": "ㄱ", "ㅋ": "ㄱ", "ㅅ": "ㄷ", "ㅆ": "ㄷ", "ㅈ": "ㄷ", "ㅊ": "ㄷ", "ㅌ": "ㄷ", "ㅎ": "ㄷ", "ㅍ": "ㅂ"}
ASPIRATE = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
TENSE = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}
NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
ONSET_SOUND = dict(
    zip(
        ONSETS,
        ["k", "k", "n", "t", "t", "ɾ", "m", "p", "p", "s", "s", "_", "ʨ", "ʨ", "ʨʰ", "kʰ", "tʰ", "pʰ", "h"],
        strict=True,
    )
) | {"ㅇ": ""}
VOWEL_SOUND = dict(
    zip(
        VOWELS,
        [
            "a",
            "ɛ",
            "ja",
            "jɛ",
            "ʌ",
            "e",
            "jʌ",
            "je",
            "o",
            "wa",
            "wɛ",
            "we",
            "jo",
            "u",
            "wʌ",
            "we",
            "wi",
            "ju",
            "ɯ",
            "ɯi",
            "i",
        ],
        strict=True,
    ),
)
CODA_SOUND = {"ㄱ": "k", "ㄴ": "n", "ㄷ": "t", "ㄹ": "l", "ㅁ": "m", "ㅂ": "p", "ㅇ": "ŋ", "": ""}
VOICED = {"ㄱ": "ɡ", "ㄷ": "d", "ㅂ": "b", "ㅈ": "ʥ"}
PALATAL = frozenset("ㅣㅑㅕㅛㅠㅟㅒㅖ")


def korean_phonemes(text: str) -> str:
    """Phonemes of Korean text that holds only Hangul, spaces and pause marks; other characters are dropped."""
    words = re.findall(r"[가-힣]+|[^가-힣]+", text)
    return "".join(_word(w) if "가" <= w[0] <= "힣" else w for w in words)


def _word(word: str) -> str:
    syllables = [_jamo(c) for c in word]
    if word.endswith("의") and len(word) > 1:
        syllables[-1][1] = "ㅔ"  # the possessive
    for i, syllable in enumerate(syllables):
        if syllable[1] == "ㅢ" and (i > 0 or syllable[0] != "ㅇ"):
            syllable[1] = "ㅣ"
        following = syllables[i + 1] if i + 1 < len(syllables) else None
        if following is None:
            syllable[2] = _final(syllable[2])
        elif following[0] == "ㅇ":
            _link(syllable, following)
        else:
            _meet(syllable, following, is_step=word[i] == "밟")
    return _sounds(syllables)


def _jamo(char: str) -> list[str]:
    code = ord(char) - 0xAC00
    return [ONSETS[code // 588], VOWELS[code // 28 % 21], CODAS[code % 28].strip()]


def _final(coda: str) -> str:
    """A coda at the end of a word: one of seven."""
    if coda in SPLIT:
        coda = SPLIT[coda][1 if coda in KEPT_SECOND else 0]
    return CLASS.get(coda, coda)


def _link(syllable: list[str], following: list[str]) -> None:
    """Coda before a vowel: its last member moves over."""
    coda = syllable[2]
    if coda in ("", "ㅇ"):
        return
    if coda in SPLIT:
        stays, moves = SPLIT[coda][0], SPLIT[coda][1]
        moves = {"ㅅ": "ㅆ", "ㅎ": ""}.get(moves, moves)
        syllable[2] = stays if moves else ""
        moves = moves or stays
    else:
        stays, moves = "", coda
        syllable[2] = ""
        if moves == "ㅎ":
            moves = "ㅇ"
    if following[1] == "ㅣ":
        moves = {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}.get(moves, moves)
    following[0] = moves


def _meet(syllable: list[str], following: list[str], is_step: bool) -> None:
    """Coda before a consonant: aspiration, tensing, nasals and liquids."""
    coda, onset = syllable[2], following[0]
    ends_in_h = coda in ("ㅎ", "ㄶ", "ㅀ")
    if ends_in_h and onset in ASPIRATE:
        following[0], syllable[2] = ASPIRATE[onset], SPLIT.get(coda, " ")[0].strip()
        return
    if ends_in_h and onset == "ㅅ":
        following[0], syllable[2] = "ㅆ", SPLIT.get(coda, " ")[0].strip()
        return
    if coda == "ㄺ" and onset == "ㄱ":  # 읽고 -> 일꼬
        following[0], syllable[2] = "ㄲ", "ㄹ"
        return
    final = "ㅂ" if is_step else _final(coda)
    tail = SPLIT.get(coda, coda)[-1:]
    if onset == "ㅎ" and (final in ASPIRATE or tail in ASPIRATE):
        stop = tail if tail in ASPIRATE else final
        following[0], syllable[2] = ASPIRATE[stop], SPLIT[coda][0] if coda in SPLIT else ""
        if coda in ("ㄷ",) and following[1] == "ㅣ":  # 닫히다 -> 다치다
            following[0] = "ㅊ"
        return
    if onset in TENSE and (final in NASAL or coda in ("ㄼ", "ㄾ", "ㄵ", "ㄻ")):
        following[0] = TENSE[onset]
    if onset in "ㄴㅁ" and final in NASAL:
        final = NASAL[final]
    if onset == "ㄹ":
        if final in NASAL:
            final, following[0] = NASAL[final], "ㄴ"
        elif final in ("ㅁ", "ㅇ"):
            following[0] = "ㄴ"
        elif final == "ㄴ":
            final = "ㄹ"
    if onset == "ㄴ" and final == "ㄹ":
        following[0] = "ㄹ"
    syllable[2] = final


def _sounds(syllables: list[list[str]]) -> str:
    out, before = "", ""
    for onset, vowel, coda in syllables:
        sound = ONSET_SOUND[onset]
        if before == "ㄹ" and onset == "ㄹ":
            sound = "l"
        elif onset in VOICED and before in ("vowel", "ㄴ", "ㅁ", "ㅇ", "ㄹ"):
            sound = VOICED[onset]
        elif onset in "ㅅㅆ" and vowel in PALATAL:
            sound = "ɕ"
        said = VOWEL_SOUND[vowel]
        if onset in "ㅈㅉㅊ":
            said = said.removeprefix("j")
        out += sound + said + CODA_SOUND[coda]
        before = coda or "vowel"
    return out
