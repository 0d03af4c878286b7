"""`muybridge world preview`: look at the synthetic world that `tiny` is trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from muybridge.cli import world_data


def register(app: typer.Typer) -> None:
    """Add the `world` group to the command line."""
    group = typer.Typer(help="The synthetic world: rendered ground truth.", no_args_is_help=True)
    group.command("preview")(preview)
    world_data.register(group)
    app.add_typer(group, name="world")


def preview(
    output: Annotated[Path, typer.Option("-o", "--output", help="PNG file to write.")] = Path("world.png"),
    seed: Annotated[int, typer.Option(help="Index of the first sample.")] = 0,
    count: Annotated[int, typer.Option(min=1, max=64, help="Number of samples.")] = 12,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    cast: Annotated[str | None, typer.Option(help="person, pair, thing, horse, bell, 'person and fire', ...")] = None,
    size: Annotated[int, typer.Option(min=32, max=512, help="Pixels per still.")] = 192,
    as_json: Annotated[bool, typer.Option("--json", help="Print captions and attributes as JSON.")] = False,
) -> None:
    """Draw a labelled sheet of samples with their captions."""
    from muybridge.world.sheet import preview as draw

    facts = draw(output, seed, count, split, size, size, cast=cast)
    typer.echo(
        json.dumps({"output": str(output), "samples": facts}, ensure_ascii=False)
        if as_json
        else f"{count} samples in {output}"
    )
