"""What a network of `tiny` answers with, as a velocity: only what a channel-by-channel guess cannot know is learned.

A latent's channels differ in strength by two orders of magnitude. Of the velocity v = noise - x_0, the best guess that
is linear in a channel's own x_t is k x_t with k = (sigma - (1 - sigma) m) / var, var = (1 - sigma)^2 m + sigma^2, where
m is the channel's mean square; what is left has the size b = sqrt(m / var). A network that answers in units of b,
beside k x_t, starts at that guess, and need not carry noise through its narrow trunk. Karras et al. 2022 (arXiv
2206.00364, table 1) for another noise scale. The open 15B answers with the velocity itself: it has no moments.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def velocity_of(answer: Tensor, x_t: Tensor, sigma: float, moments_C: Sequence[float], dim: int) -> Tensor:
    """Velocity, shaped like `x_t`, of a network's `answer`; `moments_C` along `dim`, none: the answer is it already."""
    if not moments_C:
        return answer
    shape = [1] * x_t.ndim
    shape[dim] = len(moments_C)
    moments = torch.tensor(moments_C, dtype=torch.float32, device=x_t.device).reshape(shape)
    variance = (1 - sigma) ** 2 * moments + sigma**2
    variance = variance.clamp(min=1e-12)  # sigma 0 with a channel that is never anything
    return (sigma - (1 - sigma) * moments) / variance * x_t + (moments / variance).sqrt() * answer
