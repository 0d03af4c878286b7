"""Phones to the motion of a mouth: 52 ARKit face-unit names, tracks at the video's frame rate.

A phone sets only the units it cares about; the others pass from neighbour to neighbour (a t between two u stays
round). Letters: F video frames, G grid samples (8 a frame).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from muybridge.shapes import FPS
from muybridge.speech.durations import Phone
from muybridge.world.anatomy import ARKIT_UNITS, UNIT_INDEX

OVERSAMPLING = 8
SMOOTHING_S = 0.09  # Hann width for jaw and lips
ROUNDING_S = 0.14  # wider for pucker and funnel: rounding is planned ahead
HOLD_S = 1.25 / FPS  # a closure lasts longer than one frame, so one frame always shows it
RELEASE_S = 0.035
EFFORT = {"calm": 0.85, "neutral": 1.0, "energetic": 1.2}
UNITS = (
    "jawOpen", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthSmileRight", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "mouthRollLower",
    "mouthStretchLeft", "mouthStretchRight",
)  # fmt: skip
ARTICULATION = 1.6  # smoothing takes the peaks of openings; without this they are a few pixels of a face
OPENINGS = ("jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight")
CLOSURES = frozenset("pbm")
UNKNOWN_JAW = 0.15
Track = npt.NDArray[np.float32]

# One letter a feature: jaw, Funnel, Pucker, Smile, press, lower lip down, Upper lip up, roll, stretch
_SHORT = {
    "j": ("jawOpen",), "F": ("mouthFunnel",), "P": ("mouthPucker",), "S": ("mouthSmileLeft", "mouthSmileRight"),
    "p": ("mouthPressLeft", "mouthPressRight"), "l": ("mouthLowerDownLeft", "mouthLowerDownRight"),
    "U": ("mouthUpperUpLeft", "mouthUpperUpRight"), "r": ("mouthRollLower",),
    "s": ("mouthStretchLeft", "mouthStretchRight"),
}  # fmt: skip
_SHAPES: dict[str, dict[str, float]] = {
    "pbm": {"j": 0.0, "p": 0.5, "l": 0.0, "U": 0.0, "s": 0.0},
    "βɸ": {"j": 0.05, "p": 0.15, "l": 0.05, "U": 0.0},
    "fvʋ": {"j": 0.05, "l": 0.1, "U": 0.12, "r": 0.3, "p": 0.0},
    "aɑɐæʌ": {"j": 0.6, "F": 0.0, "P": 0.0, "S": 0.05, "l": 0.12, "U": 0.1, "s": 0.0},
    "ɒɔ": {"j": 0.45, "F": 0.4, "P": 0.05, "S": 0.0, "l": 0.08, "U": 0.05, "s": 0.0},
    "ɛeəɜɚᵊ": {"j": 0.35, "F": 0.0, "P": 0.0, "S": 0.12, "l": 0.08, "U": 0.05, "s": 0.05},
    "iɪjᵻ": {"j": 0.18, "F": 0.0, "P": 0.0, "S": 0.4, "l": 0.08, "U": 0.05, "s": 0.1},
    "o": {"j": 0.35, "F": 0.5, "P": 0.2, "S": 0.0, "l": 0.0, "U": 0.0, "s": 0.0},
    "uʊwɰ": {"j": 0.15, "F": 0.15, "P": 0.8, "S": 0.0, "l": 0.0, "U": 0.0, "s": 0.0},
    "yɥ": {"j": 0.13, "F": 0.2, "P": 0.65, "S": 0.0, "l": 0.0, "U": 0.0, "s": 0.0},
    "øœ": {"j": 0.25, "F": 0.45, "P": 0.35, "S": 0.0, "l": 0.03, "U": 0.0, "s": 0.0},
    "ɯɨɤ": {"j": 0.25, "F": 0.0, "P": 0.0, "S": 0.15, "l": 0.06, "U": 0.0, "s": 0.08},
    "tdnszlɹɾθðrɻʦʣꭧʂʈɖɽɳTS": {"j": 0.15, "l": 0.08},
    "ʎɲɟcçʝ": {"j": 0.17, "l": 0.08, "S": 0.15},
    "kɡŋxʁχɣqɴ": {"j": 0.22},
    "hʔ": {},  # the mouth of what follows
    "ʃʒʧʤ": {"j": 0.15, "F": 0.4, "P": 0.15, "S": 0.0},
    "ɕʨʥ": {"j": 0.14, "F": 0.2, "S": 0.2},
}  # fmt: skip
_DIPHTHONGS = {"A": "ei", "I": "ai", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔi"}
_ROUND = np.array([u in ("mouthFunnel", "mouthPucker") for u in UNITS])


def mouth_shape(letter: str) -> dict[str, float]:
    """The units that one phone letter sets, with their weights; empty for a letter that leaves the mouth as it is."""
    for letters, short in _SHAPES.items():
        if letter in letters:
            return {unit: weight for key, weight in short.items() for unit in _SHORT[key]}
    return {}


def jaw_of(letter: str) -> float:
    """The jaw's opening that one phone letter asks for, mean of a diphthong's two; for h, which has none, a t's."""
    return float(np.mean([mouth_shape(part).get("jawOpen", UNKNOWN_JAW) for part in _DIPHTHONGS.get(letter, letter)]))


def planned_opening(phones: Sequence[Phone], num_frames: int) -> npt.NDArray[np.float64]:
    """The jaw's opening (F,) that the phones ask for."""
    return np.asarray(viseme_tracks(phones, num_frames)["jawOpen"], np.float64)


