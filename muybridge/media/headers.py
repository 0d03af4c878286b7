"""What a file says it is, read in pure Python before any C parser sees it: magic numbers, picture and WAV headers.

Every check is linear in the file and allocates nothing that the file asks for. Sources: PNG (ISO 15948), JPEG
(ITU-T T.81), EXIF (CIPA DC-008), WebP container, GIF89a, RIFF/WAVE.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from muybridge.errors import MediaInvalid

MAX_SIDE: Final = 16_384
MAX_PIXELS: Final = 4096 * 4096
MAX_ITEMS: Final = 20_000  # chunks, blocks or segments of one picture
MAX_ANCILLARY_BYTES: Final = 4 << 20  # one colour profile or text chunk
MAX_JPEG_SCANS: Final = 64  # a progressive picture has about ten; thousands are a way to burn time


@dataclass(frozen=True)
class ImageHeader:
    """Format, stored size in pixels (before `orientation`), EXIF orientation 1..8."""

    format: str
    width: int
    height: int
    orientation: int = 1


@dataclass(frozen=True)
class WavHeader:
    """Sample rate in Hz, channels, bits a sample, frames (samples a channel)."""

    sample_rate: int
    channels: int
    bits: int
    num_samples: int


def sniff(head: bytes) -> str:
    """Format from the first 64 bytes: png jpeg webp gif mp4 wav mp3 flac ogg; raises MediaInvalid for all else.

    The name and the claimed type of a file are never used.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE"):
        return "webp" if head[8:12] == b"WEBP" else "wav"
    if head[4:8] == b"ftyp" or (head[4:8] in (b"moov", b"mdat", b"wide", b"free") and head[:2] == b"\0\0"):
        return "mp4"
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"ID3") or (len(head) > 3 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] < 0xF0):
        return "mp3"
    raise MediaInvalid(_refusal(head))


def _refusal(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"#ext") or text.startswith((b"ffconcat", b"[playlist]")):
        return "the file is a playlist, which only points at media; send the media file itself"
    if text.startswith((b"<svg", b"<?xml", b"<!doctype", b"<html")):
        return "SVG, XML and HTML are programs, not pictures; export a PNG, JPEG or WebP"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "WebM and Matroska are not accepted; convert to MP4 (H.264 and AAC)"
    if not head:
        return "the file is empty; send a PNG, JPEG or WebP picture, an MP4 video, or WAV, MP3, M4A, FLAC or Ogg sound"
    shown = head[:8].hex(" ")
    return f"unknown file type (it begins {shown}); send PNG, JPEG or WebP, MP4 (H.264), WAV, MP3, M4A, FLAC or Ogg"


