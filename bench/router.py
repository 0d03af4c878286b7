"""What routing costs and whether the books hold: a decision's time, jobs a second, the fault matrix.

Run: python bench/router.py [--decisions] [--fleet] [--matrix] [--jobs 10000] [--json]; without a choice, all three.
The matrix and the fleet run against the simulator in the same process, on a simulated clock; the fleet on one process
per core, with the simulator's share of the work included.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from muybridge.providers.attempts import Task
from muybridge.providers.catalog import Catalog, parse, shipped
from muybridge.providers.fleet import EVERY_PROVIDER, START, Clock, Fleet, matrix
from muybridge.providers.router import Conditions, Wish, route
from muybridge.providers.simulator import Simulator, small_clip
from muybridge.request import Request

NUM_CORES = 2


def wide_catalog(num_offers: int) -> Catalog:
    """The shipped offers again and again under other regions, until there are so many."""
    catalog = shipped()
    offers = [o for o in catalog.offers if o.price is not None]
    more = []
    for n in range(num_offers - len(catalog.offers)):
        offer = offers[n % len(offers)]
        region = f"copy-{n // len(offers)}"
        more.append(replace(offer, key=f"{offer.provider}/{offer.model.name}@{region}-{offer.region}", region=region))
    return catalog.with_offers(more)


def decisions(num_offers: int = 200, num_jobs: int = 2000) -> dict[str, object]:
    """Milliseconds for a decision: shapes seen before (the usual case) and shapes never seen."""
    catalog = wide_catalog(num_offers)
    conditions = Conditions(START, frozenset(o.provider for o in catalog.offers))
    usual = [
        Wish(Request(f"A horse {n}.", size=("480p", "720p", "1080p")[n % 3], seconds=4.0 + n % 5, seed=n))
        for n in range(num_jobs)
    ]
    fresh = [
        Wish(Request("A horse.", size=f"{640 + 2 * (n % 300)}x{360 + 2 * (n // 300)}", seconds=5.0),
             allow=frozenset({"size", "ratio"}))
        for n in range(num_jobs)
    ]  # fmt: skip
    out: dict[str, object] = {"offers": len(catalog.offers), "decisions": num_jobs}
    for name, wishes in (("seen", usual), ("new", fresh)):
        if name == "seen":
            for wish in wishes[:100]:
                route(wish, catalog, conditions)
        times = []
        for wish in wishes:
            started = time.process_time_ns()
            route(wish, catalog, conditions)
            times.append((time.process_time_ns() - started) / 1e6)
        times.sort()
        out[f"{name}_ms_p50"] = round(statistics.median(times), 4)
        out[f"{name}_ms_p99"] = round(times[int(0.99 * len(times))], 4)
    return out


def _part(numbers: tuple[int, int]) -> dict[str, object]:
    """One process's share of the fleet: plain jobs, each accepted, made, fetched, checked, settled."""
    first, last = numbers
    clock = Clock()
    for seconds in (4.0, 5.0):
        small_clip(seconds)
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Path(folder) / "r.sqlite", simulator=Simulator(clock, render_s=4.0), clock=clock, breaker=True)
        tasks = [
            Task(f"job-{n}", f"tenant-{n % 9}", f"key-{n % 9}",
                 Wish(Request(f"A horse. #{n}", size="720p", seconds=4.0 + n % 2)))
            for n in range(first, last)
        ]  # fmt: skip
        started = time.process_time()
        report = fleet.run(tasks)
        cpu_s = time.process_time() - started
        fleet.close()
    return report.to_dict() | {"cpu_s": cpu_s}


def fleet_rate(num_jobs: int) -> dict[str, object]:
    """Jobs a second over all processes, by the wall and by processor time (other work on the machine left out)."""
    per = num_jobs // NUM_CORES
    parts = [(n * per, (n + 1) * per) for n in range(NUM_CORES)]
    with multiprocessing.get_context("spawn").Pool(NUM_CORES) as pool:
        found = pool.map(_part, parts)
    wall_s = max(float(str(f["wall_s"])) for f in found)
    cpu_s = sum(float(str(f["cpu_s"])) for f in found)
    done = sum(f["outcomes"].get("succeeded", 0) for f in found)  # type: ignore[attr-defined]  # a dict of counts
    return {
        "jobs": per * NUM_CORES,
        "succeeded": done,
        "jobs_per_s_wall": round(done / wall_s, 1),
        "jobs_per_s_of_processor_on_two_cores": round(NUM_CORES * done / cpu_s, 1),
        "load_average": os.getloadavg()[0],
        "problems": [p for f in found for p in f["problems"]],  # type: ignore[attr-defined]
    }


def fault_matrix(num_jobs: int) -> dict[str, object]:
    """Every provider by every fault."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        simulator = Simulator(clock, catalogs=[EVERY_PROVIDER])
        catalog = parse(EVERY_PROVIDER, shipped())
        fleet = Fleet(Path(folder) / "r.sqlite", catalog=catalog, simulator=simulator, clock=clock)
        report = fleet.run(matrix(num_jobs, catalog))
        fleet.close()
    return report.to_dict()


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("decisions", "fleet", "matrix", "json"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--jobs", type=int, default=10_000)
    asked = parser.parse_args()
    everything = not (asked.decisions or asked.fleet or asked.matrix)
    found: dict[str, object] = {}
    if asked.decisions or everything:
        found["decisions"] = decisions()
    if asked.fleet or everything:
        found["fleet"] = fleet_rate(min(asked.jobs, 4000))
    if asked.matrix or everything:
        found["matrix"] = fault_matrix(asked.jobs)
    if asked.json:
        print(json.dumps(found))
        return
    for name, values in found.items():
        print(name)
        for key, value in values.items():  # type: ignore[attr-defined]  # each part is a dict
            print(f"  {key:<40} {value}")


if __name__ == "__main__":
    main()
