"""How a person moves: expressions, blinks, gaze, head, shoulders and gestures become face units and bone matrices.

T frames. Everything is a function of the scene and the time, never of a running state, so any frame can be made alone.
"""

from __future__ import annotations

import numpy as np

from .anatomy import ARKIT_UNITS, BONE_INDEX, EXPRESSION_UNITS, UNIT_INDEX, Floats
from .camera import ease, wobble
from .person import Person, Pose, bone_matrices
from .scene import FPS, Human, Span
from .spaces import placed, turn_x, turn_y, turn_z


def _hold(span: Span, t_s: float, edge_s: float = 0.28) -> float:
    """1 inside the span, 0 outside, smooth over edge_s at both ends."""
    edge_s = min(edge_s, 0.5 * (span.end_s - span.start_s))
    return ease(t_s, span.start_s, span.start_s + edge_s) * (1 - ease(t_s, span.end_s - edge_s, span.end_s))


def blink_times(seed: int, seconds: float) -> list[float]:
    """Moments of full closure, 2 to 5 s apart."""
    rng = np.random.default_rng([0xB11, seed])
    times, now = [], float(rng.uniform(0.4, 2.4))
    while now < seconds:
        times.append(round(now, 3))
        now += float(rng.uniform(1.8, 4.6))
    return times


def face_units(human: Human, seconds: float, num_frames: int, speech_units: Floats | None = None) -> Floats:
    """Face unit track [T, 52]. `speech_units` [T, 52] (visemes) wins over the expression at the mouth."""
    out = np.zeros((num_frames, len(ARKIT_UNITS)), np.float32)
    blinks = blink_times(human.motion_seed, seconds)
    mouthy = np.array([name.startswith(("mouth", "jaw", "tongue")) for name in ARKIT_UNITS])
    talk = np.zeros(num_frames, np.float32)
    if speech_units is not None:
        talk[: len(speech_units)] = np.clip(np.abs(speech_units[:num_frames][:, mouthy]).sum(1) * 3, 0, 1)
        talk = np.maximum.reduce([np.roll(talk, k) for k in range(-5, 6)])
    for frame in range(num_frames):
        t = frame / FPS
        units = out[frame]
        for span in human.expressions:
            share = _hold(span, t)
            for name, weight in EXPRESSION_UNITS[span.what].items():
                units[UNIT_INDEX[name]] += weight * share
        units[mouthy] *= 1 - 0.55 * talk[frame]
        for gesture in human.gestures:
            if gesture.what == "shrug":
                share = _hold(gesture, t)
                units[UNIT_INDEX["mouthShrugLower"]] += 0.7 * share
                units[UNIT_INDEX["browInnerUp"]] += 0.6 * share
        closing = max((max(0.0, 1 - abs(t - at) / 0.10) for at in blinks), default=0.0)
        for side in ("Left", "Right"):
            index = UNIT_INDEX[f"eyeBlink{side}"]
            units[index] = max(units[index], min(1.0, 1.35 * closing))
        _look(units, human, t)
    if speech_units is not None:
        count = min(num_frames, len(speech_units))
        out[:count] += speech_units[:count]
    return np.clip(out, 0, 1)


def _look(units: Floats, human: Human, t_s: float) -> None:
    """Gaze with small saccades: the eyes' own units."""
    step = int(t_s / 0.7)
    rng = np.random.default_rng([0x6A2E, human.motion_seed, step])
    x = (
        float(rng.normal(0, 0.09))
        + {"camera": -human.yaw * 0.9, "left": -0.75, "right": 0.75, "other": float(np.sign(-human.x or 1)) * 0.8}[
            human.gaze
        ]
    )
    y = float(rng.normal(0, 0.05))
    for gesture in human.gestures:
        share = _hold(gesture, t_s)
        y += share * {"look up": 0.7, "look down": -0.7}.get(gesture.what, 0.0)
        x += share * {"turn left": -0.4, "turn right": 0.4}.get(gesture.what, 0.0)
    # x > 0 looks to the viewer's right, which is the character's left.
    units[UNIT_INDEX["eyeLookOutLeft"]] += max(x, 0)
    units[UNIT_INDEX["eyeLookInRight"]] += max(x, 0)
    units[UNIT_INDEX["eyeLookInLeft"]] += max(-x, 0)
    units[UNIT_INDEX["eyeLookOutRight"]] += max(-x, 0)
    for side in ("Left", "Right"):
        units[UNIT_INDEX[f"eyeLookUp{side}"]] += max(y, 0)
        units[UNIT_INDEX[f"eyeLookDown{side}"]] += max(-y, 0)


