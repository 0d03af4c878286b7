"""What is known of a clip from its first picture: a film of it in which people speak, feel and act, and a camera moves.

Phones, moods, gestures, moves and strikes are known from the words and the plan (wishes.py), and drawn by faces.py,
acting.py, camera.py and layers.py. The base takes the latents of the film for its guess over time and adds what a
drawing on a still picture lacks. The film has its picture as large as the clip is delivered, and projector.py puts both
together.

Letters: T frames, C colours or channels, Y X rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from muybridge.engine import (
    acting,
    camera,
    elements,
    faces,
    foley,
    galloping,
    layers,
    lighting,
    pipeline,
    waving,
    worn,
)
from muybridge.engine.camera import Views
from muybridge.engine.components import Components
from muybridge.engine.conditions import Said
from muybridge.engine.first import First, decoded, large, lender, scene_of, scene_words, whose
from muybridge.engine.projector import enlarged, play
from muybridge.engine.recolour import dyed
from muybridge.engine.state import Conditions, Film, GenerationState
from muybridge.engine.wishes import Wishes
from muybridge.model.finder import Face
from muybridge.request import Request
from muybridge.shapes import FPS
from muybridge.speech import lights
from muybridge.speech.acts import Act
from muybridge.speech.durations import Phone
from muybridge.speech.glasses import glasses_of
from muybridge.speech.looks import PLAIN, coat_of, colours_of, skin_of
from muybridge.speech.places import NUM_PLACES, is_about_people, is_leftward, place_of, places

SIDES = 0.8  # radians: how far a whole orbit turns a head


def known(parts: Components, state: GenerationState, first_BCTYX: Tensor, wish: Wishes, was_drawn: bool) -> Conditions:
    """The state's conditions with a first picture, drawn or given, and what is known of the clip from it."""
    stages, conditions = pipeline.stages_of(parts, state.request), state.conditions
    if not pipeline.guesses(parts):  # nothing is made of a film there
        return replace(conditions, frames={0: first_BCTYX}) if was_drawn else conditions
    picture_CYX = decoded(parts, first_BCTYX)
    somebody = not was_drawn or wish.said or is_about_people(state.request.prompt)
    found = whose(parts, picture_CYX, was_drawn) if somebody else []
    thing_YX = _struck_thing(parts, picture_CYX, wish)
    if was_drawn and not found and thing_YX is not None and wish.struck == "horse":  # another one gallops
        picture_CYX, thing_YX = layers.without(picture_CYX, thing_YX, "horse"), None
    if was_drawn and thing_YX is not None and wish.struck == "ball":
        picture_CYX, thing_YX = layers.rounded(picture_CYX, thing_YX)
    bare = First(picture_CYX, found, was_drawn, was_drawn, thing_YX, wish.struck)
    lent = lender(parts, state.request) if was_drawn and len(found) == 1 else None
    dyes = _dyes(scene_of(state.request), bare, lent)
    if dyes:  # before it is painted: the edge of a dye is not there after
        assert parts.finder is not None  # it has found what is dyed
        picture_CYX = 2 * dyed(parts.finder, (picture_CYX.clamp(-1, 1) + 1) / 2, dyes, thing_YX) - 1
        bare = replace(bare, picture_CYX=picture_CYX)
    side = lights.side_of(scene_of(state.request)) if was_drawn and found and lent is None else None
    if side is not None:
        assert parts.finder is not None  # it has found people
        covers = parts.finder.covers(bare.picture_CYX)
        bare = replace(bare, picture_CYX=lighting.keyed(bare.picture_CYX, covers, found, side))
    small = _with_head(parts, bare, lent)  # the base goes on from what the draft drew: of painted ones it spoke worse
    film = film_of(parts, state, small, wish)
    if was_drawn and not film.moves and parts.picture_painter is None:
        if dyes or side is not None or lent is not None:
            first_BCTYX = parts.video_codec.encode(small.picture_CYX[None, :, None].to(parts.device)).cpu()
        return replace(conditions, frames={0: first_BCTYX})
    if not small.people and state.window.start_unit:  # as the windows before it
        return conditions
    shown = play(film, parts.face_painter, stages[0].size)
    stands, count = _standing(parts, shown[:, :, :1]), state.window.clock.num_video_latents
    latents = parts.video_codec.encode(shown.to(parts.device)).cpu() if film.moves else _lasting(stands, count)
    if film.moves:
        has_lips = bool(wish.said and small.people and parts.face_painter is not None)
        conditions = replace(conditions, motion_BCTYX=latents - _lasting(stands, count), has_lips=has_lips)
    conditions = replace(conditions, frames={0: stands[:, :, :1]}) if was_drawn else conditions
    if not parts.enlarges_pixels:
        return conditions
    given_BCTYX = conditions.large_frames.get(0)
    picture_CYX = _with_head(
        parts, replace(bare, picture_CYX=large(parts, state.request, bare, given_BCTYX)), lent
    ).picture_CYX
    film = replace(film, picture_CYX=picture_CYX, small_CYX=small.picture_CYX)
    if was_drawn and lent is None and len(found) == 1:
        film = replace(film, worn_YX=_worn(parts, state.request, picture_CYX, found[0]))
    return replace(conditions, film_BCTYX=latents, film=replace(film, behind_CYX=_behind(parts, state, bare, film)))


