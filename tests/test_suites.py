"""Suites against truth that is injected: lips that are late, answers that are wrong, a camera that turns."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from muybridge import suites
from muybridge.config import settings
from muybridge.engine.clip import Clip
from muybridge.errors import InvalidRequest, NotInstalled, UserError
from muybridge.evaluate import fitting, witness
from muybridge.request import Request
from muybridge.shapes import PixelSize
from muybridge.speech.durations import natural_durations
from muybridge.speech.pacing import plan_request
from muybridge.speech.phonemes import phonemes
from muybridge.suites import (
    adherence,
    beats,
    drawings,
    edit,
    evaluators,
    fitted,
    identity,
    image,
    speech,
    sync,
    whisper,
)
from muybridge.suites.run import Run
from muybridge.suites.table import Row, to_dict
from muybridge.world.visemes import planned_opening

RATE = 24_000


def spoken(opening_T: NDArray[np.float64]) -> NDArray[np.float32]:
    """Noise whose loudness follows the mouth, stereo."""
    samples = np.interp(np.arange(len(opening_T) * RATE // 25) / RATE, np.arange(len(opening_T)) / 25, opening_T)
    noise = np.random.default_rng(0).standard_normal(len(samples))
    return np.repeat((0.2 * (samples + 0.01) * noise)[None], 2, 0).astype(np.float32)


class Eye:
    """A witness that reads the opening from the first pixel."""

    def aperture(self, frames_TYX3: NDArray[np.uint8]) -> NDArray[np.float64]:
        return frames_TYX3[:, 0, 0, 0] / 255.0


class Speaker:
    """An engine whose lips are `late` frames behind the plan, or never move."""

    def __init__(self, late: int, still: bool = False) -> None:
        self.late, self.still = late, still

    def generate(self, request: Request) -> Clip:
        planned = plan_request(request)
        opening = planned_opening([p for line in planned.lines for p in line.phones], request.num_frames)
        lips = np.zeros_like(opening) if self.still else np.concatenate([np.zeros(self.late), opening])[: len(opening)]
        frames = np.zeros((len(lips), 4, 4, 3), np.uint8)
        frames[:, 0, 0, 0] = lips * 255
        return Clip(frames, spoken(opening), RATE)


def talking(_run: Run, _language: str) -> Iterator[sync.Drawn]:
    """One clip with lips on the words; its landmarks say nothing of them."""
    words = natural_durations(phonemes("My brother bought three big bottles of milk.", "en"), "en")
    phones = tuple(p.moved(0.3) for p in words)
    opening = planned_opening(phones, 100)
    frames = np.zeros((100, 4, 4, 3), np.uint8)
    frames[:, 0, 0, 0] = opening * 255
    marks = np.random.default_rng(0).normal(size=(100, 18, 3))
    said = 'The man says: "My brother bought three big bottles of milk."'
    yield sync.Drawn(frames, marks, spoken(opening), phones, said)


@pytest.mark.parametrize(("late", "r"), [(0, 0.99), (3, 0.9)])
def test_late_lips_show_as_lag_and_cost_correlation(
    late: int, r: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "_clips", talking)
    run = Run(Speaker(late), 1, 0, tmp_path, True, ("en",), known_witness=Eye())  # type: ignore[arg-type]  # stand-ins
    rows = {row.what: row for row in sync.evaluate(run)}
    lag = rows["en: lips behind the plan (ms)"]
    assert lag.figure == pytest.approx(40 * late, abs=8)
    assert lag.ceiling == pytest.approx(0, abs=8)
    assert rows["en: sound behind the lips (ms)"].figure == pytest.approx(-40 * late, abs=40)
    of = rows["en: r of opening and plan"]
    assert of.figure is not None and of.ceiling is not None
    assert (of.figure > r) if late == 0 else (of.figure < r < of.ceiling)
    closed = rows["en: p b m closed"].figure
    assert closed is not None
    assert closed == 1.0 if late == 0 else closed < 1.0
    assert rows["shifts of 3 frames seen"].figure == 1.0
    assert (tmp_path / "sync.png").stat().st_size > 1000


def test_a_still_mouth_has_no_correlation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "_clips", talking)
    run = Run(Speaker(0, still=True), 1, 0, tmp_path, True, ("en",), known_witness=Eye())  # type: ignore[arg-type]  # stand-ins
    rows = {row.what: row.figure for row in sync.evaluate(run)}
    assert rows["en: r of opening and plan"] == 0.0
    assert rows["shifts of 3 frames seen"] == 0.0


def test_without_weights_there_are_ceilings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "_clips", talking)
    rows = sync.evaluate(Run(None, 1, 0, tmp_path, True, ("en",), known_witness=Eye()))  # type: ignore[arg-type]  # as above
    assert all(row.figure is None for row in rows)
    assert all(row.ceiling is not None for row in rows)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (-2, 1), (0, -3)])
def test_motion_of_the_picture_is_measured(dx: int, dy: int) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    frames = np.stack([coarse[90 - 2 * dy * k :, 90 - 2 * dx * k :][:128, :224] for k in range(9)])
    total = witness.flow_features(frames)[:24].reshape(12, 2)
    assert total.mean(0) == pytest.approx([8 * dx, 8 * dy], abs=3)


def painted(count: int, seed: int) -> fitting.Drawings:
    """Discs with a dark mouth that opens, on grey; hair is a cap of one of two colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :224]
    frames = np.zeros((count, 9, 128, 224, 3), np.uint8)
    mouth, face, opening = np.zeros((count, 9, 2)), np.zeros((count, 9)), np.zeros((count, 9))
    labels = np.full((count, len(ANSWERS)), fitting.NONE)
    for n in range(count):
        hair, ground = int(rng.integers(2)), rng.integers(90, 160, 3)
        high, at = float(rng.uniform(18, 34)), rng.uniform((80, 60), (140, 80))
        for t in range(9):
            gap = float(rng.uniform(0, 0.4))
            picture = np.broadcast_to(ground, (128, 224, 3)).copy()
            radius = np.hypot((x - at[0]) / 1.1, y - at[1] + 0.5 * high)
            picture[radius < 1.1 * high] = (200, 160, 130)
            picture[(radius < 1.1 * high) & (y < at[1] - 0.9 * high)] = ((30, 20, 20), (220, 190, 90))[hair]
            picture[(abs(x - at[0]) < 0.3 * high) & (abs(y - at[1]) < (gap * 0.5 + 0.02) * high)] = (90, 20, 20)
            frames[n, t], mouth[n, t], face[n, t], opening[n, t] = picture, at, high, gap
        labels[n, 1], labels[n, 0], labels[n, 6] = hair, 1, 0
    person = np.repeat(labels[:, 1:2], 34, 1).astype(np.float32)
    moods = np.zeros((count, 9), np.int64)
    return fitting.Drawings(
        frames, mouth.astype(np.float32), face.astype(np.float32), opening.astype(np.float32), moods, labels, person
    )


