"""Progress that can be trusted: steps at their measured rate, and what follows them timed on a second of the clip.

Legend: T latent frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from muybridge.engine import pipeline
from muybridge.engine.components import Components
from muybridge.engine.state import GenerationState
from muybridge.request import AudioMode
from muybridge.shapes import STRIDE_T, PixelSize, StagePlan, cost, decode_flops

SAMPLE = 7  # latents that are timed: more than what the tiny codec decodes at a time


@dataclass(frozen=True)
class Progress:
    """Where a generation stands after a step. `fraction` is of all the time that it takes."""

    stage: str
    step: int
    num_steps: int
    fraction: float
    eta_s: float | None  # None before the first step was timed


class Meter:
    """Counts one generation's steps. What follows a stage is timed once, at its first step, where codecs are small."""

    def __init__(self, parts: Components) -> None:
        self.parts = parts
        self.rate: float | None = None  # operations a second
        self.flops: dict[str, float] = {}
        self.after_s: Mapping[str, float] | None = None
        self.last = 0.0

    def after_step(self, state: GenerationState, num_steps: int, seconds: float) -> Progress:
        """The progress after a step that took `seconds`."""
        stages = pipeline.stages_of(self.parts, state.request)
        if not self.flops:
            wanted = {s.name: s for s in cost(state.request, self.parts.size).stages}
            self.flops = {s.name: wanted[s.name].linear_flops + wanted[s.name].attention_flops for s in stages}
            if self.parts.enlarges_pixels:
                self.after_s = seconds_after(self.parts, state, stages)
        per_step = self.flops[state.stage] / num_steps
        # The mean of the newest rate and the ones before: the first step warms up caches.
        newest = per_step / max(seconds, 1e-9)
        self.rate = newest if self.rate is None else (self.rate + newest) / 2
        after_s = self.after_s or {stages[-1].name: decode_flops(state.request, self.parts.size) / self.rate}
        done_s = total_s = 0.0
        for stage in stages:
            stage_s = self.flops[stage.name] / self.rate
            if stage.name == state.stage:
                done_s = total_s + stage_s * state.step / num_steps
            total_s += stage_s + after_s.get(stage.name, 0.0)
        self.last = max(done_s / total_s, self.last + 1e-6)  # a faster machine than it seemed never goes back
        return Progress(state.stage, state.step, num_steps, self.last, total_s - done_s)


def seconds_after(parts: Components, state: GenerationState, stages: tuple[StagePlan, ...]) -> dict[str, float]:
    """Seconds between each stage and what follows it, from a run of the same code on the first latents.

    Between stages the picture is decoded, enlarged and encoded; at the end it is decoded, with the sound, and enlarged
    where more is asked for. The second of two runs counts.
    """
    ticks, size = state.window.clock, state.request.pixel_size
    count = min(SAMPLE, ticks.num_video_latents)
    share = ticks.num_video_latents / count
    latents = {s.name: torch.zeros(1, parts.video_codec.num_channels, count, *s.size.latent) for s in stages}
    out = {}
    if len(stages) > 1:
        large = stages[1].size
        out[stages[0].name] = share * _second_run_s(
            lambda: pipeline.enlarged_latent(parts, latents[stages[0].name], large)
        )
    last = stages[-1]
    sound = state.latents["audio"].transpose(1, 2)[:, :, : STRIDE_T * (count - 1) + 1]

    def finish() -> None:
        _deliver(parts, latents[last.name], last, size, STRIDE_T * (count - 1) + 1)
        if state.request.audio_mode is not AudioMode.NONE and state.conditions.voice_CS is None:
            parts.audio_codec.decode(torch.zeros_like(sound).to(parts.device))

    out[last.name] = share * _second_run_s(finish)
    return out


def _deliver(parts: Components, latent_BCTYX: Tensor, made: StagePlan, size: PixelSize, num_frames: int) -> None:
    frames = pipeline.decode_frames(parts.video_codec, latent_BCTYX.to(parts.device), made.size, num_frames)
    if made.size.width < size.width or made.size.height < size.height:
        pipeline.enlarge(frames, size)


def _second_run_s(work: Callable[[], object]) -> float:
    with torch.inference_mode():
        work()
        started = time.perf_counter()
        work()
    return time.perf_counter() - started
