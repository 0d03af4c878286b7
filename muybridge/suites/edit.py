"""Edits: is the one asked change made, and is everything else left alone, the sound as well where it is to be kept?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from muybridge import media
from muybridge.engine.clip import Clip
from muybridge.evaluate import picture
from muybridge.evaluate.choices import share
from muybridge.request import AudioMode
from muybridge.shapes import FPS
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
TONES = (220.0, 330.0, 495.0)  # hertz, one after the other: the source's sound, which no noise resembles
SAMPLE_RATE = 24_000
SECONDS = 3.04  # 77 frames: the shortest whole number of latents that a request may ask for


def evaluate(run: Run) -> list[Row]:
    """Share of edits made, PSNR outside the mask against the source, and how much of its sound is in the clip."""
    from muybridge.world import edits

    hits: dict[str, list[bool]] = {"truth": [], "made": []}
    kept: dict[str, list[float]] = {"truth": [], "made": []}
    heard: dict[str, list[float]] = {"truth": [], "made": []}
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
            sound_CS = tones(len(before) / FPS)
            media.write_clip(source, before, sound_CS, sample_rate=SAMPLE_RATE, poster=False)
            asked = run.ask(pair.instruction, len(before) / FPS, number, video=source)
            clip = run.engine.generate(asked)
            if number == 0:  # pictures are judged with a sound of their own, as in training
                kept_sound = run.engine.generate(asked.replace(audio_mode=AudioMode.KEEP))
                heard["truth"].append(likeness(sound_CS, *media.read_audio(source)))
                heard["made"].append(likeness(sound_CS, *_sound(run, kept_sound)))
            small = picture.shrunk(clip.frames_TYXC, *before.shape[1:3])
            _score(run, hits["made"], kept["made"], small, before, outside, FACTORS[factor], wanted)
    made = run.engine is not None
    return [
        Row("asked change made", share(hits["made"]).value if made else None, share(hits["truth"]).value, ">= 0.85",
            len(hits["truth"])),
        Row("PSNR outside the change (dB)", _mean(kept["made"]) if made else None, _mean(kept["truth"]), ">= 26",
            len(kept["truth"])),
        Row("the source's sound is kept (r)", _mean(heard["made"]) if made else None,
            _mean(heard["truth"]) if made else None, ">= 0.99", len(heard["made"])),
    ]  # fmt: skip


def tones(seconds: float) -> NDArray[np.float32]:
    """[1, S] at SAMPLE_RATE: TONES one after the other."""
    at_S = np.arange(round(seconds * SAMPLE_RATE))
    hertz_S = np.array(TONES)[at_S * len(TONES) // len(at_S)]
    wave_S: NDArray[np.float32] = (0.3 * np.sin(2 * np.pi * hertz_S * at_S / SAMPLE_RATE)).astype(np.float32)
    return wave_S[None]


def likeness(wanted_CS: NDArray[np.float32], found_CS: NDArray[np.float32], rate: int) -> float:
    """Correlation of two sounds sample by sample, as they lie: a delay of a millisecond is seen."""
    found_S = media.resample(found_CS.mean(0, keepdims=True), rate, SAMPLE_RATE)[0]
    count = min(len(found_S), wanted_CS.shape[1])
    return float(np.corrcoef(found_S[:count], wanted_CS[0, :count])[0, 1]) if found_S[:count].any() else 0.0


def _sound(run: Run, clip: Clip) -> tuple[NDArray[np.float32], int]:
    """The clip's sound as a listener gets it: out of the file."""
    return media.read_audio(clip.save(run.plot("edit-made.mp4")))


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
