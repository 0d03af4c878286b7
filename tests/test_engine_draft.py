"""The first picture is drawn alone where only words are given, from scene and references, and then it is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from engine_parts import SHAPE, Draft, movie, picture
from torch import Tensor

from muybridge.engine import Engine, pipeline, random_components
from muybridge.engine.draft import ANOTHER, HAIRS, NEAREST, SIZE, begun, is_left_to_base
from muybridge.engine.pairs import Alone, together
from muybridge.engine.sampling import BASE
from muybridge.engine.state import Conditions, GenerationState
from muybridge.flow.continuity import Continuity
from muybridge.flow.scaling import from_noise
from muybridge.model.finder import KINDS, Face
from muybridge.model.tokens import Role
from muybridge.request import MAX_PROMPT_CHARS, Reference, Request
from muybridge.shapes import PixelSize, Window, clock
from muybridge.world.scene import NEAREST_FRAMING
from muybridge.world.wording import FRAMINGS

STEPS = BASE[SIZE].num_inference_steps
TALK = Request('A woman by the sea. She says: "Good morning to you."', size="64x64", seconds=3, seed=5)


def engine_with(draft: Draft | None) -> Engine:
    parts = replace(random_components("tiny", seed=3, shape=SHAPE, std=0.05), upscaler=None, enlarges_pixels=True)
    return Engine(replace(parts, draft=draft, draft_moments=from_noise((1.0,) * 48)))


def test_a_clip_of_words_alone_begins_with_the_draft() -> None:
    draft = Draft()
    engine = engine_with(draft)
    state = engine.encode(TALK)
    first = state.conditions.frames[0]
    assert first.shape == (1, 48, 1, 4, 4)
    assert torch.equal(state.latents["video"][:, :, :1], first)
    assert torch.equal(engine.denoise(state).latents["video"][:, :, :1], first)
    assert len(draft.seen) >= STEPS
    for packed in draft.seen:
        assert packed.layout.counts[0][:2] == (4, 1)  # four tokens of one latent, and one of its sound
        assert int(Role.SPEECH) not in packed.layout.roles_N.tolist()


def test_a_fine_draft_has_a_token_for_each_latent_and_its_neighbours() -> None:
    draft = Draft()
    engine = engine_with(draft)
    engine.parts.draft_step = 1
    state = engine.encode(TALK)
    assert state.conditions.frames[0].shape == (1, 48, 1, 4, 4)
    assert {packed.layout.counts[0][0] for packed in draft.seen} == {9}  # three by three, and nothing else is finer
    places = draft.seen[0].layout.coords_N3[:9, 1:]
    assert places.tolist() == [[y / 2 - 0.5, x / 2 - 0.5] for y in range(3) for x in range(3)]
    prepared = pipeline.prepare(engine.parts, state)
    assert prepared.num_target == 4 * state.window.clock.num_video_latents


def test_the_draft_is_the_seeds_and_survives_a_checkpoint() -> None:
    engine = engine_with(Draft())
    states = [engine.encode(TALK.replace(seed=seed)) for seed in (5, 5, 6)]
    same, again, other = (state.conditions.frames[0] for state in states)
    assert torch.equal(same, again) and not torch.equal(same, other)
    kept = GenerationState.from_bytes(states[0].to_bytes())
    assert torch.equal(kept.conditions.frames[0], same)


def test_the_draft_does_not_hear_what_is_said() -> None:
    drafts = Draft(), Draft()
    for draft, prompt in zip(drafts, (TALK.prompt, TALK.prompt.replace("Good", "Bad")), strict=True):
        engine_with(draft).encode(TALK.replace(prompt=prompt))
    one, other = (draft.seen[0] for draft in drafts)
    assert torch.equal(one.text_NC, other.text_NC)


def test_references_are_shown_to_the_draft(tmp_path: Path) -> None:
    draft = Draft()
    named = (Reference(picture(tmp_path / "a.png"), "[Image 1]"),)
    engine_with(draft).encode(TALK.replace(references=named))
    assert int(Role.REFERENCE) in draft.seen[0].layout.roles_N.tolist()


class Still:
    """Leaves faces as they are."""

    def __call__(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        assert len(faces_BCYX) == len(told_BK)
        return faces_BCYX


def test_a_face_that_speaks_and_fills_the_picture_is_left_to_the_base() -> None:
    assert set(NEAREST) == set(FRAMINGS[NEAREST_FRAMING])
    draft = Draft()
    state = engine_with(draft).encode(TALK.replace(prompt=f"Extreme close-up: {TALK.prompt}"))
    assert draft.seen  # nobody speaks here: these parts have no phones
    text = state.conditions.text
    roles_N = torch.full_like(text.roles_N, int(Role.SPEECH))
    spoken = replace(state, conditions=replace(state.conditions, text=replace(text, roles_N=roles_N)))
    parts = engine_with(draft).parts
    assert is_left_to_base(parts, spoken) and not is_left_to_base(parts, state)
    assert not is_left_to_base(parts, replace(spoken, request=TALK))
    assert not is_left_to_base(replace(parts, face_painter=Still()), spoken)


@pytest.mark.parametrize("given", ["image", "last_image", "window", "nothing"])
def test_whoever_brings_a_picture_gets_no_draft(given: str, tmp_path: Path) -> None:
    draft = None if given == "nothing" else Draft()
    engine, request, window = engine_with(draft), TALK, None
    if given in ("image", "last_image"):
        request = request.replace(**{given: picture(tmp_path / "a.png")})
    if given == "window":
        window = Window(10, clock(3), 4)
    state = engine.encode(request, window)
    assert draft is None or not draft.seen
    known = {"image": {0}, "last_image": {state.window.clock.num_units}}
    assert set(state.conditions.frames) == known.get(given, set())


def test_an_edit_is_made_of_the_first_picture_and_a_dub_of_none(tmp_path: Path) -> None:
    draft = Draft()
    engine = engine_with(draft)
    edit = Request("Make it night.", video=movie(tmp_path / "a.mp4"), size="64x64", seconds=3, seed=5)
    state = engine.encode(edit)
    assert set(state.conditions.frames) == {0} and len(draft.seen) >= STEPS
    roles = draft.seen[0].layout.roles_N.tolist()
    assert roles.count(int(Role.SOURCE)) == 2 * (4 + 1)  # in both passes one latent of the source, and one of its sound
    assert torch.equal(state.latents["video"][:, :, :1], state.conditions.frames[0])
    bare = engine_with(None).encode(edit).conditions
    assert not bare.frames and bare.source_BCTYX is not None
    count = len(draft.seen)
    said = pipeline.encode(engine.parts, edit)
    text = said.conditions.text
    spoken = replace(text, roles_N=torch.full_like(text.roles_N, int(Role.SPEECH)))
    dub = replace(said, conditions=replace(said.conditions, text=spoken))
    assert not begun(engine.parts, dub).conditions.frames and len(draft.seen) == count


class Counts:
    """Sees so many faces each time that it looks, and remembers the pictures."""

    def __init__(self, counts: tuple[int, ...]) -> None:
        self.counts = counts
        self.seen: list[Tensor] = []

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        self.seen.append(picture_CYX)
        return [Face(0.5 + k, 0.5, 0.1, 0.2) for k in range(self.counts[len(self.seen) - 1])]

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        return {kind: torch.zeros(picture_CYX.shape[1:]) for kind in KINDS}


@pytest.mark.parametrize(
    ("prompt", "counts", "chosen"),
    [
        ("A bald woman by the sea.", (1, 1), 0),
        ("A bald woman by the sea.", (2, 0, 1, 1), 2),
        ("A bald woman by the sea.", (1, 0, 1, 1), 1),  # half way it was there
        ("Two men by the sea.", (1, 2, 2), 1),
        # Never right, nor is a man alone: the nearest, the earlier of two alike.
        ("Two men by the sea.", (0, 1, 1, 3, 0, 0, 0, 2, 0), 1),
        ("A red ball on a beach.", (), 0),
    ],
)
def test_a_picture_is_drawn_again_until_it_has_its_people(prompt: str, counts: tuple[int, ...], chosen: int) -> None:
    finder = Counts(counts)
    engine = engine_with(Draft())
    parts = replace(engine.parts, finder=finder)
    first = pipeline.encode(parts, TALK.replace(prompt=prompt))
    found = begun(parts, first).conditions.frames[0]
    assert len(finder.seen) == len(counts)
    alone = begun(engine.parts, pipeline.encode(parts, TALK.replace(prompt=prompt, seed=5 + chosen * ANOTHER)))
    assert torch.equal(found, alone.conditions.frames[0])


def test_two_who_never_come_are_drawn_one_by_one() -> None:
    finder = Counts((0, 1, 1, 1, 0, 0, 0, 1, 1))
    parts = replace(engine_with(Draft()).parts, finder=finder)
    found = begun(parts, pipeline.encode(parts, TALK.replace(prompt="Two men by the sea."))).conditions.frames[0]
    assert len(finder.seen) == 9  # six of both, then the first man at the second try, and the second
    both = together(finder, *(Alone(finder.seen[k].clamp(-1, 1), Face(0.5, 0.5, 0.1, 0.2)) for k in (7, 8)))
    assert torch.allclose(found, parts.video_codec.encode(both[None, :, None]), atol=1e-5)


class Things:
    """Is so sure of a thing each time that it looks."""

    def __init__(self, sure: tuple[float, ...]) -> None:
        self.sure = sure
        self.seen = 0

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        assert picture_CYX.ndim == 3
        return []

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        self.seen += 1
        rows, cols = picture_CYX.shape[1:]
        covers = {kind: torch.zeros(rows, cols) for kind in KINDS}
        covers["thing"][:, 7 * cols // 16 : 9 * cols // 16] = self.sure[min(self.seen, len(self.sure)) - 1]
        return covers


@pytest.mark.parametrize(
    ("sure", "chosen"), [((0.99, 0.99), 0), ((0.1, 0.5, 0.97, 0.97), 2), ((0.1, 0.8, 0.7, 0.2, 0.0, 0.0), 1)]
)
def test_a_picture_is_drawn_again_until_what_is_struck_is_in_it(
    sure: tuple[float, ...], chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(_: object, state: GenerationState, first: Tensor, *__: object, was_drawn: bool) -> Conditions:
        return replace(state.conditions, frames={0: first} if was_drawn else {})

    monkeypatch.setattr("muybridge.engine.draft.known", known)  # the picture itself, not the film of it
    finder = Things(sure)
    moments = from_noise((1.0,) * 48, Continuity((0.5,) * 48, (0.4,) * 48, (3.0,) * 48, (0.8,) * 48))
    parts = replace(engine_with(Draft()).parts, moments={"video": moments})
    ball = TALK.replace(prompt="A red ball is bouncing on a beach.")
    found = begun(replace(parts, finder=finder), pipeline.encode(parts, ball)).conditions.frames[0]
    assert finder.seen == len(sure)
    alone = begun(parts, pipeline.encode(parts, ball.replace(seed=5 + chosen * ANOTHER))).conditions.frames[0]
    assert torch.equal(found, alone)


class Wigs:
    """Sees a face in the middle of every picture, hair above it only after `first` looks, and clothes below."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.seen = 0

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        assert picture_CYX.ndim == 3
        return [Face(0.5, 0.5, 0.1, 0.2)]

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        self.seen += 1
        rows, cols = picture_CYX.shape[1:]
        covers = {kind: torch.zeros(rows, cols) for kind in KINDS}
        covers["face"][rows // 3 : 2 * rows // 3] = 1.0
        covers["head"][: 2 * rows // 3] = 1.0
        covers["person"][:] = 1.0
        covers["hair"][: rows // 3] = float(self.seen > self.first)
        return covers


@pytest.mark.parametrize(("first", "turns"), [(0, 1), (2, 3), (9, 6)])
def test_hair_that_is_to_have_a_colour_must_be_there_and_is_drawn_dark(
    first: int, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    def picture(_: object, __: object, state: GenerationState, size: PixelSize) -> SimpleNamespace:
        asked.append(state.request)
        return SimpleNamespace(picture_BCTYX=torch.zeros(1, 48, 1, size.height // 16, size.width // 16))

    def known(_: object, state: GenerationState, first: Tensor, *__: object, was_drawn: bool) -> Conditions:
        return replace(state.conditions, frames={0: first} if was_drawn else {})

    monkeypatch.setattr("muybridge.engine.draft._rough", picture)
    monkeypatch.setattr("muybridge.engine.draft._stepped", lambda rough, _: rough)
    monkeypatch.setattr("muybridge.engine.draft._finished", lambda rough: rough.picture_BCTYX)
    monkeypatch.setattr("muybridge.engine.draft.known", known)
    parts = replace(engine_with(Draft()).parts, finder=Wigs(first))
    begun(parts, pipeline.encode(parts, TALK.replace(prompt="A woman with blond hair by the sea.")))
    assert [request.seed for request in asked] == [5 + k * ANOTHER for k in range(turns)]
    assert {request.prompt for request in asked} == {"A woman with dark brown hair by the sea."}
    asked.clear()
    parts = replace(parts, finder=Wigs(first))
    begun(parts, pipeline.encode(parts, TALK.replace(prompt="A woman by the sea.")))
    assert len(asked) == turns  # hair that nobody speaks of is told of, another in each try
    longest = "A woman by the sea.".ljust(MAX_PROMPT_CHARS, ".")
    parts = replace(parts, finder=Wigs(first))
    begun(
        parts, pipeline.encode(parts, TALK.replace(prompt=longest))
    )  # what is longer than a prompt may be is not told
    assert len(asked) == 2 * turns and asked[-1].prompt == longest
    del asked[turns:]
    told = ["A woman by the sea." + HAIRS[(5 + turn) % len(HAIRS)] for turn in range(turns)]
    assert [request.prompt for request in asked] == told and len(set(told)) == min(turns, len(HAIRS))
