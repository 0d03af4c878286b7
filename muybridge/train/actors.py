"""Silent people who nod, turn and change their mood for little: each pose is drawn once, clips are blended from those.

As in train/puppets.py, but what moves is the head or the mood and nobody speaks. All poses are those of one moment, so
that nothing else differs between them; a frame is a blend of the two poses next to what its gesture asks for.

Letters: T frames, K poses, Y X pixels.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from muybridge.shapes import FPS
from muybridge.speech import acts
from muybridge.train import puppets, takes
from muybridge.train.takes import Bytes, Take
from muybridge.world import captions, render, talking, wording
from muybridge.world.camera import ease
from muybridge.world.characters import identity_vector
from muybridge.world.grammar import sample_scene
from muybridge.world.motion import face_units
from muybridge.world.sample import seed_of
from muybridge.world.scene import EXPRESSIONS, CameraTrack, Human, Scene, Span

Floats = NDArray[np.float32]
OFFSET = 1 << 36  # other people than those of puppets
FRAMINGS, FRAMING_ODDS = ("close-up", "medium close-up", "medium shot"), (0.6, 0.3, 0.1)
# Poses drawn of each gesture besides the one at rest: how far it goes, from -1 to 1 where it swings.
SWINGS = {"nod": 4, "shake head": 5}
HOLDS = {"turn left": 8, "turn right": 8, "look up": 8, "look down": 8, "tilt head": 6, "lean in": 6}
EASE_S = {"gesture": acts.EASE_S, "mood": 0.28}  # in which a pose and a face come and go (world/motion.py)
MOODS, MOOD_POSES = EXPRESSIONS[1:], 3
MOOD_CLIPS = 0.3  # share of clips in which moods change and the head rests
HANDHELD = 0.15
TIMED = 0.85  # share of clips that have their beats on the clock
FACE_SHARE = 0.25  # of a face that counts as a mouth: there a gesture is seen
LONG_S = 2.0  # a span that has room for every value of its gesture


class Pose(NamedTuple):
    """What is done, and how far."""

    what: str = ""
    value: float = 0.0


def poses(has_moods: bool) -> list[Pose]:
    """All that are drawn of one person, the one at rest first."""
    found = [Pose()]
    for what, count in SWINGS.items():
        found += [Pose(what, side * k / count) for side in (-1, 1) for k in range(1, count + 1)]
    for what, count in HOLDS.items():
        found += [Pose(what, k / count) for k in range(1, count + 1)]
    if has_moods:
        found += [Pose(mood, k / MOOD_POSES) for mood in MOODS for k in range(1, MOOD_POSES + 1)]
    return found


def acting(human: Human, pose: Pose, at_s: float) -> Human:
    """The person as they are in this pose at one moment: with a span that comes to it just then."""
    if not pose.what:
        return human
    if pose.what in SWINGS:
        rate = max(2, round(LONG_S * acts.SWINGS[pose.what])) / LONG_S
        since = 1 / rate + math.asin(max(-1.0, min(1.0, pose.value))) / (2 * math.pi * rate)
    else:
        since = _when_eased(pose.value) * EASE_S["mood" if pose.what in MOODS else "gesture"]
    span = Span(at_s - since, at_s - since + LONG_S, pose.what)
    if pose.what in MOODS:
        return dataclasses.replace(human, expressions=(span,))
    return dataclasses.replace(human, gestures=(span,))


def _when_eased(value: float) -> float:
    """The share of its time after which `ease` has come to `value`."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if ease(middle, 0, 1) < value else (low, middle)
    return (low + high) / 2


def value_at(span: Span, t_s: float) -> float:
    """How far a span's gesture or mood has gone at a time, as world/motion.py moves it."""
    length = span.end_s - span.start_s
    edge_s = min(EASE_S["mood" if span.what in MOODS else "gesture"], length / 2)
    share = ease(t_s, span.start_s, span.start_s + edge_s) * (1 - ease(t_s, span.end_s - edge_s, span.end_s))
    if span.what not in SWINGS:
        return share
    length = max(length, 0.2)
    turns = max(2, round(length * acts.SWINGS[span.what]))
    return share * math.sin(2 * math.pi * (t_s - span.start_s) * turns / length)


