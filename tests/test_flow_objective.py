"""Training objectives: the flow-matching loss and the few-step targets, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from muybridge.flow.distill import (
    consistency_target,
    distribution_matching_gradient,
    step_target,
    surrogate_loss,
    teacher_path,
)
from muybridge.flow.objective import flow_matching_loss, interpolate, sample_sigma, velocity_target, weighted_mse
from muybridge.flow.schedule import shifted
from muybridge.flow.solver import SolverState, euler_step


def gaussian_velocity(x: Tensor, sigma: float, mean: float, spread: float) -> Tensor:
    """E[noise - x_0 | x_t = x] for x_0 ~ N(mean, spread^2)."""
    alpha = 1 - sigma
    variance = alpha**2 * spread**2 + sigma**2
    residual = x - alpha * mean
    return sigma / variance * residual - (mean + alpha * spread**2 / variance * residual)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.floats(0.0, 1.0))
def test_the_three_forms_of_the_convention_agree(sigma: float) -> None:
    x_0, noise = torch.randn(2, 3, 5, dtype=torch.float64)
    x_t = interpolate(x_0, noise, torch.full((3,), sigma, dtype=torch.float64))
    v = velocity_target(x_0, noise)
    torch.testing.assert_close(x_t - sigma * v, x_0)
    torch.testing.assert_close(x_t + (1 - sigma) * v, noise)


def test_each_sample_has_its_own_sigma() -> None:
    x_0, noise = torch.zeros(3, 2, 4), torch.ones(3, 2, 4)
    x_t = interpolate(x_0, noise, torch.tensor([0.0, 0.25, 1.0]))
    assert x_t[:, 0, 0].tolist() == [0.0, 0.25, 1.0]


@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_logit_normal_sigmas_have_a_normal_logit(shift: float) -> None:
    n = 100_000
    sigma = sample_sigma(n, mean=-0.4, std=0.8, shift=shift, generator=generator()).double()
    logit = torch.logit(sigma)
    assert float(logit.mean()) == pytest.approx(-0.4 + math.log(shift), abs=5 * 0.8 / math.sqrt(n))
    assert float(logit.std()) == pytest.approx(0.8, rel=0.01)


@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_uniform_sigmas_follow_the_shifted_distribution(shift: float) -> None:
    """P(sigma' <= s) is the unshifted level: s / (shift - (shift - 1) s)."""
    n = 100_000
    sigma = sample_sigma(n, "uniform", shift=shift, generator=generator()).double().sort().values
    expected = sigma / (shift - (shift - 1) * sigma)
    ranks = torch.arange(1, n + 1, dtype=torch.float64) / n
    assert float((expected - ranks).abs().max()) < 2.23 / math.sqrt(n)


def test_an_unknown_distribution_is_refused() -> None:
    with pytest.raises(ValueError, match="logit_normal"):
        sample_sigma(3, "cosine")  # type: ignore[arg-type]  # the wrong value is the test


def test_the_mean_velocity_minimises_the_loss() -> None:
    """Among multiples of the exact velocity of N(0.5, 0.3^2), the exact one has the least loss."""
    n, sigma = 200_000, 0.6
    x_0 = 0.5 + 0.3 * torch.randn(n, 1, generator=generator(1), dtype=torch.float64)
    noise = torch.randn(n, 1, generator=generator(2), dtype=torch.float64)
    x_t = interpolate(x_0, noise, torch.full((n,), sigma, dtype=torch.float64))
    exact = gaussian_velocity(x_t, sigma, 0.5, 0.3)
    factor = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    target = velocity_target(x_0, noise)
    best = float((exact * target).sum() / exact.square().sum())
    assert best == pytest.approx(1.0, abs=0.01)
    weighted_mse(factor * exact, target).backward()
    assert float(factor.grad) == pytest.approx(2 * 0.3 * float(exact.square().mean()), rel=0.05)


def test_weights_count_places() -> None:
    predicted, target = torch.tensor([[1.0, 2.0, 9.0]]), torch.zeros(1, 3)
    assert float(weighted_mse(predicted, target)) == pytest.approx(86 / 3)
    assert float(weighted_mse(predicted, target, torch.tensor([[1.0, 3.0, 0.0]]))) == pytest.approx((1 + 3 * 4) / 4)


def test_weights_broadcast_over_channels() -> None:
    predicted, target = torch.randn(2, 2, 6, 5, 3, 4)
    mouth = (torch.rand(2, 1, 5, 3, 4) > 0.5).float() * 4 + 1
    full = mouth.expand_as(predicted)
    expected = (full * (predicted - target) ** 2).sum() / full.sum()
    torch.testing.assert_close(weighted_mse(predicted, target, mouth), expected)


def test_left_out_places_cannot_hurt() -> None:
    predicted = torch.tensor([1.0, float("inf")], requires_grad=True)
    loss = weighted_mse(predicted, torch.zeros(2), torch.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.item() == 1.0
    assert predicted.grad.tolist() == [2.0, 0.0]


def test_no_weight_at_all_is_zero_loss_and_zero_gradient() -> None:
    predicted = torch.randn(3, requires_grad=True)
    loss = weighted_mse(predicted, torch.zeros(3), torch.zeros(3))
    loss.backward()
    assert loss.item() == 0.0
    assert predicted.grad.tolist() == [0.0, 0.0, 0.0]


def test_the_total_weighs_the_streams() -> None:
    predicted = {"video": torch.full((2, 3), 2.0), "audio": torch.full((2, 4), 3.0)}
    target = {name: torch.zeros_like(value) for name, value in predicted.items()}
    total, parts = flow_matching_loss(predicted, target, stream_weight={"audio": 0.5})
    assert (float(parts["video"]), float(parts["audio"]), float(total)) == (4.0, 9.0, 8.5)


def test_the_teacher_path_is_of_order_two() -> None:
    x = torch.linspace(-2, 2, 11, dtype=torch.float64)

    def exact(sigma: float) -> float:
        return math.sqrt((1 - sigma) ** 2 * 0.4**2 + sigma**2)

    truth = (1 - 0.3) * 0.7 + (x - 0.1 * 0.7) * exact(0.3) / exact(0.9)
    found = [
        float((teacher_path(lambda x, s: gaussian_velocity(x, s, 0.7, 0.4), x, 0.9, 0.3, n) - truth).abs().max())
        for n in (8, 16, 32)
    ]
    assert math.log2(found[0] / found[1]) == pytest.approx(2.0, abs=0.3)
    assert math.log2(found[1] / found[2]) == pytest.approx(2.0, abs=0.2)


def test_a_student_on_its_target_lands_where_the_teacher_does() -> None:
    schedule = shifted(4)
    x = torch.randn(50, dtype=torch.float64, generator=generator())
    for step in range(4):
        s_from, s_to = schedule.sigma(step), schedule.sigma(step + 1)
        end = teacher_path(lambda x, s: gaussian_velocity(x, s, 0.7, 0.4), x, s_from, s_to, 8)
        landed, _ = euler_step(schedule, SolverState(step=step), x, step_target(x, end, s_from, s_to))
        torch.testing.assert_close(landed, end)
        x = end


def test_the_exact_consistency_function_is_its_own_target() -> None:
    def student(x: Tensor, sigma: float) -> Tensor:
        alpha = 1 - sigma
        x0 = 0.7 + 0.4 * (x - alpha * 0.7) / math.sqrt(alpha**2 * 0.4**2 + sigma**2)
        return (x - x0) / sigma

    x = torch.randn(50, dtype=torch.float64, generator=generator())
    x_next = teacher_path(lambda x, s: gaussian_velocity(x, s, 0.7, 0.4), x, 0.8, 0.7, 100)
    target = consistency_target(x, 0.8, x_next, 0.7, student(x_next, 0.7))
    torch.testing.assert_close(target, student(x, 0.8), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bad", [(0.3, 0.5, 4), (0.5, 0.5, 4), (0.5, -0.1, 4), (1.2, 0.0, 4), (0.5, 0.0, 0)])
def test_a_teacher_path_that_does_not_fall_is_refused(bad: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match="falls in sigma"):
        teacher_path(lambda x, _: x, torch.zeros(1), *bad)


@given(st.floats(0.05, 0.95), st.floats(-2, 2), st.floats(0.2, 2))
def test_the_gradient_is_the_closed_form_between_gaussians(sigma: float, fake_mean: float, spread: float) -> None:
    """Same spread: x0_fake - x0_teacher = (fake_mean - mean) sigma^2 / (alpha^2 s^2 + sigma^2), at every x_t.

    And it is sigma^2 / alpha times the difference of the scores of the two noised Gaussians.
    """
    mean, alpha = 0.5, 1 - sigma
    x_t = torch.randn(4, 6, dtype=torch.float64)
    v_teacher, v_fake = (gaussian_velocity(x_t, sigma, m, spread) for m in (mean, fake_mean))
    gradient = distribution_matching_gradient(x_t, x_t, sigma, v_teacher, v_fake, normalise=False)
    variance = alpha**2 * spread**2 + sigma**2
    expected = torch.full_like(x_t, (fake_mean - mean) * sigma**2 / variance)
    torch.testing.assert_close(gradient, expected)
    score_difference = -(x_t - alpha * fake_mean) / variance + (x_t - alpha * mean) / variance
    torch.testing.assert_close(gradient, sigma**2 / alpha * score_difference)


def test_the_normaliser_is_per_sample() -> None:
    x0 = torch.tensor([[1.0, 3.0], [10.0, 30.0]])
    x_t, sigma = x0.clone(), 0.5
    v_teacher, v_fake = x_t / sigma, torch.zeros(2, 2)  # x0_teacher = 0, so the errors are 2 and 20
    gradient = distribution_matching_gradient(x0, x_t, sigma, v_teacher, v_fake)
    torch.testing.assert_close(gradient, x0 / torch.tensor([[2.0], [20.0]]))


def test_the_surrogate_has_the_gradient_asked_for() -> None:
    x0 = torch.randn(3, 4, requires_grad=True)
    gradient = torch.randn(3, 4)
    surrogate_loss(x0, gradient).backward()
    torch.testing.assert_close(x0.grad, gradient / 12)


def test_descending_it_moves_a_generator_onto_the_teacher() -> None:
    """A generator mean + 0.4 * z with the exact fake score walks to the teacher's mean."""
    rng = generator(5)
    mean = torch.tensor(-1.0, requires_grad=True)
    optimiser = torch.optim.SGD([mean], lr=0.5)
    for _ in range(60):
        x0 = mean + 0.4 * torch.randn(256, 1, generator=rng)
        sigma = float(0.02 + 0.96 * torch.rand((), generator=rng))
        x_t = interpolate(x0.detach(), torch.randn(256, 1, generator=rng), torch.full((256,), sigma))
        v_teacher = gaussian_velocity(x_t, sigma, 0.7, 0.4)
        v_fake = gaussian_velocity(x_t, sigma, mean.item(), 0.4)
        optimiser.zero_grad()
        surrogate_loss(
            x0, distribution_matching_gradient(x0, x_t, sigma, v_teacher, v_fake, normalise=False)
        ).backward()
        optimiser.step()
    assert mean.item() == pytest.approx(0.7, abs=0.01)