def _behind(parts: Components, state: GenerationState, bare: First, film: Film) -> Tensor:
    """[C, Y, X]: a large film's place without what is struck in it, or whom the camera goes around; empty for neither.

    That of a drawn picture is painted, too.
    """
    is_round, is_painted = _goes_round(film), bare.was_drawn and parts.picture_painter is not None
    if film.kind in layers.KINDS and is_painted:
        place_CYX = layers.without(bare.picture_CYX, film.cover_YX, film.kind)
    elif is_round and is_painted:
        place_CYX = camera.without(bare.picture_CYX, film.cover_YX)
    elif is_round:
        return camera.without(film.picture_CYX, enlarged(film.cover_YX, film.picture_CYX))
    else:
        return torch.zeros(0)
    return large(parts, state.request, replace(bare, picture_CYX=place_CYX, people=()))


def _goes_round(film: Film) -> bool:
    """Whether a camera goes around somebody in front."""
    return film.views_5T.numel() > 0 and film.cover_YX.numel() > 0 and not film.strikes_K.numel()


def _worn(parts: Components, request: Request, picture_CYX: Tensor, face: Face) -> Tensor:
    """[Y, X]: the glasses that the words put on a drawn face; empty without any, or without eyes."""
    kind = glasses_of(scene_of(request))
    if kind is None or parts.face_painter is None:
        return torch.zeros(0)
    eyes = worn.eyes_of(parts.face_painter, picture_CYX, face, scene_words(parts, request), is_blank=True)
    rows, cols = picture_CYX.shape[1:]
    return torch.zeros(0) if eyes is None else worn.glasses(eyes, face, rows, cols, request.seed, kind == "sunglasses")


def _struck_thing(parts: Components, picture_CYX: Tensor, wish: Wishes) -> Tensor | None:
    """[Y, X]: the ball, bell or horse of a picture that is to move; None where none is asked for, or found."""
    kind = wish.struck
    if parts.finder is None or kind is None:
        return None
    covers = parts.finder.covers(picture_CYX)
    if kind in elements.KINDS:  # these may be as wide as the picture, and hidden in part
        thing_YX = covers["thing"] * (1 - covers["person"])
    else:
        thing_YX = layers.one(covers["thing"], layers.WIDEST[kind])
    return None if layers.place_of(thing_YX) is None else thing_YX


def _dyes(scene: str, first: First, lent: First | None) -> dict[str, str]:
    """The colours that a drawn picture still has to get: those of its one person, or of what is struck in it.

    A head that is lent has its own hair and skin.
    """
    is_there = {"hair": len(first.people) == 1, "clothes": len(first.people) == 1}
    is_there["thing"] = not first.people and first.thing_YX is not None
    is_there["skin"] = is_there["hair"] and lent is None
    found = ({"thing": PLAIN["thing"]} if first.kind == "ball" else {}) | colours_of(scene)
    skin = skin_of(scene)
    found |= {} if skin is None else {"skin": skin}
    is_there["hair"] &= lent is None
    return {part: name for part, name in found.items() if first.was_drawn and is_there[part]}


