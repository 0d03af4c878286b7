"""The transformer: one stack of layers over one sequence of video, audio and text tokens.

No timestep input: the noise level is read from the latents. No biases in the blocks. The residual stream is float32;
matrix products run in the weights' dtype (bf16 or fp32) or under autocast. Single-device code: precision, offload and
parallelism are applied from outside (`engine/`, `train/`).

Legend: N tokens, D width, H query heads, G key heads, K head size, C channels in or out.
Names and shapes of the state dict are those of the open daVinci-MagiHuman checkpoints (331 tensors at 15B).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from muybridge.config import ModelConfig
from muybridge.model.attention import attend
from muybridge.model.tokens import Layout, Packed

EPS = 1e-6
ROTARY_THETA = 10000.0
ACTIVATION_LIMIT, ACTIVATION_SLOPE = 7.0, 1.702


class Transformer(nn.Module):
    """Packed tokens to velocities. Built on the meta device it allocates nothing."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.adapter = Adapter(config)
        self.block = Block(config)
        self.final_norm_video = RMSNorm(config.hidden_size)
        self.final_norm_audio = RMSNorm(config.hidden_size)
        self.final_linear_video = nn.Linear(config.hidden_size, config.video_in_channels, bias=False)
        self.final_linear_audio = nn.Linear(config.hidden_size, config.audio_in_channels, bias=False)

    def forward(self, packed: Packed) -> tuple[Tensor, Tensor]:
        """Velocity of every video token [Nv, 192] (channel-last patches) and audio token [Na, 64], float32.

        Clean tokens get a velocity too; the caller drops it.
        """
        layout = packed.layout
        x_ND = self.adapter(packed)
        rotary = layout.rotary(self.adapter.rope.bands, self.config.time_scale)
        for layer in self.block.layers:
            x_ND = layer(x_ND, layout, rotary)
        video_ND, audio_ND, _ = x_ND.split(layout.splits)
        video = self.final_linear_video(self.final_norm_video(video_ND).to(self.final_linear_video.weight.dtype))
        audio = self.final_linear_audio(self.final_norm_audio(audio_ND).to(self.final_linear_audio.weight.dtype))
        return video.float(), audio.float()

    @torch.no_grad()
    def initialise(self, seed: int = 0, std: float = 0.02) -> Transformer:
        """Weights for training from nothing: normal(0, std), residual outputs scaled by 1/sqrt(2 layers), finals zero.

        Gates start at sigmoid(0) = 1/2, norms at (1 + 0), role embeddings at 0. Returns self.
        """
        generator = torch.Generator().manual_seed(seed)
        depth = (2 * self.config.num_layers) ** -0.5
        for name, parameter in sorted(self.named_parameters()):
            if parameter.dim() < 2 or name.startswith("final_") or "role_embedding" in name:
                parameter.zero_()
            else:
                scale = std * depth if name.endswith(("linear_proj.weight", "down_proj.weight")) else std
                draw = torch.empty(parameter.shape, dtype=torch.float32).normal_(0, scale, generator=generator)
                parameter.copy_(draw)
        return self


class Block(nn.Module):
    """The stack of layers; its own module because the checkpoints name it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_layers))


class Adapter(nn.Module):
    """Raw tokens of each modality to the common width, plus role embeddings where the size has them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.video_embedder = nn.Linear(config.video_in_channels, config.hidden_size)
        self.text_embedder = nn.Linear(config.text_in_channels, config.hidden_size)
        self.audio_embedder = nn.Linear(config.audio_in_channels, config.hidden_size)
        self.rope = RotaryBands(config.num_bands)
        self.role_embedding: nn.Embedding | None = None
        if config.num_roles:
            # Not drawn at random and then filled: normal_ on the meta device, too, imports the compiler.
            roles = torch.zeros(config.num_roles, config.hidden_size)
            self.role_embedding = nn.Embedding.from_pretrained(roles, freeze=False)

    def forward(self, packed: Packed) -> Tensor:
        embedders = (self.video_embedder, self.audio_embedder, self.text_embedder)
        tokens = (packed.video_NC, packed.audio_NC, packed.text_NC)
        x_ND = torch.cat([e(x.to(e.weight.dtype)).float() for e, x in zip(embedders, tokens, strict=True)])
        if self.role_embedding is not None:
            x_ND = x_ND + self.role_embedding(packed.layout.roles_N)
        return x_ND


