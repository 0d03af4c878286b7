"""Video codecs with tiny random weights of the true layout: lengths, causality, tiling, normalisation, strict loads."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from muybridge.errors import InvalidRequest, WeightsInvalid
from muybridge.model.codecs import (
    WAN22_LATENT_MEAN,
    WAN22_LATENT_STD,
    VideoCodec,
    denormalize_latent,
    normalize_latent,
    num_latent_frames,
    patchify,
    spatial_tiles,
    unpatchify,
)
from muybridge.model.turbo_decoder import TurboConfig, TurboVideoDecoder, load_turbo_decoder, read_turbo_checkpoint
from muybridge.model.video_codec import WAN22_CONFIG, WanVideoCodec, build_wan_vae, load_wan_codec

TINY_WAN = WAN22_CONFIG | {"base_dim": 4, "decoder_base_dim": 4}
TINY_TURBO = TurboConfig(decoder_block_out_channels=(4, 4, 8, 8))


def randomize(module: nn.Module, seed: int = 0) -> None:
    """Weights large enough that every path matters (the attention's output starts at zero otherwise)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("gamma"):
                parameter.copy_(1 + 0.1 * torch.randn(parameter.shape, generator=generator))
            else:
                fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 10
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan_in**-0.5)


@pytest.fixture(scope="module")
def wan() -> WanVideoCodec:
    vae = build_wan_vae(TINY_WAN)
    randomize(vae)
    return WanVideoCodec(vae)


@pytest.fixture(scope="module")
def turbo() -> TurboVideoDecoder:
    decoder = TurboVideoDecoder(TINY_TURBO)
    randomize(decoder)
    return decoder.eval()


def random_latent(num: int, rows: int = 2, cols: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.randn(1, 48, num, rows, cols, generator=torch.Generator().manual_seed(seed))


# --- sizes ---------------------------------------------------------------------------------------------------------


def test_published_parameter_counts() -> None:
    """Wan 2.2: encoder 150M, decoder 555M; turbo decoder 107.1M; nothing allocated."""

    def count(*modules: nn.Module) -> int:
        return sum(p.numel() for m in modules for p in m.parameters())

    with torch.device("meta"):
        vae, turbo = build_wan_vae(), TurboVideoDecoder()
    assert round(count(vae.encoder, vae.quant_conv) / 1e6) == 150
    assert round(count(vae.decoder, vae.post_quant_conv) / 1e6) == 555
    assert round(count(turbo) / 1e6, 1) == 107.1
    assert len(WAN22_LATENT_MEAN) == len(WAN22_LATENT_STD) == 48


@given(st.integers(0, 200))
def test_lengths(k: int) -> None:
    assert num_latent_frames(4 * k + 1) == k + 1
    for extra in (2, 3, 4):
        with pytest.raises(InvalidRequest, match="4k\\+1"):
            num_latent_frames(4 * k + extra)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.integers(0, 8))
def test_tiles_cover_every_cell_once(rows: int, cols: int, tile: int, halo: int) -> None:
    seen = torch.zeros(rows, cols, dtype=torch.int)
    grid = torch.arange(rows * cols).reshape(1, 1, 1, rows, cols)
    for t in spatial_tiles(rows, cols, tile, halo):
        place = t.place(1)
        seen[place] += 1
        assert torch.equal(t.crop(t.read(grid), 1)[0, 0, 0], grid[0, 0, 0][place])
    assert (seen == 1).all()


def test_normalisation_inverts_in_the_reference_order() -> None:
    mean, std = torch.tensor(WAN22_LATENT_MEAN), torch.tensor(WAN22_LATENT_STD)
    latent = random_latent(2)
    normal = normalize_latent(latent, mean, std)
    shape = (1, 48, 1, 1, 1)
    assert torch.equal(normal, (latent - mean.view(shape)) * (1.0 / std).view(shape))
    assert torch.equal(denormalize_latent(normal, mean, std), normal / (1.0 / std).view(shape) + mean.view(shape))
    torch.testing.assert_close(denormalize_latent(normal, mean, std), latent, rtol=1e-5, atol=1e-6)


def test_patches_put_columns_before_rows() -> None:
    """Channel c*4 + 2*col + row of a patch is pixel (row, col)."""
    frames = torch.arange(3 * 4 * 6).reshape(1, 3, 1, 4, 6)
    patches = patchify(frames, 2)
    assert patches.shape == (1, 12, 1, 2, 3)
    assert patches[0, 4 * 1 + 2 * 1 + 0, 0, 1, 2] == frames[0, 1, 0, 2, 5]
    assert torch.equal(unpatchify(patches, 2), frames)


