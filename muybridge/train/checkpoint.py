"""Training checkpoints that survive a kill at any moment: written beside, synced, then renamed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.errors import UserError

LATEST = "latest.pt"


def save_checkpoint(folder: Path, state: Mapping[str, Any], name: str = LATEST) -> Path:
    """Write `state` whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / name, folder / f".{name}.{os.getpid()}.part"
    with part.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    return target


def load_checkpoint(folder: Path, recipe_hash: str, name: str = LATEST) -> dict[str, Any] | None:
    """The newest state, or None where there is none. Raises UserError where it belongs to another recipe."""
    path = folder / name
    for stale in folder.glob(".*.part"):
        stale.unlink(missing_ok=True)
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state["recipe_hash"] != recipe_hash:
        raise UserError(
            f"{path} was written by another recipe (hash {state['recipe_hash']}, now {recipe_hash}). "
            "Give another --out, or delete it."
        )
    return state


class Average:
    """Moving average of parameters in float32, short at first: decay_t = min(decay, (1 + t) / (10 + t))."""

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.shadow = {n: p.detach().float().clone() for n, p in named_parameters(modules)}

    @torch.no_grad()
    def update(self, modules: Mapping[str, nn.Module]) -> None:
        """Move the average towards the current parameters."""
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        names, parameters = zip(*named_parameters(modules), strict=True)
        averages = [self.shadow[n] for n in names]
        torch._foreach_lerp_(averages, [p.detach().float() for p in parameters], 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"num_updates": self.num_updates, "shadow": self.shadow}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; tensors keep the device they are on."""
        self.num_updates = state["num_updates"]
        for name, value in state["shadow"].items():
            self.shadow[name].copy_(value)

    @torch.no_grad()
    def copy_to(self, modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
        """Put the average into the modules; returns what was there, for `put_back`."""
        before = {}
        for name, parameter in named_parameters(modules):
            before[name] = parameter.detach().clone()
            parameter.copy_(self.shadow[name])
        return before


@torch.no_grad()
def put_back(modules: Mapping[str, nn.Module], values: Mapping[str, Tensor]) -> None:
    """Undo `Average.copy_to`."""
    for name, parameter in named_parameters(modules):
        parameter.copy_(values[name])


def named_parameters(modules: Mapping[str, nn.Module]) -> list[tuple[str, nn.Parameter]]:
    """`module.parameter` names of everything that is trained."""
    return [(f"{m}.{n}", p) for m, module in modules.items() for n, p in module.named_parameters() if p.requires_grad]