def image_header(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Walk the whole picture file; raises MediaInvalid for bombs, truncation, hidden tails and other formats."""
    kind = sniff(data[:64])
    readers = {"png": _png, "jpeg": _jpeg, "webp": _webp, "gif": _gif}
    if kind not in readers:
        raise MediaInvalid(f"the file is {kind}, not a picture; send PNG, JPEG or WebP")
    try:
        header = readers[kind](data)
    except (struct.error, IndexError) as error:
        raise MediaInvalid(f"the {kind} file ends too early; it was cut off on the way, send it again") from error
    _check_size(header.width, header.height, max_pixels)
    return header


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise MediaInvalid(f"the picture is {width}x{height} pixels: there is nothing in it")
    if width > MAX_SIDE or height > MAX_SIDE or width * height > max_pixels:
        raise MediaInvalid(f"the picture is {width}x{height}; at most {max_pixels} pixels are accepted: shrink it")


def _png(data: bytes) -> ImageHeader:
    width = height = 0
    orientation, pos, seen_data = 1, 8, False
    for _ in range(MAX_ITEMS):
        length, kind = struct.unpack_from(">I4s", data, pos)
        end = pos + 12 + length
        if length > 0x7FFF_FFFF or end > len(data):
            raise MediaInvalid("the PNG file ends too early; it was cut off on the way, send it again")
        body = memoryview(data)[pos + 8 : pos + 8 + length]
        if pos == 8 and (kind != b"IHDR" or length != 13):
            raise MediaInvalid("the PNG does not begin with its header chunk; save it again")
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", body)
            if zlib.crc32(data[pos + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
                raise MediaInvalid("the PNG header fails its checksum; the file is damaged, save it again")
        elif kind == b"IDAT":
            seen_data = True
        elif kind == b"IEND":
            if not seen_data:
                raise MediaInvalid("the PNG holds no picture data; save it again")
            if end != len(data):
                raise MediaInvalid(f"{len(data) - end} bytes are hidden after the end of the PNG; save it again")
            return ImageHeader("png", width, height, orientation)
        elif length > MAX_ANCILLARY_BYTES:
            raise MediaInvalid(f"the PNG carries a {length}-byte {kind!r} chunk; save it again without metadata")
        elif kind == b"eXIf":
            orientation = _exif_orientation(bytes(body))
        pos = end
    raise MediaInvalid(f"the PNG has over {MAX_ITEMS} chunks; save it again")


def _jpeg(data: bytes) -> ImageHeader:
    """Segments up to the first scan; scans are only counted. Phones append second pictures: the tail is not used."""
    width = height = 0
    orientation, pos = 1, 2
    for _ in range(MAX_ITEMS):
        while data[pos] == 0xFF and data[pos + 1] == 0xFF:
            pos += 1  # fill bytes
        if data[pos] != 0xFF:
            raise MediaInvalid("the JPEG structure is broken; save it again")
        marker = data[pos + 1]
        (length,) = struct.unpack_from(">H", data, pos + 2)
        body = data[pos + 4 : pos + 2 + length]
        if marker in (0xD8, 0xD9) or length < 2 or len(body) != length - 2:
            raise MediaInvalid("the JPEG ends before its picture; it was cut off on the way, send it again")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if marker > 0xC2:
                raise MediaInvalid("this JPEG coding (lossless or arithmetic) is not accepted; save it as a PNG")
            bits, height, width, components = struct.unpack_from(">BHHB", body)
            if bits != 8 or components not in (1, 3):
                raise MediaInvalid(f"the JPEG has {components} channels of {bits} bit (CMYK?); save it as RGB")
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(body[6:])
        elif marker == 0xDA:
            break
        pos += 2 + length
    scans = data.count(b"\xff\xda", pos)
    if scans > MAX_JPEG_SCANS:
        raise MediaInvalid(f"the JPEG has {scans} scans, at most {MAX_JPEG_SCANS} are accepted; save it as a PNG")
    if data.find(b"\xff\xd9", pos) < 0:
        raise MediaInvalid("the JPEG ends too early; it was cut off on the way, send it again")
    return ImageHeader("jpeg", width, height, orientation)


def _webp(data: bytes) -> ImageHeader:
    (riff,) = struct.unpack_from("<I", data, 4)
    if riff + 8 != len(data):
        raise MediaInvalid(f"the WebP says {riff + 8} bytes but has {len(data)}; cut off, or with a hidden tail")
    width = height = 0
    orientation, pos, picture = 1, 12, False
    while pos < len(data):
        kind, length = struct.unpack_from("<4sI", data, pos)
        body = data[pos + 8 : pos + 8 + length]
        if len(body) != length:
            raise MediaInvalid("the WebP ends too early; it was cut off on the way, send it again")
        size: tuple[int, int] | None = None
        if kind == b"VP8X":
            if body[0] & 2:
                raise MediaInvalid("the WebP is animated; send one still picture, or the animation as MP4")
            width, height = (int.from_bytes(body[k : k + 3], "little") + 1 for k in (4, 7))
        elif kind == b"VP8 ":
            if body[3:6] != b"\x9d\x01\x2a":
                raise MediaInvalid("the WebP picture data is broken; save it again")
            columns, rows = struct.unpack_from("<HH", body, 6)
            size = (columns & 0x3FFF, rows & 0x3FFF)
        elif kind == b"VP8L":
            (packed,) = struct.unpack_from("<xI", body)
            size = ((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
        elif kind == b"EXIF":
            orientation = _exif_orientation(body.removeprefix(b"Exif\0\0"))
        if size is not None:
            if width and (width, height) != size:
                raise MediaInvalid(f"the WebP says {width}x{height} outside and {size} inside; save it again")
            (width, height), picture = size, True
        pos += 8 + length + length % 2
    if not picture:
        raise MediaInvalid("the WebP holds no picture; save it again")
    return ImageHeader("webp", width, height, orientation)


def _gif(data: bytes) -> ImageHeader:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    pos = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    pictures = blocks = 0
    while True:
        blocks += 1
        if blocks > MAX_ITEMS:
            raise MediaInvalid(f"the GIF has over {MAX_ITEMS} blocks; send one still picture")
        kind = data[pos]
        if kind == 0x3B:
            break
        if kind == 0x21:
            pos += 2
        elif kind == 0x2C:
            left, top, columns, rows, flags = struct.unpack_from("<HHHHB", data, pos + 1)
            if left + columns > width or top + rows > height:
                raise MediaInvalid("the GIF has a picture outside its canvas; save it again")
            pos += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            pictures += 1
        else:
            raise MediaInvalid("the GIF structure is broken; save it again as PNG")
        while data[pos]:
            pos += 1 + data[pos]
        pos += 1
    if not pictures:
        raise MediaInvalid("the GIF holds no picture; send a PNG")
    if pos + 1 != len(data):
        raise MediaInvalid(f"{len(data) - pos - 1} bytes are hidden after the end of the GIF; save it again")
    return ImageHeader("gif", width, height)


def _exif_orientation(tiff: bytes) -> int:
    """Tag 0x0112 of the first directory; 1 (upright) where EXIF is absent or broken: it must never refuse a picture."""
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for k in range(min(count, 512)):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * k)
            if tag == 0x0112:
                return int(value) if 1 <= value <= 8 else 1
    except (struct.error, KeyError):
        pass
    return 1


def wav_header(data: bytes, file_bytes: int) -> WavHeader:
    """RIFF/WAVE header from the first bytes of a file of `file_bytes`; PCM and float only."""
    (riff,) = struct.unpack_from("<I", data, 4)
    if riff + 8 > file_bytes or file_bytes > riff + 9:
        raise MediaInvalid(f"the WAV says {riff + 8} bytes but has {file_bytes}; cut off, or with a hidden tail")
    pos, form = 12, None
    try:
        while True:
            kind, length = struct.unpack_from("<4sI", data, pos)
            if pos + 8 + length > file_bytes:
                raise MediaInvalid("the WAV ends too early; it was cut off on the way, send it again")
            if kind == b"fmt ":
                form = struct.unpack_from("<HHIIHH", data, pos + 8)
            elif kind == b"data":
                break
            pos += 8 + length + length % 2
    except struct.error as error:
        raise MediaInvalid("the WAV holds no sound data in its first megabyte; save it again") from error
    if form is None:
        raise MediaInvalid("the WAV has no format chunk; save it again")
    code, channels, rate, _, block, bits = form
    if code not in (1, 3, 0xFFFE) or bits not in (8, 16, 24, 32, 64) or block != channels * bits // 8:
        raise MediaInvalid(f"the WAV coding {code} with {bits} bits is not accepted; save it as 16-bit PCM")
    if not 1 <= channels <= 8 or not 8_000 <= rate <= 192_000:
        raise MediaInvalid(f"the WAV has {channels} channels at {rate} Hz; accepted are 1 to 8 at 8 to 192 kHz")
    if length < block:
        raise MediaInvalid("the WAV holds no samples; record it again")
    return WavHeader(rate, channels, bits, length // block)
