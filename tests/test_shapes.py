"""Seconds, pixels, latents, tokens and cost: every length from 3 to 15 s, every ratio, the published table."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muybridge.config import FIFTEEN_B, FIFTEEN_B_1080P, SIZES, TINY, model_config
from muybridge.errors import InvalidRequest
from muybridge.request import Request
from muybridge.shapes import (
    BASE_AREA,
    BASE_AREAS,
    GRID,
    RATIOS,
    TIERS,
    UPSCALE_AREAS,
    PixelSize,
    StagePlan,
    attention_flops,
    base_size,
    clock,
    cost,
    linear_flops_per_token,
    local_attention_share,
    num_parameters,
    parse_size,
    plan_stages,
    sample_at_frame,
)

ALL_LENGTHS = [n / 25 for n in range(75, 376)]


@pytest.mark.parametrize("seconds", ALL_LENGTHS)
def test_sound_and_picture_agree_at_every_length(seconds: float) -> None:
    ticks = clock(seconds)
    k = ticks.num_units
    assert ticks.num_frames == round(seconds * 25)
    assert ticks.num_video_latents == k + 1
    assert ticks.num_audio_latents == 4 * k + 1 == ticks.num_decoded_frames
    assert 0 <= ticks.num_decoded_frames - ticks.num_frames < 4
    # The nearest such k (a half goes up); one more where only that covers all frames.
    assert k == int(Fraction(ticks.num_frames, 4) + Fraction(1, 2))
    assert ticks.seconds == pytest.approx(seconds, abs=1e-12)
    for rate in (24_000, 44_100, 48_000):
        # One audio latent is rate / 25 samples: what is delivered is within what is decoded.
        assert ticks.num_samples(rate) == ticks.num_frames * rate // 25 <= ticks.num_audio_latents * rate // 25
        assert Fraction(ticks.num_samples(rate), rate) == Fraction(ticks.num_frames, 25)


@pytest.mark.parametrize("rate", [24_000, 44_100, 48_000])
def test_five_minutes_do_not_drift_whichever_windows_make_them(rate: int) -> None:
    frames = range(5 * 60 * 25 + 1)
    starts = [sample_at_frame(n, rate) for n in frames]
    assert all(Fraction(s, rate) == Fraction(n, 25) for n, s in zip(frames, starts, strict=True))
    assert starts[-1] == 300 * rate


@given(st.integers(0, 10**6), st.sampled_from([8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000]))
def test_a_frames_sample_is_never_off_by_one_sample(frame: int, rate: int) -> None:
    exact = Fraction(frame * rate, 25)
    assert 0 <= exact - sample_at_frame(frame, rate) < 1


@given(st.lists(st.integers(1, 400), min_size=1, max_size=200), st.sampled_from([24_000, 44_100, 48_000, 22_050]))
def test_any_windows_give_the_same_number_of_samples(lengths: list[int], rate: int) -> None:
    total, at = 0, 0
    for length in lengths:
        total += sample_at_frame(at + length, rate) - sample_at_frame(at, rate)
        at += length
    assert total == sample_at_frame(sum(lengths), rate)


# The open 15B with 300 text tokens: seconds, size, tokens, linear and attention TFLOP a forward. Lengths there are
# A = 25s + 1, ours 4k + 1: a latent more or less, hence the tolerance.
TABLE = [
    (4, (448, 256), 3_313, 72, 9),
    (5, (448, 256), 4_010, 88, 13),
    (5, (896, 512), 14_762, 322, 179),
    (5, (1920, 1088), 65_706, 1434, 2391),
    (10, (1920, 1088), 129_071, 2817, 6414),
    (15, (1920, 1088), 192_436, 4200, 11774),
]


@pytest.mark.parametrize(("seconds", "size", "num_tokens", "linear", "attention"), TABLE)
def test_the_published_table(seconds: int, size: tuple[int, int], num_tokens: int, linear: int, attention: int) -> None:
    plan = StagePlan("base", PixelSize(*size), clock(seconds), 300, 0, 8, 1)
    config = FIFTEEN_B_1080P if size[1] == 1088 else FIFTEEN_B
    assert plan.num_tokens == pytest.approx(num_tokens, rel=0.017)
    if seconds in (4, 5):  # where both clocks have the same latents, only the last audio token differs
        assert abs(plan.num_tokens - num_tokens) <= 1
    assert linear_flops_per_token(config) * plan.num_tokens / 1e12 == pytest.approx(linear, rel=0.017, abs=0.6)
    assert attention_flops(config, plan) / 1e12 == pytest.approx(attention, rel=0.03, abs=0.6)


def test_local_share_by_counting_pairs() -> None:
    for num_latents, field in ((32, 11), (94, 11), (5, 1), (3, 11), (1, 0)):
        pairs = sum(abs(i - j) <= field for i in range(num_latents) for j in range(num_latents))
        assert local_attention_share(num_latents, field) == pairs / num_latents**2
    # Of the whole sequence's pairs (sound and text see everything): .595 at 5 s, .235 at 15 s (T 32 and 94 there).
    for num_latents, num_tokens, share in ((32, 65_706, 0.595), (94, 192_436, 0.235)):
        video = num_latents * 2040
        pairs = num_tokens**2 - (1 - local_attention_share(num_latents, 11)) * video**2
        assert pairs / num_tokens**2 == pytest.approx(share, abs=1e-3)


def test_five_seconds_of_1080p_cost_what_was_published() -> None:
    """1.6 + 31.0 + 5.8 s on one H100."""
    estimate = cost(Request("x", size="1080p", seconds=5), "15b")
    assert [s.name for s in estimate.stages] == ["base", "upscaler"]
    base, upscaler = estimate.stages
    assert (base.linear_flops + base.attention_flops) / 1e15 == pytest.approx(0.81, abs=0.01)
    assert (upscaler.linear_flops + upscaler.attention_flops) / 1e15 == pytest.approx(19.1, abs=0.1)
    assert estimate.seconds == pytest.approx(1.6 + 31.0 + 5.8, rel=0.02)
    assert base.weight_bytes == pytest.approx(30.6e9, rel=0.01)
    assert estimate.bytes > upscaler.weight_bytes


@pytest.mark.parametrize("size", ["tiny", "tiny-base", "15b", "15b-base", "15b-distill"])
@pytest.mark.parametrize("tier", TIERS)
def test_cost_grows_with_length_and_pixels(size: str, tier: str) -> None:
    costs = [cost(Request("x", size=tier, seconds=s), size) for s in (3, 5, 10, 15)]
    assert [c.flops for c in costs] == sorted({c.flops for c in costs})
    assert [c.seconds for c in costs] == sorted({c.seconds for c in costs})
    assert all(c.bytes > 0 for c in costs)


def test_the_undistilled_base_costs_64_passes() -> None:
    request = Request("x", size="448x256", seconds=5)
    assert cost(request, "15b-base").flops == pytest.approx(8 * cost(request, "15b").flops)
    assert cost(request, "15b-base").flops / 1e15 == pytest.approx(6.44, abs=0.05)
    assert cost(request.replace(guidance_scale=1.0), "15b-base").flops == pytest.approx(4 * cost(request, "15b").flops)


def test_guidance_doubles_and_steps_multiply() -> None:
    plain = Request("x", size="224x128")  # the base stage alone: the upscaler knows neither
    single, default = cost(plain.replace(guidance_scale=1.0), "tiny-base"), cost(plain, "tiny-base")
    assert default.flops == pytest.approx(2 * single.flops)
    assert cost(plain.replace(guidance_scale=3.0), "tiny-base").flops == pytest.approx(default.flops)
    assert cost(plain.replace(num_inference_steps=24), "tiny-base").flops == pytest.approx(2 * default.flops)
    assert cost(plain, "tiny").flops == pytest.approx(default.flops * 16 / 24)  # distilled: 8 x 2 for 12 x 2


@pytest.mark.parametrize("tier", ["480p", "720p", "1080p"])
@pytest.mark.parametrize("ratio", RATIOS)
def test_ratios_fit_their_tier(ratio: str, tier: str) -> None:
    size = parse_size(tier, ratio)
    across, down = RATIOS[ratio]
    assert size.width % 2 == size.height % 2 == 0
    assert size.width / size.height == pytest.approx(across / down, rel=0.006)
    short, long = TIERS[tier], TIERS[tier] * 16 / 9 + 2
    box = (long, short) if across >= down else (short, long)
    assert size.width <= box[0]
    assert size.height <= box[1]
    assert size.width > box[0] - 4 or size.height > box[1] - 4
    grid = size.on_grid
    assert grid.width % GRID == grid.height % GRID == 0
    assert 0 <= grid.width - size.width < GRID
    assert 0 <= grid.height - size.height < GRID


def test_1080p_is_rendered_at_1088_lines() -> None:
    assert parse_size("1080p") == PixelSize(1920, 1080)
    assert parse_size("1080p").on_grid == PixelSize(1920, 1088)
    assert parse_size("1080p", "9:16") == PixelSize(1080, 1920)
    assert str(parse_size("720p", "1:1")) == "720x720"
    assert parse_size("480p") == PixelSize(854, 480)


@pytest.mark.parametrize("ratio", RATIOS)
def test_base_sizes_keep_area_and_ratio(ratio: str) -> None:
    size = parse_size("256p", ratio)
    across, down = RATIOS[ratio]
    assert size == size.on_grid
    assert size.width * size.height == pytest.approx(BASE_AREA, rel=0.16)
    assert size.width / size.height == pytest.approx(across / down, rel=0.042)
    assert len(plan_stages(Request("x", size="256p", ratio=ratio), "15b")) == 1
    # Portrait is landscape on its side.
    assert base_size(down, across) == PixelSize(size.height, size.width)


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_size_may_have_a_smaller_base(ratio: str) -> None:
    base, upscaler = plan_stages(Request("x", size="256p", ratio=ratio), "tiny")
    assert base.size == base.size.on_grid
    assert base.size.width * base.size.height == pytest.approx(BASE_AREAS["tiny"], rel=0.3)
    assert base.size.width / base.size.height == pytest.approx(RATIOS[ratio][0] / RATIOS[ratio][1], rel=0.12)
    assert upscaler.size == parse_size("256p", ratio)


def test_trained_base_size_of_16_to_9() -> None:
    assert parse_size("256p") == PixelSize(448, 256)
    assert plan_stages(Request("x", size="1080p"), "15b")[0].size == PixelSize(448, 256)


SIDES = st.integers(32, 960).map(lambda n: 2 * n)


@given(SIDES, SIDES)
def test_stages_cover_any_size(width: int, height: int) -> None:
    if max(width, height) > 1920 or min(width, height) > 1080:
        return
    stages = plan_stages(Request("x", size=f"{width}x{height}"), "tiny")
    last, asked = stages[-1].size, PixelSize(width, height)
    if width * height <= UPSCALE_AREAS["tiny"]:
        assert last == asked.on_grid  # what is made is what is asked for, at most 31 pixels more
    else:  # as large as the upscaler goes, in the asked shape; the rest is interpolated
        assert last == base_size(width, height, UPSCALE_AREAS["tiny"])
    base = stages[0].size
    assert base == base.on_grid
    assert base.width * base.height <= 1.6 * BASE_AREA
    assert len(stages) <= 2


def test_a_small_clip_is_made_small_not_cut_out_of_a_large_one() -> None:
    (only,) = plan_stages(Request("x", size="64x64", seconds=3), "tiny")
    assert only.size == PixelSize(64, 64)
    (only,) = plan_stages(Request("x", size="160x90"), "tiny")
    assert only.size == PixelSize(160, 96)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("4k", "not understood"),
        ("448", "not understood"),
        ("ax b", "not understood"),
        ("32x256", "out of range"),
        ("1922x1080", "out of range"),
        ("1200x1200", "out of range"),
        ("449x256", "odd side"),
        ("-448x256", "out of range"),
    ],
)
def test_bad_sizes_are_named(size: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        parse_size(size)
    assert caught.value.field == "size"


def test_bad_ratio_is_named() -> None:
    with pytest.raises(InvalidRequest, match="2:1") as caught:
        parse_size("1080p", "2:1")
    assert caught.value.field == "ratio"


def test_sizes_are_found_by_name() -> None:
    assert model_config("15b-base") == FIFTEEN_B
    assert model_config("tiny") is TINY
    with pytest.raises(InvalidRequest, match="tiny") as caught:
        model_config("7b")
    assert caught.value.field == "model"
    assert all(num_parameters(c) > 10**6 for c in SIZES.values())


def test_floor_zero_loads_no_torch() -> None:
    modules = "muybridge.shapes, muybridge.request, muybridge.config, muybridge.errors"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
