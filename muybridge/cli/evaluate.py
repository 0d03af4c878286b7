"""`muybridge evaluate`: a suite's table, the model's figure beside the ceiling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("evaluate")(evaluate)


def evaluate(
    suite: Annotated[
        str,
        typer.Argument(help="codec, sync, speech, adherence, beats, identity, edit, image, sounds, programme or pair."),
    ],
    model: Annotated[str, typer.Option(help="tiny, a folder of weights, or truth for the ceilings alone.")] = "tiny",
    count: Annotated[int, typer.Option(min=1, help="Clips per row.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Which test items, and the noise of the clips.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for plots.")] = Path("evaluation"),
    evaluators: Annotated[
        str | None,
        typer.Option(envvar="MUYBRIDGE_EVALUATORS", help="Python with MediaPipe, Whisper and DNSMOS, if not this one."),
    ] = None,
    languages: Annotated[
        str | None, typer.Option(help="Of the suites that speak, by comma; default: all seven.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=20, max=300, help="Length of the talks of programme.")] = 60.0,
    long: Annotated[
        list[Path] | None, typer.Option(help="With sync: judge these long clips for drift, as `muybridge drift` does.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Measure on clips, sentences and people that training never sees."""
    if long:
        from muybridge.cli.drift import drift

        drift(long, out, evaluators=evaluators, as_json=as_json)
        return
    from muybridge import suites
    from muybridge.suites.table import show, to_dict

    chosen = {} if languages is None else {"languages": tuple(languages.split(","))}
    rows = suites.evaluate(
        suite, model, count, seed, out, quiet=as_json, evaluators=evaluators, talk_s=seconds, **chosen
    )
    if as_json:
        print(json.dumps(to_dict(rows)))
    else:
        show(suite, rows)
