"""Read a file's C2PA manifest: who signed, what made it, whether the bytes are as they were signed.

Nothing is asked of the network. Without an anchor the signer's name is only what the signer says of itself.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from muybridge.errors import MediaInvalid, NotInstalled, UserError
from muybridge.media.headers import sniff
from muybridge.media.sandbox import lock

# Purposes of a certificate: e-mail protection, document signing, C2PA claim signing.
PURPOSES = "1.3.6.1.5.5.7.3.4\n1.3.6.1.5.5.7.3.36\n1.3.6.1.4.1.62558.2.1\n"
SETTINGS: dict[str, Any] = {
    # A manifest may name addresses: fetching them would let a stranger's file reach into our network.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": True},
    "trust": {"trust_config": PURPOSES},
    "builder": {"thumbnail": {"enabled": False}},
}
LABEL = "org.muybridge.generation"  # our own assertion
UNTRUSTED = "signingCredential.untrusted"
FORMATS = {"mp4": "video/mp4", "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "wav": "audio/wav"}
CHILD = "from muybridge.trust.verify import child; child()"
CHILD_MEMORY_BYTES, CHILD_CPU_S, CHILD_WALL_S = 3 << 30, 60, 120.0


@dataclass(frozen=True)
class Report:
    """What a manifest says and what holds. `problems` are C2PA's failure codes, an unknown signer not among them."""

    file: str
    signed: bool = False
    trusted: bool = False  # the certificate leads to an anchor that the reader gave
    intact: bool = False
    problems: tuple[str, ...] = ()
    signer: str | None = None  # organisation and name in the certificate
    signed_at: str | None = None  # from a time-stamp; None: nobody else saw the signing
    generator: str | None = None
    source_type: str | None = None
    actions: tuple[str, ...] = ()
    made_by: dict[str, Any] = field(default_factory=dict)  # our own assertion: job, provider, model
    ingredients: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def text(self) -> str:
        """A few lines for people."""
        if not self.signed:
            return f"{self.file}: no manifest"
        trust = "leads to your anchor" if self.trusted else "the name is unverified: no anchor was given that knows it"
        lines = {
            "bytes": "as they were signed" if self.intact else "NOT as they were signed: " + ", ".join(self.problems),
            "signed by": f"{self.signer} ({trust})",
            "signed at": self.signed_at or "not time-stamped",
            "written by": self.generator,
            "kind": self.source_type,
            "history": ", ".join(self.actions),
            **self.made_by,
        }
        for n, part in enumerate(self.ingredients, 1):
            state = {True: "intact", False: "ALTERED", None: "without a manifest"}[part["intact"]]
            lines[f"made from {n}"] = (
                f"{part['title']} ({part['relationship']}), {part['signer'] or 'unsigned'}, {state}"
            )
        rows = (f"  {_plain(name):<15} {_plain(value)}" for name, value in lines.items() if value)
        return "\n".join([self.file, *rows])

    def complaint(self) -> UserError | None:
        """Why the file cannot be relied on; None when it can."""
        if not self.signed:
            return MediaInvalid(
                f"{self.file} carries no C2PA manifest. It was never signed, or something on its way coded it anew or "
                "removed it (messengers, editors and `ffmpeg -c copy` do); ask for the file as it was downloaded."
            )
        if self.problems:
            return MediaInvalid(
                f"{self.file} is not as it was signed ({', '.join(self.problems)}). Do not rely on what its manifest "
                "says; get the file again from whoever made it."
            )
        return None