ANSWERS = {
    "count": ("0", "1", "2"), "hair": ("dark", "fair"), "clothes": ("red", "blue"), "place": ("in", "out"),
    "hour": ("day", "night"), "light": ("left", "right"), "camera": ("static", "pan"), "expression": ("none", "happy"),
}  # fmt: skip


@pytest.mark.slow
def test_a_fitted_witness_sees_what_it_was_not_shown(tmp_path: Path) -> None:
    made = fitting.fit(painted(24, 0), ANSWERS, steps=80)
    sight = fitting.examine(made, painted(6, 1))
    assert sight.aperture_r > 0.8
    assert sight.mouth_error < 0.15
    assert sight.right["hair"] == 1.0
    made.save(tmp_path / "w.safetensors")
    again = witness.Witness(ANSWERS, 34).load(tmp_path / "w.safetensors")
    clip = painted(1, 2).frames_NTYX3[0]
    assert np.array_equal(again.aperture(clip), made.aperture(clip))


def test_a_checkout_s_witness_is_asked_before_one_that_was_fitted_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("scipy")
    here_alone = dataclasses.replace(settings(), home=tmp_path)  # the environment is read once a process
    monkeypatch.setattr(fitted, "settings", lambda: here_alone)
    monkeypatch.setattr(drawings, "draw", None)  # nothing is fitted
    made = [witness.Witness(drawings.names(), len(drawings.NO_PERSON)) for _ in range(2)]
    here = tmp_path / "carried" / "w.safetensors"
    monkeypatch.setattr(fitted, "carried", lambda *_: here)
    made[0].save(fitted.folder().with_suffix(".safetensors"))
    weight = "mouth.1.weight"
    assert torch.equal(fitted.witness(quiet=True).state_dict()[weight], made[0].state_dict()[weight])
    made[1].save(here, storage="int8")
    kept, wanted = fitted.witness(quiet=True).state_dict()[weight], made[1].state_dict()[weight]
    assert torch.allclose(kept, wanted, atol=float(wanted.abs().max()) / 127)


