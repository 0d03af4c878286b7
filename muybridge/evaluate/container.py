"""Drift that the container adds: when sound and picture of a delivered MP4 begin, end and tick, exact to the sample.

Read from the file as a player does (ISO/IEC 14496-12): packet times after the edit list, and the list itself, which
hides the priming block and the padding of AAC. All times are fractions; nothing is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from muybridge import media
from muybridge.errors import MediaInvalid
from muybridge.shapes import FPS


@dataclass(frozen=True)
class Edit:
    """One entry of an edit list, in seconds: how long, and from where in the media (None: nothing is shown)."""

    duration_s: Fraction
    media_s: Fraction | None


@dataclass(frozen=True)
class TrackTimes:
    """One track as it is presented; `end_s` is after the edit list."""

    kind: str  # video | audio
    start_s: Fraction
    end_s: Fraction
    num_packets: int
    packet_s: tuple[Fraction, Fraction]  # shortest and longest distance between presented packets
    is_ordered: bool  # decoding times grow, presentation times are all different
    priming_s: Fraction  # of the media before time 0, hidden by the edit list
    edits: tuple[Edit, ...]

    @property
    def seconds(self) -> Fraction:
        """Presented length."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class ContainerTimes:
    """Both tracks, and what is wrong between them in words; no faults means no drift from the container."""

    video: TrackTimes
    audio: TrackTimes | None
    faults: tuple[str, ...]

    @property
    def difference_s(self) -> Fraction:
        """Sound's presented length less the picture's; 0 without sound."""
        return Fraction(0) if self.audio is None else self.audio.seconds - self.video.seconds


def container_times(path: str | Path, fps: int = FPS) -> ContainerTimes:
    """Measure a delivered MP4. Raises MediaInvalid for a file that is none or has no picture."""
    edits = _edit_lists(Path(path))
    with media.open_media(path) as file:
        found = {}
        for stream in (*file.streams.video[:1], *file.streams.audio[:1]):
            base = stream.time_base or Fraction(1)
            rows = [
                (p.pts * base, p.dts * base, (p.duration or 0) * base)
                for p in file.demux(stream)
                if p.size and p.pts is not None and p.dts is not None
            ]
            file.seek(0)
            if rows:
                found[stream.type] = _track(stream.type, rows, edits.get(stream.type, ()))
    if "video" not in found:
        raise MediaInvalid(f"{Path(path).name} has no frames; export it again")
    video, audio = found["video"], found.get("audio")
    return ContainerTimes(video, audio, tuple(_faults(video, audio, fps)))


def _track(kind: str, rows: list[tuple[Fraction, Fraction, Fraction]], edits: tuple[Edit, ...]) -> TrackTimes:
    shown = sorted(pts for pts, _, _ in rows)
    first, end = shown[0], max(pts + duration for pts, _, duration in rows)
    edited = sum((e.duration_s for e in edits), Fraction(0))
    if edits and all(e.duration_s for e in edits):  # a zero (fragments) means: to the end
        end = min(end, edited)
    steps = [b - a for a, b in pairwise(shown)] or [rows[0][2]]
    ordered = all(a[1] < b[1] for a, b in pairwise(rows)) and min(steps) > 0
    hides = any(e.media_s for e in edits)
    start = max(first, Fraction(0)) if hides or first >= 0 else first
    return TrackTimes(kind, start, end, len(rows), (min(steps), max(steps)), ordered, max(-first, Fraction(0)), edits)


def _faults(video: TrackTimes, audio: TrackTimes | None, fps: int) -> Iterator[str]:
    frame = Fraction(1, fps)
    shortest, longest = video.packet_s
    if shortest != longest:
        yield f"frames last {float(shortest) * 1000:.2f} to {float(longest) * 1000:.2f} ms: the rate is not constant"
    elif shortest != frame:
        drift = (shortest / frame - 1) * 1000
        yield f"a frame lasts {float(shortest) * 1000:.3f} ms, not {1000 / fps:g}: {float(drift):+.2f} ms a second"
    for track in (video, audio):
        if track is not None and not track.is_ordered:
            yield f"the times of the {track.kind} packets do not grow"
    if audio is None:
        return
    if abs(audio.start_s - video.start_s) >= frame / 2:
        yield f"sound begins {float(audio.start_s - video.start_s) * 1000:+.1f} ms after the picture"
    if not any(e.media_s for e in audio.edits):
        yield "no edit list hides the sound's priming block: it is heard 21 to 46 ms late"
    difference = audio.seconds - video.seconds
    if abs(difference) >= frame:
        yield f"sound lasts {float(difference) * 1000:+.1f} ms longer than the picture"


def _edit_lists(path: Path) -> dict[str, tuple[Edit, ...]]:
    """The edit list of the first video and the first audio track."""
    movie = media.read_movie(path)
    moov = next(box for box in movie.boxes if box.kind == "moov")
    found: dict[str, tuple[Edit, ...]] = {}
    with path.open("rb") as file:

        def body(box: media.Box | None) -> bytes:
            if box is None:
                return b""
            file.seek(box.body)
            return file.read(box.end - box.body)

        movie_ticks = _ticks(body(moov.find("mvhd")))
        for trak, track in zip(moov.all("trak"), movie.tracks, strict=True):
            kind = {"vide": "video", "soun": "audio"}.get(track.kind)
            if kind is None or kind in found:
                continue
            ticks = _ticks(body(trak.find("mdia", "mdhd")))
            found[kind] = tuple(_edits(body(trak.find("edts", "elst")), movie_ticks, ticks))
    return found


def _ticks(header: bytes) -> int:
    """The ticks a second of `mvhd` and `mdhd` boxes, which begin alike."""
    ticks: int = struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0]
    return ticks


def _edits(body: bytes, movie_ticks: int, ticks: int) -> Iterator[Edit]:
    if not body:
        return
    (count,) = struct.unpack_from(">I", body, 4)
    form, size = (">Qq", 20) if body[0] == 1 else (">Ii", 12)
    for k in range(count):
        duration, start = struct.unpack_from(form, body, 8 + k * size)
        yield Edit(Fraction(duration, movie_ticks), None if start < 0 else Fraction(start, ticks))
