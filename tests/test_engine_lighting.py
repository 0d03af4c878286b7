"""Light on a first picture and over a film: the asked side is brighter, changes come at their times."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from muybridge.engine.lighting import AT_ONCE_S, BRIGHT, LOW, SIDE, gains, keyed, lit, logs_of, shades
from muybridge.engine.projector import play
from muybridge.engine.state import Film
from muybridge.evaluate import light
from muybridge.model.finder import Face
from muybridge.shapes import PixelSize
from muybridge.speech.lights import Change

ROWS, COLS = 64, 112
FACE = Face(COLS / ROWS / 2, 0.4, 0.15, 0.2)
DARK = 0.28  # of the light: what the world's light dims to
CHANGES = ("brightens", "dims", "flickers", "turns warm", "turns blue", "sweeps")


def covers() -> dict[str, Tensor]:
    """A head on shoulders, and its face."""
    y, x = torch.meshgrid(torch.arange(ROWS) + 0.5, torch.arange(COLS) + 0.5, indexing="ij")
    head = torch.hypot(x - COLS / 2, y - 0.4 * ROWS) < 16
    body = (y > 0.6 * ROWS) & ((x - COLS / 2).abs() < 30)
    face = torch.hypot(x - COLS / 2, y - 0.42 * ROWS) < 9
    return {"person": (head | body).float(), "face": face.float()}


def brightness(picture_CYX: Tensor) -> tuple[float, float]:
    """Logs of linear light: a face's right half over its left one, and its mean."""
    linear = torch.from_numpy(light.linear(((picture_CYX + 1) * 127.5).byte().numpy())).mean(0)
    face = covers()["face"]
    left, right = face.clone(), face.clone()
    left[:, COLS // 2 :] = 0
    right[:, : COLS // 2] = 0
    means = [float((linear * part).sum() / part.sum()) for part in (left, right, face)]
    return math.log(means[1] / means[0]), math.log(means[2])


@pytest.mark.parametrize("before", [-0.25, 0.0, 0.25])
def test_the_asked_side_of_a_person_is_brighter_whatever_was_there(before: float) -> None:
    slope_X = torch.linspace(-before, before, COLS)
    picture = (torch.full((3, ROWS, COLS), -0.2) + slope_X).clamp(-1, 1)
    found = {side: keyed(picture, covers(), [FACE], side) for side in ("left", "right", "front", "behind")}
    sides = {side: brightness(made)[0] for side, made in found.items()}
    assert sides["left"] < -0.2 and sides["right"] > 0.2
    assert abs(sides["front"]) < 0.1 and abs(sides["behind"]) < 0.1
    assert brightness(found["behind"])[1] < brightness(found["front"])[1] - 0.2  # a face in its own shadow
    nobody = covers()["person"] == 0
    for made in found.values():
        assert torch.allclose(made[:, nobody], picture[:, nobody], atol=1e-5)


def test_shades_run_from_left_to_right_over_each_person() -> None:
    alone = shades(covers()["person"], [FACE])
    row = alone[int(0.4 * ROWS)]
    assert float(row[COLS // 2 - 14]) < -0.7 and float(row[COLS // 2 + 14]) > 0.7 and abs(float(row[COLS // 2])) < 0.1
    assert float(alone[0].abs().max()) == 0.0
    two = torch.zeros(ROWS, COLS)
    two[20:, 10:40] = two[20:, 70:100] = 1.0
    both = shades(two, [Face(25 / ROWS, 0.5, 0.1, 0.15), Face(85 / ROWS, 0.5, 0.1, 0.15)])
    for left, right in ((12, 38), (72, 98)):
        assert float(both[40, left]) < -0.7 and float(both[40, right]) > 0.7


@pytest.mark.parametrize("change", CHANGES)
def test_a_given_picture_is_as_it_is_before_its_light_changes(change: str) -> None:
    found = gains([Change(change, 1.0, 2.0)], 75, 3, is_given=True)
    assert found.shape == (4, 75) and float(found[:, :25].abs().max()) == 0.0
    assert float(found[:, 26:50].abs().max()) > 0.1


def test_changes_are_those_of_the_world() -> None:
    def ends(change: str, is_given: bool = False) -> tuple[list[float], list[float]]:
        found = gains([Change(change, 0.5, 1.5)], 50, 0, is_given)
        return found[:, 0].tolist(), found[:, -1].tolist()

    assert ends("dims")[1][:3] == pytest.approx([math.log(DARK)] * 3)
    assert ends("brightens") == (pytest.approx([*[math.log(LOW)] * 3, 0.0]), pytest.approx([0.0] * 4))
    assert ends("brightens", True)[1][:3] == pytest.approx([math.log(BRIGHT)] * 3)
    red, _, blue, _ = ends("turns warm")[1]
    assert red > 0 > blue
    red, _, blue, _ = ends("turns blue")[1]
    assert red < 0 < blue
    assert ends("sweeps") == (pytest.approx([0, 0, 0, -SIDE]), pytest.approx([0, 0, 0, SIDE]))
    two = gains([Change("dims", 0.0, 1.0), Change("turns warm", 0.0, 1.0)], 50, 0, is_given=True)
    assert two[0, -1] == pytest.approx(math.log(DARK) + math.log(1.25))


def test_a_flicker_ends_with_its_beat() -> None:
    found = gains([Change("flickers", 0.4, 1.2)], 50, 1, is_given=False)
    assert float(found[:, :10].abs().max()) == float(found[:, 31:].abs().max()) == 0.0
    assert float(found[0, 10:31].std()) > 0.05


def test_light_multiplies_what_is_there() -> None:
    film = torch.full((3, 2, 4, 4), 0.0)
    found = lit(film, logs_of(torch.tensor([[0.0, -1.0]] * 3 + [[0.0, 0.0]]), torch.zeros(0)))
    assert torch.equal(found[:, 0], film[:, 0])
    assert float(found[0, 1, 0, 0]) == pytest.approx(math.exp(-1 / 2.2) - 1)


@pytest.mark.parametrize("change", ["brightens", "dims", "turns warm", "turns blue", "sweeps"])
@pytest.mark.parametrize("is_given", [True, False])
def test_the_measure_names_what_a_film_shows_and_its_middle(change: str, is_given: bool) -> None:
    picture = torch.full((3, ROWS, COLS), -0.3)
    person = covers()["person"]
    light_4T = gains([Change(change, 1.0, 2.0)], 75, 0, is_given)
    film = Film(picture, 75, light_4T=light_4T, shade_YX=shades(person, [FACE]))
    assert film.moves
    frames = ((play(film, None, PixelSize(COLS, ROWS))[0].clamp(-1, 1) + 1) * 127.5).byte().permute(1, 2, 3, 0).numpy()
    faces = np.tile(np.array([COLS / 2, 0.5 * ROWS, 20], np.float32), (75, 1))
    name, middle_s = light.change_of(frames, faces)
    assert name == change
    late = AT_ONCE_S / 2 if change == "sweeps" and is_given else 0.0
    assert middle_s == pytest.approx(1.5, abs=0.15 + late)


def test_a_film_s_light_goes_with_its_frames() -> None:
    film = Film(torch.zeros(3, 8, 8), 10, light_4T=torch.arange(40.0).reshape(4, 10))
    picked = film.at(torch.tensor([2, 7]))
    assert picked.light_4T.tolist() == [[2, 7], [12, 17], [22, 27], [32, 37]]
    assert not replace(film, light_4T=torch.zeros(0)).moves
