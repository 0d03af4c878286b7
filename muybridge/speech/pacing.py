"""When everything is said: lines of speech placed on the clock, phone by phone, before any sound exists.

Natural durations come from `durations`; register and cues set the rate; given starts, ends and seconds are honoured.
Time to spare becomes silence, not slow motion; too little time first shortens pauses, then speeds up to `MAX_SPEEDUP`,
and beyond that the dialogue is refused with the seconds it needs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from muybridge.errors import InvalidRequest, UserError
from muybridge.request import Line, Request
from muybridge.speech.durations import REGISTER_RATE, Phone, natural_durations
from muybridge.speech.phonemes import phonemes
from muybridge.speech.script import Script, language_of, line_register, parse_script

LEAD_S = 0.3  # before the first line when nothing says otherwise
TAIL_S = 0.2  # after the last word: nothing is cut off at the end
GAP_S = 0.35  # between two lines
MIN_GAP_S = 0.1
MAX_SPEEDUP = 1.25  # faster than this is refused
MAX_STRETCH = 1.6  # slower than this (for a given span) is refused
MIN_PAUSE = 0.4  # share of its natural length a pause keeps when time is short


@dataclass(frozen=True)
class PlannedLine:
    """One line with its times: from its first phone to its last (the closing pause mark has no time of its own)."""

    text: str
    language: str
    register: str
    speaker: str | None
    start_s: float
    end_s: float
    phones: tuple[Phone, ...]

    def moved(self, shift_s: float) -> PlannedLine:
        """The same line later by `shift_s`."""
        phones = tuple(p.moved(shift_s) for p in self.phones)
        return replace(self, start_s=self.start_s + shift_s, end_s=self.end_s + shift_s, phones=phones)


@dataclass(frozen=True)
class Plan:
    """All lines on one clock. `needed_s` is the shortest clip that holds them at the paces asked for."""

    lines: tuple[PlannedLine, ...]
    seconds: float
    needed_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse, so a plan can be edited as a file."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Plan:
        """A plan from plain JSON values, as printed or as edited by hand.

        A line's own times win over its phones, which are moved and stretched to them; a line without `phones` gets
        those of its text. Raises InvalidRequest when lines or phones overlap or leave the clip, or fields are missing.
        """
        try:
            lines = tuple(_line_from(line) for line in values["lines"])
            seconds = float(values["seconds"])
            needed = float(values.get("needed_s") or max((line.end_s for line in lines), default=0.0) + TAIL_S)
        except UserError:
            raise  # it says already what is wrong with a line
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            what = f"there is no {error}" if isinstance(error, KeyError) else error
            raise InvalidRequest(f"The plan is not complete: {what}.", "plan") from error
        before = 0.0
        for line in lines:
            for a, b in zip(line.phones, (*line.phones[1:], None), strict=True):
                if a.start_s > a.end_s or (b is not None and b.start_s < a.end_s - 1e-6):
                    raise InvalidRequest(f"The phones of {line.text!r} overlap near {a.end_s:.2f} s.", "plan")
            if line.start_s < before - 1e-6:
                raise InvalidRequest(
                    f"{line.text!r} starts at {line.start_s:.2f} s, before the line in front of it ends "
                    f"({before:.2f} s): they overlap, and speech is one voice at a time.",
                    "plan",
                )
            before = line.end_s
        if before > seconds + 1e-6:
            raise InvalidRequest(
                f"The plan has {seconds:g} s, but its last line ends at {before:.2f} s; change `seconds`.", "plan"
            )
        return Plan(lines, seconds, needed)

    def with_line(self, index: int, *, start_s: float) -> Plan:
        """A copy with one line moved to start at `start_s`; raises InvalidRequest when it meets its neighbours."""
        line = self.lines[index].moved(start_s - self.lines[index].start_s)
        lines = (*self.lines[:index], line, *self.lines[index + 1 :])
        if line.start_s < 0 or line.end_s > self.seconds:
            raise InvalidRequest(f"{line.text!r} would not lie inside the clip of {self.seconds:g} s.", "plan")
        if any(b.start_s < a.end_s for a, b in itertools.pairwise(lines)):
            raise InvalidRequest(f"{line.text!r} would overlap another line; speech is one voice at a time.", "plan")
        return replace(self, lines=lines)


def plan_speech(script: Script, seconds: float | None = None, language: str | None = None, rate: float = 1.0) -> Plan:
    """Places all lines of `script`.

    seconds: length of the clip (None: as long as the speech needs). language: for lines that do not say theirs.
    rate: multiplies every pace. Raises UserError, with the seconds needed, when the speech cannot fit.
    """
    if not 0.5 <= rate <= 2.0:
        raise InvalidRequest(f"rate is {rate:g}; choose 0.5 to 2.", "rate")
    drafts = [_draft(line, script, language, rate) for line in script.lines]
    if not drafts:
        return Plan((), seconds or 0.0, 0.0)
    gaps = [script.gap_before(i, GAP_S if i else LEAD_S) for i in range(len(drafts))]
    placed = _place(drafts, script, gaps)
    needed = placed[-1].end_s + TAIL_S
    if seconds is None:
        return Plan(tuple(placed), needed, needed)
    if needed > seconds + 1e-9:
        placed = _squeeze(drafts, script, gaps, seconds)
    return Plan(tuple(placed), seconds, needed)


def plan_request(request: Request) -> Plan:
    """The plan of a request: what its prompt quotes, then its own dialogue, on its clock.

    Raises UserError, with the seconds needed, when the speech cannot fit.
    """
    script = parse_script(request.prompt, request.language)
    extra = request.dialogue
    script = replace(
        script,
        lines=(*script.lines, *extra),
        gaps_s=(*script.gaps_s, *(None for _ in extra)),
        cues=(*script.cues, *("" for _ in extra)),
    )
    return plan_speech(script, request.seconds, request.language, asked_rate(request))


def asked_rate(request: Request) -> float:
    """The pace of all speech that a request asks for (`extra["rate"]`); 1 where it says none."""
    rate = request.extra.get("rate", "1")
    return float(rate) if _is_number(rate) else 1.0


def fit_span(draft: PlannedLine, start_s: float, end_s: float) -> PlannedLine:
    """The line from exactly `start_s` to `end_s`: phones change by at most 25 %, pauses take the rest, phones again.

    Raises UserError when that needs more than `MAX_SPEEDUP` or less than 1 / `MAX_STRETCH` of the natural pace.
    """
    span = end_s - start_s
    spoken = sum(p.end_s - p.start_s for p in draft.phones if not p.is_pause)
    paused = sum(p.end_s - p.start_s for p in draft.phones if p.is_pause)
    shortest = spoken / MAX_SPEEDUP + paused * MIN_PAUSE
    longest = (spoken + paused) * MAX_STRETCH
    if not shortest - 1e-6 <= span <= longest + 1e-6:
        raise UserError(
            f"{draft.text!r} takes {shortest:.1f} to {longest:.1f} s, but {span:.1f} s were given "
            f"({start_s:g}-{end_s:g} s). Give it {draft.end_s - draft.start_s:.1f} s, or change the words."
        )
    factor = min(max(span / (spoken + paused), 1 / MAX_SPEEDUP), 1.25)
    pause_factor = (span - factor * spoken) / paused if paused else 1.0
    if not paused or not MIN_PAUSE <= pause_factor <= 3.0:
        pause_factor = min(max(pause_factor, MIN_PAUSE), 3.0)
        factor = (span - pause_factor * paused) / spoken
    return _scaled(draft, factor, pause_factor, start_s)


def _draft(line: Line, script: Script, language: str | None, rate: float) -> PlannedLine:
    """A line at its natural pace, from 0 s."""
    spoken_in = line.language or language or language_of(line.text)
    register = line_register(script, line)
    phones = natural_durations(phonemes(line.text, spoken_in), spoken_in)
    while phones and phones[-1].is_pause:
        phones.pop()  # what follows the line is a gap
    pace = REGISTER_RATE[register] * rate
    draft = PlannedLine(line.text, spoken_in, register, line.speaker, 0.0, phones[-1].end_s, tuple(phones))
    return _scaled(draft, 1 / pace, 1 / pace, 0.0)


def _place(drafts: list[PlannedLine], script: Script, gaps: list[float]) -> list[PlannedLine]:
    """Every line at its natural length, at the span it was given, or a little faster to stay inside its beat."""
    placed: list[PlannedLine] = []
    for i, (draft, line) in enumerate(zip(drafts, script.lines, strict=True)):
        after = placed[-1].end_s if placed else 0.0
        asked = script.gap_before(i, 0.0)
        if line.start_s is not None and line.end_s is not None:
            _check_order(line, line.start_s, after)
            placed.append(fit_span(draft, line.start_s, line.end_s))
        elif line.end_s is not None:
            start = line.end_s - draft.end_s
            earliest = after + min(gaps[i], MIN_GAP_S)
            placed.append(draft.moved(start) if start >= earliest else fit_span(draft, earliest, line.end_s))
        elif line.start_s is not None:
            start = max(line.start_s + asked, after + max(asked, MIN_GAP_S) if placed else 0.0)
            beat_end = next((b.end_s for b in script.beats if b.start_s <= line.start_s < b.end_s), math.inf)
            placed.append(_hurried(draft, start, beat_end))
        else:
            placed.append(draft.moved(after + gaps[i]))
    return placed


def _hurried(draft: PlannedLine, start_s: float, end_s: float) -> PlannedLine:
    """The line from `start_s`, up to `MAX_SPEEDUP` faster if that lets it end by `end_s`; else it runs over."""
    length = draft.end_s - draft.start_s
    factor = min(max(length / max(end_s - start_s, 1e-9), 1.0), MAX_SPEEDUP)
    return _scaled(draft, 1 / factor, 1 / factor, start_s)


def _squeeze(drafts: list[PlannedLine], script: Script, gaps: list[float], seconds: float) -> list[PlannedLine]:
    """The lines spoken faster, by one factor for all, so that the last word ends `TAIL_S` before `seconds`."""
    tight = [min(g, MIN_GAP_S) if g <= GAP_S else g for g in gaps]
    given = [line.start_s is not None and line.end_s is not None for line in script.lines]

    def at(factor: float) -> list[PlannedLine]:
        share = (factor - 1) / (MAX_SPEEDUP - 1)
        spaces = [g + (t - g) * share for g, t in zip(gaps, tight, strict=True)]
        pauses = 1 + (MIN_PAUSE - 1) * share
        faster = [d if g else _scaled(d, 1 / factor, pauses, 0.0) for d, g in zip(drafts, given, strict=True)]
        return _place(faster, replace(script, beats=()), spaces)

    shortest = at(MAX_SPEEDUP)[-1].end_s + TAIL_S
    if shortest > seconds + 1e-9:
        natural = _place(drafts, script, gaps)[-1].end_s + TAIL_S
        raise InvalidRequest(
            f"The dialogue needs {_up(shortest):.1f} s at its fastest and {_up(natural):.1f} s at its own pace, but "
            f"the clip has {seconds:g} s. Ask for more seconds or shorten the lines.",
            "seconds",
        )
    low, high = 1.0, MAX_SPEEDUP
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle)[-1].end_s + TAIL_S <= seconds else (middle, high)
    return at(high)


def _line_from(values: Mapping[str, Any]) -> PlannedLine:
    """A line of an edited plan. Raises KeyError, TypeError, ValueError; InvalidRequest for a register or times."""
    text, start, end = str(values["text"]), float(values["start_s"]), float(values["end_s"])
    language = values.get("language") or language_of(text)
    given = Line(text, values.get("speaker"), language, values.get("register"))
    if not 0 <= start < end:
        raise InvalidRequest(f"{text!r} runs from {start:g} to {end:g} s; give it a start and a later end.", "plan")
    phones = tuple(Phone(**p) for p in values.get("phones") or ())
    if not phones:
        return fit_span(_draft(given, Script("", lines=(given,)), None, 1.0), start, end)
    line = PlannedLine(text, language, given.register or "neutral", given.speaker, start, end, phones)
    first, last = phones[0].start_s, phones[-1].end_s
    if abs(first - start) < 1e-3 and abs(last - end) < 1e-3:
        return line
    scale = (end - start) / max(last - first, 1e-9)
    return replace(
        line,
        phones=tuple(
            replace(p, start_s=start + (p.start_s - first) * scale, end_s=start + (p.end_s - first) * scale)
            for p in phones
        ),
    )


def _scaled(line: PlannedLine, phone_factor: float, pause_factor: float, start_s: float) -> PlannedLine:
    at, phones = start_s, []
    for phone in line.phones:
        length = (phone.end_s - phone.start_s) * (pause_factor if phone.is_pause else phone_factor)
        phones.append(Phone(phone.symbol, at, at + length, phone.ends_word))
        at += length
    return replace(line, start_s=start_s, end_s=at, phones=tuple(phones))


def _check_order(line: Line, start_s: float, after_s: float) -> None:
    if start_s < after_s - 1e-6:
        raise UserError(
            f"{line.text!r} starts at {start_s:g} s, before the line in front of it ends ({after_s:.2f} s); "
            "speech is one voice at a time."
        )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _up(seconds: float) -> float:
    """Rounded up to a tenth, so that the advice really suffices."""
    return -(-int(seconds * 1000 + 0.999) // 100) / 10
