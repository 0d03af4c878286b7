"""What the command line shows of the router: one function a verb, plain values first, text from them."""

from __future__ import annotations

import contextlib
import datetime
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from muybridge.errors import InvalidRequest
from muybridge.providers.catalog import SHORT_SIDE, Offer, days, ending, parse, shipped
from muybridge.providers.client import WIRES
from muybridge.providers.economics import Machine, max_utilisation, mixes
from muybridge.providers.ledger import Ledger
from muybridge.providers.price import Measure
from muybridge.providers.router import Conditions, Decision
from muybridge.providers.router import route as choose
from muybridge.providers.routing import routing
from muybridge.request import Request
from muybridge.shapes import cost as engine_cost


def decide(
    prompt: str, model: str, size: str, seconds: float, policy: str | None, allow: str, everyone: bool
) -> Decision:
    """A decision for a text prompt under this machine's routing rules. Raises what `router.route` raises."""
    rules = routing()
    wish = rules.wish(Request(prompt, size=size, seconds=seconds), model, {"policy": policy, "allow": allow})
    enabled = frozenset(WIRES) | rules.enabled() if everyone else rules.enabled()
    if not enabled:
        raise InvalidRequest(
            "No account is set up. Set a key such as MUYBRIDGE_FAL_KEY, name own models in routing.toml, or see all "
            "offers with --all."
        )
    lanes = None if everyone else rules.lanes()
    return choose(wish, rules.offers(), Conditions(time.time(), enabled, lanes, ratings=rules.ratings))


def decision_text(decision: Decision, explain: bool) -> str:
    """The choice, and with `explain` the whole field."""
    chosen = decision.chosen
    lines = [f"{chosen.offer.key}  ${chosen.micros / 1e6:.4f}  ({decision.reason})"]
    lines += [f"  {c.what}: {c.asked} -> {c.gets}" for c in chosen.plan.changes]
    life = chosen.offer.lifecycle
    if life.sunset is not None:
        lines.append(f"  ends on {life.sunset}" + (f"; then {life.successor}" if life.successor else ""))
    if explain:
        lines += ["", f"{len(decision.ranked)} could do it ({decision.policy}):"]
        lines += [f"  {n:>3}. {c.offer.key:<44} ${c.micros / 1e6:.4f}" for n, c in enumerate(decision.ranked, 1)]
        lines += ["", f"{len(decision.refused)} could not:"]
        lines += [f"       {key:<44} {stage:<10} {detail}" for key, stage, detail in decision.refused]
        lines += ["", f"Catalogue {decision.catalog_version}, {_date(decision.at)}."]
    return "\n".join(lines)


def offers(sunset: bool, within_days: int, provider: str | None, task: str | None) -> list[dict[str, Any]]:
    """Rows of the catalogue as of today."""
    rules, today = routing(), days(time.time())
    catalog = rules.offers()
    found = ending(catalog, today, within_days) if sunset else list(catalog.offers)
    return [
        _row(o, today, rules.enabled())
        for o in found
        if (provider is None or o.provider == provider) and (task is None or o.does(task))
    ]


