"""`muybridge evaluate`: a suite's table, the model's figure beside the ceiling."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("evaluate")(evaluate)


def evaluate(
    suite: Annotated[str, typer.Argument(help="codec, sync or sounds.")],
    model: Annotated[str, typer.Option(help="tiny, or a folder of exported weights.")] = "tiny",
    count: Annotated[int, typer.Option(min=1, help="Clips per row.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Measure on clips, sentences and people that training never sees."""
    from muybridge.recipes import suites

    rows = suites.evaluate(suite, model, count, quiet=as_json)
    if as_json:
        print(json.dumps(suites.to_dict(rows)))
    else:
        suites.show(suite, rows)
