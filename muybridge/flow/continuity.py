"""What known latents tell of the others before any network is asked: the best guess that is linear over time.

A channel of one place of the picture is taken for a Gaussian process over the clip's latents: its covariance k latents
apart is m (lasting + fading exp(-k / units)), and m for a latent with itself; what is left over is its own affair. Of
x_t = (1 - sigma) x_0 + sigma e, with latents that are known as they are among them, the best guess of x_0 is then K A
(A K A + S)^-1 x_t, A = diag(1 - sigma), S = diag(sigma^2), sigma 0 where a latent is known (Rasmussen and Williams
2006, section 2.2). A network that answers with what is missing from it need not carry a still picture through its
narrow trunk from latent to latent. One latent alone gives the guess of flow/scaling.py.

The source of an edit is known, too: its latents go with those of the result as these go with each other, times the
share of a channel's square that edits keep. An anchor, one latent from long ago, shares what lasts and half of what
fades with all. Where it is known how a clip moves (engine/camera.py, engine/acting.py), it is the rest that is guessed.

Letters: C channels, D distances in latents, T latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

UNITS = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)  # that `fit` chooses from
MOST = 0.995  # of a channel's square that latents may share: something is always new
LEAST_SIGMA = 1e-3
FAR = 0.5  # of what fades that is shared all the same with an anchor: the scene is the same


class Continuity(NamedTuple):
    """Of each channel: the share of its square that lasts, the one that fades, in how many latents, what edits keep."""

    lasting_C: tuple[float, ...] = ()
    fading_C: tuple[float, ...] = ()
    units_C: tuple[float, ...] = ()
    kept_C: tuple[float, ...] = ()


NO_CONTINUITY = Continuity()


def correlation(latents: Sequence[Tensor], longest: int = 12) -> Tensor:
    """[C, D] for D = 0 .. `longest`: mean product of latents D apart over the mean square; each is [C, T, Y, X]."""
    products = torch.zeros(latents[0].shape[0], longest + 1, dtype=torch.float64)
    counts = torch.zeros(longest + 1, dtype=torch.float64)
    for latent in latents:
        x, length = latent.double(), latent.shape[1]
        for apart in range(min(longest + 1, length)):
            products[:, apart] += (x[:, apart:] * x[:, : length - apart]).mean((1, 2, 3))
            counts[apart] += 1
    mean_CD = products / counts.clamp(min=1)
    return mean_CD / mean_CD[:, :1].clamp(min=1e-12)


def fit(correlation_CD: Tensor) -> Continuity:
    """The shares and the time of each channel that come nearest to its correlation at D >= 1, by least squares."""
    apart = torch.arange(1, correlation_CD.shape[1], dtype=torch.float64)
    chosen = []
    for wanted in correlation_CD[:, 1:].double():
        found = []
        for units in UNITS:
            shapes = torch.stack([torch.ones_like(apart), torch.exp(-apart / units)], 1)
            shares = torch.linalg.lstsq(shapes, wanted[:, None]).solution[:, 0].clamp(min=0)
            shares = shares * min(1.0, MOST / max(float(shares.sum()), 1e-12))
            error = float((shapes @ shares - wanted).square().sum())
            found.append((error, float(shares[0]), float(shares[1]), units))
        chosen.append(min(found)[1:])
    lasting, fading, units_C = zip(*chosen, strict=True)
    return Continuity(lasting, fading, units_C, (0.0,) * len(units_C))


def likeness(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, ...]:
    """Of each channel, the mean product of edits and their sources [C, T, Y, X] over the mean square, 0 to MOST."""
    products = torch.stack([(a * b).mean((1, 2, 3)) for a, b in pairs]).mean(0)
    squares = torch.stack([(a.square() + b.square()).mean((1, 2, 3)) / 2 for a, b in pairs]).mean(0)
    kept: list[float] = (products / squares.clamp(min=1e-12)).clamp(0, MOST).tolist()
    return tuple(kept)


@lru_cache(maxsize=4)
def guess(
    squares_C: tuple[float, ...],
    continuity: Continuity,
    sigma: float,
    known: tuple[bool, ...],
    shares_C: tuple[float, ...] = (),
    has_anchor: bool = False,
) -> tuple[Tensor, Tensor]:
    """(gains [C, T, T], spread [C, T]), float64: x_0 is gains x_t, give or take `spread` (0 where it is known).

    With `shares_C`, those of a source, the gains are [C, T, 2T]: of x_t and then of the source; an anchor adds one
    more, the last.
    """
    square = torch.tensor(squares_C, dtype=torch.float64)[:, None, None]
    lasting, fading, units = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in continuity[:3])
    count = len(known)
    apart = (torch.arange(count)[:, None] - torch.arange(count)).abs().double()
    own = (1 - lasting - fading) * torch.eye(count, dtype=torch.float64)
    correlation_CTT = lasting + fading * torch.exp(-apart / units) + own
    covariance_CTT = square * correlation_CTT
    levels = [0.0 if k else max(sigma, LEAST_SIGMA) for k in known]
    if shares_C:
        kept = torch.tensor(shares_C, dtype=torch.float64)[:, None, None] * covariance_CTT
        rows = (torch.cat([covariance_CTT, kept], 2), torch.cat([kept, covariance_CTT], 2))
        covariance_CTT, levels = torch.cat(rows, 1), levels + [0.0] * count
    if has_anchor:
        shared_C11 = torch.minimum(lasting + FAR * fading, _most_shared(correlation_CTT))
        far_CT1 = (square * shared_C11).expand(-1, len(levels), 1)
        rows = (torch.cat([covariance_CTT, far_CT1], 2), torch.cat([far_CT1.transpose(1, 2), square], 2))
        covariance_CTT, levels = torch.cat(rows, 1), [*levels, 0.0]
    level_T = torch.tensor(levels, dtype=torch.float64)
    seen_CTT = (1 - level_T)[:, None] * covariance_CTT
    noise_T = level_T.square() + 1e-9  # a channel that is never anything is not singular among known latents
    gains_CTT = torch.linalg.solve(seen_CTT * (1 - level_T) + torch.diag(noise_T), seen_CTT).transpose(1, 2)
    left_CT = covariance_CTT.diagonal(dim1=1, dim2=2) - (gains_CTT * seen_CTT.transpose(1, 2)).sum(-1)
    return gains_CTT[:, :count], left_CT[:, :count].clamp(min=0).sqrt()


def _most_shared(correlation_CTT: Tensor) -> Tensor:
    """[C, 1, 1]: the most that one more latent can share with each of these alike, a little less for a firm footing."""
    ones_CT1 = torch.ones_like(correlation_CTT[:, :, :1])
    weight_C1 = torch.linalg.solve(correlation_CTT, ones_CT1).sum(1)
    most_C11: Tensor = (0.99 / weight_C1).sqrt()[:, None]
    return most_C11
