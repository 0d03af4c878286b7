"""How far the sound lags behind the lips, and whether that changes: offset, slope, steps, and a test of "no drift".

o(t) is the audio's lag in ms at time t, positive when the sound is late. It is found in windows of 4 s by the locally
normalised cross-correlation of mouth aperture and speech level. Papers' LSE-C/D see neither 20 ms nor a slope; this
does, and a clip in which too few windows with speech agree has "no sync", never "good sync".

Three choices make it work on real voices (`bench/drift.py` prints what is left). The level is that of 500 to 1500 Hz,
where an open jaw shows and hissing does not; voices that are evenly loud need phones that are heard beside it. What
changes slowly is taken off. And speech repeats itself every 200 ms or so, which gives false peaks: so
the lags of all windows are chosen together, as the path with the highest sum of correlations less a price for changes.
A lasting jump pays that price once and is found.

Legend: W windows, T video frames, S audio samples, R points at `RATE`, K lags, H signals heard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muybridge.shapes import FPS

Floats = NDArray[np.float64]

RATE = 200  # Hz of both signals: 5 ms
WINDOW_S, HOP_S, MAX_LAG_S = 4.0, 1.0, 0.4
BAND_HZ, FLOOR_DB = (500.0, 1500.0), 25.0
CHANGE_PRICE, JUMP_PRICE = 4.0, 0.8  # correlation per second of change of lag, and at most
NEAR_S = 0.04  # a window's own peak is sought this close to the path
HOLD_S = 0.15  # a voice is on for this long around a loud moment: closures belong to speech
SLOW_S = 0.6
MIN_VOICED, MIN_PEAK, MIN_VALID = 0.5, 0.3, 0.6
OFFSET_MS, WORST_MS, STEP_MS, DRIFT_MS = 20.0, 45.0, 20.0, 20.0  # ITU-R BT.1359 detects 45 ms of early audio


@dataclass(frozen=True)
class Windows:
    """Lag of each valid window: centre in s, lag in ms, correlation there; and their share of those with speech."""

    centre_s: Floats
    lag_ms: Floats
    peak: Floats
    valid_share: float


@dataclass(frozen=True)
class Drift:
    """The verdict over a clip. `slope_ci_ms` is the 90 % interval of slope x length, for the equivalence test."""

    verdict: Literal["in sync", "offset", "drift", "jump", "unsure", "no sync"]
    offset_ms: float
    slope_ms_per_s: float
    slope_ci_ms: tuple[float, float]
    jitter_ms: float
    worst_ms: float
    step_ms: float
    valid_share: float


def envelope(waveform_S: NDArray[np.floating], sample_rate: int) -> Floats:
    """Log energy at 200 Hz: RMS of 20 ms around each point, with a floor 50 dB under the loudest."""
    power = np.concatenate([[0.0], np.cumsum(np.asarray(waveform_S, np.float64) ** 2)])
    count = int(len(waveform_S) * RATE / sample_rate)
    centres = np.arange(count) * sample_rate / RATE
    half = 0.01 * sample_rate
    first, last = (np.clip(np.round(centres + s * half).astype(int), 0, len(waveform_S)) for s in (-1, 1))
    energy = (power[last] - power[first]) / np.maximum(last - first, 1)
    floor = max(float(energy.max(initial=0.0)) * 1e-5, 1e-12)
    levels: Floats = np.log(np.maximum(energy, floor))
    return levels


def frame_levels(waveform_S: NDArray[np.floating], sample_rate: int, num_frames: int) -> Floats:
    """`envelope` at each frame's moment."""
    levels = envelope(waveform_S, sample_rate)
    at = np.minimum((np.arange(num_frames) / FPS * RATE).astype(int), len(levels) - 1)
    found: Floats = levels[at]
    return found


def voice_level(waveform_S: NDArray[np.floating], sample_rate: int) -> Floats:
    """Log energy of `BAND_HZ` at 200 Hz, in boxes of 25 ms, with a floor `FLOOR_DB` under the loud moments."""
    wave_S = np.asarray(waveform_S, np.float64)
    spectrum = np.fft.rfft(wave_S)
    hertz = np.fft.rfftfreq(len(wave_S), 1 / sample_rate) if len(wave_S) else np.zeros(0)
    spectrum[(hertz < BAND_HZ[0]) | (hertz > BAND_HZ[1])] = 0
    power = np.concatenate([[0.0], np.cumsum(np.fft.irfft(spectrum, len(wave_S)) ** 2)])
    centres = np.arange(int(len(wave_S) * RATE / sample_rate)) * sample_rate / RATE
    half = 0.0125 * sample_rate
    first, last = (np.clip(np.round(centres + s * half).astype(int), 0, len(wave_S)) for s in (-1, 1))
    energy = (power[last] - power[first]) / np.maximum(last - first, 1)
    loud = float(np.quantile(energy, 0.99)) if len(energy) else 0.0
    levels: Floats = np.log(np.maximum(energy, max(loud * 10 ** (-FLOOR_DB / 10), 1e-12)))
    return levels


