"""`muybridge world frames, speech, takes, stills, ..., portraits, pictures, cuts, latents`: what training reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer


def register(group: typer.Typer) -> None:
    """Add the verbs to the `world` group."""
    for verb in (frames, speech, takes, stills, puppets, actors, portraits, pictures, cuts, latents):
        group.command()(verb)


def frames(
    count: Annotated[int, typer.Option(min=1, help="Number of 13-frame clips.")] = 1500,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: in the cache.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    stride: Annotated[int, typer.Option(min=1, help="Number of processes that share the work.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="Which of them this is, from 0.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw short clips of pixels for training the video codec; goes on where it stopped."""
    from muybridge.config import settings
    from muybridge.train.frames import build

    folder = output or settings().home / "frames"
    made = build(folder, count, split, stride, first, quiet=as_json)
    typer.echo(json.dumps({"output": str(folder), "shards": made}) if as_json else f"{made} new shards in {folder}")


def speech(
    minutes: Annotated[float, typer.Option(min=0.1, help="Minutes of speech, all languages together.")] = 30.0,
    languages: Annotated[str, typer.Option(help="Which ones, by comma.")] = "en,zh,yue,ja,ko,de,fr",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: in the cache.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what there is as JSON.")] = False,
) -> None:
    """Synthesise utterances into the bank that talking clips draw from; goes on where it stopped."""
    from muybridge.world.utterances import build, default_folder

    folder = output or default_folder()
    total = build(minutes, split, folder, tuple(languages.split(",")), quiet=as_json)
    size = sum(path.stat().st_size for path in folder.iterdir())
    facts = {"output": str(folder), "minutes": round(total, 2), "bytes": size}
    typer.echo(
        json.dumps(facts) if as_json else f"{total:.1f} minutes of {split} speech in {folder} ({size >> 10} KiB)"
    )


