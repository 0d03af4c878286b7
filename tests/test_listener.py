"""A given voice is heard: the best path is the best one, made-up sounds are learned, and phones reach the clock."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from engine_parts import SHAPE, movie
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from muybridge.engine import Engine, random_components
from muybridge.engine import listener as ear
from muybridge.engine.listener import LETTERS, NONE, RATE, Listener
from muybridge.engine.tiny import load_tiny
from muybridge.errors import UserError
from muybridge.model.tokens import Role
from muybridge.model.weights import load_into
from muybridge.recipes import listener
from muybridge.request import Request
from muybridge.speech.durations import Phone
from muybridge.speech.symbols import PHONES
from muybridge.train import train
from muybridge.train.items import Item, ItemLine
from muybridge.train.latents import write_shard
from tests.test_recipe_base import item


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(2, 4), st.floats(0, 3))
def test_the_path_is_the_best_of_all(seed: int, length: int, count: int, cost: float) -> None:
    score_HK = torch.randn(length, count, generator=torch.Generator().manual_seed(seed))

    def worth(path: tuple[int, ...]) -> float:
        changes = sum(a != b for a, b in itertools.pairwise(path))
        return float(sum(score_HK[k, c] for k, c in enumerate(path))) - cost * changes

    best = max(worth(path) for path in itertools.product(range(count), repeat=length))
    assert worth(tuple(ear.best_path(score_HK, cost))) == pytest.approx(best, abs=1e-4)


def test_runs_are_phones_and_none_is_a_gap() -> None:
    a, m = LETTERS.index("a"), LETTERS.index("m")
    found = ear.spans([NONE, m, m, a, a, a, NONE, NONE, m])
    assert [phone.symbol for phone in found] == ["m", "a", "m"]
    times = [edge for phone in found for edge in (phone.start_s, phone.end_s)]
    assert times == pytest.approx([0.02, 0.06, 0.06, 0.12, 0.16, 0.18])
    assert ear.spans([NONE, NONE]) == []


def test_phones_hold_from_half_way_to_half_way() -> None:
    marked = ItemLine(((156, PHONES["a"]), (PHONES["m"], 158), (1,)), (0.2, 0.3, 1.2), "en", "neutral")
    wanted = listener.classes(replace(item(1), audio=torch.zeros(40, 64), lines=(marked,)))
    assert len(wanted) == 80
    a, m = LETTERS.index("a"), LETTERS.index("m")
    assert wanted[int(0.1 * RATE)] == a  # 0.1 s before its middle
    assert wanted[int(0.22 * RATE)] == a
    assert wanted[int(0.28 * RATE)] == m
    assert wanted[int(0.48 * RATE)] == m
    assert wanted[int(0.6 * RATE)] == NONE  # no further than 0.2 s from the last one
    assert wanted[int(1.2 * RATE)] == NONE  # a semicolon is a pause


def sounding(seed: int) -> Item:
    """Five phones of 160 ms, each a direction of its own in the latent, with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(4, (5,), generator=generator).tolist()
    letters = ["a", "m", "s", "i"]
    audio = 0.1 * torch.randn(33, 64, generator=generator)
    for number, letter in enumerate(chosen):
        audio[4 + 4 * number : 8 + 4 * number, letter] += 3.0
    ids = tuple((PHONES[letters[letter]],) for letter in chosen)
    middles = tuple((6 + 4 * number) / 25 for number in range(5))
    return replace(item(seed), audio=audio, lines=(ItemLine(ids, middles, "en", "neutral"),))


def shard(folder: Path, items: list[Item]) -> None:
    take: Any = SimpleNamespace(facts={"prompt": "x", "events": [], "attributes": {}, "instruction": None})
    folder.mkdir(exist_ok=True)
    write_shard(folder / "latents-train-00000.safetensors", [(one, take) for one in items], ["0"] * len(items))


