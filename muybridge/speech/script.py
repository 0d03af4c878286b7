"""Who says what, when and how: prompts and scripts taken apart, and put into the forms the models read.

A prompt may hold quoted speech with its speaker ("she says in French: « ... »"), a `Dialogue:` section as the open 15B
writes it, spans ("0-2 s: ...", "[00:02-00:05] ...") and pauses ("(pause 2s)"). Nothing a person types may crash this.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from muybridge.request import Beat, Line
from muybridge.speech.beats import QUOTE, find_beats, strip_times

NO_SOUND = "<No prominent background sound>"
CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"

_PAUSE = re.compile(
    r"[\[(<]\s*(?:pause|pauses|silence|beat|停顿|停頓|間|ポーズ|쉼)[^\d\])>]{0,12}(\d{1,2}(?:\.\d{1,3})?)?\s*"
    r"(?:s|sec|seconds?)?\s*[\])>]|\bpaus(?:e|es|ing)\s+(?:for\s+)?(\d{1,2}(?:\.\d{1,3})?)\s*(?:s|sec|seconds?)\b",
    re.IGNORECASE,
)
DEFAULT_PAUSE_S = 1.0
BEAT_LEAD_S = 0.1  # a beat is seen before its words are heard
_SECTION = re.compile(
    r"^[ \t]*(dialogue|background sound|对白|對白|台词|背景音)[ \t]*[:：][ \t]*", re.IGNORECASE | re.MULTILINE
)
_DIALOGUE_LINE = re.compile(r"^[ \t]*(?:[-*][ \t]*)?<?(?P<who>[^:：<>\n\"“「]{1,80})>?[ \t]*[:：][ \t]*(?P<said>\S.*)$")
_VERBS = (
    r"(?i:says?|said|saying|asks?|asked|shouts?|shouted|whispers?|whispered|repl(?:y|ies|ied)|answers?|answered"
    r"|explains?|explained|calls?|cries|yells?|murmurs?|announces?|adds?|continues?|speaks?|tells?|exclaims?|laughs?)"
)
_SPEAKER = re.compile(
    r"(?P<who>\b(?i:the|a|an|another|first|second|third)\b[^,.;:!?\"“”]{1,60}?|\b(?i:he|she|they|it)\b"
    rf"|\b[A-Z][\w'-]+(?: [A-Z][\w'-]+)?)(?:\s+\w+ly)?\s+{_VERBS}\b",
)

# The same in the other six languages, by the verb (or Japanese particle) that stands before the quotation.
_SPEAKERS_ELSEWHERE = (
    re.compile(
        r"(?P<who>\b(?i:ein|eine|einer|der|die|das|er|sie)\b[^,.;:!?\"„]{0,50}?)\s+"
        r"(?:sagt|fragt|ruft|flüstert|antwortet|erklärt|schreit|meint)\b"
    ),
    re.compile(
        r"(?P<who>\b(?i:un|une|le|la|l'|il|elle)\b[^,.;:!?\"«]{0,50}?)\s+"
        r"(?:dit|demande|crie|murmure|répond|explique|chuchote|annonce)\b"
    ),
    re.compile(
        r"(?:^|[，。！？,\s])(?P<who>[\u4e00-\u9fff]{1,12}?)(?:用[\u4e00-\u9fff]{1,3}[语話话文])?"
        r"(?:大声|大聲|轻声|輕聲|小声|耐心地|慢慢地|平静地|激动地)?(?:说|說|讲|講|话|話|问|問|喊|回答|解释|低语|叫)(?:道)?[：:，,]?\s*$"
    ),
    re.compile(
        r"(?:^|[、。！？\s])(?P<who>[\u3040-\u30ff\u4e00-\u9fff]{1,14}?)[がは](?:[^「『」、。]{0,16}?)[、]?\s*$"
    ),
    re.compile(r"(?:^|[,.!?\s])(?P<who>(?:[가-힣]+ ){0,3}[가-힣]+?)(?:이|가|은|는)(?: [가-힣]+){0,3}[,:]?\s*$"),
)

# word -> language, as prompts name them; the longest is tried first
LANGUAGE_NAMES: dict[str, str] = {
    "english": "en", "mandarin": "zh", "chinese": "zh", "cantonese": "yue", "japanese": "ja", "korean": "ko",
    "german": "de", "french": "fr", "英语": "en", "英文": "en", "普通话": "zh", "中文": "zh", "国语": "zh",
    "粤语": "yue", "粵語": "yue", "廣東話": "yue", "广东话": "yue", "日语": "ja", "日語": "ja", "日本語": "ja",
    "韩语": "ko", "韓語": "ko", "한국어": "ko", "德语": "de", "法语": "fr", "deutsch": "de", "français": "fr",
    "japonais": "ja", "chinois": "zh", "coréen": "ko", "cantonais": "yue", "japanisch": "ja", "chinesisch": "zh",
    "koreanisch": "ko", "kantonesisch": "yue", "英語": "en", "中国語": "zh", "広東語": "yue", "韓国語": "ko",
    "德文": "de", "ドイツ語": "de", "フランス語": "fr", "法文": "fr", "중국어": "zh", "광둥어": "yue", "일본어": "ja",
    "독일어": "de",
    "프랑스어": "fr", "anglais": "en", "allemand": "de", "englisch": "en", "französisch": "fr", "영어": "en",
}  # fmt: skip
NAME_OF = {
    "en": "English", "zh": "Mandarin", "yue": "Cantonese", "ja": "Japanese", "ko": "Korean", "de": "German",
    "fr": "French",
}  # fmt: skip
_CUES = {
    "energetic": r"shout|yell|scream|excited|enthusias|energetic|cheer|loud|fast|rapid|hurried|urgent|panic|angr"
    r"|furious|over the (?:crowd|noise|wind)|announc|exclaim|thrilled|rush|喊|大叫|激动|激動|兴奋|興奮|快速|叫|急"
    r"|외치|외친|외쳐|소리"
    r"|흥분|신나|ruf(?:t|en)|schrei|aufgeregt|begeistert|schnell|crie|hurl|excit|rapide|enthousi",
    "calm": r"calm|patient|slow|gentl|soft|whisper|quiet|sooth|tender|relax|serene|sleep|thoughtful|solemn|measured"
    r"|bedtime|explains? carefully|reassur|平静|平靜|轻声|輕聲|慢慢|耐心|温柔|溫柔|静か|ゆっくり|優しく|穏やか|차분"
    r"|조용|천천히|부드럽|ruhig|langsam|sanft|leise|geduldig|flüster|calme|lentement|doucement|doux|patiem|chuchot|murmur",
}
# Where something is said, when nothing says how: places and occasions, no words of pace (a slow pan is no slow voice).
_SCENES = {
    "energetic": r"storm|stadium|crowd|concert|party|battle|emergency|alarm|riot|protest|race\b|argument|rally|festival"
    r"|暴风雨|暴風雨|体育场|體育場|聚会|嵐|スタジアム|폭풍|경기장|Sturm|Stadion|Menge\b|tempête|stade\b|foule",
    "calm": r"library|lullaby|bedside|bedtime|meditat|funeral|church|chapel|hospital|sleeping|nursery|asleep|candle"
    r"|图书馆|圖書館|睡|教堂|図書館|寝|도서관|잠든|Bibliothek|Kirche|schlaf|bibliothèque|église|endormi",
}
_YUE_ONLY = "嘅哋咗佢喺冇唔啲嚟咁乜嘢睇冧瞓噉攰啱揾畀俾嗰呢係"
_KANA, _HANGUL, _HAN = re.compile(r"[\u3040-\u30ff]"), re.compile(r"[\uac00-\ud7af]"), re.compile(r"[\u3400-\u9fff]")
_GERMAN = frozenset(
    [
        "der",
        "die",
        "das",
        "und",
        "ist",
        "nicht",
        "ich",
        "sie",
        "wir",
        "ein",
        "eine",
        "mit",
        "auf",
        "für",
        "den",
        "dem",
        "zu",
        "es",
        "von",
        "im",
        "haben",
        "wie",
        "heute",
        "bitte",
        "danke",
        "guten",
        "vielen",
        "dank",
        "morgen",
        "mein",
        "ihr",
        "du",
    ]
)
_FRENCH = frozenset(
    [
        "le",
        "la",
        "les",
        "des",
        "un",
        "une",
        "et",
        "est",
        "je",
        "vous",
        "nous",
        "il",
        "elle",
        "que",
        "qui",
        "pas",
        "pour",
        "dans",
        "avec",
        "sur",
        "au",
        "aux",
        "ce",
        "cette",
        "bonjour",
        "merci",
        "oui",
        "très",
        "bien",
        "mais",
        "mon",
        "ma",
        "c'est",
        "d'accord",
        "à",
        "où",
    ]
)


@dataclass(frozen=True)
class Script:
    """What a prompt asks for, in order. `gaps_s[i]` is the pause asked for before line i (None: the usual one)."""

    scene: str  # the prompt without spans, sections and pauses
    beats: tuple[Beat, ...] = ()
    lines: tuple[Line, ...] = ()
    gaps_s: tuple[float | None, ...] = ()
    background_sound: str | None = None
    cues: tuple[str, ...] = ()  # the words around each line, for its register
    notes: tuple[tuple[int, str], ...] = ()  # what is seen from line i on, without a time of its own

    def gap_before(self, index: int, usual_s: float) -> float:
        """Seconds of silence before line `index`."""
        given = self.gaps_s[index] if index < len(self.gaps_s) else None
        return usual_s if given is None else given

    def context(self, line: Line) -> str:
        """The words around `line` that may say how it is spoken."""
        return next((cue for other, cue in zip(self.lines, self.cues, strict=False) if other == line), "")


def parse_script(prompt: str, language: str | None = None) -> Script:
    """Takes a prompt apart. `language` is used for lines whose language neither a cue nor their script shows."""
    body, dialogue, sound = _sections(prompt)
    quotes = [(m.start(), m.end(), _unspaced(next(filter(None, m.groups()), "").strip())) for m in QUOTE.finditer(body)]
    quotes = [q for q in quotes if _is_speech(body, q, bool(dialogue))]
    beats = find_beats(_PAUSE.sub(_blank, body))
    lines, gaps, cues, at = [], [], [], 0
    for start, end, said in quotes:
        before, after = body[at:start], body[end : end + 60]
        cue = _clause(before) + " " + _clause_after(after)
        lines.append(
            Line(
                said,
                speaker=_speaker(before),
                language=language_cue(cue) or language or language_of(said),
                register=infer_register(cue) if infer_register(cue) != "neutral" else None,
                start_s=next((b.beat.start_s + BEAT_LEAD_S for b in reversed(beats) if b.start <= start < b.end), None),
            )
        )
        gaps.append(pause_s(before))
        cues.append(without_quotes(cue))
        at = end
    unmatched = list(range(len(lines)))
    for line, cue in dialogue:
        match = next((i for i in unmatched if _plain(lines[i].text) == _plain(line.text)), None)
        if match is not None:
            unmatched.remove(match)
            known = lines[match]
            speaker = line.speaker or known.speaker
            spoken_in = line.language or known.language
            lines[match] = Line(known.text, speaker, spoken_in, known.register or line.register, known.start_s)
        else:
            spoken_in = line.language or language or language_of(line.text)
            lines.append(Line(line.text, line.speaker, spoken_in, line.register))
            gaps.append(None)
            cues.append(cue)
    scene = re.sub(r"\s+", " ", strip_times(_PAUSE.sub(" ", body))).strip()
    return Script(scene, tuple(b.beat for b in beats), tuple(lines), tuple(gaps), sound, tuple(cues))


def language_of(text: str) -> str:
    """The language a line is most likely written in: by script, then by common words; English when nothing tells."""
    if _KANA.search(text):
        return "ja"
    if _HANGUL.search(text):
        return "ko"
    if _HAN.search(text):
        return "yue" if any(c in _YUE_ONLY for c in text) else "zh"
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower().replace("’", "'"))
    scores = {
        "de": sum(w in _GERMAN for w in words) + 2 * len(re.findall("[äöüß]", text.lower())),
        "fr": sum(w in _FRENCH for w in words) + 2 * len(re.findall("[éèêàçùœîôû]|\\b[ldjcnsqu]+'", text.lower())),
    }
    best = max(scores, key=lambda k: scores[k])
    return best if scores[best] >= max(1, len(words) // 5) else "en"


def infer_register(context: str) -> str:
    """calm, neutral or energetic, from words such as "explains patiently" or "shouts over the crowd"."""
    return _strongest(_CUES, context)


def line_register(script: Script, line: Line) -> str:
    """How a line is spoken: as it says itself, else as the words around it say, else as the scene suggests."""
    if line.register:
        return line.register
    near = infer_register(script.context(line))
    return near if near != "neutral" else _strongest(_SCENES, without_quotes(script.scene))


def _strongest(cues: dict[str, str], text: str) -> str:
    found = {name: len(re.findall(pattern, text, re.IGNORECASE)) for name, pattern in cues.items()}
    if found["energetic"] == found["calm"]:
        return "neutral"
    return max(found, key=lambda name: found[name])


def magihuman_prompt(script: Script) -> str:
    """The prompt as the open 15B expects it: body with every line in it, `Dialogue:`, `Background Sound:`.

    Dialogue stands twice, CJK characters are separated by single spaces, speakers are described in at most five words.
    """
    body = script.scene
    quoted = [_plain(next(filter(None, m.groups()), "")) for m in QUOTE.finditer(body)]
    for line in script.lines:
        if _plain(line.text) in quoted:
            quoted.remove(_plain(line.text))
        else:
            who = line.speaker or "The person"
            body += f' {who} says in {NAME_OF[line.language or "en"]}: "{line.text}"'
    spoken = []
    for line in script.lines:
        who = " ".join((line.speaker or "the person").split()[:5])
        spoken.append(f'<{who}, {NAME_OF[line.language or "en"]}>: "{space_cjk(line.text)}"')
    parts = [space_cjk(body.strip())]
    if spoken:
        parts.append("Dialogue:\n" + "\n".join(spoken))
    sound = script.background_sound
    parts.append("Background Sound:\n" + (f"<{sound.strip('<> ')}>" if sound else NO_SOUND))
    return "\n\n".join(parts)


def space_cjk(text: str) -> str:
    """Single spaces between CJK characters, as the open 15B was trained; other text unchanged."""
    return re.sub(rf"(?<=[{CJK}])(?=[{CJK}])", " ", text)


def _sections(prompt: str) -> tuple[str, list[tuple[Line, str]], str | None]:
    """(body, dialogue lines with their description, background sound)."""
    marks = list(_SECTION.finditer(prompt))
    if not marks:
        return prompt, [], None
    dialogue: list[tuple[Line, str]] = []
    sound = None
    for mark, following in itertools.zip_longest(marks, marks[1:]):
        text = prompt[mark.end() : following.start() if following else len(prompt)]
        if mark[1].lower() in ("background sound", "背景音"):
            inside = text.strip().strip("<>").strip()
            sound = None if not inside or f"<{inside}>" == NO_SOUND else inside
        else:
            dialogue += [d for row in text.split("\n") if (d := _dialogue_line(row))]
    return prompt[: marks[0].start()].rstrip(), dialogue, sound


def _dialogue_line(row: str) -> tuple[Line, str] | None:
    match = _DIALOGUE_LINE.match(row)
    if not match:
        return None
    who, _, language_words = match["who"].strip().rpartition(",")
    spoken_in = language_cue(language_words)
    if not spoken_in:
        who = match["who"].strip()
    quote = QUOTE.search(match["said"])
    said = (next(filter(None, quote.groups()), "") if quote else match["said"]).strip()
    said = _unspaced(said)
    if not re.search(r"\w", said):
        return None
    register = infer_register(match["who"])
    line = Line(said, who.strip() or None, spoken_in, register if register != "neutral" else None)
    return line, match["who"]


def _is_speech(body: str, quote: tuple[int, int, str], has_dialogue: bool) -> bool:
    """Whether a quotation is spoken: not a sign's lettering; short ones need a verb or a colon before them."""
    start, _, said = quote
    if not re.search(r"[^\W_]", said):
        return False
    before = body[max(0, start - 60) : start]
    is_written = re.search(
        r"(?:reads?|reading|written|titled|labell?ed|called|named|sign|logo|caption|text)[\s:,]*$", before, re.I
    )
    return not (is_written and not has_dialogue)


