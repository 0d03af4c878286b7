"""The sounds of a scene besides voices: planned from its words, made by the world's own formulas.

A small base learned voices; what it says of a bell or of rain cannot be told from any other noise (docs/log.md). What
a prompt lets sound is known from its words (speech/sounds.py), and how such things sound the world knows
(world/sound.py): struck bodies, drops, an engine that passes. Their times come from the seed, so that a film (film.py)
can show them. A clip in which nobody speaks has these sounds alone; under a voice they step back.

Letters: C channels, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muybridge.speech.sounds import Sound

if TYPE_CHECKING:
    from muybridge.world.scene import Thing
    from muybridge.world.sound import SoundEvent
    from muybridge.world.things import Event

HOOFS = 4  # beats of a stride
LASTING = ("rain", "wind", "fire")  # they sound all the time; a fire snaps besides
LATEST_S = {"waves": 1.0, "door": 1.2, "car": 0.8}  # when something sounds first, at most; others 0.5
EARLIEST_S = 0.15
RINGS_S, CAR_S = 6.0, 12.0  # what is struck is heard no longer; a car from so long before it passes until after it
PART_S, FADE_S = 20.0, 0.15  # of rain, wind and fire in a programme
RATE, LOUD_S = 24_000, 15.0  # Hz and s, by which a programme's loudness is measured
# Things that are seen to move, and the sound of it.
STRUCK = {"ball": "bounce", "bell": "bell", "horse": "hoof", "waves": "wave", "fire": ""}


def strikes(sound: Sound, seed: int) -> tuple[float, ...]:
    """Seconds at which a ball touches the ground, a bell is struck, a stride begins, a wave breaks, a fire begins."""
    if sound.kind == "fire":
        return (sound.start_s,)
    times = [event.time_s for event in _events(sound, seed) if event.kind == STRUCK.get(sound.kind)]
    return tuple(times[:: HOOFS if sound.kind == "horse" else 1])


def strides(sound: Sound, seed: int) -> tuple[float, float]:
    """Seconds at which a horse's first stride begins, as its hoofbeats have it, and the next: the hind hoof lands."""
    thing = _thing(sound, seed)
    begin_s = sound.start_s + thing.first_s
    return begin_s, begin_s + 1 / thing.pace


def heard(
    sounds: Sequence[Sound], voice_CS: NDArray[np.float32], rate: int, seed: int, is_said: bool
) -> NDArray[np.float32]:
    """[C, S]: a clip's sound with what sounds in its scene; only that where nobody speaks."""
    from muybridge.world.sound import mix, render_sound  # late: a second and a half of signal processing

    channels, samples = voice_CS.shape
    around_CS = render_sound(_played(sounds, seed), samples / rate, rate, seed & 0xFFFFFFFF, stereo=channels > 1)
    return mix(voice_CS.mean(0) if is_said else np.zeros(0, np.float32), around_CS[:, :samples], rate)


@dataclass(frozen=True)
class Around:
    """What sounds all along a programme, alike whichever windows it is made in. `gain`: 1 where somebody speaks."""

    played: tuple[SoundEvent, ...]
    seed: int
    gain: float = 1.0

    def under(self, voice_CS: NDArray[np.float32], rate: int, start_s: float, is_said: bool) -> NDArray[np.float32]:
        """[C, S]: a window's sound with what sounds from `start_s` of the programme on; no level changes at seams."""
        from muybridge.world.sound import over

        around_CS = self.gain * self.part(round(start_s * rate), voice_CS.shape[1], rate, voice_CS.shape[0] > 1)
        return over(voice_CS.mean(0) if is_said else np.zeros(0, np.float32), around_CS, rate).clip(-1, 1)

    def part(self, first: int, count: int, rate: int, is_stereo: bool) -> NDArray[np.float32]:
        """[C, S]: `count` samples from `first` on. Every event is made whole, by a seed of its own, and then cut."""
        from muybridge.world.sound import render_sound

        part_CS = np.zeros((2 if is_stereo else 1, count), np.float32)
        for number, event in enumerate(self.played):
            lead_s = CAR_S if event.kind == "car" else 0.0
            length_s = RINGS_S if event.end_s is None else event.end_s - event.at_s
            length_s = 2 * CAR_S if event.kind == "car" else length_s
            at = round((event.at_s - lead_s) * rate) - first
            if at >= count or at + length_s * rate <= 0:
                continue
            alone = replace(event, at_s=lead_s, end_s=None if event.end_s is None else length_s)
            one_CS = render_sound([alone], length_s, rate, (self.seed + 7919 * number) & 0xFFFFFFFF, stereo=is_stereo)
            heard_CS = one_CS[:, max(0, -at) : count - at]
            part_CS[:, max(0, at) : max(0, at) + heard_CS.shape[1]] += heard_CS
        return part_CS


def around(sounds: Sequence[Sound], seconds: float, seed: int, is_said: bool) -> Around:
    """The sounds of a programme; as loud as a clip's where nobody says a word in it."""
    from muybridge.world.sound import PEAK, TARGET_LUFS, loudness

    found = Around(tuple(part for event in _played(sounds, seed) for part in _in_parts(event)), seed)
    if is_said:
        return found
    wave_CS = found.part(0, round(min(seconds, LOUD_S) * RATE), RATE, is_stereo=True)
    loudest = float(np.abs(wave_CS).max(initial=1e-4))
    return replace(found, gain=min(10 ** ((TARGET_LUFS - max(loudness(wave_CS, RATE), -70.0)) / 20), PEAK / loudest))


def _in_parts(event: SoundEvent) -> list[SoundEvent]:
    """What lasts in parts of `PART_S`, each over the end of the one before, so that none takes minutes to make."""
    if event.end_s is None:
        return [event]
    starts = np.arange(event.at_s, event.end_s, PART_S)
    return [replace(event, at_s=float(s), end_s=min(float(s) + PART_S + FADE_S, event.end_s)) for s in starts]


def _played(sounds: Sequence[Sound], seed: int) -> list[SoundEvent]:
    """What the world's formulas make of them."""
    from muybridge.world.sound import SoundEvent

    played = [SoundEvent(s.kind, s.start_s, s.end_s) for s in sounds if s.kind in LASTING]
    for sound in sounds:
        for event in _events(sound, seed):
            if event.kind == "car":
                thing = _thing(sound, seed)
                played.append(SoundEvent("car", event.time_s, speed=7.5 * thing.pace * thing.heading, distance=5.0))
            else:
                played.append(SoundEvent(event.kind, event.time_s, strength=event.strength))
    return played


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