def _row(offer: Offer, today: datetime.date, enabled: frozenset[str]) -> dict[str, Any]:
    model, life = offer.model, offer.lifecycle
    per_s = {}
    for tier in offer.tiers:
        height = SHORT_SIDE[tier]
        seconds = (model.choices or (max(5.0, model.min_s),))[0]
        micros = offer.cost(
            Measure(tier, round(seconds * 1000), model.audio != "never", width=height * 16 // 9, height=height), today
        )
        per_s[tier] = None if micros is None else micros / 1e6 / seconds
    return {
        "offer": offer.key,
        "model": model.name,
        "provider": offer.provider,
        "region": offer.region,
        "runs_in": sorted(offer.runs_in),
        "account": offer.provider in enabled,
        "stage": life.stage(today),
        "tasks": sorted(t for t in model.tasks if offer.does(t)),
        "seconds": list(model.choices) or [model.min_s, model.max_s],
        "ratios": sorted(model.ratios),
        "references": list(model.references),
        "audio": model.audio,
        "lip_sync": model.lip_sync,
        "languages": sorted(model.languages),
        "seed": model.seed,
        "usd_per_s": per_s,
        "available": life.available,
        "deprecated": life.deprecated,
        "sunset": life.sunset,
        "successor": life.successor,
        "licence": model.licence,
        "note": offer.note or model.note,
        "source": offer.source,
        "as_of": offer.as_of,
    }


def offers_text(rows: list[dict[str, Any]], sunset: bool) -> str:
    """One line an offer."""
    lines = []
    for row in rows:
        prices = "  ".join(f"{t} {'?' if p is None else f'${p:.3f}'}" for t, p in row["usd_per_s"].items())
        mark = "*" if row["account"] else " "
        end = f"  ends {row['sunset']}" if row["sunset"] else ""
        follow = f" -> {row['successor']}" if row["successor"] and (sunset or row["stage"] != "available") else ""
        tasks = ",".join(row["tasks"])
        lines.append(f"{mark} {row['offer']:<44} {row['stage']:<10} {tasks:<18} {prices}{end}{follow}")
    if not rows:
        lines.append("Nothing." if not sunset else "Nothing ends soon.")
    lines.append("* an account is set up here; prices are list prices in USD for one second of output, with sound.")
    return "\n".join(lines)


def costs(
    size: str, model: str, gpu_hour: float, utilisation: float, acceptance: float, monthly: float, wait_s: float
) -> dict[str, Any]:
    """Unit costs of our engine, what renting costs today, and mixes for a month."""
    clip_s = 5.0
    request = Request("shape", size=size, seconds=clip_s)
    render_s = engine_cost(request, model).seconds
    machine = Machine(gpu_hour, utilisation, acceptance)
    rules, now = routing(), time.time()
    wish = rules.wish(request)
    remote = replace(wish, not_providers=wish.not_providers | {"local"})
    rented = choose(remote, rules.offers(), Conditions(now, frozenset(WIRES)))
    usd_per_s = rented.chosen.micros / 1e6 / clip_s
    found: dict[str, Any] = {
        "size": size,
        "model": model,
        "gpu_hour_usd": gpu_hour,
        "utilisation": utilisation,
        "acceptance": acceptance,
        "render_s_per_clip_s": render_s / clip_s,
        "own_usd_per_s": machine.cost_usd(render_s, clip_s),
        "rented_usd_per_s": usd_per_s,
        "rented_offer": rented.chosen.offer.key,
        "max_utilisation": {str(n): max_utilisation(n, wait_s, render_s) for n in (1, 2, 4, 8, 16, 32)},
        "wait_s": wait_s,
    }
    found["usd_per_s_at_wait"] = {
        n: replace(machine, utilisation=u).cost_usd(render_s, clip_s) for n, u in found["max_utilisation"].items()
    }
    if monthly:
        ranked = mixes(monthly, render_s / clip_s, machine, usd_per_s, wait_s, clip_s)
        found["monthly_s"] = monthly
        found["mixes"] = [mix.to_dict() for mix in ranked[:5]]
    return found


def costs_text(found: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"{found['model']} at {found['size']}: {found['render_s_per_clip_s']:.2f} GPU seconds a second (by formula)",
        f"own, ${found['gpu_hour_usd']:.2f}/h, {found['utilisation']:.0%} used, {found['acceptance']:.0%} accepted: "
        f"${found['own_usd_per_s']:.4f} a second",
        f"rented, cheapest today: ${found['rented_usd_per_s']:.4f} a second ({found['rented_offer']})",
        "",
        f"if 95 % of the jobs wait at most {found['wait_s']:g} s:",
    ]
    for n, bound in found["max_utilisation"].items():
        lines.append(f"  {n:>2} GPUs: {bound:4.0%} used, ${found['usd_per_s_at_wait'][n]:.4f} a second")
    if "mixes" in found:
        lines += ["", f"cheapest ways to {found['monthly_s']:g} s a month:"]
        for mix in found["mixes"]:
            lines.append(
                f"  {mix['num_gpus']:>3} own GPUs make {mix['own_s']:.0f} s, rented {mix['rented_s']:.0f} s: "
                f"${mix['usd']:.2f} (${mix['usd_per_s']:.4f} a second)"
            )
    return "\n".join(lines)


def attempts(database_url: str, job_id: str) -> list[dict[str, Any]]:
    """A routed job's attempts, first to last: to whom, why, what it was to cost and what it did. Operators only."""
    with contextlib.closing(Ledger.open(database_url)) as ledger:
        known = ledger.attempts(job_id)
    found = []
    for a in known:
        choice = json.loads(a.decision)
        found.append(
            {
                "n": a.n,
                "offer": a.offer,
                "state": "orphan" if a.orphan and a.is_open else a.state,
                "reason": choice["reason"],
                "changes": choice["changes"],
                "quote_usd": a.quote / 1e6,
                "cost_usd": None if a.cost is None else a.cost / 1e6,
                "error": a.error,
                "provider_job": a.ticket.id if a.ticket else None,
                "submitted_at": a.created_at,
                "ended_at": a.ended_at,
                "refused": choice["refused"],
            }
        )
    return found


def attempt_text(told: dict[str, Any]) -> str:
    """One attempt of `attempts` on a line, its changes and error below."""
    cost = "cost unknown" if told["cost_usd"] is None else f"cost ${told['cost_usd']:.4f}"
    lines = [
        f"  attempt {told['n']}  {told['offer']}  {told['state']}  quoted ${told['quote_usd']:.4f}, {cost}",
        f"      {told['reason']}; {len(told['refused'])} others could not (--json names them)",
        *(f"      {c['what']}: {c['asked']} -> {c['gets']}" for c in told["changes"]),
    ]
    return "\n".join(lines + ([f"      {told['error']}"] if told["error"] else []))


def serve_simulator(port: int, render_s: float, as_json: bool) -> None:
    """Answer as every provider until Ctrl-C."""
    import uvicorn

    from muybridge.providers.fleet import lanes_of
    from muybridge.providers.simulator import Simulator

    url = f"http://127.0.0.1:{port}"
    simulator = Simulator(render_s=render_s, url=url)
    bases = {lane: f"{url}/{lane}" for lane in sorted(lanes_of(shipped()))}
    if as_json:
        print(json.dumps({"url": url, "bases": bases}), flush=True)  # noqa: T201  (what the verb is for)
    else:
        lines = ["# Every provider, simulated. For routing.toml, with any text as keys (MUYBRIDGE_FAL_KEY=x ...):", ""]
        for lane, base in bases.items():
            provider, _, region = lane.partition("@")
            where = f", regions = [{json.dumps(region)}]" if region else ""
            lines.append(f'# providers.{provider} = {{ base = "{base}", trusted = true{where} }}')
        print("\n".join(lines), flush=True)  # noqa: T201
    uvicorn.run(simulator, port=port, log_level="critical", lifespan="off", server_header=False)


def run_matrix(num_jobs: int, breaker: bool, render_s: float, data: Path | None) -> Any:  # noqa: ANN401  (fleet.Report)
    """Jobs through every provider and fault, with a progress bar."""
    from rich.progress import Progress

    from muybridge.providers.fleet import EVERY_PROVIDER, Clock, Fleet, matrix
    from muybridge.providers.simulator import Simulator

    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="simulate-") as folder:
        keep = data or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        fleet = Fleet(
            keep / f"simulated-{time.strftime('%Y%m%dT%H%M%S')}.sqlite",
            catalog=parse(EVERY_PROVIDER, shipped()),
            breaker=breaker,
            simulator=Simulator(clock, render_s=render_s, catalogs=[EVERY_PROVIDER]),
            clock=clock,
        )
        tasks = matrix(num_jobs, fleet.catalog)
        try:
            with Progress(transient=True) as bar:
                row = bar.add_task("simulated jobs", total=num_jobs)
                return fleet.run(tasks, on_step=lambda _, step: bar.advance(row, float(step.state != "working")))
        finally:
            fleet.close()


def report_text(report: Any) -> str:  # noqa: ANN401  (fleet.Report)
    """The account of a simulated run."""
    found = report.to_dict()
    problems = found.pop("problems")
    lines = [f"{name:<20} {value}" for name, value in found.items()]
    return "\n".join([*lines, "", "problems: " + (", ".join(problems) or "none")])


def _date(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
