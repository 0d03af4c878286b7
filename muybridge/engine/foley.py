"""The sounds of a scene besides voices: planned from its words, made by the world's own formulas.

A small base learned voices; what it says of a bell or of rain cannot be told from any other noise (docs/log.md). What
a prompt lets sound is known from its words (speech/sounds.py), and how such things sound the world knows
(world/sound.py): struck bodies, drops, an engine that passes. Their times come from the seed, so that a film (film.py)
can show them. A clip in which nobody speaks has these sounds alone; under a voice they step back.

Letters: C channels, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muybridge.speech.sounds import Sound

if TYPE_CHECKING:
    from muybridge.world.scene import Thing
    from muybridge.world.things import Event

HOOFS = 4  # beats of a stride
LASTING = ("rain", "wind", "fire")  # they sound all the time; a fire snaps besides
LATEST_S = {"waves": 1.0, "door": 1.2, "car": 0.8}  # when something sounds first, at most; others 0.5
EARLIEST_S = 0.15
STRUCK = {"ball": "bounce", "bell": "bell", "horse": "hoof"}  # things that are seen to move, and the sound of it


def strikes(sound: Sound, seed: int) -> tuple[float, ...]:
    """When a ball touches the ground, a bell is struck, a horse begins a stride, in seconds; others do nothing."""
    times = [event.time_s for event in _events(sound, seed) if event.kind == STRUCK.get(sound.kind)]
    return tuple(times[:: HOOFS if sound.kind == "horse" else 1])


def heard(
    sounds: Sequence[Sound], voice_CS: NDArray[np.float32], rate: int, seed: int, is_said: bool
) -> NDArray[np.float32]:
    """[C, S]: a clip's sound with what sounds in its scene; only that where nobody speaks."""
    from muybridge.world.sound import SoundEvent, mix, render_sound  # late: a second and a half of signal processing

    channels, samples = voice_CS.shape
    played = [SoundEvent(s.kind, s.start_s, s.end_s) for s in sounds if s.kind in LASTING]
    for sound in sounds:
        for event in _events(sound, seed):
            if event.kind == "car":
                thing = _thing(sound, seed)
                played.append(SoundEvent("car", event.time_s, speed=7.5 * thing.pace * thing.heading, distance=5.0))
            else:
                played.append(SoundEvent(event.kind, event.time_s, strength=event.strength))
    around_CS = render_sound(played, samples / rate, rate, seed & 0xFFFFFFFF, stereo=channels > 1)
    return mix(voice_CS.mean(0) if is_said else np.zeros(0, np.float32), around_CS[:, :samples], rate)


def _events(sound: Sound, seed: int) -> list[Event]:
    """Every moment at which a sound's thing is heard, on the clip's clock."""
    from muybridge.world import things
    from muybridge.world.scene import THINGS, Scene

    if sound.kind not in THINGS:
        return []
    scene = Scene(seed, sound.end_s - sound.start_s, things=(_thing(sound, seed),))
    return [replace(event, time_s=event.time_s + sound.start_s) for event in things.events(scene)]


def _thing(sound: Sound, seed: int) -> Thing:
    """The world's thing of that kind; how often a second it sounds, and when first, comes from the seed."""
    from muybridge.world.grammar import PACES
    from muybridge.world.scene import Thing

    rng = np.random.default_rng([0xF01E, seed, *sound.kind.encode()])
    pace, first_s = rng.uniform(*PACES[sound.kind]), rng.uniform(EARLIEST_S, LATEST_S.get(sound.kind, 0.5))
    return Thing(sound.kind, pace=float(pace), first_s=float(first_s), seed=seed & 0xFFFF, heading=1 - 2 * (seed % 2))
