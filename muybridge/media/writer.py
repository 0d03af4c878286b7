"""Clips to MP4: H.264 and AAC, BT.709, one exact clock for sound and picture, streamed and atomic.

Shapes: T frames, Y rows, X columns, C channels (3 RGB for pictures, 1 or 2 for sound), S samples.

Why the lengths are exact. Every H.264 sample lasts 1/fps. AAC codes blocks of 1024 samples after a priming block, so
the coded sound is always longer than the waveform; the MP4 edit list hides the priming and the shortened last sample
duration hides the padding. The movie clock runs at the sample rate, so the edit's length is a whole number of samples.
"""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from muybridge.errors import InvalidRequest
from muybridge.media.pictures import write_image

Frames = NDArray[np.uint8]
Waveform = NDArray[np.float32]

AAC_BLOCK = 1024  # samples
BT709 = 1  # ITU-T H.273: primaries 1, transfer 1, matrix 1
LIMITED_RANGE = 1  # libavutil's number for 16..235
# Players and the MP4 muxer store these under standard atoms; any other key needs the `mdta` form, for all keys at once.
STANDARD_TAGS = frozenset({"title", "artist", "comment", "copyright", "date", "description", "genre", "encoder"})


@dataclass(frozen=True)
class ClipFile:
    """What was written; lengths are the presented ones (after the edit list)."""

    path: Path | None
    poster: Path | None
    width: int
    height: int
    num_frames: int
    fps: Fraction
    num_samples: int
    sample_rate: int | None
    channels: int

    @property
    def duration_s(self) -> float:
        """Presented length of picture and sound, seconds."""
        return float(self.num_frames / self.fps)


def samples_at(num_frames: int, fps: Fraction | int, sample_rate: int) -> int:
    """Samples from the start of the programme to frame `num_frames`: floor(n x rate / fps), never accumulated."""
    return math.floor(Fraction(num_frames * sample_rate) / Fraction(fps))


def fit_waveform(waveform_CS: Waveform, num_samples: int) -> Waveform:
    """Trim or pad with silence at the end to exactly `num_samples`."""
    kept = waveform_CS[:, :num_samples]
    return np.pad(kept, ((0, 0), (0, num_samples - kept.shape[1])))


