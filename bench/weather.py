"""Rain and snow over a few scenes: whether the pixels show what was asked for, and a sheet to look at.

    python bench/weather.py [--model tiny] [--scenes 3] [--output docs/weather.jpg]

Clips of 3 s, of which the last second is looked at. drawn: the first picture comes from the words; given: it is the
world's own, in clear weather; edited: the world's clip in clear weather is the source; true: the world's clip in that
weather, as the same measure sees it. A row of the sheet is one weather in the first scene.
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
from muybridge.evaluate.weather import fall_of
from muybridge.suites import drawings
from muybridge.suites.run import LARGE, Run
from muybridge.world import captions
from muybridge.world.landscapes import OUTDOOR
from muybridge.world.scene import CameraTrack
from muybridge.world.wording import WEATHERS

SECONDS = 3.04  # 77 frames: a whole number of latents, as an edit's source has
LAST = slice(50, 74)  # frames that are looked at
SHOWN = (0, 40, 70)
EDITS = {"rain": "Make it rain.", "snow": "Let it snow."}


def main() -> None:
    """Prints a row a weather, and the shares of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    run = Run(muybridge.load(asked.model), quiet=True)
    scenes = list(islice((scene for scene in map(_plain, count()) if scene is not None), asked.scenes))
    hits: dict[str, list[bool]] = {"drawn": [], "given": [], "edited": [], "true": []}
    rows = []
    for weather in track(("clear", *EDITS), "generating"):
        told: dict[str, list[str]] = {kind: [] for kind in hits}
        row = []
        for number, scene in enumerate(scenes):
            for kind, frames in _clips(run, scene, weather, number):
                told[kind].append(fall_of(frames[LAST]))
                hits[kind].append(told[kind][-1] == (weather if weather in EDITS else "none"))
                row += [frames[at] for at in SHOWN] if number == 0 and kind != "true" else []
        rows += [np.concatenate(row, 1)] if weather in EDITS else []
        print(f"{weather:6}" + "; ".join(f"{kind}: {', '.join(of)}" for kind, of in told.items() if of), flush=True)
    print(", ".join(f"{kind} {np.mean(found):.2f} of {len(found)}" for kind, found in hits.items()))
    if asked.output:
        media.write_image(asked.output, np.concatenate(rows)[::2, ::2])
    run.close()


def _clips(run: Run, scene: Any, weather: str, number: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:  # noqa: ANN401  (a world Scene)
    """(drawn, given, edited or true, frames) of a scene in some weather."""
    prompt = captions.caption(scene, scene.seed, "test") + (f" {WEATHERS[weather][0]}" if weather in EDITS else "")
    before = _frames(scene)
    with tempfile.TemporaryDirectory() as name:
        image = media.write_image(Path(name) / "first.png", before[0])
        source = Path(name) / "source.mp4"
        media.write_clip(source, before, None, poster=False)
        wishes = {"drawn": run.ask(prompt, SECONDS, number), "given": run.ask(prompt, SECONDS, number, image=image)}
        if weather in EDITS:
            wishes["edited"] = run.ask(EDITS[weather], SECONDS, number, video=source)
        for kind, wish in wishes.items():
            clip = run.make(wish)
            assert clip is not None  # the model was loaded
            yield kind, clip.frames_TYXC
    yield "true", _frames(scene.replace(weather=weather))


def _frames(scene: Any) -> NDArray[np.uint8]:  # noqa: ANN401  (as above)
    return np.stack([f.pixels_YX3 for f in drawings.frames_at(scene, np.arange(scene.num_frames), size=LARGE)])


def _plain(index: int) -> Any:  # noqa: ANN401  (as above)
    """A clear outdoor scene of one person of the test split who is near, with a camera that stays; None for others."""
    scene, _ = drawings.scene_of(index, "test")
    if len(scene.people) != 1 or "close-up" not in scene.framing or scene.place not in OUTDOOR:
        return None
    still, light = CameraTrack("static", 0.0, SECONDS), dataclasses.replace(scene.light, change="steady")
    who = dataclasses.replace(scene.people[0], gestures=(), expressions=())
    return scene.replace(people=(who,), camera=still, light=light, seconds=SECONDS, weather="clear")


if __name__ == "__main__":
    main()
