"""Subjects that sound: each has a mesh per frame and the exact times at which it sounds, from the same formulas.

A drawing is a list of (vertices [N, 14], triangles [F, 3], model matrix [4,
4]); parts that never change shape are built
once. Lengths in decimetres on the ground y = 0; `heading` -1 mirrors left and right.

Over 400 lines: every subject keeps its shape, motion and events side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from . import horse
from .anatomy import Floats, Ints
from .camera import Focus, ease
from .characters import COATS
from .landscapes import parked_car
from .scene import Scene, Thing
from .solids import RGB, Solids
from .spaces import placed, turn_z

COLORS: dict[str, RGB] = {
    "red": (0.62, 0.04, 0.04), "orange": (0.78, 0.17, 0.015), "yellow": (0.85, 0.62, 0.06), "green": (0.06, 0.36, 0.12),
    "blue": (0.04, 0.14, 0.55), "white": (0.75, 0.75, 0.73), "black": (0.03, 0.03, 0.035), "silver": (0.45, 0.46, 0.48),
    "brown": (0.25, 0.13, 0.06), "golden": (0.62, 0.42, 0.08),
}  # fmt: skip
PALETTE: dict[str, tuple[str, ...]] = {
    "horse": tuple(COATS), "ball": ("red", "orange", "yellow", "green", "blue"), "waves": ("blue",),
    "car": ("red", "yellow", "blue", "white", "black", "green"), "bell": ("golden", "silver"), "metronome": ("brown",
    "black", "red"),
    "fire": ("orange",), "drum": ("red", "blue", "white", "brown"), "bird": ("blue", "red", "yellow", "brown"),
    "door": ("brown", "green", "blue", "white", "red"),
}  # fmt: skip
Part = tuple[Floats, Ints, Floats]


@dataclass(frozen=True)
class Event:
    """A sound's exact moment: `kind` names the sound, `strength` 0..1, `x` the place to the viewer's right in dm."""

    time_s: float
    kind: str
    strength: float = 1.0
    x: float = 0.0
    detail: str = ""


def _offset(scene: Scene) -> Floats:
    """A thing beside people stands behind and to the side of them."""
    return np.array([7.5, 0.0, -9.0] if scene.people else [0.0, 0.0, 0.0], np.float32)


def _ticks(thing: Thing, seconds: float) -> list[float]:
    count = int(np.floor((seconds - thing.first_s) * thing.pace)) + 1
    return [
        round(thing.first_s + k / thing.pace, 4)
        for k in range(max(count, 0))
        if thing.first_s + k / thing.pace < seconds
    ]


def crackles(thing: Thing, seconds: float) -> list[float]:
    """Random bursts of a fire, about 2 * pace a second."""
    rng = np.random.default_rng([0xF1, thing.seed])
    times, now = [], 0.0
    while (now := now + float(rng.exponential(0.5 / thing.pace)) + 0.06) < seconds:
        times.append(round(now, 4))
    return times


def events(scene: Scene) -> tuple[Event, ...]:
    """Every sounding moment of the scene's things and weather, in order of time."""
    found: list[Event] = []
    for thing in scene.things:
        if thing.kind == "horse":
            gallop = horse.Gallop(thing.pace, thing.first_s)
            found += [
                Event(t, "hoof", 0.9 if leg.startswith("fore") else 1.0, 0.0, leg)
                for t, leg in gallop.contacts(scene.seconds)
            ]
        elif thing.kind == "fire":
            found += [
                Event(t, "crackle", 0.4 + 0.6 * ((k * 7919) % 13) / 12)
                for k, t in enumerate(crackles(thing, scene.seconds))
            ]
        elif thing.kind == "car":
            found.append(Event(round(car_pass_s(thing), 4), "car", 1.0))
        elif thing.kind == "door":
            found += [Event(t, "slam", 1.0) for t in _ticks(thing, scene.seconds)]
        else:
            name = {
                "ball": "bounce",
                "waves": "wave",
                "bell": "bell",
                "metronome": "tick",
                "drum": "drum",
                "bird": "chirp",
            }[thing.kind]
            found += [Event(t, name, 1.0, float(_offset(scene)[0])) for t in _ticks(thing, scene.seconds)]
    if scene.weather == "rain":
        found.append(Event(0.0, "rain", 1.0, detail=f"until {scene.seconds}"))
    return tuple(sorted(found, key=lambda event: (event.time_s, event.kind)))


