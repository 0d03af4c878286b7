"""How one request becomes a clip: encode, step, upscale, decode. Read this file first.

Each function is pure in its state: `Components` hold the weights, `GenerationState` everything else. Noise comes from
a key (seed, stage, step, stream), so a state that was saved, loaded and stepped gives the same bits.

Legend: B samples, N tokens, C channels, T latent frames, Y X latent rows/columns, A audio latents, S samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from muybridge.engine import foley
from muybridge.engine.clip import Clip
from muybridge.engine.components import Components, Denoiser
from muybridge.engine.conditions import encode_conditions, frames_to_tensor
from muybridge.engine.left_alone import edited_cells, is_edit, is_source_s_own, left_alone, pushed, put_back
from muybridge.engine.pixels import decode_frames, enlarge, pixels_of
from muybridge.engine.sampling import Sampling, base_sampling, upscaler_sampling
from muybridge.engine.state import STREAMS, Conditions, GenerationState
from muybridge.errors import InvalidRequest
from muybridge.flow.conditioning import CleanLatents, keyframes
from muybridge.flow.guidance import FULL, TEXT, guide
from muybridge.flow.noise import SLOW, noise, restless
from muybridge.flow.scaling import NO_MOMENTS, Moments, velocity_of
from muybridge.flow.schedule import Schedule
from muybridge.flow.solver import SolverState, distilled_step, euler_step, unipc_step
from muybridge.flow.upscale_start import audio_context, near_start, upscale_start
from muybridge.model import tokens
from muybridge.model.codecs import VideoCodec
from muybridge.model.tokens import Packed, Role, Sample, TextTokens, pack
from muybridge.request import AudioMode, Request
from muybridge.shapes import (
    AUDIO_CHANNELS,
    FPS,
    LATENT_CHANNELS,
    PATCH,
    SMALL_UPSCALE_AREA,
    PixelSize,
    StagePlan,
    Window,
    clock,
    plan_stages,
)
from muybridge.speech import sounds

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan

# How much of an answer counts where latents are known: guided answers say more than is true (docs/log.md).
TRUST = 0.7
MOVED_TRUST = 0.4  # where motion is known: the answers tell of it once more
EDIT_TRUST = 0.4  # it says still more beside an edit's first picture and its source, which it never saw together
MAX_LATENTS = 1000  # more than a clip ever has
MOST_TOGETHER = 512  # tokens of all guidance passes up to which one run of them costs less than several
START = -1  # the step of a stage's first noise
SPEECH, REFERENCE = "speech", "reference"


def stages_of(parts: Components, request: Request) -> tuple[StagePlan, ...]:
    """The stages of a request with these weights: without the upscaler where pixels are enlarged in its place."""
    stages = plan_stages(request, parts.size)
    return stages[:1] if parts.upscaler is None and parts.enlarges_pixels else stages


def encode(
    parts: Components, request: Request, plan: Plan | None = None, window: Window | None = None
) -> GenerationState:
    """The state before the first step. Raises UserError for what the loaded weights cannot do."""
    window = window or Window(0, clock(request.seconds))
    stages = stages_of(parts, request)
    large = stages[1].size if len(stages) > 1 else None
    if large is not None and parts.upscaler is None:
        raise InvalidRequest(
            f"{request.pixel_size} needs an upscaler, and this {parts.size} has none. Ask for {stages[0].size}.", "size"
        )
    conditions = encode_conditions(parts, request, window, stages[0].size, large, plan)
    rows, cols = stages[0].size.latent
    ticks, key = window.clock, f"base@{window.start_unit}"
    latents = {
        "video": noise(request.seed, key, START, "video", (1, LATENT_CHANNELS, ticks.num_video_latents, rows, cols)),
        "audio": noise(request.seed, key, START, "audio", (1, ticks.num_audio_latents, AUDIO_CHANNELS)),
    }
    return begin(parts, GenerationState(request, parts.size, window, "base", 0, latents, _solvers(), conditions))


def begin(parts: Components, state: GenerationState) -> GenerationState:
    """A state at noise with what it knows put in; also where that came later (engine/programme.py)."""
    latents = dict(state.latents)
    if is_guessed(parts, state.conditions):
        latents["video"] = restless(latents["video"], slow_of(state.conditions))
    return replace(state, latents=_keep_clean(state, latents))


def guesses(parts: Components) -> bool:
    """Whether the base's pictures are guessed over time where something is known of them (flow/continuity.py)."""
    return bool(parts.moments.get("video", NO_MOMENTS).continuity.lasting_C)