class ClipWriter:
    """One growing MP4: `add` pictures and sound as they are made, then `close` (or leave the `with` block).

    A plain file appears under its name only when it is complete. `fragmented=True` writes in place (a path or any
    object with `write`) in one-second fragments, so that a long programme plays while it is made; what was written
    before a failure stays playable. Memory is flat in the length either way.

    Raises InvalidRequest for odd sizes (4:2:0 has no half pixels; nothing is padded or cropped behind your back),
    wrong shapes, non-finite sound, and, on close, sound and picture of different length.
    """

    def __init__(
        self,
        target: str | Path | BinaryIO,
        *,
        fps: Fraction | int = 25,
        sample_rate: int | None = None,
        fragmented: bool = False,
        metadata: Mapping[str, str] | None = None,
        crf: float = 18.0,
        preset: str = "veryfast",
        threads: int = 0,
    ) -> None:
        self.fps = Fraction(fps)
        self.sample_rate = sample_rate
        self.fragmented = fragmented
        self.num_frames = 0
        self.num_samples = 0
        self.size: tuple[int, int] | None = None  # height, width
        self.channels = 0
        # Without macroblock trees the same pictures give the same bytes: x264's AVX code for them depends on what the
        # heap held before (seen with 64x64 and 448x256; asm=0 mends it too, but is slow).
        self._x264 = {"crf": str(crf), "preset": preset, "x264-params": "mbtree=0"}
        self._threads = threads
        self._pending: Waveform | None = None  # less than one AAC block
        self._target = Path(target) if isinstance(target, str | Path) else None
        self._part: Path | None = None
        if self._target is not None and not fragmented:
            self._part = self._target.with_name(f".{self._target.name}.{uuid.uuid4().hex[:8]}.part")
        if self._target is None and not fragmented and not getattr(target, "seekable", lambda: False)():
            raise InvalidRequest("this output cannot seek back to its index; pass fragmented=True")
        self._container = av.open(self._part or target, "w", format="mp4", options=self._mux_options(metadata or {}))
        self._container.metadata.update(metadata or {})
        self._video: Any = None  # opened with the first frames, when their size is known
        self._audio: Any = None
        self._closed = False

    def _mux_options(self, metadata: Mapping[str, str]) -> dict[str, str]:
        flags = "+frag_keyframe+delay_moov+default_base_moof" if self.fragmented else "+faststart"
        if not STANDARD_TAGS.issuperset(metadata):
            flags += "+use_metadata_tags"
        # The edit list counts in movie ticks: one tick divides both a frame and a sample, so no length is rounded.
        ticks = math.lcm(self.sample_rate or 1, self.fps.numerator)
        return {
            "movflags": flags + "+write_colr",
            "movie_timescale": str(ticks if ticks < 2**31 else self.fps.numerator),
            "fflags": "+bitexact",  # no version strings: the same clip is the same bytes
            "flush_packets": "1" if self.fragmented else "0",
        }

    def add(self, frames_TYXC: Frames, waveform_CS: Waveform | None = None) -> None:
        """Append pictures (T, Y, X, 3) uint8 and sound (C, S) float32 in [-1, 1] (louder is clipped)."""
        if frames_TYXC.ndim != 4 or frames_TYXC.shape[3] != 3 or frames_TYXC.dtype != np.uint8:
            raise InvalidRequest(
                f"frames must be (T, Y, X, 3) uint8, got shape {frames_TYXC.shape}, dtype {frames_TYXC.dtype}"
            )
        if self._video is None:
            self._open_streams(frames_TYXC, waveform_CS)
        if frames_TYXC.shape[1:3] != self.size:
            raise InvalidRequest(f"frames changed size from {self.size} to {frames_TYXC.shape[1:3]} (height, width)")
        for frame_YXC in frames_TYXC:
            self._encode_frame(frame_YXC)
        if waveform_CS is not None and waveform_CS.size:
            self._encode_sound(waveform_CS)

    def _open_streams(self, frames_TYXC: Frames, waveform_CS: Waveform | None) -> None:
        height, width = frames_TYXC.shape[1:3]
        if height % 2 or width % 2 or min(height, width) < 16:
            even = f"{max(16, width // 2 * 2)}x{max(16, height // 2 * 2)}"
            raise InvalidRequest(
                f"a {width}x{height} clip cannot be written: H.264 4:2:0 needs even sizes from 16 up; resize to {even}"
            )
        self.size = (height, width)
        video: Any = self._container.add_stream("libx264", rate=self.fps)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        context = video.codec_context
        context.time_base = 1 / self.fps
        context.sample_aspect_ratio = Fraction(1)
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED_RANGE
        context.thread_count = self._threads
        seconds = max(1, round(self.fps))
        context.gop_size = seconds if self.fragmented else 2 * seconds
        if self.fragmented:
            context.max_b_frames = 0  # a fragment must not wait for pictures of the next one
            self._x264 |= {"sc_threshold": "0"}
        video.options = self._x264
        self._video = video
        if self.sample_rate is None:
            return
        if waveform_CS is None:
            raise InvalidRequest("sample_rate was given but no waveform; pass the sound from the first chunk on")
        self.channels = waveform_CS.shape[0]
        if waveform_CS.ndim != 2 or self.channels not in (1, 2):
            raise InvalidRequest(f"waveform must be (1 or 2, S), got {waveform_CS.shape}; downmix to stereo first")
        audio: Any = self._container.add_stream("aac", rate=self.sample_rate)
        audio.codec_context.layout = self._layout
        audio.codec_context.format = "fltp"
        audio.codec_context.time_base = Fraction(1, self.sample_rate)
        # 4 bit a sample up to 128 kbit/s a channel: transparent for speech, and under AAC's limit of 6 bit a sample.
        audio.codec_context.bit_rate = self.channels * min(128_000, 4 * self.sample_rate)
        self._audio = audio
        self._pending = np.zeros((self.channels, 0), np.float32)

    @property
    def _layout(self) -> str:
        return "mono" if self.channels == 1 else "stereo"

    def _encode_frame(self, frame_YXC: Frames) -> None:
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_YXC), format="rgb24")
        frame = rgb.reformat(
            format="yuv420p",
            dst_colorspace=BT709,
            src_color_range="JPEG",
            dst_color_range="MPEG",
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
            threads=1,
        )
        frame.colorspace = frame.color_trc = frame.color_primaries = BT709
        frame.color_range = LIMITED_RANGE
        frame.time_base = 1 / self.fps
        frame.pts, frame.duration = self.num_frames, 1
        self.num_frames += 1
        self._container.mux(self._video.encode(frame))

    def _encode_sound(self, waveform_CS: Waveform) -> None:
        if self._audio is None or self._pending is None:
            raise InvalidRequest("sound was added but the writer was opened without sample_rate")
        if waveform_CS.ndim != 2 or waveform_CS.shape[0] != self.channels:
            raise InvalidRequest(f"waveform must stay ({self.channels}, S), got {waveform_CS.shape}")
        if not np.isfinite(waveform_CS).all():
            raise InvalidRequest("the waveform holds NaN or infinity; the audio decoder failed")
        sound = np.concatenate([self._pending, waveform_CS.astype(np.float32, copy=False)], axis=1)
        whole = sound.shape[1] // AAC_BLOCK * AAC_BLOCK
        for start in range(0, whole, AAC_BLOCK):
            self._encode_block(sound[:, start : start + AAC_BLOCK])
        self._pending = sound[:, whole:].copy()

    def _encode_block(self, block_CS: Waveform) -> None:
        assert self.sample_rate is not None
        block = np.ascontiguousarray(np.clip(block_CS, -1.0, 1.0))
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=self._layout)
        frame.sample_rate = self.sample_rate
        frame.time_base = Fraction(1, self.sample_rate)
        frame.pts = self.num_samples
        self.num_samples += block.shape[1]
        self._container.mux(self._audio.encode(frame))

    def close(self) -> ClipFile:
        """Finish the file and move it to its name; the sound must last exactly as long as the pictures."""
        if self._closed:
            raise InvalidRequest("this clip is closed already")
        try:
            if self.size is None:
                raise InvalidRequest("a clip needs at least one frame")
            if self._pending is not None and self._pending.shape[1]:
                self._encode_block(self._pending)
            if self.sample_rate is not None:
                due = samples_at(self.num_frames, self.fps, self.sample_rate)
                if self.num_samples != due:
                    raise InvalidRequest(
                        f"{self.num_frames} frames at {self.fps} fps need {due} samples at {self.sample_rate} Hz, "
                        f"got {self.num_samples}; trim or pad with fit_waveform()"
                    )
            self._container.mux(self._video.encode(None))
            if self._audio is not None:
                self._container.mux(self._audio.encode(None))
            self._closed = True
            self._container.close()
            if self._part is not None and self._target is not None:
                _publish(self._part, self._target)
        except BaseException:
            self.abort()
            raise
        height, width = self.size
        return ClipFile(
            self._target,
            None,
            width,
            height,
            self.num_frames,
            self.fps,
            self.num_samples,
            self.sample_rate,
            self.channels,
        )

    def abort(self) -> None:
        """Give up: close the encoder and remove the unfinished file (fragments already written stay)."""
        if not self._closed:
            self._closed = True
            self._container.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
        elif not self._closed:
            self.close()


