"""Any video or sound file to arrays on one clock: constant-rate frames and a waveform that start together.

Shapes: T frames, Y rows, X columns, C channels, S samples. Time 0 is the presentation time of the first video frame;
sound before it is cut, sound after it is padded. Only local files, only the demuxer that the magic number names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from muybridge.errors import MediaInvalid
from muybridge.media.display import display_size, pixel_aspect, rotation, shaper
from muybridge.media.headers import MAX_PIXELS, sniff
from muybridge.media.pictures import Frames, reason
from muybridge.media.sound import Placer, Waveform, mix_down, resample
from muybridge.media.writer import fit_waveform, samples_at

DEMUXERS = {"mp4": "mov", "wav": "wav", "mp3": "mp3", "flac": "flac", "ogg": "ogg"}
_WEBM = b"\x1a\x45\xdf\xa3"  # read for our own use; ingest refuses it


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds; sizes are as displayed (upright, square pixels), durations as presented."""

    format: str
    duration_s: float
    video_codec: str | None = None
    width: int = 0
    height: int = 0
    fps: float = 0.0
    num_frames: int = 0  # as the index tells, 0 when it does not
    rotation: int = 0  # degrees clockwise to turn the stored picture upright
    sample_aspect_ratio: Fraction = Fraction(1)
    color: tuple[int, int, int, int] = (2, 2, 2, 0)  # primaries, transfer, matrix (H.273), range (1 limited, 2 full)
    audio_codec: str | None = None
    sample_rate: int = 0
    channels: int = 0
    num_streams: int = 0


