"""The circuit breaker: one process, and many on one job database (SQLite and PostgreSQL)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_database import postgres, url

from muybridge.jobs.database import Database, load_queries
from muybridge.jobs.store import Store
from muybridge.providers import remote, routing
from muybridge.providers.health import FRESH_S, OPEN_AFTER, PROBE_S, UNKNOWN_LANE, Health, SharedHealth

__all__ = ["postgres", "url"]  # fixtures


class Ticks:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def two(url: str) -> Iterator[tuple[SharedHealth, SharedHealth, Ticks]]:
    """What two worker processes hold: connections of their own to one database."""
    Store.open(url).close()
    ticks = Ticks()
    databases = [Database(url, load_queries("muybridge.providers")) for _ in range(2)]
    yield SharedHealth(databases[0], clock=ticks), SharedHealth(databases[1], clock=ticks), ticks
    for database in databases:
        database.close()


def test_what_one_worker_finds_broken_is_closed_for_all(two: tuple[SharedHealth, SharedHealth, Ticks]) -> None:
    mine, yours, ticks = two
    assert yours.of("fal") == UNKNOWN_LANE
    for _ in range(OPEN_AFTER):
        mine.ill("fal", "capacity", 1000.0)
    assert not mine.of("fal").usable(1001.0)
    ticks.now += FRESH_S + 0.1
    assert not yours.of("fal").usable(1001.0)
    assert yours.of("xai").usable(1001.0)
    later = yours.of("fal").open_until
    assert yours.of("fal").usable(later)
    yours.sent("fal", later)  # the one probe: nobody else may
    ticks.now += FRESH_S + 0.1
    assert not mine.of("fal").usable(later)
    assert mine.of("fal").usable(later + PROBE_S)  # unless its process died
    yours.well("fal", 4.0)
    ticks.now += FRESH_S + 0.1
    assert mine.of("fal").usable(later) and mine.of("fal").seconds_per_s == 4.0


def test_speeds_are_one_running_mean(two: tuple[SharedHealth, SharedHealth, Ticks]) -> None:
    mine, yours, ticks = two
    alone = Health()
    for number, pace in enumerate((10.0, 20.0, 5.0, 8.0)):
        (mine, yours)[number % 2].well("fal", pace)
        alone.well("fal", pace)
    ticks.now += FRESH_S + 0.1
    assert mine.of("fal").seconds_per_s == pytest.approx(alone.of("fal").seconds_per_s)


def test_no_failure_is_lost_between_processes(two: tuple[SharedHealth, SharedHealth, Ticks]) -> None:
    def fail(health: SharedHealth) -> None:
        for _ in range(25):
            health.ill("fal", "internal", 1000.0)

    threads = [threading.Thread(target=fail, args=(health,)) for health in two[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert two[0].lanes()["fal"].failures == 50


def test_a_steady_lane_costs_no_writes(two: tuple[SharedHealth, SharedHealth, Ticks]) -> None:
    mine = two[0]
    mine.well("fal")
    mine.sent("fal", 1000.0)
    mine.ill("fal", "invalid_input", 1000.0)
    assert mine.lanes() == {}


def test_a_restarted_worker_knows_what_its_predecessor_learnt(tmp_path: Path) -> None:
    url = str(tmp_path / "jobs.sqlite")
    Store.open(url).close()
    rules = routing.parse({}, {"MUYBRIDGE_FAL_KEY": "x"})
    first = remote.open_dispatch(rules, url)
    first.health.ill("fal", "auth", 1000.0)
    assert remote.open_dispatch(rules, url).health.of("fal").last_error == "auth"
