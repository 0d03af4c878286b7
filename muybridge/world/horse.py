"""The horse: an articulated body in a transverse gallop, after Muybridge's plates of 1878 and 1887.

Footfalls: hind, other hind, fore, leading fore, then a suspension with the legs gathered under the body. Each hoof
stands
on the ground for a fifth of the stride and moves back at exactly the horse's speed, so nothing slides. Lengths in
decimetres; the horse runs to +x with its mid-body at x = 0; mirror x for the other way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .anatomy import Floats, Ints
from .characters import COATS
from .solids import RGB, Solids

LEGS = ("hind left", "hind right", "fore left", "fore right")
PHASE = (0.0, 0.13, 0.36, 0.49)  # start of each leg's stance within the stride
STANCE = 0.20
REACH = 3.6  # hoof goes from +REACH to -REACH of its root during the stance, dm


@dataclass(frozen=True)
class Gallop:
    """`pace` strides per second; the first hind hoof lands at `first_s`."""

    pace: float
    first_s: float

    @property
    def speed(self) -> float:
        """Ground speed in dm/s: stance length over stance time."""
        return 2 * REACH / (STANCE / self.pace)

    def contacts(self, seconds: float) -> list[tuple[float, str]]:
        """(time, leg) of every hoof landing within the clip."""
        found = []
        for leg, phase in zip(LEGS, PHASE, strict=True):
            stride = int(np.ceil((-self.first_s - phase / self.pace) * self.pace - 1e-9))
            while (t := self.first_s + (stride + phase) / self.pace) < seconds:
                if t >= 0:
                    found.append((round(t, 4), leg))
                stride += 1
        return sorted(found)

    def hoof(self, leg: int, t_s: float) -> tuple[float, float, float, bool]:
        """Hoof of a leg at a time: x from its root, height, swing progress 0..1, on the ground or not."""
        phase = ((t_s - self.first_s) * self.pace - PHASE[leg]) % 1.0
        if phase < STANCE:
            return REACH * (1 - 2 * phase / STANCE), 0.0, 0.0, True
        u = (phase - STANCE) / (1 - STANCE)
        # The hoof leaves and lands with the ground's speed: a cubic with matched slopes at both ends.
        slope = -2 * REACH * (1 - STANCE) / STANCE
        h00, h10 = 2 * u**3 - 3 * u**2 + 1, u**3 - 2 * u**2 + u
        h01, h11 = -2 * u**3 + 3 * u**2, u**3 - u**2
        x = -REACH * h00 + 0.30 * slope * h10 + REACH * h01 + 0.30 * slope * h11
        lift = (5.2 if leg >= 2 else 4.4) * np.sin(np.pi * u**0.85) ** 1.1 * (1 - 0.2 * u)
        return float(x), float(max(lift, 0)), float(u), False


def _knee(root: Floats, foot: Floats, upper: float, lower: float, forward: float) -> Floats:
    """The middle joint of a two-bone leg in the x-y plane, bending to +x (forward > 0) or -x."""
    d = foot - root
    length = float(np.clip(np.hypot(d[0], d[1]), abs(upper - lower) + 0.05, upper + lower - 0.02))
    a = np.arccos(np.clip((upper**2 + length**2 - lower**2) / (2 * upper * length), -1, 1))
    base = np.arctan2(d[1], d[0])
    angle = base + a * forward
    return np.asarray(root + np.array([np.cos(angle) * upper, np.sin(angle) * upper, 0.0]))


def _bend(points: list[Floats], radii: list[float], count: int) -> tuple[Floats, Floats]:
    """A smooth path with radii through joints, for one tube."""
    p, r = np.array(points, np.float32), np.array(radii, np.float32)
    knots = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
    at = np.linspace(0, knots[-1], count)
    soft = np.stack([np.interp(at, knots, p[:, k]) for k in range(3)], 1)
    soft[1:-1] = 0.25 * soft[:-2] + 0.5 * soft[1:-1] + 0.25 * soft[2:]
    return soft.astype(np.float32), np.interp(at, knots, r).astype(np.float32)


def body_motion(gallop: Gallop, t_s: float) -> tuple[float, float]:
    """(height offset in dm, pitch in radians, nose up > 0): up in suspension, nose down when the fores land."""
    phase = ((t_s - gallop.first_s) * gallop.pace) % 1.0
    return 0.45 * float(np.cos(2 * np.pi * (phase - 0.86))), 0.065 * float(np.cos(2 * np.pi * (phase - 0.16)))


def mesh(gallop: Gallop, coat: str, t_s: float) -> tuple[Floats, Ints]:
    """The whole horse at one time: vertices [N, 14] and triangles [F, 3]."""
    body, dark = COATS[coat]
    s = Solids()
    lift, pitch = body_motion(gallop, t_s)
    c, si = np.cos(pitch), np.sin(pitch)

    def on_body(x: float, y: float, z: float = 0.0) -> Floats:
        dx, dy = x, y - 12.4
        return np.array([c * dx - si * dy, 12.4 + lift + si * dx + c * dy, z])

    trunk = [(-9.0, 12.7, 0.5), (-8.5, 12.9, 1.7), (-7.3, 13.0, 2.65), (-5.4, 13.1, 2.95), (-3.0, 12.9, 2.75), (-0.5,
        12.55, 2.8),
             (2.2, 12.35, 3.0), (4.6, 12.6, 3.1), (6.4, 12.9, 2.7), (7.8, 13.0, 1.7), (8.4, 13.0, 0.5)]  # fmt: skip
    path = np.array([on_body(x, y) for x, y, _ in trunk])
    radius = np.array([r for *_, r in trunk])
    fine = np.linspace(0, len(trunk) - 1, 31)
    knots = np.arange(len(trunk))
    path = np.stack([np.interp(fine, knots, path[:, k]) for k in range(3)], 1)
    s.tube(path, np.interp(fine, knots, radius), body, "fur", 18, 0.70)
    for z in (-0.9, 0.9):  # haunches and shoulders swell over the barrel
        s.ball(on_body(-6.0, 12.4, z), (2.7, 3.0, 1.5), body, "fur", 10, 14)
        s.ball(on_body(5.2, 12.2, z), (2.0, 2.8, 1.35), body, "fur", 10, 14)
    phase = ((t_s - gallop.first_s) * gallop.pace) % 1.0
    _head(s, on_body, body, dark, 0.10 * np.cos(2 * np.pi * (phase - 0.30)), phase)
    _tail(s, on_body, dark, phase)
    for leg in range(4):
        _leg(s, gallop, leg, t_s, on_body, body, dark)
    return s.mesh()


def _head(s: Solids, on_body: Callable[..., Floats], body: RGB, dark: RGB, nod: float, phase: float) -> None:
    root = on_body(5.4, 14.0)
    c, si = np.cos(nod), np.sin(nod)

    def at(x: float, y: float, z: float = 0.0) -> Floats:
        dx, dy = x - 5.4, y - 14.0
        return np.asarray(root + np.array([c * dx - si * dy, si * dx + c * dy, z]))

    neck = [at(5.0, 13.3), at(7.4, 15.0), at(9.4, 16.7), at(11.0, 18.2), at(11.7, 18.9)]
    path, radius = _bend(neck, [2.9, 2.2, 1.65, 1.3, 1.05], 16)
    s.tube(path, radius, body, "fur", 16, 0.55)
    skull = [
        at(11.0, 18.9),
        at(11.9, 18.75),
        at(13.2, 17.8),
        at(14.6, 16.55),
        at(15.9, 15.35),
        at(16.4, 14.85),
        at(16.7, 14.6),
    ]
    path, radius = _bend(skull, [0.7, 1.22, 1.25, 0.92, 0.74, 0.68, 0.3], 18)
    s.tube(path, radius, body, "fur", 14, 0.66)
    s.ball(at(12.9, 17.4), (1.15, 1.2, 0.78), body, "fur", 8, 12)
    s.ball(at(16.3, 14.75), (0.62, 0.55, 0.50), (body[0] * 0.35, body[1] * 0.35, body[2] * 0.35), "fur", 8, 10)
    for z in (-1.0, 1.0):
        s.ball(at(13.0, 18.15, 0.72 * z), (0.26, 0.26, 0.16), (0.004, 0.003, 0.003), rings=8, columns=10)
        s.ball(at(16.5, 14.85, 0.40 * z), (0.16, 0.2, 0.12), (0.006, 0.005, 0.005), rings=6, columns=8)
        ear = [at(11.5, 19.6, 0.45 * z), at(11.5, 20.4, 0.55 * z), at(11.75, 21.2, 0.5 * z)]
        s.tube(ear, [0.36, 0.32, 0.04], body, "fur", 8, 0.6)
    crest = np.array([at(11.8, 20.0), at(10.6, 19.6), at(9.2, 18.3), at(7.7, 16.9), at(6.2, 15.9), at(4.6, 15.6)])
    fine = np.linspace(0, 5, 21)
    line = np.stack([np.interp(fine, np.arange(6), crest[:, k]) for k in range(3)], 1)
    for k, (a, b) in enumerate(pairwise(line)):
        blow = 0.9 + 0.35 * np.sin(k * 1.7 + 2 * np.pi * phase)
        for z in (-0.34, 0.0, 0.34):
            hang = np.array([-blow - 0.5, -1.0 - 0.35 * np.sin(k * 2.3) + 0.4 * blow, 0.0])
            up = np.array([0.0, 0.22, z])
            points = [a + up, b + up, b + up + hang, a + up + hang]
            s.add(
                points,
                np.repeat([[0.1, 0.6, 0.7 if z >= 0 else -0.7]], 4, 0),
                np.zeros((4, 2)),
                [(0, 1, 2), (0, 2, 3)],
                dark,
                "fur",
            )
    s.ball(at(12.4, 19.5), (0.55, 0.35, 0.3), dark, "fur", 6, 8)


def _tail(s: Solids, on_body: Callable[..., Floats], dark: RGB, phase: float) -> None:
    root = on_body(-8.5, 14.0)
    t = np.linspace(0, 1, 14)
    wave = 0.5 * np.sin(2 * np.pi * (phase - 0.8 * t)) * t
    for z in (-0.25, 0.0, 0.25):
        path = np.stack(
            [
                root[0] - 7.4 * t,
                root[1] + 0.9 * np.sin(2.2 * t) - 4.0 * t**1.7 + wave + 0.4 * z,
                np.full_like(t, z) * (1 + 1.6 * t),
            ],
            1,
        )
        s.tube(path, 0.30 + 0.42 * np.sin(np.pi * t**0.7) * (1 - 0.6 * t), dark, "fur", 8)


def _leg(s: Solids, gallop: Gallop, leg: int, t_s: float, on_body: Callable[..., Floats], body: RGB, dark: RGB) -> None:
    x, lift, u, down = gallop.hoof(leg, t_s)
    hind, z = leg < 2, (-1.25 if leg % 2 == 0 else 1.25)
    fold = 0.0 if down else float(np.sin(np.pi * u) ** 0.8)
    swing = 0.32 * x
    if hind:
        top, root = on_body(-6.2, 12.6, 0.75 * z), on_body(-4.9 + swing, 9.6 + 0.10 * abs(x), 0.9 * z)
        upper, lower, pastern_len, bend = 4.7, 4.1, 1.75, -1.0
        rear = -5.6
    else:
        top, root = on_body(5.3, 11.6, 0.75 * z), on_body(4.9 + 0.8 * swing, 9.3 + 0.06 * abs(x), 0.9 * z)
        upper, lower, pastern_len, bend = 4.5, 3.5, 1.75, 1.0
        rear = 5.0
    foot = np.array([rear + x, lift, 0.9 * z])
    # Pastern: leans forward on the ground, folds back under the leg in the air.
    lean = 0.55 - 0.10 * x if down else 0.55 + (2.0 if not hind else 1.7) * fold * (1 - 0.6 * u) - 0.35 * u
    fetlock = foot + pastern_len * np.array([-np.sin(lean), np.cos(lean), 0.0])
    if down:
        fetlock[1] = max(fetlock[1], 0.8)
    knee = _knee(root, fetlock, upper, lower, bend)
    thick = (2.1, 1.45, 0.72, 0.52, 0.44, 0.52) if hind else (1.7, 1.1, 0.66, 0.46, 0.42, 0.50)
    path, radius = _bend([top, root, knee, fetlock], [thick[0], thick[1], thick[2], thick[3]], 16)
    shin = np.clip((np.arange(16) - 9) / 4, 0, 1)[:, None]
    tint = (1 - shin) * np.array(body) + shin * np.array(dark)
    s.tube(path, radius, np.repeat(tint, 10, 0).astype(np.float32), "fur", 10, 0.8)
    s.ball(
        knee,
        (0.66, 0.74, 0.58) if hind else (0.62, 0.66, 0.56),
        tuple((0.6 * np.array(body) + 0.4 * np.array(dark)).tolist()),
        "fur",
        8,
        10,
    )
    s.ball(fetlock, (0.52, 0.52, 0.46), dark, "fur", 8, 10)
    way = (foot - fetlock) / max(float(np.linalg.norm(foot - fetlock)), 1e-6)
    s.tube([fetlock, fetlock + way * (pastern_len - 0.75)], [0.44, 0.46], dark, "fur", 10)
    s.tube(
        [fetlock + way * (pastern_len - 0.85), foot + np.array([0.18, 0.02, 0])],
        [0.52, 0.74],
        (0.045, 0.038, 0.032),
        "plain",
        10,
    )
