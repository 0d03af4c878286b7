"""Edits: is the one asked change made, and is everything else left alone?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from muybridge import media
from muybridge.evaluate import picture
from muybridge.evaluate.choices import share
from muybridge.suites import drawings
from muybridge.suites.adherence import answers
from muybridge.suites.run import Run
from muybridge.suites.table import Row

# What is edited, by the world's name, and the attribute that tells of it.
FACTORS = {
    "hair colour": "hair",
    "clothes colour": "clothes",
    "place": "place",
    "hour": "hour",
    "expression": "expression",
}
CHANGED = 10  # grey levels: a pixel that differs by more belongs to the edit
SECONDS = 3.04  # 77 frames: the shortest whole number of latents that a request may ask for


def evaluate(run: Run) -> list[Row]:
    """Share of edits made, PSNR outside the mask against the source, and whether the old answer is gone."""
    from muybridge.world import edits

    hits: dict[str, list[bool]] = {"truth": [], "made": []}
    kept: dict[str, list[float]] = {"truth": [], "made": []}
    indices = range(run.first, run.first + run.count)
    for number, index in enumerate(run.track(indices, "drawing, editing, asking", run.count)):
        factor = tuple(FACTORS)[number % len(FACTORS)]
        pair = edits.edit_pair(index, "test", factor, SECONDS)
        wanted = answers(pair.after).get(FACTORS[factor])
        count = None if run.engine else drawings.MOMENTS  # a source clip for the model needs every frame
        before, after = (drawings.pixels(scene, count) for scene in (pair.before, pair.after))
        outside = np.abs(before.astype(np.int16) - after).max(-1) <= CHANGED
        _score(run, hits["truth"], kept["truth"], after, before, outside, FACTORS[factor], wanted)
        if run.engine is not None:
            source = run.plot("edit-source.mp4")
            media.write_clip(source, before, None, poster=False)
            clip = run.engine.generate(run.ask(pair.instruction, len(before) / 25, number, video=source))
            small = picture.shrunk(clip.frames_TYXC, *before.shape[1:3])
            _score(run, hits["made"], kept["made"], small, before, outside, FACTORS[factor], wanted)
    made = run.engine is not None
    return [
        Row("asked change made", share(hits["made"]).value if made else None, share(hits["truth"]).value, ">= 0.85",
            len(hits["truth"])),
        Row("PSNR outside the change (dB)", _mean(kept["made"]) if made else None, _mean(kept["truth"]), ">= 26",
            len(kept["truth"])),
    ]  # fmt: skip


def _score(
    run: Run, hits: list[bool], kept: list[float], clip_TYX3: NDArray[np.uint8], before_TYX3: NDArray[np.uint8],
    outside_TYX: NDArray[np.bool_], name: str, wanted: str | None,
) -> None:  # fmt: skip
    if wanted is not None:
        hits.append(run.attributes(clip_TYX3)[name] == wanted)
    if outside_TYX.any():
        kept.append(min(picture.psnr(clip_TYX3, before_TYX3, outside_TYX), 60.0))  # equal pixels: no infinite mean


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
