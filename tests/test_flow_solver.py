"""The solvers against exact solutions, an independent float64 UniPC, another library's UniPC, and resumption."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from muybridge.flow.denoise import denoise, fresh_noise_step
from muybridge.flow.noise import noise
from muybridge.flow.schedule import Schedule, linear, shifted
from muybridge.flow.solver import SolverState, StepFn, distilled_step, euler_step, unipc_step

MEAN, SPREAD = 0.7, 0.4
Field = Callable[[Tensor, float], Tensor]


def run(
    field: Field, x: Tensor, schedule: Schedule, step_fn: StepFn, stop: int | None = None
) -> tuple[Tensor, SolverState]:
    state = SolverState()
    return resume(field, x, state, schedule, step_fn, stop)


def resume(
    field: Field, x: Tensor, state: SolverState, schedule: Schedule, step_fn: StepFn, stop: int | None = None
) -> tuple[Tensor, SolverState]:
    while state.step < (schedule.num_inference_steps if stop is None else stop):
        x, state = step_fn(schedule, state, x, field(x, schedule.sigma(state.step)))
    return x, state


def gaussian_velocity(x: Tensor, sigma: float) -> Tensor:
    """Exact velocity for data N(MEAN, SPREAD^2): linear in x."""
    alpha = 1 - sigma
    variance = alpha**2 * SPREAD**2 + sigma**2
    x0 = MEAN + alpha * SPREAD**2 / variance * (x - alpha * MEAN)
    noise_part = sigma / variance * (x - alpha * MEAN)
    return noise_part - x0


def gaussian_solution(x: Tensor, sigma: float) -> Tensor:
    """Exact end (sigma = 0) of the path through x: standardised values stay on their quantile."""
    alpha = 1 - sigma
    return MEAN + SPREAD * (x - alpha * MEAN) / math.sqrt(alpha**2 * SPREAD**2 + sigma**2)


def curved_velocity(x: Tensor, sigma: float) -> Tensor:
    return torch.sin(3.0 * x) + (0.3 + sigma) * x * torch.cos(x.flip(-1)) - 0.5


def reference_unipc(field: Callable[[np.ndarray, float], np.ndarray], x: np.ndarray, sigmas: list[float]) -> np.ndarray:
    """UniPC-2 from the paper, float64: phi functions by quadrature of their integrals, weights by a linear solve."""
    nodes, quadrature = np.polynomial.legendre.leggauss(80)
    r, weight = (nodes + 1) / 2, quadrature / 2

    def phi(k: int, z: float) -> float:  # phi_k(z) = int_0^1 exp((1-r) z) r^(k-1) / (k-1)! dr
        return float(np.sum(weight * np.exp((1 - r) * z) * r ** (k - 1)) / math.factorial(k - 1))

    def update(i: int, order: int, start: np.ndarray, models: list[np.ndarray], new: np.ndarray | None) -> np.ndarray:
        """From sigma[i-1] to sigma[i]; models[j] is x_0 predicted at sigma[j]; `new` that at sigma[i], if known."""
        lam = [math.log((1 - s) / s) for s in sigmas[: i + 1]]
        h = lam[i] - lam[i - 1]
        basis = math.exp(-h) - 1
        ratios = [(lam[i - 1 - j] - lam[i - 1]) / h for j in range(1, order)]
        diffs = [(models[i - 1 - j] - models[i - 1]) / rj for j, rj in enumerate(ratios, start=1)]
        if new is not None:
            ratios, diffs = [*ratios, 1.0], [*diffs, new - models[i - 1]]
        out = sigmas[i] / sigmas[i - 1] * start - (1 - sigmas[i]) * basis * models[i - 1]
        n = len(ratios)
        if n == 0:
            return out
        b = np.array([math.factorial(k) * -h * phi(k + 1, -h) / basis for k in range(1, n + 1)])
        matrix = np.array([[rj ** (k - 1) for rj in ratios] for k in range(1, n + 1)])
        a = np.array([0.5]) if n == 1 else np.linalg.solve(matrix, b)
        return out - (1 - sigmas[i]) * basis * sum(aj * dj for aj, dj in zip(a, diffs, strict=True))

    models: list[np.ndarray] = []
    corrected, last_order, n = x, 0, len(sigmas) - 1
    for i in range(n):
        models.append(x - sigmas[i] * field(x, sigmas[i]))
        if i > 0:
            x = update(i, last_order, corrected, models, models[i])
        corrected = x
        last_order = min(2, i + 1, n - i)
        x = models[i] if i == n - 1 else update(i + 1, last_order, corrected, models, None)
    return x


@pytest.mark.parametrize("step_fn", [euler_step, unipc_step])
@pytest.mark.parametrize("schedule", [linear(1), linear(6), shifted(5), shifted(32)])
def test_a_constant_velocity_is_followed_exactly(step_fn: StepFn, schedule: Schedule) -> None:
    x, v = torch.randn(2, 50, dtype=torch.float64)
    end, state = run(lambda x, sigma: v, x, schedule, step_fn)  # noqa: ARG005 - a field that ignores its arguments is meant
    torch.testing.assert_close(end, x - schedule.sigma(0) * v, rtol=1e-12, atol=1e-12)
    assert state.step == schedule.num_inference_steps


def errors(step_fn: StepFn, counts: list[int]) -> np.ndarray:
    x = torch.linspace(-2, 2, 21, dtype=torch.float64)
    found = []
    for n in counts:
        schedule = shifted(n, shift=1.0)
        end, _ = run(gaussian_velocity, x, schedule, step_fn)
        found.append(float((end - gaussian_solution(x, schedule.sigma(0))).abs().max()))
    return np.array(found)


def test_unipc_is_of_order_two_and_euler_of_order_one() -> None:
    counts = [32, 64, 128, 256]
    euler, unipc = errors(euler_step, counts), errors(unipc_step, counts)
    slopes = [-np.polyfit(np.log(counts), np.log(e), 1)[0] for e in (euler, unipc)]
    assert slopes[0] == pytest.approx(1.0, abs=0.15)
    assert slopes[1] > 1.85
    assert (unipc < euler / 5).all()


@pytest.mark.parametrize("num_steps", [1, 2, 3, 5, 8, 32])
@pytest.mark.parametrize("field", [gaussian_velocity, curved_velocity])
def test_unipc_equals_the_independent_float64_version(num_steps: int, field: Field) -> None:
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(1))
    schedule = shifted(num_steps)
    end, _ = run(field, x, schedule, unipc_step)
    assert end.dtype == torch.float32

    def as_numpy(x: np.ndarray, sigma: float) -> np.ndarray:
        return field(torch.from_numpy(x), sigma).numpy()

    expected = reference_unipc(as_numpy, x.double().numpy(), schedule.sigmas.tolist())
    error = np.linalg.norm(end.double().numpy() - expected) / np.linalg.norm(expected)
    assert error < 1e-5
    exact, _ = run(field, x.double(), schedule, unipc_step)
    np.testing.assert_allclose(exact.numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("num_steps", [5, 8, 32])
def test_unipc_equals_another_library(num_steps: int) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=2, solver_type="bh2"
    )
    theirs.set_timesteps(num_steps)
    schedule = shifted(num_steps)
    theirs.sigmas = schedule.sigmas.clone()
    theirs.set_begin_index(0)
    start = torch.randn(3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x, state = start, SolverState()
    y = start
    for step in range(num_steps):
        sigma = schedule.sigma(step)
        x, state = unipc_step(schedule, state, x, curved_velocity(x, sigma))
        y = theirs.step(curved_velocity(y, sigma), theirs.timesteps[step], y, return_dict=False)[0]
        torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-6)


def test_the_corrector_integrates_a_quadratic_exactly() -> None:
    """With x_0 a quadratic in lambda, the order-2 corrector gives the exact integral of the probability flow."""
    schedule = Schedule(torch.tensor([0.9, 0.75, 0.5, 0.2, 0.0], dtype=torch.float64))
    lam = [math.log((1 - s) / s) for s in schedule.sigmas[:-1].tolist()]

    def x0(value: np.ndarray | float) -> np.ndarray | float:
        return 0.3 - 0.8 * value + 0.5 * value**2

    def exact(start: float, i: int) -> float:
        nodes, weights = np.polynomial.legendre.leggauss(40)
        middle, half = (lam[i] + lam[i - 1]) / 2, (lam[i] - lam[i - 1]) / 2
        points = middle + half * nodes
        sigmas = schedule.sigmas.tolist()
        return sigmas[i] / sigmas[i - 1] * start + sigmas[i] * float(
            np.sum(half * weights * np.exp(points) * x0(points))
        )

    start = 1.3
    state = SolverState(
        step=2,
        x0_history=tuple(torch.tensor(x0(value), dtype=torch.float64) for value in lam[:2]),
        last_sample=torch.tensor(start, dtype=torch.float64),
        last_order=2,
    )
    x = torch.tensor(5.0, dtype=torch.float64)  # any predicted x: the corrector replaces it
    velocity = (x - x0(lam[2])) / schedule.sigma(2)
    _, after = unipc_step(schedule, state, x, velocity)
    assert after.last_sample is not None
    assert float(after.last_sample) == pytest.approx(exact(start, 2), rel=1e-12)


def test_unipc_corrects_from_the_second_step_on_and_ends_on_x0() -> None:
    schedule = shifted(4)
    x = torch.randn(10, dtype=torch.float64)
    state = SolverState()
    seen = []
    for step in range(4):
        velocity = curved_velocity(x, schedule.sigma(step))
        before = x
        x, state = unipc_step(schedule, state, x, velocity)
        seen.append((state.last_order, torch.equal(state.last_sample, before)))
    assert seen == [(1, True), (2, False), (2, False), (1, False)]
    assert torch.equal(x, before - schedule.sigma(3) * velocity)


def test_unipc_starts_from_pure_noise() -> None:
    end, _ = run(gaussian_velocity, torch.linspace(-2, 2, 9, dtype=torch.float64), linear(200), unipc_step)
    expected = gaussian_solution(torch.linspace(-2, 2, 9, dtype=torch.float64), 1.0)
    torch.testing.assert_close(end, expected, rtol=0, atol=1e-3)


def test_distilled_steps_equal_their_formula_in_float64() -> None:
    schedule = shifted(8)
    x = torch.randn(3, 30, generator=torch.Generator().manual_seed(3))
    expected = x.double().numpy()
    sigmas = schedule.sigmas.tolist()
    for step in range(8):
        fresh = noise(9, "base", step, "video", x.shape).double().numpy()
        v = curved_velocity(torch.from_numpy(expected), sigmas[step]).numpy()
        expected = sigmas[step + 1] * fresh + (1 - sigmas[step + 1]) * (expected - sigmas[step] * v)
    end, _ = run(curved_velocity, x, schedule, fresh_noise_step(9, "base", "video"))
    assert np.linalg.norm(end.double().numpy() - expected) < 1e-5 * np.linalg.norm(expected)


def test_distilled_steps_keep_the_data_distribution_of_a_perfect_consistency_model() -> None:
    """A model that maps every x_t to its sample of N(MEAN, SPREAD^2) must leave that distribution under fresh noise."""
    schedule = shifted(8)

    def consistency(x: Tensor, sigma: float) -> Tensor:
        return (x - gaussian_solution(x, sigma)) / sigma

    start = noise(1, "base", -1, "video", (40_000,)).double()
    end, _ = run(consistency, start, schedule, fresh_noise_step(1, "base", "video"))
    assert float(end.mean()) == pytest.approx(MEAN, abs=4 * SPREAD / 200)
    assert float(end.std()) == pytest.approx(SPREAD, rel=0.02)


def test_the_last_distilled_step_needs_no_noise() -> None:
    x, v = torch.randn(2, 5)
    schedule = shifted(3)
    state = SolverState(step=2)
    ends = [distilled_step(schedule, state, x, v, fresh)[0] for fresh in (torch.zeros(5), torch.randn(5))]
    assert torch.equal(ends[0], ends[1])
    torch.testing.assert_close(ends[0], x - schedule.sigma(2) * v)


def test_without_freshness_the_old_noise_goes_on() -> None:
    x, v, fresh = torch.randn(3, 5)
    schedule, state = shifted(3), SolverState(step=1)
    same, _ = distilled_step(schedule, state, x, v, fresh, freshness=0.0)
    torch.testing.assert_close(same, euler_step(schedule, state, x, v)[0])
    assert torch.equal(distilled_step(schedule, state, x, v, fresh)[0],
                       distilled_step(schedule, state, x, v, fresh, freshness=1.0)[0])  # fmt: skip


@pytest.mark.parametrize("freshness", [0.0, 0.3, 0.6, 1.0])
def test_any_freshness_keeps_the_level_of_noise(freshness: float) -> None:
    """The old noise and the new one are independent: their sum of squares stays one."""
    old, fresh = torch.randn(2, 200_000, generator=torch.Generator().manual_seed(3))
    schedule, state = shifted(4), SolverState(step=1)
    sigma, sigma_next = schedule.sigma(1), schedule.sigma(2)
    x0 = torch.full_like(old, MEAN)
    x = (1 - sigma) * x0 + sigma * old
    moved, _ = distilled_step(schedule, state, x, old - x0, fresh, freshness)
    assert float(moved.std()) == pytest.approx(sigma_next, rel=0.01)
    assert float(moved.mean()) == pytest.approx((1 - sigma_next) * MEAN, abs=0.01)


@pytest.mark.parametrize("name", ["euler", "unipc", "distilled"])
@settings(max_examples=25)
@given(data=st.data())
def test_a_run_resumed_from_a_saved_state_is_bit_equal(name: str, data: st.DataObject) -> None:
    step_fn = {"euler": euler_step, "unipc": unipc_step, "distilled": fresh_noise_step(4, "base", "video")}[name]
    num_steps = data.draw(st.integers(1, 12))
    stop = data.draw(st.integers(0, num_steps))
    schedule = shifted(num_steps)
    x = noise(data.draw(st.integers(0, 9)), "base", -1, "video", (2, 17))
    whole, _ = run(curved_velocity, x, schedule, step_fn)

    half, state = run(curved_velocity, x, schedule, step_fn, stop)
    file = io.BytesIO()
    torch.save({"x": half} | state.tensors(), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    restored = SolverState.from_tensors(loaded)
    assert restored.step == stop
    end, _ = resume(curved_velocity, loaded["x"], restored, shifted(num_steps), step_fn)
    assert torch.equal(end, whole)


def test_every_state_saves_as_safetensors() -> None:
    """That format refuses tensors that share memory, as x and the last x_0 prediction could."""
    schedule = shifted(4)
    x, state = torch.randn(2, 5), SolverState()
    for step in range(4):
        x, state = unipc_step(schedule, state, x, curved_velocity(x, schedule.sigma(step)))
        loaded = safetensors.torch.load(safetensors.torch.save({"x": x} | state.tensors()))
        restored = SolverState.from_tensors(loaded)
        assert (restored.step, restored.last_order) == (state.step, state.last_order)
        assert torch.equal(restored.last_sample, state.last_sample)
        assert all(torch.equal(a, b) for a, b in zip(restored.x0_history, state.x0_history, strict=True))


def test_a_resumed_unipc_run_needs_its_history() -> None:
    """The test above can fail: without the history the end differs."""
    schedule = shifted(6)
    x = torch.randn(20)
    whole, _ = run(curved_velocity, x, schedule, unipc_step)
    half, state = run(curved_velocity, x, schedule, unipc_step, 3)
    forgetful, _ = resume(curved_velocity, half, SolverState(step=3), schedule, unipc_step)
    assert not torch.equal(forgetful, whole)
    uncorrected, _ = resume(curved_velocity, half, replace(state, last_sample=None), schedule, unipc_step)
    assert not torch.equal(uncorrected, whole)


def test_streams_step_apart_and_context_stays() -> None:
    """Sound without a step function is context; video moves as it would alone."""
    schedule = shifted(5)
    video, audio = torch.randn(1, 4, 3, 2, 2), torch.randn(1, 9, 6)
    heard = []

    def velocity(x: dict[str, Tensor], t: float, context: str) -> dict[str, Tensor]:
        heard.append((x["audio"].clone(), context))
        return {"video": curved_velocity(x["video"], t), "audio": x["audio"] + 1}

    end = denoise(velocity, {"video": video, "audio": audio}, schedule, {"video": unipc_step}, "prompt")
    alone, _ = run(curved_velocity, video, schedule, unipc_step)
    assert torch.equal(end["video"], alone)
    assert torch.equal(end["audio"], audio)
    assert all(torch.equal(x, audio) and context == "prompt" for x, context in heard)