def voiced(level: Floats) -> NDArray[np.bool_]:
    """Where somebody speaks: within `HOLD_S` of a moment 7.5 dB over the floor."""
    if not len(level) or np.ptp(level) < 1e-9:
        return np.zeros(len(level), bool)
    loud = np.greater(level, level.min() + 0.3 * FLOOR_DB / 10 * math.log(10))
    hold = int(HOLD_S * RATE)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(np.pad(loud, hold), 2 * hold + 1).any(1), np.bool_)


def quick(values_R: Floats) -> Floats:
    """A signal at `RATE` less its mean over `SLOW_S`: heads, light and loud words change slowly and tell of no lag."""
    kernel = np.hanning((int(SLOW_S * RATE) | 1) + 2)[1:-1]
    half = len(kernel) // 2
    slow = np.convolve(np.pad(values_R, half, mode="edge"), kernel / kernel.sum(), "valid")
    faster: Floats = values_R - slow
    return faster


def resample(values_T: NDArray[np.floating], fps: float, count: int) -> Floats:
    """A per-frame signal at 200 Hz; frame n stands at n / fps seconds."""
    values: Floats = np.interp(np.arange(count) / RATE, np.arange(len(values_T)) / fps, values_T)
    return values


def correlations(visual: Floats, audio: Floats, max_lag: int) -> Floats:
    """[2 max_lag + 1]: locally normalised correlation of `visual` with `audio` k samples later, k from -max_lag."""
    centre = slice(max_lag, len(visual) - max_lag)
    fixed = visual[centre] - visual[centre].mean()
    scores = np.zeros(2 * max_lag + 1)
    for k in range(-max_lag, max_lag + 1):
        moved = audio[max_lag + k : len(audio) - max_lag + k]
        moved = moved - moved.mean()
        scale = math.sqrt(float(fixed @ fixed) * float(moved @ moved))
        scores[k + max_lag] = float(fixed @ moved) / scale if scale > 1e-12 else 0.0
    return scores


def lag_of(visual: Floats, audio: Floats, max_lag: int) -> tuple[float, float]:
    """(lag of `audio` behind `visual` in samples, correlation there), parabolic between samples; NaN at an edge."""
    scores = correlations(visual, audio, max_lag)
    best = int(scores.argmax())
    return _peak(scores, best) - max_lag, float(scores[best])


def _peak(scores: Floats, best: int) -> float:
    """The peak's place between samples; NaN at an edge."""
    if best in (0, len(scores) - 1):
        return math.nan
    left, top, right = scores[best - 1 : best + 2]
    bend = left - 2 * top + right
    return best + (0.5 * float(left - right) / float(bend) if bend < 0 else 0.0)


def best_path(scores_WK: Floats) -> NDArray[np.int64]:
    """[W]: one column a row, the highest sum of scores less `CHANGE_PRICE` a second of change, at most `JUMP_PRICE`."""
    count, width = scores_WK.shape
    place = np.arange(width)
    price = np.minimum(CHANGE_PRICE / RATE * np.abs(place[:, None] - place), JUMP_PRICE)
    best, came_from = scores_WK[0], []
    for row in scores_WK[1:]:
        through = best[None] - price
        came_from.append(through.argmax(1))
        best = through[place, came_from[-1]] + row
    path = [int(best.argmax())]
    for step in reversed(came_from):
        path.append(int(step[path[-1]]))
    assert len(path) == count
    return np.array(path[::-1])


def windows(
    aperture_T: NDArray[np.floating],
    waveform_S: NDArray[np.floating],
    sample_rate: int,
    fps: float = 25.0,
    heard_R: Floats | None = None,
) -> Windows:
    """Lags over a clip. `aperture_T` is the mouth's opening per frame in any unit.

    `heard_R`, at `RATE`, is what else than the voice's level tells of the opening in the sound: their correlations are
    averaged, and a window is valid where either is high enough.
    """
    told = [voice_level(waveform_S, sample_rate), *(() if heard_R is None else (heard_R,))]
    count = min(int(len(aperture_T) / fps * RATE), *(len(signal_R) for signal_R in told))
    speech = voiced(told[0][:count])
    visual, *audible = (quick(signal_R[:count]) for signal_R in (resample(aperture_T, fps, count), *told))
    size, hop, max_lag = (int(s * RATE) for s in (WINDOW_S, HOP_S, MAX_LAG_S))
    starts = range(0, max(1, count - size + 1), hop)
    heard = [s for s in starts if count >= size and speech[s : s + size].mean() >= MIN_VOICED]
    if not heard:
        return Windows(np.zeros(0), np.zeros(0), np.zeros(0), 0.0)
    scores_HWK = np.array(
        [[correlations(visual[s : s + size], one[s : s + size], max_lag) for s in heard] for one in audible]
    )
    scores = scores_HWK.mean(0)
    centres, lags, peaks = [], [], []
    near = int(NEAR_S * RATE)
    for start, row, surest, at in zip(heard, scores, scores_HWK.max(0), best_path(scores), strict=True):
        low = max(0, int(at) - near)
        best = low + int(row[low : int(at) + near + 1].argmax())
        lag = _peak(row, best) - max_lag
        if surest[best] >= MIN_PEAK and not math.isnan(lag):
            centres.append((start + size / 2) / RATE)
            lags.append(lag * 1000 / RATE)
            peaks.append(surest[best])
    return Windows(np.array(centres), np.array(lags), np.array(peaks), len(lags) / len(heard))


