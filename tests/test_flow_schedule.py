"""The schedule's published values, its shape and its refusals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from muybridge.errors import InvalidRequest
from muybridge.flow.schedule import Schedule, linear, shift_sigma, shifted


def test_eight_steps_are_the_published_sigmas() -> None:
    published = [0.9998, 0.97201, 0.93727, 0.8926, 0.83306, 0.7497, 0.62469, 0.41639, 0.0]
    assert shifted(8).sigmas.tolist() == pytest.approx(published, abs=6e-6)


def test_five_steps_are_the_published_sigmas() -> None:
    published = [0.9998, 0.95215, 0.88209, 0.76893, 0.55525, 0.0]
    assert shifted(5).sigmas.tolist() == pytest.approx(published, abs=6e-6)


def test_thirty_two_steps_are_the_published_timesteps() -> None:
    timesteps = shifted(32).timesteps
    assert timesteps[:3] == (999, 993, 986)
    assert timesteps[-2:] == (249, 138)
    assert sum(t > 500 for t in timesteps) == 27  # video guidance is 5 on the first 27 steps, facts of the open 15B


def test_every_sigma_follows_the_formula() -> None:
    for n in (1, 2, 7, 50):
        expected = [5 * s / (1 + 4 * s) for s in (0.999 * (1 - i / n) for i in range(n))] + [0.0]
        assert shifted(n).sigmas.tolist() == pytest.approx(expected, rel=1e-12)


def test_neighbouring_timesteps_repeat_but_positions_do_not() -> None:
    schedule = shifted(1000)
    assert schedule.timesteps[0] == schedule.timesteps[1]  # why a step must never be looked up by its timestep
    assert schedule.sigma(0) > schedule.sigma(1)


def test_linear_is_even() -> None:
    assert linear(4).sigmas.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]


@given(st.integers(1, 300), st.floats(0.1, 20.0), st.floats(0.01, 1.0))
def test_a_schedule_falls_to_exactly_zero(n: int, shift: float, sigma_max: float) -> None:
    schedule = shifted(n, shift, sigma_max)
    assert schedule.num_inference_steps == n == len(schedule.timesteps)
    assert bool((schedule.sigmas.diff() < 0).all())
    assert schedule.sigma(n) == 0.0
    assert schedule.sigmas.dtype == torch.float64


@given(st.floats(0.1, 10.0), st.floats(0.1, 10.0), st.floats(0.0, 1.0))
def test_shifts_multiply(first: float, second: float, sigma: float) -> None:
    value = torch.tensor(sigma, dtype=torch.float64)
    twice = shift_sigma(shift_sigma(value, first), second)
    torch.testing.assert_close(twice, shift_sigma(value, first * second))


@pytest.mark.parametrize("bad", [{"num_inference_steps": 0}, {"shift": 0.0}, {"shift": -1.0}, {"sigma_max": 1.5}])
def test_bad_settings_are_refused_by_name(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        shifted(**({"num_inference_steps": 8} | bad))
    assert caught.value.field == next(iter(bad))


def test_a_schedule_that_rises_is_refused() -> None:
    with pytest.raises(ValueError, match="fall strictly"):
        Schedule(torch.tensor([0.5, 0.7, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("step", [-1, 9])
def test_steps_outside_the_schedule_are_refused(step: int) -> None:
    with pytest.raises(IndexError, match="8 steps"):
        shifted(8).sigma(step)