def blend(spans: tuple[Span, ...], drawn: list[Pose], num_frames: int) -> Floats:
    """[T, K]: how much of each pose every frame takes. Spans do not overlap, but one mood fades as the next comes."""
    places: dict[str, list[tuple[float, int]]] = {}
    for place, pose in enumerate(drawn):
        places.setdefault(pose.what, []).append((pose.value, place))
    out_TK = np.zeros((num_frames, len(drawn)), np.float32)
    for frame in range(num_frames):
        for span in spans:
            value = value_at(span, frame / FPS)
            if abs(value) < 1e-6:
                continue
            known = sorted([*places[span.what], (0.0, 0)])
            above = min(max(1, int(np.searchsorted([v for v, _ in known], value))), len(known) - 1)
            (low, before), (high, after) = known[above - 1], known[above]
            share = min(1.0, (value - low) / (high - low))
            out_TK[frame, before] += (1 - share) * (before != 0)
            out_TK[frame, after] += share * (after != 0)
        out_TK[frame, 0] = max(0.0, 1.0 - float(out_TK[frame, 1:].sum()))
    shares_TK: Floats = out_TK / out_TK.sum(1, keepdims=True)
    return shares_TK


def draw_poses(scene: Scene, wanted: list[Pose], height: int, width: int) -> Bytes:
    """[K, Y, X, 5]: red, green, blue, masks of mouth and face of the scene's one person in each pose."""
    drawn = render.Set(scene)
    frame = int(puppets.MOMENT * scene.num_frames)
    frames = []
    try:
        for pose in wanted:
            human = acting(scene.people[0], pose, frame / FPS)
            drawn.scene = scene.replace(people=(human,))
            drawn.units[0][frame] = face_units(human, scene.seconds, scene.num_frames)[frame]
            frames.append(drawn.draw(frame, height, width))
    finally:
        drawn.release()
    return np.stack([np.dstack([f.pixels_YX3, f.masks["mouth"], f.masks["face"]]) for f in frames if f.masks])


def gestures(rng: np.random.Generator, seconds: float) -> tuple[Span, ...]:
    """One after the other, each of about a second."""
    spans: list[Span] = []
    at = float(rng.uniform(0.1, 0.9))
    while at < seconds - 0.9:
        length = min(float(rng.uniform(0.9, 1.6)), seconds - 0.05 - at)
        last = spans[-1].what if spans else ""
        what = str(rng.choice([name for name in (*SWINGS, *HOLDS) if name != last]))
        spans.append(Span(round(at, 2), round(at + length, 2), what))
        at += length + float(rng.uniform(0.15, 0.7))
    return tuple(spans)


def moods(rng: np.random.Generator, seconds: float) -> tuple[Span, ...]:
    """A mood that comes during the clip, from another one or from none."""
    turn = round(float(rng.uniform(0.27, 0.67) * seconds), 2)
    first, second = (str(mood) for mood in rng.choice(MOODS, 2, replace=False))
    after = Span(turn, seconds + 1.0, second)
    return (Span(-1.0, turn, first), after) if rng.random() < 0.6 else (after,)


