"""API keys: `mb_` + 32 random bytes + checksum, stored as SHA-256 (256 random bits need no slow hash), shown once."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muybridge.errors import AuthFailed, InvalidRequest, NotFound, PermissionDenied, Throttled
from muybridge.jobs.database import load_queries
from muybridge.jobs.job import KeyRow, new_id
from muybridge.jobs.store import Store

PREFIX = "mb_"  # one fixed prefix, so that leak scanners can register the pattern
PATTERN = r"mb_[0-9A-Za-z]{49}"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_CHARS, _CHECK_CHARS = 43, 6  # 32 bytes and a CRC-32 in base 62

CACHE_S = 2.0  # a revoked key is refused everywhere within this time
BURST_S = 2.0  # a rate may be used up ahead by this much
SCOPES = ("videos:read", "videos:write", "usage:read", "webhooks:write")
DEFAULT_SCOPES = SCOPES


@dataclass(frozen=True)
class Key:
    """An authenticated caller. Everything a request touches is looked up by (tenant, id)."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    requests_per_s: float | None = None  # None: the service's default; 0: no limit
    budget_usd: float | None = None  # per calendar month (UTC), charged and reserved together; None: no limit
    max_open: int | None = None  # jobs of its tenant that wait or run; None: the service's default
    expires_at: float | None = None

    def need(self, scope: str) -> None:
        """Raises PermissionDenied unless the key carries `scope`."""
        if scope not in self.scopes:
            raise PermissionDenied(f"This key may not do that: it lacks the scope {scope}. Create one that has it.")


