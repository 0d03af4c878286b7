"""Waveforms: WAV files, resampling, decoding onto an exact sample clock.

Shapes: C channels, S samples; float32 in [-1, 1].
"""

from __future__ import annotations

import math
import os
import struct
import uuid
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from muybridge.errors import InvalidRequest, MediaInvalid

Waveform = NDArray[np.float32]


def write_wav(path: str | Path, waveform_CS: Waveform, sample_rate: int, *, bits: int = 16) -> Path:
    """Write RIFF/WAVE atomically: 16-bit PCM (rounded, clipped) or, with bits=32, float."""
    if waveform_CS.ndim != 2 or not np.isfinite(waveform_CS).all():
        raise InvalidRequest(f"a waveform must be finite and (C, S), got shape {waveform_CS.shape}")
    if bits == 16:
        data = np.rint(np.clip(waveform_CS, -1, 1) * 32767).astype("<i2").T.tobytes()
    elif bits == 32:
        data = waveform_CS.astype("<f4").T.tobytes()
    else:
        raise InvalidRequest(f"WAV with {bits} bits is not written; choose 16 (PCM) or 32 (float)")
    channels = waveform_CS.shape[0]
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 1 if bits == 16 else 3, channels, sample_rate, sample_rate * block, block, bits)
    pad = b"\0" * (len(data) % 2)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data + pad
    path = Path(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            file.write(b"RIFF" + struct.pack("<I", len(body)) + body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def resample(waveform_CS: Waveform, old_rate: int, new_rate: int) -> Waveform:
    """Band-limited resampling (libswresample); sample 0 stays at time 0; S becomes ceil(S x new / old)."""
    if old_rate == new_rate:
        return waveform_CS
    channels, num_samples = waveform_CS.shape
    layout = {1: "mono", 2: "stereo"}[channels]
    converter = av.AudioResampler("fltp", layout, new_rate)
    parts: list[Any] = []
    for start in range(0, num_samples, old_rate):
        block = np.ascontiguousarray(waveform_CS[:, start : start + old_rate], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = old_rate, start, Fraction(1, old_rate)
        parts += converter.resample(frame)
    parts += converter.resample(None)
    out = np.concatenate([np.zeros((channels, 0), np.float32), *(part.to_ndarray() for part in parts)], axis=1)
    due = math.ceil(Fraction(num_samples * new_rate, old_rate))
    return np.pad(out[:, :due], ((0, 0), (0, max(0, due - out.shape[1])))).astype(np.float32, copy=False)


# Weight of each surround channel in left and right (ITU-R BS.775: 3 dB down where both ears or the room hear it).
_LEFT_RIGHT = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (0.7071, 0.7071),
    "SL": (0.7071, 0.0),
    "SR": (0.0, 0.7071),
    "BL": (0.7071, 0.0),
    "BR": (0.0, 0.7071),
    "BC": (0.5, 0.5),
}


def mix_down(frame: av.AudioFrame, channels: int | None = None) -> Waveform:
    """One decoded frame as float32 (1 or 2, S); `channels` None keeps mono and stereo and makes stereo of the rest.

    Surround rows are scaled so that no channel can clip; the bass effects channel is left out, as the standard says.
    """
    raw: NDArray[Any] = frame.to_ndarray()
    names = [channel.name for channel in frame.layout.channels]
    if frame.format.is_packed:
        raw = raw.reshape(-1, len(names)).T
    sound_CS: Waveform = raw.astype(np.float32)
    if raw.dtype == np.uint8:
        sound_CS -= 128
        sound_CS /= 128
    elif np.issubdtype(raw.dtype, np.integer):
        sound_CS /= float(-np.iinfo(raw.dtype).min)
    if len(names) > 2:
        known = [_LEFT_RIGHT.get(name, (0.0, 0.0)) for name in names]
        weights = np.array(known if np.any(known) else [(1.0, 1.0)] * len(names)).T
        scaled = weights / np.maximum(1.0, weights.sum(axis=1, keepdims=True))
        sound_CS = np.asarray(scaled, np.float32) @ sound_CS
    if channels == 1 and sound_CS.shape[0] == 2:
        sound_CS = sound_CS.mean(axis=0, keepdims=True)
    elif channels == 2 and sound_CS.shape[0] == 1:
        sound_CS = sound_CS.repeat(2, axis=0)
    return sound_CS


class Placer:
    """Lays decoded blocks on one clock by presentation time: gaps become silence, overlaps are cut.

    Blocks within `slack_s` of where they belong are joined without a seam (containers round times to milliseconds).
    """

    slack_s = 0.003

    def __init__(self, origin_s: Fraction | None, max_seconds: float | None) -> None:
        self.origin_s = origin_s  # None: the first block sets it
        self.max_seconds = max_seconds
        self.rate = 0
        self.parts: list[Waveform] = []
        self.num_samples = 0

    @property
    def full(self) -> bool:
        """More sound than asked for has been placed."""
        return self.max_seconds is not None and self.rate > 0 and self.num_samples > self.max_seconds * self.rate

    def place(self, block_CS: Waveform, time_s: Fraction | None, rate: int) -> None:
        """Append one decoded block that is presented at `time_s`."""
        if self.rate and rate != self.rate:
            raise MediaInvalid(f"the sound changes from {self.rate} to {rate} Hz on the way; export it at one rate")
        self.rate = rate
        if self.origin_s is None:
            self.origin_s = time_s or Fraction(0)
        if time_s is not None:
            gap = round((time_s - self.origin_s) * rate) - self.num_samples
            if gap < 0 and (not self.num_samples or -gap > self.slack_s * rate):
                block_CS = block_CS[:, -gap:]  # before the start, or heard already
            elif gap > 0 and (not self.num_samples or gap > self.slack_s * rate):
                limit = gap if self.max_seconds is None else min(gap, int(self.max_seconds * rate) + rate)
                self._append(np.zeros((block_CS.shape[0], limit), np.float32))
        if block_CS.shape[1]:
            self._append(block_CS)

    def _append(self, block_CS: Waveform) -> None:
        self.parts.append(block_CS)
        self.num_samples += block_CS.shape[1]

    def waveform(self, end_s: Fraction | None) -> Waveform | None:
        """All sound up to the presented end; None when nothing was decoded."""
        if not self.parts or self.origin_s is None:
            return None
        sound = np.concatenate(self.parts, axis=1)
        if end_s is not None:
            sound = sound[:, : max(0, round((end_s - self.origin_s) * self.rate))]
        if not np.isfinite(sound).all():
            raise MediaInvalid("the sound holds NaN or infinite samples; export it again as 16-bit PCM or AAC")
        return sound
