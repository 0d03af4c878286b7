"""A programme longer than one shot: window after window on the programme's clock, in memory that does not grow.

Each window starts from latents of the one before: the picture of its first frame encoded anew (a causal clip's first
latent stands for one frame), then `overlap_units` latents and their sound carried over as they are. Where an upscaler
runs, both stages get theirs. All windows after the first are told who they are about (anchor.py). Frames go to the sink
as soon as they are final. Sound is joined over one frame in which both windows agree on what is heard.

Legend: T frames, Y X rows/columns, C channels, S samples.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine import foley, pipeline, pixels
from muybridge.engine.anchor import Anchor, anchored, remember
from muybridge.engine.clip import Clip
from muybridge.engine.components import Components
from muybridge.engine.conditions import frames_to_tensor
from muybridge.engine.draft import goes_on
from muybridge.engine.engine import Engine
from muybridge.engine.meter import Progress
from muybridge.engine.state import Film, GenerationState
from muybridge.engine.windows import plan_windows
from muybridge.engine.wishes import course_of
from muybridge.request import MAX_PROMPT_CHARS, Beat, Request, timed_beats
from muybridge.shapes import FPS, MAX_SECONDS, STRIDE_T, WINDOW_SECONDS, PixelSize, Window, sample_at_frame
from muybridge.speech.script import NAME_OF, parse_script
from muybridge.speech.sounds import sounds_of

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan

Frames = NDArray[np.uint8]
Waveform = NDArray[np.float32]
BASE = "base"  # among a state's latents after its base stage: what the next window's base stage starts from


class Sink(Protocol):
    """Where finished frames and their sound go; `media.ClipWriter` is one."""

    def add(self, frames_TYXC: Frames, waveform_CS: Waveform | None = None) -> None: ...


class Checkpoints(Protocol):
    """Where a window's state outlives the process: after every step, and when the window is done."""

    def load(self, index: int) -> GenerationState | None: ...

    def save(self, index: int, state: GenerationState) -> None: ...


@dataclass(frozen=True, eq=False)
class Carried:
    """What a window hands to the next: its first latents, at each stage's size, and the sound of their last frame."""

    frames: Mapping[int, Tensor]
    large_frames: Mapping[int, Tensor]  # empty without an upscaler
    audio_BAC: Tensor
    last_sound_CS: Waveform | None
    film: Film | None = None