class Keyring:
    """Keys in the store: who a secret belongs to, how often it may ask, when it was last used.

    Rates are counted in this process; budgets and open jobs in the transaction that creates a job (`jobs.Admission`).
    """

    def __init__(self, store: Store, requests_per_s: float = 0.0) -> None:
        self.store, self.requests_per_s = store, requests_per_s
        store.database.queries.update(load_queries("muybridge.api"))
        self._known: dict[str, tuple[Key | AuthFailed, float]] = {}
        self._buckets: dict[str, tuple[float, float]] = {}  # key id: (tokens, when)
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    @staticmethod
    def open(where: str | Path) -> Keyring:
        """The keys in a data folder (made if need be) or behind a postgresql:// URL."""
        if isinstance(where, Path):
            where.mkdir(parents=True, exist_ok=True)
            where = str(where / "jobs.sqlite")
        return Keyring(Store.open(where))

    def authenticate(self, secret: str) -> Key:
        """The key of a secret. Raises AuthFailed (malformed, unknown, expired, revoked)."""
        if not is_well_formed(secret):
            raise AuthFailed(
                "Incorrect API key provided: it is mistyped or cut short. Keys look like mb_ and 49 letters."
            )
        hashed, now = digest(secret), time.time()
        found, until = self._known.get(hashed, (None, 0.0))
        if found is None or now > until:
            found = self._look_up(hashed, now)
            with self._lock:
                if len(self._known) > 10_000:  # strangers trying keys must not fill the memory
                    self._known.clear()
                self._known[hashed] = (found, now + CACHE_S)
        if isinstance(found, AuthFailed):
            raise AuthFailed(str(found))
        if found.expires_at is not None and now >= found.expires_at:
            raise AuthFailed("Incorrect API key provided: it has expired. Use its successor or create a new one.")
        self._used[found.id] = now
        return found

    def _look_up(self, hashed: str, now: float) -> Key | AuthFailed:
        row = self.store.keys.by_hash(hashed)
        if row is None:
            return AuthFailed(
                "Incorrect API key provided: nobody here has it. Create one with `muybridge keys create`."
            )
        if row.revoked_at is not None and row.revoked_at <= now:
            return AuthFailed("Incorrect API key provided: it was revoked.")
        return key_of(row)

    def spend(self, key: Key) -> tuple[int, int, float] | None:
        """Take one request from the key's rate: (limit, remaining, seconds until full), or None where there is none.

        Raises Throttled. A token bucket: `requests_per_s` refill, two seconds' worth at most.
        """
        rate = self.requests_per_s if key.requests_per_s is None else key.requests_per_s
        if not rate:
            return None
        size, now = max(1.0, rate * BURST_S), time.monotonic()
        with self._lock:
            tokens, at = self._buckets.get(key.id, (size, now))
            tokens = min(size, tokens + (now - at) * rate)
            if tokens < 1:
                raise Throttled(f"This key may send {rate:g} requests a second; slow down.", (1 - tokens) / rate)
            self._buckets[key.id] = (tokens - 1, now)
        return int(size), int(tokens - 1), (size - tokens + 1) / rate

    def flush(self) -> None:
        """Write down when keys were last used; called now and then, so that reading costs no write."""
        used, self._used = self._used, {}
        if used:
            self.store.database.run(lambda tx: [tx.run("use_key", key_id=k, at=at) for k, at in used.items()])

    def create(
        self,
        name: str,
        tenant: str | None = None,
        scopes: tuple[str, ...] = DEFAULT_SCOPES,
        days: float | None = None,
        limits: dict[str, Any] | None = None,
    ) -> tuple[Key, str]:
        """A new key and its secret (never to be seen again). A tenant of its own unless one is named."""
        if not name.strip() or len(name) > 100:
            raise InvalidRequest("A key needs a name of at most 100 characters, so that you know it again.", "name")
        if unknown := set(scopes) - set(SCOPES):
            raise InvalidRequest(
                f"There is no scope {sorted(unknown)[0]!r}; choose from {', '.join(SCOPES)}.", "scopes"
            )
        now, secret = time.time(), new_secret()
        limits = {k: v for k, v in (limits or {}).items() if v is not None}
        if any(not isinstance(v, int | float) or v < 0 for v in limits.values()):
            raise InvalidRequest("Limits of a key are numbers from 0.", "limits")
        key_id = f"key_{new_id().lower()}"
        expires_at = None if days is None else now + days * 86_400
        row = KeyRow(
            key_id, tenant or f"tenant_{new_id().lower()}", name, digest(secret), scopes, limits, now, expires_at
        )
        self.store.keys.put(row)
        return key_of(row), secret

    def rotate(self, key_id: str, overlap_s: float = 86_400.0) -> tuple[Key, str]:
        """A successor with the same tenant, scopes and limits; the old key works for `overlap_s` more seconds."""
        old = self.find(key_id)
        made, secret = self.create(old.name, old.tenant, old.scopes, None, old.limits)
        self.store.keys.expire(key_id, min(old.expires_at or float("inf"), time.time() + overlap_s))
        self._known.clear()
        return made, secret

    def revoke(self, key_id: str) -> None:
        """Refuse the key from now on (other processes: within CACHE_S). Raises NotFound."""
        self.store.keys.revoke(key_id)
        self._known.clear()

    def find(self, key_id: str) -> KeyRow:
        """A key by its id. Raises NotFound."""
        row = next((r for r in self.store.keys.list() if r.id == key_id), None)
        if row is None:
            raise NotFound(f"There is no key {key_id!r}; see `muybridge keys list`.")
        return row

    def list(self, tenant: str | None = None) -> list[dict[str, Any]]:
        """Keys without secrets or hashes, for people: with their last use."""
        uses = {
            r["key_id"]: r["last_used_at"] for r in self.store.database.run(lambda tx: tx.rows("key_uses"), write=False)
        }
        return [
            {
                "id": r.id, "name": r.name, "tenant": r.tenant, "scopes": list(r.scopes), "limits": r.limits,
                "created_at": r.created_at, "expires_at": r.expires_at, "revoked_at": r.revoked_at,
                "last_used_at": uses.get(r.id),
            }
            for r in self.store.keys.list(tenant)
        ]  # fmt: skip


LIMITS = ("requests_per_s", "budget_usd", "max_open")


def parse_limits(texts: Iterable[str]) -> dict[str, float]:
    """`name=number` texts of the command line as the limits of a key. Raises InvalidRequest."""
    out: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in LIMITS:
            raise InvalidRequest(f"There is no limit {name!r}; choose from {', '.join(LIMITS)}.", "limit")
        try:
            out[name] = int(value) if name == "max_open" else float(value)
        except ValueError:
            raise InvalidRequest(f"{text!r}: write {name}=NUMBER.", "limit") from None
    return out


def key_of(row: KeyRow) -> Key:
    """The caller that a stored key stands for."""
    limits = row.limits
    return Key(
        row.id,
        row.tenant,
        row.name,
        frozenset(row.scopes),
        limits.get("requests_per_s"),
        limits.get("budget_usd"),
        limits.get("max_open"),
        row.expires_at,
    )


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
