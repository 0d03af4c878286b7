"""Checkpoints: strict in every way a file can be wrong, atomic under kill -9, exact round trips, the 15B's layout."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from muybridge.config import FIFTEEN_B, TINY, ModelConfig
from muybridge.errors import InvalidRequest, UserError, WeightsInvalid
from muybridge.model import Transformer
from muybridge.model.quantize import SCALE_SUFFIX, dequantize_state, quantize_state
from muybridge.model.weights import info, load_transformer, model_specs, plan_shards, save
from muybridge.model.weights_file import INDEX_NAME, Checkpoint, TensorSpec, check_state

SMALL = replace(
    TINY, name="small", num_layers=3, hidden_size=128, head_dim=64, num_heads_kv=1, mm_layers=(0,), text_in_channels=32
)
SMALL_15B = replace(SMALL, name="15b-small", num_roles=0)


def state_of(config: ModelConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights in the size's own dtypes."""
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s.shape, generator=generator).to(s.dtype) for n, s in model_specs(config).items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)


def read_all(path: Path) -> dict[str, torch.Tensor]:
    with Checkpoint.open(path) as checkpoint:
        return {name: checkpoint.read(name).clone() for name in checkpoint.specs}


# --- the published layout ------------------------------------------------------------------------------------------


def test_the_15b_is_described_exactly() -> None:
    """331 tensors, 15,299,419,152 parameters, 30.64 GB, with the published names, shapes and dtypes."""
    found = info("15b")
    assert found["parameters"] == 15_299_419_152
    assert found["tensors"] == len(found["state_dict"]) == 331
    state = found["state_dict"]
    assert state["block.layers.0.attention.linear_qkv.weight"] == [21_624, 5120, "bfloat16"]
    assert state["block.layers.4.mlp.up_gate_proj.weight"] == [27_304, 5120, "bfloat16"]
    assert state["block.layers.39.mlp.down_proj.weight"] == [15_360, 13_652, "bfloat16"]
    assert state["block.layers.2.mlp.down_proj.weight"] == [15_360, 20_480, "bfloat16"]
    assert state["block.layers.20.attention.k_norm.weight"] == [128, "float32"]
    assert state["adapter.text_embedder.weight"] == [5120, 3584, "float32"]
    assert state["adapter.rope.bands"] == [16, "float32"]
    assert state["final_linear_audio.weight"] == [64, 5120, "float32"]
    low = sum(v[-1] == "bfloat16" for v in state.values())
    assert low == 40 * 4
    fp32 = 19_676_160 + 1_320_960 + 16 + sum(v[0] for k, v in state.items() if "block" in k and len(v) == 2)
    assert found["bytes"] == 2 * found["parameters"] + 2 * fp32


def test_our_sizes_are_float32_and_unknown_sizes_are_refused() -> None:
    assert {v[-1] for v in info("tiny")["state_dict"].values()} == {"float32"}
    with pytest.raises(InvalidRequest, match="tiny"):
        info("7b")


# --- round trips ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [SMALL, SMALL_15B])
@pytest.mark.parametrize("shard_bytes", [10**9, 200_000])
def test_save_and_load_are_exact(tmp_path: Path, config: ModelConfig, shard_bytes: int) -> None:
    state = state_of(config)
    files = save(state, tmp_path / "w", config=config, shard_bytes=shard_bytes)
    assert (len(files) > 1) == (shard_bytes < 10**9) == (tmp_path / "w" / INDEX_NAME).exists()
    model = load_transformer(tmp_path / "w", config)
    assert same(dict(model.state_dict()), state)
    assert load_transformer(tmp_path / "w").config == config  # the file describes itself
    assert not any(p.requires_grad for p in model.parameters())


def test_a_loaded_model_runs_and_does_not_hold_the_file(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    state = state_of(SMALL)
    save(state, file, config=SMALL)
    model = load_transformer(file)
    file.write_bytes(b"\0" * file.stat().st_size)
    assert same(dict(model.state_dict()), state)
    direct = Transformer(SMALL)
    direct.load_state_dict(state)
    band = model.get_buffer("adapter.rope.bands")
    assert torch.equal(band, direct.get_buffer("adapter.rope.bands"))


names = st.text("abc.xyz_0123", min_size=1, max_size=12)
tensors = st.tuples(
    st.lists(st.integers(0, 5), min_size=0, max_size=3),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8]),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, tensors, min_size=1, max_size=12), st.integers(1, 2000))
