"""Results of remotes as hostile media: checked and re-encoded by `muybridge.ingest`, then cut and scaled to the wish.

What leaves here is ours: a provider's bytes go no further than `muybridge.ingest`'s locked child.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

from muybridge.errors import MediaInvalid
from muybridge.jobs.worker import ResultFile
from muybridge.providers.attempts import Checked
from muybridge.providers.provider import Order
from muybridge.request import AudioMode
from muybridge.trust.provenance import carries_manifest

SHORT_BY_S = 0.35  # a clip may come this much shorter: frame rates other than ours, a missing last frame
MAX_BYTES = 512 << 20


def check_length(seconds: float, order: Order) -> None:
    """Refuse a clip that is shorter than what was paid for. Raises MediaInvalid."""
    if seconds < order.request.seconds - SHORT_BY_S:
        raise MediaInvalid(f"it lasts {seconds:.2f} s instead of {order.request.seconds:g} s.")


def check(raw: Path, order: Order) -> Checked:
    """Our own copy of a result, of the size and at most the length asked for. Raises MediaInvalid."""
    from muybridge.ingest import Limits, ingest

    limits = Limits(num_bytes=MAX_BYTES, kept_s=max(order.seconds, order.request.seconds) + 1.0)
    made = ingest(raw, "video", raw.parent, limits)
    if order.task != "edit":  # an edit is as long as its source
        check_length(made.duration_s, order)
    original = raw if carries_manifest(raw) else None
    width, height = order.request.pixel_size
    silent = order.request.audio_mode is AudioMode.NONE and made.has_audio
    long = made.duration_s > order.request.seconds + 0.5 / 25
    follows = order.task in ("i2v", "edit")  # the input decides the shape
    if not (silent or long or (not follows and (made.width, made.height) != (width, height))):
        return Checked(made.path, made.duration_s, made.width, made.height, original)
    size = (made.height, made.width) if follows else (height, width)
    return replace(refit(made.path, order.request.seconds, size, silent), original=original)


def refit(source: Path, max_seconds: float, size: tuple[int, int], silent: bool) -> Checked:
    """Cut to a length, scale to (rows, columns) and crop what hangs over, drop the sound if unwanted."""
    from muybridge.media import (
        ClipReader,
        ClipWriter,
        crop_to_aspect,
        fit_waveform,
        probe,
        read_audio,
        resize,
        samples_at,
    )

    target = source.with_name("fitted.mp4")
    reader = ClipReader(source, max_seconds=max_seconds, sound=False)
    frames = reader.frames()
    first_YXC = next(frames)
    sound_CS, rate = None, None
    if not silent and probe(source).audio_codec:
        sound_CS, rate = read_audio(source, max_seconds=max_seconds, origin_s=reader.origin_s)
    height, width = size
    with ClipWriter(target, fps=reader.fps, sample_rate=rate) as writer:
        for frame_YXC in itertools.chain([first_YXC], frames):
            fitted_YXC = frame_YXC
            if frame_YXC.shape[:2] != size:
                fitted_YXC = resize(crop_to_aspect(frame_YXC, height, width), height, width)
            if sound_CS is None or rate is None:
                writer.add(fitted_YXC[None])
                continue
            start, end = (samples_at(writer.num_frames + k, reader.fps, rate) for k in (0, 1))
            writer.add(fitted_YXC[None], fit_waveform(sound_CS[:, start:end], end - start))
        num_frames = writer.num_frames
    reader.close()
    return Checked(target, float(num_frames / reader.fps), width, height)


def files(clip: Checked, folder: Path) -> tuple[ResultFile, ...]:
    """The clip and the pictures that protocols offer of it, made without holding the clip in memory."""
    import numpy as np

    from muybridge.media import ClipReader, spritesheet, thumbnail, write_image

    tiles, last_YXC = [], None
    reader = ClipReader(clip.path, sound=False)
    for frame_YXC in reader.frames():
        tiles.append(thumbnail(frame_YXC, long_side=160))
        last_YXC = frame_YXC
    reader.close()
    assert last_YXC is not None, "a checked clip has frames"
    poster, sheet, last = folder / "thumbnail.webp", folder / "spritesheet.jpg", folder / "last_frame.png"
    write_image(poster, thumbnail(last_YXC))
    write_image(sheet, spritesheet(np.stack(tiles)))
    write_image(last, last_YXC)
    return (
        ResultFile("video", clip.path, "video/mp4", clip.width, clip.height, clip.seconds, 25.0),
        ResultFile("thumbnail", poster, "image/webp"),
        ResultFile("spritesheet", sheet, "image/jpeg"),
        ResultFile("last_frame", last, "image/png", clip.width, clip.height),
    )
