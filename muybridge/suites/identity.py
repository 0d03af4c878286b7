"""Is it the same person? Clips from 1, 3 and 9 references, each among 25 people whom training never saw.

And does the person stay? Clips of 15 s from three references, looked at once a second. Who somebody is, dlib's face net
tells where it is there, which has never seen a drawn face; else the witness.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge import media
from muybridge.evaluate.choices import rank
from muybridge.evaluate.witness import moments
from muybridge.shapes import FPS
from muybridge.suites import drawings
from muybridge.suites.run import Run
from muybridge.suites.table import Row

GALLERY, STILLS = 25, 4  # people, pictures of each that describe them
REFERENCES = (1, 3, 9)
LONG_PEOPLE, LONG_REFERENCES, LONG_S = 4, 3, 15.0
PROMPT = "[Image 1] says hello in a park on a bright day, close-up"


def evaluate(run: Run) -> list[Row]:
    """Share of clips whose person ranks first of the gallery, by number of references; `count` people are asked for."""
    people = [_person(run.first + k) for k in range(max(GALLERY, run.count))][:GALLERY]
    stills = [_stills(human, k, STILLS) for k, human in enumerate(run.track(people, "drawing the gallery"))]
    gallery = np.stack([_described(run, pictures) for pictures in stills])
    asked = list(range(min(run.count, GALLERY)))
    first = []
    for own in run.track(asked, "the same people elsewhere"):
        elsewhere = _stills(people[own], 1000 + own, STILLS)
        first.append(place(_described(run, elsewhere), gallery, own) == 1)
    rows = []
    for count in REFERENCES:
        ranks = [_made(run, people[own], own, count, gallery) for own in asked] if run.engine else []
        figure = float(np.mean([r == 1 for r in ranks])) if ranks else None
        rows.append(Row(f"{count} references: first of {GALLERY}", figure, float(np.mean(first)), ">= 0.7", len(asked)))
    stay = asked[:LONG_PEOPLE]
    true = [trend(_each(run, _drawn_long(people[own], own)), gallery, own) for own in run.track(stay, "15 s, drawn")]
    made = []
    for own in run.track(stay if run.engine else (), "15 s, made"):
        clip = _clip(run, people[own], own, LONG_REFERENCES, LONG_S)
        made.append(trend(_each(run, clip[::FPS]), gallery, own))
    figure = float(np.nanmedian(made)) if made else None
    rows.append(Row(f"{LONG_S:g} s: nearness, end less start, in spreads", figure, float(np.nanmedian(true)), ">= -1",
                    len(stay)))  # fmt: skip
    return rows


def trend(person_NV: NDArray[np.float64], gallery: NDArray[np.float64], own: int) -> float:
    """How much nearer to the right person the last third of a clip is than the first, over the spread inside of them.

    Nearness is the cosine with the person's own description, both less the gallery's mean. [N, V]: once a second;
    NaN where no face is found.
    """
    middle = np.nanmean(gallery, 0)
    person_NV = person_NV[np.isfinite(person_NV[:, 0])]
    if len(person_NV) < 2 or not np.isfinite(gallery[own, 0]):
        return float("nan")
    seen_NV, wanted_V = person_NV - middle, gallery[own] - middle
    lengths_N = np.linalg.norm(seen_NV, axis=1) * np.linalg.norm(wanted_V)
    near_N = seen_NV @ wanted_V / np.maximum(lengths_N, 1e-9)
    count = max(1, len(near_N) // 3)
    ends = near_N[:count], near_N[-count:]
    spread = float(np.sqrt(np.mean([end.var() for end in ends])))
    return float((ends[1].mean() - ends[0].mean()) / max(spread, 1e-6))


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
    """One description of the person in some pictures; NaN where no face is found in any."""
    return averaged(_each(run, pictures)) if run.face_net else run.describe(pictures, len(pictures))


def averaged(vectors_NV: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the descriptions that there are."""
    seen_NV = vectors_NV[np.isfinite(vectors_NV[:, 0])]
    mean: NDArray[np.float64] = (seen_NV if len(seen_NV) else vectors_NV).mean(0)
    return mean


def place(seen_V: NDArray[np.float64], gallery: NDArray[np.float64], own: int) -> int:
    """Rank of the right person for a description; the last for one in which no face was found."""
    known = np.flatnonzero(np.isfinite(gallery[:, 0]))
    if not np.isfinite(seen_V[0]) or own not in known:
        return len(gallery)
    middle = gallery[known].mean(0)
    return rank(seen_V - middle, gallery[known] - middle, int(np.searchsorted(known, own)))


def _made(run: Run, human: Any, own: int, count: int, gallery: NDArray[np.float64]) -> int:  # noqa: ANN401  (as above)
    """Rank of the right person for the model's clip from `count` references."""
    clip = _clip(run, human, own, count)
    return place(_described(run, moments(clip)) if run.face_net else run.describe(clip), gallery, own)


def _clip(run: Run, human: Any, own: int, count: int, seconds: float = 3.0) -> NDArray[np.uint8]:  # noqa: ANN401  (as above)
    """The model's frames of the person from `count` references."""
    from muybridge.request import Reference, reference_name

    paths = []
    for k, still in enumerate(_stills(human, 2000 + own, count)):
        paths.append(media.write_image(run.plot(f"identity-{own}-{k}.png"), still))
    references = tuple(Reference(path, reference_name(k)) for k, path in enumerate(paths))
    assert run.engine is not None  # only asked for with one
    return run.engine.generate(run.ask(PROMPT, seconds, own, references=references)).frames_TYXC


def _drawn_long(human: Any, own: int) -> NDArray[np.uint8]:  # noqa: ANN401  (as above)
    """The ceiling of `trend`: the person elsewhere, a frame a second."""
    from muybridge.world.edits import references

    (scene,) = references(human, 1, 3000 + own, "test")
    return drawings.pixels(scene.replace(framing="close-up", seconds=LONG_S), int(LONG_S))


def _each(run: Run, frames_NYX3: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[N, V]: the person as they are seen in each frame."""
    if run.face_net:
        return run.face_vectors(frames_NYX3)
    return np.stack([run.describe(frame_YX3[None], 1) for frame_YX3 in frames_NYX3])
