"""What the evaluators learn from: a few frames each of many drawn scenes, with the answers.

Evaluators are fitted when they are first needed, on people, places and words of the training split (or the test split,
to find out how well they see), and only what was fitted is kept. Frames are drawn small: the base stage's size.

Letters: N scenes, T frames of a scene at even moments, Y X rows and columns.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge.evaluate.fitting import NONE, Drawings
from muybridge.shapes import PixelSize

SMALL = PixelSize(224, 128)
HEIGHT, WIDTH = SMALL.height, SMALL.width
MOMENTS = 9  # frames of a scene
SHARD = 20  # scenes
CASTS = ("person", "pair", "thing")
CAST_ODDS = (0.8, 0.1, 0.1)
PORTRAITS = 1 << 38  # scenes of portraits begin here
LOOKS = 1 << 39  # and of looks
OFFSET = 1 << 35  # these scenes are other draws than takes, frames and talking clips
NO_PERSON = np.full(34, np.nan, np.float32)  # as many numbers as `person_numbers` gives
SPLIT_KEY = {"train": 0, "val": 1, "test": 2}


def names() -> dict[str, tuple[str, ...]]:
    """The answers that each attribute has, in the order of `labels_NK`."""
    from muybridge.world.characters import CLOTHES_COLORS, HAIR_COLORS
    from muybridge.world.landscapes import PLACES
    from muybridge.world.scene import EXPRESSIONS, HOURS, MOVES

    return {
        "count": ("0", "1", "2"),
        "hair": tuple(HAIR_COLORS),
        "clothes": tuple(CLOTHES_COLORS),
        "place": tuple(PLACES),
        "hour": HOURS,
        "light": ("left", "right", "front", "behind"),
        "camera": MOVES,
        "expression": EXPRESSIONS,
    }


def draw(
    count: int, split: str = "train", quiet: bool = False, folder: Path | None = None, kind: str = "scenes"
) -> Drawings:
    """Scenes, portraits or looks 0..count-1 of the split, drawn by all cores; shards in `folder` are used and added to.

    Raises NotInstalled.
    """
    from rich.progress import track

    os.environ.setdefault("LP_NUM_THREADS", "0")  # see train/frames.py
    starts = range(0, count, SHARD)
    shard = partial(_shard, split=split, folder=folder, kind=kind)
    what, workers = f"drawing {kind} ({split})", min(os.cpu_count() or 1, len(starts))
    if workers == 1:
        return join([shard(start) for start in track(starts, what, disable=quiet)])
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return join(list(track(pool.map(shard, starts), what, len(starts), disable=quiet)))


def _shard(start: int, split: str, folder: Path | None, kind: str) -> Drawings:
    one = {"scenes": _scene, "portraits": _portrait, "looks": _look}[kind]
    path = None if folder is None else folder / f"{kind}-{split}-{start:05d}.npz"
    if path is not None and path.is_file():
        with np.load(path) as stored:
            return Drawings(**{name: stored[name] for name in stored.files})
    made = _stack([one(index, split) for index in range(start, start + SHARD)])
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.npz")
        np.savez(part, **vars(made))
        part.replace(path)
    return made


def join(shards: list[Drawings]) -> Drawings:
    """Several drawings as one."""
    return Drawings(**{f.name: np.concatenate([getattr(s, f.name) for s in shards]) for f in fields(Drawings)})


def _stack(scenes: list[dict[str, Any]]) -> Drawings:
    return Drawings(**{f.name: np.stack([scene[f.name] for scene in scenes]) for f in fields(Drawings)})


def scene_of(index: int, split: str) -> tuple[Any, np.random.Generator]:
    """Scene `index` of a split, and the generator that goes on to draw what its people babble."""
    from muybridge.world.grammar import sample_scene
    from muybridge.world.sample import seed_of
    from muybridge.world.scene import DRAWN_FRAMINGS
    from muybridge.world.talking import FRAMING_ODDS

    rng = np.random.default_rng([0xE7E5, index, SPLIT_KEY[split]])
    cast = str(rng.choice(CASTS, p=CAST_ODDS))
    scene = sample_scene(seed_of(index + OFFSET, split), split, float(rng.choice((3.0, 4.0, 5.0))), cast=cast)
    if cast == "person":
        scene = scene.replace(framing=str(rng.choice(DRAWN_FRAMINGS, p=FRAMING_ODDS)))
    return scene, rng


def frames_at(
    scene: Any,  # noqa: ANN401  (a Scene)
    frames: NDArray[np.integer],
    units: Sequence[Any] = (),
    size: PixelSize = SMALL,
) -> list[Any]:
    """The renderer's frames of these numbers, small unless a size is asked for."""
    from muybridge.world import render

    drawn = render.Set(scene, units)
    try:
        return [drawn.draw(int(k), size.height, size.width, masks=False) for k in frames]
    finally:
        drawn.release()


