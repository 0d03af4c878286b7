"""An edit that names what it is about changes that alone; moods and new words are drawn on the source's face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_parts import SHAPE, Draft
from numpy.typing import NDArray
from programme_parts import Phones
from torch import Tensor

from muybridge import media
from muybridge.engine import Components, Engine, pipeline, random_components
from muybridge.engine.left_alone import asked, only_changes
from muybridge.engine.recolour import relit
from muybridge.engine.source_faces import steadied
from muybridge.engine.state import GenerationState
from muybridge.flow.scaling import from_noise
from muybridge.model.finder import Face
from muybridge.request import Request
from muybridge.world.anatomy import UNIT_INDEX

SIZE = (128, 256)
FACE = Face(1.0, 0.4, 0.12, 0.16)
HEAD, BODY = (slice(24, 80), slice(104, 152)), (slice(80, 128), slice(72, 184))
FACE_BOX = (slice(32, 72), slice(112, 144))


class Finder:
    """One person in the middle of any picture."""

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        assert picture_CYX.shape[0] == 3
        return [FACE]

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        empty = torch.zeros(SIZE)
        face, head, person = empty.clone(), empty.clone(), empty.clone()
        face[FACE_BOX], head[HEAD], person[HEAD], person[BODY] = 1.0, 1.0, 1.0, 1.0
        found = {"face": face, "head": head, "person": person, "thing": empty, "hair": head - face}
        shape = picture_CYX.shape[1:]
        return {kind: torch.nn.functional.interpolate(x[None, None], shape)[0, 0] for kind, x in found.items()}


class Brighter:
    """Draws every face brighter by its jaw's opening and its smile."""

    def __call__(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        light_B = told_BK[:, UNIT_INDEX["jawOpen"]] + told_BK[:, UNIT_INDEX["mouthSmileLeft"]]
        return faces_BCYX + light_B.reshape(-1, 1, 1, 1)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    still = np.kron(rng.integers(40, 160, (8, 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    media.write_clip(tmp_path / "a.mp4", np.repeat(still[None], 77, 0), None, poster=False)
    return tmp_path / "a.mp4"


def parts(painter: Brighter | None = None) -> Components:
    made = replace(random_components("tiny", seed=3, shape=SHAPE, std=0.05), phoneme_encoder=Phones())
    return replace(made, upscaler=None, enlarges_pixels=True, finder=Finder(), face_painter=painter)


def changed(prompt: str, clip: Path, painter: Brighter | None = None) -> NDArray[np.bool_]:
    """[T, Y, X]: which pixels a base that changes everything is let change."""
    made = parts(painter)
    state = Engine(made).encode(Request(prompt, video=clip, size="256x128", seconds=3.0))
    source = state.conditions.source_BCTYX
    assert source is not None
    state = replace(state, latents={**state.latents, "video": source + 2.0})
    state = GenerationState.from_bytes(pipeline.upscale(made, state).to_bytes())
    frames = pipeline.decode(made, state).frames_TYXC
    true = media.read_clip(clip)[0][: len(frames)]
    return np.asarray(np.abs(frames[: len(true)].astype(int) - true).max(-1) > 4)


def inside(boxes: list[tuple[slice, slice]], margin: int) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE, bool)
    for rows, cols in boxes:
        mask[max(rows.start - margin, 0) : rows.stop + margin, cols.start - margin : cols.stop + margin] = True
    return mask


def test_hair_is_changed_around_the_face_and_nowhere_else(clip: Path) -> None:
    found = changed("Make the hair curly.", clip)[1:]
    assert not found[:, ~inside([HEAD], 8)].any() and not found[:, 36:68, 116:140].any()
    assert found[:, 26:30, 108:148].mean() > 0.8


def test_clothes_are_changed_below_the_head(clip: Path) -> None:
    found = changed("Replace the sweater with a suit.", clip)[1:]
    assert not found[:, ~inside([BODY], 4)].any() and not found[:, HEAD[0], HEAD[1]][:, :48].any()
    assert found[:, 90:120, 80:176].mean() > 0.8


def test_another_colour_is_dyed_and_the_base_has_no_say(clip: Path) -> None:
    found = changed("Make the hair red and the sweater green.", clip)
    assert not found[:, ~inside([HEAD, BODY], 2)].any() and not found[:, 36:68, 116:140].any()
    assert found[:, 26:30, 108:148].mean() > 0.8 and found[:, 90:120, 80:176].mean() > 0.8


def test_a_place_is_changed_around_a_person_who_stays(clip: Path) -> None:
    found = changed("Replace the background with a beach.", clip)[1:]
    assert not found[:, inside([HEAD, BODY], -1)].any()
    assert found[:, :, :60].mean() > 0.8


def test_an_instruction_about_anything_may_change_all(clip: Path) -> None:
    assert changed("Add fog.", clip)[1:].mean() > 0.8


def test_snow_falls_over_the_source_s_own_frames(clip: Path) -> None:
    found = changed("Let it snow.", clip)
    assert 0.005 < found.mean() < 0.2
    assert (found[30] & ~found[24]).any() and not changed("Remove the snow.", clip)[1:].mean() < 0.8


def test_a_mood_is_drawn_on_the_face_of_the_source(clip: Path) -> None:
    found = changed("Make the person look happy.", clip, Brighter())
    assert found[10:70, 46:58, 122:134].mean() > 0.9
    assert not found[:, :, :60].any() and not found[:, 110:].any()


def test_glasses_are_put_on_the_face_of_the_source(clip: Path) -> None:
    class Winks(Brighter):
        """Its eyes, of which two rows are white, go when they shut."""

        def __call__(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
            eyes = torch.zeros_like(faces_BCYX)
            eyes[:, :, 36:44, 30:36] = eyes[:, :, 36:44, 60:66] = 1.0
            return faces_BCYX + eyes * (1 - told_BK[:, UNIT_INDEX["eyeBlinkLeft"]]).reshape(-1, 1, 1, 1)

    found = changed("Put glasses on the person.", clip, Winks())
    assert found[:, 40:55, 112:144].any(axis=(1, 2)).all()
    assert not found[:, :, :90].any() and not found[:, 70:].any() and not found[:, :24].any()
    assert changed("Put sunglasses on her.", clip, Winks()).sum() > 1.5 * found.sum()


def test_new_words_are_drawn_on_the_face_while_they_are_said(clip: Path) -> None:
    found = changed('Dialogue: <person, English>: "Papa, mama."', clip, Brighter())
    spoken = found[:, 60:68, 122:134].mean((1, 2))
    assert spoken.max() > 0.9 and spoken[-10:].max() == 0
    assert not found[:, :, :60].any() and not found[:, :46].any()  # nor are the eyes


def test_who_draws_no_faces_is_about_anything(clip: Path) -> None:
    for prompt, about in (("Make the person look happy.", set()), ("Make the hair red.", {"hair"})):
        state = Engine(parts()).encode(Request(prompt, video=clip, size="256x128", seconds=3.0))
        assert asked(parts(), state) == about
        assert asked(replace(parts(), finder=None), state) == set()


def test_a_drawn_edit_is_all_of_what_it_may_change() -> None:
    source = torch.randn(1, 4, 1, 8, 16)
    made = source + 0.1  # less than a drawn edit is soft
    may = torch.zeros(SIZE)
    may[:, :128] = 1.0
    found = only_changes(made, source, may)
    assert torch.equal(found[..., 8:], source[..., 8:]) and torch.allclose(found[..., :8], made[..., :8])


def test_a_face_is_where_it_is_around_a_frame() -> None:
    shaken = [Face(0.5 + 0.01 * (-1) ** k, 0.5, 0.1, 0.2) for k in range(20)]
    held = steadied([*shaken[:10], None, *shaken[10:]])
    assert held[10] is None
    xs = [face.x for face in held if face is not None]
    assert np.abs(np.diff(xs[2:8])).max() < 0.005


def test_another_light_falls_on_the_source_s_own_frames(clip: Path) -> None:
    made = replace(parts(), draft=Draft(), draft_moments=from_noise((1.0,) * 48))
    state = Engine(made).encode(Request("Make it night instead.", video=clip, size="256x128", seconds=3.0))
    gained, source = state.conditions.gains_CYX, state.conditions.source_BCTYX
    place = state.conditions.place_2CYX
    assert gained is not None and source is not None and place is not None
    assert torch.equal(state.conditions.frames[0], source[:, :, :1])
    state = replace(state, latents={**state.latents, "video": source + 2.0})
    state = GenerationState.from_bytes(pipeline.upscale(made, state).to_bytes())
    frames = pipeline.decode(made, state).frames_TYXC
    true = torch.from_numpy(media.read_clip(clip)[0][5]).permute(2, 0, 1).float() / 255
    person = Finder().covers(2 * true - 1)["person"]
    wanted = (255 * relit(true, gained, place, person)).round().permute(1, 2, 0).numpy()
    assert np.abs(frames[5].astype(int) - wanted).max() <= 1


class Bald(Finder):
    """Finds neither hair nor a face."""

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        assert picture_CYX.shape[0] == 3
        return []

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        found = super().covers(picture_CYX)
        return found | {"hair": torch.zeros_like(found["hair"])}


@pytest.mark.parametrize(
    ("prompt", "missing"),
    [
        ("Make her hair red.", "No hair found"),
        ("Make her smile.", "No face found"),
        ("Make her sweater red.", ""),
        ("Make it night.", ""),
    ],
)
def test_a_part_that_nobody_finds_is_said_and_the_edit_is_drawn(
    prompt: str, missing: str, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = replace(parts(Brighter()), finder=Bald())
    state = Engine(made).encode(Request(prompt, video=clip, size="256x128", seconds=3.0))
    assert (missing in caplog.text) if missing else not caplog.text
    assert bool(asked(made, state)) != bool(missing)
    again = GenerationState.from_bytes(state.to_bytes())
    assert again.conditions.is_anything == bool(missing) and asked(made, again) == asked(made, state)
