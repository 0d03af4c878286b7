"""Contact sheets: what the world looks like, with its captions, as one PNG."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.progress import Progress

from . import captions, render
from .grammar import sample_scene
from .sample import seed_of

COLUMNS, STILLS = 2, 3


def preview(
    path: Path,
    start: int = 0,
    count: int = 12,
    split: str = "train",
    height: int = 192,
    width: int = 192,
    **fields: Any,  # noqa: ANN401 - any field of Scene
) -> list[dict[str, Any]]:
    """Draw samples start..start+count-1, three moments of each with its caption, into a PNG; return their facts."""
    rows: list[Image.Image] = []
    facts: list[dict[str, Any]] = []
    with Progress(transient=True) as bar:
        for index in bar.track(range(start, start + count), description="drawing"):
            scene = sample_scene(seed_of(index, split), split, **fields)
            text = captions.caption(scene, scene.seed, split)
            drawn = render.Set(scene)
            try:
                moments = [int(scene.num_frames * share) for share in (0.06, 0.5, 0.94)]
                stills = [drawn.draw(frame, height, width, masks=False).pixels_YX3 for frame in moments]
            finally:
                drawn.release()
            rows.append(_labelled(np.concatenate(stills, 1), f"{index}: {text}"))
            facts.append({"index": index, "caption": text, "attributes": captions.attributes(scene)})
    _paste(rows).save(path)
    return facts


def _labelled(strip_YX3: np.ndarray, text: str) -> Image.Image:
    height, width = strip_YX3.shape[:2]
    font = ImageFont.load_default(11)
    lines = textwrap.wrap(text, width // 6)[:6]
    out = Image.new("RGB", (width, height + 6 * 13 + 6), "white")
    out.paste(Image.fromarray(strip_YX3), (0, 0))
    draw = ImageDraw.Draw(out)
    for k, line in enumerate(lines):
        draw.text((3, height + 2 + 13 * k), line, fill="black", font=font)
    return out


def _paste(tiles: list[Image.Image]) -> Image.Image:
    wide, tall = tiles[0].size
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (wide + 4), rows * (tall + 4)), "white")
    for k, tile in enumerate(tiles):
        sheet.paste(tile, ((k % COLUMNS) * (wide + 4), (k // COLUMNS) * (tall + 4)))
    return sheet
