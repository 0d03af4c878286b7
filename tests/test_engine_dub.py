"""Dubbing and given voices from the command line: what reaches the model, how long it gets, which sound comes out."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from engine_parts import movie
from numpy.typing import NDArray
from programme_parts import speaking_engine
from typer.testing import CliRunner

from muybridge import media
from muybridge.cli import build
from muybridge.engine import Engine, command, pipeline
from muybridge.errors import UserError
from muybridge.evaluate.container import container_times
from muybridge.model.tokens import Role
from muybridge.request import Task
from muybridge.shapes import clock

SMALL = ["--size", "64x64", "--set", "num_inference_steps=1", "--json"]
LINE = 'Dialogue: <woman, French>: "Bonjour à tous, il fait beau."'


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = speaking_engine()
    monkeypatch.setattr(command, "load", lambda *_: made)
    monkeypatch.setattr(command, "weights_identity", lambda _: "random")
    return made


def generate(*arguments: str) -> dict[str, Any]:
    run = CliRunner().invoke(build(("generate", "plan")), ["generate", *arguments, *SMALL])
    if run.exception is not None:
        raise run.exception
    printed: dict[str, Any] = json.loads(run.stdout)
    return printed


def test_a_dub_sees_the_source_and_the_new_words_and_is_as_long_as_the_source(engine: Engine, tmp_path: Path) -> None:
    source = movie(tmp_path / "source.mp4", seconds=4.2)
    states = []
    real = engine.encode

    def encode(*given: Any) -> Any:
        states.append(real(*given))
        return states[-1]

    engine.encode = encode  # type: ignore[method-assign]
    out = tmp_path / "dub.mp4"
    result = generate(LINE, "--video", str(source), "-o", str(out))
    assert result["task"] == Task.EDIT and result["num_frames"] == 105  # 4.2 s
    (state,) = states
    layout = pipeline.prepare(engine.parts, state).packed["full"].layout
    num_video, num_audio, _ = layout.splits
    is_source, is_target = layout.roles_N == Role.SOURCE, layout.roles_N == Role.TARGET
    assert torch.equal(layout.coords_N3[is_source], layout.coords_N3[is_target])  # same places, same times
    assert is_source[:num_video].sum() == clock(4.2).num_video_latents * 4
    assert is_source[num_video : num_video + num_audio].sum() == clock(4.2).num_audio_latents
    plan = engine.plan(state.request)
    assert plan is not None and plan.lines[0].language == "fr"
    wanted = [(p.start_s + p.end_s) / 2 for p in plan.lines[0].phones]
    spoken = (layout.coords_N3[layout.roles_N == Role.SPEECH][:, 0] / 6.25).tolist()
    assert spoken == pytest.approx(wanted, abs=0.002)
    # The sound is made anew: neither the source's nor kept.
    assert state.conditions.voice_BAC is None and state.conditions.source_audio_BAC is not None
    assert container_times(out).faults == ()
    assert [Path(p).suffix for p in result["subtitles"]] == [".srt", ".vtt"]
    assert "Bonjour" in Path(result["subtitles"][0]).read_text("utf-8")


@pytest.mark.usefixtures("engine")
def test_other_words_make_another_sound(tmp_path: Path) -> None:
    source = movie(tmp_path / "source.mp4")
    first = generate(LINE, "--video", str(source), "-o", str(tmp_path / "a.mp4"))
    other = generate(LINE.replace("beau", "froid"), "--video", str(source), "-o", str(tmp_path / "b.mp4"))
    a, b = (media.read_clip(r["clip"])[1] for r in (first, other))
    assert a is not None and b is not None and not np.array_equal(a, b)


def test_a_line_that_does_not_fit_the_source_is_refused_before_loading(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(command, "load", never)
    long = "My brother bought three large bottles of fresh milk at the market this morning. " * 2
    with pytest.raises(UserError, match=r"needs \d+\.\d s at its fastest.* has 3 s"):
        generate(f'Dialogue: <man, English>: "{long}"', "--video", str(movie(tmp_path / "s.mp4")))


def track(seconds: float, rate: int, channels: int) -> NDArray[np.float32]:
    """Syllables of a sung tone with noise: no two places alike, so a lag can be told to the sample."""
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * rate)) / rate
    level = 0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * t)
    voice = level * (np.sin(2 * np.pi * (180 * t + 20 * t * t)) + 0.1 * rng.standard_normal(len(t)))
    return np.stack([0.2 * voice, 0.1 * voice])[:channels].astype(np.float32)


def save(path: Path, waveform: NDArray[np.float32], rate: int) -> Path:
    if path.suffix == ".wav":
        return media.write_wav(path, waveform, rate)
    if path.suffix == ".mp4":
        frames = np.zeros((int(waveform.shape[1] / rate * 25), 32, 32, 3), np.uint8)
        media.write_clip(path, frames, waveform[:, : len(frames) * rate // 25], sample_rate=rate)
        return path
    with av.open(str(path), "w", format="mp3") as file:
        stream: Any = file.add_stream("libmp3lame", rate=rate, layout="stereo" if len(waveform) == 2 else "mono")
        stream.bit_rate = 192_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform), format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for resampled in av.AudioResampler("s16p", stream.layout.name, rate, 1152).resample(frame):
            file.mux(stream.encode(resampled))
        file.mux(stream.encode(None))
    return path


def lag_and_fit(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[int, float]:
    """Samples by which `b` is late, and the correlation there."""
    length = min(len(a), len(b))
    x, y = a[:length].astype(float), b[:length].astype(float)
    spectrum = np.fft.irfft(np.fft.rfft(y, 2 * length) * np.conj(np.fft.rfft(x, 2 * length)))
    lag = int(np.argmax(spectrum))
    lag = lag - 2 * length if lag > length else lag
    return lag, float(spectrum.max() / np.sqrt((x @ x) * (y @ y)))


@pytest.mark.parametrize(
    ("ending", "rate", "channels"), [(".wav", 48_000, 2), (".wav", 22_050, 1), (".mp3", 44_100, 2), (".mp4", 48_000, 1)]
)
def test_the_sound_that_comes_out_is_the_sound_that_went_in(
    engine: Engine, tmp_path: Path, ending: str, rate: int, channels: int
) -> None:
    wave = track(3.6, rate, channels)
    given = save(tmp_path / f"voice{ending}", wave, rate)
    out = tmp_path / "out.mp4"
    result = generate("A man talks", "--audio", str(given), "-o", str(out))
    assert result["task"] == Task.A2V and result["sample_rate"] == rate
    assert 90 <= result["num_frames"] <= 92  # MP3 ends with a padded block
    heard = media.read_clip(out)[1]
    assert heard is not None and heard.shape[0] == channels
    for channel in range(channels):  # AAC keeps the noise in it only roughly
        lag, fit = lag_and_fit(wave[channel], heard[channel])
        assert lag == 0 and fit > 0.97, (ending, lag, fit)
    # Before the container's codec it is the very samples.
    clip = engine.generate(engine.encode(command.Request("x", size="64x64", seconds=3, audio=given)).request)
    assert clip.waveform_CS is not None
    assert np.array_equal(clip.waveform_CS, media.read_audio(given)[0][:, : 3 * rate])


def test_a_long_voice_drives_a_programme_at_lag_0_in_every_window(engine: Engine, tmp_path: Path) -> None:
    wave = track(21.0, 16_000, 1)
    given = save(tmp_path / "voice.wav", wave, 16_000)
    heard_by_model = []
    real = engine.encode

    def encode(*arguments: Any) -> Any:
        state = real(*arguments)
        heard_by_model.append((state.window.start_frame, state.conditions.voice_BAC))
        return state

    engine.encode = encode  # type: ignore[method-assign]
    out = tmp_path / "out.mp4"
    result = generate("--audio", str(given), "-o", str(out))
    assert (
        result["num_windows"] == len(heard_by_model) > 3
        and result["num_frames"] == 525
        and result["sample_rate"] == 16_000
    )
    heard = media.read_clip(out)[1]
    assert heard is not None
    for start in (0, 16_000 * 13, 16_000 * 17):
        lag, fit = lag_and_fit(wave[0, start : start + 48_000], heard[0, start : start + 48_000])
        assert lag == 0 and fit > 0.97
    # Each window is driven by its own part: the overlap is the same sound in both.
    assert heard_by_model[0][0] == 0
    for (first, one), (second, two) in itertools.pairwise(heard_by_model):
        at = second - first
        torch.testing.assert_close(one[:, at + 2 : at + 10], two[:, 2:10], rtol=0.05, atol=0.05)
    assert container_times(out).faults == ()
