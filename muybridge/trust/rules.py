"""What an operator decides about provenance: whether results are signed, whose are left alone, with which certificate.

The file is `MUYBRIDGE_PROVENANCE`, else `provenance.toml` in `MUYBRIDGE_HOME`, else the defaults hold: everything is
signed, with a certificate made here.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from muybridge.config import settings
from muybridge.errors import UserError

SELF_ISSUED = "Muybridge, self-issued"


@dataclass(frozen=True)
class Rules:
    """The values of the file. `certificate` is a PEM chain, leaf first; `key` its private key in PEM."""

    sign: bool = True
    leave: tuple[str, ...] = ()  # providers whose results are published without our signature; "local": our own sizes
    certificate: str | None = None
    key: str | None = None
    time_stamps: str | None = None  # address of an RFC 3161 time-stamping service; asked once a file
    organisation: str = SELF_ISSUED  # what a certificate made here says of its owner; nobody has checked it


def read_rules(path: Path | None = None) -> Rules:
    """The operator's rules. Raises UserError that names what is not understood."""
    named = path or (Path(os.environ["MUYBRIDGE_PROVENANCE"]) if "MUYBRIDGE_PROVENANCE" in os.environ else None)
    path = named or settings().home / "provenance.toml"
    if named is None and not path.exists():
        return Rules()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as TOML: {error}.") from error
    return rules_of(values, str(path))


def rules_of(values: dict[str, Any], where: str) -> Rules:
    """Rules from plain values. Raises UserError for an unknown name or a wrong type."""
    known = {f.name for f in fields(Rules)}
    if unknown := set(values) - known:
        raise UserError(
            f"{where} has the unknown setting {sorted(unknown)[0]!r}; known are {', '.join(sorted(known))}."
        )
    for name, value in values.items():
        wanted = bool if name == "sign" else list | tuple if name == "leave" else str
        if not isinstance(value, wanted) and value is not None:
            raise UserError(f"{where}: {name} = {value!r} is of the wrong type; docs/how/provenance.md has an example.")
    rules = Rules(**values | {"leave": tuple(values.get("leave", ()))})
    if (rules.certificate is None) != (rules.key is None):
        raise UserError(f"{where}: certificate and key belong together; set both, or none to have them made.")
    return rules
