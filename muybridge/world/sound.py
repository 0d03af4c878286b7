"""The sounds of what is seen, made from simple physics: struck bodies, noise, moving sources.

Every event starts on its own sample: the first non-zero sample of a strike is round(at_s x rate). Sources: modal
synthesis (van den Doel and Pai 1998), circular-membrane modes (Bessel zeros) for drums, minor-third bell partials
(Lehr), retarded time for moving sources, ITU-R BS.1770-4 for loudness.
Letters: C channels, S samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

from muybridge.errors import UserError

Wave = npt.NDArray[np.float64]
SPEED_OF_SOUND = 343.0  # m/s
SILENCE = 1e-4
TARGET_LUFS = -20.0
PEAK = 0.89  # -1 dBFS


@dataclass(frozen=True)
class SoundEvent:
    """Something that sounds. Strikes need `at_s`; what lasts (rain, wind, fire, room, car) also `end_s`.

    strength: loudness and hardness, 1 is usual. size: lower and longer above 1. pan: -1 left to 1 right.
    For a car `at_s` is the moment of closest approach, `speed` its m/s (to the right above 0), `distance` in m.
    """

    kind: str
    at_s: float
    end_s: float | None = None
    strength: float = 1.0
    size: float = 1.0
    pan: float = 0.0
    speed: float = 15.0
    distance: float = 6.0


@dataclass(frozen=True)
class _Maker:
    """How one kind is made: a function of (event, rate, seconds left, rng), and whether it starts at its event."""

    make: Callable[[SoundEvent, int, float, np.random.Generator], Wave]
    is_strike: bool
    gain: float


def render_sound(
    events: Sequence[SoundEvent], seconds: float, sample_rate: int = 24_000, seed: int = 0, stereo: bool = False
) -> npt.NDArray[np.float32]:
    """Mixes all events into (C, S), C 1 or 2, S = round(seconds x rate); not normalised, so mixes stay in proportion.

    Raises UserError for an unknown kind or an event that ends before it starts.
    """
    num_samples = round(seconds * sample_rate)
    out_CS = np.zeros((2 if stereo else 1, num_samples))
    for i, event in enumerate(events):
        if event.kind not in KINDS:
            raise UserError(f"There is no sound {event.kind!r}; there are {', '.join(KINDS)}.")
        if event.end_s is not None and event.end_s <= event.at_s and event.kind != "car":
            raise UserError(f"The sound {event.kind} ends at {event.end_s:g} s, before it starts at {event.at_s:g} s.")
        rng = np.random.default_rng([seed, i])
        maker = _MAKERS[event.kind]
        if event.kind == "car":
            _add_car(out_CS, event, sample_rate, rng)
            continue
        start = round(event.at_s * sample_rate)
        left_s = (num_samples - start) / sample_rate
        if left_s <= 0 or start < 0:
            continue
        wave_S = maker.make(event, sample_rate, left_s, rng) * maker.gain * event.strength
        end = min(start + len(wave_S), num_samples)
        for c, gain in enumerate(_pan_gains(event.pan, stereo)):
            out_CS[c, start:end] += gain * wave_S[: end - start]
    return out_CS.astype(np.float32)


def mix(
    speech_S: npt.NDArray[np.float32],
    ambience_CS: npt.NDArray[np.float32],
    sample_rate: int = 24_000,
    duck_db: float = 9.0,
    lufs: float = TARGET_LUFS,
) -> npt.NDArray[np.float32]:
    """Speech over ambience as `over` puts it; the sum has `lufs`. Ambience alone is returned at `lufs`."""
    return normalise(over(speech_S, ambience_CS, sample_rate, duck_db), sample_rate, lufs)


def over(
    speech_S: npt.NDArray[np.float32],
    ambience_CS: npt.NDArray[np.float32],
    sample_rate: int = 24_000,
    duck_db: float = 9.0,
) -> npt.NDArray[np.float32]:
    """Speech over ambience (C, S), which steps back while somebody speaks; shorter speech is padded."""
    length = ambience_CS.shape[1]
    speech_S = np.pad(speech_S[:length], (0, max(0, length - len(speech_S)))).astype(np.float32)
    talking = _follow(np.abs(speech_S), sample_rate)
    depth = 1 - (1 - 10 ** (-duck_db / 20)) * np.clip(talking / 0.03, 0, 1)
    both_CS: npt.NDArray[np.float32] = (ambience_CS * depth + speech_S).astype(np.float32)
    return both_CS


def normalise(
    waveform_CS: npt.NDArray[np.float32], sample_rate: int, lufs: float = TARGET_LUFS
) -> npt.NDArray[np.float32]:
    """The waveform at `lufs`, less where its peak would pass -1 dBFS; silence stays silence."""
    now = loudness(waveform_CS, sample_rate)
    peak = float(np.abs(waveform_CS).max(initial=0.0))
    if not np.isfinite(now) or peak < SILENCE:
        return waveform_CS.astype(np.float32)
    gain = min(10 ** ((lufs - now) / 20), PEAK / peak)
    return (waveform_CS * gain).astype(np.float32)


def loudness(waveform_CS: npt.NDArray[np.float32], sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4: K weighting, 400 ms blocks, gates at -70 and -10 LU)."""
    weighted = waveform_CS.astype(np.float64)
    for b, a in _k_weighting(sample_rate):
        weighted = signal.lfilter(b, a, weighted, axis=1)
    size, hop = round(0.4 * sample_rate), round(0.1 * sample_rate)
    if weighted.shape[1] < size:
        weighted = np.pad(weighted, ((0, 0), (0, size - weighted.shape[1])))
    squares = np.concatenate([[0.0], np.cumsum((weighted**2).sum(axis=0))])
    starts = np.arange(0, weighted.shape[1] - size + 1, hop)
    power = (squares[starts + size] - squares[starts]) / size
    with np.errstate(divide="ignore"):
        levels = -0.691 + 10 * np.log10(power)
        kept = power[levels > -70]
        if not len(kept):
            return float("-inf")
        gate = -0.691 + 10 * np.log10(kept.mean()) - 10
        return float(-0.691 + 10 * np.log10(power[(levels > -70) & (levels > gate)].mean()))


