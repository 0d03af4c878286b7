"""Money and promises under every fault: the matrix, crashes in the middle, breakers, budgets, and the year 2026."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from muybridge.errors import ModelRetired, QuotaExceeded, SubmitUnknown
from muybridge.providers.attempts import Rules, Task
from muybridge.providers.catalog import days, parse, shipped
from muybridge.providers.fleet import ALL_CHANGES, EVERY_PROVIDER, START, Clock, Fleet, Report, matrix
from muybridge.providers.ledger import Budget, Ledger
from muybridge.providers.router import Conditions, Wish, route
from muybridge.providers.simulator import FAULTS, Simulator
from muybridge.request import Request


def full_fleet(folder: Path, **more: object) -> Fleet:
    """Every provider, the ones without a public price with a made-up one."""
    clock = Clock()
    catalog = parse(EVERY_PROVIDER, shipped())
    simulator = Simulator(clock, catalogs=[EVERY_PROVIDER])
    return Fleet(folder / "router.sqlite", catalog=catalog, simulator=simulator, clock=clock, **more)  # type: ignore[arg-type]


def one(prompt: str, model: str, n: int = 0, **more: object) -> Task:
    wish = Wish(Request(f"{prompt} #{n}", size="720p", seconds=4), model, **more)  # type: ignore[arg-type]
    return Task(f"job-{n}", "tenant", "key", wish)


def outcome(fleet: Fleet, task: Task) -> Report:
    report = fleet.run([task])
    assert report.problems == []
    return report


def test_matrix_of_every_provider_and_fault(tmp_path: Path) -> None:
    fleet = full_fleet(tmp_path)
    pairs = 14 * len(FAULTS)
    tasks = matrix(pairs, fleet.catalog)
    seen = {task.wish.request.prompt.partition("[")[2].partition("]")[0] for task in tasks}
    assert len(seen) == pairs  # 14 protocols, every fault, none left out
    report = fleet.run(tasks)
    assert report.problems == []
    assert sum(report.outcomes.values()) == pairs
    assert report.ledger_micros == report.invoice_micros > 0
    assert report.outcomes["succeeded"] > pairs // 2
    fleet.close()


# What each fault must come to, for a job that may go elsewhere ("succeeded" may mean: at another provider).
EXPECTED = {
    "none": "succeeded",
    "slow": "succeeded",
    "429": "succeeded",
    "500": "succeeded",
    "503": "succeeded",
    "down": "succeeded",
    "auth": "succeeded",
    "lost_answer": "succeeded",  # found again by kling's own id
    "lost_request": "succeeded",
    "no_id": "succeeded",
    "bad_gateway": "succeeded",
    "bad_gateway_made": "succeeded",
    "poll_500": "succeeded",
    "poll_dropped": "succeeded",
    "poll_html": "succeeded",
    "hidden": "succeeded",
    "double_push": "succeeded",
    "lost_push": "succeeded",
    "early_push": "succeeded",
    "truncated": "succeeded",
    "download_500": "succeeded",
    "failed": "succeeded",
    "moderation_input": "ModerationRefused",
    "moderation_output": "ModerationWithheld",
    "wrong_length": "ProviderFailed",
    "corrupt": "ProviderFailed",
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_each_fault_comes_to_the_right_end(tmp_path: Path, fault: str) -> None:
    fleet = full_fleet(tmp_path)
    task = one(f"A horse. [kling:{fault}]", "kling/kling-3.0", allow=ALL_CHANGES | {"model"})
    report = outcome(fleet, task)
    assert report.outcomes == {EXPECTED[fault]: 1}
    works = [w.lane.partition("@")[0] for w in fleet.simulator.works.values()]
    elsewhere = fault in ("429", "500", "503", "down", "auth", "lost_request", "bad_gateway", "failed")
    assert any(provider != "kling" for provider in works) == elsewhere, works
    attempts = fleet.ledger.attempts("job-0")
    assert sum(a.cost or 0 for a in attempts) == report.invoice_micros
    charged = fleet.ledger.totals()["charge"]
    assert charged == (
        report.invoice_micros if EXPECTED[fault] == "succeeded" else 0
    )  # a failure costs the caller nothing
    fleet.close()


def test_a_lost_answer_is_never_sent_to_somebody_else(tmp_path: Path) -> None:
    """xAI has neither list nor push: nobody can tell, so nobody else is paid, and the invoice settles it."""
    fleet = full_fleet(tmp_path)
    task = one("A horse. [xai:lost_answer]", "xai/grok-imagine", allow=ALL_CHANGES | {"model"})
    errors = []
    report = fleet.run([task], on_step=lambda _, step: errors.append(step.error))
    assert isinstance(errors[-1], SubmitUnknown)
    assert report.problems == []
    assert (report.num_submits, report.num_billed, report.num_reviewed) == (1, 1, 1)
    (attempt,) = fleet.ledger.attempts("job-0")
    assert attempt.state == "needs_review"
    assert attempt.cost == report.invoice_micros  # ours to pay, not the caller's
    assert fleet.ledger.totals()["charge"] == fleet.ledger.totals()["held"] == 0
    fleet.close()


@pytest.mark.parametrize("model", ["openai/simulated", "ark/seedance-2.0", "replicate/simulated", "dashscope/wan-3.0"])
def test_a_short_list_is_not_taken_for_a_missing_job(tmp_path: Path, model: str) -> None:
    """Found by the matrix of 10,000: a lost job beyond the first page of a list was held absent and paid twice."""
    fleet = full_fleet(tmp_path, rules=Rules())  # no pushes
    faults = ["lost_answer" if n % 60 == 5 else "none" for n in range(240)]
    tasks = [one(f"A horse. [any:{fault}]", model, n, allow=ALL_CHANGES | {"model"}) for n, fault in enumerate(faults)]
    report = fleet.run(tasks)
    assert report.problems == []
    assert report.double_billed == 0
    assert report.num_submits == 240
    fleet.close()


def test_nothing_is_charged_while_a_submit_is_unknown(tmp_path: Path) -> None:
    fleet = full_fleet(tmp_path)
    task = one("A horse. [xai:lost_answer]", "xai/grok-imagine", allow=ALL_CHANGES | {"model"})
    for _ in range(5):
        step = fleet.dispatch.step(task, tmp_path)
        assert step.state == "working"
        fleet.clock.now = step.due_at
        totals = fleet.ledger.totals()
        assert totals["charge"] == totals["cost"] == 0 < totals["held"]
    assert fleet.simulator.submits.total() == 1
    fleet.close()


def test_a_router_forgetting_everything_at_each_step_still_pays_once(tmp_path: Path) -> None:
    """A new process for each step: all state is in the ledger."""
    fleet = full_fleet(tmp_path)
    tasks = [one(f"A horse. [any:{fault}]", f"{p}", n, allow=ALL_CHANGES)
             for n, (p, fault) in enumerate([("kling/kling-3.0", "none"), ("ark/seedance-2.0", "lost_answer"),
                                             ("dashscope/wan-3.0@ap-southeast-1", "lost_answer")])]  # fmt: skip
    for task in tasks:
        for _ in range(200):
            step = fleet.new_dispatch().step(task, tmp_path)
            if step.state != "working":
                break
            fleet.clock.now = max(step.due_at, fleet.clock.now)
        assert step.state == "succeeded", step.error
        # Settled, but the process died before the job was published: the same result again, no second charge.
        again = fleet.new_dispatch().step(task, tmp_path)
        assert again.state == "succeeded" and again.result is not None
    assert len(fleet.simulator.works) == 3
    assert fleet.ledger.totals()["cost"] == sum(m for _, m in fleet.simulator.billed())
    fleet.close()


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_providers_fleet import full_fleet, one
from muybridge.providers.simulator import LostAnswer
fleet = full_fleet(Path({folder!r}))
taken = fleet.simulator.submit
def submit(*args):
    reply = taken(*args)  # the provider has the job: die before anybody here knows
    os.kill(os.getpid(), signal.SIGKILL)
fleet.simulator.submit = submit
fleet.dispatch.step(one("A horse.", "kling/kling-3.0"), Path({folder!r}))
"""


