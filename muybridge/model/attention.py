"""Softmax attention over a packed sequence: one function, whole or in local windows, never across samples.

Legend: B samples, N tokens, M keys, L tokens of a sample, H query heads, G key heads, K head size.
SDPA chooses flash, memory-efficient or CPU kernels itself. Local windows are gathered, not masked: a window's keys are
one contiguous softmax, so nothing outside it is computed and no mask of N x N ever exists.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from muybridge.model.tokens import Layout

# Up to here a CPU with bf16 units does the whole table sooner than SDPA its blocks (bench/training.py).
PLAIN_TOKENS = 2048


def attend(q_NHK: Tensor, k_NGK: Tensor, v_NGK: Tensor, layout: Layout, receptive_field: int | None = None) -> Tensor:
    """softmax(q k^T / sqrt(K)) v within each sample; with `receptive_field`, video sees +-field latent frames only.

    Grouped-query: H is a multiple of G. Returns [N, H, K] in q's dtype.
    """
    windows = layout.windows(receptive_field)
    num_samples = len(layout.counts)
    if len(windows.groups) == 1:
        return _sdpa(q_NHK[None], k_NGK[None], v_NGK[None])[0]
    if len(windows.groups) == num_samples and layout.is_uniform:
        index_N = layout.index_BL.flatten()
        batch = (x[index_N].unflatten(0, (num_samples, -1)) for x in (q_NHK, k_NGK, v_NGK))
        return _sdpa(*batch).flatten(0, 1)[windows.place_N]
    if all(queries is keys for queries, keys in windows.groups):
        # Sorted once and split: a gather per sample would, going back, fill and add the whole sequence per sample.
        order_N, sizes = torch.cat([queries for queries, _ in windows.groups]), [len(q) for q, _ in windows.groups]
        split = (x.index_select(0, order_N)[None].split(sizes, 1) for x in (q_NHK, k_NGK, v_NGK))
        return torch.cat([_sdpa(*sample) for sample in zip(*split, strict=True)], 1)[0].index_select(0, windows.place_N)
    parts = [_sdpa(q_NHK[q][None], k_NGK[k][None], v_NGK[k][None])[0] for q, k in windows.groups]
    return torch.cat(parts)[windows.place_N]


def _sdpa(q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor) -> Tensor:
    heads, groups = q_BLHK.shape[2], k_BLGK.shape[2]
    k, v = k_BLGK.transpose(1, 2), v_BLGK.transpose(1, 2)
    if heads != groups and q_BLHK.device.type == "cpu":
        # The heads of a group as more queries of one head: the CPU's kernel then repeats no keys (bench/forward.py).
        q_BGPK = q_BLHK.unflatten(2, (groups, -1)).transpose(1, 2).flatten(2, 3)
        is_short = q_BLHK.shape[1] <= PLAIN_TOKENS and q_BLHK.dtype == torch.bfloat16
        folded = plain_attention(q_BGPK, k, v) if is_short else scaled_dot_product_attention(q_BGPK, k, v)
        out_BLHK: Tensor = folded.unflatten(2, (q_BLHK.shape[1], -1)).transpose(1, 2).flatten(2, 3)
        return out_BLHK
    return scaled_dot_product_attention(q_BLHK.transpose(1, 2), k, v, enable_gqa=heads != groups).transpose(1, 2)


def plain_attention(q_BGPK: Tensor, k_BGMK: Tensor, v_BGMK: Tensor) -> Tensor:
    """Softmax attention as two matrix products with the whole table of weights between them."""
    scores = (q_BGPK * k_BGMK.shape[-1] ** -0.5) @ k_BGMK.transpose(-1, -2)
    out_BGPK: Tensor = scores.softmax(-1) @ v_BGMK
    return out_BGPK
