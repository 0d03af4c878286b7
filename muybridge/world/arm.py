"""The arm of one of the world's people as it waves, kept as a small picture: `python -m muybridge.world.arm FILE`.

Letters: K kinds, Y X rows and columns.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHAPE = (160, 104)  # of the picture that is kept: rows, columns
BOX = (-3.1, -0.8, -1.1, 3.3)  # what it shows: left, top, right, bottom, in half heights of a face from its middle
ELBOW, SHOULDER = (-2.5, 2.5), (-1.45, 1.5)  # in the same measures
FRAME = 26  # in which its forearm stands
KINDS = ("shade", "sleeve", "forearm", "cover")


def arm() -> NDArray[np.uint8]:
    """[K, Y, X]: how light it is (128: as usual), where sleeve and forearm are, and how much of a pixel it covers."""
    from muybridge.world import render
    from muybridge.world.grammar import sample_scene
    from muybridge.world.scene import CameraTrack, Span

    scene = sample_scene(5, "train", 3.0, cast="person")
    look = dataclasses.replace(
        scene.people[0].look, garment="sweater", pattern="plain", color="white", hat="none", glasses=False
    )
    who = dataclasses.replace(
        scene.people[0], look=look, gestures=(Span(0.3, 2.7, "wave"),), expressions=(), yaw=0.0, x=0.0, speech=()
    )
    scene = scene.replace(
        people=(who,), framing="half body", camera=CameraTrack(), hour="overcast", place="studio", weather="clear"
    )
    shown = render.Set(scene)
    try:
        drawn = shown.draw(FRAME, 1024, 1792, masks=True)
    finally:
        shown.release()
    assert drawn.masks is not None
    masks = {name: mask.astype(np.float32) / 255 for name, mask in drawn.masks.items()}
    down_Y, right_X = np.arange(1024) + 0.5, np.arange(1792) + 0.5
    face_YX = masks["face"] / masks["face"].sum()
    x, y = float(face_YX.sum(0) @ right_X), float(face_YX.sum(1) @ down_Y)
    half = 2 * float(face_YX.sum(1) @ (down_Y - y) ** 2) ** 0.5
    left, top, right, bottom = BOX
    rows, cols = SHAPE
    v_Y = top + (np.arange(rows) + 0.5) / rows * (bottom - top)
    u_X = left + (np.arange(cols) + 0.5) / cols * (right - left)
    at = np.ix_(np.rint(y + v_Y * half).astype(int), np.rint(x + u_X * half).astype(int))
    u, v = u_X[None], v_Y[:, None]
    linear = (drawn.pixels_YX3[at] / 255.0) ** 2.2
    light, sleeve, cover = linear.mean(-1), masks["clothes"][at] > 0.5, masks["person"][at]
    shade = np.ones(SHAPE)
    for part in (sleeve, ~sleeve & (cover > 0.5)):
        shade[part] = light[part] / light[part & (cover > 0.9)].mean()
    cover = cover * np.clip((BOX[2] - 0.05 - u) / 0.3, 0, 1)  # into the shoulder softly
    cover = cover * ~((u > -1.45) & (v > 2.4))  # nothing of the body
    upper_edge = 1.85 - 1.23 * (u + 2.26)
    forearm = ((v < np.where(u < -2.26, ELBOW[1], upper_edge)) & (u < -1.7)) | (
        np.hypot(u - ELBOW[0], v - ELBOW[1]) < 0.45
    )
    kinds = (128 * shade.clip(0, 1.99), 255.0 * sleeve, 255.0 * forearm, 255 * cover)
    return np.stack([np.rint(kind).clip(0, 255).astype(np.uint8) for kind in kinds])


if __name__ == "__main__":
    from safetensors.numpy import save_file

    save_file({"arm": arm()}, Path(sys.argv[1]), {"source": "muybridge/world/arm.py, of CC0 MakeHuman data"})
