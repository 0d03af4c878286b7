"""Sheets of many moments: the sprite sheet of the API and the contact sheet people look at.

Shapes: T frames, Y rows, X columns, C channels (RGB), S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muybridge.errors import InvalidRequest
from muybridge.media.pictures import resize, thumbnail, write_image

Frames = NDArray[np.uint8]

# A 3x5 letter is five octal digits, one a row, bit 4 at the left. Drawn for this file.
_DRAWN: Final = """
0=75557 1=26227 2=71747 3=71717 4=55711 5=74717 6=74757 7=71122 8=75757 9=75717 A=25755 B=65656 C=34443 D=65556 E=74647
F=74644 G=34553 H=55755 I=72227 J=11152 K=55655 L=44447 M=57755 N=65555 O=25552 P=65644 Q=25563 R=65655 S=34216 T=72222
U=55557 V=55552 W=55775 X=55255 Y=55222 Z=71247 .=00002 :=02020 -=00700 +=02720 /=11244 %=51245 ==07070 ,=00024 _=00007
(=12221 )=42224 #=57575 [=64446 ]=31113 !=22202 ?=71202
"""
_GLYPHS: Final = {drawn[0]: drawn[2:] for drawn in _DRAWN.split()} | {" ": "00000"}


def spritesheet(frames_TYXC: Frames, *, columns: int = 5, num_tiles: int = 25, tile_width: int = 160) -> Frames:
    """`num_tiles` moments evenly through the clip in a grid (Y, X, 3), for scrubbing; write it as JPEG."""
    tiles = [thumbnail(frames_TYXC[n], long_side=tile_width) for n in moments(len(frames_TYXC), num_tiles)]
    return grid(tiles, columns=columns, gap=0)


def moments(num_frames: int, count: int) -> list[int]:
    """Frame numbers at the middles of `count` equal spans."""
    return [int((k + 0.5) * num_frames / count) for k in range(count)]


def grid(tiles: Sequence[Frames], *, columns: int, gap: int, paper: int = 20) -> Frames:
    """Tiles of one size, row by row, `gap` pixels of grey `paper` between and around."""
    height, width = tiles[0].shape[:2]
    num_rows = -(-len(tiles) // columns)
    sheet = np.full((num_rows * (height + gap) + gap, columns * (width + gap) + gap, 3), paper, np.uint8)
    for k, tile in enumerate(tiles):
        top, left = gap + k // columns * (height + gap), gap + k % columns * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def draw_text(picture_YXC: Frames, text: str, top: int, left: int, *, scale: int = 2, ink: int = 235) -> None:
    """Write capitals, digits and common signs into the picture, in place, cut off at its edge."""
    bits = np.array([[[int(row) >> 2 & 1, int(row) >> 1 & 1, int(row) & 1, 0] for row in _glyph(ch)] for ch in text])
    if not text:
        return
    mask = np.concatenate(list(bits), axis=1).repeat(scale, 0).repeat(scale, 1).astype(bool)
    place = picture_YXC[top : top + mask.shape[0], left : left + mask.shape[1]]
    place[mask[: place.shape[0], : place.shape[1]]] = ink


def _glyph(character: str) -> str:
    return _GLYPHS.get(character.upper(), _GLYPHS["?"])


def contact_sheet(
    path: str | Path,
    frames_TYXC: Frames,
    rows: int,
    cols: int,
    labels: Sequence[str] | None = None,
    *,
    fps: Fraction | int = 25,
    waveform_CS: NDArray[np.float32] | None = None,
    tile_width: int = 224,
) -> Path:
    """Write rows x cols evenly spaced frames with their times, the sound's envelope beneath, ticks where frames stand.

    Pictures smaller than `tile_width` are enlarged by whole pixels only, so that what is seen is what was made.
    """
    if frames_TYXC.ndim != 4 or not len(frames_TYXC):
        raise InvalidRequest(f"a contact sheet needs frames (T, Y, X, 3), got {frames_TYXC.shape}")
    picked = moments(len(frames_TYXC), rows * cols)
    names = labels if labels is not None else [f"{float(n / Fraction(fps)):.2f}s #{n}" for n in picked]
    if len(names) != len(picked):
        raise InvalidRequest(f"{rows}x{cols} tiles need {len(picked)} labels, got {len(names)}")
    tiles = []
    for n, name in zip(picked, names, strict=True):
        picture = _tile(frames_TYXC[n], tile_width)
        tile = np.concatenate([picture, np.full((14, picture.shape[1], 3), 20, np.uint8)])
        draw_text(tile, name, picture.shape[0] + 2, 2)
        tiles.append(tile)
    sheet = grid(tiles, columns=cols, gap=4)
    if waveform_CS is not None:
        ticks = [(n + 0.5) / len(frames_TYXC) for n in picked]
        sheet = np.concatenate([sheet, waveform_strip(waveform_CS, sheet.shape[1], ticks=ticks)])
    return write_image(path, sheet)


def _tile(frame_YXC: Frames, tile_width: int) -> Frames:
    times = tile_width // frame_YXC.shape[1]
    if times >= 1:
        return frame_YXC.repeat(times, 0).repeat(times, 1)
    return resize(frame_YXC, max(1, round(frame_YXC.shape[0] * tile_width / frame_YXC.shape[1])), tile_width)


def waveform_strip(
    waveform_CS: NDArray[np.float32], width: int, *, height: int = 48, ticks: Sequence[float] = ()
) -> Frames:
    """(channels x height, width, 3): minimum and maximum of the samples under each column; full height is +-1."""
    strips = []
    for channel_S in waveform_CS:
        strip = np.full((height, width, 3), 20, np.uint8)
        for tick in ticks:
            strip[:, min(width - 1, int(tick * width))] = (70, 70, 70)
        edges = np.linspace(0, len(channel_S), width + 1).astype(int)
        middle = (height - 1) / 2
        for x in range(width):
            span = channel_S[edges[x] : max(edges[x + 1], edges[x] + 1)]
            if span.size:
                low, high = (round(middle * (1 - float(np.clip(v, -1, 1)))) for v in (span.max(), span.min()))
                strip[low : high + 1, x] = (110, 200, 120)
        strips.append(strip)
    return np.concatenate(strips)
