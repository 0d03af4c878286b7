"""The camera over time: framing plus one cut-free move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Floats
from .scene import Scene
from .spaces import look_at, perspective

FIELD = 0.46  # vertical angle, radians

# framing -> (half height of the picture at the subject, how far its middle lies below the eyes), dm
_FRAMES = {
    "close-up": (1.72, 0.10),
    "medium close-up": (2.5, 0.70),
    "medium shot": (3.7, 1.75),
    "half body": (5.0, 2.9),
    "extreme close-up": (1.08, 0.36),
}
NEAREST = 0.9  # dm of half the height: a push into a face ends with brows and chin in the picture


@dataclass(frozen=True)
class View:
    """One frame's camera."""

    eye: Floats
    target: Floats
    field: float
    roll: float = 0.0

    def matrix(self, aspect: float) -> Floats:
        """View times projection [4, 4]."""
        return perspective(self.field, aspect, 0.6, 2400.0) @ look_at(self.eye, self.target, self.roll)


@dataclass(frozen=True)
class Focus:
    """What the camera looks at: its middle (dm), half its height and half its width; where a moving subject is."""

    middle: Floats
    half_height: float
    half_width: float = 0.0


def ease(t_s: float, start_s: float, end_s: float) -> float:
    """0 before start, 1 after end, smooth between."""
    u = min(max((t_s - start_s) / max(end_s - start_s, 1e-6), 0.0), 1.0)
    return u * u * (3 - 2 * u)


def wobble(seed: int, t_s: float, rate: float = 1.0) -> Floats:
    """Smooth noise [6] of about unit strength; the same seed and time give the same value."""
    rng = np.random.default_rng([0x30B, seed])
    phase = rng.uniform(0, 2 * np.pi, (6, 4))
    pace = rng.uniform(0.25, 1.0, (6, 4)) * np.array([0.6, 1.1, 2.3, 4.1]) * rate
    weight = np.array([0.6, 0.4, 0.22, 0.10])
    return np.asarray((np.sin(2 * np.pi * pace * t_s + phase) * weight).sum(1), np.float32)


def person_focus(eye_heights: list[float], places: list[float], framing: str) -> Focus:
    """Focus for one or two people with these eye heights over the ground and sideways places."""
    half, below = _FRAMES[framing]
    spread = (max(places) - min(places)) / 2 if places else 0.0
    middle = np.array([float(np.mean(places)), float(np.mean(eye_heights)) - below, 0.6], np.float32)
    return Focus(middle, half, spread + 1.5 if len(places) > 1 else 0.0)


def view_at(scene: Scene, focus: Focus, t_s: float, aspect: float) -> View:
    """The camera at a time. Narrow pictures and pairs are seen from further away so that nobody is cut."""
    track = scene.camera
    e = ease(t_s, track.start_s, track.end_s)
    amount = track.amount
    half = max(focus.half_height, focus.half_height * 0.82 / min(aspect, 0.82), focus.half_width / aspect)
    middle = focus.middle.astype(np.float64).copy()
    azimuth = np.radians(track.azimuth_deg)
    eye_lift, yaw, pitch, roll = track.height, 0.0, 0.0, 0.0
    move = track.move
    if move == "push in":
        half *= 1 - 0.38 * amount * e
        middle[1] += 0.16 * focus.half_height * amount * e * bool(scene.people)
    elif move == "pull out":
        half *= 1 - 0.38 * amount * (1 - e)
        middle[1] += 0.16 * focus.half_height * amount * (1 - e) * bool(scene.people)
    elif move.startswith("orbit"):
        azimuth += (-1 if move.endswith("left") else 1) * 0.62 * amount * (e - 0.5) * 1.6
    elif move.startswith("pan"):
        yaw = (1 if move.endswith("left") else -1) * 0.09 * amount * min(aspect, 1.6) * (2 * e - 1)
    elif move.startswith("tilt"):
        pitch = (1 if move.endswith("up") else -1) * 0.07 * amount * (2 * e - 1)
    elif move == "handheld":
        w = wobble(track.seed, t_s)
        yaw, pitch, roll = 0.016 * amount * w[0], 0.014 * amount * w[1], 0.008 * amount * w[2]
        middle += np.array([w[3], w[4], 0]) * 0.05 * amount * half
    elif move == "reframe":
        half *= 1 + 0.75 * amount * e
        middle[1] -= 0.55 * focus.half_height * amount * e
        middle[0] += 0.25 * focus.half_height * amount * e
    half = max(half, 0.85 * focus.half_width / aspect, NEAREST if scene.people else 0.0)  # a push never cuts a pair
    distance = half / np.tan(FIELD / 2)
    eye = middle + distance * np.array([np.sin(azimuth), 0.03 + eye_lift, np.cos(azimuth)])
    look = middle - eye
    look = _turn(look, yaw, pitch)
    return View(eye.astype(np.float32), (eye + look).astype(np.float32), FIELD, roll)


def _turn(look: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    x, y, z = look
    x, z = c * x + s * z, -s * x + c * z
    flat = np.hypot(x, z)
    angle = np.arctan2(y, flat) + pitch
    length = np.hypot(flat, y)
    return np.array([x / flat * length * np.cos(angle), length * np.sin(angle), z / flat * length * np.cos(angle)])
