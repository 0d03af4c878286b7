"""What a batch is drawn from: clips, cut where they are long, and stills, of which some are heard.

Letters: T latent frames, Y X token rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from muybridge.shapes import FPS, STRIDE_T
from muybridge.train import latents
from muybridge.train.items import Item, ItemLine
from muybridge.train.latents import LatentCache


@dataclass(frozen=True, eq=False)
class Mix:
    """Clips and stills in fixed numbers. `near` are those of both whose mouths are large; see `mix`."""

    clips: LatentCache
    stills: LatentCache | None
    near: tuple[LatentCache, LatentCache | None]
    num_stills: int
    quiet_stills: int
    longest: int
    given: LatentCache | None = None
    num_given: int = 0
    lips: LatentCache | None = None
    num_lips: int = 0

    def batch(self, step: int, size: int, generator: torch.Generator) -> list[Item]:
        """`size` items of a step: clips, stills, given ones. Pure in the step and the generator's state."""
        clips, stills = (self.clips, self.stills) if step % 4 == 0 else self.near
        drawn = clips.batch(step, size - self.num_stills - self.num_given - self.num_lips)
        if self.lips is not None:
            drawn += self.lips.batch(step, self.num_lips)
        if self.longest and step // 4 % 4:  # in blocks: processes that share a step have as much to do
            drawn = [anywhere(item, self.longest, generator) for item in drawn]
        if stills is not None:
            found = stills.batch(step, self.num_stills)
            drawn += [heard(item, 0 if k >= self.quiet_stills else 1) for k, item in enumerate(found)]
        if self.given is not None:
            drawn += [heard(shortened(item, 1), 1) for item in self.given.batch(step, self.num_given)]
        return drawn

    @property
    def caches(self) -> Sequence[LatentCache]:
        """What there is."""
        return [cache for cache in (self.clips, self.stills, self.lips, self.given) if cache is not None]


def mix(
    clips: str,
    stills: str = "",
    num_stills: int = 0,
    quiet_stills: int = 0,
    longest: int = 0,
    closest: float = 0.0,
    num_given: int = 0,
    given: str = "",
    lips: str = "",
    num_lips: int = 0,
) -> Mix:
    """The folders of both, read. Raises NotFound.

    `num_stills` of a batch's items come from the latents of `stills`, `quiet_stills` of them without sound; clips are
    cut to `longest` latents (0: never) in three of four blocks of four steps, half of them from the middle. Three steps
    in four draw only items whose mouth covers at least `closest` of a token (0: all are drawn alike). `num_given` are
    first latents of clips that have references or a source: to copy a person or to change one thing is learned on them
    for little; with `given` they come from that folder of stills (`muybridge world stills --given`).
    `num_lips` are clips from the latents of `lips`, faces that speak and fill the picture, cut as the others are.
    """
    moving = latents.read(Path(clips))
    still = latents.read(Path(stills)) if num_stills else None
    near_clips, near_stills = (c.only(with_mouth(c, closest)) if closest and c else c for c in (moving, still))
    assert near_clips is not None  # as `moving` is
    pairs = (latents.read(Path(given)) if given else moving.only(with_given(moving))) if num_given else None
    near = (near_clips, near_stills)
    faces = latents.read(Path(lips)) if num_lips else None
    return Mix(moving, still, near, num_stills, quiet_stills, longest, pairs, num_given, faces, num_lips)


def with_mouth(cache: LatentCache, least: float) -> list[int]:
    """The numbers of the items in which a mouth covers at least `least` of a token in some latent."""
    return [k for k in range(len(cache)) if float(cache.item(k).mouth_TYX.sum((1, 2)).max()) >= least]


def with_given(cache: LatentCache) -> list[int]:
    """The numbers of the items that have references or a source."""
    items = ((k, cache.item(k)) for k in range(len(cache)))
    return [k for k, item in items if item.references is not None or item.source is not None]


def heard(still: Item, count: int) -> Item:
    """A still with the sound of a clip of `count` latents (0: with all of it)."""
    num_audio = STRIDE_T * (count - 1) + 1 if count else len(still.audio)
    return replace(still, audio=still.audio[:num_audio], lines=_between(still.lines, 0.0, num_audio / FPS))


def _between(lines: tuple[ItemLine, ...], start_s: float, end_s: float) -> tuple[ItemLine, ...]:
    """Lines with the phones whose middles lie in a span, on its own clock; times are in order, so those are a run."""
    found = []
    for line in lines:
        first, last = (sum(middle < limit for middle in line.middles_s) for limit in (start_s, end_s))
        middles = tuple(middle - start_s for middle in line.middles_s[first:last])
        if middles:
            found.append(replace(line, ids=line.ids[first:last], middles_s=middles))
    return tuple(found)


def shortened(item: Item, count: int, first: int = 0) -> Item:
    """`count` latents of a clip from latent `first`, with the sound, the beats and the phones of their span.

    A clip's first latent shows one frame. Cut in the middle it shows four, of which the last counts as the first frame.
    """
    if item.video.shape[1] <= count:
        return item
    start, num_audio = STRIDE_T * first, STRIDE_T * (count - 1) + 1
    start_s, end_s = start / FPS, (start + num_audio) / FPS
    cut = slice(first, first + count)
    return replace(
        item,
        video=item.video[:, cut],
        audio=item.audio[start : start + num_audio],
        mouth_TYX=item.mouth_TYX[cut],
        beats=tuple(
            replace(b, start_s=max(b.start_s, start_s) - start_s, end_s=min(b.end_s, end_s) - start_s)
            for b in item.beats
            if b.start_s < end_s and b.end_s > start_s
        ),
        lines=_between(item.lines, start_s, end_s),
        source=None if item.source is None else item.source[:, cut],
        edited_TYX=None if item.edited_TYX is None else item.edited_TYX[cut],
    )


def anywhere(item: Item, count: int, generator: torch.Generator) -> Item:
    """A span of `count` latents of the clip, half of the time from its beginning."""
    spare = max(0, item.video.shape[1] - count)
    first = int(torch.randint(2 * spare + 1, (1,), generator=generator)) - spare
    return shortened(item, count, max(0, first))
