"""A job's input files, kept beside its results so that a worker on any machine can read them.

The request names files of the machine that accepted it. Where workers may be elsewhere, each file is also stored under
`{job}/inputs/{n}.{ext}`, and the job's metadata maps the path to that key and the file's SHA-256. A worker that sees
the path uses it; another one fetches the key. They are removed with the job's other files.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from muybridge.errors import MuybridgeError, NotFound, Unavailable
from muybridge.jobs.artifacts import ArtifactStore, artifact_key, sha256_of
from muybridge.jobs.job import INPUTS, Job


def paths_in(request: object, inside: Path) -> list[str]:
    """Every text anywhere in a request that is a file under `inside`, once, in order."""
    root, found = str(inside.resolve()) + "/", dict[str, None]()

    def walk(value: object) -> None:
        if isinstance(value, Mapping):
            for item in value.values():
                walk(item)
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)
        elif isinstance(value, str) and len(value) < 4096 and "\0" not in value:
            path = Path(value)
            if path.is_absolute() or value.startswith(str(inside)):
                whole = path.resolve()
                if str(whole).startswith(root) and whole.is_file():
                    found[value] = None

    walk(request)
    return list(found)


def keep(artifacts: ArtifactStore, job_id: str, paths: list[str]) -> dict[str, dict[str, str]]:
    """Store files for a job that is about to be created: {path: {"key", "sha256"}}. On failure nothing is left."""
    kept = {}
    try:
        for number, path in enumerate(paths):
            key = artifact_key(job_id, 0, f"{number}{Path(path).suffix}").replace("/0/", f"/{INPUTS}/", 1)
            artifacts.put(key, Path(path))
            kept[path] = {"key": key, "sha256": sha256_of(Path(path))}
    except BaseException:
        artifacts.delete_job(job_id)
        raise
    return kept


def here(artifacts: ArtifactStore, job: Job, folder: Path, report: Callable[[int], object]) -> Job:
    """The job with every input readable on this machine: its own path where that exists, else a copy in `folder`.

    `report` is called with the bytes of each file before it is fetched. Raises Unavailable when a copy is damaged,
    MuybridgeError when it is gone for good.
    """
    known: Mapping[str, Mapping[str, str]] = job.metadata.get(INPUTS) or {}
    copies = {}
    for path, entry in known.items():
        if Path(path).is_file():
            continue
        try:
            report(artifacts.size(entry["key"]))
            copies[path] = str(_fetch(artifacts, entry, folder))
        except NotFound:
            raise MuybridgeError("An input file of this job is gone; submit the job again with its files.") from None
    return replace(job, request=_changed(job.request, copies)) if copies else job


def slot_of(request: Mapping[str, Any], slot: str) -> str | None:
    """The file that a request has in a slot: `video`, `image`, ..., `references-0`."""
    name, _, number = slot.partition("-")
    value = request.get(name)
    if number.isdigit() and isinstance(value, list | tuple) and int(number) < len(value):
        value = value[int(number)].get("image")
    return value if isinstance(value, str) else None


def address(base: str, secret: str, job_id: str, slot: str, until: int) -> str:
    """Where somebody else may read one input of a job until a unix time, without a key (the API serves it)."""
    query = f"exp={until}&sig={_signature(secret, job_id, slot, until)}"
    return f"{base.rstrip('/')}/inputs/{job_id}/{slot}?{query}"


def is_valid(secret: str, job_id: str, slot: str, until: int, given: str, now: float) -> bool:
    """Whether an `address` is ours and still good."""
    wanted = _signature(secret, job_id, slot, until)
    return until >= now and hmac.compare_digest(wanted.encode(), given.encode())


def _signature(secret: str, job_id: str, slot: str, until: int) -> str:
    return hmac.new(secret.encode(), f"input/{job_id}/{slot}/{until}".encode(), hashlib.sha256).hexdigest()[:40]


def _fetch(artifacts: ArtifactStore, entry: Mapping[str, str], folder: Path) -> Path:
    to = folder / f"input-{entry['key'].rsplit('/', 1)[-1]}"
    digest = hashlib.sha256()
    with to.open("wb") as file:
        for piece in artifacts.open_range(entry["key"]):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != entry["sha256"]:
        raise Unavailable("An input file of this job came damaged; the next attempt fetches it again.")
    return to


def _changed(value: Any, copies: Mapping[str, str]) -> Any:  # noqa: ANN401  (walks any JSON value)
    if isinstance(value, Mapping):
        return {name: _changed(item, copies) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(item, copies) for item in value]
    return copies.get(value, value) if isinstance(value, str) else value
