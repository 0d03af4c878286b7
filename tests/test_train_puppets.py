"""Faces that speak without being drawn anew: palettes cover what is said, blends are exact on their own mouths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.train import puppets, takes
from muybridge.world import render
from muybridge.world.anatomy import UNIT_INDEX
from muybridge.world.grammar import sample_scene
from muybridge.world.scene import NEAREST_FRAMING
from tests.test_world_data import Hum


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 60), st.integers(4, 20))
def test_palettes_begin_at_rest_and_spread(seed: int, num_frames: int, count: int) -> None:
    units_NU = np.random.default_rng(seed).random((num_frames, 52), np.float32)
    mouths_KU = puppets.palette(units_NU, count)
    assert not mouths_KU[0].any()
    assert len(mouths_KU) == min(count, num_frames + 1)
    apart = np.linalg.norm(mouths_KU[:, None] - mouths_KU, axis=2) + 9 * np.eye(len(mouths_KU))
    furthest = np.linalg.norm(units_NU[:, None] - mouths_KU, axis=2).min(1).max()
    assert furthest <= apart.min() + 1e-4  # what was left out is nearer than any two that were chosen


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_blends_are_shares_and_exact_on_the_mouths_themselves(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mouths_KU = puppets.palette(rng.random((30, 52), np.float32), 12)
    shares_TK = puppets.blend(np.concatenate([mouths_KU, rng.random((9, 52), np.float32)]), mouths_KU)
    assert np.allclose(shares_TK.sum(1), 1, atol=1e-5)
    assert shares_TK.min() >= 0
    assert ((shares_TK > 0).sum(1) <= puppets.NEIGHBOURS).all()
    assert np.allclose(shares_TK[: len(mouths_KU)], np.eye(len(mouths_KU)), atol=1e-3)


def test_a_palette_is_what_the_renderer_draws() -> None:
    scene = sample_scene(5, "train", 1.0, cast="person", framing=NEAREST_FRAMING)
    mouths_KU = np.zeros((2, 52), np.float32)
    mouths_KU[1, UNIT_INDEX["jawOpen"]] = 0.8
    drawn_KYX5 = puppets.draw_palette(scene, mouths_KU, 96, 96)
    pictures_KYX3, masks_KYX = drawn_KYX5[..., :3], drawn_KYX5[..., 3]
    frame = int(puppets.MOMENT * scene.num_frames)
    drawn = render.Set(scene)
    silent = drawn.draw(frame, 96, 96)
    drawn.release()
    assert np.array_equal(pictures_KYX3[0], silent.pixels_YX3)
    assert masks_KYX[1].astype(int).sum() > masks_KYX[0].astype(int).sum()


def test_one_person_says_several_things(tmp_path: Path) -> None:
    made = puppets.shoot(3, 3, "train", 64, 64, 1.5, Hum())
    assert [take.index for take in made] == [9, 10, 11]
    spoken = [take for take in made if take.facts["lines"]]
    assert spoken
    for take in spoken:
        assert take.mute_TYX3 is not None
        assert take.frames_TYX3.shape == take.mute_TYX3.shape == (37, 64, 64, 3)
        assert len(take.waveform_S) == 37 * 960
        moved = np.abs(take.frames_TYX3.astype(int) - take.mute_TYX3).max((0, 3))
        assert moved[32:].max() > 30
        assert moved[:20].max() <= 8  # above the eyes nothing speaks, but brows follow a smile a little
    assert len({take.scene.people[0].identity for take in made}) == 1
    again = takes.load(takes.write(tmp_path, spoken[0]))
    assert again.facts == spoken[0].facts


def test_building_goes_on_with_whole_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(puppets.talking, "default_source", Hum)
    assert puppets.build(tmp_path, 2, 2, size=(64, 64), seconds=0.9, stride=2, quiet=True) == 2
    assert puppets.build(tmp_path, 2, 2, size=(64, 64), seconds=0.9, quiet=True) == 2
    assert puppets.build(tmp_path, 2, 2, size=(64, 64), seconds=0.9, quiet=True) == 0
    assert [path.name for path in takes.stored(tmp_path, "train")] == [
        f"take-train-000000{k}.safetensors" for k in range(4)
    ]
