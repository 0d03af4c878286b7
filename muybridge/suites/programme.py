"""Minutes of talk: do lips, words and person hold from the first window to the last?

Legend: T frames, S samples, V numbers of a person, once a second.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muybridge.errors import NotInstalled
from muybridge.evaluate.drift_report import Report, judge
from muybridge.evaluate.pooled import pool
from muybridge.evaluate.words import error_rate
from muybridge.shapes import FPS
from muybridge.suites import drawings, ear, evaluators, fitted, speech, whisper
from muybridge.suites.run import LANGUAGES, Run
from muybridge.suites.table import Row

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan

Floats = NDArray[np.float64]
EDGE_S = 12.0  # of talk at either end: what its words and its person are compared by
MARGIN_S = 0.1
FIRST_S = 0.3  # before the first word
OFFSET = 1 << 36  # these scenes are other draws than those of other suites
MINUTE_S = 60.0
TRUE_SCRIPTS = 3  # of a minute, are drawn for the ceiling: drawing one takes longer than making it
PROMPT = (
    "An extreme close-up of a young woman with short brown hair in a blue sweater in a photo studio. "
    "The camera stays on a tripod."
)


@dataclass(frozen=True, eq=False)
class Talk:
    """One talk as the witness and the ear have it; `said` holds (words, from, to) in seconds."""

    opening_T: Floats
    person_NV: Floats
    waveform_S: NDArray[np.float32]
    rate: int
    said: tuple[tuple[str, float, float], ...]
    seams_s: tuple[float, ...] = ()

    @property
    def person_moves(self) -> float:
        """How far the person at the end is from the one at the start, over the spread of one person's seconds."""
        count = max(1, min(int(EDGE_S), len(self.person_NV) // 2))
        ends = self.person_NV[:count], self.person_NV[-count:]
        spread = np.sqrt(np.mean([np.square(e - e.mean(0)).sum(1).mean() for e in ends]))
        return float(np.linalg.norm(ends[1].mean(0) - ends[0].mean(0)) / max(spread, 1e-9))

    @property
    def last_lines(self) -> list[tuple[str, float, float]]:
        """The lines wholly inside the last seconds."""
        last = len(self.opening_T) / FPS
        return [line for line in self.said if last - EDGE_S <= line[1] and line[2] <= last]

    def until(self, seconds: float) -> Talk:
        """Its first seconds, as if it ended there."""
        frames = round(seconds * FPS)
        return Talk(
            self.opening_T[:frames],
            self.person_NV[: max(1, round(len(self.person_NV) * frames / max(frames, len(self.opening_T))))],
            self.waveform_S[: round(seconds * self.rate)],
            self.rate,
            tuple(line for line in self.said if line[2] <= seconds),
            tuple(at_s for at_s in self.seams_s if at_s < seconds),
        )


def evaluate(run: Run) -> list[Row]:
    """`count` scripts in each language: drift (judged together from three scripts on), steps, person, words.

    Talks longer than a minute are judged twice: their first minute, beside the truth, and the whole.
    """
    rows: list[Row] = []
    shortest = min(MINUTE_S, run.talk_s)
    with tempfile.TemporaryDirectory() as name:
        for language in run.languages:
            numbers = range(run.first, run.first + run.count)
            what = f"{language}: drawing {shortest:g} s talks"
            true = [_drawn_once(run, language, n, shortest) for n in run.track(numbers[:TRUE_SCRIPTS], what)]
            made = None
            if run.engine is not None:
                what = f"{language}: making {run.talk_s:g} s talks"
                made = [_written_once(run, language, n) for n in run.track(numbers, what)]
            first = None if made is None else [talk.until(shortest) for talk in made]
            rows += _rows(f"{language}, {shortest:g} s", first, true)
            if made is not None and run.talk_s > shortest:
                rows += _rows(f"{language}, {run.talk_s:g} s", made, [])
            rows += _words(run, language, made, Path(name))
    return rows


def _drawn_once(run: Run, language: str, number: int, seconds: float) -> Talk:
    """`drawn`, kept in the user cache for every run with the same witness and the same finder of faces."""
    if run.known_witness is not None:
        return drawn(run, language, number, seconds)
    path = fitted.folder() / f"talk-{_seen_by(run)}-{language}-{number}-{seconds:g}s.npz"
    return _kept(path, lambda: drawn(run, language, number, seconds))


def _written_once(run: Run, language: str, number: int) -> Talk:
    """`written`, kept beside the run's plots, so that a run that was stopped goes on with the same finder of faces."""
    if not run.made_by:
        return written(run, language, number)
    path = run.out / f"talks-{run.made_by}" / f"{_seen_by(run)}-{language}-{number}-{run.talk_s:g}s.npz"
    return _kept(path, lambda: written(run, language, number))


def _seen_by(run: Run) -> str:
    return "witness" if run.finder is None else "mediapipe"


def _kept(path: Path, make: Callable[[], Talk]) -> Talk:
    """The talk of a file, which is made where it is not there."""
    if path.is_file():
        with np.load(path) as file:
            about = json.loads(str(file["about"]))
            said = tuple((str(text), float(start_s), float(end_s)) for text, start_s, end_s in about["said"])
            wave_S = file["sound"].astype(np.float32) / 32767
            return Talk(file["opening"], file["person"], wave_S, about["rate"], said, tuple(about["seams_s"]))
    talk = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    about = json.dumps({"rate": talk.rate, "said": talk.said, "seams_s": talk.seams_s})
    sound = (talk.waveform_S.clip(-1, 1) * 32767).round().astype(np.int16)
    part = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez(part, opening=talk.opening_T, person=talk.person_NV, sound=sound, about=about)
    part.replace(path)
    return talk


def drawn(run: Run, language: str, number: int, seconds: float) -> Talk:
    """A rendered person of the test split who talks all the time: the ceiling."""
    from muybridge.world import talking

    planned = _true_plan(language, number, seconds)
    scene = planned.scene
    frames = drawings.frames_at(scene, np.arange(scene.num_frames), talking.tracks(planned))
    pixels = np.stack([frame.pixels_YX3 for frame in frames])
    said = tuple((line.text, *line.spoken_s) for line in planned.lines)
    return Talk(*_seen(run, pixels), talking.waveform(planned).mean(0), 24_000, said)


def _true_plan(language: str, number: int, seconds: float) -> Any:  # noqa: ANN401  (a world Plan)
    """A face near the camera and utterances one after the other until the clip is full."""
    from muybridge.world import talking
    from muybridge.world.grammar import sample_scene
    from muybridge.world.sample import seed_of
    from muybridge.world.scene import NEAREST_FRAMING, Span
    from muybridge.world.utterances import voice_of

    rng = np.random.default_rng([0x106, LANGUAGES.index(language), number])
    scene = sample_scene(seed_of(number + OFFSET, "test"), "test", seconds, cast="person", framing=NEAREST_FRAMING)
    # As PROMPT asks of the model: a still camera, so that the face stays in the picture for a minute.
    scene = scene.replace(camera=dataclasses.replace(scene.camera, move="static"))
    (human,) = scene.people
    voice, at = voice_of(human.identity, language), 0.3
    pairs = []
    while (item := talking.default_source().pick(rng, "test", language, voice, seconds - at - 0.1)) is not None:
        start = round(at, 3)
        phones, words = (tuple(p.moved(start) for p in part) for part in (item.speech.phones, item.speech.words))
        line = talking.Line(0, item.text, language, item.register, voice, start, phones, words)
        pairs.append((line, item))
        at = line.spoken_s[1] + float(rng.uniform(0.2, 0.6))
    spans = tuple(Span(round(line.spoken_s[0], 3), round(line.spoken_s[1], 3), line.text) for line, _ in pairs)
    person = dataclasses.replace(human, language=language, speech=spans)
    return talking.Plan(scene.replace(people=(person,)), tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))


def script_plan(language: str, number: int, seconds: float) -> Plan:
    """Sentences of the test split on a clock of `seconds`, as many as fit."""
    from muybridge.request import Line
    from muybridge.speech.pacing import plan_speech
    from muybridge.speech.script import Script
    from muybridge.world.sentences import sentence

    texts = [sentence(1000 * number + k, "test", language) for k in range(int(seconds))]
    plan = plan_speech(Script("", lines=tuple(Line(text, language=language) for text in texts)))
    lines = tuple(line for line in plan.lines if line.end_s <= seconds - 0.2)
    return dataclasses.replace(plan, lines=lines, seconds=seconds)


@dataclass
class _Watch:
    """A sink that looks and listens, and keeps no picture."""

    run: Run
    openings: list[Floats] = field(default_factory=list)
    people: list[Floats] = field(default_factory=list)
    sounds: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, frames_TYXC: NDArray[np.uint8], waveform_CS: NDArray[np.float32] | None = None) -> None:
        opening_T, person_NV = _seen(self.run, frames_TYXC)
        self.openings.append(opening_T)
        self.people.append(person_NV)
        assert waveform_CS is not None  # sound was asked for
        self.sounds.append(waveform_CS.mean(0))


