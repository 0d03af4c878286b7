"""The shipped weights are what the rest of the package says they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from muybridge.config import model_config
from muybridge.engine.loading import SHIPPED
from muybridge.model.weights import load_transformer
from muybridge.shapes import num_parameters
from muybridge.train.pack import LIMIT

FOLDER = SHIPPED / "tiny"


@pytest.mark.parametrize(("name", "size"), [("base", "tiny"), ("draft", "tiny"), ("upscaler", "tiny-upscaler")])
def test_each_transformer_has_the_numbers_of_its_size(name: str, size: str) -> None:
    """Price, plan and `weights info` speak of the size; the file must be it. What training measures may differ."""
    model = load_transformer(FOLDER / f"{name}.safetensors", matrix_dtype=torch.float32)
    wanted = model_config(size)
    found = replace(
        model.config, video_moments=(), audio_moments=(), rest_moments=(), rest_products=(), start_noise=1.0,
        distilled=False, video_lasting=(), video_fading=(), video_fading_units=(), video_kept=(),
    )  # fmt: skip
    assert found == replace(wanted, video_step=1 if name == "draft" else 2)  # decision 108
    assert sum(t.numel() for t in model.state_dict().values()) == num_parameters(wanted)


def test_all_of_it_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in Path(FOLDER).iterdir()) <= LIMIT
