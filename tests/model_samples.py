"""Small configs, random weights and packed samples for the tests of the transformer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import reference_transformer as reference
import torch
from torch import Tensor

from muybridge.config import ModelConfig
from muybridge.model import Transformer, tokens
from muybridge.model.tokens import ALL_FRAMES, Packed, Role, Sample

torch.set_num_threads(1)  # small matrices on a shared machine: a second thread only waits

SMALL = ModelConfig(
    name="small",
    num_layers=5,
    hidden_size=256,
    num_heads_kv=1,
    text_in_channels=24,
    mm_layers=(0, 4),
    gelu7_layers=(0,),
    local_layers=(2,),
    frame_receptive_field=1,
    num_roles=8,
    time_scale=4.0,
)
OPEN = replace(SMALL, num_heads_kv=2, num_roles=0, time_scale=1.0, local_layers=())


def random_model(config: ModelConfig, seed: int = 0) -> Transformer:
    """Weights large enough that every term shows: gates off 1/2, norms off 1, clips reached, roles not neutral."""
    model = Transformer(config).initialise(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            scale = 0.3 if parameter.dim() == 1 or "role" in name else 2.0 * parameter.shape[1] ** -0.5
            parameter.copy_(torch.empty_like(parameter).normal_(0, scale, generator=generator))
    return model.eval()


def sample(
    config: ModelConfig,
    seed: int = 0,
    num_latents: int = 4,
    rows: int = 4,
    cols: int = 6,
    num_text: int = 5,
    references: int = 0,
    with_source: bool = False,
) -> Sample:
    """A clip of random tokens with scene text, speech, a beat, and the extras asked for."""
    generator = torch.Generator().manual_seed(seed)

    def draw(count: int, channels: int) -> Tensor:
        return torch.randn(count, channels, generator=generator)

    text = draw(num_text, config.text_in_channels)
    made = tokens.empty_sample(text, tokens.scene_coords(num_text), config.video_in_channels, config.audio_in_channels)
    place = tokens.video_coords(num_latents, rows, cols)
    made = tokens.add_video(made, draw(len(place), config.video_in_channels), place, Role.TARGET)
    times = tokens.audio_coords(4 * (num_latents - 1) + 1)
    made = tokens.add_audio(made, draw(len(times), config.audio_in_channels), times, Role.TARGET)
    for index in range(references):
        place = tokens.video_coords(1, rows, cols, tokens.reference_start(num_latents, index))
        made = tokens.add_video(made, draw(len(place), config.video_in_channels), place, Role.REFERENCE, None)
        tag = tokens.clock_coords(torch.tensor([tokens.reference_start(num_latents, index)]))
        made = tokens.add_text(made, draw(1, config.text_in_channels), tag, Role.TAG)
    if with_source:
        place = tokens.video_coords(num_latents, rows, cols)
        made = tokens.add_video(made, draw(len(place), config.video_in_channels), place, Role.SOURCE)
        made = tokens.add_audio(made, draw(len(times), config.audio_in_channels), times, Role.SOURCE)
    spoken = tokens.clock_coords(torch.tensor([0.3, 0.8, 1.7]))
    return tokens.add_text(made, draw(3, config.text_in_channels), spoken, Role.SPEECH)


def as_reference(packed: Packed) -> reference.Tokens:
    """The packed sequence for the float64 model; which sample a token is in comes from the counts alone."""
    layout = packed.layout
    owner = [np.repeat(np.arange(len(layout.counts)), [c[m] for c in layout.counts]) for m in range(3)]
    frames = layout.frames_N.numpy()
    assert (frames >= ALL_FRAMES).all()
    return reference.Tokens(
        packed.video_NC.double().numpy(),
        packed.audio_NC.double().numpy(),
        packed.text_NC.double().numpy(),
        layout.coords_N3.double().numpy(),
        layout.roles_N.numpy(),
        frames,
        np.concatenate(owner),
    )


def numbers(config: ModelConfig) -> reference.Numbers:
    """The config as the float64 model wants it."""
    return reference.Numbers(
        config.num_layers,
        config.hidden_size,
        config.head_dim,
        config.num_heads_kv,
        config.mm_layers,
        config.gelu7_layers,
        config.local_layers,
        config.frame_receptive_field,
        config.time_scale,
    )


def weights_of(model: Transformer) -> dict[str, reference.Array]:
    """Every parameter as float64."""
    return {name: p.detach().double().numpy() for name, p in model.named_parameters()}


def relative_error(ours: Tensor, wanted: reference.Array) -> float:
    """Largest difference over the largest value."""
    return float(np.abs(ours.double().numpy() - wanted).max() / np.abs(wanted).max())


def relative_l2(ours: Tensor, wanted: Tensor) -> float:
    return float((ours.double() - wanted.double()).norm() / wanted.double().norm())
