"""From a request to clean tokens: text on and off the clock, first and last frames, references, source clips, voices.

Legend: B samples, N tokens, C channels, T time, Y X rows/columns (frames or latents), A audio latents, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from muybridge import media
from muybridge.engine.components import Components
from muybridge.engine.state import Conditions
from muybridge.errors import InvalidRequest, MediaInvalid
from muybridge.model import tokens
from muybridge.model.codecs import AudioCodec
from muybridge.model.tokens import Role, TextTokens
from muybridge.request import AudioMode, Request
from muybridge.shapes import FPS, STRIDE_T, Clock, PixelSize, Window
from muybridge.speech.durations import Phone
from muybridge.speech.script import parse_script
from muybridge.speech.symbols import token_ids

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan


UNKNOWN_LANGUAGE = "en"  # of a voice of which the request says nothing
# AAC's rates of which 25 is a divisor: all its usual ones.
AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def encode_conditions(
    parts: Components,
    request: Request,
    window: Window,
    base: PixelSize,
    large: PixelSize | None,
    plan: Plan | None,
) -> Conditions:
    """Everything the transformer is told besides noise. `large` is the upscaler's size where it runs.

    A voice track is that of the whole programme: a window hears its own part of it. Raises InvalidRequest for modes
    that the weights have no tokens for, MediaInvalid for files without pictures or sound.
    """
    if not parts.has_roles and (request.references or request.video):
        raise InvalidRequest(
            f"{parts.size} was not trained for {request.task.value}; use --model tiny or a provider that has it.",
            "model",
        )
    ticks = window.clock
    source, source_CS = _source(parts, request, ticks, base)
    voice_CS = _voice(request, window, source_CS)
    voice_BAC = None if voice_CS is None else _sound_latent(parts.audio_codec, voice_CS, ticks)
    said = spoken(plan)
    if request.audio is not None and voice_BAC is not None:
        said = heard(parts, voice_BAC, request.language)
    source_sound = None if source_CS is None else _sound_latent(parts.audio_codec, source_CS, ticks)
    return Conditions(
        text=encode_text(parts, request, ticks, said),
        negative=_scene(parts, request.negative_prompt or parts.negative_prompt),
        frames=_given_frames(parts, request, ticks, base),
        large_frames=_given_frames(parts, request, ticks, large) if large else {},
        references=_references(parts, request, base),
        source_BCTYX=source,
        source_audio_BAC=source_sound,
        voice_BAC=voice_BAC,
        voice_CS=None if voice_CS is None else torch.from_numpy(_delivered(voice_CS, ticks)),
    )


@dataclass(frozen=True)
class Said:
    """Phones on the clock that somebody says, and how."""

    phones: tuple[Phone, ...]
    language: str
    register: str
    speaker: str | None = None


def spoken(plan: Plan | None) -> list[Said]:
    """The lines of a plan."""
    return (
        [] if plan is None else [Said(line.phones, line.language, line.register, line.speaker) for line in plan.lines]
    )


def heard(parts: Components, voice_BAC: Tensor, language: str | None) -> list[Said]:
    """What a listener hears in a given voice, where the size has one; nothing in a track without words."""
    phones = [] if parts.listener is None else parts.listener.phones(voice_BAC[0])
    return [Said(tuple(phones), language or UNKNOWN_LANGUAGE, "neutral")] if phones else []


def encode_text(parts: Components, request: Request, ticks: Clock, said: Sequence[Said]) -> TextTokens:
    """Scene text off the clock; where the size has roles, beats on their spans, phonemes at their times, tags."""
    pieces = [_scene(parts, parts.format_prompt(request))]
    if parts.has_roles:
        for beat in (*request.beats, *parse_script(request.prompt, request.language).beats):
            (features_NC,) = parts.text_encoder.encode([beat.text])
            pieces.append(tokens.beat_tokens(features_NC.float().cpu(), beat.start_s, beat.end_s))
        names = [r.name for r in request.references]
        if names:
            tags = torch.stack([f.float().cpu().mean(0) for f in parts.text_encoder.encode(names)])
            pieces.append(tokens.tag_tokens(tags, ticks.num_video_latents))
    if parts.phoneme_encoder is not None:
        for line in said:
            ids = [token_ids(phone.symbol) for phone in line.phones]
            features_NC = parts.phoneme_encoder.encode_phonemes(ids, line.language, line.register)
            middles_s = torch.tensor([(p.start_s + p.end_s) / 2 for p in line.phones])
            pieces.append(tokens.speech_tokens(features_NC.float().cpu(), middles_s))
    return tokens.join_texts(pieces)


def _scene(parts: Components, prompt: str) -> TextTokens:
    (features_NC,) = parts.text_encoder.encode([prompt])
    return tokens.text_tokens(features_NC.float().cpu(), tokens.scene_coords(len(features_NC)), Role.SCENE)


def frames_to_tensor(frames_TYXC: np.ndarray) -> Tensor:
    """uint8 frames to [1, 3, T, Y, X] float32 in [-1, 1]."""
    return torch.from_numpy(frames_TYXC).permute(3, 0, 1, 2)[None].float().div_(127.5).sub_(1)


def _image_latent(parts: Components, path: Path, size: PixelSize, is_first: bool = True) -> Tensor:
    """[1, C, 1, Y, X]: as a clip's first latent (one frame), or as a later one (four frames alike)."""
    picture = media.condition_image(media.read_image(path), size.height, size.width)
    still = np.repeat(picture[None], 1 if is_first else 1 + STRIDE_T, 0)
    return parts.video_codec.encode(frames_to_tensor(still).to(parts.device))[:, :, -1:].cpu()


