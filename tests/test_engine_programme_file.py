"""A talk to one file: exact lengths, words on time, playable while made, the same bytes after kill -9."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from programme_parts import TALK, make, programme, speaking_engine
from typer.testing import CliRunner, Result

from muybridge import media
from muybridge.cli import build
from muybridge.engine import command
from muybridge.engine.programme import generate_programme
from muybridge.engine.programme_file import GrowingFile, WindowFiles, make_file
from muybridge.errors import Conflict, InvalidRequest, UserError
from muybridge.evaluate.container import container_times
from muybridge.evaluate.drift_report import seams_of
from muybridge.model.tokens import Role
from muybridge.speech.programme import plan_programme, scene_of
from muybridge.speech.script import parse_script
from muybridge.speech.subtitles import read_cues
from muybridge.speech.talk import parse_talk


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "talk.mp4"
    made = make(output)
    assert len(made.windows) == 4 and made.num_resumed == 0
    assert not output.with_name("talk.mp4.state").exists()
    return output


def test_the_file_is_on_the_clock_and_names_its_seams(uninterrupted: Path) -> None:
    found = container_times(uninterrupted)
    assert found.faults == () and found.difference_s == 0
    assert seams_of(uninterrupted) == programme().seams_s("tiny") and len(programme().seams_s("tiny")) == 3


def test_sound_and_picture_are_as_long_as_planned(uninterrupted: Path) -> None:
    frames, waveform, _ = media.read_clip(uninterrupted)
    assert len(frames) == programme().num_frames
    assert waveform is not None and waveform.shape[1] == len(frames) * 960
    assert uninterrupted.with_suffix(".sheet.png").is_file()


@pytest.mark.parametrize(("window", "step"), [(0, 1), (1, 1)])
def test_killed_and_run_again_the_bytes_are_those_of_an_uninterrupted_run(
    uninterrupted: Path, tmp_path: Path, window: int, step: int
) -> None:
    output = tmp_path / "talk.mp4"
    script = Path(__file__).parent / "programme_parts.py"
    with subprocess.Popen(
        [sys.executable, str(script), str(output), str(window), str(step)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "here\n"
        child.send_signal(signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
    left = output.read_bytes()
    assert uninterrupted.read_bytes().startswith(left)
    if window:  # what is finished can be watched already
        assert len(media.read_clip(output)[0]) >= 75
    made = make(output)
    assert made.num_resumed == window
    assert output.read_bytes() == uninterrupted.read_bytes()


def test_another_talk_or_other_weights_begin_anew(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(index: int, *_: object) -> None:
        if index == 1:
            raise Stop

    output = tmp_path / "talk.mp4"
    with pytest.raises(Stop):
        make_file(speaking_engine(), programme(), output, "random", stop)
    with pytest.raises(Stop):
        make_file(speaking_engine(), programme(), output, "other weights", stop)
    changed = programme(TALK.replace("three", "four"))
    assert make_file(speaking_engine(), changed, output, "other weights").num_resumed == 0
    assert len(media.read_clip(output)[0]) == changed.num_frames


def test_two_runs_never_write_one_file_and_a_damaged_checkpoint_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "talk.mp4.state"
    first = WindowFiles(folder, "a talk")
    with pytest.raises(Conflict, match=r"talk\.mp4 is being made"):
        WindowFiles(folder, "a talk")
    first.close()
    (folder / "window-000.done").write_bytes(b"half a check")
    second = WindowFiles(folder, "a talk")
    assert second.was_there and second.num_done == 1
    assert second.load(0) is None and second.num_done == 0
    second.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_growing_file_passes_over_what_stands_there_and_mends_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"hello wurld and more")
    file = GrowingFile(path, keep=True)
    for piece in (b"hel", b"lo wor", b"ld"):
        file.write(piece)
    file.finish()
    assert path.read_bytes() == b"hello world"
    path.write_bytes(b"longer than what follows")
    file = GrowingFile(path, keep=True)
    file.write(b"longer")
    file.finish()
    assert path.read_bytes() == b"longer"


def test_every_window_is_told_its_words_and_notes_at_its_own_times() -> None:
    """The speech tokens of all windows stand where the plan has the phones, on the programme's clock."""
    engine, made = speaking_engine(), programme()
    seen = []
    real = engine.encode

    def encode(*given: object) -> object:
        state = real(*given)  # type: ignore[arg-type]
        seen.append(state)
        return state

    engine.encode = encode  # type: ignore[assignment, method-assign]

    class Nowhere:
        def add(self, *_: object) -> None: ...

    request = made.request.replace(num_inference_steps=1)
    generate_programme(engine, request, made.seconds, Nowhere(), plan=made.plan, beats=made.beats)
    assert made.plan is not None and len(seen) == 4
    spoken = set()
    for state in seen:
        text = state.conditions.text
        times_s = text.coords_N3[text.roles_N == Role.SPEECH][:, 0] / 6.25 + state.window.start_frame / 25
        spoken |= {round(float(t), 3) for t in times_s}
    wanted = {round((p.start_s + p.end_s) / 2, 3) for line in made.plan.lines for p in line.phones}
    assert all(min(abs(t - s) for s in spoken) < 0.002 for t in wanted)
    assert any('in French: "Bonjour à tous."' in state.request.prompt for state in seen)
    assert [b.text for b in made.beats] == ["She stands up."] and made.beats[0].start_s == made.plan.lines[2].start_s
    assert any(b.text == "She stands up." for state in seen for b in state.request.beats)


