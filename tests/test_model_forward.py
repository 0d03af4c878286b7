"""The whole transformer against the float64 re-computation: every mode, packed samples, precision, gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import reference_transformer as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import (
    OPEN,
    SMALL,
    as_reference,
    numbers,
    random_model,
    relative_error,
    relative_l2,
    sample,
    weights_of,
)

from muybridge.config import FIFTEEN_B, ModelConfig
from muybridge.engine import precision
from muybridge.model import Transformer, tokens
from muybridge.model.attention import plain_attention
from muybridge.model.tokens import Packed, Role, Sample, pack

TOLERANCE = 1e-5
CASES = {
    "open": (OPEN, [sample(OPEN)]),
    "open with local layers": (replace(OPEN, local_layers=(1, 2, 4)), [sample(OPEN, num_latents=5)]),
    "every role": (SMALL, [sample(SMALL, num_latents=5, references=2, with_source=True)]),
    "two alike": (SMALL, [sample(SMALL, 1), sample(SMALL, 2)]),
    "three uneven": (
        SMALL,
        [sample(SMALL, 1, 2, 2, 2), sample(SMALL, 2, 5, references=1), sample(SMALL, 3, 3, 2, 4, 9, with_source=True)],
    ),
    "all layers local": (replace(SMALL, local_layers=tuple(range(5)), frame_receptive_field=0), [sample(SMALL)]),
    "time scale": (replace(SMALL, time_scale=2.5), [sample(SMALL)]),
}


def run(model: Transformer, packed: Packed) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.inference_mode():
        video, audio = model(packed)
    return video, audio


@pytest.mark.parametrize("case", CASES)
def test_forward_equals_the_float64_recomputation(case: str) -> None:
    config, samples = CASES[case]
    model, packed = random_model(config), pack(samples)
    video, audio = run(model, packed)
    wanted = reference.forward(as_reference(packed), weights_of(model), numbers(config))
    assert relative_error(video, wanted[0]) < TOLERANCE
    assert relative_error(audio, wanted[1]) < TOLERANCE


def test_each_kind_of_layer_moves_the_result() -> None:
    """The oracle above would not notice terms that vanish: switching each one off must show."""
    samples = [sample(SMALL, num_latents=5, references=1)]
    model, packed = random_model(SMALL), pack(samples)
    whole = run(model, packed)[0]
    changed = {
        "local": replace(SMALL, local_layers=()),
        "field": replace(SMALL, frame_receptive_field=2),
        "gelu": replace(SMALL, time_scale=1.0),
    }
    for name, config in changed.items():
        other = Transformer(config).eval()
        other.load_state_dict(model.state_dict())
        assert relative_l2(run(other, packed)[0], whole) > 1e-3, name
    flat = pack([replace(samples[0], video_roles=torch.zeros_like(samples[0].video_roles))])
    assert relative_l2(run(model, flat)[0], whole) > 1e-3


@pytest.mark.parametrize("local", [(), (0, 2, 4)], ids=["full", "local"])
@pytest.mark.parametrize("shapes", [[(3, 4, 4)] * 3, [(2, 2, 2), (5, 4, 6), (1, 2, 8)]], ids=["alike", "uneven"])
def test_packed_samples_equal_each_alone(local: tuple[int, ...], shapes: list[tuple[int, int, int]]) -> None:
    config = replace(SMALL, local_layers=local)
    model = random_model(config)
    samples = [sample(config, i, *shape, references=i % 2) for i, shape in enumerate(shapes)]
    video, audio = run(model, pack(samples))
    alone = [run(model, pack([s])) for s in samples]
    torch.testing.assert_close(video, torch.cat([a[0] for a in alone]), rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(audio, torch.cat([a[1] for a in alone]), rtol=1e-5, atol=2e-5)


def test_a_packed_sample_does_not_see_its_neighbour() -> None:
    model = random_model(SMALL)
    first, second, other = (sample(SMALL, i, 3) for i in range(3))
    count = len(first.video_NC)
    a = run(model, pack([first, second]))[0][:count]
    b = run(model, pack([first, other]))[0][:count]
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_windows_follow_each_samples_own_frames() -> None:
    """Samples whose frames start elsewhere are windowed as they would be alone."""
    config = replace(SMALL, local_layers=(0, 1, 2, 3, 4))
    model = random_model(config)
    late = sample(config, 1, 2, 2, 4)
    late = replace(late, video_frames=late.video_frames + 6)
    early = sample(config, 2, 6, 2, 4)
    for pair in ([late, early], [early, late]):
        packed = pack(pair)
        wanted = reference.forward(as_reference(packed), weights_of(model), numbers(config))
        assert relative_error(run(model, packed)[0], wanted[0]) < TOLERANCE


@pytest.mark.parametrize("num_latents", [3, 70])
def test_chunked_inference_equals_the_differentiable_forward(num_latents: int) -> None:
    """Without gradients rows go in pieces of at most 768; the figures must not know."""
    model = random_model(SMALL)
    packed = pack([sample(SMALL, num_latents=num_latents, rows=8, cols=6)])
    assert (packed.layout.splits[0] > 768) == (num_latents == 70)
    quick = run(model, packed)
    slow = model(packed)
    assert slow[0].requires_grad
    for a, b in zip(quick, slow, strict=True):
        assert relative_l2(a, b.detach()) < 1e-6


def test_a_layout_first_used_for_inference_can_be_trained_on() -> None:
    """Evaluation during training shares layouts with it: what inference caches must not poison autograd."""
    model = random_model(SMALL)
    packed = pack([sample(SMALL, 1, num_latents=4), sample(SMALL, 2, num_latents=3)])
    run(model, packed)
    video, _ = model(packed)
    video.sum().backward()


def test_gradient_reaches_every_parameter() -> None:
    model = random_model(SMALL).train()
    packed = pack([sample(SMALL, 0, 5, references=1, with_source=True), sample(SMALL, 1, 2)])
    video, audio = model(packed)
    (video.square().mean() + audio.square().mean()).backward()
    used = packed.layout.roles_N.unique()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        rows = parameter.grad[used] if "role_embedding" in name else parameter.grad.reshape(-1, parameter.shape[-1])
        if "layers.4." in name and parameter.grad.shape[0] % 3 == 0 and "down_proj" in name:
            rows = rows[: 2 * len(rows) // 3]  # the last layer's text rows end there
        assert rows.abs().sum() > 0, name
    untouched = [r for r in Role if r not in used.tolist()]
    assert not model.adapter.role_embedding.weight.grad[[int(r) for r in untouched]].any()


def test_gradient_is_the_slope_of_the_loss() -> None:
    """Central differences in float64 along a random direction of all parameters."""
    config = replace(SMALL, num_layers=3, mm_layers=(0, 2), hidden_size=128)
    model = random_model(config).double()
    packed = pack([sample(config, num_latents=3)])
    weigh = torch.randn(packed.layout.splits[0], 192, dtype=torch.float64, generator=torch.Generator().manual_seed(5))

    def loss() -> torch.Tensor:
        video, audio = model(packed)
        return (video.double() * weigh).mean() + audio.double().square().mean()

    generator = torch.Generator().manual_seed(9)
    parameters = list(model.parameters())
    directions = [torch.randn(p.shape, dtype=p.dtype, generator=generator) * p.detach().std() for p in parameters]
    grads = torch.autograd.grad(loss(), parameters)
    slope = sum(float((g * d).sum()) for g, d in zip(grads, directions, strict=True))
    step, ends = 1e-3, []
    with torch.no_grad():
        for sign in (1, -1):
            for p, d in zip(parameters, directions, strict=True):
                p.add_(d, alpha=sign * step)
            ends.append(float(loss()))
            for p, d in zip(parameters, directions, strict=True):
                p.sub_(d, alpha=sign * step)
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=2e-2)


def test_bf16_weights_stay_within_the_open_models_own_rounding() -> None:
    """bf16 against fp32 on one graph differs by a relative L2 near 6e-3: no less (it is bf16) and not much more."""
    config = replace(OPEN, num_layers=8, mm_layers=(0, 7))
    exact = Transformer(config).initialise(3)
    torch.nn.init.normal_(exact.final_linear_video.weight, std=0.02)
    rounded = Transformer(config)
    rounded.load_state_dict(exact.state_dict())
    rounded = precision.apply(rounded, "bf16")
    packed = pack([sample(config)])
    error = relative_l2(run(rounded, packed)[0], run(exact, packed)[0])
    assert 1e-3 < error < 1.5e-2
    kept = {n for n, p in rounded.named_parameters() if p.dtype == torch.float32}
    assert {n for n, _ in exact.named_parameters() if n.startswith(("adapter", "final"))} <= kept
    assert all(p.dtype == torch.float32 for n, p in rounded.named_parameters() if "norm" in n)
    assert all(p.dtype == torch.bfloat16 for n, p in rounded.named_parameters() if "linear_qkv" in n or "down_" in n)


@given(length=st.integers(1, 40), heads=st.sampled_from([1, 4]), seed=st.integers(0, 99))
def test_attention_by_two_products_equals_sdpa(length: int, heads: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(2, 1, n, 16, generator=generator) for n in (length * heads, length, length))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(plain_attention(q, k, v), expected, atol=1e-5, rtol=1e-5)


def test_roles_are_neutral_at_initialisation() -> None:
    with_roles = replace(OPEN, num_roles=8)
    plain, grown = Transformer(OPEN).initialise(1), Transformer(with_roles).initialise(1)
    for model in (plain, grown):
        torch.nn.init.normal_(model.final_linear_video.weight, generator=torch.Generator().manual_seed(2))
    extra = set(grown.state_dict()) - set(plain.state_dict())
    assert extra == {"adapter.role_embedding.weight"}
    grown.load_state_dict(plain.state_dict(), strict=False)
    assert not grown.adapter.role_embedding.weight.any()
    packed = pack([sample(OPEN, references=2, with_source=True)])
    assert torch.equal(run(plain, packed)[0], run(grown, packed)[0])


def test_initialised_model_predicts_nothing_and_is_the_seeds_alone() -> None:
    a, b = Transformer(SMALL).initialise(4), Transformer(SMALL).initialise(4)
    torch.manual_seed(99)
    other = Transformer(SMALL).initialise(5)
    for (name, x), y, z in zip(
        a.state_dict().items(), b.state_dict().values(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(x, y), name
        if name.endswith("linear_qkv.weight"):
            assert not torch.equal(x, z), name
    assert not run(a, pack([sample(SMALL)]))[0].any()


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from([2, 4]), st.sampled_from([2, 4]), st.integers(0, 2)),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 3),
    st.booleans(),
)
def test_any_packing_with_any_window_equals_dense_masks(
    shapes: list[tuple[int, int, int, int]], field: int, with_source: bool
) -> None:
    config = replace(
        SMALL, num_layers=2, hidden_size=128, mm_layers=(0,), local_layers=(0, 1), frame_receptive_field=field
    )
    samples = [
        sample(config, i, t, y, x, references=r, with_source=with_source) for i, (t, y, x, r) in enumerate(shapes)
    ]
    model, packed = random_model(config), pack(samples)
    wanted = reference.forward(as_reference(packed), weights_of(model), numbers(config))
    ours = run(model, packed)
    assert relative_error(ours[0], wanted[0]) < TOLERANCE
    assert relative_error(ours[1], wanted[1]) < TOLERANCE


def test_the_denoisers_tokens_can_change_while_the_layout_stays() -> None:
    model, first, second = random_model(SMALL), sample(SMALL, 1), sample(SMALL, 2)
    same_text = replace(second, text_NC=first.text_NC)
    moved = pack([first]).with_tokens(second.video_NC, second.audio_NC)
    assert torch.equal(run(model, moved)[0], run(model, pack([same_text]))[0])


def text_only(config: ModelConfig) -> Sample:
    made = sample(config)
    return tokens.empty_sample(made.text_NC, made.text_coords, config.video_in_channels, config.audio_in_channels)


def test_a_sequence_without_sound_runs() -> None:
    place = tokens.video_coords(2, 2, 2)
    silent = tokens.add_video(text_only(SMALL), torch.randn(len(place), 192), place, Role.TARGET)
    video, audio = run(random_model(SMALL), pack([silent]))
    assert video.shape == (2, 192)
    assert audio.shape == (0, 64)


SHARED, GELU, SWIGLU = range(4, 36), range(4), range(36, 40)


def table_of_the_open_model() -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Names, shapes and types as published, written out from the table alone."""
    fp32, bf16 = torch.float32, torch.bfloat16
    made: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "adapter.video_embedder.weight": ((5120, 192), fp32),
        "adapter.video_embedder.bias": ((5120,), fp32),
        "adapter.text_embedder.weight": ((5120, 3584), fp32),
        "adapter.text_embedder.bias": ((5120,), fp32),
        "adapter.audio_embedder.weight": ((5120, 64), fp32),
        "adapter.audio_embedder.bias": ((5120,), fp32),
        "adapter.rope.bands": ((16,), fp32),
        "final_norm_video.weight": ((5120,), fp32),
        "final_norm_audio.weight": ((5120,), fp32),
        "final_linear_video.weight": ((192, 5120), fp32),
        "final_linear_audio.weight": ((64, 5120), fp32),
    }
    for kind in (SHARED, GELU, SWIGLU):
        copies = 1 if kind is SHARED else 3
        up, down = {SHARED: (27304, 13652), GELU: (61440, 20480), SWIGLU: (81912, 13652)}[kind]
        for n in kind:
            name = f"block.layers.{n}."
            made |= {
                name + "attention.pre_norm.weight": ((copies * 5120,), fp32),
                name + "attention.linear_qkv.weight": ((7208 if copies == 1 else 21624, 5120), bf16),
                name + "attention.linear_proj.weight": ((5120 if copies == 1 else 15360, 5120), bf16),
                name + "attention.q_norm.weight": ((128 if copies == 1 else 384,), fp32),
                name + "attention.k_norm.weight": ((128 if copies == 1 else 384,), fp32),
                name + "mlp.pre_norm.weight": ((copies * 5120,), fp32),
                name + "mlp.up_gate_proj.weight": ((up, 5120), bf16),
                name + "mlp.down_proj.weight": ((5120 if copies == 1 else 15360, down), bf16),
            }
    return made


def test_the_open_model_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = precision.apply(Transformer(FIFTEEN_B), "bf16")
    state = model.state_dict()
    assert {n: (tuple(t.shape), t.dtype) for n, t in state.items()} == table_of_the_open_model()
    assert len(state) == 331
    assert sum(t.numel() for t in state.values()) == 15_299_419_152
    assert all(t.is_meta for t in state.values())
    active = 2 * 10.91e9
    from muybridge.shapes import linear_flops_per_token, num_parameters

    assert linear_flops_per_token(FIFTEEN_B) == pytest.approx(active, rel=1e-3)
    assert num_parameters(FIFTEEN_B) == 15_299_419_152


@pytest.mark.parametrize("config", [SMALL, OPEN], ids=lambda c: str(c.num_roles))
def test_closed_parameter_count_equals_the_built_model(config: ModelConfig) -> None:
    from muybridge.shapes import num_parameters

    with torch.device("meta"):
        model = Transformer(config)
    assert sum(t.numel() for t in model.state_dict().values()) == num_parameters(config)
