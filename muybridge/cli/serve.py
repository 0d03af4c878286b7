"""`muybridge serve`: the API and its workers in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("serve")(serve)


def serve(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    data: Annotated[Path, typer.Option(help="Folder for jobs, results and uploads.")] = Path("muybridge-data"),
    workers: Annotated[int, typer.Option(min=0, help="Worker processes beside the API; 0 if they run elsewhere.")] = 1,
    model: Annotated[str, typer.Option(help="Sizes served, by comma; the first stands behind every alias.")] = "tiny",
    database: Annotated[str | None, typer.Option(help="postgresql:// URL for more than one machine.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file: runner, artifacts, retries, [limits], ...; see docs/how/serve.md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address and first key as one JSON line.")] = False,
) -> None:
    """Serve the native and compatible APIs; the first start prints a key and a curl line. Ctrl-C drains and stops."""
    from muybridge.api.moderation import read as read_moderation
    from muybridge.api.run import DEFAULT_RUNNER, Serving, limits_of, read_config
    from muybridge.api.run import serve as run
    from muybridge.config import ServerConfig

    told = read_config(config)
    models = tuple(name.strip() for name in model.split(",") if name.strip())
    server = ServerConfig(host, port, data, database, told.get("artifacts"), told.get("public_url"), workers)
    limits = limits_of(told.get("limits", {}), models)
    asked = read_moderation(told["moderation"]) if "moderation" in told else None
    runner, lease_s, retries = told.get("runner", DEFAULT_RUNNER), told.get("lease_s", 60.0), told.get("retries", 3)
    run(Serving(server, limits, runner, float(lease_s), asked, int(retries)), as_json)
