"""Pictures and what the draft makes of them: what the picture painter learns from, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.engine import random_components
from muybridge.errors import NotFound, UserError
from muybridge.model.picture_painter import SIDES, SPREAD, TOLD, PicturePainter, guess, open_, told
from muybridge.recipes import picture_painter, pictures
from muybridge.recipes.pictures import Pictures

ROWS, COLS = 32, 48


def some(count: int = 3) -> Pictures:
    """Stripes that the draft drew faintly, and a face in a corner."""
    true = torch.full((count, 3, ROWS, COLS), 90, dtype=torch.uint8)
    true[..., torch.arange(COLS) % 4 % 3 > 0] = 150  # alike when mirrored
    drawn = torch.full((count, 3, ROWS, COLS), 120, dtype=torch.uint8)
    drawn[..., torch.arange(COLS) % 4 % 3 > 0] += 6
    face = torch.zeros(count, ROWS, COLS, dtype=torch.uint8)
    face[:, :8, :8] = 255
    return Pictures(true, drawn, face, torch.ones(count, 512))


def test_samples_are_true_squares_with_what_was_drawn_of_them() -> None:
    drawn, true, weight, words, sigma, noise = picture_painter.samples(some(), 200, torch.Generator().manual_seed(0))
    assert drawn.shape == true.shape == noise.shape == (200, 3, ROWS, ROWS) and weight.shape == (200, 1, ROWS, ROWS)
    assert 0.01 < float(sigma.min()) < 0.1 and 0.9 < float(sigma.max()) <= 1
    assert float(weight.min()) == pytest.approx(picture_painter.FACES) and float(weight.mean()) > 0.9
    assert float((drawn.mean((1, 2, 3)) - true.mean((1, 2, 3))).abs().max()) < 0.08, "toned"
    assert float(true.std()) > 3 * float(drawn.std()), "stripes of the drawn one are its own"
    assert 0.1 < float((words.sum(1) == 0).float().mean()) < 0.5


def test_the_guess_is_the_best_linear_one() -> None:
    """What is SPREAD from the drawn picture by chance is guessed as regression would, with the error that is told."""
    generator = torch.Generator().manual_seed(3)
    drawn = torch.rand(200_000, generator=generator) - 0.5
    true = drawn + SPREAD * torch.randn(drawn.shape, generator=generator)
    for level in (0.05, 0.3, 0.8, 1.0):
        sigma = torch.tensor(level)
        noisy = (1 - sigma) * true + sigma * torch.randn(drawn.shape, generator=generator)
        error = true - guess(noisy, drawn, sigma)
        assert float(error.std()) == pytest.approx(float(open_(sigma)), rel=0.02)
        assert abs(float((error * noisy).mean())) < 0.002  # nothing is left that noise tells
    assert torch.allclose(guess(true, drawn, torch.tensor(0.0)), true)


def test_a_painter_learns_stripes_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "read", lambda *_: some())
    made = picture_painter.recipe(batch_size=6, num_steps=60)
    torch.manual_seed(0)
    modules = made.build()
    optimizer = torch.optim.AdamW(modules["painter"].parameters(), lr=2e-3)
    losses = []
    for step in range(60):
        found = made.loss(modules, made.batch(step, torch.device("cpu")))
        found["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(found["loss"].item())
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:4])
    made.export(modules, tmp_path)
    again = picture_painter.recipe(start=str(tmp_path), batch_size=4).build()
    for one, other in zip(again["painter"].parameters(), modules["painter"].parameters(), strict=True):
        assert torch.allclose(one, other, atol=float(other.detach().abs().max()) / 120)


def test_a_painter_answers_pictures_of_any_sides_it_takes() -> None:
    seen = torch.zeros(2, 3, 2 * SIDES, 3 * SIDES)
    words = told(torch.zeros(2, 512), torch.tensor([0.3, 1.0]))
    assert words.shape == (2, TOLD) and not torch.equal(words[0], words[1])
    assert PicturePainter()(seen, seen, words).shape == seen.shape


def test_nothing_is_read_where_nothing_is_and_nothing_drawn_without_a_draft(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="world pictures"):
        pictures.read(tmp_path, Path("muybridge/shipped/tiny/text.safetensors"))
    with pytest.raises(UserError, match="no draft"):
        pictures.build(replace(random_components("tiny"), draft=None), tmp_path, 2)
