"""Every camera move of the world over a few scenes: which of them the witness names, and a sheet to look at.

    python bench/camera.py [--model tiny] [--scenes 3] [--output docs/camera.jpg]

A clip of 3 s a move and scene, with seeds 0, 1, ...; a row of the sheet is the first scene's clip in six frames, in the
order that is printed. What the witness sees of rendered clips is in the model card (camera as asked, the ceiling).
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from rich.progress import track

import muybridge
from muybridge import media
from muybridge.suites.run import Run
from muybridge.world.wording import MOVES

SCENES = (
    "A close-up of a man with short black hair in a blue shirt in a library.",
    "A medium shot of a woman with blond hair in a green dress on a street at night.",
    "A medium close-up of a young woman with long brown hair in a pink sweater in a meadow by day.",
)
SHOWN = 6


def main() -> None:
    """Prints a row a move and the share of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scenes", type=int, default=len(SCENES))
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    engine = muybridge.load(asked.model)
    run = Run(engine, quiet=True)
    rows, hits = [], []
    for move, words in track(MOVES.items(), "generating"):
        seen = []
        for seed, scene in enumerate(SCENES[: asked.scenes]):
            request = muybridge.Request(f"{scene} {words[0]}", seconds=3, seed=seed, size="224x128")
            frames = engine.generate(request).frames_TYXC
            seen.append(run.attributes(frames)["camera"])
            if seed == 0:
                rows.append(np.concatenate(frames[np.linspace(0, len(frames) - 1, SHOWN).astype(int)], 1))
        hits += [answer == move for answer in seen]
        print(f"{move:12} {', '.join(f'{answer} {n}' for answer, n in Counter(seen).most_common())}")
    print(f"as asked {np.mean(hits):.2f} of {len(hits)}")
    if asked.output:
        media.write_image(asked.output, np.concatenate(rows))
    run.close()


if __name__ == "__main__":
    main()
