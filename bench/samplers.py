"""What the picture of `tiny` gains and loses by the rule that it is sampled with.

    python bench/samplers.py [--model tiny] [--evaluators PYTHON --talks 4] [--output samplers.jpg]

For every rule, guidance and schedule: the prompts of bench/ten_prompts.py with seeds 0 to 9; mean jump of brightness
between neighbouring pixels over a token's border, over that inside of tokens (1: no seams), and the standard deviation
over time of pixels (motion, or flicker). With `--talks`, so many English and German clips of the sync suite as well: r
of the mouth's opening with its plan, and the share of frames in which a face is found. With `--output`, a row a prompt
and two frames a rule.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from ten_prompts import PROMPTS

import muybridge
from muybridge import media
from muybridge.engine import sampling
from muybridge.engine.sampling import Sampling
from muybridge.flow.guidance import NO_GUIDANCE, GuidancePolicy, Scales
from muybridge.suites import sync
from muybridge.suites.run import Run

TOKEN = 32  # pixels a side
LANGUAGES = ("en", "de")
# Steps, shift, freshness (sampling.py). What is distilled is sampled as it is, others at these scales of guidance.
WAYS = ((8, 16.0, 1.0), (8, 8.0, 1.0), (8, 8.0, 0.8), (8, 8.0, 0.6), (8, 8.0, 0.3), (8, 8.0, 0.0), (16, 8.0, 0.6))
SCALES = (2.0, 2.5, 3.0)


def seams(frames_TYXC: NDArray[np.uint8]) -> float:
    """Mean absolute difference of neighbours over token borders, by that of all other neighbours."""
    grey_TYX = frames_TYXC.astype(np.float32).mean(-1)
    over, inside = [], []
    for axis in (1, 2):
        jumps = np.abs(np.diff(grey_TYX, axis=axis)).mean((0, 3 - axis))
        is_border = np.arange(1, len(jumps) + 1) % TOKEN == 0
        over.append(jumps[is_border].mean())
        inside.append(jumps[~is_border].mean())
    return float(np.mean(over) / np.mean(inside))


def lips(run: Run) -> str:
    """Mean r of opening and plan, and the share of frames with a face."""
    shares: list[float] = []
    talks = [sync.made(run, p, k, shares) for name in LANGUAGES for k, (_, p) in enumerate(sync.plans(run, name))]
    return f"{np.mean([t.r for t in talks if t is not None]):6.2f} {np.mean(shares):6.2f}"


def main() -> None:
    """Prints one row a way of sampling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--output", type=Path, help="lay the frames out here")
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--talks", type=int, default=0)
    parser.add_argument("--evaluators", help="Python with MediaPipe, if not this one")
    asked = parser.parse_args()
    engine = muybridge.load(asked.model)
    run = Run(engine, max(1, asked.talks // len(LANGUAGES)), quiet=True, evaluators=asked.evaluators)
    scales = (1.0,) if engine.parts.size == "tiny" else SCALES
    columns = []
    print(f"steps shift fresh guidance {'seams':>6} {'over time':>9} {'r':>6} {'faces':>6}")
    for (steps, shift, freshness), scale in itertools.product(WAYS, scales):
        policy = GuidancePolicy(Scales(video=scale)) if scale != 1 else NO_GUIDANCE
        way = Sampling(steps, "distilled", policy, shift, audio_rule="euler", freshness=freshness)
        sampling.BASE[engine.parts.size] = way
        rows, found, moved = [], [], []
        for seed, prompt in enumerate(track(PROMPTS[: asked.prompts], f"{steps} steps")):
            frames = engine.generate(muybridge.Request(prompt, size="224x128", seconds=3, seed=seed)).frames_TYXC
            found.append(seams(frames))
            moved.append(float(frames.astype(np.float32).std(0).mean()))
            rows.append(np.concatenate(list(frames[[2, -25]]), 1))
        columns.append(np.concatenate(rows))
        mouths = lips(run) if asked.talks else ""
        figures = f"{np.mean(found):6.2f} {np.mean(moved):9.1f} {mouths}"
        print(f"{steps:5} {shift:5.1f} {freshness:5.1f} {scale:8.1f} {figures}", flush=True)
    run.close()
    if asked.output:
        media.write_image(asked.output, np.concatenate(columns, 1))


if __name__ == "__main__":
    main()
