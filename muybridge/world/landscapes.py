"""The outdoor places, built like those of places.py: streets, shores, woods, hills and deserts.

Over 400 lines: eleven places, one function each.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from . import places
from .anatomy import Floats
from .places import Place, Rng, _pick
from .solids import RGB, Solids

FAR = 900.0


def _ground(s: Solids, color: RGB, material: str, scale: float = 24.0, near: float = 260.0, width: float = FAR) -> None:
    """Flat ground in nine pieces, so that texture coordinates stay small near the camera."""
    for z0, z1 in ((near, 0.0), (0.0, -240.0), (-240.0, -FAR)):
        s.quad((-width, 0, z0), (2 * width, 0, 0), (0, 0, z1 - z0), color, material, scale)


def _hills(
    s: Solids,
    rng: Rng,
    z: float,
    tall: float,
    color: RGB,
    material: str = "plain",
    rough: float = 1.0,
    base: float = -6.0,
) -> None:
    """A ridge across the whole width at depth z."""
    waves = [(rng.uniform(0.4, 1), rng.uniform(0, 6.3)) for _ in range(9)]

    def height(x: Floats, depth: Floats) -> Floats:
        total = np.zeros_like(x)
        for k, (a, phase) in enumerate(waves):
            sharp = (
                np.abs(np.sin(x * (0.0022 * (k + 1)) * rough + phase))
                if rough > 1
                else np.sin(x * 0.002 * (k + 1) + phase)
            )
            total = total + a * sharp / (k + 1)
        profile = np.sin(np.clip((z + 90 - depth) / 180, 0, 1) * np.pi)
        return base + tall * (0.45 + 0.4 * total) * profile

    s.terrain(FAR * 1.3, z + 90, z - 90, height, color, material, 40.0, 56, 9)


def _tree(s: Solids, rng: Rng, x: float, z: float, tall: float, kind: str = "broadleaf") -> None:
    material = kind if kind != "broadleaf" else str(rng.choice(["broadleaf", "broadleaf 2"]))
    tone = rng.uniform(0.30, 0.48)
    warm = rng.uniform(0.9, 1.25)
    s.card(
        (x, -0.4, z),
        tall * (0.8 if kind == "broadleaf" else 0.62),
        tall,
        (tone * warm, tone, tone * 0.9),
        material,
        sway=tall * 0.012,
    )


def _scatter(
    s: Solids,
    rng: Rng,
    count: int,
    z: tuple[float, float],
    kind: str,
    tall: tuple[float, float],
    gap: float = 12.0,
    spread: float = 0.9,
) -> None:
    """Cards from far to near; none stands on the person's axis close by."""
    depths = np.sort(rng.uniform(z[0], z[1], count))
    for depth in depths:
        reach = spread * (40 - depth)
        x = float(rng.uniform(-reach, reach))
        if abs(x) < gap and depth > -60:
            x = gap * np.sign(x or 1) + x
        _tree(s, rng, x, float(depth), float(rng.uniform(*tall)), kind)


def _tufts(s: Solids, rng: Rng, count: int, color: RGB, tall: float = 2.6, near: float = 6.0) -> None:
    for depth in np.sort(rng.uniform(-90, near, count)):
        x = float(rng.uniform(-50, 50))
        s.card((x, -0.1, float(depth)), tall * 1.4, tall * float(rng.uniform(0.7, 1.2)), color, "tufts", sway=0.25)


def _house(s: Solids, rng: Rng, x: float, z: float, wide: float, tall: float, deep: float, night: bool) -> None:
    color = _pick(
        rng, (0.46, 0.24, 0.16), (0.52, 0.48, 0.42), (0.36, 0.38, 0.42), (0.58, 0.50, 0.36), (0.45, 0.32, 0.28)
    )
    material, emission = ("facade lit", 1.25) if night else ("facade", 0.0)
    paint: RGB = (0.5, 0.5, 0.5) if night else color
    s.box((x, tall / 2, z), (wide, tall, deep), paint, material, 60.0, emission)
    s.box((x, 5.5, z), (wide + 0.8, 11, deep + 0.8), (color[0] * 0.4, color[1] * 0.4, color[2] * 0.4), "brick", 14.0)


