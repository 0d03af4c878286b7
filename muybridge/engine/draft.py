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

from muybridge.engine import camera, pipeline
from muybridge.engine.components import Components, Denoiser
from muybridge.engine.state import GenerationState
from muybridge.flow.noise import noise
from muybridge.request import Request
from muybridge.shapes import Clock, PixelSize, Window
from muybridge.speech.moves import asked
from muybridge.speech.script import parse_script, without_quotes

SIZE = "tiny-draft"  # its sampling (engine/sampling.py)
STILL = Window(0, Clock(1, 0))
# The base learned faces that fill the picture together with their lips; the draft has not learned them (docs/log.md).
NEAREST = ("extreme close-up", "full-face shot", "shot filled by the face", "very near shot of the face")
LOOKS = 6  # last steps from as many noises, whose mean has less of their grain


def begun(parts: Components, state: GenerationState, is_alone: bool = True) -> GenerationState:
    """A fresh state with its first picture: drawn, where nothing but words is given and there are the weights.

    In a clip that stands alone, no window of a programme, the camera then moves over it as it was asked to.
    """
    request, known = state.request, state.conditions
    is_given = request.image is not None
    if request.video is not None or request.last_image is not None or state.window.start_unit:
        return state
    if not is_given and (parts.draft is None or fills_the_picture(state)):
        return state
    moves = asked(request) if is_alone and pipeline.guesses(parts) else ()
    frame = pipeline.stages_of(parts, request)[0].size
    seen = camera.views(moves, state.window.clock.num_decoded_frames, request.seed, is_given)
    size = camera.canvas(seen, frame) if moves and not is_given else frame
    latent = known.frames[0] if is_given or parts.draft is None else first_picture(parts, parts.draft, state, size)
    if moves:
        codec = parts.video_codec
        picture_CYX = codec.decode(latent.to(parts.device))[0, :, 0].float().cpu()
        filmed = codec.encode(camera.filmed(picture_CYX, seen, frame).to(parts.device)).cpu()
        known = replace(known, filmed_BCTYX=filmed)
        latent = latent if is_given else filmed[:, :, :1]
    return pipeline.begin(parts, replace(state, conditions=replace(known, frames={0: latent})))


def fills_the_picture(state: GenerationState) -> bool:
    """Whether a face that speaks is asked for so near that its lips are what is seen."""
    return state.conditions.is_said and any(words in state.request.prompt.lower() for words in NEAREST)


@torch.inference_mode()
def first_picture(parts: Components, draft: Denoiser, state: GenerationState, size: PixelSize) -> Tensor:
    """[1, C, 1, Y, X] at `size`: what the prompt's scene shows, without the words that are said."""
    request = state.request
    alone = replace(parts, size=SIZE, base=draft, draft=None, upscaler=None, moments={"video": parts.draft_moments})
    scene = without_quotes(parse_script(request.prompt, request.language).scene).strip()
    still = Request(
        scene or request.prompt,
        size=str(size),
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
