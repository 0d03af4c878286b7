"""Finding faces in latents: the share of each token that a face covers, which the world knows of all its takes.

Pictures alone do (`muybridge world stills --silent`), most of them with one person, some with two or none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.errors import NotFound
from muybridge.model.face_finder import FaceFinder
from muybridge.model.tiny_video_codec import load_video_codec
from muybridge.recipes.codec_video import export_module, to_tensor
from muybridge.shapes import PATCH
from muybridge.train import takes
from muybridge.train.trainer import Losses, Recipe

FILE = "face_finder.safetensors"
SHAKEN = 0.3  # of a latent's unit: drawn pictures are not as clean as rendered ones


def recipe(
    pictures: str = "runs/pictures",
    more: str = "",
    codec: str = "muybridge/shipped/tiny/video_codec.safetensors",
    batch_size: int = 64,
    num_steps: int = 500,
    learning_rate: float = 2e-3,
    average_decay: float = 0.99,
) -> Recipe:
    """All settings; `pictures` and `more` are folders of takes, of which the first frames are read."""
    settings: dict[str, Any] = dict(locals())
    latents_NCYX, covers_NYX = _first_frames([Path(folder) for folder in (pictures, more) if folder], Path(codec))

    def batch(step: int, device: torch.device) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(latents_NCYX), (batch_size,), generator=generator)
        latent = latents_NCYX[chosen]
        level = SHAKEN * torch.rand(batch_size, 1, 1, 1, generator=generator)
        noisy = latent + level * torch.randn(latent.shape, generator=generator)
        return noisy.to(device), covers_NYX[chosen].to(device)

    def loss(modules: dict[str, nn.Module], drawn: tuple[Tensor, Tensor]) -> Losses:
        latent_BCYX, cover_BYX = drawn
        cells_BYX = modules["finder"](latent_BCYX).sigmoid()
        found_BYX = nn.functional.avg_pool2d(cells_BYX[:, None], PATCH)[:, 0]
        error = nn.functional.binary_cross_entropy(found_BYX.clamp(1e-6, 1 - 1e-6), cover_BYX)
        return {"loss": error, "apart": (found_BYX - cover_BYX).abs().mean()}

    return Recipe(
        "face_finder",
        settings,
        lambda: {"finder": FaceFinder()},
        batch,
        loss,
        lambda modules, folder: export_module(modules["finder"], folder / FILE),
        num_steps=num_steps,
        learning_rate=learning_rate,
        warmup_steps=min(50, num_steps // 10),
        weight_decay=0.05,
        average_decay=average_decay,
    )


def _first_frames(folders: list[Path], codec_path: Path) -> tuple[Tensor, Tensor]:
    """Latents [N, C, Y, X] and coverage of tokens [N, Y, X] of the takes' first frames. Raises NotFound without any."""
    codec = load_video_codec(codec_path)
    latents, covers = [], []
    for folder in folders:
        for path in takes.stored(folder, "train"):
            take = takes.load(path)
            with torch.inference_mode():
                latents.append(codec.encode(to_tensor(take.frames_TYX3[None, :1]))[0, :, 0].float())
            covers.append(torch.from_numpy(take.face_LYX[0]).float() / 255)
    if not latents:
        raise NotFound(f"{folders[0]} holds no takes; draw them: muybridge world stills --silent -o {folders[0]}")
    return torch.stack(latents), torch.stack(covers)
