"""The transformer again, in float64 numpy with loops, from the equations of the open model and nothing of ours.

Written apart from `muybridge.model`: dense boolean masks, one head at a time, one modality row at a time.
Legend: N tokens, D width, K head size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EPS = 1e-6


@dataclass(frozen=True)
class Tokens:
    """One packed sequence in the order video, audio, text. `modality` 0, 1, 2; `frame` -1 is seen by every window."""

    video: Array
    audio: Array
    text: Array
    coords: Array
    roles: NDArray[np.int64]
    frame: NDArray[np.int64]
    sample: NDArray[np.int64]

    @property
    def modality(self) -> NDArray[np.int64]:
        return np.repeat([0, 1, 2], [len(self.video), len(self.audio), len(self.text)])


@dataclass(frozen=True)
class Numbers:
    """The sizes that the equations need."""

    num_layers: int
    hidden: int
    head_dim: int
    num_heads_kv: int
    mm_layers: tuple[int, ...]
    gelu_layers: tuple[int, ...]
    local_layers: tuple[int, ...]
    field: int
    time_scale: float


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def rms(x: Array, weight: Array) -> Array:
    out = np.empty_like(x)
    for i, row in enumerate(x):
        out[i] = row / math.sqrt(float(np.mean(row * row)) + EPS) * (1.0 + weight)
    return out


def rotate(x: Array, coords: Array, time_scale: float) -> Array:
    """x [N, K]: dims 0..3b-1 pair with 3b..6b-1 (b = K/8 bands an axis), the rest stay."""
    head_dim = x.shape[1]
    num_bands = head_dim // 8
    half = 3 * num_bands
    out = x.copy()
    for n in range(len(x)):
        place = coords[n] * np.array([time_scale, 1.0, 1.0])
        for i in range(half):
            axis, j = divmod(i, num_bands)
            angle = place[axis] * 10000.0 ** (-j / num_bands)
            a, b = x[n, i], x[n, i + half]
            out[n, i] = a * math.cos(angle) - b * math.sin(angle)
            out[n, i + half] = b * math.cos(angle) + a * math.sin(angle)
    return out


def gelu7(y: Array) -> Array:
    y = np.minimum(y, 7.0)
    return y * sigmoid(1.702 * y)


def swiglu7(y: Array) -> Array:
    out = np.empty((len(y), y.shape[1] // 2))
    for column in range(out.shape[1]):
        u = np.minimum(y[:, 2 * column], 7.0)
        linear = np.minimum(np.maximum(y[:, 2 * column + 1], -7.0), 7.0)
        out[:, column] = u * sigmoid(1.702 * u) * (linear + 1.0)
    return out


def sees(tokens: Tokens, field: int | None) -> NDArray[np.bool_]:
    """Dense [query, key]: same sample; with a field, video sees video within it and every frameless token."""
    count = len(tokens.frame)
    mask = np.zeros((count, count), bool)
    for q in range(count):
        for k in range(count):
            near = (
                field is None
                or tokens.frame[q] < 0
                or tokens.frame[k] < 0
                or abs(int(tokens.frame[q]) - int(tokens.frame[k])) <= field
            )
            mask[q, k] = tokens.sample[q] == tokens.sample[k] and near
    return mask


def attention(q: Array, k: Array, v: Array, mask: NDArray[np.bool_]) -> Array:
    """One head, one softmax over every allowed key."""
    scores = q @ k.T / math.sqrt(q.shape[1])
    scores[~mask] = -np.inf
    scores -= scores.max(1, keepdims=True)
    weights = np.exp(scores)
    return (weights / weights.sum(1, keepdims=True)) @ v


def by_modality(x: Array, weight: Array, modality: NDArray[np.int64], copies: int) -> Array:
    """Each row times its modality's block of a weight stacked on dim 0."""
    rows = len(weight) // copies
    return np.stack(
        [weight[(m if copies > 1 else 0) * rows :][:rows] @ row for row, m in zip(x, modality, strict=True)]
    )


def norm_by_modality(x: Array, weight: Array, modality: NDArray[np.int64], copies: int) -> Array:
    size = x.shape[1]
    return np.concatenate(
        [rms(row[None], weight[(m if copies > 1 else 0) * size :][:size]) for row, m in zip(x, modality, strict=True)]
    )


def layer(x: Array, weights: Mapping[str, Array], index: int, tokens: Tokens, numbers: Numbers) -> Array:
    copies = 3 if index in numbers.mm_layers else 1
    modality = tokens.modality
    name = f"block.layers.{index}."
    size, heads_q = numbers.head_dim, numbers.hidden // numbers.head_dim

    y = norm_by_modality(x, weights[name + "attention.pre_norm.weight"], modality, copies)
    qkvg = by_modality(y, weights[name + "attention.linear_qkv.weight"], modality, copies)
    width_kv = numbers.num_heads_kv * size
    q, k, v, gate = np.split(qkvg, np.cumsum([numbers.hidden, width_kv, width_kv]), axis=1)
    mask = sees(tokens, numbers.field if index in numbers.local_layers else None)
    out = np.empty_like(q)
    for head in range(heads_q):
        group = head // (heads_q // numbers.num_heads_kv)
        columns = slice(head * size, (head + 1) * size)
        shared = slice(group * size, (group + 1) * size)
        q_head = norm_by_modality(q[:, columns], weights[name + "attention.q_norm.weight"], modality, copies)
        k_head = norm_by_modality(k[:, shared], weights[name + "attention.k_norm.weight"], modality, copies)
        q_head = rotate(q_head, tokens.coords, numbers.time_scale)
        k_head = rotate(k_head, tokens.coords, numbers.time_scale)
        out[:, columns] = attention(q_head, k_head, v[:, shared], mask) * sigmoid(gate[:, head : head + 1])
    x = x + by_modality(out, weights[name + "attention.linear_proj.weight"], modality, copies)

    y = norm_by_modality(x, weights[name + "mlp.pre_norm.weight"], modality, copies)
    up = by_modality(y, weights[name + "mlp.up_gate_proj.weight"], modality, copies)
    inner = gelu7(up) if index in numbers.gelu_layers else swiglu7(up)
    return x + by_modality(inner, weights[name + "mlp.down_proj.weight"], modality, copies)


def embed(tokens: Tokens, weights: Mapping[str, Array]) -> Array:
    parts = []
    for name in ("video", "audio", "text"):
        weight, bias = (weights[f"adapter.{name}_embedder.{kind}"] for kind in ("weight", "bias"))
        parts.append(getattr(tokens, name) @ weight.T + bias)
    x = np.concatenate(parts)
    roles = weights.get("adapter.role_embedding.weight")
    return x if roles is None else x + roles[tokens.roles]


def forward(tokens: Tokens, weights: Mapping[str, Array], numbers: Numbers) -> tuple[Array, Array]:
    x = embed(tokens, weights)
    for index in range(numbers.num_layers):
        x = layer(x, weights, index, tokens, numbers)
    num_video, num_audio = len(tokens.video), len(tokens.audio)
    video = rms(x[:num_video], weights["final_norm_video.weight"]) @ weights["final_linear_video.weight"].T
    sound = x[num_video : num_video + num_audio]
    audio = rms(sound, weights["final_norm_audio.weight"]) @ weights["final_linear_audio.weight"].T
    return video, audio
