"""What an edit leaves alone is the source's own picture, pixel for pixel; what it changes is the model's.

A base that knows its source (flow/continuity.py) copies it well and changes it timidly. Where its first picture was
edited by itself (draft.py), cells that changed there go on from that picture, and the others from the source. Without
that, what the base changes is pushed on at every step, cell by cell, the more the more it is.

An instruction that names what it is about (speech/edits.py) changes nothing else: hair, clothes or the place, as they
are found in each frame of the source, at the frame's own size. Hair and clothes of which another colour is asked are
dyed (recolour.py); of which another shape, they keep the source's detail. Another light falls on the source's own
frames, and so do rain, snow and fog (falling.py). Another place is seen behind its people (backdrop.py). A mood is
drawn on the source's own faces, and so are glasses and the lips of a source that says something else, whose old words
are heard in its sound (source_faces.py).

At the end of the base stage the made latents are compared with the source's, cell by cell. Cells that differ by no more
than the model's own softness count as left alone, less a margin of one cell and one latent around every change. Where
words are said anew nothing is put back: lips are small changes.

Letters: B batch, C channels, T latent frames (frames of pixels), Y X latent rows and columns (or those of pixels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine import faces, source_faces
from muybridge.engine.backdrop import behind
from muybridge.engine.components import Components, Finds
from muybridge.engine.conditions import Said, heard
from muybridge.engine.falling import laid_on
from muybridge.engine.layers import grown
from muybridge.engine.recolour import cover_of, dyed, relit
from muybridge.engine.state import Conditions, GenerationState
from muybridge.media import ClipReader
from muybridge.shapes import FPS, STRIDE_T
from muybridge.speech import edits, moods, weather
from muybridge.speech.glasses import glasses_of
from muybridge.world.visemes import speech_units

SOFT, CLEAR = 0.3, 0.8  # mean squares of a cell's neighbourhood from which a drawn edit is one, and one beyond doubt
SAME = 0.3  # mean square by which a cell's latent may differ and still be a copy
AROUND_HEAD, AROUND_PERSON = 0.05, 0.012  # of the picture's height: how far new hair and clothes reach beyond the old
LEAST_PART = 0.002  # of a picture: less hair, or clothes, than this is none
DETAIL = 8  # pixels: what is finer is kept of hair and clothes
DRAWN = {"mood", "lips", "glasses"}  # these are drawn on the source's own faces
OVER_ALL = {"weather"}  # falls, or hangs, over the source's own frames
PLAINLY = 1.4  # how much more than in a drawn picture a mood is shown: the source's own is still there
PUSH, TIMID = 1.2, 0.2  # how much further large changes go; the mean square of a change that goes half as much further


def is_edit(state: GenerationState) -> bool:
    """Whether there is a source, and nothing is said anew."""
    return state.conditions.source_BCTYX is not None and not state.conditions.is_said


def pushed(velocity_BCTYX: Tensor, x_BCTYX: Tensor, sigma: float, source_BCTYX: Tensor) -> Tensor:
    """The velocity to a picture that differs from the source in the same way, and more."""
    change = x_BCTYX - sigma * velocity_BCTYX - source_BCTYX
    size_BTYX = nnf.avg_pool2d(change.square().mean(1), 3, 1, 1)
    further_BCTYX = change * ((PUSH - 1) * size_BTYX / (size_BTYX + TIMID))[:, None]
    return velocity_BCTYX - further_BCTYX / sigma


def asked(parts: Components, state: GenerationState) -> frozenset[str]:
    """What the instruction is about, where somebody can find and draw it; empty where it may be anything."""
    request = state.request
    if parts.finder is None or state.conditions.source_BCTYX is None or state.conditions.is_anything:
        return frozenset()
    if state.conditions.is_said:
        is_dub = parts.face_painter is not None and request.audio is None and edits.is_only_said(request.prompt)
        return frozenset({"lips"} if is_dub else ())
    found = edits.asked(request.prompt)
    return found if not found & DRAWN or parts.face_painter is not None else frozenset()


def not_found(finder: Finds, picture_CYX: Tensor, about: frozenset[str]) -> list[str]:
    """The parts of a picture that an instruction names and nobody finds in it."""
    covers, seen = finder.covers(picture_CYX), [*about & {"hair", "clothes"}]
    missing = [part for part in seen if float(cover_of(part, covers).mean()) < LEAST_PART]
    return missing + (["face"] if about & DRAWN and not finder.faces(picture_CYX) else [])


def is_source_s_own(parts: Components, state: GenerationState) -> bool:
    """Whether an edit is made of the source's frames alone: faces are drawn, hair and clothes dyed, or it is lit."""
    about = asked(parts, state)
    if about == {"light"}:
        return state.conditions.gains_CYX is not None
    if about == {"place"}:
        return state.conditions.place_CYX is not None
    return bool(about) and (about <= DRAWN | OVER_ALL or bool(edits.new_colours(state.request.prompt)))


