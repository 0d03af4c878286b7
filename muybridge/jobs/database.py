"""Transactions on SQLite or PostgreSQL. Everything in which the two differ is in this file; the SQL is shared.

A unit of work is a function of a `Tx`; `Database.run` may call it again after a lost connection, a deadlock or a busy
database, so every unit must be safe to repeat (ours are: rows are named by their id and fenced by their attempt).
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

from muybridge.errors import MuybridgeError, NotInstalled, Unavailable, UserError

T = TypeVar("T")
Row = dict[str, Any]
_PARAMETER = re.compile(r":([a-z_][a-z0-9_]*)")


def load_queries(package: str = "muybridge.jobs", name: str = "queries.sql") -> dict[str, str]:
    """Named statements of a .sql file: `-- name: NAME`, description comments, one statement ending in a semicolon."""
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    queries: dict[str, str] = {}
    for block in re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:]:
        title, _, body = block.partition("\n")
        lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
        assert title.strip() not in queries, f"two queries are named {title!r}"
        queries[title.strip()] = "\n".join(lines).strip().rstrip(";")
    return queries


class Connection(Protocol):
    """What both drivers' connections have in common."""

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...  # noqa: ANN401 (driver types differ)
    def close(self) -> None: ...


@dataclass
class Tx:
    """One open transaction."""

    connection: Connection
    queries: dict[str, str]
    postgres: bool
    now: float
    _rendered: dict[tuple[str, int], str]

    def rows(self, name: str, /, **params: Any) -> list[Row]:  # noqa: ANN401 (SQL values)
        """Run a named query; its rows as dicts."""
        cursor = self._execute(name, params)
        if cursor.description is None:
            return []
        columns = [c[0] for c in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    def row(self, name: str, /, **params: Any) -> Row | None:  # noqa: ANN401
        """The first row or None."""
        rows = self.rows(name, **params)
        return rows[0] if rows else None

    def run(self, name: str, /, **params: Any) -> int:  # noqa: ANN401
        """Run a statement that returns no rows; how many rows it touched."""
        return int(self._execute(name, params).rowcount)

    def _execute(self, name: str, params: dict[str, Any]) -> Any:  # noqa: ANN401
        width = next((len(v) for v in params.values() if isinstance(v, tuple)), 0)
        sql = self._rendered.get((name, width))
        if sql is None:
            sql = self._rendered[name, width] = render(self.queries[name], params, self.postgres)
        if width:
            params = {k: v for k, v in params.items() if not isinstance(v, tuple)} | {
                f"{k}_{i}": item for k, v in params.items() if isinstance(v, tuple) for i, item in enumerate(v)
            }
        return self.connection.execute(sql, params)


def render(sql: str, params: dict[str, Any], postgres: bool) -> str:
    """Expand `:names` bound to tuples into one placeholder per item; on PostgreSQL write them as psycopg wants."""

    def expand(match: re.Match[str]) -> str:
        name = match[1]
        value = params.get(name)
        if isinstance(value, tuple):
            return ", ".join(f":{name}_{i}" for i in range(len(value)))
        return match[0]

    sql = _PARAMETER.sub(expand, sql)
    return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%")) if postgres else sql


class Database:
    """Connections (one per thread) to one database, and the loop that repeats a unit of work after a passing fault."""

    def __init__(self, url: str, queries: dict[str, str], patience_s: float = 30.0) -> None:
        self.url = url
        self.postgres = url.startswith(("postgresql://", "postgres://"))
        self.queries = queries
        self.patience_s = patience_s
        self._driver: Any = sqlite3
        if self.postgres:
            try:
                self._driver = importlib.import_module("psycopg")
            except ImportError:
                raise NotInstalled("PostgreSQL needs one more package: pip install 'muybridge[postgres]'.") from None
        self._path, self._synchronous = ("", "") if self.postgres else sqlite_options(url)
        self._local = threading.local()
        self._all: list[Connection] = []
        self._lock = threading.Lock()
        self._writer = threading.Lock()  # SQLite has one writer; waiting here is cheaper than its sleeping retry
        self._rendered: dict[tuple[str, int], str] = {}
        self._closed = False

    def run(self, work: Callable[[Tx], T], *, write: bool = True, lock: str | None = None) -> T:
        """Run `work` in one transaction and commit; write=False: each statement for itself.

        Raises Unavailable when the database stays away for `patience_s`.
        No two transactions with the same `lock` run at once (SQLite: as all writers; PostgreSQL: an advisory lock).
        """
        deadline = time.monotonic() + self.patience_s
        pause_s = 0.01
        while True:
            try:
                with self._transaction(write, lock) as tx:
                    return work(tx)
            except (self._driver.OperationalError, self._driver.InterfaceError) as error:
                if not self._passes(error):
                    raise
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"The job database did not answer for {self.patience_s:.0f} s ({str(error).strip()}); "
                        "it is tried again with the next call."
                    ) from error
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.5)

    def _passes(self, error: Exception) -> bool:
        """Whether trying again can help: a busy file, a deadlock, a server that is restarting."""
        if not self.postgres:
            return "locked" in str(error) or "busy" in str(error)
        return True  # psycopg's OperationalError: connection lost or refused, deadlock, shutdown, too many clients

    @contextlib.contextmanager
    def _transaction(self, write: bool, lock: str | None) -> Iterator[Tx]:
        with self._writer if write and not self.postgres else contextlib.nullcontext():
            connection = self._connect()
            try:
                if write:
                    connection.execute("BEGIN" if self.postgres else "BEGIN IMMEDIATE")
                if lock is not None and self.postgres:
                    connection.execute(f"SELECT pg_advisory_xact_lock({zlib.crc32(lock.encode())})")
                now = time.time() + self._local.offset_s  # read after waiting for locks
                yield Tx(connection, self.queries, self.postgres, now, self._rendered)
                if write:
                    connection.execute("COMMIT")
            except MuybridgeError:
                if write:
                    connection.execute("ROLLBACK")
                raise
            except BaseException:
                self._drop(connection)  # closing rolls back; what the connection is worth now is not known
                raise

    def _drop(self, connection: Connection) -> None:
        self._local.connection = None
        with self._lock:
            self._all = [c for c in self._all if c is not connection]
        with contextlib.suppress(self._driver.Error):
            connection.close()

    def _connect(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            return connection
        if self._closed:
            raise Unavailable("The job store is closed.")
        if self.postgres:
            connection = self._driver.connect(self.url, autocommit=True, connect_timeout=10)
            # Leases compare times written by many machines: all of them use the database server's clock.
            server_s = float(connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()[0])
            self._local.offset_s = server_s - time.time()
        else:
            # The wait for the other writer is SQLite's own, which sleeps. A blocking flock() and short naps of our own
            # were fairer and slower (four processes, two cores): every hand-over became a context switch.
            connection = sqlite3.connect(self._path, timeout=30.0, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 8000")  # 32 MB: fewer waits for the disk than with 4 MB
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._local.offset_s = 0.0
        self._local.connection = connection
        with self._lock:
            self._all.append(connection)
        return connection

    def migrate(self, package: str = "muybridge.jobs.migrations") -> int:
        """Apply the numbered .sql files that this database has not seen, each in one transaction; the version reached.

        Raises UserError when the database is newer than this program.
        """
        files = sorted((f for f in resources.files(package).iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
        known = [int(f.name.split("_")[0]) for f in files]
        assert known == list(range(1, len(known) + 1)), f"migrations must be numbered from 1 without gaps: {known}"

        def version(tx: Tx) -> int:
            tx.connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)")
            row = tx.connection.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version").fetchone()
            return int(row[0])

        def apply(tx: Tx) -> int:
            reached = version(tx)
            for number, file in zip(known, files, strict=True):
                if number > reached:
                    for statement in statements(file.read_text(encoding="utf-8")):
                        tx.connection.execute(statement)
                    tx.connection.execute(f"INSERT INTO schema_version (version) VALUES ({number})")
            return max(reached, *known)

        reached = self.run(apply, lock="migrate")
        if reached > known[-1]:
            raise UserError(
                f"The job database is at version {reached}, this program knows {known[-1]}; install a newer Muybridge."
            )
        return reached

    def close(self) -> None:
        """Close every thread's connection; later calls raise Unavailable."""
        with self._lock:
            self._closed = True
            connections, self._all = self._all, []
        for connection in connections:
            with contextlib.suppress(self._driver.Error):
                connection.close()
        self._local = threading.local()


def statements(text: str) -> list[str]:
    """The statements of a migration; comments removed. A semicolon at the end of a line ends one."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [s.strip() for s in re.split(r";\s*$", "\n".join(lines), flags=re.MULTILINE) if s.strip()]


def sqlite_options(url: str) -> tuple[str, str]:
    """(path, synchronous) of a plain path or `sqlite:///path?synchronous=full`.

    NORMAL (the default) survives every crash of a process; after a power cut the last moments may be missing, though
    the file stays sound. FULL waits for the disk on each commit: accepted also survives a power cut, at the price of
    one fsync per write.
    """
    if "://" not in url:
        return url, "NORMAL"
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        raise UserError(f"Cannot open the job database {url!r}: use a path, sqlite:///path or postgresql://...")
    synchronous = parse_qs(parts.query).get("synchronous", ["normal"])[0].upper()
    if synchronous not in {"NORMAL", "FULL"}:
        raise UserError(f"synchronous={synchronous!r} in the job database's address: use normal or full.")
    return parts.path[1:], synchronous  # sqlite:///relative, sqlite:////absolute
