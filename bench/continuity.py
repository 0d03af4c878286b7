"""What is known before the network is asked? Errors of the guess of a channel alone, of that over time, of a base.

    python bench/continuity.py --latents LATENTS [--weights runs/base/export] [--clips 10]

LATENTS come from clips that no run has read. Mean squared error of the velocity by latent; with the first latent given
(i2v), and with the first five as a programme's window has them (window).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from muybridge.flow.objective import velocity_target
from muybridge.flow.scaling import Moments, from_noise, velocity_of, video_moments
from muybridge.recipes.base import TAKEN_OVER, keep_clean, load_export, noised, velocities
from muybridge.recipes.losses import Task
from muybridge.train import latents
from muybridge.train.cuts import shortened

LEVELS = (0.95, 0.8, 0.5)
SHOWN = (0, 1, 2, 5, 6, 8, 12, 15)
LENGTH = 16


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path("muybridge/shipped/tiny"))
    parser.add_argument("--split", default="train")
    parser.add_argument("--clips", type=int, default=10)
    args = parser.parse_args()
    base, text = load_export(args.weights)
    cache = latents.read(args.latents, args.split)
    items = [item for item in map(cache.item, range(len(cache))) if item.video.shape[1] >= LENGTH]
    items = [shortened(item, LENGTH) for item in items[: args.clips]]
    print(f"{len(items)} clips; latents{'':>15}" + "".join(f"{k:>7}" for k in SHOWN))
    for level in LEVELS:
        for name, task in (
            ("t2v", Task("t2v", level, frozenset())),
            ("i2v", Task("i2v", level, frozenset())),
            ("window", Task("i2v", level, frozenset(), TAKEN_OVER)),
        ):
            generator = torch.Generator().manual_seed(0)
            drawn = [noised(item, level, generator) for item in items]
            noisy = [keep_clean(item, task, *x) for item, (x, _) in zip(items, drawn, strict=True)]
            wanted = [velocity_target(item.video, noises[0]) for item, (_, noises) in zip(items, drawn, strict=True)]
            moments = video_moments(base.config)
            alone = silent(noisy, task, from_noise(moments.latent_C))
            over_time = silent(noisy, task, moments)
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                made = velocities(base, text, [(item, task) for item in items], noisy)
            for who, found in (("alone", alone), ("over time", over_time), ("base", [v.float() for v, _ in made])):
                error_T = torch.stack([(a - b).square().mean((0, 2, 3)) for a, b in zip(found, wanted, strict=True)])
                cells = [float(error_T[:, k].mean()) if k >= task.num_given else None for k in SHOWN]
                shown = "".join("      -" if cell is None else f"{cell:7.3f}" for cell in cells)
                print(f"{level:5.2f} {name:>7} {who:>15}{shown}", flush=True)


def silent(noisy: list[tuple[Tensor, Tensor]], task: Task, moments: Moments) -> list[Tensor]:
    """The velocity that a network which says nothing stands for."""
    given = range(task.num_given)
    return [velocity_of(torch.zeros_like(x), x, task.sigma, moments, 0, given) for x, _ in noisy]


if __name__ == "__main__":
    main()