def gallop_times(start_s: float, end_s: float, strides_per_s: float = 2.2) -> tuple[float, ...]:
    """When the hooves of a galloping horse strike: four beats a stride, then all feet off the ground."""
    beats = (0.0, 0.15, 0.3, 0.45)
    count = int((end_s - start_s) * strides_per_s) + 1
    times = (start_s + (k + b) / strides_per_s for k in range(count) for b in beats)
    return tuple(t for t in times if t < end_s)


def bounce_times(
    first_s: float, end_s: float, height_m: float = 1.2, restitution: float = 0.8
) -> tuple[tuple[float, float], ...]:
    """(time, speed against the first bounce) of a ball dropped so that it first lands at `first_s`."""
    flight, speed, at, out = 2 * (2 * height_m / 9.81) ** 0.5 * restitution, 1.0, first_s, []
    while at < end_s and flight > 0.04:
        out.append((at, speed))
        at, flight, speed = at + flight, flight * restitution, speed * restitution
    return tuple(out)


def _strike(modes: Sequence[tuple[float, float, float]], rate: int, left_s: float) -> Wave:
    """A struck body: (Hz, seconds to -60 dB, gain) per mode, all at full swing on the first sample."""
    longest = min(left_s, max(t60 for _, t60, _ in modes))
    t = np.arange(max(1, int(longest * rate))) / rate
    out = np.zeros_like(t)
    for hz, t60, gain in modes:
        if hz < rate / 2:
            out += gain * np.exp(-6.91 * t / t60) * np.cos(2 * np.pi * hz * t)
    return out


def _burst(rate: int, seconds: float, low: float, high: float, rng: np.random.Generator) -> Wave:
    """A click of filtered noise that dies away by 60 dB, loudest on its first sample."""
    t = np.arange(max(8, int(seconds * rate))) / rate
    noise = _band(rng.standard_normal(len(t) + 256), rate, low, high)[256:]
    noise[0] = np.abs(noise).max() or 1.0
    return np.asarray(noise / np.abs(noise).max() * np.exp(-6.91 * t / seconds))