def street(s: Solids, rng: Rng, night: bool) -> Place:
    _ground(s, (0.16, 0.16, 0.17), "asphalt", 20)
    s.box((0, 0.1, 10), (FAR, 0.5, 36), (0.36, 0.35, 0.34), "pavement", 14)
    s.box((0, 0.2, -98), (FAR, 1.2, 30), (0.36, 0.35, 0.34), "pavement", 14)
    for x in np.arange(-300, 301, 22.0):
        s.quad((x, 0.4, -46), (9, 0, 0), (0, 0, -1.6), (0.62, 0.6, 0.52), "plain")
    x = -290.0
    while x < 290:
        wide = float(rng.uniform(44, 80))
        _house(s, rng, x + wide / 2, -150, wide - 1.5, float(rng.uniform(90, 190)), 70, night)
        x += wide
    for k, x in enumerate(np.arange(-120, 121, 60.0)):
        s.tube([(x, 0, -86), (x, 38, -86), (x, 40, -82)], [0.7, 0.5, 0.4], (0.06, 0.06, 0.065))
        s.ball((x, 39.5, -81), (1.8, 0.9, 1.8), (1.0, 0.8, 0.5), emission=2.0 if night else 0.0)
        if not night or k % 2:
            _tree(s, rng, x + 28, -90, float(rng.uniform(38, 52)))
        sign = _pick(rng, (0.9, 0.15, 0.25), (0.1, 0.6, 0.9), (0.95, 0.6, 0.1), (0.2, 0.8, 0.4))
        s.box((x + 18, 15, -113.6), (20, 4, 1), sign, emission=1.6 if night else 0.0)
        s.quad(
            (x + 9, 1, -114.2),
            (18, 0, 0),
            (0, 9.5, 0),
            (0.9, 0.75, 0.45) if night else (0.12, 0.15, 0.18),
            "plain",
            emission=1.0 if night else 0.0,
        )
    for x in rng.uniform(-150, 150, 3):
        parked_car(
            s,
            float(x),
            -76,
            _pick(rng, (0.5, 0.04, 0.04), (0.05, 0.1, 0.3), (0.5, 0.5, 0.52), (0.03, 0.03, 0.03)),
            night,
        )
    return Place(*s.mesh(), False, haze=0.0006, gloss=0.1, lamp=(14.0, 30.0, 10.0) if night else None)


def parked_car(s: Solids, x: float, z: float, color: RGB, lights: bool = False) -> None:
    """A saloon seen from the side, 44 dm long, its nose to +x."""
    outline = [
        (-21, 3.4),
        (-21.6, 6.4),
        (-20, 8.6),
        (-12, 9.3),
        (-7, 13.6),
        (5, 13.8),
        (11.5, 9.6),
        (19.5, 8.2),
        (21.4, 6),
        (21, 3.4),
    ]
    for side in (-1, 1):
        face = np.array([(x + px, py, z + side * 8.4 * (0.86 if py > 10 else 1.0)) for px, py in outline])
        middle = np.array([[x, 7.0, z + side * 8.8]])
        fan = [(k, (k + 1) % len(outline), len(outline)) for k in range(len(outline))]
        s.add(
            np.concatenate([face, middle]),
            np.repeat([[0, 0.15, side]], len(outline) + 1, 0),
            np.zeros((len(outline) + 1, 2)),
            fan,
            color,
        )
        glass = [(-10.6, 9.6), (-6.4, 13.1), (-1, 13.2), (-1, 9.6)], [(0, 9.6), (0, 13.2), (4.8, 13.2), (9.8, 9.6)]
        for pane in glass:
            points = [(x + px, py, z + side * 8.75) for px, py in pane]
            s.add(
                points, np.repeat([[0, 0.3, side]], 4, 0), np.zeros((4, 2)), [(0, 1, 2), (0, 2, 3)], (0.03, 0.04, 0.05)
            )
        for wheel in (-13.5, 13.5):
            s.tube(
                [(x + wheel, 3.3, z + side * 6.8), (x + wheel, 3.3, z + side * 9.0)],
                [3.3, 3.3],
                (0.02, 0.02, 0.02),
                columns=18,
            )
            s.tube(
                [(x + wheel, 3.3, z + side * 9.0), (x + wheel, 3.3, z + side * 9.1)],
                [1.9, 1.9],
                (0.5, 0.5, 0.52),
                columns=14,
            )
        s.ball((x + 20.6, 6.6, z + side * 6), (0.8, 0.8, 1.2), (1.0, 0.95, 0.8), emission=2.5 if lights else 0.4)
        s.ball((x - 21.2, 6.8, z + side * 6), (0.5, 0.7, 1.2), (0.8, 0.03, 0.02), emission=1.5 if lights else 0.2)
    ring = [*outline, outline[0]]
    for (x0, y0), (x1, y1) in pairwise(ring):
        shade = (0.04, 0.05, 0.06) if min(y0, y1) > 9.2 and abs(y0 - y1) > 2 else color
        s.quad((x + x0, y0, z + 8.4), (x1 - x0, y1 - y0, 0), (0, 0, -16.8), shade)


