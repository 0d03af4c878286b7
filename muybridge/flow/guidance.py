"""Classifier-free guidance per modality, by time and by condition.

Shapes: B batch, C channels, T latent frames, Y X latent rows/cols.

    v = v_full + sum_k (g_k - 1) * (v_full - v_without_k)

over the conditions k that are guided. With one condition (everything dropped at once) it is the usual
v_uncond + g * (v_cond - v_uncond) of Ho & Salimans 2022; a condition with scale 1 needs no pass of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

FULL = "full"
"""The pass with every condition."""
TEXT = "text"
"""The pass with the negative prompt in place of the prompt: the usual unconditional pass."""


@dataclass(frozen=True)
class Scales:
    """Guidance scales of one condition for both modalities; 1 is no guidance.

    The first `num_first_frames` latent frames of the video use `video_first` instead (the published "cfg trick" against
    over-exposed clip starts).
    """

    video: float = 1.0
    audio: float = 1.0
    video_first: float | None = None
    num_first_frames: int = 0

    @property
    def is_idle(self) -> bool:
        """True where guidance would change nothing, so that its pass can be skipped."""
        has_first = self.num_first_frames > 0 and self.video_first not in (None, 1.0)
        return self.video == 1.0 and self.audio == 1.0 and not has_first

    def for_stream(self, stream: str, velocity: Tensor) -> float | Tensor:
        """The scale that fits `velocity`: a float, or [T, 1, 1] for a video [B, C, T, Y, X] with other first frames."""
        if stream == "audio":
            return self.audio
        if self.video_first is None or self.num_first_frames == 0:
            return self.video
        scale_T = torch.full((velocity.shape[2],), self.video, dtype=velocity.dtype, device=velocity.device)
        scale_T[: self.num_first_frames] = self.video_first
        return scale_T[:, None, None]


@dataclass(frozen=True)
class GuidancePolicy:
    """Which scales hold at which timestep: `early` while timestep > switch_timestep, then `late` (or `early`).

    `separate` holds scales of conditions that are dropped one at a time (e.g. "speech", "reference"), at all times.
    """

    early: Scales = field(default_factory=Scales)
    late: Scales | None = None
    switch_timestep: int = 500
    separate: Mapping[str, Scales] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if taken := {FULL, TEXT} & set(self.separate):
            raise ValueError(f"{sorted(taken)} cannot be the name of a separate condition; set `early` and `late`.")

    def scales(self, timestep: int) -> Scales:
        """The text condition's scales (video and audio) at `timestep`, an int on the scale of 1000."""
        return self.early if self.late is None or timestep > self.switch_timestep else self.late

    def guided(self, timestep: int) -> dict[str, Scales]:
        """The conditions whose scales change something at `timestep`; each costs one more pass."""
        scales = {TEXT: self.scales(timestep), **self.separate}
        return {name: scale for name, scale in scales.items() if not scale.is_idle}

    def passes(self, timestep: int) -> tuple[str, ...]:
        """Names of the model passes needed at `timestep`: "full", then one per condition to be left out."""
        return (FULL, *self.guided(timestep))


def guide(policy: GuidancePolicy, timestep: int, velocities: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Combine the passes into one velocity per stream.

    `velocities[name][stream]` holds, for every name in `policy.passes(timestep)`, the velocity with that condition left
    out ("full": none). Raises KeyError where a needed pass is missing.
    """
    full = velocities[FULL]
    guided = dict(full)
    for name, scales in policy.guided(timestep).items():
        for stream, v_full in full.items():
            scale = scales.for_stream(stream, v_full)
            if isinstance(scale, Tensor) or scale != 1.0:
                guided[stream] = guided[stream] + (scale - 1.0) * (v_full - velocities[name][stream])
    return guided


def classifier_free(v_uncond: Tensor, v_cond: Tensor, scale: float | Tensor) -> Tensor:
    """v_uncond + scale * (v_cond - v_uncond)."""
    return v_uncond + scale * (v_cond - v_uncond)


NO_GUIDANCE = GuidancePolicy()
"""Distilled models: one pass a step."""
BASE_15B = GuidancePolicy(early=Scales(video=5.0, audio=5.0), late=Scales(video=2.0, audio=5.0))
"""The published base stage, 32 steps: video 5 then 2, audio 5."""


def upscaler_15b(video: float = 3.5) -> GuidancePolicy:
    """The published two-pass upscaler: `video`, but at most 2 on the first 13 latent frames; its audio is fixed."""
    return GuidancePolicy(early=Scales(video=video, video_first=min(2.0, video), num_first_frames=13))
