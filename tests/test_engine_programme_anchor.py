"""A programme's anchor: every later window gets the same picture and voice, also after a kill; nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_parts import SHAPE, picture
from numpy.typing import NDArray
from programme_parts import Phones

from muybridge.engine import Engine, pipeline, random_components
from muybridge.engine.anchor import VOICE_LATENTS, Anchor, anchored, remember
from muybridge.engine.programme import generate_programme
from muybridge.engine.state import GenerationState
from muybridge.model import tokens
from muybridge.model.tokens import ALL_FRAMES, Role
from muybridge.request import AudioMode, Line, Reference, Request, reference_name
from muybridge.shapes import Window, clock
from muybridge.speech.pacing import Plan, plan_speech
from muybridge.speech.script import Script

SECONDS = 32.0
REQUEST = Request("a scene", size="64x64", seconds=3, num_inference_steps=2, seed=5)
TEXT = "The weather is nice today, so we are going to the park."


def make_engine(has_roles: bool = True) -> Engine:
    shape = SHAPE if has_roles else replace(SHAPE, num_roles=0)
    return Engine(replace(random_components("tiny", seed=3, shape=shape, std=0.05), phoneme_encoder=Phones()))


@pytest.fixture
def engine() -> Iterator[Engine]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield make_engine()
    torch.set_num_threads(threads)


def speech(start_s: float, speakers: tuple[str | None, ...] = (None,)) -> Plan:
    """A line each from `start_s` on, four seconds apart."""
    starts = [start_s + 4 * k for k in range(len(speakers))]
    lines = (Line(TEXT, who, "en", start_s=s, end_s=s + 3.0) for s, who in zip(starts, speakers, strict=True))
    return replace(plan_speech(Script("", lines=tuple(lines))), seconds=SECONDS)


class Kept:
    """Sink, and checkpoints as bytes; every window's state as it was after its first step and when it was done."""

    def __init__(self) -> None:
        self.frames: list[NDArray[np.uint8]] = []
        self.sound: list[NDArray[np.float32]] = []
        self.blobs: dict[int, bytes] = {}
        self.first: dict[int, GenerationState] = {}
        self.done: dict[int, GenerationState] = {}

    def add(self, frames_TYXC: NDArray[np.uint8], waveform_CS: NDArray[np.float32] | None = None) -> None:
        self.frames.append(frames_TYXC)
        if waveform_CS is not None:
            self.sound.append(waveform_CS)

    def load(self, index: int) -> GenerationState | None:
        return GenerationState.from_bytes(self.blobs[index]) if index in self.blobs else None

    def save(self, index: int, state: GenerationState) -> None:
        self.blobs[index] = state.to_bytes()
        if state.stage == "done":
            self.done[index] = state
        else:
            self.first.setdefault(index, state)


def run(engine: Engine, request: Request = REQUEST, seconds: float = SECONDS, plan: Plan | None = None) -> Kept:
    kept = Kept()
    generate_programme(engine, request, seconds, kept, plan=plan, checkpoints=kept)
    return kept


def test_windows_after_the_first_get_exactly_the_first_ones_picture_and_voice(engine: Engine) -> None:
    plan = speech(1.0)
    kept = run(engine, plan=plan)
    assert len(kept.done) > 2
    picture_NC = tokens.patchify(kept.done[0].latents["video"][0, :, :1])
    at = round(plan.lines[0].start_s * 25)
    voice_AC = kept.done[0].latents["audio"][0, at : at + VOICE_LATENTS]
    assert len(voice_AC) == VOICE_LATENTS and plan.lines[0].end_s - plan.lines[0].start_s > 2
    (name_NC,) = engine.parts.text_encoder.encode([reference_name(0)])
    for index in kept.done:
        packed = pipeline.prepare(engine.parts, kept.first[index]).packed["full"]
        layout, count = packed.layout, kept.first[index].window.clock.num_video_latents
        num_video, num_audio, _ = layout.splits
        video, audio = slice(count * 4, num_video), slice(num_video + 4 * (count - 1) + 1, num_video + num_audio)
        if index == 0:
            assert not bool((layout.roles_N == Role.REFERENCE).any() | (layout.roles_N == Role.TAG).any())
            continue
        assert torch.equal(packed.video_NC[video], picture_NC)
        assert torch.equal(packed.audio_NC[audio.start - num_video :], voice_AC)
        assert set(layout.roles_N[video].tolist()) == set(layout.roles_N[audio].tolist()) == {int(Role.REFERENCE)}
        assert set(layout.frames_N[video].tolist()) == set(layout.frames_N[audio].tolist()) == {ALL_FRAMES}
        # After the end: the picture one unit past the gap, then the voice on a clock of its own.
        assert set(layout.coords_N3[video, 0].tolist()) == {count + 1.0}
        assert torch.equal(layout.coords_N3[audio, 0], count + 2 + torch.arange(VOICE_LATENTS) / 4)
        tag = layout.roles_N == Role.TAG
        assert layout.coords_N3[tag].tolist() == [[count + 1.0, -1.0, -1.0]]
        assert torch.equal(packed.text_NC[tag[num_video + num_audio :]][0], name_NC.float().mean(0))


def test_the_anchor_is_seen(engine: Engine) -> None:
    """Another voice or picture gives another window: the tokens are not only there."""
    state = run(engine, plan=speech(1.0)).first[1]
    assert state.conditions.references is not None and state.conditions.reference_audio_BAC is not None
    told = pipeline.step(engine.parts, state).latents["audio"]
    for name in ("references", "reference_audio_BAC"):
        other = replace(state, conditions=replace(state.conditions, **{name: -getattr(state.conditions, name)}))
        assert not torch.equal(pipeline.step(engine.parts, other).latents["audio"], told)


