"""Strikes that are heard when they are seen: hoofbeat, bounce, bell."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge.evaluate import sounds
from muybridge.suites.run import SECONDS, Run
from muybridge.suites.table import Row

STRIKES = {"horse": "hoof", "ball": "bounce", "bell": "bell"}
BAR = ">= 0.8"
DRAWN = (64, 112)  # rows and columns: a contact needs no more


def evaluate(run: Run) -> list[Row]:
    """Share of contacts with an onset within one frame: true contacts, and for balls and bells those seen in pixels.

    A prompt does not fix when something strikes, so the model's clips are judged by what is seen in them. Hoofs are too
    many and too small to see: their row has the rendered truth alone.
    """
    rows = []
    for cast in STRIKES:
        true, seen, eye, made = [], [], [], []
        for number in run.track(range(run.count), cast):
            planned = _plan(run.first + number, cast)
            contacts, waveform_S = _truth(planned, STRIKES[cast])
            heard = sounds.onsets(waveform_S, 24000)
            true.append(sounds.hit_share(contacts, heard))
            if cast not in sounds.SEEN:
                continue
            found = sounds.seen_strikes(_frames(planned.scene), cast)
            eye.append(sounds.hit_share(contacts, found))
            seen.append(sounds.hit_share(found, heard))
            made += _made(run, planned, number, cast)
        rows.append(Row(f"{cast}: onsets on true contacts", None, _mean(true), BAR, len(true)))
        if cast in sounds.SEEN:
            figure = _mean(made) if run.engine else None
            rows.append(Row(f"{cast}: onsets on seen contacts", figure, _mean(seen), BAR, len(seen)))
            rows.append(Row(f"{cast}: the eye, true contacts seen", None, _mean(eye), "", len(eye)))
    return rows


def _plan(index: int, cast: str) -> Any:  # noqa: ANN401  (a world Plan)
    """A test scene of one thing, the camera and the light still."""
    from muybridge.world import talking
    from muybridge.world.scene import CameraTrack

    planned = talking.plan(index, "test", SECONDS, cast=cast, camera=CameraTrack(), weather="clear")
    light = dataclasses.replace(planned.scene.light, change="steady")
    return dataclasses.replace(planned, scene=planned.scene.replace(light=light))


def _truth(planned: Any, kind: str) -> tuple[list[float], NDArray[np.float32]]:  # noqa: ANN401  (as above)
    """Times of the contacts, and the clip's sound."""
    from muybridge.world import talking, things

    events = things.events(planned.scene)
    return [e.time_s for e in events if e.kind == kind], talking.waveform(planned)[0]


def _frames(scene: Any) -> NDArray[np.uint8]:  # noqa: ANN401  (a world Scene)
    from muybridge.world import render

    return np.stack([frame.pixels_YX3 for frame in render.frames(scene, *DRAWN, masks=False)])


def _made(run: Run, planned: Any, number: int, cast: str) -> list[float]:  # noqa: ANN401  (as above)
    """The share for the model's clip; one in which nothing is seen to strike counts as missed."""
    from muybridge.world import talking

    clip = run.make(run.ask(talking.words(planned, "test")[0], number=number))
    if clip is None or clip.waveform_CS is None:
        return []
    found = sounds.seen_strikes(clip.frames_TYXC, cast)
    heard = sounds.onsets(clip.waveform_CS.mean(0), clip.sample_rate)
    return [sounds.hit_share(found, heard) if found else 0.0]


def _mean(values: list[float]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