def park(s: Solids, rng: Rng, night: bool) -> Place:
    _ground(s, (0.20, 0.30, 0.11), "grass", 22)
    _hills(s, rng, -620, 60, (0.10, 0.17, 0.08), "grass")
    _scatter(s, rng, 70, (-430, -200), "broadleaf", (70, 110), spread=0.8)
    _scatter(s, rng, 22, (-200, -60), "broadleaf", (50, 90), 16)
    s.quad((-10, 0.06, 60), (12, 0, 0), (14, 0, -330), (0.48, 0.40, 0.28), "dirt", 16)
    x = float(rng.choice([-22, 20]))
    for k in range(3):
        s.box((x, 4.3, -22 + 1.5 * k), (17, 0.5, 1.2), (0.30, 0.17, 0.08), "wood", 8)
        s.box((x, 6.2 + 1.5 * k, -23.8 - 0.4 * k), (17, 1.1, 0.4), (0.30, 0.17, 0.08), "wood", 8)
    for dx in (-7, 7):
        s.box((x + dx, 2.2, -21), (0.8, 4.4, 4), (0.05, 0.05, 0.05))
    _tufts(s, rng, 26, (0.42, 0.5, 0.4), 2.2)
    if night:
        s.tube([(-x * 0.8, 0, -24), (-x * 0.8, 32, -24)], [0.6, 0.4], (0.04, 0.04, 0.04))
        s.ball((-x * 0.8, 33, -24), (1.8,) * 3, (1.0, 0.8, 0.5), emission=2.0)
    return Place(*s.mesh(), False, haze=0.0008, lamp=(-x * 0.8, 30.0, -12.0) if night else None)


def beach(s: Solids, rng: Rng, _night: bool) -> Place:
    def shore(x: Floats, z: Floats) -> Floats:
        return np.asarray(np.where(z < -30, (z + 30) * 0.035, 0.0) + 0.0 * x)

    s.terrain(FAR, 260, -260, shore, (0.66, 0.53, 0.35), "sand", 26, 12, 24)
    s.quad((-FAR, -8, -260), (2 * FAR, 0, 0), (0, 0, -FAR), (0.05, 0.2, 0.3), "plain")
    _hills(s, rng, -860, 40, (0.20, 0.27, 0.34))
    for x in (-70.0, -48.0, 62.0, 84.0):
        if rng.random() < 0.75:
            _tree(s, rng, x + float(rng.normal(0, 8)), float(rng.uniform(-70, -36)), float(rng.uniform(60, 85)), "palm")
    for k in range(5):
        s.ball(
            (float(rng.uniform(-60, 60)), 0.2, float(rng.uniform(-55, -20))),
            (rng.uniform(1, 4), rng.uniform(0.6, 2), rng.uniform(1, 3)),
            (0.26, 0.23, 0.21),
            "rock",
            lumps=0.3,
            seed=k,
        )
    return Place(*s.mesh(), False, water=(-1.0, -46.0), haze=0.0005)


