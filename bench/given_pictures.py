"""Draws what tiny makes of given pictures and clips, test scenes 0 to 4 in order, none picked, as one picture.

    python bench/given_pictures.py [--model tiny] [--output docs/given-pictures.jpg]

A column each: a first picture and the clip at 1, 2 and 3 s, then a source's middle frame, what the instruction asks for
as the world draws it, and what was made. Prints prompts and instructions.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.progress import track

import muybridge
from muybridge import media
from muybridge.shapes import PixelSize
from muybridge.suites import drawings
from muybridge.suites.edit import FACTORS, SECONDS

COUNT = 5
SIZE = PixelSize(448, 256)


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--output", type=Path, default=Path("docs/given-pictures.jpg"))
    asked = parser.parse_args()
    from muybridge.world import captions, edits

    engine = muybridge.load(asked.model)
    columns = []
    with tempfile.TemporaryDirectory() as name:
        for number in track(range(COUNT), "generating"):
            scene, _ = drawings.scene_of(number, "test")
            prompt = captions.caption(scene, scene.seed, "test")
            first = drawings.frames_at(scene, np.array([0]), size=SIZE)[0].pixels_YX3
            image = media.write_image(Path(name) / "first.png", first)
            clip = engine.generate(muybridge.Request(prompt, seconds=3, seed=number, image=image)).frames_TYXC
            column = [first, clip[25], clip[50], clip[-1]]
            pair = edits.edit_pair(number, "test", tuple(FACTORS)[number % len(FACTORS)], SECONDS)
            middle = round(SECONDS * 25) // 2
            before = [f.pixels_YX3 for f in drawings.frames_at(pair.before, np.arange(77), size=SIZE)]
            after = drawings.frames_at(pair.after, np.array([middle]), size=SIZE)[0].pixels_YX3
            source = Path(name) / "source.mp4"
            media.write_clip(source, np.stack(before), None, poster=False)
            request = muybridge.Request(pair.instruction, seconds=SECONDS, seed=number, video=source)
            made = engine.generate(request).frames_TYXC[middle]
            columns.append(np.concatenate([*column, before[middle], after, made]))
            print(f"{number}  {prompt}\n   {pair.instruction}")
    media.write_image(asked.output, np.concatenate(columns, 1)[::2, ::2])


if __name__ == "__main__":
    main()
