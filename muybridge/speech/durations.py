"""How long phones and pauses last: a log-linear model of phone, neighbours and place, one small table per language.

The tables are fitted to the pace of the neural voices by `muybridge train pacing` (ridge least squares on log seconds;
the multiplicative model of Klatt 1979 with learned factors).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from muybridge.speech.symbols import BEFORE_MARKS, MARKS, PAUSES, PUNCTUATION, VOWELS

REGISTER_RATE = {"calm": 0.86, "neutral": 1.0, "energetic": 1.14}  # speed against neutral
MIN_PHONE_S = 0.025
CLASSES = {
    **dict.fromkeys(VOWELS, "vowel"),
    **dict.fromkeys("ptkqbdɡʔʈɖcɟ", "stop"),
    **dict.fromkeys("ʣʥʦʨꭧʤʧ", "affricate"),
    **dict.fromkeys("fvszʃʒθðhxçɕʂɸβχɣʝ", "fricative"),
    **dict.fromkeys("mnŋɲɴɳ", "nasal"),
    **dict.fromkeys("lɹɾrɻʁʎɽʋjwɥɰ", "liquid"),
}


@dataclass(frozen=True)
class Phone:
    """One phone or pause with its marks (`ˈA`, `tʰ`, `a↘`, `,`), in seconds on the clock of whatever holds it."""

    symbol: str
    start_s: float
    end_s: float
    ends_word: bool = False

    @property
    def base(self) -> str:
        """The letter without stress, length and tone marks."""
        return next((c for c in self.symbol if c not in MARKS), self.symbol[0])

    @property
    def is_pause(self) -> bool:
        """Whether it is a pause mark."""
        return self.base in PAUSES

    def moved(self, shift_s: float) -> Phone:
        """The same phone later by `shift_s`."""
        return Phone(self.symbol, self.start_s + shift_s, self.end_s + shift_s, self.ends_word)


def merge_marks(said: str, edges_s: list[float]) -> list[Phone]:
    """Phones of a phoneme string whose character i lasts from `edges_s[i]` to `edges_s[i + 1]`; they tile that time.

    The time of a mark goes to its phone (stress to the one after it, all others to the one before), that of a space,
    quote or bracket to what stands before it.
    """
    phones: list[Phone] = []
    start, prefix = edges_s[0], ""
    for i, char in enumerate(said):
        end = edges_s[i + 1]
        if char in BEFORE_MARKS:
            prefix += char
        elif char in MARKS or (char in PUNCTUATION and char not in PAUSES):
            if phones:
                last = phones[-1]
                symbol, ends = (last.symbol + char, False) if char in MARKS else (last.symbol, not last.is_pause)
                phones[-1] = Phone(symbol, last.start_s, end, ends or last.ends_word)
                start = end
        else:
            if char in PAUSES and phones:
                last = phones[-1]
                phones[-1] = Phone(last.symbol, last.start_s, last.end_s, not last.is_pause)
            phones.append(Phone(prefix + char, start, end))
            start, prefix = end, ""
    if phones and not phones[-1].is_pause:
        phones[-1] = Phone(phones[-1].symbol, phones[-1].start_s, phones[-1].end_s, True)
    return phones


def split_phones(said: str) -> list[Phone]:
    """The phones of a phoneme string, without times."""
    return merge_marks(said, [0.0] * (len(said) + 1))


def features(phones: list[Phone]) -> list[dict[str, float]]:
    """What the duration of each phone depends on, as named numbers."""
    kinds = ["pause" if p.is_pause else CLASSES.get(p.base, "other") for p in phones]
    out = []
    to_pause = _distance_to_pause(phones)
    for i, phone in enumerate(phones):
        before = kinds[i - 1] if i else "start"
        after = kinds[i + 1] if i + 1 < len(phones) else "end"
        named = {
            "bias": 1.0,
            f"is {phone.base}": 1.0,
            f"before {kinds[i]} {before}": 1.0,
            f"after {kinds[i]} {after}": 1.0,
        }
        for mark in phone.symbol:
            if mark in MARKS:
                named[f"mark {mark}"] = 1.0
        if phone.ends_word:
            named[f"ends word {kinds[i]}"] = 1.0
        if i == 0 or phones[i - 1].ends_word:
            named[f"starts word {kinds[i]}"] = 1.0
        if to_pause[i] < 3:
            named[f"{to_pause[i]} vowels to pause, {kinds[i]}"] = 1.0
        named["length"] = math.log(len(phones)) - 3.5
        named[f"length {kinds[i]}"] = named["length"]
        out.append(named)
    return out


@cache
def duration_table(language: str) -> dict[str, float]:
    """The fitted weights of one language; `smear` corrects the mean after the exponential."""
    text = resources.files("muybridge.speech").joinpath("data", "durations.json").read_text("utf-8")
    table: dict[str, float] = json.loads(text)[language]
    return table


def natural_durations(said: str, language: str) -> list[Phone]:
    """The phones of `said` one after the other from 0 s, at the voices' neutral pace."""
    table = duration_table(language)
    phones = split_phones(said)
    at, timed = 0.0, []
    for phone, named in zip(phones, features(phones), strict=True):
        log_s = sum(table.get(name, 0.0) * value for name, value in named.items())
        seconds = max(MIN_PHONE_S, math.exp(log_s) * table["smear"])
        timed.append(Phone(phone.symbol, at, at + seconds, phone.ends_word))
        at += seconds
    return timed


def articulation_rate(phones: list[Phone] | tuple[Phone, ...]) -> float:
    """Vowels per second of speech, pauses left out (syllable nuclei of the phoneme string)."""
    spoken_s = sum(p.end_s - p.start_s for p in phones if not p.is_pause)
    nuclei = len(re.findall("V+", "".join("V" if p.base in VOWELS else "C" for p in phones)))
    return nuclei / spoken_s if spoken_s else 0.0


def _distance_to_pause(phones: list[Phone]) -> list[int]:
    """Vowels from each phone to the next pause (0: in the last syllable's rime)."""
    out, count = [0] * len(phones), 0
    for i in range(len(phones) - 1, -1, -1):
        if phones[i].is_pause:
            count = 0
        out[i] = count
        if phones[i].base in VOWELS:
            count += 1
    return out
