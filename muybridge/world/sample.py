"""Samples of the world: scene, pictures, words and truth under one index, streamed and resumable.

Sample `index` of a split is a pure function of both, so an interrupted stream resumes at any index and several
processes
may share one by stride.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge.errors import InvalidRequest
from muybridge.speech.durations import Phone

from . import captions, render, soundtrack, things
from .anatomy import Floats
from .characters import identity_vector
from .grammar import SPLITS, sample_scene
from .scene import Scene


@dataclass(frozen=True)
class Sample:
    """One training or evaluation item.

    frames_TYX3 uint8; masks name -> [T, Y, X] uint8 coverage; landmarks_TPL3 pixels and dm; units_TPU face units;
    identities_PV; caption English; waveform_CS float32 and every line's phones on the clip's clock; short prompts by
    language; attributes for adherence; events with exact times.
    """

    index: int
    split: str
    scene: Scene
    frames_TYX3: NDArray[np.uint8]
    masks: dict[str, NDArray[np.uint8]]
    landmarks_TPL3: Floats
    units_TPU: Floats
    identities_PV: Floats
    caption: str
    prompts: dict[str, str]
    attributes: dict[str, Any]
    events: tuple[things.Event, ...]
    waveform_CS: NDArray[np.float32]
    sample_rate: int
    phones: tuple[tuple[Phone, ...], ...]


def seed_of(index: int, split: str) -> int:
    """The scene seed of an index: disjoint between splits, well mixed."""
    if split not in SPLITS:
        raise InvalidRequest(f"split is {split!r}; choose one of: {', '.join(SPLITS)}", "split")
    digest = hashlib.blake2b(f"{split}/{index}".encode(), digest_size=5).digest()
    return int.from_bytes(digest, "little")


def describe(scene: Scene, split: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """(English caption, short prompts by language, attributes) of a scene."""
    short = {language: captions.prompt(scene, language) for language in captions.LANGUAGES}
    return captions.caption(scene, scene.seed, split), short, captions.attributes(scene)


def sample(
    index: int,
    split: str = "train",
    height: int = 256,
    width: int = 256,
    seconds: float | None = None,
    lines: Sequence[soundtrack.Line] = (),
    **fields: Any,  # noqa: ANN401 - any field of Scene
) -> Sample:
    """Draw and sound sample `index` of a split; people say `lines`; `fields` are those of grammar.sample_scene."""
    drawn = sample_scene(seed_of(index, split), split, seconds, **fields)
    sound = soundtrack.soundtrack(drawn, lines, seed=drawn.seed % (1 << 31))
    scene = sound.scene
    clip = render.render(scene, height, width, sound.units)
    caption, short, facts = describe(scene, split)
    vectors = [identity_vector(human.identity) for human in scene.people]
    return Sample(
        index=index,
        split=split,
        scene=scene,
        frames_TYX3=clip.frames_TYX3,
        masks=clip.masks,
        landmarks_TPL3=clip.landmarks_TPL3,
        units_TPU=clip.units_TPU,
        identities_PV=np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
        caption=caption,
        prompts=short,
        attributes=facts,
        events=clip.events,
        waveform_CS=sound.waveform_CS,
        sample_rate=soundtrack.SAMPLE_RATE,
        phones=sound.phones,
    )


def iterate(
    start: int = 0,
    split: str = "train",
    height: int = 256,
    width: int = 256,
    seconds: float | None = None,
    stride: int = 1,
    **fields: Any,  # noqa: ANN401 - any field of Scene
) -> Iterator[Sample]:
    """Endless samples start, start + stride, ...; resume with the index after the last one consumed."""
    index = start
    while True:
        yield sample(index, split, height, width, seconds, **fields)
        index += stride
