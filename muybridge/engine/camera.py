"""Camera moves as geometry: what a clip's first picture looks like while the camera does what the prompt says.

A small base hardly moves a picture that it is given. How a camera moves one need not be learned: the moves that a
prompt names (speech/moves.py) become a view for every frame, the first picture is filmed through them, and the base
takes the latents of that for its guess over time (flow/continuity.py), in which it puts what moves by itself. Where the
picture is drawn from words (draft.py) as much of it is drawn as the camera will see. A picture that was given goes on
beyond its edges as the edge itself: its mirror image would show people twice. Near and far are told apart in an orbit
alone: who stands in front stays, and the place passes behind, far beyond its edges: nobody is in it.

Letters: T frames, C colours, Y X rows and columns. Lengths are in widths and heights of the clip's frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from muybridge.engine.layers import filled, grown
from muybridge.shapes import FPS, PixelSize
from muybridge.speech.moves import Move

PAN, TILT, ORBIT, NEARER = 0.29, 0.25, 0.24, 0.43  # from end to end; the last one is the log of a size
WIDER = (0.04, 0.16, 0.53)  # a reframing's way to the right, down, and the log of its size
MOST = (0.6, 0.5, 0.5, 0.9)  # to the side, down, round and the log of a size, however many moves there are
HELD, SHAKEN, ROLLED = 0.9, 0.03, 0.01  # size of the view in a hand that shakes; how far, in frames and radians
# An orbit leaves in its place what is nearer to the middle than the first, and moves all that is beyond the second.
MIDDLE, BEHIND = 0.1, 0.42
ROUND = 3.0  # times as far as that passes what is behind somebody who is known: no person is in it to be seen twice
EDGE = 0.25  # of a unit of a drawn picture's size: so much of its edge may be seen to go on
RIM = 0.03  # of the picture's height: how far beyond a person the place behind is made up


class Views(NamedTuple):
    """What the camera sees in each frame: its middle from the picture's, the size of the view, its roll, its orbit."""

    x_T: NDArray[np.float64]
    y_T: NDArray[np.float64]
    size_T: NDArray[np.float64]
    roll_T: NDArray[np.float64]
    orbit_T: NDArray[np.float64]


def views(moves: Sequence[Move], num_frames: int, seed: int, is_given: bool) -> Views:
    """The views of moves, one after the other or together.

    A given picture is what the first frame sees, whole; of one that is drawn all views together take the middle, and
    the widest is as large as a frame.
    """
    x, y, size, roll, orbit = np.zeros((5, num_frames))
    shaken = 0.0
    for move in moves:
        e_T = _ease(np.arange(num_frames) / FPS, move)
        sign = -1 if move.name.endswith(("left", "up")) else 1
        match move.name.split()[0]:
            case "pan":
                x += sign * PAN * e_T
            case "tilt":
                y += sign * TILT * e_T
            case "orbit":
                orbit -= sign * ORBIT * e_T
            case "push":
                size -= NEARER * e_T
            case "pull":
                size += NEARER * e_T
            case "reframe":
                x, y, size = x + WIDER[0] * e_T, y + WIDER[1] * e_T, size + WIDER[2] * e_T
            case _:
                shaken = 1.0
    x, y, orbit, size = (v.clip(-most, most) for v, most in zip((x, y, orbit, size), MOST, strict=True))
    begin = 0 if is_given else slice(None)
    x, y, orbit = (v - (v[begin] if is_given else (v.max() + v.min()) / 2) for v in (x, y, orbit))
    size = np.exp(size - (size[0] if is_given else size.max()))
    if shaken:
        w = _wobble(seed, num_frames)
        w = w - w[:, :1] if is_given else w
        x, y, roll = x + SHAKEN * w[0], y + SHAKEN * w[1], roll + ROLLED * w[2]
        size = size * (1.0 if is_given else HELD)
    return Views(x, y, size, roll, orbit)


def canvas(seen: Views, frame: PixelSize, unit: int = 32) -> PixelSize:
    """How large a picture the views take in, in pixels that divide by `unit`, at least the frame itself."""
    aside_T = np.maximum(np.abs(seen.x_T), np.abs(seen.x_T + seen.orbit_T))  # of what is near, and far
    wide = 2 * (aside_T + seen.size_T / 2).max() * frame.width
    high = 2 * (np.abs(seen.y_T) + seen.size_T / 2).max() * frame.height
    return PixelSize(
        max(frame.width, unit * math.ceil(wide / unit - EDGE)),
        max(frame.height, unit * math.ceil(high / unit - EDGE)),
    )