def _phase(thing: Thing, t_s: float) -> float:
    """Progress between two events, 0 at each event."""
    return float(((t_s - thing.first_s) * thing.pace) % 1.0)


# --- ball -----------------------------------------------------------------------------------------------------------


BALL_RADIUS = 1.25
GRAVITY = 98.1  # dm/s^2


def ball_height(thing: Thing, t_s: float) -> tuple[float, float]:
    """(height of the ball's lowest point, squash 0..1): a parabola under gravity between two contacts."""
    u = _phase(thing, t_s)
    period = 1 / thing.pace
    fly = u * period
    height = 0.5 * GRAVITY * fly * (period - fly)
    near = min(u, 1 - u) * period
    return height, float(np.exp(-((near / 0.022) ** 2)))


@cache
def _ball(color: str) -> tuple[Floats, Ints]:
    s = Solids()
    theta, phi = np.meshgrid(np.linspace(0.02, np.pi - 0.02, 18), np.linspace(0, 2 * np.pi, 28), indexing="ij")
    unit = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1).reshape(-1, 3)
    j, i = np.meshgrid(np.arange(27), np.arange(17))
    a = (i * 28 + j).ravel()
    faces = np.concatenate([np.stack([a, a + 28, a + 1], 1), np.stack([a + 1, a + 28, a + 29], 1)])
    stripe = (np.floor(phi.ravel() / (np.pi / 3)) % 2)[:, None]
    tint = stripe * np.array(COLORS[color]) + (1 - stripe) * np.array([0.8, 0.79, 0.75])
    s.add(unit, unit, np.zeros((len(unit), 2)), faces, tint.astype(np.float32))
    return s.mesh()


def _draw_ball(thing: Thing, t_s: float) -> list[Part]:
    height, squash = ball_height(thing, t_s)
    scale = np.diag([1 + 0.16 * squash, 1 - 0.26 * squash, 1 + 0.16 * squash]).astype(np.float32) * BALL_RADIUS
    spin = turn_z(-1.1 * t_s)
    middle = height + BALL_RADIUS * (1 - 0.26 * squash)
    return [(*_ball(thing.color), placed(scale @ spin, (0, middle, 0)))]


# --- car ------------------------------------------------------------------------------------------------------------


def car_pass_s(thing: Thing) -> float:
    """When the car is beside the camera."""
    return thing.first_s + 1.2


def car_x(thing: Thing, t_s: float) -> float:
    """Distance along the road from the closest point, dm."""
    return (t_s - car_pass_s(thing)) * 75.0 * thing.pace


@cache
def _car(color: str) -> tuple[Floats, Ints]:
    s = Solids()
    parked_car(s, 0, 0, COLORS[color], True)
    return s.mesh()


# --- bell, metronome, drum, bird, door, fire --------------------------------------------------------------------------


def bell_angle(thing: Thing, t_s: float) -> float:
    """Swing of the bell in radians; it strikes at every turning point."""
    return 0.55 * float(np.cos(np.pi * (t_s - thing.first_s) * thing.pace))


