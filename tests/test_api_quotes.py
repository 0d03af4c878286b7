"""Quotes of our own sizes follow the speed that finished jobs showed; without any, the formula's H100."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs_database import new_job, postgres, store, url
from starlette.testclient import TestClient

from muybridge.api.app import create_app
from muybridge.api.limits import Limits
from muybridge.api.quotes import FORMULA, MIN_JOBS, SPEED_FRESH_S, Speed, Speeds, quote_of
from muybridge.api.service import Service
from muybridge.config import ServerConfig
from muybridge.jobs.job import Artifact
from muybridge.jobs.store import Store
from muybridge.request import Request
from muybridge.shapes import cost

__all__ = ["postgres", "store", "url"]  # fixtures
REQUEST = Request("A horse.", seconds=5, size="480p")


def finish(
    store: Store, factor: float, device: str = "cpu", model: str = "tiny", formula_s: float = 2.0, attempts: int = 1
) -> None:
    """A job that took `factor` times what the formula says."""
    job, _ = store.create(new_job(model=model))
    for _ in range(attempts - 1):
        claim = store.claim("earlier", (model,))
        assert claim is not None
        store.requeue(claim, None, "again")
    claim = store.claim("w", (model,))
    assert claim is not None and claim.job.id == job.id
    usage = {"output_s": 5.0, "compute_s": factor * formula_s, "formula_s": formula_s, "device": device}
    store.finish(claim, (Artifact("video", f"{job.id}/1/x.mp4", "video/mp4", 1, "0"),), usage)


def test_the_ledger_knows_how_slow_devices_are(store: Store) -> None:
    assert store.ledger.slowdown("tiny") == ()
    for factor, formula_s in ((10.0, 1.0), (20.0, 3.0)):  # 10 s + 60 s where the formula says 1 s + 3 s
        finish(store, factor, formula_s=formula_s)
    finish(store, 2.0, "NVIDIA A100")
    finish(store, 99.0, model="15b")
    finish(store, 99.0, attempts=2)  # half of the work was another attempt's
    finish(store, 99.0, device="")  # bought from a provider
    found = {row.device: (row.num_jobs, row.factor) for row in store.ledger.slowdown("tiny")}
    assert found == {"cpu": (2, pytest.approx(17.5)), "NVIDIA A100": (1, pytest.approx(2.0))}
    newest = store.ledger.slowdown("tiny", limit=1)
    assert [(row.device, row.num_jobs) for row in newest] == [("NVIDIA A100", 1)]
    assert store.ledger.slowdown("tiny", within_s=-10.0) == ()


def test_quotes_follow_the_measured_speed(tmp_path: Path) -> None:
    store, now = Store.open(tmp_path / "jobs.sqlite"), [0.0]
    speeds = Speeds(store.ledger, lambda: now[0])
    plain = quote_of(REQUEST, "tiny", 3600.0, speeds.of("tiny"))
    assert plain["seconds"] == pytest.approx(cost(REQUEST, "tiny").seconds)
    assert plain["speed"] == FORMULA
    for _ in range(MIN_JOBS):
        finish(store, 40.0)
    assert speeds.of("tiny") == Speed()  # read anew only now and then: a submit costs no query
    now[0] += SPEED_FRESH_S + 1
    measured = quote_of(REQUEST, "tiny", 3600.0, speeds.of("tiny"))
    assert measured["seconds"] == pytest.approx(40 * plain["seconds"])
    assert measured["cost"] == pytest.approx(40 * plain["cost"], rel=1e-3)
    assert measured["speed"] == f"measured: {MIN_JOBS} jobs on cpu"
    for _ in range(3):
        finish(store, 1.0, "NVIDIA H100")
    now[0] += SPEED_FRESH_S + 1
    assert speeds.of("tiny").factor == pytest.approx((40.0 * 3 + 1.0 * 3) / 6)
    assert speeds.of("15b") == Speed()
    store.close()


def test_too_few_jobs_say_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "jobs.sqlite")
    for _ in range(MIN_JOBS - 1):
        finish(store, 40.0)
    assert Speeds(store.ledger).of("tiny") == Speed()
    store.close()


def test_the_answer_to_a_submit_says_where_its_seconds_come_from(tmp_path: Path) -> None:
    with TestClient(create_app(ServerConfig(data=tmp_path), Limits(price_per_gpu_hour=3.6))) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        for _ in range(MIN_JOBS):
            finish(service.store, 7.0)
        key = {"Authorization": f"Bearer {service.keys.create('test')[1]}"}
        quote = client.post("/v1/videos", json={"prompt": "x", "seconds": 5, "size": "480p"}, headers=key).json()[
            "quote"
        ]
        assert quote["seconds"] == pytest.approx(7 * cost(Request("x", seconds=5, size="480p"), "tiny").seconds)
        assert quote["cost"] == pytest.approx(quote["seconds"] * 0.001, abs=1e-6)
        assert "jobs on cpu" in quote["speed"]