def pixels(scene: Any, count: int | None = MOMENTS) -> NDArray[np.uint8]:  # noqa: ANN401  (as above)
    """[T, Y, X, 3]: `count` frames of a silent scene at even moments; all of them for None."""
    at = np.arange(scene.num_frames) if count is None else moments(scene, count)
    return np.stack([frame.pixels_YX3 for frame in frames_at(scene, at)])


def moments(scene: Any, count: int = MOMENTS) -> NDArray[np.int64]:  # noqa: ANN401  (as above)
    """Numbers of frames at even moments, first and last among them."""
    return np.linspace(0, scene.num_frames - 1, count).round().astype(np.int64)


def _scene(index: int, split: str) -> dict[str, Any]:
    scene, rng = scene_of(index, split)
    return _looked_at(scene, moments(scene), rng)


def _portrait(index: int, split: str) -> dict[str, Any]:
    """One frame of one person in one of the moods: what people look like takes many of them, not many frames."""
    return _one_frame(index, PORTRAITS, 0x7081, split, "person")


def _look(index: int, split: str) -> dict[str, Any]:
    """As a portrait, of every cast: what a place, its light and those in it look like."""
    cast = str(np.random.default_rng([0x100C, index, SPLIT_KEY[split]]).choice(CASTS, p=CAST_ODDS))
    return _one_frame(index, LOOKS, 0x100D, split, cast)


def _one_frame(index: int, first: int, key: int, split: str, cast: str) -> dict[str, Any]:
    from muybridge.world.grammar import sample_scene
    from muybridge.world.sample import seed_of
    from muybridge.world.scene import DRAWN_FRAMINGS, EXPRESSIONS, Span
    from muybridge.world.talking import FRAMING_ODDS

    rng = np.random.default_rng([key, index, SPLIT_KEY[split]])
    scene = sample_scene(seed_of(index + first, split), split, 3.0, cast=cast)
    if cast == "person":
        mood = str(rng.choice(EXPRESSIONS))
        spans = () if mood == EXPRESSIONS[0] else (Span(-1.0, scene.seconds + 1.0, mood),)
        who = dataclasses.replace(scene.people[0], expressions=spans)
        scene = scene.replace(people=(who,), framing=str(rng.choice(DRAWN_FRAMINGS, p=FRAMING_ODDS)))
    return _looked_at(scene, rng.integers(scene.num_frames, size=1), rng)


def _looked_at(scene: Any, at: NDArray[np.int64], rng: np.random.Generator) -> dict[str, Any]:  # noqa: ANN401  (Scene)
    """The frames of these numbers, people babbling in most, with their answers."""
    from muybridge.train.frames import babble

    units = [babble(rng, scene.num_frames) if rng.random() < 0.85 else None for _ in scene.people]
    frames = frames_at(scene, at, units)
    face = opening = np.full((len(at), 1), np.nan, np.float32)
    mouth = np.full((len(at), 2), np.nan, np.float32)
    if len(scene.people) == 1:
        marks_TL3 = np.stack([f.landmarks_PL3[0] for f in frames])
        mouth, face, opening = mouth_place(marks_TL3), face_height(marks_TL3)[:, None], aperture(marks_TL3)[:, None]
    return {
        "frames_NTYX3": np.stack([f.pixels_YX3 for f in frames]),
        "mouth_NT2": mouth.astype(np.float32),
        "face_NT": face[:, 0].astype(np.float32),
        "aperture_NT": opening[:, 0].astype(np.float32),
        "expression_NT": expressions(scene, at / 25),
        "labels_NK": labels(scene),
        "person_NV": person_numbers(scene),
    }


