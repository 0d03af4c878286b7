"""A talk of minutes from a file: read in any of its forms, placed on one clock, with what is seen beside it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from muybridge.errors import InvalidRequest
from muybridge.request import MAX_PROMPT_CHARS, Beat
from muybridge.shapes import FPS, MIN_SECONDS
from muybridge.speech.beats import QUOTE
from muybridge.speech.pacing import Plan, plan_speech
from muybridge.speech.script import Script, parse_script
from muybridge.speech.subtitles import parse_subtitles, read_script
from muybridge.speech.talk import parse_talk

MAX_PROGRAMME_S = 300.0
DEFAULT_SCENE = "A person talks to the camera."
PLAN_SUFFIX = ".json"
_READERS = {".srt": parse_subtitles, ".vtt": parse_subtitles, ".md": parse_talk}


def read_programme(path: Path, language: str | None = None) -> Script:
    """The script in a talk (.md), subtitles (.srt, .vtt) or a prompt (any other name).

    Raises UserError when the file is missing, too long, no text, or subtitles without a cue.
    """
    return _READERS.get(path.suffix.lower(), parse_script)(read_script(path), language)


@dataclass(frozen=True)
class Ready:
    """A programme whose every word has its time already: as `muybridge plan --json` prints it, edited or not."""

    plan: Plan
    beats: tuple[Beat, ...] = ()
    scene: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        return {"scene": self.scene, **self.plan.to_dict(), "beats": [asdict(beat) for beat in self.beats]}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Ready:
        """The inverse of `to_dict`; beats and scene may be missing. Raises InvalidRequest for what is no plan."""
        plan = Plan.from_dict(values)
        try:
            beats = tuple(Beat(b["text"], float(b["start_s"]), float(b["end_s"])) for b in values.get("beats") or ())
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRequest(f"A beat needs text, start_s and end_s: {error}.", "plan") from error
        return Ready(plan, beats, str(values.get("scene") or ""))


def read_plan(path: Path, seconds: float | None = None) -> Ready:
    """An edited plan (.json) of 3 to 300 s; its length is rounded up to whole frames.

    Raises UserError for a file that is no plan, and for `seconds` that differ from the plan's own.
    """
    try:
        values = json.loads(read_script(path))
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"{path} is not JSON (line {error.lineno}: {error.msg}).", "script") from error
    if not isinstance(values, dict):
        raise InvalidRequest(f"{path} is not a plan; `muybridge plan ... --json` prints one.", "script")
    ready = Ready.from_dict(values)
    length = ready.plan.seconds
    if seconds is not None and abs(seconds - length) >= 1 / FPS:
        raise InvalidRequest(f"The plan has {length:g} s, not {seconds:g}; change `seconds` in {path}.", "seconds")
    if not MIN_SECONDS <= length <= MAX_PROGRAMME_S:
        raise InvalidRequest(
            f"The plan has {length:g} s; a programme has {MIN_SECONDS:g} to {MAX_PROGRAMME_S:g} s.", "seconds"
        )
    return replace(ready, plan=replace(ready.plan, seconds=math.ceil(round(length * FPS, 6)) / FPS))


def plan_programme(
    script: Script, seconds: float | None = None, language: str | None = None, rate: float = 1.0
) -> Plan:
    """Every line of a programme on its clock; the length is a whole number of frames.

    seconds: the length asked for, 3 to 300 (None: as long as the speech needs). Raises UserError, with the seconds
    needed, when the speech does not fit in them.
    """
    if seconds is not None and not MIN_SECONDS <= seconds <= MAX_PROGRAMME_S:
        raise InvalidRequest(
            f"seconds is {seconds:g}; a programme has {MIN_SECONDS:g} to {MAX_PROGRAMME_S:g} s.", "seconds"
        )
    if not script.lines:
        raise InvalidRequest("Nothing is said in this script; write what is spoken as plain paragraphs.", "script")
    plan = plan_speech(script, None if seconds is None else round(seconds * FPS) / FPS, language, rate)
    length = plan.seconds if seconds is not None else max(MIN_SECONDS, math.ceil(round(plan.needed_s * FPS, 6)) / FPS)
    if length > MAX_PROGRAMME_S:
        raise InvalidRequest(
            f"This script needs {length:.1f} s at its own pace; a programme has at most {MAX_PROGRAMME_S:g} s. "
            "Split it, or ask for a length that it fits at a quicker pace.",
            "seconds",
        )
    return replace(plan, seconds=length)


def scene_of(script: Script | Ready, prompt: str = "") -> str:
    """What is seen all along: the user's own words, then the script's headings; nothing of what is said.

    Raises InvalidRequest when it is too long.
    """
    scene = " ".join(part for part in (prompt.strip(), script.scene.strip()) if part)
    scene = re.sub(r"\s+", " ", QUOTE.sub(" ", scene)).strip() or DEFAULT_SCENE
    if len(scene) > MAX_PROMPT_CHARS:
        raise InvalidRequest(
            f"The scene has {len(scene)} characters; at most {MAX_PROMPT_CHARS} fit. Shorten the headings.", "prompt"
        )
    return scene


def beats_of(script: Script, plan: Plan) -> tuple[Beat, ...]:
    """The script's own beats, and each note from the line that it stands before to the next note."""
    noted: dict[int, str] = {}
    for at, text in script.notes:
        noted[at] = f"{noted[at]} {text}" if at in noted else text
    if not plan.lines:
        return script.beats
    starts = [*(_begins(plan, at) for at in noted), plan.seconds]
    spans = zip(noted.values(), starts[:-1], starts[1:], strict=True)
    return (*script.beats, *(Beat(text, start, end) for text, start, end in spans if end - start >= 1 / FPS))


def _begins(plan: Plan, at: int) -> float:
    if at == 0:
        return 0.0
    return plan.lines[at].start_s if at < len(plan.lines) else plan.lines[-1].end_s
