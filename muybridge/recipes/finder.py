"""Finding faces, heads, people and things: the share of each cell of a picture that they cover, which the world knows.

Portraits (recipes/portraits.py) are seen as they are, through the codec, and as the draft has drawn them again; some
show two people, or a thing and nobody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.model.finder import Finder
from muybridge.recipes import portraits
from muybridge.recipes.codec_video import begun, export_module
from muybridge.train.trainer import Losses, Recipe

FILE = "finder.safetensors"
TINTED = 0.2  # how much brighter or darker a colour may be
BESIDE, SIZED = 0.3, 0.35  # how far a picture is moved, in halves of it, and the log of its size


def recipe(
    pictures: str = "runs/portraits",
    start: str = "",
    batch_size: int = 32,
    num_steps: int = 1500,
    learning_rate: float = 2e-3,
    average_decay: float = 0.99,
) -> Recipe:
    """All settings; `pictures` is a folder of portraits, `start` an earlier run's export."""
    settings: dict[str, Any] = dict(locals())
    seen = portraits.read_whole(Path(pictures))

    def build() -> dict[str, nn.Module]:
        return {"finder": begun(Finder(), start, FILE)}

    def batch(step: int, device: torch.device) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(seen.cover_NKYX), (batch_size,), generator=generator)
        how = torch.randint(seen.pictures_NHCYX.shape[1], (batch_size,), generator=generator)
        picture = seen.pictures_NHCYX[chosen, how].float() / 127.5 - 1
        tint = 1 + TINTED * (2 * torch.rand(batch_size, 3, 1, 1, generator=generator) - 1)
        cover = seen.cover_NKYX[chosen].float() / 255
        picture, cover = zoomed(((picture + 1) * tint - 1).clamp(-1, 1), cover, generator)
        turn = torch.rand(batch_size, generator=generator) < 0.5
        picture, cover = (torch.where(turn.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x) for x in (picture, cover))
        return picture.to(device), cover.to(device)

    def loss(modules: dict[str, nn.Module], drawn: tuple[Tensor, Tensor]) -> Losses:
        picture_BCYX, cover_BKYX = drawn
        found_BKYX = modules["finder"](picture_BCYX)
        error = nn.functional.binary_cross_entropy_with_logits(found_BKYX, cover_BKYX)
        return {"loss": error, "apart": (found_BKYX.sigmoid() - cover_BKYX).abs().mean()}

    return Recipe(
        "finder",
        settings,
        build,
        batch,
        loss,
        lambda modules, folder: export_module(modules["finder"], folder / FILE),
        num_steps=num_steps,
        learning_rate=learning_rate,
        warmup_steps=min(50, num_steps // 10),
        weight_decay=0.05,
        average_decay=average_decay,
    )


def zoomed(picture_BCYX: Tensor, cover_BKYX: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures and covers moved and scaled together, edges repeated: faces stand anywhere. Pure."""
    count = len(picture_BCYX)
    right, down, size = (2 * torch.rand(3, count, generator=generator) - 1).unbind()
    scale = (SIZED * size).exp()
    maps = torch.zeros(count, 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = scale
    maps[:, 0, 2], maps[:, 1, 2] = BESIDE * right, BESIDE * down
    out = []
    for x in (picture_BCYX, cover_BKYX):
        grid = nn.functional.affine_grid(maps, list(x.shape), align_corners=False)
        out.append(nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False))
    return out[0], out[1]
