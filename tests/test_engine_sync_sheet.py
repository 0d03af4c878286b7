"""The sheet of what was said over the sound: frames at the words, curves where signals are, none for silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from muybridge.engine.clip import Clip
from muybridge.engine.sync_sheet import COLUMNS, curves, spoken_frames, write_sync_sheet
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


def spoken(opening_T: np.ndarray) -> np.ndarray:
    """A hum as loud as the mouth is open."""
    time_S = np.arange(101 * RATE // 25) / RATE
    loud_S = np.interp(time_S, np.arange(101) / 25, opening_T) + 0.01
    return (0.3 * loud_S * np.sin(2 * np.pi * 150 * time_S)).astype(np.float32)[None]


def test_the_sheet_shows_frames_at_the_words(tmp_path: Path) -> None:
    plan, opening_T = talk()
    frames = np.zeros((101, 64, 96, 3), np.uint8)
    frames[..., 0] = np.arange(101, dtype=np.uint8)[:, None, None]
    path = write_sync_sheet(tmp_path / "a.png", Clip(frames, spoken(opening_T), RATE), plan)
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
    assert write_sync_sheet(tmp_path / "a.png", Clip(frames, spoken(opening_T), RATE), quiet) is None
    assert not list(tmp_path.iterdir())


def test_a_peak_stands_where_the_signal_has_it() -> None:
    signal = np.zeros(101)
    signal[75] = 1.0
    strip = curves({"SOUND": signal}, 404)
    tops = (strip[..., 1] > 150).argmax(0)
    tops[:100] = 999  # the name
    assert int(tops.argmin()) == pytest.approx(75 / 100 * 403, abs=3)


def test_a_flat_signal_is_a_flat_line() -> None:
    strip = curves({"SOUND": np.zeros(10)}, 300)
    lit = (strip[14:] > 20).any(-1)  # below the name
    assert lit.any(0).all()
    assert lit.any(1).sum() <= 3


def test_the_sheet_needs_none_of_the_worlds_packages(tmp_path: Path) -> None:
    """Who installs `muybridge[local]` has no Pillow and no renderer, and generates all the same."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('PIL', 'moderngl', 'onnxruntime', 'matplotlib')));"
        "import numpy as np;"
        "from pathlib import Path;"
        "from muybridge.engine.clip import Clip;"
        "from muybridge.engine.sync_sheet import write_sync_sheet;"
        "from muybridge.request import Request;"
        "from muybridge.speech.pacing import plan_request;"
        "clip = Clip(np.zeros((101, 64, 96, 3), np.uint8), np.zeros((1, 96960), np.float32), 24000);"
        "plan = plan_request(Request('She says: \"Good morning.\"', seconds=4));"
        f"assert write_sync_sheet(Path({str(tmp_path / 'a.png')!r}), clip, plan).is_file()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
