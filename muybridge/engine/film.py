"""What is known of a clip from its first picture: a film of it in which people speak, feel and act, and a camera moves.

Phones, moods, gestures and moves are known from the words and the plan (faces.py, acting.py, camera.py). The base takes
the latents of the film for its guess over time and adds what a drawing on a still picture lacks. Where an upscaler
follows, the film is made at its size, too: what the large one shows beyond the small one is the detail that an
enlarged picture lacks.

Letters: T frames, C colours or channels, Y X rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from muybridge import media
from muybridge.engine import acting, camera, faces, pipeline
from muybridge.engine.components import Components
from muybridge.engine.conditions import Said, frames_to_tensor, heard, spoken
from muybridge.engine.state import Conditions, GenerationState
from muybridge.model.face_finder import Face
from muybridge.model.face_painter import WORDS
from muybridge.request import Request
from muybridge.shapes import Clock, PixelSize, Window
from muybridge.speech import acts, moods, moves
from muybridge.speech.acts import Act
from muybridge.speech.durations import Phone
from muybridge.speech.moves import Move
from muybridge.speech.places import NUM_PLACES, places
from muybridge.speech.script import parse_script, without_quotes

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan


@dataclass(frozen=True)
class Wishes:
    """What a first picture is to do: how the camera moves, what its head and face do, and what is said."""

    moves: Sequence[Move] = ()
    acts: Sequence[Act] = ()
    moods: Sequence[Act] = ()
    said: Sequence[Said] = ()


def wished(parts: Components, state: GenerationState, plan: Plan | None, is_alone: bool) -> Wishes:
    """That of a request; nothing where nothing is guessed over time. A programme's windows speak and do no more."""
    if not pipeline.guesses(parts):
        return Wishes()
    request, voice = state.request, state.conditions.voice_BAC
    said = spoken(plan) if voice is None else heard(parts, voice, request.language)
    if not is_alone:
        return Wishes(said=said)
    return Wishes(moves.asked(request), acts.asked(request), moods.asked(request), said)


@dataclass(frozen=True, eq=False)
class First:
    """A first picture [C, Y, X] and its people from the left; the draft's have blank faces unless one was lent."""

    picture_CYX: Tensor
    people: Sequence[Face]
    was_drawn: bool
    is_blank: bool


def known(parts: Components, state: GenerationState, first_BCTYX: Tensor, wish: Wishes, was_drawn: bool) -> Conditions:
    """The state's conditions with a first picture, drawn or given, and what is known of the clip from it."""
    codec, stages, conditions = parts.video_codec, pipeline.stages_of(parts, state.request), state.conditions
    picture_CYX = _decoded(parts, first_BCTYX)
    small = First(picture_CYX, whose(parts, picture_CYX), was_drawn, was_drawn)
    lent = lender(parts, state.request) if was_drawn and len(small.people) == 1 else None
    small = small if lent is None else _with_face_of(parts, lent, small)
    film = filmed(parts, state, small, wish, stages[0].size)
    if film is None and was_drawn:
        return replace(conditions, frames={0: first_BCTYX})
    if not small.people and state.window.start_unit:  # as the windows before it
        return conditions
    if film is not None:
        stands, latents = _standing(parts, film[:, :, :1]), codec.encode(film.to(parts.device)).cpu()
        has_lips = bool(wish.said and small.people and parts.face_painter is not None)
        motion = latents - _lasting(stands, latents.shape[2])
        conditions = replace(conditions, motion_BCTYX=motion, has_lips=has_lips)
        conditions = replace(conditions, frames={0: stands[:, :, :1]}) if was_drawn else conditions
    if len(stages) == 1 or not parts.enlarges_pixels or not pipeline.guesses(parts):
        return conditions
    if was_drawn:
        large = replace(small, picture_CYX=sharpened(parts, state.request, first_BCTYX, small.people))
        large = large if lent is None else _with_face_of(parts, lent, large)
    else:
        large = replace(small, picture_CYX=_decoded(parts, conditions.large_frames[0]))
    large_film, count = filmed(parts, state, large, wish, stages[1].size), state.window.clock.num_video_latents
    if film is None or large_film is None:
        still, large_still = (_standing(parts, x.picture_CYX[None, :, None]) for x in (small, large))
        lacks = pipeline.enlarged_latent(codec, still.to(parts.device), stages[1].size)
        detail = _lasting(large_still - lacks, count)
        return replace(conditions, film_BCTYX=_lasting(still, count), detail_BCTYX=detail)
    lacks = pipeline.enlarged_latent(codec, latents.to(parts.device), stages[1].size)
    detail = codec.encode(large_film.to(parts.device)).cpu() - lacks
    return replace(conditions, film_BCTYX=latents, detail_BCTYX=detail)


