"""The suites of long talks and of two speakers, against truth that is injected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from programme_parts import speaking_engine
from test_suites import RATE, spoken

from muybridge.errors import NotInstalled
from muybridge.speech.pacing import plan_request
from muybridge.suites import evaluators, pair, programme, speech
from muybridge.suites.run import LANGUAGES, Run
from muybridge.suites.table import Row
from muybridge.world.visemes import planned_opening

Floats = NDArray[np.float64]


class Eye:
    """Reads the opening from the middle pixel, and the person from the corner."""

    def aperture(self, frames_TYX3: NDArray[np.uint8]) -> Floats:
        seen: Floats = frames_TYX3[:, frames_TYX3.shape[1] // 2, frames_TYX3.shape[2] // 2, 0] / 255.0
        return seen

    def describe(self, frames_TYX3: NDArray[np.uint8], count: int = 9) -> Floats:
        return np.asarray(frames_TYX3[0, 0, 0] + 0.0 * count, np.float64)


def run_of(engine: object, tmp_path: Path, count: int = 1, languages: tuple[str, ...] = LANGUAGES) -> Run:
    return Run(engine, count, 0, tmp_path, True, languages, known_witness=Eye())  # type: ignore[arg-type]  # stand-ins


def true_talk(
    language: str, number: int, late_ms: float = 0.0, moved: float = 0.0, seconds: float = 60.0
) -> programme.Talk:
    """A script on its clock with lips as planned, sound that is late at the end, and a person who changes by then."""
    plan = programme.script_plan(language, number, seconds)
    phones = [p for line in plan.lines for p in line.phones]
    opening_T = planned_opening(phones, round(seconds * 25))
    heard_T = np.interp(
        np.arange(len(opening_T)) - late_ms / 40 * np.linspace(0, 1, len(opening_T)),
        np.arange(len(opening_T)),
        opening_T,
    )
    rng = np.random.default_rng(number)
    person = rng.normal(size=(int(seconds), 4)) + moved * np.linspace(0, 1, int(seconds))[:, None]
    said = tuple((line.text, line.start_s, line.end_s) for line in plan.lines)
    return programme.Talk(opening_T, person, spoken(heard_T).mean(0), RATE, said)


def figures(rows: list[Row], language: str, what: str) -> Row:
    return next(row for row in rows if row.what.startswith((f"{language}: {what}", f"{language}, 60 s: {what}")))


@pytest.mark.parametrize(("late_ms", "moved"), [(0.0, 0.0), (90.0, 9.0)])
def test_drift_and_another_person_show_over_the_bars(
    late_ms: float, moved: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(_: Run, language: str, number: int, seconds: float) -> programme.Talk:
        assert seconds == 60
        return true_talk(language, number, late_ms, moved)

    monkeypatch.setattr(programme, "drawn", drawn)
    monkeypatch.setattr(evaluators, "python_for", lambda *_: (_ for _ in ()).throw(NotInstalled("none")))
    rows = programme.evaluate(run_of(None, tmp_path, 3, ("en", "ja")))
    assert all(row.figure is None for row in rows) and len(rows) == 10
    for language in ("en", "ja"):
        slope, person = figures(rows, language, "slope").ceiling, figures(rows, language, "person").ceiling
        assert slope is not None and person is not None
        assert (slope <= 20) == (not late_ms), slope
        assert (person <= 1) == (not moved), person


def test_words_at_the_end_are_compared_with_the_same_words_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk, plans = true_talk("en", 0), []

    def made(_: Run, language: str, number: int, plan: Any) -> programme.Talk:
        plans.append(plan)
        said = tuple((line.text, line.start_s, line.end_s) for line in plan.lines)
        return replace(true_talk(language, number, seconds=plan.seconds), said=said)

    def transcribe(_: str, folder: Path, items: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, str]]]:
        assert all((folder / item["file"]).is_file() for item in items)
        of = {end: [i["text"] for i in items if i["end"] == end] for end in ("start", "end")}
        assert of["start"] == of["end"] == [line[0] for line in talk.last_lines]
        return [(i, {"said": i["text"], "heard": i["text"] if i["end"] == "start" else ""}) for i in items]

    monkeypatch.setattr(programme, "_made", made)
    monkeypatch.setattr(speech, "transcribe", transcribe)
    monkeypatch.setattr(evaluators, "python_for", lambda *_: "python")
    run = run_of(object(), tmp_path, 1, ("en",))
    (row,) = programme._words(run, "en", [talk], tmp_path)
    assert row.figure == 1.0 and row.count == len(talk.last_lines) > 1
    (plan,) = plans
    assert plan.lines[0].start_s == pytest.approx(programme.FIRST_S) and plan.lines[-1].end_s <= plan.seconds <= 13
    for line, (_, start_s, _) in zip(plan.lines, talk.last_lines, strict=True):
        assert line.phones[0].start_s - line.start_s == pytest.approx(0, abs=1e-6)
        assert start_s - line.start_s == pytest.approx(talk.last_lines[0][1] - programme.FIRST_S, abs=1e-6)


def test_the_models_programme_is_watched_window_by_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = replace(run_of(speaking_engine(), tmp_path), talk_s=20.0)
    monkeypatch.setattr(
        Run, "ask", lambda *a, _ask=Run.ask, **k: _ask(*a, **k).replace(num_inference_steps=1, size="64x64")
    )
    talk = programme.written(run, "de", 0)
    assert len(talk.opening_T) == 500 and len(talk.person_NV) >= 20 and len(talk.seams_s) == 4
    assert len(talk.waveform_S) == 20 * talk.rate
    assert talk.said and talk.said[-1][2] <= 19.8


def two_mouths(speaks: str, seconds: float = 3.0) -> NDArray[np.uint8]:
    """Two faces of which one opens and shuts its mouth."""
    frames = np.full((round(seconds * 25), 16, 32, 3), 60, np.uint8)
    moving = (60 + 60 * np.sin(np.arange(len(frames)))).astype(np.uint8)
    columns = slice(0, 16) if speaks == "left" else slice(16, 32)
    frames[:, :, columns] = moving[:, None, None, None]
    return frames


@pytest.mark.parametrize("speaks", ["left", "right"])
def test_lips_of_the_wrong_person_are_seen(speaks: str, tmp_path: Path) -> None:
    run = run_of(None, tmp_path)
    opening = pair.openings(run, two_mouths(speaks))
    other = "right" if speaks == "left" else "left"
    right = pair.right_lips(opening, [(speaks, 0.2, 2.8)])
    assert len(right) == 5 and all(right)
    assert not any(pair.right_lips(opening, [(other, 0.2, 2.8)]))
    assert pair.right_lips(opening, [(speaks, 0.0, 1.0), (other, 1.0, 2.0)]) == [True, True, False, False]


def test_a_pair_is_asked_for_by_side_and_timed_by_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Turns:
        def generate(self, request: Any) -> Any:
            asked.append(request)
            lines = plan_request(request).lines
            assert [line.speaker for line in lines] == ["The man on the left", "The woman on the right"]
            frames = two_mouths("left", request.seconds)
            turn = round((lines[0].end_s + lines[1].start_s) / 2 * 25)
            frames[turn:] = two_mouths("right", request.seconds)[turn:]
            return replace(CLIP, frames_TYXC=frames)

    from muybridge.engine.clip import Clip

    CLIP = Clip(np.zeros((1, 1, 1, 3), np.uint8), None, RATE)
    monkeypatch.setattr(pair, "_clips", lambda *_: iter([(two_mouths("left"), [("left", 0.5, 2.5)])]))
    rows = pair.evaluate(run_of(Turns(), tmp_path, 1, ("en", "fr", "ko")))
    assert [(row.figure, row.ceiling) for row in rows] == [(1.0, 1.0)] * 3 and len(asked) == 3
    assert all(request.seconds <= 15 for request in asked)


def test_two_minutes_are_judged_at_one_too_and_a_run_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def written(_: Run, language: str, number: int) -> programme.Talk:
        if number == 2 and not made.count(2):
            made.append(number)
            raise KeyboardInterrupt
        made.append(number)
        return true_talk(language, number, seconds=120.0)

    monkeypatch.setattr(
        programme, "drawn", lambda _, language, number, seconds: true_talk(language, number, seconds=seconds)
    )
    monkeypatch.setattr(programme, "written", written)
    monkeypatch.setattr(evaluators, "python_for", lambda *_: (_ for _ in ()).throw(NotInstalled("none")))
    run = replace(run_of(object(), tmp_path, 4, ("ja",)), talk_s=120.0, made_by="these weights")
    with pytest.raises(KeyboardInterrupt):
        programme.evaluate(run)
    rows = programme.evaluate(run)
    assert made == [0, 1, 2, 2, 3]
    assert [row.what.split(":")[0] for row in rows] == ["ja, 60 s"] * 5 + ["ja, 120 s"] * 5
    assert all(row.ceiling is not None for row in rows[:5]) and all(row.ceiling is None for row in rows[5:])
    assert all(row.figure is not None and row.figure <= 45 for row in rows) and {row.count for row in rows} == {4}
    programme.evaluate(replace(run, made_by="others"))
    assert made[5:] == [0, 1, 2, 3], "other weights, or other code, make everything anew"


def test_the_first_minute_of_a_talk_is_the_talk_that_ends_there() -> None:
    whole, minute = true_talk("de", 1, seconds=120.0), true_talk("de", 1)
    part = whole.until(60.0)
    assert len(part.opening_T) == 1500 and len(part.person_NV) == 60 and len(part.waveform_S) == 60 * RATE
    same = round(
        25 * (minute.said[-1][2] - 0.5)
    )  # then the mouth makes ready for a sentence that a minute has no room for
    assert part.said == minute.said and np.allclose(part.opening_T[:same], minute.opening_T[:same], atol=0.02)
