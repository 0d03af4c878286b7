"""Lips of other words are drawn on a silent mouth of the source, in its light; its own words are gone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_parts import SHAPE
from numpy.typing import NDArray
from torch import Tensor

from muybridge.engine import random_components, source_faces
from muybridge.engine.components import Components
from muybridge.model.face_painter import NUM_UNITS, REACH
from muybridge.model.finder import Face
from muybridge.world.anatomy import UNIT_INDEX

JAW = UNIT_INDEX["jawOpen"]
FACE = Face(1.0, 0.5, 0.2, 0.3)
MOUTH = (slice(66, 82), slice(86, 106))  # rows and columns of a picture 96 high
FRAMES = 60
SAYS = slice(20, 40)  # what the source said


class Finder:
    def faces(self, _: Tensor) -> list[Face]:
        return [FACE]


class Brighter:
    """Draws a face brighter by its jaw's opening."""

    def __call__(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        return faces_BCYX + told_BK[:, JAW].reshape(-1, 1, 1, 1)


def parts() -> Components:
    made = random_components("tiny", seed=3, shape=SHAPE, std=0.05)
    return replace(made, finder=Finder(), face_painter=Brighter())


def still() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(90, 130, (6, 12, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    return np.repeat(picture[None], FRAMES, 0)


def units(frames: slice, opening: float) -> Tensor:
    units_TU = torch.zeros(FRAMES, NUM_UNITS)
    units_TU[frames, JAW] = opening
    return units_TU


def test_old_words_leave_a_mouth_and_new_ones_move_it() -> None:
    frames = still()
    silent = frames.copy()
    frames[SAYS, *MOUTH] += 60  # the mouth that said them
    rests = source_faces.rests(units(SAYS, 0.5))
    assert rests[:17].all() and rests[43:].all() and not rests[17:43].any()
    made = frames.copy()
    source_faces.draw(parts(), made, units(slice(30, 50), 0.3), rests)
    apart = made.astype(float) - silent
    inside = apart[:, 70:78, 90:102].mean((1, 2, 3))
    assert np.abs(inside[20:30]).max() < 3, "old words are still seen"
    assert inside[30:50] == pytest.approx(0.3 * 127.5, abs=4), "new words are not"
    assert not apart[:15].any() and not apart[50:].any()
    assert not apart[:, :50].any(), "eyes are the source's"


def test_a_mouth_takes_the_light_that_it_comes_into() -> None:
    frames = still()
    frames[30:] = frames[30:] * 0.5  # a lamp goes out while it speaks
    made = frames.copy()
    source_faces.draw(parts(), made, units(slice(0, 0), 0.0), source_faces.rests(units(slice(20, 60), 0.5)))
    apart = made.astype(float) - frames
    assert np.abs(apart[:, 70:78, 90:102].mean((1, 2, 3))).max() < 3


def test_a_mouth_that_never_rests_is_that_of_its_least() -> None:
    always = units(slice(0, FRAMES), 0.6)
    always[33, JAW] = 0.2
    assert source_faces.rests(always).nonzero().tolist() == [[33]]
    short = units(slice(4, 20), 0.5) + units(slice(22, FRAMES), 0.5)
    assert source_faces.rests(short)[:4].any()


def test_the_mouth_lies_within_the_square_of_a_face() -> None:
    mouth, around = source_faces._mouth()
    rows = torch.arange(len(mouth)) / len(mouth) * 2 - 1
    chin = 1 / REACH
    assert mouth[(rows - source_faces.MOUTH_DOWN).abs().argmin()].max() == 1
    assert mouth[rows < 0].max() == 0 and mouth[-1].max() == 0 and mouth[(rows - chin).abs().argmin()].max() > 0.5
    assert not (mouth * around).any() and around.sum() > 100