def _decoded(parts: Components, latent_BCTYX: Tensor) -> Tensor:
    """[C, Y, X]: the picture of a first latent."""
    return parts.video_codec.decode(latent_BCTYX.to(parts.device))[0, :, 0].float().cpu()


def lender(parts: Components, request: Request) -> First | None:
    """The reference that shows the largest face, as it was given; None where none shows one."""
    found: list[First] = []
    if parts.face_finder is None:
        return None
    for reference in request.references:
        picture_CYX = frames_to_tensor(media.read_image(reference.image)[None])[0, :, 0]
        people = parts.face_finder.faces(picture_CYX)[:1]
        found += [First(picture_CYX, people, was_drawn=False, is_blank=False)] if people else []
    return max(found, key=lambda first: first.people[0].half_height * first.picture_CYX.shape[1], default=None)


def _with_face_of(parts: Components, lent: First, first: First) -> First:
    """A drawn picture whose one head is that of another picture."""
    assert parts.face_finder is not None  # it has found both
    heads_YX = parts.face_finder.heads(lent.picture_CYX)
    picture_CYX = faces.exchanged(first.picture_CYX, first.people[0], lent.picture_CYX, lent.people[0], heads_YX)
    return replace(first, picture_CYX=picture_CYX, is_blank=False)


def _standing(parts: Components, picture_BC1YX: Tensor) -> Tensor:
    """The first two latents of a picture that stands still; all later ones are like the second."""
    num_frames = 1 + parts.video_codec.stride[0]
    return parts.video_codec.encode(picture_BC1YX.to(parts.device).expand(-1, -1, num_frames, -1, -1)).cpu()


def _lasting(latents_BCTYX: Tensor, count: int) -> Tensor:
    """`count` latents, of which the last that is there goes on."""
    missing = count - latents_BCTYX.shape[2]
    return torch.cat([latents_BCTYX, latents_BCTYX[:, :, -1:].expand(-1, -1, missing, -1, -1)], 2)


@torch.inference_mode()
def sharpened(parts: Components, request: Request, first_BCTYX: Tensor, people: Sequence[Face]) -> Tensor:
    """[C, Y, X]: a drawn picture at twice its size, by the upscaler; its faces, not drawn yet, as they are.

    Sizes that no upscaler makes of it are enlarged as they are.
    """
    codec = parts.video_codec
    small = PixelSize(*(n * s for n, s in zip(first_BCTYX.shape[:2:-1], codec.stride[:0:-1], strict=True)))
    large = PixelSize(2 * small.width, 2 * small.height)
    soft = pipeline.enlarge(pipeline.decode_frames(codec, first_BCTYX.to(parts.device), small, 1), large)
    soft_CYX = frames_to_tensor(soft)[0, :, 0]
    still = Request(scene_of(request), size=str(large), seed=request.seed)
    alone = replace(parts, draft=None, listener=None)
    if parts.upscaler is None or [stage.size for stage in pipeline.stages_of(alone, still)] != [small, large]:
        return soft_CYX
    now = pipeline.encode(alone, still, None, Window(0, Clock(1, 0)))
    now = pipeline.upscale(alone, replace(now, latents={**now.latents, "video": first_BCTYX.cpu()}))
    prepared = pipeline.prepare(alone, now)
    for _ in range(pipeline.num_steps(alone, now)):
        now = pipeline.step(alone, now, prepared)
    sharp_CYX = codec.decode(now.latents["video"].to(parts.device))[0, :, 0].float().cpu()
    inside_YX = faces.covered(people, large.height, large.width)
    return torch.lerp(sharp_CYX, soft_CYX, inside_YX)