def open_media(path: str | Path, *, max_pixels: int = MAX_PIXELS, threads: int | None = None) -> InputContainer:
    """Open a local file with a forced demuxer and a protocol whitelist; raises MediaInvalid."""
    path = Path(path)
    if not path.is_file():
        raise MediaInvalid(f"{path} is not a file; check the path")
    with path.open("rb") as file:
        head = file.read(64)
    demuxer = "matroska" if head.startswith(_WEBM) else DEMUXERS.get(sniff(head))
    if demuxer is None:
        raise MediaInvalid(f"{path.name} is a picture ({sniff(head)}), not video or sound; use it as an image")
    options = {"format_whitelist": demuxer, "protocol_whitelist": "file", "max_streams": "16"}
    if demuxer == "mov":
        options |= {"enable_drefs": "0", "use_absolute_path": "0"}
    try:
        container = av.open(f"file:{path.absolute()}", "r", format=demuxer, options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaInvalid(f"{path.name} cannot be read ({reason(error)}); export it again as MP4") from error
    for stream in (*container.streams.video, *container.streams.audio):
        stream.codec_context.options = {"max_pixels": str(max_pixels)}
        if threads is not None:
            stream.codec_context.thread_count = threads
        elif stream.type == "video":
            stream.codec_context.thread_type = "AUTO"
    return container


def _video_stream(container: InputContainer) -> VideoStream | None:
    """First video stream that is no cover picture."""
    return next((s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic), None)


def probe(path: str | Path, *, threads: int | None = None) -> MediaInfo:
    """Describe a file without decoding more than its first frame; raises MediaInvalid."""
    with open_media(path, threads=threads) as container:
        video = _video_stream(container)
        sound = next(iter(container.streams.audio), None)
        fields: dict[str, Any] = {"format": container.format.name.split(",")[0], "num_streams": len(container.streams)}
        duration_s = Fraction(container.duration or 0, av.time_base)
        if video is not None:
            frame = _first_frame(container, video, path)
            height, width = display_size(frame, pixel_aspect(video))
            context = video.codec_context
            if video.duration and video.time_base:
                duration_s = video.duration * video.time_base
            fields |= {
                "video_codec": context.name,
                "width": width,
                "height": height,
                "fps": float(video.average_rate or 0),
                "num_frames": video.frames,
                "rotation": rotation(frame),
                "sample_aspect_ratio": pixel_aspect(video),
                "color": (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range),
            }
        if sound is not None:
            if video is None and sound.duration and sound.time_base:
                duration_s = sound.duration * sound.time_base
            codec = sound.codec_context
            fields |= {"audio_codec": codec.name, "sample_rate": codec.sample_rate, "channels": codec.channels}
        return MediaInfo(duration_s=float(duration_s), **fields)


def _first_frame(container: InputContainer, video: VideoStream, path: str | Path) -> av.VideoFrame:
    try:
        frame = next(container.decode(video), None)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaInvalid(
            f"the video of {Path(path).name} cannot be decoded ({reason(error)}); export it as H.264"
        ) from error
    if frame is None:
        raise MediaInvalid(f"the video track of {Path(path).name} has no frames; export it again")
    return frame


def grid_count(duration_s: Fraction, fps: Fraction) -> int:
    """Slots of the frame grid that a duration fills, at least one."""
    return max(1, round(duration_s * fps))


class ClipReader:
    """Streams one file: `frames()` yields (Y, X, 3) on the grid and, once drained, `waveform()` gives the sound.

    Slot n of the grid shows the frame that is on screen at its middle, (n + 1/2) / fps after the first frame: exact
    for any input rate, and unmoved by timestamps that a container rounded to milliseconds.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: Fraction | int = 25,
        size: tuple[int, int] | None = None,
        max_seconds: float | None = None,
        sample_rate: int | None = None,
        channels: int | None = None,
        max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
        sound: bool = True,
    ) -> None:
        self.path, self.fps, self.size = Path(path), Fraction(fps), size
        self.max_seconds, self.sample_rate, self.channels = max_seconds, sample_rate, channels
        self._container = open_media(path, max_pixels=max_pixels, threads=threads)
        video = _video_stream(self._container)
        if video is None:
            self._container.close()
            raise MediaInvalid(f"{self.path.name} has no video frames, only sound; pass it as audio, or send a video")
        self._video = video
        self._sound = next(iter(self._container.streams.audio), None) if sound else None
        self.num_frames = 0
        self.origin_s: Fraction | None = None
        self._placer: Placer | None = None
        self._sound_end_s: Fraction | None = None
        self._early: list[tuple[Waveform, Fraction | None, int]] = []  # sound demuxed before the first picture

    def frames(self) -> Iterator[Frames]:
        """Pictures on the grid; raises MediaInvalid when the file cannot be decoded or holds none."""
        limit = math.inf if self.max_seconds is None else max(1, round(Fraction(self.max_seconds) * self.fps))
        held: Any = None
        convert: Any = None
        end_s = Fraction(0)
        for frame in self._decoded():
            time_s = end_s if frame.pts is None else _time_of(frame) or Fraction(0)
            if self.origin_s is None:
                self.origin_s = time_s
                convert = shaper(frame, self._video, self.size)
                self._start_sound()
            # The held frame is on screen until this one appears.
            shown = math.ceil((time_s - self.origin_s) * self.fps - Fraction(1, 2))
            if held is not None and shown > self.num_frames:
                picture = convert(held)
                while self.num_frames < min(shown, limit):
                    self.num_frames += 1
                    yield picture
            held, end_s = frame, time_s + self._length_of(frame)
            if self.num_frames >= limit and self._sound_done():
                return
        if held is None or self.origin_s is None:
            raise MediaInvalid(f"the video track of {self.path.name} has no frames; export it again")
        total = min(grid_count(end_s - self.origin_s, self.fps), limit)
        picture = convert(held)
        while self.num_frames < total:
            self.num_frames += 1
            yield picture

    def _length_of(self, frame: av.VideoFrame) -> Fraction:
        if frame.duration:
            return frame.duration * (frame.time_base or Fraction(0))
        return 1 / Fraction(self._video.average_rate or self.fps)

    def _decoded(self) -> Iterator[Any]:
        """Video frames in order; sound packets met on the way are placed as a side effect."""
        streams = [self._video] + ([self._sound] if self._sound is not None else [])
        try:
            for packet in self._container.demux(streams):
                if packet.stream is self._video:
                    yield from packet.decode()
                elif not self._sound_done():
                    self._take_sound(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaInvalid(
                f"{self.path.name} cannot be decoded ({reason(error)}); export it as MP4 (H.264, AAC)"
            ) from error

    def _sound_done(self) -> bool:
        return self._sound is None or (self._placer is not None and self._placer.full)

    def _start_sound(self) -> None:
        self._placer = Placer(self.origin_s, self.max_seconds)
        for block in self._early:
            self._placer.place(*block)
        self._early.clear()

    def _take_sound(self, packet: av.Packet[Any]) -> None:
        assert self._sound is not None
        self._sound_end_s = packet_end(packet, self._sound_end_s)
        for decoded in self._sound.codec_context.decode(packet):
            block = mix_down(decoded, self.channels), _time_of(decoded), decoded.sample_rate
            if self._placer is None:
                self._early.append(block)
            else:
                self._placer.place(*block)

    def waveform(self) -> Waveform | None:
        """Sound of exactly floor(T x rate / fps) samples, starting with frame 0; None without an audio stream."""
        if self._placer is None:
            return None
        sound = self._placer.waveform(self._sound_end_s)
        if sound is None:
            return None
        rate = self.sample_rate or self._placer.rate
        return fit_waveform(resample(sound, self._placer.rate, rate), samples_at(self.num_frames, self.fps, rate))

    @property
    def rate(self) -> int | None:
        """Sample rate of `waveform()`."""
        return None if self._placer is None else self.sample_rate or self._placer.rate or None

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def _time_of(frame: av.VideoFrame | av.AudioFrame) -> Fraction | None:
    return None if frame.pts is None else frame.pts * (frame.time_base or Fraction(0))


def packet_end(packet: av.Packet[Any], so_far: Fraction | None) -> Fraction | None:
    """Latest presented end among packets: the only place where the length of the last, shortened block stands."""
    if packet.pts is None or not packet.duration:
        return so_far
    end = (packet.pts + packet.duration) * packet.time_base
    return end if so_far is None else max(so_far, end)


def read_clip(
    path: str | Path,
    *,
    fps: Fraction | int = 25,
    size: tuple[int, int] | None = None,
    max_seconds: float | None = None,
    sample_rate: int | None = None,
    channels: int | None = None,
) -> tuple[Frames, Waveform | None, MediaInfo]:
    """Frames (T, Y, X, 3) at `fps`, waveform (C, S) with S = floor(T x rate / fps) or None, and the file's facts.

    `size` (height, width) covers and centre-crops; rotation, edit lists and pixel aspect are applied. Everything is
    held in memory: 15 s of 1080p are 2.3 GB, so pass `size` or `max_seconds`, or use ClipReader. Raises MediaInvalid.
    """
    info = probe(path)
    reader = ClipReader(path, fps=fps, size=size, max_seconds=max_seconds, sample_rate=sample_rate, channels=channels)
    try:
        frames_TYXC = np.stack(list(reader.frames()))
        return frames_TYXC, reader.waveform(), info
    finally:
        reader.close()


def read_audio(
    path: str | Path,
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    max_seconds: float | None = None,
    origin_s: Fraction | None = None,
    threads: int | None = None,
) -> tuple[Waveform, int]:
    """The sound of a file, (1 or 2, S) float32, and its rate, from `origin_s` (else its first sample) on.

    Raises MediaInvalid.
    """
    with open_media(path, threads=threads) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            raise MediaInvalid(f"{Path(path).name} has no sound; send WAV, MP3, M4A, FLAC or Ogg")
        placer, end_s = Placer(origin_s, max_seconds), None
        try:
            for packet in container.demux(stream):
                end_s = packet_end(packet, end_s)
                for decoded in stream.codec_context.decode(packet):
                    placer.place(mix_down(decoded, channels), _time_of(decoded), decoded.sample_rate)
                if placer.full:
                    break
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaInvalid(
                f"the sound of {Path(path).name} cannot be decoded ({reason(error)}); send a WAV"
            ) from error
    sound = placer.waveform(end_s)
    if sound is None or not sound.shape[1]:
        raise MediaInvalid(f"the sound of {Path(path).name} is empty; record it again")
    rate = sample_rate or placer.rate
    sound = resample(sound, placer.rate, rate)
    return (sound if max_seconds is None else sound[:, : int(max_seconds * rate)]), rate
