"""`muybridge serve`: the API in this process, workers beside it, one embedded database. Ready before the model is."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from muybridge.api.limits import Limits
from muybridge.api.models import AUTO
from muybridge.api.moderation import Moderation, check_of
from muybridge.config import ServerConfig
from muybridge.errors import UserError
from muybridge.jobs.worker import WorkerSpec
from muybridge.providers.presence import missing
from muybridge.providers.signed import signing

DEFAULT_RUNNER = "muybridge.providers.remote:runner"  # own sizes on this machine, everything else routed
GRACE_S = 10  # answers under way may finish; streams are cut after it and resume elsewhere
FIRST_KEY = "first key"


@dataclass(frozen=True)
class Serving:
    """Everything `serve` was told."""

    config: ServerConfig
    limits: Limits
    runner: str = DEFAULT_RUNNER
    lease_s: float = 60.0
    moderation: Moderation | None = None
    retries: int = 3  # of a job that fails in a row without getting further


def read_config(path: Path | None) -> dict[str, Any]:
    """The values of a TOML file: `runner`, `public_url`, `artifacts`, `lease_s`, `retries`, and the tables
    `limits` (see Limits) and `moderation` (see `moderation.Moderation`).

    Raises UserError that names what is not understood.
    """
    if path is None:
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as TOML: {error}.") from error
    known = {"runner", "public_url", "artifacts", "lease_s", "retries", "limits", "moderation"}
    if unknown := set(values) - known:
        raise UserError(f"{path} has the unknown setting {sorted(unknown)[0]!r}; known are {', '.join(sorted(known))}.")
    return values


def limits_of(values: Mapping[str, Any], models: tuple[str, ...]) -> Limits:
    """Limits from a table of a config file. Raises UserError for an unknown name or a wrong type."""
    known = {f.name: getattr(Limits(), f.name) for f in fields(Limits)}
    out: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise UserError(f"There is no limit {name!r}; known are {', '.join(known)}.")
        if isinstance(known[name], frozenset | tuple):
            out[name] = type(known[name])(value if isinstance(value, list) else [value])
        elif not isinstance(value, int | float) or isinstance(value, bool):
            raise UserError(f"The limit {name} must be a number, not {value!r}.")
        else:
            out[name] = type(known[name])(value)
    return replace(Limits(models=models), **out) if models else Limits(**out)


def serve(serving: Serving, as_json: bool = False) -> None:
    """Answer until SIGTERM or Ctrl-C, then drain: requests end, running jobs are checkpointed and requeued."""
    import uvicorn

    from muybridge.api.app import create_app
    from muybridge.jobs.fleet import Fleet

    _return_memory()
    listener = _listen(serving.config)
    config = replace(serving.config, port=listener.getsockname()[1])
    spec = worker_spec(serving)
    fleet = Fleet(signing(spec, config.data) if config.workers else spec, config.workers)
    checks = (check_of(serving.moderation),) if serving.moderation is not None else ()
    app = create_app(
        config, serving.limits, runner=serving.runner, checks=checks
    )  # makes the database; the workers need it
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level=os.environ.get("MUYBRIDGE_LOG_LEVEL", "warning"),
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
            server_header=False,
        )
    )

    def leave(*_: object) -> None:
        server.should_exit = True

    # Before the address is told: from then on a SIGTERM may come at any moment. While it serves, uvicorn's own handler
    # stands here, and afterwards it raises the signal once more, to this one.
    signal.signal(signal.SIGTERM, leave)
    fleet.start()
    try:
        _greet(app.state.service, config, as_json)
        server.run(sockets=[listener])
    finally:
        fleet.stop()


def worker_spec(serving: Serving) -> WorkerSpec:
    """What a worker of this service runs with; `muybridge worker` on another machine needs the same."""
    config = serving.config
    return WorkerSpec(
        database=config.database or str((config.data / "jobs.sqlite").resolve()),
        artifacts=config.artifacts or str((config.data / "artifacts").resolve()),
        runner=serving.runner,
        models=claimed(serving.limits.models),
        lease_s=serving.lease_s,
        store={"retention_s": serving.limits.link_ttl_s, "max_failures": serving.retries},
    )


def claimed(served: tuple[str, ...]) -> tuple[str, ...]:
    """What workers take: what is served and, where jobs are routed, our own sizes that the router may choose."""
    if AUTO not in served:
        return served
    from muybridge.providers.routing import routing  # late: the catalogue is read only where routing is switched on

    return tuple(dict.fromkeys((*served, *routing().local)))


def _listen(config: ServerConfig) -> socket.socket:
    """A bound, listening socket: clients may connect from now on. Port 0 takes a free one. Raises UserError."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise UserError(
            f"Cannot listen on {config.host}:{config.port}: {error.strerror}. Choose another --port."
        ) from error
    listener.listen(2048)
    listener.set_inheritable(False)
    return listener


def _return_memory() -> None:
    """Let large blocks go back to the system when they are freed (glibc would raise its threshold and keep them)."""
    with contextlib.suppress(OSError, AttributeError):  # another C library: then it does as it does
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD; setting it also stops glibc from moving it
        libc.mallopt(-8, 2)  # M_ARENA_MAX


def _greet(service: Any, config: ServerConfig, as_json: bool) -> None:  # noqa: ANN401  (Service: loads the store)
    """Where it listens, on the very first start a key and a line to try, and which models cannot run yet."""
    keys = service.keys
    for name in service.limits.models if service.runs_here else ():
        if why := missing(name):
            print(f"Jobs for {name} are refused: {why}", file=sys.stderr, flush=True)  # noqa: T201
    host = f"[{config.host}]" if ":" in config.host else config.host
    url = config.public_url or f"http://{host}:{config.port}"
    secret = keys.create(FIRST_KEY)[1] if not keys.list() else None
    if as_json:
        print(json.dumps({"url": url, "key": secret, "pid": os.getpid(), "data": str(config.data)}), flush=True)  # noqa: T201
        return
    lines = [f"Muybridge listens on {url}  (data in {config.data}, {config.workers} worker(s))"]
    if secret is not None:
        lines += [
            "",
            f"Your first API key, shown only now:  {secret}",
            "",
            f"  curl {url}/v1/videos -H 'Authorization: Bearer {secret}' \\",
            "       -H 'Content-Type: application/json' -d '{\"prompt\": \"A paper boat on a calm lake.\"}'",
            "",
        ]
    print("\n".join(lines), file=sys.stdout, flush=True)  # noqa: T201  (what the command is for)
