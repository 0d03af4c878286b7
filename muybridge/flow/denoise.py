"""The plain sampling loop, for tests and tools. The engine has its own, which can stop and resume between steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from torch import Tensor

from muybridge.flow.conditioning import CleanLatents
from muybridge.flow.noise import noise
from muybridge.flow.schedule import Schedule
from muybridge.flow.solver import SolverState, StepFn, distilled_step

Context = TypeVar("Context", contravariant=True)


class Velocity(Protocol[Context]):
    """The model as the flow sees it; `t` is sigma in [0, 1]."""

    def __call__(self, x: Mapping[str, Tensor], t: float, context: Context) -> Mapping[str, Tensor]: ...


def fresh_noise_step(seed: int, stage: str, stream: str) -> StepFn:
    """`distilled_step` with its noise drawn by key (seed, stage, step, stream)."""

    def step_fn(schedule: Schedule, state: SolverState, x: Tensor, velocity: Tensor) -> tuple[Tensor, SolverState]:
        fresh = noise(seed, stage, state.step, stream, x.shape, x.device).to(x.dtype)
        return distilled_step(schedule, state, x, velocity, fresh)

    return step_fn


def denoise(
    velocity: Velocity[Context],
    x: Mapping[str, Tensor],
    schedule: Schedule,
    step_fns: Mapping[str, StepFn],
    context: Context,
    clean: Mapping[str, CleanLatents] | None = None,
) -> dict[str, Tensor]:
    """Run the schedule from x to its end; returns every stream, with its known latents (`clean`) put in.

    A stream without an entry in `step_fns` is context: the model sees it and it never moves (the upscaler's sound).
    """
    latents = dict(x)
    known = clean or {}
    states = {stream: SolverState() for stream in step_fns}
    for step in range(schedule.num_inference_steps):
        latents = latents | {stream: part.apply(latents[stream]) for stream, part in known.items()}
        velocities = velocity(latents, schedule.sigma(step), context)
        moved = {
            stream: step_fn(schedule, states[stream], latents[stream], velocities[stream])
            for stream, step_fn in step_fns.items()
        }
        states = {stream: state for stream, (_, state) in moved.items()}
        latents = latents | {stream: x_next for stream, (x_next, _) in moved.items()}
    return latents | {stream: part.apply(latents[stream]) for stream, part in known.items()}
