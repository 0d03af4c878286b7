"""`muybridge generate`: one clip from the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muybridge.shapes import FPS, MAX_SECONDS, MIN_SECONDS

if TYPE_CHECKING:
    from muybridge.speech.programme import Ready
    from muybridge.speech.script import Script


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("generate")(generate)


def generate(
    prompt: Annotated[str | None, typer.Argument(help="What is seen and heard; quoted words are spoken.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The MP4 to write.")] = Path("clip.mp4"),
    model: Annotated[str, typer.Option(help="tiny, 15b, a folder of weights, or PROVIDER/MODEL.")] = "tiny",
    image: Annotated[Path | None, typer.Option(help="First frame.")] = None,
    ref: Annotated[list[Path] | None, typer.Option(help="Reference picture, up to 9 times: [Image 1] ...")] = None,
    video: Annotated[Path | None, typer.Option(help="Clip to edit as the prompt says.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Voice track that drives the lips.")] = None,
    script: Annotated[
        Path | None, typer.Option(help="Talk (.md), subtitles (.srt, .vtt), plan (.json) or prompt of up to 300 s.")
    ] = None,
    size: Annotated[str, typer.Option(help="448x256, 480p, 720p, 1080p or WIDTHxHEIGHT.")] = "448x256",
    seconds: Annotated[
        float | None, typer.Option(help="Length, 3 to 15; else 5, or as the clip, voice or script is long.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same clip.")] = 0,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value: ratio, language, negative_prompt, audio_setting, watermark, ..."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a clip with its sound; beside it a contact sheet, what is said over the sound, and word-timed subtitles.

    A killed --script run goes on when the same command is given again, and ends in the same bytes.
    """
    given: dict[str, Any] = {"image": image, "ref": ref, "video": video, "audio": audio, "size": size, "seed": seed}
    prompt = prompt or ("A person talks to the camera." if audio is not None and video is None else "")
    if seconds is None and is_own(model):
        seconds = media_seconds(video, audio)
    if script is not None or (audio is not None and seconds is not None and seconds > MAX_SECONDS):
        result = _programme(script, prompt, seconds, model, output, setting, as_json, given)
        print(json.dumps(result) if as_json else _line(result))
        return
    request = build_request(prompt, seconds=seconds, setting=setting, **given)
    if is_own(model):
        from muybridge.engine.command import make_clip

        result = make_clip(request, model, output, engine_settings(setting), quiet=as_json)
    else:
        from muybridge.config import SIZES
        from muybridge.errors import InvalidRequest, NotFound
        from muybridge.providers import once

        try:
            result = once.make_clip(request, model, output, quiet=as_json)
        except NotFound as error:
            own = ", ".join(SIZES)
            raise InvalidRequest(f"There is no size {model!r} here ({own}). {error}", "model") from error
    print(json.dumps(result) if as_json else _line(result))


def _line(result: dict[str, Any]) -> str:
    words = f", words in {result['subtitles'][1]}" if result.get("subtitles") else ""
    words += f", words over sound in {result['sync_sheet']}" if result.get("sync_sheet") else ""
    return (
        f"{result['clip']}  {result['width']}x{result['height']}, {result['seconds']:g} s, "
        f"made in {result['wall_s']:.1f} s; frames on {result['contact_sheet']}{words}"
    )


def _programme(
    script: Path | None,
    prompt: str,
    seconds: float | None,
    model: str,
    output: Path,
    setting: list[str] | None,
    quiet: bool,
    given: dict[str, Any],
) -> dict[str, Any]:
    """A programme from a script or a voice track, by this machine's own sizes."""
    from muybridge.errors import InvalidRequest
    from muybridge.speech.programme import MAX_PROGRAMME_S, PLAN_SUFFIX, read_plan, read_programme, scene_of

    if given["video"] is not None or (script is not None and given["audio"] is not None):
        raise InvalidRequest("Give one of --script, --video and --audio: each says what is heard.", "script")
    if not is_own(model):
        raise InvalidRequest(f"A programme is made by this machine's own sizes, not by {model}.", "model")
    told: Script | Ready | None = None
    if script is not None:
        is_plan = script.suffix.lower() == PLAN_SUFFIX
        language = dict(_pairs(setting)).get("language")
        told = read_plan(script, seconds) if is_plan else read_programme(script, language)
        prompt = scene_of(told, prompt)
    elif seconds is not None and seconds > MAX_PROGRAMME_S:
        raise InvalidRequest(
            f"The voice lasts {seconds:.1f} s; a programme has at most {MAX_PROGRAMME_S:g} s.", "audio"
        )
    request = build_request(prompt, setting=setting, **given)
    from muybridge.engine.command import make_programme

    return make_programme(told, request, seconds, model, output, engine_settings(setting), quiet)


