"""What a prompt lets fall: rain, snow or fog, in seven languages, from when to when. Indoors nothing does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from muybridge.request import Beat, Request
from muybridge.speech.script import parse_script, without_quotes

# English, then Chinese and Cantonese, Japanese, Korean, German, French.
WORDS: dict[str, tuple[str, ...]] = {
    "snow": (
        r"\bsnow(?:s|ing|fall|flakes?|storm)\b|\bblizzard|\bweather is snowy|\bsnowy weather|\bfalling snow"
        r"|\b(?:it|to) snow\b|\bsnow(?: \w+){0,2} (?:falls?|falling|drifts?|drifting|comes down|coming down)\b",
        r"[下落飘飄][着著緊紧]?[大小细細]?雪|雪花|大雪|暴[风風]雪",
        r"雪が[^、。]{0,4}(?:降|舞|ちら)|雪を降ら|降る雪|吹雪",
        r"눈을 내리|눈이 (?:내|오|온|와|펑펑|쏟)|눈송이|눈보라|함박눈",
        r"\bschnei(?:t|en)\b|\bschneefall|\bschneeflocken|\bschneesturm"
        r"|\bschnee[^.,;]{0,12} fällt|\bfällt[^.,;]{0,12} schnee",
        r"\bil neige\b|\bneiger\b|\bneige (?:tombe|qui tombe)|\bflocons\b|\bchutes? de neige|\btempête de neige",
    ),
    "rain": (
        r"\brain(?:s|ing|y|fall|drops|storm)?\b|\bdownpour|\bdrizzl",
        r"[下落][着著緊紧]?[大小细細]?雨|[大暴小细細]雨|雨中",
        r"雨が|雨を降ら|大雨|小雨|雨の中|降る雨",
        r"비를 내리|비가 (?:내|오|온|와|쏟|퍼)|빗속|폭우|이슬비",
        r"\bregen\b|\bregnet\b|\bregnen\b|\bregnerisch|\bregentropfen|\bnieselregen|\bnieselt",
        r"\bpluie\b|\bpleut\b|\bpleuvoir\b|\bpluvieux|\bbruine|\baverse",
    ),
    "fog": (
        r"\bfog(?:gy)?\b|\bmist(?:y)?\b",
        r"[雾霧]",
        r"もや|靄",
        r"안개",
        r"\bnebel\b|\bneblig|\bnebelschwaden",
        r"\bbrouillard|\bbrume\b|\bbrumeu[xs]",
    ),
}
# What speaks of it and lets nothing fall: it is over, or a coat; and a place with a roof.
_NONE = re.compile(
    r"\b(?:no|without|after(?: the)?|before(?: the)?|until the|stopped|stops) (?:more )?(?:rain|snow|fog|mist)\w*"
    r"|\b(?:rain|snow|fog|mist)\w* (?:has |have )?(?:stop(?:s|ped)?|end(?:s|ed)|is over|ceases?)\b"
    r"|\b(?:fog|mist) (?:lift|clear)(?:s|ed)\b"
    r"|\bfog (?:lights?|lamps?|horns?|machine)"
    r"|\brain ?(?:coats?|forests?|bows?|boots)|雨(?:衣|伞|傘|靴|停|后|後|上がり|林)|彩虹"
    r"|\bregen(?:bogen|schirm|mantel|jacke|wald)"
    r"|\b(?:ohne|nach dem) (?:regen|schnee|nebel)|\b(?:sans|après la) (?:pluie|neige|brume|brouillard)",
    re.IGNORECASE,
)
_INSIDE = re.compile(
    r"\bindoors?\b|\b(?:in|inside|into) (?:an?|the|his|her|their|my) (?:[\w-]+ ){0,2}?(?:kitchen|office|library|living "
    r"room|class ?room|studio|caf[eé]|bar|restaurant|shop|store|hall|hallway|church|museum|gym|bedroom|bathroom|room|"
    r"house|home|apartment|cabin|lobby|theat(?:re|er)|train|bus|car)\b(?! (?:park|stop|station))|\bon (?:a|the) stage\b"
    r"|\b(?:against|on|down|outside|through|behind) (?:of )?the windows?\b|\boutside,? (?:it|the rain|the snow)"
    r"|客[厅廳]|厨房|廚房|[办辦]公室|[图圖][书書][馆館]|[教课課]室|[摄攝]影棚|舞台|咖啡|餐[厅廳馆館]|室[内內]|屋[里裡]|房[间間]|窗"
    r"|リビング|キッチン|オフィス|スタジオ|カフェ|室内|部屋|屋内"
    r"|거실|부엌|주방|사무실|도서관|교실|스튜디오|무대|카페|실내|방 ?안|창밖|창문"
    r"|wohnzimmer|küche|\bbüro|bibliothek|klassenzimmer|\bstudio\b|\bbühne|\bcafé\b|\bzimmer\b|\bdrinnen|fenster"
    r"|\bsalon\b|\bcuisine\b|\bbureau\b|bibliothèque|salle\b|\bsur (?:la )?scène\b|\bchambre\b"
    r"|intérieur|fenêtre|\bvitre",
    re.IGNORECASE,
)
_WEATHER = re.compile(r"\bweather\b|[天][气氣]|天気|날씨|\bwetter\b|\bmétéo\b", re.IGNORECASE)
_FOUND = {kind: re.compile("|".join(words), re.IGNORECASE) for kind, words in WORDS.items()}


@dataclass(frozen=True)
class Fall:
    """Rain, snow or fog between two times of the clip in seconds."""

    kind: str
    start_s: float
    end_s: float


def asked(request: Request) -> tuple[Fall, ...]:
    """What a request's prompt and beats let fall."""
    script = parse_script(request.prompt, request.language)
    return falls_of(script.scene, (*request.beats, *script.beats), request.seconds)


def falls_of(scene: str, beats: Sequence[Beat], seconds: float) -> tuple[Fall, ...]:
    """What beats name during them, and what the scene alone names all along; nothing where the scene has a roof."""
    if _INSIDE.search(without_quotes(scene)):
        return ()
    timed = tuple(Fall(kind, b.start_s, b.end_s) for b in beats if (kind := named(b.text)) is not None)
    kind = named(scene)
    return timed or ((Fall(kind, 0.0, seconds),) if kind is not None else ())


def named(text: str) -> str | None:
    """ "rain", "snow" or "fog", which a text lets fall, or hang, outside of what is said."""
    told = _NONE.sub(" ", without_quotes(text))
    return next((kind for kind, words in _FOUND.items() if words.search(told)), None)


def left_of(text: str) -> str:
    """A text without its words for rain, snow, fog and the weather."""
    for words in (*_FOUND.values(), _WEATHER):
        text = words.sub(" ", text)
    return text
