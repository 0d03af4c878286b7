"""Subtitles: SRT and WebVTT read into scripts, plans written out with a time for every word.

Formats: SubRip as players read it; WebVTT (W3C) with inline word timestamps. Times are milliseconds.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from muybridge.errors import UserError
from muybridge.request import Line
from muybridge.speech.durations import Phone
from muybridge.speech.pacing import Plan, PlannedLine, plan_speech
from muybridge.speech.phonemes import phonemes
from muybridge.speech.script import Script, language_of

_AT = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"{_AT}[ \t]*-->[ \t]*{_AT}[^\n]*\n")
MAX_SCRIPT_BYTES = 1_000_000
_CJK_UNIT = r"[\u3040-\u30ff]+|[\u3400-\u4dbf\u4e00-\u9fff]"


@dataclass(frozen=True)
class Cue:
    """One subtitle: its text, span and words (text, start_s, end_s) in order; words joined give the text."""

    text: str
    start_s: float
    end_s: float
    speaker: str | None = None
    words: tuple[tuple[str, float, float], ...] = ()


def read_script(path: Path) -> str:
    """The text of a script or subtitle file. Raises UserError when it is missing, too long or not UTF-8 text."""
    try:
        if path.stat().st_size > MAX_SCRIPT_BYTES:
            raise UserError(f"{path} has {path.stat().st_size} bytes; a script has at most {MAX_SCRIPT_BYTES}.")
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The script {path} cannot be read: {error}.") from error


def parse_subtitles(text: str, language: str | None = None) -> Script:
    """A script whose lines have the spans of the cues of an SRT or WebVTT text.

    A cue that stands much longer than its words take keeps its start only: subtitles linger, people do not drawl.
    A speaker is taken from `<v Name>` or a leading `Name: `. Raises UserError when there is no cue in it.
    """
    cues = read_cues(text)
    if not cues:
        raise UserError("There is no subtitle in this text; each needs a line like 00:00:01,000 --> 00:00:03,500.")
    lines = tuple(_line(c, language or language_of(c.text)) for c in cues)
    return Script("", lines=lines, gaps_s=(None,) * len(lines), cues=("",) * len(lines))


def _line(cue: Cue, language: str) -> Line:
    spoken = plan_speech(Script("", lines=(Line(cue.text, language=language),))).lines[0]
    lingers = (spoken.end_s - spoken.start_s) * 1.25 < cue.end_s - cue.start_s
    return Line(cue.text, cue.speaker, language, None, cue.start_s, None if lingers else cue.end_s)


def read_cues(text: str) -> list[Cue]:
    """The cues of an SRT or WebVTT text in order of time; broken ones are left out."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff") + "\n\n"
    cues: list[Cue] = []
    was_underlined = False
    for mark in _CUE.finditer(text):
        start, end = _clock(mark.groups()[:4]), _clock(mark.groups()[4:])
        body = re.split(r"\n[ \t]*\n", text[mark.end() :], maxsplit=1)[0]
        body = _CUE.split(body)[0]
        voice = re.search(r"<v(?:\.[\w.]*)?\s+([^>]+)>", body)
        said = html.unescape(re.sub(r"<[^>]*>|\{\\[^}]*\}", "", body))
        said = re.sub(r"\s+", " ", said).strip()
        named = re.match(r"([A-Z][\w .'-]{0,30}):\s+(?=\S)", said)
        speaker = voice[1].strip() if voice else named[1] if named else None
        if named and not voice:
            said = said[named.end() :]
        if end <= start or not said:
            continue
        underlined = "<u>" in body
        last = cues[-1] if cues else None
        if last and was_underlined and underlined and last.text == said and abs(last.end_s - start) < 0.002:
            cues[-1] = Cue(said, last.start_s, end, speaker)  # the same line, one word on (`to_srt`)
        else:
            cues.append(Cue(said, start, end, speaker))
        was_underlined = underlined
    return sorted(cues, key=lambda c: c.start_s)


def plan_cues(plan: Plan) -> list[Cue]:
    """One cue a line of the plan, word times from its phones."""
    return [Cue(line.text, line.start_s, line.end_s, line.speaker, tuple(word_times(line))) for line in plan.lines]


def word_times(line: PlannedLine) -> list[tuple[str, float, float]]:
    """(word, start_s, end_s) of the written words of a line; a single character each for Chinese.

    Where as many words are said as written, each gets its own phones; elsewhere (numbers, Chinese characters) the
    spoken time between two pauses is shared by how many phones each written word has on its own.
    """
    out: list[tuple[str, float, float]] = []
    written, spoken = _clauses(line.text), _spans(line.phones)
    if len(written) != len(spoken):
        written = [" ".join(written)] if line.language not in ("zh", "yue", "ja") else ["".join(written)]
        spoken = [[p for clause in spoken for p in clause]]
    for clause, phones in zip(written, spoken, strict=True):
        units = _units(clause)
        if not units or not phones:
            continue
        words = _words(phones)
        if len(words) == len(units):
            out += [(u, w[0].start_s, w[-1].end_s) for u, w in zip(units, words, strict=True)]
            continue
        weights = [_weight(u, line.language) for u in units]
        total, at = sum(weights), 0.0
        edges = []
        for weight in weights:
            edges.append((at, at + weight / total))
            at += weight / total
        out += [(u, _along(phones, a), _along(phones, b)) for u, (a, b) in zip(units, edges, strict=True)]
    return out


