"""What is told of the time after the steps: each codec's own seconds a latent, times the latents of the whole clip."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from muybridge.engine import Engine, meter, random_components
from muybridge.engine.components import Components
from muybridge.engine.pipeline import stages_of
from muybridge.engine.state import GenerationState
from muybridge.model.fixed_codec import FixedVideoCodec
from muybridge.request import AudioMode, Request
from muybridge.shapes import clock
from tests.test_engine_programme import SMALL

DECODES, ENCODES = 3.0, 5.0  # seconds a latent


class Clock:
    """A clock that only codecs move."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class SlowCodec(FixedVideoCodec):
    """The codec of fixed cosines, with a price a latent, whatever the size."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def encode(self, frames_BCTYX: Tensor) -> Tensor:
        latent = super().encode(frames_BCTYX)
        self.clock.now += ENCODES * latent.shape[2]
        return latent

    def decode(self, latent_BCTYX: Tensor, *more: Any) -> Tensor:
        self.clock.now += DECODES * latent_BCTYX.shape[2]
        return super().decode(latent_BCTYX, *more)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Components:
    clock = Clock()
    monkeypatch.setattr(meter, "time", clock)
    return replace(random_components("tiny", shape=SMALL), video_codec=SlowCodec(clock), enlarges_pixels=True)


def test_a_large_clip_is_decoded_enlarged_and_encoded_between_its_stages(slow: Components) -> None:
    request = Request("a scene", size="256x160", seconds=3, num_inference_steps=1, audio_mode=AudioMode.NONE)
    state = Engine(slow).encode(request)
    latents = clock(3).num_video_latents
    told = meter.seconds_after(slow, state, stages_of(slow, request))
    assert told == pytest.approx({"base": (DECODES + ENCODES) * latents, "upscaler": DECODES * latents})


def test_a_small_clip_is_only_decoded(slow: Components) -> None:
    request = Request("a scene", size="64x64", seconds=3, num_inference_steps=1, audio_mode=AudioMode.NONE)
    state = Engine(slow).encode(request)
    told = meter.seconds_after(slow, state, stages_of(slow, request))
    assert told == pytest.approx({"base": DECODES * clock(3).num_video_latents})


def test_clips_of_one_size_are_timed_once_whatever_their_length(
    slow: Components, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed, real = [], meter.seconds_after

    def counted(parts: Components, state: GenerationState, stages: Any) -> dict[str, float]:
        timed.append(state.request.seconds)
        return real(parts, state, stages)

    monkeypatch.setattr(meter, "seconds_after", counted)
    engine, told = Engine(slow), []
    for seconds in (3, 3, 6):
        wish = Request("a scene", size="64x64", seconds=seconds, num_inference_steps=1, audio_mode=AudioMode.NONE)
        engine.generate(wish, told.append)
    assert timed == [3]
    left = [progress.eta_s for progress in told]
    assert left[0] == pytest.approx(DECODES * clock(3).num_video_latents)
    assert left[-1] == pytest.approx(left[0] * clock(6).num_decoded_frames / clock(3).num_decoded_frames)
