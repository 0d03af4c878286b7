"""A finished clip in memory: frames, sound, and how to save them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muybridge import media
from muybridge.shapes import FPS


@dataclass(frozen=True, eq=False)
class Clip:
    """`frames_TYXC` uint8 RGB, `waveform_CS` float32 in [-1, 1] (None: silent), both exactly as long."""

    frames_TYXC: NDArray[np.uint8]
    waveform_CS: NDArray[np.float32] | None
    sample_rate: int
    fps: int = FPS

    @property
    def seconds(self) -> float:
        """Length of both streams."""
        return len(self.frames_TYXC) / self.fps

    def save(self, path: str | Path, metadata: Mapping[str, str] | None = None) -> Path:
        """Write H.264 and AAC in MP4 with a poster frame beside it; returns the clip's path."""
        path = Path(path)
        media.write_clip(
            path, self.frames_TYXC, self.waveform_CS, fps=self.fps, sample_rate=self.sample_rate, metadata=metadata
        )
        return path

    def contact_sheet(self, path: str | Path) -> Path:
        """Write a PNG of frames at even moments over the sound's waveform."""
        path = Path(path)
        media.contact_sheet(path, self.frames_TYXC, 3, 5, waveform_CS=self.waveform_CS, fps=self.fps)
        return path
