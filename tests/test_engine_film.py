"""What is known of a clip from its first picture: the film of it, its motion, and the detail of the large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_parts import SHAPE, Draft, picture
from torch import Tensor

from muybridge.engine import Engine, film, pipeline, random_components
from muybridge.engine.conditions import Said
from muybridge.engine.draft import goes_on
from muybridge.engine.state import Conditions, GenerationState
from muybridge.flow.continuity import Continuity
from muybridge.flow.scaling import from_noise
from muybridge.model.face_finder import Face
from muybridge.request import Request
from muybridge.shapes import Window, clock
from muybridge.speech.durations import Phone
from muybridge.speech.pacing import Plan, plan_request
from muybridge.world.anatomy import UNIT_INDEX

LEFT, RIGHT = Face(0.5, 0.5, 0.12, 0.18), Face(1.2, 0.5, 0.12, 0.18)
JAW = UNIT_INDEX["jawOpen"]
TALK = Request('A woman at a desk. She says: "Mama."', size="448x256", seconds=3, seed=5)


class Finder:
    """The same faces in any picture, the largest first."""

    def __init__(self, faces: Sequence[Face]) -> None:
        self.found = list(faces)

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        assert picture_CYX.shape[0] == 3
        return self.found

    def heads(self, picture_CYX: Tensor) -> Tensor:
        return torch.ones(picture_CYX.shape[1:])


class Brighter:
    """Draws every face brighter by its jaw's opening."""

    def __call__(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        return faces_BCYX + told_BK[:, JAW].reshape(-1, 1, 1, 1)


def engine_with(faces: Sequence[Face] = (LEFT,), painter: Brighter | None = None, has_upscaler: bool = True) -> Engine:
    parts = replace(random_components("tiny", seed=3, shape=SHAPE, std=0.05), enlarges_pixels=True)
    moments = from_noise((1.0,) * 48, Continuity((0.5,) * 48, (0.4,) * 48, (3.0,) * 48, (0.8,) * 48))
    return Engine(
        replace(
            parts,
            upscaler=parts.upscaler if has_upscaler else None,
            draft=Draft(),
            draft_moments=from_noise((1.0,) * 48),
            moments={"video": moments},
            face_finder=Finder(faces),
            face_painter=painter,
        )
    )


def said(request: Request) -> Plan:
    plan = plan_request(request)
    assert plan.lines
    return plan


def test_a_face_speaks_when_its_line_is_said(tmp_path: Path) -> None:
    engine, plan = engine_with(painter=Brighter()), said(TALK)
    given = TALK.replace(image=picture(tmp_path / "a.png", width=448, height=256))
    motion = engine.encode(given, plan=plan).conditions.motion_BCTYX
    assert motion is not None
    moved_T = motion.square().mean((0, 1, 3, 4))
    line = plan.lines[0]
    first, last = int(line.start_s * 25 / 4), round(line.end_s * 25 / 4) + 1
    assert float(moved_T[first + 1 : last].max()) > 1e-4
    assert float(moved_T[: max(first - 1, 1)].max()) < 1e-8


def test_a_base_that_makes_its_film_is_delivered_as_the_large_film(tmp_path: Path) -> None:
    engine = engine_with()
    request = TALK.replace(prompt="A woman at a desk.", image=picture(tmp_path / "a.png", width=448, height=256))
    state = engine.encode(request)
    known = state.conditions
    assert known.film_BCTYX is not None and known.detail_BCTYX is not None and known.motion_BCTYX is None
    done = engine.upscale(replace(state, latents={**state.latents, "video": known.film_BCTYX}))
    assert done.stage == "upscaler" and done.step == engine.num_steps(done)
    assert engine.upscale(done).stage == "done"
    large = engine.parts.video_codec.decode(known.large_frames[0])[:, :, :1]
    wanted = engine.parts.video_codec.encode(large.expand(-1, -1, 5, -1, -1))
    made = done.latents["video"]
    assert torch.allclose(made[:, :, :1], wanted[:, :, :1], atol=1e-4)
    assert torch.allclose(made[:, :, 7:8], wanted[:, :, 1:], atol=2e-3)


def test_where_a_base_made_something_else_no_detail_is_added(tmp_path: Path) -> None:
    engine = engine_with()
    request = TALK.replace(prompt="A woman at a desk.", image=picture(tmp_path / "a.png", width=448, height=256))
    state = engine.encode(request)
    film_BCTYX = state.conditions.film_BCTYX
    assert film_BCTYX is not None
    other = film_BCTYX.clone()
    other[..., :4] = -3 * other[..., :4]
    done = engine.upscale(replace(state, latents={**state.latents, "video": other})).latents["video"]
    in_tone = pipeline.in_tone(other, film_BCTYX)
    bare = pipeline.enlarged_latent(engine.parts.video_codec, in_tone, pipeline.PixelSize(448, 256))
    apart = (done - bare)[:, :, 1:].square().mean((0, 1, 2, 3))
    assert float(apart[:6].max()) < 0.05 * float(apart[12:].max())


def test_pale_guesses_get_the_film_s_contrast_back_and_no_more() -> None:
    film_BCTYX = torch.randn(1, 4, 6, 3, 5) * torch.tensor([0.5, 1, 2, 3]).reshape(1, 4, 1, 1, 1) + 1
    pale = 0.75 * (film_BCTYX - 1) + 0.6
    assert torch.allclose(pipeline.in_tone(film_BCTYX, film_BCTYX), film_BCTYX, atol=1e-5)
    assert torch.allclose(pipeline.in_tone(pale, film_BCTYX), film_BCTYX, atol=1e-4)
    grey = pipeline.in_tone(0.01 * film_BCTYX, film_BCTYX)
    assert torch.allclose(grey.std((2, 3, 4)), 0.015 * film_BCTYX.std((2, 3, 4)), rtol=0.01)


def test_a_drawn_face_is_drawn_anew_and_the_picture_sharpened() -> None:
    engine, plan = engine_with(painter=Brighter()), said(TALK)
    state = engine.encode(TALK, plan=plan)
    known = state.conditions
    assert known.motion_BCTYX is not None and known.detail_BCTYX is not None
    assert known.detail_BCTYX.shape == (1, 48, 20, 16, 28) and known.detail_BCTYX.isfinite().all()
    assert not known.large_frames
    kept = GenerationState.from_bytes(state.to_bytes()).conditions
    assert kept.detail_BCTYX is not None and torch.equal(kept.detail_BCTYX, known.detail_BCTYX)
    assert kept.film_BCTYX is not None
    bare = engine_with(faces=()).encode(TALK, plan=plan).conditions
    assert bare.detail_BCTYX is None and bare.motion_BCTYX is None


@pytest.mark.parametrize("has_upscaler", [True, False])
def test_sizes_without_an_upscaler_have_no_detail(has_upscaler: bool, tmp_path: Path) -> None:
    request = TALK.replace(prompt="A desk.", image=picture(tmp_path / "a.png", width=224, height=128), size="224x128")
    known = engine_with(has_upscaler=has_upscaler).encode(request).conditions
    assert known.detail_BCTYX is None and set(known.frames) == {0}


def test_of_two_people_the_one_who_speaks_moves() -> None:
    phones = (Phone("a", 0.5, 1.0),)
    lines = [Said(phones, "en", "neutral", "The woman on the right"), Said((), "en", "neutral", "The man on the left")]
    assert film.phones_of(lines, "", 2) == [[], list(phones)]
    assert film.phones_of(lines, "", 1) == [list(phones)]
    assert film.whose(engine_with(faces=(RIGHT, LEFT)).parts, torch.zeros(3, 8, 8)) == [LEFT, RIGHT]
    assert film.whose(engine_with(faces=(LEFT, RIGHT, LEFT)).parts, torch.zeros(3, 8, 8)) == []


def test_a_window_that_goes_on_speaks_from_where_it_is() -> None:
    engine, plan = engine_with(painter=Brighter(), has_upscaler=False), said(TALK)
    request = TALK.replace(size="224x128")
    state = engine.encode(request, Window(10, clock(3), 2), plan)
    assert not state.conditions.frames and state.conditions.motion_BCTYX is None
    begun = {k: torch.randn(1, 48, 1, 8, 14) for k in range(3)}
    state = replace(state, conditions=replace(state.conditions, frames=begun))
    known: Conditions = goes_on(engine.parts, state, plan).conditions
    assert known.motion_BCTYX is not None and not known.motion_BCTYX[:, :, 0].any()
    assert all(torch.equal(known.frames[k], begun[k]) for k in begun)
    silent = goes_on(engine.parts, state, None).conditions
    assert silent.motion_BCTYX is None and not silent.has_lips
    nobody = engine_with(faces=(), painter=Brighter(), has_upscaler=False)
    assert goes_on(nobody.parts, state, plan).conditions is state.conditions


def test_known_latents_are_stilled_by_all_of_their_motion() -> None:
    still, motion = torch.randn(1, 4, 1, 2, 2).expand(-1, -1, 5, -1, -1), torch.randn(1, 4, 5, 2, 2)
    noise = torch.randn(1, 4, 5, 2, 2)
    clip, sigma = still + motion, 0.6
    x = (1 - sigma) * clip + sigma * noise
    x[:, :, :2] = clip[:, :, :2]
    found = pipeline._stilled(x, motion, sigma, {0: clip[:, :, :1], 1: clip[:, :, 1:2]})
    assert torch.allclose(found[:, :, :2], still[:, :, :2], atol=1e-6)
    assert torch.allclose(found[:, :, 2:], ((1 - sigma) * still + sigma * noise)[:, :, 2:], atol=1e-6)
