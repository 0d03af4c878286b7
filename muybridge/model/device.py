"""Which device to run on, and what it multiplies fast."""

from __future__ import annotations

import torch

from muybridge.errors import UserError


def pick_device(asked: str = "auto") -> torch.device:
    """CUDA where there is one, else the CPU; raises UserError for a device that is not there."""
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise UserError(f"device {asked!r} is not known; use auto, cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {asked} was asked for, but there is no CUDA device; use --set device=cpu.")
    return device


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products are faster than float32: on GPUs, on CPUs with AMX tiles or AVX-512 BF16.

    With AVX-512 BF16 they are about five times as fast (bench/forward.py; docs/bench/README.md).
    """
    return device.type == "cuda" or bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
