"""How a film is shown (film.py): by itself, and with what the base changed, frame by frame as large as it is delivered.

What a large film shows beyond a small one is the detail that an enlarged picture lacks.

Letters: T frames, C colours or channels, Y X rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from muybridge.engine import (
    acting,
    camera,
    elements,
    faces,
    falling,
    galloping,
    layers,
    lighting,
    pipeline,
    pixels,
    waving,
    worn,
)
from muybridge.engine.components import Components, PaintsFaces
from muybridge.engine.conditions import frames_to_tensor
from muybridge.engine.state import Film, GenerationState
from muybridge.model.finder import Face
from muybridge.request import Request
from muybridge.shapes import PixelSize

PALER = (0.8, 1.5)  # how much of a channel's contrast may be taken or given back
UNLIKE = 0.5  # how far the base is from its film, in mean squares of the film's latents, where detail counts 1/e
BRIGHT = 1e4  # of an arm: white in whatever shade
FILMED = 0.75  # of a picture over which the camera moves
TOGETHER, LARGEST = 8, 448 * 256  # frames that are put together at a time; fewer of more pixels than these


def size_of(parts: Components, request: Request) -> PixelSize:
    """Of a film's frames: the shape of what is made, as large as it must be to cover what is delivered."""
    made, size = pipeline.stages_of(parts, request)[-1].size, request.pixel_size
    return made if made.width >= size.width and made.height >= size.height else pixels.covering(made, size)