def on_faces(parts: Components, state: GenerationState, said: Sequence[Said]) -> Conditions:
    """The conditions with what a mood or new words ask of the source's face, and when its mouth was silent."""
    about, num_frames, known = asked(parts, state), state.window.clock.num_frames, state.conditions
    if "mood" in about:
        return replace(known, units_TU=PLAINLY * faces.felt(moods.asked(state.request), num_frames))
    if "lips" not in about:
        return known
    before = [] if known.source_audio_BAC is None else heard(parts, known.source_audio_BAC, state.request.language)
    new_TU, old_TU = (
        torch.from_numpy(speech_units([p for line in lines for p in line.phones], num_frames))
        for lines in (said, before)
    )
    return replace(known, units_TU=new_TU, rests_T=source_faces.rests(old_TU))


def may_change(finder: Finds, picture_CYX: Tensor, about: frozenset[str]) -> tuple[Tensor, Tensor]:
    """([Y, X] what an instruction may change of a picture, [Y, X] the part of it that keeps its detail), 0 to 1."""
    covers = finder.covers(picture_CYX)
    hair_YX = (grown(covers["head"], AROUND_HEAD) - covers["face"]).clamp(0, 1)
    clothes_YX = (grown((covers["person"] - covers["head"]).clamp(min=0), AROUND_PERSON) - covers["head"]).clamp(0, 1)
    nothing_YX = torch.zeros_like(hair_YX)
    detailed_YX = torch.maximum(
        hair_YX if "hair" in about else nothing_YX, clothes_YX if "clothes" in about else nothing_YX
    )
    place_YX = 1 - covers["person"] if "place" in about else nothing_YX
    return torch.maximum(detailed_YX, place_YX), detailed_YX


def only_changes(made_BCTYX: Tensor, source_BCTYX: Tensor, may_YX: Tensor | None = None) -> Tensor:
    """A drawn edit of one latent with the source's own cells wherever they are no further apart than it is soft.

    Where `may_YX` (pixels of any size) says what the edit is about, it is all of that and nothing else.
    """
    if may_YX is not None:
        share_BTYX = nnf.interpolate(may_YX[None, None], made_BCTYX.shape[3:], mode="area")[0]
    else:
        apart_BTYX = (made_BCTYX - source_BCTYX).float().square().mean(1)
        near_BTYX = nnf.avg_pool2d(apart_BTYX, 3, 1, 1, count_include_pad=False)
        share_BTYX = ((near_BTYX - SOFT) / (CLEAR - SOFT)).clamp(0, 1)
    return torch.lerp(source_BCTYX, made_BCTYX, share_BTYX[:, None])


def edited_cells(first_BCTYX: Tensor, source_BCTYX: Tensor) -> Tensor:
    """[Y, X] in 0..1: how far each cell's neighbourhood was changed in the first picture, softly at the edges."""
    changed = (first_BCTYX[0, :, 0] - source_BCTYX[0, :, 0]).float().square().mean(0) > SAME
    near = nnf.max_pool2d(changed.float()[None, None], 3, 1, 1)
    return nnf.avg_pool2d(near, 3, 1, 1, count_include_pad=False)[0, 0]


def left_alone(parts: Components, state: GenerationState) -> Tensor | None:
    """[T, Y, X] in 0..1 at the end of the base stage: 1 where the source stays; None where there is nothing to keep."""
    source_BCTYX = state.conditions.source_BCTYX
    if source_BCTYX is None or not (is_edit(state) or asked(parts, state)):
        return None
    if is_source_s_own(parts, state):
        return torch.ones(source_BCTYX.shape[2:])
    return unchanged(state.latents["video"].cpu(), source_BCTYX.cpu())


