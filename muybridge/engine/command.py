"""What `muybridge generate` does: check, load, run with a progress bar, write the clip and its contact sheet."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from muybridge import media
from muybridge.config import EngineConfig
from muybridge.engine.loading import load, weights_identity
from muybridge.engine.meter import Progress as StepProgress
from muybridge.engine.programme_file import Programme, make_file
from muybridge.engine.sync_sheet import write_sync_sheet
from muybridge.errors import MediaInvalid
from muybridge.request import Request
from muybridge.shapes import FPS
from muybridge.speech.language_of import check_language
from muybridge.speech.pacing import Plan, asked_rate, plan_request
from muybridge.speech.programme import Ready, beats_of, plan_programme
from muybridge.speech.script import Script
from muybridge.speech.subtitles import plan_cues, write_subtitles


def make_clip(
    request: Request, model: str, output: Path, settings: Mapping[str, str], quiet: bool = False
) -> dict[str, Any]:
    """Generate and save; returns what was made. Raises UserError before anything is loaded where input is bad."""
    started = time.perf_counter()
    check_files(request)
    check_prompt(request, model)
    if request.audio is None:
        plan_request(request)  # what cannot be said in the time is refused before weights are loaded
    output.parent.mkdir(parents=True, exist_ok=True)
    engine = load(model, EngineConfig(**settings))  # type: ignore[arg-type]  # values are checked where they are used
    plan = engine.plan(request)
    with _bar(quiet) as bar:
        task = bar.add_task("encode", total=1.0)

        def on_step(progress: StepProgress) -> None:
            name = f"{progress.stage} {progress.step}/{progress.num_steps}"
            bar.update(task, completed=progress.fraction, description=name)

        clip = engine.generate(request, on_step)
        bar.update(task, completed=1.0, description="write")
    clip.save(output)
    sheet = clip.contact_sheet(output.with_suffix(".sheet.png"))
    spoken = None if plan is None else write_sync_sheet(output.with_suffix(".sync.png"), clip, plan)
    size = request.pixel_size
    return {
        "clip": str(output),
        "contact_sheet": str(sheet),
        "sync_sheet": None if spoken is None else str(spoken),
        "task": request.task.value,
        "model": model,
        "width": size.width,
        "height": size.height,
        "seconds": clip.seconds,
        "num_frames": len(clip.frames_TYXC),
        "sample_rate": clip.sample_rate if clip.waveform_CS is not None else None,
        "subtitles": _subtitles(output, plan),
        "seed": request.seed,
        "wall_s": round(time.perf_counter() - started, 2),
    }


def make_programme(
    script: Script | Ready | None,
    request: Request,
    seconds: float | None,
    model: str,
    output: Path,
    settings: Mapping[str, str],
    quiet: bool = False,
) -> dict[str, Any]:
    """Generate up to 5 minutes into a file that plays while it is made; the same call goes on after a kill.

    What is said comes from `script` (a ready plan has its own times), or (None) from the request's voice track, whose
    length `seconds` is then.
    `request` holds the scene and all settings but the length. Raises UserError before anything is loaded.
    """
    started = time.perf_counter()
    ready = script if isinstance(script, Ready) else None
    if isinstance(script, Script):
        plan = plan_programme(script, seconds, request.language, asked_rate(request))
        ready = Ready(plan, beats_of(script, plan))
    check_files(request)
    check_prompt(request, model)
    output.parent.mkdir(parents=True, exist_ok=True)
    engine = load(model, EngineConfig(**settings))  # type: ignore[arg-type]  # as above
    subtitles = _subtitles(output, None if ready is None else ready.plan)
    programme = Programme(request, seconds or request.seconds, None)
    if ready is not None:
        programme = Programme(request, ready.plan.seconds, ready.plan, ready.beats)
    with _bar(quiet) as bar:
        task = bar.add_task("encode", total=1.0)

        def on_step(index: int, count: int, progress: StepProgress) -> None:
            name = f"window {index + 1}/{count} {progress.stage} {progress.step}/{progress.num_steps}"
            bar.update(task, completed=(index + progress.fraction) / count, description=name)

        made = make_file(engine, programme, output, weights_identity(model), on_step)
        bar.update(task, completed=1.0, description="write")
    size = request.pixel_size
    return {
        "clip": str(output),
        "contact_sheet": str(made.contact_sheet),
        "task": request.task.value,
        "model": model,
        "width": size.width,
        "height": size.height,
        "seconds": made.num_frames / FPS,
        "num_frames": made.num_frames,
        "num_windows": len(made.windows),
        "num_resumed": made.num_resumed,
        "sample_rate": made.sample_rate,
        "subtitles": subtitles,
        "seed": request.seed,
        "wall_s": round(time.perf_counter() - started, 2),
    }


def _subtitles(output: Path, plan: Plan | None) -> list[str]:
    """Write word-timed .srt and .vtt beside the clip; the files' names, none where nothing is said by plan."""
    if plan is None or not plan.lines:
        return []
    files = [output.with_suffix(ending) for ending in (".srt", ".vtt")]
    for file in files:
        write_subtitles(file, plan_cues(plan))
    return [str(file) for file in files]


def _bar(quiet: bool) -> Progress:
    return Progress(*_columns(), console=Console(stderr=True), disable=quiet, transient=True)


def _columns() -> tuple[ProgressColumn, ...]:
    bar = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    return (*bar, TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())


def check_prompt(request: Request, model: str) -> None:
    """Raise InvalidRequest for a language that tiny was not trained on; other sizes read any."""
    if model == "tiny":
        check_language(request.prompt, model)


def check_files(request: Request) -> None:
    """Raise MediaInvalid for a file that is not there or a picture that is none, before weights are loaded."""
    named = {"--image": request.image, "last image": request.last_image}
    named |= {"--video": request.video, "--audio": request.audio}
    named |= {f"--ref {i + 1}": r.image for i, r in enumerate(request.references)}
    for flag, path in named.items():
        if path is not None and not path.is_file():
            raise MediaInvalid(f"{flag} {path}: there is no such file.")
        if path is not None and flag not in ("--video", "--audio"):
            try:
                media.read_image(path)
            except MediaInvalid as error:
                raise MediaInvalid(f"{flag} {path}: {error}") from error
