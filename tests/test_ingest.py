"""Hostile files are refused with words that teach, in little memory and time; honest ones come out as our own."""

from __future__ import annotations

import io
import re
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from muybridge.errors import MediaInvalid
from muybridge.ingest import Kind, Limits, check, ingest, save_stream
from muybridge.media import encode_image, probe, read_audio, read_clip, read_image, write_clip, write_wav
from muybridge.media.sandbox import DENIED_CALLS

PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1/seg.ts\nfile:///etc/passwd\n"


# ---- Material ----


def box(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind.encode("latin-1")) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, data: bytes | None = None, extra: bytes = b"") -> bytes:
    if data is None:
        data = zlib.compress(b"\0" * (min(height, 64) * (1 + 3 * min(width, 64))))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def jpeg(**options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, "JPEG", **options)  # type: ignore[arg-type]
    return out.getvalue()


@cache
def clip(tmp: Path, *, sound: bool = True, size: int = 32) -> bytes:
    frames_TYXC = np.full((50, size, size, 3), 90, np.uint8)
    frames_TYXC[25:] = 200
    waveform = np.zeros((2, 96_000), np.float32) if sound else None
    write_clip(tmp / "clip.mp4", frames_TYXC, waveform, sample_rate=48_000, poster=False)
    return (tmp / "clip.mp4").read_bytes()


def patched(data: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """`data` with `value` written `offset` bytes after the first `mark`."""
    at = data.index(mark) + len(mark) + offset
    return data[:at] + value + data[at + len(value) :]


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


def wav(samples: bytes, *, code: int = 1, channels: int = 1, rate: int = 8_000, bits: int = 16) -> bytes:
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", code, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp(*parts: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(data)) + data for kind, data in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = box("trak", body)
    return box("ftyp", b"isom\0\0\0\0") + box("moov", body)


def lying_bomb(tmp: Path) -> bytes:
    """5120x4112 H.264 whose container says 64x64."""
    path = tmp / "bomb.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 5120, 4112, "yuv420p"
        video.options = {"preset": "ultrafast"}
        for _ in range(3):
            container.mux(video.encode(av.VideoFrame(5120, 4112, "yuv420p")))
        container.mux(video.encode(None))
    return avc1(path.read_bytes(), 24, struct.pack(">HH", 64, 64))


def avc1(data: bytes, offset: int, value: bytes) -> bytes:
    """Patch the sample entry (the second `avc1`: the first stands among the brands)."""
    at = data.index(b"avc1", data.index(b"stsd")) + 4 + offset
    return data[:at] + value + data[at + len(value) :]


def many_tracks(data: bytes) -> bytes:
    """The movie with its first track four more times."""
    start = data.index(b"moov") - 4
    (length,) = struct.unpack_from(">I", data, start)
    track = data.index(b"trak") - 4
    (track_length,) = struct.unpack_from(">I", data, track)
    copies = data[track : track + track_length] * 4
    moov = struct.pack(">I", length + len(copies)) + data[start + 4 : start + length] + copies
    return data[:start] + moov + data[start + length :]


PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "png bomb": (lambda: png(30_000, 30_000), "30000x30000"),
    "png thin bomb": (lambda: png(2_000_000, 1), "at most"),
    "png 1x1": (lambda: png(1, 1), "1x1 pixels, too small.*300x300"),
    "png 0x0": (lambda: png(0, 0), "nothing in it"),
    "png cut off": (lambda: encode_image(picture())[:-40], "cut off"),
    "png header damaged": (lambda: patched(png(64, 64), b"IHDR", 3, b"\x41"), "checksum"),
    "png with a zip behind": (lambda: png(64, 64) + b"PK\x03\x04evil", "hidden after the end"),
    "png with huge text": (lambda: png(64, 64, extra=chunk(b"zTXt", bytes(5 << 20))), "without metadata"),
    "png with endless chunks": (lambda: png(64, 64, extra=chunk(b"tEXt", b"") * 30_000), "over 20000 chunks"),
    "png without data": (lambda: png(64, 64, data=b""), "picture"),
    "png of garbage": (lambda: png(64, 64, data=b"\x00\x01\x02\x03" * 9), "cannot be decoded|no picture"),
    "jpeg cut in its header": (lambda: jpeg()[:100], "cut off|too early"),
    "jpeg cut in its scan": (lambda: jpeg()[:-300], "too early"),
    "jpeg bomb": (lambda: patched(jpeg(), b"\xff\xc0\x00\x11\x08", 0, b"\xff\xdc\xff\xdc"), "65500x65500"),
    "jpeg cmyk": (lambda: _cmyk(), "4 channels"),
    "jpeg of 500 scans": (lambda: jpeg(progressive=True)[:-2] + b"\xff\xda" * 500 + b"\xff\xd9", "scans"),
    "webp length lies": (lambda: webp((b"VP8L", b"\x2f" + bytes(20))) + b"tail", "hidden tail"),
    "webp bomb": (
        lambda: webp((b"VP8X", bytes(4) + b"\xff\x3f\0\xff\x3f\0"), (b"VP8L", b"\x2f\xff\xff\xff\x0f\0")),
        "16384x16384",
    ),
    "webp two sizes": (lambda: webp((b"VP8X", bytes(10)), (b"VP8L", b"\x2f\x3f\xc0\x0f\0\0")), "outside"),
    "webp animated": (lambda: webp((b"VP8X", b"\x02" + bytes(9))), "animated"),
    "webp empty": (lambda: webp((b"VP8X", bytes(10))), "no picture"),
    "gif bomb": (lambda: b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + _gif_block() + b";", "65535x65535"),
    "gif outside its canvas": (
        lambda: b"GIF89a" + struct.pack("<HHBBB", 20, 20, 0, 0, 0) + _gif_block(64) + b";",
        "canvas",
    ),
    "gif without picture": (lambda: b"GIF89a" + struct.pack("<HHBBB", 64, 64, 0, 0, 0) + b";", "no picture"),
    "gif that is a script": (lambda: b"GIF89a/*" + b" " * 20 + b"*/=1;alert(1)//", "broken|too early"),
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "SVG"),
    "svg behind xml": (lambda: b'\xef\xbb\xbf<?xml version="1.0"?><!DOCTYPE svg><svg/>', "SVG"),
    "html": (lambda: b"<!DOCTYPE html><script>alert(1)</script>", "HTML"),
    "pdf": (lambda: b"%PDF-1.7\n", "unknown file type"),
    "program": (lambda: b"\x7fELF\x02\x01\x01" + bytes(60), "unknown file type"),
    "playlist as picture": (lambda: PLAYLIST, "playlist"),
    "nothing": (lambda: b"", "empty"),
    "noise": (lambda: np.random.default_rng(5).bytes(5000), "unknown file type"),
    "sound as picture": (lambda: wav(bytes(16_000)), "which is no image"),
    "over the byte cap": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(21 << 20), "over 20971520 bytes"),
}


