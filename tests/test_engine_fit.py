"""What runs where and in which precision: placement, remedies, streaming, fp8 rounding, the doctor, bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_parts import SHAPE, parts
from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import OPEN, random_model, sample

from muybridge.config import EngineConfig, Precision
from muybridge.engine import doctor, load, offload, precision
from muybridge.engine.loading import pick_device
from muybridge.engine.placement import RESERVE, attempts, place
from muybridge.errors import DoesNotFit, InvalidRequest, UserError
from muybridge.model.device import has_fast_bf16
from muybridge.model.tiny_video_codec import TinyCodecConfig, TinyVideoCodec
from muybridge.model.tokens import pack
from muybridge.request import Request

CPU = torch.device("cpu")
GB = 10**9
LARGE = Request("x", size="1080p", seconds=5)


def test_streamed_layers_give_the_same_bits() -> None:
    packed = pack([sample(OPEN)])
    resident = random_model(OPEN)
    streamed = offload.stream_layers(random_model(OPEN), CPU)
    with torch.inference_mode():
        for _ in range(2):  # the second time over, weights come from their home again
            for a, b in zip(resident(packed), streamed(packed), strict=True):
                assert torch.equal(a, b)
    for (name, a), b in zip(resident.state_dict().items(), streamed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_at_most_two_layers_are_away_from_home() -> None:
    model = offload.stream_layers(random_model(OPEN), CPU)
    homes = {n: p.data_ptr() for n, p in model.named_parameters()}
    away: list[int] = []

    def look(*_: object) -> None:
        moved = {n.split(".")[2] for n, p in model.named_parameters() if p.data_ptr() != homes[n]}
        away.append(len(moved))

    for layer in model.block.layers:
        layer.mlp.register_forward_hook(look)
    with torch.inference_mode():
        model(pack([sample(OPEN)]))
    assert away == [2, 2, 2, 2, 1]
    assert all(p.data_ptr() == homes[n] for n, p in model.named_parameters())


ENCODER, UPSCALER = "text encoder", "upscaler"


@pytest.mark.parametrize(
    ("size", "memory", "chosen", "waiting", "streamed"),
    [
        ("1080p", 141, "bf16", [], []),
        ("1080p", 80, "fp8", [], []),
        ("1080p", 80, "bf16", [ENCODER], [UPSCALER]),
        ("480p", 84, "bf16", [ENCODER], []),
        ("480p", 80, "bf16", [ENCODER, UPSCALER], []),
        ("480p", 60, "bf16", [ENCODER], [UPSCALER]),
        ("480p", 24, "bf16", [ENCODER], ["base", UPSCALER]),
        ("256p", 60, "bf16", [], []),
    ],
)
def test_where_the_open_15b_goes(
    size: str, memory: int, chosen: Precision, waiting: list[str], streamed: list[str]
) -> None:
    """Two transformers of 30.6 GB and an encoder of 18: all of it on an H200; the published way runs out at 80."""
    placement = place(LARGE.replace(size=size), "15b", chosen, memory * GB)
    assert [p.name for p in placement.parts if p.where == "waiting"] == waiting
    assert [p.name for p in placement.parts if p.where == "streamed"] == streamed
    assert placement.peak_bytes + RESERVE <= memory * GB
    weights = {p.name: p.weight_bytes for p in placement.parts}
    assert weights["base"] == pytest.approx(15.3e9 * (1 if chosen == "fp8" else 2), rel=0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(0, 100), st.sampled_from(["256p", "480p", "720p", "1080p"]), st.booleans())
def test_more_memory_never_makes_it_worse(memory: int, more: int, size: str, is_large: bool) -> None:
    request, model = Request("x", size=size), "15b" if is_large else "tiny"
    order = [p.parts for p in attempts(request, model, "bf16")]

    def rank(budget: int) -> int:
        try:
            placement = place(request, model, "bf16", budget)
        except DoesNotFit:
            return len(order)
        assert placement.peak_bytes + RESERVE <= budget
        return order.index(placement.parts)

    assert rank((memory + more) * GB) <= rank(memory * GB)


def test_the_remedy_fits() -> None:
    """Whatever the message tells to ask for can be placed in the memory there is."""
    told = 0
    for memory in (8, 16, 22, 23, 40):
        for size in ("1080p", "720p", "480p", "256p"):
            request = LARGE.replace(size=size)
            try:
                place(request, "15b", "bf16", memory * GB)
            except DoesNotFit as error:
                words = str(error)
                assert "15b needs about" in words
                if "--size" in words:
                    remedy = words.split("--size ")[1].split()[0]
                    place(request.replace(size=remedy), "15b", "bf16", memory * GB)
                    told += 1
                else:
                    assert "--model tiny" in words
    assert told


def test_on_a_cpu_there_is_nowhere_else() -> None:
    assert len(attempts(LARGE, "15b", "bf16", can_move=False)) == 1
    with pytest.raises(DoesNotFit):
        place(LARGE, "15b", "bf16", 60 * GB, can_move=False)


def test_a_codec_in_bf16_shows_what_it_shows_in_float32() -> None:
    """Within a grey level or two; what goes in and comes out stays float32."""
    torch.manual_seed(0)
    codec = TinyVideoCodec(TinyCodecConfig(deep_encoder=True)).eval()
    with torch.no_grad():
        for layer in codec.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.normal_(layer.weight, std=0.5 / layer.weight[0].numel() ** 0.5)
    frames = torch.rand(1, 3, 5, 64, 64) * 2 - 1
    latent = codec.encode(frames)
    shown = codec.decode(latent)
    precision.apply_to_codec(codec, "fp32")
    assert torch.equal(codec.encode(frames), latent)
    precision.apply_to_codec(codec, "bf16")
    close = codec.encode(frames)
    assert close.dtype == torch.float32
    assert not torch.equal(close, latent)
    assert float((close - latent).square().mean().sqrt()) < 0.02 * float(latent.square().mean().sqrt())
    assert float((codec.decode(latent) - shown).square().mean().sqrt()) < 1.5 / 127.5


def test_precision_is_what_the_device_can() -> None:
    assert precision.choose(CPU, "bf16").precision == "bf16"
    assert precision.choose(CPU).precision == ("bf16" if has_fast_bf16(CPU) else "fp32")
    assert precision.choose(CPU).reason
    with pytest.raises(UserError, match="bf16"):
        precision.choose(CPU, "fp8")
    with pytest.raises(UserError, match="fp32, bf16, fp8"):
        precision.choose(CPU, "int4")  # type: ignore[arg-type]  # what a user may write


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 64), st.floats(-6, 6), st.integers(0, 2**31))
def test_fp8_rows_are_within_a_sixteenth(rows: int, cols: int, exponent: float, seed: int) -> None:
    """e4m3 has 3 mantissa bits: half a step is 2^-4 of a value, or 2^-10 x scale near zero (subnormals)."""
    x = torch.randn(rows, cols, generator=torch.Generator().manual_seed(seed)) * 10**exponent
    x[0, 0] = 0
    quantised, scale = precision.quantize_rows(x)
    assert quantised.dtype == torch.float8_e4m3fn
    back = quantised.float() * scale
    assert ((back - x).abs() <= x.abs() * 2**-4 + scale * 2**-10 * 1.001).all()
    assert torch.isfinite(back).all()
    largest = x.abs().amax(1)
    torch.testing.assert_close(back.abs().amax(1), largest, rtol=1e-6, atol=1e-12)


def test_fp8_of_an_empty_row_is_zero() -> None:
    quantised, scale = precision.quantize_rows(torch.zeros(2, 8))
    assert not (quantised.float() * scale).any()


def test_the_doctors_report_is_json_and_says_what_to_do() -> None:
    report = doctor.examine(8 * GB).to_dict()
    assert json.loads(json.dumps(report)) == json.loads(json.dumps(report, default=str))
    assert report["matrix_flops_per_s"] > 1e9
    fits = {(f["size"], f["resolution"]): f for f in report["fits"]}
    assert set(fits) == {(s, r) for s in ("tiny", "15b") for r in ("256p", "480p", "720p", "1080p")}
    assert fits["tiny", "256p"]["fits"]
    assert fits["tiny", "256p"]["seconds"] > 0
    assert not fits["15b", "1080p"]["fits"]
    assert "tiny" in fits["15b", "1080p"]["how"]
    seconds = [fits["tiny", r]["seconds"] for r in ("256p", "480p", "720p") if fits["tiny", r]["fits"]]
    assert seconds == sorted(seconds)


def test_unknown_sizes_devices_and_absent_weights() -> None:
    with pytest.raises(InvalidRequest, match="no size '7b'"):
        load("7b")
    for device in ("abacus", "cuda:99" if torch.cuda.is_available() else "cuda"):
        with pytest.raises(UserError, match=device.split(":")[0]):
            pick_device(device)
    with pytest.raises(UserError, match="weights pull"):
        load("15b", EngineConfig(device="cpu"))


def test_random_parts_are_the_seeds_alone() -> None:
    a, b = parts().base, parts().base
    for x, y in zip(a.parameters(), b.parameters(), strict=True):  # type: ignore[attr-defined]  # a Transformer
        assert torch.equal(x, y)
    assert SHAPE.num_roles == 8
    assert np.isfinite(sum(float(p.sum()) for p in a.parameters()))  # type: ignore[attr-defined]


BAD_CALLS = [
    (["x", "--seconds", "2"], "3 to 15 s"),
    (["x", "--seconds", "nan"], "nan"),
    (["x", "--size", "9x9"], "out of range"),
    (["", "--seconds", "3"], "empty"),
    (["x", "--image", "nowhere.png"], "no such file"),
    (["x", "--video", "nowhere.mp4"], "no such file"),
    (["x", "--set", "steps=3"], "not known"),
    (["x", "--set", "seed"], "has no value"),
    (["x", "--set", "guidance_scale=abc"], "not a number"),
    (["x", "--set", "precision=int4"], "int4"),
    (["x", "--set", "device=abacus"], "abacus"),
    (["x", "--model", "7b"], "no size"),
    (["x", "--model", "15b"], "weights pull 15b"),
    (["x", "--image", "bad.png"], "--image bad.png"),
]


CALLER = """
import sys, json, importlib.util
from muybridge import cli
build = cli.build
here = tuple(g for g in cli.GROUPS if importlib.util.find_spec("muybridge.cli." + g))
cli.build = lambda: build(here)
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["muybridge", "generate", *arguments]
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code
    print(code, flush=True)
    print("=====", file=sys.stderr, flush=True)
"""


def test_bad_input_ends_with_two_and_one_clear_line(tmp_path: Path) -> None:
    """All calls in one process: each must leave the command line able to take the next."""
    (tmp_path / "bad.png").write_bytes(b"no picture")
    arguments = [[*call, "--set", "num_inference_steps=1"] for call, _ in BAD_CALLS]
    done = subprocess.run(
        [sys.executable, "-c", CALLER, json.dumps(arguments)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MUYBRIDGE_WEIGHTS": str(tmp_path / "weights")},
    )
    codes = done.stdout.split()
    said = done.stderr.split("=====\n")
    for (call, words), code, text in zip(BAD_CALLS, codes, said, strict=False):
        assert code == "2", (call, code, text)
        assert words in text, (call, text)
        assert "Traceback" not in text, (call, text)
    assert len(codes) == len(BAD_CALLS)
