"""The moods that a prompt gives its person, in seven languages: which, from when to when."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muybridge.request import Beat, Request
from muybridge.speech.acts import CLAUSE, Act
from muybridge.speech.places import how_many, subject_of
from muybridge.speech.script import parse_script, without_quotes

# English, then Chinese and Cantonese, Japanese, Korean, German, French.
WORDS: dict[str, tuple[str, ...]] = {
    "happy": (
        r"\b(?<!un)happ(?:y|ily)\b|\bsmil(?:es?|ing)\b|\bbeam(?:s|ing)\b|\bgrin(?:s|ning)?\b|\bcheerful(?:ly)?\b|\blaugh",
        r"微笑|高[兴興]|[开開]心|[快歡欢][乐樂]|笑着|笑著",
        r"笑顔|微笑|嬉し|楽しそう|笑って",
        r"웃|미소|기쁘|기뻐|행복",
        r"\blächel|\bstrahlt\b|\bfröhlich|\bglücklich|\bfreut sich",
        r"\bsouri[ts]?\b|\bsouriant|\bjoyeu|\bheureu|\bcontente?s?\b",
    ),
    "sad": (
        r"\bsad(?:ly|ness)?\b|\bdowncast\b|\bunhappy\b|\bunhappily\b|\bsorrowful|\bgloom|\bmourn",
        r"悲[伤傷]|[难難][过過]|[伤傷]心|沮[丧喪]|唔開心|不[开開]心",
        r"悲し|哀し|落ち込",
        r"슬프|슬픈|슬퍼|우울",
        r"\btraurig|\bbetrübt|\bniedergeschlagen|\bunglücklich",
        r"\btriste|\babattu|\bmalheureu",
    ),
    "angry": (
        r"\bang(?:ry|rily|er)\b|\bglar(?:es?|ing)\b|\bfurious|\bscowl",
        r"生[气氣]|[愤憤]怒|[发發]怒|嬲",
        r"怒っ|怒り|怒る|睨",
        r"화가|화난|화를|화나|노려",
        r"\bwütend|\bzornig|\bverärgert|\bböse\b",
        r"\ben colère|\bfâché|\bfurieu",
    ),
    "surprised": (
        r"\bsurpris(?:e|ed)\b|\bastonish|\bamaze[d]|\bstartled\b|\bshocked\b",
        r"[惊驚][讶訝]|吃[惊驚]|[惊驚]奇",
        r"驚い|驚き|びっくり",
        r"놀라|놀란|놀람",
        r"\büberrascht|\berstaunt|\bverblüfft",
        r"\bsurprise?s?\b|\bétonné|\bstupéfait",
    ),
}
_FOUND = {mood: re.compile("|".join(words), re.IGNORECASE) for mood, words in WORDS.items()}
ALWAYS_S = 1.0  # a mood without times begins so long before the clip and ends so long after it


def asked(request: Request) -> tuple[Act, ...]:
    """The moods of a request's prompt and beats."""
    script = parse_script(request.prompt, request.language)
    return moods_of(script.scene, (*request.beats, *script.beats), request.seconds)


def moods_of(scene: str, beats: Sequence[Beat], seconds: float) -> tuple[Act, ...]:
    """The mood of each beat that has one, during it; else the scene's, all the time.

    Of two people each may have its own (Act.who); of one the first that is told counts.
    """
    text = without_quotes(scene)
    of_two = how_many(text) == 2
    timed = tuple(Act(m, beat.start_s, beat.end_s, who) for beat in beats for m, who in _told(beat.text, of_two))
    return timed or tuple(Act(mood, -ALWAYS_S, seconds + ALWAYS_S, who) for mood, who in _told(text, of_two))


def _told(text: str, of_two: bool) -> list[tuple[str, str]]:
    """(mood, whose): the first of all, and of two people the first of each."""
    found: dict[str, str] = {}
    who = ""
    for clause in CLAUSE.split(text):
        mood, who = named(clause), subject_of(clause, who)
        if mood is not None and (not found or (of_two and who)):
            found.setdefault(who if of_two else "", mood)
    return [(mood, who) for who, mood in found.items()]


def named(text: str) -> str | None:
    """The mood that a text speaks of first."""
    found = [(hit.start(), mood) for mood, words in _FOUND.items() for hit in [words.search(text)] if hit]
    return min(found)[1] if found else None
