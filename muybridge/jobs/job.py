"""What a job is: frozen rows, no database. Times are unix seconds, progress is 0..100, sizes are bytes."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from muybridge.errors import MuybridgeError

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]
INPUTS = "inputs"  # the key of Job.metadata about input files, and the folder where attempts have their numbers
TERMINAL: frozenset[str] = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True)
class Artifact:
    """One published file of a job. `key` names it in the artifact store: `{job}/{attempt}/{name}`."""

    kind: str  # video | thumbnail | spritesheet | audio | last_frame | ...
    key: str
    mime: str
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    fps: float | None = None


@dataclass(frozen=True)
class NewJob:
    """What a caller brings. `quote` has flops, seconds and cost; its seconds are what fair share counts."""

    tenant: str
    key_id: str
    protocol: str
    model: str
    request: dict[str, Any]
    request_raw: Any = None
    idempotency_key: str | None = None
    body_hash: str = ""
    priority: int = 0
    quote: dict[str, Any] = field(default_factory=dict)
    webhook: dict[str, Any] | None = None
    parent_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str | None = None  # a fresh ULID (`new_id`) where files of the job had to be stored before it; else made here


@dataclass(frozen=True)
class Job:
    """One row of the job table, the only place where a job's state lives."""

    id: str
    tenant: str
    key_id: str
    protocol: str
    model: str
    request: dict[str, Any]
    request_raw: Any
    status: Status
    created_at: float
    body_hash: str = ""
    idempotency_key: str | None = None
    model_actual: str | None = None
    cancel_requested: bool = False
    priority: int = 0
    stage: str | None = None
    progress: float = 0.0
    eta_s: float | None = None
    attempt: int = 0
    failures: int = 0
    error: dict[str, str] | None = None
    artifacts: tuple[Artifact, ...] = ()
    usage: dict[str, Any] = field(default_factory=dict)
    quote: dict[str, Any] = field(default_factory=dict)
    started_at: float | None = None
    completed_at: float | None = None
    expires_at: float | None = None
    parent_id: str | None = None
    webhook: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """True once the job can never change its status again."""
        return self.status in TERMINAL


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job. (attempt, worker) is the fencing token that every write of the worker carries."""

    job: Job
    worker: str
    lease_s: float
    checkpoint_key: str | None = None
    models: tuple[str, ...] | None = None

    @property
    def attempt(self) -> int:
        """Counts claims of this job from 1; artifacts of this attempt live under `{job}/{attempt}/`."""
        return self.job.attempt


@dataclass(frozen=True)
class Signals:
    """What a renewed lease tells the worker to do at this step boundary."""

    cancel: bool = False
    preempt: bool = False


@dataclass(frozen=True)
class Event:
    """One thing that happened to a job. `kind` is status, progress or preview; `seq` counts from 1 per job."""

    job_id: str
    seq: int
    at: float
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Admission:
    """Checked inside the transaction that creates a job, so concurrent creates cannot pass together. None: no limit."""

    max_open: int | None = None  # queued plus in progress, of the tenant
    budget: float | None = None  # money of the key: charged since `budget_since`, plus the quotes of its open jobs
    budget_since: float = 0.0


@dataclass(frozen=True)
class Receipt:
    """Proof that a job's files were removed. `completed_at` is None until the bytes are really gone."""

    id: str
    job_id: str
    tenant: str
    reason: Literal["asked", "expired", "unpublished"]
    artifacts: tuple[Artifact, ...]
    requested_at: float
    completed_at: float | None = None
    num_removed: int = 0


@dataclass(frozen=True)
class Charge:
    """One ledger row: exists exactly when the job was published."""

    job_id: str
    tenant: str
    key_id: str
    model: str
    attempt: int
    at: float
    output_s: float
    compute_s: float
    flops: float
    cost: float
    model_actual: str = ""
    device: str = ""  # the kind of machine that made it; empty where it was bought
    formula_s: float = 0.0  # what it would have taken on the reference machine


@dataclass(frozen=True)
class Slowdown:
    """How much longer than by formula the newest jobs of a model took on a device."""

    device: str
    num_jobs: int
    factor: float


@dataclass(frozen=True)
class Delivery:
    """One webhook to send. `seq` is the job event that it announces; retries carry the same id."""

    id: str
    job_id: str
    tenant: str
    seq: int
    webhook: dict[str, Any]
    tries: int
    due_at: float | None
    delivered_at: float | None = None
    last_error: str | None = None


@dataclass(frozen=True)
class KeyRow:
    """One API key as stored: a hash of the secret, never the secret."""

    id: str
    tenant: str
    name: str
    secret_hash: str
    scopes: tuple[str, ...] = ()
    limits: dict[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None


class Preempted(MuybridgeError):
    """Raised by the hook at a step boundary: stop now, the checkpoint is stored and the job goes back to the queue."""

    code = "preempted"
    retryable = True


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ulid_lock = threading.Lock()
_ulid_last = 0


def new_id() -> str:
    """A ULID (github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, 26 characters that sort by time.

    Strictly increasing within a process, also when the clock steps back.
    """
    global _ulid_last
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    with _ulid_lock:
        value = max(value, _ulid_last + 1)
        _ulid_last = value
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))
