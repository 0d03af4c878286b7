"""Small storage for small models: int8 rows with one scale each, or bf16; always read back as float32.

int8: row r of a matrix (dim 0; the other dims flattened) is stored as round(w / s_r) with s_r = max|w_r| / 127, so the
error of any weight is at most s_r / 2, that is max|w_r| / 254. bf16 keeps 8 significant bits: relative error <= 2^-8.
Tensors of one dim (norms, biases, rotary bands) are kept: they cost nothing, and rotary bands are multiplied by
positions in the hundreds, rounding error included.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from muybridge.errors import UserError, WeightsInvalid

SCALE_SUFFIX = "::scale"
_MIN_INT8 = 4096  # smaller matrices stay float32


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float [rows, ...] -> (int8 of the same shape, float32 scale [rows]). Zero rows get scale 0."""
    rows = weight.detach().float().flatten(1)
    scale = rows.abs().amax(dim=1) / 127
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (rows / safe[:, None]).round().to(torch.int8).reshape(weight.shape), scale


def dequantize_rows(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The inverse, up to rounding: float32 in the shape of `weight`."""
    return weight.float() * scale.view(-1, *[1] * (weight.ndim - 1))


def quantize_state(state: Mapping[str, torch.Tensor], storage: str) -> dict[str, torch.Tensor]:
    """Reduce a float32 state dict for shipping; `storage` is `int8` or `bfloat16`.

    int8 rows get a neighbour `NAME::scale`. Integer tensors, tensors of one dim and, in int8, small ones are kept.
    Raises WeightsInvalid for non-finite values and UserError for an unknown storage.
    """
    if storage not in ("int8", "bfloat16"):
        raise UserError(f"There is no weight storage {storage!r}; choose native, bfloat16 or int8.")
    small: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            small[name] = tensor
            continue
        if not torch.isfinite(tensor).all():
            raise WeightsInvalid(f"{name} holds infinite or NaN values; these weights cannot be stored as {storage}.")
        if storage == "bfloat16" and tensor.ndim >= 2:
            small[name] = tensor.to(torch.bfloat16)
        elif tensor.ndim >= 2 and tensor.numel() >= _MIN_INT8:
            small[name], small[name + SCALE_SUFFIX] = quantize_rows(tensor)
        else:
            small[name] = tensor.float()
    return small


def dequantize_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A reduced state dict back as float32, without the scales."""
    full: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if name.endswith(SCALE_SUFFIX):
            continue
        scale = state.get(name + SCALE_SUFFIX)
        if scale is not None:
            full[name] = dequantize_rows(tensor, scale)
        else:
            full[name] = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return full
