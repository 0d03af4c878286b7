"""API keys: `mb_` + 32 random bytes + checksum, stored as SHA-256 (256 random bits need no slow hash), shown once."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from dataclasses import dataclass

from muybridge.errors import PermissionDenied

PREFIX = "mb_"  # one fixed prefix, so that leak scanners can register the pattern
PATTERN = r"mb_[0-9A-Za-z]{49}"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_CHARS, _CHECK_CHARS = 43, 6  # 32 bytes and a CRC-32 in base 62

SCOPES = ("videos:read", "videos:write", "usage:read", "webhooks:write", "keys:write")
DEFAULT_SCOPES = ("videos:read", "videos:write", "usage:read", "webhooks:write")


@dataclass(frozen=True)
class Key:
    """An authenticated caller. Everything a request touches is looked up by (tenant, id)."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    requests_per_s: float | None = None  # None: the service's default; 0: no limit
    budget_usd: float | None = None  # per calendar month (UTC), charged and reserved together; None: no limit
    expires_at: float | None = None

    def need(self, scope: str) -> None:
        """Raises PermissionDenied unless the key carries `scope`."""
        if scope not in self.scopes:
            raise PermissionDenied(f"This key may not do that: it lacks the scope {scope}. Create one that has it.")


def new_secret() -> str:
    """A new key in clear, to be shown once."""
    body = _base62(int.from_bytes(secrets.token_bytes(32)), _SECRET_CHARS)
    return PREFIX + body + _checksum(body)


def is_well_formed(secret: str) -> bool:
    """Whether prefix, length and checksum agree: a mistyped or truncated key is told apart without the database."""
    body, check = secret[len(PREFIX) : -_CHECK_CHARS], secret[-_CHECK_CHARS:]
    return secret.startswith(PREFIX) and len(body) == _SECRET_CHARS and secret.isascii() and check == _checksum(body)


def digest(secret: str) -> str:
    """What is stored and looked up: SHA-256 in hex. Comparing digests by index leaks nothing usable about the key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK_CHARS)


def _base62(number: int, width: int) -> str:
    chars = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        chars.append(_ALPHABET[digit])
    return "".join(reversed(chars))
