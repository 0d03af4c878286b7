"""Packing: what a run exported goes into one folder that loads, with its recipe and credits and without local paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from muybridge.errors import NotFound
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.tiny_video_codec import TinyVideoCodec
from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_transformer, save
from muybridge.recipes.codec_video import export_module
from muybridge.train.pack import pack
from tests.test_recipe_base import SMALL


def run_folder(folder: Path) -> Path:
    export = folder / "export"
    base = Transformer(SMALL).initialise()
    save(
        {n: t.clone() for n, t in base.state_dict().items()}, export / "base.safetensors", config=SMALL, storage="int8"
    )
    export_module(PhraseEncoder(), export / "text.safetensors")
    settings = {"latents": str(folder / "secret" / "latents"), "shift": 4.0}
    card = {"recipe": "base", "hash": "0" * 16, "step": 7, "settings": settings}
    (export / "base.json").write_text(json.dumps(card))
    return folder


def test_a_packed_folder_loads_and_says_what_made_it(tmp_path: Path) -> None:
    run, codecs, out = run_folder(tmp_path / "run"), tmp_path / "codecs", tmp_path / "tiny"
    export_module(TinyVideoCodec(), codecs / "video_codec.safetensors")
    files = pack([run, codecs], out)
    assert set(files) == {"base.safetensors", "text.safetensors", "video_codec.safetensors"}
    again = load_transformer(out / "base.safetensors", matrix_dtype=torch.float32)
    first = load_transformer(run / "export" / "base.safetensors", matrix_dtype=torch.float32)
    for one, other in zip(again.parameters(), first.parameters(), strict=True):
        assert torch.equal(one, other)
    with safe_open(out / "base.safetensors", "pt") as file:
        metadata = file.metadata()
    (told,) = json.loads(metadata["muybridge_runs"])
    assert told["step"] == 7
    assert told["settings"] == {"latents": "latents", "shift": 4.0}
    assert str(tmp_path) not in json.dumps(metadata)
    assert "Koniwa" in metadata["muybridge_credits"]


def test_packing_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="video_codec"):
        pack([run_folder(tmp_path / "run")], tmp_path / "out")
