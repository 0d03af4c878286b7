"""Portraits: what is drawn of people for what is learned of faces, and squares that are cut from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.engine import random_components
from muybridge.errors import NotFound, UserError
from muybridge.model.face_painter import SIDE, TOLD
from muybridge.recipes import face_painter, portraits
from muybridge.recipes.portraits import Portraits
from muybridge.world.anatomy import UNIT_INDEX

N = 3


def some() -> Portraits:
    """Three people: grey squares that units make brighter, drawn darker."""
    faces = torch.full((N, 5, 3, portraits.SIDE, portraits.SIDE), 100, dtype=torch.uint8)
    faces[:, 2:] = 160
    units = torch.zeros(N, 5, 52)
    units[:, 2:, UNIT_INDEX["mouthSmileLeft"]] = 1.0
    drawn = torch.full((N, 3, portraits.SIDE, portraits.SIDE), 60, dtype=torch.uint8)
    return Portraits(faces, faces[:, :2], drawn, units, torch.ones(N, 512), torch.full((N,), 0.2))


def test_faces_at_rest_are_silent_and_others_speak() -> None:
    jaw = UNIT_INDEX["jawOpen"]
    units = np.stack([portraits.some_faces(np.random.default_rng(k)) for k in range(40)])
    assert units.shape == (40, 5, 52) and units.min() >= 0 and units.max() <= 1
    at_rest = units[:, 0].copy()
    at_rest[:, [index for name, index in UNIT_INDEX.items() if name.startswith("eyeLook")]] = 0
    assert not at_rest.any()
    assert units[:, 2:, jaw].mean() > 0.1


def test_squares_tell_what_changes_from_where_they_begin() -> None:
    begin, told, wanted, still = face_painter.squares(some(), 64, torch.Generator().manual_seed(0))
    assert begin.shape == wanted.shape == still.shape == (64, 3, SIDE, SIDE) and told.shape == (64, TOLD)
    asked = told[:, [UNIT_INDEX["mouthSmileLeft"], UNIT_INDEX["mouthSmileRight"]]].sum(1)
    assert set(asked.tolist()) == {-1.0, 0.0, 1.0}  # mirrored half of the time, never lost; a smile may go, too
    change = (wanted - still).mean((1, 2, 3))
    assert torch.equal(change > 0.1, asked > 0.5) and torch.equal(change < -0.1, asked < -0.5)
    was_drawn = told[:, 52] == 1
    assert 10 < int(was_drawn.sum()) < 54


def test_a_drawn_square_takes_the_light_of_the_true_one() -> None:
    true, drawn = torch.full((3, 144, 144), 90.0), torch.full((3, 144, 144), 30.0)
    drawn[:, 70:73] += 20.0
    found = face_painter.toned(drawn, true, 6, 6)
    assert float((found - true).abs().mean()) < 5
    assert float(found[:, 71].mean() - found[:, 100].mean()) > 10  # what is fine is its own


def test_nothing_is_read_where_nothing_is_and_nothing_drawn_without_a_draft(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="world portraits"):
        portraits.read_whole(tmp_path)
    with pytest.raises(UserError, match="no draft"):
        portraits.build(random_components("tiny"), tmp_path, 2)
