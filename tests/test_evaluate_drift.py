"""The zero-drift report: what is injected is found, what is clean passes, and the page is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_evaluate import RATE, clip, talk
from typer.testing import CliRunner

from muybridge import media
from muybridge.cli import build
from muybridge.errors import InvalidRequest, MediaInvalid
from muybridge.evaluate import drift_report, sync
from muybridge.evaluate.pooled import pool
from muybridge.evaluate.seams import clicks, colour_TD, jumps, sync_steps

Floats = NDArray[np.float64]
SEAMS = (14.0, 28.0, 42.0)


def lagged(seconds: float, slope: float = 0.0, step_ms: float = 0.0, offset_ms: float = 0.0) -> Floats:
    """Lag in seconds of every sample: a slope in ms/s about the middle, a step at the seam at 28 s."""
    t = np.arange(int(seconds * RATE)) / RATE
    return (offset_ms + slope * (t - seconds / 2) + np.where(t >= SEAMS[1], step_ms, 0.0)) / 1000


@pytest.mark.parametrize(
    ("seconds", "slope", "step_ms", "offset_ms", "verdicts"),
    [
        (60.0, 0.0, 0.0, 0.0, ("in sync",)),
        (120.0, 0.0, 0.0, 0.0, ("in sync",)),
        (60.0, 0.5, 0.0, 0.0, ("drift", "unsure")),
        (120.0, 0.5, 0.0, 0.0, ("drift",)),
        (120.0, -0.5, 0.0, 0.0, ("drift",)),
        (60.0, 0.0, 40.0, 0.0, ("jump",)),
        (60.0, 0.0, 0.0, 45.0, ("offset",)),
        (60.0, 0.0, 0.0, -45.0, ("offset",)),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_only_what_has_no_drift_passes(
    seconds: float, slope: float, step_ms: float, offset_ms: float, verdicts: tuple[str, ...], seed: int
) -> None:
    frames, waveform = clip(seconds, lagged(seconds, slope, step_ms, offset_ms), seed=seed)
    found = drift_report.judge("x", frames, waveform, RATE, SEAMS)
    assert found.drift.verdict in verdicts
    assert found.passes == (verdicts == ("in sync",)), found.faults
    if step_ms:
        at_seams = {s.at_s: s for s in found.seams if s.kind == "sync"}
        assert at_seams[28.0].is_fault and at_seams[28.0].figure == pytest.approx(step_ms, abs=12)
        assert not at_seams[14.0].is_fault and not at_seams[42.0].is_fault


def voice(seconds: float, seed: int, rate: int = 24_000) -> Floats:
    """Pulses at 120 Hz through a resonance, in syllables, with bursts of noise: as abrupt as speech is."""
    rng = np.random.default_rng(seed)
    t, opening = talk(seconds, seed)
    n = int(seconds * rate)
    level = np.interp(np.arange(n) / rate, t, opening)
    pulses = np.zeros(n)
    pulses[:: rate // 120] = 1.0
    ring = np.exp(-np.arange(400) / 60) * np.sin(2 * np.pi * 700 * np.arange(400) / rate)
    out = np.convolve(pulses, ring)[:n] * level * 0.3
    for at in rng.uniform(0.2, seconds - 0.2, int(3 * seconds)):
        start = int(at * rate)
        out[start : start + 480] += 0.2 * rng.standard_normal(480) * np.exp(-np.arange(480) / 120)
    return out


@pytest.mark.parametrize("seed", range(4))
def test_clicks_are_heard_and_speech_is_none(seed: int) -> None:
    rate, seams = 24_000, (7.0, 14.0, 21.0)
    clean = voice(30.0, seed)
    clean[int(20.9 * rate) : int(21.1 * rate)] = 0.0  # a pause: there the least click is heard
    assert not any(s.is_fault for s in clicks(clean, rate, seams))
    for seam, height in ((14.0, 0.5), (21.0, 0.005)):
        broken = clean.copy()
        broken[int(seam * rate) :] += height  # a step in the waveform: what a hard cut makes
        faults = {s.at_s for s in clicks(broken, rate, seams) if s.is_fault}
        assert faults == {seam}


def test_a_jump_of_colour_is_seen_and_motion_is_none() -> None:
    rng = np.random.default_rng(0)
    shift = 40 * np.sin(np.arange(300) / 9)[:, None, None, None]
    frames = (120 + shift + rng.normal(0, 6, (300, 32, 56, 3))).clip(0, 255).astype(np.uint8)
    still = (120 + rng.normal(0, 6, (300, 32, 56, 3))).clip(0, 255).astype(np.uint8)
    for made in (frames, still):
        assert not any(s.is_fault for s in jumps("colour", colour_TD(made), (4.0, 8.0), 25, 2.0))
    still[200:, ..., 0] += 6  # reddish from the seam on
    seen = jumps("colour", colour_TD(still), (4.0, 8.0), 25, 2.0)
    assert [s.is_fault for s in seen] == [False, True]


def test_another_person_after_a_seam_is_seen() -> None:
    rng = np.random.default_rng(1)
    person = rng.normal(size=16) + 0.1 * rng.normal(size=(300, 16))
    assert not any(s.is_fault for s in jumps("identity", person, (6.0,), 25))
    person[150:] += 0.4 * rng.normal(size=16)
    assert jumps("identity", person, (6.0,), 25)[0].is_fault


def test_too_few_windows_say_nothing_about_a_step() -> None:
    few = sync.Windows(np.array([2.0, 3.0]), np.array([0.0, 0.0]), np.array([1.0, 1.0]), 1.0)
    (seam,) = sync_steps(few, (2.5,))
    assert np.isnan(seam.figure) and not seam.is_fault


@pytest.fixture(scope="module")
def file_with_truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of a grey square that opens and shuts in time with its sound, its seams named in the file."""
    path = tmp_path_factory.mktemp("truth") / "talk.mp4"
    opening, waveform = clip(60.0, 0.0, seed=5)
    frames = np.full((1500, 32, 56, 3), 90, np.uint8)
    frames[:, 12:20, 20:36] = (60 + 150 * opening.clip(0, 1))[:, None, None, None].astype(np.uint8)
    with media.ClipWriter(path, sample_rate=RATE, fragmented=True, metadata={"seams": "14.0,28.0,42.0"}) as writer:
        writer.add(frames, waveform.astype(np.float32)[None])
    np.savez(drift_report.truth_path(path), opening_T=opening)
    return path


