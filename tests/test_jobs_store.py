"""The job store beyond the ten promises: turns, shares, limits, deletion, and random histories against a model."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from jobs_database import new_job, postgres, spec, store, url

from muybridge.errors import Conflict, NotFound, QuotaExceeded, Throttled, Unavailable, UserError, WorkerLost
from muybridge.jobs.artifacts import open_artifacts, sweep
from muybridge.jobs.database import Database, load_queries, render, sqlite_options, statements
from muybridge.jobs.job import Admission, Artifact, Claim, Job, KeyRow, new_id
from muybridge.jobs.store import Store

__all__ = ["postgres", "spec", "store", "url"]  # fixtures


def claimed(store: Store, models: tuple[str, ...] | None = None, worker: str = "w") -> Claim:
    claim = store.claim(worker, models)
    assert claim is not None
    return claim


def turns(store: Store, num: int) -> list[str]:
    """Who is served in the next `num` claims."""
    names = []
    for _ in range(num):
        claim = claimed(store)
        store.finish(claim, (), {})
        names.append(claim.job.tenant)
    return names


def video(job: Job, name: str = "clip.mp4") -> Artifact:
    return Artifact("video", f"{job.id}/{max(job.attempt, 1)}/{name}", "video/mp4", 4, "0" * 64)


# Whose turn it is


def test_within_a_tenant_first_in_first_out(store: Store) -> None:
    ids = [store.create(new_job())[0].id for _ in range(5)]
    assert [claimed(store, worker=f"w{n}").job.id for n in range(5)] == ids
    assert store.claim("w") is None


def test_higher_priority_first_across_tenants(store: Store) -> None:
    for priority, tenant in ((0, "a"), (2, "b"), (1, "a"), (2, "a")):
        store.create(new_job(tenant, priority=priority))
    assert [claimed(store, worker=f"w{n}").job.priority for n in range(4)] == [2, 2, 1, 0]


def test_a_worker_takes_only_its_models(store: Store) -> None:
    store.create(new_job(model="15b", priority=9))
    tiny, _ = store.create(new_job(model="tiny"))
    assert claimed(store, ("tiny", "small")).job.id == tiny.id
    assert store.claim("w", ("tiny", "small")) is None
    assert claimed(store).job.model == "15b"


def test_a_tenant_with_few_jobs_does_not_wait_behind_one_with_many(store: Store) -> None:
    for _ in range(20):
        store.create(new_job("many"))
    for _ in range(3):
        store.create(new_job("few"))
    assert sorted(turns(store, 6)) == ["few"] * 3 + ["many"] * 3


def test_shares_count_seconds_of_work_not_jobs(store: Store) -> None:
    for _ in range(30):
        store.create(new_job("long", quote={"seconds": 30.0}))
        store.create(new_job("short", quote={"seconds": 10.0}))
    served = Counter(turns(store, 24))
    assert served["short"] == 3 * served["long"]


def test_a_weight_of_two_gets_twice_the_seconds(store: Store) -> None:
    store.set_weight("gold", 2.0)
    for _ in range(20):
        store.create(new_job("gold"))
        store.create(new_job("plain"))
    served = Counter(turns(store, 15))
    assert served["gold"] == 10
    with pytest.raises(UserError, match="above 0"):
        store.set_weight("gold", 0.0)


def test_nobody_saves_up_while_idle(store: Store) -> None:
    for _ in range(30):
        store.create(new_job("busy"))
    turns(store, 20)
    for _ in range(10):
        store.create(new_job("newcomer"))
    served = Counter(turns(store, 10))
    assert 4 <= served["newcomer"] <= 6, "level from now on, no arrears"


def test_crashes_and_preemption_are_not_held_against_a_tenant(store: Store) -> None:
    for _ in range(4):
        store.create(new_job("unlucky"))
    for _ in range(4):
        store.requeue(claimed(store), None, "drained")
    for _ in range(4):
        store.create(new_job("other"))
    assert Counter(turns(store, 4)) == {"unlucky": 2, "other": 2}


def test_a_long_wait_outweighs_priority_but_not_fairness(url: str) -> None:
    store = Store.open(url, age_s=0.2)
    for _ in range(3):
        store.create(new_job("patient", priority=0))
    time.sleep(0.5)
    for _ in range(6):
        store.create(new_job("urgent", priority=2))
    assert Counter(turns(store, 4)) == {"patient": 2, "urgent": 2}
    store.close()


# What callers see


def test_a_tenant_sees_its_own_jobs_only(store: Store) -> None:
    job, _ = store.create(new_job("a"))
    for act in (
        lambda: store.get(job.id, "b"),
        lambda: store.cancel(job.id, "b"),
        lambda: store.delete(job.id, "b"),
        lambda: store.get("no such job"),
    ):
        with pytest.raises(NotFound):
            act()
    assert store.list("b") == [] and [j.id for j in store.list("a")] == [job.id]


def test_pages(store: Store) -> None:
    ids = [
        store.create(new_job(model=("x", "y")[n % 2], protocol=("fal", "native")[n % 3 == 0]))[0].id for n in range(9)
    ]
    assert ids == sorted(ids)
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        seen: list[str] = []
        while page := store.list("acme", after=seen[-1] if seen else None, limit=4, order=order):  # type: ignore[arg-type]
            seen += [job.id for job in page]
        assert seen == expected
    assert {j.model for j in store.list("acme", model="x")} == {"x"}
    assert len(store.list("acme", protocol="native")) == 3
    assert store.list("acme", status="failed") == []


def test_position_counts_what_comes_before(store: Store) -> None:
    ids = [
        store.create(new_job(priority=p, model=m))[0].id for p, m in ((0, "toy"), (0, "toy"), (1, "toy"), (9, "other"))
    ]
    assert [store.position(i) for i in ids] == [1, 2, 0, 0]
    claimed(store, ("toy",))
    assert [store.position(i) for i in ids] == [0, 1, 0, 0]


def test_events_tell_the_whole_story_in_order(store: Store) -> None:
    job, _ = store.create(new_job())
    claim = claimed(store)
    store.renew(claim, "base", 40.0, eta_s=3.0, preview_key=f"{job.id}/1/preview-1.jpg")
    store.renew(claim, "base", 30.0)
    store.finish(claim, (), {})
    events = store.events(job.id)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert [(e.kind, e.data.get("status") or e.data.get("progress") or e.data.get("key")) for e in events] == [
        ("status", "queued"),
        ("status", "in_progress"),
        ("progress", 40.0),
        ("preview", f"{job.id}/1/preview-1.jpg"),
        ("progress", 40.0),  # progress never falls
        ("status", "completed"),
    ]
    assert store.events(job.id, after_seq=4) == events[4:]


def test_requests_come_back_word_for_word(store: Store) -> None:
    request = {"prompt": "海 🐎 'quote\" :name %s \\ \n", "number": 0.1, "none": None, "list": [1, {"a": True}]}
    new = replace(new_job(), request=request, request_raw=[request], metadata={"k": "%(x)s"}, webhook={"url": "u"})
    job, _ = store.create(new)
    again = store.get(job.id)
    assert (again.request, again.request_raw) == (request, [request])
    assert (again.metadata, again.webhook) == ({"k": "%(x)s"}, {"url": "u"})
    assert claimed(store).job.request == request


# Limits and money


def test_limits_hold_under_concurrency(store: Store) -> None:
    """Sixteen callers at once, room for five: five get in. The same for money."""

    def attempt(admission: Admission) -> str:
        try:
            store.create(new_job(quote={"cost": 1.0}), admission)
        except (Throttled, QuotaExceeded) as error:
            return error.code
        return "created"

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(attempt, [Admission(max_open=5)] * 16)) == {"created": 5, "rate": 11}
        assert Counter(pool.map(attempt, [Admission(budget=8.5)] * 16)) == {"created": 3, "quota": 13}
    assert store.ledger.spent("acme", "key-acme") == (0.0, 8.0)
    store.finish(claimed(store), (), {"output_s": 5.0})
    assert store.ledger.spent("acme", "key-acme") == (1.0, 7.0)
    store.cancel(store.list("acme", order="asc", status="queued")[0].id)
    assert store.ledger.spent("acme", "key-acme") == (1.0, 6.0), "a cancelled job frees what it reserved"


def test_the_ledger_has_what_was_used(store: Store) -> None:
    job, _ = store.create(new_job(quote={"cost": 1.0}))
    store.finish(claimed(store), (), {"output_s": 5.0, "compute_s": 38.0, "flops": 2e16, "cost": 0.7})
    (charge,) = store.ledger.list("acme", since=0.0)
    assert (charge.job_id, charge.output_s, charge.compute_s, charge.flops, charge.cost) == (
        job.id,
        5.0,
        38.0,
        2e16,
        0.7,
    )
    assert store.ledger.list("other") == [] and store.ledger.list(since=time.time() + 60) == []


# Deletion and retention


def test_deletion_leaves_a_receipt_and_nothing_else(store: Store, tmp_path: Path) -> None:
    artifacts = open_artifacts(tmp_path / "artifacts")
    job, _ = store.create(new_job(quote={"cost": 1.0}))
    with pytest.raises(Conflict, match="queued; cancel it"):
        store.delete(job.id, "acme")
    claim = claimed(store)
    with pytest.raises(Conflict, match="in_progress; cancel it"):
        store.delete(job.id, "acme")
    artifacts.put(f"{job.id}/1/clip.mp4", b"clip")
    artifacts.put(f"{job.id}/1/checkpoint-1-x", b"left behind")
    store.finish(claim, (video(job),), {})
    receipt = store.delete(job.id, "acme")
    assert receipt.completed_at is None and receipt.artifacts[0].key == f"{job.id}/1/clip.mp4"
    with pytest.raises(NotFound):
        store.get(job.id)
    assert store.events(job.id) == []
    assert [r.num_removed for r in sweep(store, artifacts)] == [2]
    assert artifacts.list(job.id) == []
    (proof,) = store.receipts.of_job(job.id, "acme")
    assert proof.completed_at is not None and proof.reason == "asked"
    assert store.receipts.of_job(job.id, "other") == []
    assert len(store.ledger.list()) == 1, "money stays on the books"


def test_results_expire_after_their_retention(url: str, tmp_path: Path) -> None:
    store, artifacts = Store.open(url, retention_s=0.1), open_artifacts(tmp_path / "artifacts")
    job, _ = store.create(new_job())
    artifacts.put(f"{job.id}/1/clip.mp4", b"clip")
    done = store.finish(claimed(store), (video(job),), {})
    assert done.expires_at == pytest.approx(time.time() + 0.1, abs=2.0)
    store.retention_s = None
    kept, _ = store.create(new_job())
    assert store.finish(claimed(store), (video(kept),), {}).expires_at is None
    time.sleep(0.15)
    assert [r.job_id for r in sweep(store, artifacts)] == [job.id]
    assert sweep(store, artifacts) == []
    expired = store.get(job.id)
    assert (expired.status, expired.artifacts) == ("completed", ())
    assert artifacts.list(job.id) == [] and store.get(kept.id).artifacts != ()
    store.close()


def test_a_sweep_that_died_is_finished_by_the_next(store: Store, tmp_path: Path) -> None:
    """The row is gone, the bytes are not yet: the open receipt remembers."""
    artifacts = open_artifacts(tmp_path / "artifacts")
    job, _ = store.create(new_job())
    claim = claimed(store)
    artifacts.put(f"{job.id}/1/checkpoint-1-x", b"half-made")
    store.fail(claim, "invalid_input", "no", False)
    (receipt,) = store.receipts.open()
    assert receipt.reason == "unpublished"
    assert [r.num_removed for r in sweep(store, artifacts)] == [1]
    assert store.receipts.open() == []


# Webhooks and keys


def test_a_webhook_is_sent_at_least_once_by_one_sender_at_a_time(store: Store) -> None:
    job, _ = store.create(new_job(webhook={"url": "https://example.org"}))
    store.finish(claimed(store), (), {})
    with ThreadPoolExecutor(4) as pool:
        taken = [d for ds in pool.map(lambda _: store.deliveries.take(busy_s=0.2), range(4)) for d in ds]
    (delivery,) = taken
    assert (delivery.job_id, delivery.tries, delivery.webhook) == (job.id, 1, {"url": "https://example.org"})
    time.sleep(0.25)
    (again,) = store.deliveries.take()
    assert (again.id, again.tries) == (delivery.id, 2), "its sender died: due again, same id"
    store.deliveries.settle(again.id, error="503", retry_after_s=0.0)
    (third,) = store.deliveries.take()
    store.deliveries.settle(third.id)
    assert store.deliveries.take() == []
    assert store.deliveries.of_job(job.id)[0].delivered_at is not None


def test_keys(store: Store) -> None:
    key = KeyRow(new_id(), "acme", "first", "hash", ("videos:read",), {"budget_usd": 5}, time.time())
    store.keys.put(key)
    assert store.keys.by_hash("hash") == key and store.keys.by_hash("other") is None
    assert store.keys.list("acme") == [key] and store.keys.list("b") == []
    store.keys.expire(key.id, 5.0)
    store.keys.revoke(key.id)
    found = store.keys.by_hash("hash")
    assert found is not None and found.expires_at == 5.0 and found.revoked_at is not None
    with pytest.raises(NotFound):
        store.keys.revoke(key.id)


# The database underneath


def test_processes_that_start_together_migrate_once(url: str) -> None:
    code = "import sys; from muybridge.jobs import Store; Store.open(sys.argv[1]).close()"
    starting = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(4)]
    assert [p.wait(60.0) for p in starting] == [0, 0, 0, 0]


def test_a_newer_database_is_refused(url: str) -> None:
    store = Store.open(url)
    store.database.run(lambda tx: tx.connection.execute("INSERT INTO schema_version (version) VALUES (9999)"))
    with pytest.raises(UserError, match="newer Muybridge"):
        Store.open(url)
    store.close()


def test_a_failed_write_changes_nothing(store: Store) -> None:
    """An error in the middle of a unit of work leaves no half of it, and the connection usable."""
    job, _ = store.create(new_job(quote={"cost": 1.0}))
    claim = claimed(store)
    with pytest.raises(KeyError):
        store.database.run(lambda tx: (tx.run("cancel_running", id=job.id), {}["boom"]))
    assert not store.get(job.id).cancel_requested
    store.finish(claim, (), {})


def test_a_lost_connection_is_replaced(postgres: Any) -> None:
    store = Store.open(postgres.create_database("lost_connection"))
    job, _ = store.create(new_job())
    postgres.kill()
    postgres.start()
    assert store.get(job.id).status == "queued"
    assert claimed(store).job.id == job.id
    store.close()


def test_a_database_that_stays_away_is_said_to_be(tmp_path: Path) -> None:
    database = Database(f"postgresql://nobody@/x?host={tmp_path}", load_queries(), patience_s=0.2)
    with pytest.raises(Unavailable, match=r"did not answer for 0 s|did not answer"):
        database.migrate()


def test_a_claim_whose_answer_was_lost_is_taken_up_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit went through, the answer did not: the repeated claim returns the same attempt, not a second job."""
    for _ in range(2):
        store.create(new_job())
    database, run = store.database, store.database.run

    def lossy(work: Any, **how: Any) -> Any:
        """Commit the unit of work, forget its result, and repeat it, as `run` does after a lost connection."""
        first = run(work, **how)
        return run(work, **how) if how.get("lock") == "claim" else first

    monkeypatch.setattr(database, "run", lossy)
    claim = claimed(store)
    assert (claim.attempt, len(store.running())) == (1, 1)


