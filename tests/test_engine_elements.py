"""Waves and fire in a still picture: where they are found, at their times, and nothing else moves."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from muybridge.engine import elements, foley
from muybridge.speech.sounds import Sound

ROWS, COLS = 128, 224


def sea() -> tuple[Tensor, Tensor]:
    """A blue band over sand, and where it is found."""
    picture, cover = torch.full((3, ROWS, COLS), 0.4), torch.zeros(ROWS, COLS)
    picture[:, :40] = 0.8
    picture[:, 40:80] = torch.tensor([-0.6, -0.2, 0.3])[:, None, None]
    cover[40:80] = 0.9
    return picture, cover


def shore(frame_CYX: Tensor) -> float:
    """The mean row at which the water ends."""
    is_water = frame_CYX[2] > frame_CYX[0] + 0.3
    return float(is_water.float().mul(torch.arange(ROWS)[:, None]).amax(0).mean())


def test_water_moves_where_it_is_and_the_sky_and_the_sand_stay() -> None:
    picture, cover = sea()
    play = elements.moving(picture, cover, [1.0], "waves")
    frames = play(range(60))
    assert torch.equal(frames[:, 0], picture)
    moved = (frames - picture[:, None]).abs().amax((0, 1))
    assert float(moved[:36].max()) == 0 and float(moved[100:].max()) == 0
    assert float(moved[44:78].min()) > 0.02
    assert torch.equal(play(range(20, 22)), frames[:, 20:22])


def test_water_runs_up_the_beach_to_each_wave_and_back() -> None:
    picture, cover = sea()
    frames = elements.moving(picture, cover, [1.5], "waves")(range(100))
    rows = [shore(frames[:, k]) for k in (0, 37, 99)]
    assert rows[1] > rows[0] + 2 and abs(rows[2] - rows[0]) < 1.5
    runs = [elements.run_up([1.5, 4.0], at_s) for at_s in (0.0, 1.5, 3.2, 4.0)]
    assert runs[0] == 0 and runs[1] == runs[3] == 1 and runs[2] < 0.3
    assert elements.run_up([], 1.0) == 0


def test_who_stands_before_the_sea_stays() -> None:
    picture, cover = sea()
    picture[:, 20:, 100:124], cover[20:, 100:124] = 0.1, 0.0
    frames = elements.moving(picture, cover, [1.0], "waves")(range(60))
    assert float((frames - picture[:, None])[:, :, 30:110, 105:119].abs().max()) < 0.05


def test_flames_move_above_their_foot_and_light_what_is_around() -> None:
    picture, cover = torch.full((3, ROWS, COLS), -0.5), torch.zeros(ROWS, COLS)
    cover[50:100, 100:130] = 1.0
    picture[:, 50:100, 100:130] = 0.9
    frames = elements.moving(picture, cover, [0.0], "fire")(range(75))
    assert torch.equal(frames[:, 0], picture)
    change = (frames[:, 20:] - picture[:, None]).abs().mean((0, 1))
    assert float(change[52:58, 95:135].mean()) > 3 * float(change[94:98, 95:135].mean())  # tips, and the foot
    around = frames[0, 20:, 60, 80]
    assert float(around.max() - around.min()) > 0.02
    assert float((frames[:, :, :5, :10] - picture[:, None, :5, :10]).abs().max()) < 0.02  # far away


def test_next_to_nothing_stays_as_it_is() -> None:
    picture = torch.rand(3, 32, 56)
    for kind in elements.KINDS:
        frames = elements.moving(picture, torch.zeros(32, 56), [0.5], kind)(range(3))
        assert torch.equal(frames, picture[:, None].expand(-1, 3, -1, -1))


def test_waves_break_when_they_are_heard_and_a_fire_burns_from_its_start() -> None:
    times = foley.strikes(Sound("waves", 0.0, 9.0), 3)
    assert len(times) >= 2 and all(b - a > 2 for a, b in pairwise(times))
    assert foley.strikes(Sound("fire", 1.5, 4.0), 3) == (1.5,)
