"""Sound and picture are equally long at every duration, planned and written; what a container gets wrong is named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.engine.windows import owned_frames, plan_windows
from muybridge.evaluate.container import container_times
from muybridge.media import ClipWriter
from muybridge.shapes import FPS, MAX_SECONDS, STRIDE_T, clock, sample_at_frame

RATES = (16_000, 24_000, 44_100, 48_000)


def test_a_shot_of_any_length_has_4k_plus_1_sound_latents_that_cover_its_frames() -> None:
    for num_frames in range(75, 376):
        ticks = clock(num_frames / FPS)
        assert ticks.num_audio_latents == STRIDE_T * (ticks.num_video_latents - 1) + 1 == ticks.num_decoded_frames
        assert num_frames <= ticks.num_decoded_frames
        for rate in RATES:
            assert ticks.num_samples(rate) == num_frames * Fraction(rate, FPS)


@settings(max_examples=300, deadline=None)
@given(st.integers(75, 7500), st.lists(st.floats(0.5, 299.0), max_size=60))
def test_windows_of_3_to_300_seconds_add_up_to_the_sample(num_frames: int, ends_s: list[float]) -> None:
    """Every frame and every sample of a programme belongs to exactly one window, whatever the sentences."""
    windows = plan_windows(num_frames / FPS, sorted(ends_s))
    owned = owned_frames(windows)
    assert [n for r in owned for n in (r.start, r.stop)][1:-1] == [n for r in owned[1:] for n in (r.start, r.start)]
    assert (owned[0].start, owned[-1].stop) == (0, num_frames)
    for window, frames in zip(windows, owned, strict=True):
        ticks = window.clock
        assert ticks.num_audio_latents == STRIDE_T * (ticks.num_video_latents - 1) + 1
        assert window.start_frame + ticks.num_frames == frames.stop
        assert ticks.num_frames <= MAX_SECONDS * FPS
    for rate in RATES:
        samples = sum(sample_at_frame(r.stop, rate) - sample_at_frame(r.start, rate) for r in owned)
        assert abs(Fraction(samples, rate) - Fraction(num_frames, FPS)) < Fraction(1, rate)


def write(path: Path, num_frames: int, rate: int, fragmented: bool) -> Path:
    with ClipWriter(path, sample_rate=rate, fragmented=fragmented) as writer:
        for start in range(0, num_frames, 500):
            count = min(500, num_frames - start)
            samples = sample_at_frame(start + count, rate) - sample_at_frame(start, rate)
            writer.add(np.full((count, 16, 16, 3), start % 251, np.uint8), np.zeros((1, samples), np.float32))
    return path


@pytest.mark.parametrize("rate", [24_000, 44_100])
@pytest.mark.parametrize("num_frames", [75, 76, 77, 179, 250, 375, 1501, 7500])
@pytest.mark.parametrize("fragmented", [False, True])
def test_written_files_begin_together_and_last_equally_long(
    tmp_path: Path, num_frames: int, rate: int, fragmented: bool
) -> None:
    found = container_times(write(tmp_path / "a.mp4", num_frames, rate, fragmented))
    assert found.faults == ()
    assert found.video.start_s == 0 and found.video.seconds == Fraction(num_frames, FPS)
    assert found.audio is not None and found.audio.start_s == 0
    assert found.audio.priming_s == Fraction(1024, rate)
    assert abs(found.difference_s) < Fraction(1, rate)


def foreign(path: Path, rate: Fraction = Fraction(25), longer: int = 0, jump: int = 0, options: str = "") -> Path:
    """A clip of 100 frames by another hand: any rate, sound longer by samples, a gap of ticks in the pictures."""
    with av.open(str(path), "w", options={"movflags": options} if options else {}) as file:
        video: Any = file.add_stream("libx264", rate=rate)
        video.width = video.height = 16
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = 1 / rate / 4
        video.options = {"preset": "ultrafast"}
        sound: Any = file.add_stream("aac", rate=24_000)
        sound.codec_context.layout = "mono"
        for n in range(100):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = 4 * n + (jump if n > 50 else 0), 1 / rate / 4
            frame.duration = 4
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        total = int(100 / rate * 24_000) + longer
        for start in range(0, total, 1024):
            block = av.AudioFrame.from_ndarray(
                np.zeros((1, min(1024, total - start)), np.float32), format="fltp", layout="mono"
            )
            block.sample_rate, block.pts, block.time_base = 24_000, start, Fraction(1, 24_000)
            file.mux(sound.encode(block))
        file.mux(sound.encode(None))
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"rate": Fraction(24_000, 1001)}, "a frame lasts 41.708 ms"),
        ({"longer": 1100}, r"sound lasts \+4\d\.\d ms longer"),
        ({"longer": -1100}, r"sound lasts -4\d\.\d ms longer"),
        ({"jump": 2}, "the rate is not constant"),
        ({"options": "empty_moov+frag_keyframe"}, "no edit list hides"),
    ],
)
def test_what_a_container_gets_wrong_is_said(tmp_path: Path, changes: dict[str, Any], said: str | None) -> None:
    faults = container_times(foreign(tmp_path / "a.mp4", **changes)).faults
    if said is None:
        assert faults == ()
    else:
        import re

        assert any(re.search(said, fault) for fault in faults), faults
