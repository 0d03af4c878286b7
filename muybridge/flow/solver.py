"""One step of a sampling run: UniPC, Euler and the distilled models' re-noising step. One state per stream.

Coefficients are Python floats (float64); tensors keep the dtype they come in (float32 in the pipeline). Clean latents
(conditioning.py) are put into x before the velocity is computed, so a step sees them in x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from muybridge.flow.schedule import Schedule

MAX_ORDER = 2


@dataclass(frozen=True, eq=False)
class SolverState:
    """Everything a step needs besides x: enough to resume bit for bit.

    `step` is the next step. `x0_history` holds the x_0 predictions of the last (at most two) steps, newest last;
    `last_sample` is the (corrected) sample the previous predictor started from and `last_order` that predictor's order.
    Euler and the distilled step use `step` alone.
    """

    step: int = 0
    x0_history: tuple[Tensor, ...] = ()
    last_sample: Tensor | None = None
    last_order: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """The state as a flat dict of tensors, for a checkpoint; `from_tensors` is its inverse."""
        flat = {"step": torch.tensor(self.step), "last_order": torch.tensor(self.last_order)}
        flat |= {f"x0_history.{i}": x0 for i, x0 in enumerate(self.x0_history)}
        if self.last_sample is not None:
            flat["last_sample"] = self.last_sample
        return flat

    @classmethod
    def from_tensors(cls, flat: Mapping[str, Tensor]) -> SolverState:
        """Rebuild a state from `tensors()`; raises KeyError where step or last_order is missing."""
        history = tuple(flat[f"x0_history.{i}"] for i in range(MAX_ORDER) if f"x0_history.{i}" in flat)
        return cls(int(flat["step"]), history, flat.get("last_sample"), int(flat["last_order"]))


StepFn = Callable[[Schedule, SolverState, Tensor, Tensor], tuple[Tensor, SolverState]]
"""(schedule, state, x, velocity) -> (x at the next noise level, next state)."""


def log_snr_half(sigma: float) -> float:
    """lambda = log((1 - sigma) / sigma), half the log signal-to-noise ratio; +inf at sigma 0, -inf at 1."""
    if sigma <= 0.0:
        return math.inf
    return -math.inf if sigma >= 1.0 else math.log1p(-sigma) - math.log(sigma)


def predict_x0(x: Tensor, velocity: Tensor, sigma: float) -> Tensor:
    """x_0 = x_t - sigma * velocity."""
    return x - sigma * velocity


def euler_step(schedule: Schedule, state: SolverState, x: Tensor, velocity: Tensor) -> tuple[Tensor, SolverState]:
    """x' = x + (sigma' - sigma) * velocity: order 1, no history."""
    sigma, sigma_next = schedule.sigma(state.step), schedule.sigma(state.step + 1)
    return x + (sigma_next - sigma) * velocity, SolverState(state.step + 1)


def distilled_step(
    schedule: Schedule, state: SolverState, x: Tensor, velocity: Tensor, fresh_noise: Tensor, freshness: float = 1.0
) -> tuple[Tensor, SolverState]:
    """x' = sigma' * noise + (1 - sigma') * x_0: the sampler the distilled models were trained for.

    UniPC does not fit them: it carries the old noise on, which such a model never saw. One that was not trained for it
    may do better with some of both: noise = sqrt(1 - freshness^2) * (x_0 + velocity) + freshness * fresh_noise, which
    at 0 is Euler's step (as eta in Song et al. 2021, "DDIM", arXiv 2010.02502, equation 12).
    """
    sigma, sigma_next = schedule.sigma(state.step), schedule.sigma(state.step + 1)
    x0 = predict_x0(x, velocity, sigma)
    noise = fresh_noise
    if freshness < 1.0:
        noise = math.sqrt(1.0 - freshness**2) * (x0 + velocity) + freshness * fresh_noise
    return sigma_next * noise + (1.0 - sigma_next) * x0, SolverState(state.step + 1)


def unipc_step(schedule: Schedule, state: SolverState, x: Tensor, velocity: Tensor) -> tuple[Tensor, SolverState]:
    """Correct x with the new velocity, then predict the next x: UniPC of order 2, B(h) = e^h - 1 ("bh2"), on x_0.

    The first step has nothing to correct; the first and the last predictor are of order 1, so the last step gives x_0.
    Source: Zhao et al. 2023, "UniPC" (arXiv 2302.04867), algorithms 1 and 2 in data prediction, with alpha = 1 - sigma.
    """
    step = state.step
    x0 = predict_x0(x, velocity, schedule.sigma(step))
    if state.last_sample is not None:
        x = _correct(schedule, state, x0)
    history = (*state.x0_history, x0)[-MAX_ORDER:]
    order = min(MAX_ORDER, len(history), schedule.num_inference_steps - step)
    x_next = _predict(schedule, step, order, x, history)
    return x_next, SolverState(step + 1, history, x, order)


def _predict(schedule: Schedule, step: int, order: int, x: Tensor, history: tuple[Tensor, ...]) -> Tensor:
    """UniP: from `step` to `step + 1` with the x_0 predictions up to `step`."""
    sigma, sigma_next = schedule.sigma(step), schedule.sigma(step + 1)
    if sigma_next == 0.0:
        # h is infinite: the exact limit of order 1. A copy, as checkpoints refuse tensors that share memory.
        return history[-1].clone()
    h = log_snr_half(sigma_next) - log_snr_half(sigma)
    x_next = (sigma_next / sigma) * x - (1.0 - sigma_next) * math.expm1(-h) * history[-1]
    ratio = _history_ratio(schedule, step, h) if order == 2 else None
    if ratio is None:
        return x_next
    slope = (history[-2] - history[-1]) / ratio
    # Order 2 has one unknown; the paper fixes its coefficient to 1/2, whatever the ratio.
    return x_next - (1.0 - sigma_next) * math.expm1(-h) * 0.5 * slope


def _correct(schedule: Schedule, state: SolverState, x0: Tensor) -> Tensor:
    """UniC: do the previous step again, now with the x_0 predicted at its end."""
    assert state.last_sample is not None
    step = state.step - 1
    sigma, sigma_next = schedule.sigma(step), schedule.sigma(step + 1)
    before = state.x0_history[-1]
    difference = x0 - before
    h = log_snr_half(sigma_next) - log_snr_half(sigma)
    b_h = math.expm1(-h)
    x = (sigma_next / sigma) * state.last_sample - (1.0 - sigma_next) * b_h * before
    ratio = _history_ratio(schedule, step, h) if state.last_order == 2 else None
    if ratio is None:
        return x - (1.0 - sigma_next) * b_h * 0.5 * difference
    rho_history, rho_new = _corrector_weights(ratio, h)
    slope = (state.x0_history[-2] - before) / ratio
    return x - (1.0 - sigma_next) * b_h * (rho_history * slope + rho_new * difference)


def _history_ratio(schedule: Schedule, step: int, h: float) -> float | None:
    """r = (lambda of the step before - lambda of this step) / h, negative; None where that step was pure noise."""
    back = log_snr_half(schedule.sigma(step - 1)) - log_snr_half(schedule.sigma(step))
    return back / h if math.isfinite(back) else None


def _corrector_weights(ratio: float, h: float) -> tuple[float, float]:
    """Solve [[1, 1], [r, 1]] (rho_history, rho_new) = (b1, b2): the paper's order conditions, B(h) = e^-h - 1."""
    b_h = math.expm1(-h)
    phi_2 = b_h / -h - 1.0
    phi_3 = phi_2 / -h - 0.5
    b1, b2 = phi_2 / b_h, 2.0 * phi_3 / b_h
    rho_history = (b1 - b2) / (1.0 - ratio)
    return rho_history, b1 - rho_history
