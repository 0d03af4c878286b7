"""The flow-matching training loss, in pieces.

Sources: Lipman et al. 2022 (arXiv 2210.02747); Esser et al. 2024 (arXiv 2403.03206) for the choice of sigma.
Shapes: B batch; latents are [B, ...] of any further shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from muybridge.flow.schedule import shift_sigma

SigmaKind = Literal["logit_normal", "uniform"]


def sample_sigma(
    num_samples: int,
    kind: SigmaKind = "logit_normal",
    *,
    shift: float = 1.0,
    mean: float = 0.0,
    std: float = 1.0,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Training noise levels, float32 [num_samples] in [0, 1]: sigmoid of a normal, or uniform; then shifted.

    A shift s adds log(s) to the logit: logit_normal(mean, std) with shift s has mean + log(s). Few training steps fall
    at the ends with logit_normal; uniform covers them.
    """
    if kind == "uniform":
        sigma_B = torch.rand(num_samples, generator=generator, device=device)
    elif kind == "logit_normal":
        sigma_B = torch.sigmoid(mean + std * torch.randn(num_samples, generator=generator, device=device))
    else:
        raise ValueError(f"Unknown sigma distribution {kind!r}; choose 'logit_normal' or 'uniform'.")
    return shift_sigma(sigma_B, shift)


def per_sample(value_B: Tensor, like: Tensor) -> Tensor:
    """[B] as [B, 1, ...], to multiply with `like`."""
    return value_B.reshape(-1, *(1 for _ in range(like.ndim - 1)))


def interpolate(x_0: Tensor, noise: Tensor, sigma_B: Tensor) -> Tensor:
    """x_t = (1 - sigma) * x_0 + sigma * noise, one sigma per sample."""
    sigma = per_sample(sigma_B, x_0).to(x_0.dtype)
    return (1.0 - sigma) * x_0 + sigma * noise


def velocity_target(x_0: Tensor, noise: Tensor) -> Tensor:
    """What the model learns: noise - x_0."""
    return noise - x_0


def weighted_mse(predicted: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """sum(weight * (predicted - target)^2) / sum(weight), in float32; `weight` >= 0 broadcasts to `predicted`.

    Weight 0 leaves a place out (clean tokens, padding), above 1 favours it (the mouth). The result is 0, with zero
    gradient, where every weight is 0: a batch may hold clips without sound.
    """
    error = predicted.float() - target.float()
    if weight is None:
        return error.square().mean()
    spread = weight.to(error.dtype).expand_as(error)
    # where before the square: a place that is left out must stay out, loss and gradient, even if it overflowed.
    error = torch.where(spread > 0, error, torch.zeros((), dtype=error.dtype, device=error.device))
    return (spread * error.square()).sum() / spread.sum().clamp_min(torch.finfo(error.dtype).tiny)


def flow_matching_loss(
    predicted: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    weight: Mapping[str, Tensor] | None = None,
    stream_weight: Mapping[str, float] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """(total, loss per stream): weighted mean of each stream, then their sum by `stream_weight` (default 1 each)."""
    losses = {
        stream: weighted_mse(predicted[stream], target[stream], (weight or {}).get(stream)) for stream in predicted
    }
    scaled = [(stream_weight or {}).get(stream, 1.0) * loss for stream, loss in losses.items()]
    return torch.stack(scaled).sum(), losses