def filmed(
    pictures_CTYX: Tensor,
    seen: Views,
    frame: PixelSize,
    near_YX: Tensor | None = None,
    behind_CTYX: Tensor | None = None,
) -> Tensor:
    """[1, C, T, Y, X]: one picture, or one for each view, at the frame's size; beyond its edges the edge goes on.

    An orbit moves all but what `near_YX` covers of the picture, and there its place goes on as its mirror image; where
    that is not known, it moves all but its middle. `behind` are pictures of that place, where there are any.
    """
    rows, cols = pictures_CTYX.shape[2:]
    last = pictures_CTYX.shape[1] - 1
    wide, high = frame.width / cols, frame.height / rows
    x_X = (torch.arange(frame.width) + 0.5) / frame.width - 0.5
    y_Y = (torch.arange(frame.height) + 0.5) / frame.height - 0.5
    aspect = frame.width / frame.height
    frames = []
    for number, (x, y, size, roll, orbit) in enumerate(zip(*seen, strict=True)):
        across_YX, down_YX = x_X[None, :] * size, y_Y[:, None] * size
        cos, sin = math.cos(roll), math.sin(roll)
        at_x = x + cos * across_YX - sin * down_YX / aspect
        at_y = y + cos * down_YX + sin * across_YX * aspect
        picture_CYX = pictures_CTYX[:, min(number, last)].float()
        if near_YX is not None and orbit:
            near = torch.cat([picture_CYX, near_YX[None]])
            far_x = wide * (at_x + ROUND * orbit)
            place_CYX = without(picture_CYX, near_YX)
            if behind_CTYX is not None:
                place_CYX = behind_CTYX[:, min(number, behind_CTYX.shape[1] - 1)].float()
            far_CYX = _looked(place_CYX, far_x, high * at_y, "reflection")
            near_CYX = _looked(near, wide * at_x, high * at_y)
            frames.append(torch.lerp(far_CYX, near_CYX[:-1], near_CYX[-1:].clamp(0, 1)))
            continue
        far_YX = ((at_x.abs() - MIDDLE) / (BEHIND - MIDDLE)).clamp(0, 1)
        at_x = at_x + orbit * far_YX.square() * (3 - 2 * far_YX)
        frames.append(_looked(picture_CYX, wide * at_x, high * at_y))
    return torch.stack(frames, 1)[None].clamp(-1, 1)


def without(picture_CYX: Tensor, near_YX: Tensor) -> Tensor:
    """[C, Y, X]: the picture's place as it may go on behind what is covered."""
    return filled(picture_CYX, grown(near_YX, RIM).clamp(0, 1))


def _looked(picture_CYX: Tensor, x_YX: Tensor, y_YX: Tensor, beyond: str = "border") -> Tensor:
    """[C, Y, X]: a picture at places from its middle, in widths and heights of it; what is `beyond` its edges."""
    grid = torch.stack([2 * x_YX, (2 * y_YX).expand_as(x_YX)], -1)[None].float()
    found: Tensor = torch.nn.functional.grid_sample(
        picture_CYX[None], grid, mode="bicubic", padding_mode=beyond, align_corners=False
    )
    return found[0]


def _ease(times_T: NDArray[np.float64], move: Move) -> NDArray[np.float64]:
    u = np.clip((times_T - move.start_s) / max(move.end_s - move.start_s, 1e-6), 0, 1)
    return u * u * (3 - 2 * u)


def _wobble(seed: int, num_frames: int) -> NDArray[np.float64]:
    """[3, T]: three slow shakes of about unit strength."""
    rng = np.random.default_rng([0x3A4E, seed])
    t_T = np.arange(num_frames) / FPS
    paces_K, weights_K = np.array([0.4, 0.8, 1.5, 2.6]), np.array([0.6, 0.4, 0.22, 0.1])
    paces_3K, phases_3K = paces_K * rng.uniform(0.7, 1.2, (3, 4)), rng.uniform(0, 2 * np.pi, (3, 4))
    swings_3KT = np.sin(2 * np.pi * paces_3K[..., None] * t_T + phases_3K[..., None])
    return np.asarray((swings_3KT * weights_K[:, None]).sum(1))
