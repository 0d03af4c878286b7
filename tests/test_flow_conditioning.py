"""Known latents stay known; the upscaler's start and its table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from muybridge.flow.conditioning import (
    AUDIO_TIME_DIM,
    apply_clean,
    extension,
    inpainting,
    keyframes,
    time_mask,
)
from muybridge.flow.denoise import denoise
from muybridge.flow.schedule import shifted
from muybridge.flow.solver import unipc_step
from muybridge.flow.upscale_start import (
    audio_context,
    enlarge,
    start_coefficients,
    upscale_start,
    zero_terminal_snr_table,
)


@given(st.sets(st.integers(0, 6)))
def test_known_latents_are_put_in_and_the_rest_left(indices: set[int]) -> None:
    x, clean = torch.randn(2, 2, 3, 7, 4, 5)
    before = x.clone()
    out = apply_clean(x, clean, time_mask(indices, x))
    for i in range(7):
        assert torch.equal(out[:, :, i], (clean if i in indices else x)[:, :, i])
    assert torch.equal(x, before)


def test_known_latents_hold_before_every_step_and_at_the_end() -> None:
    video, audio = torch.randn(1, 3, 6, 2, 2), torch.randn(1, 21, 4)
    first, last = torch.randn(2, 1, 3, 1, 2, 2)
    heard = torch.randn(1, 21, 4)
    clean = {"video": keyframes({0: first, -1: last}, video), "audio": inpainting(heard, [(8, 12)])}
    seen = []

    def velocity(x: dict[str, Tensor], t: float, context: None) -> dict[str, Tensor]:
        del t, context
        seen.append(x)
        return {stream: torch.sin(value) for stream, value in x.items()}

    step_fns = {"video": unipc_step, "audio": unipc_step}
    end = denoise(velocity, {"video": video, "audio": audio}, shifted(5), step_fns, None, clean)
    redone = slice(8, 12)
    for x in [*seen, end]:
        assert torch.equal(x["video"][:, :, :1], first)
        assert torch.equal(x["video"][:, :, -1:], last)
        assert torch.equal(x["audio"][:, :8], heard[:, :8])
        assert torch.equal(x["audio"][:, 12:], heard[:, 12:])
    assert len(seen) == 5
    assert not torch.equal(end["audio"][:, redone], heard[:, redone])
    assert torch.equal(seen[0]["audio"][:, redone], audio[:, redone])


def test_an_extension_carries_the_overlap() -> None:
    for x, time_dim in ((torch.randn(1, 3, 9, 2, 2), 2), (torch.randn(1, 9, 4), AUDIO_TIME_DIM)):
        overlap = torch.randn_like(x).narrow(time_dim, 0, 4)
        out = extension(overlap, x, time_dim).apply(x)
        assert torch.equal(out.narrow(time_dim, 0, 4), overlap)
        assert torch.equal(out.narrow(time_dim, 4, 5), x.narrow(time_dim, 4, 5))


def test_what_does_not_fit_is_refused() -> None:
    x = torch.randn(1, 3, 6, 2, 2)
    frame = x[:, :, :1]
    with pytest.raises(IndexError, match="6 latents"):
        keyframes({6: frame}, x)
    with pytest.raises(ValueError, match="share one latent"):
        keyframes({5: frame, -1: frame}, x)
    with pytest.raises(ValueError, match="the clip needs"):
        keyframes({0: x[:, :, :2]}, x)
    with pytest.raises(ValueError, match="does not fit"):
        inpainting(torch.randn(1, 9, 4), [(4, 10)])


def test_the_table_has_the_published_entries() -> None:
    table = zero_terminal_snr_table()
    assert table.dtype == torch.float64
    assert float(table[0]) == pytest.approx(0.999575, abs=5e-7)
    assert float(table[220]) == pytest.approx(0.83891, abs=5e-6)
    assert float(table[999]) == 0.0
    assert bool((table.diff() < 0).all())


def test_the_coefficients_keep_the_variance() -> None:
    signal, noise_scale = start_coefficients()
    assert (signal, noise_scale) == pytest.approx((0.83891, 0.54427), abs=5e-6)
    assert signal**2 + noise_scale**2 == pytest.approx(1.0, abs=1e-15)


def interpolated(values: np.ndarray, size: int, axis: int, align_corners: bool) -> np.ndarray:
    """Linear interpolation along one axis, float64, from the definition of the two corner rules."""
    old = values.shape[axis]
    place = np.arange(size) * (old - 1) / (size - 1) if align_corners else (np.arange(size) + 0.5) * old / size - 0.5
    place = np.clip(place, 0, old - 1)
    low = np.minimum(place.astype(int), old - 2)
    share = (place - low).reshape([-1 if d == axis else 1 for d in range(values.ndim)])
    return np.take(values, low, axis) * (1 - share) + np.take(values, low + 1, axis) * share


@pytest.mark.parametrize("align_corners", [True, False])
def test_the_start_equals_its_float64_formula(align_corners: bool) -> None:
    latent, noise = torch.randn(1, 4, 3, 6, 8), torch.randn(1, 4, 3, 14, 20)
    enlarged = interpolated(interpolated(latent.double().numpy(), 14, 3, align_corners), 20, 4, align_corners)
    expected = 0.8389103 * enlarged + np.sqrt(1 - 0.8389103**2) * noise.double().numpy()
    got = upscale_start(latent, noise, align_corners=align_corners)
    assert np.linalg.norm(got.double().numpy() - expected) < 1e-5 * np.linalg.norm(expected)


def test_align_corners_moves_content_at_the_edges_only_when_on() -> None:
    """A ramp that stands for the place in the picture: half-pixel enlargement keeps it, aligned corners stretch it."""
    ramp = (torch.arange(8.0) + 0.5).view(1, 1, 1, 1, 8).expand(1, 1, 2, 8, 8)
    truth = (torch.arange(32) + 0.5) / 4
    inner = slice(2, -2)  # outside it, half-pixel interpolation repeats the edge
    for align_corners, bound in ((False, 1e-5), (True, 0.38)):
        shift = (enlarge(ramp, 32, 32, align_corners)[0, 0, 0, 0] - truth)[inner].abs().max()
        assert float(shift) < bound
    assert float((enlarge(ramp, 32, 32, True)[0, 0, 0, 0] - truth).abs().max()) == pytest.approx(0.375)


def test_the_upscaler_hears_a_noised_copy() -> None:
    audio, noise = torch.randn(2, 1, 9, 64, dtype=torch.float64)
    torch.testing.assert_close(audio_context(audio, noise), 0.7 * noise + 0.3 * audio)