def test_sharding_round_trips(tmp_path: Path, plan: dict[str, tuple[list[int], torch.dtype]], shard_bytes: int) -> None:
    """Any names, shapes (empty and scalar too) and dtypes, any shard size: every tensor comes back, once."""
    state = {n: torch.arange(torch.Size(s).numel()).reshape(s).to(d) for n, (s, d) in plan.items()}
    folder = tmp_path / "w"  # the same folder again and again: each save replaces the last one
    files = save(state, folder, shard_bytes=shard_bytes)
    assert same(read_all(folder), state)
    assert sorted(folder.glob("*.safetensors")) == sorted(files)
    shards = plan_shards({n: TensorSpec.of(t) for n, t in state.items()}, shard_bytes)
    assert [n for shard in shards for n in shard] == list(state)
    for shard in shards:
        assert len(shard) == 1 or sum(state[n].nbytes for n in shard) <= shard_bytes


def test_upstream_float32_files_are_cast_down_for_block_matrices_only(tmp_path: Path) -> None:
    """The `distill` folder is all float32: bf16 where the policy says so, to the bit; norms and the rest untouched."""
    full = {n: torch.randn(s.shape) for n, s in model_specs(SMALL_15B).items()}
    save_file(full, tmp_path / "model-00001-of-00001.safetensors")
    loaded = load_transformer(tmp_path, SMALL_15B).state_dict()
    for name, spec in model_specs(SMALL_15B).items():
        assert torch.equal(loaded[name], full[name].to(spec.dtype))
    kept = load_transformer(tmp_path, SMALL_15B, matrix_dtype=torch.float32).state_dict()
    assert same(dict(kept), full)


# --- refusals ------------------------------------------------------------------------------------------------------


def test_missing_extra_shape_and_dtype_are_named_and_counted(tmp_path: Path) -> None:
    good = state_of(SMALL_15B)
    file = tmp_path / "model.safetensors"

    def refused(state: dict[str, torch.Tensor], match: str) -> None:
        save_file(state, file)
        with pytest.raises(WeightsInvalid, match=match):
            load_transformer(file, SMALL_15B)

    bands = "adapter.rope.bands"
    refused({n: t for n, t in good.items() if n != bands}, r"1 missing tensors \(adapter\.rope\.bands\)")
    refused(good | {"surplus": torch.zeros(1)}, r"1 extra tensors \(surplus\)")
    refused(good | {bands: torch.zeros(3)}, r"1 misshapen tensors \(adapter\.rope\.bands \[3\] not \[8\]\)")
    refused(good | {bands: good[bands].half()}, r"1 wrong dtype tensors \(adapter.rope.bands float16 not float32\)")
    refused(good | {bands: good[bands].bfloat16()}, "bfloat16 not float32")  # a norm cast down has lost its precision
    refused({bands: good[bands]}, r"\d+ missing tensors \((\S+, ){7}\S+ and \d+ more\)")


def test_another_size_is_refused_by_name(tmp_path: Path) -> None:
    save(state_of(SMALL), tmp_path, config=SMALL)
    with pytest.raises(WeightsInvalid, match="num_layers: file 3, wanted 40"):
        load_transformer(tmp_path, FIFTEEN_B)
    other = replace(SMALL, time_scale=9.0)  # the same shapes: only the config can tell
    with pytest.raises(WeightsInvalid, match=r"time_scale: file 4\.0, wanted 9\.0"):
        load_transformer(tmp_path, other)
    save_file(state_of(SMALL), tmp_path / "model.safetensors")
    with pytest.raises(WeightsInvalid, match="does not say which size"):
        load_transformer(tmp_path)


def test_damaged_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match="not a checkpoint"):
        load_transformer(tmp_path / "absent", SMALL)
    file = save(state_of(SMALL), tmp_path, config=SMALL)[0]
    whole = file.read_bytes()
    for broken in (b"", whole[:7], whole[:200], whole[:-1], b"\xff" * 64):
        file.write_bytes(broken)
        with pytest.raises(WeightsInvalid, match="not a whole safetensors file"):
            load_transformer(tmp_path)
    file.write_bytes(whole)
    (tmp_path / "second.safetensors").write_bytes(whole)
    with pytest.raises(WeightsInvalid, match=r"2 \*\.safetensors but no"):
        load_transformer(tmp_path)


def test_compressed_files_are_refused_with_the_command(tmp_path: Path) -> None:
    file = tmp_path / "model-00001-of-00002.safetensors.zst"
    file.write_bytes(b"x")
    for path in (tmp_path, file):
        with pytest.raises(WeightsInvalid, match="zstd -d"):
            load_transformer(path, SMALL)


