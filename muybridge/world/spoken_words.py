"""How captions tell of speech: the quotation, who says it, how, in what language and when, in many wordings.

Every wording is one that `speech.script.parse_script` takes apart again: text, language and register come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muybridge.speech.script import NAME_OF


@dataclass(frozen=True)
class Said:
    """One line as a caption tells it."""

    who: str
    text: str
    language: str
    register: str
    start_s: float
    end_s: float


MANNERS: dict[str, tuple[str, ...]] = {
    "calm": (
        "says calmly", "says softly", "says quietly", "says in a calm voice", "speaks slowly and calmly", "says gently",
        "explains patiently", "says in a soft voice", "says slowly", "murmurs", "says in a gentle tone",
    ),
    "neutral": (
        "says", "says", "says to the camera", "speaks", "replies", "remarks", "states", "tells us", "answers",
    ),
    "energetic": (
        "says excitedly", "shouts", "exclaims", "says loudly", "announces with energy", "says in an excited voice",
        "calls out loudly", "says enthusiastically", "cheers", "announces loudly", "exclaims excitedly",
    ),
}  # fmt: skip
QUOTES = (('"', '"'), ('"', '"'), ("“", "”"))


@dataclass(frozen=True)
class _Tongue:
    """How short prompts of a language tell a line: the speaker, the manners, languages by name, the quotation marks."""

    who: str
    manners: dict[str, tuple[str, ...]]
    names: dict[str, str]
    quote: tuple[str, str]
    verb_first: bool = False


_TONGUES = {
    "zh": _Tongue(
        "人物",
        {"calm": ("平静地说", "轻声说", "慢慢地说"), "neutral": ("说", "说道", "回答"),
         "energetic": ("激动地说", "兴奋地喊", "大叫")},
        {"en": "用英语", "zh": "用普通话", "yue": "用粤语", "ja": "用日语", "ko": "用韩语", "de": "用德语",
         "fr": "用法语"},
        ("：“", "”"),
    ),
    "yue": _Tongue(
        "呢個人",
        {"calm": ("平靜咁講", "輕聲講", "慢慢講"), "neutral": ("講", "話"),
         "energetic": ("興奮咁講", "激動咁講", "大叫")},
        {"en": "用英文", "zh": "用普通话", "yue": "用廣東話", "ja": "用日語", "ko": "用韓語", "de": "用德语",
         "fr": "用法语"},
        ("：「", "」"),
    ),
    "ja": _Tongue(
        "人物は",
        {"calm": ("静かに言います", "ゆっくり話します", "優しく言います"), "neutral": ("言います", "話します"),
         "energetic": ("興奮して言います", "大きな声で叫びます")},
        {"en": "英文で", "zh": "中文で", "yue": "粤语で", "ja": "日本語で", "ko": "韓語で", "de": "Deutschで",
         "fr": "Françaisで"},
        ("：「", "」"),
    ),
    "ko": _Tongue(
        "그 사람은 ",
        {"calm": ("차분하게 말한다", "조용히 말한다", "천천히 말한다"), "neutral": ("말한다", "이야기한다"),
         "energetic": ("신나게 말한다", "큰 소리로 외친다", "흥분해서 말한다")},
        {"en": "영어로 ", "zh": "中文으로 ", "yue": "粵語로 ", "ja": "日本語로 ", "ko": "한국어로 ", "de": "Deutsch로 ",
         "fr": "Français로 "},
        (': "', '"'),
    ),
    "de": _Tongue(
        "Die Person ",
        {"calm": ("sagt ruhig", "spricht leise", "sagt langsam"), "neutral": ("sagt", "spricht"),
         "energetic": ("ruft begeistert", "sagt aufgeregt", "ruft schnell")},
        {"en": "auf Englisch", "zh": "in Mandarin", "yue": "in Cantonese", "ja": "in Japanese", "ko": "in Korean",
         "de": "auf Deutsch", "fr": "auf Französisch"},
        (': "', '"'),
        True,
    ),
    "fr": _Tongue(
        "La personne ",
        {"calm": ("dit doucement", "parle lentement", "dit d'une voix calme"), "neutral": ("dit", "déclare"),
         "energetic": ("crie", "hurle", "dit d'un ton excité")},
        {"en": "en anglais", "zh": "en mandarin", "yue": "en cantonese", "ja": "en japanese", "ko": "en korean",
         "de": "en allemand", "fr": "en français"},
        (' : "', '"'),
        True,
    ),
}  # fmt: skip


def tell(caption: str, lines: Sequence[Said], seed: int) -> str:
    """The English caption with its lines told, all together or after one of its first sentences."""
    if not lines:
        return caption
    rng = np.random.default_rng([0x5A1D, seed])
    told = [_sentence(line, rng, k) for k, line in enumerate(lines)]
    room = 200 - sum(len(sentence.split()) for sentence in told)
    kept = caption.split()[: max(5, room)]
    before = " ".join(kept)
    if before[-1] not in ".!?":
        before = before.rstrip(",;:") + "."
    sentences = before.split(". ")
    if len(sentences) > 2 and rng.random() < 0.4:
        at = int(rng.integers(1, len(sentences)))
        return f"{'. '.join(sentences[:at])}. {' '.join(told)} {'. '.join(sentences[at:])}"
    return f"{before} {' '.join(told)}"


def _sentence(line: Said, rng: np.random.Generator, number: int) -> str:
    """One line told in English."""
    who = line.who if number == 0 or rng.random() < 0.7 else f"then {line.who}"
    manner = _one(rng, MANNERS[line.register])
    tongue = f" in {NAME_OF[line.language]}" if line.language != "en" or rng.random() < 0.15 else ""
    opening, closing = QUOTES[int(rng.integers(len(QUOTES)))]
    colon = ":" if rng.random() < 0.5 else ","
    told = f"{who} {manner}{tongue}{colon} {opening}{line.text}{closing}"
    if rng.random() < 0.25:
        start, end = line.start_s, line.end_s
        told = _one(
            rng,
            (f"at {start:.1f} s {told}", f"from {start:.1f} to {end:.1f} s {told}", f"{start:.1f}-{end:.1f} s: {told}"),
        )
    return told[0].upper() + told[1:]


def tell_short(prompt: str, lines: Sequence[Said], language: str, seed: int) -> str:
    """A short prompt in one of the seven languages with its lines told."""
    if not lines:
        return prompt
    if language == "en":
        return tell(prompt, lines, seed + 1)
    rng = np.random.default_rng([0x5A1E, seed])
    tongue = _TONGUES[language]
    spaced = language in ("ko", "de", "fr")
    out = prompt.rstrip(" 。.") + (". " if spaced else "。")
    for line in lines:
        manner = _one(rng, tongue.manners[line.register])
        name = tongue.names[line.language]
        said = f"{manner} {name}" if tongue.verb_first else f"{name}{manner}"
        out += f"{tongue.who}{said}{tongue.quote[0]}{line.text}{tongue.quote[1]}" + (" " if spaced else "")
    return out.rstrip()


def _one(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
