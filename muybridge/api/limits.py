"""What the service allows, beside where it listens (`ServerConfig`): sizes, rates, prices, lifetimes."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
DAY_S = 86_400.0


@dataclass(frozen=True)
class Limits:
    """Caps of the service. Bytes end in `_bytes`, seconds in `_s`; money is in USD."""

    models: tuple[str, ...] = ("tiny",)  # served here; the first one stands behind every alias
    max_body_bytes: int = 256 * MIB
    max_json_bytes: int = 28 * MIB  # a body read whole: one inline picture of the largest size
    max_json_memory_bytes: int = 32 * MIB  # of such bodies over 1 MiB at once; others wait their turn unread
    max_image_bytes: int = 20 * MIB
    max_video_bytes: int = 100 * MIB
    max_audio_bytes: int = 30 * MIB
    max_ingests: int = 4  # files fetched or decoded at once, over all keys
    fetch_timeout_s: float = 60.0
    http_hosts: frozenset[str] = frozenset()  # "host:port" that may be plain http or private (an operator's choice)
    requests_per_s: float = 0.0  # of a key that names no rate of its own; 0: no limit
    max_queued: int = 0  # jobs of one tenant that wait or run; 0: no limit
    price_per_gpu_hour: float = 0.0  # quotes and usage: quoted seconds x this
    link_ttl_s: float = DAY_S  # how long a result link works
    sync_timeout_s: float = 600.0  # how long a synchronous face waits for its job
    ready_ttl_s: float = 60.0  # how long one proof of readiness counts

    def max_bytes(self, kind: str) -> int:
        """The cap for one file of `kind` (image, video or audio)."""
        return {"image": self.max_image_bytes, "video": self.max_video_bytes, "audio": self.max_audio_bytes}[kind]
