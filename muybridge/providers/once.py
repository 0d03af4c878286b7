"""One clip from a provider, from the command line: a job in a store of its own, run here, its file copied out.

The store stays in the Muybridge home folder until the clip is there, so an interrupted paid submit is found again by
the next call with the same request instead of being paid twice.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from muybridge import media
from muybridge.config import settings
from muybridge.errors import MuybridgeError, ProviderFailed
from muybridge.jobs.artifacts import open_artifacts
from muybridge.jobs.job import Job, NewJob
from muybridge.jobs.store import Store
from muybridge.jobs.worker import Runner, WorkerSpec, run_worker
from muybridge.providers import remote
from muybridge.request import Request

TENANT = "command-line"
LEASE_S = 15.0  # after a kill the next call waits so long before it goes on


def make_clip(
    request: Request, model: str, output: Path, quiet: bool = False, runner: Runner | None = None
) -> dict[str, Any]:
    """Have `model` (PROVIDER/MODEL, or a name the router knows) make the clip; the result as `generate` prints it.

    Raises ProviderFailed with the provider's reason, UserError where the router has nothing that may be used.
    """
    body = json.dumps({"model": model, **request.to_dict()}, sort_keys=True)
    name = hashlib.blake2b(body.encode(), digest_size=12).hexdigest()
    folder = settings().home / "once" / name
    folder.mkdir(parents=True, exist_ok=True)
    spec = WorkerSpec(
        str(folder / "jobs.db"), str(folder / "files"), "muybridge.providers.remote:runner", lease_s=LEASE_S
    )
    store, artifacts = Store.open(spec.database), open_artifacts(spec.artifacts)
    quote = remote.quote(request, model)
    new = NewJob(TENANT, TENANT, "native", model, request.to_dict(), idempotency_key=name, body_hash=name, quote=quote)
    job, _ = store.create(new)
    with Console(stderr=True, quiet=quiet).status(f"{model} is working (safe to interrupt: call again to go on)"):
        while not job.ended:
            run_worker(store, artifacts, runner or remote.runner, spec=spec, max_jobs=1, until_idle=True)
            job = store.get(job.id)
            time.sleep(0 if job.ended else 0.2)  # a retry's pause, or the lease of a call that was killed
    if job.status != "completed":
        raise _failure(job)
    clip = next(a for a in job.artifacts if a.kind == "video")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(artifacts.get(clip.key))
    frames, waveform, _ = media.read_clip(output)
    sheet = output.with_suffix(".sheet.png")
    media.contact_sheet(sheet, frames, 3, 5, waveform_CS=waveform)
    store.delete(job.id, TENANT)
    return {
        "clip": str(output),
        "contact_sheet": str(sheet),
        "task": request.task.value,
        "model": job.model_actual or model,
        "width": frames.shape[2],
        "height": frames.shape[1],
        "seconds": len(frames) / 25,
        "num_frames": len(frames),
        "seed": request.seed,
        "wall_s": round((job.completed_at or 0) - job.created_at, 2),
    }


def _failure(job: Job) -> MuybridgeError:
    error = job.error or {}
    return ProviderFailed(error.get("message") or f"The job was {job.status}.")