def is_guessed(parts: Components, conditions: Conditions) -> bool:
    """Whether they are with these conditions."""
    return guesses(parts) and bool(conditions.frames or conditions.source_BCTYX is not None)


def slow_of(conditions: Conditions) -> int:
    """What `restless` leaves out: beside a source the mean alone, for an edit that stays is made of slow noise."""
    return SLOW if conditions.source_BCTYX is None else MAX_LATENTS


def upscale(parts: Components, state: GenerationState) -> GenerationState:
    """From the end of the base stage to the start of the upscaler's; to done after it, or where base is enough."""
    stages = stages_of(parts, state.request)
    if state.stage == "base":
        state = replace(state, conditions=replace(state.conditions, left_alone_TYX=left_alone(parts, state)))
    if len(stages) == 1 or state.stage == "upscaler":
        return replace(state, stage="done", step=0)
    rows, cols = stages[1].size.latent
    base = state.latents["video"]
    shape = (*base.shape[:3], rows, cols)
    key = f"upscaler@{state.window.start_unit}"
    draw = noise(state.request.seed, key, START, "video", shape)
    if parts.enlarges_pixels:
        if draws_nothing(parts, state):
            state = replace(state, stage="upscaler")
            return replace(state, step=num_steps(parts, state))
        enlarged = enlarged_latent(parts.video_codec, base.to(parts.device), stages[1].size)
        start = near_start(enlarged, draw, parts.upscaler_moments.noise)
    else:
        start = upscale_start(base.cpu(), draw, align_corners=parts.aligned_corners)
    latents = {"video": start, "audio": state.latents["audio"]}
    state = replace(state, stage="upscaler", step=0, latents=latents, solvers=_solvers())
    return replace(state, latents=_keep_clean(state, latents))


def draws_nothing(parts: Components, state: GenerationState) -> bool:
    """Whether an upscaler has nothing to draw: a film has the detail, and so have a source's own frames."""
    return state.conditions.film is not None or is_source_s_own(parts, state)


@torch.inference_mode()
def enlarged_latent(codec: VideoCodec, latent_BCTYX: Tensor, size: PixelSize) -> Tensor:
    """The latent of the base's picture at `size`: decoded, interpolated and encoded again. On the CPU."""
    num_frames = codec.stride[0] * (latent_BCTYX.shape[2] - 1) + 1
    frames = decode_frames(codec, latent_BCTYX, pixels_of(codec, latent_BCTYX), num_frames)
    return codec.encode(frames_to_tensor(enlarge(frames, size)).to(latent_BCTYX.device)).cpu()


@torch.inference_mode()
def step(parts: Components, state: GenerationState, prepared: Prepared | None = None) -> GenerationState:
    """One step of the current stage. At a stage's end the caller goes on with `upscale` or `decode`: see `is_done`."""
    prepared = prepared or prepare(parts, state)
    velocity = _velocity(prepared, state)
    latents, solvers = dict(state.latents), dict(state.solvers)
    for stream in prepared.moving:
        x = state.latents[stream].to(parts.device)
        latents[stream], solvers[stream] = _solve(prepared, state, stream, x, velocity[stream])
    state = replace(state, step=state.step + 1, latents=latents, solvers=solvers)
    return replace(state, latents=_keep_clean(state, latents))


@torch.inference_mode()
def guess(parts: Components, state: GenerationState, prepared: Prepared) -> Tensor:
    """[B, C, T, Y, X]: the picture that the current step tells of, without its noise; what a last step gives."""
    x = state.latents["video"].to(parts.device)
    clean: Tensor = x - prepared.schedule.sigma(state.step) * _velocity(prepared, state)["video"]
    return clean


@torch.inference_mode()
def decode(parts: Components, state: GenerationState, on_frames: Callable[[Clip], None] | None = None) -> Clip:
    """Frames and sound of exactly the asked size and length; frame n starts at sample n * rate / 25.

    `on_frames` sees the first frames, with the whole sound, as soon as they are there; where a film is put together.
    """
    sound_CS, rate = _sound(parts, state)
    ticks, size = state.window.clock, state.request.pixel_size
    made = stages_of(parts, state.request)[-1].size
    is_small = made.width < size.width or made.height < size.height
    if is_source_s_own(parts, state):
        frames_TYXC = np.zeros((ticks.num_frames, size.height, size.width, 3), np.uint8)
    elif state.conditions.film is None:
        latent = state.latents["video"].to(parts.device)
        frames_TYXC = decode_frames(parts.video_codec, latent, made if is_small else size, ticks.num_frames)
        frames_TYXC = enlarge(frames_TYXC, size) if is_small else frames_TYXC
    else:
        from muybridge.engine.projector import composed  # late: a film is made with the pipeline

        ready = None if on_frames is None else lambda frames: on_frames(Clip(frames, sound_CS, rate))
        frames_TYXC = composed(parts, state, ready)
    if state.conditions.left_alone_TYX is not None:
        put_back(parts, frames_TYXC, state)
    return Clip(frames_TYXC, sound_CS, rate)


