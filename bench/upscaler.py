"""What the upscaler adds to its start: closeness to the truth, detail, and the mouth, on takes that no run has read.

    muybridge world takes --split val --size 448x256 --seconds 2.4 --count 12 -o val
    python bench/upscaler.py --takes val [--weights muybridge/shipped/tiny] [--evaluators PYTHON] [--output up.png]

Each take is shrunk and guessed by the base from a noise level of 0.5 to 0.8, as in its last step; that picture enlarged
is the start. Rows: the start, the upscaled picture, and the truth through the codec, which is all that an upscaler can
reach. `PSNR` against the truth; `detail` is the mean step between neighbouring pixels over the truth's, in faces;
`mouth` is the correlation of the opening, as the evaluation's witness reads it, with that of the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from muybridge import media
from muybridge.engine.loading import SHIPPED
from muybridge.engine.pixels import to_uint8
from muybridge.engine.sampling import upscaler_sampling
from muybridge.engine.tiny import load_audio_codec
from muybridge.evaluate.picture import psnr
from muybridge.flow.solver import SolverState, euler_step
from muybridge.flow.upscale_start import near_start
from muybridge.model.phrase_encoder import PhraseEncoder
from muybridge.model.tiny_video_codec import TinyVideoCodec, load_video_codec
from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_transformer
from muybridge.recipes import starts, upscaler
from muybridge.recipes.base import load_export
from muybridge.recipes.losses import Task
from muybridge.suites.run import Run
from muybridge.suites.sync import correlation
from muybridge.train import takes
from muybridge.train.items import Item
from muybridge.train.latents import encode_clip

Frames = NDArray[np.uint8]


@torch.no_grad()
def upscaled(model: Transformer, text: PhraseEncoder, item: Item, start: torch.Tensor) -> torch.Tensor:
    """The latent that the engine would make of a start, with the item's words and sound."""
    torch.manual_seed(item.index)
    schedule, state = upscaler_sampling("tiny").schedule(), SolverState()
    x = near_start(start, torch.randn_like(start), model.config.start_noise)
    while state.step < schedule.num_inference_steps:
        task = Task("t2v", schedule.sigma(state.step), frozenset())
        part = upscaler.Part(item, start, torch.zeros(3), task, keeps_first=False)
        (velocity,) = upscaler.velocities(model, text, [part], [x])
        x, state = euler_step(schedule, state, x, velocity)
    return x


def detail(frames_TYX3: Frames, face_TYX: NDArray[np.bool_]) -> float:
    """Mean absolute step between neighbours, to the right and down, inside of faces."""
    grey_TYX = frames_TYX3.astype(np.float32).mean(-1)
    steps = np.abs(np.diff(grey_TYX, axis=1))[:, :, :-1] + np.abs(np.diff(grey_TYX, axis=2))[:, :-1]
    return float(steps[face_TYX[:, :-1, :-1]].mean()) if face_TYX.any() else float("nan")


def loader(folder: Path) -> Callable[[Path], tuple[takes.Take, dict[str, Frames]]]:
    """Reads the weights once; the function then gives a take and its picture in all ways."""
    codec: TinyVideoCodec = load_video_codec(folder / "video_codec.safetensors")
    base, text = load_export(folder)
    model = load_transformer(folder / "upscaler.safetensors", matrix_dtype=torch.float32)
    sound = load_audio_codec(folder)

    def pictures(path: Path) -> tuple[takes.Take, dict[str, Frames]]:
        take = takes.load(path)
        item = encode_clip(take, codec, sound)
        generator = torch.Generator().manual_seed(take.index)
        start = starts.guess(take.frames_TYX3, item, codec, base, text, generator)
        latents = {"start": start, "upscaled": upscaled(model, text, item, start), "codec": item.video}
        return take, {name: to_uint8(codec.decode(latent[None])[0]) for name, latent in latents.items()}

    return pictures


def main() -> None:
    """Prints a row a way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=SHIPPED / "tiny")
    parser.add_argument("--evaluators")
    parser.add_argument("--output", type=Path, help="lay middle frames out here")
    asked = parser.parse_args()
    run = Run(None, quiet=True, evaluators=asked.evaluators)
    found: dict[str, list[tuple[float, float, float]]] = {"start": [], "upscaled": [], "codec": []}
    columns = []
    pictures = loader(asked.weights)
    for path in track(list(takes.stored(asked.takes, "val")), "upscaling"):
        take, made = pictures(path)
        true = take.frames_TYX3
        face = np.repeat(np.repeat(take.face_LYX > 127, takes.TOKEN, 1), takes.TOKEN, 2)
        face = np.concatenate([face[:1], np.repeat(face[1:], 4, 0)])
        speaks = bool(take.facts["lines"]) and len(take.scene.people) == 1
        opening = run.lips(true).opening_T if speaks else None
        for name, frames in made.items():
            mouth = float("nan") if opening is None else correlation(run.lips(frames).opening_T, opening)
            found[name].append((psnr(frames, true), detail(frames, face) / detail(true, face), mouth))
        middle = len(true) // 2
        columns.append(np.concatenate([made["start"][middle], made["upscaled"][middle], true[middle]]))
    run.close()
    print(f"{'':9} {'PSNR':>6} {'detail':>7} {'mouth':>6}   {len(columns)} takes")
    for name, rows in found.items():
        near, fine, mouth = np.nanmean(np.array(rows), 0)
        print(f"{name:9} {near:6.2f} {fine:7.2f} {mouth:6.2f}")
    if asked.output:
        media.write_image(asked.output, np.concatenate(columns[:6], 1))


if __name__ == "__main__":
    main()
