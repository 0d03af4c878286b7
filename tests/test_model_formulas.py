"""Each formula of the transformer against float64 loops: norms, rotation, gates, activations, routing, clock."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference_transformer as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import SMALL, as_reference, random_model, relative_error, sample

from muybridge.config import FIFTEEN_B, TINY
from muybridge.model import tokens
from muybridge.model.tokens import ALL_FRAMES, Role, pack
from muybridge.model.transformer import ModalLinear, RMSNorm, RotaryBands, gelu7, rotate, row_chunks, swiglu7

TOLERANCE = 1e-5


def test_norm_is_one_plus_weight_over_root_mean_square() -> None:
    norm = RMSNorm(32, copies=3)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(7, 32) * 3
    for copy in range(3):
        weight = norm.weight.detach().double().numpy()[copy * 32 : copy * 32 + 32]
        assert relative_error(norm(x, copy).detach(), reference.rms(x.double().numpy(), weight)) < TOLERANCE


def test_norm_adds_its_epsilon_inside_the_root() -> None:
    tiny = torch.full((1, 4), 1e-3)
    assert RMSNorm(4)(tiny).detach()[0, 0].item() == pytest.approx(1e-3 / math.sqrt(1e-6 + 1e-6), rel=1e-5)


def test_norm_of_bf16_is_computed_in_float32() -> None:
    x = torch.randn(3, 64).bfloat16()
    out = RMSNorm(64)(x)
    assert out.dtype == torch.float32
    assert relative_error(out.detach(), reference.rms(x.double().numpy(), np.zeros(64))) < TOLERANCE


@pytest.mark.parametrize("time_scale", [1.0, 4.0])
def test_rotation_turns_96_of_128_dims_in_pairs_48_apart(time_scale: float) -> None:
    layout = pack([sample(SMALL, references=1)]).layout
    cos, sin = layout.rotary(RotaryBands(16).bands, time_scale)
    x = torch.randn(len(layout.coords_N3), 2, 128)
    ours = rotate(x, cos, sin)
    for head in range(2):
        wanted = reference.rotate(x[:, head].double().numpy(), layout.coords_N3.double().numpy(), time_scale)
        assert relative_error(ours[:, head], wanted) < TOLERANCE
    assert torch.equal(ours[..., 96:], x[..., 96:])
    # A rotation keeps the length of every pair.
    pairs = lambda y: y[..., :48] ** 2 + y[..., 48:96] ** 2  # noqa: E731  (two uses, one line)
    torch.testing.assert_close(pairs(ours), pairs(x), rtol=1e-4, atol=1e-5)


def test_bands_are_powers_of_ten_thousand() -> None:
    bands = RotaryBands(16).bands
    assert bands.dtype == torch.float32
    np.testing.assert_allclose(bands.double(), [10000.0 ** (-j / 16) for j in range(16)], rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(-100, 100), st.integers(0, 2))
def test_scores_depend_on_the_distance_alone(a: float, b: float, shift: float, axis: int) -> None:
    """q(a)·k(b) = q(a + s)·k(b + s) on every axis: what makes absolute windows of a long programme alike."""
    q, k = torch.randn(2, 1, 1, 128, generator=torch.Generator().manual_seed(0)).unbind(0)
    bands = RotaryBands(16).bands.double()

    def score(at_q: float, at_k: float) -> float:
        turned = []
        for x, at in ((q, at_q), (k, at_k)):
            coords = torch.zeros(1, 3, dtype=torch.float64)
            coords[0, axis] = at
            angles = (coords[:, :, None] * bands).flatten(1)
            turned.append(rotate(x.double(), angles.cos()[:, None], angles.sin()[:, None]))
        return float((turned[0] * turned[1]).sum())

    assert score(a, b) == pytest.approx(score(a + shift, b + shift), abs=1e-8)


@settings(max_examples=50)
@given(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=40).filter(lambda v: len(v) % 2 == 0))
def test_activations_clip_at_seven(values: list[float]) -> None:
    y = torch.tensor([values])
    wide = y.double().numpy()
    np.testing.assert_allclose(gelu7(y).double(), reference.gelu7(wide), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(swiglu7(y).double(), reference.swiglu7(wide), rtol=1e-5, atol=1e-6)


def test_activations_at_known_points() -> None:
    assert gelu7(torch.tensor([100.0])).item() == pytest.approx(7 / (1 + math.exp(-1.702 * 7)))
    assert gelu7(torch.tensor([-100.0])).item() == pytest.approx(0.0, abs=1e-6)
    # u is even columns, l odd ones; l is clipped on both sides and 1 is added after.
    assert swiglu7(torch.tensor([[1.0, 100.0]])).item() == pytest.approx(8 / (1 + math.exp(-1.702)))
    assert swiglu7(torch.tensor([[1.0, -100.0]])).item() == pytest.approx(-6 / (1 + math.exp(-1.702)))
    assert swiglu7(torch.tensor([[100.0, -1.0]])).item() == 0.0


def test_stacked_weights_lie_in_the_order_video_audio_text() -> None:
    linear = ModalLinear(8, 6, 3)
    torch.nn.init.normal_(linear.weight)
    x = torch.randn(5, 8)
    modality = np.array([0, 0, 1, 2, 2])
    wanted = reference.by_modality(x.double().numpy(), linear.weight.detach().double().numpy(), modality, 3)
    ours = torch.cat([linear(x[rows], copy) for copy, rows in enumerate((slice(0, 2), slice(2, 3), slice(3, 5)))])
    assert relative_error(ours.detach(), wanted) < TOLERANCE


@settings(max_examples=60)
@given(st.tuples(st.integers(0, 700), st.integers(0, 700), st.integers(0, 700)), st.sampled_from([1, 3]), st.booleans())
def test_row_chunks_cover_each_row_once_with_its_own_weights(
    splits: tuple[int, int, int], copies: int, with_gradient: bool
) -> None:
    with torch.set_grad_enabled(with_gradient):
        chunks = row_chunks(splits, copies, torch.device("cpu"))
    at = 0
    owner = np.repeat([0, 1, 2], splits)
    for rows, copy in chunks:
        assert rows.start == at < rows.stop
        at = rows.stop
        if copies == 3:
            assert set(owner[rows]) == {copy}
        else:
            assert copy == 0
    assert at == sum(splits)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_patches_go_in_channel_major_and_come_out_channel_last(frames: int, y: int, x: int, channels: int) -> None:
    latent = torch.randn(channels, frames, 2 * y, 2 * x)
    patches = tokens.patchify(latent)
    assert patches.shape == (frames * y * x, channels * 4)
    velocity = torch.empty_like(patches)
    for t in range(frames):
        for row in range(y):
            for col in range(x):
                token = (t * y + row) * x + col
                for c in range(channels):
                    for dy in range(2):
                        for dx in range(2):
                            value = latent[c, t, 2 * row + dy, 2 * col + dx]
                            assert patches[token, c * 4 + dy * 2 + dx] == value
                            velocity[token, (dy * 2 + dx) * channels + c] = value
    assert torch.equal(tokens.unpatchify(velocity, 2 * y, 2 * x), latent)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_overlapping_patches_are_every_pair_of_neighbours_and_come_out_as_their_mean(
    frames: int, y: int, x: int, channels: int
) -> None:
    latent = torch.randn(channels, frames, 2 * y, 2 * x)
    patches, coarse = tokens.patchify(latent, 1), tokens.patchify(latent)
    places = tokens.video_coords(frames, 2 * y, 2 * x, step=1)
    assert patches.shape == (frames * (2 * y - 1) * (2 * x - 1), channels * 4)
    # Those that the coarse grid has, too, stand at the same place with the same content.
    grid = torch.arange(len(patches)).reshape(frames, 2 * y - 1, 2 * x - 1)[:, ::2, ::2].flatten()
    assert torch.equal(patches[grid], coarse)
    assert torch.equal(places[grid], tokens.video_coords(frames, 2 * y, 2 * x))
    said = patches.unflatten(1, (channels, 2, 2)).permute(0, 2, 3, 1).flatten(1)
    assert tokens.unpatchify(said, 2 * y, 2 * x, 1).sub(latent).abs().max() < 1e-5
    # One patch alone: each of its latents is its share of all that are there.
    one = torch.zeros_like(said)
    one[0] = 1.0
    mean = tokens.unpatchify(one, 2 * y, 2 * x, 1)[0, 0]
    along = [[1.0] + [0.5 if n > 2 else 1.0] + [0.0] * (n - 2) for n in (2 * y, 2 * x)]
    wanted = torch.tensor(along[0])[:, None] * torch.tensor(along[1])
    assert torch.allclose(mean, wanted)


@settings(max_examples=40)
@given(st.integers(1, 94), st.integers(1, 12), st.integers(1, 12))
def test_video_coordinates_are_physical_and_centred(num_latents: int, y: int, x: int) -> None:
    coords = tokens.video_coords(num_latents, 2 * y, 2 * x).reshape(num_latents, y, x, 3)
    for t, row, col in ((0, 0, 0), (num_latents - 1, y - 1, x - 1), (num_latents // 2, y // 2, x // 2)):
        assert coords[t, row, col].tolist() == [t, row - (y - 1) / 2, col - (x - 1) / 2]
    assert coords[..., 1].double().mean().item() == pytest.approx(0, abs=1e-5)
    assert coords[..., 2].double().mean().item() == pytest.approx(0, abs=1e-5)


@given(st.integers(0, 94), st.integers(0, 1000))
def test_audio_stands_at_quarter_units_on_the_video_clock(num_units: int, start: int) -> None:
    """The open model's scale (refT - 1) / (A - 1) is exactly 1/4 whenever A = 4k + 1."""
    count = 4 * num_units + 1
    coords = tokens.audio_coords(count, float(start))
    video = tokens.video_coords(num_units + 1, 2, 2, float(start))
    assert torch.equal(coords[::4], video)
    assert coords[:, 0].tolist() == [start + i / 4 for i in range(count)]
    scale = ((count - 1) // 4 + 1 - 1) / max(count - 1, 1)
    assert num_units == 0 or scale == 0.25


def test_scene_text_has_no_place_and_the_open_upscalers_text_has_one() -> None:
    assert not tokens.scene_coords(6).any()
    assert torch.equal(tokens.scene_coords(5, is_upscaler=True)[:, 0], torch.tensor([0, 0.25, 0.5, 0.75, 1.0]))
    # One token: the published code divides by zero here.
    assert tokens.scene_coords(1, is_upscaler=True).tolist() == [[0, 0, 0]]


def test_references_stand_after_the_clip_and_are_seen_from_every_window() -> None:
    packed = pack([sample(SMALL, num_latents=4, references=3)])
    role, frames, t = packed.layout.roles_N, packed.layout.frames_N, packed.layout.coords_N3[:, 0]
    assert t[role == Role.REFERENCE].unique().tolist() == [5, 6, 7]
    assert t[role == Role.TAG].tolist() == [5, 6, 7]
    assert t[role == Role.TARGET].max().item() == 3
    assert (frames[role == Role.REFERENCE] == ALL_FRAMES).all()
    assert frames[: packed.layout.counts[0][0]][role[: packed.layout.counts[0][0]] == Role.TARGET].max() == 3


def test_packing_puts_modalities_before_samples() -> None:
    first, second = sample(SMALL, 1, num_latents=2), sample(SMALL, 2, num_latents=3, references=1)
    packed = pack([first, second])
    assert torch.equal(packed.video_NC, torch.cat([first.video_NC, second.video_NC]))
    assert torch.equal(packed.text_NC, torch.cat([first.text_NC, second.text_NC]))
    whole = as_reference(packed)
    assert packed.layout.splits == tuple(np.bincount(whole.modality))
    for row, owner in zip(packed.layout.index_BL, range(2), strict=True):
        assert set(row[row >= 0].tolist()) == set(np.flatnonzero(whole.sample == owner))


def test_gate_is_one_sigmoid_per_head_and_token() -> None:
    """With values and projection known, a gate's logit scales exactly its head's part of the output."""
    model = random_model(SMALL)
    attention = model.block.layers[1].attention
    out, gate = torch.randn(4, 2, 128), torch.randn(4, 2)
    weight = attention.linear_proj.weight.detach().double().numpy()
    wanted = np.zeros((4, 256))
    for n in range(4):
        for head in range(2):
            part = out[n, head].double().numpy() / (1 + math.exp(-float(gate[n, head])))
            wanted[n] += weight[:, head * 128 : head * 128 + 128] @ part
    assert relative_error(attention.output(out, gate, 0).detach(), wanted) < TOLERANCE


@pytest.mark.parametrize("config", [FIFTEEN_B, TINY], ids=lambda c: c.name)
def test_config_numbers_follow_from_each_other(config: object) -> None:
    assert isinstance(config, type(TINY))
    assert config.num_heads_q * config.head_dim == config.hidden_size
    assert config.num_heads_q % config.num_heads_kv == 0
    assert 8 * config.num_bands == config.head_dim
    assert type(config).from_json(config.to_json()) == config


def test_fifteen_b_widths() -> None:
    assert FIFTEEN_B.qkvg_size == 7208
    assert FIFTEEN_B.intermediate_size(5) == 13652
    assert FIFTEEN_B.intermediate_size(0) == 20480
