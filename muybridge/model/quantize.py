"""Small storage for small models: int8 rows with one scale each, int4 groups, or bf16; always read back as float32.

int8: row r of a matrix (dim 0; the other dims flattened) is stored as round(w / s_r) with s_r = max|w_r| / 127, so the
error of any weight is at most s_r / 2, that is max|w_r| / 254. int4: the same for groups of GROUP weights of a row with
s = max|w| / 7, two weights to a byte and scales in float16; rows that are no multiple of GROUP are stored as int8. bf16
keeps 8 significant bits: relative error <= 2^-8.
Tensors of one dim (norms, biases, rotary bands) are kept: they cost nothing, and rotary bands are multiplied by
positions in the hundreds, rounding error included.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from muybridge.errors import UserError, WeightsInvalid

SCALE_SUFFIX = "::scale"
STORAGES = ("int8", "int4", "bfloat16")
GROUP = 32  # weights of one int4 scale
_MIN_INT8 = 4096  # smaller matrices stay float32


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float [rows, ...] -> (int8 of the same shape, float32 scale [rows]). Zero rows get scale 0."""
    rows = weight.detach().float().flatten(1)
    scale = rows.abs().amax(dim=1) / 127
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (rows / safe[:, None]).round().to(torch.int8).reshape(weight.shape), scale


def dequantize_rows(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The inverse of both, up to rounding: float32 in the shape that was stored."""
    if weight.dtype == torch.uint8:
        pairs = torch.stack([weight & 15, weight >> 4], -1).float() - 8  # the last dim's neighbours
        whole = pairs.flatten(-2)
        return (whole.reshape(*scale.shape, GROUP) * scale[..., None].float()).reshape(whole.shape)
    return weight.float() * scale.view(-1, *[1] * (weight.ndim - 1))


def quantize_groups(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float [rows, ..., N] -> (uint8 [rows, ..., N / 2], float16 scales [rows, groups]); see `fits_groups`."""
    groups = weight.detach().float().reshape(len(weight), -1, GROUP)
    scale = (groups.abs().amax(2) / 7).half()
    safe = torch.where(scale > 0, scale.float(), 1.0)
    whole = ((groups / safe[..., None]).round().clamp(-7, 7) + 8).to(torch.uint8).reshape(weight.shape)
    low, high = whole.unflatten(-1, (-1, 2)).unbind(-1)
    return low | high << 4, scale


def fits_groups(weight: torch.Tensor) -> bool:
    """Whether rows are whole groups, and their last dim whole pairs."""
    return weight[0].numel() % GROUP == 0 and weight.shape[-1] % 2 == 0


def quantize_state(state: Mapping[str, torch.Tensor], storage: str) -> dict[str, torch.Tensor]:
    """Reduce a float32 state dict for shipping; `storage` is one of STORAGES.

    int8 rows and int4 groups get a neighbour `NAME::scale`. Integer tensors, tensors of one dim and, in int8 and int4,
    small ones are kept.
    Raises WeightsInvalid for non-finite values and UserError for an unknown storage.
    """
    if storage not in STORAGES:
        raise UserError(f"There is no weight storage {storage!r}; choose native, {', '.join(STORAGES)}.")
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
            reduced = quantize_groups if storage == "int4" and fits_groups(tensor) else quantize_rows
            small[name], small[name + SCALE_SUFFIX] = reduced(tensor)
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