def test_a_file_is_judged_with_its_own_seams_and_drawn_on_one_page(file_with_truth: Path, tmp_path: Path) -> None:
    report = drift_report.judge_clip(file_with_truth)
    assert report.drift.verdict == "in sync" and report.container is not None and not report.container.faults
    assert {s.at_s for s in report.seams} == set(SEAMS) and {s.kind for s in report.seams} >= {"click", "colour"}
    assert report.passes, report.faults
    page = drift_report.draw(report, tmp_path / "page.png")
    height, width = media.read_image(page).shape[:2]
    assert 1.3 < height / width < 1.5
    assert drift_report.draw(report, tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert report.to_dict()["passes"] is True and report.to_dict()["drift"]["verdict"] == "in sync"


def test_openings_may_come_from_a_witness(file_with_truth: Path, tmp_path: Path) -> None:
    alone = tmp_path / "talk.mp4"
    alone.write_bytes(file_with_truth.read_bytes())
    with pytest.raises(MediaInvalid, match="how far the mouth"):
        drift_report.judge_clip(alone)
    report = drift_report.judge_clip(alone, lambda frames: frames[:, 56:72, 90:130].mean((1, 2, 3)))
    assert report.opening_from == "witness" and report.drift.verdict == "in sync"


def test_the_verb_prints_figures_and_writes_pages(file_with_truth: Path, tmp_path: Path) -> None:
    app = build(("drift", "plan"))
    run = CliRunner().invoke(app, ["drift", str(file_with_truth), "-o", str(tmp_path), "--json"])
    assert run.exit_code == 0, run.output
    both = json.loads(run.stdout)
    (printed,) = both["clips"]
    assert both["pooled"] is None  # one clip
    assert printed["passes"] and [Path(p).suffix for p in printed["pages"]] == [".png", ".pdf"]
    assert all(Path(p).is_file() for p in printed["pages"])
    assert isinstance(
        CliRunner().invoke(app, ["drift", str(file_with_truth), "--seams", "x"]).exception, InvalidRequest
    )


def test_the_verb_asks_the_witness_where_no_truth_lies_beside_the_clip(
    file_with_truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Eye:
        def aperture(self, frames_TYX3: NDArray[np.uint8]) -> Floats:
            opening_T: Floats = frames_TYX3[:, 56:72, 90:130].mean((1, 2, 3))
            return opening_T

        def describe(self, frames_TYX3: NDArray[np.uint8], count: int) -> Floats:
            return np.full(4, float(frames_TYX3[:count, 0, 0, 0].mean()))

    monkeypatch.setattr("muybridge.suites.fitted.witness", lambda *_: Eye())
    alone = tmp_path / "talk.mp4"
    alone.write_bytes(file_with_truth.read_bytes())
    app = build(("evaluate", "plan"))
    run = CliRunner().invoke(app, ["evaluate", "sync", "--long", str(alone), "--out", str(tmp_path), "--json"])
    assert run.exit_code == 0, run.output
    both = json.loads(run.stdout)
    (printed,) = both["clips"]
    assert both["pooled"] is None  # one clip
    assert printed["sound_from"] == "loudness"  # noise without a phone in it
    assert printed["opening_from"] == "witness" and printed["passes"], printed["faults"]
    assert {s["kind"] for s in printed["seams"]} == {"sync", "click", "colour", "identity"}


@pytest.mark.parametrize(
    ("slopes", "step_ms", "passes"),
    [
        ((0.0,) * 5, 0.0, True),
        ((0.5,) * 5, 0.0, False),
        ((0.9, -0.9, 0.9, -0.9, 0.0), 0.0, False),
        ((0.0,) * 5, 60.0, False),
    ],
)
def test_clips_prove_together_what_one_minute_cannot(slopes: tuple[float, ...], step_ms: float, passes: bool) -> None:
    """Clips as noisy as real voices are: each is unsure, five are not; opposite drifts do not cancel."""
    rng = np.random.default_rng(4)
    at = np.arange(2.0, 58.5)
    reports = []
    for k, slope in enumerate(slopes):
        noise = np.convolve(rng.normal(size=len(at) + 3), np.ones(4) / 2, "valid") * 9  # as windows that overlap
        lag_ms = noise - np.median(noise) + slope * (at - 30) + (step_ms if k == 2 else 0.0) * (at > 30)
        found = sync.Windows(at, lag_ms, np.full(len(at), 0.7), 1.0)
        report = drift_report.Report(f"clip {k}", 60.0, "truth", "loudness", found, sync.drift(found, 60.0), (), None)
        assert not (report.passes and step_ms and k == 2)
        reports.append(report)
    together = pool(reports)
    assert together is not None and together.count == 5
    assert together.passes == passes, together.line()
    assert together.interval_ms[0] <= together.slope_x_length_ms <= together.interval_ms[1]
    if passes:
        assert "unsure" in {r.drift.verdict for r in reports}
        assert together.interval_ms[1] - together.interval_ms[0] < min(np.ptp(r.drift.slope_ci_ms) for r in reports)
    assert pool(reports[:2]) is None


def test_one_poor_window_at_an_end_is_no_step() -> None:
    lag_ms = np.zeros(57)
    lag_ms[-3:] = 60.0
    assert sync.largest_step(lag_ms)[0] == 0.0
    lag_ms[-10:] = 60.0
    assert sync.largest_step(lag_ms)[0] == 60.0
