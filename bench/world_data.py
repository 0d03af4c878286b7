"""What the world's data costs and how true it is: sizes, processor time, lips against sound. Prints one table.

    python bench/world_data.py [TALKING_CLIPS]

Speech comes from the bank (`muybridge world speech`). Times are processor seconds of one process, so that other work
on the machine does not count.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("LP_NUM_THREADS", "0")  # llvmpipe draws in this process

import numpy as np
import torch

from muybridge.model.tiny_video_codec import TinyVideoCodec
from muybridge.model.world_audio_codec import WorldAudioCodec
from muybridge.train import frames, latents, takes
from muybridge.world import sentences, talking
from muybridge.world.anatomy import UNIT_INDEX
from muybridge.world.person import LANDMARKS
from muybridge.world.utterances import Bank, default_folder
from muybridge.world.voices import SAMPLE_RATE


def bank() -> None:
    """Minutes, size and make-up of the bank."""
    held = Bank()
    rows = [row for rows in held.rows.values() for _, row in rows]
    hours = sum(row["samples"] for row in rows) / SAMPLE_RATE / 3600
    size = sum(path.stat().st_size for path in default_folder().iterdir())
    print(f"bank: {len(rows)} utterances, {60 * hours:.1f} minutes, {size / hours / 1e6:.1f} MB an hour")
    print(f"  by language {dict(Counter(row['language'] for row in rows))}")
    print(f"  by register {dict(Counter(row['register'] for row in rows))}")


def lips(count: int) -> None:
    """Drawn lip opening against the jaw track and against loudness, over clips in which one person speaks."""
    upper, lower = (LANDMARKS.index(f"lip_{side}_inner") for side in ("upper", "lower"))
    jaws: list[float] = []
    lags: list[int] = []
    index, spent, num_frames = 0, 0.0, 0
    while len(jaws) < count:
        planned = talking.plan(index, "train", 4.0, cast="person")
        index += 1
        if not planned.lines:
            continue
        start = time.process_time()
        clip = talking.draw(planned, index, "train", 96, 96)
        spent, num_frames = spent + time.process_time() - start, num_frames + len(clip.frames_TYX3)
        open_T = np.linalg.norm(clip.landmarks_TPL3[:, 0, lower] - clip.landmarks_TPL3[:, 0, upper], axis=1)
        jaws.append(float(np.corrcoef(open_T, clip.units_TPU[:, 0, UNIT_INDEX["jawOpen"]])[0, 1]))
        loud_T = np.sqrt((clip.waveform_CS[0].reshape(len(open_T), 960) ** 2).mean(1))
        scores = [np.corrcoef(np.roll(loud_T, lag)[8:-8], open_T[8:-8])[0, 1] for lag in range(-6, 7)]
        lags.append(int(np.argmax(scores)) - 6)
    print(f"lips, {count} clips: opening against jaw track r {np.median(jaws):.3f} (least {min(jaws):.2f})")
    print(f"  loudness leads or trails by {dict(sorted(Counter(lags).items()))} frames, median {np.median(lags):+.0f}")
    print(f"  96x96 with masks: {num_frames / spent:.0f} frames a processor second")


def disk(count: int = 12) -> None:
    """Processor time and bytes of takes, and of their latents with codecs that are not trained."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for height, width in ((128, 128), (256, 448)):
            takes_folder = folder / f"{width}"
            takes_folder.mkdir()
            start, num_frames = time.process_time(), 0
            for index in range(count):
                take = takes.shoot(index, "train", height, width, 3.0)
                num_frames += len(take.frames_TYX3)
                takes.write(takes_folder, take)
            drawn = time.process_time() - start
            size = sum(path.stat().st_size for path in takes_folder.iterdir())
            start = time.process_time()
            latents.build(takes_folder, takes_folder / "out", TinyVideoCodec(), WorldAudioCodec(), quiet=True)
            encoded = time.process_time() - start
            held = sum(path.stat().st_size for path in (takes_folder / "out").iterdir())
            clip_s = num_frames / 25
            print(f"takes {width}x{height}, a second of clip: {drawn / clip_s:.1f} s, {size / clip_s / 1e3:.0f} kB")
            print(f"  latents, a second of clip: {encoded / clip_s:.2f} s, {held / clip_s / 1e3:.0f} kB")


def crops() -> None:
    """Processor time of frames for the video codec."""
    start = time.process_time()
    made = sum(len(list(frames.world_cuts(index, 192, "train"))) for index in range(6))
    print(f"frames: {(time.process_time() - start) / made:.2f} processor s a clip of 13 frames at 192x192")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for language in sentences.LANGUAGES:
        print(f"sentences {language}: {sentences.num_sentences(language):,}")
    bank()
    crops()
    lips(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
    disk()