def forest(s: Solids, rng: Rng, _night: bool) -> Place:
    _ground(s, (0.14, 0.12, 0.06), "dirt", 18)
    s.quad((-FAR, 0, -300), (2 * FAR, 0, 0), (0, 200, 0), (0.035, 0.06, 0.03), "leaves", 60)
    s.quad((-FAR, 0, -301), (2 * FAR, 0, 0), (0, 160, 0), (0.02, 0.035, 0.02))
    _scatter(s, rng, 40, (-290, -90), "broadleaf", (90, 150), 14, 0.8)
    for depth in np.sort(rng.uniform(-170, -18, 26)):
        x = float(rng.uniform(-12, 12) + rng.choice([-1, 1]) * rng.uniform(12, 30 + 0.5 * abs(depth)))
        lean = rng.normal(0, 1.5)
        thick = float(rng.uniform(1.6, 4.0))
        s.tube(
            [(x, -1, depth), (x + lean * 0.4, 30, depth), (x + lean, 130, depth)],
            [thick * 1.3, thick, thick * 0.7],
            _pick(rng, (0.20, 0.14, 0.09), (0.28, 0.24, 0.19)),
            "bark",
            10,
        )
    for depth in np.sort(rng.uniform(-120, -16, 24)):
        x = float(rng.choice([-1, 1]) * rng.uniform(9, 60))
        s.ball(
            (x, 1.5, depth),
            (rng.uniform(4, 9), rng.uniform(3, 6), rng.uniform(3, 6)),
            (0.40, 0.52, 0.36),
            "leaves",
            9,
            14,
            0.3,
            int(rng.integers(99)),
            sway=0.2,
            repeat=3,
        )
    _tufts(s, rng, 40, (0.3, 0.42, 0.28), 3.2)
    return Place(*s.mesh(), False, haze=0.0022)


def mountains(s: Solids, rng: Rng, _night: bool) -> Place:
    _ground(s, (0.26, 0.30, 0.16), "grass", 30)

    def snowcap(p: Floats) -> Floats:
        rise = np.clip((p[:, 1] - 120) / 60, 0, 1)[:, None]
        return np.asarray((1 - rise) * np.array([0.20, 0.19, 0.20]) + rise * np.array([0.80, 0.82, 0.86]))

    waves = [(rng.uniform(0.5, 1), rng.uniform(0, 6.3), rng.uniform(0, 6.3)) for _ in range(8)]

    def peaks(x: Floats, z: Floats) -> Floats:
        total = np.zeros_like(x)
        for k, (a, p, q) in enumerate(waves):
            f = 0.0055 * 1.55**k
            total += a * (1 - np.abs(np.sin(x * f + p + 0.7 * np.sin(z * f + q)))) / 1.55**k
        return -10 + 150 * total * np.sin(np.clip((-320 - z) / 560, 0, 1) * np.pi) ** 0.8

    s.terrain(1100, -320, -FAR, peaks, snowcap, "rock", 70, 84, 34)
    _scatter(s, rng, 60, (-330, -150), "conifer", (40, 70), 10, 0.9)
    _scatter(s, rng, 14, (-150, -50), "conifer", (40, 62), 16)
    for k in range(8):
        s.ball(
            (float(rng.choice([-1, 1]) * rng.uniform(12, 70)), 0.0, float(rng.uniform(-80, -14))),
            rng.uniform(2, 6, 3),
            (0.32, 0.31, 0.30),
            "rock",
            lumps=0.3,
            seed=k,
        )
    _tufts(s, rng, 30, (0.46, 0.48, 0.34), 2.4)
    return Place(*s.mesh(), False, haze=0.0009)


def snowfield(s: Solids, rng: Rng, _night: bool) -> Place:
    _ground(s, (0.78, 0.81, 0.86), "snow", 40)
    _hills(s, rng, -560, 90, (0.72, 0.77, 0.85), "snow", 2.0)
    _scatter(s, rng, 46, (-420, -70), "conifer", (36, 75), 16, 0.9)
    for k in range(9):
        x = float(rng.choice([-1, 1]) * rng.uniform(10, 60))
        s.ball(
            (x, -1.5, float(rng.uniform(-60, -16))),
            (rng.uniform(6, 14), 3, rng.uniform(4, 7)),
            (0.80, 0.83, 0.88),
            "snow",
            lumps=0.1,
            seed=k,
        )
    if rng.random() < 0.5:
        s.box((-36, 7, -70), (26, 14, 20), (0.22, 0.13, 0.07), "wood", 10)
        s.quad((-51, 12, -58), (30, 0, 0), (0, 10, -12), (0.82, 0.85, 0.9), "snow", 20)
        s.box((-33, 7.5, -59.8), (4, 4, 0.3), (1.0, 0.7, 0.3), emission=1.2)
    return Place(*s.mesh(), False, haze=0.0012)


