"""Given voices by figures: do the lips follow a voice track, of which nothing but the sound is known?

    python bench/voice.py [--model tiny] [--count 3] [--languages en,zh,de] [--size 448x256] [--evaluators PYTHON]

Test sentences in the neural voices are given as WAV files to prompts of near faces that say nothing else. heard: r of
the opening that the heard phones ask for with that of the true ones. r: of what is seen with the true phones, and of
the same clips made deaf (no listener: the sound's own tokens are all there is). lag: the lips behind the true phones.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

import muybridge
from muybridge import media
from muybridge.engine.conditions import Said, heard
from muybridge.media.sound import write_wav
from muybridge.speech.durations import Phone
from muybridge.speech.script import parse_script, without_quotes
from muybridge.suites import sync
from muybridge.suites.run import Run
from muybridge.world import talking
from muybridge.world.visemes import planned_opening


def main() -> None:
    """Prints a row a clip and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--count", type=int, default=3, help="clips of each language")
    parser.add_argument("--languages", default="en,zh,de")
    parser.add_argument("--size", default="", help="default: what the upscaler draws")
    parser.add_argument("--evaluators")
    parser.add_argument("--output", type=Path, help="eight moments of each clip")
    asked = parser.parse_args()
    run = Run(muybridge.load(asked.model), asked.count, evaluators=asked.evaluators)
    assert run.engine is not None
    hearing = run.engine.parts
    deaf = dataclasses.replace(hearing, listener=None)
    jobs = [(code, *one) for code in asked.languages.split(",") for one in sync.plans(run, code)]
    rows, sheet = [], []
    print("  heard, r, r of the deaf, lag ms, faces")
    with tempfile.TemporaryDirectory() as name:
        for number, (code, planned, prompt) in enumerate(track(jobs, "listening")):
            path, wave_CS = Path(name) / f"{number}.wav", talking.waveform(planned)
            write_wav(path, wave_CS, 24_000)
            scene = without_quotes(parse_script(prompt, None).scene)
            size = asked.size or str(run.size)
            request = run.ask(scene, planned.scene.seconds, number, audio=path, language=code, size=size)
            phones = [phone for line in planned.lines for phone in line.phones]
            row = []
            for parts in (hearing, deaf):
                run.engine.parts = parts
                clip = run.engine.generate(request)
                lips = run.lips(clip.frames_TYXC)
                talk = sync.talk(lips.opening_T, phones, wave_CS, 24_000)
                row.append((talk.r, talk.lag_ms(), lips.seen_share))
                sheet.append(np.concatenate(list(clip.frames_TYXC[:: len(clip.frames_TYXC) // 8][:8]), 1))
            latent = hearing.audio_codec.encode(torch.from_numpy(wave_CS)[None]).transpose(1, 2)
            said = heard(hearing, latent, code)
            rows.append([_likeness(said, phones, len(clip.frames_TYXC)), row[0][0], row[1][0], row[0][1], row[0][2]])
            print(f"{code} {number}" + "".join(f"{value:9.2f}" for value in rows[-1]), flush=True)
    print("means" + "".join(f"{value:9.2f}" for value in np.nanmean(rows, 0)))
    if asked.output:
        media.write_image(asked.output, np.concatenate(sheet)[::2, ::2])
    run.close()


def _likeness(said: list[Said], true: list[Phone], count: int) -> float:
    found = [phone for one in said for phone in one.phones]
    return sync.correlation(planned_opening(found, count), planned_opening(true, count))


if __name__ == "__main__":
    main()
