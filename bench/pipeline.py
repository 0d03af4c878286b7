"""Seconds of every stage of one request with random weights: encode, base, upscale, decode; peak memory; ETA error.

Run: python bench/pipeline.py --size 15b --resolution 1080p --seconds 5 [--dtype auto|bf16|fp8] [--json]      (GPU)
     python bench/pipeline.py --size tiny --resolution 256p --seconds 3 [--steps 2] [--threads 1]             (CPU)

The 15B's text comes as random features and its decoder is the turbo decoder with random weights; tiny runs with the
fixed codecs. Published for the 15B at 1080p, 5 s on one H100: base 1.6 s, upscaler 31.0 s, decode 5.8 s.
The first pass over everything warms up; the second is measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import torch
from forward import ceiling, random_model, timed

from muybridge.config import FIFTEEN_B_1080P, TINY, TINY_UPSCALER, Precision, model_config
from muybridge.engine import Components, Engine, GenerationState, Progress, precision
from muybridge.engine.components import SplitVideoCodec
from muybridge.model.device import pick_device
from muybridge.model.fixed_codec import FixedAudioCodec, FixedTextEncoder, FixedVideoCodec
from muybridge.model.turbo_decoder import TurboVideoDecoder
from muybridge.request import Request

PUBLISHED_S = {"base": 1.6, "upscaler": 31.0, "decode": 5.8}


def components(size: str, device: torch.device, chosen: Precision) -> Components:
    """Random weights on the device in their precision; every part stays resident."""
    is_tiny = size == "tiny"
    config = TINY if is_tiny else model_config(size)
    large = TINY_UPSCALER if is_tiny else FIFTEEN_B_1080P
    codec: Any = FixedVideoCodec()
    if not is_tiny:
        codec = SplitVideoCodec(codec, TurboVideoDecoder().to(device).eval())
    return Components(
        size,
        random_model(config, device, chosen),
        random_model(large, device, chosen),
        codec,
        FixedAudioCodec(),
        FixedTextEncoder(config.text_in_channels),
        has_roles=config.num_roles > 0,
        device=device,
    )


class Watch:
    """Wall seconds by stage, and the first ETA against what then came true."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.etas: list[tuple[float, float]] = []  # (when, predicted seconds from then)

    def timed(self, name: str, device: torch.device, work: Any) -> Any:  # noqa: ANN401  (any stage's result)
        kept: list[Any] = []
        self.seconds[name] = self.seconds.get(name, 0.0) + timed(lambda: kept.append(work()), device).wall_s
        return kept[0]

    def after_step(self, _: GenerationState, progress: Progress) -> None:
        if progress.eta_s is not None:
            self.etas.append((time.perf_counter(), progress.eta_s))


def run(engine: Engine, request: Request) -> Watch:
    """One generation, stage by stage."""
    watch, device = Watch(), engine.parts.device
    state = watch.timed("encode", device, lambda: engine.encode(request))
    marks = [time.perf_counter()]
    stages: list[str] = []

    def after_step(now: GenerationState, progress: Progress) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        marks.append(time.perf_counter())
        stages.append(progress.stage)
        watch.after_step(now, progress)

    state = engine.denoise(state, after_step)
    for stage, begun, ended in zip(stages, marks[:-1], marks[1:], strict=True):
        watch.seconds[stage] = watch.seconds.get(stage, 0.0) + ended - begun
    watch.timed("decode", device, lambda: engine.decode(state))
    return watch


def measure(request: Request, size: str, asked: Precision, device: torch.device, warm_up: bool) -> dict[str, Any]:
    """Everything that is printed."""
    chosen = precision.choose(device, asked).precision
    engine = Engine(components(size, device, chosen))
    if warm_up:
        run(engine, request)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    watch = run(engine, request)
    ended = time.perf_counter()
    products, flops = ceiling(device, chosen, 0.5)
    rate = flops / timed(products, device).wall_s
    estimate = engine.cost(request)
    done = {s.name: (s.linear_flops + s.attention_flops) / watch.seconds[s.name] for s in estimate.stages}
    second = watch.etas[min(1, len(watch.etas) - 1)]
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {
        "size": size,
        "request": f"{request.pixel_size}, {request.seconds:g} s",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "precision": chosen,
        "seconds": {k: round(v, 3) for k, v in watch.seconds.items()},
        "published_s_one_h100": PUBLISHED_S if size != "tiny" else None,
        "tflop_per_s": {k: round(v / 1e12, 3) for k, v in done.items()},
        "ceiling_tflop_per_s": round(rate / 1e12, 3),
        "ratio": {k: round(v / rate, 3) for k, v in done.items()},
        "peak_bytes": peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "eta_error_after_step_2": round(second[1] / max(ended - second[0], 1e-9) - 1, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="tiny", choices=("tiny", "15b", "15b-base"), help="model size")
    parser.add_argument("--resolution", default="256p", help="256p, 480p, 720p, 1080p or WIDTHxHEIGHT")
    parser.add_argument("--seconds", type=float, default=5.0, help="clip length")
    parser.add_argument("--steps", type=int, default=None, help="base steps; the size's own where left out")
    parser.add_argument("--dtype", default="auto", choices=("auto", "fp32", "bf16", "fp8"), help="of matrix products")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's choice")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = pick_device(options.device)
    request = Request(
        "a horse gallops along the shore while the sun sets behind the hills",
        size=options.resolution,
        seconds=options.seconds,
        num_inference_steps=options.steps,
    )
    result = measure(request, options.size, options.dtype, device, warm_up=device.type == "cuda")
    if options.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:24} {value}")


if __name__ == "__main__":
    main()
