"""People who act without being drawn anew: poses reach what they ask for, blends move as the gestures do."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.shapes import FPS
from muybridge.train import actors, puppets, takes
from muybridge.train.actors import Pose
from muybridge.world import render
from muybridge.world.grammar import sample_scene
from muybridge.world.motion import face_units
from muybridge.world.scene import CameraTrack, Span

AT_S = 0.6


@pytest.mark.parametrize("pose", actors.poses(has_moods=True)[1:], ids=str)
def test_a_person_is_in_a_pose_at_its_moment(pose: Pose) -> None:
    human = sample_scene(5, "train", 3.0, cast="person").people[0]
    acts = actors.acting(human, pose, AT_S)
    (span,) = acts.expressions if pose.what in actors.MOODS else acts.gestures
    assert span.what == pose.what
    assert actors.value_at(span, AT_S) == pytest.approx(pose.value, abs=1e-3)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.booleans())
def test_blends_are_shares_of_neighbours_and_follow_the_gesture(seed: int, changes: bool) -> None:
    rng = np.random.default_rng(seed)
    spans = (actors.moods if changes else actors.gestures)(rng, 3.0)
    drawn = actors.poses(has_moods=True)
    share_TK = actors.blend(spans, drawn, 75)
    assert np.allclose(share_TK.sum(1), 1, atol=1e-5)
    assert share_TK.min() >= 0
    for span in spans:
        at = [k for k, pose in enumerate(drawn) if pose.what == span.what]
        values_K = np.array([drawn[k].value for k in at])
        others = [other for other in spans if other is not span]
        for frame in range(75):
            alone = all(actors.value_at(other, frame / FPS) == 0 for other in others)
            if alone:
                assert share_TK[frame, at] @ values_K == pytest.approx(actors.value_at(span, frame / FPS), abs=1e-4)


def test_a_pose_is_what_the_renderer_draws_of_the_gesture() -> None:
    scene = sample_scene(5, "train", 3.0, cast="person", framing="close-up", camera=CameraTrack())
    frame = int(puppets.MOMENT * scene.num_frames)
    held = scene.replace(people=(actors.acting(scene.people[0], Pose("turn left", 1.0), frame / FPS),))
    at_rest, turned = actors.draw_poses(scene, [Pose(), Pose("turn left", 1.0)], 96, 96)
    drawn = render.Set(held)
    drawn.units[0] = face_units(held.people[0], held.seconds, held.num_frames)
    true = drawn.draw(frame, 96, 96)
    drawn.release()
    assert np.array_equal(turned[..., :3], true.pixels_YX3)
    assert np.abs(turned[..., :3].astype(int) - at_rest[..., :3]).max() > 60


def test_one_person_does_several_things_and_building_goes_on(tmp_path: Path) -> None:
    made = actors.shoot(3, 4, "train", 64, 64, 1.8)
    assert [take.index for take in made] == [12, 13, 14, 15]
    for take in made:
        assert take.frames_TYX3.shape == (45, 64, 64, 3)
        assert len(take.waveform_S) == 45 * 960
        assert not take.facts["lines"]
        for text, start_s, end_s in take.facts["beats"]:
            assert text.startswith(("the man ", "the woman ", "the person "))
            assert 0 <= start_s < end_s <= 1.8
    assert any(np.abs(take.frames_TYX3.astype(int) - take.frames_TYX3[:1]).max() > 60 for take in made)
    assert actors.build(tmp_path, 2, 2, size=(64, 64), seconds=1.5, stride=2, quiet=True) == 2
    assert actors.build(tmp_path, 2, 2, size=(64, 64), seconds=1.5, quiet=True) == 2
    assert actors.build(tmp_path, 2, 2, size=(64, 64), seconds=1.5, quiet=True) == 0
    assert len(list(takes.stored(tmp_path, "train"))) == 4


def test_gestures_follow_each_other() -> None:
    for seed in range(40):
        spans = actors.gestures(np.random.default_rng(seed), 3.0)
        assert spans
        for before, after in pairwise(spans):
            assert isinstance(before, Span)
            assert before.end_s < after.start_s
            assert before.what != after.what
        assert spans[-1].end_s <= 3.0
