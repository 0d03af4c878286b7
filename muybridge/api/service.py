"""What every protocol face calls: synchronous, tenant-scoped, protocol-free. Faces map bodies; this decides.

The order of a submit is fixed: authenticate, resolve the model, (ingest media), validate, quote, then one INSERT that
also checks idempotency, open jobs and budget. Nothing is queued before all of it holds; nothing accepted is lost.

Over 400 lines because it is one contract: every face calls these methods and nothing else. What needs no state of the
service lives in files of its own (links, uploads, keys, quotes, turns, webhooks).
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from anyio import CapacityLimiter

from muybridge.api import ids, links
from muybridge.api.keys import Key, Keyring
from muybridge.api.lane import Lane
from muybridge.api.limits import Limits
from muybridge.api.metrics import Metrics
from muybridge.api.models import AUTO, ServedModel, actual_of, job_headers, resolve
from muybridge.api.quotes import Speeds, quote_of
from muybridge.api.turns import Turns
from muybridge.api.uploads import MediaKind, Upload, Uploads, url_of
from muybridge.config import ServerConfig
from muybridge.errors import (
    AuthFailed,
    Conflict,
    InvalidRequest,
    MediaFetch,
    MediaInvalid,
    ModelRetired,
    NotFound,
    NotInstalled,
    TimedOut,
)
from muybridge.fetch import FetchPolicy, check_url, decode_data_url
from muybridge.jobs import inputs
from muybridge.jobs.admission import month_start
from muybridge.jobs.artifacts import ArtifactStore, open_artifacts
from muybridge.jobs.database import Tx
from muybridge.jobs.job import INPUTS, Admission, Artifact, Delivery, Job, NewJob, Receipt, new_id
from muybridge.jobs.store import Store
from muybridge.providers.presence import OWN_RUNNERS, missing
from muybridge.request import Request

if TYPE_CHECKING:
    from muybridge.api.pushes import Receiver
    from muybridge.providers.remote import Outlook

# A webhook in a protocol's own form: (body, headers) of one delivery. Faces register theirs in `router(service)`.
WebhookFormat = Callable[["Service", Job, Delivery], tuple[bytes, dict[str, str]]]
Check = Callable[[Key, Request], None]  # raises ModerationRefused and the like before a job is queued

PUBLIC_URL = "public_url"  # the setting by which workers know how the world reaches this server
TURN_PATIENCE_S = 30.0  # how long a file waits for its turn to be checked
RETRY_WINDOW_S = 60.0
ENDPOINT_CACHE_S = 2.0
DELETE_PATIENCE_S = 5.0  # how long DELETE waits for a running job to stop


class Service:
    """The one object behind all faces. Holds the store, the artifacts and what must live in memory (rates, caches)."""

    def __init__(
        self,
        config: ServerConfig,
        limits: Limits,
        store: Store,
        artifacts: ArtifactStore,
        checks: tuple[Check, ...] = (),
        runner: str | None = None,
    ) -> None:
        self.config, self.limits, self.store, self.artifacts, self.checks = config, limits, store, artifacts, checks
        # Only here is it known that no other machine can have the weights: our runner, beside us, embedded database.
        self.runs_here = runner in OWN_RUNNERS and config.workers > 0 and config.database is None
        self.metrics = Metrics()
        self.keys = Keyring(store, limits.requests_per_s)
        self.uploads = Uploads(config.data / "media")
        self.ingest_slots = CapacityLimiter(4 * limits.max_ingests)  # threads for `face.in_thread` around `media`
        self.lane = Lane(8 if store.database.postgres else 1)  # SQLite has one writer: more threads would only queue
        self.webhook_formats: dict[str, WebhookFormat] = {}
        self.link_secret = shared_setting(store, "link_secret", lambda: secrets.token_hex(32)).encode()
        self.pushes: Receiver | None = None  # set by its face
        known = store.database.run(lambda tx: tx.row("get_setting", name=PUBLIC_URL), write=False)
        if (config.public_url or "") != (known["value"] if known else ""):
            tell_setting(store, PUBLIC_URL, config.public_url or "")  # workers hand out addresses of this server
        self.speeds = Speeds(store.ledger)
        self._outlook: Outlook | None = None  # opened with the first routed job
        self._outlook_lock = threading.Lock()
        self._endpoints: dict[str, tuple[list[dict[str, Any]], float]] = {}
        self._turns = Turns(limits.max_ingests, max(1, limits.max_ingests * 3 // 4), TURN_PATIENCE_S)

    @staticmethod
    def open(
        config: ServerConfig, limits: Limits | None = None, checks: tuple[Check, ...] = (), runner: str | None = None
    ) -> Service:
        """The service over the database and artifacts that `config` names; makes the data folder.

        `runner` is what this server's own workers run; where it is our engine, models without weights are refused.
        """
        config.data.mkdir(parents=True, exist_ok=True)
        config = replace(config, data=config.data.resolve())  # paths of inputs lie in the jobs: they must hold anywhere
        limits = limits or Limits()
        store = Store.open(config.database or str(config.data / "jobs.sqlite"), retention_s=limits.link_ttl_s)
        artifacts = open_artifacts(config.artifacts or config.data / "artifacts")
        return Service(config, limits, store, artifacts, checks, runner)

    def close(self) -> None:
        """Write down what is only in memory, and let the database go."""
        self.lane.close()
        self.keys.flush()
        if self._outlook is not None:
            self._outlook.close()
        self.store.close()

    # Who is asking --------------------------------------------------------------------------------------------------

    def authenticate(self, header: str | None, scheme: str = "Bearer") -> Key:
        """The caller behind a credential: `Bearer KEY`, `Key KEY`, `Token KEY`, or the bare key where scheme is "".

        Raises AuthFailed, and Throttled when the key is over its rate. May read the database: call it in a thread.
        """
        return self.admit(header, scheme)[0]

    def admit(self, header: str | None, scheme: str = "Bearer") -> tuple[Key, tuple[int, int, float] | None]:
        """`authenticate`, with what is left of the key's rate (`Keyring.spend`)."""
        if not header:
            raise AuthFailed("You didn't provide an API key; send it in the header Authorization: Bearer YOUR_KEY.")
        given, _, secret = header.strip().partition(" ")
        if not secret:
            given, secret = "", given
        if given.lower() not in {scheme.lower(), "bearer", "key", "token", ""} or (scheme and not given):
            raise AuthFailed(f"The Authorization header must read: {scheme} YOUR_KEY.")
        key = self.keys.authenticate(secret.strip())
        return key, self.keys.spend(key)

    # Jobs -----------------------------------------------------------------------------------------------------------

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

        `request` holds local paths only (see `ingest`, `media`). `raw` is the body for the record and the idempotency
        hash (`face.plain_body`). `parent` is a job's ULID. `retry`: the client says that it repeats a submit whose
        answer it lost; the same body within 60 s is then the same job. Raises every submit error of errors.py;
        Conflict on the same key with another body.
        """
        key.need("videos:write")
        served = self.model_to_run(model)
        built = request if isinstance(request, Request) else Request.from_dict(request)
        body_hash = hash_of(protocol, model, raw)
        if retry and idempotency_key is None and (found := self._recent(key, body_hash)):
            return found
        if self.checks and (known := self.repeated(key, protocol, model, raw, idempotency_key)) is not None:
            return known
        for check in self.checks:
            check(key, built)
        quote = self.quote(built, served.actual, model)
        actual = quote.pop("own", served.actual)  # routed to our own machines: it waits in their queue
        job_id = new_id()
        files = inputs.paths_in(built.to_dict(), self.uploads.root) if self.config.database is not None else []
        about = {INPUTS: inputs.keep(self.artifacts, job_id, files)} if files else {}
        new = NewJob(
            tenant=key.tenant,
            key_id=key.id,
            protocol=protocol,
            model=actual,
            request=built.to_dict(),
            request_raw=dict(raw),
            idempotency_key=_checked_idempotency_key(idempotency_key),
            body_hash=body_hash,
            priority=priority,
            quote=quote,
            webhook=self._webhook(key, webhook),
            parent_id=parent,
            metadata={
                **(metadata or {}),
                "model_requested": model,
                "task": str(built.task),
                "pixels": str(built.pixel_size),
                **about,
            },
            id=job_id,
        )
        try:
            job, created = self.store.create(new, self._admission(key))
        except BaseException:
            if files:
                self.artifacts.delete_job(job_id)
            raise
        if files and not created:
            self.artifacts.delete_job(job_id)
        if created:
            self.metrics.count("muybridge_jobs_accepted_total", protocol=protocol, model=actual)
        return shown(job)

    def repeated(
        self, key: Key, protocol: str, model: str, raw: Mapping[str, Any], idempotency_key: str | None
    ) -> Job | None:
        """The job that this idempotency key already made, so that a repeated submit does not fetch its media again.

        Raises Conflict when it was made from another body.
        """
        if idempotency_key is None:
            return None
        who = {"tenant": key.tenant, "idempotency_key": _checked_idempotency_key(idempotency_key)}
        row = self.store.database.run(lambda tx: tx.row("find_idempotent", **who), write=False)
        if row is None or row["created_at"] < time.time() - self.store.idempotency_s:
            return None
        if row["body_hash"] != hash_of(protocol, model, raw):
            raise Conflict(
                f"The idempotency key {idempotency_key[:80]!r} was used with another body; use a new key for a new job."
            )
        return self.get(key, row["id"])

    def get(self, key: Key, public: str, protocol: str = "native") -> Job:
        """The tenant's job by any public spelling of its id. Raises NotFound, also for another tenant's job."""
        key.need("videos:read")
        try:
            return shown(self.store.get(ids.job_id(public, protocol), key.tenant))
        except NotFound:
            raise NotFound(f"Video with id '{public[:200]}' not found.") from None

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
        key.need("videos:read")
        start = None if after is None else ids.job_id(after, "native")
        found = self.store.list(key.tenant, start, limit, order, status, model, protocol)
        return [shown(job) for job in found]

    def cancel(self, key: Key, public: str, protocol: str = "native") -> Job:
        """Ask for an end: a queued job is cancelled at once, a running one at its next step; an ended one is unchanged.

        Look at the answer's `status` and `cancel_requested`: `cancelled` only when no work is done any more.
        """
        key.need("videos:write")
        return shown(self.store.cancel(self.get(key, public, protocol).id, key.tenant))

    def delete(self, key: Key, public: str, protocol: str = "native") -> Receipt:
        """Cancel if needed, remove the job, its words and its files; returns the deletion receipt.

        A running job is given a few seconds to stop. Raises Conflict when it has not: nothing was deleted, it is being
        cancelled, repeat the call.
        """
        job = self.cancel(key, public, protocol)
        if not job.ended:
            try:
                job = self.wait(job, DELETE_PATIENCE_S)
            except TimedOut:
                raise Conflict(
                    f"Video '{public[:200]}' is still running; its cancellation was requested. Delete it again when it "
                    "has stopped."
                ) from None
        receipt = self.store.delete(job.id, key.tenant)
        self.artifacts.delete_job(job.id)
        return self.store.receipts.close(receipt.id, len(receipt.artifacts)) or receipt

    def wait(self, job: Job, timeout_s: float | None = None) -> Job:
        """Block until the job has ended (synchronous faces). Raises TimedOut; the job goes on."""
        timeout_s = self.limits.sync_timeout_s if timeout_s is None else timeout_s
        deadline, pause_s = time.monotonic() + timeout_s, 0.02
        while not job.ended:
            if time.monotonic() > deadline:
                raise TimedOut(f"The job is still {job.status} after {timeout_s:g} s; ask for it again later.")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.5)
            job = shown(self.store.get(job.id, job.tenant))
        return job

    def quote(self, request: Request, model: str, name: str | None = None) -> dict[str, Any]:
        """What a request will take: flops, peak bytes, seconds of machine time, money. `name`: as it was asked for."""
        if model != AUTO:
            return quote_of(request, model, self.limits.price_per_gpu_hour, self.speeds.of(model))
        from muybridge.providers.remote import quote  # late: only where routing is switched on

        found = quote(
            request,
            name or model,
            here=self.runs_here,
            public_url=self.config.public_url,
            outlook=self._look(),
        )
        if own := found.get("own"):
            speed = self.speeds.of(own)
            found |= {"seconds": found["seconds"] * speed.factor, "speed": speed.source}
        return found

    def _look(self) -> Outlook:
        with self._outlook_lock:
            if self._outlook is None:
                from muybridge.providers.remote import Outlook

                self._outlook = Outlook(self.store.database.url)
            return self._outlook

    def model(self, name: str) -> ServedModel:
        """What runs for a requested name; `.headers()` are its lifecycle headers. Raises NotFound, ModelRetired."""
        return resolve(name, self.limits.models)

    def model_to_run(self, name: str) -> ServedModel:
        """`model` for a submit: refused when the work could be done nowhere. Raises NotInstalled saying what to do."""
        found = self.model(name)
        if self.runs_here and (why := missing(found.actual)) is not None:
            raise NotInstalled(f"The model {name[:80]!r} cannot run here. {why} Nothing was queued or charged.")
        return found

    def lifecycle(self, job: Job) -> dict[str, str]:
        """The headers of an answer about a job: its name's lifecycle (none when it is no longer served), what runs."""
        try:
            headers = self.model(job.model).headers()
        except (NotFound, ModelRetired):
            headers = {"X-Model-Requested": job.model}
        return job_headers(headers, job)

    def _admission(self, key: Key) -> Admission | None:
        max_open = key.max_open if key.max_open is not None else self.limits.max_queued or None
        if max_open is None and key.budget_usd is None:
            return None
        return Admission(max_open, key.budget_usd, month_start(time.time()))

    def _recent(self, key: Key, body_hash: str) -> Job | None:
        after = _first_id(time.time() - RETRY_WINDOW_S)
        who = {"tenant": key.tenant, "key_id": key.id, "body_hash": body_hash, "after": after}
        row = self.store.database.run(lambda tx: tx.row("find_retry", **who), write=False)
        return None if row is None else shown(self.store.get(row["id"], key.tenant))

    def _webhook(self, key: Key, webhook: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """What the job carries: its own target, and whether the tenant's endpoints are told as well."""
        out = dict(webhook or {})
        if url := out.get("url"):
            check_url(str(url), self.fetch_policy("webhook"))
        if self.endpoints(key.tenant):
            out["endpoints"] = True
        return out or None

    # Media ----------------------------------------------------------------------------------------------------------

    def ingest(self, key: Key, request: Mapping[str, Any]) -> dict[str, Any]:
        """`request` with every medium replaced by a checked local file. Slow: call within `ingest_slots`.

        What needs no file is validated first, so a bad prompt or length is refused before anything is fetched.
        """
        pending: dict[str, Any] = dict(request)
        slots: dict[str, MediaKind] = {"image": "image", "last_image": "image", "video": "video", "audio": "audio"}
        for name in slots:
            if pending.get(name) is not None:
                pending[name] = "/pending"
        pending["references"] = [{**r, "image": "/pending"} for r in request.get("references") or ()]
        Request.from_dict(pending)
        out = dict(request)
        for name, kind in slots.items():
            if out.get(name) is not None:
                out[name] = str(_named(name, lambda v=out[name], k=kind: self.media(key, v, k)))  # type: ignore[misc]
        if out.get("references"):
            out["references"] = [
                {**r, "image": str(_named(f"references[{i}]", lambda v=r["image"]: self.media(key, v, "image")))}  # type: ignore[misc]
                for i, r in enumerate(out["references"])
            ]
        return out

    def media(self, key: Key, value: object, kind: MediaKind) -> Path:
        """A local, checked, canonical file for whatever a protocol passes as media. Slow: call within `ingest_slots`.

        Takes an upload id, an https URL, a data URL, one of our own signed links, raw bytes, an `UploadFile`, a public
        job id (its video; for kind image its last frame), or a dict around one of them. Raises MediaFetch,
        MediaInvalid, NotFound, InvalidRequest.
        """
        key.need("videos:write")
        if isinstance(value, Path):  # only our own code can pass one
            return value
        if isinstance(value, bytes):
            return self.upload(key, value, "inline", kind).path
        if (file := getattr(value, "file", None)) is not None:  # UploadFile
            return self.upload(key, file, str(getattr(value, "filename", None) or "upload"), kind).path
        text = url_of(value, kind)
        if text.startswith("data:"):
            return self.upload(key, decode_data_url(text, self.limits.max_bytes(kind)), "inline", kind).path
        if text.startswith(("http://", "https://")):
            return self.fetch(key, text, kind)
        if text.startswith("file-"):
            found = self.uploads.get(key.tenant, text)
            if found.kind != kind:
                raise InvalidRequest(f"The file {text} is {found.kind}; here {kind} is needed.", kind)
            return found.path
        if text.startswith("video_") or ids.is_uuid(text):
            return self.own_result(key, self.get(key, text), kind)
        raise InvalidRequest(f"{text[:60]!r} is neither an upload id nor an https or data URL.", kind)

    def fetch(self, key: Key, url: str, kind: MediaKind) -> Path:
        """`media` for a URL: SSRF-safe, capped, ingested. Our own signed links are read without a detour."""
        if (own := links.read(self.link_secret, url)) is not None:
            return self.own_result(key, self.get(key, own.job_id), kind, own.variant)
        with self._turns.of(key.id):
            upload = self.uploads.fetch(key.tenant, url, kind, self.fetch_policy(kind))
        self.metrics.count("muybridge_media_bytes_total", upload.bytes, kind=kind)
        return upload.path

    def upload(
        self,
        key: Key,
        file: bytes | BinaryIO,
        filename: str,
        kind: MediaKind | None = None,
        file_id: str | None = None,
    ) -> Upload:
        """Check, re-encode and keep a file; kind None sniffs it, id None makes one. Raises MediaInvalid."""
        key.need("videos:write")
        stream = io.BytesIO(file) if isinstance(file, bytes) else file
        cap = self.limits.max_bytes(kind) if kind else self.limits.max_video_bytes
        with self._turns.of(key.id):
            upload = self.uploads.add(key.tenant, stream, filename[:200], kind, cap, file_id)
        self.metrics.count("muybridge_media_bytes_total", upload.bytes, kind=upload.kind)
        return upload

    def uploaded(self, key: Key, file_id: str) -> Upload:
        """A tenant's upload. Raises NotFound."""
        key.need("videos:read")
        return self.uploads.get(key.tenant, file_id)

    def own_result(self, key: Key, job: Job, kind: MediaKind, variant: str | None = None) -> Path:
        """A finished job's file as an input: its clip, its last frame for a picture, its sound. A copy of its own."""
        wanted = variant or {"image": "last_frame", "video": "video", "audio": "audio"}[kind]
        if not job.ended:
            raise InvalidRequest(
                f"Video '{ids.public_id(job.id, 'native')}' is {job.status}; wait until it is completed."
            )
        found = next((a for a in job.artifacts if a.kind == wanted), None)
        if found is None and kind == "image":
            return self._last_frame(key, job)
        data = self.artifacts.get((found or self.artifact(job, wanted)).key)
        return self.uploads.add(key.tenant, io.BytesIO(data), f"{job.id}-{wanted}", kind, len(data)).path

    def _last_frame(self, key: Key, job: Job) -> Path:
        """The last frame of a clip that was published without one."""
        data = links.frame_png(self.artifacts.get(self.artifact(job, "video").key))
        return self.uploads.add(key.tenant, io.BytesIO(data), f"{job.id}-last", "image", len(data)).path

    def fetch_policy(self, kind: str) -> FetchPolicy:
        """The rules for reaching an address that a caller names."""
        if kind == "webhook":
            return FetchPolicy(65_536, 15.0, allowed_hosts=self.limits.http_hosts)
        return FetchPolicy(
            self.limits.max_bytes(kind), self.limits.fetch_timeout_s, allowed_hosts=self.limits.http_hosts
        )

    # Results --------------------------------------------------------------------------------------------------------

    def artifact(self, job: Job, variant: str = "video") -> Artifact:
        """The artifact of kind `variant`. Raises NotFound that says why."""
        found = next((a for a in job.artifacts if a.kind == variant), None)
        if found is not None:
            return found
        public = ids.public_id(job.id, "native")
        if job.status != "completed":
            raise NotFound(f"Video '{public}' is {job.status}; it has content once it is completed.")
        if not job.artifacts:
            raise NotFound(f"The content of video '{public}' has expired.")
        raise NotFound(f"Video '{public}' has no {variant}; it has {', '.join(a.kind for a in job.artifacts)}.")

    def media_url(self, job: Job, variant: str = "video", base: str | None = None) -> str:
        """A signed link to a finished job's artifact, valid `limits.link_ttl_s` (at most until the job expires).

        `base` is `face.base_url(request)`. Raises NotFound when the job has no such artifact.
        """
        found = self.artifact(job, variant)
        until = min(time.time() + self.limits.link_ttl_s, job.expires_at or float("inf"))
        root = base or self.config.public_url or f"http://{self.config.host}:{self.config.port}"
        return root.rstrip("/") + links.sign(self.link_secret, job.id, variant, int(until), found.mime)

    def public_id(self, job: Job, protocol: str) -> str:
        """How `protocol` spells the job's id."""
        return ids.public_id(job.id, protocol)

    def job_id(self, public: str, protocol: str) -> str:
        """The ULID behind a public id. Raises NotFound."""
        return ids.job_id(public, protocol)

    # Webhook endpoints of a tenant ----------------------------------------------------------------------------------

    def endpoints(self, tenant: str) -> Sequence[dict[str, Any]]:
        """A tenant's endpoints that are switched on; a change in another process is seen within ENDPOINT_CACHE_S."""
        found, until = self._endpoints.get(tenant, ([], 0.0))
        if time.monotonic() > until:
            rows = self.store.database.run(lambda tx: tx.rows("endpoints", tenant=tenant), write=False)
            found = [row for row in rows if row["disabled_at"] is None]
            self._endpoints[tenant] = (found, time.monotonic() + ENDPOINT_CACHE_S)
        return found

    def forget_endpoints(self, tenant: str) -> None:
        """After a change of a tenant's endpoints."""
        self._endpoints.pop(tenant, None)


def shown(job: Job) -> Job:
    """The job with `model` as it was asked for; the store files it under the model that runs (workers claim by it)."""
    return replace(job, model=job.metadata.get("model_requested", job.model), model_actual=actual_of(job))


def hash_of(protocol: str, model: str, raw: Mapping[str, Any]) -> str:
    """What makes two submits the same: protocol, model and every field of the body."""
    text = json.dumps([protocol, model, raw], sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def shared_setting(store: Store, name: str, make: Callable[[], str]) -> str:
    """A value that all processes on one database agree on; the first one to ask makes it."""

    def read(tx: Tx) -> str | None:
        row = tx.row("get_setting", name=name)
        return None if row is None else str(row["value"])

    found = store.database.run(read, write=False)
    if found is None:
        store.database.run(lambda tx: tx.run("add_setting", name=name, value=make()))
        found = store.database.run(read, write=False)
    assert found is not None
    return found


def tell_setting(store: Store, name: str, value: str) -> None:
    """Set a value for all processes on the database; the last one to say so decides."""
    store.database.run(lambda tx: tx.run("put_setting", name=name, value=value))


def _named(name: str, read: Callable[[], Path]) -> Path:
    """Read one medium; an error about it says which field it was."""
    try:
        return read()
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error}", name) from error
    except (MediaFetch, MediaInvalid, NotFound) as error:
        raise type(error)(f"{name}: {error}") from error


def _checked_idempotency_key(key: str | None) -> str | None:
    if key is not None and not (1 <= len(key) <= 255 and key.isprintable()):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 printable characters.", "Idempotency-Key")
    return key


def _first_id(at: float) -> str:
    """The smallest ULID of a moment: ids sort by time."""
    return ids.ulid(int(at * 1000) << 80)
