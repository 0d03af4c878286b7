"""Two people who were drawn alone stand side by side in one place, each as large as people are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from muybridge.engine.pairs import PLACES, TALL, Alone, together
from muybridge.model.finder import KINDS, Face

ROWS, COLS = 128, 224


class Finder:
    """Takes for people what is not grey."""

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        assert picture_CYX.ndim == 3
        return []

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        nothing = torch.zeros(picture_CYX.shape[1:])
        return dict.fromkeys(KINDS, nothing) | {"person": (picture_CYX.std(0) > 0.1).float()}


def somebody(x: int, top: int, colour: int) -> Alone:
    """A column of one colour from `top` to the lower edge, its face at its upper end, in a grey place."""
    picture = torch.zeros(3, ROWS, COLS)
    picture[:, top:, x - 20 : x + 20] = -1.0
    picture[colour, top:, x - 20 : x + 20] = 1.0
    return Alone(picture, Face(x / ROWS, (top + 24) / ROWS, 0.15, 0.19))


@pytest.mark.parametrize("left_x", [40, 112, 190])
def test_both_are_there_from_the_left_in_one_place(left_x: int) -> None:
    shown = together(Finder(), somebody(left_x, 40, 0), somebody(100, 30, 2))
    for place, colour in zip(PLACES, (0, 2), strict=True):
        at = round(place * COLS)
        assert float(shown[colour, 100:, at - 8 : at + 8].min()) > 0.9
        assert float(shown[2 - colour, 100:, at - 8 : at + 8].max()) < -0.9
    assert float(shown[:, :30].abs().max()) < 0.05  # nobody is left where one stood
    middle = round(sum(PLACES) / 2 * COLS)
    assert float(shown[:, :, middle - 4 : middle + 4].abs().max()) < 0.05


def test_whoever_is_too_near_goes_back_and_keeps_the_ground() -> None:
    near = somebody(112, 20, 0)
    near = near._replace(face=near.face._replace(half_height=2 * TALL[1]))
    shown = together(Finder(), near, somebody(112, 40, 2))
    tall = (shown[0, :, round(PLACES[0] * COLS)] > 0.5).nonzero()[:, 0]
    assert int(tall.max()) == ROWS - 1 and len(tall) == pytest.approx((ROWS - 20) / 2, abs=2)
