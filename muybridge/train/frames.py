"""Short clips of pixels for training codecs, kept as uint8 shards: world crops, real pictures and textures in motion.

A folder holds pairs of files, one pair a shard:

    world-192-train-00000.npy    uint8 [24, 13, 192, 192, 3]  (clips, frames, rows, columns, RGB), plain `numpy.load`
    world-192-train-00000.json   where each clip comes from: [{"kind", "index", ...}, ...]
    stills-128-train-00000.npy   the same shape: real pictures and painted textures under a slow pan, turn and zoom

A shard is a pure function of (source, size, split, number) and is written whole or not at all, so a build may be
killed, resumed, or shared by processes that take every n-th shard. `read` opens shards as memory maps; `batch` draws
clips for a step of training as a pure function of the step.
`cut_takes` adds shards of the takes that the base is trained on. World clips are drawn at 128 to 512 rows and cut; of
three cuts from one drawing the first holds the mouth where there is one. Mouths move with made-up phones, so that no
voice is needed. Pictures are those that scikit-image and scikit-learn carry (NASA, CC0 or CC BY; HELD_OUT are never
trained on).

Letters: N clips, T frames, Y X rows and columns.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muybridge.errors import NotFound, NotInstalled
from muybridge.speech.durations import natural_durations

if TYPE_CHECKING:
    from muybridge.train.takes import Take

Bytes = NDArray[np.uint8]
NUM_FRAMES = 13
SHARD = 24  # clips
CUTS = 3  # clips cut from one drawing
SIZES = (192, 128)
STILLS_EVERY = 5  # one shard in five holds pictures and textures
PICTURES = (
    "astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "motorcycle_right", "brick", "grass", "gravel",
    "retina", "ihc", "hubble_deep_field", "camera", "page", "text", "china", "flower",
)  # fmt: skip
HELD_OUT = ("coffee", "rocket", "motorcycle_right")  # pictures of the test split
_SYLLABLES = ("mˈɑ", "bə", "tˈi", "ðə", "fˈO", "pˈu", "lˈI", "sˈA", "kˈæ", "nˈW", "wˈɛ", "ʃˈʌ", "jˈu", "ɹˈɪ", "vˈɔ")


def shard_names(count: int, split: str = "train") -> list[str]:
    """The shards that hold `count` clips, in the order they are built: sizes take turns, every fifth is of stills."""
    names = []
    for number in range(-(-count // SHARD)):
        source = "stills" if number % STILLS_EVERY == STILLS_EVERY - 1 else "world"
        names.append(f"{source}-{SIZES[number % len(SIZES)]}-{split}-{number:05d}")
    return names


def build(folder: Path, count: int, split: str = "train", stride: int = 1, first: int = 0, quiet: bool = False) -> int:
    """Make the shards of `count` clips that are not there yet; returns how many were made.

    `stride` processes that pass `first` 0..stride-1 share the work. Raises NotInstalled without the world's parts.
    """
    from rich.progress import Progress

    # llvmpipe's own threads cost more than they bring at these sizes; processes by stride scale better.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    folder.mkdir(parents=True, exist_ok=True)
    mine = [name for name in shard_names(count, split)[first::stride] if not (folder / f"{name}.json").is_file()]
    with Progress(disable=quiet) as bar:
        for name in bar.track(mine, description="drawing clips"):
            clips_NTYX3, facts = make_shard(name)
            write_shard(folder, name, clips_NTYX3, facts)
    return len(mine)


def make_shard(name: str) -> tuple[Bytes, list[dict[str, Any]]]:
    """The clips and facts of a shard by its name."""
    source, size, split, number = name.split("-")
    start = int(number) * SHARD
    if source == "stills":
        made = [moving_still(start + k, int(size), split) for k in range(SHARD)]
    else:
        made = [clip for k in range(SHARD // CUTS) for clip in world_cuts(start // CUTS + k, int(size), split)]
    return np.stack([clip for clip, _ in made]), [facts for _, facts in made]


def write_shard(folder: Path, name: str, clips_NTYX3: Bytes, facts: Sequence[dict[str, Any]]) -> None:
    """Both files of a shard; the JSON comes last and says that the shard is whole."""
    for suffix in (".npy", ".json"):
        part = folder / f".{name}{suffix}.{os.getpid()}.part"
        with part.open("wb") as file:
            if suffix == ".npy":
                np.save(file, clips_NTYX3)
            else:
                file.write(json.dumps(list(facts)).encode())
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / f"{name}{suffix}")


def cut_takes(takes_folder: Path, folder: Path, size: int = 128, split: str = "train", quiet: bool = False) -> int:
    """Cut two clips out of every take, the first at the mouth where there is one: shards `takes-SIZE-SPLIT-NUMBER`.

    Only whole shards of takes are cut; goes on where it stopped. Returns how many were made.
    """
    from rich.progress import Progress

    from muybridge.train import takes

    folder.mkdir(parents=True, exist_ok=True)
    paths = list(takes.stored(takes_folder, split))
    per_shard = SHARD // 2
    names = [f"takes-{size}-{split}-{number:05d}" for number in range(len(paths) // per_shard)]
    missing = [(k, name) for k, name in enumerate(names) if not (folder / f"{name}.json").is_file()]
    with Progress(disable=quiet) as bar:
        for number, name in bar.track(missing, description="cutting takes"):
            made = [
                cut
                for path in paths[number * per_shard : (number + 1) * per_shard]
                for cut in _cuts_of_take(takes.load(path), size)
            ]
            write_shard(folder, name, np.stack([clip for clip, _ in made]), [facts for _, facts in made])
    return len(missing)


def _cuts_of_take(take: Take, size: int) -> Iterator[tuple[Bytes, dict[str, Any]]]:
    rng = np.random.default_rng([0xC07, take.index])
    num_frames, rows, cols = take.frames_TYX3.shape[:3]
    mouth_YX = take.mouth_LYX.astype(np.int64).sum(0)
    for cut in range(2):
        start = int(rng.integers(num_frames - NUM_FRAMES + 1))
        y, x = (int(rng.integers(0, limit - size + 1)) for limit in (rows, cols))
        if cut == 0 and mouth_YX.any():
            token_y, token_x = np.unravel_index(int(mouth_YX.argmax()), mouth_YX.shape)
            y, x = (
                int(np.clip(int(at) * limit // count + rng.integers(-size * 3 // 4, -size // 4), 0, limit - size))
                for at, limit, count in zip((token_y, token_x), (rows, cols), mouth_YX.shape, strict=True)
            )
        mouth = mouth_in(mouth_YX, y, x)
        facts = {"kind": "take", "index": take.index, "frame": start, "y": y, "x": x, "mouth": mouth}
        yield take.frames_TYX3[start : start + NUM_FRAMES, y : y + size, x : x + size], facts


def mouth_in(mouth_YX: NDArray[np.int64], y: int, x: int) -> list[float] | None:
    """[row, column, radius] in pixels of a cut from (y, x), by the coverage 0..255 of tokens, summed over latents."""
    from muybridge.train.takes import TOKEN

    total = float(mouth_YX.sum())
    if not total:
        return None
    rows, cols = np.indices(mouth_YX.shape)
    row, col = (float((axis * mouth_YX).sum()) / total * TOKEN + TOKEN / 2 for axis in (rows, cols))
    return [row - y, col - x, TOKEN / 2]


@dataclass(frozen=True)
class FrameCache:
    """The shards of a folder by clip size, opened as memory maps [N, 13, Y, X, 3], and where mouths are in them."""

    shards: dict[int, tuple[Bytes, ...]]
    mouths: dict[int, tuple[tuple[list[float] | None, ...], ...]]  # per clip: see `mouth_in`

    def __len__(self) -> int:
        return sum(len(shard) for shards in self.shards.values() for shard in shards)

    def batch(self, step: int, count: int, size: int, seed: int = 0) -> tuple[Bytes, NDArray[np.float32]]:
        """Clips [count, 13, size, size, 3] of a step, drawn with replacement, half of them mirrored; pure.

        Beside them [count, size, size]: how much of a mouth a pixel is, 0 to 1; where one is known, a soft spot.
        """
        rng = np.random.Generator(np.random.Philox(key=[seed, step]))
        shards, mouths = self.shards[size], self.mouths[size]
        clips, spots = [], []
        for _ in range(count):
            number = int(rng.integers(len(shards)))
            at = int(rng.integers(len(shards[number])))
            clip, spot = shards[number][at], _spot(mouths[number][at], size)
            mirrored = rng.random() < 0.5
            clips.append(clip[:, :, ::-1] if mirrored else clip)
            spots.append(spot[:, ::-1] if mirrored else spot)
        return np.stack(clips), np.stack(spots)


def _spot(mouth: list[float] | None, size: int) -> NDArray[np.float32]:
    """[size, size]: a Gaussian at a mouth."""
    if mouth is None:
        return np.zeros((size, size), np.float32)
    row, col, radius = mouth
    line = np.arange(size, dtype=np.float32) + 0.5
    down, across = (np.exp(-(((line - at) / radius) ** 2) / 2) for at in (row, col))
    return (down[:, None] * across).astype(np.float32)


def read(folder: Path, split: str = "train") -> FrameCache:
    """Open a folder's whole shards of a split. Raises NotFound when there are none."""
    shards: dict[int, tuple[Bytes, ...]] = {}
    mouths: dict[int, tuple[tuple[list[float] | None, ...], ...]] = {}
    for size in SIZES:
        paths = sorted(p for p in folder.glob(f"*-{size}-{split}-*.npy") if p.with_suffix(".json").is_file())
        if paths:
            shards[size] = tuple(np.load(path, mmap_mode="r") for path in paths)
            facts = [json.loads(path.with_suffix(".json").read_text()) for path in paths]
            mouths[size] = tuple(tuple(clip.get("mouth") for clip in shard) for shard in facts)
    if not shards:
        raise NotFound(f"{folder} holds no {split} frames; build them: muybridge world frames --count 1500 -o {folder}")
    return FrameCache(shards, mouths)


