"""Is it the same person? Clips from 1, 3 and 9 references, each among 25 people whom training never saw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge import media
from muybridge.evaluate.choices import rank
from muybridge.suites import drawings
from muybridge.suites.run import Run
from muybridge.suites.table import Row

GALLERY, STILLS = 25, 4  # people, pictures of each that describe them
REFERENCES = (1, 3, 9)
PROMPT = "[Image 1] says hello in a park on a bright day, close-up"


def evaluate(run: Run) -> list[Row]:
    """Share of clips whose person ranks first of the gallery, by number of references; `count` people are asked for."""
    people = [_person(run.first + k) for k in range(max(GALLERY, run.count))][:GALLERY]
    stills = [_stills(human, k, STILLS) for k, human in enumerate(run.track(people, "drawing the gallery"))]
    gallery = np.stack([_described(run, pictures) for pictures in stills])
    middle = gallery.mean(0)
    asked = list(range(min(run.count, GALLERY)))
    first = []
    for own in run.track(asked, "the same people elsewhere"):
        elsewhere = _stills(people[own], 1000 + own, STILLS)
        first.append(rank(_described(run, elsewhere) - middle, gallery - middle, own) == 1)
    rows = []
    for count in REFERENCES:
        ranks = [_made(run, people[own], own, count, gallery) for own in asked] if run.engine else []
        figure = float(np.mean([r == 1 for r in ranks])) if ranks else None
        rows.append(Row(f"{count} references: first of {GALLERY}", figure, float(np.mean(first)), ">= 0.7", len(asked)))
    return rows


def _person(index: int) -> Any:  # noqa: ANN401  (a world Human)
    """A person of the test split, seen from the front."""
    from muybridge.world.grammar import sample_scene
    from muybridge.world.sample import seed_of

    return sample_scene(seed_of(index + drawings.OFFSET, "test"), "test", 3.0, cast="person").people[0]


def _stills(human: Any, seed: int, count: int) -> NDArray[np.uint8]:  # noqa: ANN401  (as above)
    """Pictures [count, Y, X, 3] of the person in other places, poses and lights."""
    from muybridge.world.edits import references

    scenes = (scene.replace(framing="close-up") for scene in references(human, count, seed, "test"))
    return np.concatenate([drawings.pixels(scene, 1) for scene in scenes])


def _described(run: Run, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return run.describe(pictures, len(pictures))


def _made(run: Run, human: Any, own: int, count: int, gallery: NDArray[np.float64]) -> int:  # noqa: ANN401  (as above)
    """Rank of the right person for the model's clip from `count` references."""
    from muybridge.request import Reference, reference_name

    paths = []
    for k, still in enumerate(_stills(human, 2000 + own, count)):
        paths.append(media.write_image(run.plot(f"identity-{own}-{k}.png"), still))
    references = tuple(Reference(path, reference_name(k)) for k, path in enumerate(paths))
    assert run.engine is not None  # only asked for with one
    clip = run.engine.generate(run.ask(PROMPT, 3.0, own, references=references))
    middle = gallery.mean(0)
    return rank(run.describe(clip.frames_TYXC) - middle, gallery - middle, own)
