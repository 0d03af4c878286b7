"""`muybridge drift`: does the sound of a long clip stay on the lips, on one page."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from muybridge.suites.run import Run


class Sound(StrEnum):
    """What of the sound is held against the lips."""

    PHONES = "phones"
    LOUDNESS = "loudness"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("drift")(drift)


def drift(
    clips: Annotated[list[Path], typer.Argument(help="MP4s of 15 s and more; a minute is needed to prove anything.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the pages, PNG and PDF.")] = Path("evaluation"),
    seams: Annotated[
        str | None, typer.Option(help="Seconds where windows meet, by comma; else as the file itself says.")
    ] = None,
    hear: Annotated[
        Sound, typer.Option(help="What tells of the sound. Lips that a given voice drove: loudness.")
    ] = Sound.PHONES,
    evaluators: Annotated[
        str | None, typer.Option(envvar="MUYBRIDGE_EVALUATORS", help="Python with MediaPipe, if not this one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Test clips for zero drift: slope, offset, worst window, steps, seams and container, each beside its bound.

    Three clips and more are also judged together, which proves what a single minute cannot.

    The mouth's opening is read from CLIP.truth.npz (`opening_T`, a number a frame) where it is there, else seen by the
    witness, which takes minutes to fit once.
    """
    from muybridge.evaluate.drift_report import draw, judge_clip, page_lines, plain, seams_from, truth_path
    from muybridge.evaluate.pooled import pool
    from muybridge.suites import ear
    from muybridge.suites.run import Run

    heard = ear.opening if hear is Sound.PHONES else None
    given = None if seams is None else seams_from(seams)
    reports, printed = [], []
    run = Run(None, quiet=as_json, evaluators=evaluators)
    for clip in clips:
        opening = person = None
        if not truth_path(clip).is_file():
            opening, person = _witness(run)
        report = judge_clip(clip, opening, person, given, heard)
        pages = [str(draw(report, out / f"{clip.stem}.drift{ending}")) for ending in (".png", ".pdf")]
        reports.append(report)
        printed.append(report.to_dict() | {"pages": pages})
        if not as_json:
            print(
                "\n".join([f"{clip}: {'passes' if report.passes else 'does not pass'}", *page_lines(report), pages[0]])
            )
    run.close()
    together = pool(reports)
    if as_json:
        pooled = None if together is None else asdict(together) | {"passes": together.passes}
        print(json.dumps({"clips": printed, "pooled": plain(pooled)}))
    elif together is not None:
        print(together.line())


def _witness(run: Run) -> Any:  # noqa: ANN401  (two functions of frames)
    """Opening and person by the eye of the evaluation suites."""
    import numpy as np

    def person(frames_TYX3: Any) -> Any:  # noqa: ANN401  (arrays)
        return np.stack([run.describe(frame[None], 1) for frame in frames_TYX3])

    return lambda frames_TYX3: run.lips(frames_TYX3).opening_T, person
