"""The engine: a loaded size that makes clips, one hook between steps, and progress that can be trusted.

engine = muybridge.load("tiny")
clip = engine.generate(Request("A woman says: \\"Good morning.\\""))
clip.save("clip.mp4")
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muybridge.engine import pipeline
from muybridge.engine.clip import Clip
from muybridge.engine.components import Components
from muybridge.engine.draft import begun
from muybridge.engine.meter import Meter, Progress, Timed
from muybridge.engine.offload import leave
from muybridge.engine.state import GenerationState
from muybridge.engine.wishes import Course
from muybridge.request import Request
from muybridge.shapes import Cost, Window, cost

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan


OnStep = Callable[[Progress], None]
BetweenSteps = Callable[[GenerationState, Progress], None]


class Engine:
    """Loaded weights and where they run. One clip at a time: batching does not help video (facts: serving 0.4)."""

    def __init__(self, parts: Components) -> None:
        self.parts = parts
        self._prepared: tuple[tuple[object, str], pipeline.Prepared] | None = None
        self._timed: Timed = {}

    def generate(self, request: Request, on_step: OnStep | None = None) -> Clip:
        """Make one clip. `on_step` sees progress after each step and may raise (Cancelled) to stop.

        Raises UserError for what the loaded size cannot do; nothing is computed then.
        """
        return self.finish(self.encode(request), None if on_step is None else lambda _, progress: on_step(progress))

    def finish(self, state: GenerationState, between_steps: BetweenSteps | None = None) -> Clip:
        """Run a state, fresh or resumed, to its clip. `between_steps` may save `state`, and raise to stop."""
        return self.decode(self.denoise(state, between_steps))

    def denoise(self, state: GenerationState, between_steps: BetweenSteps | None = None) -> GenerationState:
        """Run a state through what is left of its stages, up to decoding."""
        meter = Meter(self.parts, self._timed)
        while state.stage != "done":
            if state.step == self.num_steps(state):
                state = self.upscale(state)
                continue
            started = time.perf_counter()
            state = self.step(state)
            if between_steps is not None:  # else nobody looks
                progress = meter.after_step(state, self.num_steps(state), time.perf_counter() - started)
                between_steps(state, progress)
        return state

    def preview(self, state: GenerationState) -> NDArray[np.uint8]:
        """The clip's middle frame as it looks now, [Y, X, 3]: one latent decoded."""
        return pipeline.preview(self.parts, state)

    def cost(self, request: Request) -> Cost:
        """Operations, bytes and seconds of a request at this size."""
        return cost(request, self.parts.size)

    def encode(
        self, request: Request, window: Window | None = None, plan: Plan | None = None, course: Course | None = None
    ) -> GenerationState:
        """Text, pictures and sound to latents; the state before the first step.

        `window` places the clip on a longer programme, whose `course` says what its people do and how its light
        changes; `plan` says when what is said, from the clip's start.
        """
        plan = plan or self.plan(request)
        state = pipeline.encode(self.parts, request, plan, window)
        return begun(self.parts, state, plan, window is None, course)

    def step(self, state: GenerationState) -> GenerationState:
        """One denoising step; coordinates, masks and clean tokens are built once a stage."""
        key = (state.conditions, state.stage)
        if self._prepared is None or self._prepared[0][0] is not key[0] or self._prepared[0][1] != key[1]:
            self._prepared = (key, pipeline.prepare(self.parts, state))
        return pipeline.step(self.parts, state, self._prepared[1])

    def upscale(self, state: GenerationState) -> GenerationState:
        """From the end of a stage to the start of the next, or to done."""
        for model in (self.parts.base, self.parts.upscaler, self.parts.small_upscaler):
            leave(model)  # a placement that waits makes room for the next stage
        return pipeline.upscale(self.parts, state)

    def decode(self, state: GenerationState, on_frames: Callable[[Clip], None] | None = None) -> Clip:
        """Latents to frames and sound; `on_frames` sees the first frames as soon as they are there, if it can."""
        self._prepared = None
        return pipeline.decode(self.parts, state, on_frames)

    def num_steps(self, state: GenerationState) -> int:
        """Steps of the state's stage."""
        return pipeline.num_steps(self.parts, state)

    def plan(self, request: Request) -> Plan | None:
        """When what is said: phonemes on the clock, for sizes that have them; None where nothing is said by plan.

        Raises UserError where the dialogue cannot fit.
        """
        if self.parts.phoneme_encoder is None or request.audio is not None:
            return None
        from muybridge.speech.pacing import plan_request

        plan = plan_request(request)
        return plan if plan.lines else None
