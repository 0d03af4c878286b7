"""What this machine has, measured or read, and what each size would do on it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from muybridge.config import settings
from muybridge.engine import precision
from muybridge.engine.loading import SHIPPED
from muybridge.engine.placement import place
from muybridge.errors import DoesNotFit
from muybridge.model.device import pick_device
from muybridge.request import Request
from muybridge.shapes import Machine, cost

SIZES = ("tiny", "15b")
RESOLUTIONS = ("256p", "480p", "720p", "1080p")
SECONDS = 5.0
ATTENTION_SHARE = 0.75  # of the matrix rate, what attention kernels reach on CPUs and Hopper (bench/forward.py)
EXTRAS = {
    "torch": ("generate on this machine", "local"),
    "diffusers": ("the open 15B's codecs", "15b"),
    "transformers": ("the open 15B's text encoder", "15b"),
    "psycopg": ("PostgreSQL for more than one machine", "postgres"),
    "boto3": ("artifacts in S3", "s3"),
    "ray": ("placing workers on a cluster", "ray"),
}


@dataclass(frozen=True)
class Fit:
    """One size at one resolution, 5 s of clip."""

    size: str
    resolution: str
    fits: bool
    seconds: float | None
    peak_bytes: int | None
    how: str  # what streams or waits; or the remedy where it does not fit


@dataclass(frozen=True)
class Report:
    """The whole examination."""

    device: str
    memory_bytes: int
    num_cpus: int
    features: tuple[str, ...]
    precision: str
    precision_reason: str
    matrix_flops_per_s: float
    disk_free_bytes: int
    weights: dict[str, str]
    fits: tuple[Fit, ...]
    missing: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def examine(memory_bytes: int | None = None) -> Report:
    """Look at the device, measure its matrix rate (under a second), and place every size and resolution."""
    device = pick_device()
    choice = precision.choose(device)
    rate = matrix_rate(device, torch.float32 if choice.precision == "fp32" else torch.bfloat16)
    memory = memory_bytes or device_memory(device)
    machine = Machine(str(device), rate, rate * ATTENTION_SHARE, memory)
    folders = {"tiny": SHIPPED / "tiny", "15b": settings().weights / "15b"}
    return Report(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        memory_bytes=memory,
        num_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        features=features(device),
        precision=choice.precision,
        precision_reason=choice.reason,
        matrix_flops_per_s=rate,
        disk_free_bytes=shutil.disk_usage(_existing(settings().weights)).free,
        weights={size: str(f) if f.is_dir() else f"not here; {_get(size)}" for size, f in folders.items()},
        fits=tuple(fit(size, r, machine, choice) for size in SIZES for r in RESOLUTIONS),
        missing={
            name: f"pip install 'muybridge[{extra}]' for {use}"
            for name, (use, extra) in EXTRAS.items()
            if importlib.util.find_spec(name) is None
        },
    )


def fit(size: str, resolution: str, machine: Machine, choice: precision.Choice) -> Fit:
    """Where the parts of `size` go for 5 s at `resolution`, or the remedy."""
    request = Request("fit", size=resolution, seconds=SECONDS)
    try:
        placement = place(request, size, choice.precision, machine.memory_bytes, can_move=machine.name != "cpu")
    except DoesNotFit as error:
        return Fit(size, resolution, False, None, None, str(error))
    moved = [f"{p.name} {p.where}" for p in placement.parts if p.where != "resident"]
    seconds = cost(request, size, machine).seconds
    return Fit(size, resolution, True, seconds, placement.peak_bytes, ", ".join(moved) or "all resident")


def matrix_rate(device: torch.device, dtype: torch.dtype, budget_s: float = 0.5) -> float:
    """Best FLOP/s of a square matrix product within a time budget, after one warm-up."""
    size = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best, deadline = 0.0, time.perf_counter() + budget_s
    torch.mm(a, b)
    while True:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
        if time.perf_counter() > deadline:
            return best


def features(device: torch.device) -> tuple[str, ...]:
    """What matters of the processor: AMX, AVX-512 and its BF16, or the GPU's generation and fp8."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return (f"sm_{major}{minor}", "bf16", *(("fp8",) if major >= 9 else ()))
    found = [
        ("AMX", torch.cpu._is_amx_tile_supported()),
        ("AVX-512 BF16", torch.cpu._is_avx512_bf16_supported()),
        ("AVX-512", torch.cpu._is_avx512_supported()),
    ]
    return tuple(name for name, is_there in found if is_there)


def device_memory(device: torch.device) -> int:
    """Total bytes of the GPU, or what the machine's memory still has available."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cpu_name() -> str:
    """The processor's own name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def show(report: Report) -> None:
    """The report as text."""
    console = Console()
    gib = report.memory_bytes / 2**30
    console.print(f"{report.device}: {report.num_cpus} CPUs, {gib:.0f} GB, {', '.join(report.features) or 'no extras'}")
    console.print(f"precision {report.precision}: {report.precision_reason}")
    console.print(f"matrix products {report.matrix_flops_per_s / 1e12:.2f} TFLOP/s (measured now)")
    for size, where in report.weights.items():
        console.print(f"weights {size}: {where}")
    table = Table("size", "output", "fits", "expected", "peak", "how", title=f"{SECONDS:g} s of clip")
    for f in report.fits:
        seconds = "" if f.seconds is None else f"{f.seconds:,.0f} s"
        peak = "" if f.peak_bytes is None else f"{f.peak_bytes / 2**30:.1f} GB"
        table.add_row(f.size, f.resolution, "yes" if f.fits else "no", seconds, peak, f.how)
    console.print(table)
    for name, command in report.missing.items():
        console.print(f"{name} is not installed: {command}", markup=False)


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _get(size: str) -> str:
    return "run `muybridge train base`" if size == "tiny" else f"run `muybridge weights pull {size}`"
