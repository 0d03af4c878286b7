"""A picture of what was said and when: planned opening of the lips, level of the sound, the frames at the words.

For the reader's eyes. It prints no lag: over one sentence, level and opening agree too loosely for a number to mean
anything; `muybridge evaluate sync` measures, with a face finder. Drawn without a plotting library.

Legend: T frames, Y X rows and columns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muybridge.engine.clip import Clip
from muybridge.evaluate import sync
from muybridge.media import write_image
from muybridge.media.pictures import thumbnail
from muybridge.media.sheets import draw_text, grid, waveform_strip
from muybridge.shapes import FPS
from muybridge.speech.pacing import Plan

Bytes = NDArray[np.uint8]
COLUMNS, TILE = 8, 160  # frames shown, pixels across each
HEIGHT, PAPER, INK = 72, 20, {"LIPS PLANNED": (240, 180, 60), "SOUND": (110, 200, 120)}


def write_sync_sheet(path: Path, clip: Clip, plan: Plan) -> Path | None:
    """Write the PNG; None where nothing is said or nothing is heard."""
    # Here: commands that make no clip do without the world.
    from muybridge.world.visemes import planned_opening

    if clip.waveform_CS is None or not plan.lines:
        return None
    num_frames = len(clip.frames_TYXC)
    phones = [phone for line in plan.lines for phone in line.phones]
    planned_T = planned_opening(phones, num_frames)
    heard_T = sync.frame_levels(clip.waveform_CS.mean(0), clip.sample_rate, num_frames)
    picked = spoken_frames(plan, num_frames)
    tiles = []
    for frame in picked:
        tile = thumbnail(clip.frames_TYXC[frame], long_side=TILE)
        tile = np.concatenate([tile, np.full((14, tile.shape[1], 3), PAPER, np.uint8)])
        draw_text(tile, f"{frame / FPS:.2f}S", tile.shape[0] - 12, 2)
        tiles.append(tile)
    frames = grid(tiles, columns=COLUMNS, gap=4)
    width = frames.shape[1]
    ticks = [(frame + 0.5) / num_frames for frame in picked]
    signals = curves({"LIPS PLANNED": planned_T, "SOUND": heard_T}, width)
    sound = waveform_strip(clip.waveform_CS[:1], width, ticks=ticks)
    return write_image(path, np.concatenate([frames, signals, sound]))


def spoken_frames(plan: Plan, num_frames: int) -> list[int]:
    """Frames at the middles of `COLUMNS` phones, evenly over what is said."""
    middles = [(p.start_s + p.end_s) / 2 for line in plan.lines for p in line.phones if not p.is_pause]
    places = np.linspace(0, len(middles) - 1, COLUMNS).round().astype(int)
    return [min(num_frames - 1, int(middles[k] * FPS)) for k in places]


def curves(signals_T: dict[str, NDArray[np.float64]], width: int) -> Bytes:
    """[HEIGHT, width, 3]: each signal from its least to its most over the strip, under its name."""
    strip = np.full((HEIGHT, width, 3), PAPER, np.uint8)
    left = 4
    for name, values_T in signals_T.items():
        low, high = float(values_T.min()), float(values_T.max())
        columns = np.interp(np.linspace(0, len(values_T) - 1, width), np.arange(len(values_T)), values_T)
        rows = ((HEIGHT - 3) * (1 - (columns - low) / max(high - low, 1e-9))).round().astype(int)
        for x, (here, before) in enumerate(zip(rows, [rows[0], *rows[:-1]], strict=True)):
            strip[min(here, before) : max(here, before) + 2, x] = INK[name]
        label = np.full((12, 8 * len(name), 3), PAPER, np.uint8)
        draw_text(label, name, 1, 0)
        strip[2:14, left : left + label.shape[1]][label[..., 0] > PAPER] = INK[name]
        left += label.shape[1] + 16
    return strip