# --- Wan -----------------------------------------------------------------------------------------------------------


def test_wan_is_a_video_codec(wan: WanVideoCodec) -> None:
    assert isinstance(wan, VideoCodec)
    assert wan.stride == (4, 16, 16)
    assert wan.num_channels == 48


@pytest.mark.parametrize("k", range(4))
def test_wan_lengths_both_ways(wan: WanVideoCodec, k: int) -> None:
    latent = wan.encode(torch.rand(1, 3, 4 * k + 1, 32, 48) * 2 - 1)
    assert latent.shape == (1, 48, k + 1, 2, 3)
    assert latent.dtype == torch.float32
    frames = wan.decode(latent)
    assert frames.shape == (1, 3, 4 * k + 1, 32, 48)
    assert frames.abs().max() <= 1


def test_wan_equals_diffusers_own_loop(wan: WanVideoCodec) -> None:
    frames = torch.rand(2, 3, 5, 32, 32) * 2 - 1
    shape = (1, 48, 1, 1, 1)
    ours = wan.encode(frames)
    theirs = wan.vae.encode(frames).latent_dist.mean
    torch.testing.assert_close(ours, (theirs - wan.mean_C.view(shape)) / wan.std_C.view(shape), rtol=1e-4, atol=1e-4)
    latent = random_latent(3)
    theirs = wan.vae.decode(latent * wan.std_C.view(shape) + wan.mean_C.view(shape)).sample
    torch.testing.assert_close(wan.decode(latent), theirs, rtol=1e-4, atol=1e-4)


# What the published modules themselves (GAIR-NLP/daVinci-MagiHuman at 209209b, fp32, torch.compile off) gave for these
# weights and inputs: every 1/8th of the flattened result. At full precision the difference was exactly zero.
PUBLISHED = {
    "wan encode": [0.8104, 1.58397, -0.46363, 0.46037, -0.03057, 0.15936, -1.02582, -1.28524],
    "wan decode": [0.02908, -0.58419, -0.57821, 0.70889, 0.50901, 0.32086, 0.23602, 0.37283],
    "turbo decode": [0.48282, -0.37354, -0.02373, 0.02027, -0.07359, 0.21957, -0.68981, -0.665],
}


def test_numbers_of_the_published_modules(wan: WanVideoCodec, turbo: TurboVideoDecoder) -> None:
    frames = torch.rand(1, 3, 9, 32, 48, generator=torch.Generator().manual_seed(7)) * 2 - 1
    latent = random_latent(9)
    found = {
        "wan encode": wan.encode(frames),
        "wan decode": wan.decode(latent[:, :, :3]),
        "turbo decode": turbo.decode(latent),
    }
    for name, result in found.items():
        sample = result.flatten()[:: result.numel() // 8][:8]
        torch.testing.assert_close(
            sample, torch.tensor(PUBLISHED[name]), rtol=0, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}"
        )


def test_wan_encoder_is_causal(wan: WanVideoCodec) -> None:
    """The latents of a prefix are the prefix of the latents; later frames change nothing before them."""
    frames = torch.rand(1, 3, 13, 16, 32) * 2 - 1
    whole = wan.encode(frames)
    for k in range(3):
        torch.testing.assert_close(wan.encode(frames[:, :, : 4 * k + 1]), whole[:, :, : k + 1], rtol=1e-4, atol=1e-5)
    changed = frames.clone()
    changed[:, :, 9:] = -changed[:, :, 9:]
    assert torch.equal(wan.encode(changed)[:, :, :3], whole[:, :, :3])
    assert not torch.allclose(wan.encode(changed)[:, :, 3], whole[:, :, 3])


def test_wan_tiled_decode_equals_untiled(wan: WanVideoCodec) -> None:
    """Random weights, a frame wider than a tile with its halo: no seam, no difference."""
    latent = random_latent(2, rows=1, cols=30)
    whole = wan.decode(latent)
    pieces = []
    tiled = WanVideoCodec(wan.vae, tile=15)  # each tile reads 28 of the 30 columns
    torch.testing.assert_close(tiled.decode(latent, lambda *seen: pieces.append(seen)), whole, rtol=1e-4, atol=1e-4)
    assert pieces == [(i + 1, 4) for i in range(4)]
    # The same with too small a halo is wrong: the test can fail.
    cut = WanVideoCodec(wan.vae, tile=15, halo=1)
    assert (cut.decode(latent) - whole).abs().max() > 1e-2