def test_made_up_sounds_are_learned_and_read_back(tmp_path: Path) -> None:
    shard(tmp_path / "latents", [sounding(seed) for seed in range(24)])
    recipe = listener.recipe(str(tmp_path / "latents"), num_steps=120, batch_size=16, average_decay=0.9)
    train(recipe, tmp_path / "run", quiet=True)
    trained = Listener().eval()
    load_into(trained, tmp_path / "run" / "export" / listener.FILE, cast=lambda _: torch.float32, any_float=True)
    right = 0
    for seed in range(100, 110):
        unheard = sounding(seed)
        found = trained.phones(unheard.audio)
        for ids, middle in zip(unheard.lines[0].ids, unheard.lines[0].middles_s, strict=True):
            right += any(p.start_s - 0.02 <= middle <= p.end_s + 0.02 and PHONES[p.base] == ids[0] for p in found)
    assert right >= 45  # of 50


def test_sounds_are_no_words_once_they_were_heard_as_such(tmp_path: Path) -> None:
    shard(tmp_path / "latents", [sounding(seed) for seed in range(24)])
    ringing = [
        replace(sounding(seed), audio=2 * torch.roll(sounding(seed).audio, 30, 1), lines=()) for seed in range(12)
    ]
    shard(tmp_path / "silent", ringing)
    recipe = listener.recipe(
        str(tmp_path / "latents"), silent=str(tmp_path / "silent"), num_steps=120, batch_size=16, average_decay=0.9
    )
    train(recipe, tmp_path / "run", quiet=True)
    trained = Listener().eval()
    load_into(trained, tmp_path / "run" / "export" / listener.FILE, cast=lambda _: torch.float32, any_float=True)
    assert all(trained.phones(2 * torch.roll(sounding(seed).audio, 30, 1)) == [] for seed in range(40, 46))
    assert len(trained.phones(sounding(50).audio)) >= 3


def test_silent_clips_teach_nothing(tmp_path: Path) -> None:
    shard(tmp_path / "latents", [replace(item(1), lines=())])
    with pytest.raises(UserError, match="Nobody talks"):
        listener.recipe(str(tmp_path / "latents"))


@dataclass
class Ear:
    """Hears the same phones in anything."""

    said: list[Phone]
    shape: tuple[int, ...] = ()

    def phones(self, audio_AC: Tensor) -> list[Phone]:
        self.shape = tuple(audio_AC.shape)
        return self.said


class Letters:
    """A row of ones for each phone."""

    def encode_phonemes(self, ids: Sequence[Sequence[int]], language: str, register: str) -> Tensor:
        assert (language, register) == ("en", "neutral")
        return torch.ones(len(ids), SHAPE.text_in_channels)


def test_what_is_heard_stands_on_the_clock_as_what_is_planned(tmp_path: Path) -> None:
    ears = Ear([Phone("m", 0.5, 0.7), Phone("a", 0.7, 0.9)])
    parts = replace(random_components("tiny", seed=3, shape=SHAPE), phoneme_encoder=Letters(), listener=ears)
    engine = Engine(parts)
    voice = movie(tmp_path / "voice.mp4")
    request = Request("A man at a desk.", audio=voice, size="64x64", seconds=3)
    text = engine.encode(request).conditions.text
    is_phone = text.roles_N == int(Role.SPEECH)
    assert is_phone.sum() == 2
    assert ears.shape == (77, 64)
    first, second = text.coords_N3[is_phone][:, 0].tolist()
    later = Ear([phone.moved(1.0) for phone in ears.said])
    engine.parts = replace(parts, listener=later)
    moved = engine.encode(request).conditions.text
    third, _ = moved.coords_N3[moved.roles_N == int(Role.SPEECH)][:, 0].tolist()
    assert second > first
    assert third - first == pytest.approx(5 * (second - first))  # a second is five times 0.2 s
    for hears in (None, Ear([])):
        engine.parts = replace(parts, listener=cast(Any, hears))
        assert not engine.encode(request).conditions.is_said
    engine.parts = parts
    kept = Request("A man at a desk.", video=voice, audio_mode="keep", size="64x64", seconds=3)
    assert not engine.encode(kept).conditions.is_said  # an edit that keeps its sound says nothing anew


def test_the_shipped_listener_hears_nothing_in_silence() -> None:
    from muybridge.engine.loading import SHIPPED

    parts = load_tiny(SHIPPED / "tiny", torch.device("cpu"))
    assert parts.listener is not None
    silence = parts.audio_codec.encode(torch.zeros(1, 1, 2 * 24_000))[0].T
    assert parts.listener.phones(silence) == []
