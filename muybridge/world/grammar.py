"""Draw scenes from a seed: what may stand where, and which draws belong to training and which to evaluation.

Every factor has its own random stream keyed by (seed, factor), so replacing one factor leaves all others as they were.
Splits are decided by hashes of what is drawn: an identity, a combination or a caption template that evaluation may
use never
occurs in training.
"""

from __future__ import annotations

import dataclasses
import hashlib
from itertools import pairwise
from typing import Any

import numpy as np

from .characters import Look, sample_identity, sample_look
from .landscapes import OUTDOOR, PLACES
from .scene import (
    DRAWN_FRAMINGS,
    EXPRESSIONS,
    GESTURES,
    LIGHT_CHANGES,
    MOVES,
    NEAREST_FRAMING,
    THINGS,
    CameraTrack,
    Human,
    LightTrack,
    Scene,
    Span,
    Thing,
    check,
)
from .things import PALETTE

SPLITS = ("train", "val", "test")
WHERE: dict[str, tuple[str, ...]] = {
    "horse": ("meadow", "beach", "desert", "snowfield", "park", "mountains"),
    "ball": ("park", "studio", "street", "garden", "beach", "living room", "rooftop"),
    "waves": ("beach",),
    "car": ("street",),
    "bell": ("garden", "park", "mountains", "studio", "snowfield", "meadow"),
    "metronome": ("living room", "studio", "library", "classroom"),
    "fire": ("forest", "beach", "snowfield", "mountains", "desert"),
    "drum": ("stage", "studio", "living room", "classroom"),
    "bird": ("park", "forest", "garden", "meadow"),
    "door": ("living room", "office", "library", "kitchen"),
}
NEAR_MOVES = ("static", "handheld", "push in", "pull out")
# strides, bounces, waves, ... per second
PACES: dict[str, tuple[float, float]] = {
    "horse": (1.7, 2.4), "ball": (1.3, 2.3), "waves": (0.24, 0.4), "car": (0.7, 1.5), "bell": (0.8, 1.4),
    "metronome": (1.0, 3.0),
    "fire": (1.0, 2.5), "drum": (1.0, 3.5), "bird": (0.8, 2.5), "door": (0.4, 0.6),
}  # fmt: skip


