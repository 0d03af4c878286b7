"""Faces over time: units follow phones, moods and blinks; what is drawn stays in its square."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from muybridge.engine import faces
from muybridge.model.face_painter import NUM_UNITS, SIDE, TOLD, WORDS, FacePainter, told
from muybridge.model.finder import Face
from muybridge.shapes import FPS
from muybridge.speech.acts import Act
from muybridge.speech.durations import Phone
from muybridge.world.anatomy import UNIT_INDEX
from muybridge.world.visemes import planned_opening

FACE = Face(0.8, 0.45, 0.15, 0.2)
PHONES = (Phone("a", 0.4, 0.7), Phone("m", 0.7, 0.85), Phone("a", 0.85, 1.2))
JAW, SHUT, SMILE = (UNIT_INDEX[name] for name in ("jawOpen", "eyeBlinkLeft", "mouthSmileLeft"))


class Brighter:
    """Draws every face brighter by its jaw's opening; remembers how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        self.count += len(faces_BCYX)
        return faces_BCYX + told_BK[:, JAW].reshape(-1, 1, 1, 1)


def test_a_jaw_opens_as_the_phones_plan_it() -> None:
    units_TU = faces.units_of(PHONES, (), 50, 0)
    assert torch.allclose(units_TU[:, JAW].double(), torch.from_numpy(planned_opening(PHONES, 50)))
    assert units_TU[round(0.775 * FPS), JAW] < 0.05 < 0.4 < units_TU[round(0.55 * FPS), JAW]


def test_a_mood_comes_and_goes_and_a_talking_mouth_keeps_less_of_it() -> None:
    mood = (Act("happy", 0.2, 1.8),)
    silent, talking = faces.units_of((), mood, 50, 0), faces.units_of(PHONES, mood, 50, 0)
    assert silent[0, SMILE] == 0 and silent[25, SMILE] > 0.8 and silent[-1, SMILE] == 0
    assert talking[round(0.775 * FPS), SMILE] < 0.6 * silent[25, SMILE]


def test_people_blink_now_and_then_and_otherwise_than_others() -> None:
    shut_T = faces.units_of((), (), 250, 3)[:, SHUT]
    assert 2 <= int((shut_T > 0.7).sum()) <= 25 and float(shut_T[:5].max()) == 0
    assert not torch.equal(shut_T, faces.units_of((), (), 250, 4)[:, SHUT])


def test_a_good_picture_stays_where_nothing_is_asked_and_outside_of_its_face() -> None:
    picture = torch.rand(3, 128, 224) - 0.5
    units_TU = torch.zeros(6, NUM_UNITS)
    units_TU[3:5, JAW] = 0.3
    painter = Brighter()
    changes = faces.changes(painter, picture, [(FACE, units_TU)], torch.zeros(WORDS), was_drawn=False)
    film = faces.changed(picture, changes)
    assert torch.equal(faces.changed(picture, changes, slice(2, 4)), film[:, 2:4])
    assert film.shape == (3, 6, 128, 224)
    assert all(torch.equal(film[:, k], picture) for k in (0, 1, 2, 5))
    y, x = int(FACE.y * 128), int(FACE.x * 128)
    assert torch.allclose(film[:, 3, y, x], picture[:, y, x] + 0.3, atol=1e-4)
    assert torch.equal(film[:, 3, :, :40], picture[:, :, :40])
    assert painter.count == 2  # faces alike are drawn once


def test_what_a_drawn_face_feels_is_drawn_and_added_to_it() -> None:
    picture, units_TU, felt_TU = torch.zeros(3, 128, 224), torch.zeros(4, NUM_UNITS), torch.zeros(4, NUM_UNITS)
    units_TU[1:, JAW], felt_TU[2:, JAW] = 0.3, 0.2

    def middle_T(was_drawn: bool, felt: list[torch.Tensor]) -> list[float]:
        found = faces.changes(Brighter(), picture, [(FACE, units_TU)], torch.zeros(WORDS), was_drawn, felt)
        film = faces.changed(picture, found)
        return [round(float(x), 3) for x in film[0, :, int(FACE.y * 128), int(FACE.x * 128)]]

    assert middle_T(True, [felt_TU]) == [0, 0.3, 0.5, 0.5]
    assert middle_T(True, []) == middle_T(True, [0 * felt_TU]) == [0, 0.3, 0.3, 0.3]
    assert middle_T(False, [felt_TU]) == [0, 0.3, 0.3, 0.3]  # a given face changes as plainly as is asked


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.2, 2.0), st.floats(-0.2, 1.2), st.floats(0.03, 0.6), st.booleans())
def test_any_face_can_be_drawn_also_at_the_edge(x: float, y: float, high: float, was_drawn: bool) -> None:
    picture = torch.zeros(3, 64, 96)
    units_TU = torch.zeros(3, NUM_UNITS)
    units_TU[1, JAW] = 0.5
    face = Face(x, y, high, high)
    film = faces.changed(picture, faces.changes(Brighter(), picture, [(face, units_TU)], torch.zeros(WORDS), was_drawn))
    assert film.shape == (3, 3, 64, 96) and film.isfinite().all() and film.max() <= 0.5 + 1e-6


def test_an_untrained_painter_changes_nothing() -> None:
    square = torch.rand(2, 3, SIDE, SIDE)
    what = told(torch.rand(2, NUM_UNITS), torch.rand(WORDS), True, 0.2)
    assert what.shape == (2, TOLD)
    with torch.no_grad():
        assert torch.equal(FacePainter()(square, what), square)


@pytest.mark.parametrize("high", [0.1, 0.3])
def test_what_is_cut_out_is_pasted_where_it_was(high: float) -> None:
    """A change that is the square itself, laid over black, gives the picture back within the face."""
    rows, cols = 128, 224
    y_Y, x_X = (torch.arange(n) + 0.5 for n in (rows, cols))
    picture = (torch.sin(y_Y / 9)[:, None] * torch.cos(x_X / 11)).expand(3, -1, -1)
    face = Face(0.9, 0.5, high, high)
    back = faces.pasted(faces.cut(picture[None], face), face, rows, cols)[0]
    top, left, reach = int(face.y * rows), int(face.x * rows), int(0.6 * high * rows)
    inside = (slice(None), slice(top - reach, top + reach), slice(left - reach, left + reach))
    assert torch.allclose(back[inside], picture[inside], atol=0.06)


def test_a_lent_head_takes_the_place_of_another_and_nothing_around_it() -> None:
    here, there = Face(0.9, 0.5, 0.12, 0.16), Face(0.5, 0.4, 0.18, 0.24)
    picture, other = torch.full((3, 128, 224), -0.5), torch.full((3, 96, 96), 0.5)
    heads = torch.zeros(96, 96)
    heads[10:70, 20:76] = 1.0
    found = faces.exchanged(picture, here, other, there, heads)
    assert found.shape == picture.shape
    assert torch.allclose(found[:, 64, 115], torch.full((3,), 0.5), atol=1e-4)
    assert torch.equal(found[:, :, :60], picture[:, :, :60]) and torch.equal(found[:, 110:], picture[:, 110:])
    assert torch.equal(faces.exchanged(picture, here, other, there, torch.zeros(96, 96)), picture)
