"""Does the base draw mouths from phones? Its error along lips' directions with the phones, without, with others'.

    python bench/lips.py --latents LATENTS [--weights runs/base/export] [--clips 24]

LATENTS come from clips with a mute twin that no run has read (`muybridge world puppets`, `world takes --framing
"extreme close-up"`, then `world latents`). One pass per noise level, the same noise for all three columns.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from muybridge.flow.objective import velocity_target
from muybridge.recipes.base import load_export, noised, velocities
from muybridge.recipes.losses import Task, lip_loss
from muybridge.train import latents
from muybridge.train.cuts import shortened

LEVELS = (0.5, 0.7, 0.85, 0.95, 0.99)
LONGEST, TOGETHER = 12, 12


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path("muybridge/shipped/tiny"))
    parser.add_argument("--clips", type=int, default=24)
    args = parser.parse_args()
    base, text = load_export(args.weights)
    cache = latents.read(args.latents)
    found = (cache.item(k) for k in range(len(cache)))
    items = [shortened(i, LONGEST, 4) for i in found if i.lips_KCYX is not None and i.lines][: args.clips]
    items = [i for i in items if i.lines]  # those that speak in the cut
    print(f"{'level':>8}{'phones':>10}{'none':>10}{'others':>10}   {len(items)} clips")
    for level in LEVELS:
        sums = torch.zeros(3)
        for at in range(0, len(items), TOGETHER):
            part = items[at : at + TOGETHER]
            generator = torch.Generator().manual_seed(at)
            noisy = [noised(item, level, generator) for item in part]
            wanted = [
                (velocity_target(i.video, n[0]), velocity_target(i.audio, n[1]))
                for i, (_, n) in zip(part, noisy, strict=True)
            ]
            swapped = [replace(i, lines=part[(k + 1) % len(part)].lines) for k, i in enumerate(part)]
            for column, (shown, drops) in enumerate(((part, ()), (part, ("speech",)), (swapped, ()))):
                pairs = [(item, Task("t2v", level, frozenset(drops))) for item in shown]
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                    made = velocities(base, text, pairs, [x for x, _ in noisy])
                error = lip_loss(pairs, made, wanted)
                assert error is not None
                sums[column] += float(error) * len(part)
        print(f"{level:8.2f}" + "".join(f"{float(value) / len(items):10.2f}" for value in sums), flush=True)


if __name__ == "__main__":
    main()
