"""The numbers: what a model size is, how an engine runs it, where a server listens. Frozen, no torch.

A size is a set of numbers, never a branch in the code. The environment is read once, by `settings()`.
"""

from __future__ import annotations

import functools
import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from muybridge.errors import InvalidRequest, UserError

NUM_MODALITIES = 3  # video, audio, text: the order in which stacked weights lie on dim 0


@dataclass(frozen=True)
class ModelConfig:
    """One transformer. The defaults are the open 15B; every size is this class with other numbers.

    Stored as JSON inside its checkpoint's metadata, so weights describe themselves.
    """

    name: str = "15b"
    num_layers: int = 40
    hidden_size: int = 5120
    head_dim: int = 128
    num_heads_kv: int = 8
    video_in_channels: int = 192  # 48 latent channels in a 1x2x2 patch
    audio_in_channels: int = 64
    text_in_channels: int = 3584
    mm_layers: tuple[int, ...] = (0, 1, 2, 3, 36, 37, 38, 39)  # one set of weights per modality
    gelu7_layers: tuple[int, ...] = (0, 1, 2, 3)  # the others are swiglu7
    local_layers: tuple[int, ...] = ()  # windowed in time: the 1080p upscaler
    frame_receptive_field: int = 11  # latent frames seen to each side in local layers
    num_roles: int = 0  # learned role embeddings; the open checkpoints have none
    video_step: int = 2  # latents between video tokens that are denoised; at 1 their patches overlap: model/tokens.py
    time_scale: float = 1.0  # clock units (160 ms) per unit of rotary position; finer for small models
    video_moments: tuple[float, ...] = ()  # mean square of each latent channel: see flow/scaling.py; none: velocities
    audio_moments: tuple[float, ...] = ()
    video_lasting: tuple[float, ...] = ()  # how much each latent channel shares over time: flow/continuity.py
    video_fading: tuple[float, ...] = ()
    video_fading_units: tuple[float, ...] = ()
    video_kept: tuple[float, ...] = ()  # and with the source of an edit
    rest_moments: tuple[float, ...] = ()  # of an upscaler: mean square of what the enlarged picture lacks
    rest_products: tuple[float, ...] = ()  # and its mean product with the latent
    start_noise: float = 1.0  # how strong the noise of its start is
    distilled: bool = False  # of the tiny size: eight steps without guidance (recipes/few_step.py)

    @property
    def num_heads_q(self) -> int:
        """Query heads; their total width is the hidden size."""
        return self.hidden_size // self.head_dim

    @property
    def qkvg_size(self) -> int:
        """Rows of one modality's fused projection: q | k | v | one gate per query head."""
        return self.hidden_size + 2 * self.num_heads_kv * self.head_dim + self.num_heads_q

    @property
    def num_bands(self) -> int:
        """Rotary frequencies per axis; three axes rotate 2 * 3 * bands of the head's dimensions (96 of 128)."""
        return self.head_dim // 8

    def intermediate_size(self, layer: int) -> int:
        """Width inside the feed-forward network of `layer` (for swiglu7: of each half)."""
        if layer in self.gelu7_layers:
            return 4 * self.hidden_size
        return int(self.hidden_size * 4 * 2 / 3) // 4 * 4

    def num_copies(self, layer: int) -> int:
        """Weight sets in `layer`: three where modalities are kept apart, else one."""
        return NUM_MODALITIES if layer in self.mm_layers else 1

    def to_json(self) -> str:
        """One line of JSON, for a checkpoint's metadata."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> ModelConfig:
        """The inverse of `to_json`; an unknown field is an error, a missing one keeps its default."""
        values: dict[str, Any] = json.loads(text)
        unknown = set(values) - {f.name for f in fields(ModelConfig)}
        if unknown:
            raise UserError(f"The model config has unknown fields {sorted(unknown)}; it needs a newer Muybridge.")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return ModelConfig(**values)


FIFTEEN_B = ModelConfig()
FIFTEEN_B_1080P = replace(
    FIFTEEN_B, name="15b-1080p", local_layers=tuple(i for i in range(40) if i not in range(3, 32, 4))
)
TINY = ModelConfig(
    name="tiny",
    num_layers=8,
    hidden_size=256,
    head_dim=64,
    num_heads_kv=1,
    text_in_channels=512,
    mm_layers=(0, 7),
    gelu7_layers=(0,),
    num_roles=8,
    time_scale=4.0,
)
TINY_UPSCALER = replace(
    TINY,
    name="tiny-upscaler",
    local_layers=tuple(range(8)),
    frame_receptive_field=2,
)

SIZES: dict[str, ModelConfig] = {c.name: c for c in (TINY, TINY_UPSCALER, FIFTEEN_B, FIFTEEN_B_1080P)}
SIZE_ALIASES = {"tiny-base": "tiny", "15b-base": "15b", "15b-distill": "15b", "15b-540p": "15b"}


def model_config(size: str) -> ModelConfig:
    """The config of a size by name (`tiny`, `15b`, ...); raises InvalidRequest naming the sizes there are."""
    try:
        return SIZES[SIZE_ALIASES.get(size, size)]
    except KeyError:
        raise InvalidRequest(f"There is no size {size!r}; choose one of {', '.join(SIZES)}.", "model") from None


Precision = Literal["auto", "fp32", "bf16", "fp8"]
Offload = Literal["auto", "none", "components", "layers"]


@dataclass(frozen=True)
class EngineConfig:
    """How to run a model here. `auto` is decided by what the device has; `doctor` prints the reason."""

    device: str = "auto"
    precision: Precision = "auto"
    offload: Offload = "auto"
    memory_limit_bytes: int | None = None  # plan as if the device had no more than this


@dataclass(frozen=True)
class ServerConfig:
    """Where the service listens and keeps its state."""

    host: str = "127.0.0.1"
    port: int = 8000
    data: Path = Path("muybridge-data")
    database: str | None = None  # None: SQLite inside `data`; else a postgresql:// URL
    artifacts: str | None = None  # None: a folder inside `data`; else s3://bucket/prefix
    public_url: str | None = None  # how clients reach the server, for result links
    workers: int = 1


@dataclass(frozen=True)
class Settings:
    """The environment, read once. Every variable has the prefix MUYBRIDGE_."""

    home: Path
    weights: Path
    api_key: str | None
    log_level: str


@functools.cache
def settings() -> Settings:
    """MUYBRIDGE_HOME, _WEIGHTS, _API_KEY and _LOG_LEVEL, with their defaults; later changes have no effect."""
    home = Path(os.environ.get("MUYBRIDGE_HOME", Path.home() / ".cache" / "muybridge"))
    return Settings(
        home=home,
        weights=Path(os.environ.get("MUYBRIDGE_WEIGHTS", home / "weights")),
        api_key=os.environ.get("MUYBRIDGE_API_KEY"),
        log_level=os.environ.get("MUYBRIDGE_LOG_LEVEL", "warning"),
    )
