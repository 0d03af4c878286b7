"""Known latents inside a noisy clip: first frame, last frame, keyframes, extension, audio in-painting.

Shapes: B batch, C channels, T latents in time, Y X latent rows/cols; audio latents are [B, T, C].

A known latent is overwritten before every step and once at the end; the model sees no mask. The open 15B was trained
for the first frame only (image to video): other indices are training-free there and are labelled so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

VIDEO_TIME_DIM = 2
AUDIO_TIME_DIM = 1


@dataclass(frozen=True, eq=False)
class CleanLatents:
    """Known latents in place: `latent` shaped like x, `mask` (bool, broadcastable to x) true where it is known."""

    latent: Tensor
    mask: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """x with the known latents put in."""
        return apply_clean(x, self.latent, self.mask)


def apply_clean(x: Tensor, clean: Tensor, mask: Tensor) -> Tensor:
    """`clean` where `mask` is true, `x` elsewhere; a new tensor, x is not changed."""
    return torch.where(mask, clean.to(x.dtype), x)


def time_mask(indices: Iterable[int], x: Tensor, time_dim: int = VIDEO_TIME_DIM) -> Tensor:
    """Bool mask of the latents `indices` along time, broadcastable to x; negative indices count from the end.

    Raises IndexError for an index outside the clip.
    """
    length = x.shape[time_dim]
    mask_T = torch.zeros(length, dtype=torch.bool, device=x.device)
    for index in indices:
        if not -length <= index < length:
            raise IndexError(f"Latent {index} is outside this clip of {length} latents.")
        mask_T[index] = True
    return mask_T.view([length if dim == time_dim else 1 for dim in range(x.ndim)])


def keyframes(latents: Mapping[int, Tensor], x: Tensor, time_dim: int = VIDEO_TIME_DIM) -> CleanLatents:
    """Known latents at given places: {0: first} is image to video, {-1: last} the last frame, any others keyframes.

    Each value has length 1 in time and else the shape of x. Raises ValueError where a shape does not fit or two keys
    name one latent, IndexError for a place outside the clip.
    """
    places = [index % x.shape[time_dim] for index in latents]
    if len(set(places)) < len(places):
        raise ValueError(f"Two keyframes share one latent: {sorted(latents)} of {x.shape[time_dim]}.")
    mask = time_mask(latents, x, time_dim)
    filled = torch.zeros_like(x)
    for place, latent in zip(places, latents.values(), strict=True):
        slot = filled.narrow(time_dim, place, 1)
        if latent.shape != slot.shape:
            raise ValueError(f"Keyframe latent is {tuple(latent.shape)}; the clip needs {tuple(slot.shape)}.")
        slot.copy_(latent)
    return CleanLatents(filled, mask)


def extension(overlap: Tensor, x: Tensor, time_dim: int = VIDEO_TIME_DIM) -> CleanLatents:
    """The last latents of the window before (`overlap`) as the first latents of this one."""
    return keyframes(dict(enumerate(torch.split(overlap, 1, dim=time_dim))), x, time_dim)


def inpainting(source: Tensor, redo: Iterable[tuple[int, int]], time_dim: int = AUDIO_TIME_DIM) -> CleanLatents:
    """Keep `source` but for the spans [start, stop) of latents to make anew; raises ValueError for a bad span."""
    length = source.shape[time_dim]
    kept = set(range(length))
    for start, stop in redo:
        if not 0 <= start < stop <= length:
            raise ValueError(f"Span [{start}, {stop}) does not fit into {length} latents.")
        kept -= set(range(start, stop))
    return CleanLatents(source, time_mask(kept, source, time_dim))
