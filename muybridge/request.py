"""What can be asked for, and its limits. A request is checked whole when it is made: nothing bad gets into a queue.

Media are local files here: the API ingests uploads and URLs first (`muybridge.ingest`).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from muybridge.errors import InvalidRequest
from muybridge.shapes import FPS, MAX_SECONDS, MIN_SECONDS, RATIOS, PixelSize, clock, parse_size

MAX_PROMPT_CHARS = 5000
MAX_REFERENCES = 9
MAX_SEED = 2**31 - 1
LANGUAGES = ("en", "zh", "yue", "ja", "ko", "de", "fr")
REGISTERS = ("calm", "neutral", "energetic")


class Task(StrEnum):
    """The ways in. What is passed decides it: `Request.task`."""

    T2V = "t2v"
    I2V = "i2v"
    R2V = "r2v"
    EDIT = "edit"
    A2V = "a2v"


class AudioMode(StrEnum):
    """Where the sound comes from: made with the picture, kept from the input, or none."""

    GENERATE = "generate"
    KEEP = "keep"
    NONE = "none"


@dataclass(frozen=True)
class Reference:
    """One of 1-9 pictures that must stay recognisable; `name` is how the prompt calls it."""

    image: Path
    name: str


@dataclass(frozen=True)
class Beat:
    """What happens in a span of the clip, in seconds from its start."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Line:
    """One piece of speech. Unset times are set by the pacing model."""

    text: str
    speaker: str | None = None
    language: str | None = None
    register: str | None = None
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Request:
    """One clip to make. Raises InvalidRequest (with `.field`) when anything is out of its limits."""

    prompt: str
    image: Path | None = None  # first frame
    last_image: Path | None = None
    references: tuple[Reference, ...] = ()
    video: Path | None = None  # source of an edit
    audio: Path | None = None  # voice track that drives the lips
    size: str = "448x256"
    ratio: str = "16:9"
    seconds: float = 5.0
    seed: int = 0
    negative_prompt: str = ""
    audio_mode: AudioMode = AudioMode.GENERATE
    language: str | None = None
    dialogue: tuple[Line, ...] = ()  # beside what the prompt quotes
    beats: tuple[Beat, ...] = ()  # beside what the prompt times
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    watermark: bool = True
    extra: Mapping[str, str] = field(default_factory=dict)  # for other providers; unknown keys are theirs to refuse

    def __post_init__(self) -> None:
        for name in ("references", "dialogue", "beats"):
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)
        _check_types(self)
        object.__setattr__(self, "audio_mode", _enum(AudioMode, self.audio_mode, "audio_mode"))
        for name in ("image", "last_image", "video", "audio"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        object.__setattr__(self, "seconds", round(self.seconds * FPS) / FPS)
        _check_text(self)
        _check_clock(self)
        _check_media(self)
        _check_numbers(self)
        parse_size(self.size, self.ratio)

    @property
    def task(self) -> Task:
        """Inferred from what is passed: source video, references, first frame, voice track, or the prompt alone."""
        if self.video is not None:
            return Task.EDIT
        if self.references:
            return Task.R2V
        if self.image is not None or self.last_image is not None:
            return Task.I2V
        return Task.A2V if self.audio is not None else Task.T2V

    @property
    def pixel_size(self) -> PixelSize:
        """The delivered size."""
        return parse_size(self.size, self.ratio)

    @property
    def num_frames(self) -> int:
        """Delivered frames."""
        return clock(self.seconds).num_frames

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        return {k: _plain(v) for k, v in asdict(self).items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Request:
        """A request from plain JSON values; an unknown field is an InvalidRequest that names it."""
        known = {f.name for f in fields(Request)}
        for name in values:
            if name not in known:
                raise InvalidRequest(f"There is no field {name!r}; the fields are {', '.join(sorted(known))}.", name)
        if "prompt" not in values:
            raise InvalidRequest("prompt is missing; say what should be seen and heard.", "prompt")
        built = dict(values)
        for name, kind in (("references", Reference), ("dialogue", Line), ("beats", Beat)):
            items = values.get(name) or ()
            if not isinstance(items, list | tuple):
                raise InvalidRequest(f"{name} must be a list, not {items!r:.60}.", name)
            built[name] = tuple(_record(kind, item, name) for item in items)
        try:
            return Request(**built)
        except (TypeError, AttributeError) as error:
            raise InvalidRequest(f"A field has the wrong type: {error}.") from error

    def replace(self, **changes: Any) -> Request:  # noqa: ANN401  (any field's value)
        """A copy with some fields changed, checked again."""
        return replace(self, **changes)


def reference_name(index: int) -> str:
    """The default name of reference `index` (from 0), as prompts write it: `Image 1`."""
    return f"Image {index + 1}"


_UNIT = r"(?:seconds?|secondes?|secs?|sekunden|sek\.?|s\b|秒钟?|초)"
_BEAT = re.compile(
    rf"""(?:^|(?<=[\s;.,；。，、]))(?P<open>[\[(【（])?(?:(?:from|von|de|at)\s+|第)?
    (?:(?P<minutes>\d{{1,2}}):)?(?P<start>\d{{1,3}}(?:[.,]\d+)?)\s*(?P<unit>{_UNIT})?
    \s*(?:-|–|—|~|〜|～|to|until|bis|à|到|至|から)\s*
    (?:(?P<to_minutes>\d{{1,2}}):)?(?P<end>\d{{1,3}}(?:[.,]\d+)?)\s*(?P<to_unit>{_UNIT})?
    \s*[\])】）]?\s*[:：]\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_QUOTE = re.compile(r"“([^”]+)”|\"([^\"]+)\"|「([^」]+)」|『([^』]+)』|«\s*([^»]+?)\s*»|„([^“”]+)[“”]")
_NAME = re.compile(
    r"(?:[\[@](?:image|character|figure)\s?|\b(?:image|character)\s?|\bfigure)(\d{1,2})\b", re.IGNORECASE
)


def timed_beats(prompt: str) -> tuple[Beat, ...]:
    """The spans a prompt times itself: `0-2 s: she turns; 2-5 s: she waves`, `[00:02-00:05]: ...`, `0到2秒：...`.

    Bare numbers (`the score is 3-2: she cheers`) are no times: a unit, minutes or brackets must say so.
    """
    marks = [m for m in _BEAT.finditer(prompt) if m["open"] or m["unit"] or m["to_unit"] or m["to_minutes"]]
    beats = []
    for mark, following in itertools.zip_longest(marks, marks[1:]):
        end = following.start() if following else len(prompt)
        spans = (mark.group("minutes", "start"), mark.group("to_minutes", "end"))
        start_s, end_s = (60 * int(m or 0) + float(s.replace(",", ".")) for m, s in spans)
        beats.append(Beat(prompt[mark.end() : end].strip(" ;,；，、\n"), start_s, end_s))
    return tuple(beats)


def quoted_lines(prompt: str) -> tuple[Line, ...]:
    """What a prompt puts in quotation marks, in order: the words that are spoken."""
    found = (next(filter(None, m.groups())).strip() for m in _QUOTE.finditer(prompt))
    return tuple(Line(text) for text in found if text)


def named_references(prompt: str) -> tuple[int, ...]:
    """Indices (from 1) of the references a prompt names: `[Image 2]`, `character2`, `@Image2`."""
    return tuple(dict.fromkeys(int(m.group(1)) for m in _NAME.finditer(prompt)))


_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("prompt", "size", "ratio", "negative_prompt"), (str,)),
    **dict.fromkeys(("seconds", "guidance_scale"), (int, float)),
    **dict.fromkeys(("seed", "num_inference_steps"), (int,)),
    "language": (str,),
    "watermark": (bool,),
    "extra": (Mapping,),
    **dict.fromkeys(("references", "dialogue", "beats"), (tuple,)),
    **dict.fromkeys(("image", "last_image", "video", "audio"), (str, Path)),
}
_MAY_BE_NONE = ("language", "num_inference_steps", "guidance_scale", "image", "last_image", "video", "audio")


def _check_types(request: Request) -> None:
    """Values come from JSON: 5.0 is no seed, "5" no number, true no count."""
    for name, kinds in _TYPES.items():
        value = getattr(request, name)
        if value is None and name in _MAY_BE_NONE:
            continue
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise InvalidRequest(f"{name} must be {wanted}, not {value!r:.60}.", name)
    if not math.isfinite(request.seconds):
        raise InvalidRequest(
            f"seconds is {request.seconds}; a shot has {MIN_SECONDS:g} to {MAX_SECONDS:g} s.", "seconds"
        )


def _check_text(request: Request) -> None:
    if not request.prompt.strip():
        raise InvalidRequest("prompt is empty; say what should be seen and heard.", "prompt")
    for name in ("prompt", "negative_prompt"):
        length = len(getattr(request, name))
        if length > MAX_PROMPT_CHARS:
            raise InvalidRequest(f"{name} has {length} characters; at most {MAX_PROMPT_CHARS} fit. Shorten it.", name)
    if request.language is not None and request.language not in LANGUAGES:
        raise InvalidRequest(
            f"language {request.language!r} is not spoken here; choose one of {', '.join(LANGUAGES)}.", "language"
        )
    for line in request.dialogue:
        if line.language is not None and line.language not in LANGUAGES:
            raise InvalidRequest(
                f"language {line.language!r} of {line.text!r} is not one of {', '.join(LANGUAGES)}.", "dialogue"
            )
        if line.register is not None and line.register not in REGISTERS:
            raise InvalidRequest(f"register {line.register!r} is not one of {', '.join(REGISTERS)}.", "dialogue")


def _check_clock(request: Request) -> None:
    if not MIN_SECONDS <= request.seconds <= MAX_SECONDS:
        raise InvalidRequest(
            f"seconds is {request.seconds:g}; a shot has {MIN_SECONDS:g} to {MAX_SECONDS:g} s.", "seconds"
        )
    for beat in (*request.beats, *timed_beats(request.prompt)):
        if not 0 <= beat.start_s < beat.end_s:
            raise InvalidRequest(
                f"The beat {beat.start_s:g}-{beat.end_s:g} s runs backwards: {beat.text[:60]!r}.", "beats"
            )
        if beat.end_s > request.seconds + 1e-6:
            raise InvalidRequest(
                f"The beat {beat.start_s:g}-{beat.end_s:g} s ends after the clip ({request.seconds:g} s); "
                f"ask for {beat.end_s:g} s or shorten it.",
                "beats",
            )

    for line in request.dialogue:
        start_s, end_s = line.start_s or 0.0, request.seconds if line.end_s is None else line.end_s
        if not 0 <= start_s < end_s <= request.seconds + 1e-6:
            raise InvalidRequest(
                f"The line {line.text[:60]!r} is timed {start_s:g}-{end_s:g} s; the clip lasts {request.seconds:g} s.",
                "dialogue",
            )


def _check_media(request: Request) -> None:
    count = len(request.references)
    if count > MAX_REFERENCES:
        raise InvalidRequest(
            f"{count} references were given; at most {MAX_REFERENCES} are used. Drop some.", "references"
        )
    names = [r.name.lower() for r in request.references]
    if len(set(names)) < count:
        raise InvalidRequest(f"Two references share a name ({names}); each needs its own.", "references")
    missing = [i for i in named_references(request.prompt) if i > count] if count else []
    if missing:
        raise InvalidRequest(f"The prompt names Image {missing[0]}, but {count} references were given.", "references")
    if request.video is not None and request.image is not None:
        raise InvalidRequest("Give a first frame (image) or a source clip (video), not both.", "image")
    if request.audio_mode is AudioMode.KEEP and request.video is None and request.audio is None:
        raise InvalidRequest("audio_mode is keep, but neither a video nor an audio file was given.", "audio_mode")


def _check_numbers(request: Request) -> None:
    if not 0 <= request.seed <= MAX_SEED:
        raise InvalidRequest(f"seed is {request.seed}; choose 0 to {MAX_SEED}.", "seed")
    steps = request.num_inference_steps
    if steps is not None and not 1 <= steps <= 100:
        raise InvalidRequest(f"num_inference_steps is {steps}; choose 1 to 100.", "num_inference_steps")
    scale = request.guidance_scale
    if scale is not None and not 0 <= scale <= 20:
        raise InvalidRequest(f"guidance_scale is {scale:g}; choose 0 to 20 (1 is no guidance).", "guidance_scale")
    if request.ratio not in RATIOS:
        raise InvalidRequest(f"ratio {request.ratio!r} is not one of {', '.join(RATIOS)}.", "ratio")


def _enum(kind: type[AudioMode], value: str, name: str) -> AudioMode:
    try:
        return kind(value)
    except ValueError:
        raise InvalidRequest(f"{name} is {value!r}; choose one of {', '.join(kind)}.", name) from None


def _record(kind: type[Any], item: object, name: str) -> Any:  # noqa: ANN401  (Reference, Line or Beat)
    if isinstance(item, kind):
        return item
    if not isinstance(item, Mapping):
        raise InvalidRequest(f"Each item of {name} must be an object, not {type(item).__name__}.", name)
    values = {k: Path(v) if k == "image" and isinstance(v, str) else v for k, v in item.items()}
    try:
        made = kind(**values)
    except TypeError:
        wanted = ", ".join(f.name for f in fields(kind))
        raise InvalidRequest(f"An item of {name} has {sorted(item)}; its fields are {wanted}.", name) from None
    for key, kinds in _RECORD_TYPES.items():
        value = getattr(made, key, None)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise InvalidRequest(f"{key} of an item of {name} must be {kinds[0].__name__}, not {value!r:.60}.", name)
    return made


_RECORD_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("text", "name", "speaker", "language", "register"), (str,)),
    **dict.fromkeys(("start_s", "end_s"), (float, int)),
    "image": (Path,),
}


def _plain(value: Any) -> Any:  # noqa: ANN401  (walks any JSON-like value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value
