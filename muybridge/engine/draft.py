"""The first picture of a clip that is made from words alone, drawn by itself before the clip.

What a picture shows is decided near pure noise, where twenty latents of a clip say little about each other and eight
steps are few. So weights that learned nothing but single pictures draw the first one, in many small steps that cost
little, and the clip begins with it as with a picture that was given. References are told to them as to the clip. An
edit is made of its source's first picture in the same way; the guess over time carries on what has changed there.

What then happens to it says film.py. Sizes without such weights begin at noise. So do faces that speak and fill the
picture where nobody draws faces.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from muybridge.engine import backdrop, camera, pipeline
from muybridge.engine.components import Components, Denoiser, Finds
from muybridge.engine.conditions import spoken
from muybridge.engine.film import filmed_on, known
from muybridge.engine.first import decoded, scene_of, scene_words, side_by_side
from muybridge.engine.layers import KINDS, WIDEST, one, place_of
from muybridge.engine.left_alone import (
    asked,
    is_edit,
    is_source_s_own,
    may_change,
    not_found,
    on_faces,
    only_changes,
)
from muybridge.engine.pairs import Alone, together
from muybridge.engine.recolour import cover_of, gains, place_light
from muybridge.engine.sharpen import painted
from muybridge.engine.state import Conditions, Film, GenerationState
from muybridge.engine.wishes import Course, Wishes, wished
from muybridge.flow.noise import noise
from muybridge.request import MAX_PROMPT_CHARS, Request
from muybridge.shapes import Clock, PixelSize, Window
from muybridge.speech import sounds
from muybridge.speech.looks import PLAIN, colours_of, plainer, shows_hair
from muybridge.speech.places import NUM_PLACES, each_alone, how_many

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan

# In English, as the draft learned it; one of them, by the seed, is said where a prompt does not tell of hair.
HAIRS = tuple(
    f" The person has {hair} hair." for hair in ("short dark brown", "long black", "short black", "long brown")
)
LOG = logging.getLogger(__name__)
SIZE = "tiny-draft"  # its sampling (engine/sampling.py)
STILL = Window(0, Clock(1, 0))
# In faces that fill the picture lips are what is seen, and they move less where the draft drew them (docs/log.md).
NEAREST = ("extreme close-up", "full-face shot", "shot filled by the face", "very near shot of the face")
TRIES, ANOTHER = 6, 1_000_003  # pictures drawn until one has what is counted or moves; how far seeds are apart
PAIR_TRIES = 3  # of each of two people who are drawn one by one
GLANCE = 0.5  # of the steps, after which is looked for the first time
SURE = 0.95  # of a thing's cover: it is there
LEAST_OF_FACE = {"hair": 0.2, "clothes": 0.1}  # of a face's pixels, which those of rendered people all have
LOOKS = 6  # last steps from as many noises, whose mean has less of their grain


def begun(
    parts: Components,
    state: GenerationState,
    plan: Plan | None = None,
    is_alone: bool = True,
    course: Course | None = None,
) -> GenerationState:
    """A fresh state with its first picture: drawn from words and references, or what an edit makes of its source's.

    Whoever it shows then says what is planned. In a clip that stands alone, no window of a programme, its people act
    and the camera moves as was asked; in a window they act as the programme's `course` says.
    """
    request, told = state.request, state.conditions
    if is_alone and request.video is None and pipeline.guesses(parts) and sounds.asked(request):
        told = replace(told, has_sounds=True)
        state = replace(state, conditions=told)
    if request.last_image is not None or state.window.start_unit:
        return state
    frame = pipeline.stages_of(parts, request)[0].size
    if request.video is not None:
        state = _looked_for(parts, state)
        told = on_faces(parts, state, spoken(plan))
        state = replace(state, conditions=told)
        if parts.draft is None or not is_edit(state):
            return state
        assert told.source_BCTYX is not None  # it is an edit
        told = _edited(parts, parts.draft, state, frame)
    elif request.image is not None or (parts.draft is not None and not is_left_to_base(parts, state)):
        told = _first(parts, state, frame, wished(parts, state, plan, is_alone, course))
    return pipeline.begin(parts, replace(state, conditions=told))


def goes_on(
    parts: Components, state: GenerationState, plan: Plan | None, before: Film | None, course: Course | None = None
) -> GenerationState:
    """A window of a programme that begins with a picture of the one before: its people say what is planned in it.

    With the film of the one `before` it is filmed from the same picture, so nothing adds up from window to window.
    """
    if parts.face_painter is None:
        return state
    wish = wished(parts, state, plan, is_alone=False, course=course)
    if before is not None and before.moves:
        return replace(state, conditions=filmed_on(parts, state, wish, before))
    return replace(state, conditions=known(parts, state, state.conditions.frames[0], wish, was_drawn=False))


def _first(parts: Components, state: GenerationState, frame: PixelSize, wish: Wishes) -> Conditions:
    """What is known with the first picture, given or drawn."""
    given = state.conditions.frames.get(0)
    if given is not None:
        return known(parts, state, given, wish, was_drawn=False)
    assert parts.draft is not None  # the caller has seen to it
    size = frame if wish.canvas is None else camera.canvas(wish.canvas, frame)
    first = _with_all(parts, parts.draft, state, size, wish)
    return known(parts, state, first, wish, was_drawn=True)


def _with_all(parts: Components, draft: Denoiser, state: GenerationState, size: PixelSize, wish: Wishes) -> Tensor:
    """A first picture with what the words count, colour or let move: drawn again, within limits, until it has.

    It is looked for half way, when what a picture shows is decided, and at the end. That is as many faces as people,
    hair of one, clothes that are to have a colour, and a thing that is seen to be struck; of pictures that fall short,
    the nearest, or where two people never came, a picture of each put together. Hair that is dyed after is drawn dark,
    a ball red: light hair is lost in faces, and a ball in its place.
    """
    scene = scene_of(state.request)
    wanted = how_many(scene, len({line.speaker for line in wish.said}))
    told = colours_of(scene)
    parts_asked = [part for part in told if part != "thing"] if wanted == 1 else []
    lacks_hair = wanted == 1 and "hair" not in told and shows_hair(scene) and not state.request.references
    parts_asked += ["hair"] if lacks_hair else []
    parts_asked += ["thing"] if wish.struck in KINDS and wish.struck != "horse" else []  # that one is not drawn
    tried: list[tuple[int, float, int, Rough]] = []
    finder = parts.finder if wanted is not None or parts_asked else None
    plain = scene
    for part in PLAIN if parts.finder is not None else ():
        plain = plainer(plain, part) if part in parts_asked else plain
    for turn in range(TRIES):
        words = plain + HAIRS[(state.request.seed + turn) % len(HAIRS)] if lacks_hair else plain
        words = words if len(words) <= MAX_PROMPT_CHARS else scene
        request = state.request.replace(prompt=words, seed=state.request.seed + turn * ANOTHER)
        rough = _rough(parts, draft, replace(state, request=request), size)
        if finder is None:
            return _finished(rough)
        for share in (GLANCE, 1.0):
            rough = _stepped(rough, share)
            picture_CYX = decoded(parts, rough.picture_BCTYX)
            off = 0 if wanted is None else abs(len(side_by_side(finder.faces(picture_CYX))) - wanted)
            missing = _missing(finder, picture_CYX, parts_asked, WIDEST.get(wish.struck or "", 1.0))
            if off or missing:  # what is not there half way does not come
                break
        else:
            return _finished(rough)
        tried.append((off, missing, turn, rough))
    best = min(tried, key=lambda turn: turn[:3])
    pair = _pair(parts, draft, state, size) if wanted == NUM_PLACES and best[0] else None
    return _finished(best[3]) if pair is None else pair


def _pair(parts: Components, draft: Denoiser, state: GenerationState, size: PixelSize) -> Tensor | None:
    """A first picture of two people who were drawn one by one; None where the words do not count two, or none came."""
    words = each_alone(scene_of(state.request))
    if words is None or parts.finder is None:
        return None
    found: list[Alone] = []
    for number, scene in enumerate(words):
        for turn in range(PAIR_TRIES):
            seed = state.request.seed + (TRIES + PAIR_TRIES * number + turn) * ANOTHER
            hair = HAIRS[(state.request.seed + number) % len(HAIRS)] if shows_hair(scene) else ""
            request = state.request.replace(prompt=(scene + hair)[:MAX_PROMPT_CHARS], seed=seed)
            drawn_BCTYX = first_picture(parts, draft, replace(state, request=request), size)
            picture_CYX = decoded(parts, drawn_BCTYX).clamp(-1, 1)
            people = side_by_side(parts.finder.faces(picture_CYX))
            if len(people) == 1:
                found.append(Alone(picture_CYX, people[0]))
                break
        else:
            return None
    return parts.video_codec.encode(together(parts.finder, *found)[None, :, None].to(parts.device)).cpu()


def _missing(finder: Finds, picture_CYX: Tensor, asked: Sequence[str], widest: float) -> float:
    """How much is missing of what should be in a picture, 0 to 1 for each."""
    covers = finder.covers(picture_CYX) if asked else {}
    missing = 0.0
    for part in asked:
        if part == "thing":
            thing_YX = covers["thing"]
            share = 0.0 if place_of(one(thing_YX, widest)) is None else float(thing_YX.max()) / SURE
        else:
            share = float(cover_of(part, covers).sum()) / max(LEAST_OF_FACE[part] * float(covers["face"].sum()), 1.0)
        missing += max(0.0, 1 - share)
    return missing


def _looked_for(parts: Components, state: GenerationState) -> GenerationState:
    """The state of an edit, which may be of anything where what it names is not found in its source: a log says so."""
    source_BCTYX, about = state.conditions.source_BCTYX, asked(parts, state)
    if not about or source_BCTYX is None or parts.finder is None:
        return state
    first_CYX = decoded(parts, source_BCTYX[:, :, :1]).clamp(-1, 1)
    missing = not_found(parts.finder, first_CYX, about)
    if not missing:
        return state
    LOG.warning(
        "No %s found in the source's first frame, so the edit is drawn: softly, and more than that may change. "
        "A source in which it is larger, or lit better, is edited exactly.",
        " and no ".join(missing),
    )
    return replace(state, conditions=replace(state.conditions, is_anything=True))


def _edited(parts: Components, draft: Denoiser, state: GenerationState, frame: PixelSize) -> Conditions:
    """The conditions with what an edit makes of its source's first picture, or of the light on it."""
    told = state.conditions
    assert told.source_BCTYX is not None  # the caller has seen to it
    source_BCTYX, about = told.source_BCTYX[:, :, :1], asked(parts, state)
    if is_source_s_own(parts, state):
        return replace(told, frames={0: source_BCTYX})
    if about == {"place"}:
        asked_for = state.request.replace(prompt=backdrop.words(state.request.prompt), video=None)
        drawn_BCTYX = first_picture(parts, draft, replace(state, request=asked_for), frame)
        source_CYX = decoded(parts, source_BCTYX).clamp(-1, 1)
        place_CYX = backdrop.painted_place(parts, state, drawn_BCTYX, (source_CYX + 1) / 2)
        return replace(told, frames={0: source_BCTYX}, place_CYX=place_CYX)
    made_BCTYX = first_picture(parts, draft, state, frame).cpu()
    if not about:
        return replace(told, frames={0: only_changes(made_BCTYX, source_BCTYX)})
    source_CYX, made_CYX = (decoded(parts, x).clamp(-1, 1) for x in (source_BCTYX, made_BCTYX))
    assert parts.finder is not None  # or it would be about anything
    if about == {"light"}:
        both = (made_CYX + 1) / 2, (source_CYX + 1) / 2
        place_2CYX = place_light(*both, parts.finder.covers(source_CYX)["person"])
        return replace(told, frames={0: source_BCTYX}, gains_CYX=gains(*both), place_2CYX=place_2CYX)
    may_YX = may_change(parts.finder, source_CYX, about)[0]
    if parts.picture_painter is not None:
        clear_CYX = painted(parts, scene_words(parts, state.request), state.request.seed, made_CYX)
        made_BCTYX = parts.video_codec.encode(clear_CYX[None, :, None].to(parts.device)).cpu()
    return replace(told, frames={0: only_changes(made_BCTYX, source_BCTYX, may_YX)})