def test_only_what_a_prompt_says_is_asked_for() -> None:
    pytest.importorskip("scipy")
    scene = next(s for s in (drawings.scene_of(k, "test")[0] for k in range(99)) if len(s.people) == 1)
    scene = scene.replace(place="beach", hour="night")
    look = scene.people[0].look
    said = adherence.mentioned(scene, f"A person with {look.hair_color} hair by the sea.")
    assert {"hair", "place", "count"} <= said
    assert not {"hour", "camera", "light"} & said
    assert adherence.answers(scene)["place"] == "beach"
    assert adherence.answers(scene)["count"] == "1"


def test_scenes_of_the_splits_are_others() -> None:
    pytest.importorskip("scipy")
    train, test = drawings.scene_of(3, "train")[0], drawings.scene_of(3, "test")[0]
    assert train.seed != test.seed
    assert drawings.scene_of(3, "test")[0] == test


def test_photos_are_those_that_no_recipe_trains_on() -> None:
    for still, prompt, _ in image._photos(PixelSize(448, 256)):
        assert still.shape == (256, 448, 3)
        assert prompt


def test_without_an_evaluator_its_packages_and_the_page_are_told() -> None:
    with pytest.raises(NotInstalled, match=r"faster_whisper.*evaluate\.md") as error:
        evaluators.python_for(whisper.PACKAGES, "/bin/false")
    assert error.value.exit_code == 2
    with pytest.raises(UserError, match="/no/such/python cannot be run"):
        evaluators.python_for(whisper.PACKAGES, "/no/such/python")


def test_faces_are_found_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program itself, over a stand-in of the net that finds white pixels: places, gaps and the end are ours."""
    package = tmp_path / "mediapipe" / "python" / "solutions"
    package.mkdir(parents=True)
    (package / "face_mesh.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    frames = np.zeros((12, 64, 112, 3), np.uint8)
    for t in (0, 1, 2, 3, 4, 5, 8, 9, 10, 11):  # no face in 6 and 7
        frames[t, 40, 20 + t] = 255
    run = Run(None, 1, 0, tmp_path, True, evaluators=sys.executable)
    finder = run.finder
    assert finder is not None
    found = finder.find(frames)
    assert np.isnan(found[6:8]).all()
    assert np.isfinite(np.delete(found, [6, 7], 0)).all()
    assert found[0] == pytest.approx([2 * 20, 2 * 40, 2 * 16])  # in pixels of 224 x 128; brows are 16 over the mouth
    assert evaluators.steadied(found)[6] == pytest.approx([2 * 26, 2 * 40, 2 * 16], abs=3)
    run.__dict__["witness"] = MouthNearFace()
    seen, unseen = run.lips(frames), run.lips(np.zeros_like(frames))
    assert seen.seen_share == pytest.approx(10 / 12)
    assert seen.opening_T[0] == pytest.approx(40, abs=5)
    assert unseen.seen_share == 0
    assert not unseen.opening_T.any()
    filled = run.faces(frames)
    assert filled[0] == pytest.approx(found[0])
    assert filled[6] == pytest.approx([7, 7, 7])  # the witness's own
    run.close()
    monkeypatch.delenv("PYTHONPATH")
    broken = evaluators.FaceFinder(sys.executable)
    with pytest.raises(UserError, match=r"(?s)The face mesh stopped: .*mediapipe"):
        broken.find(frames)
    broken.close()


class MouthNearFace:
    """A witness who says where it was told to look."""

    def aperture(self, frames_TYX3: NDArray[np.uint8], faces_T3: NDArray[np.float32]) -> NDArray[np.float64]:
        assert len(frames_TYX3) == len(faces_T3)
        return faces_T3[:, 0].astype(np.float64)

    def single_faces(self, frames_TYX3: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(frames_TYX3), 3), 7, np.float32)


STAND_IN = """
from types import SimpleNamespace as N
import numpy as np
class FaceMesh:
    def __init__(self, **_): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def process(self, frame):
        y, x = (frame.sum(-1) > 0).nonzero()
        if not len(x): return N(multi_face_landmarks=None)
        brows = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
        high, wide = frame.shape[:2]
        marks = [N(x=x[0] / wide, y=(y[0] - 16 * (k in brows)) / high) for k in range(478)]
        return N(multi_face_landmarks=[N(landmark=marks)])
