"""The sound of a scene: its events, its weather and its spoken lines, on the picture's clock.

C channels, S samples, T frames, U face units. Sample k of the waveform is at k / rate seconds of the clip; frame n at
n / 25.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muybridge.errors import InvalidRequest
from muybridge.speech.durations import Phone

from . import things, visemes, voices
from .anatomy import Floats
from .scene import Human, Scene, Span
from .sound import SoundEvent, mix, render_sound

SAMPLE_RATE = voices.SAMPLE_RATE
EFFORT = {"calm": 0.85, "neutral": 1.0, "energetic": 1.15}


@dataclass(frozen=True)
class Line:
    """A sentence that person number `who` says from `start_s` on."""

    text: str
    language: str = "en"
    start_s: float = 0.2
    who: int = 0
    voice: str | None = None
    register: str = "neutral"
    rate: float = 1.0


@dataclass(frozen=True)
class Soundtrack:
    """waveform_CS float32 at SAMPLE_RATE; per person a face-unit track [T, U] or None; every line's phones on the
    clip's
    clock."""

    waveform_CS: NDArray[np.float32]
    units: tuple[Floats | None, ...]
    phones: tuple[tuple[Phone, ...], ...]
    scene: Scene


def voice_for(human: Human, language: str) -> str:
    """A voice of the language that goes with the person, always the same one for an identity."""
    letter = "m" if human.identity.masculine > 0.5 else "f"
    fitting = [voice for voice in voices.VOICES[language] if voice[1] == letter] or list(voices.VOICES[language])
    return fitting[human.identity.seed % len(fitting)]


def sound_events(scene: Scene) -> list[SoundEvent]:
    """The scene's events in the words of sound.py: the same times, panned to where they are seen."""
    out: list[SoundEvent] = []
    for event in things.events(scene):
        pan = float(np.clip(event.x / 12.0, -1, 1))
        if event.kind == "rain":
            out.append(SoundEvent("rain", 0.0, scene.seconds))
        elif event.kind == "car":
            thing = next(thing for thing in scene.things if thing.kind == "car")
            out.append(SoundEvent("car", event.time_s, speed=7.5 * thing.pace * thing.heading, distance=5.0))
        else:
            out.append(SoundEvent(event.kind, event.time_s, strength=event.strength, pan=pan))
    if any(thing.kind == "fire" for thing in scene.things):
        out.append(SoundEvent("fire", 0.0, scene.seconds))
    return out


def soundtrack(scene: Scene, lines: Sequence[Line] = (), stereo: bool = False, seed: int = 0) -> Soundtrack:
    """Speak the lines, sound the events, and move the mouths.

    The returned scene carries the lines as speech spans (captions quote them). Raises InvalidRequest for a line that
    does
    not fit into the scene or names a person who is not there, NotInstalled without voices.
    """
    num_samples = round(scene.num_frames / 25 * SAMPLE_RATE)
    speech_S = np.zeros(num_samples, np.float32)
    units: list[Floats | None] = [None] * len(scene.people)
    spans: list[list[Span]] = [[] for _ in scene.people]
    phones: list[tuple[Phone, ...]] = []
    for line in lines:
        if line.who >= len(scene.people):
            raise InvalidRequest(
                f"line {line.text!r} is for person {line.who}; the scene has {len(scene.people)}", "who"
            )
        voice = line.voice or voice_for(scene.people[line.who], line.language)
        said = voices.speak(line.text, line.language, voice, line.register, line.rate)
        end_s = line.start_s + said.seconds
        if end_s > num_samples / SAMPLE_RATE + 0.02:
            raise InvalidRequest(
                f"{line.text!r} takes {said.seconds:.2f} s from {line.start_s:.2f} s on; the scene ends at "
                f"{num_samples / SAMPLE_RATE:.2f} s: start earlier, speak faster or say less",
                "lines",
            )
        start = round(line.start_s * SAMPLE_RATE)
        part = said.waveform_S[: num_samples - start]
        speech_S[start : start + len(part)] += part
        shifted = tuple(
            dataclasses.replace(p, start_s=p.start_s + line.start_s, end_s=p.end_s + line.start_s) for p in said.phones
        )
        placed = np.zeros(num_samples, np.float32)
        placed[start : start + len(part)] = part
        track = visemes.speech_units(shifted, scene.num_frames, placed, SAMPLE_RATE, EFFORT[line.register])
        before = units[line.who]
        units[line.who] = track if before is None else np.maximum(before, track)
        spans[line.who].append(Span(round(line.start_s, 3), round(end_s, 3), line.text))
        phones.append(shifted)
    ambience_CS = render_sound(sound_events(scene), scene.num_frames / 25, SAMPLE_RATE, seed, stereo)
    people = tuple(
        dataclasses.replace(human, speech=tuple(own)) if own else human
        for human, own in zip(scene.people, spans, strict=True)
    )
    return Soundtrack(
        mix(speech_S, ambience_CS, SAMPLE_RATE), tuple(units), tuple(phones), scene.replace(people=people)
    )
