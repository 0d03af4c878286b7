"""Where results lie: a local folder or an S3 bucket. Keys are `{job}/{attempt}/{name}`, so attempts cannot collide.

A file counts as published only when the job row points to it; what a lost attempt left behind is never read.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from muybridge.errors import NotFound, NotInstalled, UserError
from muybridge.jobs.job import Receipt
from muybridge.jobs.store import Store

CHUNK_BYTES = 1 << 20
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)+")


def artifact_key(job_id: str, attempt: int, name: str) -> str:
    """`{job}/{attempt}/{name}`; raises UserError when the name could leave its folder."""
    return _checked(f"{job_id}/{attempt}/{name}")


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ArtifactStore(Protocol):
    """What a place for artifacts can do. All raise NotFound for a key that is not there (except the deletes)."""

    def put(self, key: str, data: bytes | Path, mime: str = "application/octet-stream") -> None:
        """Store bytes or a file under a key, whole and on disk before it returns; a second put replaces the first."""

    def get(self, key: str) -> bytes:
        """All bytes; for checkpoints and pictures."""

    def size(self, key: str) -> int:
        """Bytes under a key."""

    def open_range(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes [start, end) in pieces of at most 1 MiB; `end` None or past the file means its end."""

    def delete(self, key: str) -> bool:
        """Remove a key; whether it was there."""

    def delete_job(self, job_id: str) -> int:
        """Remove everything of a job, of all its attempts; how many files there were."""

    def list(self, job_id: str) -> list[str]:
        """All keys of a job, sorted."""

    def url(self, key: str, expires_s: float, filename: str | None = None) -> str | None:
        """A link that works without us for `expires_s` seconds, or None where the API has to serve the file itself."""


def open_artifacts(url: str | Path) -> ArtifactStore:
    """A folder (a path or `file://`), or `s3://bucket/prefix[?endpoint=http://host:port]`. Raises UserError."""
    text = str(url)
    if text.startswith("s3://"):
        parts = urlsplit(text)
        endpoint = parse_qs(parts.query).get("endpoint", [None])[0]
        return S3Artifacts(parts.netloc, parts.path.strip("/"), endpoint)
    if "://" in text and not text.startswith("file://"):
        raise UserError(f"Cannot keep artifacts in {text!r}: use a folder or s3://bucket/prefix.")
    return FolderArtifacts(Path(text.removeprefix("file://")))


def sweep(store: Store, artifacts: ArtifactStore, limit: int = 100) -> list[Receipt]:
    """Enforce retention and finish deletions: expired results, deleted jobs, remains of unpublished attempts.

    A crash in the middle leaves receipts open; the next sweep settles them. Returns the receipts settled now.
    """
    store.receipts.expire(limit)
    settled = [store.receipts.close(r.id, artifacts.delete_job(r.job_id)) for r in store.receipts.open(limit)]
    return [receipt for receipt in settled if receipt is not None]