"""


def test_the_recogniser_is_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "listen.py"
    stand_in.write_text(
        "import json, sys, pathlib\n"
        "rows = json.loads((pathlib.Path(sys.argv[1]) / 'list.json').read_text())\n"
        "print(json.dumps([{'said': r['text'], 'heard': r['text'].upper()} for r in rows]))\n"
    )
    monkeypatch.setattr(whisper, "__file__", str(stand_in))
    (pair,) = speech.transcribe(sys.executable, tmp_path, [{"file": "a.wav", "language": "en", "text": "hello"}])
    assert pair[1] == {"said": "hello", "heard": "HELLO"}


def test_unknown_suites_and_languages_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="'tlh'; choose of en, zh"):
        suites.evaluate("sync", "truth", out=tmp_path, languages=("en", "tlh"))
    with pytest.raises(InvalidRequest, match="sync"):
        suites.evaluate("taste", out=tmp_path)


def test_rows_are_plain_json() -> None:
    row = Row("x", float("nan"), float("inf"), ">= 1", 2)
    assert to_dict([row]) == [{"what": "x", "figure": None, "ceiling": None, "bar": ">= 1", "count": 2}]


class Guess:
    """A witness whose answers are always the same."""

    def attributes(self, frames_TYX3: NDArray[np.uint8]) -> dict[str, str]:
        assert frames_TYX3.dtype == np.uint8
        return {"hair": "red", "clothes": "blue", "place": "beach", "hour": "day", "light": "left", "count": "1",
                "camera": "static", "expression": "happy"}  # fmt: skip

    def describe(self, frames_TYX3: NDArray[np.uint8], count: int = 9) -> NDArray[np.float64]:
        colour = frames_TYX3.reshape(-1, 3).mean(0)
        return np.concatenate([colour, [count * 0.0]])


def plain_pixels(scene: Any, count: int | None = 9, size: PixelSize = drawings.SMALL) -> NDArray[np.uint8]:
    """A picture of its own for each scene, without drawing it."""
    rng = np.random.default_rng(scene.people[0].identity.seed if scene.people else 0)
    shape = (scene.num_frames if count is None else count, size.height, size.width, 3)
    return np.broadcast_to(rng.integers(0, 255, 3, dtype=np.uint8), shape).copy()


def test_a_person_who_turns_into_another_has_a_falling_trend() -> None:
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(25, 8))
    share_N = np.linspace(0, 1, 15)[:, None]
    turns = gallery[3] * (1 - share_N) + gallery[7] * share_N + 0.05 * rng.normal(size=(15, 8))
    stays = [identity.trend(gallery[3] + 0.05 * rng.normal(size=(15, 8)), gallery, 3) for _ in range(60)]
    assert identity.trend(turns, gallery, 3) < -2
    assert abs(float(np.median(stays))) < 0.5  # single clips of 15 seconds scatter by two thirds of a spread
    assert identity.trend(turns[::-1], gallery, 3) > 2


def test_who_has_no_face_is_nobody_and_takes_nobody_s_place() -> None:
    rng = np.random.default_rng(1)
    gallery = rng.normal(size=(6, 8))
    nobody = np.full(8, np.nan)
    assert identity.place(gallery[4] + 0.01, gallery, 4) == 1
    assert identity.place(gallery[2] + 0.01, gallery, 4) > 1
    gallery[1] = nobody
    assert identity.place(gallery[4] + 0.01, gallery, 4) == 1  # one is missing before it
    assert identity.place(gallery[4], gallery, 1) == 6 and identity.place(nobody, gallery, 4) == 6
    seen = identity.averaged(np.stack([gallery[0], nobody, gallery[2]]))
    assert np.allclose(seen, (gallery[0] + gallery[2]) / 2)
    assert np.isnan(identity.averaged(nobody[None])).all()
    gaps = np.where(np.arange(15)[:, None] % 3 == 1, nobody, gallery[4] + 0.05 * rng.normal(size=(15, 8)))
    assert np.isfinite(identity.trend(gaps, gallery, 4)) and np.isnan(identity.trend(gaps, gallery, 1))


def test_a_kept_sound_is_told_from_a_late_and_from_none() -> None:
    wave_CS = edit.tones(1.0)
    assert edit.likeness(wave_CS, wave_CS, edit.SAMPLE_RATE) == pytest.approx(1.0)
    late = np.roll(wave_CS, edit.SAMPLE_RATE // 1000, 1)
    assert edit.likeness(wave_CS, late, edit.SAMPLE_RATE) < 0.5
    assert edit.likeness(wave_CS, np.zeros_like(wave_CS), edit.SAMPLE_RATE) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["adherence", "edit", "identity", "image"])
def test_suites_run_an_engine(suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights through every suite's own requests: references, sources and first frames reach the engine."""
    pytest.importorskip("moderngl")
    import importlib

    from engine_parts import engine

    monkeypatch.setattr(drawings, "pixels", plain_pixels)
    monkeypatch.setattr(
        drawings,
        "frames_at",
        lambda scene, at, size=drawings.SMALL: [
            SimpleNamespace(pixels_YX3=p) for p in plain_pixels(scene, len(at), size)
        ],
    )
    monkeypatch.setattr(identity, "GALLERY", 3)
    monkeypatch.setattr(identity, "REFERENCES", (1, 2))
    monkeypatch.setattr(identity, "LONG_S", 3.0)
    monkeypatch.setattr(image, "_photos", lambda _: iter(()))
    monkeypatch.setattr(Run, "ask", lambda *a, _ask=Run.ask, **k: _ask(*a, **k).replace(num_inference_steps=1))
    run = Run(engine(), 1, 0, tmp_path, True, known_witness=Guess())  # type: ignore[arg-type]  # a stand-in
    rows = importlib.import_module(f"muybridge.suites.{suite}").evaluate(run)
    figures = [row.figure for row in rows if row.bar and row.count]
    assert figures
    assert any(figure is not None for figure in figures)
    if suite == "edit":
        assert figures[-1] == pytest.approx(1.0, abs=0.01)  # a kept sound does not depend on the weights
    if suite == "identity":
        assert all(row.ceiling == 1.0 for row in rows[:-1])  # colours name these people


