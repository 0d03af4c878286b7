"""The decoder recipe: cuts show the frames of their latents, estimates come from the base, and the encoder stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from muybridge.config import TINY
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.tiny_video_codec import TinyVideoCodec, load_video_codec
from muybridge.model.transformer import Transformer
from muybridge.model.weights import save
from muybridge.model.world_audio_codec import WorldAudioCodec
from muybridge.recipes import decoder
from muybridge.recipes.codec_video import export_module
from muybridge.train import latents, takes
from muybridge.train.trainer import train
from tests.test_train_latents import painted

SMALL = replace(TINY, num_layers=2, hidden_size=64, head_dim=64, mm_layers=(0, 1))


def settings(folder: Path) -> dict[str, Any]:
    """Three takes with their latents by an untrained codec, and a silent base."""
    torch.manual_seed(0)
    codec = TinyVideoCodec()
    export_module(codec, folder / "codec.safetensors")
    (folder / "takes").mkdir()
    for index in range(3):
        takes.write(folder / "takes", painted(index))
    sound = WorldAudioCodec(torch.zeros(64), torch.ones(64))
    read = load_video_codec(folder / "codec.safetensors")
    latents.build(folder / "takes", folder / "latents", read, sound, quiet=True)
    base = Transformer(replace(SMALL, video_moments=(1.0,) * 48, audio_moments=(1.0,) * 64)).initialise()
    (folder / "base").mkdir()
    save(dict(base.state_dict()), folder / "base" / "base.safetensors", config=base.config, storage="int8")
    export_module(PhraseEncoder(), folder / "base" / "text.safetensors")
    return {
        "latents": str(folder / "latents"), "clips": str(folder / "takes"), "base": str(folder / "base"),
        "codec": str(folder / "codec.safetensors"), "batch_size": 2, "longest": 2, "num_steps": 2,
    }  # fmt: skip


def test_a_cut_shows_the_frames_of_its_latents(tmp_path: Path) -> None:
    made = settings(tmp_path)
    item = latents.read(Path(made["latents"])).item(1)
    whole = takes.load(takes.path_of(tmp_path / "takes", 1, "train")).frames_TYX3
    for first, start in ((0.0, 0), (0.5, 1), (0.999, 2)):
        part, frames = decoder.cut(item, 2, first, tmp_path / "takes")
        assert torch.equal(part.video, item.video[:, start : start + 2])
        assert np.array_equal(frames, whole[4 * start : 4 * start + 5])


def test_a_silent_base_estimates_channel_by_channel(tmp_path: Path) -> None:
    """With channels of mean square 1 its best guess at sigma 1/2 is x_t itself: (1/2) / (1/4 + 1/4) = 1 times it."""
    made = settings(tmp_path)
    item = latents.read(Path(made["latents"])).item(0)
    base = Transformer(replace(SMALL, video_moments=(1.0,) * 48, audio_moments=(1.0,) * 64)).initialise()
    guess = decoder.estimates(base, PhraseEncoder(), [item], 0.5, torch.Generator().manual_seed(3))[0]
    noise = torch.randn(item.video.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(guess, 0.5 * (item.video + noise))


@pytest.mark.parametrize("encoded", [0.0, 1.0])
def test_the_decoder_moves_and_the_encoder_stays(tmp_path: Path, encoded: float) -> None:
    made = settings(tmp_path)
    train(decoder.recipe(**made, encoded=encoded, average_decay=0.0), tmp_path / "run", device="cpu", quiet=True)
    before = load_video_codec(tmp_path / "codec.safetensors").state_dict()
    after = load_video_codec(tmp_path / "run" / "export" / "video_codec.safetensors").state_dict()
    moved = {name.split("_")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"decode"}
