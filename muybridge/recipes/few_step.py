"""From many guided steps to eight without guidance: the student's one step lands where the teacher's path ends.

For a step of the few-step schedule, the teacher (the trained base, guided) follows its flow in `substeps` small Euler
steps; the student learns the straight velocity between the two ends. With one substep that is the teacher's guided
velocity itself, which is what a sampler needs that makes new noise at each step.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from muybridge.flow.distill import step_target
from muybridge.flow.guidance import classifier_free
from muybridge.flow.objective import interpolate
from muybridge.flow.schedule import shifted
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_transformer
from muybridge.recipes.base import draw_task, keep_clean, load_export, velocities
from muybridge.recipes.codec_video import export_module
from muybridge.recipes.losses import Pairs, Weighing, losses_of
from muybridge.train.cuts import mix
from muybridge.train.trainer import Losses, Recipe

State = list[tuple[Tensor, Tensor]]
Levels = list[tuple[float, float]]  # (from, to) of each item


class Guidance(NamedTuple):
    """Scales: of the prompt for video and audio, of the phones for video, of the prompt where pictures are given."""

    video: float
    audio: float
    speech: float
    given: float


def recipe(
    latents: str = "runs/latents",
    teacher: str = "runs/base/export",
    start: str = "",
    stills: str = "",
    batch_size: int = 8,
    num_stills: int = 0,
    quiet_stills: int = 0,
    longest: int = 0,
    num_steps: int = 8_000,
    learning_rate: float = 1e-4,
    average_decay: float = 0.9995,
    muon: bool = False,
    inner_rate: float = 1.0,
    num_inference_steps: int = 8,
    substeps: int = 1,
    guidance_scale: float = 2.5,
    given_guidance_scale: float = 1.5,
    audio_guidance_scale: float = 1.0,
    speech_guidance_scale: float = 1.0,
    shift: float = 8.0,
    mouth_weight: float = 8.0,
    num_given: int = 0,
    given: str = "",
    lips: str = "",
    num_lips: int = 0,
    lip_weight: float = 0.0,
    compiled: bool = False,
) -> Recipe:
    """All settings; `teacher` is what the base recipe exported, `shift` that of the schedule it will be sampled with.

    The student begins as the transformer of `start`, or as the teacher; it reads text as the teacher does.
    What a batch is mixed of says train/cuts.py (`mix`). Defaults fit engine/sampling.py. `speech_guidance_scale` makes
    the picture do more of what the phones ask for: lips. `given_guidance_scale` is the prompt's for first pictures and
    edits: what is known of a picture needs no guidance, and too much of it overdraws.
    """
    settings: dict[str, Any] = dict(locals())
    mixed = mix(latents, stills, num_stills, quiet_stills, longest, 0.0, num_given, given, lips, num_lips)
    levels = shifted(num_inference_steps, shift).sigmas.tolist()
    weigh = Weighing(mouth=mouth_weight, lips=lip_weight)
    scales = Guidance(guidance_scale, audio_guidance_scale, speech_guidance_scale, given_guidance_scale)

    def build() -> dict[str, nn.Module]:
        folder = Path(teacher)
        student, text = load_export(folder)
        if start:
            begun, _ = load_export(Path(start))
            student.load_state_dict(begun.state_dict())
        student.config = replace(student.config, distilled=True)
        guide = load_transformer(folder / "base.safetensors", matrix_dtype=torch.float32)
        return {"base": student.train().requires_grad_(True), "text": text.requires_grad_(True), "teacher": guide}

    def batch(step: int, device: torch.device) -> tuple[Pairs, Levels]:
        generator = torch.Generator().manual_seed(step)
        drawn = [item.to(device) for item in mixed.batch(step, batch_size, generator)]
        at = torch.randint(num_inference_steps, (batch_size,), generator=generator).tolist()
        # The student is never guided, so it never sees a dropped condition.
        pairs = []
        for number, (item, k) in enumerate(zip(drawn, at, strict=True)):
            task = draw_task(item, levels[k], generator, is_given=number >= batch_size - num_given)
            pairs.append((item, replace(task, drops=frozenset())))
        return pairs, [(levels[k], levels[k + 1]) for k in at]

    def loss(modules: dict[str, nn.Module], drawn: tuple[Pairs, Levels]) -> Losses:
        student, text, guide = modules["base"], modules["text"], modules["teacher"]
        assert isinstance(student, Transformer)
        assert isinstance(text, PhraseEncoder)
        assert isinstance(guide, Transformer)
        pairs, spans = drawn
        with torch.no_grad():
            x = start_state(pairs)
            end = teacher_end(guide, text, pairs, x, spans, substeps, scales)
        wanted = [
            (step_target(a[0], b[0], *span), step_target(a[1], b[1], *span))
            for a, b, span in zip(x, end, spans, strict=True)
        ]
        return losses_of(pairs, velocities(student, text, pairs, x), wanted, weigh)

    def export(modules: dict[str, nn.Module], folder: Path) -> None:
        student = modules["base"]
        assert isinstance(student, Transformer)
        export_module(student, folder / "base.safetensors", student.config)
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
        warmup_steps=min(100, num_steps // 20),
        average_decay=average_decay,
        inner=("base",) if muon else (),
        inner_rate=inner_rate,
        frozen=("teacher", "text"),
        compiled=("base", "teacher") if compiled else (),
    )


def start_state(pairs: Pairs) -> State:
    """Items noised to the levels of their tasks, with what the task gives put back."""
    state = []
    for item, task in pairs:
        level = torch.tensor([task.sigma], device=item.video.device)
        noisy = (interpolate(x[None], torch.randn_like(x)[None], level)[0] for x in (item.video, item.audio))
        state.append(keep_clean(item, task, *noisy))
    return state


def teacher_end(
    teacher: Transformer,
    text: PhraseEncoder,
    pairs: Pairs,
    state: State,
    spans: Levels,
    substeps: int,
    scales: Guidance,
) -> State:
    """Where the guided teacher arrives from the start of each item's span in `substeps` even Euler steps."""
    for k in range(substeps):
        now = [a + (b - a) * k / substeps for a, b in spans]
        here = [(item, replace(task, sigma=sigma)) for (item, task), sigma in zip(pairs, now, strict=True)]
        full = velocities(teacher, text, here, state)
        bare = velocities(teacher, text, [(i, replace(t, drops=frozenset({"text"}))) for i, t in here], state)
        silent = full
        if scales.speech != 1:
            silent = velocities(teacher, text, [(i, replace(t, drops=frozenset({"speech"}))) for i, t in here], state)
        moved = []
        for (item, task), x, f, b, s, (first, last) in zip(here, state, full, bare, silent, spans, strict=True):
            width = (last - first) / substeps
            is_given = task.name in ("i2v", "edit")
            video = classifier_free(b[0], f[0], scales.given if is_given else scales.video)
            video = video + (scales.speech - 1) * (f[0] - s[0])
            audio = classifier_free(b[1], f[1], scales.audio)
            moved.append(keep_clean(item, task, x[0] + width * video, x[1] + width * audio))
        state = moved
    return state
