"""Where results get their signature: the finisher of served jobs, between a checked result and its publication.

A crash before the job row points to the files costs a signature, never a job: the next attempt signs anew, under its
own attempt's name.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from muybridge.config import SIZE_ALIASES, settings
from muybridge.jobs.job import Job
from muybridge.jobs.worker import Finisher, ResultFile, RunResult, WorkerSpec
from muybridge.providers.catalog import LOCAL
from muybridge.providers.presence import SHIPPED
from muybridge.trust.identity import open_identity
from muybridge.trust.provenance import MIMES, Signer, Statement, sha256_of
from muybridge.trust.rules import Rules, read_rules, rules_of

FINISHER = "muybridge.providers.signed:finisher"
FOLDER = "provenance"  # in the data folder: the certificate made here
SUMS = "SHA256SUMS"


def signing(spec: WorkerSpec, data: Path, rules: Rules | None = None) -> WorkerSpec:
    """The spec of workers that sign as the operator's rules say, with the certificate of this data folder.

    Makes that certificate when there is none. Raises UserError for rules, keys or certificates that cannot sign.
    """
    rules = rules or read_rules()
    if not rules.sign:
        return spec
    folder = (data / FOLDER).resolve()
    Signer(open_identity(rules, folder), rules.time_stamps).try_out()  # fails here rather than in every worker
    return replace(spec, finisher=FINISHER, finishing={"folder": str(folder), "rules": asdict(rules)})


def finisher(folder: str, rules: dict[str, Any]) -> Finisher:
    """See jobs.worker.Finisher: signs every file of a kind that C2PA knows, unless its provider is to be left alone."""
    told = rules_of(rules, "the worker's spec")
    signer = Signer(open_identity(told, Path(folder)), told.time_stamps)

    def finish(job: Job, result: RunResult, workdir: Path) -> RunResult:
        provider = result.origin.get("provider")
        if provider in told.leave:
            return result
        said = statement(job, result)
        room = workdir / "signed"
        room.mkdir(exist_ok=True)
        signed: dict[Path, Path] = {}  # one file may be published as two kinds

        def one(file: ResultFile) -> ResultFile:
            if file.mime not in MIMES:
                return file
            if file.path not in signed:
                signed[file.path] = room / file.path.name
                original = result.origin.get("original") if file.kind == "video" else None
                signer.sign(file.path, signed[file.path], file.mime, said, original)
            return replace(file, path=signed[file.path])

        return replace(result, artifacts=tuple(one(file) for file in result.artifacts))

    return finish


def statement(job: Job, result: RunResult) -> Statement:
    """What is said of a job's files: what really ran, never what was asked for."""
    model, provider = result.model_actual or job.model_actual or job.model, result.origin.get("provider")
    edited = job.request.get("video") is not None
    weights = weights_digest(SIZE_ALIASES.get(model, model)) if provider == LOCAL else None
    return Statement(job.id, model, provider, result.origin.get("model_id"), weights, edited)


@functools.cache
def weights_digest(size: str) -> str | None:
    """SHA-256 that names the weights of a size on this machine: of tiny's file, of the list of checksums elsewhere."""
    file = SHIPPED / "base.safetensors" if size == "tiny" else settings().weights / size / SUMS
    return sha256_of(file) if file.is_file() else None
