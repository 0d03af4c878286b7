"""Talking clips: a scene, people who speak in it, its sound, its words and every truth on one clock.

Clip `index` of a split is a pure function of (index, split, size, seconds, fields) and of the source of speech.
Letters: T frames, Y X rows and columns, S samples, P people, L landmarks, U face units, V identity numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from muybridge.speech.durations import Phone

from . import captions, render, spoken_words, things
from .anatomy import Floats
from .characters import identity_vector
from .grammar import SPLITS, sample_scene
from .sample import seed_of
from .scene import DRAWN_FRAMINGS, Human, Scene, Span
from .sentences import LANGUAGES
from .sound import mix, render_sound
from .soundtrack import EFFORT, sound_events
from .utterances import BankElseLive, Source, Utterance, voice_of
from .visemes import speech_units
from .voices import SAMPLE_RATE

LANGUAGE_ODDS = (0.28, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12)
SILENT = 0.1  # share of clips with people in which nobody speaks
FRAMING_ODDS = (0.5, 0.34, 0.12, 0.04)  # closer than the world's own: a mouth needs pixels
PAIR_FRAMING_ODDS = (0.0, 0.75, 0.2, 0.05)
OFFSET = 1 << 33  # talking clips are other draws than `sample`'s


@dataclass(frozen=True)
class Line:
    """One utterance on the clip's clock; its waveform's first sample falls on `start_s`, its phones inside it."""

    person: int
    text: str
    language: str
    register: str
    voice: str
    start_s: float
    phones: tuple[Phone, ...]
    words: tuple[Phone, ...]

    @property
    def spoken_s(self) -> tuple[float, float]:
        """From the first phone to the last one that is no pause."""
        said = [p for p in self.phones if not p.is_pause]
        return said[0].start_s, said[-1].end_s


@dataclass(frozen=True, eq=False)
class TalkingClip:
    """A clip with its truth; `waveform_CS` is [1, T * 960] at 24 kHz, `prompts` holds short prompts by language."""

    index: int
    split: str
    scene: Scene
    frames_TYX3: npt.NDArray[np.uint8]
    waveform_CS: npt.NDArray[np.float32]
    lines: tuple[Line, ...]
    masks: dict[str, npt.NDArray[np.uint8]]
    landmarks_TPL3: Floats
    units_TPU: Floats
    identities_PV: Floats
    events: tuple[things.Event, ...]
    attributes: dict[str, Any]
    caption: str
    prompts: dict[str, str]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a clip will be before anything is drawn: its scene with speech, its lines and their utterances."""

    scene: Scene
    lines: tuple[Line, ...]
    utterances: tuple[Utterance, ...]


def clip(
    index: int,
    split: str = "train",
    height: int = 256,
    width: int = 448,
    seconds: float | None = None,
    source: Source | None = None,
    **fields: Any,  # noqa: ANN401  (each field of Scene has its own type)
) -> TalkingClip:
    """Draw talking clip `index` of a split.

    `source` gives the speech (None: the bank, and the voices for what it lacks); `fields` are those of
    grammar.sample_scene, and `language` keeps to one language.
    Raises InvalidRequest for a field out of its limits, NotInstalled without the world's parts.
    """
    planned = plan(index, split, seconds, source, **fields)
    return draw(planned, index, split, height, width)


def plan(index: int, split: str, seconds: float | None = None, source: Source | None = None, **fields: Any) -> Plan:  # noqa: ANN401  (as above)
    """Scene and speech of clip `index`; cheap beside drawing it."""
    seed = seed_of(index + OFFSET, split)
    rng = np.random.default_rng([0x7A1C, SPLITS.index(split), index])
    language = fields.pop("language", None) or LANGUAGES[int(rng.choice(len(LANGUAGES), p=LANGUAGE_ODDS))]
    scene = sample_scene(seed, split, seconds, **fields)
    if "framing" not in fields and scene.people and not scene.things:
        odds = FRAMING_ODDS if len(scene.people) == 1 else PAIR_FRAMING_ODDS
        scene = scene.replace(framing=str(rng.choice(DRAWN_FRAMINGS, p=odds)))
    if not scene.people or rng.random() < SILENT:
        return Plan(scene, (), ())
    return given_lines(scene, language, split, source or default_source(), rng)


def given_lines(scene: Scene, language: str, split: str, source: Source, rng: np.random.Generator) -> Plan:
    """The scene with utterances for its people, as many as fit."""
    pairs = _lay_out(scene, language, split, source, rng)
    people = tuple(
        dataclasses.replace(human, language=language, speech=_spans([line for line, _ in pairs if line.person == k]))
        for k, human in enumerate(scene.people)
    )
    return Plan(scene.replace(people=people), tuple(line for line, _ in pairs), tuple(item for _, item in pairs))


@lru_cache(maxsize=1)
def default_source() -> Source:
    """The bank in the user cache, and the voices for what it lacks; kept for the process."""
    return BankElseLive()


def _spans(lines: Sequence[Line]) -> tuple[Span, ...]:
    return tuple(Span(round(line.spoken_s[0], 3), round(line.spoken_s[1], 3), line.text) for line in lines)