def verify(path: Path, anchors: Path | None = None) -> Report:
    """Read and check a file. `anchors`: PEM certificates whose word is taken.

    Raises MediaInvalid for what is no known file, UserError for anchors that cannot be read, NotInstalled.
    """
    c2pa = _c2pa()
    try:
        with path.open("rb") as file:
            form = sniff(file.read(64))
    except OSError as error:
        raise MediaInvalid(f"{path} cannot be read: {error.strerror}.") from error
    if form not in FORMATS:
        raise MediaInvalid(f"{path} is {form}; a manifest can be read from {', '.join(sorted(FORMATS))}.")
    settings = {k: dict(v) for k, v in SETTINGS.items()}
    if anchors is not None:
        try:
            settings["trust"]["trust_anchors"] = anchors.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{anchors} cannot be read as PEM certificates: {error}.") from error
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            path.open("rb") as file,
            c2pa.Reader(FORMATS[form], file, context=context) as reader,
        ):
            found = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return Report(str(path))
    except c2pa.C2paError as error:
        return Report(str(path), signed=True, problems=(f"unreadable manifest: {error}",))
    return _report(path, found)


def read_in_child(path: Path) -> Report | None:
    """`verify` for a stranger's file, in a locked child process; None when it cannot be read there."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(path.resolve())],
            capture_output=True,
            timeout=CHILD_WALL_S,
            check=True,
        )
        values = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        return None
    if not values["signed"] or any(problem.startswith("unreadable") for problem in values["problems"]):
        return None
    return Report(**values)


def child() -> None:
    """The body of that process: lock it, read the file named in its argument, print the report."""
    _c2pa()
    lock(CHILD_MEMORY_BYTES, CHILD_CPU_S, 1 << 20)
    sys.stdout.write(json.dumps(verify(Path(sys.argv[1])).to_dict()))


def _report(path: Path, found: dict[str, Any]) -> Report:
    active = found["manifests"][found["active_manifest"]]
    problems = _problems(found.get("validation_results", {}).get("activeManifest", {}))
    actions = [a for x in _assertions(active, "c2pa.actions") for a in x.get("actions", ())]
    kinds = [str(a["digitalSourceType"]).rpartition("/")[2] for a in actions if "digitalSourceType" in a]
    ours = _assertions(active, LABEL)
    info = (active.get("claim_generator_info") or [{}])[0]
    return Report(
        file=str(path),
        signed=True,
        trusted=found.get("validation_state") == "Trusted",
        intact=not problems,
        problems=problems,
        signer=_signer(active),
        signed_at=active.get("signature_info", {}).get("time"),
        generator=" ".join(str(info[k]) for k in ("name", "version") if k in info) or active.get("claim_generator"),
        source_type=kinds[0] if kinds else None,
        actions=tuple(str(a.get("action", "")) for a in actions),
        made_by=dict(ours[0]) if ours else {},
        ingredients=tuple(_ingredient(i, found["manifests"]) for i in active.get("ingredients", ())),
    )


def _ingredient(part: dict[str, Any], manifests: dict[str, Any]) -> dict[str, Any]:
    own = manifests.get(part.get("active_manifest") or "")
    results = part.get("validation_results", {}).get("activeManifest", {})
    return {
        "title": part.get("title", ""),
        "relationship": part.get("relationship", ""),
        "signer": None if own is None else _signer(own),
        "intact": None if own is None else not _problems(results),
    }


def _problems(results: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted({str(f["code"]) for f in results.get("failure", ())} - {UNTRUSTED}))


def _assertions(manifest: dict[str, Any], label: str) -> list[dict[str, Any]]:
    return [a["data"] for a in manifest.get("assertions", ()) if str(a["label"]).startswith(label)]


def _signer(manifest: dict[str, Any]) -> str:
    info = manifest.get("signature_info") or {}
    return ", ".join(str(info[k]) for k in ("issuer", "common_name") if info.get(k)) or "nobody known"


def _plain(text: object) -> str:
    """Without control characters: a manifest's words are a stranger's and must not steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def _c2pa() -> Any:  # noqa: ANN401  (a package without types)
    try:
        return importlib.import_module("c2pa")
    except ImportError:
        raise NotInstalled("Reading manifests needs one more package: pip install c2pa-python.") from None
