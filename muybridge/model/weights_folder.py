"""A size's weights as a folder: which parts come from where, download, checksums, conversion.

Layout of `15b/` (the first five are the open model's own repository, as published):

    base/ distill/ 540p_sr/ 1080p_sr/    one transformer each (sharded safetensors)
    turbo_vae/                           the turbo video decoder (JSON and a torch pickle)
    video_codec/vae/                     the Wan 2.2 codec
    audio_codec/vae/                     the stable-audio-open codec
    text_encoder/                        T5Gemma 9B and its tokenizer
    SHA256SUMS                           checksums of all of it, readable by `sha256sum -c`
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
import torch

from muybridge.config import model_config
from muybridge.errors import DoesNotFit, NotFound, NotInstalled, Unavailable, UserError, WeightsInvalid
from muybridge.model.weights import model_specs, write_checkpoint
from muybridge.model.weights_file import Checkpoint, check_config, check_state

MANIFEST = "SHA256SUMS"
SPARE_BYTES = 2 * 10**9  # left free on the disk after a download

OnBytes = Callable[[int, int], None]
"""Progress: (bytes done, bytes in all)."""


@dataclass(frozen=True)
class Part:
    """One component of a size: where it is published, which files, into which folder, under which licence."""

    name: str
    repo: str
    patterns: tuple[str, ...]
    folder: str
    licence: str
    gated: bool = False


_MAGIHUMAN = "GAIR/daVinci-MagiHuman"
PARTS_15B = (
    *(
        Part(name, _MAGIHUMAN, (f"{name}/*",), "", "Apache-2.0")
        for name in ("base", "distill", "540p_sr", "1080p_sr", "turbo_vae")
    ),
    Part("video_codec", "Wan-AI/Wan2.2-TI2V-5B-Diffusers", ("vae/*",), "video_codec", "Apache-2.0"),
    Part(
        "audio_codec",
        "stabilityai/stable-audio-open-1.0",
        ("vae/*", "LICENSE*"),
        "audio_codec",
        "Stability AI Community License",
        gated=True,
    ),
    Part(
        "text_encoder",
        "google/t5gemma-9b-9b-ul2",
        ("*.safetensors", "*.json", "tokenizer*"),
        "text_encoder",
        "Gemma Terms of Use",
        gated=True,
    ),
)
PARTS: dict[str, tuple[Part, ...]] = {"15b": PARTS_15B}


def choose_parts(size: str, names: list[str] | None = None) -> list[Part]:
    """The parts of a size, or the named ones; raises UserError naming what there is."""
    if size not in PARTS:
        raise UserError(f"{size!r} has nothing to download; `tiny` is inside the package. Choose {', '.join(PARTS)}.")
    parts = {part.name: part for part in PARTS[size]}
    unknown = [name for name in names or [] if name not in parts]
    if unknown:
        raise UserError(f"{size} has no part {', '.join(unknown)}; choose from {', '.join(parts)}.")
    return [parts[name] for name in names or parts]


def pull(
    size: str, folder: Path, names: list[str] | None = None, on_part: Callable[[str, int], None] | None = None
) -> Path:
    """Download a size's parts, resuming what is there, and check every large file against the hub's checksum.

    Refused before the first byte: unknown part (UserError), no hub client (NotInstalled), too little disk
    (DoesNotFit). Offline or gated repositories raise Unavailable saying what to do. The hub client shows progress;
    `on_part` gets each part's name and bytes before it is fetched.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise NotInstalled("Downloading needs the hub client: pip install 'muybridge[15b]'") from error
    plan = [(part, _remote_files(huggingface_hub, part)) for part in choose_parts(size, names)]
    missing_bytes = 0
    for part, files in plan:
        for name, (num_bytes, _) in files.items():
            present = folder / part.folder / name
            if not present.is_file() or present.stat().st_size != num_bytes:
                missing_bytes += num_bytes
    check_disk(folder, missing_bytes)
    for part, files in plan:
        if on_part:
            on_part(part.name, sum(num_bytes for num_bytes, _ in files.values()))
        target = folder / part.folder
        try:
            huggingface_hub.snapshot_download(part.repo, allow_patterns=list(part.patterns), local_dir=target)
        except (OSError, httpx.HTTPError) as error:
            raise _unavailable(part, error) from error
        sums = {f"{part.folder}/{name}".lstrip("/"): sha for name, (_, sha) in files.items() if sha}
        verify(folder, sums)
        _update_manifest(folder, sums)
    return folder


def _remote_files(hub: Any, part: Part) -> dict[str, tuple[int, str | None]]:  # noqa: ANN401  the imported module
    """{file: (bytes, sha256 where the hub has one)} of a part's files."""
    try:
        listing = hub.HfApi().model_info(part.repo, files_metadata=True)
    except (OSError, httpx.HTTPError) as error:
        raise _unavailable(part, error) from error
    files = {}
    for sibling in listing.siblings or []:
        if any(fnmatch(sibling.rfilename, pattern) for pattern in part.patterns):
            files[sibling.rfilename] = (sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else None)
    if not files:
        raise Unavailable(f"{part.repo} has no files for {part.name} ({', '.join(part.patterns)}); it may have moved.")
    return files