def _cmyk() -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture()).convert("CMYK").save(out, "JPEG")
    return out.getvalue()


def _gif_block(side: int = 16) -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x01\x00\x00"


VIDEOS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "playlist as mp4": (lambda _: PLAYLIST, "playlist"),
    "concat script": (lambda _: b"ffconcat version 1.0\nfile /etc/passwd\n", "playlist"),
    "picture as video": (lambda _: png(64, 64), "which is no video"),
    "matroska": (lambda _: b"\x1a\x45\xdf\xa3" + bytes(60), "convert to MP4"),
    "cut off": (lambda tmp: clip(tmp)[: len(clip(tmp)) // 2], "cut off"),
    "only the media": (lambda _: box("ftyp", b"isom\0\0\2\0") + box("mdat", bytes(500)), "0 indexes"),
    "two indexes": (lambda tmp: clip(tmp) + nested(1)[16:], "2 indexes"),
    "playlist behind": (lambda tmp: clip(tmp) + PLAYLIST, "hides something|cut off"),
    "outside reference": (lambda tmp: patched(clip(tmp), b"dref", 8 + 8, b"\0\0\0\0"), "another file or address"),
    "encrypted entry": (lambda tmp: avc1(clip(tmp), -4, b"encv"), "encrypted"),
    "protection header": (lambda tmp: clip(tmp) + box("pssh", bytes(40)), "encrypted"),
    "64-bit overflow": (lambda tmp: clip(tmp) + struct.pack(">I4sQ", 1, b"free", 2**64 - 1), "claims"),
    "box of four bytes": (lambda tmp: clip(tmp) + struct.pack(">I4s", 4, b"free"), "claims 4"),
    "child larger than parent": (lambda tmp: patched(clip(tmp), b"mdhd", -8, b"\0\xff\xff\xff"), "claims"),
    "fifty levels": (lambda _: nested(50), "deeper than 8"),
    "endless boxes": (lambda _: box("ftyp", b"isom\0\0\0\0") + box("free") * 30_000, "over 20000 boxes"),
    "two milliard samples": (lambda tmp: patched(clip(tmp), b"stsz", 8, b"\x7f\xff\xff\xff"), "samples|entries"),
    "times do not add up": (lambda tmp: patched(clip(tmp), b"stts", 8, struct.pack(">I", 49)), "times 49 samples"),
    "chunk beyond the end": (lambda tmp: patched(clip(tmp), b"stco", 8, b"\x7f\xff\xff\xff"), "lies at byte"),
    "chunks do not add up": (lambda tmp: patched(clip(tmp), b"stsc", 12, struct.pack(">I", 7)), "add up"),
    "table without end": (lambda tmp: patched(clip(tmp), b"stts", 4, b"\x0f\xff\xff\xff"), "entries"),
    "a hundred hours": (
        lambda tmp: patched(clip(tmp), b"stts", 12, struct.pack(">I", 12_800 * 7_200)),
        "cut it shorter",
    ),
    "a thousand frames a second": (
        lambda tmp: patched(clip(tmp), b"stts", 12, struct.pack(">I", 12)),
        "frames a second",
    ),
    "8192x8192": (lambda tmp: avc1(clip(tmp), 24, struct.pack(">HH", 8192, 8192)), "8192x8192"),
    "8x8": (lambda tmp: avc1(clip(tmp), 24, struct.pack(">HH", 8, 8)), "too small"),
    "pixels the container denies": (lambda tmp: lying_bomb(tmp), "cannot be|5120x4112"),
    "no frames": (lambda _: _empty_movie(), "holds nothing"),
    "no video": (lambda tmp: _sound_movie(tmp), "no video frames"),
    "eight tracks": (lambda tmp: many_tracks(clip(tmp)), "streams"),
    "strange coding": (lambda tmp: avc1(clip(tmp), -4, b"Hap1"), "not accepted"),
    "a week of edits": (lambda tmp: patched(clip(tmp), b"elst", 4, struct.pack(">I", 100_000)), "edits"),
    "no clock": (lambda tmp: patched(clip(tmp), b"mdhd", 12, bytes(4)), "ticks a second"),
    "noise for pictures": (lambda tmp: _noise_media(clip(tmp, sound=False)), "cannot be|no frames|broke"),
    "m4a without sound": (lambda tmp: clip(tmp, sound=False), "no sound"),
}


def _empty_movie() -> bytes:
    def full(kind: str, *parts: bytes) -> bytes:
        return box(kind, bytes(4), *parts)

    entry = box("avc1", bytes(24), struct.pack(">HH", 64, 64), bytes(50))
    tables = box(
        "stbl",
        full("stsd", struct.pack(">I", 1), entry),
        full("stts", bytes(4)),
        full("stsz", bytes(8)),
        full("stsc", bytes(4)),
        full("stco", bytes(4)),
    )
    media = box(
        "mdia",
        full("mdhd", bytes(8), struct.pack(">II", 12_800, 0), bytes(4)),
        full("hdlr", bytes(4), b"vide", bytes(13)),
        box("minf", tables),
    )
    return box("ftyp", b"isom\0\0\2\0") + box("moov", full("mvhd", bytes(96)), box("trak", media))


def _sound_movie(tmp: Path) -> bytes:
    with av.open(str(tmp / "sound.mp4"), "w") as container:
        track = container.add_stream("aac", rate=48_000)
        track.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return (tmp / "sound.mp4").read_bytes()


def _noise_media(data: bytes) -> bytes:
    at = data.index(b"mdat") + 4
    return data[:at] + np.random.default_rng(3).bytes(len(data) - at)


SOUNDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "nan": (lambda: wav(np.full(8_000, np.nan, "<f4").tobytes(), code=3, bits=32), "NaN"),
    "infinite": (lambda: wav(np.full(8_000, np.inf, "<f4").tobytes(), code=3, bits=32), "NaN or infinite"),
    "cut off": (lambda: wav(bytes(16_000))[:-100], "cut off"),
    "tail": (lambda: wav(bytes(16_000)) + b"PK\x03\x04" * 9, "hidden tail"),
    "no samples": (lambda: wav(b""), "no samples"),
    "sixty channels": (lambda: wav(bytes(16_000), channels=60), "60 channels"),
    "one hertz": (lambda: wav(bytes(16_000), rate=1), "1 Hz"),
    "mp3 in wav": (lambda: wav(bytes(16_000), code=0x55), "coding 85"),
    "too long": (lambda: wav(bytes(8_000 * 70), bits=8), "lasts 70.0 s"),
    "false mp3": (lambda: b"ID3\x04\0\0\0\0\0\0" + b"hello" * 500, "cannot be|empty|broke"),
    "false flac": (lambda: b"fLaC" + bytes(500), "cannot be|empty|broke"),
    "false ogg": (lambda: b"OggS" + np.random.default_rng(1).bytes(500), "cannot be|empty|broke|no sound"),
    "picture as sound": (lambda: png(64, 64), "which is no audio"),
    "playlist as sound": (lambda: PLAYLIST, "playlist"),
}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("material")