def desert(s: Solids, rng: Rng, _night: bool) -> Place:
    def dunes(x: Floats, z: Floats) -> Floats:
        away = np.clip((-z - 60) / 140, 0, 1)
        return np.asarray(
            away * (9 * np.sin(x * 0.013 + z * 0.02) + 14 * np.abs(np.sin(x * 0.006 - z * 0.009 + 1.3)) + 5)
        )

    s.terrain(FAR, 260, -FAR, dunes, _pick(rng, (0.66, 0.42, 0.20), (0.70, 0.52, 0.30)), "sand", 30, 80)
    for _ in range(3):
        x = float(rng.uniform(-500, 500))
        s.box((x, 60, -820), (rng.uniform(120, 220), 150, 90), (0.42, 0.21, 0.11), "rock", 90)
    for _ in range(9):
        z = float(rng.uniform(-150, -18))
        x = float(rng.choice([-1, 1]) * rng.uniform(12, 40 + 0.5 * abs(z)))
        tall = float(rng.uniform(9, 24))
        green = _pick(rng, (0.10, 0.20, 0.08), (0.14, 0.24, 0.12))
        s.tube([(x, -1, z), (x, tall * 0.9, z), (x, tall, z)], [1.5, 1.4, 0.4], green, "plaster", 10)
        for side in (-1, 1):
            y = tall * rng.uniform(0.35, 0.6)
            s.tube(
                [(x, y, z), (x + side * 3.2, y + 0.4, z), (x + side * 3.6, y + tall * 0.3, z)],
                [0.9, 0.9, 0.7],
                green,
                "plaster",
                8,
            )
    for k in range(7):
        s.ball(
            (float(rng.choice([-1, 1]) * rng.uniform(9, 60)), 0.0, float(rng.uniform(-70, -12))),
            rng.uniform(1, 5, 3),
            (0.45, 0.26, 0.15),
            "rock",
            lumps=0.3,
            seed=k,
        )
    return Place(*s.mesh(), False, haze=0.0006)


def meadow(s: Solids, rng: Rng, _night: bool) -> Place:
    _ground(s, (0.27, 0.34, 0.12), "grass", 26)
    _hills(s, rng, -700, 120, (0.20, 0.30, 0.13), "grass")
    _hills(s, rng, -420, 50, (0.22, 0.31, 0.11), "grass")
    _scatter(s, rng, 16, (-360, -110), "broadleaf", (45, 80), 14)
    for x in np.arange(-600, 601, 24.0):
        s.box((x, 4.5, -72), (1.2, 9, 1.2), (0.34, 0.25, 0.16), "bark", 6)
    for y in (4.0, 7.4):
        s.box((0, y, -72), (1200, 0.9, 0.5), (0.38, 0.29, 0.19), "wood", 9)
    _tufts(s, rng, 60, (0.5, 0.56, 0.36), 2.6)
    for _ in range(60):
        s.ball(
            (float(rng.uniform(-60, 60)), 1.0, float(rng.uniform(-65, 0))),
            (0.35, 0.3, 0.35),
            _pick(rng, (0.9, 0.8, 0.1), (0.8, 0.15, 0.12), (0.8, 0.8, 0.85), (0.45, 0.2, 0.7)),
            rings=5,
            columns=7,
        )
    return Place(*s.mesh(), False, haze=0.0007)