def shoot(index: int, count: int, split: str, height: int, width: int, seconds: float) -> list[Take]:
    """Takes index * count ... + count - 1: one person who does `count` things. Sizes: multiples of 32."""
    rng = np.random.default_rng([0xAC70, index])
    framing = str(rng.choice(FRAMINGS, p=FRAMING_ODDS))
    scene = sample_scene(seed_of(index + OFFSET, split), split, seconds, cast="person", framing=framing)
    has_moods = rng.random() < 0.7
    held = () if has_moods else (Span(-1.0, seconds + 1.0, str(rng.choice(MOODS))),)
    at_rest = dataclasses.replace(scene.people[0], gestures=(), expressions=held)
    steady = dataclasses.replace(scene.light, change="steady")
    scene = scene.replace(people=(at_rest,), camera=CameraTrack(), light=steady)
    wanted = poses(has_moods)
    layers = torch.from_numpy(draw_poses(scene, wanted, height, width)).permute(0, 3, 1, 2).float()
    out = []
    for number in range(count):
        changes = has_moods and rng.random() < MOOD_CLIPS
        spans = moods(rng, seconds) if changes else gestures(rng, seconds)
        share_TK = torch.from_numpy(blend(spans, wanted, scene.num_frames))
        acted = torch.einsum("tk,kcyx->tcyx", share_TK, layers)
        camera = CameraTrack("handheld", amount=0.0) if rng.random() < HANDHELD else CameraTrack()
        if camera.move == "handheld":
            acted = puppets.moved(acted, puppets.sway(int(rng.integers(1 << 31)), scene.num_frames))
        human = (
            dataclasses.replace(at_rest, expressions=spans) if changes else dataclasses.replace(at_rest, gestures=spans)
        )
        told = scene.replace(people=(human,), camera=camera, seed=scene.seed + number)
        out.append(_take(index * count + number, split, told, acted, rng))
    return out


def _take(index: int, split: str, scene: Scene, acted: torch.Tensor, rng: np.random.Generator) -> Take:
    """The take of blended layers [T, 5, Y, X]; its mouth counts for the loss, and so does a share of its face."""
    layers = acted.permute(0, 2, 3, 1).round().clamp(0, 255).byte().contiguous().numpy()
    plan = talking.Plan(scene, (), ())
    text, prompts = talking.words(plan, split)
    none = np.zeros((0, 0), np.float32)
    mouth_TYX = np.maximum(layers[..., 3], (FACE_SHARE * layers[..., 4]).astype(np.uint8))
    clip = talking.TalkingClip(
        index=index,
        split=split,
        scene=scene,
        frames_TYX3=layers[..., :3],
        waveform_CS=talking.waveform(plan),
        lines=(),
        masks={"mouth": mouth_TYX, "face": layers[..., 4]},
        landmarks_TPL3=none,
        units_TPU=none,
        identities_PV=np.stack([identity_vector(human.identity) for human in scene.people]),
        events=(),
        attributes=captions.attributes(scene),
        caption=text,
        prompts=prompts,
    )
    take = takes.take_of(clip, None, rng)
    take.facts["beats"] = beats(scene, rng) if rng.random() < TIMED else []
    return take


def beats(scene: Scene, rng: np.random.Generator) -> list[list[object]]:
    """[text, start, end] of all that the person does."""
    human, seconds = scene.people[0], scene.seconds
    who = captions.person_word(human)
    poss = "his" if who == "man" else "her"
    found: list[list[object]] = []
    for span in (*human.gestures, *human.expressions):
        start, end = max(0.0, span.start_s), min(span.end_s, seconds)
        if end - start > 0.9 * seconds:
            continue
        options = wording.EXPRESSIONS.get(span.what) or wording.GESTURES[span.what]
        act = options[int(rng.integers(len(options)))].format(poss=poss)
        found.append([f"the {who} {act}", round(start, 2), round(end, 2)])
    return found


def build(
    folder: Path,
    num_people: int,
    num_clips: int = 10,
    split: str = "train",
    size: tuple[int, int] = (128, 224),
    seconds: float = 3.0,
    stride: int = 1,
    first: int = 0,
    quiet: bool = False,
) -> int:
    """Takes of people 0..num_people-1 that are not there yet; returns how many clips it made.

    `stride` processes that pass `first` 0..stride-1 share the work.
    """
    return puppets.build_each(
        folder, num_people, num_clips, split, stride, first, quiet,
        lambda number: shoot(number, num_clips, split, *size, seconds),
    )  # fmt: skip
