"""How a stage is sampled: its schedule, step rule and guidance, by model and request. Data, not branches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from muybridge.flow.guidance import BASE_15B, NO_GUIDANCE, GuidancePolicy, Scales
from muybridge.flow.schedule import Schedule, shifted
from muybridge.request import Request

Rule = Literal["unipc", "euler", "distilled"]


@dataclass(frozen=True)
class Sampling:
    """`distilled` re-noises each step, with a share `freshness` of new noise; `unipc` and `euler` follow the flow.

    Sound may have a rule of its own.
    """

    num_inference_steps: int
    rule: Rule
    guidance: GuidancePolicy = NO_GUIDANCE
    shift: float = 5.0
    audio_rule: Rule | None = None  # None: that of the picture
    freshness: float = 1.0

    def without(self, condition: str) -> Sampling:
        """The same without the guidance of a condition that there is nothing of."""
        separate = {name: scales for name, scales in self.guidance.separate.items() if name != condition}
        return replace(self, guidance=replace(self.guidance, separate=separate))

    def rule_of(self, stream: str) -> Rule:
        """How a step of "video" or "audio" is made."""
        return self.rule if stream == "video" or self.audio_rule is None else self.audio_rule

    def schedule(self) -> Schedule:
        """Noise levels, last one 0."""
        return shifted(self.num_inference_steps, self.shift)


# The picture does three times what the phones change in it: a mouth that is copied from a first picture hardly opens
# otherwise (docs/log.md).
SAID = GuidancePolicy(separate={"speech": Scales(video=3.0)})

# What each checkpoint was trained for. The open 15B's base runs 32 x 2 passes, its distilled form 8 x 1.
BASE: dict[str, Sampling] = {
    "15b": Sampling(8, "distilled"),
    "15b-base": Sampling(32, "unipc", BASE_15B),
    # Most of a small model's decisions fall near pure noise, and its last step, from far over 0, leaves out the fine
    # detail that it would only guess at. Fresh noise keeps heads whole and blurs them, the flow is sharp and puts faces
    # together wrongly; some of both shows more faces and better lips than either (bench/samplers.py, docs/log.md). The
    # sound follows its phones without.
    "tiny-base": Sampling(12, "distilled", GuidancePolicy(Scales(video=2.5)), 8.0, "euler", freshness=0.6),
    # One latent costs little, and its last step, from 0.4, leaves no grain.
    "tiny-draft": Sampling(
        32, "distilled", GuidancePolicy(Scales(video=3.0), Scales(video=2.0), 800), 20.0, "euler", freshness=0.3
    ),
    "tiny": Sampling(8, "distilled", SAID, 8.0, "euler", freshness=0.6),
}
UPSCALER: dict[str, Sampling] = {
    "15b": Sampling(5, "unipc"),
    # A last step from low levels leaves the start's noise as grain; from 0.89 it leaves none (docs/log.md).
    "tiny": Sampling(2, "euler", shift=8.0),
}


def base_sampling(size: str, request: Request) -> Sampling:
    """The base stage's sampling, with what the request sets over the size's own."""
    sampling = BASE.get(size) or BASE["tiny"]
    if request.num_inference_steps is not None:
        sampling = replace(sampling, num_inference_steps=request.num_inference_steps)
    if request.guidance_scale is not None:
        scale = request.guidance_scale
        policy = replace(sampling.guidance, early=Scales(scale, scale), late=None)
        sampling = replace(sampling, guidance=policy if scale != 1.0 else NO_GUIDANCE)
    return sampling


def upscaler_sampling(size: str) -> Sampling:
    """The upscaler's sampling: video only, one pass."""
    return UPSCALER["15b" if size.startswith("15b") else "tiny"]
