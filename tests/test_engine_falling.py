"""Rain, snow and fog: as they fall or drift, the same at every size and window, and not in a given first frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from muybridge.engine import falling, fog
from muybridge.model.finder import KINDS, Face
from muybridge.speech.weather import Fall

Floats = NDArray[np.float64]


def shift_down(before: Floats, after: Floats, most: int) -> int:
    """The whole rows by which `after` fits best below `before`."""
    scores = [float((before[: len(before) - k] * after[k:]).sum()) / (len(before) - k) for k in range(most)]
    return int(np.argmax(scores))


@pytest.mark.parametrize(("kind", "frames"), [("rain", 1), ("snow", 4)])
def test_drops_fall_as_fast_as_their_kind(kind: str, frames: int) -> None:
    rows, of = 240, falling.KINDS[kind]
    shifts = [
        shift_down(*(falling.cover(kind, 1.0, number + k, 5, rows, 320) for k in (0, frames)), most=120)
        for number in range(0, 60, 3)
    ]
    fastest = of.fall * frames / 25 * rows
    assert falling.FAR * fastest * 0.8 <= float(np.median(shifts)) <= fastest * 1.1


def test_streaks_stand_and_flakes_are_round() -> None:
    for kind, is_tall in (("rain", True), ("snow", False)):
        cover_YX = falling.cover(kind, 1.0, 7, 1, 256, 256)
        down, across = (float((cover_YX * np.roll(cover_YX, 3, axis)).sum()) for axis in (0, 1))
        assert (down > 2 * across) == is_tall, kind
        assert 0.002 < float(cover_YX.mean()) < 0.08
        assert float(cover_YX.max()) <= falling.KINDS[kind].cover


@pytest.mark.parametrize("kind", list(falling.KINDS))
def test_every_size_shows_the_same_drops(kind: str) -> None:
    small, large = (falling.cover(kind, 1.0, 11, 3, rows, rows * 2) for rows in (128, 512))
    shrunk = large.reshape(128, 4, 256, 4).mean((1, 3))
    assert float(np.corrcoef(small.ravel(), shrunk.ravel())[0, 1]) > 0.85


def test_more_falls_of_what_fell_before() -> None:
    some, all_of_it = (falling.cover("snow", strength, 4, 2, 128, 224) for strength in (0.4, 1.0))
    assert 0 < some.sum() < 0.7 * all_of_it.sum()
    assert (all_of_it >= some - 1e-9).all()
    assert falling.cover("rain", 0.0, 4, 2, 128, 224).sum() == 0


def test_frames_are_those_of_their_numbers() -> None:
    """A window that begins at frame 40 shows what the whole clip does there; large frames are those of small ones."""
    black = torch.full((3, 6, 64, 96), -1.0)
    whole = falling.fallen(black, "rain", [1.0] * 6, range(40, 46), 9, 0.5)
    part = falling.fallen(black[:, 2:4], "rain", [1.0] * 2, range(42, 44), 9, 0.5)
    assert torch.equal(whole[:, 2:4], part)
    assert not torch.equal(whole[:, 0], whole[:, 1])
    assert float(whole.amax()) <= 1
    large = falling.fallen(torch.full((3, 1, 720, 1280), -1.0), "snow", [1.0], [3], 9, 0.5)
    small = falling.fallen(torch.full((3, 1, 360, 640), -1.0), "snow", [1.0], [3], 9, 0.5)
    shrunk = torch.nn.functional.avg_pool2d(large[:, 0], 2)
    assert float((shrunk - small[:, 0]).abs().mean()) < 0.02


def test_it_comes_over_a_given_picture_and_is_there_in_a_drawn_one() -> None:
    always = [Fall("rain", 0.0, 3.0)]
    drawn, given = (falling.fall(always, 75, is_given) for is_given in (False, True))
    assert drawn.kind == given.kind == "rain"
    assert drawn.strength_T[0] == 1 and given.strength_T[0] == 0
    assert given.strength_T[20] == drawn.strength_T[20] == 1
    later = falling.fall([Fall("snow", 1.0, 2.0)], 75, is_given=False)
    assert later.strength_T[:25].max() == 0
    assert later.strength_T[45:50].min() == 1
    assert later.strength_T[-9:].max() == 0
    assert later.at(torch.tensor([0, 48])).strength_T.tolist() == [0, 1]
    assert falling.fall((), 75, is_given=False) is falling.NOTHING


def test_two_kinds_are_one() -> None:
    both = falling.fall([Fall("rain", 0.0, 1.0), Fall("snow", 2.0, 3.0)], 75, is_given=False)
    assert both.kind == "rain"
    assert both.strength_T[60:].max() == 0


class Middle:
    """Somebody in the middle third of every picture."""

    def faces(self, picture_CYX: torch.Tensor) -> list[Face]:
        raise AssertionError(picture_CYX.shape)

    def covers(self, picture_CYX: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {kind: torch.zeros(picture_CYX.shape[1:]) for kind in KINDS}
        third = picture_CYX.shape[2] // 3
        found["person"][:, third : 2 * third] = 1.0
        return found


def test_fog_hides_what_is_far_and_not_who_is_near() -> None:
    """Stripes keep their contrast as far as fog lets them through."""
    frames = torch.full((3, 2, 128, 96), -0.6)
    frames[..., ::4] = 0.2
    hazy = falling.laid_on(frames, "fog", [1.0, 0.5], [0, 1], 3, 0.3, Middle())
    assert hazy.shape == frames.shape and float(hazy.abs().max()) <= 1

    def contrast(frame: int, rows: slice, cols: slice) -> float:
        return float(hazy[1, frame, rows, cols].std() / frames[1, frame, rows, cols].std())

    above, below, who = (contrast(0, *at) for at in (
        (slice(0, 50), slice(0, 24)), (slice(110, 128), slice(0, 24)), (slice(0, 128), slice(36, 60))
    ))  # fmt: skip
    assert above < 0.35 < below < who - 0.1 and who > 0.75
    assert contrast(1, slice(0, 50), slice(0, 24)) > above + 0.2  # half as thick
    nobody = falling.laid_on(frames, "fog", [1.0, 0.5], [0, 1], 3, 0.3, None)
    assert float((nobody - hazy)[:, 0, :50, 36:60].abs().max()) > 0.1
    none = falling.laid_on(frames, "fog", [0.0, 0.0], [0, 1], 3, 0.3, None)
    assert torch.allclose(none, frames, atol=1e-4)


def test_swathes_drift_with_the_clock_and_come_again() -> None:
    still, later = (fog.swathes(number, 5, 96, 160) for number in (0, 50))
    step = round(50 / 25 * fog.DRIFT * 96)
    assert float((still[:, step:] - later[:, :-step]).abs().max()) < 0.05
    assert float((still - later).abs().max()) > 0.1
    around = round(fog.SWATHES[1] / fog.SWATHES[0] / fog.DRIFT * 25)
    assert torch.allclose(fog.swathes(around, 5, 96, 160), still, atol=1e-3)
    assert float(still.abs().max()) < 1.5 and not torch.equal(still, fog.swathes(0, 6, 96, 160))


def test_fog_is_as_bright_as_its_place_and_comes_slowly() -> None:
    dark, bright = (fog.colour_of(torch.full((3, 20, 30), value), torch.zeros(20, 30)) for value in (0.05, 0.6))
    assert torch.allclose(dark, torch.full((3,), 0.05), atol=1e-3) and torch.allclose(bright, torch.full((3,), 0.6))
    orange = torch.tensor([0.6, 0.3, 0.1])[:, None, None].expand(3, 20, 30)
    tinted = fog.colour_of(orange, torch.zeros(20, 30))
    assert tinted[0] > tinted[1] > tinted[2] > 0.5 * tinted[0]
    given = falling.fall([Fall("fog", 0.0, 3.0)], 75, is_given=True)
    assert given.strength_T[0] == 0 and 0 < given.strength_T[20] < 1 and given.strength_T[40] == 1
    drawn = falling.fall([Fall("fog", 0.0, 3.0)], 75, is_given=False)
    assert drawn.strength_T[0] == pytest.approx(fog.DRAWN)
    assert falling.fall([Fall("fog", 1.0, 3.0)], 75, is_given=False).strength_T.max() == 1
