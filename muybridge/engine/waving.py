"""A drawn person raises an arm and waves: an arm of the world's, in the person's own skin and sleeve.

It turns about the shoulder as it goes up, and its forearm about the elbow as it waves (world/arm.py keeps the picture).

Letters: T frames, C colours, K kinds of world/arm.py, Y X rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine.components import Finds
from muybridge.engine.recolour import bare_skin, sure, to_linear, to_srgb
from muybridge.model.finder import Face
from muybridge.speech.acts import Act
from muybridge.world.arm import BOX, ELBOW, SHOULDER

ARM = Path(__file__).with_name("arm.safetensors")
PER_S, OUT = 1.9, 0.55  # to and fro, so often a second, and radians that the forearm leans out
LOWERED, SEEN_FROM = (
    1.7,
    0.25,
)  # radians about the shoulder of an arm that hangs; of the way up, until which it fades in
ROOM, NEARER = 3.4, 1.3  # half heights of a face that a hand needs beside it; how far it may come nearer
LARGEST = 0.42  # half height of a face, in the picture's: a nearer one leaves no room for a hand
LEAST = 30.0  # pixels of clothes that tell a sleeve's colour; with fewer the arm is bare


def waves(acts: Sequence[Act], num_frames: int, fps: int) -> Tensor:
    """[2, T]: how far the arm is raised, 0 to 1, and how far the forearm leans out; nothing where nobody waves."""
    own = [act for act in acts if act.name == "wave"]
    if not own:
        return torch.zeros(0)
    times = [frame / fps for frame in range(num_frames)]
    raised = [max(act.value(t) for act in own) for t in times]
    leans = [0.5 - 0.5 * math.cos(2 * math.pi * PER_S * (t - own[0].start_s)) for t in times]
    return torch.tensor([raised, leans])


def colours(finder: Finds, picture_CYX: Tensor) -> Tensor:
    """[2, C] of linear light: what skin and sleeve of the one person of a picture in -1..1 look like."""
    covers, shown_CYX = finder.covers(picture_CYX), (picture_CYX.clamp(-1, 1) + 1) / 2
    linear_CYX = to_linear(shown_CYX)
    skin_YX = bare_skin(shown_CYX, covers)
    skin_YX = skin_YX if bool(skin_YX.any()) else sure(covers["head"])
    sleeve_YX = (sure(covers["person"]) - sure(covers["head"])).clamp(min=0)
    sleeve_YX = sleeve_YX if float(sleeve_YX.sum()) >= LEAST else skin_YX
    means = [(linear_CYX * where).sum((1, 2)) / where.sum().clamp(min=1e-3) for where in (skin_YX, sleeve_YX)]
    return torch.stack(means)


def waved(film_CTYX: Tensor, waves_2T: Tensor, colours_2C: Tensor, face: Face) -> Tensor:
    """Frames [C, T, Y, X] in -1..1 with the arm before them, on the side where there is more room."""
    rows, cols = film_CTYX.shape[2:]
    if face.half_height > LARGEST:
        return film_CTYX
    side = 1 if face.x >= cols / rows / 2 else -1  # the picture's left, or its mirror image
    room = (face.x if side == 1 else cols / rows - face.x) / face.half_height
    nearer = min(max(ROOM - room, 0.0), NEARER)
    y_Y, x_X = (torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5) / rows
    u_YX = (side * (x_X - face.x) / face.half_height - nearer)[None].expand(rows, -1)
    v_YX = ((y_Y - face.y) / face.half_height)[:, None].expand(-1, cols)
    frames = []
    for frame_CYX, (raised, lean) in zip(film_CTYX.unbind(1), waves_2T.T.tolist(), strict=True):
        frames.append(frame_CYX if raised <= 0 else _raised(frame_CYX, u_YX, v_YX, raised, lean, colours_2C))
    return torch.stack(frames, 1)


def _raised(frame_CYX: Tensor, u_YX: Tensor, v_YX: Tensor, raised: float, lean: float, colours_2C: Tensor) -> Tensor:
    """A frame with the arm so far up, its forearm leaning so far out; `u`, `v` in half heights from the face."""
    u_YX, v_YX = _turned(u_YX, v_YX, SHOULDER, (1 - raised) * LOWERED)
    shown = min(raised / SEEN_FROM, 1.0)
    for is_forearm, angle in ((False, 0.0), (True, OUT * lean)):
        shade_YX, sleeve_YX, forearm_YX, cover_YX = _sampled(*_turned(u_YX, v_YX, ELBOW, angle))
        part_YX = forearm_YX if is_forearm else (2 - 2 * forearm_YX).clamp(max=1)  # no seam between them
        own_CYX = torch.lerp(colours_2C[0][:, None, None], colours_2C[1][:, None, None], sleeve_YX)
        seen_CYX = 2 * to_srgb((own_CYX * shade_YX).clamp(0, 1)) - 1
        frame_CYX = torch.lerp(frame_CYX, seen_CYX, shown * cover_YX * part_YX)
    return frame_CYX


def _turned(u_YX: Tensor, v_YX: Tensor, about: tuple[float, float], angle: float) -> tuple[Tensor, Tensor]:
    """Where each place comes from when what is there turned counterclockwise, as it is seen."""
    cos, sin = math.cos(angle), math.sin(angle)
    u, v = u_YX - about[0], v_YX - about[1]
    return about[0] + u * cos - v * sin, about[1] + u * sin + v * cos


def _sampled(u_YX: Tensor, v_YX: Tensor) -> Tensor:
    """[K, Y, X]: the kept picture at these places, nothing outside of it."""
    left, top, right, bottom = BOX
    grid = torch.stack([2 * (u_YX - left) / (right - left) - 1, 2 * (v_YX - top) / (bottom - top) - 1], -1)
    found = nnf.grid_sample(_arm()[None], grid[None], mode="bilinear", align_corners=False)[0]
    return found / torch.tensor([128.0, 255.0, 255.0, 255.0])[:, None, None]


@cache
def _arm() -> Tensor:
    return load_file(ARM)["arm"].float()