def test_kill_9_between_the_paid_call_and_its_answer(tmp_path: Path) -> None:
    code = textwrap.dedent(CHILD).format(folder=str(tmp_path), tests=str(Path(__file__).parent))
    child = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    assert child.returncode == -signal.SIGKILL
    fleet = full_fleet(tmp_path)
    (attempt,) = fleet.ledger.attempts("job-0")
    assert attempt.state == "intent"  # written before the call
    task = one("A horse.", "kling/kling-3.0")
    steps = [fleet.dispatch.step(task, tmp_path) for _ in range(2)]
    assert all(step.state == "working" for step in steps)
    assert fleet.ledger.attempts("job-0")[0].state in ("unknown", "rejected")
    assert fleet.simulator.submits.total() == 0  # the new process looked for the job; it did not send it again
    fleet.close()


def test_two_workers_with_one_job_send_it_once(tmp_path: Path) -> None:
    fleet = full_fleet(tmp_path)
    task = one("A horse.", "kling/kling-3.0")
    first, second = fleet.new_dispatch(), fleet.new_dispatch()
    for turn in range(60):
        step = (first, second)[turn % 2].step(task, tmp_path)
        fleet.clock.now = max(step.due_at, fleet.clock.now)
    assert step.state == "succeeded"
    assert len(fleet.simulator.works) == 1
    fleet.close()


