"""The colours of hair, clothes and skin that a prompt gives its one person, and of a ball, in seven languages."""

from __future__ import annotations

import re

from muybridge.speech.edits import COLOURS, GARMENTS
from muybridge.speech.script import without_quotes

_COLOUR = "(?P<colour>" + "|".join(f"(?:{words})" for words in COLOURS.values()) + ")"
_NAMES = [(name, re.compile(words, re.IGNORECASE)) for name, words in COLOURS.items()]
_BETWEEN = r"(?:[ -](?!and\b|with\b|in\b|eyes\b|und\b|mit\b)[\w-]+){0,3}[ -]"
_HAIR = r"(?:hair\w*|curls|afro|bob|buns?|ponytail|fringe|braids?|waves|buzz cut|crop|haar\w*|locken)\b"
_CLOTHES = rf"(?:{GARMENTS}|kleid\w*|hemd\w*|jacke\w*|mantel\w*|anzug\w*)\b"
_WHITE = r"(?: (?:and|und) (?:white|weiß\w*))?"
_FRENCH = r"(?:[ ,](?!et\b|aux\b|en\b)[\w'-]+){0,2} "
# Colours stand before what they are of, in French after it; in the East next to it.
WORDS: dict[str, tuple[str, ...]] = {
    "hair": (
        rf"{_COLOUR}\w*{_BETWEEN}{_HAIR}",
        rf"\b(?:cheveux|chevelure){_FRENCH}{_COLOUR}",
        rf"{_COLOUR}[色い的嘅の]{{0,2}}(?:头发|頭髮|髪)",
        rf"{_COLOUR} ?색? ?머리",
        r"(?P<colour>金[发髮]|金髪|금발)",
    ),
    "clothes": (
        rf"{_COLOUR}\w*{_BETWEEN}{_CLOTHES}",
        rf"\b(?:vêtements?|chemis\w*|pull|veste|manteau|costume|robe|sweat\w*){_FRENCH}{_COLOUR}",
        rf"{_COLOUR}[色い的嘅の]{{0,2}}(?:衣|衫|服|毛衣|外套)",
        rf"{_COLOUR} ?색? ?(?:옷|셔츠|스웨터|재킷|외투|코트|드레스|원피스|정장)",
    ),
    "thing": (
        rf"{_COLOUR}\w*{_WHITE}{_BETWEEN}ball\b",
        rf"\b(?:ballon|balle){_FRENCH}{_COLOUR}",
        rf"{_COLOUR}[色い的嘅の]{{0,2}}(?:皮?球|波|ボール)",
        rf"{_COLOUR} ?색? ?공",
    ),
}
_COATS = [
    re.compile(words, re.IGNORECASE)
    for words in (
        rf"{_COLOUR}\w*{_BETWEEN}(?:horse|stallion|mare|pony|foal|pferd|hengst|stute)\b",
        rf"\b(?:cheval|étalon|jument|poney){_FRENCH}{_COLOUR}",
        rf"{_COLOUR}[色い的嘅の]{{0,2}}(?:马|馬)",
        rf"{_COLOUR} ?색? ?말",
    )
]
_ENDING = re.compile(r"\A[a-zäöüß]+")  # of a German or French colour
PLAIN = {"hair": "dark brown", "thing": "red"}
_BARE = re.compile(
    r"\bbald|\bshav(?:ed|en) head|\bhats?\b|\bcaps?\b|\bhelmet|\bhood\b|\bbeanie|\bberet|\bturban|\bheadscarf|\bhijab"
    r"|光头|光頭|帽|头盔|頭盔|はげ|坊主|ヘルメット|대머리|모자|헬멧|\bglatz|\bhut\b|mütze|\bkappe|\bchauve|\bchapeau|\bcasquette|\bbonnet",
    re.IGNORECASE,
)
_WHO = (
    r"(?: (?:young|old|elderly|middle-aged|beautiful|handsome))*?"
    r" (?:m[ae]n|wom[ae]n|person|people|girl|guy|lady|gentleman)\b"
)
# From light to dark, as a face shows; names of peoples are not read as colours.
SKINS: dict[str, str] = {
    "fair": r"\b(?:pale|fair|light|white)[- ](?:skin|complexion)|\bwhite" + _WHO + r"|白皙|(?:浅色|淺色|白)的?皮[肤膚]"
    r"|白い肌|色白|(?:하얀|흰|밝은) 피부|\bhell\w* haut|\bhellhäutig|\b(?:peau|teint) (?:clair|pâle|blanc)",
    "tan": r"\b(?:tan|tanned|olive|golden)[- ](?:skin|complexion)|\b(?:sun)?tanned\b|小麦色|小麥色|日焼け|구릿빛|그을린"
    r"|\bgebräunt|\b(?:peau|teint) (?:bronzé|hâlé|mat)",
    "brown": r"\bbrown[- ](?:skin|complexion)|[棕褐]色的?皮[肤膚]|褐色の?肌|갈색 피부|\bbraun\w* haut"
    r"|\b(?:peau|teint) brun",
    "dark": r"\b(?:dark|deep|black)(?:[- ]brown)?[- ](?:skin|complexion)|\bblack" + _WHO + r"|(?:黑|深)色?的?皮[肤膚]"
    r"|黒い肌|肌の黒|(?:검은|어두운|까만) 피부|\b(?:dunk\w*|schwarz\w*) haut|\bdunkelhäutig"
    r"|\b(?:peau|teint) (?:noir|foncé|sombre)",
}
_SKINS = {name: re.compile(words, re.IGNORECASE) for name, words in SKINS.items()}
_FOUND = {part: [re.compile(words, re.IGNORECASE) for words in many] for part, many in WORDS.items()}


def colours_of(scene: str) -> dict[str, str]:
    """The names (speech/edits.py) of the colours of "hair", "clothes" and a "thing", where the scene tells them."""
    text = without_quotes(scene)
    told = {part: hit["colour"] for part in _FOUND if (hit := _first(part, text)) is not None}
    return {part: next(name for name, words in _NAMES if words.fullmatch(word)) for part, word in told.items()}


def coat_of(scene: str) -> str:
    """The colour that the scene gives its horse; brown where it tells none."""
    hits = (hit for words in _COATS if (hit := words.search(without_quotes(scene))) is not None)
    word = next((hit["colour"] for hit in hits), None)
    return "brown" if word is None else next(name for name, words in _NAMES if words.fullmatch(word))


def skin_of(scene: str) -> str | None:
    """The name in SKINS of the skin that the scene gives its person, where it tells of it."""
    text = without_quotes(scene)
    return next((name for name, words in reversed(_SKINS.items()) if words.search(text)), None)


def shows_hair(scene: str) -> bool:
    """Whether nothing in the scene covers its person's head, or says that it is bald."""
    return _BARE.search(without_quotes(scene)) is None


def plainer(scene: str, part: str) -> str:
    """The scene with the colour that it gives to a part exchanged for one that stands out; as it is without one."""
    hit = _first(part, scene)
    if hit is None:
        return scene
    return scene[: hit.start("colour")] + PLAIN[part] + _ENDING.sub("", scene[hit.end("colour") :])


def _first(part: str, text: str) -> re.Match[str] | None:
    hits = [hit for words in _FOUND[part] for hit in words.finditer(text)]
    return min(hits, key=lambda hit: hit.start(), default=None)
