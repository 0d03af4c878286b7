"""Pairs and sets that come by drawing a scene again with one factor changed: edits and references."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .characters import CLOTHES_COLORS, HAIR_COLORS, Look
from .garments import CUTS as GARMENT_CUTS
from .grammar import sample_scene
from .hair import CUTS as HAIR_CUTS
from .landscapes import OUTDOOR
from .scene import EXPRESSIONS, CameraTrack, Human, LightTrack, Scene, Span

_NATURAL = tuple(HAIR_COLORS)[:8]


@dataclass(frozen=True)
class Edit:
    """`before` and `after` differ in `factor` only; `masks` names what may change, `instruction` asks for it in
    words."""

    factor: str
    before: Scene
    after: Scene
    instruction: str
    masks: tuple[str, ...]


def _other(rng: np.random.Generator, choices: tuple[str, ...], now: str) -> str:
    return str(rng.choice([choice for choice in choices if choice != now]))


def _with_look(scene: Scene, **changes: Any) -> Scene:  # noqa: ANN401 - any field of Look
    look = dataclasses.replace(scene.people[0].look, **changes)
    first = dataclasses.replace(scene.people[0], look=look)
    return scene.replace(people=(first, *scene.people[1:]))


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _hair_color(scene: Scene, rng: np.random.Generator, look: Look) -> tuple[Scene, str, tuple[str, ...]]:
    new = _other(rng, _NATURAL, look.hair_color)
    words = (
        f"Change the hair colour to {new}.",
        f"Make the hair {new}.",
        f"Dye the person's hair {new}.",
        f"Give them {new} hair.",
    )
    return _with_look(scene, hair_color=new), str(rng.choice(words)), ("hair", "face")


def _hair_style(scene: Scene, rng: np.random.Generator, look: Look) -> tuple[Scene, str, tuple[str, ...]]:
    new = _other(rng, tuple(HAIR_CUTS), look.hair_style)
    words = (f"Change the hairstyle to {new}.", f"Give the person {_hair_words(new)}.", f"Restyle the hair: {new}.")
    return _with_look(scene, hair_style=new), str(rng.choice(words)), ("hair", "face", "clothes", "background")


def _hair_words(style: str) -> str:
    return style if style.endswith("hair") or style == "bangs" else _article(style)


def _clothes_color(scene: Scene, rng: np.random.Generator, look: Look) -> tuple[Scene, str, tuple[str, ...]]:
    new = _other(rng, tuple(CLOTHES_COLORS), look.color)
    words = (
        f"Make the {look.garment} {new}.",
        f"Change the colour of the {look.garment} to {new}.",
        f"Recolour the clothes {new}.",
    )
    return _with_look(scene, color=new), str(rng.choice(words)), ("clothes",)


def _garment(scene: Scene, rng: np.random.Generator, look: Look) -> tuple[Scene, str, tuple[str, ...]]:
    new = _other(rng, tuple(GARMENT_CUTS), look.garment)
    words = (
        f"Replace the {look.garment} with {_article(new)}.",
        f"Dress the person in {_article(new)} instead.",
        f"Swap the {look.garment} for {_article(new)}.",
    )
    return _with_look(scene, garment=new), str(rng.choice(words)), ("clothes", "person")


def _glasses(scene: Scene, rng: np.random.Generator, look: Look) -> tuple[Scene, str, tuple[str, ...]]:
    words = (
        ("Remove the glasses.", "Take the glasses off.")
        if look.glasses
        else ("Add glasses.", "Put glasses on the person.", "Let the person wear glasses.")
    )
    return _with_look(scene, glasses=not look.glasses), str(rng.choice(words)), ("face", "hair")


def _place(scene: Scene, rng: np.random.Generator, _look: Look) -> tuple[Scene, str, tuple[str, ...]]:
    same_roof = (
        tuple(OUTDOOR)
        if scene.place in OUTDOOR
        else ("living room", "kitchen", "office", "library", "classroom", "studio", "cafe")
    )
    new = _other(rng, same_roof, scene.place)
    words = (f"Move the scene to a {new}.", f"Replace the background with a {new}.", f"Put the person in a {new}.")
    return scene.replace(place=new), str(rng.choice(words)), ("background",)


def _hour(scene: Scene, rng: np.random.Generator, _look: Look) -> tuple[Scene, str, tuple[str, ...]]:
    new = _other(rng, ("day", "sunset", "night"), scene.hour)
    words = (
        f"Make it {new} instead." if new == "night" else f"Change the time of day to {new}.",
        f"Relight the scene as {new}.",
    )
    return scene.replace(hour=new), str(rng.choice(words)), ("background", "person")


def _weather(scene: Scene, rng: np.random.Generator, _look: Look) -> tuple[Scene, str, tuple[str, ...]]:
    new = _other(rng, ("clear", "rain", "snow", "fog"), scene.weather)
    word = {"clear": "Clear the weather.", "rain": "Make it rain.", "snow": "Let it snow.", "fog": "Add fog."}[new]
    return scene.replace(weather=new), word, ("background", "person")


def _mood(scene: Scene, rng: np.random.Generator, _look: Look) -> tuple[Scene, str, tuple[str, ...]]:
    now = scene.people[0].expressions[0].what if scene.people[0].expressions else "neutral"
    new = _other(rng, EXPRESSIONS, now)
    mood = () if new == "neutral" else (Span(-1.0, scene.seconds + 1.0, new),)
    first = dataclasses.replace(scene.people[0], expressions=mood)
    words = (f"Make the person look {new}.", f"Change the expression to {new}.")
    return scene.replace(people=(first, *scene.people[1:])), str(rng.choice(words)), ("face",)


FACTORS: dict[str, Callable[[Scene, np.random.Generator, Look], tuple[Scene, str, tuple[str, ...]]]] = {
    "hair colour": _hair_color, "hair style": _hair_style, "clothes colour": _clothes_color, "garment": _garment,
    "glasses": _glasses,
    "place": _place, "hour": _hour, "weather": _weather, "expression": _mood,
}  # fmt: skip


def edit_pair(seed: int, split: str = "train", factor: str | None = None, seconds: float | None = None) -> Edit:
    """A scene with one person and the same scene with one factor changed."""
    rng = np.random.default_rng([0xED17, seed])
    scene = sample_scene(seed, split, seconds, cast="person")
    names = [name for name in FACTORS if name != "weather" or scene.place in OUTDOOR]
    chosen = factor or str(rng.choice(names))
    look = scene.people[0].look
    if chosen in ("hair colour", "hair style") and look.hat != "none":
        scene = _with_look(scene, hat="none")
        look = scene.people[0].look
    after, instruction, masks = FACTORS[chosen](scene, rng, look)
    return Edit(chosen, scene, after, instruction, masks)


def references(human: Human, count: int, seed: int, split: str = "train") -> tuple[Scene, ...]:
    """`count` stills (scenes of one frame's length) of the same person elsewhere: other pose, light, place and mood.

    Identity and look stay; render frame 0 of each. At most 9 make sense (a request's limit).
    """
    stills = []
    for k in range(count):
        rng = np.random.default_rng([0x2EF, seed, k])
        drawn = sample_scene(seed * 31 + k + 1, split, 0.2, cast="person")
        mood = str(rng.choice(EXPRESSIONS))
        posed = dataclasses.replace(
            human,
            x=0.0,
            yaw=round(float((0.0, 0.5, -0.5, 0.9, -0.9, 0.25, -0.25, 0.7, -0.7)[k % 9] + rng.normal(0, 0.08)), 3),
            expressions=() if mood == "neutral" else (Span(-1.0, 2.0, mood),),
            gestures=(),
            speech=(),
            gaze="camera",
            motion_seed=int(rng.integers(1 << 20)),
        )
        light = dataclasses.replace(drawn.light, change="steady", tint="neutral")
        stills.append(
            drawn.replace(
                people=(posed,),
                light=LightTrack(**vars(light)),
                camera=CameraTrack(azimuth_deg=drawn.camera.azimuth_deg),
            )
        )
    return tuple(stills)
