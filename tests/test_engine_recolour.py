"""Dyed hair and clothes have the named colour in the light that was there; the rest of a picture stays."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from muybridge.engine.recolour import (
    CELLS,
    LUMINANCE,
    SHOWN,
    SKINS,
    bare_skin,
    dyed,
    gains,
    place_light,
    recoloured,
    relit,
    to_linear,
    to_srgb,
)
from muybridge.model.finder import KINDS, Face
from muybridge.world.characters import CLOTHES_COLORS, HAIR_COLORS

ROWS, COLS = 32, 48


def lit(colour: tuple[float, float, float], light: float, seed: int = 0) -> Tensor:
    """Cloth of a dye with folds, before a wall that reflects as much as usual, in some light."""
    folds = 0.8 + 0.4 * torch.rand(ROWS, COLS, generator=torch.Generator().manual_seed(seed))
    cloth = torch.tensor(colour)[:, None, None] * folds
    wall = torch.full((3, ROWS, COLS), 0.18)
    return to_srgb((light * torch.where(cover() > 0, cloth, wall)).clamp(0, 1))


def cover() -> Tensor:
    where = torch.zeros(ROWS, COLS)
    where[20:, 10:40] = 1.0
    return where


def test_light_and_srgb_are_each_others_inverse() -> None:
    values = torch.linspace(0, 1, 101)
    assert torch.allclose(to_srgb(to_linear(values)), values, atol=1e-5)


@pytest.mark.parametrize("light", [0.3, 1.0])
@pytest.mark.parametrize("new", ["red", "navy", "beige", "green"])
@pytest.mark.parametrize("old", ["blue", "orange", "purple"])
def test_cloth_of_one_dye_becomes_cloth_of_another(old: str, new: str, light: float) -> None:
    before, wanted = (lit(CLOTHES_COLORS[name], light) for name in (old, new))
    found = recoloured(before, cover(), "clothes", new)
    inside = cover() > 0
    assert float((found - wanted)[:, inside].abs().mean()) < 0.12
    assert float((found - before)[:, ~inside].abs().max()) < 1e-5
    spread = [float(x.mean(0)[inside].std()) for x in (found, wanted)]
    assert spread[0] > 0.4 * spread[1]  # its folds are there


def test_a_colour_of_the_other_table_will_do() -> None:
    found = recoloured(lit(HAIR_COLORS["black"], 1.0), cover(), "hair", "green")[:, cover() > 0].mean(1)
    assert found[1] > found[0] and found[1] > found[2]


class Finder:
    """Hair above, clothes below, in every picture."""

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        assert picture_CYX.shape[0] == 3
        return []

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        found = {kind: torch.zeros(picture_CYX.shape[1:]) for kind in KINDS}
        found["hair"][:8], found["head"][:12], found["person"][:] = 1.0, 1.0, 1.0
        return found


def test_hair_and_clothes_are_dyed_where_they_are_found() -> None:
    picture = torch.full((3, ROWS, COLS), 0.5)
    found = dyed(Finder(), picture, {"hair": "red", "clothes": "blue"})
    assert torch.equal(found[:, 8:12], picture[:, 8:12])  # the face
    assert found[0, :8].mean() > found[2, :8].mean() + 0.2 and found[2, 12:].mean() > found[0, 12:].mean() + 0.2
    assert torch.equal(dyed(Finder(), picture, {}), picture)


class FaceFinder(Finder):
    """As that, and the face between them."""

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        found = super().covers(picture_CYX)
        found["face"][8:12] = 1.0
        return found


@pytest.mark.parametrize("old", ["black", "brown", "blond"])
@pytest.mark.parametrize("light", [0.3, 1.0])
def test_hair_beside_a_face_is_as_bright_as_hair_of_its_colour_is_seen(old: str, light: float) -> None:
    linear = torch.full((3, ROWS, COLS), 0.18)
    linear[:, 8:12] = torch.tensor([0.4, 0.23, 0.16])[:, None, None]
    linear[:, :8] = torch.tensor(HAIR_COLORS[old])[:, None, None]
    picture = to_srgb((light * linear).clamp(0, 1))
    seen = {}
    for name in HAIR_COLORS:
        found = to_linear(dyed(FaceFinder(), picture, {"hair": name}))
        face, whole = (float((x * LUMINANCE[:, None, None]).sum(0).mean())
                       for x in (to_linear(picture)[:, 8:12], to_linear(picture)))  # fmt: skip
        seen[name] = float((found[:, :7] * LUMINANCE[:, None, None]).sum(0).mean()) / (face * whole) ** 0.5
    # Coloured hair is clipped before it is as bright.
    assert all(abs(math.log(seen[name]) - SHOWN[name]) < 0.1 for name in ("black", "dark brown", "brown", "grey"))
    order = ["black", "dark brown", "brown", "red", "blond", "white"]
    assert [seen[name] for name in order] == sorted(seen[name] for name in order)


@pytest.mark.parametrize("light", [0.1, 0.5, 3.0])
def test_another_light_falls_on_the_same_detail(light: float) -> None:
    source = lit(CLOTHES_COLORS["blue"], 0.3)
    made = to_srgb((to_linear(source) * light).clamp(0, 1))
    found = gains(made, source)
    assert found.shape == (3, *CELLS)
    assert float((relit(source, found) - made).abs().mean()) < 0.03
    assert torch.allclose(relit(source, torch.ones(3, *CELLS)), source, atol=1e-4)


def test_a_place_takes_its_new_light_cell_by_cell_and_keeps_its_detail_and_its_people() -> None:
    """A dark blue room with a person, by day: an orange wall, whose window no gain of the old one makes."""
    grain = 0.02 * torch.rand(64, 96, generator=torch.Generator().manual_seed(1))
    source = to_srgb(torch.tensor([0.0, 0.01, 0.08])[:, None, None] + grain)
    made = torch.tensor([0.8, 0.6, 0.3])[:, None, None].expand(3, 64, 96).clone()
    made[:, :24, 64:] = 0.95
    person = torch.zeros(64, 96)
    person[16:, 30:50] = 1.0
    made[:, person > 0] = 0.0  # what the draft makes of the person is not its place
    same = torch.ones(3, *CELLS)
    found = relit(source, same, place_light(made, source, person), person)
    assert torch.allclose(found[:, 24:, 34:46], source[:, 24:, 34:46], atol=1e-5)
    assert float((found[:, 40:, 60:] - made[:, 40:, 60:]).mean((1, 2)).abs().max()) < 0.03
    assert float((found[:, 4:16, 74:] - made[:, 4:16, 74:]).mean((1, 2)).abs().max()) < 0.03
    assert float((found[:, 24:, 2:24] - made[:, 24:, 2:24]).mean((1, 2)).abs().max()) < 0.05  # beside the person, too
    fine = [to_linear(x[1, 40:, 60:]) - to_linear(x[1, 40:, 60:]).mean() for x in (found, source)]
    assert float(torch.corrcoef(torch.stack([x.flatten() for x in fine]))[0, 1]) > 0.95
    night = place_light(source, made.clamp(min=0.3), person)
    dark = relit(made.clamp(min=0.3), same, night, person)
    assert float((dark[:, 40:, 60:] - source[:, 40:, 60:]).mean((1, 2)).abs().max()) < 0.03


@pytest.mark.parametrize("light", [0.4, 1.0])
def test_skin_is_as_dark_as_its_name_says_on_face_and_neck_and_nowhere_else(light: float) -> None:
    """A face with a neck below, a brown coat around: the coat stays, and the neck goes with the face."""
    covers = {kind: torch.zeros(ROWS, COLS) for kind in KINDS}
    covers["face"][6:18, 18:30] = covers["head"][2:18, 16:32] = 1.0
    covers["hair"][2:6, 16:32] = 1.0
    covers["person"][2:, 8:40] = 1.0
    body = lit(CLOTHES_COLORS["brown"], light)
    skin = to_srgb((light * torch.tensor(SKINS["tan"])[:, None, None].expand(3, ROWS, COLS)).clamp(0, 1))
    is_skin = (covers["face"] > 0) | (torch.zeros(ROWS, COLS, dtype=torch.bool))
    is_skin[18:22, 20:28] = True
    picture = torch.where(is_skin, skin, body)
    cover = bare_skin(picture, covers)
    assert float(cover[6:22, 20:28].min()) > 0.9
    assert float(cover[24:].max()) < 0.2 and float(cover[2:6].max()) < 0.01
    shades = [float(recoloured(picture, cover, "skin", name)[:, 10:20, 22:26].mean()) for name in SKINS]
    assert shades == sorted(shades, reverse=True) and shades[0] > shades[-1] + 0.2
    assert not bool(bare_skin(picture, covers | {"face": torch.zeros(ROWS, COLS)}).any())
