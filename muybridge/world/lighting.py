"""Light over time: hour, weather, place and the scene's light track become the uniforms of common.glsl."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Floats
from .camera import ease
from .changes import factor
from .places import Place
from .scene import Scene

TINTS: dict[str, tuple[float, float, float]] = {
    "neutral": (1.0, 1.0, 1.0), "warm": (1.18, 0.93, 0.66), "cool": (0.78, 0.94, 1.25),
    "red": (1.45, 0.36, 0.30), "green": (0.45, 1.25, 0.50), "violet": (0.95, 0.50, 1.40),
}  # fmt: skip


@dataclass(frozen=True)
class Light:
    """One frame's light, linear RGB; `direction` points towards the key light."""

    direction: Floats
    key: Floats
    sky: Floats
    ground: Floats
    rim: Floats
    lamp: Floats
    fog: Floats
    fog_density: float
    exposure: float
    shadow: float
    zenith: Floats
    horizon: Floats
    clouds: float
    stars: float


# hour -> key, sky, ground, zenith, horizon, exposure, shadow (outdoors)
_OUTDOOR = {
    "day": (
        (2.10, 1.95, 1.70),
        (0.42, 0.50, 0.62),
        (0.22, 0.20, 0.15),
        (0.10, 0.25, 0.62),
        (0.50, 0.64, 0.82),
        0.78,
        0.85,
    ),
    "overcast": (
        (0.55, 0.56, 0.58),
        (0.74, 0.77, 0.82),
        (0.26, 0.25, 0.23),
        (0.42, 0.46, 0.52),
        (0.60, 0.63, 0.66),
        0.84,
        0.35,
    ),
    "sunset": (
        (2.10, 0.98, 0.40),
        (0.34, 0.29, 0.40),
        (0.20, 0.13, 0.10),
        (0.12, 0.16, 0.36),
        (0.95, 0.46, 0.20),
        0.82,
        0.8,
    ),
    "night": (
        (0.42, 0.50, 0.80),
        (0.09, 0.11, 0.20),
        (0.04, 0.04, 0.05),
        (0.006, 0.010, 0.032),
        (0.025, 0.034, 0.075),
        1.05,
        0.6,
    ),
}
_INDOOR = {
    "day": ((1.45, 1.38, 1.24), (0.46, 0.46, 0.47), (0.26, 0.22, 0.18), 0.85, 0.7),
    "overcast": ((0.80, 0.83, 0.88), (0.52, 0.54, 0.57), (0.26, 0.24, 0.22), 0.88, 0.5),
    "sunset": ((1.75, 0.86, 0.36), (0.32, 0.25, 0.24), (0.20, 0.13, 0.09), 0.88, 0.7),
    "night": ((0.95, 0.66, 0.38), (0.17, 0.14, 0.13), (0.11, 0.08, 0.06), 0.98, 0.65),
}


def direction(azimuth_deg: float, elevation_deg: float) -> Floats:
    """Unit vector towards a light: azimuth 0 is at the camera, 90 the viewer's right."""
    a, e = np.radians(azimuth_deg), np.radians(elevation_deg)
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)


def light_at(scene: Scene, place: Place, t_s: float) -> Light:
    """The light of one moment."""
    track = scene.light
    if place.indoor:
        key, sky, ground, exposure, shadow = _INDOOR[scene.hour]
        zenith, horizon = _OUTDOOR[scene.hour][3:5]
    else:
        key, sky, ground, zenith, horizon, exposure, shadow = _OUTDOOR[scene.hour]
    e = ease(t_s, track.start_s, track.end_s)
    gain, azimuth, elevation = track.strength, track.azimuth_deg, track.elevation_deg
    tint = np.array(TINTS[track.tint])
    wide = factor(track.change, e, scene.seed, t_s)  # it reaches the ambient light too, else nobody sees it
    if track.change == "sweeps":
        azimuth += -70 + 140 * e
    indoor_scale = 1.0
    if scene.place == "stage":
        indoor_scale, sky, ground = 1.5, (0.10, 0.09, 0.12), (0.06, 0.05, 0.05)
    key_color = np.array(key) * gain * tint * wide * indoor_scale
    sky_color = np.array(sky) * (0.55 + 0.45 * tint) * wide
    rain = scene.weather in ("rain", "snow", "fog")
    if rain and not place.indoor:
        key_color = key_color * 0.45
        zenith, horizon = (tuple(np.array(c) * 0.4 + np.mean(c) * 0.5) for c in (zenith, horizon))
        shadow *= 0.4
    fog = np.array(horizon) * wide
    density = place.haze * (1.0, 2.2, 3.0, 9.0)[("clear", "rain", "snow", "fog").index(scene.weather)]
    lamp = np.array([2.2, 1.35, 0.62]) * wide if place.lamp else np.zeros(3)
    behind = np.array(horizon) * (0.25 if not place.indoor else 0.10) * wide
    if scene.place == "stage":
        behind = np.array([0.5, 0.25, 0.6]) * wide
    clouds = {"day": 0.35, "overcast": 1.0, "sunset": 0.45, "night": 0.2}[scene.hour]
    return Light(
        direction=direction(azimuth, elevation),
        key=key_color,
        sky=sky_color,
        ground=np.array(ground) * wide,
        rim=behind,
        lamp=lamp,
        fog=fog,
        fog_density=density,
        exposure=exposure,
        shadow=shadow,
        zenith=np.array(zenith) * wide,
        horizon=np.array(horizon) * wide,
        clouds=max(clouds, 0.9 * rain),
        stars=float(scene.hour == "night" and not rain),
    )
