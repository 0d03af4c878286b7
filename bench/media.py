"""How fast clips are written, read and taken in, and how much memory that needs. Prints one row a measurement.

Run: python bench/media.py [--seconds 4] [--json]. Ratios to real time (1.0 is as fast as playing) from one run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muybridge.ingest import ingest
from muybridge.media import ClipReader, ClipWriter, condition_image, read_clip, write_image

SIZES = ((256, 448), (720, 1280), (1088, 1920))
RATE = 48_000


def moving(num_frames: int, height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """Soft texture that pans and flickers, (1, Y, X, 3) at a time: neither free nor noise for the encoder."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 215, (height // 8 + 1, width // 8 + num_frames // 2 + 2, 3), dtype=np.uint8)
    texture = coarse.repeat(8, 0).repeat(8, 1)[:height]
    for n in range(num_frames):
        grain = rng.integers(0, 6, (height, width, 1), dtype=np.uint8)
        yield (texture[:, 3 * n : 3 * n + width] + grain)[None]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(height: int, width: int, seconds: float, directory: Path) -> dict[str, object]:
    num_frames = round(seconds * 25)
    path = directory / f"{height}.mp4"
    tone = 0.2 * np.sin(2 * np.pi * 220 * np.arange(RATE // 25) / RATE).astype(np.float32)
    sound = np.stack([tone, tone])

    def write() -> None:
        with ClipWriter(path, sample_rate=RATE) as writer:
            for frame in moving(num_frames, height, width):
                writer.add(frame, sound)

    def read() -> None:
        reader = ClipReader(path)
        for _ in reader.frames():
            pass
        reader.waveform()
        reader.close()

    make_s = timed(lambda: [None for _ in moving(num_frames, height, width)])
    write_s = timed(write) - make_s
    read_s = timed(read)
    sized_s = timed(lambda: read_clip(path, size=(256, 448)))
    ingest_s = timed(lambda: ingest(path, "video", directory / "out"))
    return {
        "size": f"{width}x{height}",
        "seconds": seconds,
        "write_x": round(seconds / write_s, 2),
        "read_x": round(seconds / read_s, 2),
        "read_448x256_x": round(seconds / sized_s, 2),
        "ingest_x": round(seconds / ingest_s, 2),
        "megabytes": round(path.stat().st_size / 1e6, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each clip")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        rows = [measure(*size, options.seconds, directory) for size in SIZES]
        picture = next(moving(1, 1088, 1920))[0]
        write_image(directory / "a.png", picture)
        still = {
            "image_ingest_s": round(timed(lambda: ingest(directory / "a.png", "image", directory / "out")), 3),
            "condition_image_s": round(timed(lambda: condition_image(picture, 256, 448)), 3),
            "cores": os.cpu_count(),
        }
    if options.json:
        print(json.dumps({"clips": rows, "stills": still}))
        return
    for row in rows:
        print("  ".join(f"{key}={value}" for key, value in row.items()))
    print("  ".join(f"{key}={value}" for key, value in still.items()))


if __name__ == "__main__":
    main()