def filmed_on(parts: Components, state: GenerationState, wish: Wishes, before: Film) -> Conditions:
    """The conditions of a window whose film shows the picture of the one before it.

    The base goes on from the soft picture here, too: painted ones it makes soft again, and then their detail is lost.
    """
    size = pipeline.stages_of(parts, state.request)[0].size
    people = [Face(*place) for place in before.faces_P4.tolist()]
    film = replace(before, num_frames=state.window.clock.num_decoded_frames, falls_T=wish.fall.strength_T)
    film = replace(film, poses_PT5=torch.zeros(0), views_5T=torch.zeros(0))
    film = _acted(parts, state, film, wish, people, before.units_PTU.numel() > 0, is_at_rest=False)
    film = film if wish.views is None else _seen_in(film, wish.views, before.cover_YX, people)
    small = replace(film, picture_CYX=before.small_CYX, behind_CYX=torch.zeros(0))
    shown = play(small, parts.face_painter, size)
    latents = parts.video_codec.encode(shown.to(parts.device)).cpu()
    frames = {**state.conditions.frames, 0: latents[:, :, :1]}
    motion = latents - _lasting(_standing(parts, shown[:, :, :1]), latents.shape[2])
    known = replace(state.conditions, frames=frames, motion_BCTYX=motion, has_lips=bool(wish.said))
    return replace(known, film_BCTYX=latents, film=film)


def _with_head(parts: Components, first: First, lent: First | None) -> First:
    """A drawn picture of one person with the head of a reference, where there is one."""
    if lent is None:
        return first
    assert parts.finder is not None  # it has found the person
    heads_YX = parts.finder.covers(lent.picture_CYX)["head"]
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


def film_of(parts: Components, state: GenerationState, first: First, wish: Wishes) -> Film:
    """The picture with what its people say, feel and do, and how light and camera move."""
    request, num_frames, count = state.request, state.window.clock.num_decoded_frames, len(first.people)
    film = Film(
        first.picture_CYX, num_frames, is_blank=first.is_blank, falls_T=wish.fall.strength_T, fall=wish.fall.kind
    )
    if first.was_drawn and count == 1 and parts.finder is not None:
        film = replace(film, arm_2C=waving.colours(parts.finder, first.picture_CYX))
    film = _acted(parts, state, film, wish, first.people, first.was_drawn, is_at_rest=not first.was_drawn)
    if film.units_PTU.numel() and first.is_blank:
        film = replace(film, words_W=scene_words(parts, request))
    if wish.changes and wish.light_4T is None:
        light_4T = lighting.gains(wish.changes, num_frames, request.seed, is_given=not first.was_drawn)
        film = replace(film, light_4T=light_4T)
    if any(change.name == "sweeps" for change in wish.changes) and count and parts.finder is not None:
        person_YX = parts.finder.covers(first.picture_CYX)["person"]
        film = replace(film, shade_YX=lighting.shades(person_YX, first.people))
    if first.was_drawn and not count and wish.struck == "horse":
        sound = next(sound for sound in wish.sounds if sound.kind == "horse")
        begins_K = torch.tensor(foley.strides(sound, request.seed), dtype=torch.float64)
        heading, coat = -1 if is_leftward(scene_of(request)) else 1, coat_of(scene_of(request))
        film = replace(film, strikes_K=begins_K, kind=galloping.KIND, heading=heading, coat=coat)
    elif first.thing_YX is not None:
        sound = next(sound for sound in wish.sounds if sound.kind == wish.struck)
        strikes_K = torch.tensor(foley.strikes(sound, request.seed), dtype=torch.float64)
        heading = -1 if is_leftward(scene_of(request)) else 1
        film = replace(film, cover_YX=first.thing_YX, strikes_K=strikes_K, kind=sound.kind, heading=heading)
    if wish.views is not None:
        goes_round = wish.canvas is not None and bool(wish.canvas.orbit_T.any())
        has_sides = goes_round and count == 1 and parts.finder is not None and first.thing_YX is None
        cover_YX = parts.finder.covers(first.picture_CYX)["person"] if has_sides and parts.finder else torch.zeros(0)
        film = _seen_in(film, wish.views, cover_YX, first.people)
    return film


