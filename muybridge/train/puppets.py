"""Talking faces for little: one face is drawn with some forty mouths, and any speech is blended from those.

Drawing a clip's every frame costs seconds, so few clips are drawn, and a model learns them by heart instead of learning
what a phone does to a mouth. Here a person is drawn once for each mouth of a palette, chosen out of all that the person
will say, with head, eyes and light at rest. A frame is a blend of the three nearest mouths; hand-held clips shift, turn
and scale the whole picture. Their mute twin is the same with the mouth at rest.

Letters: T frames, U face units, K mouths of the palette, Y X pixels.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from muybridge.shapes import FPS
from muybridge.train import takes
from muybridge.train.takes import Bytes, Take
from muybridge.world import captions, render, talking
from muybridge.world.camera import wobble
from muybridge.world.characters import identity_vector
from muybridge.world.grammar import sample_scene
from muybridge.world.sample import seed_of
from muybridge.world.scene import NEAREST_FRAMING, Scene
from muybridge.world.sentences import LANGUAGES
from muybridge.world.utterances import Source

Floats = NDArray[np.float32]
OFFSET = 1 << 34  # other people than those of takes and stills
NUM_MOUTHS = 40
NEIGHBOURS = 3
HANDHELD = 0.35  # share of clips
MOMENT = 0.2  # share of the clip at which the face is drawn
SWAY = (0.022, 0.022, 0.012, 0.018)  # of the picture's height right and down, radians, share of the size


def palette(units_NU: Floats, count: int = NUM_MOUTHS) -> Floats:
    """[K, U]: the mouth at rest, then again and again the one that is furthest from all that are chosen."""
    chosen = [np.zeros_like(units_NU[0])]
    far_N = np.linalg.norm(units_NU - chosen[0], axis=1)
    while len(chosen) < count and far_N.max() > 1e-3:
        chosen.append(units_NU[int(far_N.argmax())])
        far_N = np.minimum(far_N, np.linalg.norm(units_NU - chosen[-1], axis=1))
    return np.stack(chosen)


def blend(units_TU: Floats, mouths_KU: Floats) -> Floats:
    """[T, K]: how much of each mouth every frame takes, by inverse square distance of the three nearest."""
    square_TK = ((units_TU[:, None] - mouths_KU) ** 2).sum(2)
    near_TN = np.argsort(square_TK, axis=1)[:, :NEIGHBOURS]
    share_TN = 1 / (np.take_along_axis(square_TK, near_TN, 1) + 1e-5)
    out_TK = np.zeros_like(square_TK)
    np.put_along_axis(out_TK, near_TN, share_TN / share_TN.sum(1, keepdims=True), 1)
    shares_TK: Floats = out_TK.astype(np.float32)
    return shares_TK


def sway(seed: int, num_frames: int) -> Floats:
    """[T, 2, 3]: affine maps of a hand-held picture, smooth in time."""
    out = np.zeros((num_frames, 2, 3), np.float32)
    for k in range(num_frames):
        right, down, turn, size = np.asarray(wobble(seed, k / FPS)[:4]) * SWAY
        c, s = np.cos(turn) * (0.97 + size), np.sin(turn)
        out[k] = [[c, -s, 2 * right], [s, c, 2 * down]]
    return out


def moved(pictures_TCYX: torch.Tensor, maps_T23: Floats) -> torch.Tensor:
    """The pictures under their maps; edges are repeated."""
    grid = F.affine_grid(torch.from_numpy(maps_T23), list(pictures_TCYX.shape), align_corners=False)
    return F.grid_sample(pictures_TCYX, grid, padding_mode="border", align_corners=False)


def draw_palette(scene: Scene, mouths_KU: Floats, height: int, width: int) -> Bytes:
    """[K, Y, X, 5]: red, green, blue, masks of mouth and face of the scene's one person at one moment."""
    drawn = render.Set(scene)
    try:
        frame = int(MOMENT * scene.num_frames)
        rest_U = drawn.units[0][frame].copy()
        frames = []
        for mouth_U in mouths_KU:
            drawn.units[0][frame] = np.clip(rest_U + mouth_U, 0, 1)
            frames.append(drawn.draw(frame, height, width))
    finally:
        drawn.release()
    return np.stack([np.dstack([f.pixels_YX3, f.masks["mouth"], f.masks["face"]]) for f in frames if f.masks])