@cache
def _bell(color: str) -> tuple[tuple[Floats, Ints], ...]:
    metal = COLORS[color]
    s = Solids()
    profile = [(0.0, 0.5), (-0.3, 1.5), (-1.2, 2.0), (-3.0, 2.35), (-4.6, 2.9), (-5.6, 3.7), (-6.0, 4.1)]
    s.tube([(0, y, 0) for y, _ in profile], [r for _, r in profile], metal, columns=28, closed=False)
    s.tube([(0, 1.0, 0), (0, -0.2, 0)], [0.5, 0.6], metal)
    clapper = Solids()
    clapper.tube([(0, -0.4, 0), (0, -5.2, 0)], [0.16, 0.2], (0.05, 0.05, 0.05))
    clapper.ball((0, -5.6, 0), (0.75,) * 3, (0.06, 0.06, 0.06))
    frame = Solids()
    for side in (-1, 1):
        frame.box((side * 6.5, 8.5, 0), (1.0, 17, 1.2), (0.24, 0.14, 0.07), "wood", 7)
    frame.box((0, 17.2, 0), (15, 1.2, 1.4), (0.24, 0.14, 0.07), "wood", 7)
    frame.box((0, 0.4, 0), (16, 0.8, 5), (0.22, 0.13, 0.07), "wood", 7)
    return s.mesh(), clapper.mesh(), frame.mesh()


def _draw_bell(thing: Thing, t_s: float) -> list[Part]:
    bell, clapper, frame = _bell(thing.color)
    angle = bell_angle(thing, t_s)
    rate = float(-np.sin(np.pi * (t_s - thing.first_s) * thing.pace))
    # The clapper lags the bell and touches the rim where the bell turns.
    swing = angle * 1.0 + np.sign(angle) * 0.42 * (1 - abs(rate)) ** 0.5 * (
        1 if abs(angle) > 0.05 else abs(angle) / 0.05
    )
    pivot = (0.0, 15.6, 0.0)
    return [
        (*frame, np.eye(4, dtype=np.float32)),
        (*bell, placed(turn_z(angle), pivot)),
        (*clapper, placed(turn_z(float(swing)), pivot)),
    ]


@cache
def _metronome(color: str) -> tuple[tuple[Floats, Ints], ...]:
    s = Solids()
    wood = COLORS[color]
    s.tube([(0, 0, 0), (0, 0.5, 0)], [2.6, 2.6], (0.05, 0.03, 0.02), columns=4)
    s.tube([(0, 0.5, 0), (0, 7.6, 0), (0, 8.0, 0)], [2.3, 0.85, 0.3], wood, "wood", 4)
    s.quad((-0.75, 1.3, 1.62), (1.5, 0, 0), (-0.05, 5.6, -1.05), (0.75, 0.70, 0.55), "plain")
    arm = Solids()
    arm.box((0, 3.2, 0), (0.16, 6.8, 0.06), (0.75, 0.75, 0.78))
    arm.box((0, 4.9, 0.05), (0.75, 0.8, 0.2), (0.6, 0.45, 0.1))
    table = Solids()
    table.box((0, -0.35, 0), (34, 0.7, 12), (0.30, 0.18, 0.09), "wood", 8)
    for x in (-15, 15):
        table.box((x, -5, 0), (1.2, 9, 9), (0.26, 0.15, 0.08), "wood", 8)
    return s.mesh(), arm.mesh(), table.mesh()


def metronome_angle(thing: Thing, t_s: float) -> float:
    """The arm's angle in radians; it ticks at both ends of the swing."""
    return 0.48 * float(np.cos(np.pi * (t_s - thing.first_s) * thing.pace))


TABLE = 9.0


def _draw_metronome(thing: Thing, t_s: float) -> list[Part]:
    case, arm, table = _metronome(thing.color)
    return [
        (*table, placed(np.eye(3, dtype=np.float32), (0, TABLE, 0))),
        (*case, placed(np.eye(3, dtype=np.float32), (0, TABLE, 0))),
        (*arm, placed(turn_z(metronome_angle(thing, t_s)), (0, TABLE + 1.2, 1.95))),
    ]


