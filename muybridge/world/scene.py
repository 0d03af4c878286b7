"""A scene: every fact of a clip as frozen data. Same scene, same bytes; replace one field, render again, and you
have an edit.

Seconds are on the clip's clock, lengths are decimetres, angles radians unless a name says degrees. Sides ("left",
"right")
are the viewer's. `to_json` and `from_json` are exact inverses.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from muybridge.errors import InvalidRequest

from .characters import Identity, Look

FPS = 25
HOURS = ("day", "overcast", "sunset", "night")
WEATHERS = ("clear", "rain", "snow", "fog")
NEAREST_FRAMING = "extreme close-up"  # a face fills the picture: where lips are learned and measured
DRAWN_FRAMINGS = ("close-up", "medium close-up", "medium shot", "half body")  # the others are asked for
FRAMINGS = (*DRAWN_FRAMINGS, NEAREST_FRAMING)
MOVES = (
    "static",
    "pan left",
    "pan right",
    "tilt up",
    "tilt down",
    "push in",
    "pull out",
    "orbit left",
    "orbit right",
    "handheld",
    "reframe",
)
LIGHT_CHANGES = ("steady", "brightens", "dims", "flickers", "turns warm", "turns blue", "sweeps")
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "surprised")
GESTURES = (
    "nod",
    "shake head",
    "wave",
    "turn left",
    "turn right",
    "look up",
    "look down",
    "tilt head",
    "shrug",
    "lean in",
)
THINGS = ("horse", "ball", "waves", "car", "bell", "metronome", "fire", "drum", "bird", "door")


@dataclass(frozen=True)
class Span:
    """Something that holds from start_s to end_s: an expression, a gesture, a line of speech."""

    start_s: float
    end_s: float
    what: str


@dataclass(frozen=True)
class Human:
    """One person in the scene. `x` is the place to the viewer's right; `yaw` > 0 faces the viewer's right."""

    identity: Identity
    look: Look
    x: float = 0.0
    yaw: float = 0.0
    expressions: tuple[Span, ...] = ()
    gestures: tuple[Span, ...] = ()
    speech: tuple[Span, ...] = ()
    language: str = "en"
    gaze: str = "camera"  # camera, left, right, other
    motion_seed: int = 0


@dataclass(frozen=True)
class Thing:
    """A subject other than a person. `pace` is events per second, `first_s` the first event's time."""

    kind: str
    color: str = "brown"
    pace: float = 1.5
    first_s: float = 0.3
    seed: int = 0
    heading: int = 1  # 1 moves to the viewer's right, -1 to the left


@dataclass(frozen=True)
class LightTrack:
    """Where the key light comes from (degrees; azimuth > 0 is the viewer's right, 180 behind) and how it changes."""

    azimuth_deg: float = 35.0
    elevation_deg: float = 40.0
    strength: float = 1.0
    tint: str = "neutral"  # neutral, warm, cool, red, green, violet
    change: str = "steady"
    start_s: float = 0.0
    end_s: float = 5.0


@dataclass(frozen=True)
class CameraTrack:
    """One cut-free move between start_s and end_s; `amount` scales it (1 = plain to see)."""

    move: str = "static"
    start_s: float = 0.0
    end_s: float = 5.0
    amount: float = 1.0
    azimuth_deg: float = 0.0
    height: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Scene:
    """A whole clip. `things` may stand alone or beside `people` (at most two)."""

    seed: int
    seconds: float = 5.0
    place: str = "studio"
    place_seed: int = 0
    hour: str = "day"
    weather: str = "clear"
    framing: str = "medium close-up"
    light: LightTrack = LightTrack()
    camera: CameraTrack = CameraTrack()
    people: tuple[Human, ...] = ()
    things: tuple[Thing, ...] = ()
    wind: float = 0.5

    @property
    def num_frames(self) -> int:
        """4k + 1 frames, the length that whole video latents have, nearest below seconds * 25 + 1."""
        return 4 * int(self.seconds * FPS / 4) + 1

    def replace(self, **changes: Any) -> Scene:  # noqa: ANN401 - any field of Scene
        """This scene with some fields changed and everything else bit-identical."""
        return dataclasses.replace(self, **changes)


def check(scene: Scene) -> Scene:
    """Return the scene, or raise InvalidRequest naming the first field out of its limits."""
    from .landscapes import PLACES

    limits = (
        ("place", scene.place, PLACES), ("hour", scene.hour, HOURS), ("weather", scene.weather, WEATHERS),
        ("framing", scene.framing, FRAMINGS), ("camera.move", scene.camera.move, MOVES), ("light.change",
        scene.light.change, LIGHT_CHANGES),
    )  # fmt: skip
    for field, value, allowed in limits:
        if value not in allowed:
            raise InvalidRequest(f"{field} is {value!r}; choose one of: {', '.join(allowed)}", field)
    if not 0.16 <= scene.seconds <= 60:
        raise InvalidRequest(f"seconds is {scene.seconds}; a scene lasts 0.16 to 60 s", "seconds")
    if len(scene.people) > 2:
        raise InvalidRequest(f"{len(scene.people)} people; a scene holds at most two", "people")
    for thing in scene.things:
        if thing.kind not in THINGS:
            raise InvalidRequest(f"thing {thing.kind!r}; choose one of: {', '.join(THINGS)}", "things")
    if not scene.people and not scene.things:
        raise InvalidRequest("the scene is empty; give at least one person or thing", "people")
    return scene


def to_json(scene: Scene) -> str:
    """The scene as one line of JSON."""
    return json.dumps(dataclasses.asdict(scene), separators=(",", ":"), ensure_ascii=False)


def from_json(text: str) -> Scene:
    """The inverse of to_json; raises InvalidRequest for a value outside the limits."""
    raw = json.loads(text)

    def spans(items: list[dict[str, Any]]) -> tuple[Span, ...]:
        return tuple(Span(**item) for item in items)

    def human(item: dict[str, Any]) -> Human:
        who: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in item["identity"].items()
        }
        tracks = {key: spans(item[key]) for key in ("expressions", "gestures", "speech")}
        return Human(**{**item, **tracks, "identity": Identity(**who), "look": Look(**item["look"])})

    raw["people"] = tuple(human(item) for item in raw["people"])
    raw["things"] = tuple(Thing(**item) for item in raw["things"])
    raw["light"] = LightTrack(**raw["light"])
    raw["camera"] = CameraTrack(**raw["camera"])
    return check(Scene(**raw))
