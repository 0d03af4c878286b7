"""Gestures are told from made-up poses, wherever the face is, and asked for where a prompt gives their times."""

from __future__ import annotations

import numpy as np
import pytest

from muybridge.evaluate.gestures import HELD, SEEN, SWUNG, gesture
from muybridge.suites import drawings
from muybridge.suites.adherence import actions
from muybridge.suites.face_mesh import CORNERS, EYES, NOSE, turned
from muybridge.world import captions

START, END = 1.0, 2.4


def poses(name: str, seconds: float = 4.0) -> np.ndarray:
    """A head that drifts a little and does one thing."""
    rng = np.random.default_rng(len(name))
    t = np.arange(round(seconds * 25)) / 25
    found = 0.02 * np.cumsum(rng.normal(size=(len(t), 4)), 0) / 10 + np.array([0.3, 0.6, -0.1, -2.0])
    share = np.clip(np.minimum(t - START, END - t) / 0.35, 0, 1)
    if name in HELD:
        number, amount = HELD[name]
        found[:, number] += share * amount
    elif name in SWUNG:
        number, amount = SWUNG[name]
        found[:, number] += share * amount * 1.6 * np.sin(2 * np.pi * 2 * (t - START))
    return found.astype(np.float32)


@pytest.mark.parametrize("name", SEEN)
def test_each_gesture_is_told(name: str) -> None:
    found = poses(name)
    assert gesture(found, START, END) == name
    found[::7] = np.nan  # frames without a face
    assert gesture(found, START, END) == name


def test_without_a_face_there_is_no_gesture() -> None:
    found = poses("nod")
    found[:60] = np.nan
    assert gesture(found, START, END) == ""


def test_a_pose_does_not_depend_on_place_and_size() -> None:
    places = np.zeros((478, 2))
    places[list(EYES)] = [[-30.0, 0.0], [30.0, 0.0]]
    places[list(CORNERS)] = [[-15.0, 50.0], [15.0, 50.0]]
    places[NOSE] = [12.0, 20.0]
    assert turned(places) == pytest.approx((0.2, 0.4, 0.0))
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert turned(2.5 * places @ turn.T + 70) == pytest.approx((0.2, 0.4, angle))


def test_an_action_is_asked_for_where_the_prompt_gives_its_time() -> None:
    told = untold = 0
    for index in range(40):
        scene, _ = drawings.scene_of(index, "train")
        prompt = captions.caption(scene, scene.seed, "train")
        asked = actions(scene, prompt)
        told += len(asked)
        assert all(span.what in SEEN and f"{span.start_s:.1f}" in prompt for span in asked)
        if len(scene.people) == 1:
            untold += len([s for s in scene.people[0].gestures if f"{s.start_s:.1f}" not in prompt])
    assert told > 5 and untold > 5
