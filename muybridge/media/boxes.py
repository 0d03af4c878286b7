"""A strict walker of ISO base media files (ISO/IEC 14496-12) in pure Python: MP4, MOV, M4A.

It reads box headers and sample tables, never media data, and refuses what our decoder should not meet: boxes that
overlap or overflow, deep or endless nesting, outside references, encryption, and tables that do not add up.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from muybridge.errors import MediaInvalid

CONTAINERS: Final = frozenset({"moov", "trak", "edts", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf", "udta"})
ENCRYPTION: Final = frozenset({"pssh", "sinf", "senc", "tenc", "encv", "enca", "encs", "enct"})
MAX_DEPTH: Final = 8
MAX_BOXES: Final = 20_000
MAX_SAMPLES: Final = 1_000_000  # of one track: 15 s of 48 kHz PCM in MOV is 720,000
MAX_TABLE_BYTES: Final = 16 << 20
MAX_EDITS: Final = 32  # an edit list can play one second for a week


@dataclass(frozen=True)
class Box:
    """One box: four-character kind, first byte of the box and of its body, end (exclusive), children."""

    kind: str
    start: int
    body: int
    end: int
    children: tuple[Box, ...] = ()

    def find(self, *path: str) -> Box | None:
        """First box along a path of kinds."""
        return next(self.all(*path), None)

    def all(self, *path: str) -> Iterator[Box]:
        """Every box along a path of kinds."""
        for child in self.children:
            if child.kind == path[0]:
                if len(path) == 1:
                    yield child
                else:
                    yield from child.all(*path[1:])


@dataclass(frozen=True)
class Track:
    """One track as its tables tell it; `kind` is the handler (vide, soun, ...), durations in seconds."""

    kind: str
    codec: str
    num_samples: int
    duration_s: float
    width: int = 0
    height: int = 0
    channels: int = 0


@dataclass(frozen=True)
class Movie:
    """A checked file: top-level boxes in order and the tracks."""

    boxes: tuple[Box, ...]
    tracks: tuple[Track, ...]
    fragmented: bool = False
    brands: tuple[str, ...] = field(default=())


class _Walker:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size, self.count = file, size, 0

    def read(self, start: int, length: int) -> bytes:
        self.file.seek(start)
        data = self.file.read(length)
        if len(data) != length:
            raise MediaInvalid(f"the video ends at byte {self.size}, inside a box; it was cut off, send it again")
        return data

    def walk(self, start: int, end: int, depth: int) -> tuple[Box, ...]:
        if depth > MAX_DEPTH:
            raise MediaInvalid(f"the video nests boxes deeper than {MAX_DEPTH}; convert it to a plain MP4")
        found: list[Box] = []
        while start < end:
            # QuickTime ends some `udta` lists with four zero bytes.
            if depth and end - start == 4 and self.read(start, 4) == b"\0\0\0\0":
                break
            box = self._box(start, end, depth)
            found.append(box)
            start = box.end
        return tuple(found)

    def _box(self, start: int, end: int, depth: int) -> Box:
        self.count += 1
        if self.count > MAX_BOXES:
            raise MediaInvalid(f"the video has over {MAX_BOXES} boxes; convert it to a plain MP4")
        if end - start < 8:
            raise MediaInvalid(f"{end - start} stray bytes at {start} in the video; it is damaged or hides something")
        length, raw = struct.unpack(">I4s", self.read(start, 8))
        header = 8
        if length == 1:
            (length,), header = struct.unpack(">Q", self.read(start + 8, 8)), 16
        elif length == 0 and depth == 0:
            length = end - start
        kind = raw.decode("latin-1")
        if not all(32 <= byte < 127 or byte == 0xA9 for byte in raw):
            raise MediaInvalid(f"bytes at {start} are no box ({raw.hex()}); the video is damaged or hides something")
        if length < header or start + length > end:
            raise MediaInvalid(
                f"box {kind!r} at {start} claims {length} bytes, {end - start} are left; the video is cut off"
            )
        if kind in ENCRYPTION:
            raise MediaInvalid(f"the video is encrypted (box {kind!r}); send it without copy protection")
        children = self.walk(start + header, start + length, depth + 1) if kind in CONTAINERS else ()
        return Box(kind, start, start + header, start + length, children)

    def body(self, box: Box | None, what: str) -> bytes:
        if box is None:
            raise MediaInvalid(f"the video has no {what} table; convert it to a plain MP4")
        if box.end - box.body > MAX_TABLE_BYTES:
            raise MediaInvalid(f"the {what} table has {box.end - box.body} bytes; cut the video shorter")
        return self.read(box.body, box.end - box.body)

    def table(self, box: Box | None, what: str, columns: int, skip: int = 4, width: int = 4) -> NDArray[np.int64]:
        """Rows of a full box with a count at `skip`: (count, columns) of big-endian integers."""
        body = self.body(box, what)
        (count,) = struct.unpack_from(">I", body, skip)
        if count > MAX_SAMPLES or skip + 4 + count * columns * width > len(body):
            raise MediaInvalid(f"the {what} table claims {count} entries, more than it holds; the video is damaged")
        rows = np.frombuffer(body, f">u{width}", count * columns, skip + 4)
        if rows.size and int(rows.max()) >= 2**62:
            raise MediaInvalid(f"the {what} table overflows; the video is damaged")
        return rows.astype(np.int64).reshape(count, columns)


def read_movie(path: str | Path) -> Movie:
    """Walk and check a whole file; raises MediaInvalid. Memory is bounded by MAX_TABLE_BYTES."""
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        walker = _Walker(file, size)
        boxes = walker.walk(0, size, 0)
        try:
            return _check(walker, boxes, size)
        except (struct.error, IndexError) as error:
            raise MediaInvalid("a box of the video is shorter than its content; the video is damaged") from error


def _check(walker: _Walker, boxes: tuple[Box, ...], size: int) -> Movie:
    movies = [box for box in boxes if box.kind == "moov"]
    if len(movies) != 1:
        raise MediaInvalid(f"the video has {len(movies)} indexes (moov), one is needed; it was probably cut off")
    fragmented = movies[0].find("mvex") is not None
    media = sum(box.end - box.body for box in boxes if box.kind in ("mdat", "idat"))
    tracks = tuple(_track(walker, trak, size, media, fragmented) for trak in movies[0].all("trak"))
    if not tracks:
        raise MediaInvalid("the video has no tracks; export it again")
    brand = next((walker.body(box, "brand") for box in boxes if box.kind == "ftyp"), b"")
    brands = tuple(brand[k : k + 4].decode("latin-1") for k in (0, *range(8, min(len(brand), 264) - 3, 4)))
    return Movie(boxes, tracks, fragmented, brands)


def _track(walker: _Walker, trak: Box, size: int, media: int, fragmented: bool) -> Track:
    clock = walker.body(trak.find("mdia", "mdhd"), "media header")
    (ticks,) = struct.unpack_from(">I", clock, 20 if clock[0] == 1 else 12)
    if not 0 < ticks < 2**31:
        raise MediaInvalid(f"a track of the video counts {ticks} ticks a second; export it again")
    kind = walker.body(trak.find("mdia", "hdlr"), "handler")[8:12].decode("latin-1")
    for reference in trak.all("mdia", "minf", "dinf", "dref"):
        _check_references(walker.body(reference, "data reference"))
    tables = trak.find("mdia", "minf", "stbl")
    if tables is None:
        raise MediaInvalid("a track of the video has no sample tables; export it again")
    codec, width, height, channels = _description(walker.body(tables.find("stsd"), "sample description"), kind)
    timing = walker.table(tables.find("stts"), "time-to-sample", 2)
    num_samples = int(timing[:, 0].sum())
    if num_samples > MAX_SAMPLES:
        raise MediaInvalid(f"a track of the video has {num_samples} samples, at most {MAX_SAMPLES}; cut it shorter")
    duration_s = float(Fraction(int((timing[:, 0] * timing[:, 1]).sum()), ticks))
    sizes, num_sizes = _sample_sizes(walker, tables)
    if num_sizes != num_samples:
        raise MediaInvalid(f"a track of the video times {num_samples} samples but sizes {num_sizes}; export it again")
    if sizes > media:
        raise MediaInvalid(f"a track of the video claims {sizes} bytes, the file holds {media}; it was cut off")
    _check_chunks(walker, tables, num_samples, size)
    edits = trak.find("edts", "elst")
    if edits is not None and struct.unpack_from(">I", walker.body(edits, "edit list"), 4)[0] > MAX_EDITS:
        raise MediaInvalid(f"a track of the video has over {MAX_EDITS} edits; export it again as a plain MP4")
    if num_samples == 0 and not fragmented and kind in ("vide", "soun"):
        raise MediaInvalid(f"the {'video' if kind == 'vide' else 'sound'} track holds nothing; export it again")
    return Track(kind, codec, num_samples, duration_s, width, height, channels)


def _check_references(body: bytes) -> None:
    (count,) = struct.unpack_from(">I", body, 4)
    pos = 8
    for _ in range(min(count, 64)):
        length, kind, flags = struct.unpack_from(">I4sI", body, pos)
        if not flags & 1 or kind not in (b"url ", b"alis", b"rsrc") or length < 12:
            raise MediaInvalid("the video refers to another file or address; export it as one self-contained MP4")
        pos += length
    if count > 64 or pos != len(body):
        raise MediaInvalid("the data references of the video do not add up; export it again")


def _description(body: bytes, kind: str) -> tuple[str, int, int, int]:
    """Codec, width, height, channels of the first entry; every entry is checked for encryption and size."""
    (count,) = struct.unpack_from(">I", body, 4)
    if not 1 <= count <= 16:
        raise MediaInvalid(f"a track of the video has {count} sample descriptions, not 1 to 16; export it again")
    pos, first = 8, ("", 0, 0, 0)
    for k in range(count):
        length, raw = struct.unpack_from(">I4s", body, pos)
        codec = raw.decode("latin-1")
        if codec in ENCRYPTION or codec in ("drmi", "drms", "resv"):
            raise MediaInvalid(f"the video is encrypted (sample entry {codec!r}); send it without copy protection")
        if length < 16 or pos + length > len(body):
            raise MediaInvalid("a sample description of the video overruns its box; the video is damaged")
        if any(word in body[pos : pos + length] for word in (b"sinfschi", b"schm", b"sinf")):
            raise MediaInvalid("the video is encrypted (protection scheme); send it without copy protection")
        width, height = struct.unpack_from(">HH", body, pos + 32) if kind == "vide" else (0, 0)
        (channels,) = struct.unpack_from(">H", body, pos + 24) if kind == "soun" else (0,)
        entry = (codec, width, height, channels)
        first = entry if k == 0 else (first[0], max(first[1], width), max(first[2], height), max(first[3], channels))
        pos += length
    return first


def _sample_sizes(walker: _Walker, tables: Box) -> tuple[int, int]:
    """Sum of sample bytes and number of samples."""
    box = tables.find("stsz")
    if box is None:
        body = walker.body(tables.find("stz2"), "sample size")
        field_bits, count = struct.unpack_from(">3xBI", body, 4)
        if field_bits not in (4, 8, 16) or count * field_bits > 8 * (len(body) - 12):
            raise MediaInvalid("the compact sample sizes of the video overrun their box; export it again")
        return 0, count
    body = walker.body(box, "sample size")
    constant, count = struct.unpack_from(">II", body, 4)
    if count > MAX_SAMPLES:
        raise MediaInvalid(f"a track of the video has {count} samples, at most {MAX_SAMPLES}; cut it shorter")
    if constant:
        return constant * count, count
    return int(walker.table(box, "sample size", 1, skip=8).sum()), count


def _check_chunks(walker: _Walker, tables: Box, num_samples: int, size: int) -> None:
    wide = tables.find("co64")
    offsets = walker.table(wide or tables.find("stco"), "chunk offset", 1, width=8 if wide else 4)[:, 0]
    if offsets.size and int(offsets.max()) >= size:
        raise MediaInvalid(
            f"a chunk of the video lies at byte {int(offsets.max())} of {size}; it was cut off, send it again"
        )
    runs = walker.table(tables.find("stsc"), "sample-to-chunk", 3)
    if not runs.size and not num_samples:
        return
    first = np.append(runs[:, 0], offsets.size + 1)
    if not runs.size or first[0] != 1 or (np.diff(first) < 1).any():
        raise MediaInvalid("the chunks of the video are out of order; export it again")
    if int((np.diff(first) * runs[:, 1]).sum()) != num_samples:
        raise MediaInvalid("the chunks of the video do not add up to its samples; export it again")
    offsets_box = tables.find("ctts")
    if offsets_box is not None and int(walker.table(offsets_box, "composition", 2)[:, 0].sum()) != num_samples:
        raise MediaInvalid("the composition times of the video do not add up to its samples; export it again")
