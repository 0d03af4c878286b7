"""Scaled answers: a silent network is the best guess of each channel alone, and a right answer is the velocity."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from muybridge.flow.scaling import NO_MOMENTS, Moments, from_noise, velocity_of

SQUARES = (12.0, 1.0, 0.0025)
MOMENTS = from_noise(SQUARES)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 0.97])
def test_silence_is_the_least_squares_guess_of_each_channel_and_its_error_is_one_unit(sigma: float) -> None:
    torch.manual_seed(0)
    moments = torch.tensor(SQUARES, dtype=torch.float64)
    x_0 = torch.randn(200_000, 3, dtype=torch.float64) * moments.sqrt()
    noise = torch.randn_like(x_0)
    x_t, v = (1 - sigma) * x_0 + sigma * noise, noise - x_0
    guess = velocity_of(torch.zeros_like(x_t), x_t, sigma, MOMENTS, 1)
    fitted = x_t * ((x_t * v).sum(0) / (x_t * x_t).sum(0))
    assert (guess - fitted).abs().mean() < 0.01
    unit = velocity_of(torch.ones_like(x_t), x_t, sigma, MOMENTS, 1) - guess
    assert torch.allclose((v - guess).square().mean(0).sqrt(), unit[0], rtol=0.01)


@given(sigma=st.floats(0.0, 1.0), seed=st.integers(0, 99))
def test_every_velocity_can_be_answered(sigma: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x_t, v = torch.randn(3, 5, generator=generator), torch.randn(3, 5, generator=generator)
    guess = velocity_of(torch.zeros_like(x_t), x_t, sigma, MOMENTS, 0)
    unit = velocity_of(torch.ones_like(x_t), x_t, sigma, MOMENTS, 0) - guess
    assert torch.allclose(velocity_of((v - guess) / unit, x_t, sigma, MOMENTS, 0), v, atol=1e-4)


def test_without_moments_the_answer_is_the_velocity() -> None:
    x = torch.randn(2, 4)
    assert velocity_of(x, torch.zeros(2, 4), 0.3, NO_MOMENTS, 0) is x


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.5, 1.0])
def test_from_an_enlarged_picture_silence_is_the_least_squares_guess_too(sigma: float) -> None:
    """x_0 = known + rest; the start is what is known and some noise."""
    torch.manual_seed(0)
    known = torch.randn(300_000, 3, dtype=torch.float64) * torch.tensor([3.0, 0.5, 0.1])
    rest = 0.2 * known + torch.randn_like(known) * torch.tensor([0.1, 0.5, 0.4])
    x_0, start = known + rest, known + 0.35 * torch.randn_like(known)
    x_t, v = (1 - sigma) * x_0 + sigma * start, start - x_0
    squares = [(a * b).mean(0).tolist() for a, b in ((x_0, x_0), (rest, rest), (x_0, rest))]
    moments = Moments(*squares, noise=0.35)
    guess = velocity_of(torch.zeros_like(x_t), x_t, sigma, moments, 1)
    fitted = x_t * ((x_t * v).sum(0) / (x_t * x_t).sum(0))
    assert (guess - fitted).abs().mean() < 0.01
    unit = velocity_of(torch.ones_like(x_t), x_t, sigma, moments, 1) - guess
    assert torch.allclose((v - guess).square().mean(0).sqrt(), unit[0], rtol=0.01)