def theil_sen(x: Floats, y: Floats) -> float:
    """Median of the slopes through all pairs (Sen 1968)."""
    i, j = np.triu_indices(len(x), 1)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i]))) if len(x) > 1 else 0.0


def largest_step(lag_ms: Floats) -> tuple[float, float]:
    """Largest jump between the medians left and right of a split, and the least mean deviation from two such medians.

    Each side has a quarter of the windows, but 3 at least and 8 at most: eight hold two that share no sound, so that
    one poor window at an end makes no step. (0, infinity) for too few windows.
    """
    step, around, least = 0.0, math.inf, min(8, max(3, len(lag_ms) // 4))
    for split in range(least, len(lag_ms) - least + 1):
        left, right = float(np.median(lag_ms[:split])), float(np.median(lag_ms[split:]))
        step = max(step, abs(right - left))
        around = min(around, float(np.abs(np.concatenate([lag_ms[:split] - left, lag_ms[split:] - right])).mean()))
    return step, around


def drift(found: Windows, seconds: float) -> Drift:
    """Judge a clip: equivalence of slope x length to 0 within 20 ms, offset, worst window and steps within bounds.

    The interval is Student's t over as many windows as do not overlap, with the variance that overlapping ones have:
    they are dependent, and a bootstrap over them understates the error up to threefold. Too wide: "unsure".
    """
    lag, at = found.lag_ms, found.centre_s
    if found.valid_share < MIN_VALID or len(lag) < 1:
        return Drift("no sync", *(math.nan,) * 2, (math.nan, math.nan), *(math.nan,) * 3, found.valid_share)
    offset, slope = float(np.median(lag)), theil_sen(at, lag)
    rest = lag - offset - slope * (at - np.median(at))
    jitter = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
    worst, (step, around_step) = float(np.abs(_settled(lag) - offset).max()), largest_step(lag)
    low, high = _slope_interval(at, lag, slope, seconds)
    values = (offset, slope, (low, high), jitter, worst, step, found.valid_share)
    # A jump also has a slope and a slope also has a step: the model that leaves less behind is named.
    if step > STEP_MS and around_step < float(np.abs(rest).mean()):
        return Drift("jump", *values)
    if low > DRIFT_MS or high < -DRIFT_MS:
        return Drift("drift", *values)
    if abs(offset) > OFFSET_MS or worst > WORST_MS:
        return Drift("offset", *values)
    return Drift("in sync" if -DRIFT_MS <= low <= high <= DRIFT_MS else "unsure", *values)


def _settled(lag_ms: Floats) -> Floats:
    """Medians of three neighbouring windows: what is off for a second or more, not one window's noise."""
    padded = np.pad(lag_ms, 1, mode="edge")
    medians: Floats = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), 0)
    return medians


# Two-sided 90 % quantiles of Student's t for 1 .. 10 degrees of freedom; that of 11 beyond.
_T90 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)


def _slope_interval(at: Floats, lag: Floats, slope: float, seconds: float) -> tuple[float, float]:
    apart = max(1, round(WINDOW_S / HOP_S))
    freedom = len(at) // apart - 2
    if freedom < 1:
        return -math.inf, math.inf
    centred = at - at.mean()
    errors = lag - lag.mean() - slope * centred
    # Neighbours share 3/4, 1/2, 1/4 of their sound: 1 + 2 (3/4 + 1/2 + 1/4) = `apart` times the variance of a sum.
    spread = math.sqrt(apart * float(errors @ errors) / (len(at) - 2) / float(centred @ centred))
    reach = (_T90[freedom - 1] if freedom <= len(_T90) else 1.80) * spread * seconds
    return slope * seconds - reach, slope * seconds + reach


def closures(aperture_T: NDArray[np.floating], times_s: list[float], fps: float = 25.0, share: float = 0.15) -> float:
    """Share of p, b, m at `times_s` whose aperture falls under `share` of the clip's opening within one frame."""
    low, high = np.quantile(aperture_T, [0.02, 0.95])
    hits = 0
    for time_s in times_s:
        frame = round(time_s * fps)
        near = aperture_T[max(0, frame - 1) : frame + 2]
        hits += bool(len(near)) and float(near.min()) <= low + share * (high - low)
    return hits / len(times_s) if times_s else math.nan
