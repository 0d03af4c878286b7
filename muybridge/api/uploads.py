"""Files that callers give us: fetched or received, checked and re-encoded (`muybridge.ingest`), kept per tenant.

On disk: `<root>/<tenant folder>/<id>/<sha256>.<ext>` beside `upload.json`. The path is built from our own ids only.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from muybridge.errors import Conflict, InvalidRequest, MediaInvalid, NotFound
from muybridge.fetch import FetchPolicy, fetch

MediaKind = Literal["image", "video", "audio"]
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Upload:
    """A checked file of one tenant. `id` is `file-<32 hex>`; `bytes` counts our re-encoded copy."""

    id: str
    tenant: str
    kind: MediaKind
    filename: str
    bytes: int
    path: Path
    created_at: float
    facts: dict[str, Any]  # width, height, duration_s, sha256 ... as ingest measured them
    purpose: str = "vision"


class Uploads:
    """The folder of uploads. Raises NotFound for another tenant's files just as for missing ones."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self,
        tenant: str,
        file: BinaryIO,
        filename: str,
        kind: MediaKind | None,
        max_bytes: int,
        file_id: str | None = None,
        purpose: str = "vision",
    ) -> Upload:
        """Keep what `file` holds once it is checked; `kind` None sniffs it. Raises MediaInvalid.

        `file_id`: the id that was promised before the bytes came (`tickets`). Raises Conflict when it is taken.
        """
        with self._room() as room:
            source = room / "source"
            _save(file, source, max_bytes)
            return self._ingest(tenant, source, filename, kind, file_id, purpose)

    def fetch(self, tenant: str, url: str, kind: MediaKind, policy: FetchPolicy) -> Upload:
        """Download, check and keep a URL's file. Raises MediaFetch, MediaInvalid."""
        with self._room() as room:
            source = room / "source"
            fetch(url, source, policy)
            return self._ingest(tenant, source, url.partition("?")[0].rpartition("/")[2][:200], kind)

    def get(self, tenant: str, file_id: str) -> Upload:
        """One upload. Raises NotFound."""
        folder = self._folder(tenant) / file_id
        if not file_id.startswith("file-") or not file_id[5:].isalnum():
            raise NotFound(f"There is no file {file_id[:80]!r}.")
        try:
            record = json.loads((folder / "upload.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NotFound(f"There is no file {file_id[:80]!r}; uploads are kept for two days.") from None
        return Upload(**{**record, "path": folder / record["path"]})

    def list(self, tenant: str) -> list[Upload]:
        """A tenant's uploads, newest first."""
        ids = [p.name for p in self._folder(tenant).glob("file-*")] if self._folder(tenant).is_dir() else []
        return sorted((self.get(tenant, i) for i in ids), key=lambda u: -u.created_at)

    def delete(self, tenant: str, file_id: str) -> None:
        """Remove an upload. Raises NotFound."""
        shutil.rmtree(self.get(tenant, file_id).path.parent)

    def sweep(self, before: float, in_use: frozenset[str]) -> int:
        """Remove uploads made before a moment, unless a job that has not ended needs their path; how many went."""
        removed = 0
        for record in self.root.glob("*/file-*/upload.json"):
            if record.stat().st_mtime >= before or any(str(p) in in_use for p in record.parent.iterdir()):
                continue
            if json.loads(record.read_text(encoding="utf-8"))["purpose"] != "character":
                shutil.rmtree(record.parent, ignore_errors=True)
                removed += 1
        return removed

    def _ingest(
        self,
        tenant: str,
        source: Path,
        filename: str,
        kind: MediaKind | None,
        file_id: str | None = None,
        purpose: str = "vision",
    ) -> Upload:
        from muybridge.ingest import ingest  # loads PyAV: only when a file really comes

        made = ingest(source, kind or sniff_kind(source), source.parent / "made")
        file_id = file_id or f"file-{secrets.token_hex(16)}"
        facts = {"width": made.width, "height": made.height, "duration_s": made.duration_s, "sha256": made.sha256}
        upload = Upload(
            file_id, tenant, made.kind, filename, made.size_bytes, Path(made.path.name), time.time(), facts, purpose
        )
        record = json.dumps({**asdict(upload), "path": made.path.name})
        (made.path.parent / "upload.json").write_text(record, encoding="utf-8")
        final = self._folder(tenant) / file_id
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            raise Conflict(f"The file {file_id} was sent already; ask for a new address.")
        made.path.parent.rename(final)  # appears whole or not at all
        return self.get(tenant, file_id)

    def _folder(self, tenant: str) -> Path:
        return self.root / hashlib.sha256(tenant.encode()).hexdigest()[:24]

    def _room(self) -> _Room:
        self.root.mkdir(parents=True, exist_ok=True)
        return _Room(self.root)


class _Room(tempfile.TemporaryDirectory[str]):
    """A scratch folder on the same file system as the uploads."""

    def __init__(self, root: Path) -> None:
        super().__init__(prefix=".room-", dir=root)

    def __enter__(self) -> Path:  # type: ignore[override]  # a Path instead of its text
        return Path(super().__enter__())


def sniff_kind(source: Path) -> MediaKind:
    """What a file is, by its first bytes. Raises MediaInvalid."""
    from muybridge.media.headers import sniff

    with source.open("rb") as file:
        head = file.read(64)
    form = sniff(head)
    if form in ("png", "jpeg", "webp", "gif"):
        return "image"
    if form == "mp4":
        return "audio" if head[8:11] == b"M4A" else "video"
    if form in ("wav", "mp3", "flac", "ogg"):
        return "audio"
    raise MediaInvalid(f"The file is {form or 'of an unknown format'}; send PNG, JPEG, WebP, MP4, WAV, MP3 or FLAC.")


def _save(file: BinaryIO, to: Path, max_bytes: int) -> None:
    size = 0
    with to.open("xb") as out:
        for chunk in _pieces(file):
            size += len(chunk)
            if size > max_bytes:
                raise MediaInvalid(f"The file is larger than {max_bytes} bytes; send a smaller or shorter one.")
            out.write(chunk)
    if not size:
        raise MediaInvalid("The file is empty.")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def url_of(value: object, name: str) -> str:
    """The text inside whatever wraps a medium: a string, `{"url"}`, `{"image_url": {"url"}}`, `{"file_id"}` ..."""
    for _ in range(3):
        if isinstance(value, str):
            return value
        if not isinstance(value, dict):
            break
        value = next(
            (value[k] for k in ("file_id", "id", "url", "uri", "image_url", "video_url", "data") if k in value), None
        )
    shown = type(value).__name__
    raise InvalidRequest(f"{name} must be a file, an upload id, or an https or data URL, not {shown}.", name)


def as_kind(kind: str) -> MediaKind:
    """A kind by its name. Raises InvalidRequest."""
    if kind not in ("image", "video", "audio"):
        raise InvalidRequest(f"kind is {kind[:40]!r}; choose image, video or audio.", "kind")
    return cast(MediaKind, kind)
