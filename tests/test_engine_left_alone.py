"""An edit that changes a corner leaves the rest the source's, pixel for pixel, also through a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_parts import SHAPE
from programme_parts import Phones

from muybridge import media
from muybridge.engine import Engine, pipeline, random_components
from muybridge.engine.left_alone import CLEAR, PUSH, SOFT, TIMID, edited_cells, only_changes, pushed, unchanged
from muybridge.engine.state import GenerationState
from muybridge.request import Request


def source(path: Path, num_frames: int = 77) -> Path:
    rng = np.random.default_rng(0)
    still = np.kron(rng.integers(0, 255, (8, 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    media.write_clip(path, np.repeat(still[None], num_frames, 0), None, poster=False)
    return path


def engine() -> Engine:
    return Engine(replace(random_components("tiny", seed=3, shape=SHAPE, std=0.05), phoneme_encoder=Phones()))


def edited(request: Request, changed: tuple[slice, slice]) -> GenerationState:
    """The end of a base stage that copied its source but for some cells."""
    state = engine().encode(request)
    video = state.conditions.source_BCTYX
    assert video is not None
    video = video.clone()
    video[:, :, :, *changed] += 3.0
    return replace(state, latents={**state.latents, "video": video})


def test_a_change_and_its_neighbours_are_not_left_alone() -> None:
    made, true = torch.zeros(1, 48, 6, 8, 14), torch.zeros(1, 48, 6, 8, 14)
    made[:, :, 3, 4, 5] = 2.0
    left = unchanged(made, true)
    assert float(left.sum()) == 6 * 8 * 14 - 27 and float(left[2:5, 3:6, 4:7].sum()) == 0
    made += 0.3  # softer than its source all over: a copy still
    made[:, :, 3, 4, 5] -= 0.3
    assert torch.equal(unchanged(made, true), left)


@pytest.mark.parametrize("seconds", [3.0, 4.0])
def test_outside_the_change_the_pixels_are_the_sources(tmp_path: Path, seconds: float) -> None:
    request = Request("Make the corner red.", video=source(tmp_path / "a.mp4"), size="256x128", seconds=seconds)
    state = edited(request, (slice(0, 2), slice(0, 2)))
    parts = replace(engine().parts, upscaler=None, enlarges_pixels=True)
    state = GenerationState.from_bytes(pipeline.upscale(parts, state).to_bytes())
    frames = pipeline.decode(parts, state).frames_TYXC
    true = media.read_clip(tmp_path / "a.mp4")[0]
    true = true[np.minimum(np.arange(len(frames)), len(true) - 1)]  # a source that ends is held
    assert np.array_equal(frames[:, 80:, 80:], true[:, 80:, 80:])
    assert np.abs(frames[:, :16, :16].astype(int) - true[:, :16, :16]).mean() > 5


def test_where_words_are_said_anew_nothing_is_put_back(tmp_path: Path) -> None:
    request = Request('He says: "Good morning."', video=source(tmp_path / "a.mp4"), size="256x128", seconds=3.0)
    state = edited(request, (slice(0, 1), slice(0, 1)))
    parts = replace(engine().parts, upscaler=None, enlarges_pixels=True)
    assert pipeline.upscale(parts, state).conditions.left_alone_TYX is None


def test_changes_are_pushed_on_and_copies_stay() -> None:
    torch.manual_seed(0)
    source, noise = torch.randn(1, 48, 3, 8, 14), torch.randn(1, 48, 3, 8, 14)
    made = source.clone()
    made[:, :, :, :4] += 1.5
    made[:, :, :, 6:] += 0.05
    x = 0.4 * made + 0.6 * noise
    further = x - 0.6 * pushed(noise - made, x, 0.6, source) - source
    assert torch.allclose(further[:, :, :, 6:], (made - source)[:, :, :, 6:], rtol=0.05, atol=1e-4)
    large = further[:, :, :, 1:3, 1:-1]
    assert torch.allclose(large, torch.full_like(large, 1.5 * (1 + (PUSH - 1) * 2.25 / (2.25 + TIMID))), atol=1e-3)


def test_cells_around_a_changed_one_are_edited_and_the_rest_are_not() -> None:
    source = torch.randn(1, 4, 3, 9, 9)
    first = source[:, :, :1].clone()
    first[:, :, 0, 4, 4] += 3.0
    found_YX = edited_cells(first, source)
    assert (found_YX[4, 4], found_YX[0, 0], found_YX[8, 4]) == (1.0, 0.0, 0.0)
    assert 0 < float(found_YX[4, 6]) < 1
    assert not edited_cells(source[:, :, :1], source).any()


@pytest.mark.parametrize(("apart", "share"), [(0.9 * SOFT, 0.0), ((SOFT + CLEAR) / 2, 0.5), (1.1 * CLEAR, 1.0)])
def test_a_drawn_edit_counts_where_it_is_more_than_soft(apart: float, share: float) -> None:
    source = torch.randn(1, 4, 1, 6, 6)
    made = source + apart**0.5
    assert torch.allclose(only_changes(made, source), torch.lerp(source, made, share), atol=1e-5)