def refuse(data: bytes, kind: Kind, words: str, tmp_path: Path) -> None:
    """Refused, teaching, quickly, with little memory here and nothing left behind."""
    source, out = tmp_path / "upload.bin", tmp_path / "out"
    source.write_bytes(data)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(MediaInvalid) as refused:
        ingest(source, kind, out)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    message = str(refused.value)
    assert re.search(words, message), message
    assert 20 < len(message) < 500 and str(tmp_path) not in message
    assert grown_kib < 120 << 10 and time.monotonic() - start < 30
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize("name", PICTURES)
def test_hostile_pictures(name: str, tmp_path: Path) -> None:
    make, words = PICTURES[name]
    refuse(make(), "image", words, tmp_path)


@pytest.mark.parametrize("name", VIDEOS)
def test_hostile_videos(name: str, tmp_path: Path, material: Path) -> None:
    make, words = VIDEOS[name]
    refuse(make(material), "audio" if name.startswith("m4a") else "video", words, tmp_path)


@pytest.mark.parametrize("name", SOUNDS)
def test_hostile_sounds(name: str, tmp_path: Path) -> None:
    make, words = SOUNDS[name]
    refuse(make(), "audio", words, tmp_path)


def test_there_are_enough_of_them() -> None:
    assert len(PICTURES) + len(VIDEOS) + len(SOUNDS) >= 40


