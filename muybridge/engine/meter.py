"""Progress that can be trusted: steps at their measured rate, and what follows them timed on a second of the clip.

Legend: T latent frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from muybridge.engine import pipeline, pixels
from muybridge.engine.components import Components
from muybridge.engine.conditions import frames_to_tensor
from muybridge.engine.left_alone import asked, is_source_s_own, put_back
from muybridge.engine.projector import composed
from muybridge.engine.state import GenerationState
from muybridge.request import AudioMode
from muybridge.shapes import STRIDE_T, Clock, StagePlan, cost, decode_flops

SAMPLE = 3  # latents that are timed
Timed = dict[Hashable, tuple[int, Mapping[str, float]]]  # frames of a clip and its seconds after each stage


@dataclass(frozen=True)
class Progress:
    """Where a generation stands after a step. `fraction` is of all the time that it takes."""

    stage: str
    step: int
    num_steps: int
    fraction: float
    eta_s: float | None  # None before the first step was timed


class Meter:
    """Counts one generation's steps. What follows a stage is timed once, at its first step, where codecs are small.

    `timed` keeps those times, with the frames that they are of, for clips of one size: a programme's windows are alike.
    """

    def __init__(self, parts: Components, timed: Timed | None = None) -> None:
        self.parts = parts
        self.timed = {} if timed is None else timed
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
            if pipeline.draws_nothing(self.parts, state) and len(stages) > 1:
                self.flops[stages[-1].name] = 0.0
            if self.parts.enlarges_pixels:
                wish = state.request
                sizes, is_given = (*(s.size for s in stages), wish.pixel_size), state.conditions.voice_CS is not None
                has_film, about = state.conditions.film is not None, asked(self.parts, state)
                alike, length = (sizes, wish.audio_mode, is_given, has_film, about, wish.video), state.window.clock
                if alike not in self.timed:
                    self.timed[alike] = length.num_decoded_frames, seconds_after(self.parts, state, stages)
                of, found = self.timed[alike]
                self.after_s = {name: some * length.num_decoded_frames / of for name, some in found.items()}
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


def a_part(state: GenerationState, count: int) -> GenerationState:
    """The state with `count` latents of its clip and film, taken from all over it: faces that speak differ.

    Blank faces are drawn once whatever a clip's length, so they count as drawn.
    """
    known, num_frames = state.conditions, STRIDE_T * (count - 1) + 1
    assert known.film is not None and known.film_BCTYX is not None  # it is only asked for with one
    which_T = torch.linspace(0, known.film.num_frames - 1, num_frames).long()
    return replace(
        state,
        window=replace(state.window, clock=Clock(num_frames, count - 1)),
        latents={**state.latents, "video": state.latents["video"][:, :, :count]},
        conditions=replace(
            known, film=replace(known.film.at(which_T), is_blank=False), film_BCTYX=known.film_BCTYX[:, :, :count]
        ),
    )


def seconds_after(parts: Components, state: GenerationState, stages: tuple[StagePlan, ...]) -> dict[str, float]:
    """Seconds between each stage and what follows it, from a run of the same code on a few latents.

    Between stages the picture is decoded, enlarged and encoded; at the end it is decoded, with the sound, and enlarged
    where more is asked for. A film is put together at the end, and a source's pixels are put back. The second of two
    runs counts, but for enlarging.
    """
    ticks, size = state.window.clock, state.request.pixel_size
    count, total = min(SAMPLE, ticks.num_video_latents), ticks.num_video_latents
    num_frames, codec = STRIDE_T * (count - 1) + 1, parts.video_codec
    reads = getattr(codec, "latents_read", int)  # codecs that decode in pieces read some latents twice
    latents = [torch.zeros(1, codec.num_channels, count, *s.size.latent, device=parts.device) for s in stages]
    pictures = [np.zeros((num_frames, s.size.height, s.size.width, 3), np.uint8) for s in stages]

    def seconds_of(work: Callable[[], object], repeats: float, is_fresh: bool = False) -> float:
        with torch.inference_mode():
            if not is_fresh:
                work()
            started = time.perf_counter()
            work()
        return repeats * (time.perf_counter() - started)

    out = {}
    times, is_own = ticks.num_decoded_frames / num_frames, is_source_s_own(parts, state)
    for stage, latent, picture in zip(stages, latents, pictures, strict=True):
        if is_own:
            out[stage.name] = 0.0  # nothing is decoded
            continue
        if state.conditions.film is None:
            decoding = partial(pixels.decode_frames, codec, latent, stage.size, num_frames)
            out[stage.name] = seconds_of(decoding, reads(total) / reads(count))
        elif stage is stages[-1]:
            out[stage.name] = seconds_of(partial(composed, parts, a_part(state, count)), times)
            continue
        else:
            out[stage.name] = 0.0  # nothing comes between
            continue
        following = stages[1].size if stage is not stages[-1] else size
        if following != stage.size:
            # Memory that is touched for the first time costs more than enlarging, and a clip's is all new.
            out[stage.name] += seconds_of(partial(pixels.enlarge, picture, following), times, is_fresh=True)
        if stage is not stages[-1]:
            frames = frames_to_tensor(pictures[1]).to(parts.device)
            out[stage.name] += seconds_of(partial(codec.encode, frames), total / count)
    if state.conditions.source_BCTYX is not None:
        clip = np.zeros((num_frames, size.height, size.width, 3), np.uint8)
        alone_TYX = torch.ones(count, *latents[0].shape[3:])
        part = replace(state, conditions=replace(state.conditions, left_alone_TYX=alone_TYX))
        out[stages[-1].name] += seconds_of(partial(put_back, parts, clip, part), times)
    if state.request.audio_mode is not AudioMode.NONE and state.conditions.voice_CS is None:
        sound = torch.zeros_like(state.latents["audio"][:, :num_frames]).transpose(1, 2).to(parts.device)
        out[stages[-1].name] += seconds_of(partial(parts.audio_codec.decode, sound), total / count)
    return out
