"""Take in media from strangers: check it in pure Python, decode it in a locked child, keep only our own re-encoding.

Three walls, each enough for most attacks alone:
1. Here, before any C parser: byte cap, magic number, picture headers, ISO box walk, sample tables, limits.
2. A child process that decodes: memory, CPU, file size and process limits, no network, no new processes, one thread,
   forced demuxer, wall timeout. A parser bug met there meets an empty room.
3. The result is encoded anew by us (mp4, png or wav); the bytes of the sender go no further.

The parent never holds pictures or sound: its memory is flat in the size and the length of the media.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from muybridge.errors import MediaInvalid, MuybridgeError
from muybridge.media.boxes import Movie, read_movie
from muybridge.media.headers import image_header, sniff, wav_header
from muybridge.media.sandbox import lock

Kind = Literal["image", "video", "audio"]

ACCEPTED: Final[dict[str, tuple[str, ...]]] = {
    "image": ("png", "jpeg", "webp", "gif"),
    "video": ("mp4",),
    "audio": ("wav", "mp3", "flac", "ogg", "mp4"),
}
ADVICE: Final = {
    "image": "send a PNG, JPEG or WebP picture",
    "video": "send an MP4 or MOV video (H.264, AAC)",
    "audio": "send WAV, MP3, M4A, FLAC or Ogg sound",
}
VIDEO_CODECS: Final = frozenset(
    {"avc1", "avc3", "hvc1", "hev1", "dvh1", "vp09", "av01", "mp4v", "apcn", "apch", "apcs", "apco"}
)
SUFFIX: Final = {"image": ".png", "video": ".mp4", "audio": ".wav"}
MAX_TRACKS: Final = 16  # phones add timed-metadata tracks; only picture and sound count against `num_streams`
FACTS: Final = ("width", "height", "num_frames", "duration_s", "sample_rate", "channels")
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What is taken in; the defaults follow the hosted product (image 20 MB, video 100 MB, at most 60 s)."""

    num_bytes: int = 100 << 20
    image_bytes: int = 20 << 20
    num_pixels: int = 4096 * 4096
    min_side: int = 16
    video_side: int = 1920  # a longer video is shrunk to this: nothing larger is ever made from it
    duration_s: float = 60.0
    kept_s: float = 60.0  # of a longer video only this much is kept: an edit uses its first 15 s
    min_duration_s: float = 0.04
    fps: float = 121.0
    num_streams: int = 4
    channels: int = 8
    # The child: address space, CPU seconds, seconds on the wall, bytes of its output.
    memory_bytes: int = 3 << 30
    cpu_s: int = 300
    wall_s: float = 300.0
    output_bytes: int = 1 << 30


@dataclass(frozen=True)
class IngestedMedia:
    """Our own copy of what was sent: a file that we encoded, named by nobody but us."""

    path: Path
    kind: Kind
    sha256: str  # of the file at `path`
    source_sha256: str
    size_bytes: int
    width: int = 0
    height: int = 0
    num_frames: int = 0
    duration_s: float = 0.0
    sample_rate: int = 0
    channels: int = 0

    @property
    def has_audio(self) -> bool:
        """Whether there is sound in it."""
        return self.channels > 0


def save_stream(chunks: Iterable[bytes], path: Path, max_bytes: int) -> str:
    """Write an upload to `path`, counting bytes as they come (a Content-Length may lie); returns its SHA-256.

    Raises MediaInvalid, and removes the file, as soon as `max_bytes` is passed.
    """
    digest, total = hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            for chunk in chunks:
                total += len(chunk)
                if total > max_bytes:
                    raise MediaInvalid(f"the file is over {max_bytes} bytes; send a smaller or shorter one")
                digest.update(chunk)
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def ingest(source_path: str | Path, kind: Kind, out_dir: str | Path, limits: Limits | None = None) -> IngestedMedia:
    """Check, decode and re-encode one file into `out_dir` as `<sha256>.png|.mp4|.wav`; raises MediaInvalid.

    Safe to call from threads and to repeat: the same source gives the same bytes and the same name.
    """
    limits = limits or Limits()
    source, out_dir = Path(source_path), Path(out_dir).resolve()  # absolute: the child works in a folder of its own
    if kind not in ACCEPTED:
        raise MediaInvalid(f"unknown kind of media {kind!r}; say image, video or audio")
    if not source.is_file():
        raise MediaInvalid(f"{source.name} is not a file; check the path")
    with tempfile.TemporaryDirectory(prefix="ingest-", dir=_made(out_dir)) as room:
        private = Path(room) / "upload"
        # Our own copy, under our own name: nobody can swap the file between the check and the decoding.
        with source.open("rb") as file:
            cap = limits.image_bytes if kind == "image" else limits.num_bytes
            source_sha256 = save_stream(iter(lambda: file.read(_CHUNK), b""), private, cap)
        check(private, kind, limits)
        facts = _decode_in_child(private, kind, limits)
        made = private.with_name("made" + SUFFIX[kind])
        if made.is_symlink() or not made.is_file():  # a taken-over decoder could point us at any file of ours
            raise MediaInvalid(f"the {kind} broke the decoder; {ADVICE[kind]} exported anew")
        sha256 = _sha256(made)
        final = out_dir / (sha256 + SUFFIX[kind])
        size_bytes = made.stat().st_size
        made.replace(final)
    return IngestedMedia(final, kind, sha256, source_sha256, size_bytes, **facts)