def _clause(before: str) -> str:
    """The last clause before a quotation."""
    return re.split(r"(?<=[.!?。！？\n])\s", before[-240:])[-1]


def _clause_after(after: str) -> str:
    """What follows a quotation up to the end of its sentence: `, he shouts over the crowd.`"""
    if not re.match(
        r"\s*,?\s*(?:(?:he|she|they|the|says|said|asks|in)\b|[A-Z]?\w+ (?:says|said|asks|shouts|whispers))", after
    ):
        return ""
    return re.split(r"[.!?。！？\"“「«„\n]", after)[0]


def _speaker(before: str) -> str | None:
    """The one who speaks, from the words before a quotation."""
    clause = strip_times(_clause(before))
    for pattern in (_SPEAKER, *_SPEAKERS_ELSEWHERE):
        found = list(pattern.finditer(clause))
        if found:
            who = re.sub(r"\s+", " ", found[-1]["who"]).strip(" ,")
            return who if re.search(r"\w", who) else None
    return None


def language_cue(text: str) -> str | None:
    """The language a text names last ("in French", 用粤语), or None."""
    lowered = text.lower()
    names = sorted(LANGUAGE_NAMES, key=len, reverse=True)
    found = [(lowered.rfind(n), -len(n), n) for n in names if n in lowered]
    if not found:
        return None
    return LANGUAGE_NAMES[max(found)[2]]


def _blank(mark: re.Match[str]) -> str:
    """As many spaces, so that places in the text stay the same."""
    return " " * len(mark[0])


def pause_s(before: str) -> float | None:
    """The seconds of all pause notes in a text, or None where there is none."""
    total = [float(m[1] or m[2] or DEFAULT_PAUSE_S) for m in _PAUSE.finditer(before)]
    return sum(total) if total else None


def without_quotes(text: str) -> str:
    """The text with a space in place of everything that is quoted."""
    return QUOTE.sub(" ", text)


def _unspaced(text: str) -> str:
    """The inverse of `space_cjk` where every character is spaced; ordinary Korean word spaces stay."""
    if re.search(rf"[{CJK}][{CJK}]", text):
        return text
    return re.sub(rf"(?<=[{CJK}]) (?=[{CJK}])", "", text)


def _plain(text: str) -> str:
    """Letters and digits only, lower case: the same words however they are spaced."""
    return re.sub(r"\W", "", text).lower()
