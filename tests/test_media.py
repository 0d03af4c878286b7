"""Clips are exact: every length, the colour tags, the order of boxes, flash and click after AAC, any input rate.

Shapes: T frames, Y rows, X columns, C channels, S samples.
"""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from muybridge.errors import InvalidRequest, MediaInvalid
from muybridge.media import (
    ClipReader,
    ClipWriter,
    condition_image,
    contact_sheet,
    crop_to_aspect,
    encode_image,
    fit_waveform,
    probe,
    read_audio,
    read_clip,
    read_image,
    read_movie,
    resample,
    resize,
    samples_at,
    spritesheet,
    thumbnail,
    write_clip,
    write_image,
    write_wav,
)

Frames = NDArray[np.uint8]
RATES = (24_000, 44_100, 48_000)
LENGTHS = range(75, 376)  # 3 to 15 s in steps of 0.04 s


def plain(num_frames: int, height: int = 32, width: int = 32) -> Frames:
    """Every frame one grey that tells its number (mod 13), with steps wide enough to survive H.264."""
    levels = (np.arange(num_frames) % 13 * 16 + 24).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (num_frames, height, width, 3)).copy()


def numbers(frames_TYXC: Frames) -> list[int]:
    """Which frame of `plain` each picture shows, mod 13."""
    return [round((float(frame.mean()) - 24) / 16) for frame in frames_TYXC]


def presented(path: Path) -> dict[str, tuple[Fraction, int, int]]:
    """Per handler: presented seconds from the edit list, media start, sum of sample durations; parsed by hand here."""
    data = path.read_bytes()

    def children(start: int, end: int) -> dict[bytes, list[tuple[int, int]]]:
        found: dict[bytes, list[tuple[int, int]]] = {}
        while start < end:
            length, kind = struct.unpack_from(">I4s", data, start)
            found.setdefault(kind, []).append((start + 8, start + length))
            start += length
        return found

    def at(span: tuple[int, int], *kinds: bytes) -> tuple[int, int]:
        for kind in kinds:
            span = children(*span)[kind][0]
        return span

    moov = children(0, len(data))[b"moov"][0]
    movie_ticks = struct.unpack_from(">I", data, at(moov, b"mvhd")[0] + 12)[0]
    out = {}
    for trak in children(*moov)[b"trak"]:
        kind = data[at(trak, b"mdia", b"hdlr")[0] + 8 :][:4].decode()
        edits = at(trak, b"edts", b"elst")[0]
        assert struct.unpack_from(">I", data, edits + 4)[0] == 1
        seconds, start = struct.unpack_from(">Ii", data, edits + 8)
        times = at(trak, b"mdia", b"minf", b"stbl", b"stts")[0]
        rows = struct.unpack_from(">I", data, times + 4)[0]
        total = sum(n * d for n, d in struct.iter_unpack(">II", data[times + 8 : times + 8 + 8 * rows]))
        out[kind] = (Fraction(seconds, movie_ticks), start, total)
    return out


