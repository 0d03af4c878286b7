"""A training step of the base at tiny's shipped shape, taken apart: what two products for attention and fusing save.

    python bench/training.py [--clips 12] [--steps 4]

Random clips of 16 latents of 224x128 with their sound, speech and captions; forward and backward. The ways are measured
in turns, and each is printed as its ratio to the first: seconds are of processor time, so other users do not count.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from muybridge.config import TINY
from muybridge.model import Transformer, attention, tokens
from muybridge.model.device import has_fast_bf16
from muybridge.model.tokens import Packed, Role, pack
from muybridge.train.compiled import compile_layers

NUM_LATENTS, NUM_TEXT, PLAIN = 16, 110, attention.PLAIN_TOKENS


def batch(num_clips: int, seed: int) -> Packed:
    """Clips whose texts differ in length, as they do in training."""
    torch.manual_seed(seed)
    samples = []
    for k in range(num_clips):
        words = torch.randn(NUM_TEXT - 3 * k % 40, TINY.text_in_channels)
        text = tokens.text_tokens(words, tokens.scene_coords(len(words)), Role.SCENE)
        samples.append(tokens.sequence(text, torch.randn(48, NUM_LATENTS, 8, 14), torch.randn(4 * NUM_LATENTS - 3, 64)))
    return pack(samples)


def step(model: Transformer, packed: Packed) -> float:
    """Processor seconds of one forward and backward."""
    started = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16(torch.device("cpu"))):
        video, audio = model(packed)
        loss = video.square().mean() + audio.square().mean()
    loss.backward()
    return time.process_time() - started


def main() -> None:
    """Prints one row a way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--steps", type=int, default=4)
    asked = parser.parse_args()
    plain, fused = Transformer(TINY).initialise(), Transformer(TINY).initialise()
    compile_layers(fused)

    def run(model: Transformer, longest: int) -> Callable[[Packed], float]:
        def once(packed: Packed) -> float:
            attention.PLAIN_TOKENS = longest
            return step(model, packed)

        return once

    ways = {
        "SDPA": run(plain, 0),
        "two products": run(plain, PLAIN),
        "two products, fused": run(fused, PLAIN),
    }
    for way in ways.values():  # warm: compiling takes a minute
        for seed in range(2):
            way(batch(asked.clips, seed))
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(asked.steps):
        packed = batch(asked.clips, 2 + seed)
        for name, way in ways.items():
            spent[name].append(way(packed))
    first = spent["SDPA"]
    for name, found in spent.items():
        ratio = statistics.median(a / b for a, b in zip(found, first, strict=True))
        print(f"{name:22} {statistics.median(found):7.2f} s a step, {ratio:5.2f} of SDPA's")


if __name__ == "__main__":
    main()
