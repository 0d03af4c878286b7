"""The first picture of a clip that is made from words alone, drawn by itself before the clip.

What a picture shows is decided near pure noise, where twenty latents of a clip say little about each other and eight
steps are few. So weights that learned nothing but single pictures draw the first one, in many small steps that cost
little, and the clip begins with it as with a picture that was given. References are told to them as to the clip. An
edit is made of its source's first picture in the same way; the guess over time carries on what has changed there.

Sizes without such weights begin at noise. So do faces that speak and fill the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from muybridge.engine import acting, camera, pipeline
from muybridge.engine.components import Components, Denoiser
from muybridge.engine.left_alone import is_edit, only_changes
from muybridge.engine.state import Conditions, GenerationState
from muybridge.flow.noise import noise
from muybridge.model.face_finder import Face
from muybridge.request import Request
from muybridge.shapes import Clock, PixelSize, Window
from muybridge.speech import acts, moves
from muybridge.speech.acts import Act
from muybridge.speech.moves import Move
from muybridge.speech.script import parse_script, without_quotes

SIZE = "tiny-draft"  # its sampling (engine/sampling.py)
STILL = Window(0, Clock(1, 0))
# In faces that fill the picture lips are what is seen, and they move less where the draft drew them (docs/log.md).
NEAREST = ("extreme close-up", "full-face shot", "shot filled by the face", "very near shot of the face")
LOOKS = 6  # last steps from as many noises, whose mean has less of their grain


def begun(parts: Components, state: GenerationState, is_alone: bool = True) -> GenerationState:
    """A fresh state with its first picture: drawn from words and references, or what an edit makes of its source's.

    In a clip that stands alone, no window of a programme, its person then acts and the camera moves as was asked.
    """
    request, known = state.request, state.conditions
    if request.last_image is not None or state.window.start_unit:
        return state
    frame = pipeline.stages_of(parts, request)[0].size
    if request.video is not None:
        if parts.draft is None or not is_edit(state):
            return state
        assert known.source_BCTYX is not None  # it is an edit
        made = first_picture(parts, parts.draft, state, frame)
        known = replace(known, frames={0: only_changes(made.cpu(), known.source_BCTYX[:, :, :1])})
    elif request.image is not None or (parts.draft is not None and not fills_the_picture(state)):
        moving = is_alone and pipeline.guesses(parts)
        known = _moved(parts, state, frame, *((moves.asked(request), acts.asked(request)) if moving else ((), ())))
    return pipeline.begin(parts, replace(state, conditions=known))


def _moved(
    parts: Components, state: GenerationState, frame: PixelSize, moved: Sequence[Move], done: Sequence[Act]
) -> Conditions:
    """What is known with the first picture, given or drawn, and with it as its person acts and the camera moves."""
    given, codec = state.conditions.frames.get(0), parts.video_codec
    num_frames = state.window.clock.num_decoded_frames
    seen = camera.views(moved, num_frames, state.request.seed, given is not None)
    size = camera.canvas(seen, frame) if moved and given is None else frame
    if given is None:
        assert parts.draft is not None  # the caller has seen to it
        first = first_picture(parts, parts.draft, state, size)
    else:
        first = given
    face = whose(parts, first) if done else None
    if not moved and face is None:
        return replace(state.conditions, frames={0: first})
    pictures_CTYX = codec.decode(first.to(parts.device))[0].float().cpu()
    if face is not None:
        pictures_CTYX = acting.acted(pictures_CTYX[:, 0], face, done, num_frames)
    film = camera.filmed(pictures_CTYX, seen, frame).to(parts.device)
    stands = codec.encode(film[:, :, :1].expand(-1, -1, 1 + codec.stride[0], -1, -1)).cpu()
    motion = codec.encode(film).cpu()
    motion -= torch.cat([stands[:, :, :1], stands[:, :, 1:].expand(-1, -1, motion.shape[2] - 1, -1, -1)], 2)
    return replace(state.conditions, frames={0: stands[:, :, :1] if given is None else given}, motion_BCTYX=motion)


def whose(parts: Components, first_BCTYX: Tensor) -> Face | None:
    """The one face of a first picture; None where there are several, for a gesture does not say whose it is."""
    faces = [] if parts.face_finder is None else parts.face_finder.faces(first_BCTYX[0, :, 0].cpu())
    return faces[0] if len(faces) == 1 else None


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
        video=request.video,
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
