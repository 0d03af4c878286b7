"""An arm goes up, waves and goes down again, in the person's own colours, where there is room for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_engine_recolour import Finder

from muybridge.engine.projector import _cover, _held, play
from muybridge.engine.state import Film
from muybridge.engine.waving import ARM, LARGEST, colours, waved, waves
from muybridge.model.finder import Face
from muybridge.shapes import FPS, PixelSize
from muybridge.speech import acts
from muybridge.speech.acts import Act
from muybridge.world.arm import KINDS, SHAPE

FACE = Face(0.9, 0.45, 0.12, 0.16)
WAVE = [Act("wave", 0.4, 2.4)]
GREY = torch.full((2, 3), 0.5)


def seen(frame: int, face: Face = FACE) -> torch.Tensor:
    """[Y, X]: what a frame shows of the arm over black."""
    waves_2T = waves(WAVE, 75, FPS)
    film = torch.full((3, 1, 128, 224), -1.0)
    return waved(film, waves_2T[:, frame : frame + 1], GREY, face)[:, 0].mean(0) + 1


@pytest.mark.parametrize(
    ("prompt", "does"),
    [
        ("She waves.", True),
        ("A man smiles and waves at the camera.", True),
        ("A woman in a red sweater waves in a park.", True),
        ("[Image 1] waves in a park", True),
        ("2-3 s: the man raises a hand and waves", True),
        ("一个女人挥手", True),
        ("男性が手を振る", True),
        ("여자가 손을 흔들어요", True),
        ("Der Mann winkt.", True),
        ("Elle fait un signe de la main.", True),
        ("Ocean waves roll on a beach.", False),
        ("A beach with rocks and waves in the sun", False),
        ("A woman with long wavy hair", False),
    ],
)
def test_waves_of_a_hand_are_told_from_those_of_the_sea(prompt: str, does: bool) -> None:
    assert ("wave" in acts.named(prompt)) == does


def test_nobody_waves_where_nobody_is_asked_to() -> None:
    assert waves([Act("nod", 0, 1)], 50, FPS).numel() == 0


def test_an_arm_goes_up_and_down_and_to_and_fro() -> None:
    assert float(seen(5).max()) == 0 and float(seen(70).max()) == 0
    assert float(seen(35)[:70].max()) > 0.5  # a hand beside the face
    tips = []
    for frame in range(22, 48):
        shown = seen(frame)[:80] > 0.3
        assert shown.any()
        tips.append(float(np.argwhere(shown.numpy())[:, 1].mean()))
    turns = np.diff(np.sign(np.diff(tips)))
    assert np.ptp(tips) > 8 and np.count_nonzero(turns) >= 2


def test_it_is_on_the_side_with_more_room_and_leaves_the_face_alone() -> None:
    for x, left in ((1.2, True), (0.55, False)):
        shown = seen(35, FACE._replace(x=x))
        sides = shown[:, : round(x * 128)].sum(), shown[:, round(x * 128) :].sum()
        assert (sides[0] > 0) == left and (sides[1] > 0) != left
        assert (
            float(shown[round((0.45 - 0.16) * 128) : round((0.45 + 0.16) * 128), round(x * 128) - 12 :][:, :24].max())
            == 0
        )
    assert float(seen(35, FACE._replace(half_height=LARGEST + 0.01)).max()) == 0


def test_hand_and_sleeve_have_the_colours_of_face_and_clothes() -> None:
    picture = torch.zeros(3, 32, 48)
    picture[0, :12], picture[2, 12:] = 0.8, 0.8  # a red head, blue clothes
    skin, sleeve = colours(Finder(), picture)
    assert skin[0] > 2 * skin[2] and sleeve[2] > 2 * sleeve[0]
    waves_2T = torch.tensor([[1.0], [0.0]])
    shown = waved(torch.full((3, 1, 128, 224), -1.0), waves_2T, torch.stack([skin, sleeve]), FACE)[:, 0] + 1
    hand, elbow = shown[:, 50:70].amax((1, 2)), shown[:, 95:112].amax((1, 2))
    assert hand[0] > hand[2] and elbow[2] > elbow[0]


def test_a_film_of_nothing_else_moves_and_shows_it() -> None:
    film = Film(torch.zeros(3, 128, 224), 75, waves_2T=waves(WAVE, 75, FPS), arm_2C=GREY)
    film = Film(**{**vars(film), "faces_P4": torch.tensor([list(FACE)])})
    assert film.moves and film.at(torch.arange(10)).waves_2T.shape == (2, 10)
    shown = play(film, None, PixelSize(224, 128))
    assert not bool((shown[:, :, 0] != 0).any()) and float(shown[0, :, 35].abs().max()) > 0.2


def test_a_base_has_no_say_where_an_arm_waves() -> None:
    """Of a film of black clothes and skin, too: all of the arm is the film's own, and nothing around it."""
    film = Film(torch.zeros(3, 128, 224), 75, waves_2T=waves(WAVE, 75, FPS), arm_2C=torch.zeros(2, 3))
    film = Film(**{**vars(film), "faces_P4": torch.tensor([list(FACE)])})
    held = _held(film, _cover(film), slice(35, 36), PixelSize(224, 128))[0, 0]
    around = torch.nn.functional.max_pool2d((seen(35) <= 0.3).float()[None], 5, 1, 2)[0]
    shown = around == 0  # without its soft edge
    assert int(shown.sum()) > 100 and float(held[shown].mean()) > 0.95 and float(held[:, 150:].max()) == 0.0


def test_the_kept_arm_is_the_world_s() -> None:
    from safetensors.torch import load_file

    from muybridge.world.arm import arm

    kept = load_file(ARM)["arm"]
    assert kept.shape == (len(KINDS), *SHAPE)
    made = torch.from_numpy(arm())
    assert float((made.float() - kept.float()).abs().mean()) < 3  # another GPU may round edges elsewhere
