"""Generates the ten prompts of docs/start.md with seeds 0 to 9, none picked, and lays their frames out as one picture.

    python bench/ten_prompts.py [--model tiny] [--output docs/ten-prompts.jpg] [--clips FOLDER]

A row a prompt, four frames over its length; prints the seconds each took.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from rich.progress import track

import muybridge
from muybridge import media

PROMPTS = (
    'A woman with red hair stands in a park in the morning and says: "Good morning, everyone."',
    'Close-up of a man with a beard in a library. He says: "The book is on the table."',
    "A horse gallops across a meadow in bright daylight.",
    "A campfire burns in the desert at night.",
    "A woman in a blue dress on a beach at sunset. The camera pushes in slowly.",
    'Eine Frau in einem Büro sagt: "Guten Morgen, wie geht es Ihnen?"',
    '一个男人在厨房里说："今天天气很好。"',
    "A red ball bounces on a wooden floor.",
    "Two people stand in a street in the rain at night.",
    'Un homme dans une forêt dit : "Nous allons au marché."',
)
FRAMES = 4


def main() -> None:
    """Writes the picture and, with `--clips`, the clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--output", type=Path, default=Path("docs/ten-prompts.jpg"))
    parser.add_argument("--clips", type=Path, help="keep the clips here")
    asked = parser.parse_args()
    engine = muybridge.load(asked.model)
    rows, spent = [], []
    for seed, prompt in enumerate(track(PROMPTS, "generating")):
        begun = time.monotonic()
        clip = engine.generate(muybridge.Request(prompt, seconds=3, seed=seed))
        spent.append(time.monotonic() - begun)
        if asked.clips:
            asked.clips.mkdir(parents=True, exist_ok=True)
            clip.save(asked.clips / f"{seed}.mp4")
        shown = np.linspace(2, len(clip.frames_TYXC) - 3, FRAMES).round().astype(int)
        rows.append(np.concatenate(list(clip.frames_TYXC[shown]), 1))
    media.write_image(asked.output, np.concatenate(rows))
    for seed, (prompt, seconds) in enumerate(zip(PROMPTS, spent, strict=True)):
        print(f"{seed}  {seconds:5.1f} s  {prompt}")


if __name__ == "__main__":
    main()