def world_cuts(index: int, size: int, split: str) -> Iterator[tuple[Bytes, dict[str, Any]]]:
    """Three 13-frame cuts [13, size, size, 3] of one drawing; the first one holds the first person's mouth if any."""
    from muybridge.world import render
    from muybridge.world.grammar import sample_scene
    from muybridge.world.person import LANDMARKS
    from muybridge.world.sample import seed_of

    rng = np.random.default_rng([0xF4A3, index, {"train": 0, "val": 1, "test": 2}[split]])
    scene = sample_scene(seed_of(index + (1 << 32), split), split, seconds=2.0)
    rows = int(rng.choice((size, size * 4 // 3, size * 2, 512), p=(0.35, 0.4, 0.2, 0.05)))
    cols = rows * int(rng.choice((16, 12, 10))) // 9 // 16 * 16
    start = int(rng.integers(scene.num_frames - NUM_FRAMES + 1))
    drawn = render.Set(scene, [babble(rng, scene.num_frames) for _ in scene.people])
    try:
        frames = [drawn.draw(start + k, rows, cols, masks=False) for k in range(NUM_FRAMES)]
    finally:
        drawn.release()
    pixels = np.stack([f.pixels_YX3 for f in frames])
    if scene.people:
        mark_x, mark_y = frames[NUM_FRAMES // 2].landmarks_PL3[0, LANDMARKS.index("lip_upper_inner"), :2]
    for cut in range(CUTS):
        y, x = (int(rng.integers(0, limit - size + 1)) for limit in (rows, cols))
        if cut == 0 and scene.people:
            y = int(np.clip(mark_y - size * rng.uniform(0.35, 0.75), 0, rows - size))
            x = int(np.clip(mark_x - size * rng.uniform(0.35, 0.65), 0, cols - size))
        facts = {"kind": "world", "index": index, "frame": start, "rows": rows, "y": y, "x": x, "place": scene.place}
        if scene.people:
            facts["mouth"] = [float(mark_y) - y, float(mark_x) - x, rows / 16]
        yield pixels[:, y : y + size, x : x + size], facts


def babble(rng: np.random.Generator, num_frames: int) -> NDArray[np.float32]:
    """Face units [T, 52] of somebody saying made-up syllables for the whole clip."""
    from muybridge.world.anatomy import UNIT_INDEX
    from muybridge.world.visemes import viseme_tracks

    said = "".join(str(rng.choice(_SYLLABLES)) + (" " if rng.random() < 0.3 else "") for _ in range(num_frames // 4))
    out_TU = np.zeros((num_frames, len(UNIT_INDEX)), np.float32)
    for unit, weights_T in viseme_tracks(natural_durations(said.strip(), "en"), num_frames).items():
        out_TU[:, UNIT_INDEX[unit]] = weights_T
    return out_TU


def moving_still(index: int, size: int, split: str) -> tuple[Bytes, dict[str, Any]]:
    """A real picture or a painted texture under a slow pan, turn and zoom: [13, size, size, 3]."""
    from PIL import Image

    rng = np.random.default_rng([0x571, index, {"train": 0, "val": 1, "test": 2}[split]])
    names = [p for p in PICTURES if (p in HELD_OUT) == (split == "test") and picture_path(p) is not None]
    name = str(rng.choice(names)) if names and rng.random() < 0.65 else "texture"
    image = texture(rng, 2 * size) if name == "texture" else _open(name)
    zoom = float(rng.uniform(0.5, 1.15)) * min(image.size) / size  # source pixels per pixel
    zoom = min(zoom, 2.5) if rng.random() < 0.8 else min(zoom, 1.0)
    if zoom > 1.5:  # shrink first: the sampler below looks at four pixels by four
        image = image.resize((round(image.width / zoom), round(image.height / zoom)), Image.Resampling.LANCZOS)
        zoom = 1.0
    turn, grow = rng.normal(0, 0.02, 2) * (rng.random(2) < 0.5)
    shift = rng.normal(0, 1.2, 2) * (rng.random() < 0.75)
    reach = size * zoom / 2 + 4
    middle = [float(rng.uniform(min(reach, side / 2), max(side - reach, side / 2))) for side in image.size]
    wide, (pad_x, pad_y) = _mirrored(image, size)
    frames = []
    for k in range(NUM_FRAMES):
        scale, angle = zoom * (1 + grow * k / 4), turn * k / 4
        a, b = scale * np.cos(angle), -scale * np.sin(angle)
        x, y = middle[0] + pad_x + shift[0] * k, middle[1] + pad_y + shift[1] * k
        matrix = (a, b, x - (a + b) * size / 2, -b, a, y - (a - b) * size / 2)
        cut = wide.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        frames.append(np.asarray(cut))
    return np.stack(frames), {"kind": name, "index": index}


def _mirrored(image: Any, margin: int) -> tuple[Any, tuple[int, int]]:  # noqa: ANN401  (PIL is imported where used)
    """The picture with mirrored borders, so that a cut never shows black, and the width of those borders (x, y)."""
    from PIL import Image

    pixels = np.asarray(image)
    pad_y, pad_x = (min(margin, side - 1) for side in pixels.shape[:2])
    return Image.fromarray(np.pad(pixels, [(pad_y,) * 2, (pad_x,) * 2, (0, 0)], mode="reflect")), (pad_x, pad_y)


def picture_path(name: str) -> Path | None:
    """Where an installed package keeps a picture; None when it is not installed."""
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        found = importlib.util.find_spec(package)
        for place in (found.submodule_search_locations or []) if found else []:
            for suffix in (".png", ".jpg"):
                path = Path(place) / folder / f"{name}{suffix}"
                if path.is_file():
                    return path
    return None


def _open(name: str) -> Any:  # noqa: ANN401  (as above)
    from PIL import Image

    path = picture_path(name)
    if path is None:
        raise NotInstalled(f"The picture {name} is not here: pip install scikit-image scikit-learn")
    with Image.open(path) as image:
        return image.convert("RGB")


def texture(rng: np.random.Generator, size: int) -> Any:  # noqa: ANN401  (as above)
    """A painted RGB picture [size, size]: cloud, grain, stripes, cells, discs or letters in random colours."""
    from PIL import Image, ImageDraw, ImageFont

    from muybridge.world.textures import tile_noise

    kind = str(rng.choice(("cloud", "grain", "stripes", "cells", "discs", "letters")))
    low, high = rng.uniform(0, 1, (2, 3))
    y, x = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    if kind in ("discs", "letters"):
        image = Image.new("RGB", (size, size), tuple(int(255 * c) for c in low))
        draw = ImageDraw.Draw(image)
        for _ in range(int(rng.integers(10, 60))):
            at, r = rng.integers(0, size, 2), int(rng.integers(3, size // 8))
            color = tuple(int(c) for c in rng.integers(0, 256, 3))
            if kind == "discs":
                draw.ellipse((int(at[0]) - r, int(at[1]) - r, int(at[0]) + r, int(at[1]) + r), fill=color)
            else:
                word = "".join(chr(int(c)) for c in rng.integers(65, 123, 6))
                draw.text((int(at[0]), int(at[1])), word, fill=color, font=ImageFont.load_default(8 + r // 2))
        return image
    if kind == "cloud":
        share: NDArray[Any] = tile_noise(int(rng.integers(64)), 256, int(rng.choice((2, 4, 8, 16))), 5)
        share = np.tile(share, (-(-size // 256),) * 2)[:size, :size]
    elif kind == "grain":
        share = rng.random((size // 2 + 1, size // 2 + 1)).repeat(2, 0).repeat(2, 1)[:size, :size] * 0.3
    else:
        angle, period = rng.uniform(0, np.pi), rng.uniform(5, 40)
        share = 0.5 + 0.5 * np.sin((np.cos(angle) * x + np.sin(angle) * y) * 2 * np.pi / period)
        if kind == "cells":
            share = (share > 0.5) ^ (np.sin((np.cos(angle) * y - np.sin(angle) * x) * 2 * np.pi / period) > 0)
    slope = (x * rng.normal() + y * rng.normal()) / size * 0.2
    color_YX3 = low + (high - low) * share[..., None] + slope[..., None]
    return Image.fromarray((np.clip(color_YX3, 0, 1) * 255).astype(np.uint8))
