"""Weights that draw one picture from words: the base's shape and texts, and stills alone, most of them near pure noise.

What a picture shows is decided there, and a base that learns clips, voices and edits as well sees little of it. It
begins as a copy of the base, and `engine/draft.py` uses it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from muybridge.errors import InvalidRequest, UserError
from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_transformer
from muybridge.recipes import base
from muybridge.recipes.codec_video import export_module
from muybridge.shapes import BASE_AREAS, STRIDE_X, STRIDE_Y
from muybridge.train import latents
from muybridge.train.trainer import Recipe

FILE = "draft.safetensors"
MOST = 2.0  # times the area that is drawn


def recipe(
    stills: str = "runs/latents_stills",
    start: str = "muybridge/shipped/tiny",
    batch_size: int = 128,
    num_steps: int = 20_000,
    learning_rate: float = 1.2e-3,
    average_decay: float = 0.995,
    muon: bool = True,
    inner_rate: float = 2.5,
    shift: float = 9.0,
    drop_words: float = 0.4,
    num_given: int = 0,
    given: str = "",
    kept: float = 0.0,
    compiled: bool = False,
    fine: bool = True,
) -> Recipe:
    """All settings; `stills` are latents of `muybridge world stills`, `start` an exported base or a shipped folder.

    It begins as the draft of that folder, or where there is none as its base. `shift` moves the levels
    towards noise: 9 has three in four above 0.75. `fine`: a token for each latent and its neighbours, four times as
    many that overlap, where the base has one for each two by two. `num_given` of a batch's items are pairs from
    `given` (`muybridge world stills --given`): references of a person, which the picture then shows. `kept` is the
    share, in the weights that are exported, of those it began with: what is new is learned, and less is forgotten
    (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903).
    """
    settings: dict[str, Any] = dict(locals())
    if kept and not (start and 0 < kept < 1):
        raise InvalidRequest(f"kept={kept} of {start or 'nothing'}: give a share between 0 and 1, and a start.", "kept")
    check_area(Path(stills))
    still = batch_size - num_given
    made = base.recipe(
        latents=stills, stills=stills, start=start, batch_size=batch_size, num_stills=still, quiet_stills=still,
        num_steps=num_steps, learning_rate=learning_rate, shift=shift, mouth_weight=0.0, audio_weight=0.0,
        average_decay=average_decay, muon=muon, inner_rate=inner_rate, drop_words=drop_words, num_given=num_given,
        given=given, compiled=compiled, learn_text=False,
    )  # fmt: skip

    def build() -> dict[str, nn.Module]:
        modules = made.build()
        drawn, first = modules["base"], first_of(Path(start))
        assert isinstance(drawn, Transformer)
        drawn.load_state_dict(first.state_dict())
        drawn.config = replace(drawn.config, video_step=1 if fine else first.config.video_step)
        return modules

    def export(modules: dict[str, nn.Module], folder: Path) -> None:
        drawn = modules["base"]
        assert isinstance(drawn, Transformer)
        export_module(mixed(drawn, first_of(Path(start)), kept) if kept else drawn, folder / FILE, drawn.config)

    return replace(made, name="draft", settings=settings, build=build, export=export)


def first_of(start: Path) -> Transformer:
    """What a run begins with: the draft of a folder, or where there is none its base."""
    file = start / FILE
    return load_transformer(file if file.is_file() else start / "base.safetensors", matrix_dtype=torch.float32)


def mixed(drawn: Transformer, first: Transformer, kept: float) -> Transformer:
    """`first` with a share `kept` of its weights, the others those of `drawn`."""
    ours = first.state_dict()
    first.load_state_dict(
        {n: torch.lerp(value.cpu().float(), ours[n], kept) for n, value in drawn.state_dict().items()}
    )
    return first


def check_area(stills: Path) -> None:
    """Raises UserError for latents of much larger pictures than are drawn: what is learned there is of no use."""
    rows, cols = latents.read(stills).item(0).video.shape[2:]
    if rows * STRIDE_Y * cols * STRIDE_X > MOST * BASE_AREAS["tiny"]:
        raise UserError(
            f"{stills} holds pictures of {cols * STRIDE_X}x{rows * STRIDE_Y}, and tiny draws its first ones at 224x128 "
            "and shapes of that area. Draw them so: muybridge world stills --silent --size 224x128,128x224,160x160"
        )
