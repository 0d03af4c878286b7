"""Where the upscaler will start, for every take: the base's picture, enlarged and encoded again.

A take is shrunk to the base's size, encoded, half drowned in noise and guessed by the base, as in its last step; the
guess is decoded, enlarged and encoded: what `engine/pipeline.py` hands to the upscaler, beside a truth that it lies on.
One small file a take, `start-0000012.safetensors`, holds several guesses; making them goes on where it stopped.

Legend: C channels, T latent frames, Y X latent rows/columns.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from muybridge.engine.pipeline import enlarged_latent
from muybridge.errors import InvalidRequest
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.tiny_video_codec import TinyVideoCodec
from muybridge.model.transformer import Transformer
from muybridge.recipes.codec_video import to_tensor
from muybridge.recipes.decoder import estimates
from muybridge.shapes import GRID, PixelSize
from muybridge.train import takes
from muybridge.train.items import Item
from muybridge.train.latents import LatentCache

LOWEST, HIGHEST = 0.5, 0.8  # noise levels of the guesses; the sampler's last step leaves from 0.7
SCALE = 2  # the base's picture is so many times smaller


def path_of(folder: Path, index: int) -> Path:
    """The file of a take."""
    return folder / f"start-{index:07d}.safetensors"


def build(
    items: LatentCache,
    clips: Path,
    folder: Path,
    codec: TinyVideoCodec,
    base: Transformer,
    text: PhraseEncoder,
    num_guesses: int = 2,
    quiet: bool = False,
) -> int:
    """Make the files of `items` that are not there yet, from the takes in `clips`; returns how many.

    Raises InvalidRequest for takes that are not a whole number of the base's tokens.
    """
    from rich.progress import Progress

    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    with Progress(disable=quiet) as bar:
        for k in bar.track(range(len(items)), description="guessing starts"):
            item = items.item(k)
            path = path_of(folder, item.index)
            if path.is_file():
                continue
            take = takes.load(takes.path_of(clips, item.index, "train"))
            generator = torch.Generator().manual_seed(item.index)
            guesses = [guess(take.frames_TYX3, item, codec, base, text, generator) for _ in range(num_guesses)]
            part = path.with_name(f".{path.name}.{os.getpid()}.part")  # processes may share a run
            save_file({str(n): g.half().contiguous() for n, g in enumerate(guesses)}, part)
            part.replace(path)
            made += 1
    return made


@torch.no_grad()
def guess(
    frames_TYX3: takes.Bytes,
    item: Item,
    codec: TinyVideoCodec,
    base: Transformer,
    text: PhraseEncoder,
    generator: torch.Generator,
) -> Tensor:
    """The start of one take, [C, T, Y, X] at the take's own size."""
    height, width = frames_TYX3.shape[1:3]
    if height % (SCALE * GRID) or width % (SCALE * GRID):
        raise InvalidRequest(f"Takes for the upscaler are multiples of {SCALE * GRID} pixels, not {width}x{height}.")
    frames = to_tensor(frames_TYX3[None])
    small = F.interpolate(frames[0].transpose(0, 1), size=(height // SCALE, width // SCALE), mode="area")
    latent = codec.encode(small.transpose(0, 1)[None])[0]
    sigma = LOWEST + (HIGHEST - LOWEST) * float(torch.rand(1, generator=generator))
    (guessed,) = estimates(base, text, [_with_video(item, latent)], sigma, generator)
    return enlarged_latent(codec, guessed[None], PixelSize(width, height))[0]


def _with_video(item: Item, latent: Tensor) -> Item:
    return replace(item, video=latent, references=None, source=None)


def read(folder: Path, index: int, number: int) -> Tensor:
    """Guess `number` (counted round) of a take, float32."""
    guesses = load_file(path_of(folder, index))
    return guesses[str(number % len(guesses))].float()
