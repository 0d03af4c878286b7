"""`muybridge world frames` and `muybridge world speech`: build what training reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(group: typer.Typer) -> None:
    """Add the verbs to the `world` group."""
    group.command("frames")(frames)


def frames(
    count: Annotated[int, typer.Option(min=1, help="Number of 13-frame clips.")] = 1500,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: in the cache.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    stride: Annotated[int, typer.Option(min=1, help="Number of processes that share the work.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="Which of them this is, from 0.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw short clips of pixels for training the video codec; goes on where it stopped."""
    from muybridge.config import settings
    from muybridge.train.frames import build

    folder = output or settings().home / "frames"
    made = build(folder, count, split, stride, first, quiet=as_json)
    typer.echo(json.dumps({"output": str(folder), "shards": made}) if as_json else f"{made} new shards in {folder}")
