"""A covered thing is taken off its place and moves with its strikes; what is behind it goes on from its edges."""

from __future__ import annotations

import math

import pytest
import torch

from muybridge.engine import layers
from muybridge.shapes import FPS

ROWS, COLS = 64, 112
STRIKES = (0.4, 1.0, 1.6)


def ball(y: float = 48, x: float = 50, radius: float = 8) -> torch.Tensor:
    down, right = torch.meshgrid(torch.arange(ROWS) + 0.5, torch.arange(COLS) + 0.5, indexing="ij")
    return (torch.hypot(down - y, right - x) < radius).float()


def test_a_plain_place_goes_on_behind_what_is_taken_off() -> None:
    place = torch.full((3, ROWS, COLS), 0.25)
    cover = ball()
    seen = torch.where(cover > 0, torch.tensor(-1.0), place)
    assert torch.allclose(layers.filled(seen, cover), place, atol=1e-5)


def test_what_is_not_covered_stays() -> None:
    picture, cover = torch.rand(3, ROWS, COLS), ball()
    assert torch.equal(layers.filled(picture, cover)[:, cover == 0], picture[:, cover == 0])


def test_a_place_in_layers_goes_on_from_beside() -> None:
    """A wall over a floor: behind a ball before both, each goes on to where they meet, but for a blur of a few rows."""
    wall = (torch.arange(ROWS) < 44).float()[None, :, None].expand(3, ROWS, COLS)
    found = layers.filled(torch.where(ball() > 0, torch.tensor(-1.0), wall), ball())
    assert float((found - wall).abs()[:, [*range(40), *range(48, ROWS)]].max()) < 0.2


def test_a_place_that_is_known_is_seen_behind_what_moves() -> None:
    picture, cover, behind = torch.rand(3, ROWS, COLS), ball(), torch.full((3, ROWS, COLS), 0.4)
    frame = layers.struck(picture, cover, STRIKES, "ball", behind_CYX=behind)(range(17, 18))[:, 0]
    assert torch.allclose(frame[:, 50:], behind[:, 50:], atol=1e-4)  # it is in the air at 0.7 s
    made_up = layers.without(picture, cover, "ball")
    assert torch.equal(layers.struck(picture, cover, STRIKES, "ball")(range(17, 18))[:, 0, 50:], made_up[:, 50:])


@pytest.mark.parametrize("at_s", STRIKES)
def test_a_ball_is_on_the_ground_when_it_strikes(at_s: float) -> None:
    assert layers.flight(STRIKES, at_s) == pytest.approx(0, abs=1e-9)
    assert layers.flight(STRIKES, at_s + 0.3) == pytest.approx(9.81 / 8 * 0.6**2)  # half way of 0.6 s: g t^2 / 8


@pytest.mark.parametrize("at_s", STRIKES)
def test_a_bell_turns_when_it_is_struck(at_s: float) -> None:
    assert abs(layers.swing(STRIKES, at_s)) == pytest.approx(1)
    assert layers.swing(STRIKES, at_s - 1e-4) == pytest.approx(layers.swing(STRIKES, at_s + 1e-4), abs=1e-3)
    assert layers.swing(STRIKES, at_s + 0.3) == pytest.approx(0, abs=1e-9)


def test_a_ball_is_lowest_in_the_frames_of_its_strikes() -> None:
    picture = torch.where(ball() > 0, torch.tensor(1.0), torch.tensor(-0.5)).expand(3, -1, -1)
    film = layers.struck(picture, ball(), STRIKES, "ball")(range(50))
    assert film.shape == (3, 50, ROWS, COLS)
    bright = (film[0] > 0.5).float()
    rows = (bright.sum(2) @ (torch.arange(ROWS) + 0.5)) / bright.sum((1, 2))
    assert float(rows.max()) == pytest.approx(48, abs=0.6)
    for at_s in STRIKES:
        frame = round(at_s * FPS)
        assert float(rows[frame]) == pytest.approx(float(rows[max(0, frame - 4) : frame + 5].max()), abs=0.3)
    assert float(rows.min()) < 40
    assert float(rows.min()) > 8 + layers.HIGHEST * ROWS - 1  # inside of the picture


