"""Another place is drawn once, without whoever stood in it, and seen behind the source's own people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_parts import Draft
from test_engine_edit_parts import BODY, HEAD, Finder, clip, inside, parts
from torch import Tensor

from muybridge import media
from muybridge.engine import Engine, backdrop, pipeline
from muybridge.engine.state import GenerationState
from muybridge.flow.scaling import from_noise
from muybridge.request import Request
from muybridge.speech.edits import new_place

__all__ = ["clip"]  # the fixture
SIZE = (128, 256)


@pytest.mark.parametrize(
    ("instruction", "place"),
    [
        ("Put the person in a beach.", "a beach"),
        ("Move the scene to a snowfield.", "a snowfield"),
        ("Replace the background with a busy street at night.", "a busy street at night"),
        ("Change the setting to an office!", "an office"),
        ("把背景换成海滩", "海滩"),
        ("背景を海辺に変えて", "海辺"),
        ("배경을 해변으로 바꿔 주세요", "해변"),
        ("Ersetze den Hintergrund durch einen Strand.", "einen Strand"),
        ("Remplace l'arrière-plan par une plage.", "une plage"),
        ("Another background, please", "Another background, please"),
    ],
)
def test_the_new_place_is_read_from_the_instruction(instruction: str, place: str) -> None:
    assert new_place(instruction) == place


def test_people_keep_their_own_pixels_before_one_still_place(clip: Path) -> None:
    made = replace(parts(), draft=Draft(), draft_moments=from_noise((1.0,) * 48))
    asked = Request("Replace the background with a beach.", video=clip, size="256x128", seconds=3.0)
    state = Engine(made).encode(asked)
    source, place = state.conditions.source_BCTYX, state.conditions.place_CYX
    assert source is not None and place is not None
    state = replace(state, latents={**state.latents, "video": source + 2.0})  # the base has no say
    state = GenerationState.from_bytes(pipeline.upscale(made, state).to_bytes())
    frames = pipeline.decode(made, state).frames_TYXC
    true = media.read_clip(clip)[0][: len(frames)]
    who = inside([HEAD, BODY], -2)
    assert np.abs(frames[: len(true)].astype(int) - true)[:, who].max() <= 1
    around = ~inside([HEAD, BODY], 2)
    assert np.abs(frames[:1].astype(int) - frames).max(-1)[:, around].max() == 0
    wanted = (255 * place).round().clamp(0, 255).permute(1, 2, 0).numpy()
    assert np.abs(frames[7].astype(int) - wanted)[around].max() <= 1


def test_a_place_lies_in_most_of_the_light_of_the_old_one() -> None:
    place, person = torch.rand(3, *SIZE), torch.zeros(SIZE)
    person[40:, 60:90] = 1.0
    old = [torch.full((3, *SIZE), value) for value in (0.1, 0.5, 0.9)]
    for picture in old:
        picture[:, person > 0] = 1.0  # who stands there tells nothing
    light = [float(backdrop.toned(place, picture, person).mean()) for picture in old]
    assert light == sorted(light) and light[0] < 0.75 * float(place.mean()) and light[2] > float(place.mean())
    blue = torch.tensor([0.2, 0.2, 0.5])[:, None, None].expand(3, *SIZE)
    tint = backdrop.toned(place, blue, person).mean((1, 2))
    assert 1.0 < float(tint[2] / tint[0]) < 1.5


class Nobody(Finder):
    """A thing in everybody's place."""

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        found = super().covers(picture_CYX)
        return found | {"person": 0 * found["person"], "thing": found["person"]}


def test_a_thing_stays_where_nobody_is_and_a_place_of_another_shape_covers_the_frame() -> None:
    frame, place = torch.rand(3, *SIZE), torch.full((3, 90, 90), 0.3)
    shown = backdrop.behind(Nobody(), place)(frame)
    who = torch.from_numpy(inside([HEAD, BODY], -2))
    assert torch.equal(shown[:, who], frame[:, who])
    assert torch.allclose(shown[:, ~torch.from_numpy(inside([HEAD, BODY], 2))], torch.tensor(0.3), atol=1e-5)