def generate_programme(
    engine: Engine,
    request: Request,
    seconds: float,
    sink: Sink,
    *,
    plan: Plan | None = None,
    beats: Sequence[Beat] = (),
    on_step: Callable[[int, int, Progress], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Window, ...]:
    """Make `seconds` of programme and give it to `sink` piece by piece; returns the windows.

    `plan`, `beats` and the spans in the prompt have times on the programme. `request` holds everything else; its own
    seconds do not count. `on_step` sees (window, number of windows, progress in the window) and may raise to stop.
    With the `checkpoints` of a run that was killed the rest is made, and the sink gets the same bits from the start on.
    """
    script = parse_script(request.prompt, request.language)
    # Spans in the prompt are on the programme's clock: they become beats, and each window gets its own.
    request, beats = request.replace(prompt=script.scene or request.prompt), (*script.beats, *beats)
    windows = windows_of(seconds, plan, engine.parts.size)
    around, course = _around(engine.parts, request, beats, seconds, plan), course_of(request, beats, seconds)
    carried: Carried | None = None
    anchor: Anchor | None = None
    for index, window in enumerate(windows):
        state = None if checkpoints is None else checkpoints.load(index)
        if state is None:
            part = _request_of(request, window, beats, plan)
            said = None if plan is None else _plan_of(plan, window)
            state = engine.encode(part, window, said, course)
            state = (
                state
                if carried is None
                else goes_on(engine.parts, _begin_from(engine.parts, state, carried), said, carried.film, course)
            )
            state = state if anchor is None else anchored(engine.parts, state, anchor)

        def step(now: GenerationState, progress: Progress, index: int = index) -> None:
            if checkpoints is not None:
                checkpoints.save(index, now)
            if on_step is not None:
                on_step(index, len(windows), progress)

        _give_back()
        was_done = state.stage == "done"
        state = _denoise(engine, state, step)
        if checkpoints is not None and not was_done:
            checkpoints.save(index, state)
        early = _Early(sink, around, window, state)
        _give_back()
        made, clip = _decode(engine, state, early.see if index == 0 and len(windows) > 1 else None)
        made = _sounding(made, around, window, state)
        clip = replace(clip, waveform_CS=made.waveform_CS)
        is_last = index == len(windows) - 1
        _deliver(sink, clip, window, carried, is_last, early.sent)
        if not is_last:
            carried = _carry(engine.parts, made, state, windows[index + 1], window)
            anchor = remember(anchor, state, state.latents.get(BASE, state.latents["video"]), plan)
        del made, clip, early  # or a window's frames lie beside those of the next while it is decoded
        _give_back()
    return windows


@dataclass
class _Early:
    """Sends the first second of a programme before its first window is whole."""

    sink: Sink
    around: foley.Around | None
    window: Window
    state: GenerationState
    sent: int = 0  # frames

    def see(self, part: Clip) -> None:
        """Called with the frames that are ready."""
        if self.sent or len(part.frames_TYXC) < FPS:
            return
        self.sent = FPS
        wave_CS, end = _sounding(part, self.around, self.window, self.state).waveform_CS, part.sample_rate
        self.sink.add(part.frames_TYXC[:FPS].copy(), None if wave_CS is None else wave_CS[:, :end].copy())


def _give_back() -> None:
    """Freed memory to the system, where the allocator can (glibc): else a window's remains lie among the next one's."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def windows_of(seconds: float, plan: Plan | None, size: str) -> tuple[Window, ...]:
    """The windows in which a model size makes a programme of a plan: cut where lines end."""
    ends_s = () if plan is None else tuple(line.end_s for line in plan.lines)
    return plan_windows(seconds, ends_s, max_seconds=WINDOW_SECONDS.get(size, MAX_SECONDS))


def _around(
    parts: Components, request: Request, beats: Sequence[Beat], seconds: float, plan: Plan | None
) -> foley.Around | None:
    """What sounds besides voices, where no sound is given and the size has no other way to it."""
    asked = sounds_of(request.prompt, beats, seconds)
    if not asked or not pipeline.guesses(parts) or request.video is not None or request.audio is not None:
        return None
    return foley.around(asked, seconds, request.seed, is_said=plan is not None and bool(plan.lines))


def _sounding(clip: Clip, around: foley.Around | None, window: Window, state: GenerationState) -> Clip:
    """The clip with what sounds around it at its place in the programme."""
    if around is None or clip.waveform_CS is None:
        return clip
    start_s = window.start_frame / FPS
    wave_CS = around.under(clip.waveform_CS, clip.sample_rate, start_s, state.conditions.is_said)
    return replace(clip, waveform_CS=wave_CS)


def _request_of(request: Request, window: Window, beats: Sequence[Beat], plan: Plan | None) -> Request:
    """The window's own request: its length, the words said in it, and the beats that touch it on its own clock."""
    start, length = window.start_frame / FPS, window.clock.seconds
    inside = [
        Beat(b.text, max(0.0, b.start_s - start), min(length, b.end_s - start))
        for b in beats
        if b.start_s < start + length and b.end_s > start
    ]
    image = request.image if window.start_unit == 0 else None
    told = "" if plan is None else _told(plan, start, start + length)
    prompt = f"{request.prompt} {told}"
    # Speech is on the clock as phonemes anyway; words that read as times, or are too many, stay out of the prompt.
    if not told or len(prompt) > MAX_PROMPT_CHARS or timed_beats(told) or parse_script(told).beats:
        prompt = request.prompt
    return request.replace(prompt=prompt, seconds=length, beats=tuple(inside), image=image, last_image=None)


_MANNER = {"calm": " calmly", "neutral": "", "energetic": " loudly"}


def _told(plan: Plan, start_s: float, end_s: float) -> str:
    """The lines of a span as a prompt tells them. A line of which most is elsewhere is not the span's."""
    told = []
    for line in plan.lines:
        shared = min(line.end_s, end_s) - max(line.start_s, start_s)
        if shared > 0.5 * min(line.end_s - line.start_s, end_s - start_s):
            words = line.text.replace('"', "'")
            who = line.speaker or "The person"
            told.append(f'{who} says{_MANNER[line.register]} in {NAME_OF[line.language]}: "{words}"')
    return " ".join(told)


def _plan_of(plan: Plan, window: Window) -> Plan:
    """The lines of a programme that touch the window, on the window's clock, phones cut at its edges."""
    start, length = window.start_frame / FPS, window.clock.seconds
    lines = []
    for line in plan.lines:
        phones = tuple(p.moved(-start) for p in line.phones if p.end_s > start and p.start_s < start + length)
        if phones:
            lines.append(replace(line, phones=phones, start_s=phones[0].start_s, end_s=phones[-1].end_s))
    return replace(plan, lines=tuple(lines), seconds=length)


def _denoise(
    engine: Engine, state: GenerationState, step: Callable[[GenerationState, Progress], None]
) -> GenerationState:
    """Run to the end. Where an upscaler follows, the base stage's latents stay in the state, in checkpoints too."""
    base = state.latents.get(BASE)

    def with_base(now: GenerationState) -> GenerationState:
        nonlocal base
        if now.stage == "base":
            base = now.latents["video"]
        elif base is not None and base.shape != now.latents["video"].shape:
            return replace(now, latents={**now.latents, BASE: base})
        return now

    with_base(state)
    return with_base(engine.denoise(state, lambda now, progress: step(with_base(now), progress)))


def _decode(
    engine: Engine, state: GenerationState, on_frames: Callable[[Clip], None] | None = None
) -> tuple[Clip, Clip]:
    """(the clip as large as it was made, as large as it is delivered): two where pixels are enlarged."""
    size, made = state.request.pixel_size, pipeline.stages_of(engine.parts, state.request)[-1].size
    if state.conditions.film is not None or (made.width >= size.width and made.height >= size.height):
        clip = engine.decode(state, on_frames)
        return clip, clip
    clip = engine.decode(replace(state, request=state.request.replace(size=f"{made.width}x{made.height}")))
    return clip, replace(clip, frames_TYXC=pixels.enlarge(clip.frames_TYXC, size))


def _begin_from(parts: Components, state: GenerationState, carried: Carried) -> GenerationState:
    """The state with its first latents known from the window before."""
    conditions = replace(
        state.conditions,
        frames=carried.frames,
        large_frames=carried.large_frames,
        overlap_audio_BAC=carried.audio_BAC,
    )
    return pipeline.begin(parts, replace(state, conditions=conditions))


def _carry(parts: Components, clip: Clip, state: GenerationState, following: Window, window: Window) -> Carried:
    """What `following` shares with `window`: latents start .. start+overlap and their 4*overlap+1 frames of sound."""
    begin = following.start_unit - window.start_unit
    frame = begin * STRIDE_T
    stages = pipeline.stages_of(parts, state.request)
    first_YXC = clip.frames_TYXC[frame]

    def shared(latent_BCTYX: Tensor, size: PixelSize) -> dict[int, Tensor]:
        kept = latent_BCTYX[:, :, begin + 1 : begin + 1 + following.overlap_units].cpu()
        later = {i + 1: kept[:, :, i : i + 1] for i in range(kept.shape[2])}
        return {0: _still(parts, first_YXC, stages[-1].size, size)} | later

    audio = state.latents["audio"][:, frame : frame + following.overlap_units * STRIDE_T + 1].cpu()
    last = None
    if clip.waveform_CS is not None:
        last = clip.waveform_CS[:, sample_at_frame(len(clip.frames_TYXC) - 1, clip.sample_rate) :].copy()
    video = state.latents["video"]
    large: Mapping[int, Tensor] = {}
    if len(stages) > 1 and state.conditions.film is None:
        large = shared(video, stages[1].size)
    elif len(stages) > 1:  # its large frames come from no latents
        large = {0: _still(parts, first_YXC, stages[1].size, stages[1].size)}
    return Carried(shared(state.latents.get(BASE, video), stages[0].size), large, audio, last, state.conditions.film)


def _still(parts: Components, frame_YXC: Frames, made: PixelSize, size: PixelSize) -> Tensor:
    """A delivered frame as a clip's first latent at a stage's size; what was cut off at its edges repeats the edge."""
    high, wide, _ = frame_YXC.shape
    if high > made.height or wide > made.width:
        scale = made.height / pixels.covering(made, PixelSize(wide, high)).height
        smaller_YX = (min(made.height, round(high * scale)), min(made.width, round(wide * scale)))
        picture = torch.from_numpy(frame_YXC).permute(2, 0, 1)[None]
        frame_YXC = nnf.interpolate(picture, smaller_YX, mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    rows, cols = made.height - frame_YXC.shape[0], made.width - frame_YXC.shape[1]
    whole = np.pad(frame_YXC, ((rows // 2, rows - rows // 2), (cols // 2, cols - cols // 2), (0, 0)), mode="edge")
    picture = frames_to_tensor(whole[None])
    if size != made:
        smaller = nnf.interpolate(picture[:, :, 0], (size.height, size.width), mode="bilinear", antialias=True)
        picture = smaller[:, :, None]
    return parts.video_codec.encode(picture.to(parts.device)).cpu()


def _deliver(sink: Sink, clip: Clip, window: Window, carried: Carried | None, is_last: bool, sent: int = 0) -> None:
    """Hand over the frames that no window before had and that were not `sent`, and the sound up to the last shared one.

    The last frame's sound waits for the next window and is cross-faded with it, so no seam is a step in the waveform.
    """
    skip = sent if carried is None else window.overlap_units * STRIDE_T + 1
    frames = clip.frames_TYXC[skip:]
    if clip.waveform_CS is None:
        sink.add(frames)
        return
    rate, total = clip.sample_rate, len(clip.frames_TYXC)
    first = skip if carried is None else skip - 1  # the frame whose sound was held back
    end = total if is_last else total - 1
    sound = clip.waveform_CS[:, sample_at_frame(first, rate) : sample_at_frame(end, rate)].copy()
    if carried is not None and carried.last_sound_CS is not None:
        length = carried.last_sound_CS.shape[1]
        rise = np.sin(np.linspace(0, np.pi / 2, length, dtype=np.float32)) ** 2
        sound[:, :length] = carried.last_sound_CS * (1 - rise) + sound[:, :length] * rise
    sink.add(frames, sound)