def test_inconsistent_shards(tmp_path: Path) -> None:
    files = save(state_of(SMALL), tmp_path, config=SMALL, shard_bytes=200_000)
    index = tmp_path / INDEX_NAME
    listed = json.loads(index.read_text())
    first = load_file(files[0])

    def refused(match: str) -> None:
        with pytest.raises(WeightsInvalid, match=match):
            Checkpoint.open(tmp_path)

    whole = files[0].read_bytes()
    save_file(first | {"surplus": torch.zeros(1)}, files[0], {"format": "pt"})
    refused("extra tensors")
    second_name = next(n for n, f in listed["weight_map"].items() if f == files[1].name)
    save_file(first | {second_name: torch.zeros(1)}, files[0], {"format": "pt"})
    refused("stored twice|another checkpoint")
    save_file(first, files[0], {"format": "pt", "muybridge_format": "1", "muybridge_size": "other"})
    refused("another checkpoint")
    files[0].unlink()
    refused(f"lacks 1 of {len(files)} shards")
    files[0].write_bytes(whole)
    index.write_text(json.dumps({"weight_map": {"x": "../elsewhere.safetensors"}}))
    refused("outside its folder")
    index.write_text("{}")
    refused("not a shard index")
    index.write_text("[]")
    refused("a JSON list where an object belongs")
    index.write_text("{")
    refused("not readable JSON")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "m.safetensors", {"muybridge_format": "2"})
    with pytest.raises(WeightsInvalid, match="format version 2"):
        Checkpoint.open(tmp_path)


def test_a_single_file_too_large_for_one_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a folder"):
        save(state_of(SMALL), tmp_path / "m.safetensors", shard_bytes=1000)


def test_check_state_accepts_what_may_become() -> None:
    spec = {"w": TensorSpec((2,), torch.bfloat16)}
    check_state({"w": TensorSpec((2,), torch.float32)}, spec, source="x")
    with pytest.raises(WeightsInvalid, match="float16 not bfloat16"):
        check_state({"w": TensorSpec((2,), torch.float16)}, spec, source="x")
    check_state({"w": TensorSpec((2,), torch.float16)}, spec, source="x", any_float=True)
    with pytest.raises(WeightsInvalid, match="int8 not bfloat16"):
        check_state({"w": TensorSpec((2,), torch.int8)}, spec, source="x", any_float=True)


# --- crash safety --------------------------------------------------------------------------------------------------

# One process imports torch once; for every round it forks a writer that saves 1, 2, 3, ... and kills it (-9).
KILLER = textwrap.dedent(
    """
    import json, os, signal, sys, time, torch
    from pathlib import Path
    from muybridge.model.weights import Checkpoint, save
    torch.set_num_threads(1)
    folder, shard_bytes = Path(sys.argv[1]), int(sys.argv[2])
    for round in range(30):
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            value = 0
            while True:
                value += 1
                state = {f"t{i}": torch.full((64, 1024), float(value)) for i in range(12)}
                save(state, folder, shard_bytes=shard_bytes)
                os.write(into, b"%d " % value)
        os.close(into)
        reported = os.read(out, 1)
        time.sleep(0.0013 * round)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while piece := os.read(out, 4096):
            reported += piece
        with Checkpoint.open(folder) as checkpoint:
            found = {float(v) for name in checkpoint.specs for v in checkpoint.read(name).unique()}
            print(json.dumps([len(checkpoint.specs), sorted(found), int(reported.split()[-1])]), flush=True)
    """
)


@pytest.mark.slow
@pytest.mark.parametrize("shard_bytes", [10**9, 600_000])
def test_kill_during_save_leaves_one_whole_checkpoint(tmp_path: Path, shard_bytes: int) -> None:
    """30 writers killed at 30 moments: what is read is one save throughout, the last reported or the one after it."""
    folder = tmp_path / "w"
    command = [sys.executable, "-c", KILLER, str(folder), str(shard_bytes)]
    rounds = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout.splitlines()
    assert len(rounds) == 30
    for line in rounds:
        num_tensors, values, last = json.loads(line)
        assert num_tensors == 12
        assert values in ([last], [last + 1])
    save({"t": torch.zeros(1)}, folder)
    assert [f.name for f in folder.iterdir()] == ["model.safetensors"]  # leftovers of killed writers are gone


def test_an_error_while_saving_keeps_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save({"x": torch.ones(2)}, file)
    shared = torch.zeros(4)
    with pytest.raises(RuntimeError, match="share memory"):
        save({"a": shared, "b": shared[1:]}, file)
    assert torch.equal(read_all(file)["x"], torch.ones(2))
    assert [f.name for f in tmp_path.iterdir()] == ["m.safetensors"]


