"""Still pictures: read, write, crop, resize.

Shapes: T frames, Y rows, X columns, C channels (RGB). Everything is uint8 RGB, full range.
"""

from __future__ import annotations

import io
import os
import uuid
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from muybridge.errors import InvalidRequest, MediaInvalid
from muybridge.media.headers import image_header

Frames = NDArray[np.uint8]
ImageFormat = Literal["png", "jpeg", "webp"]
Kernel = Literal["auto", "area", "lanczos"]

_SUFFIXES: dict[str, ImageFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
_DEMUXERS = {"png": "png_pipe", "jpeg": "jpeg_pipe", "webp": "webp_pipe", "gif": "gif"}


def read_image(source: str | Path | bytes, *, background: tuple[int, int, int] = (255, 255, 255)) -> Frames:
    """Decode a PNG, JPEG, WebP or (first picture of a) GIF to (Y, X, 3): EXIF turned upright, alpha over `background`.

    16-bit samples are scaled by 1/257 and rounded. Raises MediaInvalid; the header is checked before the decoder runs.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    header = image_header(data)
    try:
        demuxer = _DEMUXERS[header.format]
        with av.open(io.BytesIO(data), "r", format=demuxer, options={"format_whitelist": demuxer}) as container:
            container.streams.video[0].codec_context.thread_count = 1
            frame = next(container.decode(video=0), None)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaInvalid(
            f"the {header.format} picture cannot be decoded ({reason(error)}); save it again as PNG"
        ) from error
    if frame is None:
        raise MediaInvalid(f"the {header.format} file holds no picture; save it again as PNG")
    return orient(_flatten(frame, background), header.orientation)


def reason(error: Exception) -> str:
    """FFmpeg's words without the path it appends: a message may go to a stranger."""
    return str(getattr(error, "strerror", None) or error)


def _flatten(frame: av.VideoFrame, background: tuple[int, int, int]) -> Frames:
    """RGB of one decoded frame over a solid background."""
    components = frame.format.components
    deep = max(component.bits for component in components) > 8
    alpha = any(component.is_alpha for component in components) or frame.format.name == "pal8"
    options: dict[str, Any] = {"src_color_range": "JPEG"} if frame.format.name.startswith("yuvj") else {}
    if not (deep or alpha):
        rgb = frame.reformat(format="rgb24", dst_color_range="JPEG", threads=1, **options)
        return np.ascontiguousarray(rgb.to_ndarray(), dtype=np.uint8)
    rgba = frame.reformat(
        format="rgba64le" if deep else "rgba", dst_color_range="JPEG", threads=1, **options
    ).to_ndarray()
    rgba_YXC = rgba.astype(np.float32) / (257.0 if deep else 1.0)
    opacity = rgba_YXC[..., 3:] / 255.0
    over = rgba_YXC[..., :3] * opacity + np.asarray(background, np.float32) * (1.0 - opacity)
    flat: Frames = np.clip(np.rint(over), 0, 255).astype(np.uint8)
    return flat


def orient(frame_YXC: Frames, orientation: int) -> Frames:
    """Turn a stored picture upright; `orientation` is the EXIF number 1..8 (CIPA DC-008, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        frame_YXC = frame_YXC.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        frame_YXC = frame_YXC[:, ::-1]
    if orientation in (3, 4, 7, 8):
        frame_YXC = frame_YXC[::-1]
    return np.ascontiguousarray(frame_YXC)


def encode_image(frame_YXC: Frames, kind: ImageFormat = "png", *, quality: int = 90) -> bytes:
    """Encode (Y, X, 3) uint8; `quality` 1..100 counts for JPEG and WebP."""
    if frame_YXC.ndim != 3 or frame_YXC.shape[2] != 3 or frame_YXC.dtype != np.uint8:
        raise InvalidRequest(f"a picture must be (Y, X, 3) uint8, got {frame_YXC.shape} {frame_YXC.dtype}")
    codec, pixel_format = {"png": ("png", "rgb24"), "jpeg": ("mjpeg", "yuvj444p"), "webp": ("libwebp", "bgra")}[kind]
    context: Any = av.CodecContext.create(codec, "w")
    context.height, context.width = frame_YXC.shape[:2]
    context.thread_count = 1
    context.pix_fmt, context.time_base = pixel_format, Fraction(1, 25)
    if kind == "jpeg":
        step = max(1, round(31 - 0.3 * quality))  # libavcodec's quantiser: 1 best, 31 worst
        context.qmin = context.qmax = step
        context.color_range = 2
    elif kind == "webp":
        context.options = {"quality": str(quality)}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_YXC), format="rgb24")
    if pixel_format != "rgb24":
        full: dict[str, Any] = {"src_color_range": "JPEG", "dst_color_range": "JPEG"} if kind == "jpeg" else {}
        frame = frame.reformat(format=pixel_format, threads=1, **full)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def write_image(path: str | Path, frame_YXC: Frames, *, quality: int = 90) -> Path:
    """Write a PNG, JPEG or WebP (by suffix) atomically."""
    path = Path(path)
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise InvalidRequest(f"{path.name}: pictures are written as .png, .jpg or .webp")
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            file.write(encode_image(frame_YXC, kind, quality=quality))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def crop_to_aspect(frames: Frames, height: int, width: int) -> Frames:
    """Largest centred crop with the aspect height:width; (Y, X, C) or (T, Y, X, C), no resampling."""
    rows, cols = frames.shape[-3:-1]
    if rows * width > cols * height:
        kept_rows, kept_cols = max(1, round(cols * height / width)), cols
    else:
        kept_rows, kept_cols = rows, max(1, round(rows * width / height))
    top, left = (rows - kept_rows) // 2, (cols - kept_cols) // 2
    return frames[..., top : top + kept_rows, left : left + kept_cols, :]


def resize(frames: Frames, height: int, width: int, *, kernel: Kernel = "auto") -> Frames:
    """Separable resampling in float32 of (Y, X, C) or (T, Y, X, C), pixel centres at half integers.

    `lanczos` has three lobes and widens when it shrinks; `area` is the exact box mean; `auto` takes area when both
    sides shrink by two or more, else lanczos.
    """
    rows, cols = frames.shape[-3:-1]
    if kernel == "auto":
        kernel = "area" if rows >= 2 * height and cols >= 2 * width else "lanczos"
    if (rows, cols) == (height, width):
        return frames.copy()
    down = _weights(rows, height, kernel)
    across = _weights(cols, width, kernel)

    def one(frame_YXC: Frames) -> Frames:
        plane = np.tensordot(down, frame_YXC.astype(np.float32), axes=(1, 0))
        plane = np.einsum("yxc,wx->ywc", plane, across, optimize=True)
        resized: Frames = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
        return resized

    return one(frames) if frames.ndim == 3 else np.stack([one(frame) for frame in frames])


def _weights(old: int, new: int, kernel: Kernel) -> NDArray[np.float32]:
    """Row-normalised (new, old) resampling matrix."""
    scale = old / new
    if kernel == "area":
        edge = np.arange(new)[:, None] * scale
        source = np.arange(old)[None, :]
        weight = np.clip(np.minimum(edge + scale, source + 1) - np.maximum(edge, source), 0, None)
    else:
        width = max(scale, 1.0)
        distance = (np.arange(old)[None, :] + 0.5 - (np.arange(new)[:, None] + 0.5) * scale) / width
        weight = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    normalised: NDArray[np.float32] = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def condition_image(frame_YXC: Frames, height: int, width: int) -> Frames:
    """Picture conditioning: centre crop to the target aspect, then resize to (height, width, 3)."""
    if min(frame_YXC.shape[:2]) < 16:
        rows, cols = frame_YXC.shape[:2]
        raise MediaInvalid(f"a {cols}x{rows} picture shows nothing to animate; send one of at least 300x300")
    return resize(crop_to_aspect(frame_YXC, height, width), height, width)


def thumbnail(frame_YXC: Frames, *, long_side: int = 512) -> Frames:
    """The picture at most `long_side` pixels long, never enlarged."""
    rows, cols = frame_YXC.shape[:2]
    scale = min(1.0, long_side / max(rows, cols))
    return resize(frame_YXC, max(1, round(rows * scale)), max(1, round(cols * scale)))
