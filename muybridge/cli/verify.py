"""`muybridge verify`: who signed a file, what made it, whether it is unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify")(verify)


def verify(
    file: Annotated[Path, typer.Argument(help="An MP4, PNG, JPEG, WebP or WAV.")],
    trust: Annotated[
        Path | None, typer.Option(help="PEM certificates you trust, such as a server's provenance/root.pem.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read a file's C2PA manifest and check it against the bytes; exit code 2 for none, or for an altered file."""
    from muybridge.trust.verify import verify as read

    report = read(file, trust)
    print(json.dumps(report.to_dict()) if as_json else report.text())
    if complaint := report.complaint():
        raise complaint