# --- small storage -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(110, 300), st.floats(-12, 4), st.integers(0, 10**6))
def test_int8_error_is_at_most_half_a_step(rows: int, cols: int, log_scale: float, seed: int) -> None:
    """|error| <= max|row| / 254 for every weight, also with rows of very unlike size and zero rows."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, cols, generator=generator) * 10.0**log_scale
    weight *= torch.logspace(0, -6, rows)[:, None]
    weight[rows // 2] = 0
    state = {"w": weight.repeat(-(-4096 // weight.numel()), 1), "norm": torch.randn(7)}
    small = quantize_state(state, "int8")
    assert small["w"].dtype == torch.int8
    back = dequantize_state(small)
    assert back.keys() == state.keys()
    assert torch.equal(back["norm"], state["norm"])
    bound = state["w"].abs().amax(1, keepdim=True) / 254
    assert ((back["w"] - state["w"]).abs() <= bound * (1 + 1e-4) + 1e-37).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 20), st.integers(1, 8), st.floats(-3, 3), st.integers(0, 10**6))
def test_int4_error_is_at_most_half_a_step_of_its_group(rows: int, groups: int, log_scale: float, seed: int) -> None:
    """|error| <= max|group| / 14, and what float16 rounds of the scale; two weights to a byte."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(-(-4096 // (rows * groups * 32)) * rows, 4, 8 * groups, generator=generator) * 10.0**log_scale
    weight[0, :, :] = 0
    small = quantize_state({"w": weight}, "int4")
    assert small["w"].dtype == torch.uint8 and small["w"].numel() * 2 == weight.numel()
    back = dequantize_state(small)["w"]
    largest = weight.reshape(len(weight), -1, 32).abs().amax(2, keepdim=True)
    error = (back - weight).reshape(len(weight), -1, 32).abs()
    assert (error <= largest / 14 * 1.02 + 7 * 2**-24).all()
    assert quantize_state({"w": torch.randn(100, 45)}, "int4")["w"].dtype == torch.int8  # no whole groups


def test_int4_files_are_read_as_float32(tmp_path: Path) -> None:
    state = {"w": torch.randn(64, 96), "odd": torch.randn(70, 61), "bytes": torch.arange(8, dtype=torch.uint8)}
    save(state, tmp_path / "w.safetensors", storage="int4")
    with Checkpoint.open(tmp_path / "w.safetensors") as checkpoint:
        assert checkpoint.storage == "int4"
        assert checkpoint.specs["w"] == TensorSpec((64, 96), torch.float32)
        assert checkpoint.specs["odd"] == TensorSpec((70, 61), torch.float32)
        assert torch.equal(checkpoint.read("bytes"), state["bytes"])
        assert float((checkpoint.read("w") - state["w"]).abs().max()) < float(state["w"].abs().max()) / 13
        assert checkpoint.read("w").shape == (64, 96)


def test_bf16_storage_keeps_eight_bits() -> None:
    state = {"w": torch.randn(50, 50), "count": torch.tensor([3]), "bands": torch.rand(16)}
    back = dequantize_state(quantize_state(state, "bfloat16"))
    assert ((back["w"] - state["w"]).abs() <= state["w"].abs() * 2**-8).all()
    assert torch.equal(back["count"], state["count"])
    assert torch.equal(back["bands"], state["bands"])  # positions must not be rounded


@pytest.mark.parametrize(("storage", "bytes_each"), [("bfloat16", 2), ("int8", 1)])
def test_small_storage_loads_as_float32(tmp_path: Path, storage: str, bytes_each: int) -> None:
    state = state_of(SMALL)
    file = save(state, tmp_path / "m.safetensors", config=SMALL, storage=storage)[0]
    numbers = sum(t.numel() for t in state.values())
    assert file.stat().st_size < numbers * bytes_each * 1.15 + 20_000
    loaded = load_transformer(file).state_dict()
    assert same(dict(loaded), dequantize_state(quantize_state(state, storage)))
    with Checkpoint.open(file) as checkpoint:
        assert {s.dtype for s in checkpoint.specs.values()} == {torch.float32}
        assert not any(n.endswith(SCALE_SUFFIX) for n in checkpoint.specs)


def test_bf16_where_float32_is_wanted_needs_the_storage_mark(tmp_path: Path) -> None:
    save_file({n: t.bfloat16() for n, t in state_of(SMALL).items()}, tmp_path / "m.safetensors")
    with pytest.raises(WeightsInvalid, match="bfloat16 not float32"):
        load_transformer(tmp_path, SMALL)


def test_storage_refuses_nonsense() -> None:
    with pytest.raises(WeightsInvalid, match="w holds infinite or NaN"):
        quantize_state({"w": torch.tensor([[float("nan")]])}, "int8")
    with pytest.raises(UserError, match="int3"):
        quantize_state({}, "int3")
