"""What an edit draws on the faces of its source, frame by frame: a mood, lips that say other words, or glasses.

A mood is what face units ask beyond what the face does (faces.py). Of lips that said something else nobody knows well
enough what is to be taken back, so the mouth of other words is that of the nearest moments at which the source is
silent, moved by the new words, in the light of the frame that it comes into.

Letters: T frames, C colours, Y X rows and columns in pixels, U face units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine import faces, worn
from muybridge.engine.components import Components
from muybridge.engine.conditions import frames_to_tensor
from muybridge.model.face_painter import SIDE, WORDS, told
from muybridge.model.finder import Face

STEADY = 2  # frames before and after, over which a face's place is a mean
NEAR_EYES = 6  # frames before and after, whose eyes tell where glasses are
SILENT = 0.05  # of all units together: a mouth that rests
SURE_AFTER = 3  # frames from the nearest word, as it is heard, after which a mouth rests beyond doubt
LIGHTS = (0.2, 3.0)  # how much darker or brighter a frame may be than the one of its mouth
# Of the square around a face: the middle of its mouth and chin from its own, their half width and half height, from
# where to where what is drawn there fades out, and as far as skin of the same light is looked for.
MOUTH_DOWN, MOUTH_WIDE, MOUTH_HIGH, FADES, AROUND = 0.44, 0.46, 0.4, (0.65, 1.0), 1.3


def draw(parts: Components, frames_TYXC: NDArray[np.uint8], units_TU: Tensor, rests_T: Tensor | None) -> None:
    """Draw on the largest face of each frame, in place; with `rests_T`, when its mouth was silent, only new lips."""
    found = tracked(parts, frames_TYXC)
    if rests_T is None:
        _draw_over(parts, frames_TYXC, units_TU, found)
    else:
        _draw_lips(parts, frames_TYXC, units_TU, found, rests_T)


def wear(parts: Components, frames_TYXC: NDArray[np.uint8], seed: int, are_dark: bool) -> None:
    """Put glasses on the largest face of each frame, in place, where its eyes are told by the frames around."""
    assert parts.face_painter is not None  # or nothing would be asked of it
    found, wordless_W, seen = tracked(parts, frames_TYXC), torch.zeros(WORDS), []
    for number, face in enumerate(found):
        picture_CYX = _picture(frames_TYXC, number)
        eyes = None if face is None else worn.eyes_of(parts.face_painter, picture_CYX, face, wordless_W)
        if face is not None and eyes is not None:
            middle, size = (face.x, face.y), face.half_height
            seen.append((number, [[(a - m) / size for a, m in zip(eye, middle, strict=True)] for eye in eyes]))
    rows, cols = frames_TYXC.shape[1:3]
    for number, face in enumerate(found):
        near = [offsets for k, offsets in seen if abs(k - number) <= NEAR_EYES]
        if face is None or not near:
            continue
        offsets_22 = np.median(np.array(near), 0) * face.half_height + np.array([face.x, face.y])
        (left_x, left_y), (right_x, right_y) = offsets_22.tolist()
        eyes = worn.Eyes((left_x, left_y), (right_x, right_y))
        cover_YX = worn.glasses(eyes, face, rows, cols, seed, are_dark)
        _put(frames_TYXC, number, worn.put_on(_picture(frames_TYXC, number)[:, None], cover_YX)[:, 0])


def rests(before_TU: Tensor) -> Tensor:
    """[T] of bool: the frames in which a mouth that did this rests; if it never does, those in which it does least."""
    moves_T = before_TU.abs().sum(1)
    near_T = nnf.max_pool1d(moves_T[None], 2 * SURE_AFTER + 1, 1, SURE_AFTER)[0]
    for silent_T in (near_T < SILENT, moves_T < SILENT):
        if silent_T.any():
            return silent_T
    return moves_T == moves_T.min()


def tracked(parts: Components, frames_TYXC: NDArray[np.uint8]) -> list[Face | None]:
    """The largest face of each frame, where one is found."""
    assert parts.finder is not None  # or nothing would be asked of it
    found: list[Face | None] = []
    for number in range(len(frames_TYXC)):
        people = parts.finder.faces(_picture(frames_TYXC, number))
        found.append(people[0] if people else None)
    return steadied(found)


def steadied(found: Sequence[Face | None]) -> list[Face | None]:
    """Faces frame by frame, each the mean of those around it: what is drawn on them does not shake."""
    out: list[Face | None] = []
    for number, face in enumerate(found):
        near = [f for f in found[max(0, number - STEADY) : number + STEADY + 1] if f is not None]
        out.append(None if face is None else Face(*np.mean(near, 0).tolist()))
    return out


def _draw_over(
    parts: Components, frames_TYXC: NDArray[np.uint8], units_TU: Tensor, found: Sequence[Face | None]
) -> None:
    assert parts.face_painter is not None  # or nothing would be asked of it
    wordless_W = torch.zeros(WORDS)
    for number, face in enumerate(found):
        if face is not None:
            picture_CYX = _picture(frames_TYXC, number)
            who = [(face, units_TU[number : number + 1])]
            found_now = faces.changes(parts.face_painter, picture_CYX, who, wordless_W, was_drawn=False)
            _put(frames_TYXC, number, faces.changed(picture_CYX, found_now)[:, 0])


@torch.inference_mode()
def _draw_lips(
    parts: Components,
    frames_TYXC: NDArray[np.uint8],
    units_TU: Tensor,
    found: Sequence[Face | None],
    rests_T: Tensor,
) -> None:
    assert parts.face_painter is not None  # or nothing would be asked of it
    wordless_W, shown = torch.zeros(WORDS), {}
    for number, face in enumerate(found):
        if face is not None:
            shown[number] = faces.cut(_picture(frames_TYXC, number)[None], face)[0]
    at = [number for number in shown if rests_T[number]] or list(shown)[:1]
    mouth_YX, around_YX = _mouth()
    is_busy_T = (units_TU.abs().sum(1) >= SILENT) | ~rests_T
    for number, shown_CYX in shown.items():
        if not is_busy_T[number]:
            continue
        face = found[number]
        assert face is not None  # it is shown
        before = max((k for k in at if k <= number), default=at[0])
        after = min((k for k in at if k >= number), default=at[-1])
        share = 0.5 if before == after else (number - before) / (after - before)
        rest_BCYX = torch.stack([shown[before], shown[after]])
        told_BK = told(units_TU[number].expand(2, -1), wordless_W, False, face.half_height)
        drawn_BCYX = parts.face_painter(rest_BCYX, told_BK).float()
        lips_CYX = torch.lerp(drawn_BCYX[0], drawn_BCYX[1], share)
        rest_CYX = torch.lerp(rest_BCYX[0], rest_BCYX[1], share)
        here_C, there_C = ((around_YX * (x + 1)).sum((1, 2), keepdim=True) for x in (shown_CYX, rest_CYX))
        lit_CYX = (lips_CYX + 1) * (here_C / there_C.clamp(min=1.0)).clamp(*LIGHTS) - 1
        change_CYX = mouth_YX * (lit_CYX - shown_CYX)
        picture_CYX = _picture(frames_TYXC, number)
        change_CYX = faces.pasted(change_CYX[None], face, *picture_CYX.shape[1:])[0]
        _put(frames_TYXC, number, (picture_CYX + change_CYX).clamp(-1, 1))


def _mouth() -> tuple[Tensor, Tensor]:
    """([SIDE, SIDE] in 0..1: mouth and chin of the square around a face, 1 in the skin around them)."""
    at = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    far_YX = torch.hypot(at[None] / MOUTH_WIDE, (at[:, None] - MOUTH_DOWN) / MOUTH_HIGH)
    share_YX = ((FADES[1] - far_YX) / (FADES[1] - FADES[0])).clamp(0, 1)
    is_skin_YX = (far_YX > FADES[1]) & (far_YX < AROUND) & (at[:, None] < MOUTH_DOWN)
    return share_YX * share_YX * (3 - 2 * share_YX), is_skin_YX.float()


def _picture(frames_TYXC: NDArray[np.uint8], number: int) -> Tensor:
    return frames_to_tensor(frames_TYXC[number : number + 1])[0, :, 0]


def _put(frames_TYXC: NDArray[np.uint8], number: int, picture_CYX: Tensor) -> None:
    frames_TYXC[number] = picture_CYX.add(1).mul(127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
