"""Dubbing by figures: a clip of the world's gets a new line in another language; whose words do its lips follow then?

    python bench/dub.py [--model tiny] [--count 4] [--into fr] [--evaluators PYTHON] [--output dub.png]

Near faces of the test split that speak English are drawn; each is dubbed with a test sentence. r: correlation of the
opening that is seen with the new plan and with that of the clip before; opening: its spread, and that of the source.
person: how far the numbers of the person are from the source's, over the spread of the source's seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.progress import track

import muybridge
from muybridge import media
from muybridge.errors import UserError
from muybridge.shapes import FPS
from muybridge.speech.pacing import plan_request
from muybridge.speech.script import NAME_OF
from muybridge.suites import drawings, sync
from muybridge.suites.run import Run
from muybridge.world import talking
from muybridge.world.sentences import sentence
from muybridge.world.visemes import planned_opening


def main() -> None:
    """Prints a row a clip and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--into", default="fr")
    parser.add_argument("--evaluators")
    parser.add_argument("--output", type=Path, help="source over dub, eight moments of each clip")
    asked = parser.parse_args()
    run = Run(muybridge.load(asked.model), asked.count, evaluators=asked.evaluators)
    rows, sheet = [], []
    with tempfile.TemporaryDirectory() as name:
        for number, (planned, _) in enumerate(track(sync.plans(run, "en"), "dubbing", asked.count)):
            scene = planned.scene
            drawn = drawings.frames_at(scene, np.arange(scene.num_frames), talking.tracks(planned), run.size)
            source = np.stack([frame.pixels_YX3 for frame in drawn])
            path = Path(name) / f"{number}.mp4"
            media.write_clip(path, source, talking.waveform(planned), sample_rate=24_000, poster=False)
            clip, before = None, planned_opening([p for line in planned.lines for p in line.phones], len(source))
            for k in range(40):  # the first sentence that fits
                text = f'Dialogue: <person, {NAME_OF[asked.into]}>: "{sentence(1000 * number + k, "test", asked.into)}"'
                request = run.ask(text, scene.num_frames / FPS, number, video=path)
                try:
                    plan = plan_request(request)
                except UserError:
                    continue
                assert run.engine is not None
                clip = run.engine.generate(request)
                break
            assert clip is not None  # some sentence is short
            after = planned_opening([p for line in plan.lines for p in line.phones], len(clip.frames_TYXC))
            old, new = (run.lips(frames).opening_T for frames in (source, clip.frames_TYXC))
            spread = np.std([run.describe(source[k : k + 1], 1) for k in range(0, len(source), FPS)], 0)
            moved = np.linalg.norm(run.describe(clip.frames_TYXC) - run.describe(source)) / np.linalg.norm(spread)
            rows.append(
                [sync.correlation(new, after), sync.correlation(new, before[: len(new)]),
                 sync.correlation(old, before), float(new.std()), float(old.std()), float(moved)]
            )  # fmt: skip
            moments = np.linspace(0, len(source) - 1, 8).round().astype(int)
            sheet += [np.concatenate(list(frames[moments]), 1) for frames in (source, clip.frames_TYXC)]
            print(f"{number}" + "".join(f"{value:9.2f}" for value in rows[-1]) + f"  {text}", flush=True)
    print("  r new plan, r old plan, r of the source, opening, that of the source, person; means:")
    print(" " + "".join(f"{value:9.2f}" for value in np.mean(rows, 0)))
    if asked.output:
        media.write_image(asked.output, np.concatenate(sheet)[::2, ::2])
    run.close()


if __name__ == "__main__":
    main()
