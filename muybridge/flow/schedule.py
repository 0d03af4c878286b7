"""Noise levels of one sampling run: which sigma stands at which step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from muybridge.errors import InvalidRequest

NUM_TRAIN_TIMESTEPS = 1000


@dataclass(frozen=True, eq=False)
class Schedule:
    """Falling noise levels, float64 [num_inference_steps + 1], the last one exactly 0.

    A step is always named by its position. Never look a step up by its timestep: with many steps the integers near 999
    repeat, and the search lands one step late.
    """

    sigmas: Tensor

    def __post_init__(self) -> None:
        levels = self.sigmas
        if levels.ndim != 1 or len(levels) < 2 or levels.dtype != torch.float64:
            raise ValueError(f"A schedule needs at least two float64 sigmas, got {tuple(levels.shape)} {levels.dtype}.")
        if not (bool((levels.diff() < 0).all()) and float(levels[-1]) == 0.0 and float(levels[0]) <= 1.0):
            raise ValueError(f"Sigmas must fall strictly from at most 1 to exactly 0, got {levels.tolist()}.")

    @property
    def num_inference_steps(self) -> int:
        """Number of model evaluations."""
        return len(self.sigmas) - 1

    @property
    def timesteps(self) -> tuple[int, ...]:
        """int(1000 * sigma) of every step (cut, not rounded); neighbours may be equal."""
        return tuple(int(NUM_TRAIN_TIMESTEPS * sigma) for sigma in self.sigmas[:-1].tolist())

    def sigma(self, step: int) -> float:
        """Noise level before step `step`; `sigma(num_inference_steps)` is 0."""
        if not 0 <= step <= self.num_inference_steps:
            raise IndexError(f"Step {step} is outside this schedule of {self.num_inference_steps} steps.")
        return float(self.sigmas[step])


def shift_sigma(sigma: Tensor, shift: float) -> Tensor:
    """Move noise levels towards 1: shift * sigma / (1 + (shift - 1) * sigma); shift 1 changes nothing.

    Source: Esser et al. 2024, "Scaling Rectified Flow Transformers", equation 23.
    """
    if shift <= 0:
        raise InvalidRequest(f"shift is {shift:g}; it must be above 0 (1 is no shift, 5 is the default).", "shift")
    return shift * sigma / (1 + (shift - 1) * sigma)


def shifted(num_inference_steps: int, shift: float = 5.0, sigma_max: float = 0.999) -> Schedule:
    """The open 15B's schedule: even levels from sigma_max towards 0, shifted, then 0.

    Raises InvalidRequest for fewer than one step, shift <= 0 or sigma_max outside (0, 1].
    """
    if num_inference_steps < 1:
        raise InvalidRequest(f"num_inference_steps is {num_inference_steps}; choose at least 1.", "num_inference_steps")
    if not 0.0 < sigma_max <= 1.0:
        raise InvalidRequest(f"sigma_max is {sigma_max:g}; choose a value above 0 and at most 1.", "sigma_max")
    even = torch.linspace(sigma_max, 0.0, num_inference_steps + 1, dtype=torch.float64)
    even[-1] = 0.0
    return Schedule(shift_sigma(even, shift))


def linear(num_inference_steps: int, sigma_max: float = 1.0) -> Schedule:
    """Even noise levels from sigma_max to 0."""
    return shifted(num_inference_steps, shift=1.0, sigma_max=sigma_max)