def stick_lift(thing: Thing, t_s: float) -> float:
    """The drumstick's angle over the skin, 0 exactly at each stroke."""
    u = _phase(thing, t_s)
    return 0.62 * float(np.sin(np.pi * u) ** 0.8)


@cache
def _drum(color: str) -> tuple[tuple[Floats, Ints], ...]:
    s = Solids()
    s.tube([(0, 5.0, 0), (0, 9.0, 0)], [4.0, 4.0], COLORS[color], columns=32)
    for y in (5.2, 8.9):
        s.tube([(0, y - 0.25, 0), (0, y + 0.25, 0)], [4.2, 4.2], (0.5, 0.5, 0.52), columns=32)
    s.tube([(0, 9.0, 0), (0, 9.18, 0)], [3.9, 3.9], (0.78, 0.76, 0.70), columns=32)
    for k in range(10):
        a = k * np.pi / 5
        s.tube(
            [(4.12 * np.cos(a), 5.2, 4.12 * np.sin(a)), (4.12 * np.cos(a), 8.9, 4.12 * np.sin(a))],
            [0.1, 0.1],
            (0.6, 0.6, 0.62),
        )
    for a in (0.4, 2.5, 4.6):
        s.tube(
            [(2.5 * np.cos(a), 5, 2.5 * np.sin(a)), (4 * np.cos(a), 0, 4 * np.sin(a))], [0.22, 0.22], (0.5, 0.5, 0.52)
        )
    stick = Solids()
    stick.tube([(0, 0.22, 0), (6.6, 0.42, 0.0)], [0.14, 0.24], (0.62, 0.42, 0.2), "wood")
    stick.ball((0, 0.22, 0), (0.32, 0.22, 0.22), (0.62, 0.42, 0.2))
    return s.mesh(), stick.mesh()


def _draw_drum(thing: Thing, t_s: float) -> list[Part]:
    drum, stick = _drum(thing.color)
    angle = stick_lift(thing, t_s)
    grip = np.array([6.6, 0.42, 0.0])
    turn = turn_z(-angle)
    at = np.array([0.2, 9.18, 0.8]) + grip - turn @ grip
    return [(*drum, np.eye(4, dtype=np.float32)), (*stick, placed(turn, at))]


@cache
def _bird(color: str) -> tuple[tuple[Floats, Ints], ...]:
    tint = COLORS[color]
    pale: RGB = (0.7, 0.62, 0.45)
    s = Solids()
    s.ball((0, 0, 0), (1.5, 1.05, 0.95), tint, "fur")
    s.ball((0.5, -0.3, 0), (1.15, 0.85, 0.82), pale, "fur")
    s.tube([(-1.0, 0.1, 0), (-2.3, 0.0, 0), (-3.4, -0.1, 0)], [0.55, 0.4, 0.5], tint, "fur", 8, 0.5)
    for z in (-0.75, 0.75):
        s.ball((-0.5, 0.15, z), (1.35, 0.62, 0.3), (tint[0] * 0.55, tint[1] * 0.55, tint[2] * 0.55), "fur")
        s.tube([(0.2, -0.8, z * 0.4), (0.3, -1.8, z * 0.4)], [0.09, 0.08], (0.4, 0.22, 0.06))
    head = Solids()
    head.ball((0, 0, 0), (0.82, 0.80, 0.74), tint, "fur")
    for z in (-0.55, 0.55):
        head.ball((0.45, 0.18, z), (0.15, 0.15, 0.12), (0.004, 0.004, 0.004))
    head.tube([(0.65, 0.06, 0), (1.45, 0.0, 0)], [0.24, 0.03], (0.75, 0.42, 0.05), columns=8)
    jaw = Solids()
    jaw.tube([(0, 0, 0), (0.72, -0.03, 0)], [0.2, 0.03], (0.70, 0.38, 0.05), columns=8)
    perch = Solids()
    perch.tube(
        [(-24, 8.6, -0.4), (-8, 10, 0), (4, 10.2, 0), (24, 11.4, 0.6)],
        [0.7, 0.55, 0.5, 0.35],
        (0.20, 0.13, 0.08),
        "bark",
    )
    for x, y in ((-14, 10.2), (-18, 9.4), (12, 11.6), (16, 11.2), (19, 12.0)):
        perch.ball((x, y + 1.0, 0.2), (2.1, 1.4, 1.2), (0.5, 0.62, 0.4), "leaves", repeat=1.0)
    return s.mesh(), head.mesh(), jaw.mesh(), perch.mesh()