class FolderArtifacts:
    """Artifacts in a local folder. A put is a temporary file, fsync, rename, fsync of the folder: whole or absent."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.root.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, data: bytes | Path, mime: str = "application/octet-stream") -> None:  # noqa: ARG002 (S3's)
        """See ArtifactStore."""
        path = self._path(key)
        made = [p for p in (path.parent, *path.parent.parents) if not p.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".put-", delete=False) as file:
            try:
                if isinstance(data, Path):
                    with data.open("rb") as source:
                        shutil.copyfileobj(source, file, CHUNK_BYTES)
                else:
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        for folder in {path.parent, *(p.parent for p in made)}:
            _fsync_folder(folder)

    def get(self, key: str) -> bytes:
        """See ArtifactStore."""
        with self._found(key):
            return self._path(key).read_bytes()

    def size(self, key: str) -> int:
        """See ArtifactStore."""
        with self._found(key):
            return self._path(key).stat().st_size

    def open_range(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See ArtifactStore. The file is opened now, so a deletion meanwhile does not cut the answer short."""
        with self._found(key):
            file = self._path(key).open("rb")

        def pieces() -> Iterator[bytes]:
            with file:
                file.seek(start)
                left = float("inf") if end is None else end - start
                while left > 0 and (piece := file.read(int(min(CHUNK_BYTES, left)))):
                    left -= len(piece)
                    yield piece

        return pieces()

    def delete(self, key: str) -> bool:
        """See ArtifactStore."""
        try:
            self._path(key).unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def delete_job(self, job_id: str) -> int:
        """See ArtifactStore. Also removes what an interrupted put left behind."""
        folder = self._path(f"{job_id}/x").parent
        num_files = sum(1 for p in folder.rglob("*") if p.is_file())
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
            _fsync_folder(self.root)
        return num_files

    def list(self, job_id: str) -> list[str]:
        """See ArtifactStore."""
        folder = self._path(f"{job_id}/x").parent
        files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".put-"))
        return sorted(p.relative_to(self.root).as_posix() for p in files)

    def url(self, key: str, expires_s: float, filename: str | None = None) -> str | None:  # noqa: ARG002
        """None: the API signs and serves local files itself."""
        return None

    def _path(self, key: str) -> Path:
        return self.root / _checked(key)

    @contextlib.contextmanager
    def _found(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound(f"There is no file {key!r}; it was deleted or never published.") from None


class S3Artifacts:
    """Artifacts in a bucket of S3 or of anything that speaks it. Credentials come from boto3's usual places."""

    def __init__(self, bucket: str, prefix: str = "", endpoint: str | None = None) -> None:
        try:
            boto3 = importlib.import_module("boto3")
        except ImportError:
            raise NotInstalled("S3 needs one more package: pip install 'muybridge[s3]'.") from None
        self.bucket, self.prefix = bucket, f"{prefix}/" if prefix else ""
        self._client: Any = boto3.client("s3", endpoint_url=endpoint)
        self._error: Any = importlib.import_module("botocore.exceptions").ClientError

    def put(self, key: str, data: bytes | Path, mime: str = "application/octet-stream") -> None:
        """See ArtifactStore. S3 shows an object only when all of it has arrived."""
        where, name = self.bucket, self._name(key)
        if isinstance(data, Path):
            self._client.upload_file(str(data), where, name, ExtraArgs={"ContentType": mime})
        else:
            self._client.put_object(Bucket=where, Key=name, Body=data, ContentType=mime)

    def get(self, key: str) -> bytes:
        """See ArtifactStore."""
        with self._found(key):
            data: bytes = self._client.get_object(Bucket=self.bucket, Key=self._name(key))["Body"].read()
            return data

    def size(self, key: str) -> int:
        """See ArtifactStore."""
        with self._found(key):
            return int(self._client.head_object(Bucket=self.bucket, Key=self._name(key))["ContentLength"])

    def open_range(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See ArtifactStore."""
        size = self.size(key)
        end = size if end is None else min(end, size)
        if start >= end:
            return iter(())
        span = f"bytes={start}-{end - 1}"
        with self._found(key):
            body = self._client.get_object(Bucket=self.bucket, Key=self._name(key), Range=span)["Body"]
        pieces: Iterator[bytes] = body.iter_chunks(CHUNK_BYTES)
        return pieces

    def delete(self, key: str) -> bool:
        """See ArtifactStore."""
        try:
            self.size(key)
        except NotFound:
            return False
        self._client.delete_object(Bucket=self.bucket, Key=self._name(key))
        return True

    def delete_job(self, job_id: str) -> int:
        """See ArtifactStore."""
        keys = self.list(job_id)
        for first in range(0, len(keys), 1000):  # the protocol's limit for one call
            names = [{"Key": self._name(key)} for key in keys[first : first + 1000]]
            answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": names, "Quiet": True})
            if answer.get("Errors"):
                raise OSError(f"S3 kept {len(answer['Errors'])} files of job {job_id}: {answer['Errors'][0]}")
        return len(keys)

    def list(self, job_id: str) -> list[str]:
        """See ArtifactStore."""
        folder = self._name(f"{job_id}/x")[:-1]
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=folder)
        return sorted(o["Key"].removeprefix(self.prefix) for page in pages for o in page.get("Contents", ()))

    def url(self, key: str, expires_s: float, filename: str | None = None) -> str | None:
        """A presigned link, at most 7 days (S3's limit)."""
        params = {"Bucket": self.bucket, "Key": self._name(key)}
        if filename is not None:
            params["ResponseContentDisposition"] = f'attachment; filename="{filename}"'
        seconds = int(min(expires_s, 7 * 86_400))
        return str(self._client.generate_presigned_url("get_object", Params=params, ExpiresIn=seconds))

    def _name(self, key: str) -> str:
        return self.prefix + _checked(key)

    @contextlib.contextmanager
    def _found(self, key: str) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
            raise NotFound(f"There is no file {key!r}; it was deleted or never published.") from None


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise UserError(f"{key!r} is no artifact key: letters, digits, '.', '_' and '-' between single slashes.")
    return key


def _fsync_folder(folder: Path) -> None:
    """Make names in a folder durable (POSIX: a rename lives in the folder, not in the file)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
