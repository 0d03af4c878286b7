"""Prints what the picture painter adds to drawn pictures that no run has read, beside true ones.

    python bench/painted.py [--count 24] [--model tiny] [--sheet FILE]

Scenes of the test split and what the draft makes of them (recipes/pictures.py), without their faces. detail: the mean
step between neighbouring pixels over that of the true picture; of a true picture it is 1, of a smear near 0. afar: how
far a picture is from the drawn one where eight by eight pixels are seen as one, in shares of white.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torch.nn import functional as nnf

os.environ.setdefault("LP_NUM_THREADS", "0")


def detail(picture_CYX: Tensor, apart_YX: Tensor) -> float:
    """The mean step between neighbours outside of what is left out."""
    steps_YX = (picture_CYX[:, 1:, 1:] - picture_CYX[:, :-1, :-1]).abs().mean(0)
    return float((steps_YX * apart_YX[1:, 1:]).sum() / apart_YX[1:, 1:].sum())


def main() -> None:
    """Prints a row each for drawn, painted and true pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--sheet", type=Path, help="write the pictures here: drawn, painted, true")
    asked = parser.parse_args()
    from muybridge import load, media
    from muybridge.engine.sharpen import painted
    from muybridge.recipes import pictures

    parts = load(asked.model).parts
    found: dict[str, list[tuple[float, float]]] = {"drawn": [], "painted": [], "true": []}
    rows = []
    for index in track(range(asked.count), "drawing"):
        one = pictures.picture(parts, index, "test")
        seen = {name: torch.from_numpy(one[name]).float() / 127.5 - 1 for name in ("drawn", "true")}
        (words_NC,) = parts.text_encoder.encode([str(one["prompt"])])
        seen["painted"] = painted(parts, words_NC.float().mean(0), index, seen["drawn"])
        apart_YX = 1 - torch.from_numpy(one["face"]).float() / 255
        for name, picture in seen.items():
            afar = (nnf.avg_pool2d(picture, 8) - nnf.avg_pool2d(seen["drawn"], 8)).abs().mean() / 2
            found[name].append((detail(picture, apart_YX), float(afar)))
        rows.append(torch.cat([seen[name] for name in found], 2))
    truth = np.mean([value for value, _ in found["true"]])
    print(f"{'':10}{'detail':>8}{'afar':>8}   of {asked.count}")
    for name, values in found.items():
        print(f"{name:10}{np.mean([v for v, _ in values]) / truth:8.2f}{np.mean([a for _, a in values]):8.3f}")
    if asked.sheet is not None:
        whole_CYX = torch.cat(rows, 1).add(1).mul(127.5).clamp(0, 255).to(torch.uint8)
        media.write_image(asked.sheet, whole_CYX.permute(1, 2, 0).numpy())


if __name__ == "__main__":
    main()
