"""Does what a long prompt times happen when it says? A mood, a gesture of the head and a camera's move of one person.

Prompts have 120 words and more, of which the beats are the last; the three come in any order, two seconds each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muybridge.evaluate import gestures
from muybridge.shapes import FPS
from muybridge.suites import drawings
from muybridge.suites.run import Run
from muybridge.suites.table import Row

SECONDS, MIN_WORDS = 6.0, 120
SPANS = ((0.0, 2.0), (2.0, 4.0), (4.0, 6.0))
KINDS = ("mood", "gesture", "camera")
MOODS = ("happy", "sad", "angry", "surprised")
MOVES = ("pan left", "pan right", "tilt up", "tilt down", "push in", "pull out")
EVERY = 3  # frames that a mood is looked for in
TOLERANCE_S = 0.3
OFFSET = 1 << 37  # these scenes are other draws than those of other suites
BAR = ">= 0.8"


class Timed(NamedTuple):
    """One beat: what it is, of which kind, and when."""

    kind: str
    what: str
    start_s: float
    end_s: float


def evaluate(run: Run) -> list[Row]:
    """Share of the beats of each kind that are there within 0.3 s of their time, and of all of them."""
    kinds = KINDS if run.finder is not None else tuple(kind for kind in KINDS if kind != "gesture")
    true: dict[str, list[bool]] = {kind: [] for kind in kinds}
    made: dict[str, list[bool]] = {kind: [] for kind in kinds}
    index = run.first
    for number in run.track(range(run.count), "drawing, making, watching", run.count):
        scene, prompt, beats, index = _planned(index)
        wanted = [beat for beat in beats if beat.kind in kinds]
        _watch(run, drawings.pixels(scene, None), wanted, true)
        clip = run.make(run.ask(prompt, SECONDS, number))
        if clip is not None:
            _watch(run, clip.frames_TYXC, wanted, made)
    all_true, all_made = ([hit for hits in of.values() for hit in hits] for of in (true, made))
    return [
        *(_row(f"{kind} within {TOLERANCE_S:g} s", made[kind], true[kind]) for kind in kinds),
        _row(f"all beats within {TOLERANCE_S:g} s", all_made, all_true),
    ]


def _row(what: str, made: list[bool], true: list[bool]) -> Row:
    return Row(what, float(np.mean(made)) if made else None, float(np.mean(true)), BAR, len(true))


def _watch(run: Run, frames_TYX3: NDArray[np.uint8], beats: Sequence[Timed], hits: dict[str, list[bool]]) -> None:
    """Adds whether each beat is seen in a clip."""
    for beat in beats:
        if beat.kind == "mood":
            seen = mood_seen(run.moods(frames_TYX3[::EVERY]), beat)
        elif beat.kind == "gesture":
            seen = run.gestures(frames_TYX3, [(beat.start_s, beat.end_s)]) == [beat.what]
        else:
            seen = run.attributes(around(frames_TYX3, beat))["camera"] == beat.what
        hits[beat.kind].append(seen)


def mood_seen(moods_M: Sequence[str], beat: Timed) -> bool:
    """Whether a mood is the commonest from 0.3 s after its start to 0.3 s before its end, and not before."""
    times_M, names_M = np.arange(len(moods_M)) * EVERY / FPS, np.array(moods_M)
    inside = names_M[(times_M >= beat.start_s + TOLERANCE_S) & (times_M <= beat.end_s - TOLERANCE_S)]
    before = names_M[(times_M >= beat.start_s - 1.0) & (times_M <= beat.start_s - TOLERANCE_S)]
    return _commonest(inside) == beat.what and (not len(before) or _commonest(before) != beat.what)


def around(frames_TYX3: NDArray[np.uint8], beat: Timed) -> NDArray[np.uint8]:
    """The part of a clip in which a beat must be seen: its time, 0.3 s wider."""
    first = max(0, round((beat.start_s - TOLERANCE_S) * FPS))
    return frames_TYX3[first : round((beat.end_s + TOLERANCE_S) * FPS) + 1]


def _commonest(names: NDArray[np.str_]) -> str:
    found, counts = np.unique(names, return_counts=True)
    return str(found[counts.argmax()]) if len(found) else ""


def _planned(index: int) -> tuple[Any, str, list[Timed], int]:
    """The next test scene whose prompt is long enough: (scene, prompt, its beats, number to go on from)."""
    from muybridge.world import captions, wording
    from muybridge.world.grammar import sample_scene
    from muybridge.world.sample import seed_of
    from muybridge.world.scene import CameraTrack, Span

    words = {"mood": wording.EXPRESSIONS, "gesture": wording.GESTURES, "camera": wording.MOVES}
    while True:
        seed = seed_of(index + OFFSET, "test")
        index += 1
        scene = sample_scene(seed, "test", SECONDS, cast="person").replace(framing="close-up")
        plain = dataclasses.replace(scene.people[0], expressions=(), gestures=())
        rng = np.random.default_rng(seed)
        choices = {"mood": MOODS, "gesture": gestures.SEEN, "camera": MOVES}
        order = [str(kind) for kind in rng.permutation(KINDS)]
        beats = [Timed(kind, str(rng.choice(choices[kind])), *span) for kind, span in zip(order, SPANS, strict=True)]
        of = {beat.kind: beat for beat in beats}
        moved = CameraTrack(of["camera"].what, of["camera"].start_s, of["camera"].end_s)
        poss, who = ("his", "the man") if captions.person_word(plain) == "man" else ("her", "the woman")
        told = "; ".join(f"{beat.start_s:g}-{beat.end_s:g} s: {_said(beat, words, who, poss, rng)}" for beat in beats)
        told_of = scene.replace(people=(plain,), camera=moved)
        prompt = f"{captions.caption(told_of, seed, 'test', 'paragraph')} {told}."
        if len(prompt.split()) < MIN_WORDS:
            continue
        human = dataclasses.replace(
            plain,
            expressions=(Span(of["mood"].start_s, of["mood"].end_s, of["mood"].what),),
            gestures=(Span(of["gesture"].start_s, of["gesture"].end_s, of["gesture"].what),),
        )
        return told_of.replace(people=(human,)), prompt, beats, index


def _said(
    beat: Timed, words: dict[str, dict[str, tuple[str, ...]]], who: str, poss: str, rng: np.random.Generator
) -> str:
    """A beat in words."""
    chosen = str(rng.choice(words[beat.kind][beat.what])).format(poss=poss).rstrip(".")
    return chosen[0].lower() + chosen[1:] if beat.kind == "camera" else f"{who} {chosen}"
