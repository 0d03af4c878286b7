"""Precision, applied to loaded models from outside: fp32, bf16, or fp8 matrix products on Hopper.

The residual stream, norms, rotary, gates, embedders and final layers stay float32 (the open 15B's contract); only the
two-dimensional weights of the blocks change, and with them the dtype of matrix products and attention.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, get_args

import torch
from torch import Tensor, nn

from muybridge.config import Precision
from muybridge.errors import UserError
from muybridge.model.device import has_fast_bf16
from muybridge.model.face_painter import FacePainter
from muybridge.model.picture_painter import PicturePainter
from muybridge.model.tiny_video_codec import TinyVideoCodec
from muybridge.model.transformer import ModalLinear, Transformer

Painter = TypeVar("Painter", FacePainter, PicturePainter)
FP8 = torch.float8_e4m3fn
FP8_MAX = 448.0  # largest finite e4m3 value (OCP 8-bit floating point, 1.0)


class Choice(NamedTuple):
    """A precision and why it was taken."""

    precision: Precision
    reason: str


def choose(device: torch.device, asked: Precision = "auto") -> Choice:
    """What to compute in: what was asked for if the device can, else UserError; `auto` takes the fastest exact one."""
    if asked not in get_args(Precision):
        raise UserError(f"There is no precision {asked!r}; choose one of {', '.join(get_args(Precision))}.")
    if device.type == "cuda":
        major = torch.cuda.get_device_capability(device)[0]
        if asked == "fp8" and major < 9:
            raise UserError(f"fp8 needs a Hopper GPU or newer; this one has capability {major}. Use precision bf16.")
        return Choice("bf16" if asked == "auto" else asked, "asked for" if asked != "auto" else "a GPU with bf16 units")
    if asked == "fp8":
        raise UserError("fp8 needs a Hopper GPU; this engine runs on the CPU. Use precision fp32 or bf16.")
    if asked != "auto":
        return Choice(asked, "asked for")
    if has_fast_bf16(device):
        return Choice("bf16", "this CPU multiplies bf16 in hardware (AMX or AVX-512 BF16)")
    return Choice("fp32", "this CPU has neither AMX nor AVX-512 BF16: bf16 would be emulated")


def apply(model: Transformer, precision: Precision) -> Transformer:
    """Cast the block matrices in place and return the model."""
    if precision == "fp8":
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, ModalLinear):
                    setattr(parent, name, Fp8Linear(child))
        return model
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    for module in model.modules():
        if isinstance(module, ModalLinear):
            module.weight.data = module.weight.data.to(dtype)
    return model


def apply_to_codec(codec: TinyVideoCodec, precision: Precision) -> TinyVideoCodec:
    """Let the codec's convolutions run in bf16, but for fp32; latents and frames stay float32. Returns the codec."""
    if precision != "fp32":
        codec.to_latent = _in_bf16(codec.to_latent)  # type: ignore[method-assign]  # applied from outside
        codec.to_frames = _in_bf16(codec.to_frames)  # type: ignore[method-assign]  # as above
    return codec


def apply_to_painter(painter: Painter, precision: Precision) -> Painter:
    """Let a painter run in bf16, but for fp32: 0.6 of the time, errors up to 0.4 % of white. Returns it."""
    if precision != "fp32":
        painter.forward = _in_bf16(painter.forward)  # type: ignore[method-assign]  # applied from outside
    return painter


def _in_bf16(work: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, *more: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return work(x, *more).float()

    return run


class Fp8Linear(nn.Module):
    """A ModalLinear with e4m3 weights (one scale per output row) and activations quantised per row as they come."""

    def __init__(self, linear: ModalLinear) -> None:
        super().__init__()
        self.copies = linear.copies
        weight, scale = quantize_rows(linear.weight.data)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.weight: Tensor
        self.scale: Tensor

    def forward(self, x_ND: Tensor, copy: int) -> Tensor:
        weight = self.weight.chunk(self.copies)[copy]
        scale = self.scale.chunk(self.copies)[copy]
        x_fp8, x_scale = quantize_rows(x_ND)
        return torch._scaled_mm(x_fp8, weight.t(), x_scale, scale.t(), out_dtype=torch.bfloat16, use_fast_accum=True)


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """(e4m3 rows, float32 scale [rows, 1]) with x = rows * scale up to rounding (relative error at most 2^-4)."""
    scale = x.float().abs().amax(-1, keepdim=True).clamp(min=1e-12) / FP8_MAX
    return (x.float() / scale).to(FP8), scale
