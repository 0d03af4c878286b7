"""Fixtures of the job tests: the same store on SQLite and on a real PostgreSQL, started once per session."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from muybridge.jobs.job import NewJob
from muybridge.jobs.postgres import PostgresServer
from muybridge.jobs.store import Store
from muybridge.jobs.worker import WorkerSpec

_count = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of our own. Without PostgreSQL on the machine this fails, it does not skip: half the promise is lost."""
    server = PostgresServer().start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty job database."""
    if request.param == "sqlite":
        return str(tmp_path / "jobs.sqlite")
    server: PostgresServer = request.getfixturevalue("postgres")
    schema = f"test_{next(_count)}"  # far cheaper than a database of its own
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return f"{server.url}&options=-csearch_path%3D{schema}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store on an empty database; a job is worth pre-empting for at once, and ageing is out of the way."""
    opened = Store.open(url, preempt_after_s=0.0, age_s=1e9)
    yield opened
    opened.close()


@pytest.fixture
def spec(url: str, tmp_path: Path) -> WorkerSpec:
    """How worker processes of a test run: every step is checkpointed, leases are short."""
    return WorkerSpec(
        url,
        str(tmp_path / "artifacts"),
        "muybridge.jobs.toy:runner",
        lease_s=2.0,
        poll_s=0.05,
        checkpoint_every_s=0.0,
        backoff_s=0.0,
        store={"preempt_after_s": 0.0, "max_failures": 3},
    )


def new_job(tenant: str = "acme", model: str = "toy", priority: int = 0, **more: Any) -> NewJob:
    """A job for the toy runner; keywords that NewJob does not know go into the request."""
    known = {"key_id", "idempotency_key", "body_hash", "quote", "webhook", "metadata", "parent_id", "protocol"}
    fields = {"key_id": f"key-{tenant}", "protocol": "native"} | {k: v for k, v in more.items() if k in known}
    request = {"seed": 1} | {k: v for k, v in more.items() if k not in known}
    return NewJob(tenant=tenant, model=model, priority=priority, request=request, request_raw=request, **fields)
