"""A plan drawn in a terminal: one row a line of speech, a bar on the clock, the beats above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from muybridge.request import Beat
from muybridge.speech.acts import acts_of
from muybridge.speech.durations import articulation_rate
from muybridge.speech.lights import changes_of
from muybridge.speech.moods import moods_of
from muybridge.speech.moves import moves_of
from muybridge.speech.pacing import Plan
from muybridge.speech.sounds import sounds_of
from muybridge.speech.weather import falls_of

INDENT = 15  # columns before the bars
COLOURS = ("cyan", "magenta", "green", "yellow", "blue")


@dataclass(frozen=True)
class Known:
    """Something that words fix besides speech: from when to when, and what."""

    start_s: float
    end_s: float
    words: str


def known_of(scene: str, beats: Sequence[Beat], seconds: float, is_clip: bool = True) -> tuple[Known, ...]:
    """How a clip's camera, light, weather, heads and faces move, and what sounds; a programme's camera stands."""
    sounding = ("sound", [(s.start_s, s.end_s, s.kind) for s in sounds_of(scene, beats, seconds)])
    moving = (
        ("camera", [(m.start_s, m.end_s, m.name) for m in moves_of(scene, beats, seconds)]),
        ("light", [(c.start_s, c.end_s, c.name) for c in changes_of(scene, beats, seconds)]),
        ("weather", [(f.start_s, f.end_s, f.kind) for f in falls_of(scene, beats, seconds)]),
        ("gesture", [(a.start_s, a.end_s, a.name) for a in acts_of(scene, beats, seconds)]),
        ("mood", [(a.start_s, a.end_s, a.name) for a in moods_of(scene, beats, seconds)]),
    )
    found = (*moving, sounding) if is_clip else (*moving[1:], sounding)
    return tuple(Known(start, end, f"{kind}: {what}") for kind, spans in found for start, end, what in spans)


def show_plan(
    plan: Plan,
    beats: Sequence[Beat] = (),
    phones: bool = False,
    console: Console | None = None,
    known: Sequence[Known] = (),
) -> None:
    """Prints the plan, and what else is `known` of the clip.

    With `phones` each line's phonemes and their times, too.
    """
    console = console or Console()
    if not plan.lines:
        console.print("Nothing is spoken: put what is said in quotation marks.")
        if not (beats or known):
            return
    total = max([plan.seconds, *(b.end_s for b in beats), *(k.end_s for k in known if k.start_s >= 0)]) or 1.0
    width = min(max(console.width - INDENT - 2, 10), 80)
    title = f"{plan.seconds:.2f} s; the speech needs {plan.needed_s:.2f} s at its own pace"
    console.print(
        Text(title, style="bold"), Text(" " * INDENT + f"0 {'─' * (width - 9)} {total:.1f} s", style="dim"), sep="\n"
    )
    for one in known:
        _row(console, max(one.start_s, 0.0), min(one.end_s, total), total, width, "▒", "dim", one.words)
    for beat in beats:
        _row(console, beat.start_s, beat.end_s, total, width, "░", "dim", f"beat: {beat.text}")
    speakers = list(dict.fromkeys(line.speaker for line in plan.lines))
    for line in plan.lines:
        colour = COLOURS[speakers.index(line.speaker) % len(COLOURS)]
        how = f"{line.language}, {line.register}, {articulation_rate(line.phones):.1f} syllables/s"
        words = f"{line.speaker or 'somebody'} ({how}): {line.text}"
        _row(console, line.start_s, line.end_s, total, width, "█", colour, words)
        if phones:
            said = " ".join(f"{p.symbol} {p.start_s:.2f}" for p in line.phones)
            console.print(Padding(Text(said, style="dim"), (0, 0, 0, INDENT)))


def _row(
    console: Console, start_s: float, end_s: float, total_s: float, width: int, mark: str, style: str, words: str
) -> None:
    first = min(round(start_s / total_s * width), width - 1)
    last = max(round(end_s / total_s * width), first + 1)
    span = f"{start_s:6.2f} -{end_s:6.2f} "
    console.print(Text(span) + Text(" " * first + mark * (last - first), style=style))
    console.print(Padding(Text(words), (0, 0, 0, INDENT)))
