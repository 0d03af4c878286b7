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
    prompt: Annotated[str, typer.Argument(help="The prompt, or @FILE: a prompt (.txt), talk (.md), .srt or .vtt.")],
    seconds: Annotated[float | None, typer.Option(help="Length of the clip; without it, as long as needed.")] = None,
    language: Annotated[str | None, typer.Option(help="Language of lines that do not show theirs: en zh ...")] = None,
    rate: Annotated[float, typer.Option(help="Pace of all speech, 0.5 to 2.")] = 1.0,
    phones: Annotated[bool, typer.Option(help="Also list every phoneme with its times.")] = False,
    subtitles: Annotated[
        Path | None, typer.Option(help="Write word-timed subtitles to this .srt or .vtt file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON, which can be edited.")] = False,
) -> None:
    """Shows who says what and when, and how long it takes."""
    from muybridge.speech.pacing import plan_speech
    from muybridge.speech.script import parse_script
    from muybridge.speech.subtitles import parse_subtitles, plan_cues, read_script, write_subtitles
    from muybridge.speech.talk import parse_talk
    from muybridge.speech.timeline import show_plan

    text = read_script(Path(prompt[1:])) if prompt.startswith("@") else prompt
    kind = Path(prompt[1:]).suffix.lower() if prompt.startswith("@") else ""
    parse = {".srt": parse_subtitles, ".vtt": parse_subtitles, ".md": parse_talk}.get(kind, parse_script)
    script = parse(text, language)
    planned = plan_speech(script, seconds, language, rate)
    if subtitles:
        write_subtitles(subtitles, plan_cues(planned))
    if as_json:
        print(json.dumps(planned.to_dict() | {"beats": [vars(b) for b in script.beats]}, ensure_ascii=False, indent=1))
    else:
        show_plan(planned, script.beats, phones)