def _unavailable(part: Part, error: Exception) -> Unavailable:
    advice = "check the network, then run the same command again; finished files are kept"
    if part.gated and getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        advice = (
            f"this repository is gated ({part.licence}): accept its terms on its page, then log in with `hf auth login`"
        )
    return Unavailable(f"{part.name} could not be fetched from {part.repo}: {advice}. ({type(error).__name__})")


def check_disk(folder: Path, num_bytes: int) -> None:
    """Raise DoesNotFit unless the disk of `folder` has room for `num_bytes` and 2 GB more."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < num_bytes + SPARE_BYTES:
        raise DoesNotFit(
            f"The download needs {num_bytes / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free. Free some space, "
            "set MUYBRIDGE_WEIGHTS to another disk, or name fewer parts."
        )


# --- checksums -----------------------------------------------------------------------------------------------------


def sha256_of(file: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Hex sha256 of a file, read in pieces of 8 MiB."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(8 << 20):
            digest.update(piece)
            if on_bytes:
                on_bytes(len(piece))
    return digest.hexdigest()


def write_manifest(folder: Path, on_bytes: OnBytes | None = None) -> Path:
    """Write SHA256SUMS over every file below the folder (hidden ones and itself left out)."""
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and not _is_hidden(f.relative_to(folder))]
    _update_manifest(folder, _hash_all(folder, [f for f in files if f.name != MANIFEST], on_bytes), replace=True)
    return folder / MANIFEST


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _hash_all(folder: Path, files: list[Path], on_bytes: OnBytes | None) -> dict[str, str]:
    total, done = sum(f.stat().st_size for f in files), 0

    def advance(num_bytes: int) -> None:
        nonlocal done
        done += num_bytes
        if on_bytes:
            on_bytes(done, total)

    return {str(f.relative_to(folder)): sha256_of(f, advance) for f in files}


def _update_manifest(folder: Path, sums: dict[str, str], *, replace: bool = False) -> None:
    if not replace and (folder / MANIFEST).is_file():
        sums = read_manifest(folder) | sums
    temp = folder / f".{MANIFEST}.tmp"
    temp.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    temp.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> dict[str, str]:
    """{file: sha256}; raises NotFound without a manifest and WeightsInvalid for a broken or escaping line."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise NotFound(f"{folder} has no {MANIFEST}; `muybridge weights verify {folder} --write` makes one.")
    sums = {}
    for line in manifest.read_text().splitlines():
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise WeightsInvalid(f"{manifest} has a broken line: {line[:100]!r}.")
        sums[name] = digest
    return sums


def verify(folder: Path, sums: dict[str, str] | None = None, on_bytes: OnBytes | None = None) -> int:
    """Compare every file with the manifest (or `sums`); returns how many. Raises WeightsInvalid naming bad files."""
    sums = read_manifest(folder) if sums is None else sums
    absent = [name for name in sums if not (folder / name).is_file()]
    found = _hash_all(folder, [folder / name for name in sums if name not in absent], on_bytes)
    damaged = [name for name, digest in found.items() if digest != sums[name]]
    for what, bad in (("missing", absent), ("damaged", damaged)):
        if bad:
            raise WeightsInvalid(
                f"{folder}: {len(bad)} {what} files ({', '.join(bad[:8])}). Delete them and pull the weights again."
            )
    return len(sums)


# --- conversion ----------------------------------------------------------------------------------------------------


def convert(
    source: Path,
    target: Path,
    size: str,
    *,
    matrix_dtype: torch.dtype | None = None,
    shard_bytes: int,
    on_bytes: OnBytes | None = None,
) -> list[Path]:
    """Rewrite a transformer checkpoint: strict check, the size's dtypes, our metadata, other shards, a manifest.

    Upstream files (no metadata, float32 or mixed) become ours; names are the same on both sides, so ours load
    upstream too. float32 is cast down for block matrices only, unless `matrix_dtype` keeps them. Memory holds one
    shard. Raises WeightsInvalid, or UserError where the target is the source.
    """
    if target.resolve() == source.resolve():
        raise UserError(f"Convert into another folder than {source}: the source is read while the target is written.")
    config = model_config(size)
    wanted = model_specs(config)
    specs = model_specs(config, matrix_dtype)
    with Checkpoint.open(source) as checkpoint:
        check_config(checkpoint, config)
        check_state(checkpoint.specs, wanted, source=str(source))
        files = write_checkpoint(
            specs,
            lambda name: checkpoint.read(name).to(specs[name].dtype),
            target,
            config=config,
            shard_bytes=shard_bytes,
            on_tensor=on_bytes,
        )
    folder = target.parent if target.suffix == ".safetensors" else target
    kept = read_manifest(folder) if (folder / MANIFEST).is_file() else {}
    kept = {name: digest for name, digest in kept.items() if (folder / name).is_file()}
    _update_manifest(folder, kept | _hash_all(folder, files, None), replace=True)
    return files
