"""Sign a result with a C2PA manifest (specification 2.x): what made it, through whom, and that it is synthetic.

No prompt, no tenant and no key is ever written. A manifest that the file had before goes in as its parent.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muybridge import __version__
from muybridge.errors import NotInstalled, Unavailable, UserError
from muybridge.media import encode_image
from muybridge.trust.identity import Identity
from muybridge.trust.verify import LABEL, SETTINGS, read_in_child

SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"  # IPTC's vocabulary
MIMES = frozenset({"video/mp4", "image/png", "image/jpeg", "image/webp"})
MANIFEST_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # the ISO box type `uuid` of C2PA
MAX_BOXES = 10_000
MINING = ("c2pa.ai_training", "c2pa.ai_generative_training", "c2pa.ai_inference", "c2pa.data_mining")
PARENT = "provider"  # a name inside the manifest


@dataclass(frozen=True)
class Statement:
    """What is said of a file. `provider` is "local" for our own sizes; `weights` a SHA-256 where they have one."""

    job: str
    model: str
    provider: str | None = None
    model_id: str | None = None  # the model as the provider calls it
    weights: str | None = None
    edited: bool = False  # made from a clip that somebody brought

    def body(self) -> dict[str, Any]:
        """The content of our own assertion, without what is unknown."""
        said = {
            "job": self.job,
            "provider": self.provider,
            "model": self.model,
            "model_id": self.model_id,
            "weights_sha256": self.weights,
        }
        return {name: value for name, value in said.items() if value is not None}


class Signer:
    """Signs files with one identity; lives as long as its worker."""

    def __init__(self, identity: Identity, time_stamps: str | None = None) -> None:
        """Raises NotInstalled, and UserError for a certificate that C2PA does not accept."""
        try:
            self._c2pa: Any = importlib.import_module("c2pa")
        except ImportError:
            raise NotInstalled(
                "Signing results needs one more package: pip install c2pa-python; or write sign = false into "
                "provenance.toml (docs/how/provenance.md)."
            ) from None
        address = None if time_stamps is None else time_stamps.encode()
        info = self._c2pa.C2paSignerInfo(identity.algorithm.encode(), identity.chain, identity.key, address)
        try:
            self._signer = self._c2pa.Signer.from_info(info)
        except self._c2pa.C2paError as error:
            raise UserError(f"C2PA does not accept the certificate or its key: {error}.") from error
        self._context = self._c2pa.Context.from_dict(SETTINGS)

    def try_out(self) -> None:
        """Sign one pixel in memory. Raises UserError where the certificate or the time-stamping service refuses."""
        pixel = io.BytesIO(encode_image(np.zeros((1, 1, 3), np.uint8), "png"))
        manifest = {"claim_generator_info": [{"name": "Muybridge"}], "format": "image/png", "assertions": []}
        try:
            with self._c2pa.Builder(manifest, self._context) as builder:
                builder.set_intent(self._c2pa.C2paBuilderIntent.CREATE, self._c2pa.C2paDigitalSourceType.EMPTY)
                builder.sign(self._signer, "image/png", pixel, io.BytesIO())
        except self._c2pa.C2paError as error:
            raise UserError(
                f"Signing with this certificate fails ({error}). It must be a chain, leaf first, whose leaf has the "
                "key usage digitalSignature and the purpose emailProtection, documentSigning or C2PA claim signing; "
                "time_stamps, where set, must answer. docs/how/provenance.md says more."
            ) from error

    def sign(self, source: Path, target: Path, mime: str, said: Statement, original: Path | None = None) -> None:
        """Write a signed copy of `source`. `original` is the file it was made from, where that carries a manifest.

        Raises Unavailable when the copy cannot be made; `target` is gone then.
        """
        body = said.body()
        parent = None
        if original is not None:
            found = read_in_child(original)
            parent = original if found is not None else None
            state = "unreadable" if found is None else "altered" if found.problems else "intact"
            # A later reader sees an altered parent only deep inside its ingredient, so it is said here as well.
            body["original"] = {"sha256": sha256_of(original), "manifest": state}
        manifest = {
            "claim_generator_info": [{"name": "Muybridge", "version": __version__}],
            "title": source.name,
            "format": mime,
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": _actions(said, parent is not None)}},
                {"label": LABEL, "data": body},
                {"label": "c2pa.training-mining", "data": {"entries": {n: {"use": "notAllowed"} for n in MINING}}},
            ],
        }
        try:
            with self._c2pa.Builder(manifest, self._context) as builder:
                if parent is not None:
                    about = {"title": "as the provider gave it", "relationship": "parentOf"}
                    with parent.open("rb") as file:
                        builder.add_ingredient(about | {"instance_id": PARENT, "label": PARENT}, "video/mp4", file)
                with source.open("rb") as file, target.open("w+b") as out:
                    builder.sign(self._signer, mime, file, out)
        except (self._c2pa.C2paError, OSError) as error:
            target.unlink(missing_ok=True)
            raise Unavailable(f"The finished file could not be signed ({error}); it will be tried again.") from error


def carries_manifest(path: Path) -> bool:
    """Whether an ISO media file has a C2PA box, by a walk over its top-level boxes; nothing is parsed."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        for _ in range(MAX_BOXES):
            file.seek(at)
            head = file.read(32)
            if len(head) < 8:
                return False
            length, kind = struct.unpack(">I4s", head[:8])
            start = 8
            if length == 1 and len(head) >= 16:
                length, start = struct.unpack(">Q", head[8:16])[0], 16
            if kind == b"uuid" and head[start : start + 16] == MANIFEST_BOX:
                return True
            if length < start or at + length >= size:  # 0: up to the end
                return False
            at += length
    return False


def _actions(said: Statement, has_parent: bool) -> list[dict[str, Any]]:
    """How the file came about. A parent is opened and coded anew; without one the first action is its creation."""
    kind = SOURCES + ("compositeWithTrainedAlgorithmicMedia" if said.edited else "trainedAlgorithmicMedia")
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    ours = {"name": "Muybridge", "version": __version__}
    if has_parent:
        opened = {"action": "c2pa.opened", "digitalSourceType": kind, "parameters": {"ingredientIds": [PARENT]}}
        return [opened | {"when": when}, {"action": "c2pa.transcoded", "softwareAgent": ours, "when": when}]
    agent = {"name": said.model}
    if said.model_id is not None or said.weights is not None:
        agent["version"] = said.model_id or f"sha256:{said.weights}"
    return [{"action": "c2pa.created", "digitalSourceType": kind, "softwareAgent": agent, "when": when}]


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
