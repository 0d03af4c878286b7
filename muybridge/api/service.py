"""What every protocol face calls: synchronous, tenant-scoped, protocol-free. Faces map bodies; this decides."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import quote as url_quote

from anyio import CapacityLimiter

from muybridge.api import ids
from muybridge.api.keys import Key
from muybridge.api.limits import Limits
from muybridge.api.models import ServedModel, resolve
from muybridge.config import ServerConfig
from muybridge.errors import NotFound, TimedOut
from muybridge.jobs.artifacts import ArtifactStore
from muybridge.jobs.job import Artifact, Job, NewJob
from muybridge.jobs.store import Store
from muybridge.request import Request

MediaKind = Literal["image", "video", "audio"]


@dataclass(frozen=True)
class Upload:
    """A file a tenant gave us, already checked and re-encoded. `id` is `file-<hex>`."""

    id: str
    kind: MediaKind
    filename: str
    bytes: int
    path: Path
    created_at: float


class Service:
    """The one object behind all faces. Holds the store, the artifacts and what must live in memory (rates)."""

    def __init__(self, config: ServerConfig, limits: Limits, store: Store, artifacts: ArtifactStore) -> None:
        self.config, self.limits, self.store, self.artifacts = config, limits, store, artifacts
        self.ingest_slots = CapacityLimiter(limits.max_ingests)

    def authenticate(self, header: str | None, scheme: str = "Bearer") -> Key:
        """The caller behind a credential: `Bearer KEY`, `Key KEY`, `Token KEY`, or the bare key where scheme is "".

        Raises AuthFailed, and Throttled when the key is over its rate.
        """

    def submit(
        self,
        key: Key,
        protocol: str,
        model: str,
        request: Request | Mapping[str, Any],
        raw: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        parent: str | None = None,
        webhook: Mapping[str, Any] | None = None,
        priority: int = 0,
        metadata: Mapping[str, Any] | None = None,
        retry: bool = False,
    ) -> Job:
        """Accept a job: resolve the model, validate, quote, admit, insert. Durable when it returns.

        `request` holds local paths only (see `media`). `raw` is the body for the record and the idempotency hash
        (`face.plain_body`). `retry`: the client says that it repeats a submit whose answer it lost; the same body within
        60 s is then the same job. Raises every submit error of errors.py; Conflict on the same key with another body.
        """

    def get(self, key: Key, public: str, protocol: str = "native") -> Job:
        """The tenant's job by any public spelling of its id. Raises NotFound, also for another tenant's job."""

    def list(
        self,
        key: Key,
        protocol: str | None = None,
        after: str | None = None,
        limit: int = 20,
        order: Literal["asc", "desc"] = "desc",
        status: str | None = None,
        model: str | None = None,
    ) -> list[Job]:
        """The tenant's jobs, newest first; `protocol` None means all of them. `after` is a public id."""

    def cancel(self, key: Key, public: str, protocol: str = "native") -> Job:
        """Ask for an end: a queued job is cancelled at once, a running one at its next step. Raises Conflict when done."""

    def delete(self, key: Key, public: str, protocol: str = "native") -> dict[str, Any]:
        """Cancel if needed, remove the job and every file of it; returns the deletion receipt."""

    def media(self, key: Key, value: object, kind: MediaKind) -> Path:
        """A local, checked, canonical file for whatever a protocol passes as media. Slow: call within `ingest_slots`.

        Takes an upload id, an https URL, a data URL, one of our own signed links, `{"bytes": b64}`-free raw bytes, an
        `UploadFile`, or a public job id (its video, or its last frame for kind image). Raises MediaFetch, MediaInvalid,
        NotFound.
        """

    def fetch(self, key: Key, url: str, kind: MediaKind) -> Path:
        """`media` for a URL: SSRF-safe, capped, ingested."""

    def upload(self, key: Key, file: bytes | BinaryIO, filename: str, kind: MediaKind | None = None) -> Upload:
        """Check, re-encode and keep a file; its kind is sniffed when None. Raises MediaInvalid."""

    def uploaded(self, key: Key, file_id: str) -> Upload:
        """A tenant's upload. Raises NotFound."""

    def media_url(self, job: Job, variant: str = "video", base: str | None = None) -> str:
        """A signed link to a finished job's artifact, valid `limits.link_ttl_s` (at most until the job expires).

        `base` is `face.base_url(request)`. Raises NotFound when the job has no such artifact.
        """

    def artifact(self, job: Job, variant: str = "video") -> Artifact:
        """The artifact of kind `variant`. Raises NotFound."""

    def wait(self, job: Job, timeout_s: float | None = None) -> Job:
        """Block until the job has ended (synchronous faces). Raises TimedOut; the job goes on."""

    def model(self, name: str) -> ServedModel:
        """What runs for a requested name; `.headers()` are its lifecycle headers. Raises NotFound, ModelRetired."""
        return resolve(name, self.limits.models)

    public_id = staticmethod(lambda job, protocol: ids.public_id(job.id, protocol))
    job_id = staticmethod(ids.job_id)
