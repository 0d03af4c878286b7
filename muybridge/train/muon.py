"""Muon: momentum whose matrices are made nearly orthogonal before they are applied.

Jordan 2024, "Muon"; Liu et al. 2025 (arXiv 2502.16982) for the factor that lets AdamW's learning rates be used. For
short runs it needs fewer samples than AdamW. torch.optim.Muon does its products in bfloat16, which CPUs without it
emulate slowly; this one does where bfloat16 is fast, and stays in the gradient's dtype elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.model.device import has_fast_bf16

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the quintic's coefficients: steepest at 0, settles within [0.7, 1.2]
RMS_OF_ADAMW = 0.2


def orthogonalise(gradient_MN: Tensor, num_steps: int = 5) -> Tensor:
    """The nearest matrix whose singular values are all about 1 (0.7 to 1.2), by Newton-Schulz steps."""
    a, b, c = NEWTON_SCHULZ
    x: Tensor = gradient_MN / (gradient_MN.norm() + 1e-7)
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    x = x.bfloat16() if has_fast_bf16(x.device) else x
    for _ in range(num_steps):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.T if is_tall else x).to(gradient_MN.dtype)


class Muon(torch.optim.Optimizer):
    """For matrices and kernels inside a network; embeddings, vectors and output layers belong to AdamW."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # returns no loss
        """One update with Nesterov momentum; there is nothing to evaluate again, so `closure` must be None."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(state["momentum"], group["momentum"])
                matrix = ahead.flatten(1)  # a kernel is a matrix of its outputs by all that they see
                scale = RMS_OF_ADAMW * max(matrix.shape) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(orthogonalise(matrix).view_as(parameter), alpha=-group["lr"] * scale)
