"""Compares what a short run of the base recipe learns when it answers velocities and when its answers are scaled.

    python bench/answers.py --latents runs/latents --stills runs/latents_stills [--steps 60] [--layers 8] [--width 256]
    python bench/answers.py --latents runs/latents --weights runs/base/export

The same steps, noise and items twice; then the mean squared error of the velocity of stills (first latent, no sound)
by noise level, beside the guess of each channel alone (flow/scaling.py with a silent network). With `--weights`, the
errors of one trained base alone.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from muybridge.config import ModelConfig
from muybridge.flow.objective import interpolate, velocity_target
from muybridge.flow.scaling import from_noise, velocity_of
from muybridge.recipes.base import load_export, recipe, velocities, with_moments
from muybridge.recipes.losses import Task
from muybridge.train.cuts import heard, shortened
from muybridge.train.items import Item
from muybridge.train.latents import read
from muybridge.train.trainer import train

SIGMAS = (0.3, 0.5, 0.73, 0.9, 0.97)


def errors(folder: Path, items: list[Item]) -> list[float]:
    """Velocity errors of an exported base at each of SIGMAS."""
    base, text = load_export(folder)
    found = []
    for sigma in SIGMAS:
        pairs = [(item, Task("t2v", sigma, frozenset())) for item in items]
        noisy, noises = noised(items, sigma)
        with torch.inference_mode():
            made = velocities(base, text, pairs, [(x, i.audio) for x, i in zip(noisy, items, strict=True)])
        found.append(mean_error([v for v, _ in made], items, noises))
    return found


def guesses(config: ModelConfig, items: list[Item]) -> list[float]:
    """Velocity errors of the guess that looks at each channel alone."""
    found = []
    for sigma in SIGMAS:
        noisy, noises = noised(items, sigma)
        made = [velocity_of(torch.zeros_like(x), x, sigma, from_noise(config.video_moments), 0) for x in noisy]
        found.append(mean_error(made, items, noises))
    return found


def noised(items: list[Item], sigma: float) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The items' videos at a noise level, and the noise; always the same."""
    generator = torch.Generator().manual_seed(0)
    noises = [torch.randn(item.video.shape, generator=generator) for item in items]
    level = torch.tensor([sigma])
    return [interpolate(i.video[None], n[None], level)[0] for i, n in zip(items, noises, strict=True)], noises


def mean_error(made: list[torch.Tensor], items: list[Item], noises: list[torch.Tensor]) -> float:
    """Mean squared error of velocities."""
    wanted = [velocity_target(i.video, n) for i, n in zip(items, noises, strict=True)]
    return sum(float((a - b).square().mean()) for a, b in zip(made, wanted, strict=True)) / len(items)


def main() -> None:
    """Prints one row a way of answering, one column a noise level."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--stills", type=Path)
    parser.add_argument("--weights", type=Path, help="a base's export: print its errors and train nothing")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=256)
    asked = parser.parse_args()
    cache = read(asked.stills or asked.latents)
    items = [heard(shortened(cache.item(k), 1), 1) for k in range(max(0, len(cache) - 64), len(cache))]
    config = with_moments(ModelConfig(), [cache])
    print(f"{'noise level':24}", *(f"{s:>7}" for s in SIGMAS))
    print(f"{'each channel alone':24}", *(f"{e:7.3f}" for e in guesses(config, items)))
    if asked.weights:
        print(f"{'trained':24}", *(f"{e:7.3f}" for e in errors(asked.weights, items)))
        return
    for scaled in (True, False):
        run = recipe(
            latents=str(asked.latents), stills=str(asked.stills or asked.latents), batch_size=32, num_stills=32,
            quiet_stills=32, longest=1, num_steps=asked.steps, learning_rate=2e-3, inner_rate=2.5, muon=True,
            num_layers=asked.layers, hidden_size=asked.width, head_dim=64, average_decay=0.9, scaled=scaled,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            export = train(run, Path(folder)) / "export"
            made = errors(export, items)
        print(f"{'scaled answers' if scaled else 'velocities':24}", *(f"{e:7.3f}" for e in made), flush=True)


if __name__ == "__main__":
    main()
