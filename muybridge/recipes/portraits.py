"""Portraits: people drawn with several faces each, and what the draft makes of them, for what is learned of faces.

A picture is drawn once for each face, all else at rest. Then the draft draws it again from a high noise level: the same
place, person and light, with the blank face that the draft would make. Some pictures show two people, or a thing and
nobody; of those only the whole picture counts, for finding what it shows.

Letters: N portraits, F faces of one, H ways to see a picture, C colours, K kinds of what is found, Y X pixels, U face
units, W text features.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine import draft
from muybridge.engine.components import Components
from muybridge.engine.faces import MOUTHY, WHILE_TALKING
from muybridge.errors import NotFound, UserError
from muybridge.model.finder import FINE, KINDS
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.weights import load_into
from muybridge.request import Request
from muybridge.shapes import PixelSize
from muybridge.train.frames import babble
from muybridge.world.anatomy import ARKIT_UNITS, EXPRESSION_UNITS, UNIT_INDEX

SIDE, REACH = 144, 2.2  # of the square that is kept: pixels, and half of it in half heights of the face
SMALL = PixelSize(224, 128)
NUM_FACES, NUM_SILENT = 5, 2
SHARD = 40
OFFSET = 1 << 39  # other people than those of takes, stills and puppets
CASTS = {"person": 0.75, "pair": 0.09, "thing": 0.16}
NEAR = 0.4  # share of people whose faces fill the picture
Arrays = Mapping[str, NDArray[Any]]
LEVELS = (0.7, 0.91)  # of noise from which the draft draws a picture again: below, the face stays; above, nothing does
BLINKS, LOOKS_AWAY, LEAST_PIXELS = 0.2, 0.15, 150


@dataclass(frozen=True, eq=False)
class Portraits:
    """Squares are bytes [3, SIDE, SIDE]; the first two faces are silent, and those are also kept as the codec has them.

    `words` is the mean of the caption's text features, `half_height` of the face in the picture's heights.
    """

    faces_NFCYX: Tensor
    coded_NFCYX: Tensor
    drawn_NCYX: Tensor
    units_NFU: Tensor
    words_NW: Tensor
    half_height_N: Tensor


def read(folder: Path, words: Path) -> Portraits:
    """All portraits of single people in a folder; `words` is a text encoder's file. Raises NotFound without any."""
    parts: dict[str, list[Tensor]] = {name: [] for name in Portraits.__dataclass_fields__}
    means = means_of(words)
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            one = file["one"]
            targets, inputs = (torch.from_numpy(file[name][one]) for name in ("targets", "inputs"))
            parts["faces_NFCYX"].append(targets)
            parts["coded_NFCYX"].append(inputs[:, :2])
            parts["drawn_NCYX"].append(inputs[:, 2])
            parts["units_NFU"].append(torch.from_numpy(file["units"][one]).float())
            parts["half_height_N"].append(torch.from_numpy(file["height"][one]).float())
            parts["words_NW"].append(means(file["prompt"][one]))
    if not parts["units_NFU"]:
        raise NotFound(f"{folder} holds no portraits; draw them: muybridge world portraits -o {folder}")
    return Portraits(**{name: torch.cat(values) for name, values in parts.items()})


def means_of(words: Path) -> Callable[[NDArray[Any]], Tensor]:
    """What tells the mean text features [N, W] of N prompts, by a text encoder's file."""
    text = PhraseEncoder()
    load_into(text, words, cast=lambda _: torch.float32, any_float=True)
    return lambda prompts: torch.stack([f.float().mean(0) for f in text.encode([str(p) for p in prompts])])


@dataclass(frozen=True, eq=False)
class Whole:
    """Small pictures as they are, coded and drawn again (H), and what KINDS cover of each cell, as bytes."""

    pictures_NHCYX: Tensor
    cover_NKYX: Tensor


def read_whole(folder: Path) -> Whole:
    """All pictures of a folder of portraits. Raises NotFound without any."""
    pictures, covers = [], []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            pictures.append(torch.from_numpy(np.concatenate([file["small"][:, None], file["whole"]], 1)))
            covers.append(torch.from_numpy(file["cover"]))
    if not pictures:
        raise NotFound(f"{folder} holds no portraits; draw them: muybridge world portraits -o {folder}")
    return Whole(torch.cat(pictures), torch.cat(covers))


