"""The light that a prompt asks for, in seven languages: where it comes from, and how it changes, from when to when.

Left and right are the viewer's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muybridge.request import Beat, Request
from muybridge.speech.script import parse_script, without_quotes

# English, then Chinese and Cantonese, Japanese, Korean, German, French.
_LIGHT = r"\b(?:\w*light(?:s|ing)?|lit|lamps?|sun|sunshine)\b"
_LICHT, _LUMIERE = r"\b(?:\w*licht\w*|beleuchte\w*)\b", r"(?:lumière|éclair\w+)"
SIDES: dict[str, tuple[str, ...]] = {
    "left": (
        rf"{_LIGHT}[^.;,]{{0,24}}\b(?:from|on) the left\b|\bleft[- ]lit\b",
        r"光[^。，,]{0,6}左|左[边邊侧側面方][^。，,]{0,6}光",
        r"左(?:側|手)?から[^。、]{0,6}(?:光|照)|光[^。、]{0,6}左から",
        r"왼쪽에서[^.,]{0,10}(?:빛|조명|비추|비치)|(?:빛|조명)[^.,]{0,6}왼쪽에서",
        rf"{_LICHT}[^.;,]{{0,24}} von links|von links beleuchtet",
        rf"{_LUMIERE}[^.;,]{{0,24}}(?:de la|par la|à|sur la) gauche",
    ),
    "right": (
        rf"{_LIGHT}[^.;,]{{0,24}}\b(?:from|on) the right\b|\bright[- ]lit\b",
        r"光[^。，,]{0,6}右|右[边邊侧側面方][^。，,]{0,6}光",
        r"右(?:側|手)?から[^。、]{0,6}(?:光|照)|光[^。、]{0,6}右から",
        r"오른쪽에서[^.,]{0,10}(?:빛|조명|비추|비치)|(?:빛|조명)[^.,]{0,6}오른쪽에서",
        rf"{_LICHT}[^.;,]{{0,24}} von rechts|von rechts beleuchtet",
        rf"{_LUMIERE}[^.;,]{{0,24}}(?:de la|par la|à|sur la) droite",
    ),
    "behind": (
        rf"{_LIGHT}[^.;,]{{0,24}}\b(?:from behind|behind (?:the|him|her|them))|\bback-?lit\b|\bbacklight",
        r"逆光|背光|光[^。，,]{0,6}[后後]面",
        r"逆光|(?:後ろ|背後)から[^。、]{0,6}(?:光|照)",
        r"역광|뒤에서[^.,]{0,10}(?:빛|조명|비추|비치)",
        rf"gegenlicht|{_LICHT}[^.;,]{{0,24}} von hinten|von hinten beleuchtet",
        rf"contre-jour|{_LUMIERE}[^.;,]{{0,24}}par[- ]derrière",
    ),
    "front": (
        rf"{_LIGHT}[^.;,]{{0,24}}\bfrom the front\b|\b(?:frontal|front)[- ]light|\bfront-?lit\b",
        r"[顺順]光|正面[^。，,]{0,4}光|光[^。，,]{0,6}(?:前面|正面)",
        r"順光|正面から[^。、]{0,6}(?:光|照)",
        r"(?:정면|앞)에서[^.,]{0,10}(?:빛|조명|비추|비치)|정면 (?:빛|조명)",
        rf"{_LICHT}[^.;,]{{0,24}} von vorne?\b|von vorne? beleuchtet",
        rf"{_LUMIERE}[^.;,]{{0,24}}de face",
    ),
}
_IT = r"\b(?:it|everything|\w*lights?|lighting|scene|room|stage|sky|place)\b"
_SLOWLY = r"(?: \w+ly)?"
_GETS = rf"(?:gets?|grows?|becomes?|turns?|goes|shifts?(?: to)?){_SLOWLY}(?: \w+ and)?"
# Tried in this order: the first that is found counts.
CHANGES: dict[str, tuple[str, ...]] = {
    "flickers": (
        r"\bflicker(?:s|ing)?\b",
        r"[闪閃][烁爍动動]|忽明忽暗",
        r"ちらつ|明滅|点滅",
        r"깜[빡박]|껌벅",
        r"\bflacker|\bflimmer",
        r"\b(?:vacill|clignot|scintill)\w+",
    ),
    "sweeps": (
        r"\blights?\b[^.;,]{0,16}\b(?:across|from (?:left to right|(?:one )?side to))",
        r"光[^。，,]{0,6}(?:从左[^。，,]{0,4}右|[扫掃][过過])|[从從由]左[到至]右[^。，,]{0,6}光",
        r"光[がは]?[^。、]{0,6}左から右|光[がは]?[^。、]{0,4}(?:横切|なぞ)",
        r"빛[이은]?[^.,]{0,6}왼쪽에서 오른쪽|빛[이은]?[^.,]{0,6}(?:훑|가로)",
        r"\w*licht\w*[^.;,]{0,20} von links nach rechts",
        r"lumière[^.;,]{0,20}de gauche à droite|lumière balaie",
    ),
    "turns warm": (
        rf"{_IT}[^.;,]{{0,8}} {_GETS} (?:\w+ )?(?:warm(?:er)?|orange|golden|amber)\b",
        r"光[^。，,]{0,6}[变變轉转][^。，,]{0,3}(?:暖|橙|金)",
        r"光[がは]?[^。、]{0,6}(?:暖か|オレンジ|金色)",
        r"빛[이은]?[^.,]{0,6}(?:따뜻|주황|금빛)",
        r"licht (?:wird|färbt sich)[^.;,]{0,16}(?:warm|wärmer|orange|golden)",
        r"lumière (?:devient|vire)[^.;,]{0,16}(?:chaude?|orange|dorée?)",
    ),
    "turns blue": (
        rf"{_IT}[^.;,]{{0,8}} {_GETS} (?:\w+ )?(?:blu(?:e|ish|er)|cold(?:er)?|cool(?:er)?)\b",
        r"光[^。，,]{0,6}[变變轉转][^。，,]{0,3}(?:[蓝藍]|冷)",
        r"光[がは]?[^。、]{0,6}(?:青|冷た)",
        r"빛[이은]?[^.,]{0,6}(?:푸르|푸른|파랗|파란|차가)",
        r"licht (?:wird|färbt sich)[^.;,]{0,16}(?:blau|bläulich|kalt|kälter)",
        r"lumière (?:devient|vire)[^.;,]{0,16}(?:bleue?|froide?)",
    ),
    "brightens": (
        rf"{_IT}[^.;,]{{0,8}} {_GETS} (?:bright(?:er)?|light(?:er)?)\b|\bbrighten(?:s|ing)?\b",
        rf"\blights?{_SLOWLY} (?:comes?|goes|go|turns?|is turned|are turned|fades?) (?:up|on|in)\b",
        r"\blamps? (?:comes?|goes|go|turns?|is (?:turned|switched)) on\b",
        r"[变變]亮|亮起|[亮光][^。，,]{0,3}起[来來]|越[来來]越亮|[开開]灯|[开開]燈",
        r"明るくな|明かりがつ|明るさを増",
        r"밝아|환해|불이 켜",
        r"\b(?:wird|werden) (?:\w+ )?(?:heller|hell)\b|licht geht an|hellt (?:sich )?auf",
        r"s'éclaircit|s'illumine|s'intensifie|lumière (?:s'allume|monte)|devient plus (?:clair|lumineu)",
    ),
    "dims": (
        rf"{_IT}[^.;,]{{0,8}} {_GETS} (?:dark(?:er)?|dim(?:mer)?)\b",
        r"\bdim(?:s|ming)\b|\blights? dim\b|\bdarken(?:s|ing)?\b",
        rf"\blights?{_SLOWLY} (?:fades?|goes|go|turns?|is turned|are turned)(?:{_SLOWLY} (?:out|off|down|away))?\b",
        r"[变變][^。，,]{0,2}暗|暗下|越[来來]越暗|[关關熄][掉]?[灯燈]|[灯燈]熄",
        r"暗くな|明かりが消|光が(?:弱|消)",
        r"어두워|불이 꺼",
        r"\b(?:wird|werden) (?:\w+ )?(?:dunkler|dunkel)\b|licht (?:geht aus|verlischt|schwindet|dimmt)|verdunkelt",
        r"s'assombrit|s'éteint|faiblit|(?:lumière|scène) (?:baisse|diminue)|devient plus sombre",
    ),
}
_SIDES, _CHANGES = (
    {name: re.compile("|".join(words), re.IGNORECASE) for name, words in table.items()} for table in (SIDES, CHANGES)
)


@dataclass(frozen=True)
class Change:
    """One change of the light, by its name in CHANGES, between two times of the clip in seconds."""

    name: str
    start_s: float
    end_s: float


def side_of(scene: str) -> str | None:
    """Where the light of a scene comes from: "left", "right", "behind" or "front"; None where it does not say."""
    return _first(_SIDES, without_quotes(scene))


def asked(request: Request) -> tuple[Change, ...]:
    """The changes of light of a request's prompt and beats."""
    script = parse_script(request.prompt, request.language)
    return changes_of(script.scene, (*request.beats, *script.beats), request.seconds)


def changes_of(scene: str, beats: Sequence[Beat], seconds: float) -> tuple[Change, ...]:
    """The changes of beats at their times, else the first that the scene names, over the whole clip."""
    told = ((_first(_CHANGES, beat.text), beat) for beat in beats)
    timed = tuple(Change(name, beat.start_s, beat.end_s) for name, beat in told if name)
    name = _first(_CHANGES, without_quotes(scene))
    return timed or ((Change(name, 0.0, seconds),) if name else ())


def _first(table: Mapping[str, re.Pattern[str]], text: str) -> str | None:
    return next((name for name, words in table.items() if words.search(text)), None)
