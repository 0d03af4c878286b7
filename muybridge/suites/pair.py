"""Two people talk in turn: do the lips move of the one who speaks?

Each half of the picture is looked at by itself. In every half second of speech the mouth that moves more should be the
speaker's.

Legend: T frames, Y X rows and columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge.shapes import FPS
from muybridge.suites import drawings
from muybridge.suites.run import Run
from muybridge.suites.table import Row

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
SIDES = ("left", "right")
MOMENT = FPS // 2  # frames of a moment
SECONDS = 6.0
PROMPT = "A man on the left and a woman on the right talk in a studio"
SPEAKERS = ("The man on the left", "The woman on the right")


def evaluate(run: Run) -> list[Row]:
    """Share of the speech time, per language, in which the speaker's lips move more than the other's."""
    rows = []
    for language in run.languages:
        true: list[bool] = []
        made: list[bool] = []
        for number, (pixels, said) in enumerate(run.track(_clips(run, language), f"{language}: pairs", run.count)):
            true += right_lips(openings(run, pixels), said)
            made += _made(run, language, number)
        figure = float(np.mean(made)) if made else None
        ceiling = float(np.mean(true)) if true else float("nan")
        rows.append(Row(f"{language}: the speaker's lips", figure, ceiling, ">= 0.95", len(made or true)))
    return rows


def halves(frames_TYX3: Bytes) -> tuple[Bytes, Bytes]:
    """The left and the right half, each in the middle of a picture as wide as before, its edges drawn out."""
    width = frames_TYX3.shape[2]
    half, before = width // 2, width // 4
    sides = frames_TYX3[:, :, :half], frames_TYX3[:, :, width - half :]
    pads = ((0, 0), (0, 0), (before, width - half - before), (0, 0))
    left, right = (np.pad(side, pads, mode="edge") for side in sides)
    return left, right


def openings(run: Run, frames_TYX3: Bytes) -> tuple[Floats, Floats]:
    """The opening of each side's mouth a frame."""
    left, right = halves(frames_TYX3)
    return run.lips(left).opening_T, run.lips(right).opening_T


def right_lips(opening: tuple[Floats, Floats], said: Sequence[tuple[str, float, float]]) -> list[bool]:
    """Of every half second of speech (side, from, to in seconds): whether the mouth on that side moves more."""
    hits = []
    for side, start_s, end_s in said:
        own, other = (opening[k] for k in (SIDES.index(side), 1 - SIDES.index(side)))
        first, last = round(start_s * FPS), min(round(end_s * FPS), len(own))
        for at in range(first, max(first + 1, last - MOMENT + 1), MOMENT):
            part = slice(at, min(at + MOMENT, last))
            if part.stop - part.start > 2:
                hits.append(bool(own[part].std() > other[part].std()))
    return hits


def _clips(run: Run, language: str) -> Iterator[tuple[Bytes, list[tuple[str, float, float]]]]:
    """Drawn pairs of the test split: pictures, and who speaks when by side."""
    from muybridge.world import talking

    index, done = run.first, 0
    while done < run.count:
        planned: Any = talking.plan(index, "test", SECONDS, language=language, cast="pair")
        index += 1
        if not planned.lines:
            continue
        done += 1
        scene = planned.scene
        frames = drawings.frames_at(scene, np.arange(scene.num_frames), talking.tracks(planned))
        middle = float(np.mean([human.x for human in scene.people]))
        said = [(SIDES[int(scene.people[line.person].x > middle)], *line.spoken_s) for line in planned.lines]
        yield np.stack([frame.pixels_YX3 for frame in frames]), said


def _made(run: Run, language: str, number: int) -> list[bool]:
    """The model's clip of two sentences, one each."""
    from muybridge.errors import UserError
    from muybridge.speech.pacing import plan_request
    from muybridge.speech.script import NAME_OF
    from muybridge.world.sentences import sentence

    if run.engine is None:
        return []
    texts = [sentence(2 * (run.first + number) + k, "test", language) for k in range(2)]
    lines = [f'{who} says in {NAME_OF[language]}: "{text}"' for who, text in zip(SPEAKERS, texts, strict=True)]
    request = run.ask(f"{PROMPT}. {' '.join(lines)}", 15.0, number)
    try:
        planned = plan_request(request)
    except UserError:
        return []  # too long for a clip; the count shows what is missing
    seconds = min(15.0, max(3.0, float(np.ceil(planned.needed_s * FPS) / FPS)))
    clip = run.engine.generate(request.replace(seconds=seconds))
    said = [(SIDES[k], line.start_s, line.end_s) for k, line in enumerate(planned.lines)]
    return right_lips(openings(run, clip.frames_TYXC), said)