def bucket(kind: str, key: object) -> int:
    """0..9 from a hash: 0 is for the test split, 1 for validation, the rest for training."""
    digest = hashlib.blake2b(f"{kind}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % 10


def split_of(kind: str, key: object) -> str:
    """The split that may use this identity seed, combination or template."""
    return {0: "test", 1: "val"}.get(bucket(kind, key), "train")


def _stream(seed: int, factor: str) -> np.random.Generator:
    tag = int.from_bytes(hashlib.blake2b(factor.encode(), digest_size=4).digest(), "little")
    return np.random.default_rng([seed, tag])


def identity_seed(rng: np.random.Generator, split: str) -> int:
    """A person of this split."""
    while True:
        seed = int(rng.integers(1 << 24))
        if split_of("identity", seed) == split:
            return seed


def combination(place: str, look: Look) -> str:
    """The attribute combination whose hash keeps evaluation prompts out of training."""
    return f"{place}|{look.hair_color}|{look.color}|{look.garment}"


def _spans(
    rng: np.random.Generator, seconds: float, choices: tuple[str, ...], most: int, shortest_s: float
) -> tuple[Span, ...]:
    """Up to `most` spans that do not overlap, in order."""
    count = min(int(rng.integers(0, most + 1)), max(1, int(seconds / (shortest_s + 0.3))))
    if count == 0:
        return ()
    edges = np.linspace(0.1, seconds - 0.05, count + 1)
    spans = []
    last = ""
    for start, end in pairwise(edges):
        room = float(end - start)
        if room < shortest_s:
            continue
        length = float(rng.uniform(shortest_s, max(shortest_s, min(room, 2.4 if most > 1 else room))))
        at = float(start + rng.uniform(0, room - length))
        what = str(rng.choice([c for c in choices if c != last]))
        last = what
        spans.append(Span(round(at, 2), round(at + length, 2), what))
    return tuple(spans)


def _expressions(rng: np.random.Generator, seconds: float) -> tuple[Span, ...]:
    moods = EXPRESSIONS[1:]
    style = rng.random()
    if style < 0.3:
        return ()
    if style < 0.7:
        return (Span(-1.0, seconds + 1.0, str(rng.choice(moods))),)
    turn = round(float(rng.uniform(0.3, 0.7) * seconds), 2)
    first, second = (str(m) for m in rng.choice(moods, 2, replace=False))
    if rng.random() < 0.4:
        return (Span(turn, seconds + 1.0, second),)
    return (Span(-1.0, turn, first), Span(turn, seconds + 1.0, second))


def sample_human(seed: int, split: str, seconds: float, x: float = 0.0, number: int = 0) -> Human:
    """One person of the split with a look, moods and gestures."""
    who = _stream(seed, f"identity {number}")
    identity = sample_identity(identity_seed(who, split))
    look = sample_look(int(_stream(seed, f"look {number}").integers(1 << 24)), identity)
    rng = _stream(seed, f"motion {number}")
    return Human(
        identity=identity,
        look=look,
        x=x,
        yaw=round(float(rng.normal(0, 0.16)) - 0.10 * x, 3),
        expressions=_expressions(_stream(seed, f"mood {number}"), seconds),
        gestures=_spans(_stream(seed, f"gesture {number}"), seconds, GESTURES, 3 if seconds > 2.4 else 1, 0.9),
        gaze=str(rng.choice(("camera", "left", "right", "other"), p=(0.8, 0.08, 0.08, 0.04))),
        motion_seed=int(rng.integers(1 << 20)),
    )


def _without_wave(human: Human) -> Human:
    """A raised hand lies outside a close picture: nod instead."""
    gestures = tuple(dataclasses.replace(s, what="nod") if s.what == "wave" else s for s in human.gestures)
    return dataclasses.replace(human, gestures=gestures)


def sample_thing(seed: int, kind: str, seconds: float) -> Thing:
    """A thing of a kind with its colour, pace and first sounding moment."""
    rng = _stream(seed, "thing")
    pace = float(rng.uniform(*PACES[kind]))
    late = {"waves": 2.0, "door": 1.9, "car": max(0.3, seconds - 1.6)}.get(kind, 0.6)
    return Thing(
        kind=kind,
        color=str(rng.choice(PALETTE[kind])),
        pace=round(pace, 3),
        first_s=round(float(rng.uniform(0.1, late)), 3),
        seed=int(rng.integers(1 << 16)),
        heading=int(rng.choice((-1, 1))),
    )


def _light(rng: np.random.Generator, seconds: float, indoor: bool) -> LightTrack:
    side = float(rng.choice((-1, 1)))
    kind = rng.random()
    azimuth = (
        side * float(rng.uniform(25, 75))
        if kind < 0.75
        else side * float(rng.uniform(110, 160))
        if kind < 0.85
        else float(rng.uniform(-12, 12))
    )
    start = round(float(rng.uniform(0.1, 0.4)) * seconds, 2)
    return LightTrack(
        azimuth_deg=round(azimuth, 1),
        elevation_deg=round(float(rng.uniform(18, 58)), 1),
        strength=round(float(rng.uniform(0.85, 1.25)), 3),
        tint=str(
            rng.choice(
                ("neutral", "warm", "cool", "red", "green", "violet"),
                p=(0.60, 0.16, 0.12, 0.04, 0.04, 0.04) if indoor else (0.8, 0.1, 0.1, 0, 0, 0),
            )
        ),
        change=str(rng.choice(LIGHT_CHANGES, p=(0.72, 0.05, 0.05, 0.04, 0.05, 0.05, 0.04))),
        start_s=start,
        end_s=round(min(seconds, start + float(rng.uniform(0.8, 2.5))), 2),
    )


def _camera(rng: np.random.Generator, seconds: float) -> CameraTrack:
    start = round(float(rng.uniform(0, 0.25)) * seconds, 2)
    return CameraTrack(
        move=str(rng.choice(MOVES, p=(0.30, 0.06, 0.06, 0.05, 0.05, 0.10, 0.08, 0.08, 0.08, 0.09, 0.05))),
        start_s=start,
        end_s=round(float(rng.uniform(0.7, 1.0)) * seconds, 2),
        amount=round(float(rng.uniform(0.75, 1.1)), 3),
        azimuth_deg=round(float(rng.normal(0, 9)), 1),
        height=round(float(rng.normal(0, 0.04)), 3),
        seed=int(rng.integers(1 << 20)),
    )


def _weather(rng: np.random.Generator, place: str, hour: str) -> str:
    if place not in OUTDOOR:
        return "clear"
    odds = {
        "snowfield": (0.55, 0.0, 0.38, 0.07),
        "mountains": (0.65, 0.12, 0.13, 0.1),
        "desert": (0.94, 0.0, 0.0, 0.06),
    }
    p = odds.get(place, (0.72, 0.15, 0.05, 0.08))
    if hour == "overcast":
        p = (p[0] * 0.5, p[1] + p[0] * 0.3, p[2] + p[0] * 0.1, p[3] + p[0] * 0.1)
    if hour == "sunset":
        p = (0.96, 0.0, 0.0, 0.04)
    total = sum(p)
    return str(rng.choice(("clear", "rain", "snow", "fog"), p=[value / total for value in p]))


def sample_scene(
    seed: int,
    split: str = "train",
    seconds: float | None = None,
    cast: str | None = None,
    **fields: Any,  # noqa: ANN401 - any field of Scene
) -> Scene:
    """A scene of the split; the same arguments give the same scene.

    cast: "person", "pair", "thing", a name of THINGS (alone) or "person and NAME". `fields` replaces any field of Scene
    (place="beach", camera=CameraTrack("orbit left"),
    ...) and leaves every other factor as drawn. Raises InvalidRequest.
    """
    if seconds is None:
        seconds = round(
            float(_stream(seed, "seconds").choice((2.0, 3.0, 4.0, 5.0, 6.0), p=(0.2, 0.25, 0.2, 0.25, 0.1))), 2
        )
    casting = _stream(seed, "cast")
    if cast is None:
        cast = str(casting.choice(("person", "pair", "thing", "person and"), p=(0.68, 0.10, 0.16, 0.06)))
    kind = ""
    if cast in THINGS:
        kind, cast = cast, "thing"
    elif cast.startswith("person and"):
        kind = cast.removeprefix("person and").strip() or str(
            casting.choice(("waves", "fire", "ball", "car", "bell", "drum", "door", "horse"))
        )
        cast = "both"
    elif cast == "thing":
        kind = str(casting.choice(THINGS, p=(0.22, 0.12, 0.08, 0.09, 0.11, 0.07, 0.08, 0.09, 0.08, 0.06)))
    for attempt in range(64):  # the combination of place and look must belong to the split
        scene = _draw(seed if attempt == 0 else seed + (attempt << 40), split, seconds, cast, kind, fields)
        if (
            not scene.people
            or split_of("combination", combination(scene.place, scene.people[0].look)) == split
            or split != "train"
        ):
            break
    return check(scene)


def _draw(seed: int, split: str, seconds: float, cast: str, kind: str, fields: dict[str, Any]) -> Scene:
    places = WHERE[kind] if kind else tuple(PLACES)
    place = str(_stream(seed, "place").choice(places))
    place = str(fields.get("place", place))
    hour = str(_stream(seed, "hour").choice(("day", "overcast", "sunset", "night"), p=(0.5, 0.16, 0.15, 0.19)))
    hour = str(fields.get("hour", hour))
    people: tuple[Human, ...] = ()
    if cast in ("person", "both"):
        people = (sample_human(seed, split, seconds, 0.0 if cast == "person" else -2.2),)
    elif cast == "pair":
        people = (sample_human(seed, split, seconds, -1.75, 0), sample_human(seed, split, seconds, 1.75, 1))
    framing = str(_stream(seed, "framing").choice(DRAWN_FRAMINGS, p=(0.34, 0.36, 0.20, 0.10)))
    if cast in ("pair", "both"):
        framing = str(_stream(seed, "framing").choice(DRAWN_FRAMINGS[1:]))
    framing = str(fields.get("framing", framing))
    if "close-up" in framing:
        people = tuple(_without_wave(human) for human in people)
    camera = _camera(_stream(seed, "camera"), seconds)
    if framing == NEAREST_FRAMING:  # a head that turns would leave it, and lips are what it shows
        people = tuple(dataclasses.replace(human, gestures=()) for human in people)
        move = camera.move if camera.move in NEAR_MOVES else "static"
        camera = dataclasses.replace(camera, move=move, azimuth_deg=round(camera.azimuth_deg / 2, 1))
    scene = Scene(
        seed=seed,
        seconds=seconds,
        place=place,
        place_seed=int(_stream(seed, "place seed").integers(1 << 20)),
        hour=hour,
        weather=_weather(_stream(seed, "weather"), place, hour),
        framing=framing,
        light=_light(_stream(seed, "light"), seconds, place not in OUTDOOR),
        camera=camera,
        people=people,
        things=(sample_thing(seed, kind, seconds),) if kind else (),
        wind=round(float(_stream(seed, "wind").uniform(0.1, 1.2)), 2),
    )
    return scene.replace(**fields)
