"""Evaluation suites: the model's figure beside the ceiling, which is the rendered truth through the same measure.

Only what can be measured with the weights at hand is measured; a suite that needs more says what.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from muybridge.errors import InvalidRequest, UserError
from muybridge.evaluate import picture, sounds, sync
from muybridge.model.codecs import VideoCodec
from muybridge.model.fixed_codec import FixedVideoCodec
from muybridge.model.tiny_video_codec import TinyVideoCodec
from muybridge.model.weights import load_into

SHIPPED = Path(__file__).parent.parent / "shipped" / "tiny"
LANGUAGES = ("en", "zh", "yue", "ja", "ko", "de", "fr")
STRIKES = {"horse": "hoof", "ball": "bounce", "bell": "bell"}


@dataclass(frozen=True)
class Row:
    """One line of a suite's table. `bar` is what the figure must reach; None where there is only a ceiling yet."""

    what: str
    figure: float | None
    ceiling: float | None
    bar: str
    count: int


def evaluate(suite: str, model: str = "tiny", count: int = 8, quiet: bool = False) -> list[Row]:
    """Rows of `suite`. Raises InvalidRequest for an unknown suite, UserError where weights are missing."""
    suites: dict[str, Callable[[str, int, bool], list[Row]]] = {"codec": codec, "sync": talking, "sounds": strikes}
    if suite not in suites:
        raise InvalidRequest(f"There is no suite {suite!r} yet; choose one of {', '.join(suites)}.", "suite")
    return suites[suite](model, count, quiet)


def codec(model: str, count: int, quiet: bool) -> list[Row]:
    """PSNR of the video codec on held-out world clips and real pictures, beside the codec of fixed cosines."""
    from muybridge.train.frames import make_shard, shard_names

    folder = SHIPPED if model == "tiny" else Path(model)
    path = folder / "video_codec.safetensors"
    trained: TinyVideoCodec | None = None
    if path.is_file():
        trained = TinyVideoCodec()
        load_into(trained, path, cast=lambda _: torch.float32, any_float=True)
    rows = []
    names = shard_names(24 * 5, "test")
    for kind, label, bar in (("world", "world clips", ">= 32 dB"), ("stills", "real pictures", ">= 26 dB")):
        clips, _ = make_shard(next(n for n in names if n.startswith(kind)))
        clips = clips[:count]
        figure = None if trained is None else _psnr(trained, clips, quiet)
        rows.append(Row(f"video PSNR, {label} (dB)", figure, math.inf, bar, len(clips)))
        rows.append(
            Row(f"fixed cosines, {label} (dB)", _psnr(FixedVideoCodec(), clips, quiet), math.inf, "", len(clips))
        )
    return rows


def _psnr(video_codec: VideoCodec, clips_NTYX3: Any, quiet: bool) -> float:  # noqa: ANN401  (uint8 array)
    found = []
    for clip in track(clips_NTYX3, "codec", disable=quiet):
        frames = torch.from_numpy(clip).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        again = video_codec.decode(video_codec.encode(frames))[0]
        pixels = again.add(1).mul(127.5).round().clamp(0, 255).byte().permute(1, 2, 3, 0).numpy()
        found.append(picture.psnr(pixels, clip))
    return float(np.mean(found))


def talking(model: str, count: int, quiet: bool) -> list[Row]:
    """Lag and closures on rendered truth, per language: what a perfect model would score here."""
    _needs_no_weights(model)
    rows = []
    for language in LANGUAGES:
        lags, shut, valid = [], [], 0
        for clip in track(list(_clips(count, language)), language, disable=quiet):
            opening = aperture(clip.landmarks_TPL3[:, 0])
            found = sync.windows(opening, clip.waveform_CS[0], 24000)
            valid += bool(len(found.lag_ms))
            lags += found.lag_ms.tolist()
            phones = [p for line in clip.lines for p in line.phones]
            shut.append(sync.closures(opening, [(p.start_s + p.end_s) / 2 for p in phones if p.base in "pbm"]))
        rows.append(Row(f"{language}: median lag (ms)", None, float(np.median(lags)) if lags else None, "<= 40", valid))
        rows.append(Row(f"{language}: p b m closed", None, float(np.nanmean(shut)), ">= 0.7", len(shut)))
    return rows


def aperture(landmarks_TL3: Any) -> Any:  # noqa: ANN401  (float arrays)
    """Inner lip opening over face height, from the renderer's own landmarks [T, L, 3]."""
    from muybridge.world.person import LANDMARKS

    place = {name: landmarks_TL3[:, LANDMARKS.index(name), :2] for name in LIPS}
    top, bottom, brow, chin = (place[name] for name in LIPS)
    return np.linalg.norm(top - bottom, axis=1) / np.linalg.norm(brow - chin, axis=1)


LIPS = ("lip_upper_inner", "lip_lower_inner", "nose_tip", "chin")  # names in world.person.LANDMARKS


def _clips(count: int, language: str) -> Iterator[Any]:
    from muybridge.world.talking import clip

    index = done = 0
    while done < count:
        made = clip(index, "test", 96, 96, 6.0, language=language, cast="person")
        index += 1
        if made.lines:
            done += 1
            yield made


def strikes(model: str, count: int, quiet: bool) -> list[Row]:
    """Onsets of hoofbeats, bounces and bells on the contacts that are seen, in rendered truth."""
    _needs_no_weights(model)
    from muybridge.world.talking import clip

    rows = []
    for cast, kind in STRIKES.items():
        hits = []
        for index in track(range(count), cast, disable=quiet):
            made = clip(index, "test", 64, 64, 4.0, cast=cast)
            contacts = [e.time_s for e in made.events if e.kind == kind]
            if contacts:
                hits.append(sounds.hit_share(contacts, sounds.onsets(made.waveform_CS[0], 24000)))
        rows.append(
            Row(f"{cast}: onsets on contacts", None, float(np.mean(hits)) if hits else None, ">= 0.8", len(hits))
        )
    return rows


def _needs_no_weights(model: str) -> None:
    if model == "tiny" and not (SHIPPED / "base.safetensors").is_file():
        return  # the ceiling alone: there is nothing to compare with yet
    if model not in ("tiny", "truth"):
        raise UserError(f"This suite measures the rendered truth so far; --model {model} cannot be measured by it yet.")


def show(suite: str, rows: list[Row]) -> None:
    """The table."""
    table = Table("measure", "model", "ceiling", "bar", "clips", title=suite)
    for row in rows:
        figure, ceiling = ("" if v is None else f"{v:.2f}" for v in (row.figure, row.ceiling))
        table.add_row(row.what, figure or "not trained", ceiling, row.bar, str(row.count))
    Console().print(table)


def to_dict(rows: list[Row]) -> list[dict[str, Any]]:
    """Plain JSON values; an infinite ceiling is null."""
    return [{k: None if v == math.inf else v for k, v in asdict(row).items()} for row in rows]
