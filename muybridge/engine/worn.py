"""Glasses, which no draft draws: rims around the eyes that a face's painter opens and shuts, and temples to the ears.

Letters: C colours, Y X rows and columns, U face units, W text features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from muybridge.engine import faces
from muybridge.engine.components import PaintsFaces
from muybridge.model.face_painter import REACH, SIDE, told
from muybridge.model.finder import Face
from muybridge.world.anatomy import ARKIT_UNITS, UNIT_INDEX

# As the world's glasses (world/accessories.py), in halves of the way between the eyes: a rim's half width and height,
# half of its thickness, how far the bridge is above the eyes; how a lens of sunglasses covers.
WIDE, HIGH, THICK, ABOVE, SHADED = 0.79, 0.56, 0.065, 0.16, 0.85
ROUND, SQUARE = 2.0, 4.0  # the exponent of a rim's shape
NEAREST = 0.3  # half widths of a face: eyes are no nearer to the middle between them
COLOUR = -0.86  # of -1..1: nearly black
LEAST = 0.002  # what shutting both eyes changes in a face that has any, in mean absolute values


class Eyes(NamedTuple):
    """Middles of the eyes, the picture's left one first, in the picture's heights."""

    left: tuple[float, float]
    right: tuple[float, float]


@torch.inference_mode()
def eyes_of(
    painter: PaintsFaces, picture_CYX: Tensor, face: Face, words_W: Tensor, is_blank: bool = False
) -> Eyes | None:
    """Where a face has its eyes, a blank one as it is painted: where shutting them changes it. None without any."""
    begin_BCYX = faces.cut(picture_CYX[None].float(), face)
    open_U = torch.zeros(len(ARKIT_UNITS))
    shut_U = open_U.clone()
    shut_U[[UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]]] = 1.0
    for _ in range(faces.PASSES if is_blank else 0):
        begin_BCYX = painter(begin_BCYX, told(open_U[None], words_W, True, face.half_height)).float().clamp(-1, 1)
    both = torch.stack([open_U, shut_U])
    told_BK = told(both, words_W, is_blank, face.half_height)
    drawn_BCYX = painter(begin_BCYX.expand(2, -1, -1, -1), told_BK).float()
    change_YX = (drawn_BCYX[1] - drawn_BCYX[0]).abs().mean(0)
    if float(change_YX.mean()) < LEAST:
        return None
    change_YX = (change_YX - change_YX.mean()).clamp(min=0) ** 2
    at = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * REACH * face.half_height
    middle = float((change_YX.sum(0) * at).sum() / change_YX.sum())
    found = []
    for side_X in (at < middle, at >= middle):
        part_YX = change_YX * side_X
        total = part_YX.sum().clamp(min=1e-9)
        x, y = float((part_YX.sum(0) * at).sum() / total), float((part_YX.sum(1) * at).sum() / total)
        found.append((face.x + x, face.y + y))
    return Eyes(*found)


def glasses(eyes: Eyes, face: Face, rows: int, cols: int, seed: int, are_dark: bool) -> Tensor:
    """[Y, X] in 0..1: how much of each pixel is glasses, round or square by the seed; dark ones have lenses."""
    (left_x, left_y), (right_x, right_y) = eyes
    apart = max(((right_x - left_x) ** 2 + (right_y - left_y) ** 2) ** 0.5 / 2, 1e-3)
    across = ((right_x - left_x) / (2 * apart), (right_y - left_y) / (2 * apart))
    half = max(apart, NEAREST * face.half_width)  # eyes that are shut are told worse
    y_Y, x_X = ((torch.arange(count) + 0.5) / rows for count in (rows, cols))
    x_YX, y_YX = x_X[None] - (left_x + right_x) / 2, y_Y[:, None] - (left_y + right_y) / 2
    # Along the line through the eyes and across it, in halves of their distance.
    u_YX = (x_YX * across[0] + y_YX * across[1]) / half
    v_YX = (y_YX * across[0] - x_YX * across[1]) / half
    pixel = 1 / (rows * half)
    soft, thick = pixel, max(THICK, 0.6 * pixel)
    exponent = SQUARE if seed % 2 else ROUND

    def line(far_YX: Tensor) -> Tensor:
        near_YX: Tensor = ((thick + soft / 2 - far_YX) / soft).clamp(0, 1)
        return near_YX

    cover_YX = torch.zeros(rows, cols)
    for side in (-1, 1):
        out_YX = (((u_YX - side) / WIDE).abs() ** exponent + (v_YX / HIGH).abs() ** exponent) ** (1 / exponent) - 1
        cover_YX = torch.maximum(cover_YX, line(out_YX.abs() * HIGH))
        if are_dark:
            cover_YX = torch.maximum(cover_YX, SHADED * (out_YX < 0))
        ear = side * max(1 + WIDE + 0.1, (face.half_width + side * (face.x - (left_x + right_x) / 2)) / half)
        inner, outer = sorted((side * (1 + WIDE), ear))
        on_temple_YX = (u_YX >= inner) & (u_YX <= outer)
        cover_YX = torch.maximum(cover_YX, line((v_YX + ABOVE).abs()) * on_temple_YX)
    on_bridge_YX = u_YX.abs() <= 1 - WIDE + thick
    return torch.maximum(cover_YX, line((v_YX + ABOVE).abs()) * on_bridge_YX)


def put_on(film_CTYX: Tensor, cover_YX: Tensor) -> Tensor:
    """Frames [C, T, Y, X] in -1..1 with what is worn over them."""
    return torch.lerp(film_CTYX, torch.tensor(COLOUR), cover_YX)
