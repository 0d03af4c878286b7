"""Every gesture of the head over a few scenes: which of them MediaPipe's mesh shows, and a sheet to look at.

    python bench/acting.py [--model tiny] [--scenes 3] [--evaluators PYTHON] [--output docs/acting.jpg]

Clips of 3 s whose gesture is asked for from 0.8 to 2.2 s. drawn: the first picture comes from the words; given: it is
the world's own of a test scene. What the mesh shows of rendered clips is in the model card (action as asked, the
ceiling). A row of the sheet is a gesture in the first drawn scene and the first given one, three moments each.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from rich.progress import track

import muybridge
from muybridge import media
from muybridge.evaluate import gestures
from muybridge.suites import drawings
from muybridge.suites.run import LARGE, Run
from muybridge.world.captions import person_word
from muybridge.world.wording import GESTURES

SCENES = (
    "A close-up of a man with short black hair in a blue shirt in a library.",
    "A close-up of a woman with blond hair in a green dress on a street by day.",
    "A medium close-up of a young woman with long brown hair in a pink sweater in a meadow by day.",
)
SPAN_S = (0.8, 2.2)
SHOWN = (5, 30, 37)  # frames: before, on the way, in its middle


def main() -> None:
    """Prints a row a gesture and the shares of both kinds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scenes", type=int, default=len(SCENES))
    parser.add_argument("--evaluators")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    engine = muybridge.load(asked.model)
    run = Run(engine, quiet=True, evaluators=asked.evaluators)
    hits: dict[str, list[bool]] = {"drawn": [], "given": []}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        people = _people(asked.scenes, Path(name))
        for gesture in track(gestures.SEEN, "generating"):
            seen: dict[str, list[str]] = {"drawn": [], "given": []}
            row = []
            for number in range(asked.scenes):
                for kind in seen:
                    who, image = people[number]
                    scene = SCENES[number] if kind == "drawn" else f"A close-up of a {who}."
                    subject = ("man" if " man " in scene else "woman") if kind == "drawn" else who
                    act = GESTURES[gesture][0].format(poss="his" if subject == "man" else "her")
                    prompt = f"{scene} {SPAN_S[0]}-{SPAN_S[1]} s: the {subject} {act}."
                    request = run.ask(prompt, 3, number, image=image if kind == "given" else None)
                    frames = engine.generate(request).frames_TYXC
                    seen[kind] += run.gestures(frames, [SPAN_S])
                    if number == 0:
                        row += [frames[at] for at in SHOWN]
            rows.append(np.concatenate(row, 1))
            told = [f"{kind}: {_counted(answers)}" for kind, answers in seen.items()]
            print(f"{gesture:10} {'; '.join(told)}", flush=True)
            for kind, answers in seen.items():
                hits[kind] += [answer == gesture for answer in answers]
    print(", ".join(f"{kind} {np.mean(found):.2f} of {len(found)}" for kind, found in hits.items()))
    if asked.output:
        media.write_image(asked.output, np.concatenate(rows)[::2, ::2])
    run.close()


def _counted(answers: list[str]) -> str:
    return ", ".join(f"{answer or 'no face'} {count}" for answer, count in Counter(answers).most_common())


def _people(count: int, folder: Path) -> list[tuple[str, Path]]:
    """(man or woman, a picture of them) of the first test scenes that show one person near."""
    found: list[tuple[str, Path]] = []
    index = 0
    while len(found) < count:
        scene, _ = drawings.scene_of(index, "test")
        index += 1
        if len(scene.people) == 1 and "close-up" in scene.framing:
            pixels = drawings.frames_at(scene, np.array([0]), size=LARGE)[0].pixels_YX3
            found.append((person_word(scene.people[0]), media.write_image(folder / f"{index}.png", pixels)))
    return found


if __name__ == "__main__":
    main()
