"""Drawing faces anew: from what the draft makes of a picture, or from a good one, to any face that units ask for.

Portraits (`muybridge world portraits`) show each person with several faces, and what the draft made of the picture
after noise was laid over it: blank faces where the true ones are known. Squares are cut a little beside where they
belong, as a finder will cut them.

Letters: N portraits, F faces of a portrait, B samples, U face units.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from muybridge.model import face_painter
from muybridge.model.face_painter import SIDE, FacePainter
from muybridge.recipes import portraits
from muybridge.recipes.codec_video import begun, export_module
from muybridge.train.trainer import Losses, Recipe
from muybridge.world.anatomy import ARKIT_UNITS

FILE = "face_painter.safetensors"
FROM_DRAWN, FROM_CODED = 0.5, 0.25  # shares of squares that begin as draft or codec show them; else as they are
BESIDE, SIZED = 0.1, 0.12  # how far off a square may be: in half heights of the face, and the log of its size
TINTED = 0.15
TONES = (4, 9)  # cells a side of the light and colours that a drawn square takes from the true one: no eyes, no mouth
WORDLESS = 0.3  # share of squares that are told nothing of the prompt
SWAP = [ARKIT_UNITS.index(n.replace("Left", "#").replace("Right", "Left").replace("#", "Right")) for n in ARKIT_UNITS]
SOFT = 0.1  # an error, in -1..1
CENTRE, MOVES = 2.0, 12.0  # of the weight of a pixel in the face's middle, and of one that units move by 2


def recipe(
    pictures: str = "runs/portraits",
    words: str = "muybridge/shipped/tiny/text.safetensors",
    start: str = "",
    batch_size: int = 48,
    num_steps: int = 6000,
    learning_rate: float = 1e-3,
    average_decay: float = 0.995,
    inner_rate: float = 2.0,
) -> Recipe:
    """All settings; `pictures` holds portraits, `words` is the text encoder, `start` an earlier run's export."""
    settings: dict[str, Any] = dict(locals())
    seen = portraits.read(Path(pictures), Path(words))
    size_YX = torch.linspace(-1, 1, SIDE)
    far_YX = (size_YX[:, None].square() + size_YX.square()).clamp(max=1)
    centre_YX = 1 + CENTRE * (1 - far_YX)

    def build() -> dict[str, nn.Module]:
        return {"painter": begun(FacePainter(), start, FILE)}

    def batch(step: int, device: torch.device) -> tuple[Tensor, ...]:
        return tuple(x.to(device) for x in squares(seen, batch_size, torch.Generator().manual_seed(step)))

    def loss(modules: dict[str, nn.Module], drawn: tuple[Tensor, ...]) -> Losses:
        begin_BCYX, told_BK, wanted_BCYX, still_BCYX = drawn
        found_BCYX = modules["painter"](begin_BCYX, told_BK).float()
        moved_B1YX = (wanted_BCYX - still_BCYX).abs().mean(1, keepdim=True)
        plain = (charbonnier(found_BCYX - wanted_BCYX) * (centre_YX + MOVES * moved_B1YX)).mean()
        sharp = torch.stack([charbonnier(edges(found_BCYX, d) - edges(wanted_BCYX, d)).mean() for d in (2, 3)]).sum()
        moving = ((found_BCYX - wanted_BCYX).abs() * moved_B1YX).sum() / moved_B1YX.sum() / 3
        return {"loss": plain + sharp, "plain": plain.detach(), "edges": sharp.detach(), "moving": moving.detach()}

    return Recipe(
        "face_painter",
        settings,
        build,
        batch,
        loss,
        lambda modules, folder: export_module(modules["painter"], folder / FILE),
        num_steps=num_steps,
        learning_rate=learning_rate,
        warmup_steps=min(300, num_steps // 10),
        average_decay=average_decay,
        inner=tuple(f"painter.{part}" for part in ("down", "up", "narrow", "widen", "join")),
        inner_rate=inner_rate,
    )


def charbonnier(error: Tensor) -> Tensor:
    """Square of small errors, size of large ones: a plain size holds on to what need not change (Charbonnier 1994)."""
    return (error.square() + SOFT**2).sqrt() - SOFT


def edges(x_BCYX: Tensor, dim: int) -> Tensor:
    """Differences of neighbours along a dimension."""
    return x_BCYX.diff(dim=dim)


def squares(seen: portraits.Portraits, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """(squares to begin with, what is told, squares that are wanted, those at rest) of random portraits. Pure."""
    chosen = torch.randint(len(seen.units_NFU), (count,), generator=generator)
    begins, tolds, wanteds, stills = [], [], [], []
    for n in chosen.tolist():
        kind, tells, mirrored = torch.rand(3, generator=generator).tolist()
        was_drawn, is_coded = kind < FROM_DRAWN, FROM_DRAWN <= kind < FROM_DRAWN + FROM_CODED
        faces = seen.units_NFU.shape[1]  # a good picture may speak already, as in a clip that is said anew
        most = (seen.coded_NFCYX.shape[1] if is_coded else faces, faces)
        first, last = (int(torch.randint(count, (1,), generator=generator)) for count in most)
        wanted, units = seen.faces_NFCYX[n, last], seen.units_NFU[n, last]
        if was_drawn:
            cells = int(torch.randint(*TONES, (1,), generator=generator))
            begin = toned(seen.drawn_NCYX[n], seen.faces_NFCYX[n, 0], cells, cells)
        else:
            begin = seen.coded_NFCYX[n, first] if is_coded else seen.faces_NFCYX[n, first]
            units = units - seen.units_NFU[n, first]
        grid = _grid(generator)
        still = seen.faces_NFCYX[n, 0 if was_drawn else first]
        pair = torch.stack([begin.float(), wanted.float(), still.float()]) / 127.5 - 1
        pair = nnf.grid_sample(pair, grid.expand(3, -1, -1, -1), padding_mode="border", align_corners=False)
        tint = 1 + TINTED * (2 * torch.rand(3, 1, 1, generator=generator) - 1)
        pair = ((pair + 1) * tint - 1).clamp(-1, 1)
        if mirrored < 0.5:
            pair, units = pair.flip(3), units[SWAP]
        words = seen.words_NW[n] * float(tells >= WORDLESS)
        begins.append(pair[0])
        wanteds.append(pair[1])
        stills.append(pair[2])
        tolds.append(face_painter.told(units[None], words, was_drawn, float(seen.half_height_N[n]))[0])
    return tuple(torch.stack(x) for x in (begins, tolds, wanteds, stills))


def toned(drawn_CYX: Tensor, true_CYX: Tensor, rows: int, cols: int) -> Tensor:
    """A drawn picture with the light and colours of the true one, as `rows` x `cols` cells tell; floats of bytes.

    The draft draws another light, and how that goes with the true one is nothing to learn.
    """
    apart = (true_CYX.float() - drawn_CYX.float())[None]
    coarse = nnf.interpolate(apart, (rows, cols), mode="area")
    smooth = nnf.interpolate(coarse, apart.shape[2:], mode="bicubic", align_corners=False)[0]
    return (drawn_CYX.float() + smooth).clamp(0, 255)


def _grid(generator: torch.Generator) -> Tensor:
    """[1, SIDE, SIDE, 2]: a square of a portrait, a little beside its face."""
    right, down, size = (2 * torch.rand(3, generator=generator) - 1).tolist()
    half = face_painter.REACH / portraits.REACH * float(torch.tensor(SIZED * size).exp())
    at = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * half
    across, along = at + BESIDE / portraits.REACH * right, at + BESIDE / portraits.REACH * down
    return torch.stack([across[None].expand(SIDE, -1), along[:, None].expand(-1, SIDE)], -1)[None]