def beak_open(thing: Thing, t_s: float) -> float:
    """Beak angle in radians: opens at each chirp and closes within 0.16 s."""
    since = _phase(thing, t_s) / thing.pace
    return 0.55 * float(min(since / 0.03, 1.0) * np.exp(-max(since - 0.03, 0) / 0.06))


def _draw_bird(thing: Thing, t_s: float) -> list[Part]:
    body, head, jaw, perch = _bird(thing.color)
    opened = beak_open(thing, t_s)
    tip = 0.10 * np.sin(2 * np.pi * 0.4 * t_s) + 0.25 * opened
    trunk = placed(turn_z(0.28 + 0.10 * opened), (0, 11.9, 0))
    skull = trunk @ placed(turn_z(tip), (1.25, 0.75, 0))
    return [
        (*perch, np.eye(4, dtype=np.float32)), (*body, trunk), (*head, skull),
        (*jaw, skull @ placed(turn_z(-opened), (0.66, -0.10, 0))),
    ]  # fmt: skip


def door_angle(thing: Thing, t_s: float) -> float:
    """How far the door stands open, 0 exactly when it slams."""
    u = _phase(thing, t_s)
    opening = ease(u, 0.10, 0.55)
    return 1.15 * float(opening * (1 - ease(u, 0.80, 1.0) ** 2 if u > 0.80 else opening))


@cache
def _door(color: str) -> tuple[tuple[Floats, Ints], ...]:
    frame, leaf = Solids(), Solids()
    for x in (-5.4, 5.4):
        frame.box((x, 10.5, 0), (1.0, 21, 1.4), (0.62, 0.60, 0.56))
    frame.box((0, 21.3, 0), (11.8, 1.0, 1.4), (0.62, 0.60, 0.56))
    frame.quad((-4.9, 0, -0.5), (9.8, 0, 0), (0, 20.8, 0), (0.015, 0.014, 0.016))
    for x in (-21, 21):
        frame.box((x, 14, -0.4), (30.2, 28, 0.8), (0.50, 0.47, 0.42), "plaster", 14)
    frame.box((0, 24.9, -0.4), (11.8, 6.2, 0.8), (0.50, 0.47, 0.42), "plaster", 14)
    leaf.box((4.9, 10.4, 0), (9.8, 20.8, 0.5), COLORS[color], "wood", 12)
    dark = tuple(0.6 * np.array(COLORS[color]))
    for y in (5.4, 14.8):
        leaf.box((4.9, y, 0.28), (6.6, 6.8, 0.12), dark, "wood", 12)
    leaf.ball((8.8, 10.2, 0.7), (0.45,) * 3, (0.62, 0.45, 0.12))
    return frame.mesh(), leaf.mesh()


def _draw_door(thing: Thing, t_s: float) -> list[Part]:
    frame, leaf = _door(thing.color)
    c, s = np.cos(-door_angle(thing, t_s)), np.sin(-door_angle(thing, t_s))
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
    return [(*frame, np.eye(4, dtype=np.float32)), (*leaf, placed(turn, (-4.9, 0, 0.3)))]


