"""Whether this machine could run a size of ours at all: a look at folders, no torch, cheap enough for every submit."""

from __future__ import annotations

from pathlib import Path

from muybridge.config import SIZE_ALIASES, SIZES, settings

OWN_RUNNERS = frozenset({"muybridge.providers.remote:runner", "muybridge.providers.local:runner"})
SHIPPED = Path(__file__).parent.parent / "shipped" / "tiny"
PARTS_15B = ("text_encoder", "video_codec", "audio_codec")  # beside the transformer


def missing(size: str) -> str | None:
    """What to do before `size` can run here; None: its weights are here, or it is no size of ours."""
    if SIZE_ALIASES.get(size, size) not in SIZES:
        return None
    folder = SHIPPED if size == "tiny" else settings().weights / "15b"  # as the engine looks for them
    if size == "tiny":
        if (folder / "base.safetensors").is_file():
            return None
        return (
            "This copy has no weights for tiny: train them (docs/how/train.md), serve another size, or "
            'serve "auto" with a key for a provider (docs/how/providers.md).'
        )
    wanted = ("base" if size == "15b-base" else "distill", *PARTS_15B)
    if absent := [name for name in wanted if not (folder / name).is_dir()]:
        return f"{folder} lacks {', '.join(absent)}; the operator runs `muybridge weights pull 15b`."
    return None