def is_left_to_base(parts: Components, state: GenerationState) -> bool:
    """Whether a face that speaks is asked for so near that its lips are what is seen, and nobody draws them."""
    if parts.face_painter is not None:
        return False
    return state.conditions.is_said and any(words in state.request.prompt.lower() for words in NEAREST)


@dataclass(frozen=True, eq=False)
class Rough:
    """A picture on its way, as it is guessed to become; at the end, with the grain of its last step."""

    alone: Components
    now: GenerationState
    prepared: pipeline.Prepared

    @cached_property
    def picture_BCTYX(self) -> Tensor:
        """What it is going to be, as this step tells."""
        return pipeline.guess(self.alone, self.now, self.prepared)


def first_picture(parts: Components, draft: Denoiser, state: GenerationState, size: PixelSize) -> Tensor:
    """[1, C, 1, Y, X] at `size`: what the prompt's scene shows, without the words that are said."""
    return _finished(_rough(parts, draft, state, size))


@torch.inference_mode()
def redrawn(parts: Components, draft: Denoiser, latent_BCTYX: Tensor, still: Request, level: float) -> Tensor:
    """[1, C, 1, Y, X]: a picture drawn again from the first noise level that is at most `level` (recipes/portraits.py).

    As Meng et al. 2022, "SDEdit" (arXiv 2108.01073).
    """
    alone = _alone(parts, draft)
    now = pipeline.encode(alone, still, None, STILL)
    levels = pipeline.prepare(alone, now).schedule.sigmas.tolist()
    first = next(step for step, sigma in enumerate(levels) if sigma <= level)
    noisy = (1 - levels[first]) * latent_BCTYX + levels[first] * now.latents["video"]
    solvers = {stream: replace(solver, step=first) for stream, solver in now.solvers.items()}
    now = replace(now, step=first, latents={**now.latents, "video": noisy}, solvers=solvers)
    return _finished(Rough(alone, now, pipeline.prepare(alone, now)))


