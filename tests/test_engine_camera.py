"""Camera moves are found in words, filmed as geometry, and known to the base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_parts import SHAPE, Draft, movie, picture
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from muybridge.engine import Engine, camera, random_components
from muybridge.engine.camera import Views, filmed, views
from muybridge.engine.state import GenerationState
from muybridge.flow.continuity import Continuity
from muybridge.flow.scaling import from_noise
from muybridge.model.tokens import Packed
from muybridge.request import Beat, Request
from muybridge.shapes import FPS, PixelSize, Window, clock
from muybridge.speech.moves import Move, asked, named
from muybridge.world.wording import EXPRESSIONS, GESTURES, MOVES

FRAME = PixelSize(192, 128)
CONTINUITY = Continuity((0.5,) * 48, (0.4,) * 48, (3.0,) * 48, (0.8,) * 48)
SAID = [
    ("镜头向左摇。", "pan left"),
    ("鏡頭慢慢推近。", "push in"),
    ("カメラがゆっくり寄る。", "push in"),
    ("카메라가 천천히 다가간다.", "push in"),
    ("Die Kamera schwenkt langsam nach rechts.", "pan right"),
    ("Die Kamera fährt heran.", "push in"),
    ("La caméra recule.", "pull out"),
    ("Die Kamera fährt sehr langsam heran.", "push in"),
    ("La caméra lentement et sans bruit recule.", "pull out"),
    ("Panoramique vers la droite.", "pan right"),
    ("The camera slowly zooms in on her face.", "push in"),
    ("A woman by the sea. Dolly out.", "pull out"),
    ("The camera is static. She turns to the left.", ""),
    ("The camera pushes in while he looks up.", "push in"),
    ("She looks up and turns to the right.", ""),
    ("He tilts his head down.", ""),
    ("A woman holds a pan. She left.", ""),
]


@pytest.mark.parametrize(("text", "move"), SAID)
def test_moves_are_found_in_seven_languages_and_people_move_no_camera(text: str, move: str) -> None:
    assert named(text) == move


def test_every_wording_of_the_world_is_understood() -> None:
    for move, sentences in MOVES.items():
        for sentence in (*sentences, move if move != "static" else sentences[0]):
            assert named(sentence) == ("" if move == "static" else move), sentence
    for sentence in (text for texts in (*GESTURES.values(), *EXPRESSIONS.values()) for text in texts):
        assert named(f"The woman {sentence.format(poss='her')}.") == ""


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert named(text) in {*MOVES, ""}


def test_a_move_has_the_times_of_its_beat_and_else_the_clip() -> None:
    (whole,) = asked(Request("A man on a beach. The camera pans left.", seconds=5))
    assert (whole.name, whole.start_s, whole.end_s) == ("pan left", pytest.approx(0.2), pytest.approx(4.8))
    timed = asked(Request("A man. 1.0-2.0 s: the camera pans left. 2.5-4.0 s: the camera pushes in.", seconds=5))
    assert timed == (Move("pan left", 1.0, 2.0), Move("push in", 2.5, 4.0))
    assert asked(Request("A man.", seconds=5, beats=(Beat("Zoom out.", 1, 2),))) == (Move("pull out", 1, 2),)
    assert asked(Request('A man says: "The camera pans left."', seconds=5)) == ()


def still(count: int = 1) -> Views:
    nothing, ones = np.zeros(count), np.ones(count)
    return Views(nothing, nothing, ones, nothing, nothing)


def test_a_camera_that_stands_sees_the_picture_itself() -> None:
    picture_CYX = torch.rand(3, 128, 192, generator=torch.Generator().manual_seed(1)) * 2 - 1
    seen = filmed(picture_CYX[:, None], still(2), FRAME)
    assert seen.shape == (1, 3, 2, 128, 192)
    assert torch.allclose(seen[0], picture_CYX[:, None].expand(-1, 2, -1, -1), atol=1e-4)


def slope(x: float = 0, y: float = 0) -> Callable[[int, int], Tensor]:
    """A picture whose colour is its place, in frames from the middle."""

    def at(rows: int, cols: int) -> Tensor:
        across = ((torch.arange(cols) + 0.5) / FRAME.width - cols / FRAME.width / 2)[None, :]
        down = ((torch.arange(rows) + 0.5) / FRAME.height - rows / FRAME.height / 2)[:, None]
        return (x * across + y * down).expand(rows, cols)[None] * 0.5

    return at


@pytest.mark.parametrize(
    ("name", "x", "y"), [("pan left", -1, 0), ("pan right", 1, 0), ("tilt up", 0, -1), ("tilt down", 0, 1)]
)
def test_a_pan_goes_as_far_as_it_should_and_sees_no_edge(name: str, x: int, y: int) -> None:
    seen = views((Move(name, 0.0, 2.0),), 2 * FPS + 1, 0, is_given=False)
    size = camera.canvas(seen, FRAME)
    assert size.width % 32 == size.height % 32 == 0
    assert (size.width > FRAME.width) == bool(x) and (size.height > FRAME.height) == bool(y)
    clip = filmed(slope(abs(x), abs(y))(size.height, size.width)[:, None], seen, FRAME)[0, 0] / 0.5
    middle = clip[:, 63:65, 95:97].mean((1, 2))
    far = camera.PAN if x else camera.TILT
    assert float(middle[-1] - middle[0]) == pytest.approx((x + y) * far, abs=0.01)
    assert float(middle[0] + middle[-1]) == pytest.approx(0, abs=0.01)  # the drawn picture is the middle of the way


def test_a_push_makes_things_larger_and_a_pull_is_it_backwards() -> None:
    push, pull = (views((Move(n, 0, 2),), 51, 0, False) for n in ("push in", "pull out"))
    assert push.size_T[0] == 1 and push.size_T[-1] == pytest.approx(np.exp(-camera.NEARER))
    assert np.allclose(push.size_T, pull.size_T[::-1])
    assert camera.canvas(push, FRAME) == camera.canvas(pull, FRAME) == FRAME
    clip = filmed(slope(1)(128, 192)[:, None], push, FRAME)[0, 0] / 0.5
    assert float(clip[-1, 64, -1] - clip[-1, 64, 0]) == pytest.approx(np.exp(-camera.NEARER) * 191 / 192, abs=0.01)


@given(st.lists(st.sampled_from([name for name in MOVES if name != "static"]), min_size=1, max_size=3), st.booleans())
def test_a_given_picture_comes_first_and_a_drawn_one_is_never_left(names: list[str], is_given: bool) -> None:
    seen = views([Move(name, k, k + 1.5) for k, name in enumerate(names)], 101, 3, is_given)
    if is_given:
        assert [float(v[0]) for v in seen] == pytest.approx([0, 0, 1, 0, 0], abs=1e-9)
        return
    size = camera.canvas(seen, FRAME)
    assert seen.size_T.max() <= 1 + 1e-9
    for middle in (seen.x_T, seen.x_T + seen.orbit_T):  # of what is near, and of what is far
        assert (np.abs(middle) + seen.size_T / 2).max() <= size.width / FRAME.width / 2 + 4 / FRAME.width
    assert size.width < 2.6 * FRAME.width and size.height < 2 * FRAME.height


def test_around_somebody_the_place_passes_far_and_goes_on_as_its_mirror_image() -> None:
    """A slope stands for the place, a bright block for who is in front: it stays, and is nowhere else."""
    seen = views((Move("orbit right", 0.0, 2.0),), 51, 0, is_given=False)
    size = camera.canvas(seen, FRAME)
    near = torch.zeros(size.height, size.width)
    near[40:, size.width // 2 - 20 : size.width // 2 + 20] = 1.0
    place = slope(1)(size.height, size.width).expand(3, -1, -1)
    picture = torch.lerp(place, torch.ones(3, 1, 1), near)
    clip = filmed(picture[:, None], seen, FRAME, near, place[:, None])[0]
    left, right = FRAME.width // 2 - 12, FRAME.width // 2 + 12
    assert float(clip[:, :, 60:, left:right].min()) > 0.95  # who is near is there in every frame
    assert float(clip[:, :, 60:, : left - 24].max()) < 0.6 and float(clip[:, :, 60:, right + 24 :].max()) < 0.6
    half = size.width / FRAME.width / 2
    for frame in (0, 12, 25, 40, 50):
        for col in (5, 60, 130, 186):
            at = (col + 0.5) / FRAME.width - 0.5 + camera.ROUND * seen.orbit_T[frame]
            at = 2 * half - at if at > half else -2 * half - at if at < -half else at  # its mirror image
            if abs(abs(at) - half) > 0.02:
                assert float(clip[0, frame, 5, col]) == pytest.approx(at * 0.5, abs=0.01), (frame, col)
    assert abs(camera.ROUND * seen.orbit_T[0]) > 0.3


def test_a_network_that_says_nothing_shows_the_film() -> None:
    """The guess over time of what stands still, with the known motion put back, is the first picture in motion."""
    parts = replace(random_components("tiny", seed=3, shape=SHAPE), upscaler=None, enlarges_pixels=True)
    lasting = Continuity((0.995,) * 48, (0.0,) * 48, (1.0,) * 48, (0.0,) * 48)
    moments = {"video": from_noise((1.0,) * 48, lasting), "audio": from_noise((1.0,) * 64)}

    def silent(packed: Packed) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(packed.video_NC), torch.zeros_like(packed.audio_NC)

    engine = Engine(replace(parts, base=silent, draft=Draft(), draft_moments=from_noise((1.0,) * 48), moments=moments))
    state = engine.encode(PAN)
    motion = state.conditions.motion_BCTYX
    assert motion is not None
    made = engine.denoise(state).latents["video"]
    wanted = made[:, :, :1] + motion
    assert float((made - wanted).square().mean() / motion.square().mean()) < 0.05


def engine_with(draft: Draft | None) -> Engine:
    parts = replace(random_components("tiny", seed=3, shape=SHAPE, std=0.05), upscaler=None, enlarges_pixels=True)
    moments = from_noise((1.0,) * 48, CONTINUITY)
    return Engine(replace(parts, draft=draft, draft_moments=from_noise((1.0,) * 48), moments={"video": moments}))


PAN = Request("A woman by the sea. The camera pans left.", size="96x64", seconds=3, seed=5)


def test_a_clip_of_words_begins_with_what_the_camera_sees_first() -> None:
    draft = Draft()
    state = engine_with(draft).encode(PAN)
    known = state.conditions
    assert {packed.layout.counts[0][0] for packed in draft.seen} == {2 * 4}  # drawn a token wider than the clip
    assert known.motion_BCTYX is not None and known.motion_BCTYX.shape == state.latents["video"].shape
    assert not known.motion_BCTYX[:, :, 0].any()
    assert float(known.motion_BCTYX[:, :, -1].square().mean()) > 1e-3
    assert torch.equal(state.latents["video"][:, :, :1], known.frames[0])
    kept = GenerationState.from_bytes(state.to_bytes()).conditions.motion_BCTYX
    assert kept is not None and torch.equal(kept, known.motion_BCTYX)


def test_a_given_picture_is_filmed_as_it_is(tmp_path: Path) -> None:
    state = engine_with(None).encode(PAN.replace(image=picture(tmp_path / "a.png")))
    bare = engine_with(None).encode(PAN.replace(image=tmp_path / "a.png", prompt="A woman by the sea."))
    assert torch.equal(state.conditions.frames[0], bare.conditions.frames[0])
    assert state.conditions.motion_BCTYX is not None and bare.conditions.motion_BCTYX is None


@pytest.mark.parametrize("what", ["last_image", "video", "programme", "still"])
def test_elsewhere_no_camera_moves(what: str, tmp_path: Path) -> None:
    request, window = PAN, None
    if what == "last_image":
        request = request.replace(last_image=picture(tmp_path / "a.png"))
    if what == "video":
        request = Request("The camera pans left.", video=movie(tmp_path / "a.mp4"), size="96x64", seconds=3)
    if what == "programme":
        window = Window(0, clock(3), 0)
    if what == "still":
        request = request.replace(prompt="A woman by the sea. A locked-off shot.")
    assert engine_with(Draft()).encode(request, window).conditions.motion_BCTYX is None