def check_length(path: Path, num_frames: int, rate: int, channels: int) -> None:
    waveform = np.zeros((channels, num_frames * rate // 25), np.float32)
    waveform[:, -1] = 0.5
    clip = write_clip(path, plain(num_frames, 16, 16), waveform, sample_rate=rate, poster=False)
    assert clip.duration_s == num_frames / 25
    tracks = presented(path)
    picture, sound = tracks["vide"], tracks["soun"]
    assert picture[0] == sound[0] == Fraction(num_frames, 25)
    assert sound[2] - sound[1] == waveform.shape[1]  # stts past the priming ends on the last sample
    frames_TYXC, back_CS, _ = read_clip(path)
    assert back_CS is not None
    assert frames_TYXC.shape[0] == num_frames and back_CS.shape == waveform.shape
    assert read_audio(path)[0].shape == waveform.shape  # alone, without the frames' grid to cut it


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("num_frames", [75, 76, 100, 101, 127, 250, 375])
def test_length_is_exact(tmp_path: Path, num_frames: int, rate: int) -> None:
    check_length(tmp_path / "a.mp4", num_frames, rate, 1 + num_frames % 2)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_every_length_from_3_to_15_s_is_exact(tmp_path: Path, part: int) -> None:
    for num_frames in LENGTHS[part::3]:
        check_length(tmp_path / "a.mp4", num_frames, RATES[num_frames // 3 % 3], 1 + num_frames // 9 % 2)


def test_every_frame_starts_on_a_whole_sample() -> None:
    for rate in (*RATES, 16_000, 22_050, 51_200):
        starts = [samples_at(n, 25, rate) for n in range(0, 376)]
        assert all(Fraction(start, rate) == Fraction(n, 25) for n, start in enumerate(starts))
        assert all(2 * start == samples_at(2 * n, 25, rate) for n, start in enumerate(starts))  # never accumulated


@given(
    st.integers(1, 10**7),
    st.sampled_from([Fraction(24000, 1001), Fraction(30), Fraction(25)]),
    st.integers(8000, 192000),
)
def test_sample_clock_never_drifts(frame: int, fps: Fraction, rate: int) -> None:
    error = Fraction(frame) / fps - Fraction(samples_at(frame, fps, rate), rate)
    assert 0 <= error < Fraction(1, rate)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("fragmented", [False, True])
def test_flash_and_click_come_back_together(tmp_path: Path, rate: int, channels: int, fragmented: bool) -> None:
    num_frames, instants = 120, (0, 1, 37, 76, 118)
    frames_TYXC = np.full((num_frames, 32, 32, 3), 16, np.uint8)
    waveform_CS = np.zeros((channels, samples_at(num_frames, 25, rate)), np.float32)
    for n in instants:
        frames_TYXC[n] = 235
        start = samples_at(n, 25, rate)
        waveform_CS[:, start : start + rate // 200] = 0.8  # 5 ms step: a click with a sharp edge
    path = tmp_path / "sync.mp4"
    with ClipWriter(path, sample_rate=rate, fragmented=fragmented) as writer:
        for k in range(0, num_frames, 30):
            writer.add(frames_TYXC[k : k + 30], waveform_CS[:, samples_at(k, 25, rate) : samples_at(k + 30, 25, rate)])
    back_TYXC, back_CS, _ = read_clip(path)
    assert back_CS is not None and back_CS.shape == waveform_CS.shape
    lit = [n for n, frame in enumerate(back_TYXC) if frame.mean() > 128]
    assert lit == list(instants)
    for n in instants:  # the lag that fits best, searched over +-half a frame
        start, half = samples_at(n, 25, rate), rate // 50
        wanted = waveform_CS[0, start : start + rate // 100]
        lags = [lag for lag in range(-half, half) if start + lag >= 0 and start + lag + len(wanted) <= back_CS.shape[1]]
        fit = [-float(np.sum((back_CS[0, start + lag :][: len(wanted)] - wanted) ** 2)) for lag in lags]
        assert lags[int(np.argmax(fit))] == 0, f"click at frame {n} moved"


def test_colour_tags_stand_in_stream_and_container(tmp_path: Path) -> None:
    path = tmp_path / "c.mp4"
    write_clip(path, plain(10), None)
    with av.open(str(path)) as container:
        context: Any = container.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert tags == (1, 1, 1, 1) and context.pix_fmt == "yuv420p"
        # The bit stream alone, without the container's word for it.
        packets = [packet for packet in container.demux(video=0) if packet.size]
    alone: Any = av.CodecContext.create("h264", "r")
    alone.extradata = context.extradata
    frames = [frame for packet in packets for frame in alone.decode(av.Packet(bytes(packet)))]
    frame = frames[0] if frames else alone.decode(None)[0]
    assert (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range) == (1, 1, 1, 1)
    data = path.read_bytes()
    at = data.index(b"colrnclx")
    assert struct.unpack_from(">HHHB", data, at + 8) == (1, 1, 1, 0)


def test_colours_survive_within_chroma_rounding(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [128, 64, 200]], np.uint8)
    frames_TYXC = np.broadcast_to(colours[:, None, None], (6, 32, 32, 3)).repeat(5, axis=0)
    write_clip(tmp_path / "c.mp4", np.ascontiguousarray(frames_TYXC), None, crf=4)
    back_TYXC, sound, _ = read_clip(tmp_path / "c.mp4")
    assert sound is None
    assert np.abs(back_TYXC.astype(int) - frames_TYXC).max() <= 3


def test_index_comes_before_the_media(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", plain(30), np.zeros((1, 57_600), np.float32), sample_rate=48_000)
    kinds = [box.kind for box in read_movie(tmp_path / "a.mp4").boxes]
    assert kinds[0] == "ftyp" and kinds.index("moov") < kinds.index("mdat")


def test_same_clip_same_bytes_and_metadata(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 48_000)).astype(np.float32)
    for name in ("a", "b"):
        write_clip(tmp_path / f"{name}.mp4", plain(25), sound, sample_rate=48_000, metadata={"seed": "7", "title": "t"})
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.metadata["seed"] == "7" and container.metadata["title"] == "t"


def test_chunks_and_array_give_the_same_file(tmp_path: Path) -> None:
    frames_TYXC, sound = plain(50), np.zeros((1, 88_200), np.float32)
    write_clip(tmp_path / "a.mp4", frames_TYXC, sound, sample_rate=44_100)
    clip = write_clip(tmp_path / "b.mp4", iter([frames_TYXC[:7], frames_TYXC[7:]]), sound, sample_rate=44_100)
    assert numbers(read_clip(tmp_path / "b.mp4")[0]) == numbers(read_clip(tmp_path / "a.mp4")[0])
    assert clip.poster is not None and abs(int(read_image(clip.poster)[0, 0, 0]) - 24) == 0


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"old")

    def broken() -> Any:
        yield plain(10)
        raise RuntimeError("decoder died")

    with pytest.raises(RuntimeError, match="decoder died"):
        write_clip(tmp_path / "a.mp4", broken(), None)
    assert (tmp_path / "a.mp4").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("frames", "sound", "words"),
    [
        (plain(5, 33, 32), None, "even sizes.*32x32"),
        (plain(5, 32, 35), None, "even sizes.*34x32"),
        (plain(5), np.zeros((1, 9_599), np.float32), "5 frames at 25 fps need 9600 samples"),
        (plain(5), np.zeros((1, 9_601), np.float32), "need 9600 samples at 48000 Hz, got 9601"),
        (plain(5), np.full((1, 9_600), np.nan, np.float32), "NaN"),
        (plain(5), np.zeros((6, 9_600), np.float32), "downmix to stereo"),
        (plain(5).astype(np.float32), None, "uint8"),
        (plain(0), None, "at least one frame"),
    ],
)
def test_wrong_clips_are_refused(tmp_path: Path, frames: Any, sound: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        write_clip(tmp_path / "a.mp4", frames, sound, sample_rate=48_000)
    assert not list(tmp_path.iterdir())


def test_fragments_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "live.mp4"
    writer = ClipWriter(path, sample_rate=48_000, fragmented=True)
    seen = []
    for k in range(6):
        writer.add(plain(25), np.zeros((2, 48_000), np.float32))
        part = tmp_path / f"copy{k}.mp4"
        part.write_bytes(path.read_bytes())
        seen.append(len(read_clip(part)[0]) if k > 3 else 0)
    writer.close()
    assert seen[4] >= 50 and seen[5] >= 75  # a viewer is at most the encoder's look-ahead behind
    assert numbers(read_clip(path)[0]) == [n % 25 % 13 for n in range(150)]
    stream = io.BytesIO()
    with ClipWriter(stream, fragmented=True) as live:
        live.add(plain(30))
    (tmp_path / "s.mp4").write_bytes(stream.getvalue())
    assert len(read_clip(tmp_path / "s.mp4")[0]) == 30


def record(
    path: Path,
    frames_TYXC: Frames,
    times: Sequence[Fraction],
    *,
    last_s: Fraction,
    sound: tuple[NDArray[np.float32], int, str] | None = None,
    codec: str = "libx264",
    matrix_turn: int = 0,
    aspect: Fraction | None = None,
    sound_start: int = 0,
) -> None:
    """A foreign recording: frames at any times (ticks of 1/90000 s), sound with any layout."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=1 / last_s)  # the muxer takes the last length from here
        video.height, video.width, video.pix_fmt = *frames_TYXC.shape[1:3], "yuv420p"
        video.codec_context.time_base = Fraction(1, 90_000)
        if codec == "libx264":
            video.options = {"crf": "10", "preset": "ultrafast"}
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        track: Any = None
        if sound is not None:
            waveform, rate, layout = sound
            track = container.add_stream("aac", rate=rate)
            track.codec_context.layout = layout
        for k, picture in enumerate(frames_TYXC):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format="yuv420p")
            frame.time_base = Fraction(1, 90_000)
            frame.pts = round(times[k] * 90_000)
            following = times[k + 1] if k + 1 < len(times) else times[k] + last_s
            frame.duration = round((following - times[k]) * 90_000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            for start in range(0, waveform.shape[1], 1024):
                block = np.ascontiguousarray(waveform[:, start : start + 1024])
                tone = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                tone.sample_rate, tone.pts, tone.time_base = rate, start + sound_start, Fraction(1, rate)
                container.mux(track.encode(tone))
            container.mux(track.encode(None))
    if matrix_turn:
        patch_matrix(path, matrix_turn)


def patch_matrix(path: Path, degrees: int) -> None:
    """Write a rotation into the video track header (ISO 14496-12, 8.3.2), as a phone does."""
    one = 1 << 16
    a, b = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    struct.pack_into(">9i", data, at, a, b, 0, -b, a, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize("rate", [24, 30, 50, 60, Fraction(30000, 1001), 12])
def test_constant_rates_land_on_the_right_frames(tmp_path: Path, rate: Fraction | int) -> None:
    step = 1 / Fraction(rate)
    count = round(3 / step)
    record(tmp_path / "in.mp4", plain(count), [k * step for k in range(count)], last_s=step)
    frames_TYXC, _, info = read_clip(tmp_path / "in.mp4")
    total = round(count * step * 25)
    wanted = [min(count - 1, int((Fraction(2 * n + 1, 50)) / step)) % 13 for n in range(total)]
    assert len(frames_TYXC) == total
    assert numbers(frames_TYXC) == wanted
    assert abs(info.fps - float(rate)) < 0.01


@settings(max_examples=12, deadline=None)
@given(gaps=st.lists(st.integers(300, 20_000), min_size=3, max_size=30), suffix=st.sampled_from(["mp4", "mkv"]))
def test_variable_rate_shows_what_was_on_screen(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], suffix: str
) -> None:
    path = tmp_path_factory.mktemp("vfr") / f"in.{suffix}"
    ticks = 90_000 if suffix == "mp4" else 1_000
    edges = [Fraction(round(Fraction(sum(gaps[:k]), 90_000) * ticks), ticks) for k in range(len(gaps) + 1)]
    if any(after <= before for before, after in itertools.pairwise(edges)):
        return
    record(path, plain(len(gaps)), edges[:-1], last_s=edges[-1] - edges[-2])
    shown = numbers(read_clip(path)[0])
    for n, number in enumerate(shown):
        middle = Fraction(2 * n + 1, 50)
        wanted = max(k for k in range(len(gaps)) if edges[k] <= middle)
        assert number == wanted % 13
    assert abs(len(shown) - max(1, round(edges[-1] * 25))) <= (suffix == "mkv")  # Matroska drops the last length


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_honoured(tmp_path: Path, degrees: int) -> None:
    stored = np.full((5, 32, 64, 3), 16, np.uint8)
    stored[:, :16, :32] = 235  # white top left
    record(tmp_path / "r.mp4", stored, [Fraction(k, 25) for k in range(5)], last_s=Fraction(1, 25), matrix_turn=degrees)
    frames_TYXC, _, info = read_clip(tmp_path / "r.mp4")
    wanted = np.rot90(stored[0], -degrees // 90)
    assert frames_TYXC.shape[1:] == wanted.shape and (info.height, info.width) == wanted.shape[:2]
    assert info.rotation == degrees
    assert np.abs(frames_TYXC[0].astype(int) - wanted).max() < 40
    sized = read_clip(tmp_path / "r.mp4", size=(16, 16))[0]
    assert sized.shape == (5, 16, 16, 3)


def test_pixel_aspect_and_late_sound(tmp_path: Path) -> None:
    rate = 48_000
    sound = np.zeros((2, rate), np.float32)
    sound[:, 4_800] = 0.9
    times = [Fraction(k, 25) for k in range(50)]
    record(
        tmp_path / "a.mp4",
        plain(50, 32, 32),
        times,
        last_s=Fraction(1, 25),
        sound=(sound, rate, "stereo"),
        sound_start=12_064,  # after the picture; less the priming a whole ms, as this muxer writes it
        aspect=Fraction(2),
    )
    frames_TYXC, back_CS, info = read_clip(tmp_path / "a.mp4", sample_rate=24_000, channels=1)
    assert frames_TYXC.shape[1:3] == (info.height, info.width) == (32, 64) and info.sample_aspect_ratio == 2
    assert back_CS is not None and back_CS.shape == (1, 48_000)
    assert abs(int(np.abs(back_CS[0]).argmax()) - (12_064 + 4_800) // 2) <= 1


def test_surround_is_mixed_down(tmp_path: Path) -> None:
    rate = 48_000
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    sound = np.zeros((6, rate), np.float32)
    sound[2] = tone  # the centre, where dialogue is
    record(
        tmp_path / "a.mp4",
        plain(25),
        [Fraction(k, 25) for k in range(25)],
        last_s=Fraction(1, 25),
        sound=(sound, rate, "5.1"),
    )
    _, back_CS, info = read_clip(tmp_path / "a.mp4")
    assert info.channels == 6 and back_CS is not None and back_CS.shape == (2, rate)
    weight = 0.7071 / (1 + 2 * 0.7071)  # the centre's share of left and right, scaled so that no row passes 1
    assert np.abs(back_CS[:, 10_000:38_000] - weight * tone[10_000:38_000]).max() < 0.01


def test_short_sound_is_padded_and_max_seconds_cuts(tmp_path: Path) -> None:
    sound = np.full((1, 24_000), 0.25, np.float32)
    record(
        tmp_path / "a.mp4",
        plain(75),
        [Fraction(k, 25) for k in range(75)],
        last_s=Fraction(1, 25),
        sound=(sound, 48_000, "mono"),
    )
    frames_TYXC, back_CS, _ = read_clip(tmp_path / "a.mp4")
    assert back_CS is not None and len(frames_TYXC) == 75 and back_CS.shape == (1, 144_000)
    assert np.abs(back_CS[:, 26_000:]).max() == 0
    frames_TYXC, back_CS, _ = read_clip(tmp_path / "a.mp4", max_seconds=1.0)
    assert len(frames_TYXC) == 25 and back_CS is not None and back_CS.shape == (1, 48_000)


def test_reader_holds_one_frame_at_a_time(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", plain(40), None)
    reader = ClipReader(tmp_path / "a.mp4")
    assert sum(1 for _ in reader.frames()) == 40
    reader.close()


@pytest.mark.parametrize("make", ["missing", "text", "picture", "sound only"])
def test_unreadable_files_teach(tmp_path: Path, make: str) -> None:
    path = tmp_path / "x.mp4"
    if make == "text":
        path.write_text("hello")
    elif make == "picture":
        path.write_bytes(encode_image(plain(1)[0]))
    elif make == "sound only":
        write_wav(path, np.zeros((1, 8000), np.float32), 8000)
    words = {
        "missing": "check the path",
        "text": "unknown file type",
        "picture": "use it as an image",
        "sound only": "no video",
    }
    with pytest.raises(MediaInvalid, match=words[make]):
        read_clip(path)


# ---- Pictures ----


def test_png_is_lossless_and_the_others_are_close(tmp_path: Path) -> None:
    ramp = np.stack(np.meshgrid(np.arange(0, 240, 3), np.arange(0, 240, 4)), -1)
    picture = np.concatenate([ramp, ramp[..., :1] // 2], -1).astype(np.uint8)
    for suffix, error in ((".png", 0), (".jpg", 8), (".webp", 12)):
        path = write_image(tmp_path / f"a{suffix}", picture, quality=95)
        assert np.abs(read_image(path).astype(int) - picture).max() <= error
        with Image.open(path) as other:  # an independent reader
            assert np.abs(np.asarray(other.convert("RGB")).astype(int) - picture).max() <= error


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_exif_orientation_matches_pillow(tmp_path: Path, orientation: int, suffix: str) -> None:
    from PIL import ImageOps

    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :16, 0] = 255
    picture[16:, 32:, 1] = 255
    image = Image.fromarray(picture)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    with Image.open(tmp_path / f"a.{suffix}") as other:
        wanted = np.asarray(ImageOps.exif_transpose(other).convert("RGB"))
    got = read_image(tmp_path / f"a.{suffix}")
    assert got.shape == wanted.shape and np.abs(got.astype(int) - wanted).mean() < 4


def test_alpha_palette_and_16_bit(tmp_path: Path) -> None:
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[..., 0], rgba[:10, :, 3], rgba[10:, :, 3] = 200, 255, 51
    Image.fromarray(rgba).save(tmp_path / "a.png")
    got = read_image(tmp_path / "a.png")
    assert tuple(got[0, 0]) == (200, 0, 0) and tuple(got[15, 0]) == (244, 204, 204)
    assert tuple(read_image(tmp_path / "a.png", background=(0, 0, 0))[15, 0]) == (40, 0, 0)
    Image.fromarray(rgba).convert("P").save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape == (20, 20, 3)
    deep = (np.arange(400).reshape(20, 20) * 164).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "d.png")
    assert np.array_equal(read_image(tmp_path / "d.png")[..., 1], np.rint(deep / 257).astype(np.uint8))
    Image.fromarray(rgba[..., :3]).save(tmp_path / "g.gif")
    assert abs(int(read_image(tmp_path / "g.gif")[0, 0, 0]) - 200) < 3


@pytest.mark.parametrize("size", [(17, 40), (64, 64), (200, 31), (96, 128), (32, 64)])
def test_resize_matches_pillow(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    for kernel, other in (("lanczos", Image.Resampling.LANCZOS), ("area", Image.Resampling.BOX)):
        if kernel == "area" and (size[0] > 96 or size[1] > 128 or 96 % size[0] or 128 % size[1]):
            continue  # a box between pixels: Pillow takes whole pixels, we take exact shares
        got = resize(picture, *size, kernel=kernel)  # type: ignore[arg-type]
        for channel in range(3):  # in float: on bytes Pillow clips between its two passes
            plane = Image.fromarray(picture[..., channel].astype(np.float32)).resize(size[::-1], other)
            wanted = np.clip(np.rint(np.asarray(plane)), 0, 255)
            assert np.abs(got[..., channel] - wanted).max() <= 1


@given(st.integers(16, 80), st.integers(16, 80), st.integers(16, 64), st.integers(16, 64))
@settings(max_examples=40, deadline=None)
def test_resize_keeps_constants_and_crop_keeps_aspect(rows: int, cols: int, height: int, width: int) -> None:
    flat = np.full((rows, cols, 3), 93, np.uint8)
    assert (resize(flat, height, width) == 93).all()
    cropped = crop_to_aspect(flat, height, width)
    assert cropped.shape[0] in (rows, round(cols * height / width)) and cropped.shape[0] <= rows
    assert cropped.shape[1] in (cols, round(rows * width / height)) and cropped.shape[1] <= cols
    assert condition_image(flat, height, width).shape == (height, width, 3)


def test_one_pixel_picture_is_refused() -> None:
    with pytest.raises(MediaInvalid, match=r"1x1 picture shows nothing.*300x300"):
        condition_image(np.zeros((1, 1, 3), np.uint8), 256, 448)


def test_sheets(tmp_path: Path) -> None:
    frames_TYXC = plain(100, 36, 64)
    sheet = spritesheet(frames_TYXC, columns=5, num_tiles=25, tile_width=64)
    assert sheet.shape == (5 * 36, 5 * 64, 3)
    tiles = sheet.reshape(5, 36, 5, 64, 3).swapaxes(1, 2).reshape(25, 36, 64, 3)
    assert numbers(tiles) == [(4 * k + 2) % 13 for k in range(25)]
    assert thumbnail(frames_TYXC[0], long_side=32).shape == (18, 32, 3)
    sound = np.zeros((1, 4 * 48_000), np.float32)
    sound[:, 96_000:] = 0.9
    drawn = read_image(contact_sheet(tmp_path / "s.png", frames_TYXC, 2, 3, waveform_CS=sound, tile_width=64))
    strip = drawn[-48:, :, 1]
    half = strip.shape[1] // 2
    assert (strip[2, : half - 2] < 100).all() and (strip[2, half + 2 :] > 150).all()  # 0.9 is two rows from the top
    labelled = drawn[4 + 36 + 2 : 4 + 36 + 12, 4:60]
    assert (labelled == 235).any()  # the time is written
    with pytest.raises(InvalidRequest, match="need 6 labels"):
        contact_sheet(tmp_path / "s.png", frames_TYXC, 2, 3, ["a"])


# ---- Sound ----


@pytest.mark.parametrize("bits", [16, 32])
def test_wav_round_trip(tmp_path: Path, bits: int) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, (2, 12_345)).astype(np.float32)
    write_wav(tmp_path / "a.wav", sound, 44_100, bits=bits)
    back, rate = read_audio(tmp_path / "a.wav")
    assert rate == 44_100 and back.shape == sound.shape
    assert np.abs(back - sound).max() <= (2.0 / 32767 if bits == 16 else 0)


def test_resampling_keeps_time_and_tone() -> None:
    old, new, hertz = 24_000, 48_000, 440.0
    sound = np.sin(2 * np.pi * hertz * np.arange(old * 2) / old).astype(np.float32)[None]
    back = resample(sound, old, new)
    assert back.shape == (1, new * 2)
    wanted = np.sin(2 * np.pi * hertz * np.arange(new * 2) / new)
    assert np.abs(back[0, 200:-200] - wanted[200:-200]).max() < 2e-3
    assert resample(sound, old, 44_100).shape == (1, 88_200)


def test_fit_waveform() -> None:
    sound = np.ones((2, 10), np.float32)
    assert fit_waveform(sound, 12).sum() == 20 and fit_waveform(sound, 4).shape == (2, 4)


def test_probe_tells_what_was_written(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", plain(76, 48, 64), np.zeros((2, 76 * 1764), np.float32), sample_rate=44_100)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.num_frames, info.fps) == (64, 48, 76, 25.0)
    assert (info.video_codec, info.audio_codec, info.sample_rate, info.channels) == ("h264", "aac", 44_100, 2)
    assert info.duration_s == 3.04 and info.color == (1, 1, 1, 1)