@torch.inference_mode()
def composed(
    parts: Components, state: GenerationState, on_frames: Callable[[NDArray[np.uint8]], None] | None = None
) -> NDArray[np.uint8]:
    """Frames [T, Y, X, 3] of a base's clip as they are delivered: what its film shows, and what the base changed.

    `on_frames` sees those that are ready, again and again.

    As a Laplacian pyramid is put together (Burt and Adelson 1983): the large film's detail over the small clip, less
    where that is not what the film shows. Faces are the film's: a codec, or a base, blurs lips over four frames. A few
    frames are put together at a time: a film in floats would be most of the memory that a clip takes.
    """
    film, shown_BCTYX = state.conditions.film, state.conditions.film_BCTYX
    assert film is not None and shown_BCTYX is not None  # the caller has seen to it
    size, asked = size_of(parts, state.request), state.request.pixel_size
    base_BCTYX, num_frames = in_tone(state.latents["video"].cpu(), shown_BCTYX), state.window.clock.num_frames
    apart_BTYX = (base_BCTYX - shown_BCTYX).square().mean(1)
    like_BTYX = (-apart_BTYX / (UNLIKE * shown_BCTYX.square().mean().clamp(min=1e-6))).exp()
    small = pixels.pixels_of(parts.video_codec, base_BCTYX)
    made, seen = (
        pixels.decode_frames(parts.video_codec, x.to(parts.device), small, num_frames)
        for x in (base_BCTYX, shown_BCTYX)
    )
    drawn, cover = _drawn(film, parts.face_painter), _cover(film)
    frames = np.empty((num_frames, asked.height, asked.width, 3), np.uint8)
    top, left = (size.height - asked.height) // 2, (size.width - asked.width) // 2
    together = max(1, min(TOGETHER, TOGETHER * LARGEST // (size.width * size.height)))
    held, light = None, (float(film.picture_CYX.mean()) + 1) / 2
    for start in range(0, num_frames, together):
        part = slice(start, min(start + together, num_frames))
        if held is None or any(x.numel() for x in (film.views_5T, film.poses_PT5, film.waves_2T)):  # else faces stay
            held = _held(film, cover, part, size)
        base, shown = (frames_to_tensor(pixels.enlarge(x[part], size))[0] for x in (made, seen))
        latent = [latent_of(frame, parts.video_codec.stride[0]) for frame in range(part.start, part.stop)]
        share = torch.nn.functional.interpolate(like_BTYX[:, latent], (size.height, size.width), mode="bilinear")
        whole = _shown(film, drawn, part, size)[0]
        both = torch.lerp(base + share * (whole - shown), whole, held)
        if start == 0 and 0 in state.conditions.frames:
            both[:, :1] = whole[:, :1]
        if film.falls_T.numel() and bool(film.falls_T[part].any()):
            numbers = range(state.window.start_frame + part.start, state.window.start_frame + part.stop)
            strength_T, seed = film.falls_T[part].tolist(), state.request.seed
            both = falling.laid_on(both, film.fall, strength_T, numbers, seed, light, parts.finder)
        frames[part] = pixels.to_uint8(both[:, :, top : top + asked.height, left : left + asked.width])
        if on_frames is not None:
            on_frames(frames[: part.stop])
    return frames


def _cover(film: Film) -> Film:
    """The film of how much of a pixel is drawn anew: where faces are, and an arm that waves."""
    people = [Face(*place) for place in film.faces_P4.tolist()] if film.units_PTU.numel() else []
    cover_YX = faces.covered(people, *film.picture_CYX.shape[1:])
    none = torch.zeros(0)
    bright_2C = torch.full((2, 3), BRIGHT)
    picture_CYX = cover_YX.expand(3, -1, -1)
    return replace(film, picture_CYX=picture_CYX, units_PTU=none, light_4T=none, worn_YX=none, arm_2C=bright_2C)


def _held(film: Film, cover: Film, frames: slice, size: PixelSize) -> Tensor:
    """[C, T, Y, X] in 0..1: how much of a pixel is the film's alone: drawn faces, and most where a camera moves.

    A base adds nothing to a drawn face or a ball that bounces, and to a moving camera's picture a shadow of where
    things were.
    """
    if film.strikes_K.numel():
        return torch.ones(1, 1, size.height, size.width)
    held = _shown(cover, Drawn(), frames, size)[0].clamp(0, 1)
    return held.clamp(min=FILMED) if film.views_5T.numel() else held


def latent_of(frame: int, stride: int) -> int:
    """The number of the latent that holds a frame: the first has one, later ones `stride`."""
    return -(-frame // stride)


def in_tone(base_BCTYX: Tensor, film_BCTYX: Tensor) -> Tensor:
    """The base's latents with the mean and the spread that each channel has in the film: guesses are pale."""
    (base, film), (low, high) = ((x.mean((2, 3, 4), keepdim=True) for x in (base_BCTYX, film_BCTYX)), PALER)
    spread, wanted = (x.std((2, 3, 4), keepdim=True).clamp(min=1e-6) for x in (base_BCTYX, film_BCTYX))
    return (base_BCTYX - base) * (wanted / spread).clamp(low, high) + film


@dataclass(frozen=True, eq=False)
class Drawn:
    """What of a film is drawn once for all of its frames: its faces, and what is struck in it."""

    changes: Sequence[faces.Change] = ()
    struck: Callable[[range], Tensor] | None = None


@torch.inference_mode()
def play(film: Film, painter: PaintsFaces | None, frame: PixelSize) -> Tensor:
    """[1, C, T, Y, X] at the frame's size: a film, or its one picture where nothing moves. A few frames at a time."""
    drawn = _drawn(film, painter)
    if not film.moves:
        return _shown(film, drawn, slice(0, 1), frame)
    starts = range(0, film.num_frames, TOGETHER)
    whole = torch.empty(1, len(film.picture_CYX), film.num_frames, frame.height, frame.width)
    for start in starts:
        part = slice(start, min(start + TOGETHER, film.num_frames))
        whole[:, :, part] = _shown(film, drawn, part, frame)  # one frame for all where only the weather moves
    return whole


def _drawn(film: Film, painter: PaintsFaces | None) -> Drawn:
    changes: Sequence[faces.Change] = ()
    if film.units_PTU.numel():
        assert painter is not None  # or there were no units
        who = [(Face(*place), units) for place, units in zip(film.faces_P4.tolist(), film.units_PTU, strict=True)]
        changes = faces.changes(painter, film.picture_CYX, who, film.words_W, film.is_blank, list(film.felt_PTU))
    if not film.strikes_K.numel():
        return Drawn(changes)
    strikes_K = film.strikes_K.tolist()
    if film.kind == galloping.KIND:
        begins_s = strikes_K[0], strikes_K[1]
        return Drawn(changes, galloping.moving(film.picture_CYX, begins_s, film.heading, film.coat))
    cover_YX = enlarged(film.cover_YX, film.picture_CYX)
    if film.kind in elements.KINDS:
        return Drawn(changes, elements.moving(film.picture_CYX, cover_YX, strikes_K, film.kind))
    behind_CYX = film.behind_CYX if film.behind_CYX.numel() else None
    return Drawn(changes, layers.struck(film.picture_CYX, cover_YX, strikes_K, film.kind, film.heading, behind_CYX))


def _shown(film: Film, drawn: Drawn, frames: slice, frame: PixelSize) -> Tensor:
    """[1, C, T, Y, X]: some frames of a film, or its one picture where nothing moves."""
    film_CTYX = faces.changed(film.picture_CYX, drawn.changes, frames)
    has_behind = film.behind_CYX.shape == film.picture_CYX.shape and not film.strikes_K.numel()
    behind_CTYX = film.behind_CYX[:, None] if has_behind else film.behind_CYX
    if film.worn_YX.numel():
        film_CTYX = worn.put_on(film_CTYX, enlarged(film.worn_YX, film.picture_CYX))
    if drawn.struck is not None:
        numbers = range(*frames.indices(film.num_frames))
        film_CTYX = film_CTYX + drawn.struck(numbers) - film.picture_CYX[:, None]
    if film.waves_2T.numel():
        waves_2T = film.waves_2T[:, frames]
        film_CTYX = film_CTYX.expand(-1, waves_2T.shape[1], -1, -1)
        film_CTYX = waving.waved(film_CTYX, waves_2T, film.arm_2C, Face(*film.faces_P4[0].tolist()))
    if film.light_4T.numel():
        shade_YX = enlarged(film.shade_YX, film.picture_CYX) if film.shade_YX.numel() else film.shade_YX
        film_CTYX = lighting.lit(film_CTYX, lighting.logs_of(film.light_4T[:, frames], shade_YX))
        if has_behind:
            behind_CTYX = lighting.lit(behind_CTYX, lighting.logs_of(film.light_4T[:, frames], torch.zeros(0)))
    poses_PT5 = film.poses_PT5[:, frames] if film.poses_PT5.numel() else ()
    for place, poses_T5 in zip(film.faces_P4.tolist(), poses_PT5, strict=False):  # of nobody where nobody acts
        film_CTYX = acting.acted(film_CTYX.expand(-1, len(poses_T5), -1, -1), Face(*place), poses_T5)
    if film.views_5T.numel() or film_CTYX.shape[2:] != (frame.height, frame.width):
        still = camera.views((), film_CTYX.shape[1], 0, is_given=True)
        seen = camera.Views(*film.views_5T[:, frames].numpy()) if film.views_5T.numel() else still
        is_in_front = film.cover_YX.numel() and not film.strikes_K.numel()
        near_YX = enlarged(film.cover_YX, film.picture_CYX) if is_in_front else None
        return camera.filmed(film_CTYX, seen, frame, near_YX, behind_CTYX if has_behind else None)
    return film_CTYX[None]


def enlarged(cover_YX: Tensor, picture_CYX: Tensor) -> Tensor:
    """A cover at a picture's size."""
    size = picture_CYX.shape[1:]
    return torch.nn.functional.interpolate(cover_YX[None, None], size, mode="bilinear", align_corners=False)[0, 0]
