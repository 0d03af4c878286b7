"""`muybridge doctor`: what this machine has, what fits on it, and how long it takes."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    memory_gb: Annotated[
        float | None, typer.Option("--memory-gb", help="Plan as if the device had this much memory.")
    ] = None,
) -> None:
    """Show the device, its features, which sizes fit at which resolution, expected seconds, and what is missing."""
    from muybridge.engine import doctor as examination

    report = examination.examine(None if memory_gb is None else int(memory_gb * 2**30))
    if as_json:
        print(json.dumps(report.to_dict(), indent=1))
    else:
        examination.show(report)