def media_seconds(video: Path | None, audio: Path | None) -> float | None:
    """The length that follows from what is given: the source clip's, at most a shot's; else the voice's.

    At least a shot's least. None where neither is given, or the file is not there (which is refused later).
    """
    from muybridge import media

    source = video or audio
    if source is None or not source.is_file():
        return None
    length = max(MIN_SECONDS, math.ceil(round(media.probe(source).duration_s * FPS, 3)) / FPS)
    return min(length, MAX_SECONDS) if video is not None else length


def is_own(model: str) -> bool:
    """Whether the model runs on this machine: a size or a folder of weights. Everything else is the router's."""
    from muybridge.config import SIZE_ALIASES, SIZES

    return model in SIZES or model in SIZE_ALIASES or Path(model).is_dir()


ENGINE_KEYS = ("device", "precision", "offload")
_NUMBERS = {"num_inference_steps": int, "guidance_scale": float, "rate": float}
REQUEST_KEYS = ("ratio", "language", "negative_prompt", "audio_setting", "audio_mode", "watermark", *_NUMBERS)
_NAMES = {"audio_setting": "audio_mode"}
_AUDIO = {"auto": "generate", "origin": "keep"}  # the edit protocol's words


def build_request(prompt: str, *, ref: list[Path] | None, setting: list[str] | None, **values: Any) -> Any:  # noqa: ANN401
    """A Request from the flags; every `key=value` that is not the engine's is a field of the request.

    Raises InvalidRequest for a setting without `=` or an unknown key.
    """
    from muybridge.errors import InvalidRequest
    from muybridge.request import Reference, Request, reference_name

    fields: dict[str, Any] = {k: v for k, v in values.items() if v is not None}
    for key, value in _pairs(setting):
        if key in ENGINE_KEYS:
            continue
        name = _NAMES.get(key, key)
        if key not in REQUEST_KEYS:
            known = ", ".join((*REQUEST_KEYS, *ENGINE_KEYS))
            raise InvalidRequest(f"--set {key}=... is not known; the keys are {known}.", key)
        if name == "rate":  # the pace of all speech
            fields["extra"] = {"rate": str(_value(name, value))}
        else:
            fields[name] = _value(name, value)
    references = tuple(Reference(path, reference_name(i)) for i, path in enumerate(ref or ()))
    return Request(prompt, references=references, **fields)


def engine_settings(setting: list[str] | None) -> dict[str, str]:
    """The engine's own keys among the settings."""
    return {k: v for k, v in _pairs(setting) if k in ENGINE_KEYS}


def _pairs(setting: list[str] | None) -> list[tuple[str, str]]:
    from muybridge.errors import InvalidRequest

    pairs = []
    for item in setting or ():
        key, found, value = item.partition("=")
        if not found:
            raise InvalidRequest(f"--set {item!r} has no value; write --set {item}=VALUE.")
        pairs.append((key.strip(), value.strip()))
    return pairs


def _value(name: str, value: str) -> Any:  # noqa: ANN401  (the field's own type)
    from muybridge.errors import InvalidRequest

    if name == "watermark":
        return value.lower() not in ("false", "no", "0", "off")
    if name == "audio_mode":
        return _AUDIO.get(value, value)
    try:
        return _NUMBERS.get(name, str)(value)
    except ValueError:
        raise InvalidRequest(f"--set {name}={value!r} is not a number.", name) from None
