"""What a network of `tiny` answers with, as a velocity: only what a channel-by-channel guess cannot know is learned.

A latent's channels differ in strength by two orders of magnitude. Of the velocity v = start - x_0, the best guess that
is linear in a channel's own x_t is k x_t with k = E[v x_t] / E[x_t^2]; what is left has the size b, b^2 = E[v^2] -
k^2 E[x_t^2]. A network that answers in units of b, beside k x_t, starts at that guess, and need not carry noise through
its narrow trunk. Karras et al. 2022 (arXiv 2206.00364, table 1) for another noise scale. The open 15B answers with the
velocity itself: it has no moments.

The base starts at noise. The upscaler starts at the enlarged picture with some noise on it: start = x_0 - rest + n e,
where the rest is what enlarging does not know. With m = E[x_0^2], r = E[rest^2], p = E[x_0 rest] of a channel,
E[v^2] = n^2 + r, E[v x_t] = sigma E[v^2] - p, and E[x_t^2] = m - 2 sigma p + sigma^2 E[v^2]. Noise alone is r = p = m.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from muybridge.config import ModelConfig
from muybridge.flow.continuity import LEAST_SIGMA, NO_CONTINUITY, Continuity, guess


class Moments(NamedTuple):
    """Mean squares of a stream's channels: of the latent, of the rest, and their mean product; `noise` of the start.

    With `continuity` (of starts at noise alone) the guess is linear over time, too, where latents are known
    (flow/continuity.py).
    """

    latent_C: Sequence[float] = ()
    rest_C: Sequence[float] = ()
    product_C: Sequence[float] = ()
    noise: float = 1.0
    continuity: Continuity = NO_CONTINUITY


NO_MOMENTS = Moments()


def from_noise(latent_C: Sequence[float], continuity: Continuity = NO_CONTINUITY) -> Moments:
    """The moments of a stream that starts at noise alone."""
    return Moments(latent_C, latent_C, latent_C, continuity=continuity)


def video_moments(config: ModelConfig) -> Moments:
    """Those of the picture of a base of this shape."""
    continuity = Continuity(config.video_lasting, config.video_fading, config.video_fading_units, config.video_kept)
    return from_noise(config.video_moments, continuity)


def velocity_of(
    answer: Tensor,
    x_t: Tensor,
    sigma: float,
    moments: Moments,
    dim: int,
    known: Collection[int] = (),
    source: Tensor | None = None,
    anchor: Tensor | None = None,
) -> Tensor:
    """Velocity, shaped like `x_t`, of a network's `answer`; channels along `dim`; no moments: the answer is it.

    Time is the dimension after the channels; `known` are the numbers of the latents that are there already, whose
    velocity is nobody's. `source`: what `x_t` will be an edit of, in its shape. `anchor`: a latent from long before it,
    one latent long.
    """
    if not moments.latent_C:
        return answer
    if moments.continuity.lasting_C and (len(known) or source is not None):
        is_known = tuple(k in known for k in range(x_t.shape[dim + 1]))
        shares_C = moments.continuity.kept_C if source is not None else ()
        others = [other for other in (source, anchor) if other is not None]
        gains_CTT, spread_CT = guess(
            tuple(moments.latent_C), moments.continuity, sigma, is_known, shares_C, anchor is not None
        )
        x_CT = x_t.movedim((dim, dim + 1), (0, 1))
        seen_CT = torch.cat([x_CT, *(other.movedim((dim, dim + 1), (0, 1)) for other in others)], 1)
        with torch.autocast(x_t.device.type, enabled=False):  # bf16 would take the fine detail of a known latent
            x_0 = torch.einsum("cts,cs...->ct...", gains_CTT.to(x_t.device, x_t.dtype), seen_CT)
        unit = spread_CT.to(x_t.device, x_t.dtype).reshape(*spread_CT.shape, *[1] * (x_t.ndim - 2))
        velocity = (x_CT - x_0 + unit * answer.movedim((dim, dim + 1), (0, 1))) / max(sigma, LEAST_SIGMA)
        return velocity.movedim((0, 1), (dim, dim + 1))
    shape = [1] * x_t.ndim
    shape[dim] = len(moments.latent_C)
    latent, rest, product = (
        torch.tensor(values, dtype=torch.float64, device=x_t.device).reshape(shape) for values in moments[:3]
    )
    velocity = moments.noise**2 + rest
    both = sigma * velocity - product
    variance = latent - 2 * sigma * product + sigma**2 * velocity
    variance = variance.clamp(min=1e-12)  # sigma 0 with a channel that is never anything
    unit = (velocity - both**2 / variance).clamp(min=0).sqrt()
    return (both / variance).to(x_t.dtype) * x_t + unit.to(x_t.dtype) * answer
