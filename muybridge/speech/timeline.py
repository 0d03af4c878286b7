"""A plan drawn in a terminal: one row a line of speech, a bar on the clock, the beats above it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from muybridge.request import Beat
from muybridge.speech.durations import articulation_rate
from muybridge.speech.pacing import Plan

BAR = 40  # columns
COLOURS = ("cyan", "magenta", "green", "yellow", "blue")


def show_plan(plan: Plan, beats: Sequence[Beat] = (), phones: bool = False, console: Console | None = None) -> None:
    """Prints the plan; with `phones` every phoneme and its times below each line."""
    console = console or Console()
    total = max([plan.seconds, *(b.end_s for b in beats)], default=0.0) or 1.0
    table = Table(title=f"{plan.seconds:.2f} s; the speech needs {plan.needed_s:.2f} s", title_justify="left")
    for name in ("from", "to", "who", "how", f"0 {'─' * (BAR - 10)} {total:.1f} s", "words"):
        table.add_column(name, no_wrap=name != "words", overflow="fold")
    for beat in beats:
        bar = _bar(beat.start_s, beat.end_s, total, "░")
        table.add_row(f"{beat.start_s:.2f}", f"{beat.end_s:.2f}", "", "beat", bar, f"[dim]{_plain(beat.text)}[/dim]")
    speakers = list(dict.fromkeys(line.speaker for line in plan.lines))
    for line in plan.lines:
        colour = COLOURS[speakers.index(line.speaker) % len(COLOURS)]
        how = f"{line.language} {line.register}, {articulation_rate(line.phones):.1f} syll/s"
        bar = f"[{colour}]{_bar(line.start_s, line.end_s, total, '█')}[/{colour}]"
        who = _plain(line.speaker or "")
        table.add_row(f"{line.start_s:.2f}", f"{line.end_s:.2f}", who, how, bar, _plain(line.text))
        if phones:
            said = " ".join(f"{p.symbol}@{p.start_s:.2f}" for p in line.phones)
            table.add_row("", "", "", "", "", f"[dim]{_plain(said)}[/dim]")
    console.print(table)


def _bar(start_s: float, end_s: float, total_s: float, mark: str) -> str:
    first = min(round(start_s / total_s * BAR), BAR - 1)
    last = max(round(end_s / total_s * BAR), first + 1)
    return " " * first + mark * (last - first) + " " * (BAR - last)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
