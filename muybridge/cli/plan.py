"""`muybridge plan`: the words of a prompt on the clock, before anything is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds `plan`."""
    app.command("plan")(plan)


def plan(
    prompt: Annotated[
        str,
        typer.Argument(help="The prompt, or @FILE: a prompt (.txt), talk (.md), .srt, .vtt or an edited plan (.json)."),
    ],
    seconds: Annotated[float | None, typer.Option(help="Length of the clip; without it, as long as needed.")] = None,
    language: Annotated[str | None, typer.Option(help="Language of lines that do not show theirs: en zh ...")] = None,
    rate: Annotated[float, typer.Option(help="Pace of all speech, 0.5 to 2.")] = 1.0,
    phones: Annotated[bool, typer.Option(help="Also list every phoneme with its times.")] = False,
    subtitles: Annotated[
        Path | None, typer.Option(help="Write word-timed subtitles to this .srt or .vtt file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as JSON, to be edited and given to generate --script.")
    ] = False,
) -> None:
    """Shows who says what and when, how long it takes, how a clip's camera, heads and faces move, and what sounds."""
    from muybridge.shapes import MAX_SECONDS, MIN_SECONDS
    from muybridge.speech.pacing import plan_speech
    from muybridge.speech.programme import PLAN_SUFFIX, Ready, beats_of, read_plan, read_programme
    from muybridge.speech.script import parse_script
    from muybridge.speech.subtitles import plan_cues, write_subtitles
    from muybridge.speech.timeline import known_of, show_plan

    path = Path(prompt[1:]) if prompt.startswith("@") else None
    if path is not None and path.suffix.lower() == PLAN_SUFFIX:
        ready = read_plan(path, seconds)
    else:
        script = parse_script(prompt, language) if path is None else read_programme(path, language)
        planned = plan_speech(script, seconds, language, rate)
        ready = Ready(planned, beats_of(script, planned), script.scene)
    if subtitles:
        write_subtitles(subtitles, plan_cues(ready.plan))
    if as_json:
        print(json.dumps(ready.to_dict(), ensure_ascii=False, indent=1))
    else:
        long = ready.plan.seconds if seconds is None else seconds
        is_clip = MIN_SECONDS <= long <= MAX_SECONDS
        show_plan(ready.plan, ready.beats, phones, known=known_of(ready.scene, ready.beats, long, is_clip))