def rooftop(s: Solids, rng: Rng, night: bool) -> Place:
    s.quad((-60, 0, 200), (120, 0, 0), (0, 0, -228), (0.34, 0.33, 0.32), "pavement", 18)
    s.box((0, 4.5, -28), (120, 9, 2), (0.36, 0.30, 0.26), "brick", 12)
    s.quad((-FAR, -160, 200), (2 * FAR, 0, 0), (0, 0, -FAR), (0.12, 0.12, 0.13), "asphalt", 60)
    for depth in np.sort(rng.uniform(-640, -110, 34)):
        x = float(rng.uniform(-1.0, 1.0) * (90 - depth))
        tall = float(rng.uniform(40, 260))
        _house(s, rng, x, float(depth), float(rng.uniform(40, 80)), tall, 60.0, night)
    s.tube([(-30, 0, -20), (-30, 14, -20)], [7, 7], (0.30, 0.19, 0.11), "wood", 16)
    s.tube([(-30, 14, -20), (-30, 19, -20)], [7.4, 0.3], (0.2, 0.2, 0.2))
    s.box((26, 4, -21), (12, 8, 8), (0.5, 0.5, 0.5), "cupboards", 8)
    return Place(*s.mesh(), False, haze=0.0008)


def garden(s: Solids, rng: Rng, _night: bool) -> Place:
    _ground(s, (0.17, 0.30, 0.09), "grass", 16)
    s.box((0, 10, -46), (FAR, 20, 6), (0.30, 0.42, 0.26), "leaves", 12)
    s.box((0, 9.6, -47), (FAR, 19, 5), (0.03, 0.06, 0.02))
    _scatter(s, rng, 26, (-260, -60), "broadleaf", (60, 95), 10)
    for k in range(16):
        x, z = float(rng.choice([-1, 1]) * rng.uniform(8, 44)), float(rng.uniform(-42, -10))
        size = float(rng.uniform(3, 5.5))
        s.ball(
            (x, size * 0.7, z),
            (size, size * 0.8, size),
            (0.5, 0.62, 0.42),
            "leaves",
            10,
            14,
            0.25,
            k,
            sway=0.1,
            repeat=3,
        )
        tint = _pick(
            rng, (0.85, 0.12, 0.16), (0.9, 0.55, 0.65), (0.9, 0.75, 0.15), (0.85, 0.85, 0.88), (0.45, 0.2, 0.7)
        )
        for _ in range(9):
            d = rng.normal(0, 1, 3)
            d = d / np.linalg.norm(d) * size * np.array([1, 0.8, 1])
            s.ball((x + d[0], size * 0.7 + abs(d[1]), z + abs(d[2])), (0.5,) * 3, tint, rings=5, columns=7)
    s.quad((-5, 0.05, 60), (10, 0, 0), (-4, 0, -100), (0.5, 0.46, 0.40), "pavement", 12)
    return Place(*s.mesh(), False, haze=0.0005)


def lakeside(s: Solids, rng: Rng, _night: bool) -> Place:
    def bank(x: Floats, z: Floats) -> Floats:
        return np.asarray(np.where(z < -22, (z + 22) * 0.05, 0.0) + 0.0 * x)

    s.terrain(FAR, 260, -200, bank, (0.26, 0.27, 0.14), "grass", 22, 12, 24)
    _hills(s, rng, -640, 190, (0.10, 0.17, 0.14), "grass", 2.0, base=-4)
    _scatter(s, rng, 60, (-560, -520), "conifer", (40, 70), 4, 0.9)
    for z in np.arange(-20, -90, -2.2):
        s.box((16, 0.9, z), (9, 0.5, 2.0), (0.34, 0.24, 0.15), "wood", 9)
    for z in (-28, -50, -72):
        for x in (12, 20):
            s.tube([(x, -8, z), (x, 4, z)], [0.7, 0.7], (0.22, 0.15, 0.1), "bark")
    _scatter(s, rng, 6, (-40, -24), "broadleaf", (50, 75), 24)
    _tufts(s, rng, 30, (0.42, 0.5, 0.3), 3.4)
    return Place(*s.mesh(), False, water=(-1.2, -44.0), haze=0.0009)


OUTDOOR: dict[str, Callable[[Solids, Rng, bool], Place]] = {
    "street": street, "park": park, "beach": beach, "forest": forest, "mountains": mountains, "snowfield": snowfield,
    "desert": desert, "meadow": meadow, "rooftop": rooftop, "garden": garden, "lakeside": lakeside,
}  # fmt: skip
PLACES = {**places.INDOOR, **OUTDOOR}


def build(name: str, seed: int, night: bool) -> Place:
    """Build a place of PLACES; the same name, seed and hour give the same place."""
    return PLACES[name](Solids(), np.random.default_rng([0x91ACE, seed]), night)
