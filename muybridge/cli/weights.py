"""`muybridge weights pull|info|convert|verify`: arguments in, one call each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


class MatrixDtype(StrEnum):
    """Precision of the matrices inside blocks; everything else is float32 always."""

    AUTO = "auto"
    BF16 = "bf16"
    FP32 = "fp32"


def register(app: typer.Typer) -> None:
    """Add the `weights` group to the command line."""
    group = typer.Typer(help="Fetch, inspect, convert and check model weights.", no_args_is_help=True)
    group.command("pull")(pull)
    group.command("info")(info)
    group.command("convert")(convert)
    group.command("verify")(verify)
    group.command("pack")(pack)
    app.add_typer(group, name="weights")


def pull(
    size: Annotated[str, typer.Argument(help="What to download: 15b. (`tiny` is inside the package.)")],
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this part; repeat for more: base, distill, 540p_sr, 1080p_sr, turbo_vae, video_codec, "
            "audio_codec, text_encoder. Default: all; the disk is checked first."
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Folder to fill. Default: MUYBRIDGE_WEIGHTS/SIZE.")] = None,
    as_json: Json = False,
) -> None:
    """Download weights, resuming what is there; every large file is checked against its published checksum."""
    from muybridge.config import settings
    from muybridge.model import weights_folder

    def announce(name: str, num_bytes: int) -> None:
        typer.echo(f"fetching {name} ({num_bytes / 1e9:.1f} GB)", err=True)

    folder = weights_folder.pull(size, to or settings().weights / size, part, on_part=announce)
    _print(as_json, {"size": size, "folder": str(folder)}, f"{size} is in {folder}")


def pack(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs or exports: base, codec_video, codec_audio, ...")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write; `--model FOLDER` loads it.")],
    as_json: Json = False,
) -> None:
    """Put trained parts of tiny together, each with its recipe, the hash of its data and its credits inside."""
    from muybridge.train.pack import pack as put_together

    files = put_together(runs, output)
    rows = "".join(f"\n  {name}: {size:,} bytes" for name, size in files.items())
    _print(
        as_json, {"folder": str(output), "files": files}, f"{output} holds tiny, {sum(files.values()):,} bytes{rows}"
    )


def info(
    size: Annotated[str, typer.Argument(help="A model size: tiny, tiny-upscaler, 15b, 15b-1080p.")],
    as_json: Json = False,
) -> None:
    """Show a size's parameters, tensors and bytes, without loading anything. --json lists every tensor."""
    from muybridge.model import weights

    found = weights.info(size)
    text = f"{size}: {found['parameters']:,} parameters in {found['tensors']} tensors, {found['bytes'] / 1e9:.2f} GB"
    _print(as_json, found, text)


def convert(
    source: Annotated[Path, typer.Argument(help="A transformer's checkpoint: folder or .safetensors file.")],
    target: Annotated[Path, typer.Argument(help="Folder (or .safetensors file) to write.")],
    size: Annotated[str, typer.Option(help="Which size it is; names, shapes and dtypes are checked against it.")],
    dtype: Annotated[MatrixDtype, typer.Option(help="Precision of block matrices; auto: as the size publishes.")] = (
        MatrixDtype.AUTO
    ),
    shard_gb: Annotated[float, typer.Option(min=0.001, help="Largest shard, in GB (10^9 bytes).")] = 5.0,
    as_json: Json = False,
) -> None:
    """Rewrite a checkpoint: checked, in the size's precision, self-describing, re-sharded, with checksums."""
    import torch

    from muybridge.model import weights_folder

    dtypes = {MatrixDtype.AUTO: None, MatrixDtype.BF16: torch.bfloat16, MatrixDtype.FP32: torch.float32}
    with _progress("converting") as advance:
        files = weights_folder.convert(
            source, target, size, matrix_dtype=dtypes[dtype], shard_bytes=int(shard_gb * 1e9), on_bytes=advance
        )
    _print(as_json, {"files": [str(f) for f in files]}, f"wrote {len(files)} files to {target}")


def verify(
    folder: Annotated[Path, typer.Argument(help="A weights folder with SHA256SUMS.")],
    write: Annotated[bool, typer.Option("--write", help="Compute SHA256SUMS anew instead of comparing.")] = False,
    as_json: Json = False,
) -> None:
    """Compare every file with the folder's SHA256SUMS; damaged or missing files end with exit code 2."""
    from muybridge.model import weights_folder

    with _progress("hashing") as advance:
        if write:
            weights_folder.write_manifest(folder, advance)
            count = len(weights_folder.read_manifest(folder))
        else:
            count = weights_folder.verify(folder, on_bytes=advance)
    _print(as_json, {"folder": str(folder), "files": count, "ok": True}, f"{count} files, all as listed")


def _print(as_json: bool, value: dict[str, object], text: str) -> None:
    typer.echo(json.dumps(value) if as_json else text)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A byte progress bar on stderr, so that --json stays clean."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = ("[progress.description]{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