def viseme_tracks(
    phones: Sequence[Phone],
    num_frames: int,
    waveform_S: npt.NDArray[np.float32] | None = None,
    sample_rate: int = 24_000,
    effort: float = 1.0,
    fps: float = FPS,
) -> dict[str, Track]:
    """Weights (F,) in [0, 1] of each face unit in `UNITS`, one value a video frame (frame k at k / fps seconds).

    Loud speech opens the mouth wider when `waveform_S` is given; p, b and m close it for at least one frame whatever
    stands around them. The mouth is closed and at rest outside speech.
    """
    rate = fps * OVERSAMPLING
    num_grid = num_frames * OVERSAMPLING
    targets = _targets(phones, num_grid, rate)
    smooth = np.stack(
        [_smoothed(targets[:, i], (ROUNDING_S if wide else SMOOTHING_S) * rate) for i, wide in enumerate(_ROUND)],
        axis=1,
    )
    loud_G = np.full(num_grid, 1.0) if waveform_S is None else _loudness(waveform_S, sample_rate, num_grid, rate)
    smooth[:, [UNITS.index(unit) for unit in OPENINGS]] *= ARTICULATION
    smooth[:, UNITS.index("jawOpen")] *= loud_G * effort
    smooth[:, [UNITS.index(f"mouthSmile{side}") for side in ("Left", "Right")]] *= effort**0.5
    _close(smooth, phones, rate)
    tracks = np.clip(smooth[::OVERSAMPLING], 0.0, 1.0).astype(np.float32)
    return {unit: tracks[:num_frames, i] for i, unit in enumerate(UNITS)}


def speech_units(
    phones: Sequence[Phone],
    num_frames: int,
    waveform_S: npt.NDArray[np.float32] | None = None,
    sample_rate: int = 24_000,
    effort: float = 1.0,
) -> Track:
    """`viseme_tracks` as one array (F, 52) in the renderer's order of face units."""
    out = np.zeros((num_frames, len(ARKIT_UNITS)), np.float32)
    for unit, track in viseme_tracks(phones, num_frames, waveform_S, sample_rate, effort).items():
        out[:, UNIT_INDEX[unit]] = track
    return out


def _targets(phones: Sequence[Phone], num_grid: int, rate: float) -> npt.NDArray[np.float64]:
    """(G, units) targets before smoothing; what a phone leaves open is drawn straight between its neighbours."""
    targets = np.zeros((num_grid, len(UNITS)))
    keys: list[tuple[float, float, dict[str, float] | None]] = []
    for phone in phones:
        if phone.is_pause:
            keys.append((phone.start_s, phone.end_s, None))
            continue
        parts = _DIPHTHONGS.get(phone.base, phone.base)
        length = (phone.end_s - phone.start_s) / len(parts)
        for i, letter in enumerate(parts):
            start = phone.start_s + i * length
            keys.append((start, start + length, mouth_shape(letter)))
    if not keys:
        return targets
    rest = (None,)
    keys = [(keys[0][0] - 0.12, keys[0][0], *rest), *keys, (keys[-1][1], keys[-1][1] + 0.12, *rest)]
    for column, unit in enumerate(UNITS):
        known = [
            (a, b, 0.0 if shape is None else shape[unit]) for a, b, shape in keys if shape is None or unit in shape
        ]
        times, values = [], []
        for start, end, value in known:
            inset = min(0.3 * (end - start), 0.02)
            times += [start + inset, end - inset]
            values += [value, value]
        at_G = np.arange(num_grid) / rate
        targets[:, column] = np.interp(at_G, times, values, left=0.0, right=0.0)
    return targets


def _smoothed(values_G: npt.NDArray[np.float64], width: float) -> npt.NDArray[np.float64]:
    kernel = np.hanning(max(3, round(width)) + 2)[1:-1]
    padded = np.pad(values_G, len(kernel), mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "same")[len(kernel) : -len(kernel)]


def _loudness(
    waveform_S: npt.NDArray[np.float32], sample_rate: int, num_grid: int, rate: float
) -> npt.NDArray[np.float64]:
    """A factor .75-1.2 from the 60 ms level against the utterance's own loud parts."""
    squares = np.concatenate([[0.0], np.cumsum(waveform_S.astype(np.float64) ** 2)])
    centre = np.arange(num_grid) / rate * sample_rate
    lo, hi = (np.clip(centre + s * 0.03 * sample_rate, 0, len(waveform_S)).astype(int) for s in (-1, 1))
    level = np.sqrt((squares[hi] - squares[lo]) / np.maximum(hi - lo, 1))
    loud = np.quantile(level[level > 1e-4], 0.9) if (level > 1e-4).any() else 1.0
    return _smoothed(0.75 + 0.45 * np.minimum(level / loud, 1.0), 0.06 * rate)


def _close(tracks: npt.NDArray[np.float64], phones: Sequence[Phone], rate: float) -> None:
    """Holds the lips together for every p, b and m: jaw and lip openings go to zero, with short ramps on both sides."""
    opening = [UNITS.index(u) for u in UNITS if u.startswith(("jaw", "mouthLower", "mouthUpper", "mouthStretch"))]
    press = [UNITS.index(u) for u in ("mouthPressLeft", "mouthPressRight")]
    at_G = np.arange(len(tracks)) / rate
    for phone in phones:
        if phone.base not in CLOSURES:
            continue
        middle = (phone.start_s + phone.end_s) / 2
        half = max(HOLD_S, phone.end_s - phone.start_s - 0.02) / 2
        away = np.clip((np.abs(at_G - middle) - half) / RELEASE_S, 0.0, 1.0)
        open_G = 0.5 - 0.5 * np.cos(np.pi * away)
        tracks[:, opening] *= open_G[:, None]
        tracks[:, press] = np.maximum(tracks[:, press], 0.5 * (1 - open_G[:, None]))