def test_queries_read_the_same_on_both_databases() -> None:
    queries = load_queries()
    assert len(queries) > 50
    for name, sql in queries.items():
        assert ";" not in sql and "::" not in sql and "%" not in sql, name
    sql = "SELECT :a WHERE m IN (:models)"
    assert render(sql, {"a": 1, "models": ("x", "y")}, False) == "SELECT :a WHERE m IN (:models_0, :models_1)"
    assert render(sql, {"a": 1, "models": ("x",)}, True) == "SELECT %(a)s WHERE m IN (%(models_0)s)"
    assert statements("-- c\nA (\n  x);\nB;\n") == ["A (\n  x)", "B"]


def test_sqlite_addresses(tmp_path: Path) -> None:
    assert sqlite_options("a/b.sqlite") == ("a/b.sqlite", "NORMAL")
    assert sqlite_options(f"sqlite:///{tmp_path}/x?synchronous=full") == (f"{tmp_path}/x", "FULL")
    store = Store.open(f"sqlite:///{tmp_path}/x.sqlite?synchronous=full")
    full = store.database.run(lambda tx: tx.connection.execute("PRAGMA synchronous").fetchone()[0])
    assert full == 2
    store.close()
    for bad in ("mysql://x", "sqlite:///x?synchronous=off"):
        with pytest.raises(UserError):
            sqlite_options(bad)