class RotaryBands(nn.Module):
    """The frequencies theta^(-j/bands), a float32 buffer that the open checkpoints carry."""

    def __init__(self, num_bands: int) -> None:
        super().__init__()
        # Numbers, not tensors: on the meta device torch's arange imports the compiler, 2 s of a command's start.
        bands = [ROTARY_THETA ** (-j / num_bands) for j in range(num_bands)]
        self.register_buffer("bands", torch.tensor(bands, dtype=torch.float32))
        self.bands: Tensor


class Layer(nn.Module):
    """Attention, then the feed-forward network, each on a normalised copy and added to the residual."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.attention = Attention(config, index)
        self.mlp = FeedForward(config, index)

    def forward(self, x_ND: Tensor, layout: Layout, rotary: tuple[Tensor, Tensor]) -> Tensor:
        x_ND = x_ND + self.attention(x_ND, layout, rotary)
        out_ND: Tensor = x_ND + self.mlp(x_ND, layout.splits)
        return out_ND


class Attention(nn.Module):
    """Grouped-query attention with one sigmoid gate per head and token, projected together with q, k and v."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.copies = copies = config.num_copies(index)
        self.head_dim = config.head_dim
        heads_kv = config.num_heads_kv * config.head_dim
        self.widths = [config.hidden_size, heads_kv, heads_kv, config.num_heads_q]
        self.receptive_field = config.frame_receptive_field if index in config.local_layers else None
        self.pre_norm = RMSNorm(config.hidden_size, copies)
        self.linear_qkv = ModalLinear(config.hidden_size, config.qkvg_size, copies)
        self.linear_proj = ModalLinear(config.hidden_size, config.hidden_size, copies)
        self.q_norm = RMSNorm(config.head_dim, copies)
        self.k_norm = RMSNorm(config.head_dim, copies)

    def forward(self, x_ND: Tensor, layout: Layout, rotary: tuple[Tensor, Tensor]) -> Tensor:
        rows = row_chunks(layout.splits, self.copies, x_ND.device)
        parts = [self.project(x_ND[r], copy, rotary[0][r], rotary[1][r]) for r, copy in rows]
        q_NHK, k_NGK, v_NGK, gate_NH = (torch.cat(p) for p in zip(*parts, strict=True))
        out_NHK = attend(q_NHK, k_NGK, v_NGK, layout, self.receptive_field)
        return torch.cat([self.output(out_NHK[r], gate_NH[r], copy) for r, copy in rows])

    def project(self, x_ND: Tensor, copy: int, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows of one modality to q, k (normalised per head, rotated), v and the gate before its sigmoid."""
        qkvg = self.linear_qkv(self.pre_norm(x_ND, copy), copy)
        q, k, v, gate_NH = qkvg.split(self.widths, -1)
        q_NHK = rotate(self.q_norm(q.unflatten(-1, (-1, self.head_dim)), copy), cos, sin)
        k_NGK = rotate(self.k_norm(k.unflatten(-1, (-1, self.head_dim)), copy), cos, sin)
        return q_NHK.to(qkvg.dtype), k_NGK.to(qkvg.dtype), v.unflatten(-1, (-1, self.head_dim)), gate_NH

    def output(self, out_NHK: Tensor, gate_NH: Tensor, copy: int) -> Tensor:
        """Attention's rows, gated and projected back to the residual's width."""
        gated_NHK = out_NHK.float() * gate_NH.float().sigmoid()[..., None]
        out_ND: Tensor = self.linear_proj(gated_NHK.flatten(1), copy)
        return out_ND.float()


class FeedForward(nn.Module):
    """gelu7 (plain) in the first layers, swiglu7 (gated, columns interleaved) in the others."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.copies = copies = config.num_copies(index)
        inner = config.intermediate_size(index)
        self.is_gated = index not in config.gelu7_layers
        self.pre_norm = RMSNorm(config.hidden_size, copies)
        self.up_gate_proj = ModalLinear(config.hidden_size, inner * (2 if self.is_gated else 1), copies)
        self.down_proj = ModalLinear(inner, config.hidden_size, copies)

    def forward(self, x_ND: Tensor, splits: tuple[int, int, int]) -> Tensor:
        chunks = row_chunks(splits, self.copies, x_ND.device)
        return torch.cat([self.rows(x_ND[rows], copy) for rows, copy in chunks])

    def rows(self, x_ND: Tensor, copy: int) -> Tensor:
        """The network's output for rows of one modality, float32."""
        activation = swiglu7 if self.is_gated else gelu7
        up = self.up_gate_proj(self.pre_norm(x_ND, copy), copy).float()
        out_ND: Tensor = self.down_proj(activation(up), copy).float()
        return out_ND


def row_chunks(splits: tuple[int, int, int], copies: int, device: torch.device) -> list[tuple[slice, int]]:
    """(rows, weight set) that cover the sequence: by modality where weights differ, and when no gradient is wanted in
    pieces that stay in a CPU's cache or bound a GPU's memory (the 15B's widest rows take 109 kB a token)."""
    longest = (768 if device.type == "cpu" else 16384) if not torch.is_grad_enabled() else sum(splits)
    chunks, start = [], 0
    for copy, size in enumerate(splits if copies > 1 else (sum(splits),)):
        stop = start + size
        chunks += [(slice(at, min(at + longest, stop)), copy) for at in range(start, stop, max(longest, 1))]
        start = stop
    return chunks


class ModalLinear(nn.Module):
    """A linear map without bias: one weight for all tokens, or three stacked on dim 0 (video, audio, text)."""

    def __init__(self, in_size: int, out_size: int, copies: int) -> None:
        super().__init__()
        self.copies = copies
        self.weight = nn.Parameter(torch.empty(copies * out_size, in_size))

    def forward(self, x_ND: Tensor, copy: int) -> Tensor:
        return F.linear(x_ND.to(self.weight.dtype), self.weight.chunk(self.copies)[copy])


class RMSNorm(nn.Module):
    """x / rms(x) * (1 + w) over the last dim, in float32; three weights stacked where modalities are kept apart."""

    def __init__(self, size: int, copies: int = 1) -> None:
        super().__init__()
        self.size, self.copies = size, copies
        self.weight = nn.Parameter(torch.zeros(copies * size))

    def forward(self, x_ND: Tensor, copy: int = 0) -> Tensor:
        scale = self.weight.chunk(self.copies)[copy].float() + 1
        return F.rms_norm(x_ND.float(), (self.size,), scale, EPS)


def rotate(x_NHK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position: pairs (i, i + R) of the first 2R of K dimensions turn by their angle; the rest pass."""
    half = cos.shape[-1]
    a, b, rest = x_NHK.split([half, half, x_NHK.shape[-1] - 2 * half], -1)
    return torch.cat([torch.addcmul(a * cos, b, sin, value=-1), torch.addcmul(b * cos, a, sin), rest], -1)


def gelu7(y: Tensor) -> Tensor:
    """y * sigmoid(1.702 y), y clipped from above at 7."""
    y = y.clamp(max=ACTIVATION_LIMIT)
    return y * torch.sigmoid(ACTIVATION_SLOPE * y)


def swiglu7(y: Tensor) -> Tensor:
    """u * sigmoid(1.702 u) * (l + 1) of interleaved columns u, l; u clipped above at 7, l to [-7, 7]."""
    u, linear = y.unflatten(-1, (-1, 2)).unbind(-1)
    gelu = gelu7(u)
    return torch.addcmul(gelu, gelu, linear.clamp(-ACTIVATION_LIMIT, ACTIVATION_LIMIT))