def test_wan_refuses_what_does_not_fit(wan: WanVideoCodec) -> None:
    with pytest.raises(InvalidRequest, match="4k"):
        wan.encode(torch.zeros(1, 3, 4, 32, 32))
    with pytest.raises(InvalidRequest, match="16x16"):
        wan.encode(torch.zeros(1, 3, 1, 30, 32))
    with pytest.raises(InvalidRequest, match="batch, 3"):
        wan.encode(torch.zeros(1, 4, 1, 32, 32))
    with pytest.raises(InvalidRequest, match="batch, 48"):
        wan.decode(torch.zeros(1, 16, 1, 2, 2))


def test_wan_loads_strictly_from_a_folder(wan: WanVideoCodec, tmp_path: Path) -> None:
    state = wan.vae.state_dict()
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKLWan", **TINY_WAN}))
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    save_file(state, file)
    latent = random_latent(2)
    loaded = load_wan_codec(tmp_path, dtype=torch.float32)
    assert torch.equal(loaded.decode(latent), wan.decode(latent))
    half = load_wan_codec(tmp_path, dtype=torch.bfloat16)
    assert half.vae.decoder.conv_in.weight.dtype == torch.bfloat16
    assert half.encode(torch.zeros(1, 3, 1, 32, 32)).dtype == torch.float32
    save_file({k: v for k, v in state.items() if k != "decoder.conv_in.bias"}, file)
    with pytest.raises(WeightsInvalid, match=r"1 missing tensors \(decoder\.conv_in\.bias\)"):
        load_wan_codec(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeightsInvalid, match=r"config\.json is missing"):
        load_wan_codec(tmp_path)


# --- turbo ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num", [1, 7, 8, 15])
def test_turbo_lengths(turbo: TurboVideoDecoder, num: int) -> None:
    calls = []
    frames = turbo.decode(random_latent(num, 1, 1), lambda *seen: calls.append(seen))
    assert frames.shape == (1, 3, 4 * (num - 1) + 1, 16, 16)
    assert frames.isfinite().all()
    assert calls[-1][0] == calls[-1][1] == len(turbo.chunks(num))


CHUNKED = TurboVideoDecoder(TINY_TURBO)


@given(st.integers(1, 120))
def test_turbo_chunks_cover_the_clip(num: int) -> None:
    chunks = CHUNKED.chunks(num)
    assert chunks[0] == (0, 7)
    assert all(a[1] == b[0] and b[1] - b[0] == 7 for a, b in pairwise(chunks))
    assert chunks[-1][0] < num <= chunks[-1][1] or num <= 7


def test_turbo_chunks_are_windows_with_one_latent_of_context(turbo: TurboVideoDecoder) -> None:
    """Recompute 16 latents by hand: padded to 21, windows [0,8), [6,15), [13,21), context frames cut."""
    latent = random_latent(16, 1, 2)
    z = denormalize_latent(latent, turbo.mean_C, turbo.std_C)
    z = torch.cat([z, *[z[:, :, -1:]] * 5], dim=2)
    with torch.no_grad():
        first = turbo.decoder(z[:, :, 0:8], first_chunk=True)
        middle = turbo.decoder(z[:, :, 6:15], first_chunk=False)
        last = turbo.decoder(z[:, :, 13:21], first_chunk=False)
    assert first.shape[2] == 4 * 8 - 3
    assert middle.shape[2] == 4 * 9
    by_hand = torch.cat([first[:, :, :-4], middle[:, :, 4:-4], last[:, :, 4:]], dim=2)[:, :, :61]
    torch.testing.assert_close(turbo.decode(latent), by_hand.clamp(-1, 1), rtol=1e-5, atol=1e-5)


def test_turbo_tiled_equals_untiled(turbo: TurboVideoDecoder) -> None:
    latent = random_latent(2, rows=1, cols=36)
    whole = turbo.decode(latent)
    turbo.tile = 18  # each tile reads 33 of the 36 columns
    try:
        torch.testing.assert_close(turbo.decode(latent), whole, rtol=1e-4, atol=1e-4)
    finally:
        turbo.tile = None