def test_the_command_writes_words_and_refuses_before_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "load", lambda *_: speaking_engine())
    monkeypatch.setattr(command, "weights_identity", lambda _: "random")
    talk, output = tmp_path / "talk.md", tmp_path / "out" / "talk.mp4"
    talk.write_text(TALK)
    steps = ["--set", "num_inference_steps=1", "--size", "64x64", "--json"]
    app = build(("generate", "plan"))
    run = CliRunner().invoke(app, ["generate", "--script", str(talk), "-o", str(output), *steps])
    assert run.exit_code == 0, run.output
    result = json.loads(run.stdout)
    assert result["num_frames"] == programme().num_frames and result["num_windows"] == 4
    for ending in (".srt", ".vtt"):
        cues = read_cues(output.with_suffix(ending).read_text("utf-8"))
        plan = programme().plan
        assert plan is not None and [c.text for c in cues] == [line.text for line in plan.lines]
        assert all(abs(c.start_s - line.start_s) < 0.002 for c, line in zip(cues, plan.lines, strict=True))
    # A subtitle file is a script too, and its cues keep their times.
    again = tmp_path / "again.mp4"
    vtt = str(output.with_suffix(".srt"))
    run = CliRunner().invoke(app, ["generate", "--script", vtt, "-o", str(again), *steps])
    assert run.exit_code == 0, run.output
    assert abs(json.loads(run.stdout)["num_frames"] - result["num_frames"]) <= 1

    def never(*_: object) -> None:
        raise AssertionError("weights were loaded for a request that cannot be met")

    monkeypatch.setattr(command, "load", never)
    for bad in (["--seconds", "9"], ["--seconds", "301"], ["--image", str(tmp_path / "none.png")]):
        run = CliRunner().invoke(app, ["generate", "--script", str(talk), *bad, *steps])
        assert isinstance(run.exception, UserError), bad


def test_an_edited_plan_is_made_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "load", lambda *_: speaking_engine())
    monkeypatch.setattr(command, "weights_identity", lambda _: "random")
    talk, edited, output = (tmp_path / name for name in ("talk.md", "plan.json", "talk.mp4"))
    talk.write_text("# A desk\n\nGood evening.\n\n> She stands up.\nIt is late.\n")
    app = build(("generate", "plan"))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    printed = json.loads(run("plan", f"@{talk}", "--json").stdout)
    assert printed["scene"] == "A desk" and printed["beats"][0]["text"] == "She stands up."
    printed["seconds"] = 6.0
    printed["lines"][1] |= {"start_s": 4.0, "end_s": 5.0}
    edited.write_text(json.dumps(printed))
    assert "4.00 -  5.00" in run("plan", f"@{edited}").stdout
    steps = ["-o", str(output), "--set", "num_inference_steps=1", "--size", "64x64", "--json"]
    made = run("generate", "--script", str(edited), *steps)
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["num_frames"] == 150
    cues = read_cues(output.with_suffix(".srt").read_text("utf-8"))
    assert (cues[1].text, cues[1].start_s, cues[1].end_s) == ("It is late.", 4.0, 5.0)
    for text, extra, said in (
        ("{", [], "not JSON"), ("[]", [], "not a plan"), ("{}", [], "not complete"),
        (edited.read_text(), ["--seconds", "9"], "not 9"),
        (json.dumps(printed | {"seconds": 400}), [], "3 to 300"),
    ):  # fmt: skip
        edited.write_text(text)
        refused = run("generate", "--script", str(edited), *extra, *steps).exception
        assert isinstance(refused, UserError) and said in str(refused)


def test_a_talk_that_is_too_long_is_refused_with_what_it_needs() -> None:
    script = parse_talk("The weather is nice today, so we are going to the park.\n\n" * 110)
    with pytest.raises(InvalidRequest, match=r"needs (3\d\d|4\d\d)\.\d s"):
        plan_programme(script)
    with pytest.raises(InvalidRequest, match="Nothing is said"):
        plan_programme(parse_talk("# Only a scene"))
    assert plan_programme(parse_talk("Hello.")).seconds == 3.0


def test_what_is_said_stays_out_of_the_scene() -> None:
    script = parse_script('A man says: "Hello everyone." He waves.')
    assert "Hello" not in scene_of(script) and scene_of(parse_script('"Hi."')) == "A person talks to the camera."
    assert scene_of(parse_talk(TALK), "A cat.") == "A cat. A woman at a desk, evening light"


def test_seams_are_exact_in_the_file(uninterrupted: Path) -> None:
    """The decoded file's sound is what the windows gave, at lag 0, also past the seam."""
    made = programme()
    sound: list[NDArray[np.float32]] = []

    class Keep:
        def add(self, frames_TYXC: NDArray[np.uint8], waveform_CS: NDArray[np.float32] | None = None) -> None:
            assert len(frames_TYXC) and waveform_CS is not None
            sound.append(waveform_CS)

    generate_programme(speaking_engine(), made.request, made.seconds, Keep(), plan=made.plan, beats=made.beats)
    given = np.concatenate(sound, 1)[0].astype(float)
    waveform = media.read_clip(uninterrupted)[1]
    assert waveform is not None
    seam = sound[0].shape[1]
    for start in (0, seam - 12_000, len(given) - 24_000):
        a, b = given[start : start + 24_000], waveform[0, start : start + 24_000].astype(float)
        fits = [float(np.dot(a[200:-200], b[200 + k : len(b) - 200 + k])) for k in range(-200, 201)]
        assert abs(int(np.argmax(fits)) - 200) <= 1