def check(path: Path, kind: Kind, limits: Limits) -> str:
    """The pure-Python wall alone; returns the format. Raises MediaInvalid."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_CHUNK)
    form = sniff(head[:64])
    if form not in ACCEPTED[kind]:
        raise MediaInvalid(f"the file is {form}, which is no {kind}; {ADVICE[kind]}")
    if kind == "image":
        header = image_header(path.read_bytes(), max_pixels=limits.num_pixels)
        if min(header.width, header.height) < limits.min_side:
            raise MediaInvalid(
                f"the picture is {header.width}x{header.height} pixels, too small to show anything; "
                "send one of at least 300x300"
            )
    elif form == "mp4":
        _check_movie(read_movie(path), kind, limits)
    elif form == "wav":
        wav = wav_header(head, size)
        _check_duration(wav.num_samples / wav.sample_rate, limits)
    return form


def _check_movie(movie: Movie, kind: Kind, limits: Limits) -> None:
    if movie.fragmented:
        raise MediaInvalid("the video is a fragmented stream recording; export it as an ordinary MP4")
    pictures = [track for track in movie.tracks if track.kind == "vide"]
    sounds = [track for track in movie.tracks if track.kind == "soun"]
    num_streams = len(pictures) + len(sounds)
    if num_streams > limits.num_streams or len(movie.tracks) > MAX_TRACKS:
        raise MediaInvalid(
            f"the video has {num_streams} streams, at most {limits.num_streams}: keep one video, one sound"
        )
    if kind == "video" and not pictures:
        raise MediaInvalid("the file has sound but no video frames; send it as audio, or send a video")
    if kind == "audio" and not sounds:
        raise MediaInvalid("the file has no sound; record it with sound, or send WAV, MP3 or M4A")
    for track in sounds:
        if track.channels > limits.channels:
            raise MediaInvalid(f"the sound has {track.channels} channels, at most {limits.channels}; mix it to stereo")
    for track in pictures:
        _check_picture_size(track.width, track.height, limits)
        if track.codec not in VIDEO_CODECS:
            raise MediaInvalid(f"the video coding {track.codec!r} is not accepted; export it as H.264")
        if track.duration_s and track.num_samples / track.duration_s > limits.fps:
            rate = track.num_samples / track.duration_s
            raise MediaInvalid(
                f"the video has {rate:.0f} frames a second, at most {limits.fps:.0f}; export it at 25 to 60"
            )
    for track in (*pictures, *sounds):
        _check_duration(track.duration_s, limits)


def _check_picture_size(width: int, height: int, limits: Limits) -> None:
    if min(width, height) < limits.min_side:
        raise MediaInvalid(f"the video is {width}x{height} pixels, too small; send one of at least 360 lines")
    if width * height > limits.num_pixels or max(width, height) > 8192:
        raise MediaInvalid(f"the video is {width}x{height}; at most {limits.num_pixels} pixels (4096x4096): shrink it")


def _check_duration(duration_s: float, limits: Limits) -> None:
    if duration_s > limits.duration_s:
        raise MediaInvalid(f"it lasts {duration_s:.1f} s, at most {limits.duration_s:g} s are accepted; cut it shorter")
    if duration_s < limits.min_duration_s:
        raise MediaInvalid(f"it lasts {duration_s:.3f} s: there is nothing in it; send at least a second")


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decode_in_child(source: Path, kind: Kind, limits: Limits) -> dict[str, Any]:
    """Run `_child` in its own session and process group; returns its facts. Raises MediaInvalid."""
    root = str(Path(__file__).resolve().parents[1])
    order = json.dumps({"source": str(source), "kind": kind, "limits": asdict(limits)})
    code = f"import sys; sys.path[:0] = {[root]!r}; from muybridge.ingest import _child; _child()"
    # -I: no PYTHON* variables, no user site; the environment is empty but for one-thread numerics.
    environment = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
    # The answer goes to a file, not a pipe: a child that floods it meets RLIMIT_FSIZE, and we read only its start.
    with source.with_name("answer").open("w+b") as answer:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            cwd=source.parent,
            env=environment,
            start_new_session=True,
        )
        try:
            process.communicate(order.encode(), timeout=limits.wall_s)
        except subprocess.TimeoutExpired:
            raise MediaInvalid(
                f"decoding the {kind} took over {limits.wall_s:g} s; send a shorter or smaller one"
            ) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        answer.seek(0)
        told = answer.read(4096)
    return _judge(told, process.returncode, kind)


def _judge(answer: bytes, status: int, kind: Kind) -> dict[str, Any]:
    try:
        told = json.loads(answer)
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    if status == 0 and isinstance(told.get("facts"), dict):
        return {name: told["facts"][name] for name in FACTS if isinstance(told["facts"].get(name), int | float)}
    if isinstance(told.get("refused"), str):
        raise MediaInvalid(told["refused"][:500])
    if isinstance(told.get("fault"), str):
        raise MuybridgeError(f"the decoder process failed: {told['fault'][:500]}; this is our fault, please report it")
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    raise MediaInvalid(f"the {kind} broke the decoder ({how}) or needs too much memory; {ADVICE[kind]} exported anew")


# ---- The child. Nothing below runs in the parent. ----


def _child() -> None:
    order = json.loads(sys.stdin.read())
    limits = Limits(**order["limits"])
    source, kind = Path(order["source"]), order["kind"]
    import av.error

    import muybridge.media  # noqa: F401  (the C libraries load before the room is locked)

    lock(limits.memory_bytes, limits.cpu_s, limits.output_bytes)
    makers = {"image": _make_image, "video": _make_video, "audio": _make_audio}
    try:
        told: dict[str, object] = {"facts": makers[kind](source, source.with_name("made" + SUFFIX[kind]), limits)}
    except (MediaInvalid, MemoryError) as error:
        told = {"refused": str(error) or f"the {kind} needs too much memory to decode; send a smaller one"}
    except OSError as error:
        refused = isinstance(error, av.error.FFmpegError) or error.errno in (12, 27)  # ENOMEM, EFBIG
        told = {"refused" if refused else "fault": f"the {kind} cannot be decoded ({error.strerror}); export it again"}
    except MuybridgeError as error:
        told = {"refused": str(error)}
    except Exception as error:  # the last stop before the pipe: the parent turns it into our fault
        told = {"fault": f"{type(error).__name__}: {error}"}
    print(json.dumps(told), flush=True)  # noqa: T201  (the pipe to the parent)
    os._exit(0 if "facts" in told else 1)


def _make_image(source: Path, target: Path, limits: Limits) -> dict[str, float]:
    from muybridge.media import read_image, write_image

    frame_YXC = read_image(source)
    height, width = frame_YXC.shape[:2]
    if height * width > limits.num_pixels:
        raise MediaInvalid(f"the picture decodes to {width}x{height}, more than its header says; save it again")
    write_image(target, frame_YXC)
    return {"width": width, "height": height}


def _make_video(source: Path, target: Path, limits: Limits) -> dict[str, float]:
    from muybridge.media import ClipReader, ClipWriter, fit_waveform, probe, read_audio, samples_at

    info = probe(source, threads=1)
    _check_picture_size(info.width, info.height, limits)
    scale = min(1.0, limits.video_side / max(info.width, info.height))
    size = (round(info.height * scale / 2) * 2, round(info.width * scale / 2) * 2)
    reader = ClipReader(
        source, size=size, max_seconds=limits.kept_s, max_pixels=limits.num_pixels, threads=1, sound=False
    )
    frames = reader.frames()
    first_YXC = next(frames)
    sound_CS, rate = None, None
    if info.audio_codec:
        sound_CS, rate = read_audio(source, origin_s=reader.origin_s, max_seconds=limits.kept_s, threads=1)
    with ClipWriter(target, fps=reader.fps, sample_rate=rate, crf=14, threads=1) as writer:
        for frame_YXC in itertools.chain([first_YXC], frames):
            if sound_CS is None or rate is None:
                writer.add(frame_YXC[None])
                continue
            start, end = (samples_at(writer.num_frames + k, reader.fps, rate) for k in (0, 1))
            writer.add(frame_YXC[None], fit_waveform(sound_CS[:, start:end], end - start))
        clip = writer.close()
    reader.close()
    return {
        "width": clip.width,
        "height": clip.height,
        "num_frames": clip.num_frames,
        "duration_s": clip.duration_s,
        "sample_rate": clip.sample_rate or 0,
        "channels": clip.channels,
    }


def _make_audio(source: Path, target: Path, limits: Limits) -> dict[str, float]:
    from muybridge.media import read_audio, write_wav

    sound_CS, rate = read_audio(source, max_seconds=limits.duration_s + 1, threads=1)
    _check_duration(sound_CS.shape[1] / rate, limits)
    write_wav(target, sound_CS, rate)
    return {"duration_s": sound_CS.shape[1] / rate, "sample_rate": rate, "channels": sound_CS.shape[0]}