def build(
    parts: Components, folder: Path, count: int, split: str = "train", first: int = 0, quiet: bool = False
) -> int:
    """Portraits `first` .. first + count - 1 of a split whose shard is not there yet; how many were drawn.

    Raises UserError for weights without a draft.
    """
    return build_shards(parts, folder, "portraits", portrait, count, split, first, quiet)


def build_shards(
    parts: Components,
    folder: Path,
    name: str,
    draw: Callable[[Components, int, str], Arrays | None],
    count: int,
    split: str,
    first: int,
    quiet: bool,
) -> int:
    """What `draw` makes of numbers, in files of SHARD named after `name`; None is left out."""
    from rich.progress import track

    if parts.draft is None:
        raise UserError(f"{parts.size} has no draft, and {name} show what a draft makes of scenes; use tiny.")
    os.environ.setdefault("LP_NUM_THREADS", "0")  # see train/frames.py
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for start in track(range(first, first + count, SHARD), f"drawing {name} ({split})", disable=quiet):
        path = folder / f"{name}-{split}-{start:06d}.npz"
        if path.is_file():
            continue
        drawn = [draw(parts, index, split) for index in range(start, min(start + SHARD, first + count))]
        kept = [one for one in drawn if one is not None]
        if not kept:
            continue
        part = path.with_name(f".{path.name}.{os.getpid()}.npz")
        stacked: dict[str, Any] = {key: np.stack([one[key] for one in kept]) for key in kept[0]}
        np.savez(part, **stacked)
        part.replace(path)
        made += len(kept)
    return made


def portrait(parts: Components, index: int, split: str) -> Arrays | None:
    """Everything about portrait `index` of a split; None where the one face is hardly to be seen."""
    from muybridge.world import captions

    assert parts.draft is not None  # the caller has seen to it
    rng = np.random.default_rng([0xFACE, index, len(split)])
    scene, units_FU, pictures_FYX3, cover_KYX = _drawn(rng, index, split)
    face_YX = cover_KYX[KINDS.index("face")]
    is_one = len(scene.people) == 1
    if is_one and face_YX.sum() < LEAST_PIXELS:
        return None
    x, y, half_height = _place(face_YX)
    large = torch.from_numpy(pictures_FYX3).permute(0, 3, 1, 2).float() / 127.5 - 1
    small = nnf.avg_pool2d(large, 2)
    with torch.inference_mode():
        latents = parts.video_codec.encode(small[:NUM_SILENT, :, None].to(parts.device))
        coded = parts.video_codec.decode(latents)[:, :, 0].float().cpu()
        still = Request(captions.caption(scene, scene.seed, split), size=str(SMALL), seed=index)
        again = draft.redrawn(parts, parts.draft, latents[:1].cpu(), still, float(rng.uniform(*LEVELS)))
        drawn = parts.video_codec.decode(again.to(parts.device))[:, :, 0].float().cpu()
    seen = torch.cat([large, nnf.interpolate(torch.cat([coded, drawn]), large.shape[2:], mode="bilinear")])
    squares = as_bytes(_cut(seen, x, y, REACH * half_height))
    return {
        "one": np.asarray(is_one),
        "targets": squares[:NUM_FACES],
        "inputs": squares[NUM_FACES:],
        "small": as_bytes(small[0]),
        "whole": as_bytes(torch.stack([coded[0], drawn[0]])),
        "cover": _cells(cover_KYX),
        "units": units_FU,
        "height": np.asarray(half_height, np.float32),
        "prompt": np.asarray(still.prompt),
    }