def _hoof(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    k = rng.uniform(0.88, 1.14) / e.size
    body = [(95 * k, 0.16, 0.9), (420 * k, 0.06, 0.5), (980 * k, 0.04, 0.4), (1710 * k, 0.03, 0.25)]
    return _sum(_strike(body, rate, left_s), 0.5 * _burst(rate, 0.05, 300, 4000, rng))


def _bounce(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    k = 1 / e.size * rng.uniform(0.98, 1.02)
    body = [(115 * k, 0.22, 1.0), (268 * k, 0.12, 0.5), (610 * k, 0.06, 0.25), (1450 * k, 0.03, 0.12)]
    return _sum(_strike(body, rate, left_s), 0.25 * _burst(rate, 0.03, 500, 5000, rng))


def _bell(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    prime = 520 / e.size
    partials = [(0.5, 7.0, 0.5), (1.0, 5.0, 0.8), (1.183, 3.6, 0.7), (1.506, 2.4, 0.35), (2.0, 2.6, 0.9)]
    partials += [(2.514, 1.5, 0.35), (2.662, 1.4, 0.3), (3.011, 1.2, 0.35), (4.166, 0.8, 0.25), (5.433, 0.5, 0.15)]
    pairs = [
        (r * prime * (1 + d), t * e.size**0.5, g / 2) for r, t, g in partials for d in (0, rng.uniform(4e-4, 2e-3))
    ]
    return _sum(_strike(pairs, rate, left_s), 0.3 * _burst(rate, 0.02, 1500, 9000, rng))


def _tick(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    k = 1 / e.size
    return _sum(
        _strike([(1180 * k, 0.04, 0.7), (2630 * k, 0.025, 0.6), (4720 * k, 0.012, 0.4)], rate, left_s),
        0.4 * _burst(rate, 0.008, 2000, 9000, rng),
    )


def _drum(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    f0 = 88 / e.size
    ratios = ((1.0, 0.6, 1.0), (1.594, 0.35, 0.5), (2.136, 0.25, 0.35), (2.296, 0.22, 0.3), (2.653, 0.18, 0.2))
    return _sum(
        _strike([(f0 * r, t, g) for r, t, g in ratios], rate, left_s), 0.35 * _burst(rate, 0.04, 200, 5000, rng)
    )


def _footstep(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    k = rng.uniform(0.9, 1.1) / e.size
    heel = _sum(
        _strike([(72 * k, 0.09, 0.8), (190 * k, 0.05, 0.5)], rate, left_s), 0.4 * _burst(rate, 0.06, 150, 2500, rng)
    )
    toe = np.concatenate([np.zeros(int(0.07 * rate)), 0.35 * _burst(rate, 0.05, 400, 4000, rng)])
    return _sum(heel, toe)


def _slam(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    slam = _strike([(62, 0.3, 1.0), (118, 0.22, 0.7), (243, 0.12, 0.5), (517, 0.07, 0.3)], rate, left_s)
    latch = np.concatenate([np.zeros(int(0.045 * rate)), 0.5 * _tick(e, rate, left_s, rng)])
    return _sum(_sum(slam, 0.5 * _burst(rate, 0.09, 100, 3000, rng)), latch)


def _chirp(e: SoundEvent, rate: int, _left_s: float, rng: np.random.Generator) -> Wave:
    """A phrase of 3-6 chirps, each a gliding whistle with its second harmonic."""
    parts = []
    for _ in range(rng.integers(3, 7)):
        length = rng.uniform(0.05, 0.14)
        t = np.arange(int(length * rate)) / rate
        start, end = rng.uniform(2600, 5200, 2) / e.size
        hz = start + (end - start) * t / length + 180 * np.sin(2 * np.pi * rng.uniform(18, 40) * t)
        phase = 2 * np.pi * np.cumsum(hz) / rate
        shape = np.minimum(1, np.minimum((t + 1 / rate) / 0.003, (length - t) / 0.02))
        parts += [shape * (np.cos(phase) + 0.2 * np.cos(2 * phase)), np.zeros(int(rng.uniform(0.03, 0.09) * rate))]
    return np.concatenate(parts)


def _rain(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    """A hiss of far drops and a Poisson train of near ones, each a short resonance."""
    count = _lasting(e, rate, left_s)
    bed = _band(rng.standard_normal(count), rate, 900, 9000) * 0.25
    drops = np.zeros(count)
    for hz in (1900, 2900, 4100, 5600, 7300):
        hits = (rng.random(count) < 14 / rate) * rng.exponential(1.0, count)
        drops += _ring(hits, rate, hz * rng.uniform(0.9, 1.1), 0.012)
    return _faded(bed + 0.6 * drops, rate, 0.1)


def _waves(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    """One breaking wave: its front breaks at once, the wash dies away over seconds."""
    length = min(left_s, (e.end_s - e.at_s) if e.end_s else 5.0 * e.size)
    t = np.arange(int(length * rate)) / rate
    noise = rng.standard_normal(len(t))
    crash = _band(noise, rate, 80, 1200) * np.minimum(1, (t + 1 / rate) / 0.25) * np.exp(-t / (0.9 * e.size))
    wash = _band(noise, rate, 1200, 7000) * np.minimum(1, t / 0.8) * np.exp(-t / (1.6 * e.size)) * 0.6
    return crash + wash


def _crackle(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    """One snap of burning wood."""
    k = rng.uniform(0.7, 1.4) / e.size
    snap = _strike([(1400 * k, 0.02, 0.5), (2900 * k, 0.014, 0.6), (5300 * k, 0.008, 0.5)], rate, left_s)
    return _sum(snap, 0.6 * _burst(rate, 0.01, 1500, 9000, rng))


def _fire(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    """The roar and small crackle of a fire; its loud snaps are `crackle` events of their own."""
    count = _lasting(e, rate, left_s)
    roar = _band(rng.standard_normal(count), rate, 40, 350) * 0.5 * (1 + 0.4 * _wander(count, rate, 3.0, rng))
    hits = (rng.random(count) < 15 / rate) * rng.exponential(0.3, count)
    return _faded(roar + np.tanh(_ring(hits, rate, 4000, 0.006)), rate, 0.1)


def _wind(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    """Two noise bands whose balance follows slow gusts."""
    count = _lasting(e, rate, left_s)
    noise = rng.standard_normal(count)
    gust = np.clip(0.5 + 0.5 * _wander(count, rate, 0.5, rng), 0.05, 1.2)
    return _faded(_band(noise, rate, 60, 400) * gust + 0.5 * _band(noise, rate, 400, 1100) * gust**2, rate, 0.2)


def _room(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    count = _lasting(e, rate, left_s)
    return _faded(_band(rng.standard_normal(count), rate, 50, 500) + 0.2 * rng.standard_normal(count), rate, 0.05)


def _add_car(out_CS: Wave, e: SoundEvent, rate: int, rng: np.random.Generator) -> None:
    """A car that passes: engine harmonics and tyre noise at the emission time of every heard sample (Doppler)."""
    num_samples = out_CS.shape[1]
    heard = np.arange(num_samples) / rate
    emitted = np.linspace(-2.0, num_samples / rate + 1.0, 50 * int(num_samples / rate + 3))
    across = e.speed * (emitted - e.at_s)
    distance = np.hypot(e.distance, across)
    tau = np.interp(heard, emitted + distance / SPEED_OF_SOUND, emitted)
    away = np.hypot(e.distance, e.speed * (tau - e.at_s))
    firing = 72.0 / e.size
    phases = rng.uniform(0, 2 * np.pi, 12)
    engine = sum(np.cos(2 * np.pi * firing * k * tau + phases[k - 1]) / k**0.8 for k in range(1, 13))
    source = _band(rng.standard_normal(num_samples + 4 * rate), rate, 200, 2500)
    tyres = np.interp((tau + 2.0) * rate, np.arange(len(source)), source)
    wave_S = (0.35 * np.asarray(engine) + 0.8 * tyres) * e.distance / away * _MAKERS["car"].gain * e.strength
    if out_CS.shape[0] == 1:
        out_CS[0] += wave_S
        return
    side = np.clip(e.speed * (tau - e.at_s) / away, -1, 1)
    out_CS[0] += wave_S * np.cos((side + 1) * np.pi / 4)
    out_CS[1] += wave_S * np.sin((side + 1) * np.pi / 4)


def _silent(e: SoundEvent, rate: int, left_s: float, rng: np.random.Generator) -> Wave:
    raise AssertionError(f"{e.kind} is made elsewhere ({rate}, {left_s}, {rng})")


_MAKERS: dict[str, _Maker] = {
    "hoof": _Maker(_hoof, True, 0.30), "bounce": _Maker(_bounce, True, 0.32), "bell": _Maker(_bell, True, 0.12),
    "tick": _Maker(_tick, True, 0.16), "drum": _Maker(_drum, True, 0.32), "footstep": _Maker(_footstep, True, 0.25),
    "slam": _Maker(_slam, True, 0.30), "chirp": _Maker(_chirp, True, 0.10), "wave": _Maker(_waves, False, 0.25),
    "rain": _Maker(_rain, False, 0.10), "fire": _Maker(_fire, False, 0.10), "wind": _Maker(_wind, False, 0.15),
    "crackle": _Maker(_crackle, True, 0.25), "room": _Maker(_room, False, 0.002), "car": _Maker(_silent, False, 0.15),
}  # fmt: skip
KINDS: tuple[str, ...] = tuple(_MAKERS)
STRIKES: tuple[str, ...] = tuple(k for k, m in _MAKERS.items() if m.is_strike)


def _lasting(e: SoundEvent, rate: int, left_s: float) -> int:
    return max(1, round(min(left_s, (e.end_s - e.at_s) if e.end_s is not None else left_s) * rate))


def _sum(a: Wave, b: Wave) -> Wave:
    out = np.zeros(max(len(a), len(b)))
    out[: len(a)] += a
    out[: len(b)] += b
    return out


def _band(noise_S: Wave, rate: int, low: float, high: float) -> Wave:
    """Butterworth band of white noise, unit RMS."""
    sos = signal.butter(2, [low, min(high, 0.45 * rate)], "bandpass", fs=rate, output="sos")
    out = signal.sosfilt(sos, noise_S)
    return np.asarray(out / (np.sqrt((out**2).mean()) + 1e-12))


def _ring(hits_S: Wave, rate: int, hz: float, t60: float) -> Wave:
    """A two-pole resonance driven by hits."""
    r = np.exp(-6.91 / (t60 * rate))
    w = 2 * np.pi * min(hz, 0.45 * rate) / rate
    return np.asarray(signal.lfilter([1.0, -r * np.cos(w)], [1.0, -2 * r * np.cos(w), r * r], hits_S))


def _wander(count: int, rate: int, hz: float, rng: np.random.Generator) -> Wave:
    """A slow random curve of about unit size, changing `hz` times a second."""
    knots = rng.standard_normal(int(count / rate * hz) + 4)
    return np.asarray(np.interp(np.arange(count) * hz / rate, np.arange(len(knots)), knots))


def _faded(wave_S: Wave, rate: int, seconds: float) -> Wave:
    n = min(int(seconds * rate), len(wave_S) // 2)
    ramp = np.linspace(0, 1, n) if n else np.ones(0)
    wave_S[:n] *= ramp
    wave_S[len(wave_S) - n :] *= ramp[::-1]
    return wave_S


def _pan_gains(pan: float, stereo: bool) -> tuple[float, ...]:
    """Constant power; a mono mix takes everything."""
    angle = (np.clip(pan, -1, 1) + 1) * np.pi / 4
    return (float(np.cos(angle)), float(np.sin(angle))) if stereo else (1.0,)


def _follow(level_S: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    """How loud speech is around each sample: a 50 ms mean, held for 250 ms after."""
    hop = rate // 100
    blocks = np.pad(level_S, (0, -len(level_S) % hop)).reshape(-1, hop).mean(axis=1)
    ahead = np.lib.stride_tricks.sliding_window_view(np.pad(blocks, (25, 5)), 31).max(axis=1)
    smooth = np.convolve(ahead, np.ones(5) / 5, "same")
    return np.interp(np.arange(len(level_S)) / hop, np.arange(len(smooth)), smooth).astype(np.float32)


def _k_weighting(rate: int) -> tuple[tuple[Wave, Wave], tuple[Wave, Wave]]:
    """The two filters of BS.1770 for any rate, from their analogue corner, gain and Q (De Man 2014)."""
    shelf_k = np.tan(np.pi * 1681.974450955533 / rate)
    gain, q = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    middle = gain**0.4996667741545416
    a0 = 1 + shelf_k / q + shelf_k**2
    shelf_b = np.array(
        [gain + middle * shelf_k / q + shelf_k**2, 2 * (shelf_k**2 - gain), gain - middle * shelf_k / q + shelf_k**2]
    )
    shelf_a = np.array([a0, 2 * (shelf_k**2 - 1), 1 - shelf_k / q + shelf_k**2])
    k, q = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    a0_high = 1 + k / q + k**2
    high_a = np.array([1.0, 2 * (k**2 - 1) / a0_high, (1 - k / q + k**2) / a0_high])
    return (shelf_b / a0, shelf_a / a0), (np.array([1.0, -2.0, 1.0]), high_a)
