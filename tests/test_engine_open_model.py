"""The open 15B's folder, from files to a clip, in small: every true layout, strict loading, the paths of all stages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_codecs_audio import TINY as NARROW_OOBLECK
from test_codecs_video import TINY_TURBO, TINY_WAN, randomize, turbo_folder
from test_text_encoder import folder as text_folder  # noqa: F401  (a fixture)
from torch import nn

from muybridge.config import EngineConfig, ModelConfig
from muybridge.engine import Engine, GenerationState
from muybridge.engine.offload import OnDemand, Visiting
from muybridge.engine.open_model import load_open_model
from muybridge.errors import InvalidRequest, WeightsInvalid
from muybridge.model.audio_codec import build_oobleck
from muybridge.model.transformer import Transformer
from muybridge.model.turbo_decoder import TurboVideoDecoder
from muybridge.model.video_codec import build_wan_vae
from muybridge.model.weights import save
from muybridge.request import Request

SHAPE = ModelConfig(
    name="15b-small",
    num_layers=4,
    hidden_size=64,
    head_dim=32,
    num_heads_kv=1,
    text_in_channels=32,
    mm_layers=(0, 3),
    gelu7_layers=(0,),
)
TINY_OOBLECK = NARROW_OOBLECK | {"decoder_input_channels": 64, "encoder_hidden_size": 128}
LARGE = ModelConfig(**{**SHAPE.__dict__, "name": "15b-small-1080p", "local_layers": (0, 1, 3)})


def write_transformer(folder: Path, config: ModelConfig, seed: int) -> None:
    model = Transformer(config).initialise(seed, std=0.1)
    generator = torch.Generator().manual_seed(seed)
    for final in (model.final_linear_video, model.final_linear_audio):
        nn.init.normal_(final.weight, std=0.1, generator=generator)
    state = model.state_dict()
    blocks = {n: t.to(torch.bfloat16) if n.startswith("block") and t.dim() == 2 else t for n, t in state.items()}
    save(blocks, folder, config=config)


def write_vae(folder: Path, vae: nn.Module, name: str, config: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"_class_name": name, **config}))
    save_file(vae.state_dict(), folder / "diffusion_pytorch_model.safetensors")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, text_folder: Path) -> Path:  # noqa: F811
    root = tmp_path_factory.mktemp("15b")
    for seed, (name, config) in enumerate(
        {"distill": SHAPE, "base": SHAPE, "540p_sr": SHAPE, "1080p_sr": LARGE}.items()
    ):
        write_transformer(root / name, config, seed)
    wan = build_wan_vae(TINY_WAN)
    randomize(wan)
    write_vae(root / "video_codec" / "vae", wan, "AutoencoderKLWan", TINY_WAN)
    turbo = TurboVideoDecoder(TINY_TURBO)
    randomize(turbo)
    (root / "turbo_vae").mkdir()
    turbo_folder(turbo, root / "turbo_vae")
    oobleck = build_oobleck(TINY_OOBLECK)
    with torch.no_grad():
        for parameter in oobleck.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    write_vae(root / "audio_codec" / "vae", oobleck, "AutoencoderOobleck", TINY_OOBLECK)
    (root / "text_encoder").symlink_to(text_folder)
    return root


@pytest.fixture
def engine(weights: Path) -> Iterator[Engine]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    config = EngineConfig(device="cpu", precision="fp32")
    yield Engine(load_open_model(weights, "15b", torch.device("cpu"), config, SHAPE, LARGE))
    torch.set_num_threads(threads)


REQUEST = Request('A horse runs and a man says: "softly"', size="64x64", seconds=3, num_inference_steps=2)


def test_a_clip_comes_out_exactly_as_asked(engine: Engine) -> None:
    clip = engine.generate(REQUEST)
    assert clip.frames_TYXC.shape == (75, 64, 64, 3)
    assert clip.sample_rate == 44100
    assert clip.waveform_CS is not None
    assert clip.waveform_CS.shape == (2, 3 * 44100)
    assert np.isfinite(clip.waveform_CS).all()
    assert clip.frames_TYXC.std() > 0


def test_the_distilled_sampler_draws_fresh_noise_and_resumes_bit_for_bit(engine: Engine) -> None:
    whole = engine.denoise(engine.encode(REQUEST))
    half = engine.step(engine.encode(REQUEST))
    resumed = engine.denoise(GenerationState.from_bytes(half.to_bytes()))
    assert torch.equal(whole.latents["video"], resumed.latents["video"])
    assert torch.equal(whole.latents["audio"], resumed.latents["audio"])


def test_outputs_choose_their_upscaler(engine: Engine) -> None:
    small, large = engine.parts.small_upscaler, engine.parts.upscaler
    assert isinstance(small, OnDemand)
    assert isinstance(large, OnDemand)
    request = REQUEST.replace(size="480x480", num_inference_steps=1)
    clip = engine.generate(request)
    assert clip.frames_TYXC.shape[1:3] == (480, 480)
    assert small._model is not None
    assert large._model is None


def test_the_prompt_is_written_the_way_the_model_was_trained(engine: Engine) -> None:
    text = engine.parts.format_prompt(REQUEST)
    assert text.count("softly") == 2
    assert "Dialogue:" in text
    assert "Background Sound:" in text


def test_modes_without_tokens_are_refused(engine: Engine, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    engine.generate(REQUEST.replace(num_inference_steps=1)).save(clip)
    with pytest.raises(InvalidRequest, match="not trained for edit"):
        engine.encode(REQUEST.replace(video=clip))


def test_waiting_parts_give_the_same_clip(weights: Path, engine: Engine) -> None:
    config = EngineConfig(device="cpu", precision="fp32", offload="components")
    waiting = Engine(load_open_model(weights, "15b", torch.device("cpu"), config, SHAPE, LARGE))
    streamed = EngineConfig(device="cpu", precision="fp32", offload="layers")
    streaming = Engine(load_open_model(weights, "15b", torch.device("cpu"), streamed, SHAPE, LARGE))
    wanted = engine.generate(REQUEST).frames_TYXC
    for other in (waiting, streaming):
        np.testing.assert_array_equal(other.generate(REQUEST).frames_TYXC, wanted)


def test_a_visiting_model_leaves_and_comes_back() -> None:
    model = Visiting(Transformer(SHAPE).initialise(), torch.device("cpu"))
    model.leave()
    assert not model._is_there


def test_the_guided_base_runs_two_passes(weights: Path) -> None:
    config = EngineConfig(device="cpu", precision="fp32")
    engine = Engine(load_open_model(weights, "15b-base", torch.device("cpu"), config, SHAPE, LARGE))
    one = engine.denoise(engine.encode(REQUEST))
    other = engine.denoise(engine.encode(REQUEST.replace(negative_prompt="a horse runs")))
    assert not torch.equal(one.latents["video"], other.latents["video"])


def test_weights_of_another_size_are_named(weights: Path) -> None:
    config = EngineConfig(device="cpu", precision="fp32")
    with pytest.raises(WeightsInvalid):
        load_open_model(weights, "15b", torch.device("cpu"), config, LARGE, LARGE)
