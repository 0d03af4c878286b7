"""The measures against truth that is injected: lags, slopes, jumps, noise, strikes, words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muybridge.evaluate import choices, picture, sounds, sync, words

FPS, RATE = 25.0, 16000
Floats = NDArray[np.float64]


def talk(seconds: float, seed: int) -> tuple[Floats, Floats]:
    """Syllable openings at about 4 Hz at 1 kHz, and its times."""
    rng = np.random.default_rng(seed)
    t = np.arange(0, seconds, 0.001)
    opening = np.zeros_like(t)
    at = 0.1
    while at < seconds:
        width = rng.uniform(0.05, 0.12)
        opening += rng.uniform(0.4, 1.0) * np.exp(-0.5 * ((t - at) / width) ** 2)
        at += rng.uniform(0.16, 0.34)
    return t, opening


def clip(seconds: float, lag_s: Floats | float, seed: int, noise: float = 0.3) -> tuple[Floats, Floats]:
    """(aperture per frame, waveform): sound whose level follows the mouth of `lag_s` ago, plus independent change."""
    rng = np.random.default_rng(seed + 1000)
    t, opening = talk(seconds, seed)
    frames = np.interp(np.arange(int(seconds * FPS)) / FPS, t, opening) + noise * 0.2 * rng.standard_normal(
        int(seconds * FPS)
    )
    samples = np.arange(int(seconds * RATE)) / RATE
    level = np.interp(samples - np.broadcast_to(lag_s, samples.shape), t, opening)
    return frames, (0.02 + level) * rng.standard_normal(len(samples)) * 0.1


@pytest.mark.parametrize("lag_ms", [-80, -40, -20, 0, 20, 40, 80])
def test_offset_is_recovered_within_ten_ms(lag_ms: int) -> None:
    frames, waveform = clip(20.0, lag_ms / 1000, seed=lag_ms + 100)
    found = sync.drift(sync.windows(frames, waveform, RATE), 20.0)
    assert found.offset_ms == pytest.approx(lag_ms, abs=10)


@pytest.mark.parametrize(("slope", "verdict"), [(0.0, "in sync"), (1.0, "drift"), (-1.0, "drift")])
def test_a_minute_shows_one_ms_per_second(slope: float, verdict: str) -> None:
    seconds = 60.0
    lag = slope / 1000 * (np.arange(int(seconds * RATE)) / RATE - seconds / 2)
    frames, waveform = clip(seconds, lag, seed=7)
    found = sync.drift(sync.windows(frames, waveform, RATE), seconds)
    assert found.slope_ms_per_s == pytest.approx(slope, abs=0.35)
    assert found.verdict == verdict


def test_a_jump_is_called_a_jump() -> None:
    seconds = 60.0
    lag = np.where(np.arange(int(seconds * RATE)) / RATE < 30, 0.0, 0.08)
    frames, waveform = clip(seconds, lag, seed=3)
    found = sync.drift(sync.windows(frames, waveform, RATE), seconds)
    assert found.verdict == "jump"
    assert found.step_ms == pytest.approx(80, abs=20)


def test_unrelated_sound_is_no_sync_and_silence_too() -> None:
    frames, _ = clip(20.0, 0.0, seed=1)
    _, other = clip(20.0, 0.0, seed=2)
    assert sync.drift(sync.windows(frames, other, RATE), 20.0).verdict in ("no sync", "offset", "jump", "unsure")
    assert sync.drift(sync.windows(frames, np.zeros(20 * RATE), RATE), 20.0).verdict == "no sync"


def test_what_is_heard_tells_where_loudness_does_not() -> None:
    """A voice whose loudness says nothing of the mouth, but whose phones are known: the lag is theirs."""
    frames, _ = clip(20.0, 0.0, seed=8)
    t, opening = talk(20.0, 8)
    _, other = clip(20.0, 0.0, seed=9)
    heard_R = np.interp(np.arange(20 * sync.RATE) / sync.RATE - 0.06, t, opening)
    assert sync.drift(sync.windows(frames, other, RATE), 20.0).verdict != "in sync"
    found = sync.drift(sync.windows(frames, other, RATE, heard_R=heard_R), 20.0)
    assert found.offset_ms == pytest.approx(60, abs=10) and found.valid_share > 0.9


def test_a_short_clip_cannot_prove_anything() -> None:
    frames, waveform = clip(6.0, 0.0, seed=5)
    assert sync.drift(sync.windows(frames, waveform, RATE), 6.0).verdict in ("unsure", "offset")


def test_closures_count_frames_that_shut() -> None:
    aperture = np.ones(100)
    aperture[[20, 60]] = 0.0
    assert sync.closures(aperture, [0.8, 2.4, 3.2]) == pytest.approx(2 / 3)
    assert math.isnan(sync.closures(aperture, []))


def test_psnr_against_its_formula() -> None:
    a = np.full((2, 4, 4, 3), 100, np.uint8)
    b = a + 5
    assert picture.psnr(a, b) == pytest.approx(20 * math.log10(255 / 5))
    assert picture.psnr(a, a) == math.inf
    mask = np.zeros((2, 4, 4), bool)
    mask[0] = True
    b[1] = 0
    assert picture.psnr(a, b, mask) == pytest.approx(20 * math.log10(255 / 5))


def test_motion_and_freezes() -> None:
    frames = np.zeros((4, 2, 2, 3), np.uint8)
    frames[2:] = 30
    assert picture.motion(frames) == pytest.approx(10)
    assert picture.freeze_share(frames) == pytest.approx(2 / 3)


@given(st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_distance_is_a_metric_bounded_by_lengths(a: list[str], b: list[str]) -> None:
    found = words.distance(a, b)
    assert found == words.distance(b, a)
    assert abs(len(a) - len(b)) <= found <= max(len(a), len(b))
    assert (found == 0) == (a == b)


def test_error_rates_count_words_or_characters() -> None:
    assert words.error_rate("The weather is nice.", "the weather was nice", "en") == 0.25
    assert words.error_rate("今天天气很好", "今天天汽很好", "zh") == pytest.approx(1 / 6)


def test_figures_count_as_the_words_that_they_are_read_as() -> None:
    assert words.error_rate("It costs eighty-eight dollars.", "it costs $88", "en") == 0
    assert words.error_rate("The number is two, one, nine, two.", "The number is 2 1 9 2.", "en") == 0
    assert words.error_rate("The number is two, one, nine, two.", "The number is 2192.", "en") == 0
    assert words.error_rate("札幌まで五百分かかります。", "札幌まで500分かかります", "ja") == 0
    assert words.error_rate("It costs eighty dollars.", "it costs $88", "en") == 0.25


def test_strikes_are_found_where_they_are() -> None:
    rate, times = 24000, [0.5, 0.9, 1.7]
    rng = np.random.default_rng(0)
    waveform = 0.001 * rng.standard_normal(2 * rate)
    for time in times:
        start = int(time * rate)
        waveform[start : start + 2400] += 0.5 * np.exp(-np.arange(2400) / 400) * rng.standard_normal(2400)
    heard = sounds.onsets(waveform, rate)
    assert sounds.hit_share(times, heard, 0.01) == 1.0
    assert len(heard) == 3
    assert sounds.hit_share([t + 0.2 for t in times], heard) == 0.0


def test_ranks_margins_and_shares() -> None:
    gallery = np.eye(3)
    query = np.array([0.9, 0.1, 0.0])
    assert choices.rank(query, gallery, 0) == 1
    assert choices.rank(query, gallery, 2) == 3
    assert choices.margin(query, gallery, 1) < 0 < choices.margin(query, gallery, 0)
    found = choices.share([True] * 8 + [False] * 2)
    assert found.low < found.value == 0.8 < found.high
    assert choices.checklist({"hair": "red", "count": 2}, {"hair": "red"}) == {"hair": True, "count": False}


def swinging(kind: str, moments_s: list[float], seconds: float = 4.0) -> NDArray[np.uint8]:
    """A disc that is lowest at the moments (ball), or a bar that turns at them (bell), on a grey ground."""
    y, x = np.mgrid[:64, :112]
    frames = np.full((round(seconds * FPS), 64, 112, 3), 120, np.uint8)
    gap = moments_s[1] - moments_s[0]
    for t in range(len(frames)):
        u = (t / FPS - moments_s[0]) / gap
        if kind == "ball":
            row = 50 - 35 * 4 * (u % 1) * (1 - u % 1)
            inside = (x - 56) ** 2 + (y - row) ** 2 < 36
        else:
            inside = abs(x - 56 - 18 * math.cos(math.pi * u) * y / 64) < 4
        frames[t][inside] = (200, 40, 30)
    return frames


@pytest.mark.parametrize("kind", ["ball", "bell"])
def test_contacts_are_seen_in_pixels(kind: str) -> None:
    moments = [0.5 + 0.56 * k for k in range(6)]
    found = sounds.seen_strikes(swinging(kind, moments), kind)
    assert sounds.hit_share(moments, found) == 1.0
    assert len(found) <= 7
    late = sounds.seen_strikes(swinging(kind, [m + 0.2 for m in moments]), kind)
    assert sounds.hit_share(moments, late) < 0.2
    assert sounds.seen_strikes(np.full((50, 64, 112, 3), 90, np.uint8), kind) == []
