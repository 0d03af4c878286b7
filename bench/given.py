"""Does the base use what it is given? Its error on pairs with the reference or source, and with another item's.

    python bench/given.py --latents LATENTS [--weights runs/base/export] [--items 48]

LATENTS come from stills that no run has read (`muybridge world stills --given --split val`, then `world latents`). The
same noise in both columns; `changed` is the error where the edit changes the picture. Where a model looks at what it is
given, another's makes it worse.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from muybridge.flow.objective import velocity_target
from muybridge.recipes.base import load_export, noised, velocities
from muybridge.recipes.losses import Task
from muybridge.train import latents
from muybridge.train.items import Item

LEVELS = (0.7, 0.85, 0.95, 0.99)


def swapped(items: list[Item], name: str) -> list[Item]:
    """Each item with what the next one is given."""
    out = []
    for k, item in enumerate(items):
        other = items[(k + 1) % len(items)]
        out.append(replace(item, references=other.references) if name == "r2v" else replace(item, source=other.source))
    return out


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path("muybridge/shipped/tiny"))
    parser.add_argument("--split", default="val")
    parser.add_argument("--items", type=int, default=48, help="of each task")
    args = parser.parse_args()
    base, text = load_export(args.weights)
    cache = latents.read(args.latents, args.split)
    every = [cache.item(k) for k in range(len(cache))]
    kinds = {"r2v": [i for i in every if i.references is not None], "edit": [i for i in every if i.source is not None]}
    print(f"{'level':>6}{'task':>6}{'given':>9}{'another':>9}{'changed':>9}{'another':>9}")
    for level in LEVELS:
        for name, found in kinds.items():
            items = found[: args.items]
            generator = torch.Generator().manual_seed(0)
            noisy = [noised(item, level, generator) for item in items]
            row = []
            for seen in (items, swapped(items, name)):
                pairs = [(item, Task(name, level, frozenset())) for item in seen]
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                    made = velocities(base, text, pairs, [x for x, _ in noisy])
                row.append(errors(items, [v for v, _ in made], [n[0] for _, n in noisy]))
            cells = [row[0][0], row[1][0], row[0][1], row[1][1]]
            shown = "".join("        -" if cell is None else f"{cell:9.3f}" for cell in cells)
            print(f"{level:6.2f}{name:>6}{shown}", flush=True)


def errors(items: list[Item], made: list[torch.Tensor], noises: list[torch.Tensor]) -> tuple[float, float | None]:
    """Mean squared error of all, and of what edits change (None without edits)."""
    square, weight, total, count = 0.0, 0.0, 0.0, 0
    for item, video, noise in zip(items, made, noises, strict=True):
        error_CTYX = (video.float() - velocity_target(item.video, noise)).square()
        total, count = total + float(error_CTYX.sum()), count + error_CTYX.numel()
        if item.edited_TYX is not None:
            share = item.edited_TYX.repeat_interleave(2, 1).repeat_interleave(2, 2).expand_as(error_CTYX)
            square, weight = square + float((error_CTYX * share).sum()), weight + float(share.sum())
    return total / count, square / weight if weight else None


if __name__ == "__main__":
    main()
