"""Long programmes: every frame once, on the programme's clock, from carried latents, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from muybridge.config import TINY, ModelConfig
from muybridge.engine import Engine, pixels, random_components
from muybridge.engine.clip import Clip
from muybridge.engine.programme import BASE, generate_programme
from muybridge.engine.state import GenerationState
from muybridge.request import Beat, Request
from muybridge.shapes import STRIDE_T, WINDOW_SECONDS, PixelSize, sample_at_frame

SMALL = ModelConfig(
    name="small",
    num_layers=2,
    hidden_size=64,
    head_dim=32,
    num_heads_kv=1,
    text_in_channels=16,
    mm_layers=(0,),
    gelu7_layers=(0,),
    num_roles=TINY.num_roles,
)


class Collect:
    """A sink that keeps everything and the size of the largest piece."""

    def __init__(self) -> None:
        self.frames: list[NDArray[np.uint8]] = []
        self.sound: list[NDArray[np.float32]] = []

    def add(self, frames_TYXC: NDArray[np.uint8], waveform_CS: NDArray[np.float32] | None = None) -> None:
        self.frames.append(frames_TYXC)
        assert waveform_CS is not None
        self.sound.append(waveform_CS)


@pytest.fixture
def engine() -> Iterator[Engine]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Engine(random_components("tiny", shape=SMALL))
    torch.set_num_threads(threads)


@pytest.mark.parametrize("seconds", [10.0, 33.24])
def test_frames_and_sound_are_exactly_as_long_as_asked(engine: Engine, seconds: float) -> None:
    sink = Collect()
    request = Request("a scene", size="64x64", seconds=3, num_inference_steps=1)
    windows = generate_programme(engine, request, seconds, sink)
    num_frames = sum(len(f) for f in sink.frames)
    assert num_frames == round(seconds * 25)
    assert sum(s.shape[1] for s in sink.sound) == sample_at_frame(num_frames, 24000)
    assert windows[-1].start_frame + windows[-1].clock.num_frames == num_frames
    assert max(len(f) for f in sink.frames) <= WINDOW_SECONDS["tiny"] * 25 + STRIDE_T


def test_a_window_starts_from_the_latents_and_the_sound_of_the_one_before(engine: Engine) -> None:
    sink = Collect()
    request = Request("a scene", size="64x64", seconds=3, num_inference_steps=2)
    windows = generate_programme(engine, request, 10.0, sink)
    assert len(windows) == 2
    # Alone, the second window would differ everywhere; carried, its sound goes on without a step at the seam.
    joined = np.concatenate(sink.sound, 1)[0]
    seam = sink.sound[0].shape[1]
    inner = np.abs(np.diff(joined))
    # With random weights the vocoder begins a pulse with every frame; a seam lies between two frames.
    assert inner[seam - 1] <= np.quantile(inner[959::960], 0.99)


@pytest.mark.parametrize("way", ["enlarged", "upscaled"])
def test_a_programme_larger_than_its_base_carries_latents_of_both_stages(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 256x160 the base stage makes 224x128; the rest is interpolated, or an upscaler's."""
    parts = random_components("tiny", shape=SMALL)
    if way == "enlarged":
        parts = replace(parts, upscaler=None, enlarges_pixels=True)
    else:
        parts = replace(parts, upscaler=random_components("tiny", seed=1, shape=SMALL).base)
    engine, states, real = Engine(parts), [], Engine.decode

    def decode(own: Engine, state: GenerationState, *more: object) -> Clip:
        states.append(state)
        return real(own, state, *more)  # type: ignore[arg-type]  # what the engine is given

    monkeypatch.setattr(Engine, "decode", decode)
    sink = Collect()
    request = Request("a scene", size="256x160", seconds=3, num_inference_steps=1)
    windows = generate_programme(engine, request, 8.0, sink)
    frames = np.concatenate(sink.frames)
    assert frames.shape == (200, 160, 256, 3)
    first, second = states
    begin, given = windows[1].start_unit, second.conditions.frames
    base = first.latents.get(BASE, first.latents["video"])
    assert base.shape[3:] == (8, 14)
    for i in range(1, 1 + windows[1].overlap_units):
        assert torch.equal(given[i], base[:, :, begin + i : begin + i + 1].cpu())
    # The first latent is the delivered picture, encoded at the stage's own size.
    size = {"enlarged": (8, 14), "upscaled": (10, 16)}[way]
    large = second.conditions.large_frames
    assert (set(large) == set(given)) == (way == "upscaled")
    encoded = (large or given)[0]
    assert encoded.shape[3:] == size
    seen = pixels.enlarge(pixels.to_uint8(parts.video_codec.decode(encoded)[0]), PixelSize(256, 160))[0]
    wanted = frames[begin * STRIDE_T]
    blocks = [p.reshape(10, 16, 16, 16, 3).mean((1, 3)).ravel() for p in (seen, wanted)]
    assert np.corrcoef(*blocks)[0, 1] > 0.9
    if way == "upscaled":
        for i in range(1, 1 + windows[1].overlap_units):
            assert torch.equal(second.latents["video"][:, :, i : i + 1].cpu(), large[i])


def test_progress_counts_windows_and_can_stop(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []

    def stop(index: int, count: int, _: object) -> None:
        seen.append((index, count))
        if index == 1:
            raise KeyboardInterrupt

    request = Request("a scene. 1-2 s: a bird sings", size="64x64", seconds=3, num_inference_steps=1)
    with pytest.raises(KeyboardInterrupt):
        generate_programme(engine, request, 8.0, Collect(), beats=(Beat("turns", 1.0, 7.0),), on_step=stop)
    assert seen == [(0, 2), (1, 2)]
