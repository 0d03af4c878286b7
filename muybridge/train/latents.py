"""The pre-encoding cache: takes as latents, phrases and phones, ready for the transformer.

A shard is one safetensors file of up to 256 items, `latents-train-00000.safetensors`, with float16 tensors named
`0/video`, `0/audio`, `0/mouth`, ... and the items' words and times as JSON in its header. It is written whole or not at
all. `read(folder).batch(step, size)` is a pure function of the step: items come in a new order every pass, so a resumed
run sees what an uninterrupted one would have seen. What an item holds decides which tasks it can serve; the recipe
draws the task.

Letters: C channels, T latent frames, Y X latent rows and columns (token rows and columns in masks), A audio latents.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from muybridge.errors import NotFound, UserError
from muybridge.model.codecs import AudioCodec, VideoCodec
from muybridge.model.device import pick_device
from muybridge.model.phrase_encoder import TextPieces, take_apart
from muybridge.model.tiny_video_codec import TinyVideoCodec, load_video_codec
from muybridge.model.tokens import patchify
from muybridge.model.world_audio_codec import WorldAudioCodec
from muybridge.request import timed_beats
from muybridge.shapes import PATCH, STRIDE_T
from muybridge.train import takes
from muybridge.train.items import Item, ItemBeat, ItemLine
from muybridge.train.takes import Take

SHARD = 256  # items
CODING_NOISE = 24  # of 255: what H.264 may change in a picture that stands still


def load_codecs(folder: Path, device: str = "auto") -> tuple[TinyVideoCodec, AudioCodec]:
    """The trained codecs of a folder, video on `device`. Raises WeightsInvalid or NotFound for what does not fit."""
    video = load_video_codec(folder / "video_codec.safetensors")
    statistics = folder / "audio_codec.json"
    if not statistics.is_file():
        raise NotFound(f"{statistics} is missing; measure it: muybridge train codec_audio")
    values = json.loads(statistics.read_text())
    audio = WorldAudioCodec(torch.tensor(values["mean"]), torch.tensor(values["std"]))
    return video.to(pick_device(device)), audio


def encode_clip(take: Take, video_codec: VideoCodec, audio_codec: AudioCodec) -> Item:
    """The item of a take, latents in float32 on the CPU."""
    facts = take.facts
    sound = torch.from_numpy(take.waveform_S)[None, None].expand(1, 2, -1)
    edited = take.edited_LYX
    beats = [(b.text, b.start_s, b.end_s) for b in timed_beats(facts["prompt"])] or facts["beats"]
    video = _latent(video_codec, take.frames_TYX3)
    return Item(
        index=take.index,
        video=video,
        audio=audio_codec.encode(sound)[0].T.float().cpu().contiguous(),
        mouth_TYX=_share(take.mouth_LYX),
        caption=take_apart(facts["prompt"]),
        beats=tuple(ItemBeat(take_apart(text), start, end) for text, start, end in beats),
        lines=tuple(_line(line) for line in facts["lines"]),
        references=None
        if take.references_RYX3 is None
        else torch.stack([_latent(video_codec, still[None]) for still in take.references_RYX3]),
        source=None if take.source_TYX3 is None else _latent(video_codec, take.source_TYX3),
        instruction=None if facts["instruction"] is None else take_apart(facts["instruction"]),
        edited_TYX=None if edited is None else _share(edited),
        lips_KCYX=None if take.mute_TYX3 is None else lip_directions(video - _mute_latent(video_codec, take.mute_TYX3)),
    )


def lip_directions(moved_CTYX: Tensor, count: int = 2) -> Tensor:
    """[K, C, Y, X]: of each token the `count` directions that hold most of what speaking moves, in root mean square.

    Singular vectors over time; a token is 2 x 2 cells of all channels.
    """
    channels, length, rows, cols = moved_CTYX.shape
    tokens_NTD = patchify(moved_CTYX).unflatten(0, (length, -1)).transpose(0, 1)
    _, strength_NK, ways_NKD = torch.linalg.svd(tokens_NTD.float(), full_matrices=False)
    kept_NKD = ways_NKD[:, :count] * (strength_NK[:, :count, None] / length**0.5)
    cells = kept_NKD.transpose(0, 1).unflatten(1, (rows // PATCH, cols // PATCH)).unflatten(3, (channels, PATCH, PATCH))
    lips_KCYX: Tensor = cells.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, rows, cols)
    return lips_KCYX.contiguous()


def _latent(codec: VideoCodec, frames_TYX3: takes.Bytes) -> Tensor:
    """[C, T, Y, X] of uint8 frames."""
    frames = torch.from_numpy(np.ascontiguousarray(frames_TYX3)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    if isinstance(codec, torch.nn.Module):
        frames = frames.to(next(codec.parameters()).device)
    return codec.encode(frames)[0].float().cpu()


def _mute_latent(codec: VideoCodec, frames_TYX3: takes.Bytes) -> Tensor:
    """That of a clip which often stands still (train/puppets.py): then three latents tell all of them."""
    stands = bool((np.abs(frames_TYX3[::4].astype(np.int16) - frames_TYX3[:1]) <= CODING_NOISE).all())
    if not stands or len(frames_TYX3) <= 9:
        return _latent(codec, frames_TYX3)
    start = _latent(codec, frames_TYX3[:9])
    return torch.cat([start, start[:, -1:].expand(-1, (len(frames_TYX3) - 9) // STRIDE_T, -1, -1)], 1)


def _share(coverage: takes.Bytes) -> Tensor:
    return torch.from_numpy(coverage.astype(np.float32) / 255)


def _line(line: dict[str, Any]) -> ItemLine:
    ids = tuple(tuple(symbol) for symbol in line["ids"])
    return ItemLine(ids, tuple(line["middles_s"]), line["language"], line["register"])


def build(
    takes_folder: Path,
    folder: Path,
    video_codec: VideoCodec,
    audio_codec: AudioCodec,
    split: str = "train",
    stride: int = 1,
    first: int = 0,
    quiet: bool = False,
) -> int:
    """Encode all takes of a split, 256 a shard (this process: every `stride`-th shard from `first`); shards made.

    Goes on where it stopped; the last, shorter shard is made again when there are more takes. Shards remember the takes
    they hold, not the codec: after training a codec anew, give another folder. Raises NotFound without takes.
    """
    from rich.progress import Progress

    paths = list(takes.stored(takes_folder, split))
    if not paths:
        raise NotFound(f"{takes_folder} holds no {split} takes; draw them: muybridge world takes -o {takes_folder}")
    folder.mkdir(parents=True, exist_ok=True)
    groups = [paths[at : at + SHARD] for at in range(0, len(paths), SHARD)]
    made = 0
    with Progress(disable=quiet) as bar:
        task = bar.add_task("encoding", total=sum(len(g) for g in groups[first::stride]))
        for number in range(first, len(groups), stride):
            target = folder / f"latents-{split}-{number:05d}.safetensors"
            names = [path.name for path in groups[number]]
            if _names(target) != names:
                items = []
                for path in groups[number]:
                    take = takes.load(path)
                    items.append((encode_clip(take, video_codec, audio_codec), take))
                    bar.advance(task)
                write_shard(target, items, names)
                made += 1
            else:
                bar.advance(task, len(names))
    return made


def write_shard(path: Path, items: list[tuple[Item, Take]], names: list[str]) -> None:
    """A shard of items, latents in float16."""
    tensors: dict[str, Tensor] = {}
    facts = []
    for k, (item, take) in enumerate(items):
        for name, value in _tensors(item).items():
            tensors[f"{k}/{name}"] = value
        facts.append(
            {
                "index": item.index,
                "beats": [[b.start_s, b.end_s] for b in item.beats],
                "lines": [[list(map(list, n.ids)), list(n.middles_s), n.language, n.register] for n in item.lines],
                "prompt": take.facts["prompt"],
                "events": take.facts["events"],
                "attributes": take.facts["attributes"],
                "instruction": take.facts["instruction"],
            }
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    header = {"items": json.dumps(facts, ensure_ascii=False), "takes": json.dumps(names)}
    save_file(tensors, part, header)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _tensors(item: Item) -> dict[str, Tensor]:
    out = {
        "video": item.video, "audio": item.audio, "mouth": item.mouth_TYX, "caption": item.caption.phrases_NC,
        "references": item.references, "source": item.source, "edited": item.edited_TYX, "lips": item.lips_KCYX,
    }  # fmt: skip
    texts = {f"beat {k}": beat.pieces for k, beat in enumerate(item.beats)}
    if item.instruction is not None:
        texts["instruction"] = item.instruction
    kept = {name: value.half().contiguous() for name, value in out.items() if value is not None}
    kept["caption words"] = item.caption.words_N.to(torch.int16)
    for name, pieces in texts.items():
        kept[name] = pieces.phrases_NC.half().contiguous()
        kept[f"{name} words"] = pieces.words_N.to(torch.int16)
    return kept


def _names(path: Path) -> list[str] | None:
    """The takes a shard was made from; None where there is no shard."""
    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        names: list[str] = json.loads(file.metadata()["takes"])
    return names


@dataclass(frozen=True, eq=False)
class _Shard:
    path: Path
    facts: list[dict[str, Any]]
    handle: Any  # safetensors' open file: a lazy memory map
    names: frozenset[str]

    def item(self, k: int) -> Item:
        """Item `k`, latents in float32."""

        def get(name: str) -> Tensor | None:
            return self.handle.get_tensor(f"{k}/{name}").float() if f"{k}/{name}" in self.names else None

        def pieces(name: str) -> TextPieces:
            words = self.handle.get_tensor(f"{k}/{name} words").long()
            return TextPieces(self.handle.get_tensor(f"{k}/{name}").float(), words)

        about = self.facts[k]
        video, audio, mouth = get("video"), get("audio"), get("mouth")
        assert video is not None and audio is not None and mouth is not None
        return Item(
            index=about["index"],
            video=video,
            audio=audio,
            mouth_TYX=mouth,
            caption=pieces("caption"),
            beats=tuple(ItemBeat(pieces(f"beat {j}"), a, b) for j, (a, b) in enumerate(about["beats"])),
            lines=tuple(
                ItemLine(tuple(map(tuple, ids)), tuple(middles), language, register)
                for ids, middles, language, register in about["lines"]
            ),
            references=get("references"),
            source=get("source"),
            instruction=pieces("instruction") if f"{k}/instruction" in self.names else None,
            edited_TYX=get("edited"),
            lips_KCYX=get("lips"),
        )


class LatentCache:
    """The items of a folder's shards of one split."""

    def __init__(self, shards: list[_Shard]) -> None:
        self.shards = shards
        self.places = [(s, k) for s, shard in enumerate(shards) for k in range(len(shard.facts))]

    def __len__(self) -> int:
        return len(self.places)

    def only(self, numbers: Sequence[int]) -> LatentCache:
        """The cache of some of the items. Raises UserError when there are none."""
        if not numbers:
            raise UserError("No item of the cache is left by this choice; choose a lower limit.")
        part = LatentCache(self.shards)
        part.places = [self.places[number] for number in numbers]
        return part

    def item(self, number: int) -> Item:
        """Item `number` in the order of the takes."""
        shard, k = self.places[number]
        return self.shards[shard].item(k)

    def facts(self, number: int) -> dict[str, Any]:
        """Prompt, events, attributes, ... of item `number`."""
        shard, k = self.places[number]
        return self.shards[shard].facts[k]

    def batch(self, step: int, size: int, seed: int = 0) -> list[Item]:
        """`size` items of a step. Every pass over the cache is a new permutation; pure in the arguments."""
        numbers = []
        for at in range(step * size, (step + 1) * size):
            turn, place = divmod(at, len(self))
            numbers.append(int(_order(seed, turn, len(self))[place]))
        return [self.item(number) for number in numbers]


@lru_cache(maxsize=8)
def _order(seed: int, turn: int, count: int) -> NDArray[np.int64]:
    """The permutation of one pass."""
    return np.random.Generator(np.random.Philox(key=[seed, turn])).permutation(count)


def read(folder: Path, split: str = "train") -> LatentCache:
    """Open the shards of a split. Raises NotFound when there are none, UserError for a file that is no shard."""
    shards = []
    for path in sorted(folder.glob(f"latents-{split}-*.safetensors")):
        handle: Any = safe_open(path, "pt")
        about = handle.metadata() or {}
        if "items" not in about:
            raise UserError(f"{path} is not a shard of latents; remove it from {folder}.")
        shards.append(_Shard(path, json.loads(about["items"]), handle, frozenset(handle.keys())))
    if not shards:
        raise NotFound(f"{folder} holds no {split} latents; make them: muybridge world latents -o {folder}")
    return LatentCache(shards)
