"""Does what a long prompt times happen when it says? Three moods of one person, two seconds each.

Prompts have 120 words and more, of which the beats are the last. Letters: M looked-at frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge.shapes import FPS
from muybridge.suites import drawings
from muybridge.suites.run import Run
from muybridge.suites.table import Row

SECONDS, MIN_WORDS = 6.0, 120
SPANS = ((0.0, 2.0), (2.0, 4.0), (4.0, 6.0))
MOODS = ("happy", "sad", "angry", "surprised")
EVERY = 3  # frames
TOLERANCE_S = 0.3
OFFSET = 1 << 37  # these scenes are other draws than those of other suites


def evaluate(run: Run) -> list[Row]:
    """Share of the beats that are there from within 0.3 s of their time and, but for the first, not before."""
    true: list[bool] = []
    made: list[bool] = []
    index = run.first
    for number in run.track(range(run.count), "drawing, making, watching", run.count):
        scene, prompt, index = _planned(index)
        wanted = [span.what for span in scene.people[0].expressions]
        at = np.arange(0, scene.num_frames, EVERY)
        frames = np.stack([frame.pixels_YX3 for frame in drawings.frames_at(scene, at)])
        true += present(run.moods(frames), wanted)
        clip = run.make(run.ask(prompt, SECONDS, number))
        if clip is not None:
            made += present(run.moods(clip.frames_TYXC[::EVERY]), wanted)
    figure = float(np.mean(made)) if made else None
    return [Row(f"beats within {TOLERANCE_S:g} s", figure, float(np.mean(true)), ">= 0.8", len(true))]


def present(seen_M: Sequence[str], wanted: Sequence[str]) -> list[bool]:
    """Whether each beat's mood is the commonest from 0.3 s after its start to 0.3 s before its end, and not before."""
    times_M = np.arange(len(seen_M)) * EVERY / FPS
    moods_M = np.array(seen_M)
    hits = []
    for (start_s, end_s), mood in zip(SPANS, wanted, strict=True):
        inside = moods_M[(times_M >= start_s + TOLERANCE_S) & (times_M <= end_s - TOLERANCE_S)]
        before = moods_M[(times_M >= start_s - 1.0) & (times_M <= start_s - TOLERANCE_S)]
        hits.append(_commonest(inside) == mood and (not len(before) or _commonest(before) != mood))
    return hits


def _commonest(names: NDArray[np.str_]) -> str:
    found, counts = np.unique(names, return_counts=True)
    return str(found[counts.argmax()]) if len(found) else ""


def _planned(index: int) -> tuple[Any, str, int]:
    """The next test scene whose prompt is long enough: (scene, prompt, number to go on from)."""
    from muybridge.world import captions, wording
    from muybridge.world.grammar import sample_scene
    from muybridge.world.sample import seed_of
    from muybridge.world.scene import Span

    while True:
        seed = seed_of(index + OFFSET, "test")
        index += 1
        scene = sample_scene(seed, "test", SECONDS, cast="person").replace(framing="close-up")
        plain = dataclasses.replace(scene.people[0], expressions=(), gestures=())
        rng = np.random.default_rng(seed)
        moods = [str(mood) for mood in rng.permutation(MOODS)[: len(SPANS)]]
        poss, who = ("his", "the man") if captions.person_word(plain) == "man" else ("her", "the woman")
        words = [str(rng.choice(wording.EXPRESSIONS[mood])).format(poss=poss) for mood in moods]
        beats = "; ".join(f"{a:g}-{b:g} s: {who} {act}" for (a, b), act in zip(SPANS, words, strict=True))
        prompt = f"{captions.caption(scene.replace(people=(plain,)), seed, 'test', 'paragraph')} {beats}."
        if len(prompt.split()) >= MIN_WORDS:
            spans = tuple(Span(a, b, mood) for (a, b), mood in zip(SPANS, moods, strict=True))
            return scene.replace(people=(dataclasses.replace(plain, expressions=spans),)), prompt, index