def test_cancel_is_best_effort_and_what_still_costs_is_booked(tmp_path: Path) -> None:
    fleet = full_fleet(tmp_path)
    queued, running = one("A horse.", "dashscope/wan-3.0@ap-southeast-1", 1), one("A horse.", "kling/kling-3.0", 2)
    for task in (queued, running):
        assert fleet.dispatch.step(task, tmp_path).state == "working"
        assert fleet.dispatch.cancel(task).state == "cancelled"
    assert fleet.ledger.attempts("job-1")[0].cost == 0  # not started: DashScope lets it go
    assert fleet.ledger.attempts("job-2")[0].is_open  # Kling has no cancel: it is made and billed
    report = Report()
    fleet._settle(report)
    fleet._judge(report)
    assert report.ledger_micros == report.invoice_micros == fleet.ledger.attempts("job-2")[0].cost
    assert fleet.ledger.totals()["charge"] == 0
    fleet.close()


def test_budgets_hold_under_many_jobs_at_once(tmp_path: Path) -> None:
    budget = Budget(3_000_000, tenant="tenant")
    fleet = full_fleet(tmp_path, budgets=[budget, Budget(1_000_000_000)])
    tasks = [one("A horse.", "fal/happyhorse-1.1", n) for n in range(20)]  # $0.56 each
    errors: Counter[str] = Counter()
    report = fleet.run(tasks, on_step=lambda _, s: errors.update([type(s.error).__name__] if s.error else []))
    assert report.problems == []
    assert report.outcomes == {"succeeded": 5, "QuotaExceeded": 15}
    assert fleet.ledger.totals()["charge"] == 5 * 560_000
    assert errors == {QuotaExceeded.__name__: 15}
    fleet.clock.now = START + 86_400  # another day, another budget
    assert outcome(fleet, one("A horse.", "fal/happyhorse-1.1", 99)).outcomes == {"succeeded": 1}
    fleet.close()


def test_a_failing_provider_is_left_alone_and_tried_again(tmp_path: Path) -> None:
    fleet = full_fleet(tmp_path, breaker=True)
    tasks = [one("A horse. [xai:503]", "auto", n, providers=frozenset({"xai", "fal"})) for n in range(12)]
    report = fleet.run(tasks, per_s=0.5)
    assert report.problems == []
    assert report.outcomes == {"succeeded": 12}
    to_xai = sum(n for (lane, _), n in fleet.simulator.submits.items() if lane == "xai")
    assert 3 <= to_xai <= 6  # three in a row close it; a probe now and then
    fleet.clock.now += 3600
    assert outcome(fleet, one("A horse.", "auto", 50, providers=frozenset({"xai", "fal"}))).outcomes == {"succeeded": 1}
    assert fleet.dispatch.health.of("xai").failures == 0
    fleet.close()


def test_the_same_project_keeps_its_look(tmp_path: Path) -> None:
    fleet = full_fleet(tmp_path)
    outcome(fleet, one("A horse.", "fal/happyhorse-1.1", 1, project="film"))
    decided = fleet.dispatch.decide(one("A horse.", "auto", 2, project="film"))
    assert decided.chosen.offer.key == "fal/happyhorse-1.1"
    assert decided.reason == "the offer that this project used last"
    assert fleet.dispatch.decide(one("A horse.", "auto", 3)).chosen.offer.key != "fal/happyhorse-1.1"
    fleet.close()


def test_a_deadline_ends_a_job_and_its_cost_is_still_found(tmp_path: Path) -> None:
    fleet = full_fleet(tmp_path)
    late = Task("job-0", "tenant", "key", one("A horse. [fal:slow]", "fal/happyhorse-1.1").wish, deadline_at=START + 60)
    report = fleet.run([late])
    assert report.outcomes == {"TimedOut": 1}
    assert report.problems == []
    assert report.ledger_micros == report.invoice_micros > 0
    fleet.close()


def day(text: str) -> float:
    return datetime.datetime.fromisoformat(f"{text}T12:00:00+00:00").timestamp()


