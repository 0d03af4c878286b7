"""The times a prompt writes into its text, in the many ways people write them, as beats.

A heading (`0-2 s: she turns.`, `[00:02-00:05] She waves.`) holds up to the next time; a time inside a sentence
(`She waves from 2 to 5 s.`, `Between 2 s and 5 s she waves.`, `She waves (2-5 s).`, `At 2 s she waves.`) holds for that
sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from muybridge.request import Beat

POINT_S = 1.5  # how long something lasts that is said to happen "at" a time
QUOTE = re.compile(
    r"“(?P<a>[^”“]{1,2000})”|\"(?P<b>[^\"]{1,2000})\"|「(?P<c>[^」]{1,2000})」|『(?P<d>[^』]{1,2000})』"
    r"|«\s*(?P<e>[^»]{1,2000}?)\s*»|„(?P<f>[^“”„]{1,2000})[“”]"
)
_TIME = r"(?:(\d{1,3}):)?(\d{1,4}(?:\.\d{1,3})?)"
_UNIT = r"(?:s|secs?|seconds?|秒|초|Sekunden?|secondes?)(?![a-z])"
_GAP = r"[ \t]{0,3}"  # bounded: long runs of blanks must not cost time
_SPAN = re.compile(
    rf"(?<![\w.:-])(?:(?P<open>[\[(]){_GAP})?(?:(?:from|between|von|zwischen|de|entre)[ \t]{{1,3}})?{_TIME}{_GAP}"
    rf"(?P<unit1>{_UNIT})?{_GAP}(?:-|–|—|~|～|to|until|till|and|bis|und|à|et|到|至|から|부터){_GAP}{_TIME}{_GAP}"
    rf"(?P<unit2>{_UNIT})?{_GAP}(?P<close>[\])])?(?P<colon>{_GAP}[:：]|,)?",
    re.IGNORECASE,
)
_POINT = re.compile(rf"(?<![\w.:-])(?:at|um|bei|à)[ \t]{{1,3}}{_TIME}[ \t]{{0,3}}(?P<unit>{_UNIT})?,?", re.IGNORECASE)
_STOP = re.compile(r"[.!?;](?=\s|$)|[。！？；\n]")


@dataclass(frozen=True)
class PlacedBeat:
    """A beat and the characters of the prompt it covers."""

    beat: Beat
    start: int
    end: int


@dataclass(frozen=True)
class _Mark:
    start: int
    end: int
    start_s: float
    end_s: float
    is_heading: bool


def find_beats(body: str) -> list[PlacedBeat]:
    """All beats in order of appearance; spans that run backwards, and numbers that are no times, are left alone."""
    quotes = [m.span() for m in QUOTE.finditer(body)]
    marks = _marks(body, quotes)
    stops = _stops(body, quotes)
    beats = []
    for before, mark, following in zip([None, *marks], marks, [*marks[1:], None], strict=False):
        if mark.is_heading:
            start = mark.end
            end = len(body) if following is None else following.start
            if following is not None and not following.is_heading:
                end = max((s for s in stops if s <= following.start), default=end)
            text = body[start : max(end, start)]
            start = mark.start
        else:
            start = max((s for s in stops if s <= mark.start), default=0)
            end = min((s for s in stops if s >= mark.end), default=len(body))
            if not re.search(r"\w", body[start : mark.start] + body[mark.end : end]):  # it follows its sentence
                start = max((s for s in stops if s < start), default=0)
            start = max(start, before.end if before else 0)
            end = min(end, following.start if following else end)
            text = body[start : mark.start] + " " + body[mark.end : end]
        text = re.sub(r"([.!?。！？][\"”」»])\.", r"\1", _tidy(text)).strip(" ;,:：")
        if re.search(r"\w", text):
            beats.append(PlacedBeat(Beat(text, mark.start_s, mark.end_s), start, end))
    return beats


def strip_times(body: str) -> str:
    """The text without the times that made beats."""
    for mark in reversed(_marks(body, [m.span() for m in QUOTE.finditer(body)])):
        body = f"{body[: mark.start]} {body[mark.end :]}"
    return _tidy(body)


def _tidy(text: str) -> str:
    return re.sub(r" ([.,;!?](?: |$))", r"\1", re.sub(r"\s+", " ", text)).strip()


def _marks(body: str, quotes: list[tuple[int, int]]) -> list[_Mark]:
    marks = []
    for m in _SPAN.finditer(body):
        start_s, end_s = _seconds(m[2], m[3]), _seconds(m[5], m[6])
        has_clock = bool(m[2] or m[5] or m["unit1"] or m["unit2"])
        in_brackets = bool(m["open"] and m["close"])
        fresh = (
            not body[: m.start()].rstrip()
            or body[: m.start()].rstrip()[-1] in '.;!?。！？；\n"”」»)]:：'
            or ("\n" in body[len(body[: m.start()].rstrip()) : m.start()])
        )
        is_heading = fresh and bool((in_brackets and m["open"] == "[") or m["colon"])
        is_time = has_clock or (is_heading and bool(m["colon"]) and ":" in (m["colon"] or ""))
        joined_by_and = re.search(r"\d\D*\b(?:and|und|et)\b", m[0], re.IGNORECASE)
        if joined_by_and and not re.match(r"\W*(?:between|zwischen|entre)", m[0], re.IGNORECASE):
            continue
        end = m.end() if is_heading or not m["colon"] else m.start("colon")
        if is_time and start_s < end_s and not _inside(m.start(), quotes):
            marks.append(_Mark(m.start(), end, start_s, end_s, is_heading))
    for m in _POINT.finditer(body):
        at = _seconds(m[1], m[2])
        taken = any(k.start <= m.start() < k.end or m.start() <= k.start < m.end() for k in marks)
        if (m[1] or m["unit"]) and m[0].lower().startswith("at") and not taken and not _inside(m.start(), quotes):
            marks.append(_Mark(m.start(), m.end(), at, at + POINT_S, False))
    return sorted(marks, key=lambda k: k.start)


def _stops(body: str, quotes: list[tuple[int, int]]) -> list[int]:
    """Where sentences end (the index after their mark), not inside quotations but after one that ends a sentence."""
    stops = [m.end() for m in _STOP.finditer(body) if not _inside(m.start(), quotes)]
    stops += [end for _, end in quotes if body[end - 2 : end - 1] in set(".!?。！？")]
    return sorted(stops)


def _inside(index: int, quotes: list[tuple[int, int]]) -> bool:
    return any(a < index < b for a, b in quotes)


def _seconds(minutes: str | None, seconds: str) -> float:
    return 60 * int(minutes or 0) + float(seconds)
