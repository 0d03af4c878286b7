"""What is known of a clip from its first picture: the film of it, its motion, and the detail of the large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_parts import SHAPE, Draft, picture
from numpy.typing import NDArray
from torch import Tensor

from muybridge import media
from muybridge.engine import Engine, pipeline, pixels, programme, random_components, sharpen
from muybridge.engine.anchor import Anchor, anchored
from muybridge.engine.conditions import Said, frames_to_tensor
from muybridge.engine.draft import goes_on
from muybridge.engine.faces import ovals
from muybridge.engine.film import phones_of
from muybridge.engine.first import lender, side_by_side, whose
from muybridge.engine.meter import a_part
from muybridge.engine.projector import Drawn, _cover, _shown, composed, in_tone, latent_of, play, size_of
from muybridge.engine.state import Conditions, Film, GenerationState
from muybridge.engine.wishes import Wishes, course_of
from muybridge.flow.continuity import Continuity
from muybridge.flow.scaling import from_noise
from muybridge.model.finder import KINDS, Face
from muybridge.model.picture_painter import WAVES, guess, open_, told
from muybridge.request import Beat, Reference, Request
from muybridge.shapes import Window, clock
from muybridge.speech.durations import Phone
from muybridge.speech.pacing import Plan, plan_request
from muybridge.speech.sounds import Sound
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

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        return {kind: torch.ones(picture_CYX.shape[1:]) for kind in KINDS}


class Brighter:
    """Draws every face brighter by its jaw's opening."""

    def __call__(self, faces_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        return faces_BCYX + told_BK[:, JAW].reshape(-1, 1, 1, 1)


class Lighter:
    """Answers that every picture is meant to be lighter."""

    def __call__(self, noisy_BCYX: Tensor, drawn_BCYX: Tensor, told_BK: Tensor) -> Tensor:
        sigma = next(
            s
            for first, steps in ((1.0, sharpen.STEPS), (sharpen.AGAIN_FROM, sharpen.AGAIN_STEPS))
            for s in torch.linspace(first, 0, steps + 1)
            if torch.equal(told(told_BK[:, : -2 * WAVES], s[None]), told_BK)
        )
        return (drawn_BCYX + 0.1 - guess(noisy_BCYX, drawn_BCYX, sigma)) / open_(sigma)


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
            finder=Finder(faces),
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


def test_a_face_in_the_clothes_of_a_drawn_person_is_nobody_s() -> None:
    one, other = Face(0.5, 0.3, 0.1, 0.13), Face(1.2, 0.36, 0.08, 0.11)
    chest, speck = Face(0.6, 0.85, 0.06, 0.08), Face(1.0, 0.3, 0.03, 0.04)
    assert side_by_side([one, other]) == [one, other]
    assert side_by_side([one, chest, other, speck]) == [one, other]
    assert side_by_side([]) == []
    (short,) = side_by_side([Face(0.5, 0.4, 0.1, 0.3)])
    assert short.half_height == pytest.approx(0.16) and short.y - short.half_height == pytest.approx(0.1)


def film_in(state: GenerationState) -> tuple[Film, Tensor]:
    known = state.conditions
    assert known.film is not None and known.film_BCTYX is not None
    return known.film, known.film_BCTYX


def test_a_base_that_makes_its_film_is_delivered_as_the_large_film(tmp_path: Path) -> None:
    engine = engine_with(painter=Brighter())
    given = TALK.replace(image=picture(tmp_path / "a.png", width=448, height=256))
    state = engine.encode(given, plan=said(TALK))
    film, shown = film_in(state)
    assert film.moves and state.conditions.has_lips
    done = engine.upscale(replace(state, latents={**state.latents, "video": shown}))
    assert done.stage == "upscaler" and done.step == engine.num_steps(done)
    done = engine.upscale(done)
    assert done.stage == "done"
    frames = engine.decode(done).frames_TYXC
    wanted = pixels.to_uint8(play(film, engine.parts.face_painter, pipeline.PixelSize(448, 256))[0, :, :75])
    apart = np.abs(frames.astype(int) - wanted)
    assert frames.shape == wanted.shape and apart[0].max() == 0 and apart.max() <= 1
    assert np.abs(wanted[0].astype(int) - wanted.astype(int)).max() > 5  # somebody speaks


def test_where_a_base_made_something_else_no_detail_is_added(tmp_path: Path) -> None:
    engine = engine_with()
    request = TALK.replace(prompt="A woman at a desk.", image=picture(tmp_path / "a.png", width=448, height=256))
    state = engine.encode(request)
    film, shown = film_in(state)
    assert not film.moves
    other = shown.clone()
    other[..., :4] = -3 * other[..., :4]
    state = engine.upscale(engine.upscale(replace(state, latents={**state.latents, "video": other})))
    made = engine.decode(state).frames_TYXC.astype(int)
    toned = in_tone(other, shown)
    bare = pixels.enlarge(
        pixels.decode_frames(engine.parts.video_codec, toned, pipeline.PixelSize(224, 128), 75),
        pipeline.PixelSize(448, 256),
    )
    apart_X = np.abs(made - bare)[1:].mean((0, 1, 3))
    assert apart_X[:96].max() < 0.2 * apart_X[192:].max()


def test_pale_guesses_get_the_film_s_contrast_back_and_no_more() -> None:
    film_BCTYX = torch.randn(1, 4, 6, 3, 5) * torch.tensor([0.5, 1, 2, 3]).reshape(1, 4, 1, 1, 1) + 1
    pale = 0.75 * (film_BCTYX - 1) + 0.6
    assert torch.allclose(in_tone(film_BCTYX, film_BCTYX), film_BCTYX, atol=1e-5)
    assert torch.allclose(in_tone(pale, film_BCTYX), film_BCTYX, atol=1e-4)
    grey = in_tone(0.01 * film_BCTYX, film_BCTYX)
    assert torch.allclose(grey.std((2, 3, 4)), 0.015 * film_BCTYX.std((2, 3, 4)), rtol=0.01)


def test_a_frame_has_the_share_of_the_latent_that_holds_it() -> None:
    assert [latent_of(frame, 4) for frame in (0, 1, 4, 5, 8, 9)] == [0, 1, 1, 2, 2, 3]


def test_a_drawn_face_is_drawn_anew_and_the_picture_sharpened() -> None:
    engine, plan = engine_with(painter=Brighter()), said(TALK)
    state = engine.encode(TALK, plan=plan)
    film, _ = film_in(state)
    assert film.is_blank and film.picture_CYX.shape == (3, 256, 448) and film.units_PTU.shape == (1, 77, 52)
    assert state.conditions.motion_BCTYX is not None and not state.conditions.large_frames
    kept = GenerationState.from_bytes(state.to_bytes()).conditions.film
    assert kept is not None and kept.is_blank and kept.num_frames == 77
    assert all(
        torch.equal(getattr(kept, name), getattr(film, name)) for name in ("picture_CYX", "units_PTU", "faces_P4")
    )
    bare = engine_with(faces=()).encode(TALK, plan=plan).conditions
    assert bare.film is None and bare.motion_BCTYX is None


@pytest.mark.parametrize("size", ["352x352", "288x384", "576x768", "256x448", "448x256", "224x128"])
def test_a_drawn_picture_fills_frames_of_every_shape(size: str) -> None:
    request = TALK.replace(size=size)
    engine = engine_with(painter=Brighter())
    film, _ = film_in(engine.encode(request, plan=said(request)))
    small = pipeline.stages_of(engine.parts, request)[0].size
    rows, cols = film.picture_CYX.shape[1:]
    assert rows >= request.pixel_size.height and cols >= request.pixel_size.width
    assert rows * small.width == cols * small.height  # nobody is stretched


@pytest.mark.parametrize("has_upscaler", [True, False])
def test_a_clip_of_the_base_s_size_is_its_small_film(has_upscaler: bool, tmp_path: Path) -> None:
    request = TALK.replace(prompt="A desk.", image=picture(tmp_path / "a.png", width=224, height=128), size="224x128")
    engine = engine_with(has_upscaler=has_upscaler)
    state = engine.encode(request)
    film, shown = film_in(state)
    assert film.picture_CYX.shape == (3, 128, 224) and set(state.conditions.frames) == {0}
    done = engine.upscale(replace(state, latents={**state.latents, "video": shown}))
    assert done.stage == "done"
    frames = engine.decode(done).frames_TYXC
    assert np.abs(frames.astype(int) - pixels.to_uint8(film.picture_CYX[:, None])).max() <= 1


def test_of_two_people_the_one_who_speaks_moves() -> None:
    phones = (Phone("a", 0.5, 1.0),)
    lines = [Said(phones, "en", "neutral", "The woman on the right"), Said((), "en", "neutral", "The man on the left")]
    assert phones_of(lines, "", 2) == [[], list(phones)]
    assert phones_of(lines, "", 1) == [list(phones)]
    assert whose(engine_with(faces=(RIGHT, LEFT)).parts, torch.zeros(3, 8, 8)) == [LEFT, RIGHT]
    assert whose(engine_with(faces=(LEFT, RIGHT, LEFT)).parts, torch.zeros(3, 8, 8)) == []


def test_of_a_drawn_picture_a_third_face_that_clothes_show_is_nobody_s() -> None:
    collar = Face(0.5, LEFT.y + 4 * LEFT.half_height, LEFT.half_width, LEFT.half_height)
    parts = engine_with(faces=(LEFT, RIGHT, collar)).parts
    assert whose(parts, torch.zeros(3, 8, 8)) == []
    assert [face.x for face in whose(parts, torch.zeros(3, 8, 8), was_drawn=True)] == [LEFT.x, RIGHT.x]


def test_a_window_that_goes_on_speaks_from_where_it_is() -> None:
    engine, plan = engine_with(painter=Brighter(), has_upscaler=False), said(TALK)
    request = TALK.replace(size="224x128")
    state = engine.encode(request, Window(10, clock(3), 2), plan)
    assert not state.conditions.frames and state.conditions.motion_BCTYX is None
    begun = {k: torch.randn(1, 48, 1, 8, 14) for k in range(3)}
    state = replace(state, conditions=replace(state.conditions, frames=begun))
    known: Conditions = goes_on(engine.parts, state, plan, None).conditions
    assert known.motion_BCTYX is not None and not known.motion_BCTYX[:, :, 0].any()
    assert all(torch.equal(known.frames[k], begun[k]) for k in begun)
    silent = goes_on(engine.parts, state, None, None).conditions
    assert silent.motion_BCTYX is None and not silent.has_lips
    nobody = engine_with(faces=(), painter=Brighter(), has_upscaler=False)
    assert goes_on(nobody.parts, state, plan, None).conditions is state.conditions


def test_a_window_is_filmed_from_the_picture_of_the_one_before() -> None:
    engine, plan = engine_with(painter=Brighter()), said(TALK)
    before = engine.encode(TALK, plan=plan).conditions.film
    state = engine.encode(TALK, Window(10, clock(3), 2), plan)
    begun = {k: torch.randn(1, 48, 1, 8, 14) for k in range(3)}
    state = replace(state, conditions=replace(state.conditions, frames=begun))
    now = goes_on(engine.parts, state, plan, before)
    film, shown = film_in(now)
    assert before is not None and torch.equal(film.picture_CYX, before.picture_CYX)
    painted = replace(before, picture_CYX=2 * torch.rand(3, 256, 448) - 1)  # the base sees nothing of it
    gone_on = goes_on(engine.parts, state, plan, painted)
    again, base = film_in(gone_on)
    assert torch.equal(base, shown) and torch.equal(gone_on.conditions.frames[0], shown[:, :, :1])
    assert torch.equal(gone_on.conditions.frames[1], begun[1])
    assert torch.equal(again.picture_CYX, painted.picture_CYX)
    assert torch.equal(film.units_PTU[..., JAW], before.units_PTU[..., JAW]) and now.conditions.has_lips
    assert (
        shown.shape == now.latents["video"].shape and not goes_on(engine.parts, state, None, before).conditions.has_lips
    )


def test_known_latents_are_stilled_by_all_of_their_motion() -> None:
    still, motion = torch.randn(1, 4, 1, 2, 2).expand(-1, -1, 5, -1, -1), torch.randn(1, 4, 5, 2, 2)
    noise = torch.randn(1, 4, 5, 2, 2)
    clip, sigma = still + motion, 0.6
    x = (1 - sigma) * clip + sigma * noise
    x[:, :, :2] = clip[:, :, :2]
    found = pipeline._stilled(x, motion, sigma, {0: clip[:, :, :1], 1: clip[:, :, 1:2]})
    assert torch.allclose(found[:, :, :2], still[:, :, :2], atol=1e-6)
    assert torch.allclose(found[:, :, 2:], ((1 - sigma) * still + sigma * noise)[:, :, 2:], atol=1e-6)


def test_a_part_of_a_film_is_put_together_for_the_clock() -> None:
    state = engine_with(painter=Brighter()).encode(
        TALK.replace(prompt=TALK.prompt + " The camera pans left."), plan=said(TALK)
    )
    part = a_part(state, 3)
    film, shown = film_in(part)
    assert film.num_frames == 9 and film.units_PTU.shape[1] == 9 and film.views_5T.shape == (5, 9)
    assert shown.shape[2] == part.latents["video"].shape[2] == 3
    engine = engine_with(painter=Brighter())
    assert composed(engine.parts, part).shape == (9, 256, 448, 3)


def test_a_given_picture_is_delivered_larger_than_anything_is_made(tmp_path: Path) -> None:
    engine = engine_with(painter=Brighter())
    path = picture(tmp_path / "a.png", width=896, height=512)
    talk = TALK.replace(image=path, size="896x512")
    assert size_of(engine.parts, talk) == (896, 512) and size_of(engine.parts, TALK) == (448, 256)
    assert size_of(engine.parts, talk.replace(size="1280x720")) == (1280, 731)  # cut to 720
    state = engine.encode(talk, plan=said(TALK))
    film, shown = film_in(state)
    own = frames_to_tensor(media.read_image(path)[None])[0, :, 0]
    assert torch.equal(film.picture_CYX, own)
    made = replace(state, latents={**state.latents, "video": shown})
    frames = engine.decode(engine.upscale(engine.upscale(made))).frames_TYXC
    assert frames.shape == (75, 512, 896, 3)
    assert np.abs(frames[0].astype(int) - media.read_image(path)).max() <= 1
    apart = np.abs(frames.astype(int) - frames[0]).max((1, 2, 3))
    assert apart.max() > 5  # somebody speaks
    cut = engine.decode(engine.upscale(engine.upscale(replace(made, request=talk.replace(size="896x500")))))
    assert np.array_equal(cut.frames_TYXC, frames[:, 6:-6])


def test_a_drawn_picture_is_doubled_again_where_more_is_delivered() -> None:
    plan = said(TALK)
    engine = Engine(replace(engine_with(painter=Brighter()).parts, picture_painter=Lighter()))
    sizes = {}
    for size in ("448x256", "512x288", "896x512"):
        film, _ = film_in(engine.encode(TALK.replace(size=size), plan=plan))
        sizes[size] = film.picture_CYX
        assert f"{film.picture_CYX.shape[2]}x{film.picture_CYX.shape[1]}" in (size, "512x293")
    soft = torch.nn.functional.interpolate(sizes["448x256"][None], (512, 896), mode="bicubic")[0].clamp(-1, 1)
    x, y = int(LEFT.x * 512), int(LEFT.y * 512)
    face = slice(None), slice(y - 8, y + 8), slice(x - 8, x + 8)
    apart = sizes["896x512"] - soft
    assert float(apart[face].abs().max()) < 1e-5, "a face that is drawn later was painted"
    assert 0.05 < float(apart.mean()) < 0.11, "it was not painted once more"


@pytest.mark.parametrize("size", ["448x256", "640x360"])
def test_the_first_second_of_a_programme_does_not_wait_for_its_first_window(
    size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sink:
        def __init__(self) -> None:
            self.frames: list[NDArray[np.uint8]] = []
            self.sounds: list[NDArray[np.float32]] = []

        def add(self, frames_TYXC: NDArray[np.uint8], waveform_CS: NDArray[np.float32] | None = None) -> None:
            assert waveform_CS is not None
            self.frames.append(frames_TYXC)
            self.sounds.append(waveform_CS)

    request = TALK.replace(prompt="A woman at a desk.", num_inference_steps=1, size=size)
    plan = replace(said(TALK), seconds=8.0)
    early, late = Sink(), Sink()
    programme.generate_programme(engine_with(painter=Brighter()), request, 8.0, early, plan=plan)
    monkeypatch.setattr(programme._Early, "see", lambda *_: None)
    programme.generate_programme(engine_with(painter=Brighter()), request, 8.0, late, plan=plan)
    assert len(early.frames[0]) == 25 < len(late.frames[0]) and len(early.frames) == len(late.frames) + 1
    assert early.sounds[0].shape[1] == 24_000
    assert {f"{x.shape[2]}x{x.shape[1]}" for x in early.frames} == {size}
    for one, other in ((early.frames, late.frames), (early.sounds, late.sounds)):
        axis = 0 if one is early.frames else 1
        assert np.array_equal(np.concatenate(one, axis), np.concatenate(other, axis))


def test_a_head_that_moves_is_the_film_s_wherever_it_is(tmp_path: Path) -> None:
    engine = engine_with(painter=Brighter())
    wide = picture(tmp_path / "a.png", width=448, height=256)
    request = TALK.replace(image=wide, prompt=TALK.prompt + " She nods.")
    state = engine.encode(request, plan=said(request))
    film, shown = film_in(state)
    assert film.poses_PT5.numel() and film.units_PTU.numel()
    done = engine.upscale(engine.upscale(replace(state, latents={**state.latents, "video": shown})))
    frames = engine.decode(done).frames_TYXC  # 75 of them: the last are fewer than those that are put together
    wanted = pixels.to_uint8(play(film, engine.parts.face_painter, pipeline.PixelSize(448, 256))[0, :, :75])
    apart = np.abs(frames.astype(int) - wanted)
    assert frames.shape == wanted.shape and apart.max() <= 1
    # A base that makes something else changes no face, wherever its head has moved to.
    other = engine.decode(replace(done, latents={**done.latents, "video": shown.flip(4)})).frames_TYXC
    cover = _shown(_cover(film), Drawn(), slice(0, 75), pipeline.PixelSize(448, 256))[0, 0].numpy()
    assert np.abs(other.astype(int) - wanted)[1:][cover[1:] > 0.999].max() <= 1
    assert np.abs(other.astype(int) - wanted)[1:][cover[1:] < 0.001].max() > 5


@pytest.mark.parametrize("level", [1.0, sharpen.AGAIN_FROM])
def test_a_drawn_picture_is_painted_anew_but_for_its_faces(level: float) -> None:
    """Steps from noise end at what the painter answers, whatever the noise."""
    parts = engine_with().parts
    drawn = 0.2 * torch.randn(3, 60, 104).clamp(-1, 0.9)
    assert sharpen.painted(parts, torch.ones(512), 3, drawn) is drawn
    found = sharpen.painted(replace(parts, picture_painter=Lighter()), torch.ones(512), 3, drawn, [LEFT], level)
    wanted = torch.lerp((drawn + 0.1).clamp(-1, 1), drawn, ovals([LEFT], 60, 104))
    assert torch.allclose(found, wanted, atol=1e-4)
    middle = found[:, 30, 30] - drawn[:, 30, 30]
    assert float(middle.abs().max()) < 1e-4 and float((found - drawn).mean()) > 0.06


def test_ovals_are_faces_without_what_is_around_them() -> None:
    cover = ovals([LEFT, RIGHT], 100, 175)
    assert float(cover[50, 50]) == float(cover[50, 120]) == 1 and float(cover[50, 85]) == 0
    assert float(cover[50, 60]) == 1 and float(cover[50, 65]) == 0 and 0 < float(cover[50, 62]) < 1


def test_a_picture_in_which_nothing_is_known_to_move_stays_sharp_where_it_was_painted() -> None:
    still = TALK.replace(prompt="A desk.")
    engine = engine_with(faces=())
    assert engine.encode(still).conditions.film is None
    film, shown = film_in(Engine(replace(engine.parts, picture_painter=Lighter())).encode(still))
    assert not film.moves and film.picture_CYX.shape == (3, 256, 448) and shown.shape[2] == 20


def test_of_references_the_one_seen_from_in_front_lends_its_head(tmp_path: Path) -> None:
    """A head that is turned has its face beside its middle, or a face whose halves are not alike."""
    usual, uneven = Face(0.9, 0.5, 0.2, 0.35), Face(0.9, 0.5, 0.2, 0.36)
    seen = {40: (usual, 0.78), 80: (uneven, 0.9), 120: (usual, 0.91), 160: (usual, 1.1)}  # by grey: face, head's middle

    class Turned(Finder):
        def faces(self, picture_CYX: Tensor) -> list[Face]:
            return [seen[grey(picture_CYX)][0]]

        def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
            head_YX, face_YX = torch.zeros(2, 128, 224)
            face, at = seen[grey(picture_CYX)]
            middle = round(at * 128)
            head_YX[20:110, middle - 30 : middle + 30] = 1
            face_YX[20:110, 90:141] = 1
            face_YX[20:65, 90:110] = 0 if face is uneven else 1
            return {"head": head_YX, "face": face_YX}

    def grey(picture_CYX: Tensor) -> int:
        return min(seen, key=lambda value: abs(value - (float(picture_CYX.mean()) + 1) * 127.5))

    references = []
    for number, value in enumerate(seen):
        path = media.write_image(tmp_path / f"{value}.png", np.full((128, 224, 3), value, np.uint8))
        references.append(Reference(path, f"Image {number + 1}"))
    parts = replace(engine_with().parts, finder=Turned(()))
    found = lender(parts, TALK.replace(references=tuple(references)))
    assert found is not None and grey(found.picture_CYX) == 120
    assert lender(parts, TALK) is None


def test_a_drawn_person_is_lit_from_the_side_that_the_words_say(tmp_path: Path) -> None:
    """With LEFT alone all that is drawn is one person, whose right is the picture's."""

    def slope(prompt: str, image: Path | None = None) -> float:
        film, _ = film_in(
            engine_with(painter=Brighter()).encode(TALK.replace(prompt=prompt, image=image), plan=said(TALK))
        )
        middle = round(LEFT.x * film.picture_CYX.shape[1])
        left, right = film.picture_CYX[..., :middle].mean(), film.picture_CYX[..., middle:].mean()
        return float(right - left)

    plain = slope(TALK.prompt)
    asked = {side: slope(f'A woman at a desk, lit from the {side}. She says: "Mama."') for side in ("left", "right")}
    assert asked["left"] < plain - 0.05 and asked["right"] > plain + 0.05
    wide = picture(tmp_path / "a.png", width=448, height=256)
    given = {side: slope(f'A woman, lit from the {side}. She says: "Mama."', wide) for side in ("left", "right")}
    assert given["left"] == given["right"]


def test_a_given_picture_dims_at_its_time_and_not_before(tmp_path: Path) -> None:
    wide = picture(tmp_path / "a.png", width=448, height=256)
    request = TALK.replace(prompt="A desk. 1-2 s: the light dims.", image=wide)
    film, _ = film_in(engine_with(faces=()).encode(request))
    shown = (play(film, None, pipeline.PixelSize(448, 256))[0].clamp(-1, 1) + 1).mean((0, 2, 3))
    assert film.moves and torch.equal(shown[:26], shown[:1].expand(26))
    assert float(shown[50] / shown[0]) == pytest.approx(0.28 ** (1 / 2.2), abs=0.02)
    assert bool((shown[26:50].diff() <= 0).all()) and torch.allclose(shown[50:], shown[50])


def test_rain_falls_over_a_given_picture_and_its_first_frame_is_as_given(tmp_path: Path) -> None:
    engine = engine_with(faces=())
    wide = picture(tmp_path / "a.png", width=448, height=256)
    frames = {}
    for prompt in ("A street. It rains.", "A street."):
        state = engine.encode(TALK.replace(prompt=prompt, image=wide))
        state = replace(state, latents={**state.latents, "video": film_in(state)[1]})
        state = GenerationState.from_bytes(engine.upscale(engine.upscale(state)).to_bytes())
        frames[prompt] = engine.decode(state).frames_TYXC.astype(int)
    rain, dry = frames.values()
    assert (rain[0] == dry[0]).all()
    wet = (rain - dry).max(-1) > 10
    assert wet[1:].any() and 0.005 < wet[20:].mean() < 0.3
    assert (wet[40] & ~wet[39]).any()  # it falls


def test_snow_goes_on_where_nothing_else_moves() -> None:
    engine, window = engine_with(faces=(), painter=Brighter()), Window(10, clock(3), 2)
    request = TALK.replace(prompt="A meadow.")
    course = course_of(request, (Beat("it snows", 0.0, 8.0),), 8.0)
    before, shown = film_in(engine.encode(request, Window(0, clock(3), 0), None, course))
    assert before.moves and shown.shape[2] == window.clock.num_video_latents
    frames = play(before, None, pipeline.PixelSize(224, 128))
    assert frames.shape[2] == before.num_frames and torch.equal(frames[:, :, 0], frames[:, :, -1])
    state = engine.encode(request, window, None, course)
    state = replace(state, conditions=replace(state.conditions, frames={0: torch.randn(1, 48, 1, 8, 14)}))
    film, _ = film_in(goes_on(engine.parts, state, None, before, course))
    assert film.fall == "snow" and float(film.falls_T.min()) == 1
    assert torch.equal(film.picture_CYX, before.picture_CYX)


def test_a_ball_bounces_on_a_beach_with_waves() -> None:
    told = [Sound("waves", 0.0, 3.0), Sound("ball", 1.0, 3.0)]
    assert Wishes(sounds=told).struck == "ball"
    assert Wishes(sounds=told[:1]).struck == "waves" and Wishes().struck is None


def test_of_two_people_each_does_and_feels_what_is_told_of_it() -> None:
    scene = "A man and a woman talk. 0-1.5 s: the woman nods. 1.5-3 s: the man smiles."
    engine = engine_with((LEFT, RIGHT), painter=Brighter())
    film, _ = film_in(engine.encode(TALK.replace(prompt=f'{scene} The man says: "Mama."')))
    left, right = film.poses_PT5.abs().sum((1, 2)).tolist()
    assert left == 0 < right
    smile = UNIT_INDEX["mouthSmileLeft"]
    assert float(film.units_PTU[0, 50:70, smile].max()) > 0.3 and float(film.units_PTU[1, :, smile].max()) == 0
    both, _ = film_in(engine.encode(TALK.replace(prompt="Two women stand in a park. They nod.")))
    assert float(both.poses_PT5[0].abs().sum()) > 0 and torch.equal(both.poses_PT5[0], both.poses_PT5[1])


def test_people_of_a_programme_act_and_its_light_changes_on_its_clock() -> None:
    engine, plan, window = engine_with(painter=Brighter()), said(TALK), Window(10, clock(3), 2)
    beats = (Beat("she nods", 1.0, 4.0), Beat("the light dims", 1.5, 3.5), Beat("she smiles", 2.0, 4.0))
    course = course_of(TALK, beats, 8.0)
    before, _ = film_in(engine.encode(TALK, Window(0, clock(3), 0), plan, course))
    state = engine.encode(TALK, window, None, course)
    begun = {k: torch.randn(1, 48, 1, 8, 14) for k in range(3)}
    state = replace(state, conditions=replace(state.conditions, frames=begun))
    film, _ = film_in(goes_on(engine.parts, state, None, before, course))
    start = window.start_frame
    shared = before.num_frames - start
    assert 0 < shared < 60
    for then, now in ((before.poses_PT5[0], film.poses_PT5[0]), (before.light_4T.T, film.light_4T.T)):
        assert torch.allclose(then[start:], now[:shared], atol=1e-5) and float(now.abs().max()) > 0.1
    smile = film.units_PTU[0, :, UNIT_INDEX["mouthSmileLeft"]]
    assert float(smile[: 50 - start].max()) == 0 < float(smile[70 - start])  # from 2 to 4 s
    alone, _ = film_in(engine.encode(TALK, Window(0, clock(3), 0), plan))
    assert not alone.poses_PT5.numel() and not alone.light_4T.numel()
    assert not film.fall and not film.falls_T.numel()


def test_behind_whom_the_camera_goes_around_the_place_is_painted_where_it_was_drawn(tmp_path: Path) -> None:
    engine = engine_with(painter=Brighter())
    around = TALK.replace(prompt="A woman at a desk. The camera orbits to the left.")
    plain, _ = film_in(engine.encode(around))
    engine.parts.picture_painter = Lighter()
    film, _ = film_in(engine.encode(around))
    assert film.behind_CYX.shape == film.picture_CYX.shape == plain.behind_CYX.shape
    assert float(film.behind_CYX.mean() - plain.behind_CYX.mean()) > 0.05
    still, _ = film_in(engine.encode(around.replace(prompt="A woman at a desk. She nods. The camera pans left.")))
    assert not still.behind_CYX.numel()
    image = picture(tmp_path / "a.png", width=448, height=256)
    given, _ = film_in(engine.encode(around.replace(image=image)))
    assert given.behind_CYX.shape == given.picture_CYX.shape


@pytest.mark.parametrize("move", ["pans left", "orbits right", "pushes in"])
def test_a_camera_of_a_programme_goes_on_from_window_to_window(move: str) -> None:
    engine, plan, window = engine_with(painter=Brighter()), said(TALK), Window(10, clock(3), 2)
    course = course_of(TALK, (Beat(f"the camera {move}", 1.0, 6.0),), 8.0)
    before, _ = film_in(engine.encode(TALK, Window(0, clock(3), 0), plan, course))
    state = engine.encode(TALK, window, None, course)
    state = replace(state, conditions=replace(state.conditions, frames={0: torch.randn(1, 48, 1, 8, 14)}))
    film, shown = film_in(goes_on(engine.parts, state, None, before, course))
    start = window.start_frame
    shared = before.num_frames - start
    assert torch.equal(before.views_5T[:, start:], film.views_5T[:, :shared])
    apart = (film.views_5T[:, -1] - before.views_5T[:, 0]).abs()
    assert float(apart.max()) > 0.1  # it goes on moving
    # As much is drawn as the whole programme sees, and each window films that picture.
    assert film.small_CYX.shape == before.small_CYX.shape and shown.shape[3:] == (8, 14)
    assert (before.small_CYX.shape[2] > 224) == (move != "pushes in")
    if move == "orbits right":
        assert torch.equal(before.poses_PT5[:, start:], film.poses_PT5[:, :shared]) and film.cover_YX.numel()
    anchor = Anchor(before.picture_CYX[None, :, None].mean() * torch.ones(1, 48, 1, 8, 14), None)
    engine.parts.has_roles = True
    held = anchored(engine.parts, replace(state, conditions=replace(state.conditions, film=film)), anchor).conditions
    assert held.anchor_BCTYX is None and held.references is not None
    still = replace(film, views_5T=torch.zeros(0))
    held = anchored(engine.parts, replace(state, conditions=replace(state.conditions, film=still)), anchor).conditions
    assert held.anchor_BCTYX is not None


def test_rain_of_a_programme_goes_on_from_window_to_window() -> None:
    engine, plan, window = engine_with(painter=Brighter()), said(TALK), Window(10, clock(3), 2)
    course = course_of(TALK, (Beat("it rains", 1.0, 3.0),), 8.0)
    before, _ = film_in(engine.encode(TALK, Window(0, clock(3), 0), plan, course))
    state = engine.encode(TALK, window, None, course)
    state = replace(state, conditions=replace(state.conditions, frames={0: torch.randn(1, 48, 1, 8, 14)}))
    film, _ = film_in(goes_on(engine.parts, state, None, before, course))
    assert before.fall == film.fall == "rain" and float(before.falls_T.max()) == 1
    shared = before.num_frames - window.start_frame
    assert torch.equal(before.falls_T[window.start_frame :], film.falls_T[:shared])
