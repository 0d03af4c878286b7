"""The transformer's forward at any size with random weights: operations a second against this device's own ceiling.

Run: python bench/forward.py --size tiny --tokens 3700 [--dtype auto|fp32|bf16|fp8] [--threads 1] [--json]

The ceiling is a square matrix product in the same dtype. Both are measured in turns, each turn gives one ratio, and the
median of the ratios is printed: other users of the machine slow both alike. On a CPU the ratio is of processor time
(what was computed while we ran), the wall-clock one stands beside it; on a GPU both are of wall time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from muybridge.config import ModelConfig, Precision, model_config
from muybridge.engine import precision
from muybridge.model import Transformer, tokens
from muybridge.model.device import pick_device
from muybridge.model.tokens import Packed, Role, pack
from muybridge.shapes import Clock, PixelSize, StagePlan, attention_flops, linear_flops_per_token

NUM_TEXT = 100
KINDS = {
    "attention": ("scaled_dot_product", "flash", "efficient_attention", "fmha", "cudnn"),
    "linear": ("mm", "linear", "gemm", "matmul", "nvjet", "cutlass", "sm90", "xmma"),
}


def random_model(config: ModelConfig, device: torch.device, chosen: Precision) -> Transformer:
    """Normal weights of std 0.02, made on the device in their final dtype: the 15B never exists in float32."""
    with torch.device("meta"):
        model = Transformer(config)
    if chosen != "fp32":
        model = precision.apply(model, "bf16")
    model = model.to_empty(device=device)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.02) if parameter.dim() > 1 else parameter.zero_()
        model.adapter.rope.bands.copy_(10000.0 ** (-torch.arange(config.num_bands) / config.num_bands))
    if chosen == "fp8":
        model = precision.apply(model, "fp8")
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Work:
    """One forward: its input and its operations."""

    packed: Packed
    linear_flops: float
    attention_flops: float

    @property
    def flops(self) -> float:
        return self.linear_flops + self.attention_flops


def sequence(config: ModelConfig, num_tokens: int, device: torch.device) -> Work:
    """About `num_tokens`: 448x256 latents (112 tokens) or 1920x1088 ones (2040) where they fit, sound, text."""
    size = PixelSize(1920, 1088) if num_tokens > 20_000 else PixelSize(448, 256)
    rows, cols = size.latent
    num_latents = max(1, round((num_tokens - NUM_TEXT + 3) / (size.tokens_per_latent + 4)))
    ticks = Clock(4 * num_latents - 3, num_latents - 1)
    text = torch.randn(NUM_TEXT, config.text_in_channels, device=device)
    made = tokens.empty_sample(text, tokens.scene_coords(NUM_TEXT), config.video_in_channels, config.audio_in_channels)
    place = tokens.video_coords(num_latents, rows, cols)
    made = tokens.add_video(made, torch.randn(len(place), config.video_in_channels, device=device), place, Role.TARGET)
    times = tokens.audio_coords(ticks.num_audio_latents)
    made = tokens.add_audio(made, torch.randn(len(times), config.audio_in_channels, device=device), times, Role.TARGET)
    plan = StagePlan("base", size, ticks, NUM_TEXT, 0, 1, 1)
    return Work(pack([made]), linear_flops_per_token(config) * plan.num_tokens, attention_flops(config, plan))


@dataclass(frozen=True)
class Taken:
    """Seconds of one piece of work by the wall and by the processor."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], object], device: torch.device) -> Taken:
    """Run once, with the device idle before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def ceiling(device: torch.device, chosen: Precision, seconds: float) -> tuple[Callable[[], None], float]:
    """A matrix product repeated for about `seconds`, and its operations."""
    edge = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(edge, edge, device=device) for _ in range(2))
    product: Callable[[], Tensor]
    if chosen == "fp8":
        (a8, a_scale), (b8, b_scale) = precision.quantize_rows(a), precision.quantize_rows(b)

        def product() -> Tensor:
            return torch._scaled_mm(a8, b8.t(), a_scale, b_scale.t(), out_dtype=torch.bfloat16, use_fast_accum=True)
    else:
        dtype = torch.float32 if chosen == "fp32" else torch.bfloat16
        x, y = a.to(dtype), b.to(dtype)

        def product() -> Tensor:
            return torch.mm(x, y)

    product()
    count = max(1, round(seconds / timed(product, device).wall_s))

    def repeat() -> None:
        for _ in range(count):
            product()

    return repeat, count * 2.0 * edge**3


def breakdown(run: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Shares of the time of one forward by kind of operation, from the profiler's own times."""
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiler:
        run()
        if on_gpu:
            torch.cuda.synchronize(device)
    shares = dict.fromkeys((*KINDS, "elementwise"), 0.0)
    for event in profiler.key_averages():
        taken = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        kind = next((k for k, words in KINDS.items() if any(w in event.key.lower() for w in words)), "elementwise")
        shares[kind] += taken
    total = sum(shares.values()) or 1.0
    return {kind: round(taken / total, 3) for kind, taken in shares.items()}


def measure(size: str, num_tokens: int, asked: Precision, device: torch.device, repeats: int) -> dict[str, Any]:
    """Everything that is printed."""
    chosen = precision.choose(device, asked).precision
    config = model_config(size)
    model, work = random_model(config, device, chosen), sequence(config, num_tokens, device)

    def run() -> None:
        model(work.packed)

    with torch.inference_mode():
        run()
        products, product_flops = ceiling(device, chosen, timed(run, device).wall_s)
        pairs = [(timed(run, device), timed(products, device)) for _ in range(repeats)]
        shares = breakdown(run, device)
    wall = statistics.median(work.flops / f.wall_s / (product_flops / p.wall_s) for f, p in pairs)
    cpu = statistics.median(work.flops / f.cpu_s / (product_flops / p.cpu_s) for f, p in pairs)
    return {
        "size": size,
        "tokens": sum(work.packed.layout.splits),
        "parameters": sum(p.numel() for p in (*model.parameters(), *model.buffers())),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "precision": chosen,
        "gflop": round(work.flops / 1e9, 1),
        "attention_share_of_flop": round(work.attention_flops / work.flops, 3),
        "forward_s": round(statistics.median(f.wall_s for f, _ in pairs), 4),
        "gflop_per_s": round(work.flops / statistics.median(f.wall_s for f, _ in pairs) / 1e9, 1),
        "ceiling_gflop_per_s": round(product_flops / statistics.median(p.wall_s for _, p in pairs) / 1e9, 1),
        "ratio": round(wall if device.type == "cuda" else cpu, 3),
        "wall_ratio": round(wall, 3),
        "repeats": repeats,
        "time_shares": shares,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="tiny", help="tiny, tiny-upscaler, 15b or 15b-1080p")
    parser.add_argument("--tokens", type=int, default=3700, help="about this long a sequence")
    parser.add_argument("--dtype", default="auto", choices=("auto", "fp32", "bf16", "fp8"), help="of matrix products")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's choice")
    parser.add_argument("--repeats", type=int, default=9, help="pairs of forward and matrix product")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = pick_device(options.device)
    result = measure(options.size, options.tokens, options.dtype, device, options.repeats)
    if options.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:24} {value}")


if __name__ == "__main__":
    main()
