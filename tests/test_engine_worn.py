"""Glasses lie around the eyes that a painter draws, as large as they are apart, and stay there while a film moves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from muybridge.engine import worn
from muybridge.engine.projector import play
from muybridge.engine.state import Film
from muybridge.engine.worn import Eyes, eyes_of, glasses
from muybridge.model.face_painter import REACH, SIDE, WORDS
from muybridge.model.finder import Face
from muybridge.shapes import PixelSize
from muybridge.world.anatomy import UNIT_INDEX

FACE = Face(0.9, 0.5, 0.2, 0.3)
LEFT, RIGHT = (-0.3, -0.25), (0.25, -0.2)  # eyes, in half heights of the face


class Winks:
    """Draws two white eyes, which go when they shut; none where `sees` is False."""

    def __init__(self, sees: bool = True) -> None:
        self.sees = sees

    def __call__(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        at = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * REACH
        drawn = torch.zeros_like(faces_BCYX)
        for x, y in (LEFT, RIGHT) if self.sees else ():
            drawn += torch.exp(-((at[None] - x) ** 2 + (at[:, None] - y) ** 2) / 0.005)
        open_B = 1 - told_BK[:, UNIT_INDEX["eyeBlinkLeft"]]
        return drawn * open_B.reshape(-1, 1, 1, 1)


def test_eyes_are_where_shutting_them_changes_a_face() -> None:
    picture = torch.zeros(3, 128, 224)
    eyes = eyes_of(Winks(), picture, FACE, torch.zeros(WORDS))
    assert eyes is not None
    for found, (x, y) in zip(eyes, (LEFT, RIGHT), strict=True):
        wanted = (FACE.x + x * FACE.half_height, FACE.y + y * FACE.half_height)
        assert found == pytest.approx(wanted, abs=0.01)
    assert eyes_of(Winks(sees=False), picture, FACE, torch.zeros(WORDS)) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_rims_lie_around_the_eyes_and_lenses_in_sunglasses_alone(seed: int) -> None:
    rows, cols = 256, 448
    eyes = Eyes((0.83, 0.44), (0.97, 0.44))
    clear, dark = (glasses(eyes, FACE, rows, cols, seed, are_dark) for are_dark in (False, True))
    assert clear.shape == (rows, cols) and float(clear.min()) >= 0 and float(clear.max()) == 1
    for x, y in eyes:
        row, col = round(y * rows), round(x * cols / (cols / rows))
        assert float(clear[row, col]) == 0 and float(dark[row, col]) == pytest.approx(worn.SHADED)
        rim = round((x - worn.WIDE * 0.07) * rows)
        assert float(clear[row, rim - 3 : rim + 4].max()) == 1
    where = clear.nonzero()
    assert int(where[:, 1].min()) >= round(0.68 * rows) and int(where[:, 1].max()) <= round(1.12 * rows)
    assert float(clear[: round(0.36 * rows)].max()) == float(clear[round(0.52 * rows) :].max()) == 0


def test_tilted_eyes_have_tilted_glasses() -> None:
    level, tilted = (glasses(Eyes((0.83, 0.44), (0.97, y)), FACE, 256, 448, 0, False) for y in (0.44, 0.48))

    def lean(cover: Tensor) -> float:
        halves = cover[:, :230], cover[:, 230:]
        rows = [float((half.sum(1) @ torch.arange(256.0)) / half.sum()) for half in halves]
        return rows[1] - rows[0]

    assert abs(lean(level)) < 1 and lean(tilted) == pytest.approx(0.04 * 256, abs=2)


def test_a_film_shows_them_in_every_frame_at_any_size() -> None:
    cover = torch.zeros(64, 112)
    cover[20:30, 40:70] = 1.0
    shown = play(Film(torch.zeros(3, 128, 224), 3, worn_YX=cover), None, PixelSize(224, 128))
    assert float(shown[0, :, 0, 50, 110].mean()) == pytest.approx(worn.COLOUR)
    assert float(shown[0, :, 0, 90, 110].mean()) == 0
