"""What of a clip an instruction asks to change, in seven languages: hair, clothes, the place, a mood, the
light; or anything.

Where it gives hair or clothes another colour and nothing else, also which.
"""

from __future__ import annotations

import re

from muybridge.speech import glasses, moods, weather
from muybridge.speech.script import parse_script, without_quotes

GARMENTS = (
    r"t-?shirts?|shirts?|v-necks?|sweaters?|jumpers?|pullovers?|turtlenecks?|hoodies?|jackets?|coats?|suits?"
    r"|tank tops?|dress(?:es)?|blouses?|cardigans?|clothes|clothing|outfits?|garments?"
)
# English, then Chinese and Cantonese, Japanese, Korean, German, French.
PARTS: dict[str, tuple[str, ...]] = {
    "hair": (
        r"\bhair|\bdye\b|\bblond|\bbrunette|\bponytail|\bbraids?\b|\bfringe\b|\bbangs\b|\b(?:bun|afro)\b",
        r"[头頭][发髮]|[发髮][型色]|[刘劉]海",
        r"髪|ヘアスタイル",
        r"머리카락|머리[를색 ]|헤어",
        r"\bhaar|frisur|\bzopf",
        r"\bcheveux|\bcoiffure|\bchevelure",
    ),
    "clothes": (
        rf"\b(?:{GARMENTS})\b",
        r"衣|[毛外][衣套]|[衬襯]衫|恤|[连連]身?裙|西[装裝]|[帽]衫",
        r"服|シャツ|セーター|ジャケット|上着|コート|ワンピース|パーカー|スーツ",
        r"옷|셔츠|스웨터|재킷|외투|코트|드레스|원피스|후드|정장|블라우스",
        r"\bkleid(?:er|ung|es)?\b|\bhemd|pullover|\bjacke|\bmantel|\banzug|\bbluse|kapuzenpulli|t-?shirt",
        r"\bvêtements?|\bchemis|\bpull\b|\bveste|\bmanteau|\bcostume|\brobe\b|\bsweat|\bt-?shirt",
    ),
    "place": (
        r"\bbackground|\bbackdrop|\bmove the scene\b"
        r"|\b(?:put|place|set) (?:the person|the scene|him|her|them|it) (?:in|on|at)\b"
        r"|\bsurroundings|\bsetting\b",
        r"背景|[场場]景|[环環]境",
        r"背景|場所",
        r"배경|장소",
        r"hintergrund|\bumgebung|\bschauplatz|\bversetze",
        r"\barrière-plan|\bdécor|\bfond\b|\bdéplace",
    ),
}
# Longer names first: dark brown is no brown. The names are those of the world's tables (world/characters.py).
COLOURS: dict[str, str] = {
    "dark brown": r"\bdark[- ]brown|深棕|深啡|こげ茶|焦げ茶|짙은 갈|진한 갈|\bdunkelbraun|\bbrun foncé|\bmarron foncé",
    "navy": r"\bnavy|\bdark[- ]blue|深[蓝藍]|紺|남색|\bdunkelblau|\bmarineblau|\bbleu (?:marine|foncé)",
    "auburn": r"\bauburn|赤褐|적갈|\bkastanien|\bacajou",
    "black": r"\bblack|黑|黒|검은|검정|까만|\bschwarz|\bnoire?s?\b",
    "white": r"\bwhite|白|하얀|흰|하양|\bweiß|\bblanc",
    "grey": r"\bgr[ea]y|灰|グレー|회색|\bgrau|\bgrise?s?\b",
    "pink": r"\bpink|粉[红紅]?|ピンク|분홍|핑크|\brosa|\brose",
    "red": r"\bred\b|[红紅]|赤|빨간|빨강|붉은|\brot(?:e[nrsm]?)?\b|\brouge|\brou(?:x|sse)",
    "orange": r"\borange|橙|オレンジ|주황",
    "yellow": r"\byellow|黄|黃|노란|노랑|\bgelb|\bjaune",
    "green": r"\bgreen|[绿綠]|緑|초록|녹색|\bgrün|\bverte?s?\b",
    "teal": r"\bteal|\bturquoise|青[绿綠緑]|青色|水鸭|ターコイズ|청록|\btürkis",
    "blue": r"\bblue|[蓝藍]|青|파란|파랑|푸른|\bblau|\bbleu",
    "purple": r"\bpurple|\bviolet|紫|보라|\blila|\bviolett",
    "blond": r"\bblond|金[色发髮]|金髪|금발",
    "brown": r"\bbrown|棕|啡|褐|茶色|갈색|\bbraun|\bbrun|\bmarron",
    "beige": r"\bbeige|米[色白]|ベージュ|베이지",
}
_COLOURS = {name: re.compile(words, re.IGNORECASE) for name, words in COLOURS.items()}
# Who asks for these wants another shape, too.
_SHAPE = re.compile(
    r"\breplace|\bswap|\bdress (?:the|him|her|them)\b|\binstead\b|\bwear|\bput\b|style|\bcut\b|\blong\b|\bshort\b"
    r"|\bcurl|\bstraight|\bbun\b|\bafro\b|tail\b|\bbob\b|\bbraid|\bbald|\bstrip|\bdots|\bpattern|\bersetz|\bremplac"
    r"|[长長短卷]|[条條][纹紋]|縞|줄무늬|긴 |짧은",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r"[,;，、；]|\band\b|\bund\b|\bet\b|[和與与]|그리고", re.IGNORECASE)
