"""How much the steps across token borders stand out in clips of `tiny`, by the rule that its picture is sampled with.

    python bench/samplers.py [--model tiny] [--output samplers.jpg]

For every rule, guidance and schedule: the prompts of bench/ten_prompts.py with seeds 0 to 9; mean jump of brightness
between neighbouring pixels over a token's border, over that inside of tokens (1: no seams), and the standard deviation
over time of pixels (motion, or flicker). With `--output`, a row a prompt and two frames a rule.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from ten_prompts import PROMPTS

import muybridge
from muybridge import media
from muybridge.engine import sampling
from muybridge.engine.sampling import Rule, Sampling
from muybridge.flow.guidance import GuidancePolicy, Scales

TOKEN = 32  # pixels a side
WAYS: tuple[tuple[Rule, int, float, float], ...] = (
    ("distilled", 8, 1.0, 16.0),
    ("euler", 12, 2.0, 16.0),
    ("distilled", 12, 2.0, 16.0),
    ("distilled", 12, 3.0, 16.0),
    ("distilled", 24, 2.0, 16.0),
)


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


def main() -> None:
    """Prints one row a way of sampling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--output", type=Path, help="lay the frames out here")
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    asked = parser.parse_args()
    engine = muybridge.load(asked.model)
    columns = []
    print(f"{'rule':10} {'steps':>5} {'guidance':>8} {'shift':>5} {'seams':>6} {'over time':>9}")
    for rule, steps, scale, shift in WAYS:
        policy = GuidancePolicy(Scales(video=scale))
        sampling.BASE[engine.parts.size] = Sampling(steps, rule, policy, shift, audio_rule="euler")
        rows, found, moved = [], [], []
        for seed, prompt in enumerate(track(PROMPTS[: asked.prompts], f"{rule} {steps}")):
            frames = engine.generate(muybridge.Request(prompt, size="224x128", seconds=3, seed=seed)).frames_TYXC
            found.append(seams(frames))
            moved.append(float(frames.astype(np.float32).std(0).mean()))
            rows.append(np.concatenate(list(frames[[2, -25]]), 1))
        columns.append(np.concatenate(rows))
        print(f"{rule:10} {steps:5} {scale:8.1f} {shift:5.1f} {np.mean(found):6.2f} {np.mean(moved):9.1f}", flush=True)
    if asked.output:
        media.write_image(asked.output, np.concatenate(columns, 1))


if __name__ == "__main__":
    main()
