"""The sound of a scene: its events and surroundings, with the people's speech over them.

`scene_events` hears what the scene shows at the very times at which it shows it; `soundtrack` mixes it with speech.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from muybridge.world import things
from muybridge.world.places import INDOOR
from muybridge.world.scene import Scene
from muybridge.world.sound import SoundEvent, mix, normalise, render_sound
from muybridge.world.voices import SAMPLE_RATE, Speech

CAR_M_PER_S = 7.5  # of a thing with pace 1; the renderer's decimetres
HALF_WIDTH_DM = 10.0  # of the picture, for panning


def scene_events(scene: Scene) -> list[SoundEvent]:
    """The sounds of a scene's things, weather and place; times are those of its visible events."""
    out = []
    pace = {thing.kind: thing.pace for thing in scene.things}
    heading = {thing.kind: thing.heading for thing in scene.things}
    for event in things.events(scene):
        pan = float(np.clip(event.x / HALF_WIDTH_DM, -1, 1))
        if event.kind == "car":
            speed = CAR_M_PER_S * pace["car"] * heading["car"]
            out.append(SoundEvent("car", event.time_s, scene.seconds, event.strength, speed=speed))
        elif event.kind == "rain":
            until = re.search(r"until ([\d.]+)", event.detail)
            out.append(SoundEvent("rain", event.time_s, float(until[1]) if until else scene.seconds, event.strength))
        else:
            out.append(SoundEvent(event.kind, event.time_s, None, event.strength, pan=pan))
    if "fire" in pace:
        out.append(SoundEvent("fire", 0.0, scene.seconds, 0.7))
    if scene.place in INDOOR:
        out.append(SoundEvent("room", 0.0, scene.seconds))
    else:
        out.append(SoundEvent("wind", 0.0, scene.seconds, 0.1 + 0.6 * scene.wind))
    return out


def soundtrack(
    scene: Scene, spoken: Sequence[tuple[float, Speech]] = (), seconds: float | None = None, stereo: bool = False
) -> npt.NDArray[np.float32]:
    """Waveform (C, S) at 24 kHz of a scene; `spoken` are (start_s, speech), where start_s is the speech's own zero."""
    length = scene.num_frames / 25 if seconds is None else seconds
    ambience_CS = render_sound(scene_events(scene), length, SAMPLE_RATE, scene.seed, stereo)
    if not spoken:
        return normalise(ambience_CS, SAMPLE_RATE)
    speech_S = np.zeros(ambience_CS.shape[1], np.float32)
    for start_s, speech in spoken:
        start = round(start_s * SAMPLE_RATE)
        end = min(start + len(speech.waveform_S), len(speech_S))
        if start < end:
            speech_S[start:end] += speech.waveform_S[: end - start]
    return mix(speech_S, ambience_CS)