@settings(max_examples=150, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=8))
def test_walker_survives_any_damage(cuts: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    tmp = tmp_path_factory.getbasetemp()
    data = bytearray(clip(tmp))
    for at, value in cuts:
        data[at % 3000] = value  # the index lies in front: this hits boxes and tables
    (tmp / "damaged.mp4").write_bytes(data)
    try:
        check(tmp / "damaged.mp4", "video", Limits())
    except MediaInvalid as error:
        assert str(error)


@settings(max_examples=200, deadline=None)
@given(
    source=st.sampled_from(["png", "jpeg", "webp", "gif"]),
    cuts=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=6),
    keep=st.floats(0.02, 1.0),
)
def test_picture_headers_survive_any_damage(source: str, cuts: list[tuple[int, int]], keep: float) -> None:
    from muybridge.media import image_header

    data = bytearray(_honest(source))
    for at, value in cuts:
        data[at % len(data)] = value
    try:
        image_header(bytes(data[: max(8, int(len(data) * keep))]))
    except MediaInvalid as error:
        assert str(error)


@cache
def _honest(kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, kind.upper())
    return out.getvalue()


@pytest.mark.parametrize("seed", range(8))
def test_damaged_media_never_breaks_the_parent(seed: int, tmp_path: Path, material: Path) -> None:
    """Whole way: the index is honest, the coded pictures and sound are not."""
    rng = np.random.default_rng(seed)
    data = bytearray(clip(material))
    start = data.index(b"mdat") + 4
    for at in rng.integers(start, len(data), 40):
        data[at] = rng.integers(0, 256)
    (tmp_path / "a.mp4").write_bytes(data)
    try:
        media = ingest(tmp_path / "a.mp4", "video", tmp_path / "out")
        assert len(read_clip(media.path)[0]) == media.num_frames
    except MediaInvalid as error:
        assert "this is our fault" not in str(error)


