"""Softmax attention over a packed sequence: one function over SDPA, whole or in local windows, never across samples.

Legend: B samples, N tokens, L tokens of the longest sample, H query heads, G key heads, K head size.
SDPA chooses flash, memory-efficient or CPU kernels itself. Local windows are gathered, not masked: a window's keys are
one contiguous softmax, so nothing outside it is computed and no mask of N x N ever exists.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from muybridge.model.tokens import Layout


def attend(q_NHK: Tensor, k_NGK: Tensor, v_NGK: Tensor, layout: Layout, receptive_field: int | None = None) -> Tensor:
    """softmax(q k^T / sqrt(K)) v within each sample; with `receptive_field`, video sees +-field latent frames only.

    Grouped-query: H is a multiple of G. Returns [N, H, K] in q's dtype.
    """
    if receptive_field is not None and _is_windowed(layout, receptive_field):
        return _attend_windows(q_NHK, k_NGK, v_NGK, layout, receptive_field)
    if len(layout.counts) == 1:
        return _sdpa(q_NHK[None], k_NGK[None], v_NGK[None])[0]
    return _attend_samples(q_NHK, k_NGK, v_NGK, layout)


def _is_windowed(layout: Layout, receptive_field: int) -> bool:
    """Whether any video token is out of another's window (short clips are not)."""
    frames = layout.frames_N
    return len(frames) > 0 and int(frames.max()) - max(int(frames[0]), 0) > receptive_field


def _attend_windows(q_NHK: Tensor, k_NGK: Tensor, v_NGK: Tensor, layout: Layout, receptive_field: int) -> Tensor:
    out_NHK = torch.empty_like(q_NHK)
    for queries, keys in layout.local_windows(receptive_field):
        part = _sdpa(q_NHK[queries][None], k_NGK[keys][None], v_NGK[keys][None])[0]
        out_NHK = out_NHK.index_copy(0, queries, part)
    return out_NHK


def _attend_samples(q_NHK: Tensor, k_NGK: Tensor, v_NGK: Tensor, layout: Layout) -> Tensor:
    index_BL = layout.index_BL
    safe = index_BL.clamp(min=0)
    mask = None if layout.is_uniform else (index_BL >= 0)[:, None, None, :]
    out_BLHK = _sdpa(q_NHK[safe], k_NGK[safe], v_NGK[safe], mask)
    real = index_BL.flatten() >= 0
    flat = out_BLHK.flatten(0, 1)
    places = index_BL.flatten()
    if mask is not None:
        flat, places = flat[real], places[real]
    return torch.empty_like(q_NHK).index_copy(0, places, flat)


def _sdpa(q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, mask: Tensor | None = None) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q_BLHK, k_BLGK, v_BLGK))
    shared = q.shape[1] != k.shape[1]
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=shared).transpose(1, 2)