def test_the_year_2026_passes_without_a_change_to_the_application(tmp_path: Path) -> None:
    """Day by day, an application configured in January asks for what it always asked for."""
    clock = Clock(day("2026-01-01"))
    fleet = Fleet(tmp_path / "year.sqlite", simulator=Simulator(clock), clock=clock)
    asked = ["sora-2", "veo-3.0", "seedance-1.5-pro", "gemini-omni-flash-preview", "auto"]
    allow = ALL_CHANGES | {"model"}
    used: dict[str, list[str]] = {name: [] for name in asked}
    since: dict[tuple[str, str], datetime.date] = {}
    n = 0
    while clock.now < day("2026-12-31"):
        at = days(clock.now)
        for name in asked:
            n += 1
            no = frozenset({"azure"} if name == "sora-2" else ())
            wish = Wish(Request(f"A horse. #{n}", size="720p", seconds=4), name, allow=allow, not_providers=no)
            decision = fleet.dispatch.decide(Task(f"year-{n}", "t", "k", wish))
            life = decision.chosen.offer.lifecycle
            assert life.stage(at) in ("available", "deprecated"), (at, decision.chosen.offer.key)
            assert life.sunset is None or at < life.sunset
            assert life.available is None or at >= life.available
            actual = decision.chosen.offer.key
            if not used[name] or used[name][-1] != actual:
                used[name].append(actual)
                since[name, actual] = at
            if clock.now == day(str(at)) and at.day == 15:  # and once a month for real, to the file
                task = Task(f"year-{n}", "t", "k", wish)
                report = fleet.run([task])
                assert report.outcomes == {"succeeded": 1}, (name, at)
                clock.now = day(str(at))
        clock.now += 86_400
    assert used["sora-2"][0] == "openai/sora-2"
    assert since["sora-2", used["sora-2"][1]] == datetime.date(2026, 9, 24)  # the day it ended
    omni = "gemini-omni-flash-preview"
    assert used[omni] == [f"omni/{omni}", "omni/gemini-omni-1.1-flash"]
    assert since[omni, used[omni][1]] == datetime.date(2026, 9, 30)
    assert used["veo-3.0"][0] == "google/veo-3.1"  # its own offers are unknown: its successor, then that one's family
    assert sum(len(found) - 1 for found in used.values()) >= 5  # the ground did move
    fleet.close()


def test_a_retired_model_is_never_routed_to() -> None:
    catalog = shipped()
    everyone = frozenset(o.provider for o in catalog.offers)
    for at in (day("2026-09-24"), day("2026-11-02"), day("2026-11-17"), day("2026-12-31")):
        retired = [o for o in catalog.offers if o.lifecycle.stage(days(at)) == "retired"]
        assert retired
        for offer in retired:
            seconds = max((offer.model.choices or (4.0,))[0], 3.0)
            request = Request("A horse.", size="720p", seconds=seconds)
            with pytest.raises(ModelRetired) as caught:
                route(Wish(request, offer.key, allow=ALL_CHANGES), catalog, Conditions(at, everyone))
            assert str(offer.lifecycle.sunset) in str(caught.value)
    with pytest.raises(ModelRetired, match=r"use gemini-omni-1\.2-flash"):
        request = Request("A horse.", size="720p", seconds=4)
        route(Wish(request, "gemini-omni-flash-preview"), catalog, Conditions(day("2026-11-20"), everyone))


def test_the_database_itself_refuses_a_second_open_attempt(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "l.sqlite")
    catalog = shipped()
    request = Request("A horse.", size="720p", seconds=4)
    decision = route(Wish(request), catalog, Conditions(time.time(), frozenset({"fal"})))
    first = ledger.intend("job", 1, "t", "k", "", decision, 1.0)
    assert first is not None
    assert ledger.intend("job", 2, "t", "k", "", decision, 2.0) is None
    ledger.lost(first.id, "no answer")
    assert ledger.intend("job", 2, "t", "k", "", decision, 3.0) is None
    assert ledger.end(first, "rejected", 0, 4.0, charge=False)
    assert not ledger.end(first, "succeeded", 500, 5.0, charge=True)  # only the first end counts
    assert ledger.totals() == {"reserve": first.quote, "release": -first.quote, "charge": 0, "cost": 0, "held": 0}
    assert ledger.intend("job", 2, "t", "k", "", decision, 6.0) is not None
    ledger.close()


def test_rules_keep_their_defaults() -> None:
    assert Rules().unknown_after_s == 3600.0
    assert Rules().callback_url is None