def _align(start: Floats, end: Floats) -> Floats:
    """Smallest rotation [3, 3] that brings direction `start` to `end`."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    v, c = np.cross(a, b), float(a @ b)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.asarray((np.eye(3) + k + k @ k / max(1 + c, 1e-4)), np.float32)


def _arm(person: Person, side: str, upper: Floats, fore: Floats, turns: dict[str, Floats]) -> None:
    """Point one arm's two bones into these directions of the chest."""
    j = {name: person.joints_B3[BONE_INDEX[f"{name}_{side}"]] for name in ("upperarm", "lowerarm", "hand")}
    shoulder = _align(j["lowerarm"] - j["upperarm"], upper)
    turns[f"upperarm_{side}"] = shoulder
    turns[f"lowerarm_{side}"] = _align(j["hand"] - j["lowerarm"], shoulder.T @ fore)


def pose_at(person: Person, human: Human, units: Floats, t_s: float, energy: float = 0.0) -> Pose:
    """Bones and sway of one frame; `units` is this frame's row of face_units, `energy` 0..1 livens the head
    (speech)."""
    idle = wobble(human.motion_seed, t_s, 0.45)
    speak = wobble(human.motion_seed + 7, t_s, 1.6)
    yaw, pitch, roll = (
        0.030 * idle[0] + 0.05 * energy * speak[0],
        0.020 * idle[1] + 0.05 * energy * speak[1],
        0.015 * idle[2] + 0.03 * energy * speak[2],
    )
    body_yaw, lean, lift = 0.02 * idle[3], 0.008 * idle[4], 0.03 * np.sin(2 * np.pi * t_s / 3.6 + human.motion_seed)
    raise_arm, swing = 0.0, 0.0
    for gesture in human.gestures:
        share = _hold(gesture, t_s, 0.35)
        since = t_s - gesture.start_s
        length = max(gesture.end_s - gesture.start_s, 0.2)
        what = gesture.what
        if what == "nod":
            pitch += share * 0.17 * np.sin(2 * np.pi * since * max(2, round(length * 1.7)) / length)
        elif what == "shake head":
            yaw += share * 0.30 * np.sin(2 * np.pi * since * max(2, round(length * 1.5)) / length)
        elif what in ("turn left", "turn right"):
            side = -1 if what.endswith("left") else 1
            yaw += share * 0.46 * side
            body_yaw += share * 0.24 * side
        elif what == "look up":
            pitch -= share * 0.30
        elif what == "look down":
            pitch += share * 0.30
        elif what == "tilt head":
            roll += share * 0.24
        elif what == "shrug":
            lift += share * 0.22
            roll += share * 0.07
        elif what == "lean in":
            lean += share * 0.16
            pitch -= share * 0.08
        elif what == "wave":
            raise_arm, swing = share, np.sin(2 * np.pi * 1.9 * since)
    turns = {
        "spine_02": turn_y(body_yaw) @ turn_x(lean),
        "neck_01": turn_y(0.4 * yaw) @ turn_x(0.4 * pitch) @ turn_z(-0.4 * roll),
        "head": turn_y(0.6 * yaw) @ turn_x(0.6 * pitch) @ turn_z(-0.6 * roll),
        "clavicle_l": turn_z(-0.07 + 0.55 * lift),
        "clavicle_r": turn_z(0.07 - 0.55 * lift),
    }
    _arm(person, "l", np.array([0.24, -0.97, 0.03]), np.array([0.10, -0.95, 0.28]), turns)
    upper = (1 - raise_arm) * np.array([-0.24, -0.97, 0.03]) + raise_arm * np.array([-0.60, -0.62, 0.35])
    raised = np.array([-0.20 + 0.40 * swing, 0.95, 0.25])
    way = np.array([-0.55, 0.0, 0.75]) * 4 * raise_arm * (1 - raise_arm)  # out to the side on the way up
    fore = (1 - raise_arm) * np.array([-0.10, -0.95, 0.28]) + raise_arm * raised + way
    _arm(person, "r", upper, fore, turns)
    if raise_arm > 0:
        turns["hand_r"] = turn_z(0.25 * swing * raise_arm)
    foot = float(person.rest_V3[:13380, 1].min())
    place = placed(turn_y(human.yaw), (human.x, -foot, 0.0))
    bones = bone_matrices(person.joints_B3, turns, place)
    sway = np.array([0.02 * idle[5] - 0.25 * (yaw_speed(human, t_s)), 0.0, 0.01 * idle[4]], np.float32)
    return Pose(units.astype(np.float32), bones, sway)


def yaw_speed(human: Human, t_s: float) -> float:
    """Rough turning rate of the head, for hair that lags behind."""
    total = 0.0
    for gesture in human.gestures:
        if gesture.what == "shake head":
            length = max(gesture.end_s - gesture.start_s, 0.2)
            total += (
                0.5
                * _hold(gesture, t_s)
                * np.cos(2 * np.pi * (t_s - gesture.start_s) * max(2, round(length * 1.5)) / length)
            )
    return float(total)
