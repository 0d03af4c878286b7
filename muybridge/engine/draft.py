"""The first picture of a clip that is made from words alone, drawn by itself before the clip.

What a picture shows is decided near pure noise, where twenty latents of a clip say little about each other and eight
steps are few. So weights that learned nothing but single pictures draw the first one, in many small steps that cost
little, and the clip begins with it as with a picture that was given. References are told to them as to the clip.

Sizes without such weights begin at noise. So do faces that speak and fill the picture.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from muybridge.engine import pipeline
from muybridge.engine.components import Components, Denoiser
from muybridge.engine.state import GenerationState
from muybridge.flow.noise import noise
from muybridge.request import Request
from muybridge.shapes import Clock, Window
from muybridge.speech.script import parse_script, without_quotes

SIZE = "tiny-draft"  # its sampling (engine/sampling.py)
STILL = Window(0, Clock(1, 0))
# The base learned faces that fill the picture together with their lips; the draft has not learned them (docs/log.md).
NEAREST = ("extreme close-up", "full-face shot", "shot filled by the face", "very near shot of the face")
LOOKS = 6  # last steps from as many noises, whose mean has less of their grain


def begun(parts: Components, state: GenerationState) -> GenerationState:
    """A fresh state; where nothing but words is given and there are the weights, with its first picture drawn."""
    request = state.request
    is_given = request.image is not None or request.video is not None or request.last_image is not None
    if parts.draft is None or is_given or state.window.start_unit or fills_the_picture(state):
        return state
    first = {0: first_picture(parts, parts.draft, state)}
    return pipeline.begin(parts, replace(state, conditions=replace(state.conditions, frames=first)))


def fills_the_picture(state: GenerationState) -> bool:
    """Whether a face that speaks is asked for so near that its lips are what is seen."""
    return state.conditions.is_said and any(words in state.request.prompt.lower() for words in NEAREST)


@torch.inference_mode()
def first_picture(parts: Components, draft: Denoiser, state: GenerationState) -> Tensor:
    """[1, C, 1, Y, X] at the base stage's size: what the prompt's scene shows, without the words that are said."""
    request, (rows, cols) = state.request, state.latents["video"].shape[3:]
    alone = replace(parts, size=SIZE, base=draft, draft=None, upscaler=None, moments={"video": parts.draft_moments})
    high, wide = (n * s for n, s in zip((rows, cols), parts.video_codec.stride[1:], strict=True))
    scene = without_quotes(parse_script(request.prompt, request.language).scene).strip()
    still = Request(
        scene or request.prompt,
        size=f"{wide}x{high}",
        seed=request.seed,
        references=request.references,
        negative_prompt=request.negative_prompt,
    )
    now = pipeline.encode(alone, still, None, STILL)
    prepared = pipeline.prepare(alone, now)
    last = pipeline.num_steps(alone, now) - 1
    for _ in range(last):
        now = pipeline.step(alone, now, prepared)
    picture = pipeline.step(alone, now, prepared).latents["video"]
    sigma, seen = prepared.schedule.sigma(last), []
    for turn in range(LOOKS):
        fresh = noise(request.seed, SIZE, last + 1 + turn, "video", picture.shape, picture.device)
        again = replace(now, latents={**now.latents, "video": (1 - sigma) * picture + sigma * fresh})
        seen.append(pipeline.step(alone, again, prepared).latents["video"])
    return torch.stack(seen).mean(0)
