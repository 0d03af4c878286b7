"""What a request will take, told before it is accepted: operations, memory, seconds of a machine, money."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from muybridge.request import Reference, Request, reference_name
from muybridge.shapes import cost


def quote_of(request: Request, model: str, price_per_gpu_hour: float) -> dict[str, Any]:
    """flops, peak bytes, seconds and USD of `request` on `model` (a size)."""
    flops, peak_bytes, seconds = _cost(
        model,
        request.size,
        request.ratio,
        request.seconds,
        len(request.references),
        request.video is not None,
        request.num_inference_steps,
        request.guidance_scale,
    )
    money = round(seconds / 3600 * price_per_gpu_hour, 6)
    return {"flops": flops, "bytes": peak_bytes, "seconds": seconds, "cost": money, "currency": "USD"}


@functools.lru_cache(maxsize=1024)
def _cost(
    model: str,
    size: str,
    ratio: str,
    seconds: float,
    num_references: int,
    edits: bool,
    num_inference_steps: int | None,
    guidance_scale: float | None,
) -> tuple[float, int, float]:
    """flops, peak bytes and seconds of a shape of request; the formulas take a millisecond, so results are kept."""
    like = Request(
        "shape",
        references=tuple(Reference(Path("x"), reference_name(i)) for i in range(num_references)),
        video=Path("x") if edits else None,
        size=size,
        ratio=ratio,
        seconds=seconds,
        num_inference_steps=num_inference_steps,
        guidance_scale=guidance_scale,
    )
    found = cost(like, model)
    return found.flops, found.bytes, found.seconds
