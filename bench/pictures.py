"""How well are pictures told from noise? Mean squared error of what base and draft say that single pictures are.

    python bench/pictures.py --latents LATENTS [--weights muybridge/shipped/tiny] [--items 160]

LATENTS come from stills that no run has read (`muybridge world stills --silent --split val`, then `world latents`). One
pass per noise level, the same noise for all; "no words" are those of the draft without its prompt. The shipped base was
taught by guided answers, which say more than is true, so its errors near noise are over those of an honest one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_transformer
from muybridge.recipes.base import load_export, noised, velocities
from muybridge.recipes.losses import Task
from muybridge.train import latents
from muybridge.train.cuts import heard, shortened

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.995)
TOGETHER = 40


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--weights", type=Path, default=Path("muybridge/shipped/tiny"))
    parser.add_argument("--items", type=int, default=160)
    args = parser.parse_args()
    base, text = load_export(args.weights)
    draft = load_transformer(args.weights / "draft.safetensors", matrix_dtype=torch.float32)
    cache = latents.read(args.latents, args.split)
    items = [heard(shortened(cache.item(k), 1), 1) for k in range(min(args.items, len(cache)))]
    columns: tuple[tuple[Transformer, frozenset[str]], ...]
    columns = ((base, frozenset()), (draft, frozenset()), (draft, frozenset({"text"})))
    print(f"{'level':>8}{'base':>10}{'draft':>10}{'no words':>10}   {len(items)} pictures")
    for level in LEVELS:
        sums = torch.zeros(len(columns))
        for at in range(0, len(items), TOGETHER):
            part = items[at : at + TOGETHER]
            noisy = [x for x, _ in (noised(item, level, torch.Generator().manual_seed(at + k))
                                    for k, item in enumerate(part))]  # fmt: skip
            for column, (network, drops) in enumerate(columns):
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                    made = velocities(network, text, [(item, Task("t2v", level, drops)) for item in part], noisy)
                for item, x, velocity in zip(part, noisy, made, strict=True):
                    sums[column] += (x[0] - level * velocity[0].float() - item.video).square().mean()
        print(f"{level:8.3f}" + "".join(f"{float(value) / len(items):10.3f}" for value in sums), flush=True)


if __name__ == "__main__":
    main()