def filmed(parts: Components, state: GenerationState, first: First, wish: Wishes, frame: PixelSize) -> Tensor | None:
    """[1, C, T, Y, X] at the frame's size; None where nothing moves and no face is to be drawn."""
    request, num_frames = state.request, state.window.clock.num_decoded_frames
    film_CTYX = _acted(parts, state, first, wish) if first.people else None
    if not wish.moves and film_CTYX is None:
        return None
    film_CTYX = first.picture_CYX[:, None] if film_CTYX is None else film_CTYX
    if not wish.moves and film_CTYX.shape[2:] == (frame.height, frame.width):
        return film_CTYX[None]
    return camera.filmed(film_CTYX, camera.views(wish.moves, num_frames, request.seed, not first.was_drawn), frame)


def _acted(parts: Components, state: GenerationState, first: First, wish: Wishes) -> Tensor | None:
    """[C, T, Y, X]: the picture as its people speak and a lone one feels and acts; None where nothing shows."""
    request, num_frames, film_CTYX = state.request, state.window.clock.num_decoded_frames, None
    is_one = len(first.people) == 1
    felt = wish.moods if is_one else ()
    if parts.face_painter is not None and (first.was_drawn or wish.said or felt):
        # A given picture is as it is: a mood that lasts comes over it.
        felt = felt if first.was_drawn else [replace(mood, start_s=max(mood.start_s, 0.0)) for mood in felt]
        drawn, seed = [], request.seed + state.window.start_unit
        for number, phones in enumerate(phones_of(wish.said, scene_of(request), len(first.people))):
            units_TU = faces.units_of(phones, felt, num_frames, seed + number)
            drawn.append((first.people[number], units_TU if first.was_drawn else units_TU - units_TU[:1]))
        words_W = _scene_words(parts, request) if first.is_blank else torch.zeros(WORDS)
        film_CTYX = faces.painted(parts.face_painter, first.picture_CYX, drawn, words_W, first.is_blank)
    if not wish.acts or not is_one:
        return film_CTYX
    still_CTYX = first.picture_CYX[:, None].expand(-1, num_frames, -1, -1) if film_CTYX is None else film_CTYX
    return acting.acted(still_CTYX, first.people[0], wish.acts)


def phones_of(said: Sequence[Said], scene: str, count: int) -> list[list[Phone]]:
    """What each of `count` people, from the left, says: all of it where one stands alone."""
    where = places([line.speaker for line in said], scene) if count > 1 else [0] * len(said)
    return [
        [p for line, place in zip(said, where, strict=True) if place == k for p in line.phones] for k in range(count)
    ]


def whose(parts: Components, picture_CYX: Tensor) -> list[Face]:
    """The faces of a picture from the left, of which there are two at most; none where there are more."""
    found = [] if parts.face_finder is None else parts.face_finder.faces(picture_CYX)
    return sorted(found, key=lambda face: face.x) if len(found) <= NUM_PLACES else []


def scene_of(request: Request) -> str:
    """The prompt without what is said."""
    return without_quotes(parse_script(request.prompt, request.language).scene).strip() or request.prompt


def _scene_words(parts: Components, request: Request) -> Tensor:
    """The mean of the text features of a prompt's scene, as the painter learned it."""
    (features_NC,) = parts.text_encoder.encode([scene_of(request)])
    return features_NC.float().cpu().mean(0)