def _drawn(
    rng: np.random.Generator, index: int, split: str
) -> tuple[Any, NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    """(scene, units [F, U], pictures [F, Y, X, 3], covers [K, Y, X] by KINDS), twice as large as SMALL."""
    from muybridge.world import render
    from muybridge.world.grammar import sample_scene
    from muybridge.world.sample import seed_of
    from muybridge.world.scene import DRAWN_FRAMINGS, NEAREST_FRAMING
    from muybridge.world.talking import FRAMING_ODDS

    cast = str(rng.choice(list(CASTS), p=list(CASTS.values())))
    framing = NEAREST_FRAMING if rng.random() < NEAR else str(rng.choice(DRAWN_FRAMINGS, p=FRAMING_ODDS))
    fields = {"framing": framing} if cast == "person" else {}
    scene = sample_scene(seed_of(index + OFFSET, split), split, 3.0, cast=cast, **fields)
    units_FU, frame = some_faces(rng), int(rng.integers(scene.num_frames))
    shown = render.Set(scene)
    pictures: list[NDArray[np.uint8]] = []
    try:
        for units_U in units_FU if cast == "person" else units_FU[:1]:
            if cast == "person":
                shown.units[0][frame] = units_U
            drawn = shown.draw(frame, 2 * SMALL.height, 2 * SMALL.width, masks=not pictures)
            if drawn.masks is not None:
                masks = {name: mask.astype(np.float32) / 255 for name, mask in drawn.masks.items()}
                masks["head"] = (masks["person"] - masks["clothes"]).clip(0)
                cover_KYX = np.stack([masks[kind] for kind in KINDS]).astype(np.float32)
            pictures.append(drawn.pixels_YX3)
    finally:
        shown.release()
    return scene, units_FU, np.stack((pictures * NUM_FACES)[:NUM_FACES]), cover_KYX


def some_faces(rng: np.random.Generator) -> NDArray[np.float32]:
    """[F, U]: at rest and in a mood, silent; two that speak at rest and one that speaks in the mood."""
    said_TU = babble(rng, 120) * rng.uniform(0.7, 1.2)
    mood, strength = str(rng.choice(list(EXPRESSION_UNITS)[1:])), rng.uniform(0.6, 1.0)
    faces = np.zeros((NUM_FACES, len(ARKIT_UNITS)), np.float32)
    for number, units_U in enumerate(faces):
        if number in (1, NUM_FACES - 1):
            for name, weight in EXPRESSION_UNITS[mood].items():
                units_U[UNIT_INDEX[name]] += weight * strength
        if number >= NUM_SILENT:
            units_U[MOUTHY.numpy()] *= WHILE_TALKING
            units_U += said_TU[int(rng.integers(len(said_TU)))]
            if rng.random() < BLINKS:
                for side in ("Left", "Right"):
                    units_U[UNIT_INDEX[f"eyeBlink{side}"]] = rng.uniform(0.3, 1)
        _look(rng, units_U)
    return faces.clip(0, 1)


def _look(rng: np.random.Generator, units_U: NDArray[np.float32]) -> None:
    """Eyes a little beside the camera, now and then far from it."""
    right, up = rng.normal(0, 0.12), rng.normal(0, 0.08)
    right += 0.7 * float(rng.choice((-1, 1))) * (rng.random() < LOOKS_AWAY)
    ways = {"OutLeft": right, "InRight": right, "InLeft": -right, "OutRight": -right}
    ways |= {"UpLeft": up, "UpRight": up, "DownLeft": -up, "DownRight": -up}
    for name, far in ways.items():
        units_U[UNIT_INDEX[f"eyeLook{name}"]] += max(far, 0.0)


def _cells(cover_KYX: NDArray[Any]) -> NDArray[np.uint8]:
    """Covers of a large picture by cells of a small one, as bytes."""
    kinds, rows, cols = cover_KYX.shape
    side = 2 * FINE
    cells: NDArray[Any] = cover_KYX.reshape(kinds, rows // side, side, cols // side, side).mean((2, 4))
    return np.round(cells * 255).astype(np.uint8)


def _place(cover_YX: NDArray[Any]) -> tuple[float, float, float]:
    """A cover's middle and its half height (twice its spread), in the picture's heights."""
    rows, total = len(cover_YX), max(float(cover_YX.sum()), 1.0)
    y_Y, x_X = ((np.arange(n) + 0.5) / rows for n in cover_YX.shape)
    x, y = float(cover_YX.sum(0) @ x_X) / total, float(cover_YX.sum(1) @ y_Y) / total
    return x, y, 1e-3 + 2 * float(np.sqrt(cover_YX.sum(1) @ np.square(y_Y - y) / total))


def _cut(pictures_NCYX: Tensor, x: float, y: float, half: float) -> Tensor:
    """[N, C, SIDE, SIDE]: the square around a place, `half` a side, all in the pictures' heights."""
    rows, cols = pictures_NCYX.shape[2:]
    at = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * half
    across, along = 2 * (x + at) * rows / cols - 1, 2 * (y + at) - 1
    grid = torch.stack([across[None].expand(SIDE, -1), along[:, None].expand(-1, SIDE)], -1)
    many = grid[None].expand(len(pictures_NCYX), -1, -1, -1)
    return nnf.grid_sample(pictures_NCYX, many, padding_mode="border", align_corners=False)


def as_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """-1..1 as 0..255."""
    return pictures.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).numpy()
