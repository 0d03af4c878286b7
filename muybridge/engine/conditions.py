"""From a request to clean tokens: text on and off the clock, first and last frames, references, source clips, voices.

Legend: B samples, N tokens, C channels, T time, Y X rows/columns (frames or latents), A audio latents, S samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from muybridge import media
from muybridge.engine.components import Components
from muybridge.engine.state import Conditions
from muybridge.errors import InvalidRequest, MediaInvalid
from muybridge.model import tokens
from muybridge.model.codecs import AudioCodec
from muybridge.model.tokens import Role, TextTokens
from muybridge.request import AudioMode, Request
from muybridge.shapes import FPS, STRIDE_T, Clock, PixelSize
from muybridge.speech.script import parse_script
from muybridge.speech.symbols import token_ids

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan


def encode_conditions(
    parts: Components, request: Request, ticks: Clock, base: PixelSize, large: PixelSize | None, plan: Plan | None
) -> Conditions:
    """Everything the transformer is told besides noise. `large` is the upscaler's size where it runs.

    Raises InvalidRequest for modes the weights have no tokens for, MediaInvalid for files without pictures or sound.
    """
    if not parts.has_roles and (request.references or request.video):
        raise InvalidRequest(
            f"{parts.size} was not trained for {request.task.value}; use --model tiny or a provider that has it.",
            "model",
        )
    source, source_sound = _source(parts, request, ticks, base)
    return Conditions(
        text=encode_text(parts, request, ticks, plan),
        negative=_scene(parts, request.negative_prompt or parts.negative_prompt),
        frames=_given_frames(parts, request, ticks, base),
        large_frames=_given_frames(parts, request, ticks, large) if large else {},
        references=_references(parts, request, base),
        source_BCTYX=source,
        source_audio_BAC=source_sound,
        voice_BAC=_voice(parts, request, ticks, source_sound),
    )


def encode_text(parts: Components, request: Request, ticks: Clock, plan: Plan | None) -> TextTokens:
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
    if parts.phoneme_encoder is not None and plan is not None:
        for line in plan.lines:
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
    return torch.from_numpy(frames_TYXC).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


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


def _source(parts: Components, request: Request, ticks: Clock, size: PixelSize) -> tuple[Tensor | None, Tensor | None]:
    """The edit's source clip on the target's clock: its first seconds, its last frame held where it is shorter."""
    if request.video is None:
        return None, None
    rate = parts.audio_codec.sample_rate
    frames, waveform, _ = media.read_clip(
        request.video, size=(size.height, size.width), max_seconds=ticks.num_decoded_frames / FPS, sample_rate=rate
    )
    if len(frames) == 0:
        raise MediaInvalid(f"{request.video} has no frames; give a clip with a picture.")
    frames = frames[np.minimum(np.arange(ticks.num_decoded_frames), len(frames) - 1)]
    latent = parts.video_codec.encode(frames_to_tensor(frames).to(parts.device)).cpu()
    sound = None if waveform is None else _sound_latent(parts.audio_codec, waveform, ticks)
    return latent, sound


def _voice(parts: Components, request: Request, ticks: Clock, source_sound: Tensor | None) -> Tensor | None:
    """The audio latent that is kept: a given voice track, or the source's sound where it is to be kept."""
    if request.audio is not None:
        waveform, _ = media.read_audio(request.audio, sample_rate=parts.audio_codec.sample_rate)
        return _sound_latent(parts.audio_codec, waveform, ticks)
    if request.audio_mode is not AudioMode.KEEP:
        return None
    if source_sound is None:
        raise MediaInvalid(f"{request.video} has no sound to keep; ask for audio_mode generate or none.")
    return source_sound


def _sound_latent(codec: AudioCodec, waveform_CS: np.ndarray, ticks: Clock) -> Tensor:
    """[1, A, C]: cut or padded with silence to exactly A = 4k+1 latents, stereo."""
    waveform = torch.from_numpy(np.asarray(waveform_CS, np.float32))
    stereo = waveform.expand(2, -1) if len(waveform) == 1 else waveform[:2]
    wanted = ticks.num_audio_latents * codec.samples_per_latent
    stereo = torch.nn.functional.pad(stereo, (0, max(0, wanted - stereo.shape[1])))[:, :wanted]
    return codec.encode(stereo[None]).cpu().transpose(1, 2)
