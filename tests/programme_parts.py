"""A very small engine that is told its phonemes, and a talk for it: for the tests of programmes."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from engine_parts import SHAPE
from torch import Tensor

from muybridge.engine import Engine, random_components
from muybridge.engine.meter import Progress
from muybridge.engine.programme_file import Made, Programme, make_file
from muybridge.request import LANGUAGES, REGISTERS, Request
from muybridge.speech.programme import beats_of, plan_programme, scene_of
from muybridge.speech.talk import parse_talk

TALK = """# A woman at a desk, evening light

Good evening. My brother bought three large bottles of fresh milk at the market this morning.

> She stands up.
Anna (calm, French): Bonjour à tous. Il fait beau aujourd'hui, alors nous allons au parc.

(pause 2s)
The weather is nice today, so we are going to the park. It is a long way to walk, but we like it.
"""
REQUEST = Request("a scene", size="64x64", seconds=3, num_inference_steps=2, seed=5)


class Phones:
    """One row of features a phone, told apart by symbol, language and register."""

    def encode_phonemes(self, ids: Sequence[Sequence[int]], language: str, register: str) -> Tensor:
        manner = LANGUAGES.index(language) + 10 * REGISTERS.index(register)
        rows = [torch.cos(torch.arange(16) * float(sum(i) + manner)) for i in ids]
        return torch.stack(rows)


def speaking_engine(shape: object = SHAPE) -> Engine:
    parts = random_components("tiny", seed=3, shape=shape, std=0.05)  # type: ignore[arg-type]  # a ModelConfig
    return Engine(replace(parts, phoneme_encoder=Phones()))


def programme(text: str = TALK, request: Request = REQUEST, seconds: float | None = None) -> Programme:
    script = parse_talk(text)
    plan = plan_programme(script, seconds)
    return Programme(request.replace(prompt=scene_of(script)), plan.seconds, plan, beats_of(script, plan))


def make(output: Path, stop_at: tuple[int, int] = (-1, -1)) -> Made:
    """Make the talk; at (window, step) say so and wait to be killed."""

    def on_step(index: int, _: int, progress: Progress) -> None:
        if (index, progress.step) == stop_at:
            sys.stdout.write("here\n")
            sys.stdout.flush()
            time.sleep(600)

    return make_file(speaking_engine(), programme(), output, "random", on_step)


if __name__ == "__main__":
    make(Path(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3])))