def _acted(
    parts: Components,
    state: GenerationState,
    film: Film,
    wish: Wishes,
    people: Sequence[Face],
    is_drawn: bool,
    is_at_rest: bool,
) -> Film:
    """The film with what its people say, feel and do, and the light of its frames where that is known.

    Faces are drawn where they were before (`is_drawn`), speak or feel; one that `is_at_rest` in its first frame is as
    it is there, and a mood that lasts comes over it.
    """
    seed, scene, count = state.request.seed + state.window.start_unit, scene_of(state.request), len(people)
    acted = [_own(wish.acts, scene, number, count) for number in range(count)]
    felt = [_own(wish.moods, scene, k, count) + [a for a in acted[k] if a.name in faces.FELT] for k in range(count)]
    if count and parts.face_painter is not None and (is_drawn or wish.said or any(felt)):
        units, feelings, begin_s = [], [], -math.inf if film.is_blank else -state.window.start_frame / FPS
        for number, phones in enumerate(phones_of(wish.said, scene, count)):
            own = [replace(mood, start_s=max(mood.start_s, begin_s)) for mood in felt[number]]
            units_TU = faces.units_of(phones, own, film.num_frames, seed + number)
            units.append(units_TU - units_TU[:1] if is_at_rest else units_TU)
            feelings.append(faces.felt(own, film.num_frames, phones))
        film = replace(film, units_PTU=torch.stack(units), felt_PTU=torch.stack(feelings))
        film = replace(film, faces_P4=torch.tensor(list(people)))
    waves_2T = waving.waves(acted[0], film.num_frames, FPS) if film.arm_2C.numel() and count == 1 else torch.zeros(0)
    film = replace(film, waves_2T=waves_2T)
    if waves_2T.numel():
        film = replace(film, faces_P4=torch.tensor(list(people)))
    if any(acted):
        poses = [[acting.pose_at(own, frame / FPS) for frame in range(film.num_frames)] for own in acted]
        film = replace(film, poses_PT5=torch.tensor(poses), faces_P4=torch.tensor(list(people)))
    return film if wish.light_4T is None else replace(film, light_4T=wish.light_4T)


def _seen_in(film: Film, views: Views, cover_YX: Tensor, people: Sequence[Face]) -> Film:
    """The film as a camera sees it. Of one person whom it goes around, and who is covered, it shows the head's sides.

    What is behind passes.
    """
    film = replace(film, views_5T=torch.from_numpy(np.stack(views)))
    if not cover_YX.numel() or film.strikes_K.numel():
        return film
    orbit_T = views.orbit_T
    poses_PT5 = film.poses_PT5.clone() if film.poses_PT5.numel() else torch.zeros(1, film.num_frames, 5)
    poses_PT5[..., 0] += torch.from_numpy(SIDES * orbit_T / camera.ORBIT).float()
    return replace(film, cover_YX=cover_YX, poses_PT5=poses_PT5, faces_P4=torch.tensor(list(people)))


def _own(acts: Sequence[Act], scene: str, number: int, count: int) -> list[Act]:
    """What one of `count` people, from the left, does or feels: what is told of them, else of both.

    Where that leaves a doubt, and of three and more, nobody does anything.
    """
    if count == 1:
        return list(acts)
    own = [act for act in acts if count <= NUM_PLACES and place_of(act.who, scene) == number]
    return own or [act for act in acts if count <= NUM_PLACES and not act.who]


def phones_of(said: Sequence[Said], scene: str, count: int) -> list[list[Phone]]:
    """What each of `count` people, from the left, says: all of it where one stands alone."""
    where = places([line.speaker for line in said], scene) if count > 1 else [0] * len(said)
    return [
        [p for line, place in zip(said, where, strict=True) if place == k for p in line.phones] for k in range(count)
    ]
