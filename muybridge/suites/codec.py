"""How much the video codec keeps, on clips and pictures that it was not trained on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from muybridge.evaluate import picture
from muybridge.model.codecs import VideoCodec
from muybridge.model.fixed_codec import FixedVideoCodec
from muybridge.suites.run import Run
from muybridge.suites.table import Row


def evaluate(run: Run, trained: VideoCodec | None) -> list[Row]:
    """PSNR on held-out world clips and real pictures, beside the codec of fixed cosines."""
    from muybridge.train.frames import SHARD, make_shard, shard_names

    rows = []
    names = shard_names(SHARD * 10, "test")
    for kind, label, bar in (("world", "world clips", ">= 32 dB"), ("stills", "real pictures", ">= 26 dB")):
        fitting = [name for name in names if name.startswith(kind)]
        clips, _ = make_shard(fitting[run.seed % len(fitting)])
        clips = clips[: run.count]
        figure = None if trained is None else _psnr(run, trained, clips)
        rows.append(Row(f"video PSNR, {label} (dB)", figure, math.inf, bar, len(clips)))
        fixed = _psnr(run, FixedVideoCodec(), clips)
        rows.append(Row(f"fixed cosines, {label} (dB)", fixed, math.inf, "", len(clips)))
    return rows


def _psnr(run: Run, codec: VideoCodec, clips_NTYX3: Any) -> float:  # noqa: ANN401  (uint8 array)
    return float(np.mean([picture.psnr(through(codec, clip), clip) for clip in run.track(clips_NTYX3, "codec")]))


def through(codec: VideoCodec, frames_TYX3: Any) -> Any:  # noqa: ANN401  (uint8 arrays)
    """Frames after the codec, uint8 [T, Y, X, 3]; T is 4k + 1."""
    frames = torch.from_numpy(np.ascontiguousarray(frames_TYX3)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        again = codec.decode(codec.encode(frames))[0]
    return again.add(1).mul(127.5).round().clamp(0, 255).byte().permute(1, 2, 3, 0).cpu().numpy()
