"""One stride of the world's horse, kept as a picture: `python -m muybridge.world.stride FILE.png`.

Letters: N phases of the stride, Y X rows and columns.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muybridge.shapes import FPS

PHASES, ROWS, COLS = 12, 96, 128  # of a stride, from where it begins; of each picture
USUAL = 100  # how light its coat is, as it is kept
FREE = 400  # pixels around what is drawn, so that the picture that is kept may reach beyond


def stride() -> NDArray[np.uint8]:
    """[N * Y, X, 3]: its phases below each other, running to the right: how light it is (coat: USUAL), its cover, 0.

    The lowest row is the ground.
    """
    import torch
    from torch.nn.functional import interpolate

    from muybridge.world import render
    from muybridge.world.grammar import sample_scene
    from muybridge.world.scene import CameraTrack

    scene = sample_scene(1, "train", 4.0, cast="horse")
    thing = dataclasses.replace(scene.things[0], color="white", pace=FPS / PHASES, first_s=0.0, heading=1)
    scene = scene.replace(things=(thing,), camera=CameraTrack(), hour="overcast", place="meadow", weather="clear")
    shown = render.Set(scene)
    try:
        seen = [shown.draw(4 * PHASES + phase, 1024, 1792, masks=True) for phase in range(PHASES)]
    finally:
        shown.release()
    covers = np.stack([drawn.masks["thing"].astype(np.float32) / 255 for drawn in seen if drawn.masks is not None])
    linear = np.stack([(drawn.pixels_YX3 / 255.0) ** 2.2 for drawn in seen]).mean(-1)
    covers *= ((covers > 0.5).any(2).mean(0) > 0.3)[None, :, None]  # not what stands out in one phase alone
    some = covers.max(0) > 0.5
    linear, covers, some = (np.pad(x, [(0, 0)] * (x.ndim - 2) + [(FREE, FREE)] * 2) for x in (linear, covers, some))
    rows, cols = np.flatnonzero(some.any(1)), np.flatnonzero(some.any(0))
    side = max((rows[-1] - rows[0] + 1) / ROWS, (cols[-1] - cols[0] + 1) / (COLS - 4))
    middle, ground = (cols[0] + cols[-1] + 1) / 2, rows[-1] + 1
    top, left = round(ground - side * ROWS), round(middle - side * COLS / 2)
    box = np.s_[:, top : top + round(side * ROWS), left : left + round(side * COLS)]
    lit, cover = (
        interpolate(
            torch.from_numpy(x[box].astype(np.float32))[:, None], (ROWS, COLS), mode="bilinear", antialias=True
        ).numpy()[:, 0]
        for x in (linear * covers, covers)
    )
    light = lit / np.maximum(cover, 1e-3)
    shade = light / np.median(light[cover > 0.9])
    kept = np.stack([(USUAL * shade).clip(0, 255) * (cover > 0), 255 * cover, 0 * cover], -1)
    found: NDArray[np.uint8] = np.rint(kept).astype(np.uint8).reshape(-1, COLS, 3)
    return found


if __name__ == "__main__":
    from muybridge import media

    media.write_image(Path(sys.argv[1]), stride())
