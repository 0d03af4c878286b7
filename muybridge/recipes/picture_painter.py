"""Drawing pictures anew, clearer, from what the draft made of them.

`muybridge world pictures` shows scenes as they are and as the draft draws them again. What it draws anew is not where
it was to a pixel, and the mean of all that may be there is a smear, so the painter denoises: with noise in sight it
has to decide (model/picture_painter.py).

Letters: B samples, C channels, Y X pixels, W text features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.model import picture_painter
from muybridge.model.picture_painter import PicturePainter
from muybridge.recipes import pictures
from muybridge.recipes.codec_video import begun, export_module
from muybridge.recipes.face_painter import WORDLESS, toned
from muybridge.train.trainer import Losses, Recipe

FILE = "picture_painter.safetensors"
TONES = (4, 9)  # cells of a picture's height whose light and colours a drawn one takes from the true one
FACES = 0.1  # of a pixel's weight, where somebody else draws
LOWEST = 0.02  # noise level


def recipe(
    scenes: str = "runs/drawn",
    words: str = "muybridge/shipped/tiny/text.safetensors",
    start: str = "",
    batch_size: int = 16,
    num_steps: int = 4000,
    learning_rate: float = 1e-3,
    average_decay: float = 0.997,
    inner_rate: float = 2.0,
) -> Recipe:
    """All settings; `scenes` holds pictures, `words` is the text encoder, `start` an earlier run's export."""
    settings: dict[str, Any] = dict(locals())
    seen = pictures.read(Path(scenes), Path(words))

    def build() -> dict[str, nn.Module]:
        return {"painter": begun(PicturePainter(), start, FILE)}

    def batch(step: int, device: torch.device) -> tuple[Tensor, ...]:
        return tuple(x.to(device) for x in samples(seen, batch_size, torch.Generator().manual_seed(step)))

    def loss(modules: dict[str, nn.Module], drawn: tuple[Tensor, ...]) -> Losses:
        drawn_BCYX, true_BCYX, weight_B1YX, words_BW, sigma_B, noise_BCYX = drawn
        sigma_B111 = sigma_B[:, None, None, None]
        noisy_BCYX = (1 - sigma_B111) * true_BCYX + sigma_B111 * noise_BCYX
        found = modules["painter"](noisy_BCYX, drawn_BCYX, picture_painter.told(words_BW, sigma_B)).float()
        linear = picture_painter.guess(noisy_BCYX, drawn_BCYX, sigma_B111)
        wanted = (true_BCYX - linear) / picture_painter.open_(sigma_B111)
        error_B = ((found - wanted).square() * weight_B1YX).mean((1, 2, 3))
        losses = {"loss": error_B.mean()}
        for name, low, high in (("low", 0.0, 0.33), ("middle", 0.33, 0.67), ("high", 0.67, 1.0)):
            inside = (sigma_B >= low) & (sigma_B < high)
            losses[name] = error_B[inside].mean().detach() if inside.any() else losses["loss"].detach()
        return losses

    return Recipe(
        "picture_painter",
        settings,
        build,
        batch,
        loss,
        lambda modules, folder: export_module(modules["painter"], folder / FILE),
        num_steps=num_steps,
        learning_rate=learning_rate,
        warmup_steps=min(100, num_steps // 10),
        average_decay=average_decay,
        inner=tuple(f"painter.{part}" for part in ("narrow", "down", "bottom", "up", "widen", "join")),
        inner_rate=inner_rate,
    )


def samples(seen: pictures.Pictures, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """(drawn squares, true ones, weights of pixels, words, noise levels, noise), as wide as pictures are high. Pure."""
    columns: tuple[list[Tensor], ...] = ([], [], [], [])
    for n in torch.randint(len(seen.true_NCYX), (count,), generator=generator).tolist():
        tells, mirrored, left, cells = torch.rand(4, generator=generator).tolist()
        true_CYX = seen.true_NCYX[n].float()
        rows, cols = true_CYX.shape[1:]
        high = TONES[0] + int(cells * (TONES[1] - TONES[0]))
        drawn_CYX = toned(seen.drawn_NCYX[n], true_CYX, high, round(high * cols / rows))
        weight_1YX = 1 - (1 - FACES) * seen.face_NYX[n].float()[None] / 255
        begin = int(left * (cols - rows + 1))
        for column, x in zip(columns, (drawn_CYX / 127.5 - 1, true_CYX / 127.5 - 1, weight_1YX), strict=False):
            square = x[:, :, begin : begin + rows]
            column.append(square.flip(2) if mirrored < 0.5 else square)
        columns[-1].append(seen.words_NW[n] * float(tells >= WORDLESS))
    sigma_B = LOWEST + (1 - LOWEST) * torch.rand(count, generator=generator)
    stacked = [torch.stack(column) for column in columns]
    return *stacked, sigma_B, torch.randn(stacked[0].shape, generator=generator)