def test_a_taken_over_child_cannot_hand_us_our_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encode_image(picture()))

    def taken_over(source: Path, *_: object) -> dict[str, int]:
        source.with_name("made.png").symlink_to("/etc/passwd")
        return {"width": 1}

    monkeypatch.setattr("muybridge.ingest._decode_in_child", taken_over)
    with pytest.raises(MediaInvalid, match="broke the decoder"):
        ingest(tmp_path / "a.png", "image", tmp_path / "out")


# ---- The room ----


def test_the_wall_clock_ends_a_slow_child(tmp_path: Path, material: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(clip(material))
    start = time.monotonic()
    with pytest.raises(MediaInvalid, match=r"took over 0\.05 s"):
        ingest(tmp_path / "a.mp4", "video", tmp_path / "out", Limits(wall_s=0.05))
    assert time.monotonic() - start < 5


def test_memory_and_file_size_are_limited(tmp_path: Path) -> None:
    big = np.random.default_rng(0).integers(0, 255, (2000, 3000, 3), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(encode_image(big))
    for limits in (Limits(memory_bytes=64 << 20), Limits(output_bytes=100_000)):
        with pytest.raises(MediaInvalid, match="image"):
            ingest(tmp_path / "a.png", "image", tmp_path / "out", limits)
    assert ingest(tmp_path / "a.png", "image", tmp_path / "out").width == 3000


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux")
def test_the_locked_child_can_start_and_reach_nothing() -> None:
    script = """
import os, socket, threading
import numpy, av
from muybridge.media.sandbox import lock
lock(3 << 30, 60, 1 << 20)
def tried(what):
    try: what()
    except (OSError, RuntimeError) as error: return type(error).__name__
    return "WENT THROUGH"
print(tried(socket.socket), tried(os.fork), tried(lambda: os.execv("/bin/true", ["true"])),
      tried(threading.Thread(target=print).start), "2" in open("/proc/self/status").read().split("Seccomp:")[1][:4])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["PermissionError"] * 3 + ["RuntimeError", "True"]
    assert set(DENIED_CALLS) >= {"socket", "execve", "clone", "fork"}


def test_memory_of_the_parent_is_flat_in_the_length(tmp_path: Path) -> None:
    """Ten times the frames (184 MB of pixels against 18), written from an iterator and taken in: the same peak."""
    script = """
import resource, sys
from pathlib import Path
import numpy as np
from muybridge.ingest import ingest
from muybridge.media import write_clip
num_frames, room = int(sys.argv[1]), Path(sys.argv[2])
frames = (np.full((1, 384, 640, 3), n % 256, np.uint8) for n in range(num_frames))
write_clip(room / "a.mp4", frames, np.zeros((2, num_frames * 1920), np.float32), sample_rate=48_000)
ingest(room / "a.mp4", "video", room / "out")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""
    peaks = []
    for num_frames in ("25", "250"):
        command = [sys.executable, "-c", script, num_frames, str(tmp_path)]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout))
    assert peaks[1] - peaks[0] < 80, peaks


def test_the_child_loads_no_torch() -> None:
    script = "import sys, muybridge.ingest; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_upload_is_counted_while_it_streams(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(1000)

    with pytest.raises(MediaInvalid, match="over 50000 bytes"):
        save_stream(endless(), tmp_path / "a", 50_000)
    assert taken == 51 and not (tmp_path / "a").exists()


# ---- Honest files ----


