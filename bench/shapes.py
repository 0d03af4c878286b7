"""Prints how well pictures of every shape show what is asked: clips from words alone, beside the rendered truth.

    python bench/shapes.py [--count 12] [--model tiny] [--evaluators PYTHON] [--sheet FILE]

Scenes of one person, of the test split, in each shape. face: MediaPipe finds one in the middle frame. attributes: hair,
clothes, place and hour that the prompt names, as the witness tells them from the widest 16:9 part around the face.
size: the face's height over that of the truth's, in the median. The truth's own figures are in brackets.
"""

from __future__ import annotations

import argparse
import os
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

os.environ.setdefault("LP_NUM_THREADS", "0")
SHAPES = ("448x256", "384x288", "352x352", "288x384", "256x448")
TOLD = ("hair", "clothes", "place", "hour")


def wide(picture_YX3: NDArray[np.uint8], middle: float) -> NDArray[np.uint8]:
    """The widest 16:9 part, its middle at this share of the height where that fits."""
    height, width = picture_YX3.shape[:2]
    rows = round(width * 4 / 7)
    if rows >= height:
        return picture_YX3
    top = int(np.clip(middle * height - rows / 2, 0, height - rows))
    return picture_YX3[top : top + rows]


def main() -> None:
    """Prints a row for each shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--evaluators")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--sheet", type=Path, help="write the pictures here: true ones over made ones, a row a shape")
    asked = parser.parse_args()
    from muybridge import Request, load, media
    from muybridge.evaluate import witness
    from muybridge.shapes import parse_size
    from muybridge.suites import adherence, drawings
    from muybridge.suites.run import Run
    from muybridge.world import captions

    run = Run(load(asked.model), quiet=True, evaluators=asked.evaluators)
    if run.finder is None:
        parser.error("faces are found by MediaPipe; give --evaluators (docs/how/evaluate.md)")
    found = (drawings.scene_of(index, "test")[0] for index in count())
    scenes = list(islice((scene for scene in found if len(scene.people) == 1), asked.count))
    rows = []
    print(f"{'':10}{'face':>12}{'attributes':>14}{'size':>7}   of {asked.count}", flush=True)
    for shape in asked.shapes.split(","):
        hits: dict[str, list[bool]] = {"made": [], "true": []}
        seen: dict[str, list[float]] = {"made": [], "true": []}
        columns = []
        for number, scene in enumerate(track(scenes, shape)):
            prompt = captions.caption(scene, scene.seed, "test")
            named = adherence.mentioned(scene, prompt)
            answers = {k: v for k, v in adherence.answers(scene).items() if k in named and k in TOLD}
            clip = run.make(Request(prompt, seconds=3, seed=number, size=shape))
            assert clip is not None  # there is a model
            middle = np.array([scene.num_frames // 2])
            drawn = drawings.frames_at(scene, middle, size=parse_size(shape))[0].pixels_YX3
            pictures = {"made": clip.frames_TYXC[len(clip.frames_TYXC) // 2], "true": drawn}
            for name, one in pictures.items():
                x, y, height = run.finder.find(one[None], are_stills=True)[0] / (1, witness.HEIGHT, witness.HEIGHT)
                seen[name].append(float(height))
                part = wide(one, 0.4 if np.isnan(x) else float(y))
                told = run.attributes(part[None])
                hits[name] += [told[k] == v for k, v in answers.items()]
            columns.append(np.concatenate([pictures["true"], pictures["made"]])[::2, ::2])
        rows.append(np.concatenate(columns[:6], 1))
        made, true = (np.array(seen[name]) for name in ("made", "true"))
        print(
            f"{shape:10}{np.isfinite(made).mean():6.2f} ({np.isfinite(true).mean():.2f})"
            f"{np.mean(hits['made']):8.2f} ({np.mean(hits['true']):.2f}){np.nanmedian(made / true):7.2f}"
            f"   {len(hits['made'])} attributes",
            flush=True,
        )
    if asked.sheet is not None:
        across = max(row.shape[1] for row in rows)
        media.write_image(
            asked.sheet, np.concatenate([np.pad(r, ((0, 0), (0, across - r.shape[1]), (0, 0))) for r in rows])
        )
    run.close()


if __name__ == "__main__":
    main()