def shoot(index: int, count: int, split: str, height: int, width: int, seconds: float, source: Source) -> list[Take]:
    """Takes index * count ... + count - 1: one person who says `count` things, each in a language of its own."""
    rng = np.random.default_rng([0x9099, index])
    scene = sample_scene(seed_of(index + OFFSET, split), split, seconds, cast="person", framing=NEAREST_FRAMING)
    plans = []
    for _ in range(count):
        track = dataclasses.replace(scene.camera, move="handheld" if rng.random() < HANDHELD else "static", amount=0.0)
        language = LANGUAGES[int(rng.choice(len(LANGUAGES), p=talking.LANGUAGE_ODDS))]
        plans.append(talking.given_lines(scene.replace(camera=track), language, split, source, rng))
    tracks = [talking.tracks(plan)[0] for plan in plans]
    spoken = [np.zeros((scene.num_frames, 52), np.float32) if t is None else t[: scene.num_frames] for t in tracks]
    mouths_KU = palette(np.concatenate(spoken))
    drawn_KYX5 = draw_palette(scene.replace(camera=plans[0].scene.camera), mouths_KU, height, width)
    layers = torch.from_numpy(drawn_KYX5).permute(0, 3, 1, 2).float()
    out = []
    for number, (plan, units_TU) in enumerate(zip(plans, spoken, strict=True)):
        share_TK = torch.from_numpy(blend(units_TU, mouths_KU))
        talks, mute = torch.einsum("tk,kcyx->tcyx", share_TK, layers), layers[:1].expand(len(units_TU), -1, -1, -1)
        if plan.scene.camera.move == "handheld":
            maps = sway(int(rng.integers(1 << 31)), len(units_TU))
            talks, mute = moved(talks, maps), moved(mute, maps)
        out.append(_take(index * count + number, split, plan, talks, mute, rng))
    return out


def _take(
    index: int, split: str, plan: talking.Plan, talks: torch.Tensor, mute: torch.Tensor, rng: np.random.Generator
) -> Take:
    """The take of blended layers [T, 5, Y, X] as `draw_palette` has them."""
    frames, still = (x.permute(0, 2, 3, 1).round().clamp(0, 255).byte().contiguous().numpy() for x in (talks, mute))
    text, prompts = talking.words(plan, split)
    who = plan.scene.people
    none = np.zeros((0, 0), np.float32)
    clip = talking.TalkingClip(
        index=index,
        split=split,
        scene=plan.scene,
        frames_TYX3=frames[..., :3],
        waveform_CS=talking.waveform(plan),
        lines=plan.lines,
        masks={"mouth": frames[..., 3], "face": frames[..., 4]},
        landmarks_TPL3=none,
        units_TPU=none,
        identities_PV=np.stack([identity_vector(human.identity) for human in who]),
        events=(),
        attributes=captions.attributes(plan.scene),
        caption=text,
        prompts=prompts,
    )
    return takes.take_of(clip, None, rng, mute_TYX3=still[..., :3] if plan.lines else None)


def build(
    folder: Path,
    num_people: int,
    num_lines: int = 6,
    split: str = "train",
    size: tuple[int, int] = (128, 224),
    seconds: float = 2.6,
    stride: int = 1,
    first: int = 0,
    quiet: bool = False,
) -> int:
    """Takes of people 0..num_people-1 that are not there yet; returns how many clips it made.

    `stride` processes that pass `first` 0..stride-1 share the work.
    """
    source = talking.default_source()
    return build_each(
        folder, num_people, num_lines, split, stride, first, quiet,
        lambda number: shoot(number, num_lines, split, *size, seconds, source),
    )  # fmt: skip


def build_each(
    folder: Path,
    num_people: int,
    num_takes: int,
    split: str,
    stride: int,
    first: int,
    quiet: bool,
    shoot_one: Callable[[int], list[Take]],
) -> int:
    """The takes of people whose last one is not there yet, written; returns how many."""
    from rich.progress import Progress

    os.environ.setdefault("LP_NUM_THREADS", "0")  # see train/frames.py
    folder.mkdir(parents=True, exist_ok=True)
    last = [takes.path_of(folder, n * num_takes + num_takes - 1, split) for n in range(num_people)]
    wanted = [n for n in range(first, num_people, stride) if not last[n].is_file()]
    with Progress(disable=quiet) as bar:
        for number in bar.track(wanted, description="drawing people"):
            for take in shoot_one(number):
                takes.write(folder, take)
    return len(wanted) * num_takes
