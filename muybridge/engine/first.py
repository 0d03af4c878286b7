"""A first picture: who is in it, whose head it may borrow, and the picture as large as its film.

Letters: C colours or channels, Y X rows and columns, W text features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from muybridge import media
from muybridge.engine import faces, pipeline
from muybridge.engine.components import Components
from muybridge.engine.conditions import frames_to_tensor
from muybridge.engine.pixels import covering
from muybridge.engine.projector import size_of
from muybridge.engine.sharpen import doubled, painted
from muybridge.model.face_painter import REACH
from muybridge.model.finder import Face
from muybridge.request import Request
from muybridge.speech.places import NUM_PLACES
from muybridge.speech.script import parse_script, without_quotes

AGAIN = 1.5  # times as high as it is made, from which a drawn picture is doubled once more
BESIDE = 2.2  # half heights between faces of people who are drawn together, and times that one is larger
LONGEST = 1.6  # half widths to the half height of a drawn face
# Of a face that is turned: how much its uneven halves and a larger one count beside the middle of its head, half of how
# wide heads are, in half heights of the face, and how far from its middle its halves may meet.
UNEVEN, LARGER, HEAD, ASIDE = 3.0, 0.2, 3.0, 0.5


@dataclass(frozen=True, eq=False)
class First:
    """A first picture [C, Y, X] and its people from the left; the draft's have blank faces unless one was lent.

    `thing_YX` is where something of a `kind` is that is to be struck.
    """

    picture_CYX: Tensor
    people: Sequence[Face]
    was_drawn: bool
    is_blank: bool
    thing_YX: Tensor | None = None
    kind: str | None = None


def whose(parts: Components, picture_CYX: Tensor, was_drawn: bool = False) -> list[Face]:
    """The faces of a picture from the left, of which there are two at most; none where there are more."""
    found = [] if parts.finder is None else parts.finder.faces(picture_CYX)
    found = side_by_side(found) if was_drawn else found
    return sorted(found, key=lambda face: face.x) if len(found) <= NUM_PLACES else []


def side_by_side(found: Sequence[Face]) -> list[Face]:
    """Those of a drawn picture that stand beside its largest face: one in its clothes is nobody's.

    A blank that is longer than faces are goes on as a neck: its face is above.
    """
    people = []
    for face in found:
        half = min(face.half_height, LONGEST * face.half_width)
        people.append(face._replace(y=face.y - face.half_height + half, half_height=half))
    largest = max(people, key=lambda face: face.half_height, default=None)
    if largest is None:
        return []
    near = BESIDE * largest.half_height
    return [f for f in people if abs(f.y - largest.y) <= near and f.half_height >= largest.half_height / BESIDE]


def lender(parts: Components, request: Request) -> First | None:
    """The reference that shows a face most from in front, or larger, as it was given; None where none shows one."""
    found: list[tuple[float, int, First]] = []
    if parts.finder is None:
        return None
    for number, reference in enumerate(request.references):
        picture_CYX = frames_to_tensor(media.read_image(reference.image)[None])[0, :, 0]
        for face in parts.finder.faces(picture_CYX)[:1]:
            covers = parts.finder.covers(picture_CYX)
            turned = _beside(covers["head"], face) + UNEVEN * _uneven(covers["face"], face)
            first = First(picture_CYX, [face], was_drawn=False, is_blank=False)
            found.append((turned - LARGER * face.half_height, number, first))
    return min(found, key=lambda one: one[:2])[2] if found else None


def _uneven(cover_YX: Tensor, face: Face) -> float:
    """How unlike its mirror image a face is, 0 to 1, about the line that makes them most alike: one that is turned."""
    square_YX = faces.cut(cover_YX[None, None], face)[0, 0]
    middle, half = len(square_YX) // 2, round(len(square_YX) / (2 * REACH))
    apart = []
    for aside in range(-round(ASIDE * half), round(ASIDE * half) + 1):
        cols = slice(max(middle + aside - half, 0), middle + aside + half)
        window_YX = square_YX[middle - half : middle + half, cols]
        apart.append(float((window_YX - window_YX.flip(1)).abs().mean()))
    return min(apart)


def _beside(heads_YX: Tensor, face: Face) -> float:
    """How far a face's middle is beside that of its head, in half heights of the face: a head that is turned."""
    places_X = (torch.arange(heads_YX.shape[1]) + 0.5) / heads_YX.shape[0]
    head_X = heads_YX.sum(0) * ((places_X - face.x).abs() < HEAD * face.half_height)
    middle = float((head_X * places_X).sum() / head_X.sum().clamp(min=1e-6))
    return abs(middle - face.x) / face.half_height if float(head_X.sum()) > 0 else 0.0


def large(parts: Components, request: Request, small: First, given_BCTYX: Tensor | None = None) -> Tensor:
    """[C, Y, X]: a first picture at its film's size: a drawn one painted anew, a given one as its file has it.

    That is where it is larger than what is made; else it is `given`, the latent of it.
    """
    stages = pipeline.stages_of(parts, request)
    made, size = stages[-1].size, size_of(parts, request)
    if size != made and request.image is not None and not small.was_drawn:
        given = media.condition_image(media.read_image(request.image), size.height, size.width)
        return frames_to_tensor(given[None])[0, :, 0]
    picture_CYX = small.picture_CYX
    if small.was_drawn:
        words_W, times = scene_words(parts, request), 2 if size.height >= AGAIN * made.height else 1
        picture_CYX = painted(parts, words_W, request.seed, picture_CYX, small.people)
        for _ in range(times if len(stages) > 1 else 0):
            picture_CYX = doubled(parts, words_W, request.seed, picture_CYX, small.people)
    elif len(stages) > 1:
        assert given_BCTYX is not None  # a given picture
        picture_CYX = decoded(parts, given_BCTYX)
        if size == made:
            return picture_CYX
    frame, (rows, cols) = stages[0].size, small.picture_CYX.shape[1:]
    cover = covering(frame, made)  # where the shapes differ, as what the base makes is enlarged
    wanted = (
        round(rows * cover.height * size.height / (frame.height * made.height)),
        round(cols * cover.width * size.width / (frame.width * made.width)),
    )
    if picture_CYX.shape[1:] == wanted:
        return picture_CYX
    return torch.nn.functional.interpolate(picture_CYX[None], wanted, mode="bicubic", align_corners=False)[0]


def decoded(parts: Components, latent_BCTYX: Tensor) -> Tensor:
    """[C, Y, X]: the picture of a first latent."""
    return parts.video_codec.decode(latent_BCTYX.to(parts.device))[0, :, 0].float().cpu()


def scene_of(request: Request) -> str:
    """The prompt without what is said."""
    return without_quotes(parse_script(request.prompt, request.language).scene).strip() or request.prompt


def scene_words(parts: Components, request: Request) -> Tensor:
    """The mean of the text features of a prompt's scene, as the painter learned it."""
    (features_NC,) = parts.text_encoder.encode([scene_of(request)])
    return features_NC.float().cpu().mean(0)
