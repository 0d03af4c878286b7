"""Several processes on one run: each takes its own part of a step, and all take the mean of their gradients.

`torchrun --nproc-per-node N --no-python muybridge train ...` starts them and names each in its environment. All hold
the same weights, because they begin with the same and add the same; the first one writes the checkpoints. On a CPU
one process of one thread for each core beats threads; several GPUs are used the same way.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """Which of how many processes this one is."""

    number: int = 0
    size: int = 1

    def share(self, parameters: Sequence[nn.Parameter], is_over: bool) -> bool:
        """Gradients become their mean over the team; True when one of it has to stop."""
        if self.size == 1:
            return is_over
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat(
            [*(g.flatten().float() for g in grads), torch.tensor([float(is_over)], device=grads[0].device)]
        )
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat[:-1].split([p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)
        return bool(flat[-1] > 0)

    def mean(self, shown: dict[str, float]) -> dict[str, float]:
        """The mean of what each process shows."""
        if self.size == 1:
            return shown
        values: Tensor = torch.tensor([shown[name] for name in sorted(shown)], dtype=torch.float64)
        if dist.get_backend() == "nccl":
            values = values.cuda()
        dist.all_reduce(values)
        return dict(zip(sorted(shown), (values / self.size).tolist(), strict=True))

    def leave(self) -> None:
        """Wait for the others, so that nobody ends while another still writes, and let them go."""
        if self.size > 1:
            dist.barrier()
            dist.destroy_process_group()


def join(device: torch.device) -> Team:
    """This process's place in the team that torchrun started; a team of one without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Team(dist.get_rank(), size)
