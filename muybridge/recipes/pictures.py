"""Pictures of the world, and what the draft makes of them: for what is learned of drawing them clearer.

The draft draws a picture again from a high noise level, as in portraits.py: the same place, person and light, soft. Of
some scenes it also draws a picture from the caption alone, which has no true one beside it.

Letters: N pictures, C colours, Y X pixels, W text features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine import draft, pipeline
from muybridge.engine.components import Components
from muybridge.errors import NotFound
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.weights import load_into
from muybridge.recipes.portraits import SMALL, Arrays, as_bytes, build_shards
from muybridge.request import Request
from muybridge.shapes import Clock, Window

OFFSET = 1 << 40  # other scenes than those of takes, stills, puppets and portraits
CASTS = {"person": 0.66, "pair": 0.08, "person and": 0.06, "thing": 0.2}
NEAR = 0.1  # share of people whose faces fill the picture
LEVELS = (0.7, 0.92)  # of noise from which the draft draws a picture again
FREE = 0.25  # share of scenes of which it draws a picture from words alone, too


@dataclass(frozen=True, eq=False)
class Pictures:
    """Bytes: true pictures at twice the size of drawn ones, and how much of each small pixel is a face.

    `free_MCYX` were drawn from the captions `free_words_MW` alone.
    """

    true_NCYX: Tensor
    drawn_NCYX: Tensor
    face_NYX: Tensor
    words_NW: Tensor
    free_MCYX: Tensor
    free_words_MW: Tensor


def read(folder: Path, words: Path) -> Pictures:
    """All pictures of a folder; `words` is a text encoder's file. Raises NotFound without any."""
    parts: dict[str, list[Tensor]] = {name: [] for name in Pictures.__dataclass_fields__}
    text = PhraseEncoder()
    load_into(text, words, cast=lambda _: torch.float32, any_float=True)
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            said = torch.stack([f.float().mean(0) for f in text.encode([str(p) for p in file["prompt"]])])
            is_free = torch.from_numpy(file["is_free"])
            found = {name: torch.from_numpy(file[name]) for name in ("true", "drawn", "face", "free")}
        parts["true_NCYX"].append(found["true"])
        parts["drawn_NCYX"].append(found["drawn"])
        parts["face_NYX"].append(found["face"])
        parts["words_NW"].append(said)
        parts["free_MCYX"].append(found["free"][is_free])
        parts["free_words_MW"].append(said[is_free])
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
    true_CYX = torch.from_numpy(drawn.pixels_YX3).permute(2, 0, 1)
    face_YX = torch.from_numpy(drawn.masks["face"].astype(np.float32)) / 255
    level, is_free = float(rng.uniform(*LEVELS)), bool(rng.random() < FREE)
    still = Request(captions.caption(scene, scene.seed, split), size=str(SMALL), seed=index)
    with torch.inference_mode():
        small = nnf.avg_pool2d(true_CYX[None].float() / 127.5 - 1, 2)
        latent = parts.video_codec.encode(small[:, :, None].to(parts.device)).cpu()
        made = [draft.redrawn(parts, parts.draft, latent, still, level)]
        if is_free:
            alone = pipeline.encode(parts, still, None, Window(0, Clock(1, 0)))
            made.append(draft.first_picture(parts, parts.draft, alone, SMALL))
        seen = parts.video_codec.decode(torch.cat(made).to(parts.device))[:, :, 0].float().cpu()
    return {
        "true": true_CYX.numpy(),
        "drawn": as_bytes(seen[0]),
        "face": as_bytes(2 * nnf.avg_pool2d(face_YX[None], 2)[0] - 1),
        "is_free": np.asarray(is_free),
        "free": as_bytes(seen[-1]),
        "prompt": np.asarray(still.prompt),
    }