def test_only_the_bell_swings_in_its_frame() -> None:
    picture = torch.rand(3, ROWS, COLS)
    cover = torch.zeros(ROWS, COLS)
    cover[4:60, 26:86] = 1.0
    film = layers.struck(picture, cover, STRIKES, "bell")(range(40))
    moved = (film - picture[:, None]).abs().amax((0, 1))
    assert float(moved[12:30, 45:67].min()) > 0  # where it hangs
    assert not moved[45:].any() and not moved[:, :20].any() and not moved[:, 92:].any()


@pytest.mark.parametrize("heading", [1, -1])
def test_a_place_passes_behind_a_horse_that_stays(heading: int) -> None:
    ramp = torch.linspace(-1, 1, COLS).expand(3, ROWS, -1)
    picture = torch.where(ball() > 0, torch.tensor(1.0), ramp)
    film = layers.struck(picture, ball(), STRIKES, "horse", heading)(range(25))
    assert float((film[:, 24] - film[:, 0])[:, 5, 30:60].mean()) * heading > 0.1  # what was to the right comes in
    bright = (film[0, :, 30:, 30:70] > 0.95).float().sum((1, 2))
    assert float(bright.min()) > 150  # it is there in every frame
    assert layers.stride(STRIKES, 1.6) == pytest.approx(2)


def test_where_there_is_next_to_nothing_nothing_moves() -> None:
    picture = torch.rand(3, ROWS, COLS)
    film = layers.struck(picture, torch.zeros(ROWS, COLS), STRIKES, "ball")(range(5))
    assert torch.equal(film, picture[:, None].expand(-1, 5, -1, -1))


def test_a_thing_is_what_hangs_together_around_its_surest_pixel() -> None:
    cover = 0.9 * ball(y=40, x=30) + 0.7 * ball(y=20, x=90, radius=6) + 0.2
    found = layers.one(cover)
    assert float(found[40, 30]) == 1.0 and not found[:, 60:].any() and not found[:28].any()
    assert not layers.one(0.5 * ball()).any()


def test_the_box_around_most_of_a_cover() -> None:
    place = layers.place_of(ball(y=30, x=70, radius=10))
    assert place is not None
    assert (place.x, place.y) == (pytest.approx(70, abs=1), pytest.approx(30, abs=1))
    assert place.half_width == pytest.approx(10, abs=1.5) and place.half_height == pytest.approx(10, abs=1.5)
    assert layers.place_of(torch.zeros(ROWS, COLS)) is None


def test_one_strike_is_enough() -> None:
    assert layers.flight((1.0,), 1.0) == pytest.approx(0) and layers.flight((1.0,), 1.2) > 0
    assert math.isclose(abs(layers.swing((1.0,), 1.0)), 1)


def test_a_thing_that_hangs_together_with_its_floor_is_where_it_is_surest() -> None:
    cover = torch.zeros(64, 112)
    cover[50:] = 0.45  # a floor that is half taken for a thing
    cover[40:52, 50:62] = 0.95
    assert layers.one(cover)[60, 0] > 0
    found = layers.place_of(layers.one(cover, 0.25))
    assert found is not None and (found.x, found.y) == (56.0, 46.0) and found.half_width <= 6.0
    cover[50:] = 0.95
    assert not layers.one(cover, 0.25).any()  # a floor and nothing else


def test_a_ball_is_round_and_as_large_as_what_was_found() -> None:
    disc = layers.disc(layers.Place(30.0, 20.0, 16.0, 4.0), 48, 64)
    assert float(disc.sum()) == pytest.approx(math.pi * 64, rel=0.03)
    found = layers.place_of(disc)
    assert found is not None and abs(found.x - 30) <= 1 and abs(found.y - 20) <= 1
    assert found.half_width == pytest.approx(found.half_height, abs=1)


def test_what_juts_out_of_a_dented_ball_is_its_place_again() -> None:
    picture = torch.full((3, 48, 64), 0.2)
    cover = torch.zeros(48, 64)
    cover[20:28, 20:44] = 1.0  # a long dent
    picture[:, 20:28, 20:44] = 0.9
    rounder, disc = layers.rounded(picture, cover)
    assert float((rounder * (1 - disc)).max()) < 0.4
    assert torch.equal(rounder[:, 24, 32], picture[:, 24, 32]) and float(disc[24, 32]) == 1.0