def to_srt(cues: Sequence[Cue]) -> str:
    """SubRip text; the format has no times inside a line, so a line stands once a word, with that word underlined."""
    shown = [
        (f"{cue.speaker}: " if cue.speaker and cue.speaker[0].isupper() else "", *part)
        for cue in cues
        for part in _underlined(cue)
    ]
    return "\n".join(
        f"{i}\n{_stamp(start, ',')} --> {_stamp(end, ',')}\n{who}{text}\n"
        for i, (who, text, start, end) in enumerate(shown, 1)
    )


def _underlined(cue: Cue) -> list[tuple[str, float, float]]:
    """(text with one word underlined, start, end) for every word of the cue; the whole cue where it has no words."""
    found: list[tuple[str, float]] = []
    at = 0
    for word, start_s, _ in cue.words:
        place = cue.text.find(word, at)
        if place >= 0 and (not found or start_s - found[-1][1] >= 0.001):
            at = place + len(word)
            found.append((f"{cue.text[:place]}<u>{word}</u>{cue.text[at:]}", start_s))
    if not found:
        return [(cue.text, cue.start_s, cue.end_s)]
    edges = [cue.start_s, *(start for _, start in found[1:]), cue.end_s]
    return [(text, edges[i], edges[i + 1]) for i, (text, _) in enumerate(found) if edges[i + 1] - edges[i] >= 0.001]


def to_vtt(cues: Sequence[Cue]) -> str:
    """WebVTT with a timestamp before every word after the first."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        body, at = "", 0
        for i, (word, start_s, _) in enumerate(cue.words):
            found = cue.text.find(word, at)
            if found < 0:
                continue
            stamp = f"<{_stamp(start_s, '.')}>" if i else ""
            body += html.escape(cue.text[at:found], quote=False) + stamp + html.escape(word, quote=False)
            at = found + len(word)
        body += html.escape(cue.text[at:], quote=False)
        voice = f"<v {cue.speaker}>" if cue.speaker else ""
        blocks.append(f"{_stamp(cue.start_s, '.')} --> {_stamp(cue.end_s, '.')}\n{voice}{body}\n")
    return "\n".join(blocks)


def write_subtitles(path: Path, cues: Sequence[Cue]) -> None:
    """Writes .srt or .vtt by the name's ending; raises UserError for another."""
    makers = {".srt": to_srt, ".vtt": to_vtt}
    if path.suffix.lower() not in makers:
        raise UserError(f"Subtitles are written as .srt or .vtt, not {path.suffix or path.name!r}.")
    path.write_text(makers[path.suffix.lower()](cues), "utf-8")


def _clock(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, thousandths = parts
    return (
        int(hours or 0) * 3600
        + int(minutes or 0) * 60
        + int(seconds or 0)
        + int((thousandths or "0").ljust(3, "0")) / 1000
    )


def _stamp(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"


def _clauses(text: str) -> list[str]:
    parts = re.split(r"[,;:!?。、，！？；：…—]+|\.(?!\d)", text)
    return [p for p in parts if re.search(r"\w", p)]


def _spans(phones: tuple[Phone, ...]) -> list[list[Phone]]:
    """The phones between pauses."""
    spans: list[list[Phone]] = [[]]
    for phone in phones:
        if phone.is_pause:
            spans.append([])
        else:
            spans[-1].append(phone)
    return [s for s in spans if s]


def _words(phones: list[Phone]) -> list[list[Phone]]:
    words: list[list[Phone]] = [[]]
    for phone in phones:
        words[-1].append(phone)
        if phone.ends_word:
            words.append([])
    return [w for w in words if w]


def _units(text: str) -> list[str]:
    return [u for u in re.findall(rf"{_CJK_UNIT}|[^\s\u3040-\u30ff\u3400-\u9fff]+", text) if re.search(r"\w", u)]


def _weight(unit: str, language: str) -> float:
    try:
        return float(len(phonemes(unit, language)))
    except UserError:
        return 1.0


def _along(phones: list[Phone], share: float) -> float:
    """The time after `share` of the phones."""
    position = share * len(phones)
    index = min(int(position), len(phones) - 1)
    phone = phones[index]
    return phone.start_s + (phone.end_s - phone.start_s) * min(position - index, 1.0)