def _lay_out(
    scene: Scene, language: str, split: str, source: Source, rng: np.random.Generator
) -> list[tuple[Line, Utterance]]:
    """Utterances one after the other, people in turn, until the clip is full or the talk is over."""
    out: list[tuple[Line, Utterance]] = []
    length = scene.num_frames / 25
    at = float(rng.uniform(0.0, 0.5))
    person = int(rng.integers(len(scene.people)))
    while length - at > 0.7 and (not out or rng.random() < 0.8):
        voice = voice_of(scene.people[person].identity, language)
        item = source.pick(rng, split, language, voice, length - at - 0.04)
        if item is None and not out and at:
            at = 0.0  # nothing is short enough: begin at once
            continue
        if item is None:
            break
        start = round(at, 3)
        phones = tuple(p.moved(start) for p in item.speech.phones)
        words = tuple(p.moved(start) for p in item.speech.words)
        line = Line(person, item.text, language, item.register, voice, start, phones, words)
        out.append((line, item))
        at = line.spoken_s[1] + float(rng.uniform(0.2, 0.7))
        person = (person + 1) % len(scene.people)
    return out


def tracks(planned: Plan) -> list[Floats | None]:
    """One viseme track [T, 52] per person, None for those who stay silent."""
    num_frames = planned.scene.num_frames
    out: list[Floats | None] = [None] * len(planned.scene.people)
    for line, item in zip(planned.lines, planned.utterances, strict=True):
        before = np.zeros(round(line.start_s * SAMPLE_RATE), np.float32)
        wave_S = np.concatenate([before, item.speech.waveform_S])
        track_TU = speech_units(line.phones, num_frames, wave_S, effort=EFFORT[line.register])
        held = out[line.person]
        out[line.person] = track_TU if held is None else np.maximum(held, track_TU)
    return out


def waveform(planned: Plan) -> npt.NDArray[np.float32]:
    """[1, T * 960]: the scene's sounds with the speech over them."""
    scene = planned.scene
    length = scene.num_frames / 25
    speech_S = np.zeros(scene.num_frames * 960, np.float32)
    for line, item in zip(planned.lines, planned.utterances, strict=True):
        start = round(line.start_s * SAMPLE_RATE)
        part = item.speech.waveform_S[: len(speech_S) - start]
        speech_S[start : start + len(part)] += part
    ambience_CS = render_sound(sound_events(scene), length, SAMPLE_RATE, scene.seed & 0xFFFFFFFF)
    wave_CS = mix(speech_S, ambience_CS, SAMPLE_RATE)
    assert wave_CS.shape == (1, scene.num_frames * 960)
    return wave_CS


def draw(planned: Plan, index: int, split: str, height: int, width: int, num_frames: int | None = None) -> TalkingClip:
    """Render a plan, or its first `num_frames` with the whole sound."""
    scene = planned.scene
    drawn = render.render(scene, height, width, tracks(planned), num_frames)
    vectors = [identity_vector(human.identity) for human in scene.people]
    text, prompts = words(planned, split)
    return TalkingClip(
        index=index,
        split=split,
        scene=scene,
        frames_TYX3=drawn.frames_TYX3,
        waveform_CS=waveform(planned),
        lines=planned.lines,
        masks=drawn.masks,
        landmarks_TPL3=drawn.landmarks_TPL3,
        units_TPU=drawn.units_TPU,
        identities_PV=np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
        events=drawn.events,
        attributes=captions.attributes(scene),
        caption=text,
        prompts=prompts,
    )


def words(planned: Plan, split: str, name: str = "") -> tuple[str, dict[str, str]]:
    """(English caption with the lines in it, short prompts by language with them).

    `name` is what the caption calls the scene's one person instead of describing them: "[Image 1]".
    """
    scene = planned.scene
    mute = scene.replace(people=tuple(dataclasses.replace(human, speech=()) for human in scene.people))
    told = [
        spoken_words.Said(
            name or _subject(scene, scene.people[line.person]), line.text, line.language, line.register, *line.spoken_s
        )
        for line in planned.lines
    ]
    text = spoken_words.tell(captions.caption(mute, scene.seed, split, name=name), told, scene.seed)
    short = {language: captions.prompt(mute, language) for language in LANGUAGES}
    prompts = {language: spoken_words.tell_short(short[language], told, language, scene.seed) for language in LANGUAGES}
    return text, prompts


def _subject(scene: Scene, human: Human) -> str:
    """What a caption calls a speaker: the man, the woman, or by place where two are alike."""
    same = [captions.person_word(other) for other in scene.people].count(captions.person_word(human)) > 1
    return f"the person on the {'left' if human.x < 0 else 'right'}" if same else f"the {captions.person_word(human)}"


def sound_stream(seconds: float, split: str = "train", source: Source | None = None) -> Iterator[Floats]:
    """Mono waveforms of talking clips at 24 kHz, at least `seconds` in all, without drawing them."""
    source = source or default_source()
    index, left = 0, seconds
    while left > 0:
        wave_S = waveform(plan(index, split, None, source))[0]
        yield wave_S
        index, left = index + 1, left - len(wave_S) / SAMPLE_RATE
