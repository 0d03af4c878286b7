"""The guess over time is the least-squares one, keeps what is known, and is the old guess for one latent."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from muybridge.flow.continuity import FAR, Continuity, correlation, fit, guess, likeness
from muybridge.flow.scaling import from_noise, velocity_of

SQUARES = (9.0, 0.4)
CONTINUITY = Continuity((0.7, 0.3), (0.25, 0.5), (8.0, 2.0))
MOMENTS = from_noise(SQUARES, CONTINUITY)


def drawn(count: int, length: int) -> torch.Tensor:
    """[C, T, count] of the process that CONTINUITY describes."""
    apart = (torch.arange(length)[:, None] - torch.arange(length)).abs().double()
    rows = []
    for square, lasting, fading, units in zip(SQUARES, *CONTINUITY[:3], strict=True):
        own = (1 - lasting - fading) * torch.eye(length, dtype=torch.float64)
        factor = torch.linalg.cholesky(square * (lasting + fading * torch.exp(-apart / units) + own))
        rows.append(factor @ torch.randn(length, count, dtype=torch.float64))
    return torch.stack(rows)


@pytest.mark.parametrize("known", [(), (0,), (0, 1, 5)])
@pytest.mark.parametrize("sigma", [0.1, 0.6, 0.95])
def test_the_guess_is_that_of_least_squares_and_its_error_is_the_spread(sigma: float, known: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x_0 = drawn(200_000, 6)
    level = torch.tensor([0.0 if k in known else sigma for k in range(6)], dtype=torch.float64)[:, None]
    x_t = (1 - level) * x_0 + level * torch.randn_like(x_0)
    gains, spread = guess(SQUARES, CONTINUITY, sigma, tuple(k in known for k in range(6)))
    error = gains @ x_t - x_0
    assert torch.allclose(error.square().mean(-1).sqrt(), spread, rtol=0.02, atol=1e-4)
    # Nothing linear is left to learn: the error goes with no latent that is seen.
    seen = x_t / x_t.std(-1, keepdim=True)
    assert float((error @ seen.transpose(1, 2) / 200_000).abs().max()) < 0.01 * SQUARES[0] ** 0.5


def test_silence_keeps_a_known_picture_and_repeats_it() -> None:
    still = Continuity((0.995,), (0.0,), (1.0,))
    x_t = torch.randn(1, 8, 4, 6)
    velocity = velocity_of(torch.zeros_like(x_t), x_t, 1.0, from_noise((1.0,), still), 0, (0,))
    x_0 = x_t - velocity
    assert torch.allclose(x_0[:, 0], x_t[:, 0], atol=1e-4)
    assert torch.allclose(x_0[:, 1:], 0.995 * x_t[:, :1].expand(-1, 7, -1, -1), atol=1e-4)


@given(sigma=st.floats(0.05, 1.0), first=st.booleans(), seed=st.integers(0, 99))
def test_every_velocity_can_be_answered(sigma: float, first: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x_t, v = (torch.randn(1, 2, 5, 2, 2, generator=generator) for _ in range(2))
    known = (0,) if first else ()
    guessed = velocity_of(torch.zeros_like(x_t), x_t, sigma, MOMENTS, 1, known)
    unit = velocity_of(torch.ones_like(x_t), x_t, sigma, MOMENTS, 1, known) - guessed
    made = velocity_of((v - guessed) / unit, x_t, sigma, MOMENTS, 1, known)
    assert torch.allclose(made[:, :, first:], v[:, :, first:], atol=1e-3)


@given(sigma=st.floats(0.01, 1.0))
def test_one_latent_has_the_guess_of_its_channel_alone(sigma: float) -> None:
    x_t, answer = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    alone = velocity_of(answer, x_t, sigma, from_noise(SQUARES), 0)
    assert torch.equal(velocity_of(answer, x_t, sigma, MOMENTS, 0), alone)
    # And the guess over time, were it asked, would say the same.
    gains, spread = guess(SQUARES, CONTINUITY, sigma, (False,))
    over_time = (x_t - gains.float()[:, :, 0, None, None] * x_t + spread.float()[:, :, None, None] * answer) / sigma
    assert torch.allclose(over_time, alone, atol=2e-3)


def test_what_latents_share_is_found_again() -> None:
    torch.manual_seed(1)
    clips = [x.reshape(2, 40, 50, 40) for x in (drawn(2000, 40) for _ in range(10))]
    found = fit(correlation(clips))
    for wanted, got in zip(zip(*CONTINUITY[:3], strict=True), zip(*found[:3], strict=True), strict=True):
        assert got[0] == pytest.approx(wanted[0], abs=0.06)
        assert got[0] + got[1] == pytest.approx(wanted[0] + wanted[1], abs=0.06)


@pytest.mark.parametrize("length", [1, 4])
def test_the_source_of_an_edit_is_used_as_far_as_edits_keep_it(length: int) -> None:
    torch.manual_seed(2)
    kept, sigma = (0.9, 0.5), 0.8
    source, other = drawn(200_000, length), drawn(200_000, length)
    x_0 = torch.stack([k * s + (1 - k**2) ** 0.5 * o for k, s, o in zip(kept, source, other, strict=True)])
    x_t = (1 - sigma) * x_0 + sigma * torch.randn_like(x_0)
    pairs = [(x_0[..., None], source[..., None])]
    found = likeness(pairs)
    assert found == pytest.approx(kept, abs=0.02)
    continuity = CONTINUITY._replace(kept_C=kept)
    gains, spread = guess(SQUARES, continuity, sigma, (False,) * length, continuity.kept_C)
    error = gains @ torch.cat([x_t, source], 1) - x_0
    assert torch.allclose(error.square().mean(-1).sqrt(), spread, rtol=0.02)
    moments = from_noise(SQUARES, continuity)
    silent = velocity_of(torch.zeros_like(x_t), x_t, sigma, moments, 0, (), source)
    assert torch.allclose(x_t - sigma * silent - x_0, error, atol=1e-4)


@pytest.mark.parametrize("known", [(), (0, 1)])
def test_an_anchor_tells_what_lasts_and_half_of_what_fades(known: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    length, sigma, count = 6, 0.9, 200_000
    apart = (torch.arange(length)[:, None] - torch.arange(length)).abs().double()
    drawn_rows = []
    for square, lasting, fading, units in zip(SQUARES, *CONTINUITY[:3], strict=True):
        own = (1 - lasting - fading) * torch.eye(length, dtype=torch.float64)
        far = torch.full((length, 1), lasting + FAR * fading, dtype=torch.float64)
        inside = lasting + fading * torch.exp(-apart / units) + own
        whole = torch.cat([torch.cat([inside, far], 1), torch.cat([far.T, torch.ones(1, 1, dtype=torch.float64)], 1)])
        drawn_rows.append(torch.linalg.cholesky(square * whole) @ torch.randn(length + 1, count, dtype=torch.float64))
    both = torch.stack(drawn_rows)
    x_0, anchor = both[:, :length], both[:, length:]
    level = torch.tensor([0.0 if k in known else sigma for k in range(length)], dtype=torch.float64)[:, None]
    x_t = (1 - level) * x_0 + level * torch.randn_like(x_0)
    gains, spread = guess(SQUARES, CONTINUITY, sigma, tuple(k in known for k in range(length)), has_anchor=True)
    error = gains @ torch.cat([x_t, anchor], 1) - x_0
    assert torch.allclose(error.square().mean(-1).sqrt(), spread, rtol=0.02, atol=1e-4)
    alone = guess(SQUARES, CONTINUITY, sigma, tuple(k in known for k in range(length)))[1]
    assert bool((spread <= alone + 1e-9).all()) and float(spread.sum()) < 0.95 * float(alone.sum())
    velocity = velocity_of(torch.zeros_like(x_t), x_t, sigma, MOMENTS, 0, known or (0,), anchor=anchor)
    assert velocity.shape == x_t.shape


def test_no_channel_shares_more_with_an_anchor_than_it_can() -> None:
    quick = Continuity((0.0, 0.1), (0.99, 0.8), (1.0, 1.0))
    gains, spread = guess(SQUARES, quick, 0.9, (True,) + (False,) * 39, has_anchor=True)
    assert bool(gains.isfinite().all()) and float(gains.abs().max()) < 2
    assert bool((spread[:, 1:] > 0).all())
    assert bool((spread <= torch.tensor(SQUARES, dtype=torch.float64)[:, None].sqrt() + 1e-9).all())
