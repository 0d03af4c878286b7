"""From a decoded frame to what a viewer sees: matrix and range, rotation, square pixels, size.

Shapes: Y rows, X columns, C channels (RGB).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from muybridge.media.pictures import Frames, crop_to_aspect, resize


def display_matrix(frame: av.VideoFrame) -> NDArray[np.int64] | None:
    """The 2x2 part of the display matrix (ISO 14496-12, 8.3.2), as signs; None when the picture is upright."""
    side: Any = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return None
    matrix = np.frombuffer(bytes(side), np.int32).reshape(3, 3)[:2, :2].astype(np.int64)
    signs = np.sign(np.where(np.abs(matrix) > 1 << 15, matrix, 0))
    return signs if abs(round(float(np.linalg.det(signs)))) == 1 and np.abs(signs).sum() == 2 else None


def rotation(frame: av.VideoFrame) -> int:
    """Degrees clockwise that turn the stored picture upright: 0, 90, 180 or 270."""
    signs = display_matrix(frame)
    return 0 if signs is None else round(math.degrees(math.atan2(signs[0, 1], signs[0, 0]))) % 360


def turn_upright(frame_YXC: Frames, signs: NDArray[np.int64] | None) -> Frames:
    """Apply a display matrix: stored (x, y) lands at (a x + c y, b x + d y)."""
    if signs is None:
        return frame_YXC
    (a, b), (c, d) = signs
    if a == 0:  # x and y change places: displayed x comes from stored y
        frame_YXC = frame_YXC.swapaxes(0, 1)
        flip_x, flip_y = c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    return np.ascontiguousarray(frame_YXC[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def pixel_aspect(video: VideoStream) -> Fraction:
    aspect = video.sample_aspect_ratio
    return Fraction(aspect) if aspect and Fraction(1, 8) <= aspect <= 8 else Fraction(1)


def _even(value: Fraction | int) -> int:
    return max(2, round(value / 2) * 2)


def display_size(frame: av.VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """Upright height and width with square pixels, even."""
    height, width = _even(frame.height), _even(frame.width * aspect)
    return (width, height) if rotation(frame) in (90, 270) else (height, width)


def _to_rgb(frame: av.VideoFrame, height: int, width: int) -> Frames:
    """One decoded frame, still as stored, to (height, width, 3) RGB with the right matrix and range."""
    # Untagged video: BT.709 from 720 lines on, else BT.601, as players assume.
    matrix = {1: 1, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}.get(frame.colorspace, 1 if frame.height >= 720 else 5)
    full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
    shrinks = height * 2 <= frame.height and width * 2 <= frame.width
    flags = av.video.reformatter.Interpolation
    scaler = flags.AREA if shrinks else flags.LANCZOS
    rgb = frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=2 if full else 1,
        dst_color_range=2,
        interpolation=scaler | flags.ACCURATE_RND | flags.FULL_CHR_H_INT,
        threads=1,
    )
    return np.ascontiguousarray(rgb.to_ndarray(), dtype=np.uint8)


def shaper(frame: av.VideoFrame, video: VideoStream, size: tuple[int, int] | None) -> Callable[[av.VideoFrame], Frames]:
    """The function that turns this stream's decoded frames into upright (Y, X, 3) of the wanted size."""
    upright_height, upright_width = display_size(frame, pixel_aspect(video))
    if size is not None:  # cover the target, then crop the overhang
        scale = max(size[0] / upright_height, size[1] / upright_width)
        upright_height = max(size[0], round(upright_height * scale))
        upright_width = max(size[1], round(upright_width * scale))
    signs = display_matrix(frame)
    turned = signs is not None and signs[0, 0] == 0
    stored = (upright_width, upright_height) if turned else (upright_height, upright_width)

    def convert(decoded: av.VideoFrame) -> Frames:
        picture = turn_upright(_to_rgb(decoded, *stored), signs)
        if size is None or picture.shape[:2] == size:
            return picture
        cropped = crop_to_aspect(picture, *size)
        return cropped if cropped.shape[:2] == size else resize(cropped, *size)

    return convert