# The light falls on everything; what else is here may change anything.
LIGHT = (
    r"\b(?:relight|light(?:s|ing)?|night|day|daytime|sunset|sunrise|dawn|dusk|evening|morning|noon)\b",
    r"光|夜|白天|日[落出]|黄昏|傍晚",
    r"光|夜|昼|夕|朝",
    r"조명|밤|낮|저녁|노을|아침",
    r"\blicht|\bnacht|\btag(?:es)?\b|sonnenunter|\babend|\bmorgen",
    r"\blumière|\bnuit|\bjour\b|\bsoir|\bmatin|\bcoucher",
)
ALL = (
    r"\b(?:weather|rain(?:y|ing)?|snow(?:y|ing|s)?|fog(?:gy)?|mist|style|camera|black and white)\b"
    r"|\b(?:glasses|hat|beard|moustache)\b",
    r"[天][气氣]|雨|雪|[雾霧]|[风風]格|眼[镜鏡]|帽|[胡鬍]",
    r"天気|雨|雪|霧|眼鏡|メガネ|帽子|ひげ",
    r"날씨|비가|비를|눈이|눈을 내|안개|안경|모자|수염",
    r"\bwetter|\bregen|\bschnee|\bnebel|\bstil\b|brille|\bhut\b|\bbart",
    r"\bmétéo|\bpluie|\bneige|\bbrouillard|\bstyle|\blunettes|\bchapeau|\bbarbe",
)
_FOUND = {part: re.compile("|".join(words), re.IGNORECASE) for part, words in PARTS.items()}
_ALL, _LIGHT = (re.compile("|".join(words), re.IGNORECASE) for words in (ALL, LIGHT))
_LESS = re.compile(  # who says these wants less of the weather
    r"\b(?:remove|stop|clear|take|get rid|erase|less|no|without)\b"
    r"|[去移除停走减減]|消|止め|なく|없|제거|멈|그치|\bentfern|\bohne\b|\bkein|\benlèv|\bsupprim|\barrêt|\bsans\b|\bretir",
    re.IGNORECASE,
)
_BEHIND = re.compile(r"\bbackground|\bbackdrop|\bscene\b", re.IGNORECASE)


MOST_WORDS = 10  # "the woman on the left says calmly in French:"
_CHANGE = re.compile(
    r"\b(?:make|change|replace|turn|add|remove|put|dye|give|recolou?r|relight|dress|swap|move|let|set)\b|[把将將变變换換改加]"
    r"|変え|替え|して|바꿔|바꾸|추가|\bänder|\bersetz|\bmach|\bfüge|\bremplace|\bchange|\bajout|\benlève|\bmets\b",
    re.IGNORECASE,
)


def asked(instruction: str) -> frozenset[str]:
    """Which of "hair", "clothes", "place", "mood", "light", "weather" and "glasses" it is about; empty where anything.

    Light comes alone, and so do rain, snow and fog that are to come and glasses that are put on: with something else it
    may be anything.
    """
    text = without_quotes(instruction)
    found = {part for part, words in _FOUND.items() if words.search(text)}
    if "clothes" in found and not _BEHIND.search(text):
        found.discard("place")  # "put her in a dress"
    if found == {"place"}:
        return frozenset(found)  # "a beach at night" is a place
    found |= {"mood"} if moods.named(text) else set()
    if not found and weather.named(text) and not _LESS.search(text):
        rest = weather.left_of(text)
        return frozenset() if _ALL.search(rest) or _LIGHT.search(rest) else frozenset({"weather"})
    if not found and glasses.glasses_of(text) and not _LESS.search(text):
        rest = glasses.left_of(text)
        return frozenset() if _ALL.search(rest) or _LIGHT.search(rest) else frozenset({"glasses"})
    if _ALL.search(text) or (_LIGHT.search(text) and found):
        return frozenset()
    return frozenset({"light"} if _LIGHT.search(text) else found)


def new_colours(instruction: str) -> dict[str, str]:
    """The new colour of hair and of clothes, where an instruction asks for nothing else; empty where it does."""
    about = asked(instruction)
    if not about or not about <= {"hair", "clothes"} or _SHAPE.search(instruction):
        return {}
    found: dict[str, str] = {}
    for clause in _CLAUSES.split(without_quotes(instruction)):
        named = [name for name, words in _COLOURS.items() if words.search(clause)]
        for part in about:
            if named and _FOUND[part].search(clause):
                found[part] = named[0]
    return found if set(found) == about else {}


# What comes after the name of the new place's old one; in the East, before it ends.
_NEW_PLACE = (
    r"\b(?:background|backdrop|scene|person|man|woman|him|her|them|it|surroundings|setting|place)\b.*?"
    r"\b(?:in|on|at|to|into|onto|with|by)\b (?P<place>.+)",
    r"(?:换成|換成|变成|變成|改成|改为|改為|换为|換為|到|在)(?P<place>.+)",
    r"(?:背景|場所)[をは](?P<place>.+?)[にへ](?:し|変|か|置)",
    r"(?:배경|장소)[을를은는] ?(?P<place>.+?)(?:으?로) ",
    r"\b(?:hintergrund|umgebung|schauplatz)\b.*?\b(?:durch|zu|in|auf|mit|an)\b (?P<place>.+)",
    r"(?:arrière-plan|décor|fond)\b.*?\b(?:par|en|à|dans|sur|pour)\b (?P<place>.+)",
)


def new_place(instruction: str) -> str:
    """The words for the place that an instruction asks for; all of its words where that is not plain."""
    text = without_quotes(instruction).strip()
    hits = (re.search(words, text, re.IGNORECASE) for words in _NEW_PLACE)
    return next((hit["place"] for hit in hits if hit is not None), text).rstrip(" .。!！")


def is_only_said(prompt: str) -> bool:
    """Whether a prompt for a clip has somebody say something and asks for nothing else."""
    scene = without_quotes(parse_script(prompt).scene)
    return len(scene.split()) <= MOST_WORDS and _CHANGE.search(scene) is None and not asked(scene)
