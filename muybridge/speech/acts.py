"""The gestures of head, shoulders and hand that a prompt asks for, in seven languages: which, when, how far at a time.

Left and right are the viewer's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from muybridge.request import Beat, Request
from muybridge.speech.places import subject_of
from muybridge.speech.script import parse_script, without_quotes

EASE_S = 0.35  # in which a gesture comes and goes
SWINGS = {"nod": 1.7, "shake head": 1.5}  # to and fro, so often a second
LONGEST_S, ROOM = 1.8, 0.7  # of a gesture without times: at most so long, and so much of its share of the clip

_HIS = r"(?:his|her|their|the|its|my|your)"
_TURNS = rf"(?:turns?|turning|looks?|looking|glances?|glancing)(?: {_HIS} (?:head|face|gaze|eyes))?"
# English, then Chinese and Cantonese, Japanese, Korean, German, French.
WORDS: dict[str, tuple[str, ...]] = {
    "nod": (
        r"\bnod(?:s|ding)?\b",
        r"[点點][头頭]",
        r"うなず|頷",
        r"끄덕",
        r"\bnick(?:t|en|end)\b",
        r"\bhoch(?:e|ant) (?:de )?la tête",
    ),
    "shake head": (
        rf"\bshak(?:es?|ing) {_HIS} head|\bsignals? no with {_HIS} head",
        r"[摇搖擰][头頭]",
        r"[首頭]を(?:横に)?[振ふ]",
        r"고개를 (?:젓|저으|저었|가로)",
        r"\bschüttelt (?:\w+ )?(?:den|ihren|seinen) Kopf",
        r"\bsecou(?:e|ant) la tête",
    ),
    "turn left": (
        rf"\b{_TURNS} (?:over )?(?:to (?:the |his |her )?)?left\b",
        r"向左[转轉看望]|[转轉]向左|望[去向]?左",
        r"左を(?:向|見)",
        r"왼쪽(?:으로|을) (?:돌|돈|보|본|바라)",
        r"\b(?:dreht|wendet|schaut|blickt) (?:\w+ ){0,3}nach links",
        r"(?:se tourne|tourne la tête|regarde) (?:vers|à) (?:la )?gauche",
    ),
    "turn right": (
        rf"\b{_TURNS} (?:over )?(?:to (?:the |his |her )?)?right\b",
        r"向右[转轉看望]|[转轉]向右|望[去向]?右",
        r"右を(?:向|見)",
        r"오른쪽(?:으로|을) (?:돌|돈|보|본|바라)",
        r"\b(?:dreht|wendet|schaut|blickt) (?:\w+ ){0,3}nach rechts",
        r"(?:se tourne|tourne la tête|regarde) (?:vers|à) (?:la )?droite",
    ),
    "look up": (
        rf"\b(?:looks?|looking|glances?|glancing|gazes?) up\b|\b(?:raises?|lifts?) {_HIS} (?:eyes|gaze|head)",
        r"[抬仰]起?[头頭]|望上面|向上[看望]",
        r"上を(?:見|向)|見上げ",
        r"위(?:를|로) (?:보|본|바라|올려)|올려다",
        r"\b(?:schaut|blickt|sieht) (?:\w+ )?(?:nach oben|hoch|auf\b)",
        r"\blève (?:les yeux|la tête|le regard)|regarde vers le haut",
    ),
    "look down": (
        rf"\b(?:looks?|looking|glances?|glancing|gazes?) down\b|\blowers? {_HIS} (?:eyes|gaze|head)",
        r"低下?[头頭]|望落?下面|向下[看望]",
        r"下を(?:見|向)|うつむ|俯",
        r"아래(?:를|로) (?:보|본|바라|내려)|내려다|고개를 숙",
        r"\b(?:schaut|blickt|sieht) (?:\w+ )?(?:nach unten|hinunter)|\bsenkt (?:\w+ )?(?:Kopf|Blick)",
        r"\bbaisse (?:les yeux|la tête|le regard)|regarde vers le bas",
    ),
    "tilt head": (
        rf"\b(?:tilts?|tilting|cocks?|cocking) {_HIS} head",
        r"[歪側侧][着著]?[头頭]",
        r"首をかしげ|首を傾げ",
        r"(?:고개|머리)를 (?:기울|갸우)",
        r"\b(?:neigt|legt) (?:\w+ )?(?:den|ihren|seinen) Kopf",
        r"\bpench(?:e|ant) la tête",
    ),
    "shrug": (
        r"\bshrug(?:s|ged|ging)?\b",
        r"[耸聳]了?[耸聳]?[肩膊]|[缩縮][缩縮]?膊[头頭]",
        r"肩をすくめ",
        r"어깨를 (?:으쓱|들썩)",
        r"\bzuckt (?:\w+ ){0,2}(?:Schultern|Achseln)|\bSchulterzucken",
        r"\bhauss(?:e|ant) les épaules",
    ),
    "lean in": (
        r"\blean(?:s|ing)? (?:in\b|forward|closer|towards? (?:the )?(?:camera|viewer|us))",
        r"身体前倾|身體前傾|向前[倾傾]|[凑湊]近",
        r"身を乗り出",
        r"(?:몸|상체)을 (?:앞으로 )?(?:숙|기울)",
        r"\bbeugt sich (?:\w+ )?(?:vor|nach vorn)",
        r"\bse penche (?:en avant|vers (?:la caméra|nous))",
    ),
    "wave": (
        rf"\bwav(?:es?|ing) (?:{_HIS} |a |one |both )?(?:hands?|arms?)\b"
        r"|\bwav(?:es?|ing) (?:at|to|hello|goodbye|back)\b"
        r"|(?:\b(?:he|she|they|(?:wo)?m[ae]n|person|people|girl|boy|guy|lady|then)|\]) (?:is |are )?wav(?:es?|ing)\b"
        r"|\b(?:shirt|sweater|jumper|hoodie|jacket|coat|suit|dress|blouse|cardigan|glasses|hat) wav(?:es?|ing)\b"
        r"|^\s*waves?\W*$|\braises? (?:a|his|her|one) hand\b",
        r"[挥揮招][挥揮]?[了着著]?手",
        r"手を[振ふ]",
        r"손을? ?(?:흔들|흔든)",
        r"\bwink(?:t|en|end)\b",
        r"\bfai(?:t|sant) (?:un )?(?:signe|coucou)|\bsalue de la main|\bagit(?:e|ant) la main",
    ),
}
_FOUND = {name: re.compile("|".join(words), re.IGNORECASE) for name, words in WORDS.items()}
_CAMERA = re.compile(r"\b(?:camera|shot|view|lens|kamera|caméra)\b|镜头|鏡頭|カメラ|카메라", re.IGNORECASE)
TO_CAMERA = ("lean in", "wave")
CLAUSE = re.compile(r"[.;,。；，、\n]|\b(?:and|while|then)\b")


@dataclass(frozen=True)
class Act:
    """One gesture, by its name in WORDS, between two times of the clip in seconds, of a "man", a "woman" or anybody."""

    name: str
    start_s: float
    end_s: float
    who: str = field(default="", compare=False)

    def value(self, t_s: float) -> float:
        """How far it has gone at a time, 0 to 1; swings go from -1 to 1, to the far side first."""
        length = self.end_s - self.start_s
        if length <= 0 or not self.start_s < t_s < self.end_s:
            return 0.0
        edge_s = min(EASE_S, length / 2)
        share = _eased((t_s - self.start_s) / edge_s) * _eased((self.end_s - t_s) / edge_s)
        if self.name not in SWINGS:
            return share
        turns = max(2, round(length * SWINGS[self.name]))
        return share * math.sin(2 * math.pi * (t_s - self.start_s) * turns / length)


def _eased(u: float) -> float:
    u = min(max(u, 0.0), 1.0)
    return u * u * (3 - 2 * u)


def asked(request: Request) -> tuple[Act, ...]:
    """The gestures of a request's prompt and beats."""
    script = parse_script(request.prompt, request.language)
    return acts_of(script.scene, (*request.beats, *script.beats), request.seconds)


