"""Fewer steps: targets from a teacher's path, and the distribution-matching gradient. Functions of tensors only.

The step targets (a) need no second network: the teacher is the frozen start of the student (or the model without its
low-rank adapter). The gradient (b) needs two more velocities, teacher and fake_score, wherever they come from.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TeacherVelocity = Callable[[Tensor, float], Tensor]
"""(x_t, sigma) -> velocity of one stream, context bound by the caller."""


@torch.no_grad()
def teacher_path(teacher: TeacherVelocity, x: Tensor, sigma_from: float, sigma_to: float, num_substeps: int) -> Tensor:
    """x at sigma_to on the teacher's path from x at sigma_from: num_substeps Heun steps (order 2).

    Raises ValueError unless 1 >= sigma_from > sigma_to >= 0 and num_substeps >= 1.
    """
    if not 1.0 >= sigma_from > sigma_to >= 0.0 or num_substeps < 1:
        raise ValueError(
            f"A teacher path falls in sigma in 1 or more steps; got {sigma_from:g} to {sigma_to:g} in {num_substeps}."
        )
    width = (sigma_to - sigma_from) / num_substeps
    for i in range(num_substeps):
        sigma = sigma_from + i * width
        v = teacher(x, sigma)
        # max: the last sum can fall a rounding error below 0
        v_end = teacher(x + width * v, max(sigma + width, 0.0))
        x = x + width * 0.5 * (v + v_end)
    return x


def step_target(x: Tensor, x_end: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
    """The velocity with which ONE Euler step from (x, sigma_from) lands on x_end at sigma_to.

    Progressive distillation (Salimans & Ho 2022) in velocity form: x_end comes from `teacher_path`.
    """
    return (x - x_end) / (sigma_from - sigma_to)


def consistency_target(x: Tensor, sigma_from: float, x_next: Tensor, sigma_to: float, v_next: Tensor) -> Tensor:
    """The velocity at (x, sigma_from) that points to the same x_0 as `v_next` does at the next point of the path.

    `v_next` is the student's own velocity at (x_next, sigma_to), without gradient (Song et al. 2023; Luo et al. 2023).
    At sigma_to = 0 it is the teacher's full step.
    """
    x0 = x_next - sigma_to * v_next
    return ((x - x0) / sigma_from).detach()


@torch.no_grad()
def distribution_matching_gradient(
    x0_student: Tensor, x_t: Tensor, sigma: float, v_teacher: Tensor, v_fake: Tensor, *, normalise: bool = True
) -> Tensor:
    """Gradient of the divergence between the student's and the teacher's outputs with respect to x0_student.

    It is x0_fake - x0_teacher at the noised sample x_t, divided per sample by mean |x0_student - x0_teacher| where
    `normalise` (DMD2, Yin et al. 2024, arXiv 2405.14867; weight of DMD, arXiv 2311.18828, equation 8). Up to the factor
    sigma^2 / (1 - sigma) it is score_fake - score_teacher.
    """
    x0_teacher = x_t - sigma * v_teacher
    gradient = sigma * (v_teacher - v_fake)
    if not normalise:
        return gradient
    error = (x0_student - x0_teacher).abs().flatten(1).mean(dim=1).clamp_min(1e-6)
    return gradient / error.reshape(-1, *(1 for _ in range(x_t.ndim - 1)))


def surrogate_loss(x0_student: Tensor, gradient: Tensor) -> Tensor:
    """A loss whose gradient with respect to x0_student is `gradient` / number of elements."""
    return 0.5 * (x0_student - (x0_student - gradient).detach()).square().mean()
