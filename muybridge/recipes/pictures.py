"""Pictures of the world, and what the draft makes of them: for what is learned of drawing them clearer.

The draft draws a picture again from a high noise level, as in portraits.py: the same place, person and light, soft.

Letters: N pictures, C colours, Y X pixels, W text features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine import draft
from muybridge.engine.components import Components
from muybridge.errors import NotFound
from muybridge.recipes.portraits import SMALL, Arrays, as_bytes, build_shards, means_of
from muybridge.request import Request

OFFSET = 1 << 40  # other scenes than those of takes, stills, puppets and portraits
CASTS = {"person": 0.66, "pair": 0.08, "person and": 0.06, "thing": 0.2}
NEAR = 0.1  # share of people whose faces fill the picture
LEVELS = (0.7, 0.92)  # of noise from which the draft draws a picture again


@dataclass(frozen=True, eq=False)
class Pictures:
    """Bytes: true pictures, drawn ones, and how much of each pixel is a face."""

    true_NCYX: Tensor
    drawn_NCYX: Tensor
    face_NYX: Tensor
    words_NW: Tensor


def read(folder: Path, words: Path) -> Pictures:
    """All pictures of a folder; `words` is a text encoder's file. Raises NotFound without any."""
    parts: dict[str, list[Tensor]] = {name: [] for name in Pictures.__dataclass_fields__}
    means = means_of(words)
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            parts["true_NCYX"].append(torch.from_numpy(file["true"]))
            parts["drawn_NCYX"].append(torch.from_numpy(file["drawn"]))
            parts["face_NYX"].append(torch.from_numpy(file["face"]))
            parts["words_NW"].append(means(file["prompt"]))
    if not parts["true_NCYX"]:
        raise NotFound(f"{folder} holds no pictures; draw them: muybridge world pictures -o {folder}")
    return Pictures(**{name: torch.cat(values) for name, values in parts.items()})


def build(
    parts: Components, folder: Path, count: int, split: str = "train", first: int = 0, quiet: bool = False
) -> int:
    """Pictures `first` .. first + count - 1 of a split whose shard is not there yet; how many were drawn.

    Raises UserError for weights without a draft.
    """
    return build_shards(parts, folder, "pictures", picture, count, split, first, quiet)


def picture(parts: Components, index: int, split: str) -> Arrays:
    """Everything about picture `index` of a split."""
    from muybridge.world import captions, render
    from muybridge.world.grammar import sample_scene
    from muybridge.world.sample import seed_of
    from muybridge.world.scene import DRAWN_FRAMINGS, NEAREST_FRAMING
    from muybridge.world.talking import FRAMING_ODDS

    assert parts.draft is not None  # the caller has seen to it
    rng = np.random.default_rng([0x91C7, index, len(split)])
    cast = str(rng.choice(list(CASTS), p=list(CASTS.values())))
    framing = NEAREST_FRAMING if rng.random() < NEAR else str(rng.choice(DRAWN_FRAMINGS, p=FRAMING_ODDS))
    fields = {"framing": framing} if cast == "person" else {}
    scene = sample_scene(seed_of(index + OFFSET, split), split, 3.0, cast=cast, **fields)
    shown = render.Set(scene)
    try:
        drawn = shown.draw(int(rng.integers(scene.num_frames)), 2 * SMALL.height, 2 * SMALL.width, masks=True)
    finally:
        shown.release()
    assert drawn.masks is not None  # they were asked for
    large_CYX = torch.from_numpy(drawn.pixels_YX3).permute(2, 0, 1)
    face_YX = torch.from_numpy(drawn.masks["face"].astype(np.float32)) / 255
    still = Request(captions.caption(scene, scene.seed, split), size=str(SMALL), seed=index)
    with torch.inference_mode():
        small = nnf.avg_pool2d(large_CYX[None].float() / 127.5 - 1, 2)
        latent = parts.video_codec.encode(small[:, :, None].to(parts.device)).cpu()
        again = draft.redrawn(parts, parts.draft, latent, still, float(rng.uniform(*LEVELS)))
        seen = parts.video_codec.decode(again.to(parts.device))[:, :, 0].float().cpu()
    return {
        "true": as_bytes(small[0]),
        "drawn": as_bytes(seen[0]),
        "face": as_bytes(2 * nnf.avg_pool2d(face_YX[None], 2)[0] - 1),
        "prompt": np.asarray(still.prompt),
    }
