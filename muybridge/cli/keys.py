"""`muybridge keys create|list|rotate|revoke`: API keys of the service in a data folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from muybridge.api.keys import Keyring

Data = Annotated[Path, typer.Option(help="The folder that `muybridge serve --data` uses.")]
Database = Annotated[str | None, typer.Option(help="postgresql:// URL, where the service uses one.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
HERE = Path("muybridge-data")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="API keys: shown once, stored as a hash.", no_args_is_help=True)
    group.command("create")(create)
    group.command("list")(list_keys)
    group.command("rotate")(rotate)
    group.command("revoke")(revoke)
    app.add_typer(group, name="keys")


def create(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    tenant: Annotated[str | None, typer.Option(help="Whose jobs it sees; a new tenant unless given.")] = None,
    scopes: Annotated[str | None, typer.Option(help="By comma: videos:read, videos:write, usage:read ...")] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Expires after this many days.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="requests_per_s=N, budget_usd=N (a month) or max_open=N; repeat for more.")
    ] = None,
    data: Data = HERE,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once."""
    from muybridge.api.keys import DEFAULT_SCOPES, parse_limits

    wanted = tuple(s.strip() for s in scopes.split(",")) if scopes else DEFAULT_SCOPES
    key, secret = _keyring(data, database).create(name, tenant, wanted, days, parse_limits(limit or []))
    _show_new(key.id, key.tenant, secret, as_json)


def list_keys(data: Data = HERE, database: Database = None, as_json: Json = False) -> None:
    """Show keys with their scopes, limits and last use; never the keys themselves."""
    rows = _keyring(data, database).list()
    if as_json:
        print(json.dumps({"keys": rows}))
        return
    for row in rows:
        state = "revoked" if row["revoked_at"] else "expired" if (row["expires_at"] or 1e18) < time.time() else "active"
        used = (
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(row["last_used_at"])) if row["last_used_at"] else "never used"
        )
        print(f"{row['id']}  {row['name']:<24} {row['tenant']:<34} {state:<8} {used}")


def rotate(
    key_id: Annotated[str, typer.Argument(help="The key to replace: key_...")],
    overlap_hours: Annotated[float, typer.Option(min=0, help="How long the old key still works.")] = 24.0,
    data: Data = HERE,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a successor with the same rights; the old key ends after the overlap."""
    key, secret = _keyring(data, database).rotate(key_id, overlap_hours * 3600)
    _show_new(key.id, key.tenant, secret, as_json)


def revoke(
    key_id: Annotated[str, typer.Argument(help="The key to refuse from now on: key_...")],
    data: Data = HERE,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Refuse a key; running servers notice within seconds."""
    _keyring(data, database).revoke(key_id)
    print(json.dumps({"id": key_id, "revoked": True}) if as_json else f"{key_id} is revoked.")


def _keyring(data: Path, database: str | None) -> Keyring:
    from muybridge.api.keys import Keyring

    return Keyring.open(database or data)


def _show_new(key_id: str, tenant: str, secret: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"id": key_id, "tenant": tenant, "key": secret}))
    else:
        print(f"{secret}\n\n{key_id} of {tenant}. Keep the key: it is not stored and cannot be shown again.")
