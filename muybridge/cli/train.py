"""`muybridge train`: run a recipe, or go on with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train")(train)


def train(
    name: Annotated[
        str,
        typer.Argument(
            help="codec_video, codec_audio, pacing, base, decoder, upscaler, few_step, draft, listener, finder, "
            "face_painter or picture_painter."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; the same folder goes on. Default: runs/NAME.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes; a checkpoint is kept.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: all.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="key=value of the recipe's settings.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train one part of the tiny size; writes checkpoints, a loss plot, sample sheets and exported weights."""
    import torch

    from muybridge.recipes import run

    if threads:
        torch.set_num_threads(threads)
    folder = out or Path("runs") / name
    done = run(name, folder, dict(_pair(item) for item in setting or ()), minutes, device, quiet)
    print(f"{name}: {done}")


def _pair(item: str) -> tuple[str, Any]:
    from muybridge.errors import InvalidRequest

    key, found, value = item.partition("=")
    if not found:
        raise InvalidRequest(f"--set {item!r} has no value; write --set {item}=VALUE.", "set")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value