def labels(scene: Any) -> NDArray[np.int64]:  # noqa: ANN401  (a world Scene; the world is imported where it is used)
    """Indices into `names`, in its order; the last one is the expression that lasts longest."""
    from muybridge.world.captions import light_side

    table = names()
    alone = scene.people[0].look if len(scene.people) == 1 else None
    truth = {
        "count": str(len(scene.people)),
        "hair": alone.hair_color if alone and alone.hat == "none" and alone.hair_style != "buzz cut" else None,
        "clothes": alone.color if alone else None,
        "place": scene.place,
        "hour": scene.hour,
        "light": light_side(scene),
        "camera": scene.camera.move,
    }
    out = [table[name].index(value) if value is not None else NONE for name, value in truth.items()]
    over_time = expressions(scene, np.linspace(0, scene.seconds, 50))
    most = int(np.bincount(over_time).argmax()) if over_time[0] != NONE else NONE
    return np.array([*out, most], np.int64)


def expressions(scene: Any, times_s: NDArray[np.floating]) -> NDArray[np.int64]:  # noqa: ANN401  (as above)
    """The expression of a lone person at each time, as an index; NONE for other casts."""
    if len(scene.people) != 1:
        return np.full(len(times_s), NONE, np.int64)
    order = names()["expression"]
    out = np.zeros(len(times_s), np.int64)
    for span in scene.people[0].expressions:
        out[(times_s >= span.start_s) & (times_s < span.end_s)] = order.index(span.what)
    return out


def person_numbers(scene: Any) -> NDArray[np.float32]:  # noqa: ANN401  (as above)
    """What a picture tells of a lone person: sex, region, age, weight, skin, iris, brows, hair and beard; else NaN."""
    from muybridge.world.characters import BEARDS, HAIR_COLORS, HAIR_STYLES, IRIS_COLORS

    if len(scene.people) != 1:
        return NO_PERSON
    who, look = scene.people[0].identity, scene.people[0].look
    style = [float(name == look.hair_style) for name in HAIR_STYLES]
    beard = [float(name == look.beard) for name in BEARDS]
    head = (who.masculine, *who.ancestry, who.age, who.weight, float(look.glasses))
    hair = np.sqrt(HAIR_COLORS[look.hair_color])
    iris = np.sqrt(IRIS_COLORS[who.iris])
    return np.array([*head, *np.sqrt(who.skin), *hair, *iris, *style, *beard, who.brow[0]], np.float32)


def _mark(marks_TL3: NDArray[Any], name: str) -> NDArray[Any]:
    from muybridge.world.person import LANDMARKS

    found: NDArray[Any] = marks_TL3[:, LANDMARKS.index(name), :2]
    return found


def aperture(marks_TL3: NDArray[Any]) -> NDArray[Any]:
    """Inner lip opening over the height from nose tip to chin, from the renderer's own landmarks [T, L, 3]."""
    opening = np.linalg.norm(_mark(marks_TL3, "lip_upper_inner") - _mark(marks_TL3, "lip_lower_inner"), axis=1)
    found: NDArray[Any] = opening / np.linalg.norm(_mark(marks_TL3, "nose_tip") - _mark(marks_TL3, "chin"), axis=1)
    return found


def mouth_place(marks_TL3: NDArray[Any]) -> NDArray[Any]:
    """(x, y) in pixels of the middle between the corners of the mouth [T, 2]."""
    found: NDArray[Any] = (_mark(marks_TL3, "mouth_left") + _mark(marks_TL3, "mouth_right")) / 2
    return found


def face_height(marks_TL3: NDArray[Any]) -> NDArray[Any]:
    """Pixels from the middle of the brows to the corners of the mouth [T]: what does not change with the jaw."""
    brows = (_mark(marks_TL3, "brow_left") + _mark(marks_TL3, "brow_right")) / 2
    found: NDArray[Any] = np.linalg.norm(brows - mouth_place(marks_TL3), axis=1)
    return found