@cache
def _logs() -> tuple[Floats, Ints]:
    s = Solids()
    for k in range(6):
        a = k * np.pi / 3
        s.tube(
            [(3.6 * np.cos(a), 0.4, 3.6 * np.sin(a)), (0.3 * np.cos(a), 2.2, 0.3 * np.sin(a))],
            [0.62, 0.5],
            (0.10, 0.06, 0.035),
            "bark",
        )
    for k in range(11):
        a = k * 2 * np.pi / 11
        s.ball((5.4 * np.cos(a), 0.4, 5.4 * np.sin(a)), (0.95, 0.7, 0.85), (0.22, 0.21, 0.20), "rock", 7, 9, 0.2, k)
    s.ball((0, 0.3, 0), (2.4, 0.6, 2.4), (1.0, 0.25, 0.04), "rock", emission=1.6)
    return s.mesh()


def draw(scene: Scene, thing: Thing, t_s: float) -> list[Part]:
    """The thing's parts at one time, in world space."""
    world = placed(np.eye(3, dtype=np.float32), _offset(scene))
    if thing.kind == "horse":
        gallop = horse.Gallop(thing.pace, thing.first_s)
        flip = np.diag([float(thing.heading), 1, 1]).astype(np.float32)
        at = placed(flip, (thing.heading * gallop.speed * (t_s - scene.seconds / 2), 0, -22.0 if scene.people else 0.0))
        return [(*horse.mesh(gallop, thing.color, t_s), at)]
    if thing.kind == "car":
        flip = np.diag([float(thing.heading), 1, 1]).astype(np.float32)
        return [(*_car(thing.color), placed(flip, (thing.heading * car_x(thing, t_s), 0, -38.0)))]
    if thing.kind == "waves":
        return []  # the water itself, drawn by the renderer
    maker = {
        "ball": _draw_ball,
        "bell": _draw_bell,
        "metronome": _draw_metronome,
        "drum": _draw_drum,
        "bird": _draw_bird,
        "door": _draw_door,
    }
    parts = maker[thing.kind](thing, t_s) if thing.kind in maker else [(*_logs(), np.eye(4, dtype=np.float32))]
    if thing.kind == "door" and scene.people:
        world = placed(np.eye(3, dtype=np.float32), (9.0, 0.0, -14.0))
    return [(vertices, faces, world @ model) for vertices, faces, model in parts]


def wave_run(thing: Thing, t_s: float) -> float:
    """How far the sea has run up the beach, 0..1: rises fast to each wave's event, sinks slowly after it."""
    u = _phase(thing, t_s)
    return float(
        np.cos(np.pi * min(u / 0.72, 1.0)) * 0.5 + 0.5 if u < 0.72 else 0.5 - 0.5 * np.cos(np.pi * (u - 0.72) / 0.28)
    )


def focus(scene: Scene, thing: Thing, t_s: float) -> Focus:
    """What the camera frames when the thing is alone."""

    def at(x: float, y: float, z: float, half: float) -> Focus:
        return Focus(np.array([x, y, z], np.float32), half, half * 0.9)

    if thing.kind == "horse":
        speed = horse.Gallop(thing.pace, thing.first_s).speed
        x = thing.heading * speed * (t_s - scene.seconds / 2)
        return Focus(np.array([x + thing.heading * 2.0, 10.4, 0.0], np.float32), 11.5, 17.5)
    middle = {
        "ball": (0, 0.5 * GRAVITY / 8 / thing.pace**2 + 1.6, 0, max(4.6,
        0.5 * GRAVITY / 4 / thing.pace**2 * 0.62 + 2.6)),
        "waves": (0, 5.0, -30, 13.0), "car": (0, 10.0, -38, 22.0), "bell": (0, 9.6, 0, 10.6), "metronome": (0,
        TABLE + 3.9, 0, 5.6),
        "fire": (0, 4.6, 0, 7.6), "drum": (1.6, 6.8, 0, 7.4), "bird": (0.2, 11.7, 0, 4.6), "door": (0, 11.4, 0, 13.4),
    }[thing.kind]  # fmt: skip
    return at(*middle)
