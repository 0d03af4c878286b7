"""What stays on the device and what streams in, computed from shapes before anything is loaded.

The rule: keep what computes briefly, stream what computes long. A 0.2 s base step cannot hide moving 30 GB; a 6 s
upscaler step hides it many times over. Encoders run once, so they wait in main memory first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from muybridge.config import Precision, model_config
from muybridge.errors import DoesNotFit
from muybridge.request import Request
from muybridge.shapes import cost, num_parameters, plan_stages

Where = Literal["resident", "waiting", "streamed"]
STREAMED_SHARE = 0.1  # of a streamed part on the device at a time: two of forty layers, the widest ones larger
RESERVE = 1.5 * 2**30  # allocator slack and the driver's context
TEXT_ENCODER_BYTES = {"15b": 18 * 10**9}  # 9B parameters of bf16; tiny's is a frozen table
CODEC_BYTES = {"15b": 2 * 10**9, "tiny": 64 * 2**20}
DECODE_BYTES_PER_PIXEL = 9000  # turbo decoder activations for one chunk, per pixel of a frame
BYTES_PER_WEIGHT: dict[Precision, float] = {"fp32": 4.0, "bf16": 2.0, "fp8": 1.0, "auto": 2.0}


@dataclass(frozen=True)
class Part:
    """One component: its weights, and where they are while the stages run."""

    name: str
    weight_bytes: int
    where: Where


@dataclass(frozen=True)
class Placement:
    """Where each part is, and the peak this gives on the device."""

    parts: tuple[Part, ...]
    peak_bytes: int
    activation_bytes: int

    def where(self, name: str) -> Where:
        """Place of one part by name."""
        return next(p.where for p in self.parts if p.name == name)


ATTEMPTS: tuple[dict[str, Where], ...] = (
    {},
    {"text encoder": "waiting"},
    {"text encoder": "waiting", "upscaler": "waiting"},
    {"text encoder": "waiting", "upscaler": "streamed"},
    {"text encoder": "waiting", "upscaler": "streamed", "base": "streamed"},
)


def place(request: Request, size: str, precision: Precision, memory_bytes: int, can_move: bool = True) -> Placement:
    """The fastest placement of `size` for `request` that fits `memory_bytes`.

    Tried in order: everything resident; encoders waiting outside; the upscaler streamed layer by layer (two layers at a
    time are on the device); the base streamed too. On a CPU (`can_move` false) there is no outside.
    Raises DoesNotFit with the largest request that would fit.
    """
    tried = attempts(request, size, precision, can_move)
    for placement in tried:
        if placement.peak_bytes + RESERVE <= memory_bytes:
            return placement
    needed = min(p.peak_bytes for p in tried) + RESERVE
    what = f"{request.pixel_size} for {request.seconds:g} s with {size} needs about {needed / 2**30:.1f} GB"
    have = f"this device has {memory_bytes / 2**30:.0f} GB"
    for smaller in ("720p", "480p", "256p"):
        options = attempts(request.replace(size=smaller), size, precision, can_move)
        least = min(p.peak_bytes for p in options) + RESERVE
        if least < needed and least <= memory_bytes:
            raise DoesNotFit(f"{what}; {have}. Try --size {smaller} ({least / 2**30:.1f} GB).")
    raise DoesNotFit(f"{what}; {have}, too little for any size of it. Use --model tiny or a provider.")


def attempts(request: Request, size: str, precision: Precision, can_move: bool = True) -> tuple[Placement, ...]:
    """Placements from the fastest to the smallest."""
    moves = ATTEMPTS if can_move else ATTEMPTS[:1]
    return tuple(_placement(request, size, precision, moved) for moved in moves)


def _placement(request: Request, size: str, precision: Precision, moved: dict[str, Where]) -> Placement:
    estimate = cost(request, size)
    family = "15b" if size.startswith("15b") else "tiny"
    weights = {"text encoder": TEXT_ENCODER_BYTES.get(family, 0), "codecs": CODEC_BYTES[family]}
    for stage in estimate.stages:
        config = model_config(size if stage.name == "base" or family == "15b" else "tiny-upscaler")
        weights[stage.name] = int(num_parameters(config) * BYTES_PER_WEIGHT[precision])
    parts = tuple(Part(name, n, moved.get(name, "resident")) for name, n in weights.items())
    resident = sum(p.weight_bytes for p in parts if p.where == "resident")
    activation = {s.name: s.activation_bytes for s in estimate.stages}
    peaks = []
    for part in parts:
        # A waiting part is brought in for its own stage alone; a streamed one never has more than a share there.
        own = {"resident": 0, "waiting": part.weight_bytes, "streamed": int(part.weight_bytes * STREAMED_SHARE)}[
            part.where
        ]
        peaks.append(resident + own + activation.get(part.name, 0))
    out = plan_stages(request, size)[-1].size
    peaks.append(resident + out.width * out.height * (DECODE_BYTES_PER_PIXEL if family == "15b" else 600))
    return Placement(parts, max(peaks), max(activation.values()))
