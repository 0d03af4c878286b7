"""How far the sound lags behind the lips, and whether that changes: offset, slope, steps, and a test of "no drift".

o(t) is the audio's lag in ms at time t, positive when the sound is late. It is found in windows of 4 s by the locally
normalised cross-correlation of mouth aperture and speech envelope. Papers' LSE-C/D see neither 20 ms nor a slope; this
does, and a clip with too few valid windows has "no sync", never "good sync".

Legend: W windows, T video frames, S audio samples, L lags.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATE = 200  # Hz of both signals: 5 ms
WINDOW_S, HOP_S, MAX_LAG_S = 4.0, 1.0, 0.4
MIN_VOICED, MIN_PEAK, MIN_VALID = 0.5, 0.35, 0.6
OFFSET_MS, WORST_MS, STEP_MS, DRIFT_MS = 20.0, 45.0, 20.0, 20.0  # ITU-R BT.1359 detects 45 ms of early audio


@dataclass(frozen=True)
class Windows:
    """Lag of each valid window: centre in s, lag in ms, correlation at the peak; and the share that was valid."""

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


def resample(values_T: NDArray[np.floating], fps: float, count: int) -> Floats:
    """A per-frame signal at 200 Hz; frame n stands at n / fps seconds."""
    values: Floats = np.interp(np.arange(count) / RATE, np.arange(len(values_T)) / fps, values_T)
    return values


def lag_of(visual: Floats, audio: Floats, max_lag: int) -> tuple[float, float]:
    """(lag of `audio` behind `visual` in samples, correlation there), parabolic between samples; NaN at an edge."""
    centre = slice(max_lag, len(visual) - max_lag)
    fixed = visual[centre] - visual[centre].mean()
    scores = np.zeros(2 * max_lag + 1)
    for k in range(-max_lag, max_lag + 1):
        moved = audio[max_lag + k : len(audio) - max_lag + k]
        moved = moved - moved.mean()
        scale = math.sqrt(float(fixed @ fixed) * float(moved @ moved))
        scores[k + max_lag] = float(fixed @ moved) / scale if scale > 1e-12 else 0.0
    best = int(scores.argmax())
    if best in (0, 2 * max_lag):
        return math.nan, float(scores[best])
    left, top, right = scores[best - 1 : best + 2]
    bend = left - 2 * top + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return best - max_lag + float(shift), float(top)


def windows(
    aperture_T: NDArray[np.floating], waveform_S: NDArray[np.floating], sample_rate: int, fps: float = 25.0
) -> Windows:
    """Lags over a clip. `aperture_T` is the mouth's opening per frame in any unit."""
    audio = envelope(waveform_S, sample_rate)
    count = min(len(audio), int(len(aperture_T) / fps * RATE))
    audio, visual = audio[:count], resample(aperture_T, fps, count)
    voiced = audio > audio.min(initial=0.0) + 0.3 * np.ptp(audio) if count else np.zeros(0, bool)
    size, hop, max_lag = (int(s * RATE) for s in (WINDOW_S, HOP_S, MAX_LAG_S))
    centres, lags, peaks, total = [], [], [], 0
    for start in range(0, max(1, count - size + 1), hop):
        part = slice(start, start + size)
        total += 1
        if count < size or voiced[part].mean() < MIN_VOICED:
            continue
        lag, peak = lag_of(visual[part], audio[part], max_lag)
        if peak >= MIN_PEAK and not math.isnan(lag):
            centres.append((start + size / 2) / RATE)
            lags.append(lag * 1000 / RATE)
            peaks.append(peak)
    return Windows(np.array(centres), np.array(lags), np.array(peaks), len(lags) / total)


def theil_sen(x: Floats, y: Floats) -> float:
    """Median of the slopes through all pairs (Sen 1968)."""
    i, j = np.triu_indices(len(x), 1)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i]))) if len(x) > 1 else 0.0


def largest_step(lag_ms: Floats, least: int = 3) -> tuple[float, float]:
    """Largest jump between the medians left and right of a split, and the mean deviation from those two medians.

    At least `least` windows stand on each side; (0, infinity) for fewer windows.
    """
    best = (0.0, math.inf)
    for split in range(least, len(lag_ms) - least + 1):
        left, right = float(np.median(lag_ms[:split])), float(np.median(lag_ms[split:]))
        around = float(np.abs(np.concatenate([lag_ms[:split] - left, lag_ms[split:] - right])).mean())
        best = max(best, (abs(right - left), around), key=lambda found: found[0])
    return best


def drift(found: Windows, seconds: float) -> Drift:
    """Judge a clip: equivalence of slope x length to 0 within 20 ms, offset, worst window and steps within bounds.

    The interval comes from windows that do not overlap (every fourth), by Student's t on least squares: overlapping
    windows are dependent, and a bootstrap over them understates the error up to threefold. Too wide: "unsure".
    """
    lag, at = found.lag_ms, found.centre_s
    if found.valid_share < MIN_VALID or len(lag) < 1:
        return Drift("no sync", *(math.nan,) * 2, (math.nan, math.nan), *(math.nan,) * 3, found.valid_share)
    offset, slope = float(np.median(lag)), theil_sen(at, lag)
    rest = lag - offset - slope * (at - np.median(at))
    jitter = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
    worst, (step, around_step) = float(np.abs(lag - offset).max()), largest_step(lag)
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


# Two-sided 90 % quantiles of Student's t for 1 .. 10 degrees of freedom; the normal's beyond.
_T90 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)


def _slope_interval(at: Floats, lag: Floats, slope: float, seconds: float) -> tuple[float, float]:
    apart = max(1, round(WINDOW_S / HOP_S))
    x, y = at[::apart], lag[::apart]
    if len(x) < 3:
        return -math.inf, math.inf
    centred = x - x.mean()
    fit = float(centred @ y / (centred @ centred))
    errors = y - y.mean() - fit * centred
    freedom = len(x) - 2
    spread = math.sqrt(float(errors @ errors) / freedom / float(centred @ centred))
    reach = (_T90[freedom - 1] if freedom <= len(_T90) else 1.70) * spread * seconds
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
