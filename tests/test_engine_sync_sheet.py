"""The sheet of what was said over the sound: a late sound is read off in milliseconds, and silence has no sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from muybridge.engine.clip import Clip
from muybridge.engine.sync_sheet import COLUMNS, curves, sound_lag_ms, spoken_frames, write_sync_sheet
from muybridge.media import read_image
from muybridge.request import Request
from muybridge.speech.pacing import Plan, plan_request
from muybridge.world.visemes import planned_opening

RATE = 24000


def talk() -> tuple[Plan, np.ndarray]:
    """A plan and its opening per frame."""
    plan = plan_request(Request('She says: "Nobody knows how many apples Anna bought."', seconds=4))
    assert plan is not None
    phones = [phone for line in plan.lines for phone in line.phones]
    return plan, planned_opening(phones, 101)


def spoken(opening_T: np.ndarray, late_s: float) -> np.ndarray:
    """A hum as loud as the mouth is open, later by `late_s`."""
    time_S = np.arange(101 * RATE // 25) / RATE
    loud_S = np.interp(time_S - late_s, np.arange(101) / 25, opening_T) + 0.01
    return (0.3 * loud_S * np.sin(2 * np.pi * 150 * time_S)).astype(np.float32)[None]


@pytest.mark.parametrize("late_s", [-0.1, 0.0, 0.08])
def test_a_late_sound_is_read_off(late_s: float) -> None:
    from muybridge.evaluate.sync import frame_levels

    _, opening_T = talk()
    # The level is a logarithm: compared with the logarithm of what was planned, only the delay is left.
    heard_T = frame_levels(spoken(opening_T, late_s)[0], RATE, 101)
    assert sound_lag_ms(np.log(opening_T + 0.01), heard_T) == pytest.approx(1000 * late_s, abs=15)


def test_the_sheet_shows_frames_at_the_words(tmp_path: Path) -> None:
    plan, opening_T = talk()
    frames = np.zeros((101, 64, 96, 3), np.uint8)
    frames[..., 0] = np.arange(101, dtype=np.uint8)[:, None, None]
    path = write_sync_sheet(tmp_path / "a.png", Clip(frames, spoken(opening_T, 0.0), RATE), plan)
    assert path is not None
    sheet = read_image(path)
    picked = spoken_frames(plan, 101)
    assert len(picked) == COLUMNS
    assert picked == sorted(picked)
    first, last = plan.lines[0].start_s * 25, plan.lines[-1].end_s * 25
    assert first - 1 <= picked[0] <= picked[-1] <= last + 1
    assert [int(sheet[10, 4 + k * 100 + 50, 0]) for k in range(COLUMNS)] == picked


def test_nothing_said_or_heard_has_no_sheet(tmp_path: Path) -> None:
    plan, opening_T = talk()
    frames = np.zeros((101, 64, 96, 3), np.uint8)
    assert write_sync_sheet(tmp_path / "a.png", Clip(frames, None, RATE), plan) is None
    quiet = Plan((), 4.04, 0.0)
    assert write_sync_sheet(tmp_path / "a.png", Clip(frames, spoken(opening_T, 0.0), RATE), quiet) is None
    assert not list(tmp_path.iterdir())


def test_a_flat_signal_is_a_flat_line() -> None:
    strip = curves({"SOUND": np.zeros(10)}, 300)
    lit = (strip[14:] > 20).any(-1)  # below the name
    assert lit.any(0).all()
    assert lit.any(1).sum() <= 3