def _sound(parts: Components, state: GenerationState) -> tuple[NDArray[np.float32] | None, int]:
    """(waveform [C, S], its rate); None where none was asked for."""
    ticks, voice_CS, rate = state.window.clock, state.conditions.voice_CS, parts.audio_codec.sample_rate
    if state.request.audio_mode is AudioMode.NONE:
        return None, rate
    if voice_CS is not None:  # the sound that comes out is the sound that went in, not its latent's
        return voice_CS.cpu().numpy(), voice_CS.shape[1] * FPS // ticks.num_frames
    waveform = parts.audio_codec.decode(state.latents["audio"].transpose(1, 2).to(parts.device))[0]
    wave_CS = (parts.voice_gain * waveform[:, : ticks.num_samples(rate)].float()).clamp(-1, 1).cpu().numpy()
    if state.conditions.has_sounds:
        found = sounds.asked(state.request)
        wave_CS = foley.heard(found, wave_CS, rate, state.request.seed, state.conditions.is_said)
    return wave_CS, rate


@torch.inference_mode()
def preview(parts: Components, state: GenerationState) -> NDArray[np.uint8]:
    """The middle latent decoded as a picture [Y, X, 3]; noisy early on, since x_t is shown as it is."""
    latent = state.latents["video"]
    middle = latent[:, :, latent.shape[2] // 2 :][:, :, :1].to(parts.device)
    size = pixels_of(parts.video_codec, middle)
    frame: NDArray[np.uint8] = decode_frames(parts.video_codec, middle, size, 1)[0]
    return frame


@dataclass(frozen=True, eq=False)
class Prepared:
    """What stays the same over the steps of a stage: packed sequences by guidance pass, schedule, sizes."""

    model: Denoiser
    sampling: Sampling
    schedule: Schedule
    packed: Mapping[str, Packed]
    moving: tuple[str, ...]  # streams that are denoised
    audio_context_NC: Tensor | None  # the upscaler's fixed sound
    num_target: int
    rows: int
    cols: int
    moments: Mapping[str, Moments] = field(default_factory=dict)
    is_guessed: bool = False
    together: Packed | None = None  # all passes as one sequence, where that is short
    video_step: int = PATCH  # latents from token to token


def prepare(parts: Components, state: GenerationState) -> Prepared:
    """Coordinates, masks, rotary tables and clean tokens of the state's stage: built once, used by every step."""
    plan = _plan_of(parts, state)
    moving: tuple[str, ...]
    if state.stage == "base":
        sampling, model, moving = base_sampling(parts.size, state.request), parts.base, STREAMS
        known = state.conditions
        # Lips that nothing holds, or that are filmed already, need no push.
        if not (known.is_said and is_guessed(parts, known)) or known.has_lips:
            sampling = sampling.without(SPEECH)
        sound = None
    else:
        sampling, model, moving = upscaler_sampling(parts.size), upscaler_for(parts, plan.size), ("video",)
        audio = state.latents["audio"]
        draw = noise(state.request.seed, f"upscaler@{state.window.start_unit}", START, "audio", audio.shape)
        sound = audio_context(audio.cpu(), draw)[0].to(parts.device)
    schedule = sampling.schedule()
    names = dict.fromkeys(name for t in schedule.timesteps for name in sampling.guidance.passes(t))
    samples = {name: _sample(parts, state, plan, name) for name in names}
    packed = {name: pack([sample]) for name, sample in samples.items()}
    few = sum(sum(p.layout.splits) for p in packed.values()) <= MOST_TOGETHER
    together = pack(list(samples.values())) if few and len(samples) > 1 else None
    rows, cols = plan.size.latent
    step = parts.video_step if state.stage == "base" else PATCH
    num_target = plan.clock.num_video_latents * tokens.num_places(rows, step) * tokens.num_places(cols, step)
    moments = parts.moments if state.stage == "base" else {"video": parts.upscaler_moments}
    guessed = state.stage == "base" and is_guessed(parts, state.conditions)
    return Prepared(
        model, sampling, schedule, packed, moving, sound, num_target, rows, cols, moments, guessed, together, step
    )


def upscaler_for(parts: Components, size: PixelSize) -> Denoiser:
    """The upscaler of an output size: the small one, with full attention, up to 1024x576 where there is one."""
    assert parts.upscaler is not None
    is_small = size.width * size.height <= SMALL_UPSCALE_AREA
    return parts.small_upscaler if is_small and parts.small_upscaler is not None else parts.upscaler


def num_steps(parts: Components, state: GenerationState) -> int:
    """Steps of the state's stage."""
    if state.stage == "base":
        return base_sampling(parts.size, state.request).num_inference_steps
    return upscaler_sampling(parts.size).num_inference_steps


def _plan_of(parts: Components, state: GenerationState) -> StagePlan:
    plan = stages_of(parts, state.request)[0 if state.stage == "base" else 1]
    return replace(plan, clock=state.window.clock)


def _solvers() -> dict[str, SolverState]:
    return {stream: SolverState() for stream in STREAMS}


def _sample(parts: Components, state: GenerationState, plan: StagePlan, name: str) -> Sample:
    """The sequence of one guidance pass, target tokens first and still zero."""
    given, device = state.conditions, parts.device
    is_upscaler = state.stage == "upscaler"
    text = _text_of(given, name)
    coords = text.coords_N3 if not is_upscaler or parts.has_roles else tokens.scene_coords(len(text.coords_N3), True)
    text = TextTokens(text.features_NC.to(device), coords.to(device), text.roles_N.to(device))
    target = torch.zeros(LATENT_CHANNELS, plan.clock.num_video_latents, *plan.size.latent, device=device)
    silence = torch.zeros(plan.clock.num_audio_latents, AUDIO_CHANNELS, device=device)
    keeps_audio = given.voice_BAC is not None
    if is_upscaler:
        return tokens.sequence(text, target, silence, keeps_audio=keeps_audio)
    references, heard = (given.references, given.reference_audio_BAC) if name != REFERENCE else (None, None)
    sound = None if keeps_audio or given.source_audio_BAC is None else given.source_audio_BAC[0].to(device)
    return tokens.sequence(
        text,
        target,
        silence,
        keeps_audio=keeps_audio,
        references_RCTYX=None if references is None else references.to(device),
        source_CTYX=None if given.source_BCTYX is None else given.source_BCTYX[0].to(device),
        source_audio_AC=sound,
        reference_audio_AC=None if heard is None else heard[0].to(device),
        step=parts.video_step,
    )


def _text_of(conditions: Conditions, name: str) -> TextTokens:
    """A guidance pass's text: `text` has the negative prompt for scene and beats, `speech` no phonemes."""
    text = conditions.text
    if name in (FULL, REFERENCE):
        return text
    dropped = {SPEECH: (Role.SPEECH,), TEXT: (Role.SCENE, Role.BEAT)}[name]
    keep = torch.stack([text.roles_N != int(r) for r in dropped]).all(0)
    kept = TextTokens(text.features_NC[keep], text.coords_N3[keep], text.roles_N[keep])
    if name == SPEECH:
        return kept
    negative = conditions.negative
    return TextTokens(
        torch.cat([negative.features_NC, kept.features_NC]),
        torch.cat([negative.coords_N3, kept.coords_N3]),
        torch.cat([negative.roles_N, kept.roles_N]),
    )


def _velocity(prepared: Prepared, state: GenerationState) -> dict[str, Tensor]:
    """Guided velocity of both streams at the current step, shaped like the latents."""
    timestep = prepared.schedule.timesteps[state.step]
    device = next(iter(prepared.packed.values())).video_NC.device
    video_BCTYX, sigma = state.latents["video"].to(device), prepared.schedule.sigma(state.step)
    video_NC = tokens.patchify(video_BCTYX[0], prepared.video_step)
    audio_NC = prepared.audio_context_NC
    if audio_NC is None:
        audio_NC = state.latents["audio"][0].to(device)
    is_base, known = state.stage == "base", state.conditions
    passes, given = {}, known.frames if is_base else known.large_frames
    source = known.source_BCTYX.to(device) if is_base and known.source_BCTYX is not None else None
    anchor = known.anchor_BCTYX.to(device) if is_base and known.anchor_BCTYX is not None else None
    motion = known.motion_BCTYX.to(device) if is_base and known.motion_BCTYX is not None else None
    still_BCTYX = video_BCTYX if motion is None else _stilled(video_BCTYX, motion, sigma, given)
    seen, listened = (prepared.moments.get(stream, NO_MOMENTS) for stream in STREAMS)
    edited_YX = edited_cells(given[0].to(device), source) if source is not None and 0 in given else None
    trust = EDIT_TRUST if edited_YX is not None else TRUST if prepared.is_guessed and source is None else 1.0
    trust = trust if motion is None else MOVED_TRUST
    for name, (video, audio) in _answers(prepared, timestep, video_NC, audio_NC).items():
        answer = video[: prepared.num_target], prepared.rows, prepared.cols, prepared.video_step
        found = trust * tokens.unpatchify(*answer)[None]
        whole = velocity_of(found, still_BCTYX, sigma, seen, 1, given, source, anchor)
        whole = whole if motion is None else whole - motion
        if edited_YX is not None:  # there the source says nothing of what comes
            whole = torch.lerp(whole, velocity_of(found, video_BCTYX, sigma, seen, 1, given), edited_YX)
        heard = velocity_of(audio[None, : len(audio_NC)], audio_NC[None], sigma, listened, 2)
        passes[name] = {"video": whole, "audio": heard}
    velocity = guide(prepared.sampling.guidance, timestep, passes)
    if source is not None and edited_YX is None and prepared.is_guessed and is_edit(state):
        velocity["video"] = pushed(velocity["video"], video_BCTYX, sigma, source)
    return velocity


def _stilled(video_BCTYX: Tensor, motion_BCTYX: Tensor, sigma: float, given: Mapping[int, Tensor]) -> Tensor:
    """x_t as if nothing moved of what is known to move: x_0 less the motion is a clip that stands still."""
    share_T = torch.full((video_BCTYX.shape[2],), 1 - sigma, device=video_BCTYX.device)
    share_T[list(given)] = 1.0  # these are there without noise
    return video_BCTYX - share_T[:, None, None] * motion_BCTYX


def _answers(prepared: Prepared, timestep: int, video_NC: Tensor, audio_NC: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """What the network says of the noisy tokens in each guidance pass, and of the clean ones after them."""
    names = tuple(prepared.sampling.guidance.passes(timestep))
    is_one = prepared.together is not None and names == tuple(prepared.packed)
    runs = [(names, prepared.together)] if is_one else [((name,), prepared.packed[name]) for name in names]
    answers: dict[str, tuple[Tensor, Tensor]] = {}
    for run, packed in runs:
        assert packed is not None
        videos, audios = [], []
        counts = packed.layout.counts
        clean_video = packed.video_NC.split([c[0] for c in counts])
        clean_audio = packed.audio_NC.split([c[1] for c in counts])
        for video, audio in zip(clean_video, clean_audio, strict=True):
            videos += [video_NC, video[len(video_NC) :]]
            audios += [audio_NC, audio[len(audio_NC) :]]
        video, audio = prepared.model(packed.with_tokens(torch.cat(videos), torch.cat(audios)))
        parts = zip(video.split([c[0] for c in counts]), audio.split([c[1] for c in counts]), strict=True)
        answers |= dict(zip(run, parts, strict=True))
    return answers


def _solve(
    prepared: Prepared, state: GenerationState, stream: str, x: Tensor, velocity: Tensor
) -> tuple[Tensor, SolverState]:
    schedule, solver = prepared.schedule, state.solvers[stream]
    rule = prepared.sampling.rule_of(stream)
    if rule == "unipc":
        return unipc_step(schedule, solver, x, velocity)
    if rule == "euler":
        return euler_step(schedule, solver, x, velocity)
    key = f"{state.stage}@{state.window.start_unit}"
    fresh = noise(state.request.seed, key, state.step, stream, x.shape, x.device)
    if prepared.is_guessed and stream == "video":
        fresh = restless(fresh, slow_of(state.conditions))
    return distilled_step(schedule, solver, x, velocity, fresh, prepared.sampling.freshness)


def _keep_clean(state: GenerationState, latents: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Known latents put back: given frames, the overlap with the window before, a voice track."""
    kept = dict(latents)
    given = state.conditions.frames if state.stage == "base" else state.conditions.large_frames
    if given:
        x = kept["video"]
        kept["video"] = keyframes({i: latent.to(x.device) for i, latent in given.items()}, x).apply(x)
    voice = state.conditions.voice_BAC
    if voice is not None and state.stage == "base":
        kept["audio"] = voice.to(kept["audio"].device)
    elif state.conditions.overlap_audio_BAC is not None and state.stage == "base":
        x, overlap = kept["audio"], state.conditions.overlap_audio_BAC
        mask = torch.arange(x.shape[1], device=x.device)[None, :, None] < overlap.shape[1]
        padded = torch.nn.functional.pad(overlap.to(x.device), (0, 0, 0, x.shape[1] - overlap.shape[1]))
        kept["audio"] = CleanLatents(padded, mask).apply(x)
    return kept