def test_ids_are_ulids_that_only_grow() -> None:
    ids = [new_id() for _ in range(2000)]
    assert ids == sorted(set(ids)) and {len(i) for i in ids} == {26}
    assert abs(_ulid_time(ids[0]) - time.time()) < 60


def _ulid_time(ulid: str) -> float:
    number = 0
    for char in ulid[:10]:
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(char)
    return number / 1000


# Random histories


class Histories(RuleBasedStateMachine):
    """Random operations on the store and on a dictionary; after each one both must tell the same story."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.open(self.url, max_failures=1, preempt_after_s=0.0, age_s=1e9)
        self.status: dict[str, str] = {job.id: "gone" for job in self.store.list(None, limit=10_000)}
        self.ended: dict[str, int] = {}
        self.claims: list[Claim] = []
        self.charged = len(self.store.ledger.list())

    def teardown(self) -> None:
        for job_id, status in self.status.items():
            if status in ("queued", "in_progress"):
                self.store.cancel(job_id)
        self.store.reap(now=time.time() + 1e6)
        self.store.close()

    @rule(tenant=st.sampled_from("ab"), model=st.sampled_from("xy"), priority=st.integers(0, 2))
    def create(self, tenant: str, model: str, priority: int) -> None:
        job, _ = self.store.create(new_job(tenant, model, priority))
        self.status[job.id] = "queued"

    @rule(models=st.sampled_from([None, ("x",), ("y",), ("x", "y")]))
    def claim(self, models: tuple[str, ...] | None) -> None:
        claim = self.store.claim(f"w{len(self.claims)}", models)
        waiting = [i for i, s in self.status.items() if s == "queued"]
        if claim is None:
            assert not any(models is None or self.store.get(i).model in models for i in waiting)
            return
        assert claim.job.id in waiting and (models is None or claim.job.model in models)
        self.status[claim.job.id] = "in_progress"
        self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), how=st.sampled_from(["renew", "finish", "fail", "retry", "requeue", "cancelled"]))
    def report(self, data: st.DataObject, how: str) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        job = self.store.get(claim.job.id)
        current = job.attempt == claim.attempt and job.status == "in_progress"
        acts = {
            "renew": lambda: self.store.renew(claim, "base", 10.0),
            "finish": lambda: self.store.finish(claim, (), {}),
            "fail": lambda: self.store.fail(claim, "internal", "", False),
            "retry": lambda: self.store.fail(claim, "worker_lost", "", True),
            "requeue": lambda: self.store.requeue(claim, None, "test"),
            "cancelled": lambda: self.store.confirm_cancel(claim),
        }
        try:
            acts[how]()
        except WorkerLost:
            assert not current
            return
        after = self.store.get(claim.job.id)
        if not current:
            assert after == job, "a report that came twice changed something"
            return
        stopping = "cancelled" if job.cancel_requested else None
        expected = {
            "renew": "in_progress",
            "finish": "completed",
            "fail": stopping or "failed",
            "retry": stopping or ("queued" if job.failures < 1 else "failed"),
            "requeue": stopping or "queued",
            "cancelled": "cancelled",
        }[how]
        assert after.status == expected
        self.status[claim.job.id] = expected
        self.charged += how == "finish"

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        known = [i for i, s in self.status.items() if s != "gone"]
        if not known:
            return
        job_id = data.draw(st.sampled_from(known))
        if self.status[job_id] == "queued":
            self.status[job_id] = "cancelled"
        assert self.store.cancel(job_id).status == self.status[job_id]

    @rule()
    def lose_all_workers(self) -> None:
        for job_id in self.store.reap(now=time.time() + 1e6):
            self.status[job_id] = self.store.get(job_id).status
            assert self.status[job_id] in ("queued", "failed", "cancelled")

    @invariant()
    def the_same_story(self) -> None:
        jobs = {job.id: job for job in self.store.list(None, limit=10_000)}
        for job_id, status in self.status.items():
            if status != "gone":
                assert jobs[job_id].status == status
        assert len(self.store.ledger.list()) == self.charged
        waiting = Counter((j.tenant, j.model, j.priority) for j in jobs.values() if j.status == "queued")
        lanes = self.store.queue()
        assert {(lane["tenant"], lane["model"], lane["priority"]): lane["queued"] for lane in lanes} == waiting
        heads = {(j.tenant, j.model, j.priority): [] for j in jobs.values()}
        for job in jobs.values():
            if job.status == "queued":
                heads[job.tenant, job.model, job.priority].append(job.created_at)
        for lane in lanes:
            assert lane["head_at"] == pytest.approx(min(heads[lane["tenant"], lane["model"], lane["priority"]]))


def test_random_histories(url: str) -> None:
    machine = type("Here", (Histories,), {"url": url})
    few = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=few)
