"""One request to one clip in every mode: exact lengths and sizes, what is kept clean, what the model is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_parts import engine, movie, parts, picture

from muybridge.engine import Engine, GenerationState, Progress, pipeline, pixels
from muybridge.engine.conditions import frames_to_tensor
from muybridge.engine.sampling import BASE, base_sampling, upscaler_sampling
from muybridge.errors import Cancelled, InvalidRequest, MediaInvalid
from muybridge.flow.noise import noise
from muybridge.media import condition_image, read_audio, read_image
from muybridge.model.fixed_codec import FixedVideoCodec
from muybridge.model.tokens import ALL_FRAMES, Role
from muybridge.request import AudioMode, Beat, Reference, Request
from muybridge.shapes import PixelSize, clock, plan_stages

SMALL = Request("a horse runs", size="64x64", seconds=3, num_inference_steps=2)


@pytest.fixture(scope="module")
def tiny() -> Engine:
    return engine()


@pytest.mark.parametrize("seconds", [3.0, 3.04, 3.08, 3.12, 3.16])
def test_clips_are_exactly_as_long_as_asked(tiny: Engine, seconds: float) -> None:
    clip = tiny.generate(SMALL.replace(seconds=seconds, num_inference_steps=1))
    count = round(seconds * 25)
    assert clip.frames_TYXC.shape == (count, 64, 64, 3)
    assert clip.frames_TYXC.dtype == np.uint8
    assert clip.waveform_CS is not None
    assert clip.waveform_CS.shape == (2, count * clip.sample_rate // 25)
    assert clip.waveform_CS.dtype == np.float32
    assert np.abs(clip.waveform_CS).max() <= 1
    assert clip.seconds == pytest.approx(seconds)


def test_the_seed_alone_decides(tiny: Engine) -> None:
    first = tiny.generate(SMALL)
    tiny.generate(SMALL.replace(seed=7))
    torch.manual_seed(5)
    again, other = engine().generate(SMALL), tiny.generate(SMALL.replace(seed=1))
    assert np.array_equal(first.frames_TYXC, again.frames_TYXC)
    assert np.array_equal(first.waveform_CS, again.waveform_CS)
    assert not np.array_equal(first.frames_TYXC, other.frames_TYXC)
    assert not np.array_equal(first.waveform_CS, other.waveform_CS)


def test_the_prompt_and_the_steps_matter(tiny: Engine) -> None:
    first = tiny.generate(SMALL).frames_TYXC
    for changes in ({"prompt": "a dog sleeps"}, {"num_inference_steps": 3}, {"guidance_scale": 4.0}):
        assert not np.array_equal(first, tiny.generate(SMALL.replace(**changes)).frames_TYXC), changes


def states(engine: Engine, request: Request) -> list[GenerationState]:
    """Every state from the first to the end of denoising."""
    seen = [engine.encode(request)]
    seen.append(engine.denoise(seen[0], lambda state, _: seen.append(state)))
    return seen


def encoded(path: Path, width: int, height: int, num_frames: int = 1) -> torch.Tensor:
    still = condition_image(read_image(path), height, width)[None].repeat(num_frames, 0)
    return FixedVideoCodec().encode(frames_to_tensor(still))[:, :, -1]


def test_first_and_last_frames_stay_clean_at_every_step(tiny: Engine, tmp_path: Path) -> None:
    first, last = picture(tmp_path / "a.png", 1), picture(tmp_path / "b.png", 2)
    for state in states(tiny, SMALL.replace(image=first, last_image=last, num_inference_steps=3)):
        video = state.latents["video"]
        assert torch.equal(video[:, :, 0], encoded(first, 64, 64))
        assert torch.equal(video[:, :, -1], encoded(last, 64, 64, num_frames=5))
        assert not torch.equal(video[:, :, 1], video[:, :, 0])


def test_first_frame_looks_like_the_picture_and_later_ones_need_not(tiny: Engine, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1, 64, 64)
    clip = tiny.generate(SMALL.replace(image=path))
    wanted = read_image(path).astype(float)
    assert np.abs(clip.frames_TYXC[0].astype(float) - wanted).mean() < 12
    assert np.abs(clip.frames_TYXC[40].astype(float) - wanted).mean() > 20


def layout_of(engine: Engine, request: Request, name: str = "full") -> Any:
    state = engine.encode(request)
    return pipeline.prepare(engine.parts, state).packed[name].layout


def test_references_are_tokens_after_the_clip_with_tags(tiny: Engine, tmp_path: Path) -> None:
    refs = [Reference(picture(tmp_path / f"{i}.png", i), f"Image {i + 1}") for i in range(3)]
    request = SMALL.replace(prompt="[Image 1] meets [Image 2] and [Image 3]", references=tuple(refs))
    layout = layout_of(tiny, request)
    num_latents = clock(3).num_video_latents
    is_reference = layout.roles_N == Role.REFERENCE
    assert is_reference.sum().item() == 3 * PixelSize(64, 64).tokens_per_latent
    assert (layout.frames_N[is_reference] == ALL_FRAMES).all()
    places = layout.coords_N3[is_reference][:, 0].unique()
    assert (places > num_latents).all()
    assert len(places) == 3
    assert layout.coords_N3[layout.roles_N == Role.TAG][:, 0].tolist() == places.tolist()
    state = tiny.encode(request)
    assert state.conditions.references is not None
    for index, ref in enumerate(refs):
        assert torch.equal(state.conditions.references[index][:, 0], encoded(ref.image, 64, 64)[0])


def test_an_edit_sees_its_source_at_the_same_times(tiny: Engine, tmp_path: Path) -> None:
    request = SMALL.replace(video=movie(tmp_path / "a.mp4"))
    layout = layout_of(tiny, request)
    num_video, num_audio, _ = layout.splits
    source, target = (layout.roles_N == role for role in (Role.SOURCE, Role.TARGET))
    assert torch.equal(layout.coords_N3[source], layout.coords_N3[target])
    assert torch.equal(layout.frames_N[:num_video][source[:num_video]], layout.frames_N[:num_video][target[:num_video]])
    assert source[num_video : num_video + num_audio].sum().item() == clock(3).num_audio_latents
    assert tiny.generate(request).frames_TYXC.shape[0] == 75


def test_a_short_source_holds_its_last_frame(tiny: Engine, tmp_path: Path) -> None:
    state = tiny.encode(SMALL.replace(video=movie(tmp_path / "a.mp4", seconds=1.0)))
    source = state.conditions.source_BCTYX
    assert source is not None
    assert source.shape[2] == clock(3).num_video_latents
    assert torch.equal(source[:, :, 10], source[:, :, -1])
    assert not torch.equal(source[:, :, 1], source[:, :, 2])


@pytest.mark.parametrize("mode", ["audio", "video"])
def test_a_kept_voice_is_never_touched(tiny: Engine, tmp_path: Path, mode: str) -> None:
    path = movie(tmp_path / "a.mp4")
    request = SMALL.replace(audio=path) if mode == "audio" else SMALL.replace(video=path, audio_mode=AudioMode.KEEP)
    seen = states(tiny, request)
    voice = seen[0].conditions.voice_BAC
    assert voice is not None
    assert voice.shape == (1, clock(3).num_audio_latents, 64)
    assert all(torch.equal(state.latents["audio"], voice) for state in seen)
    clip = tiny.decode(seen[-1])
    wanted, rate = read_audio(path)
    assert clip.waveform_CS is not None
    assert clip.sample_rate == rate
    assert np.array_equal(clip.waveform_CS, wanted[:, : 3 * rate])
    t = np.arange(24_000, 48_000) / 24_000  # the second second is the tone that was given
    tone = clip.waveform_CS[0, 24_000:48_000]
    heard = abs(np.exp(-2j * np.pi * 220 * t) @ tone) * 2 / len(t)
    assert heard == pytest.approx(0.3, rel=0.1)


def test_no_sound_when_none_is_wanted(tiny: Engine, tmp_path: Path) -> None:
    clip = tiny.generate(SMALL.replace(audio_mode=AudioMode.NONE))
    assert clip.waveform_CS is None
    saved = clip.save(tmp_path / "a.mp4")
    assert saved.stat().st_size > 0


def test_generated_sound_beside_an_edit_is_not_the_sources(tiny: Engine, tmp_path: Path) -> None:
    state = tiny.encode(SMALL.replace(video=movie(tmp_path / "a.mp4")))
    assert state.conditions.voice_BAC is None
    assert state.conditions.source_audio_BAC is not None
    assert not torch.equal(state.latents["audio"], state.conditions.source_audio_BAC)


def count_calls(engine: Engine) -> list[int]:
    """How many tokens each pass of the base model has, from now on; short passes may share a call."""
    calls: list[int] = []
    model = engine.parts.base

    def counted(packed: Any) -> Any:
        calls.extend(sum(counts) for counts in packed.layout.counts)
        return model(packed)

    engine.parts.base = counted
    return calls


@pytest.mark.parametrize(("scale", "passes"), [(None, 1), (1.0, 1), (3.0, 2), (0.0, 2)])
def test_guidance_costs_one_more_pass(scale: float | None, passes: int) -> None:
    made = engine()
    calls = count_calls(made)
    made.generate(SMALL.replace(guidance_scale=scale))
    assert len(calls) == 2 * passes


def test_guidance_is_away_from_the_negative_prompt() -> None:
    """v = v_neg + g (v_full - v_neg), from the velocities themselves."""
    made = engine()
    request = SMALL.replace(guidance_scale=3.0, negative_prompt="blurred dull slow")
    state = made.encode(request)
    prepared = pipeline.prepare(made.parts, state)
    assert set(prepared.packed) == {"full", "text"}
    assert prepared.packed["text"].layout.counts[0][2] == 3
    moved = pipeline.step(made.parts, state).latents
    alone = {}
    for name in ("full", "text"):
        with torch.inference_mode():
            packed = prepared.packed[name]
            tokens = pipeline.tokens.patchify(state.latents["video"][0])
            video, audio = made.parts.base(packed.with_tokens(tokens, state.latents["audio"][0]))
        alone[name] = pipeline.tokens.unpatchify(video, 4, 4), audio
    before, after = prepared.schedule.sigma(0), prepared.schedule.sigma(1)
    for index, stream in enumerate(("video", "audio")):
        velocity = alone["text"][index] + 3.0 * (alone["full"][index] - alone["text"][index])
        wanted = state.latents[stream][0] + (after - before) * velocity
        if stream == "video":  # re-noised in part; the sound follows the flow
            fresh = noise(request.seed, "base@0", 0, stream, wanted[None].shape, wanted.device)[0]
            x0, share = state.latents[stream][0] - before * velocity, prepared.sampling.freshness
            assert 0 < share < 1
            wanted = (1 - after) * x0 + after * ((1 - share**2) ** 0.5 * (x0 + velocity) + share * fresh)
        torch.testing.assert_close(moved[stream][0], wanted, rtol=1e-4, atol=1e-4)


def test_beats_are_tokens_on_their_spans(tiny: Engine) -> None:
    request = SMALL.replace(prompt="0-1 s: she turns; 1-3 s: she waves", beats=(Beat("rain", 0.5, 2.0),))
    layout = layout_of(tiny, request)
    beats = layout.coords_N3[layout.roles_N == Role.BEAT][:, 0] / 6.25  # seconds
    assert len(beats) > 3
    assert beats.min() >= 0
    assert beats.max() <= 3
    assert layout.roles_N.tolist().count(int(Role.SCENE)) == 8


@pytest.mark.parametrize(("size", "out"), [("474x282", (282, 474)), ("256x480", (480, 256))])
def test_the_upscaler_makes_exactly_the_asked_size(tiny: Engine, size: str, out: tuple[int, int]) -> None:
    request = SMALL.replace(size=size, num_inference_steps=1)
    stages = plan_stages(request, "tiny")
    seen = states(tiny, request)
    names = [s.stage for s in seen]
    if len(stages) == 2:
        assert names == ["base", "base", *["upscaler"] * 2, "done"]
        base = seen[1]
        assert all(torch.equal(s.latents["audio"], base.latents["audio"]) for s in seen[2:])
        assert seen[2].latents["video"].shape[-2:] == stages[1].size.latent
    clip = tiny.decode(seen[-1])
    assert clip.frames_TYXC.shape == (75, *out, 3)


def test_1080_lines_are_the_middle_of_1088() -> None:
    latent = torch.randn(1, 48, 1, 68, 120)
    whole = pixels.to_uint8(FixedVideoCodec().decode(latent)[0])
    cut = pixels.decode_frames(FixedVideoCodec(), latent, PixelSize(1920, 1080), 1)
    assert np.array_equal(cut, whole[:, 4:-4])


def test_coordinates_and_text_are_built_once_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    made, calls = engine(), 0
    real = pipeline.prepare

    def counted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return real(*args)

    monkeypatch.setattr(pipeline, "prepare", counted)
    made.generate(SMALL.replace(num_inference_steps=5))
    assert calls == 1
    made.generate(SMALL.replace(num_inference_steps=2))
    assert calls == 2


@pytest.mark.parametrize("size", [*BASE])
@pytest.mark.parametrize("changes", [{}, {"num_inference_steps": 7}, {"guidance_scale": 2.0}, {"guidance_scale": 1.0}])
def test_the_price_counts_the_passes_that_are_run(size: str, changes: dict[str, Any]) -> None:
    request = Request("x", size="1080p", **changes)
    planned = plan_stages(request, size)
    sampling = base_sampling(size, request)
    timesteps = sampling.schedule().timesteps
    passes = sum(len(sampling.guidance.passes(t)) for t in timesteps)
    assert planned[0].num_inference_steps * planned[0].num_passes == passes
    assert planned[1].num_inference_steps == upscaler_sampling(size).num_inference_steps


def test_cancelling_stops_at_the_next_step_and_leaves_the_engine_whole() -> None:
    made = engine()
    calls = count_calls(made)
    wanted = made.generate(SMALL).frames_TYXC
    calls.clear()

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            raise Cancelled("cancelled by the user")

    with pytest.raises(Cancelled):
        made.generate(SMALL.replace(num_inference_steps=6, guidance_scale=1.0), stop)
    assert len(calls) == 2
    assert np.array_equal(made.generate(SMALL).frames_TYXC, wanted)


@pytest.mark.parametrize("size", ["64x64", "474x282"])
def test_progress_only_grows(tiny: Engine, size: str) -> None:
    seen: list[Progress] = []
    tiny.generate(SMALL.replace(size=size), seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(set(fractions))
    assert fractions[0] > 0
    assert fractions[-1] < 1
    assert all(1 <= p.step <= p.num_steps for p in seen)
    assert all(p.eta_s is not None and p.eta_s > 0 for p in seen)
    assert {p.stage for p in seen} == ({"base"} if size == "64x64" else {"base", "upscaler"})


def test_weights_without_roles_refuse_what_they_never_learned(tmp_path: Path) -> None:
    made = Engine(replace(parts(), has_roles=False))
    with pytest.raises(InvalidRequest, match="not trained for r2v") as caught:
        made.generate(SMALL.replace(references=(Reference(tmp_path / "a.png", "Image 1"),)))
    assert caught.value.field == "model"
    with pytest.raises(InvalidRequest, match="not trained for edit"):
        made.generate(SMALL.replace(video=tmp_path / "a.mp4"))


@pytest.mark.parametrize("field", ["image", "last_image", "video", "audio"])
@pytest.mark.parametrize(
    "content", [b"", b"not media at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"RIFF\0\0\0\0WAVEfmt "]
)
def test_bad_files_are_refused_with_their_own_error(tiny: Engine, tmp_path: Path, field: str, content: bytes) -> None:
    path = tmp_path / "bad.bin"
    path.write_bytes(content)
    with pytest.raises(MediaInvalid) as caught:
        tiny.generate(SMALL.replace(**{field: path}))
    assert str(tmp_path) not in str(caught.value) or "bad.bin" in str(caught.value)


def test_keeping_the_sound_of_a_silent_source_is_refused(tiny: Engine, tmp_path: Path) -> None:
    silent = movie(tmp_path / "a.mp4", with_sound=False)
    with pytest.raises(MediaInvalid, match="no sound"):
        tiny.generate(SMALL.replace(video=silent, audio_mode=AudioMode.KEEP))


def test_preview_is_one_picture_of_the_state(tiny: Engine) -> None:
    picture_YXC = tiny.preview(tiny.encode(SMALL))
    assert picture_YXC.shape == (64, 64, 3)
    assert picture_YXC.dtype == np.uint8
