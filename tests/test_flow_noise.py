"""Noise by key: equal for equal keys, independent for others, normal, and pinned."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.flow.noise import noise, reference_noise

PINNED = [0.4614558517932892, 0.40162158012390137, 0.8047396540641785, 0.8882120847702026]
KEYS = st.tuples(
    st.integers(0, 2**63),
    st.sampled_from(["base", "upscaler"]),
    st.integers(-1, 99),
    st.sampled_from(["video", "audio"]),
)


@settings(max_examples=50)
@given(KEYS, KEYS)
def test_the_key_alone_decides(first: tuple[int, str, int, str], second: tuple[int, str, int, str]) -> None:
    a = noise(*first, (3, 5))
    noise(*second, (100,))  # a draw in between changes nothing
    torch.manual_seed(0)
    assert torch.equal(a, noise(*first, (3, 5)))
    assert torch.equal(a, noise(*second, (3, 5))) == (first == second)


def test_another_process_draws_the_same_bits() -> None:
    code = "from muybridge.flow.noise import noise; print(noise(7, 'base', 3, 'video', (64,)).numpy().tobytes().hex())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == noise(7, "base", 3, "video", (64,)).numpy().tobytes().hex()


def test_the_bits_are_pinned() -> None:
    """A new numpy or key layout that changes the stream would break resuming and published seeds: it must fail here."""
    assert noise(0, "base", -1, "video", (4,)).tolist() == PINNED


def test_fields_of_the_key_do_not_run_together() -> None:
    assert not torch.equal(noise(1, "base", 11, "v", (8,)), noise(11, "base", 1, "v", (8,)))
    assert not torch.equal(noise(1, "ab", 1, "c", (8,)), noise(1, "a", 1, "bc", (8,)))


def test_it_is_float32_of_the_shape_asked_for() -> None:
    drawn = noise(1, "base", 0, "video", (1, 48, 3, 2, 2))
    assert drawn.dtype == torch.float32
    assert drawn.shape == (1, 48, 3, 2, 2)
    assert noise(1, "base", 0, "video", ()).shape == ()


def test_values_are_standard_normal() -> None:
    """Moments within 5 standard errors; the largest gap to the normal distribution below the 1e-4 Kolmogorov bound."""
    n = 400_000
    x = noise(123, "base", 0, "video", (n,)).double()
    assert abs(float(x.mean())) < 5 / math.sqrt(n)
    assert abs(float(x.var()) - 1) < 5 * math.sqrt(2 / n)
    assert abs(float((x**3).mean())) < 5 * math.sqrt(15 / n)
    assert abs(float((x**4).mean()) - 3) < 5 * math.sqrt(96 / n)
    ordered = x.sort().values
    normal = torch.special.ndtr(ordered)
    ranks = torch.arange(1, n + 1, dtype=torch.float64) / n
    assert float((normal - ranks).abs().max()) < 2.23 / math.sqrt(n)


def test_neighbouring_keys_are_independent() -> None:
    """Correlations between draws whose keys differ in one field stay within 5 standard errors, as do their squares'."""
    n = 100_000
    keys = [
        (s, stage, k, stream)
        for s in (0, 1)
        for stage in ("base", "upscaler")
        for k in (0, 1)
        for stream in ("video", "audio")
    ]
    x = torch.stack([noise(*key, (n,)) for key in keys]).double()
    for values in (x, x**2):
        correlation = torch.corrcoef(values) - torch.eye(len(keys), dtype=torch.float64)
        assert float(correlation.abs().max()) < 5 / math.sqrt(n)


def test_reference_noise_is_drawn_audio_first_from_one_generator() -> None:
    video, audio = reference_noise(42, (1, 2, 3), (1, 5))
    torch.manual_seed(42)
    assert torch.equal(audio, torch.randn(1, 5))
    assert torch.equal(video, torch.randn(1, 2, 3))


def test_reference_noise_with_given_audio_draws_the_video_alone() -> None:
    video, audio = reference_noise(42, (1, 2, 3), None)
    assert audio is None
    torch.manual_seed(42)
    assert torch.equal(video, torch.randn(1, 2, 3))


@pytest.mark.gpu
def test_the_device_does_not_change_the_bits() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    assert torch.equal(noise(1, "base", 0, "video", (1000,), "cuda").cpu(), noise(1, "base", 0, "video", (1000,)))
