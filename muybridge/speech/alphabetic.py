"""English, German and French to phonemes: letter tables word by word, then what happens between words.

Function words are weak (no stress, reduced vowels): the data file weak_LANGUAGE.json holds their form inside a
sentence. French also links words (liaison) and drops final vowels before an apostrophe.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache, lru_cache
from importlib import resources

from muybridge.speech.letters import letter_table, spell_out
from muybridge.speech.symbols import VOWELS

_WORD = r"[^\W\d_]+(?:['-][^\W\d_]+)*'?"
_LIAISON = {
    "z": "les des mes tes ses nos vos leurs ces aux nous vous ils elles deux trois six dix quelques plusieurs certains "
    "dans sans chez très plus moins sous pas jamais quels quelles autres grands petits bons leurs suis",
    "t": "est sont ont vont font quand grand petit tout était étaient avait avaient fait peut doit c'est vingt huit",
    "n": "un mon ton son on en bien rien aucun bon ancien",
}
_LINKS = {word: sound for sound, words in _LIAISON.items() for word in words.split()}
_DENASAL = frozenset(("bon", "ancien"))  # liaison also takes the nasality away
# words whose h stops both elision and liaison
_ASPIRATED = re.compile(
    "h(?:aut|aïr|all|alt|amac|ameau|anche|and|angar|ant|arc|ard|areng|aricot|asard|auss|éris|éro[s]?$|êtr|ibou"
    "|âte|oll|omard|ongr|onte|ors|oul|ublot|uit|urle|utte|eurt|iss|obb|ockey|arnais|arp|ache|aine|anneton)"
)
_UNSTRESSED = {ord("ˈ"): None, ord("ˌ"): None}
_SILENT_H = re.compile(r"^h(?!$)")


def alphabetic_phonemes(text: str, language: str) -> str:
    """Phonemes of text that `read_out` has prepared; pause marks are kept, other characters dropped."""
    out: list[str] = []
    previous = ""
    for token in re.findall(rf"{_WORD}|[^\w\s]|\s+", text.lower()):
        if not (token[0].isalpha()):
            out.append(" " if token.isspace() else token)
            previous = previous if token.isspace() else ""
            continue
        said = word_phonemes(token, language)
        if language == "fr" and previous and out and out[-1] == " ":
            sound = _link(previous, token)
            if sound:
                if previous in _DENASAL:
                    out[-2] = out[-2].replace("\u0303", "")
                if previous == "neuf":
                    out[-2] = out[-2].removesuffix("f")
                said = sound + said
        out.append(said)
        previous = token
    return "".join(out)


@lru_cache(maxsize=20_000)
def word_phonemes(word: str, language: str) -> str:
    """One lower-case word as it sounds inside a sentence."""
    weak = weak_forms(language)
    if word in weak:
        return weak[word]
    word = word.strip("'")
    parts = _split(word, language)
    if len(parts) > 1:
        said = [word_phonemes(p, language) for p in parts]
        return "".join(s.translate(_UNSTRESSED) for s in said[:-1]) + said[-1] if language == "fr" else "".join(said)
    table = letter_table(language)
    known = _first_letters(language)
    letters = "".join(c if c in known else unicodedata.normalize("NFD", c)[0] for c in _fold(word, language))
    return _one_stress(spell_out(letters, table), language)


@cache
def weak_forms(language: str) -> dict[str, str]:
    """Words whose form in a sentence differs from the one said alone."""
    text = resources.files("muybridge.speech").joinpath("data", f"weak_{language}.json").read_text("utf-8")
    forms: dict[str, str] = json.loads(text)
    return forms


@cache
def _first_letters(language: str) -> frozenset[str]:
    return frozenset(key[0] for key in letter_table(language))


def _fold(word: str, language: str) -> str:
    if language != "de":
        word = word.replace("ß", "ss")
    return word.replace("œ", "œ" if "œ" in _first_letters(language) else "oe").replace("æ", "ae")


def _split(word: str, language: str) -> list[str]:
    """Parts that are said one by one: hyphens everywhere; French elisions (l'eau), not aujourd'hui."""
    parts = [p for p in word.split("-") if p]
    if language == "fr" and "'" in word and not word.startswith(("aujourd", "quelqu'un", "presqu'")):
        parts = [q for p in parts for q in re.findall(r"[^']+'?", p)]
    return parts


def _one_stress(phonemes: str, language: str) -> str:
    """Exactly one main stress in a word with vowels: the last one found counts in en and fr, the first in de."""
    marks = [i for i, c in enumerate(phonemes) if c == "ˈ"]
    if len(marks) > 1:
        keep = marks[0] if language == "de" else marks[-1]
        return "".join("" if c == "ˈ" and i != keep else c for i, c in enumerate(phonemes))
    if not marks and "ˌ" in phonemes:
        return phonemes.replace("ˌ", "ˈ", 1)
    vowels = [i for i, c in enumerate(phonemes) if c in VOWELS and c != "ə"]
    if marks or len(vowels) < 2:
        return phonemes
    at = vowels[-1] if language == "fr" else vowels[0]
    return phonemes[:at] + "ˈ" + phonemes[at:]


def _link(previous: str, word: str) -> str:
    """The liaison sound between two French words, or ""."""
    if previous == "neuf" and word in ("heures", "ans"):
        return "v"
    sound = _LINKS.get(previous, "")
    if word == "un":
        return sound if sound == "t" else ""
    if not sound or _ASPIRATED.match(word) or word in ("onze", "oui", "ouistiti", "yaourt", "yacht"):
        return ""
    first = unicodedata.normalize("NFD", _SILENT_H.sub("", word))[0]
    return sound if first in "aeiouyœ" and not re.match("y[aeiou]", word) else ""
