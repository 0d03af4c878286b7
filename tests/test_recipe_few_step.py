"""The few-step recipe's target: the guided teacher's path, in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from muybridge.config import TINY
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.transformer import Transformer
from muybridge.recipes import few_step
from muybridge.recipes.few_step import Guidance
from muybridge.recipes.losses import Task
from tests.test_recipe_base import item

ANSWERS = {frozenset(): 1.0, frozenset({"text"}): 0.4, frozenset({"speech"}): 0.7}  # velocity by what is left out


@pytest.mark.parametrize(
    ("scales", "task", "video", "audio"),
    [
        ((1.0, 1.0, 1.0, 1.0), "t2v", 1.0, 1.0),
        ((3.0, 2.0, 1.0, 1.0), "t2v", 0.4 + 3 * 0.6, 0.4 + 2 * 0.6),
        ((3.0, 1.0, 2.5, 1.0), "t2v", 2.2 + 1.5 * 0.3, 1.0),
        ((3.0, 2.0, 1.0, 1.5), "edit", 0.4 + 1.5 * 0.6, 0.4 + 2 * 0.6),
    ],
)
def test_the_teacher_is_guided_by_prompt_and_phones(
    monkeypatch: pytest.MonkeyPatch, scales: tuple[float, ...], task: str, video: float, audio: float
) -> None:
    def told(_: Transformer, __: PhraseEncoder, pairs: few_step.Pairs, state: few_step.State) -> few_step.State:
        return [
            (torch.full_like(x[0], ANSWERS[task.drops]), torch.full_like(x[1], ANSWERS[task.drops]))
            for (_, task), x in zip(pairs, state, strict=True)
        ]

    monkeypatch.setattr(few_step, "velocities", told)
    one = item(1)
    pairs = [(one, Task(task, 0.9, frozenset()))]
    x: tuple[Tensor, Tensor] = (torch.zeros_like(one.video), torch.zeros_like(one.audio))
    teacher, text = Transformer(TINY), PhraseEncoder()
    ((made, heard),) = few_step.teacher_end(teacher, text, pairs, [x], [(0.9, 0.7)], 2, Guidance(*scales))
    assert torch.allclose(made, torch.full_like(made, -0.2 * video), atol=1e-6)
    assert torch.allclose(heard, torch.full_like(heard, -0.2 * audio), atol=1e-6)
