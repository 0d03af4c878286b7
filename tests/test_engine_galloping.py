"""A horse gallops when its hoofbeats say, to the side it is heading, in its coat; what is kept of it is the world's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from muybridge import media
from muybridge.engine import foley
from muybridge.engine.galloping import KIND, STRIDE, coat_colour, moving
from muybridge.engine.projector import play
from muybridge.engine.state import Film
from muybridge.shapes import FPS, PixelSize
from muybridge.speech.looks import coat_of
from muybridge.speech.sounds import Sound
from muybridge.world.stride import COLS, PHASES, ROWS

BEGINS = (0.2, 0.2 + PHASES / FPS)  # a phase a frame
PLACE = torch.full((3, 128, 224), 0.2)


def horse(frames: Tensor) -> Tensor:
    """[T, Y, X]: where a frame is no longer the place."""
    return (frames - PLACE[:, None]).abs().amax(0) > 0.02


def test_every_stride_is_alike_and_its_phases_are_not() -> None:
    shown = moving(PLACE, BEGINS, 1, "brown")(range(5, 30))
    assert torch.allclose(shown[:, 0], shown[:, PHASES], atol=1e-5)
    assert all(not torch.equal(shown[:, 0], shown[:, k]) for k in range(1, PHASES))


def test_hooves_are_on_the_ground_when_they_are_heard_and_not_between() -> None:
    """The hind hooves land at 0 and 0.13 of a stride, the fore ones at 0.36 and 0.49; at 0.7 the last is up."""
    kept = media.read_image(STRIDE).reshape(PHASES, ROWS, COLS, 3)[..., 1] / 255
    is_down = [bool(kept[phase, -3:].max() > 0.5) for phase in range(PHASES)]
    assert all(is_down[:9]) and not any(is_down[9:])
    sound = Sound("horse", 0.5, 4.0)
    begin_s, next_s = foley.strides(sound, 3)
    beats = [event.time_s for event in foley._events(sound, 3) if event.kind == "hoof"]
    for wanted in (0.0, 0.13, 0.36, 0.49):
        assert min(abs((beat - begin_s) / (next_s - begin_s) % 1 - wanted) for beat in beats) < 1e-3


def test_it_runs_to_either_side_and_its_place_passes() -> None:
    right, left = (horse(moving(PLACE, BEGINS, side, "brown")(range(5, 6)))[0] for side in (1, -1))
    assert torch.equal(right[:100], left.flip(1)[:100])
    uneven = PLACE + torch.linspace(-0.2, 0.2, 224)
    first, later = moving(uneven, BEGINS, 1, "brown")(range(0, 11, 10)).unbind(1)
    assert float((later - first)[:, 5, 20:60].mean()) > 0.05


@pytest.mark.parametrize("coat", ["white", "black", "golden", "blue"])
def test_it_has_its_coat_in_the_light_of_its_place(coat: str) -> None:
    colours = []
    for place in (PLACE, PLACE - 0.9):
        shown = moving(place, BEGINS, 1, coat)(range(5, 6))[:, 0]
        colours.append(shown[:, 70:76, 100:124].mean((1, 2)) + 1)
    assert float(colours[0].sum()) > float(colours[1].sum())
    order = coat_colour(coat).argsort()
    assert colours[0][order[0]] <= colours[0][order[-1]] + 1e-3


@pytest.mark.parametrize(
    ("scene", "coat"),
    [
        ("A horse gallops across a meadow.", "brown"),
        ("A white horse runs.", "white"),
        ("A big black stallion on a green hill", "black"),
        ("Ein schwarzes Pferd galoppiert.", "black"),
        ("Un cheval blanc galope.", "white"),
        ("一匹白色的马在奔跑", "white"),
        ("黒い馬が走る", "black"),
        ("흰 말이 달린다", "white"),
    ],
)
def test_coats_are_read(scene: str, coat: str) -> None:
    assert coat_of(scene) == coat


def test_a_film_of_a_horse_moves_and_keeps_its_size() -> None:
    film = Film(PLACE, 20, strikes_K=torch.tensor(BEGINS), kind=KIND, heading=-1, coat="white")
    shown = play(film, None, PixelSize(224, 128))
    assert film.moves and shown.shape == (1, 3, 20, 128, 224)
    assert all(bool(horse(shown[0])[k].any()) for k in range(20))


def test_the_kept_stride_is_the_world_s() -> None:
    from muybridge.world.stride import stride

    kept, made = media.read_image(STRIDE).astype(int), stride().astype(int)
    assert kept.shape == made.shape == (PHASES * ROWS, COLS, 3)
    assert np.abs(kept - made).mean() < 3  # another GPU may round edges elsewhere
