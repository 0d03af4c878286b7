"""`muybridge route`, `models`, `cost`, `simulate`: who makes a clip, what there is, what it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Allow = Annotated[
    str, typer.Option(help="What may be changed, by comma: model,size,seconds,ratio,audio,language,negative_prompt.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("route")(route)
    app.command("models")(models)
    app.command("cost")(cost)
    app.command("simulate")(simulate)


def route(
    prompt: Annotated[str, typer.Argument(help="What should be seen and heard.")],
    model: Annotated[str, typer.Option(help="auto, auto:fastest, a model, or PROVIDER/MODEL.")] = "auto",
    size: Annotated[str, typer.Option(help="448x256, 480p, 720p or 1080p.")] = "720p",
    seconds: Annotated[float, typer.Option(help="Length of the clip.")] = 5.0,
    policy: Annotated[str | None, typer.Option(help="cheapest, fastest, best or weighted.")] = None,
    allow: Allow = "",
    explain: Annotated[bool, typer.Option("--explain", help="Show every offer and why it was not chosen.")] = False,
    everyone: Annotated[bool, typer.Option("--all", help="As if there were an account with every provider.")] = False,
    as_json: AsJson = False,
) -> None:
    """Which offer would get this request, and why. Nothing is sent."""
    from muybridge.providers import tell

    found = tell.decide(prompt, model, size, seconds, policy, allow, everyone)
    print(json.dumps(found.to_dict(1000)) if as_json else tell.decision_text(found, explain))


def models(
    sunset: Annotated[bool, typer.Option("--sunset", help="Only what ends, has ended or is deprecated.")] = False,
    days: Annotated[int, typer.Option(min=1, help="With --sunset: how far to look ahead.")] = 90,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    task: Annotated[str | None, typer.Option(help="Only what does t2v, i2v, r2v, edit or a2v.")] = None,
    as_json: AsJson = False,
) -> None:
    """The catalogue: who sells which model, for how much, until when."""
    from muybridge.providers import tell

    rows = tell.offers(sunset, days, provider, task)
    print(json.dumps(rows, default=str) if as_json else tell.offers_text(rows, sunset))


def cost(
    size: Annotated[str, typer.Option(help="448x256, 480p, 720p or 1080p.")] = "1080p",
    model: Annotated[str, typer.Option(help="The size of our own engine.")] = "15b",
    gpu_hour: Annotated[float, typer.Option(min=0.0, help="US dollars for one GPU hour.")] = 2.95,
    utilisation: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of the time that GPUs work.")] = 0.6,
    acceptance: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of renders delivered and kept.")] = 1.0,
    monthly: Annotated[float, typer.Option(min=0.0, help="Seconds of output a month, to find the cheapest mix.")] = 0.0,
    wait: Annotated[float, typer.Option(min=0.0, help="Seconds that 95 % of the jobs wait at most.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """What a second of output costs on own GPUs, against renting, and the cheapest mix for a month."""
    from muybridge.providers import tell

    found = tell.costs(size, model, gpu_hour, utilisation, acceptance, monthly, wait)
    print(json.dumps(found) if as_json else tell.costs_text(found))


def simulate(
    jobs: Annotated[int, typer.Option(min=0, help="Run so many jobs through every provider and fault.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Without --jobs: serve the simulator here.")] = 8800,
    breaker: Annotated[bool, typer.Option("--breaker", help="Let failing providers be left out for a while.")] = False,
    render: Annotated[float, typer.Option(min=0.0, help="Seconds that a simulated render takes.")] = 40.0,
    data: Annotated[Path | None, typer.Option(help="Keep the ledger in this folder; default: thrown away.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every provider without a bill: serve the simulator, or run jobs through all its faults and check the books."""
    from muybridge.providers import tell

    if jobs == 0:
        tell.serve_simulator(port, render, as_json)
        return
    found = tell.run_matrix(jobs, breaker, render, data)
    print(json.dumps(found.to_dict()) if as_json else tell.report_text(found))
    if found.problems:
        raise typer.Exit(1)
