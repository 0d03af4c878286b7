"""Guidance against its closed forms, and which passes it asks for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from muybridge.flow.guidance import BASE_15B, NO_GUIDANCE, GuidancePolicy, Scales, classifier_free, guide, upscaler_15b
from muybridge.flow.schedule import shifted


def latents(seed: int, num_frames: int = 20) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "video": torch.randn(1, 3, num_frames, 2, 2, generator=generator, dtype=torch.float64),
        "audio": torch.randn(1, 7, 4, generator=generator, dtype=torch.float64),
    }


def test_the_base_policy_is_the_published_one() -> None:
    early, late = BASE_15B.scales(501), BASE_15B.scales(500)
    assert (early.video, early.audio, late.video, late.audio) == (5.0, 5.0, 2.0, 5.0)
    assert [BASE_15B.scales(t).video for t in shifted(32).timesteps] == [5.0] * 27 + [2.0] * 5


@pytest.mark.parametrize("timestep", [900, 100])
def test_one_condition_is_classifier_free_guidance(timestep: int) -> None:
    cond, uncond = latents(1), latents(2)
    guided = guide(BASE_15B, timestep, {"full": cond, "text": uncond})
    scale = 5.0 if timestep > 500 else 2.0
    torch.testing.assert_close(guided["video"], classifier_free(uncond["video"], cond["video"], scale))
    torch.testing.assert_close(guided["video"], uncond["video"] + scale * (cond["video"] - uncond["video"]))
    torch.testing.assert_close(guided["audio"], uncond["audio"] + 5.0 * (cond["audio"] - uncond["audio"]))


def test_no_guidance_is_one_pass_and_changes_no_bit() -> None:
    cond = latents(1)
    assert NO_GUIDANCE.passes(900) == ("full",)
    assert all(torch.equal(v, cond[stream]) for stream, v in guide(NO_GUIDANCE, 900, {"full": cond}).items())


def test_a_late_scale_of_one_drops_the_pass_in_time() -> None:
    policy = GuidancePolicy(early=Scales(video=3.0), late=Scales())
    assert policy.passes(501) == ("full", "text")
    assert policy.passes(500) == ("full",)


def test_the_upscaler_guides_its_first_thirteen_latent_frames_less() -> None:
    cond, uncond = latents(1), latents(2)
    guided = guide(upscaler_15b(), 700, {"full": cond, "text": uncond})
    difference = cond["video"] - uncond["video"]
    expected = uncond["video"] + 3.5 * difference
    expected[:, :, :13] = (uncond["video"] + 2.0 * difference)[:, :, :13]
    torch.testing.assert_close(guided["video"], expected)
    assert torch.equal(guided["audio"], cond["audio"])


def test_a_clip_shorter_than_the_first_frames_and_a_low_scale() -> None:
    cond, uncond = latents(1, num_frames=5), latents(2, num_frames=5)
    for scale in (3.5, 1.5):
        guided = guide(upscaler_15b(scale), 700, {"full": cond, "text": uncond})["video"]
        torch.testing.assert_close(guided, classifier_free(uncond["video"], cond["video"], min(2.0, scale)))


@given(st.lists(st.floats(0.0, 10.0), min_size=3, max_size=3), st.integers(0, 1000))
def test_separate_conditions_scale_their_own_share(scales: list[float], timestep: int) -> None:
    """For a model that adds up its conditions, v = a + text + speech + reference, each share has its own g."""
    base, text, speech, reference = (latents(seed) for seed in range(4))

    def velocity(*parts: dict[str, Tensor]) -> dict[str, Tensor]:
        return {stream: base[stream] + sum(part[stream] for part in parts) for stream in base}

    policy = GuidancePolicy(
        early=Scales(video=scales[0], audio=scales[0]),
        separate={"speech": Scales(video=scales[1], audio=2.0), "reference": Scales(video=scales[2])},
    )
    every_pass = {
        "full": velocity(text, speech, reference),
        "text": velocity(speech, reference),
        "speech": velocity(text, reference),
        "reference": velocity(text, speech),
    }
    guided = guide(policy, timestep, {name: every_pass[name] for name in policy.passes(timestep)})
    video = base["video"] + scales[0] * text["video"] + scales[1] * speech["video"] + scales[2] * reference["video"]
    audio = base["audio"] + scales[0] * text["audio"] + 2.0 * speech["audio"] + reference["audio"]
    torch.testing.assert_close(guided["video"], video)
    torch.testing.assert_close(guided["audio"], audio)


def test_only_guided_conditions_cost_a_pass() -> None:
    policy = GuidancePolicy(separate={"speech": Scales(audio=3.0), "reference": Scales()})
    assert policy.passes(900) == ("full", "speech")
    with pytest.raises(KeyError, match="speech"):
        guide(policy, 900, {"full": latents(1)})


def test_a_separate_condition_may_not_take_a_reserved_name() -> None:
    with pytest.raises(ValueError, match="text"):
        GuidancePolicy(separate={"text": Scales(2.0)})
