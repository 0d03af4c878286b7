"""Every change of the light over a few scenes: which of them the pixels show and when, and a sheet to look at.

    python bench/light.py [--model tiny] [--scenes 3] [--evaluators PYTHON] [--output docs/light.jpg]

Clips of 4 s, whose change is asked for from 1 to 2.5 s. drawn: the first picture comes from the words; given: it is the
world's own; true: the world's clip, as the same measure sees it. Right is a change of that name whose middle is within
0.3 s of 1.75 s (a flicker has none). A row of the sheet is a change in the first drawn scene and the first given one.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

import muybridge
from muybridge import media
from muybridge.evaluate import light, picture
from muybridge.suites import drawings
from muybridge.suites.run import BASE, LARGE, Run
from muybridge.world import captions
from muybridge.world.scene import CameraTrack
from muybridge.world.wording import CHANGES

SECONDS, SPAN_S, TOLERANCE_S = 4.0, (1.0, 2.5), 0.3
SHOWN = (5, 44, 95)  # frames: before, half way, after


def main() -> None:
    """Prints a row a change, and the shares of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--evaluators")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    run = Run(muybridge.load(asked.model), quiet=True, evaluators=asked.evaluators)
    scenes = list(islice((scene for scene in map(_plain, count()) if scene is not None), asked.scenes))
    hits: dict[str, list[bool]] = {"drawn": [], "given": [], "true": []}
    rows = []
    for change in track([change for change in CHANGES if change != "steady"], "generating"):
        told: dict[str, list[str]] = {kind: [] for kind in hits}
        row = []
        for number, scene in enumerate(scenes):
            for kind, frames in _clips(run, scene, change, number):
                seen, middle_s = _seen(run, frames)
                told[kind].append(f"{seen} {middle_s:.2f}" if np.isfinite(middle_s) else seen)
                near = not np.isfinite(middle_s) or abs(middle_s - sum(SPAN_S) / 2) <= TOLERANCE_S
                hits[kind].append(seen == change and near)
                row += [frames[at] for at in SHOWN] if number == 0 and kind != "true" else []
        rows.append(np.concatenate(row, 1))
        print(f"{change:11}" + "; ".join(f"{kind}: {', '.join(of)}" for kind, of in told.items()), flush=True)
    print(", ".join(f"{kind} {np.mean(found):.2f} of {len(found)}" for kind, found in hits.items()))
    if asked.output:
        media.write_image(asked.output, np.concatenate(rows)[::2, ::2])
    run.close()


def _clips(run: Run, scene: Any, change: str, number: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:  # noqa: ANN401  (a world Scene)
    """(drawn, given or true, frames) of a scene whose light changes."""
    caption = captions.caption(scene, scene.seed, "test")
    prompt = f"{caption} {SPAN_S[0]}-{SPAN_S[1]} s: {CHANGES[change][0]}."
    first_YX3 = drawings.frames_at(scene, np.array([0]), size=LARGE)[0].pixels_YX3
    with tempfile.TemporaryDirectory() as name:
        image = media.write_image(Path(name) / "first.png", first_YX3)
        for kind, given in (("drawn", None), ("given", image)):
            clip = run.make(run.ask(prompt, SECONDS, number, image=given))
            assert clip is not None  # the model was loaded
            yield kind, clip.frames_TYXC
    lit = dataclasses.replace(scene.light, change=change, start_s=SPAN_S[0], end_s=SPAN_S[1])
    yield "true", drawings.pixels(scene.replace(light=lit), None)


def _plain(index: int) -> Any:  # noqa: ANN401  (a world Scene)
    """A near scene of one person of the test split with a camera and light that stay; None for others."""
    scene, _ = drawings.scene_of(index, "test")
    if len(scene.people) != 1 or "close-up" not in scene.framing or scene.hour == "night":
        return None
    still, light = CameraTrack("static", 0.0, SECONDS), dataclasses.replace(scene.light, change="steady")
    who = dataclasses.replace(scene.people[0], gestures=(), expressions=())
    return scene.replace(people=(who,), camera=still, light=light, seconds=SECONDS)


def _seen(run: Run, frames_TYX3: NDArray[np.uint8]) -> tuple[str, float]:
    small = picture.shrunk(frames_TYX3, BASE.height, BASE.width)
    return light.change_of(small, run.witness.faces(small) if run.finder is None else run.faces(small))


if __name__ == "__main__":
    main()
