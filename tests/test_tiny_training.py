"""How tiny is trained: codecs start right, Muon turns matrices, a stopped run ends where an unbroken one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from model_samples import SMALL, sample
from safetensors.torch import load_file
from torch import Tensor, nn

from muybridge import recipes
from muybridge.errors import InvalidRequest, NotFound, UserError
from muybridge.model.codecs import spatial_tiles
from muybridge.model.fixed_codec import FixedAudioCodec, FixedVideoCodec
from muybridge.model.tiny_video_codec import HALO, TinyCodecConfig, TinyVideoCodec, load_video_codec
from muybridge.model.tokens import pack
from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_transformer
from muybridge.model.world_audio_codec import WorldAudioCodec
from muybridge.recipes import base, draft, few_step
from muybridge.recipes.base import channel_weights
from muybridge.recipes.codec_video import export_module, principal_patches, to_tensor
from muybridge.recipes.losses import EDITED_WEIGHT, Weighing, loss_weights
from muybridge.recipes.losses import Task as BaseTask
from muybridge.train import frames, latents, takes
from muybridge.train.compiled import compile_layers
from muybridge.train.cuts import anywhere, shortened, with_mouth
from muybridge.train.items import Item
from muybridge.train.muon import Muon, orthogonalise
from muybridge.train.trainer import Recipe, train
from tests.test_recipe_base import item
from tests.test_train_latents import painted


def crops(folder: Path, rank: int = 7) -> frames.FrameCache:
    """Clips whose patches are sums of a mean and `rank` patterns."""
    rng = np.random.default_rng(0)
    patterns = rng.normal(0, 4, (rank, 4, 16, 16, 3))
    amounts = rng.normal(size=(24, 3, 8, 8, rank))
    groups = np.einsum("ngyxr,rtabc->ngtyaxbc", amounts, patterns).reshape(24, 12, 128, 128, 3)
    first = groups[:, :1]
    clips = (np.concatenate([first, groups], 1) + 128).round().clip(0, 255).astype(np.uint8)
    frames.write_shard(folder, "world-128-train-00000", clips, [{}] * 24)
    return frames.read(folder)


def test_the_codec_starts_as_the_best_linear_code(tmp_path: Path) -> None:
    cache = crops(tmp_path)
    codec = TinyVideoCodec()
    codec.start_from(*principal_patches(cache, 1))
    clip = to_tensor(cache.shards[128][0][:4].copy())[:, :, 1:]
    clip = torch.cat([clip[:, :, :1], clip], 2)[:, :, :13]
    with torch.no_grad():
        groups = codec.to_latent(clip)[:, :, 1:]
        again = codec.to_frames(codec.to_latent(clip))[:, :, 1:]
    # Seven patterns fit in 48 channels: only rounding to bytes is lost in groups that hold them.
    assert (again - clip[:, :, 1:]).square().mean().sqrt() < 0.8 / 127.5
    spread = groups.transpose(0, 1).flatten(1).std(1)
    assert spread[:7] == pytest.approx(torch.ones(7), abs=0.35)


def mended() -> TinyVideoCodec:
    torch.manual_seed(0)
    codec = TinyVideoCodec(TinyCodecConfig(width=16, width_eighth=12, width_quarter=8, deep_encoder=True))
    for layer in (codec.decode_out, codec.encode_out):
        nn.init.normal_(layer.weight, std=0.05)
    return codec.eval()


def test_the_codec_is_causal_and_its_first_latent_is_a_picture() -> None:
    codec = mended()
    clip = torch.rand(1, 3, 13, 64, 64) * 2 - 1
    other = clip.clone()
    other[:, :, 9:] = 0
    a, b = codec.encode(clip), codec.encode(other)
    assert a.shape == (1, 48, 4, 4, 4)
    assert torch.allclose(a[:, :, :3], b[:, :, :3], atol=1e-5)
    assert not torch.allclose(a[:, :, 3], b[:, :, 3], atol=1e-3)
    assert torch.allclose(codec.encode(clip[:, :, :1]), a[:, :, :1], atol=1e-5)


def test_tiles_and_chunks_decode_to_the_whole() -> None:
    codec = mended()
    latent = torch.randn(1, 48, 9, 3, 40)  # wider than a tile, longer than a chunk
    assert len(list(spatial_tiles(3, 40, 32, HALO))) > 1
    with torch.no_grad():
        whole = codec.to_frames(latent).clamp(-1, 1)
    assert torch.allclose(codec.decode(latent), whole, atol=2e-5)


@pytest.mark.parametrize("deep", [False, True])
def test_a_weights_file_says_whether_its_encoder_is_deep(deep: bool, tmp_path: Path) -> None:
    codec = TinyVideoCodec(TinyCodecConfig(deep_encoder=deep))
    export_module(codec, tmp_path / "video_codec.safetensors")
    again = load_video_codec(tmp_path / "video_codec.safetensors")
    assert again.config.deep_encoder == deep
    clip = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    assert torch.allclose(codec.encode(clip), again.encode(clip), atol=0.05)
    with pytest.raises(NotFound, match="codec_video"):
        load_video_codec(tmp_path / "nothing.safetensors")


def test_sound_keeps_its_pitch_and_level() -> None:
    codec = WorldAudioCodec()
    time_S = np.arange(48000) / 24000
    wave_S = sum(0.2 / k * np.sin(2 * np.pi * 180 * k * time_S) for k in range(1, 9))
    again_S = codec.decode(codec.encode(torch.from_numpy(wave_S).float()[None, None]))[0, 0].numpy()
    assert len(again_S) == len(wave_S)
    middle = slice(12000, 36000)
    spectrum = np.abs(np.fft.rfft(again_S[middle] * np.hanning(24000)))
    assert abs(int(spectrum[100:300].argmax()) + 100 - 180) <= 2  # 1 Hz a bin
    assert 20 * np.log10(again_S[middle].std() / wave_S[middle].std()) == pytest.approx(0, abs=1.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_compiled_layers_give_the_same_losses_and_gradients() -> None:
    """Of a model in float32, fused and not; batches of other lengths compile nothing anew that fails."""
    plain = Transformer(SMALL).initialise(1)
    nn.init.normal_(plain.final_linear_video.weight, std=0.02)
    fused = Transformer(SMALL)
    fused.load_state_dict(plain.state_dict())
    compile_layers(fused)
    assert set(fused.state_dict()) == set(plain.state_dict())
    for length in (2, 3, 5):
        packed = pack([sample(SMALL, num_latents=length)])
        for model in (plain, fused):
            model(packed)[0].square().sum().backward()
    for (name, a), b in zip(plain.named_parameters(), fused.parameters(), strict=True):
        if a.grad is not None:
            assert b.grad is not None, name
            torch.testing.assert_close(b.grad, a.grad, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (32, 32)])
def test_orthogonalised_matrices_keep_their_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    matrix = torch.randn(shape)
    found = orthogonalise(matrix)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.3
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.97


def test_muon_solves_a_linear_task_and_ignores_scale() -> None:
    torch.manual_seed(0)
    wanted = torch.randn(8, 6)
    inputs = torch.randn(64, 6)
    ends = []
    for scale in (1.0, 1e-3):
        weight = nn.Parameter(torch.zeros(8, 6))
        optimizer = Muon([weight], lr=0.2, weight_decay=0.0)
        for step in range(200):
            optimizer.param_groups[0]["lr"] = 0.2 * (1 - step / 200)
            loss = scale * (inputs @ (weight - wanted).T).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        ends.append(weight.detach())
    assert (ends[0] - wanted).abs().max() < 0.05
    assert torch.allclose(ends[0], ends[1], atol=0.02)


def test_a_shortened_clip_keeps_what_begins_in_it() -> None:
    whole = item(3)
    short = shortened(whole, 2)
    assert short.video.shape[1] == 2
    assert len(short.audio) == 5
    assert torch.equal(short.audio, whole.audio[:5])
    assert short.lines[0].middles_s == (0.05, 0.1)  # 5 audio latents are 0.2 s
    assert short.lines[0].ids == whole.lines[0].ids[:2]
    assert short.beats[0].end_s == pytest.approx(0.2)
    assert short.source is not None
    assert short.source.shape[1] == 2
    assert shortened(whole, 3) is whole
    middle = shortened(whole, 2, 1)
    assert torch.equal(middle.video, whole.video[:, 1:])
    assert torch.equal(middle.audio, whole.audio[4:9])
    assert middle.lines[0].middles_s == pytest.approx((0.04,))  # the phone at 0.2 s; the cut is at 0.16 s
    assert (middle.beats[0].start_s, middle.beats[0].end_s) == pytest.approx((0.0, 0.14))


def test_spans_begin_at_the_start_half_of_the_time_and_else_anywhere() -> None:
    whole = replace(item(3), video=torch.arange(48 * 6 * 16.0).reshape(48, 6, 4, 4), mouth_TYX=torch.zeros(6, 2, 2))
    generator = torch.Generator().manual_seed(0)
    starts = [int(anywhere(whole, 3, generator).video[0, 0, 0, 0]) // 16 for _ in range(400)]
    assert set(starts) == {0, 1, 2, 3}
    assert starts.count(0) == pytest.approx(400 * 4 / 7, rel=0.15)


def test_only_items_with_a_large_enough_mouth_are_near() -> None:
    class Cache:
        def __len__(self) -> int:
            return 4

        def item(self, k: int) -> Item:
            mouth = torch.zeros(3, 2, 2)
            mouth[k % 3, 0] = 0.03 * k  # two tokens of one latent: 0, 0.06, 0.12, 0.18 of a token
            return replace(item(k), mouth_TYX=mouth)

    assert with_mouth(cast("latents.LatentCache", Cache()), 0.1) == [2, 3]


def test_channels_weigh_by_what_they_move() -> None:
    codec = TinyVideoCodec()
    nn.init.ones_(codec.decode_straight.weight)
    with torch.no_grad():
        codec.decode_straight.weight[:, 0] *= 9.0
    weight_C = channel_weights(codec).detach()
    assert weight_C.mean() == pytest.approx(1.0, abs=1e-6)
    assert weight_C[0] / weight_C[1] == pytest.approx(3.0, rel=1e-5)
    video, _ = loss_weights(item(1), BaseTask("t2v", 0.5, frozenset()), Weighing(channels_C=weight_C))
    assert torch.equal(video[:, 0, 0, 0], weight_C)
    still = replace(item(1), video=item(1).video[:, :1], mouth_TYX=torch.zeros(1, 2, 2))
    video, _ = loss_weights(still, BaseTask("t2v", 0.5, frozenset()), Weighing(still=6.0))
    assert video.unique().tolist() == [6.0]


def test_what_is_given_and_what_an_edit_changes_weigh_by_their_own() -> None:
    changed = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    still = replace(item(1), video=item(1).video[:, :1], mouth_TYX=torch.zeros(1, 2, 2), edited_TYX=changed)
    weigh = Weighing(still=2.0, given=3.0)
    edited, _ = loss_weights(still, BaseTask("edit", 0.5, frozenset()), weigh)
    assert torch.equal(edited[0, 0, ::2, ::2], 3 * (1 + EDITED_WEIGHT * changed[0]))
    assert {float(w) for w in loss_weights(still, BaseTask("r2v", 0.5, frozenset()), weigh)[0].unique()} == {3.0}
    assert {float(w) for w in loss_weights(still, BaseTask("t2v", 0.5, frozenset()), weigh)[0].unique()} == {2.0}


def test_cuts_of_takes_hold_the_mouth(tmp_path: Path) -> None:
    for index in range(12):
        take = painted(index)
        wide = np.zeros((13, 128, 160, 3), np.uint8)
        wide[:, 32:64, 128:160] = 255  # the token that the mouth is in
        mouth = np.zeros((4, 4, 5), np.uint8)
        mouth[:, 1, 4] = 90
        takes.write(tmp_path, replace(take, frames_TYX3=wide, mouth_LYX=mouth, face_LYX=mouth))
    assert frames.cut_takes(tmp_path, tmp_path / "frames", quiet=True) == 1
    assert frames.cut_takes(tmp_path, tmp_path / "frames", quiet=True) == 0
    (shard,) = frames.read(tmp_path / "frames").shards[128]
    assert shard.shape == (24, 13, 128, 128, 3)
    assert (shard[::2].mean((1, 2, 3, 4)) > 10).all()


def line_recipe(num_steps: int) -> Recipe:
    """A small matrix learned by both optimizers; batches depend on the step alone."""

    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Linear(4, 4)
            self.outside = nn.Linear(4, 2)

    def batch(step: int, device: torch.device) -> Tensor:
        return torch.randn(8, 4, generator=torch.Generator().manual_seed(step)).to(device)

    def loss(modules: dict[str, nn.Module], x: Tensor) -> dict[str, Tensor]:
        module: Any = modules["line"]
        return {"loss": (module.outside(module.block(x).tanh()) - x[:, :2]).square().mean()}

    def build() -> dict[str, nn.Module]:
        torch.manual_seed(0)
        return {"line": Inside()}

    return Recipe(
        "line", {"num_steps": num_steps}, build, batch, loss,
        lambda modules, folder: export_module(modules["line"], folder / "line.safetensors"),
        num_steps=num_steps, warmup_steps=2, inner=("line",),
    )  # fmt: skip


def test_a_run_that_was_stopped_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    whole = line_recipe(30)

    def stop_at_13(step: int, device: torch.device) -> Tensor:
        if step == 13:
            raise KeyboardInterrupt
        drawn: Tensor = whole.batch(step, device)
        return drawn

    with pytest.raises(KeyboardInterrupt):
        train(replace(whole, batch=stop_at_13), tmp_path / "parts", device="cpu", quiet=True, save_every_s=0.0)
    ends = {}
    for name in ("parts", "whole"):
        train(whole, tmp_path / name, device="cpu", quiet=True)
        ends[name] = load_file(tmp_path / name / "export" / "line.safetensors")
        assert len((tmp_path / name / "loss.jsonl").read_text().splitlines()) == 30
    assert all(torch.equal(ends["whole"][n], ends["parts"][n]) for n in ends["whole"])
    with pytest.raises(UserError, match="another recipe"):
        train(line_recipe(31), tmp_path / "whole", device="cpu", quiet=True)


def test_base_and_few_step_train_from_a_cache(tmp_path: Path) -> None:
    for name in ("takes", "stills"):
        (tmp_path / name).mkdir()
    for index in range(3):
        references = painted(7).frames_TYX3[:2] if index else None
        takes.write(tmp_path / "takes", painted(index, references_RYX3=references))
        takes.write(tmp_path / "stills", replace(painted(index), frames_TYX3=painted(index).frames_TYX3[:1],
                                                 mouth_LYX=painted(index).mouth_LYX[2:3]))  # fmt: skip
    codec, sound = FixedVideoCodec(), FixedAudioCodec()
    for name in ("takes", "stills"):
        latents.build(tmp_path / name, tmp_path / f"{name}_latents", codec, sound, quiet=True)
    export_module(TinyVideoCodec(), tmp_path / "codec.safetensors")
    settings: dict[str, Any] = {
        "latents": str(tmp_path / "takes_latents"), "stills": str(tmp_path / "stills_latents"), "batch_size": 4,
        "num_stills": 2, "longest": 2, "codec": str(tmp_path / "codec.safetensors"), "muon": True, "num_steps": 2,
        "num_layers": 2, "hidden_size": 64, "head_dim": 64,
    }  # fmt: skip
    train(base.recipe(**settings), tmp_path / "first", device="cpu", quiet=True)
    start = str(tmp_path / "first" / "export")
    train(
        base.recipe(**settings, start=start, closest=0.01, num_given=1), tmp_path / "second", device="cpu", quiet=True
    )
    few = few_step.recipe(settings["latents"], start, batch_size=2, num_given=1, num_steps=2, num_inference_steps=4)
    train(few, tmp_path / "few", device="cpu", quiet=True)
    alone = draft.recipe(settings["stills"], start, batch_size=3, num_given=1, given=settings["latents"], num_steps=2)
    train(alone, tmp_path / "alone", device="cpu", quiet=True)
    assert not (tmp_path / "alone" / "export" / "text.safetensors").exists()  # it reads with the base's
    drawn = tmp_path / "alone" / "export" / "draft.safetensors"
    (Path(start) / drawn.name).write_bytes(drawn.read_bytes())
    goes_on = draft.recipe(settings["stills"], start, batch_size=3).build()["base"].state_dict()
    wanted = load_transformer(drawn, matrix_dtype=torch.float32).state_dict()
    assert all(torch.equal(goes_on[name], wanted[name]) for name in wanted)
    torch.manual_seed(0)
    new = load_transformer(drawn, matrix_dtype=torch.float32)
    new.load_state_dict({n: value + 0.1 * torch.randn_like(value) for n, value in wanted.items()})
    recipe = draft.recipe(settings["stills"], start, batch_size=3, kept=0.25)
    recipe.export({"base": new}, tmp_path / "kept")
    kept = load_transformer(tmp_path / "kept" / drawn.name, matrix_dtype=torch.float32).state_dict()
    name = next(n for n in wanted if n.startswith("block.") and wanted[n].ndim == 2)
    between = torch.lerp(new.state_dict()[name], wanted[name], 0.25)
    assert torch.allclose(kept[name], between, atol=float(between.abs().max()) / 127)
    assert not torch.allclose(kept[name], new.state_dict()[name], atol=float(between.abs().max()) / 60)
    with pytest.raises(InvalidRequest, match="between 0 and 1"):
        draft.recipe(settings["stills"], start, kept=1.5)
    before = load_transformer(Path(start) / "base.safetensors", matrix_dtype=torch.float32).state_dict()
    for name, file in (("second", "base"), ("alone", "draft"), ("few", "base")):
        after = load_transformer(tmp_path / name / "export" / f"{file}.safetensors", matrix_dtype=torch.float32)
        moved = [n for n, t in after.state_dict().items() if n.startswith("block.") and not torch.equal(t, before[n])]
        assert len(moved) > 4, name
    assert after.config.video_lasting and after.config.distilled
    few_steps = str(tmp_path / "few" / "export")
    for stays in (False, True):  # a student that goes on with plain pictures
        on = base.recipe(**settings, start=few_steps, scaled=False, still_distilled=stays).build()["base"]
        assert isinstance(on, Transformer) and on.config.distilled is stays
        assert on.config.video_lasting == after.config.video_lasting
    second = str(tmp_path / "second" / "export")
    begun = few_step.recipe(settings["latents"], start, start=second, batch_size=2).build()["base"].state_dict()
    wanted = load_transformer(Path(second) / "base.safetensors", matrix_dtype=torch.float32).state_dict()
    assert all(torch.equal(begun[name], wanted[name]) for name in wanted)


def test_a_draft_does_not_learn_pictures_larger_than_it_draws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def holds(rows: int, cols: int) -> None:
        one = SimpleNamespace(video=torch.zeros(48, 1, rows, cols))
        monkeypatch.setattr(latents, "read", lambda _: SimpleNamespace(item=lambda _: one))
        draft.check_area(tmp_path)

    for shape in ((8, 14), (14, 8), (10, 10), (4, 4)):
        holds(*shape)
    with pytest.raises(UserError, match="pictures of 448x256"):
        holds(16, 28)


@pytest.mark.parametrize("deep", [False, True])
def test_clips_encoded_in_pieces_are_those_encoded_whole(deep: bool) -> None:
    torch.manual_seed(0)
    codec = TinyVideoCodec(TinyCodecConfig(deep_encoder=deep)).eval()
    if deep:
        torch.nn.init.normal_(codec.encode_out.weight, std=0.1)
    frames = torch.rand(1, 3, 4 * 19 + 1, 32, 48) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(codec.encode(frames), codec.to_latent(frames), atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [1, 6, 7, 20])
def test_the_codec_tells_how_many_latents_decoding_reads(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, seen = TinyVideoCodec().eval(), []
    real = codec.to_frames

    def watched(latent: torch.Tensor) -> torch.Tensor:
        seen.append(latent.shape[2])
        return real(latent)

    monkeypatch.setattr(codec, "to_frames", watched)
    codec.decode(torch.zeros(1, 48, count, 2, 2))
    assert sum(seen) == codec.latents_read(count)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"first_given": ".9"}, "first_given=.9: base wants a number"),
        ({"batch_size": 2.5}, "a whole number"),
        ({"muon": 1}, "true or false"),
        ({"latents": 3}, "text"),
        ({"speed": 3}, "speed"),
    ],
)
def test_settings_of_another_kind_are_refused(settings: dict[str, object], wanted: str) -> None:
    with pytest.raises(InvalidRequest, match=wanted):
        recipes.recipe("base", settings)