def unchanged(made_BCTYX: Tensor, source_BCTYX: Tensor) -> Tensor:
    """[T, Y, X]: 1 where a cell and all its neighbours in place and time are the source's, else 0."""
    apart_TYX = (made_BCTYX - source_BCTYX)[0].float().square().mean(0)
    changed = (apart_TYX > SAME).float()[None, None]
    near = nnf.max_pool3d(changed, 3, 1, 1)
    return 1 - near[0, 0]


def put_back(parts: Components, frames_TYXC: NDArray[np.uint8], state: GenerationState) -> None:
    """Write the source's pixels over the delivered frames, in place, softly at the edges; draw moods on its faces."""
    known, about = state.conditions, asked(parts, state)
    alone_TYX = known.left_alone_TYX
    assert state.request.video is not None and alone_TYX is not None  # else nothing was left alone
    changed = _changed(parts, state, about)
    count, high, wide, _ = frames_TYXC.shape
    smooth = nnf.interpolate(alone_TYX[None].float(), (high, wide), mode="bilinear", align_corners=False)[0]
    reader = ClipReader(state.request.video, size=(high, wide), max_seconds=count / FPS, sound=False)
    picture = None
    try:
        frames = reader.frames()
        for number in range(count):
            picture = next(frames, picture)  # a shorter source holds its last frame
            assert picture is not None
            made_CYX, true_CYX = (torch.from_numpy(x).permute(2, 0, 1).float() for x in (frames_TYXC[number], picture))
            share_YX = smooth[-(-number // STRIDE_T)]
            if changed is not None:
                true_CYX = 255 * changed(true_CYX / 255, number)
            elif about - DRAWN:
                assert parts.finder is not None  # or it would be about anything
                may_YX, detailed_YX = may_change(parts.finder, true_CYX / 127.5 - 1, about)
                share_YX = torch.maximum(share_YX, 1 - may_YX)
                made_CYX = made_CYX + detailed_YX * (true_CYX - _softened(true_CYX))
            mixed_CYX = torch.lerp(made_CYX, true_CYX, share_YX).round().clamp(0, 255)
            frames_TYXC[number] = mixed_CYX.to(torch.uint8).permute(1, 2, 0).numpy()
    finally:
        reader.close()
    if "glasses" in about:
        are_dark = glasses_of(state.request.prompt) == "sunglasses"
        source_faces.wear(parts, frames_TYXC, state.request.seed, are_dark)
    if known.units_TU is not None:
        source_faces.draw(parts, frames_TYXC, known.units_TU, known.rests_T)


def _changed(
    parts: Components, state: GenerationState, about: frozenset[str]
) -> Callable[[Tensor, int], Tensor] | None:
    """What is done to a frame [C, Y, X] in 0..1 of the source, by its number; None for nothing."""
    finder, gains_CYX, prompt, seed = (
        parts.finder, state.conditions.gains_CYX, state.request.prompt, state.request.seed
    )  # fmt: skip
    dyes = edits.new_colours(prompt) if about else {}
    if dyes:
        assert finder is not None  # or it would be about anything
        return lambda frame_CYX, _: dyed(finder, frame_CYX, dyes)
    if gains_CYX is not None:
        place_2CYX = state.conditions.place_2CYX
        assert finder is not None  # as above
        return lambda frame_CYX, _: relit(frame_CYX, gains_CYX, place_2CYX, finder.covers(2 * frame_CYX - 1)["person"])
    if state.conditions.place_CYX is not None:
        assert finder is not None  # as above
        standing = behind(finder, state.conditions.place_CYX)
        return lambda frame_CYX, _: standing(frame_CYX)
    kind = weather.named(prompt) if about == OVER_ALL else None
    if kind is None:
        return None

    def falls(frame_CYX: Tensor, number: int) -> Tensor:
        frame_C1YX, light = 2 * frame_CYX[:, None] - 1, float(frame_CYX.mean())
        return laid_on(frame_C1YX, kind, [1.0], [number], seed, light, finder)[:, 0] / 2 + 0.5

    return falls


def _softened(picture_CYX: Tensor) -> Tensor:
    """As soft as what a small base draws."""
    small = nnf.avg_pool2d(picture_CYX[None], DETAIL, ceil_mode=True)
    return nnf.interpolate(small, picture_CYX.shape[1:], mode="bilinear", align_corners=False)[0]