def write_clip(
    path: str | Path,
    frames_TYXC: Frames | Iterable[Frames],
    waveform_CS: Waveform | None,
    *,
    fps: Fraction | int = 25,
    sample_rate: int | None = None,
    poster: bool = True,
    metadata: Mapping[str, str] | None = None,
    crf: float = 18.0,
) -> ClipFile:
    """Write a finished clip atomically; frames may be one array or an iterator of chunks (then memory stays flat).

    frames (T, Y, X, 3) uint8 RGB; waveform (1 or 2, S) float32 with S = floor(T x sample_rate / fps) exactly, or None
    for a silent clip. The poster is the first frame, `<stem>.poster.png` beside the clip. Raises InvalidRequest.
    """
    path = Path(path)
    if waveform_CS is not None and sample_rate is None:
        raise InvalidRequest("a waveform needs its sample_rate")
    rate = sample_rate if waveform_CS is not None else None
    first: Frames | None = None
    with ClipWriter(path, fps=fps, sample_rate=rate, metadata=metadata, crf=crf) as writer:
        done = 0
        for chunk_TYXC in _chunks(frames_TYXC):
            if first is None and len(chunk_TYXC):
                first = chunk_TYXC[0].copy()
            if waveform_CS is None or rate is None:
                writer.add(chunk_TYXC)
                continue
            # Sound keeps pace with the pictures, so the muxer never queues more than one chunk.
            end = samples_at(writer.num_frames + len(chunk_TYXC), fps, rate)
            writer.add(chunk_TYXC, waveform_CS[:, done:end])
            done = end
        if waveform_CS is not None and waveform_CS.shape[1] > done:
            writer.add(np.zeros((0, *(writer.size or (0, 0)), 3), np.uint8), waveform_CS[:, done:])
        written = writer.close()
    poster_path = None
    if poster and first is not None:
        poster_path = write_image(path.with_name(path.stem + ".poster.png"), first)
    return ClipFile(**{**vars(written), "poster": poster_path})


def _chunks(frames: Frames | Iterable[Frames], size: int = 16) -> Iterator[Frames]:
    if isinstance(frames, np.ndarray):
        yield from (frames[start : start + size] for start in range(0, len(frames), size))
    else:
        yield from frames


def _publish(part: Path, target: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
