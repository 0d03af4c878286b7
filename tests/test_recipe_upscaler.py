"""The upscaler recipe: starts lie on their truth, parts keep their place and their words, and what is trained loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from muybridge.engine.pipeline import enlarged_latent
from muybridge.engine.tiny import load_tiny
from muybridge.errors import InvalidRequest
from muybridge.model.tiny_video_codec import load_video_codec
from muybridge.model.tokens import Role, video_coords
from muybridge.recipes import starts, upscaler
from muybridge.recipes.base import load_export
from muybridge.recipes.codec_video import export_module
from muybridge.recipes.losses import lip_loss
from muybridge.shapes import PixelSize
from muybridge.train import latents
from muybridge.train.items import EMPTY_TEXT, Item, ItemLine
from muybridge.train.trainer import train
from tests.test_recipe_decoder import settings as decoder_settings
from tests.test_train_latents import painted

WHOLE = (10, 6, 8)  # latents, token rows, token columns of the item below


def settings(folder: Path) -> dict[str, Any]:
    """Three takes of two tokens a side, an untrained codec and a silent base."""
    made = {k: v for k, v in decoder_settings(folder).items() if k != "longest"}
    return {**made, "starts": str(folder / "starts"), "num_guesses": 1, "longest": 3, "rows": 1, "cols": 2}


def talking() -> Item:
    """An item whose latent names its own place (latent, row, column), with a mouth in one token and two phones."""
    count, high, wide = WHOLE
    place = torch.stack(
        torch.meshgrid(torch.arange(count), torch.arange(2 * high), torch.arange(2 * wide), indexing="ij")
    )
    mouth = torch.zeros(WHOLE)
    mouth[:, 4, 1] = 0.5
    line = ItemLine(((1,), (2,)), (0.1, 1.3), "en", "neutral")
    audio = torch.arange(4 * count - 3)[:, None].expand(-1, 64).float()
    return Item(0, place.repeat(16, 1, 1, 1).float(), audio, mouth, EMPTY_TEXT, lines=(line,))


def test_starts_are_made_once_and_again_the_same(tmp_path: Path) -> None:
    made = settings(tmp_path)
    items = latents.read(Path(made["latents"]))
    codec = load_video_codec(Path(made["codec"]))
    base, text = load_export(Path(made["base"]))
    common = (items, Path(made["clips"]), tmp_path / "s", codec, base, text)
    assert starts.build(*common, num_guesses=2, quiet=True) == 3
    first = [starts.read(tmp_path / "s", 1, n) for n in range(3)]
    assert first[0].shape == items.item(1).video.shape
    assert not torch.equal(first[0], first[1])
    assert torch.equal(first[0], first[2])  # counted round
    starts.path_of(tmp_path / "s", 1).unlink()
    assert starts.build(*common, num_guesses=2, quiet=True) == 1
    assert torch.equal(starts.read(tmp_path / "s", 1, 0), first[0])


def test_takes_that_the_base_cannot_halve_are_refused(tmp_path: Path) -> None:
    made = settings(tmp_path)
    item = latents.read(Path(made["latents"])).item(0)
    frames = painted(0).frames_TYX3[:, :32]
    codec = load_video_codec(Path(made["codec"]))
    with pytest.raises(InvalidRequest, match="multiples of 64"):
        starts.guess(frames, item, codec, *load_export(Path(made["base"])), torch.Generator())


@pytest.mark.parametrize("seed", range(8))
def test_a_part_knows_where_it_was_cut(seed: int) -> None:
    item = talking()
    item = replace(item, lips_KCYX=item.video[:, 0][None])
    generator = torch.Generator().manual_seed(seed)
    part = upscaler.draw_part(item, item.video, 0.5, (4, 3, 5), generator)
    assert torch.equal(part.item.video, part.start)
    assert part.item.lips_KCYX is not None
    assert torch.equal(part.item.lips_KCYX[0, 1:3], part.start[1:3, 0])  # the channels that count rows and columns
    t, y, x = (int(n) for n in part.start[:3, 0, 0, 0])
    whole = video_coords(WHOLE[0], 2 * WHOLE[1], 2 * WHOLE[2])
    own = video_coords(4, 6, 10) + part.offset
    first = whole[(y // 2) * WHOLE[2] + x // 2]
    assert torch.equal(own[0], first)
    assert float(part.item.audio[0, 0]) == 4 * t
    said = sum(len(line.ids) for line in part.item.lines)
    begin_s, end_s = 4 * t / 25, (4 * t + 13) / 25
    assert said == sum(begin_s <= middle < end_s for middle in (0.1, 1.3))


def test_lips_weigh_where_the_first_latent_is_not_known() -> None:
    item = replace(talking(), lips_KCYX=torch.ones(1, *talking().video[:, 0].shape))
    part = upscaler.draw_part(item, item.video, 0.5, WHOLE, torch.Generator().manual_seed(0))
    wrong = torch.zeros_like(part.start)
    wrong[:, 0] = 1
    kinds = [replace(part, keeps_first=keeps) for keeps in (False, True)]
    made, true = ([(video, torch.zeros(0, 0))] for video in (wrong, 0 * wrong))
    errors = [lip_loss(upscaler.weighed_as([p]), made, true) for p in kinds]
    assert errors[0] is not None
    assert errors[1] is not None
    assert float(errors[0]) > 0
    assert float(errors[1]) == 0


def test_parts_are_cut_around_mouths_and_elsewhere() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [upscaler.draw_part(talking(), talking().video, 0.5, (2, 2, 2), generator) for _ in range(200)]
    with_mouth = sum(bool(p.item.mouth_TYX.any()) for p in parts) / 200
    assert 0.65 < with_mouth < 0.95  # three in four, and a few of the others by chance
    voiced = [p for p in parts if p.task.name == "a2v"]
    assert voiced
    assert all("speech" in p.task.drops for p in voiced)
    assert any(p.keeps_first for p in parts)


def test_what_was_trained_loads_beside_the_base_with_its_moments(tmp_path: Path) -> None:
    made = settings(tmp_path)
    train(upscaler.recipe(**made), tmp_path / "run", device="cpu", quiet=True)
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    for file in (*(tmp_path / "base").iterdir(), *(tmp_path / "run" / "export").glob("*.safetensors")):
        (shipped / file.name).write_bytes(file.read_bytes())
    (shipped / "video_codec.safetensors").write_bytes((tmp_path / "codec.safetensors").read_bytes())
    parts = load_tiny(shipped, torch.device("cpu"))
    assert parts.upscaler is not None
    assert parts.upscaler_moments.noise == 0.4
    items = [latents.read(Path(made["latents"])).item(k) for k in range(3)]
    squares = torch.stack([item.video.square().mean((1, 2, 3)) for item in items]).mean(0)
    torch.testing.assert_close(torch.tensor(parts.upscaler_moments.latent_C), squares)


def test_a_given_first_latent_and_a_voice_reach_the_network(tmp_path: Path) -> None:
    """What the network reads: a clean first latent, the sound as a source, no phones."""
    made = settings(tmp_path)
    recipe = upscaler.recipe(**made)
    modules = recipe.build()
    seen: list[Any] = []
    real = modules["upscaler"].forward

    def watched(packed: Any) -> tuple[Tensor, Tensor]:
        seen.append(packed)
        out: tuple[Tensor, Tensor] = real(packed)
        return out

    modules["upscaler"].forward = watched  # type: ignore[method-assign]
    item = replace(talking(), video=talking().video[:, :, :2, :4], mouth_TYX=talking().mouth_TYX[:, :1, :2])
    task = upscaler.Task("a2v", 0.9, frozenset({"speech"}))
    part = upscaler.Part(item, torch.zeros_like(item.video), torch.zeros(3), task, keeps_first=True)
    recipe.loss(modules, [part])
    packed = seen[0]
    assert torch.equal(packed.video_NC[0], upscaler.tokens.patchify(item.video)[0])
    assert not torch.equal(packed.video_NC[2], upscaler.tokens.patchify(item.video)[2])
    roles = packed.layout.roles_N
    assert int((roles == Role.SPEECH).sum()) == 0
    assert int((roles == Role.SOURCE).sum()) == len(item.audio)


def test_the_enlarged_latent_is_that_of_the_enlarged_picture(tmp_path: Path) -> None:
    """One colour stays that colour, at any shape."""
    folder = Path(decoder_settings(tmp_path)["codec"])
    codec = load_video_codec(folder)
    codec.start_from(torch.zeros(3072), torch.eye(3072)[:, :48], torch.ones(48))
    export_module(codec, tmp_path / "linear.safetensors")

    linear = load_video_codec(tmp_path / "linear.safetensors")
    latent = torch.zeros(1, 48, 2, 4, 6)
    large = enlarged_latent(linear, latent, PixelSize(160, 128))
    assert large.shape == (1, 48, 2, 8, 10)
    grey = linear.encode(torch.full((1, 3, 5, 128, 160), round(127.5) / 127.5 - 1))
    torch.testing.assert_close(large, grey, atol=1e-4, rtol=0)
