"""Gestures as geometry: what a clip's first picture looks like while its person nods, turns, leans in or shrugs.

As a camera's move (camera.py), a gesture is known from its words and the first picture: the head is taken for a
ball with a nose, found where the picture shows a face (model/finder.py), and turned; shoulders are beside and below it,
and are drawn up. The base takes the latents of that for its guess over time and adds what a drawing on a ball lacks.
What is behind the head stays, softly.

Letters: T frames, C colours, Y X rows and columns in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from muybridge.model.finder import Face
from muybridge.speech.acts import Act

TURN, SHAKE, LOOK, NOD, TILT, NEARER = 0.7, 0.3, 0.3, 0.17, 0.24, 0.13  # radians; the last is the log of a size
WIDE, HIGH, UP = 1.14, 1.3, 0.12  # the head beside the face: its half width and height, and how far up its middle is
NOSE, NOSE_WIDE, NOSE_HIGH, NOSE_DOWN = 0.3, 0.35, 0.35, 0.17  # of the head: how far it stands out, its size and place
RIM = (0.9, 1.15)  # of the head, over which a turn ends
FOLLOWS = 0.15  # of a turn or a nod that the whole head goes along, as it stands on a neck
LIFT, SHRUG_TILT = 0.35, 0.07  # half heights of the face that shoulders go up in a shrug, and radians of the head
BESIDE, BELOW = (0.8, 1.7, 2.9, 4.2), (0.5, 1.4, 3.4, 6.0)  # where shoulders are, in half widths and heights: from, to
NECK, CHEST = 1.4, 2.5  # half heights below the face's middle: what a tilt and a lean turn about


class Pose(NamedTuple):
    """How a head is turned right, bent down, tilted clockwise (radians), the log of its size; how shoulders go up."""

    turn: float = 0.0
    nod: float = 0.0
    tilt: float = 0.0
    size: float = 0.0
    lift: float = 0.0


def pose_at(acts: Sequence[Act], t_s: float) -> Pose:
    """What all gestures together make of the head."""
    turn = nod = tilt = size = lift = 0.0
    for act in acts:
        value = act.value(t_s)
        match act.name:
            case "turn left" | "turn right":
                turn += value * TURN * (-1 if act.name.endswith("left") else 1)
            case "shake head":
                turn += value * SHAKE
            case "look up" | "look down":
                nod += value * LOOK * (-1 if act.name.endswith("up") else 1)
            case "nod":
                nod += value * NOD
            case "tilt head":
                tilt += value * TILT
            case "wave":
                pass  # an arm is not the head's (waving.py)
            case "shrug":
                lift, tilt = lift + value * LIFT, tilt + value * SHRUG_TILT
            case _:
                size += value * NEARER
    return Pose(turn, nod, tilt, size, lift)


def acted(film_CTYX: Tensor, face: Face, poses_T5: Tensor) -> Tensor:
    """[C, T, Y, X]: a film of one standing picture in which its person takes a pose in each frame."""
    frames = []
    for picture_CYX, values in zip(film_CTYX.unbind(1), poses_T5.tolist(), strict=True):
        pose = Pose(*values)
        frames.append(picture_CYX if pose == Pose() else posed(picture_CYX, face, pose))
    return torch.stack(frames, 1)


def posed(picture_CYX: Tensor, face: Face, pose: Pose) -> Tensor:
    """[C, Y, X]: the picture with its head in a pose."""
    rows, cols = picture_CYX.shape[1:]
    y_Y, x_X = (torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5) / rows
    down_YX, right_YX = torch.meshgrid(
        (y_Y - face.y) / face.half_height, (x_X - face.x) / face.half_width, indexing="ij"
    )
    u, v = _source(right_YX, down_YX, pose, face.half_height / face.half_width)
    from_x, from_y = u * face.half_width + face.x, v * face.half_height + face.y
    grid = torch.stack([2 * from_x * rows / cols - 1, 2 * from_y - 1], -1)[None].float()
    found: Tensor = torch.nn.functional.grid_sample(
        picture_CYX[None].float(), grid, mode="bicubic", padding_mode="border", align_corners=False
    )[0]
    return found.clamp(-1, 1)


def _source(u: Tensor, v: Tensor, pose: Pose, aspect: float) -> tuple[Tensor, Tensor]:
    """Where each place comes from, in half widths and heights of the face; `aspect` is height over width."""
    if pose.lift:
        v = v + pose.lift * _between(u.abs(), *BESIDE) * _between(v, *BELOW)
    if pose.size:
        near = _falls(_far(u, v), 1.2, 3.2) * (1 - math.exp(-pose.size))
        u, v = u - near * u, v - near * (v - CHEST)
    if pose.tilt:
        held = _falls(_far(u, v), 1.1, 2.0)
        cos, sin = math.cos(pose.tilt), math.sin(pose.tilt)
        up = (v - NECK) * aspect
        u, v = u + held * (u * cos + up * sin - u), v + held * (up * cos - u * sin - up) / aspect
    if pose.turn or pose.nod:
        held = _falls(_far(u, v), 1.0, 1.6) * FOLLOWS
        u, v = u - held * math.sin(pose.turn), v - held * math.sin(pose.nod) / aspect
        inside = _falls(_far(u, v), *RIM)
        across, down = _unturned(u / WIDE, (v + UP) / HIGH, pose)
        u, v = u + inside * (across * WIDE - u), v + inside * (down * HIGH - UP - v)
    return u, v


def _unturned(x: Tensor, y: Tensor, pose: Pose) -> tuple[Tensor, Tensor]:
    """The place on a ball seen from in front that a turn and a nod brought here; its back shows its edge."""
    z = (1 - x.square() - y.square()).clamp(min=0).sqrt()
    cos, sin = math.cos(pose.nod), math.sin(pose.nod)
    y, z = y * cos - z * sin, y * sin + z * cos
    cos, sin = math.cos(pose.turn), math.sin(pose.turn)
    x, z = x * cos - z * sin, x * sin + z * cos
    out = torch.where(z < 0, (x.square() + y.square()).sqrt().clamp(min=1e-3), torch.ones_like(x))
    x, y = x / out, y / out
    nose = NOSE * torch.exp(-((x / NOSE_WIDE) ** 2) - ((y - NOSE_DOWN) / NOSE_HIGH) ** 2)
    return x - nose * math.sin(pose.turn), y - nose * math.sin(pose.nod)


def _far(u: Tensor, v: Tensor) -> Tensor:
    """How far from the head's middle, in its own size."""
    return ((u / WIDE) ** 2 + ((v + UP) / HIGH) ** 2).sqrt()


def _between(x: Tensor, start: float, full: float, less: float, end: float) -> Tensor:
    return (1 - _falls(x, start, full)) * _falls(x, less, end)


def _falls(far: Tensor, start: float, end: float) -> Tensor:
    share = ((end - far) / (end - start)).clamp(0, 1)
    return share * share * (3 - 2 * share)