def test_video_comes_out_as_ours(tmp_path: Path, material: Path) -> None:
    (tmp_path / "holiday.mov").write_bytes(clip(material))
    media = ingest(tmp_path / "holiday.mov", "video", tmp_path / "out")
    again = ingest(tmp_path / "holiday.mov", "video", tmp_path / "out")
    assert (
        media == again and media.path.name == media.sha256 + ".mp4" and [*media.path.parent.iterdir()] == [media.path]
    )
    assert (media.width, media.height, media.num_frames, media.duration_s) == (32, 32, 50, 2.0)
    assert media.has_audio and media.sample_rate == 48_000 and media.sha256 != media.source_sha256
    frames_TYXC, sound, _ = read_clip(media.path)
    assert sound is not None and sound.shape == (2, 96_000)
    assert abs(frames_TYXC[24].mean() - 90) < 3 and abs(frames_TYXC[25].mean() - 200) < 3


def test_relative_folders(tmp_path: Path, material: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`muybridge serve` keeps its media in `muybridge-data`, beside where it was started."""
    (tmp_path / "in.mp4").write_bytes(clip(material))
    monkeypatch.chdir(tmp_path)
    media = ingest(Path("in.mp4"), "video", Path("out"))
    assert media.path.is_absolute() and media.path.parent == tmp_path / "out" and media.path.is_file()


def test_large_video_is_shrunk_and_silent_video_stays_silent(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", np.full((5, 64, 128, 3), 90, np.uint8), None, poster=False)
    media = ingest(tmp_path / "a.mp4", "video", tmp_path / "out", Limits(video_side=64))
    assert (media.width, media.height) == (64, 32) and not media.has_audio
    assert probe(media.path).audio_codec is None
    short = ingest(tmp_path / "a.mp4", "video", tmp_path / "out", Limits(kept_s=0.08))
    assert short.num_frames == 2 and len(read_clip(short.path)[0]) == 2


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
def test_pictures_come_out_as_png(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(_honest(kind))
    media = ingest(tmp_path / "a.bin", "image", tmp_path / "out")
    assert media.path.suffix == ".png" and (media.width, media.height) == (64, 48)
    assert np.array_equal(read_image(media.path), read_image(tmp_path / "a.bin"))


def test_what_phones_append_to_a_jpeg_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg() + jpeg() + b"<script>alert(1)</script>")
    media = ingest(tmp_path / "a.jpg", "image", tmp_path / "out")
    assert b"script" not in media.path.read_bytes() and media.width == 64


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg", "m4a"])
def test_sound_comes_out_as_wav(suffix: str, tmp_path: Path) -> None:
    tone = 0.4 * np.sin(2 * np.pi * 330 * np.arange(48_000) / 48_000)[None].astype(np.float32)
    write_wav(tmp_path / "a.wav", tone, 48_000)
    if suffix != "wav":
        codec = {"mp3": "libmp3lame", "flac": "flac", "ogg": "libopus", "m4a": "aac"}[suffix]
        with av.open(str(tmp_path / f"a.{suffix}"), "w", format={"m4a": "mp4"}.get(suffix, suffix)) as container:
            track = container.add_stream(codec, rate=48_000)
            track.codec_context.layout = "mono"
            with av.open(str(tmp_path / "a.wav")) as source:
                for frame in source.decode(audio=0):
                    container.mux(track.encode(frame))
            container.mux(track.encode(None))
    media = ingest(tmp_path / f"a.{suffix}", "audio", tmp_path / "out")
    sound, rate = read_audio(media.path)
    assert (rate, media.channels) == (48_000, 1) and abs(sound.shape[1] - 48_000) < 2_400
    assert 0.25 < sound[:, 5_000:40_000].std() < 0.31  # 0.4 / sqrt 2
    assert media.path.read_bytes()[:4] == b"RIFF"


def test_limits_can_be_tightened(tmp_path: Path, material: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(clip(material))
    for limits, words in (
        (Limits(duration_s=1.0), "lasts 2.0 s, at most 1 s"),
        (Limits(num_bytes=1000), "over 1000 bytes"),
        (Limits(num_pixels=100), "32x32; at most 100"),
        (replace(Limits(), num_streams=1), "2 streams"),
    ):
        with pytest.raises(MediaInvalid, match=words):
            ingest(tmp_path / "a.mp4", "video", tmp_path / "out", limits)
