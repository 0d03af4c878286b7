"""What a clip's first picture is to do, and a programme's, read from the words: who moves, what the camera sees.

Letters: T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from muybridge.engine import camera, elements, falling, layers, lighting, pipeline
from muybridge.engine.camera import Views
from muybridge.engine.components import Components
from muybridge.engine.conditions import Said, heard, spoken
from muybridge.engine.falling import NOTHING, Fall
from muybridge.engine.state import GenerationState
from muybridge.request import Beat, Request
from muybridge.shapes import FPS, Window
from muybridge.speech import acts, lights, moods, moves, sounds, weather
from muybridge.speech.acts import Act
from muybridge.speech.lights import Change
from muybridge.speech.moves import Move
from muybridge.speech.sounds import Sound

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan


@dataclass(frozen=True)
class Wishes:
    """What a first picture is to do: how camera, head, face and light move, what is said, what sounds, what falls.

    In a programme the light is known from the start on, before its changes are those of a window. `canvas` is what the
    camera sees in all of it, where that is more than `views`.
    """

    views: Views | None = None
    canvas: Views | None = None
    acts: Sequence[Act] = ()
    moods: Sequence[Act] = ()
    said: Sequence[Said] = ()
    sounds: Sequence[Sound] = ()
    changes: Sequence[Change] = ()
    light_4T: Tensor | None = None
    fall: Fall = NOTHING

    @property
    def struck(self) -> str | None:
        """The kind of thing that is seen to be struck, or to stride, else that moves in its place; None without one."""
        told = [sound.kind for sound in self.sounds]
        return next((kind for kinds in (layers.KINDS, elements.KINDS) for kind in told if kind in kinds), None)


@dataclass(frozen=True, eq=False)
class Course:
    """What the people of a programme do and feel, its light [4, T], what falls, what the camera sees: on its clock."""

    acts: Sequence[Act]
    moods: Sequence[Act]
    changes: Sequence[Change]
    light_4T: Tensor
    fall: Fall = NOTHING
    views: Views | None = None

    def during(self, window: Window) -> Wishes:
        """What of it a window shows, on the window's clock."""
        start, count = window.start_frame, window.clock.num_decoded_frames
        own = [[replace(act, start_s=act.start_s - start / FPS, end_s=act.end_s - start / FPS) for act in of]
               for of in (self.acts, self.moods)]  # fmt: skip
        numbers = (start + torch.arange(count)).clamp(max=self.light_4T.shape[1] - 1)
        light_4T = self.light_4T[:, numbers] if self.changes else None
        views = None if self.views is None else Views(*(of_T[numbers.numpy()] for of_T in self.views))
        fall = self.fall.at(numbers)
        return Wishes(views, self.views, own[0], own[1], changes=self.changes, light_4T=light_4T, fall=fall)


def course_of(request: Request, beats: Sequence[Beat], seconds: float) -> Course:
    """That of a programme of so many seconds."""
    changes, count, is_given = (
        lights.changes_of(request.prompt, beats, seconds), round(seconds * FPS), request.image is not None
    )  # fmt: skip
    light_4T = lighting.gains(changes, count, request.seed, is_given)
    told = acts.acts_of(request.prompt, beats, seconds), moods.moods_of(request.prompt, beats, seconds)
    fall = falling.fall(weather.falls_of(request.prompt, beats, seconds), count, is_given)
    views = _seen(moves.moves_of(request.prompt, beats, seconds), count, request)
    return Course(*told, changes, light_4T, fall, views)


def _seen(asked: Sequence[Move], num_frames: int, request: Request) -> Views | None:
    """What the camera sees of a first picture; None where it stands."""
    return camera.views(asked, num_frames, request.seed, request.image is not None) if asked else None


def wished(
    parts: Components, state: GenerationState, plan: Plan | None, is_alone: bool, course: Course | None = None
) -> Wishes:
    """That of a request; nothing where nothing is guessed over time.

    Where a clip does not stand alone its people speak, and do what the programme's `course` says.
    """
    if not pipeline.guesses(parts):
        return Wishes()
    request, voice = state.request, state.conditions.voice_BAC
    said = spoken(plan) if voice is None else heard(parts, voice, request.language)
    if not is_alone:
        return replace(Wishes() if course is None else course.during(state.window), said=said)
    act, mood = acts.asked(request), moods.asked(request)
    count = state.window.clock.num_decoded_frames
    fall = falling.fall(weather.asked(request), count, is_given=request.image is not None)
    views = _seen(moves.asked(request), count, request)
    return Wishes(views, views, act, mood, said, sounds.asked(request), lights.asked(request), fall=fall)