def takes(
    count: Annotated[int, typer.Option(min=1, help="Number of clips.")] = 256,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: in the cache.")] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT, multiples of 32.")] = "448x256",
    seconds: Annotated[float | None, typer.Option(help="Length of each; default: 2 to 6 s, drawn.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    stride: Annotated[int, typer.Option(min=1, help="Number of processes that share the work.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="Which of them this is, from 0.")] = 0,
    framing: Annotated[str | None, typer.Option(help="One framing and one person for all; default: drawn.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw talking clips with their truth and keep them small; latents are made from them."""
    from muybridge.config import settings
    from muybridge.train.takes import build

    folder = output or settings().home / "takes"
    made = build(folder, count, split, (_sides(size),), seconds, stride, first, quiet=as_json, **_framed(framing))
    typer.echo(json.dumps({"output": str(folder), "takes": made}) if as_json else f"{made} new takes in {folder}")


def stills(
    count: Annotated[int, typer.Option(min=1, help="Number of stills.")] = 1024,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: in the cache.")] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT, multiples of 32; several by comma in turn.")] = "448x256",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    stride: Annotated[int, typer.Option(min=1, help="Number of processes that share the work.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="Which of them this is, from 0.")] = 0,
    only: Annotated[
        str | None,
        typer.Option(help="One framing of one person for all, or one cast: pair, thing, ball, ...; default: drawn."),
    ] = None,
    given: Annotated[
        bool | None,
        typer.Option(
            "--given/--silent",
            help="given: one person each, with the picture before an edit or other pictures; "
            "silent: nobody speaks, pictures alone for the draft. Default: neither.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw the first frames of talking clips and keep all their sound: cheap pictures and speech to train on."""
    from muybridge.config import settings
    from muybridge.train.takes import build

    folder, sizes = output or settings().home / "stills", [_sides(each) for each in size.split(",")]
    made = build(
        folder, count, split, sizes, None, stride, first, as_json, stills=True, given=given is True,
        silent=given is False, **_only(only),
    )  # fmt: skip
    typer.echo(json.dumps({"output": str(folder), "stills": made}) if as_json else f"{made} new stills in {folder}")


def puppets(
    people: Annotated[int, typer.Option(min=1, help="Number of people.")] = 128,
    lines: Annotated[int, typer.Option(min=1, help="What each of them says, a clip each.")] = 8,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: in the cache.")] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT, multiples of 32.")] = "224x128",
    seconds: Annotated[float, typer.Option(min=0.7, help="Length of each clip.")] = 2.6,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    stride: Annotated[int, typer.Option(min=1, help="Number of processes that share the work.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="Which of them this is, from 0.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw faces that fill the picture, each of which says many things, blended from forty mouths: lips for little."""
    from muybridge.config import settings
    from muybridge.train.puppets import build

    folder = output or settings().home / "puppets"
    made = build(folder, people, lines, split, _sides(size), seconds, stride, first, quiet=as_json)
    typer.echo(json.dumps({"output": str(folder), "takes": made}) if as_json else f"{made} new takes in {folder}")


def actors(
    people: Annotated[int, typer.Option(min=1, help="Number of people.")] = 128,
    clips: Annotated[int, typer.Option(min=1, help="What each of them does, a clip each.")] = 12,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: in the cache.")] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT, multiples of 32.")] = "224x128",
    seconds: Annotated[float, typer.Option(min=1.5, help="Length of each clip.")] = 3.0,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    stride: Annotated[int, typer.Option(min=1, help="Number of processes that share the work.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="Which of them this is, from 0.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw silent people who nod, turn and change their mood, each pose drawn once: gestures for little."""
    from muybridge.config import settings
    from muybridge.train.actors import build

    folder = output or settings().home / "actors"
    made = build(folder, people, clips, split, _sides(size), seconds, stride, first, quiet=as_json)
    typer.echo(json.dumps({"output": str(folder), "takes": made}) if as_json else f"{made} new takes in {folder}")


def portraits(
    count: Annotated[int, typer.Option(min=1, help="Number of pictures.")] = 3000,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: in the cache.")] = None,
    first: Annotated[int, typer.Option(min=0, help="Number of the first one: processes share the work.")] = 0,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    model: Annotated[str, typer.Option(help="Whose draft draws them again.")] = "tiny",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw people with several faces each, and what the draft makes of them: for finder and face_painter."""
    from muybridge.recipes.portraits import build

    _drawn("portraits", build, model, output, count, split, first, as_json)


def pictures(
    count: Annotated[int, typer.Option(min=1, help="Number of pictures.")] = 3000,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: in the cache.")] = None,
    first: Annotated[int, typer.Option(min=0, help="Number of the first one: processes share the work.")] = 0,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    model: Annotated[str, typer.Option(help="Whose draft draws them again.")] = "tiny",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw scenes, and what the draft makes of them: for picture_painter."""
    from muybridge.recipes.pictures import build

    _drawn("pictures", build, model, output, count, split, first, as_json)


def _drawn(
    name: str, build: Callable[..., int], model: str, output: Path | None, count: int, split: str, first: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Build what a model's draft makes of scenes, and say so."""
    from muybridge.config import settings
    from muybridge.engine.loading import load

    folder = output or settings().home / name
    made = build(load(model).parts, folder, count, split, first, quiet=as_json)
    typer.echo(json.dumps({"output": str(folder), name: made}) if as_json else f"{made} new ones in {folder}")


def cuts(
    source: Annotated[Path | None, typer.Option("--takes", help="Folder of takes; default: in the cache.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of frames; default: in the cache.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Cut clips out of takes into the folder of frames: the codec then sees what the base will be trained on."""
    from muybridge.config import settings
    from muybridge.train.frames import cut_takes

    home = settings().home
    folder = output or home / "frames"
    made = cut_takes(source or home / "takes", folder, split=split, quiet=as_json)
    typer.echo(json.dumps({"output": str(folder), "shards": made}) if as_json else f"{made} new shards in {folder}")


def _framed(framing: str | None) -> dict[str, Any]:
    """The fields of scenes that all have one framing; none for None. Raises InvalidRequest."""
    from muybridge.errors import InvalidRequest
    from muybridge.world.scene import FRAMINGS

    if framing is not None and framing not in FRAMINGS:
        raise InvalidRequest(f"There is no framing {framing!r}; choose one of {', '.join(FRAMINGS)}.", "framing")
    return {} if framing is None else {"framing": framing, "cast": "person"}


def _only(name: str | None) -> dict[str, Any]:
    """The fields of scenes that all have one framing, or all show the same; none for None. Raises InvalidRequest."""
    from muybridge.errors import InvalidRequest
    from muybridge.world.scene import FRAMINGS, THINGS

    casts = ("person", "pair", "thing", "person and", *THINGS, *(f"person and {thing}" for thing in THINGS))
    if name is None or name in FRAMINGS:
        return _framed(name)
    if name not in casts:
        known = ", ".join((*FRAMINGS, *casts[:4], *THINGS))
        raise InvalidRequest(f"There is nothing {name!r} to show; choose one of {known}.", "only")
    return {"cast": name}


def _sides(size: str) -> tuple[int, int]:
    """(height, width) of WIDTHxHEIGHT."""
    from muybridge.errors import InvalidRequest
    from muybridge.train.takes import TOKEN

    width, _, height = size.partition("x")
    sides = [int(side) if side.isdigit() else 0 for side in (height, width)]
    if not all(sides) or any(side % TOKEN for side in sides):
        raise InvalidRequest(f"--size {size} is not WIDTHxHEIGHT in multiples of {TOKEN}, such as 448x256.", "size")
    return sides[0], sides[1]


def latents(
    codecs: Annotated[Path, typer.Option(help="Folder of video_codec.safetensors and audio_codec.json.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the shards.")] = Path("runs/latents"),
    source: Annotated[Path | None, typer.Option("--takes", help="Folder of takes; default: in the cache.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    stride: Annotated[int, typer.Option(min=1, help="Number of processes that share the work.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="Which of them this is, from 0.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Encode takes with the trained codecs into the cache that the base recipe reads."""
    from muybridge.config import settings
    from muybridge.engine.precision import apply_to_codec
    from muybridge.model.device import has_fast_bf16, pick_device
    from muybridge.train.latents import build, load_codecs

    video, audio = load_codecs(codecs, device)
    place = pick_device(device)
    apply_to_codec(video, "bf16" if has_fast_bf16(place) else "fp32")
    made = build(source or settings().home / "takes", output, video, audio, split, stride, first, quiet=as_json)
    typer.echo(json.dumps({"output": str(output), "shards": made}) if as_json else f"{made} new shards in {output}")
