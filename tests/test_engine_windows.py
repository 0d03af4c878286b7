"""Long programmes: windows tile every frame once on absolute time, each a legal shot, cut where sentences end."""

from __future__ import annotations

import itertools
import math

from hypothesis import example, given
from hypothesis import strategies as st

from muybridge.engine.programme import windows_of
from muybridge.engine.windows import OVERLAP_UNITS, owned_frames, plan_windows
from muybridge.request import Request
from muybridge.shapes import MAX_SECONDS, MIN_SECONDS, WINDOW_SECONDS, clock, sample_at_frame
from muybridge.speech.pacing import Plan, PlannedLine

SECONDS = st.integers(75, 25 * 600).map(lambda n: n / 25)
ENDS = st.lists(st.floats(0, 600), max_size=60)


@given(SECONDS, ENDS)
@example(15.0, [])
@example(15.04, [])
@example(18.0, [15.0])
@example(30.0, [14.99, 3.0, 29.9])
def test_every_frame_belongs_to_one_window_on_absolute_time(seconds: float, ends: list[float]) -> None:
    windows = plan_windows(seconds, ends)
    frames = [frame for owned in owned_frames(windows) for frame in owned]
    assert frames == list(range(round(seconds * 25)))
    for window, owned in zip(windows, owned_frames(windows), strict=True):
        assert len(owned) > 0
        assert window.start_frame <= owned.start
        assert owned.stop <= window.start_frame + window.clock.num_frames
        assert window.start_frame == 4 * window.start_unit
    for rate in (24_000, 44_100, 48_000):
        total = sum(sample_at_frame(o.stop, rate) - sample_at_frame(o.start, rate) for o in owned_frames(windows))
        assert total == round(seconds * 25) * rate // 25


@given(SECONDS, ENDS)
@example(15.0, [])
@example(33.0, [3.0, 5.9, 8.8])
def test_every_window_is_a_legal_shot(seconds: float, ends: list[float]) -> None:
    windows = plan_windows(seconds, ends)
    assert windows[0].start_unit == windows[0].overlap_units == 0
    for before, window in itertools.pairwise(windows):
        # The shared latents lie inside the window before, at its very end.
        assert window.overlap_units == OVERLAP_UNITS
        assert window.start_unit + OVERLAP_UNITS == before.start_unit + before.clock.num_units
        assert window.start_unit > before.start_unit
    for window in windows:
        assert MIN_SECONDS <= window.clock.seconds <= MAX_SECONDS
        assert window.clock == clock(window.clock.seconds)
        Request("x", seconds=window.clock.seconds)


@given(SECONDS)
def test_one_shot_is_one_window(seconds: float) -> None:
    assert (len(plan_windows(seconds)) == 1) == (seconds <= MAX_SECONDS)


@given(st.floats(20, 300), ENDS)
def test_cuts_follow_the_last_sentence_that_fits(seconds: float, ends: list[float]) -> None:
    windows = plan_windows(seconds, ends)
    units = [math.ceil(round(e * 25, 6) / 4) for e in ends]
    whole = clock(seconds).num_units
    for window in windows[:-1]:
        stop = window.start_unit + window.clock.num_units
        latest = min(window.start_unit + 93, whole - 20 + OVERLAP_UNITS)
        fitting = [u for u in units if window.start_unit + 20 <= u <= latest]
        assert stop == (max(fitting) if fitting else latest)
        # A sentence that fits is heard whole before the cut.
        assert all(e * 25 <= 4 * stop + 1e-6 for e, u in zip(ends, units, strict=True) if u == stop)


@given(SECONDS, ENDS)
def test_a_size_with_short_windows_gets_them(seconds: float, ends: list[float]) -> None:
    plan = Plan(tuple(PlannedLine("x", "en", "neutral", None, e, e, ()) for e in ends), seconds, seconds)
    for size, longest in (("tiny", WINDOW_SECONDS["tiny"]), ("15b", MAX_SECONDS)):
        windows = windows_of(seconds, plan, size)
        assert windows == plan_windows(seconds, ends, max_seconds=longest)
        assert all(MIN_SECONDS <= w.clock.seconds <= longest for w in windows)


def test_a_programme_of_five_minutes() -> None:
    windows = plan_windows(300.0)
    assert 21 <= len(windows) <= 23
    assert owned_frames(windows)[-1].stop == 7500
