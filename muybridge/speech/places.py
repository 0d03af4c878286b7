"""Which of two people who stand side by side says a line: what a speaker's name and the scene tell of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

LEFT = re.compile(r"\bleft\b|\blinks\b|\bgauche\b|左|왼쪽", re.IGNORECASE)
RIGHT = re.compile(r"\bright\b|\brechts\b|\bdroite\b|右|오른쪽", re.IGNORECASE)
WOMAN = re.compile(
    r"\b(?:wom[ae]n|girl|lady|she|her|mother|frau|mädchen|sie|femme|fille|dame|elle)\b|女|她|彼女|여자|여성|그녀",
    re.IGNORECASE,
)
MAN = re.compile(
    r"\b(?:m[ae]n|boy|guy|gentleman|he|his|father|mann|junge|er|homme|garçon|il(?! y a| neige| pleut| fait))\b"
    r"|男|他|彼(?!女)|남자|남성|그는",
    re.IGNORECASE,
)
PERSON = re.compile(
    r"\b(?:person|people|child|children|kid|friends?|speaker|teacher|doctor|portrait|face|[Ii]mage \d|personen?|"
    r"mensch\w*|leute|kind|gesicht|freund\w*|personnes?|gens|enfants?|visage|amie?s?)\b|"
    r"人|位|孩|脸|臉|顔|子供|사람|아이|얼굴|친구",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"\b(?:both|they|everybody|all of them|beide|sie beide|tous|toutes|ils|elles)\b|都|一起|二人とも|모두|둘 다",
    re.IGNORECASE,
)
NUM_PLACES = 2
_ONE = r"\ban? (?:[\w-]+ ){0,3}(?:wo)?man\b"
_OWN = re.compile(r"\ban? (?:(?!an?\b)[\w-]+ ){0,3}(?:wo)?man\b", re.IGNORECASE)  # nobody's place before it
TWO = re.compile(
    rf"\b(?:two|2) (?:\w+ ){{0,2}}(?:people|persons|men|women|friends|girls|boys|speakers|colleagues)\b|\ba couple\b"
    rf"|{_ONE}[^.;:]{{0,160}}?\band (?:[^.;:]{{0,40}}?)?{_ONE}"
    r"|[两兩二][个個位名]?人|두 사람|두 명|\bzwei (?:\w+ )?(?:personen|menschen|frauen|männer|leute)\b"
    r"|\bdeux (?:personnes|hommes|femmes|amis|amies)\b",
    re.IGNORECASE,
)
MORE = re.compile(
    r"\b(?:three|four|five|many|several|crowd|group|audience|people|children|kids|everyone)\b|\bgruppe\b|\bmenge\b|\bfoule\b"
    r"|\bgroupe\b|\bgens\b|\bleute\b|群|众|眾|人々|군중",
    re.IGNORECASE,
)


def is_about_people(scene: str) -> bool:
    """Whether a scene speaks of anybody: what else looks like a face is none."""
    return any(words.search(scene) is not None for words in (MAN, WOMAN, PERSON))


def is_leftward(scene: str) -> bool:
    """Whether a scene speaks of the left and not of the right."""
    return LEFT.search(scene) is not None and RIGHT.search(scene) is None


def how_many(scene: str, num_speakers: int = 0) -> int | None:
    """One or two people, where a scene or its speakers leave no doubt; None where they do, or speak of nobody."""
    if TWO.search(scene) or num_speakers == NUM_PLACES:
        return 2
    if not is_about_people(scene) or MORE.search(scene) or num_speakers > NUM_PLACES:
        return None
    return 1


def each_alone(scene: str) -> tuple[str, str] | None:
    """The scene of two people told of each alone, from the left; None where it does not count two."""
    hit = TWO.search(scene)
    if hit is None:
        return None
    start = hit.start() + (own.start() if (own := _OWN.search(hit.group())) else 0)
    words, tail = scene[start : hit.end()], scene[hit.end() :]
    man, woman = MAN.search(words), WOMAN.search(words)
    who = ("a person", "a person")
    if man is not None and woman is not None:
        parts = re.split(r"\band\b", words)
        who = (" and ".join(parts[:-1]).strip(), parts[-1].strip()) if len(parts) > 1 else ("a man", "a woman")
    elif man is not None or woman is not None:
        who = ("a man",) * 2 if woman is None else ("a woman",) * 2
    return scene[:start] + who[0] + tail, scene[:start] + who[1] + tail


def subject_of(clause: str, before: str = "") -> str:
    """ "man" or "woman", whichever a clause speaks of first; `before` where of neither, and nobody for both."""
    if _BOTH.search(clause):
        return ""
    found = [
        (hit.start(), who) for who, words in (("man", MAN), ("woman", WOMAN)) for hit in [words.search(clause)] if hit
    ]
    return min(found)[1] if found else before


def place_of(who: str, scene: str) -> int | None:
    """0 (left) or 1 (right) of a "man" or "woman" of a scene of both; None where it does not tell."""
    return _told(who, scene) if who else None


def places(speakers: Sequence[str | None], scene: str) -> list[int]:
    """0 (left) or 1 (right) of each line's speaker.

    A name says it ("the woman on the left"), or what the scene mentions first stands on the left; else the first who
    speaks does. Left and right are the viewer's.
    """
    found: dict[str | None, int] = {}
    for speaker in speakers:
        if speaker in found:
            continue
        place = _told(speaker or "", scene)
        if place is None:
            place = next((k for k in range(NUM_PLACES) if k not in found.values()), 0)
        found[speaker] = place
    return [found[speaker] for speaker in speakers]


def _told(speaker: str, scene: str) -> int | None:
    if LEFT.search(speaker) or RIGHT.search(speaker):
        return int(LEFT.search(speaker) is None)
    man, woman = MAN.search(scene), WOMAN.search(scene)
    if man is None or woman is None:
        return None
    is_man, is_woman = MAN.search(speaker) is not None, WOMAN.search(speaker) is not None
    if is_man == is_woman:
        return None
    return int((man.start() < woman.start()) != is_man)
