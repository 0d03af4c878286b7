"""A picture as the first frame: is it kept, in the world and for real photos, and does the clip move?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from muybridge import media
from muybridge.evaluate import picture
from muybridge.shapes import PixelSize
from muybridge.suites import drawings
from muybridge.suites.codec import through
from muybridge.suites.run import Run
from muybridge.suites.table import Row

SECONDS = 3.0
LEAST_MOTION = 0.3  # grey levels a frame; a still that was coded has less


def evaluate(run: Run) -> list[Row]:
    """PSNR of the first frame against the codec's own picture of it; share of clips that move."""
    rows = []
    for kind, cases in (("world", _world(run)), ("photos", _photos(run.size))):
        close, codec, moves, true_moves = [], [], [], []
        for number, (still, prompt, motion) in enumerate(cases):
            if motion is not None:
                true_moves.append(motion >= LEAST_MOTION)
            if run.engine is None:
                continue
            path = media.write_image(run.plot(f"image-{kind}-{number}.png"), still)
            clip = run.engine.generate(run.ask(prompt, SECONDS, number, image=path))
            best = through(run.engine.parts.video_codec, still[None])
            close.append(min(picture.psnr(clip.frames_TYXC[:1], best), 60.0))
            codec.append(picture.psnr(best, still[None]))
            moves.append(picture.motion(clip.frames_TYXC) >= LEAST_MOTION)
        made = run.engine is not None
        kept = float(np.mean(codec)) if codec else None
        rows += [
            Row(f"{kind}: first frame, against the codec's (dB)", _mean(close, made), None, ">= 30", len(close)),
            Row(f"{kind}: the codec's frame, against the picture (dB)", kept, None, "", len(codec)),
            Row(f"{kind}: clips that move", _mean(moves, made), _mean(true_moves, bool(true_moves)), "1.0", len(moves)),
        ]
    return rows


def _mean(values: list[float] | list[bool], is_there: bool) -> float | None:
    return float(np.mean(values)) if is_there and values else None


def _world(run: Run) -> Iterator[tuple[NDArray[np.uint8], str, float | None]]:
    """(first frame, prompt, motion a frame in the rendered truth) of test scenes."""
    from muybridge.world import captions

    for index in run.track(range(run.first, run.first + run.count), "world"):
        scene, _ = drawings.scene_of(index, "test")
        first, after = (frame.pixels_YX3 for frame in drawings.frames_at(scene, np.array([10, 11]), size=run.size))
        yield first, captions.caption(scene, scene.seed, "test"), picture.motion(np.stack([first, after]))


def _photos(size: PixelSize) -> Iterator[tuple[NDArray[np.uint8], str, float | None]]:
    """Real pictures that no recipe trains on, as far as the packages that carry them are installed."""
    from muybridge.train.frames import HELD_OUT, picture_path

    words = {
        "coffee": "A cup of coffee on a table, the camera pushes in",
        "rocket": "A rocket on its launch pad at dusk, the camera pans left",
        "motorcycle_right": "A motorcycle in a garage, the camera pans right",
    }
    for name in HELD_OUT:
        path = picture_path(name)
        if path is not None:
            yield media.condition_image(media.read_image(path), size.height, size.width), words[name], None