@pytest.mark.parametrize("window", [1, 2])
def test_a_resumed_run_has_the_anchor_and_ends_in_the_same_bits(engine: Engine, window: int) -> None:
    plan = speech(1.0)
    whole, part = run(engine, plan=plan), Kept()

    def stop(index: int, *_: object) -> None:
        if index == window:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_programme(engine, REQUEST, SECONDS, part, plan=plan, on_step=stop, checkpoints=part)
    left = GenerationState.from_bytes(part.blobs[window]).conditions
    assert left.references is not None and left.reference_audio_BAC is not None
    again = Kept()
    again.blobs = part.blobs
    generate_programme(make_engine(), REQUEST, SECONDS, again, plan=plan, checkpoints=again)
    for ours, theirs in ((again.frames, whole.frames), (again.sound, whole.sound)):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_one_window_is_the_clip_that_it_was(engine: Engine) -> None:
    plan = speech(1.0)
    kept = run(engine, seconds=5.4, plan=plan)
    told = kept.done[0].conditions
    assert told.references is None and told.reference_audio_BAC is None
    request = kept.done[0].request
    alone = engine.decode(engine.denoise(engine.encode(request, Window(0, clock(5.4)), plan)))
    assert np.array_equal(np.concatenate(kept.frames), alone.frames_TYXC)
    assert alone.waveform_CS is not None and np.array_equal(np.concatenate(kept.sound, 1), alone.waveform_CS)


@pytest.mark.parametrize("count", [2, 9])
def test_the_users_references_come_first_and_nine_leave_no_place(engine: Engine, tmp_path: Path, count: int) -> None:
    given = tuple(Reference(picture(tmp_path / f"{k}.png", seed=k), reference_name(k)) for k in range(count))
    request = REQUEST.replace(references=given, num_inference_steps=1)
    state = engine.encode(request, Window(30, clock(3.0), 4))
    anchor = Anchor(torch.randn(1, 48, 1, 4, 4), torch.randn(1, 20, 64))
    told = anchored(engine.parts, state, anchor).conditions
    before = state.conditions
    assert before.references is not None and told.references is not None
    assert torch.equal(told.references[:count], before.references)
    tags = told.text.roles_N == Role.TAG
    end = state.window.clock.num_video_latents + 1
    if count == 9:
        assert len(told.references) == 9 and told.text is before.text
    else:
        assert torch.equal(told.references[count:], anchor.picture_RCTYX)
        assert told.text.coords_N3[tags][:, 0].tolist() == [end, end + 1, end + 2]
        (name_NC,) = engine.parts.text_encoder.encode(["Image 3"])
        assert torch.equal(told.text.features_NC[tags][2], name_NC.float().mean(0))
    packed = pipeline.prepare(engine.parts, replace(state, conditions=told)).packed["full"]
    num_video, num_audio, _ = packed.layout.splits
    first = packed.layout.coords_N3[num_video + num_audio - 20, 0]
    assert float(first) == end + len(told.references)  # the voice after the last picture


def test_without_roles_nothing_changes() -> None:
    engine = make_engine(has_roles=False)
    assert not engine.parts.has_roles
    kept = run(engine, REQUEST.replace(num_inference_steps=1), 20.0, speech(1.0))
    given = kept.done[1].conditions
    assert given.references is None and given.reference_audio_BAC is None
    anchor = remember(None, kept.done[0], kept.done[0].latents["video"], speech(1.0))
    assert anchored(engine.parts, kept.done[1], anchor) is kept.done[1]


def test_the_voice_is_a_lone_speakers_from_where_the_window_made_it(engine: Engine) -> None:
    state = engine.encode(REQUEST.replace(seconds=12.0), Window(0, clock(12.0)))
    video, audio = state.latents["video"], state.latents["audio"]
    # Nobody speaks in the first window: the picture is kept, the voice comes with the next.
    silent = remember(None, state, video, speech(14.0))
    assert silent.voice_BAC is None and torch.equal(silent.picture_RCTYX, video[:, :, :1])
    plan = speech(14.0)
    later = replace(state, window=Window(50, clock(12.0), 4), latents={"video": -video, "audio": -audio})
    spoken = remember(silent, later, -video, plan)
    begin = round((plan.lines[0].start_s - 8.0) * 25)
    assert spoken.picture_RCTYX is silent.picture_RCTYX and spoken.voice_BAC is not None
    assert torch.equal(spoken.voice_BAC, -audio[:, begin : begin + VOICE_LATENTS])
    assert remember(spoken, state, video, plan).voice_BAC is spoken.voice_BAC  # and stays
    # Its memory is its own: a view would hold the window's latents.
    assert spoken.voice_BAC.untyped_storage().nbytes() == VOICE_LATENTS * 64 * 4
    assert silent.picture_RCTYX.untyped_storage().nbytes() == 48 * 4 * 4 * 4
    assert remember(None, state, video, speech(1.0, ("Anna", "Ben"))).voice_BAC is None
    assert remember(None, state, video, None).voice_BAC is None
    mute = replace(state, request=state.request.replace(audio_mode=AudioMode.NONE))
    assert remember(None, mute, video, speech(1.0)).voice_BAC is None
    heard = replace(state, conditions=replace(state.conditions, voice_BAC=audio))
    assert remember(None, heard, video, speech(1.0)).voice_BAC is None