def test_long_prompts_time_a_mood_a_gesture_and_a_camera() -> None:
    from muybridge.request import Request
    from muybridge.speech import acts, moves

    index, orders = 0, set()
    for _ in range(4):
        scene, prompt, wanted, index = beats._planned(index)
        assert len(prompt.split()) >= beats.MIN_WORDS
        orders.add(tuple(beat.kind for beat in wanted))
        assert sorted(beat.kind for beat in wanted) == sorted(beats.KINDS)
        assert tuple((beat.start_s, beat.end_s) for beat in wanted) == beats.SPANS
        of = {beat.kind: beat for beat in wanted}
        request = Request(prompt, seconds=beats.SECONDS)
        assert acts.asked(request) == (acts.Act(of["gesture"].what, of["gesture"].start_s, of["gesture"].end_s),)
        assert moves.asked(request) == (moves.Move(of["camera"].what, of["camera"].start_s, of["camera"].end_s),)
        assert scene.camera.move == of["camera"].what
        assert [span.what for span in scene.people[0].expressions] == [of["mood"].what]
    assert len(orders) > 1


def test_a_beat_is_seen_in_its_time_and_not_before() -> None:
    beat = beats.Timed("mood", "sad", 2.0, 4.0)
    count = int(6 * 25 / beats.EVERY)
    times = np.arange(count) * beats.EVERY / 25
    right = ["sad" if 2.2 <= t < 4 else "happy" for t in times]
    late = ["sad" if t >= 3.4 else "happy" for t in times]
    always = ["sad"] * count
    assert beats.mood_seen(right, beat)
    assert not beats.mood_seen(late, beat)
    assert not beats.mood_seen(always, beat)
    frames = np.arange(150, dtype=np.uint8)[:, None, None, None]
    part = beats.around(frames, beat)
    assert (int(part[0, 0, 0, 0]), int(part[-1, 0, 0, 0])) == (42, 108)  # 0.3 s before and after