def _given_frames(parts: Components, request: Request, ticks: Clock, size: PixelSize) -> dict[int, Tensor]:
    frames = {}
    if request.image is not None:
        frames[0] = _image_latent(parts, request.image, size)
    if request.last_image is not None:
        frames[ticks.num_video_latents - 1] = _image_latent(parts, request.last_image, size, is_first=False)
    return frames


def _references(parts: Components, request: Request, size: PixelSize) -> Tensor | None:
    if not request.references:
        return None
    return torch.cat([_image_latent(parts, r.image, size) for r in request.references])


@dataclass(frozen=True, eq=False)
class Sound:
    """A waveform as its file has it, [C, S]."""

    waveform_CS: NDArray[np.float32]
    rate: int


def _source(parts: Components, request: Request, ticks: Clock, size: PixelSize) -> tuple[Tensor | None, Sound | None]:
    """The edit's source clip on the target's clock: its first seconds, its last frame held where it is shorter."""
    if request.video is None:
        return None, None
    frames, waveform, info = media.read_clip(
        request.video, size=(size.height, size.width), max_seconds=ticks.num_decoded_frames / FPS
    )
    if len(frames) == 0:
        raise MediaInvalid(f"{request.video} has no frames; give a clip with a picture.")
    frames = frames[np.minimum(np.arange(ticks.num_decoded_frames), len(frames) - 1)]
    latent = parts.video_codec.encode(frames_to_tensor(frames).to(parts.device)).cpu()
    return latent, None if waveform is None else Sound(waveform, info.sample_rate)


def _voice(request: Request, window: Window, source: Sound | None) -> Sound | None:
    """The sound that is kept as it is: a given voice track, or the source's where it is to be kept."""
    if request.audio is not None:
        start_s = Fraction(window.start_frame, FPS)
        try:
            sound = Sound(*media.read_audio(request.audio, origin_s=start_s if start_s else None))
        except MediaInvalid:
            if not start_s:
                raise
            sound = Sound(np.zeros((1, 1), np.float32), 24_000)  # the track ended before this window
        return sound
    if request.audio_mode is not AudioMode.KEEP:
        return None
    if source is None:
        raise MediaInvalid(f"{request.video} has no sound to keep; ask for audio_mode generate or none.")
    return source


def delivered_rate(rate: int) -> int:
    """The rate at which a kept sound comes out: its own, where AAC has it and a frame is a whole number of samples."""
    return rate if rate in AAC_RATES else 48_000


def sound_rate(parts: Components, request: Request) -> int:
    """Samples a second of a request's sound."""
    kept = request.audio or (request.video if request.audio_mode is AudioMode.KEEP else None)
    return parts.audio_codec.sample_rate if kept is None else delivered_rate(media.probe(kept).sample_rate)


def _delivered(sound: Sound, ticks: Clock) -> NDArray[np.float32]:
    """Exactly as many samples as the delivered frames last, silence after the end of the track."""
    rate = delivered_rate(sound.rate)
    waveform_CS = media.resample(sound.waveform_CS[:2], sound.rate, rate)
    return np.ascontiguousarray(media.fit_waveform(waveform_CS, ticks.num_samples(rate)))


def _sound_latent(codec: AudioCodec, sound: Sound, ticks: Clock) -> Tensor:
    """[1, A, C]: cut or padded with silence to exactly A = 4k+1 latents, stereo."""
    wanted = ticks.num_audio_latents * codec.samples_per_latent
    needed = -(-wanted * sound.rate // codec.sample_rate) + sound.rate  # a second more than is heard
    waveform = torch.from_numpy(media.resample(sound.waveform_CS[:, :needed], sound.rate, codec.sample_rate))
    stereo = waveform.expand(2, -1) if len(waveform) == 1 else waveform[:2]
    stereo = torch.nn.functional.pad(stereo, (0, max(0, wanted - stereo.shape[1])))[:, :wanted]
    return codec.encode(stereo[None]).cpu().transpose(1, 2)