def written(run: Run, language: str, number: int) -> Talk:
    """The model's programme of a script."""
    return _made(run, language, number, script_plan(language, number, run.talk_s))


def _made(run: Run, language: str, number: int, plan: Plan) -> Talk:
    from muybridge.engine.programme import generate_programme
    from muybridge.engine.programme_file import Programme

    assert run.engine is not None  # only asked for with one
    watch = _Watch(run)
    request = run.ask(PROMPT, number=number, language=language)
    generate_programme(run.engine, request, plan.seconds, watch, plan=plan)
    return Talk(
        np.concatenate(watch.openings),
        np.concatenate(watch.people),
        np.concatenate(watch.sounds),
        run.engine.parts.audio_codec.sample_rate,
        tuple((line.text, line.start_s, line.end_s) for line in plan.lines),
        Programme(request, plan.seconds, plan).seams_s(run.engine.parts.size),
    )


def _seen(run: Run, pixels_TYX3: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """(opening a frame, person a second)."""
    people = [run.describe(pixels_TYX3[k : k + 1], 1) for k in range(0, len(pixels_TYX3), FPS)]
    return run.lips(pixels_TYX3).opening_T, np.stack(people)


def _rows(title: str, made: list[Talk] | None, true: list[Talk]) -> list[Row]:
    """Of talks of one length. No ceiling where nothing was drawn."""
    reports = {
        who: [
            judge(f"{who} {k}", t.opening_T, t.waveform_S, t.rate, t.seams_s, heard=ear.opening)
            for k, t in enumerate(talks or ())
        ]
        for who, talks in (("made", made), ("true", true))
    }
    count = max(len(made or ()), len(true))

    def row(what: str, bar: str, value: Callable[[Any], float], of_made: Sequence[Any], of_true: Sequence[Any]) -> Row:
        figure, ceiling = (value(of) if of else None for of in (of_made, of_true))
        return Row(f"{title}: {what}", figure, ceiling, bar, count)

    kinds: tuple[tuple[str, str, Callable[[list[Report]], float]], ...] = (
        ("slope x length, far end of its interval (ms)", "<= 20", _reach),
        ("offset (ms)", "<= 20", lambda found: abs(float(np.mean([r.drift.offset_ms for r in found])))),
        ("worst window (ms)", "<= 45", lambda found: max(r.drift.worst_ms for r in found)),
        ("largest step, seams too (ms)", "<= 20", lambda found: max(_steps(r) for r in found)),
    )
    rows = [row(*kind, reports["made"], reports["true"]) for kind in kinds]
    rows.append(row("person, end from start, in spreads", "<= 1", _moves, made or [], true))
    return rows


def _moves(talks: list[Talk]) -> float:
    return float(np.median([talk.person_moves for talk in talks]))


def _reach(reports: list[Report]) -> float:
    """The end of the interval that is farther from 0: of all talks together, or the worst alone of one or two."""
    together = pool(reports)
    ends = [r.drift.slope_ci_ms for r in reports] if together is None else [together.interval_ms]
    return max(abs(end) for interval in ends for end in interval)


def _steps(report: Report) -> float:
    at_seams = [abs(s.figure) for s in report.seams if s.kind == "sync" and np.isfinite(s.figure)]
    return max(report.drift.step_ms, *at_seams) if at_seams else report.drift.step_ms


def _words(run: Run, language: str, made: list[Talk] | None, folder: Path) -> list[Row]:
    """Whether the last lines are heard worse than the same words at a programme's start; none without a recogniser."""
    if made is None:
        return []
    try:
        python = evaluators.python_for(whisper.PACKAGES, run.evaluators)
    except NotInstalled:
        return []
    numbers = run.track(range(run.first, run.first + len(made)), f"{language}: saying last lines first")
    again = [_said_first(run, language, number) for number in numbers]
    items = [
        speech.write(folder, f"{language}-{k}-{number}-{which}-made.wav", part, talk.rate, language, text)
        | {"end": which}
        for which, talks in (("end", made), ("start", again))
        for number, talk in enumerate(talks)
        for k, (text, part) in enumerate(_parts(talk, talk.last_lines if which == "end" else talk.said))
    ]
    errors: dict[str, list[float]] = {"start": [], "end": []}
    for item, heard in speech.transcribe(python, folder, items):
        errors[item["end"]].append(error_rate(heard["said"], heard["heard"], language))
    worse = float(np.mean(errors["end"]) - np.mean(errors["start"])) if all(errors.values()) else float("nan")
    what = f"{language}, {run.talk_s:g} s: error of the last words less that of the same words said first"
    return [Row(what, worse, None, "<= 0.03", len(errors["end"]))]


def _parts(talk: Talk, lines: Sequence[tuple[str, float, float]]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for text, start_s, end_s in lines:
        first = max(0, round((start_s - MARGIN_S) * talk.rate))
        yield text, talk.waveform_S[first : round((end_s + MARGIN_S) * talk.rate)]


def _said_first(run: Run, language: str, number: int) -> Talk:
    """A programme of the last lines of a longer one, by the same person."""
    plan = script_plan(language, number, run.talk_s)
    late = [line for line in plan.lines if line.start_s >= run.talk_s - EDGE_S]
    early_s = min(line.start_s for line in late) - FIRST_S
    lines = tuple(
        dataclasses.replace(
            line,
            phones=tuple(phone.moved(-early_s) for phone in line.phones),
            start_s=line.start_s - early_s,
            end_s=line.end_s - early_s,
        )
        for line in late
    )
    return _made(run, language, number, dataclasses.replace(plan, lines=lines, seconds=EDGE_S + 2 * FIRST_S))
