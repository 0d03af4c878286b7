"""Gestures are found in words, faces in pictures, and a head is moved as its gesture asks, at its time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from engine_parts import SHAPE, Draft, movie
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from muybridge.engine import Engine, random_components
from muybridge.engine.acting import LIFT, TILT, Pose, acted, pose_at, posed
from muybridge.flow.continuity import Continuity
from muybridge.flow.scaling import from_noise
from muybridge.model.finder import FINE, KINDS, ROWS, Face, Finder, faces_in
from muybridge.request import Beat, Request
from muybridge.shapes import FPS, Window, clock
from muybridge.speech.acts import WORDS, Act, acts_of, asked, named, told
from muybridge.train.actors import value_at
from muybridge.world.captions import _phrases
from muybridge.world.scene import Span
from muybridge.world.wording import EXPRESSIONS, GESTURES, MOVES

FACE = Face(0.75, 0.45, 0.14, 0.2)


def test_every_wording_of_the_world_is_understood() -> None:
    for gesture, sentences in GESTURES.items():
        for sentence in sentences:
            found = named(f"The woman {sentence.format(poss='her')}.")
            assert found == ([gesture] if gesture in WORDS else []), sentence
    for sentence in (text for texts in (*MOVES.values(), *EXPRESSIONS.values()) for text in texts):
        assert named(sentence.format(poss="his")) == [], sentence


@pytest.mark.parametrize("language", ["zh", "yue", "ja", "ko", "de", "fr"])
def test_the_other_languages_are_understood(language: str) -> None:
    for gesture, words in _phrases()[language]["acts"].items():
        assert named(words) == ([gesture] if gesture in WORDS else []), words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("She nods, then looks up and shakes her head.", ["nod", "look up", "shake head"]),
        ("The camera turns to the left.", []),
        ("He leans towards the camera.", ["lean in"]),
        ("The camera pans left while he looks down.", ["look down"]),
        ("A car on a street.", []),
    ],
)
def test_gestures_come_in_their_order_and_cameras_make_none(text: str, found: list[str]) -> None:
    assert named(text) == found


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert set(named(text)) <= set(WORDS)


def test_a_gesture_has_the_times_of_its_beat_and_else_its_share_of_the_clip() -> None:
    timed = asked(Request("A man. 1-2 s: he nods. 2.5-4.5 s: he looks up and turns to the right.", seconds=5))
    assert timed == (Act("nod", 1.0, 2.0), Act("look up", 2.5, 3.5), Act("turn right", 3.5, 4.5))
    first, second = asked(Request("A man nods, then looks up.", seconds=4))
    assert 0 <= first.start_s < first.end_s <= 2 <= second.start_s < second.end_s <= 4
    assert acts_of("A man.", (Beat("She nods.", 1, 2),), 5) == (Act("nod", 1, 2),)
    assert asked(Request('A man says: "She nods and looks up."', seconds=5)) == ()


@settings(max_examples=60)
@given(st.sampled_from(sorted(WORDS)), st.floats(0, 3), st.floats(0.4, 3), st.floats(-1, 7))
def test_a_gesture_goes_as_far_as_that_of_the_world(name: str, start_s: float, length: float, t_s: float) -> None:
    act = Act(name, start_s, start_s + length)
    assert act.value(t_s) == pytest.approx(value_at(Span(start_s, start_s + length, name), t_s), abs=1e-6)


def marked(*places: tuple[float, float]) -> Tensor:
    """A dark picture of 128x192 with soft spots at (x, y) in shares of its height."""
    y, x = torch.meshgrid((torch.arange(128) + 0.5) / 128, (torch.arange(192) + 0.5) / 128, indexing="ij")
    spots = torch.stack([torch.exp(-((x - a) ** 2 + (y - b) ** 2) / 2e-4) for a, b in places]).sum(0)
    return (2 * spots.clamp(max=1) - 1)[None].expand(3, -1, -1)


def spot(picture_CYX: Tensor) -> tuple[float, float]:
    """The middle of what is bright, (x, y) in shares of the height."""
    weight = (picture_CYX[0] + 1).clamp(min=0.2) - 0.2
    y, x = torch.meshgrid((torch.arange(128) + 0.5) / 128, (torch.arange(192) + 0.5) / 128, indexing="ij")
    return float((weight * x).sum() / weight.sum()), float((weight * y).sum() / weight.sum())


@pytest.mark.parametrize(
    ("pose", "right", "down"),
    [
        (Pose(turn=0.6), 1, 0),
        (Pose(turn=-0.6), -1, 0),
        (Pose(nod=0.3), 0, 1),
        (Pose(nod=-0.3), 0, -1),
        (Pose(tilt=0.25), 1, 0),  # about the neck, which is below
        (Pose(size=0.15), 0, -1),  # what is above the chest goes up as it grows
    ],
    ids=str,
)
def test_the_middle_of_a_face_goes_where_its_head_does(pose: Pose, right: int, down: int) -> None:
    x, y = spot(posed(marked((FACE.x, FACE.y)), FACE, pose))
    for moved, way in ((x - FACE.x, right), (y - FACE.y, down)):
        assert moved * way > 0.02 if way else abs(moved) < 0.02


def test_a_tilt_is_a_turn_of_the_picture_and_the_place_behind_stays() -> None:
    eyes = ((FACE.x - 0.06, FACE.y - 0.03), (FACE.x + 0.06, FACE.y - 0.03))
    only = [spot(posed(marked(eye), FACE, Pose(tilt=TILT))) for eye in eyes]
    left, right = only
    angle = torch.atan2(torch.tensor(right[1] - left[1]), torch.tensor(right[0] - left[0]))
    assert float(angle) == pytest.approx(TILT, abs=0.04)
    far = marked((0.1, 0.1), (1.4, 0.1))
    for pose in (Pose(turn=0.8), Pose(nod=0.3), Pose(tilt=TILT), Pose(size=0.13)):
        assert torch.allclose(posed(far, FACE, pose), far, atol=1e-3)


def test_a_picture_stands_before_and_after_its_gestures() -> None:
    picture_CYX = marked((FACE.x, FACE.y))
    acts = (Act("turn right", 0.5, 1.5),)
    poses = torch.tensor([pose_at(acts, k / FPS) for k in range(2 * FPS)])
    clip = acted(picture_CYX[:, None].expand(-1, 2 * FPS, -1, -1), FACE, poses)
    assert clip.shape == (3, 50, 128, 192)
    assert torch.equal(clip[:, 0], picture_CYX) and torch.equal(clip[:, -1], picture_CYX)
    assert not torch.allclose(clip[:, 25], picture_CYX, atol=0.1)
    assert pose_at(acts, 1.0).turn > 0.6 and pose_at(acts, 0.4) == Pose()
    shaken = [pose_at((Act("shake head", 0.0, 2.0),), k / FPS).turn for k in range(50)]
    assert min(shaken) < -0.2 and max(shaken) > 0.2


@settings(max_examples=40)
@given(st.floats(0.5, 1.2), st.floats(0.35, 0.65), st.floats(0.12, 0.22), st.floats(0.14, 0.26))
def test_an_ellipse_of_coverage_is_found_as_the_face_it_is(x: float, y: float, wide: float, high: float) -> None:
    fine_y, fine_x = torch.meshgrid((torch.arange(256) + 0.5) / 256, (torch.arange(448) + 0.5) / 256, indexing="ij")
    inside = (((fine_x - x) / wide) ** 2 + ((fine_y - y) / high) ** 2 <= 1).float()
    (face,) = faces_in(torch.nn.functional.avg_pool2d(inside[None], 8)[0])
    assert face == pytest.approx((x, y, wide, high), abs=0.01)  # a cell is 0.03


def test_two_faces_are_two_and_specks_are_none() -> None:
    cover = torch.zeros(32, 56)
    cover[8:20, 8:16], cover[8:24, 36:48] = 0.9, 0.8
    cover[28, 20:24] = 0.9  # four cells
    large, small = faces_in(cover)
    assert large.x * 32 == pytest.approx(42, abs=0.01) and small.x * 32 == pytest.approx(12, abs=0.01)
    assert faces_in(torch.full((32, 56), 0.3)) == []


@pytest.mark.parametrize("size", [(128, 224), (256, 448), (256, 144)])
def test_pictures_of_any_size_are_looked_at_alike(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    finder = Finder()
    seen: list[Tensor] = []
    finder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    finder.faces(torch.zeros(3, *size))
    assert seen[0].shape == (1, 3, ROWS, round(ROWS * size[1] / size[0]))
    scores = finder(seen[0].clone())
    assert scores.shape == (1, len(KINDS), ROWS // FINE, seen[0].shape[3] // FINE)
    covers = finder.covers(torch.zeros(3, *size))
    assert set(covers) == set(KINDS)
    assert all(c.shape == size and float(c.min()) >= 0 and float(c.max()) <= 1 for c in covers.values())


@dataclass
class Seen:
    """Finds the same faces in anything."""

    found: list[Face]

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        assert picture_CYX.shape[0] == 3
        return self.found

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        return {kind: torch.ones(picture_CYX.shape[1:]) for kind in KINDS}


def engine_with(faces: list[Face] | None) -> Engine:
    parts = replace(random_components("tiny", seed=3, shape=SHAPE, std=0.05), upscaler=None, enlarges_pixels=True)
    moments = from_noise((1.0,) * 48, Continuity((0.5,) * 48, (0.4,) * 48, (3.0,) * 48, (0.8,) * 48))
    finder = None if faces is None else Seen(faces)
    draft = Draft()
    return Engine(
        replace(parts, draft=draft, draft_moments=from_noise((1.0,) * 48), moments={"video": moments}, finder=finder)
    )


NODS = Request("A man at a desk. 1-2 s: he looks up.", size="96x64", seconds=3, seed=5)


def test_the_person_of_a_clip_of_words_acts_at_its_time() -> None:
    motion = engine_with([FACE]).encode(NODS).conditions.motion_BCTYX
    assert motion is not None
    moved_T = motion.square().mean((0, 1, 3, 4))
    assert not moved_T[:7].any()  # up to 0.96 s
    assert float(moved_T[9:12].min()) > 0
    assert float(moved_T[-4:].max()) < 1e-10


@pytest.mark.parametrize("what", ["no finder", "nobody", "two", "edit", "programme", "no gesture"])
def test_elsewhere_nobody_acts(what: str, tmp_path: Path) -> None:
    faces = {"no finder": None, "nobody": [], "two": [FACE, FACE]}.get(what, [FACE])
    request, window = NODS, None
    if what == "edit":
        request = Request("He looks up.", video=movie(tmp_path / "a.mp4"), size="96x64", seconds=3)
    if what == "programme":
        window = Window(0, clock(3), 0)
    if what == "no gesture":
        request = request.replace(prompt="A man at a desk.")
    assert engine_with(faces).encode(request, window).conditions.motion_BCTYX is None


def test_a_shrug_lifts_the_shoulders_and_leaves_the_head() -> None:
    rows, cols = 96, 144
    picture = torch.full((3, rows, cols), -1.0)
    face = Face(0.75, 0.35, 0.1, 0.14)
    top = round((face.y + 2.0 * face.half_height) * rows)  # of the shoulders
    picture[:, top:, :] = 1.0
    head = slice(round((face.y - face.half_height) * rows), round((face.y + 0.5 * face.half_height) * rows))
    picture[:, head, 60:84] = torch.linspace(-0.5, 0.5, 24)
    shrug = pose_at([Act("shrug", 0.0, 2.0)], 1.0)
    assert shrug.lift == LIFT and shrug.tilt > 0
    found = posed(picture, face, Pose(lift=shrug.lift))
    assert torch.allclose(found[:, head], picture[:, head], atol=1e-4)
    risen = {}
    for halves in (0.0, 2.2, -2.2):
        column = found[0, :, round((face.x + halves * face.half_width) * rows)]
        risen[halves] = (top - int((column[head.stop :] > 0).float().argmax()) - head.stop) / rows / face.half_height
    assert risen[0.0] == 0
    assert risen[2.2] == pytest.approx(LIFT, abs=0.08) and risen[-2.2] == pytest.approx(LIFT, abs=0.08)
    assert pose_at([Act("shrug", 0.0, 2.0)], 2.5) == Pose()


@pytest.mark.parametrize(
    "text",
    [
        "He shrugs.",
        "她耸了耸肩",
        "佢縮縮膊頭",
        "彼は肩をすくめる",
        "그는 어깨를 으쓱한다",
        "Sie zuckt mit den Schultern.",
        "Il hausse les épaules.",
    ],
)
def test_a_shrug_is_understood_in_seven_languages(text: str) -> None:
    assert named(text) == ["shrug"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("He nods, looks up, then she tilts her head.", [("nod", "man"), ("look up", "man"), ("tilt head", "woman")]),
        ("He nods. They both lean in.", [("nod", "man"), ("lean in", "")]),
        ("Die Frau nickt.", [("nod", "woman")]),
        ("她点头，男人摇头", [("nod", "woman"), ("shake head", "man")]),
        ("The man nods, and the woman nods.", [("nod", "man"), ("nod", "woman")]),
    ],
)  # fmt: skip
def test_a_gesture_is_of_whom_its_sentence_speaks(text: str, found: list[tuple[str, str]]) -> None:
    assert told(text) == found