def test_turbo_is_not_causal_inside_a_window(turbo: TurboVideoDecoder) -> None:
    latent = random_latent(7, 1, 1)
    changed = latent.clone()
    changed[:, :, 6] += 1
    assert not torch.allclose(turbo.decode(latent)[:, :, 20], turbo.decode(changed)[:, :, 20])


def test_turbo_has_the_published_names() -> None:
    with torch.device("meta"):
        names = set(TurboVideoDecoder().state_dict())
    assert {
        "decoder.conv_in.conv.weight",
        "decoder.mid_block.resnets.2.conv2.conv.bias",
        "decoder.up_blocks.0.upsamplers.0.time_conv.conv.weight",
        "decoder.up_blocks.2.upsamplers.0.resample.1.weight",
        "decoder.up_blocks.1.conv_in.conv_shortcut.conv.weight",
        "decoder.up_blocks.3.resnets.1.conv1.conv.weight",
        "decoder.conv_out.conv.bias",
    } <= names
    # Two blocks of time, three of space, one of neither; norms have no weights; mean and std are not stored.
    assert sum("time_conv" in n for n in names) == 2 * 2
    assert sum("resample" in n for n in names) == 3 * 2
    assert not any("norm" in n or "mean" in n or "std" in n for n in names)


def turbo_folder(turbo: TurboVideoDecoder, folder: Path, prefix: str = "module.", **config: object) -> Path:
    published = asdict(TINY_TURBO) | {"use_unpatchify": True, "decoder_causal": False, "patch_size_t": 1} | config
    (folder / "TurboV3.json").write_text(json.dumps(published))
    state = {prefix + name: tensor for name, tensor in turbo.state_dict().items()}
    torch.save({"ema_state_dict": state, "step": 1}, folder / "checkpoint-1.ckpt")
    return folder


@pytest.mark.parametrize("prefix", ["", "module."])
def test_turbo_loads_strictly(turbo: TurboVideoDecoder, tmp_path: Path, prefix: str) -> None:
    loaded = load_turbo_decoder(turbo_folder(turbo, tmp_path, prefix), dtype=torch.float32)
    latent = random_latent(3)
    assert torch.equal(loaded.decode(latent), turbo.decode(latent))


def test_turbo_accepts_names_without_the_decoder_part(turbo: TurboVideoDecoder, tmp_path: Path) -> None:
    state = {name.removeprefix("decoder."): tensor for name, tensor in turbo.state_dict().items()}
    torch.save({"ema_state_dict": state}, tmp_path / "x.ckpt")
    assert set(read_turbo_checkpoint(tmp_path / "x.ckpt")) == set(turbo.state_dict())


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path("/nonexistent/muybridge").touch, ())


def test_turbo_refuses_bad_checkpoints(turbo: TurboVideoDecoder, tmp_path: Path) -> None:
    folder = turbo_folder(turbo, tmp_path)
    file = folder / "checkpoint-1.ckpt"
    state = {"module." + name: tensor for name, tensor in turbo.state_dict().items()}
    torch.save({"ema_state_dict": state | {"module.loss.weight": torch.zeros(1)}}, file)
    with pytest.raises(WeightsInvalid, match=r"1 extra tensors \(loss\.weight\)"):
        load_turbo_decoder(folder)
    state.pop("module.decoder.conv_out.conv.bias")
    torch.save({"ema_state_dict": state}, file)
    with pytest.raises(WeightsInvalid, match=r"missing tensors \(decoder\.conv_out\.conv\.bias\)"):
        load_turbo_decoder(folder)
    torch.save({"state_dict": state}, file)
    with pytest.raises(WeightsInvalid, match="ema_state_dict"):
        load_turbo_decoder(folder)
    torch.save({"ema_state_dict": _Hostile()}, file)
    with pytest.raises(WeightsInvalid, match="plain tensors"):
        load_turbo_decoder(folder)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(WeightsInvalid, match="plain tensors"):
        load_turbo_decoder(folder)
    file.unlink()
    with pytest.raises(WeightsInvalid, match="one checkpoint"):
        load_turbo_decoder(folder)


@pytest.mark.parametrize(
    ("field", "value"), [("use_unpatchify", False), ("decoder_causal", True), ("decoder_is_dw_conv", [True])]
)
def test_turbo_refuses_other_variants(turbo: TurboVideoDecoder, tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(WeightsInvalid, match=field):
        load_turbo_decoder(turbo_folder(turbo, tmp_path, **{field: value}))