def _rough(parts: Components, draft: Denoiser, state: GenerationState, size: PixelSize) -> Rough:
    request = state.request
    still = Request(
        scene_of(request),
        size=str(size),
        seed=request.seed,
        references=request.references,
        video=request.video,
        negative_prompt=request.negative_prompt,
    )
    alone = _alone(parts, draft)
    now = pipeline.encode(alone, still, None, STILL)
    return Rough(alone, now, pipeline.prepare(alone, now))


def _alone(parts: Components, draft: Denoiser) -> Components:
    """The parts as they draw one picture."""
    moments = {"video": parts.draft_moments}
    return replace(
        parts, size=SIZE, base=draft, draft=None, upscaler=None, moments=moments, video_step=parts.draft_step
    )


@torch.inference_mode()
def _stepped(rough: Rough, share: float) -> Rough:
    """The picture after this share of its steps; before the last one at the end."""
    now = rough.now
    last = pipeline.num_steps(rough.alone, now) - 1
    for _ in range(now.step, min(last, round(share * (last + 1)))):
        now = pipeline.step(rough.alone, now, rough.prepared)
    return replace(rough, now=now)


@torch.inference_mode()
def _finished(rough: Rough) -> Tensor:
    """The mean of its last step from several noises."""
    rough = _stepped(rough, 1.0)
    now, last, picture = rough.now, rough.now.step, rough.picture_BCTYX
    sigma, seen = rough.prepared.schedule.sigma(last), []
    for turn in range(LOOKS):
        fresh = noise(now.request.seed, SIZE, last + 1 + turn, "video", picture.shape, picture.device)
        again = replace(now, latents={**now.latents, "video": (1 - sigma) * picture + sigma * fresh})
        seen.append(pipeline.guess(rough.alone, again, rough.prepared))
    return torch.stack(seen).mean(0)
