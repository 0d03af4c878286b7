"""From many guided steps to eight without guidance: the student's one step lands where the teacher's path ends.

For a step of the few-step schedule, the teacher (the trained base, guided) follows its flow in `substeps` small Euler
steps; the student learns the straight velocity between the two ends. Its sampler is the same Euler step.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.flow.distill import step_target
from muybridge.flow.guidance import classifier_free
from muybridge.flow.objective import interpolate
from muybridge.flow.schedule import shifted
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_transformer, save
from muybridge.recipes.base import (
    Task,
    draw_task,
    keep_clean,
    load_export,
    loss_weights,
    velocities,
    weighted_losses,
)
from muybridge.recipes.codec_video import export_module
from muybridge.train.items import Item
from muybridge.train.trainer import Losses, Recipe

Pairs = list[tuple[Item, Task]]
State = list[tuple[Tensor, Tensor]]


def recipe(
    latents: str = "runs/latents",
    teacher: str = "runs/base/export",
    batch_size: int = 8,
    num_steps: int = 8_000,
    learning_rate: float = 1e-4,
    num_inference_steps: int = 8,
    substeps: int = 3,
    guidance_scale: float = 3.0,
    shift: float = 3.0,
    mouth_weight: float = 8.0,
) -> Recipe:
    """All settings; `teacher` is what the base recipe exported."""
    settings: dict[str, Any] = dict(locals())
    from muybridge.train import latents as cache

    items = cache.read(Path(latents))
    levels = shifted(num_inference_steps, shift).sigmas.tolist()

    def build() -> dict[str, nn.Module]:
        folder = Path(teacher)
        student, text = load_export(folder)
        guide = load_transformer(folder / "base.safetensors", matrix_dtype=torch.float32)
        return {"base": student.train().requires_grad_(True), "text": text.requires_grad_(True), "teacher": guide}

    def batch(step: int, device: torch.device) -> Pairs:
        generator = torch.Generator().manual_seed(step)
        position = int(torch.randint(num_inference_steps, (1,), generator=generator))
        drawn = [item.to(device) for item in items.batch(step, batch_size)]
        # The student is never guided, so it never sees a dropped condition.
        return [(i, replace(draw_task(i, float(position), generator), drops=frozenset())) for i in drawn]

    def loss(modules: dict[str, nn.Module], pairs: Pairs) -> Losses:
        student, text, guide = modules["base"], modules["text"], modules["teacher"]
        assert isinstance(student, Transformer)
        assert isinstance(text, PhraseEncoder)
        assert isinstance(guide, Transformer)
        position = int(pairs[0][1].sigma)
        start_sigma, end_sigma = levels[position], levels[position + 1]
        with torch.no_grad():
            x = start_state(pairs, start_sigma)
            end = teacher_end(guide, text, pairs, x, start_sigma, end_sigma, substeps, guidance_scale)
        wanted = [
            (step_target(a[0], b[0], start_sigma, end_sigma), step_target(a[1], b[1], start_sigma, end_sigma))
            for a, b in zip(x, end, strict=True)
        ]
        weights = [loss_weights(item, task, mouth_weight) for item, task in pairs]
        return weighted_losses(velocities(student, text, pairs, x, start_sigma), wanted, weights, 1.0)

    def export(modules: dict[str, nn.Module], folder: Path) -> None:
        student = modules["base"]
        assert isinstance(student, Transformer)
        folder.mkdir(parents=True, exist_ok=True)
        state = {n: t.detach().float().cpu().contiguous() for n, t in student.state_dict().items()}
        save(state, folder / "base.safetensors", config=student.config, storage="int8")
        export_module(modules["text"], folder / "text.safetensors")

    return Recipe(
        "few_step",
        settings,
        build,
        batch,
        loss,
        export,
        num_steps=num_steps,
        learning_rate=learning_rate,
        warmup_steps=100,
        frozen=("teacher", "text"),
    )


def start_state(pairs: Pairs, sigma: float) -> State:
    """Noised items at a level of the schedule, with what the task gives put back."""
    state = []
    for item, task in pairs:
        level = torch.tensor([sigma], device=item.video.device)
        noisy = (interpolate(x[None], torch.randn_like(x)[None], level)[0] for x in (item.video, item.audio))
        state.append(keep_clean(item, task, *noisy))
    return state


def teacher_end(
    teacher: Transformer,
    text: PhraseEncoder,
    pairs: Pairs,
    state: State,
    start_sigma: float,
    end_sigma: float,
    substeps: int,
    scale: float,
) -> State:
    """Where the guided teacher arrives in `substeps` even Euler steps."""
    unguided = [(item, replace(task, drops=frozenset({"text"}))) for item, task in pairs]
    levels = torch.linspace(start_sigma, end_sigma, substeps + 1).tolist()
    for here, there in itertools.pairwise(levels):
        full = velocities(teacher, text, pairs, state, here)
        bare = velocities(teacher, text, unguided, state, here)
        moved = []
        for (item, task), x, f, b in zip(pairs, state, full, bare, strict=True):
            video, audio = (x[i] + (there - here) * classifier_free(b[i], f[i], scale) for i in (0, 1))
            moved.append(keep_clean(item, task, video, audio))
        state = moved
    return state
