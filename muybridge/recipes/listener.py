"""Reading phones from a voice: cross entropy on every 20 ms of clips whose phones are known.

Any latents of clips that talk will do: lips, stills with sound. Latents are shaken, scaled and shifted by channel, so
that other voices than the neural ones are not too far away.

Letters: B samples, A audio latents, H half latents.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.engine.listener import LETTERS, NONE, PER_LATENT, RATE, Listener
from muybridge.errors import UserError
from muybridge.recipes.codec_video import export_module
from muybridge.speech.symbols import MARKS, PHONES
from muybridge.train import latents as cache
from muybridge.train.items import Item
from muybridge.train.trainer import Losses, Recipe

FILE = "listener.safetensors"
REACH_S = 0.2  # a phone lasts no further than this from its middle: beyond is a pause
SHAKEN = 0.1  # of a channel's unit: noise, gain and shift
IGNORED = -100
_MARK_IDS, _CLASSES = frozenset(MARKS.values()), {PHONES[letter]: k for k, letter in enumerate(LETTERS)}


def recipe(
    latents: str = "runs/latents_lips",
    more: str = "",
    silent: str = "",
    batch_size: int = 32,
    num_steps: int = 600,
    learning_rate: float = 2e-3,
    longest: int = 128,
    average_decay: float = 0.99,
) -> Recipe:
    """All settings; `latents` and `more` are folders of clips of which those that talk are read.

    `silent`: a folder whose clips in which nobody talks make a quarter of each batch, or sounds are taken for words.
    """
    settings: dict[str, Any] = dict(locals())
    folders = [Path(folder) for folder in (latents, more) if folder]
    items = [item for folder in folders for item in _heard(folder, talks=True)]
    quiet = _heard(Path(silent), talks=False) if silent else []
    if not items:
        raise UserError(f"Nobody talks in {latents}; draw clips that do: muybridge world puppets.")

    def batch(step: int, device: torch.device) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        num_quiet = batch_size // 4 if quiet else 0
        numbers = torch.randint(len(items), (batch_size - num_quiet,), generator=generator).tolist()
        chosen = [items[number] for number in numbers]
        if quiet:
            chosen += [quiet[k] for k in torch.randint(len(quiet), (num_quiet,), generator=generator).tolist()]
        cuts = [_cut(pair, longest, generator) for pair in chosen]
        sound = nn.utils.rnn.pad_sequence([audio for audio, _ in cuts], batch_first=True)
        wanted = nn.utils.rnn.pad_sequence([phones for _, phones in cuts], batch_first=True, padding_value=IGNORED)
        gain, shift = (SHAKEN * torch.randn(2, len(cuts), 1, sound.shape[2], generator=generator)).unbind()
        noise = SHAKEN * torch.randn(sound.shape, generator=generator)
        return (sound * (1 + gain) + shift + noise).to(device), wanted.to(device)

    def loss(modules: dict[str, nn.Module], drawn: tuple[Tensor, Tensor]) -> Losses:
        sound_BAC, wanted_BH = drawn
        scores = modules["listener"](sound_BAC)
        error = nn.functional.cross_entropy(scores.flatten(0, 1), wanted_BH.flatten(), ignore_index=IGNORED)
        said_BH = (wanted_BH != IGNORED) & (wanted_BH != NONE)
        right = (scores.argmax(-1) == wanted_BH)[said_BH].float().mean()
        return {"loss": error, "right": right}

    return Recipe(
        "listener",
        settings,
        lambda: {"listener": Listener()},
        batch,
        loss,
        lambda modules, folder: export_module(modules["listener"], folder / FILE),
        num_steps=num_steps,
        learning_rate=learning_rate,
        warmup_steps=min(50, num_steps // 10),
        weight_decay=0.05,
        average_decay=average_decay,
    )


def _heard(folder: Path, talks: bool) -> list[tuple[Tensor, Tensor]]:
    """(audio [A, C], classes [H]) of the clips in which somebody talks, or of those in which nobody does."""
    found = cache.read(folder)
    items = (found.item(number) for number in range(len(found)))
    return [(item.audio.float(), classes(item)) for item in items if bool(item.lines) == talks]


def classes(item: Item) -> Tensor:
    """[H]: the phone of each 20 ms; from one middle to the next they change half way."""
    wanted = torch.full((PER_LATENT * len(item.audio),), NONE)
    timed = [(ids, at) for line in item.lines for ids, at in zip(line.ids, line.middles_s, strict=True)]
    for number, (ids, middle) in enumerate(timed):
        letter = next((_CLASSES[k] for k in ids if k not in _MARK_IDS and k in _CLASSES), NONE)
        before = timed[number - 1][1] if number else -1.0
        after = timed[number + 1][1] if number + 1 < len(timed) else 1e9
        start = max((before + middle) / 2, middle - REACH_S)
        end = min((middle + after) / 2, middle + REACH_S)
        wanted[max(0, round(start * RATE)) : max(0, round(end * RATE))] = letter
    return wanted


def _cut(pair: tuple[Tensor, Tensor], longest: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """At most `longest` latents from anywhere."""
    audio, wanted = pair
    spare = max(0, len(audio) - longest)
    start = int(torch.randint(spare + 1, (1,), generator=generator))
    return audio[start : start + longest], wanted[PER_LATENT * start : PER_LATENT * (start + longest)]