def acts_of(scene: str, beats: Sequence[Beat], seconds: float) -> tuple[Act, ...]:
    """The gestures of beats, each beat's in turn during it; else those of the scene, in turn over the clip."""
    timed = [act for beat in beats for act in _in_turn(told(beat.text), beat.start_s, beat.end_s, 1.0, seconds)]
    return tuple(timed or _in_turn(told(without_quotes(scene)), 0.0, seconds, ROOM, LONGEST_S))


def _in_turn(acts: Sequence[tuple[str, str]], start_s: float, end_s: float, room: float, longest_s: float) -> list[Act]:
    """Each in the middle of its share of a span."""
    found = []
    for number, (name, who) in enumerate(acts):
        share = (end_s - start_s) / len(acts)
        length = min(room * share, longest_s)
        begin = start_s + share * number + (share - length) / 2
        found.append(Act(name, begin, begin + length, who))
    return found


def named(text: str) -> list[str]:
    """The gestures that a text speaks of, in its order; what a camera does is none."""
    return [name for name, _ in told(text)]


def told(text: str) -> list[tuple[str, str]]:
    """As `named`, each with whose it is: "man", "woman", or "" for anybody."""
    found: list[tuple[int, str, str]] = []
    start, who = 0, ""
    for end in [*(mark.end() for mark in CLAUSE.finditer(text)), len(text)]:
        clause = text[start:end]
        who = subject_of(clause, who)
        if not _CAMERA.search(clause) or any(_FOUND[name].search(clause) for name in TO_CAMERA):
            found += [
                (start + hit.start(), name, who)
                for name, words in _FOUND.items()
                for hit in [words.search(clause)]
                if hit
            ]
        start = end
    acts = [(name, who) for _, name, who in sorted(found)]
    return [act for act, before in zip(acts, [("", ""), *acts], strict=False) if act != before]  # said twice is once
