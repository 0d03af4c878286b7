"""Noise by key: one key gives the same numbers whenever, in whichever order and on whichever device it is asked for.

No running generator exists, so a resumed job needs none of its history. The bits come from Philox, a counter-based
generator (Salmon et al. 2011), and numpy's table-driven ziggurat. Two reasons against a torch CPU generator: it keeps
32 bits of its seed, so keys would collide, and its normals take a path that depends on the processor's vector width.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

SLOW = 3  # see `restless`


def noise(
    seed: int, stage: str, step: int, stream: str, shape: Sequence[int], device: torch.device | str = "cpu"
) -> Tensor:
    """Standard normal float32 of `shape` that depends on the key (seed, stage, step, stream) and the shape alone.

    `step` is the position in the schedule; a stage's start noise uses step -1, so no step draws the same again.
    """
    # repr-quoted fields: ("a", "bc") and ("ab", "c") must not be one key.
    key = hashlib.blake2b(
        repr((int(seed), stage, int(step), stream)).encode(), digest_size=16, person=b"muybridge noise"
    )
    philox = np.random.Philox(key=int.from_bytes(key.digest(), "little"))
    drawn = np.random.Generator(philox).standard_normal(tuple(shape), dtype=np.float32)
    return torch.from_numpy(np.asarray(drawn)).to(device)


def restless(noise_BCTYX: Tensor, slow: int = SLOW) -> Tensor:
    """Noise without the part of it that stands still or moves slowly over a clip's latents.

    For what is guessed over time (flow/continuity.py): a part that stays looks like a picture there and, as the guess
    knows nothing of neighbours in space, becomes coloured cells. One in `slow` of the cosines is left out, the mean
    first and always.
    """
    count = noise_BCTYX.shape[2]
    times = (torch.arange(count, device=noise_BCTYX.device) + 0.5) / count
    cosines_KT = torch.cos(math.pi * torch.arange(max(1, count // slow), device=times.device)[:, None] * times)
    unit_KT = cosines_KT / cosines_KT.norm(dim=1, keepdim=True)
    return noise_BCTYX - torch.einsum("kt,ks,bcsyx->bctyx", unit_KT, unit_KT, noise_BCTYX)


def reference_noise(
    seed: int,
    video_shape: Sequence[int],
    audio_shape: Sequence[int] | None,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor | None]:
    """(video, audio) start noise in the published code's order, for parity checks only: audio first, then video.

    One generator on `device` seeded with `seed`; with given audio (`audio_shape` None) only the video is drawn. The
    values depend on the device kind, as they do upstream. Jobs use `noise`, which resumes.
    """
    generator = torch.Generator(device).manual_seed(seed)
    audio = None if audio_shape is None else torch.randn(tuple(audio_shape), generator=generator, device=device)
    video = torch.randn(tuple(video_shape), generator=generator, device=device)
    return video, audio
