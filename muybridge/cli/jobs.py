"""`muybridge jobs list|show|cancel` and `muybridge worker`: the job table from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from muybridge.jobs.job import Job

Data = Annotated[Path, typer.Option(help="The server's data folder.")]
Database = Annotated[str | None, typer.Option(help="postgresql:// URL; without it, SQLite inside --data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DATA = Path("muybridge-data")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Look at jobs and cancel them.", no_args_is_help=True)
    group.command("list")(list_jobs)
    group.command("show")(show)
    group.command("cancel")(cancel)
    app.add_typer(group, name="jobs")
    app.command("worker")(worker)


def list_jobs(
    data: Data = DATA,
    database: Database = None,
    status: Annotated[str | None, typer.Option(help="queued, in_progress, completed, failed or cancelled.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's jobs.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest jobs."""
    jobs = _store(data, database).list(tenant, limit=limit, status=status)
    if as_json:
        print(json.dumps([_body(job) for job in jobs]))
        return
    for job in jobs:
        print(f"{job.id}  {job.status:<11}  {job.progress:5.1f} %  {job.model:<12}  {job.tenant}")


def show(
    job_id: Annotated[str, typer.Argument(help="The job's id, as any protocol shows it.")],
    data: Data = DATA,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """One job with its history and, where it was routed, to whom, why and for how much."""
    from muybridge.providers.tell import attempt_text, attempts

    store = _store(data, database)
    job = store.get(_ulid(job_id))
    events = [{"seq": e.seq, "at": e.at, "kind": e.kind, **e.data} for e in store.events(job.id)]
    tried = attempts(store.database.url, job.id)
    if as_json:
        print(json.dumps(_body(job) | {"events": events, "attempts": tried}))
        return
    for name, value in _body(job).items():
        if value not in (None, {}, [], ""):
            print(f"{name:<16} {value}")
    for event in events:
        print(f"  {event['seq']:>4}  +{event['at'] - job.created_at:7.2f} s  {json.dumps(event)}")
    for attempt in tried:
        print(attempt_text(attempt))


def cancel(
    job_id: Annotated[str, typer.Argument(help="The job's id, as any protocol shows it.")],
    data: Data = DATA,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a job: at once when it is queued, at its next step when it runs."""
    job = _store(data, database).cancel(_ulid(job_id), reason="Cancelled by the operator.")
    if as_json:
        print(json.dumps(_body(job)))
    elif job.status == "in_progress":
        print(f"{job.id} runs and stops at its next step.")
    else:
        print(f"{job.id} is {job.status}.")


def worker(
    data: Data = DATA,
    database: Database = None,
    artifacts: Annotated[str | None, typer.Option(help="Folder or s3://bucket/prefix; default inside --data.")] = None,
    model: Annotated[str | None, typer.Option(help="Claim only these models, by comma; default all.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many; each runs one job at a time.")] = 1,
    runner: Annotated[str, typer.Option(help="What does the work, as module:attribute.")] = (
        "muybridge.providers.remote:runner"
    ),
    ray: Annotated[bool, typer.Option("--ray", help="Place them on the running Ray cluster.")] = False,
    gpus: Annotated[float, typer.Option(min=0, help="With --ray: GPUs of each worker.")] = 0,
) -> None:
    """Work on queued jobs until SIGTERM or Ctrl-C, which checkpoints and requeues what is running."""
    from muybridge.jobs import folder
    from muybridge.providers.signed import signing

    models = None if model is None else tuple(name.strip() for name in model.split(",") if name.strip())
    spec = signing(folder.worker_spec(data, database, artifacts, runner, models), data)
    raise typer.Exit(folder.serve_workers(spec, workers, gpus if ray else None))


def _store(data: Path, database: str | None) -> Any:  # noqa: ANN401  (Store; its module is imported in the verb)
    from muybridge.jobs import folder

    return folder.open_store(data, database)


def _ulid(job_id: str) -> str:
    from muybridge.api.ids import job_id as read

    return read(job_id, "native")


def _body(job: Job) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(job)
