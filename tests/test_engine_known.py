"""A network that says nothing keeps what it is given: a first picture to the end, a source left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from engine_parts import SHAPE, movie, picture
from torch import Tensor

from muybridge.engine import Engine, random_components
from muybridge.engine.pipeline import prepare
from muybridge.flow.continuity import Continuity
from muybridge.flow.noise import restless
from muybridge.flow.scaling import from_noise
from muybridge.model.tokens import Packed, Role
from muybridge.request import Request


def silent(packed: Packed) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(packed.video_NC), torch.zeros_like(packed.audio_NC)


def silent_engine(lasting: float, kept: float = 0.0) -> Engine:
    parts = random_components("tiny", seed=3, shape=SHAPE)
    continuity = Continuity((lasting,) * 48, (0.0,) * 48, (1.0,) * 48, (kept,) * 48)
    moments = {"video": from_noise((1.0,) * 48, continuity), "audio": from_noise((1.0,) * 64)}
    return Engine(replace(parts, base=silent, moments=moments))


def test_a_first_picture_stays_to_the_end(tmp_path: Path) -> None:
    request = Request("It stays.", image=picture(tmp_path / "a.png"), size="64x64", seconds=3, seed=4)
    engine = silent_engine(0.995)
    state = engine.encode(request)
    video = engine.denoise(state).latents["video"]
    first = state.conditions.frames[0][:, :, 0]
    apart = [float((video[:, :, k] - first).square().mean() / first.square().mean()) for k in range(video.shape[2])]
    assert apart[0] == 0 and max(apart) < 0.05
    alone = silent_engine(0.0).denoise(state).latents["video"][:, :, 1:]
    assert float((alone - first[:, :, None]).square().mean() / first.square().mean()) > 0.5


def test_an_edit_of_nothing_is_its_source(tmp_path: Path) -> None:
    request = Request("Leave it.", video=movie(tmp_path / "a.mp4"), size="64x64", seconds=3, seed=4)
    engine = silent_engine(0.5, 0.995)
    state = engine.encode(request)
    source = state.conditions.source_BCTYX
    assert source is not None
    video = engine.denoise(state).latents["video"]
    assert float((video - source).square().mean() / source.square().mean()) < 0.05


def test_noise_does_not_stand_still_where_a_picture_is_given(tmp_path: Path) -> None:
    given = Request("It stays.", image=picture(tmp_path / "a.png"), size="64x64", seconds=3, seed=4)
    engine = silent_engine(0.9)
    for request, stands in ((given, 0.0), (given.replace(image=None), 0.15)):
        state = engine.encode(request)
        start = state.latents["video"]
        if request.image is not None:
            assert torch.equal(start[:, :, :1], state.conditions.frames[0])
        still = start[:, :, 1:].mean(2).std()
        # The picture's own place holds the picture, so the mean of what is noise is that of the one left out.
        assert float(still) < 0.06 if stands == 0 else float(still) > stands


def test_slow_noise_is_left_out_and_fast_noise_stays() -> None:
    torch.manual_seed(0)
    draw = torch.randn(1, 4, 30, 5, 5)
    found = restless(draw)
    assert float(found.mean(2).abs().max()) < 1e-5
    spectrum = torch.fft.rfft(found, dim=2).abs().square().mean((0, 1, 3, 4))
    whole = torch.fft.rfft(draw, dim=2).abs().square().mean((0, 1, 3, 4))
    assert float((spectrum / whole)[:3].max()) < 0.2 and float((spectrum / whole)[8:].min()) > 0.8
    assert torch.allclose(restless(found), found, atol=1e-5)
    assert torch.equal(restless(draw[:, :, :1]), torch.zeros_like(draw[:, :, :1]))


def test_phones_guide_lips_where_a_picture_is_known(tmp_path: Path) -> None:
    given = Request("She talks.", image=picture(tmp_path / "a.png"), size="64x64", seconds=3, seed=4)
    engine = silent_engine(0.9)
    cases = ((given, True, True), (given, False, False), (given.replace(image=None), True, False))
    for request, is_said, wanted in cases:
        state = engine.encode(request)
        text = state.conditions.text
        roles_N = torch.full_like(text.roles_N, int(Role.SCENE))
        roles_N[-1] = int(Role.SPEECH if is_said else Role.SCENE)
        conditions = replace(state.conditions, text=replace(text, roles_N=roles_N))
        prepared = prepare(engine.parts, replace(state, conditions=conditions))
        assert ("speech" in prepared.packed) == wanted, request.task
        if wanted:
            alone, whole = (prepared.packed[name].layout.counts[0] for name in ("speech", "full"))
            assert alone == (*whole[:2], whole[2] - 1)
