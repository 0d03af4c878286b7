"""Where a clip plays: twenty places built from solids, indoor and outdoor, each with its own sky, ground and fog.

A person stands at the origin on ground y = 0 and faces +z,
where the camera is; the depth of the picture is -z. Lengths in
decimetres. Every builder takes a generator, so two visits to "a kitchen" are two kitchens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .anatomy import Floats, Ints
from .solids import RGB, Solids

Rng = np.random.Generator


@dataclass(frozen=True)
class Place:
    """A built place: mesh [N, 14] and [F, 3], whether it is under a roof, water level or None, ground gloss, fog per
    dm."""

    vertices_N14: Floats
    faces_F3: Ints
    indoor: bool
    water: tuple[float, float] | None = None  # level y, the shore's z: water lies beyond it
    gloss: float = 0.0
    haze: float = 0.0
    lamp: tuple[float, float, float] | None = None  # a practical light


def _pick(rng: Rng, *colors: RGB) -> RGB:
    base = np.array(colors[rng.integers(len(colors))]) * rng.uniform(0.85, 1.15)
    return (float(base[0]), float(base[1]), float(base[2]))


def _room(
    s: Solids, rng: Rng, wall: RGB, wall_material: str, floor: RGB, floor_material: str, depth: float = 26,
    half: float = 26, scale: float = 16,
) -> None:  # fmt: skip
    high = 27.0
    s.quad((-half, 0, 70), (2 * half, 0, 0), (0, 0, -70 - depth), floor, floor_material, scale)
    s.quad((-half, 0, -depth), (2 * half, 0, 0), (0, high, 0), wall, wall_material, scale)
    side: RGB = (wall[0] * 0.9, wall[1] * 0.9, wall[2] * 0.9)
    s.quad((-half, 0, 70), (0, 0, -70 - depth), (0, high, 0), side, wall_material, scale)
    s.quad((half, 0, -depth), (0, 0, 70 + depth), (0, high, 0), side, wall_material, scale)
    s.quad((-half, high, -depth), (2 * half, 0, 0), (0, 0, 70 + depth), (0.75, 0.74, 0.72), "plain", 20)
    s.box((0, 0.6, -depth + 0.2), (2 * half, 1.2, 0.4), (0.7, 0.68, 0.64))
    if rng.random() < 0.5:
        s.box((0, high - 0.5, -depth + 0.3), (2 * half, 1.0, 0.6), (0.75, 0.73, 0.7))


def _window(
    s: Solids, x: float, y: float, z: float, wide: float, tall: float, night: bool, curtain: RGB | None
) -> None:
    glass: RGB = (0.01, 0.014, 0.03) if night else (0.62, 0.75, 0.95)
    s.quad((x - wide / 2, y, z + 0.12), (wide, 0, 0), (0, tall, 0), glass, "plain", 30, emission=1.3)
    if not night:
        s.quad(
            (x - wide / 2, y, z + 0.14),
            (wide, 0, 0),
            (0, tall * 0.34, 0),
            (0.16, 0.28, 0.10),
            "grass",
            12,
            emission=0.9,
        )
    frame: RGB = (0.75, 0.73, 0.70)
    for dx in (-wide / 2, 0, wide / 2):
        s.box((x + dx, y + tall / 2, z + 0.25), (0.5, tall + 0.5, 0.4), frame)
    for dy in (0.0, 0.55 * tall, tall):
        s.box((x, y + dy, z + 0.25), (wide + 0.5, 0.5, 0.4), frame)
    if curtain:
        for side in (-1, 1):
            s.quad(
                (x + side * (wide / 2 + 0.5) - 1.8, y - 3, z + 0.7), (3.6, 0, 0), (0, tall + 4.5, 0), curtain, "curtain"
            )


def _shelf(s: Solids, x: float, z: float, wide: float, tall: float, turn: float = 0.0) -> None:
    s.box((x, tall / 2, z), (wide, tall, 2.6), (0.20, 0.12, 0.06), "wood", 8, turn=turn)
    c, si = np.cos(turn), np.sin(turn)
    corner = np.array([x, 0.6, z]) + np.array([c * (-wide / 2 + 0.3) + si * 1.34, 0, si * (wide / 2 - 0.3) + c * 1.34])
    s.quad(corner, (c * (wide - 0.6), 0, -si * (wide - 0.6)), (0, tall - 1.2, 0), (0.5, 0.5, 0.5), "books", 13)


def _lamp(s: Solids, x: float, z: float, lit: bool) -> tuple[float, float, float]:
    s.tube([(x, 0, z), (x, 14, z)], [0.2, 0.2], (0.08, 0.07, 0.06))
    s.tube(
        [(x, 13.4, z), (x, 17, z)],
        [2.4, 1.4],
        (0.85, 0.66, 0.38) if lit else (0.6, 0.56, 0.5),
        emission=1.5 if lit else 0.0,
        closed=False,
        columns=20,
    )
    return (x, 15.0, z + 1.0)


def _plant(s: Solids, rng: Rng, x: float, z: float, tall: float = 9.0) -> None:
    s.tube([(x, 0, z), (x, 3, z)], [1.2, 1.6], _pick(rng, (0.45, 0.20, 0.10), (0.6, 0.6, 0.6), (0.1, 0.1, 0.12)))
    for k in range(3):
        s.ball(
            (x + rng.normal(0, 0.8), tall * (0.55 + 0.2 * k), z + rng.normal(0, 0.6)),
            (2.6 - 0.5 * k,) * 3,
            (0.55, 0.75, 0.55),
            "leaves",
            10,
            14,
            0.35,
            int(rng.integers(99)),
            repeat=1.5,
        )


def living_room(s: Solids, rng: Rng, night: bool) -> Place:
    wall = _pick(
        rng, (0.62, 0.55, 0.45), (0.34, 0.42, 0.44), (0.60, 0.48, 0.40), (0.40, 0.46, 0.36), (0.70, 0.68, 0.64)
    )
    _room(s, rng, wall, "plaster", _pick(rng, (0.34, 0.20, 0.11), (0.45, 0.30, 0.18)), "wood", rng.uniform(20, 28))
    z = -19.0
    sofa = _pick(rng, (0.30, 0.10, 0.08), (0.10, 0.16, 0.26), (0.30, 0.29, 0.27), (0.10, 0.22, 0.16))
    x = float(rng.uniform(-7, 7))
    s.box((x, 2.4, z + 4), (20, 4.2, 8), sofa, "carpet", 8)
    s.box((x, 5.6, z + 0.8), (20, 6, 2.4), sofa, "carpet", 8)
    for side in (-1, 1):
        s.box((x + side * 10.2, 3.4, z + 4), (2.2, 6.2, 8), sofa, "carpet", 8)
        s.ball(
            (x + side * 6, 6.6, z + 3.2),
            (2.3, 2.0, 1.0),
            _pick(rng, (0.7, 0.5, 0.1), (0.6, 0.6, 0.55), (0.5, 0.12, 0.1)),
            "carpet",
        )
    s.quad((x - 5, 13, -19.8), (9, 0, 0), (0, 7, 0), (0.5, 0.5, 0.5), "picture")
    _window(
        s,
        -18 if x > 0 else 18,
        7,
        -19.9,
        10,
        13,
        night,
        _pick(rng, (0.6, 0.5, 0.4), (0.5, 0.2, 0.15), (0.7, 0.7, 0.66)),
    )
    at = _lamp(s, 13 if x > 0 else -13, -15, night)
    _plant(s, rng, -9 if x > 0 else 9, -16, 10)
    s.quad((-26, 0, -20), (52, 0, 0), (0, 27, 0), wall, "plaster", 16)
    return Place(*s.mesh(), True, lamp=at if night else None)


def kitchen(s: Solids, rng: Rng, night: bool) -> Place:
    wall = _pick(rng, (0.72, 0.70, 0.62), (0.45, 0.58, 0.60), (0.72, 0.60, 0.36))
    _room(s, rng, wall, "tiles", (0.5, 0.46, 0.40), "tiles", 18, 26, 10)
    front = _pick(rng, (0.62, 0.64, 0.64), (0.12, 0.24, 0.30), (0.30, 0.17, 0.09), (0.20, 0.32, 0.24))
    s.box((0, 4.4, -15), (52, 8.8, 6), front, "cupboards", 16)
    s.box((0, 9.1, -14.8), (52, 0.7, 6.8), _pick(rng, (0.12, 0.12, 0.12), (0.6, 0.58, 0.55), (0.38, 0.24, 0.13)))
    for x in (-19.0, 19.0):
        s.box((x, 20, -16), (14, 8, 4), front, "cupboards", 14)
    _window(s, 0, 13, -17.9, 12, 9, night, None)
    s.tube([(3, 9.4, -15), (3, 12.6, -15), (3, 13.2, -14), (3, 12.4, -13.2)], [0.25] * 4, (0.5, 0.5, 0.52))
    for _ in range(5):
        x = float(rng.uniform(-20, 20))
        s.tube(
            [(x, 9.4, -14), (x, 11.2 + rng.uniform(0, 2), -14)],
            [0.9, 0.9],
            _pick(rng, (0.7, 0.7, 0.68), (0.6, 0.2, 0.1), (0.1, 0.3, 0.4)),
        )
    for k in range(4):
        s.ball(
            (-9 + 0.9 * k, 10.1 + 0.3 * (k % 2), -13.6),
            (0.55,) * 3,
            [(0.7, 0.1, 0.05), (0.8, 0.5, 0.05), (0.2, 0.5, 0.1), (0.7, 0.3, 0.05)][k],
        )
    s.box((-19, 9, -14.6), (9, 18, 6.5), (0.6, 0.61, 0.62))
    s.box((-15.2, 11, -11.2), (0.3, 4, 0.4), (0.3, 0.3, 0.3))
    s.tube([(8, 27, -8), (8, 21, -8)], [0.1, 0.1], (0.05, 0.05, 0.05))
    s.tube([(8, 21.3, -8), (8, 19, -8)], [0.5, 2.2], (0.7, 0.55, 0.3), emission=1.2 if night else 0.0, closed=False)
    return Place(*s.mesh(), True, gloss=0.15, lamp=(8.0, 18.0, -6.0) if night else None)


def office(s: Solids, rng: Rng, night: bool) -> Place:
    _room(
        s,
        rng,
        _pick(rng, (0.62, 0.64, 0.66), (0.70, 0.70, 0.68), (0.38, 0.44, 0.50)),
        "plain",
        _pick(rng, (0.20, 0.22, 0.26), (0.28, 0.25, 0.22)),
        "carpet",
        24,
    )
    for x in (-17.0, 0.0, 17.0):
        _window(s, x, 8, -24, 13, 14, night, None)
    if night:
        s.quad((-26, 0, -26), (52, 0, 0), (0, 27, 0), (0.5, 0.5, 0.5), "facade lit", 20, emission=1.5)
    for k, x in enumerate((-15.0, 13.0)):
        s.box((x, 7.3, -13), (15, 0.6, 7), (0.55, 0.42, 0.28), "wood", 9)
        for dx in (-6.5, 6.5):
            s.box((x + dx, 3.6, -13), (0.5, 7.2, 6), (0.15, 0.15, 0.16))
        s.box((x, 10.6, -14.5), (6, 3.8, 0.3), (0.02, 0.02, 0.025))
        s.quad(
            (x - 2.8, 8.9, -14.3),
            (5.6, 0, 0),
            (0, 3.4, 0),
            (0.25, 0.40, 0.62),
            "facade" if k else "picture",
            emission=1.0,
        )
        s.box((x, 8.2, -14.5), (0.6, 1.4, 0.4), (0.05, 0.05, 0.05))
        s.box((x + 1, 5, -9), (5, 6, 1), (0.03, 0.03, 0.04), "carpet")
    _plant(s, rng, float(rng.choice([-23, 23])), -20, 9)
    for z in (-15, -3, 9):
        s.box((0, 26.8, z), (16, 0.3, 2), (0.95, 0.95, 0.92), emission=1.5)
    return Place(*s.mesh(), True)


def library(s: Solids, rng: Rng, night: bool) -> Place:
    _room(s, rng, (0.30, 0.24, 0.17), "plaster", (0.28, 0.15, 0.08), "wood", 24)
    for x in np.arange(-22, 23, 11.0):
        _shelf(s, x, -22, 10.6, 24)
    for side in (-1, 1):
        for z in (-14.0, -3.0):
            _shelf(s, side * 22, z, 10.6, 22, turn=-side * np.pi / 2)
    s.box((float(rng.uniform(-9, 9)), 3.8, -13), (14, 0.7, 7), (0.22, 0.12, 0.06), "wood", 8)
    s.tube([(9, 4, -13), (9, 6.2, -13)], [0.2, 0.2], (0.5, 0.4, 0.1))
    s.tube([(9, 6, -13), (9, 7.6, -13)], [1.6, 0.7], (0.05, 0.42, 0.2), emission=0.9, closed=False)
    return Place(*s.mesh(), True, lamp=(9.0, 8.0, -9.0) if night else None)


def classroom(s: Solids, rng: Rng, night: bool) -> Place:
    _room(
        s,
        rng,
        _pick(rng, (0.70, 0.66, 0.50), (0.50, 0.60, 0.62), (0.68, 0.68, 0.66)),
        "plain",
        (0.42, 0.38, 0.32),
        "tiles",
        18,
    )
    board = _pick(rng, (0.03, 0.13, 0.07), (0.03, 0.035, 0.04))
    s.box((0, 14, -17.7), (34, 12.6, 0.4), (0.36, 0.22, 0.11))
    s.quad((-16.4, 8.4, -17.4), (32.8, 0, 0), (0, 11.4, 0), board, "plaster", 14)
    for k in range(9):
        y, x, w = 17.8 - 1.5 * (k % 5), float(rng.uniform(-15, 3)), float(rng.uniform(3, 9))
        for j in range(int(w)):
            s.quad((x + j, y + 0.15 * (j % 2), -17.3), (0.7, 0, 0), (0, 0.28, 0), (0.7, 0.7, 0.66))
    for side, x in enumerate((-21, 21)):
        if side:
            _window(s, x, 8, -17.8, 7, 13, night, None)
        else:
            s.quad((x - 3.5, 10, -17.7), (7, 0, 0), (0, 9, 0), (0.5, 0.5, 0.5), "picture")
    for x in (-16, 15):
        s.box((x, 6.6, -10), (9, 0.5, 5), (0.60, 0.42, 0.22), "wood", 8)
        s.box((x, 3.2, -10), (0.6, 6.4, 4), (0.2, 0.2, 0.22))
    return Place(*s.mesh(), True)


def studio(s: Solids, rng: Rng, _night: bool) -> Place:
    color = _pick(
        rng,
        (0.36, 0.36, 0.38),
        (0.66, 0.66, 0.64),
        (0.10, 0.22, 0.44),
        (0.46, 0.10, 0.10),
        (0.07, 0.07, 0.08),
        (0.60, 0.42, 0.10),
        (0.10, 0.32, 0.26),
    )
    path = (
        [(z, 0.0) for z in (70, 0, -14)]
        + [(-14 - 8 * np.sin(a), 8 - 8 * np.cos(a)) for a in np.linspace(0.2, np.pi / 2, 7)]
        + [(-22.0, 45.0)]
    )
    for (z0, y0), (z1, y1) in pairwise(path):
        s.quad((-60, y0, z0), (120, 0, 0), (0, y1 - y0, z1 - z0), color, "plain", 30)
    return Place(*s.mesh(), True)


def stage(s: Solids, rng: Rng, _night: bool) -> Place:
    s.quad((-50, 0, 60), (100, 0, 0), (0, 0, -84), (0.20, 0.11, 0.06), "wood", 12)
    cloth = _pick(rng, (0.40, 0.02, 0.03), (0.05, 0.06, 0.25), (0.22, 0.03, 0.22))
    s.quad((-44, 0, -22), (88, 0, 0), (0, 34, 0), cloth, "curtain", 22)
    for side in (-1, 1):
        s.quad(
            (side * 27 - 8, 0, -13),
            (16, 0, 0),
            (0, 34, 0),
            (cloth[0] * 0.7, cloth[1] * 0.7, cloth[2] * 0.7),
            "curtain",
            18,
        )
    for k, x in enumerate(np.linspace(-20, 20, 5)):
        glow = [(1.0, 0.75, 0.4), (0.9, 0.3, 0.5), (0.4, 0.6, 1.0)][k % 3]
        s.tube([(x, 27, -15), (x, 25.5, -13.8)], [0.9, 1.3], (0.03, 0.03, 0.03))
        s.ball((x, 25.4, -13.6), (1.0, 1.0, 0.5), glow, emission=2.5)
    s.box((0, 28.4, -15), (60, 0.5, 0.5), (0.04, 0.04, 0.04))
    return Place(*s.mesh(), True, gloss=0.3)


def cafe(s: Solids, rng: Rng, night: bool) -> Place:
    _room(s, rng, _pick(rng, (0.36, 0.17, 0.11), (0.42, 0.30, 0.22)), "brick", (0.26, 0.16, 0.09), "wood", 22, 26, 14)
    s.box((-8, 5.4, -15), (26, 10.8, 5), (0.16, 0.09, 0.05), "wood", 9)
    s.box((-8, 11, -15), (27, 0.6, 6), (0.45, 0.40, 0.34))
    s.quad((-19, 13, -21.8), (22, 0, 0), (0, 9, 0), (0.03, 0.035, 0.035), "plaster", 14)
    for k in range(12):
        s.quad(
            (-18 + 7 * (k % 3), 20.5 - 1.7 * (k // 3), -21.7),
            (float(rng.uniform(2.5, 5.5)), 0, 0),
            (0, 0.4, 0),
            (0.6, 0.58, 0.5),
        )
    for x in (-14.0, -5.0, 6.0, 16.0):
        s.tube([(x, 27, -10), (x, 21.4, -10)], [0.08, 0.08], (0.02, 0.02, 0.02))
        s.ball((x, 20.6, -10), (0.9, 1.1, 0.9), (1.0, 0.72, 0.35), emission=2.0)
    for x in (13.0, 22.0):
        s.tube([(x, 7.4, -11), (x, 8, -11)], [3.4, 3.4], (0.40, 0.26, 0.14), columns=20)
        s.tube([(x, 0, -11), (x, 7.4, -11)], [0.4, 0.3], (0.05, 0.05, 0.05))
        s.tube([(x, 8, -11), (x, 9.2, -11)], [0.5, 0.6], (0.7, 0.7, 0.68))
    _window(s, 17, 8, -21.9, 13, 13, night, None)
    _plant(s, rng, 24, -17, 8)
    return Place(*s.mesh(), True, lamp=(4.0, 20.0, -6.0) if night else None)


INDOOR: dict[str, Callable[[Solids, Rng, bool], Place]] = {
    "living room": living_room, "kitchen": kitchen, "office": office, "library": library, "classroom": classroom,
    "studio": studio, "stage": stage, "cafe": cafe,
}  # fmt: skip
