"""A talk written as a file: paragraphs are speech, headings and quotations in Markdown are what is seen.

# A woman at a desk, evening light          the scene, all along
> She looks up.                             what is seen from here to the next note, and how it is said
Anna (calm, French): Bonjour à tous.        a named speaker, a manner, a language
It goes on. Sentence by sentence.           the same speaker
(pause 2s)                                  silence, here or between two sentences
"""

from __future__ import annotations

import re

from muybridge.request import Line
from muybridge.speech.reading import abbreviations
from muybridge.speech.script import DEFAULT_PAUSE_S, Script, infer_register, language_cue, language_of

SENTENCE_GAP_S = 0.3
PARAGRAPH_GAP_S = 0.7
_SPEAKER = re.compile(
    r"^\**(?P<who>[^\W\d_][\w .'-]{0,40}?)\**\s{0,2}(?:\((?P<how>[^()]{1,60})\))?\**\s{0,2}[:：]\**\s{1,3}(?=\S)"
)
_PAUSE_NOTE = re.compile(
    r"[\[(<（【]\s{0,2}(?:pause|silence|beat|停顿|停頓|間|ポーズ|쉼)(?![a-z])[^\d\])>）】]{0,12}(\d{1,2}(?:\.\d{1,3})?)?"
    r"[^\])>）】]{0,12}[\])>）】]",
    re.IGNORECASE,
)
_END = re.compile(r"(?:[.!?…]+[\"”»')]*(?=\s)|[。！？]+[」』”]*)")


def parse_talk(text: str, language: str | None = None) -> Script:
    """A script of one line a sentence, with pauses between sentences, paragraphs and where asked.

    `language` is that of sentences which neither a speaker's note nor their letters tell.
    """
    scene: list[str] = []
    lines: list[Line] = []
    gaps: list[float | None] = []
    cues: list[str] = []
    notes: list[tuple[int, str]] = []
    speaker, spoken_in, how, asked = None, language, "", 0.0
    for paragraph in re.split(r"\n[ \t]*\n|\n(?=[#>])|(?<=\n)(?=[#>])", text.replace("\r", "")):
        for block in _blocks(paragraph):
            if block.startswith(("#", ">")):
                how = block.lstrip("#> ").strip()
                if block.startswith("#"):
                    scene.append(how)
                elif how:
                    notes.append((len(lines), how))
                continue
            for waits, piece in _pieces(block):
                asked += waits
                named = _SPEAKER.match(piece)
                if named:
                    speaker, how = named["who"].strip(), named["how"] or how
                    spoken_in = language_cue(named["how"] or "") or language
                    piece = piece[named.end() :]
                said_in = spoken_in or language_of(piece)
                register = infer_register(how)
                for i, sentence in enumerate(sentences(piece, said_in)):
                    lines.append(Line(sentence, speaker, said_in, register if register != "neutral" else None))
                    usual = None if len(lines) == 1 else SENTENCE_GAP_S if i else PARAGRAPH_GAP_S
                    gaps.append(asked or usual)
                    cues.append(how)
                    asked = 0.0
    return Script(" ".join(scene), (), tuple(lines), tuple(gaps), cues=tuple(cues), notes=tuple(notes))


def sentences(text: str, language: str) -> list[str]:
    """The sentences of a paragraph; abbreviations and initials do not end one."""
    text = re.sub(r"\s+", " ", text).strip()
    out, start = [], 0
    for mark in _END.finditer(text):
        before = text[start : mark.end()]
        word = before.rsplit(" ", 1)[-1]
        follows = text[mark.end() :].lstrip()[:1]
        is_short = mark[0] == "." and (word in abbreviations(language) or re.fullmatch(r"\W*[A-Z]\.", word) is not None)
        if is_short or follows.islower() or not re.search(r"\w", before):
            continue
        out.append(before.strip())
        start = mark.end()
    rest = text[start:].strip()
    return out + ([rest] if re.search(r"\w", rest) else [])


def _pieces(block: str) -> list[tuple[float, str]]:
    """A block cut at its pause notes: seconds of silence, then words without Markdown emphasis or bullets."""
    parts = _PAUSE_NOTE.split(block)
    waits = [0.0, *(float(s or DEFAULT_PAUSE_S) for s in parts[1::2])]
    words = [re.sub(r"^\s*[-*+]\s+|[*_`]{1,3}", "", part).strip() for part in parts[::2]]
    return list(zip(waits, words, strict=True))


def _blocks(paragraph: str) -> list[str]:
    """A paragraph's pieces: notes line by line, speech of several speakers apart, other lines joined."""
    blocks: list[str] = []
    for row in paragraph.split("\n"):
        row = row.strip()
        if not row:
            continue
        if not blocks or row.startswith(("#", ">")) or _SPEAKER.match(row) or blocks[-1].startswith(("#", ">")):
            blocks.append(row)
        else:
            blocks[-1] += " " + row
    return blocks
