"""One sequence: tokens of three modalities, their places on the clock, their roles, and how samples are packed.

Legend: B samples, N tokens, C channels, T latent frames, Y X latent rows/columns.
Order in memory: all video tokens, then all audio, then all text (the order of stacked weights); within a modality,
sample after sample. Coordinates are physical: (t, y, x) in clock units and latent tokens, centred in y and x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache, cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import fold

from muybridge.shapes import FPS, PATCH, STRIDE_T

ALL_FRAMES = -1  # frame index of a token that every local window sees: audio, text, references


class Role(IntEnum):
    """What a token is for. Role embeddings start at zero; the open 15B has none and knows only TARGET tokens."""

    TARGET = 0
    CLEAN_FRAME = 1  # a first, last or key frame given by the user
    REFERENCE = 2
    SOURCE = 3
    TAG = 4  # ties a reference to its name in the prompt
    SPEECH = 5  # one phoneme
    BEAT = 6
    SCENE = 7


@dataclass(frozen=True)
class Sample:
    """One clip's tokens. Coordinates [N, 3] float32, roles [N] int64, `video_frames` [N] latent frames."""

    video_NC: Tensor
    audio_NC: Tensor
    text_NC: Tensor
    video_coords: Tensor
    audio_coords: Tensor
    text_coords: Tensor
    video_roles: Tensor
    audio_roles: Tensor
    text_roles: Tensor
    video_frames: Tensor


class Windows(NamedTuple):
    """Groups (queries, keys) that cover every token once as a query, and where each token is in their concatenation.

    Each group is one softmax over the union of its keys.
    """

    groups: tuple[tuple[Tensor, Tensor], ...]
    place_N: Tensor


@dataclass(frozen=True, eq=False)
class TextTokens:
    """Text of every kind, ready for the sequence: features [N, C], coordinates [N, 3], roles [N]."""

    features_NC: Tensor
    coords_N3: Tensor
    roles_N: Tensor


@dataclass(frozen=True)
class Layout:
    """Everything about a packed sequence that does not change between steps; made once, with its rotary tables."""

    counts: tuple[tuple[int, int, int], ...]  # (video, audio, text) tokens of each sample
    coords_N3: Tensor
    roles_N: Tensor
    frames_N: Tensor  # latent frame, or ALL_FRAMES
    _rotary: dict[tuple[int, float], tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False, compare=False)
    _windows: dict[int | None, Windows] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def splits(self) -> tuple[int, int, int]:
        """Tokens of each modality over all samples."""
        video, audio, text = (sum(c[m] for c in self.counts) for m in range(3))
        return video, audio, text

    @property
    def is_uniform(self) -> bool:
        """Whether all samples have the same counts, so that they batch without padding."""
        return len(set(self.counts)) == 1

    # What is cached below is made outside inference mode: a layout may be evaluated first and trained on later.

    @cached_property
    @torch.inference_mode(False)
    def index_BL(self) -> Tensor:
        """Sample-major positions [B, longest] of every sample's tokens in the sequence; padding is -1."""
        num_video, num_audio, _ = self.splits
        starts = [0, num_video, num_video + num_audio]
        rows = []
        for sample in self.counts:
            rows.append(torch.cat([torch.arange(s, s + n) for s, n in zip(starts, sample, strict=True)]))
            starts = [s + n for s, n in zip(starts, sample, strict=True)]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
        return padded.to(self.coords_N3.device)

    @torch.inference_mode(False)
    def windows(self, receptive_field: int | None = None) -> Windows:
        """What each token sees, as groups of queries that share their keys; made once for each receptive field.

        Every token sees its sample. With a receptive field f, a video query of frame i sees video of frames i-f..i+f
        and every ALL_FRAMES token of its sample; ALL_FRAMES tokens still see all of it.
        """
        if receptive_field not in self._windows:
            pairs = []
            for row in self.index_BL:
                tokens = row[row >= 0]
                frames = self.frames_N[tokens]
                placed = frames[frames != ALL_FRAMES]
                spread = int(placed.max() - placed.min()) if len(placed) else 0
                if receptive_field is None or spread <= receptive_field:
                    pairs.append((tokens, tokens))
                    continue
                for frame in torch.unique(frames).tolist():
                    seen = ((frames - frame).abs() <= receptive_field) | (frames == ALL_FRAMES)
                    pairs.append((tokens[frames == frame], tokens if frame == ALL_FRAMES else tokens[seen]))
            order = torch.cat([queries for queries, _ in pairs])
            self._windows[receptive_field] = Windows(tuple(pairs), torch.argsort(order))
        return self._windows[receptive_field]

    @torch.inference_mode(False)
    def rotary(self, bands: Tensor, time_scale: float) -> tuple[Tensor, Tensor]:
        """(cos, sin), each [N, 1, 3 * bands] float32: angle = coordinate * band, axes t, y, x in a row."""
        key = (len(bands), time_scale)
        if key not in self._rotary:
            scale = self.coords_N3.new_tensor([time_scale, 1.0, 1.0])
            angles = ((self.coords_N3 * scale)[:, :, None] * bands.float()).flatten(1)
            self._rotary[key] = angles.cos()[:, None], angles.sin()[:, None]
        return self._rotary[key]


@dataclass(frozen=True)
class Packed:
    """The transformer's input: raw tokens by modality and their layout."""

    video_NC: Tensor
    audio_NC: Tensor
    text_NC: Tensor
    layout: Layout

    def with_tokens(self, video_NC: Tensor, audio_NC: Tensor) -> Packed:
        """The same sequence with other noisy tokens: what changes from step to step."""
        return replace(self, video_NC=video_NC, audio_NC=audio_NC)


def pack(samples: Sequence[Sample]) -> Packed:
    """Several samples as one sequence; attention never crosses from one to another."""
    video, audio, text = (torch.cat([getattr(s, f"{m}_NC") for s in samples]) for m in ("video", "audio", "text"))
    coords = torch.cat([getattr(s, f"{m}_coords") for m in ("video", "audio", "text") for s in samples])
    roles = torch.cat([getattr(s, f"{m}_roles") for m in ("video", "audio", "text") for s in samples])
    frames = torch.cat([s.video_frames for s in samples])
    frames = torch.nn.functional.pad(frames, (0, len(audio) + len(text)), value=ALL_FRAMES)
    counts = tuple((len(s.video_NC), len(s.audio_NC), len(s.text_NC)) for s in samples)
    return Packed(video, audio, text, Layout(counts, coords, roles, frames))


def patchify(latent_CTYX: Tensor, step: int = PATCH) -> Tensor:
    """Latent to tokens [T*Y/2*X/2, C*4]; features channel-major (C, row, column), tokens in (T, Y, X) order.

    A `step` of 1 gives a token to each two rows and columns that are neighbours, [T*(Y-1)*(X-1), C*4].
    """
    windows = latent_CTYX.unfold(2, PATCH, step).unfold(3, PATCH, step)
    return windows.permute(1, 2, 3, 0, 4, 5).reshape(-1, latent_CTYX.shape[0] * PATCH * PATCH)


def unpatchify(tokens_NC: Tensor, rows: int, cols: int, step: int = PATCH) -> Tensor:
    """Velocity tokens to a latent; features channel-last (row, column, C): not the order that went in.

    Where patches overlap, their mean.
    """
    high, wide = num_places(rows, step), num_places(cols, step)
    channels = tokens_NC.shape[1] // (PATCH * PATCH)
    x = tokens_NC.reshape(-1, high, wide, PATCH, PATCH, channels)
    if step == PATCH:
        return x.permute(5, 0, 1, 3, 2, 4).reshape(channels, -1, rows, cols)
    patches_TKL = x.permute(0, 5, 3, 4, 1, 2).flatten(4).flatten(1, 3)
    sum_TCYX = fold(patches_TKL, (rows, cols), PATCH, stride=step)
    return (sum_TCYX / _times(rows, cols, step).to(sum_TCYX.device)).transpose(0, 1)


def num_places(length: int, step: int = PATCH) -> int:
    """Tokens along so many latent rows or columns."""
    return (length - PATCH) // step + 1


@cache
@torch.inference_mode(False)
def _times(rows: int, cols: int, step: int) -> Tensor:
    """[Y, X]: in how many patches each place of a latent is."""
    ones = torch.ones(1, PATCH * PATCH, num_places(rows, step) * num_places(cols, step))
    return fold(ones, (rows, cols), PATCH, stride=step)[0, 0]


def video_coords(num_latents: int, rows: int, cols: int, start: float = 0.0, step: int = PATCH) -> Tensor:
    """[N, 3] of a clip's or picture's tokens: t from `start`, y and x centred, spacing 1 per token, or step by step."""
    t = torch.arange(num_latents, dtype=torch.float32) + start
    y, x = (
        torch.arange(num_places(n, step), dtype=torch.float32) * step / PATCH - (n // PATCH - 1) / 2
        for n in (rows, cols)
    )
    return torch.stack(torch.meshgrid(t, y, x, indexing="ij"), -1).reshape(-1, 3)


def clock_coords(t: Tensor) -> Tensor:
    """[N, 3] of tokens that have a time and no place: audio, speech, beats."""
    return torch.nn.functional.pad(t.float()[:, None], (0, 2))


def audio_coords(num_latents: int, start: float = 0.0) -> Tensor:
    """A quarter unit per audio latent; exactly the video's clock whenever A = 4k+1."""
    return clock_coords(torch.arange(num_latents) / STRIDE_T + start)


def scene_coords(num_tokens: int, is_upscaler: bool = False) -> Tensor:
    """Scene text stands off the clock: all zero; the open upscaler spreads it over t in [0, 1]."""
    if is_upscaler and num_tokens > 1:
        return clock_coords(torch.arange(num_tokens) / (num_tokens - 1))
    return torch.zeros(num_tokens, 3)


def reference_start(num_latents: int, index: int) -> float:
    """Clock place of reference `index`: after the end of the clip, one unit apart, with a gap of one."""
    return float(num_latents + 1 + index)


def empty_sample(text_NC: Tensor, text_coords: Tensor, video_channels: int, audio_channels: int) -> Sample:
    """A sample of text alone, to which `extend` adds."""
    device = text_NC.device
    none = torch.zeros(0, 3, device=device)
    ids = torch.zeros(0, dtype=torch.int64, device=device)
    roles = torch.full((len(text_NC),), int(Role.SCENE), device=device)
    video, audio = (text_NC.new_zeros(0, c) for c in (video_channels, audio_channels))
    return Sample(video, audio, text_NC, none, none, text_coords.to(device), ids, ids, roles, ids)


def add_video(sample: Sample, tokens_NC: Tensor, coords: Tensor, role: Role, start_frame: int | None = 0) -> Sample:
    """`sample` with more video tokens; `start_frame` None means they are seen from every local window."""
    device = tokens_NC.device
    frame = (coords[:, 0] - coords[0, 0]).round().long() + (start_frame or 0)
    frames = torch.full_like(frame, ALL_FRAMES) if start_frame is None else frame
    return replace(
        sample,
        video_NC=torch.cat([sample.video_NC, tokens_NC]),
        video_coords=torch.cat([sample.video_coords, coords.to(device)]),
        video_roles=torch.cat([sample.video_roles, torch.full((len(tokens_NC),), int(role), device=device)]),
        video_frames=torch.cat([sample.video_frames, frames.to(device)]),
    )


def add_audio(sample: Sample, tokens_NC: Tensor, coords: Tensor, role: Role) -> Sample:
    """`sample` with more audio tokens."""
    device = tokens_NC.device
    return replace(
        sample,
        audio_NC=torch.cat([sample.audio_NC, tokens_NC]),
        audio_coords=torch.cat([sample.audio_coords, coords.to(device)]),
        audio_roles=torch.cat([sample.audio_roles, torch.full((len(tokens_NC),), int(role), device=device)]),
    )


def add_text(sample: Sample, tokens_NC: Tensor, coords: Tensor, role: Role) -> Sample:
    """`sample` with more text tokens: speech, beats, reference tags."""
    device = tokens_NC.device
    return replace(
        sample,
        text_NC=torch.cat([sample.text_NC, tokens_NC]),
        text_coords=torch.cat([sample.text_coords, coords.to(device)]),
        text_roles=torch.cat([sample.text_roles, torch.full((len(tokens_NC),), int(role), device=device)]),
    )


UNITS_PER_SECOND = FPS / STRIDE_T
BEAT_SPACING = 2  # clock units between the tokens of one beat


def text_tokens(features_NC: Tensor, coords_N3: Tensor, role: Role) -> TextTokens:
    """One kind of text."""
    roles_N = torch.full((len(features_NC),), int(role), device=features_NC.device)
    return TextTokens(features_NC, coords_N3.to(features_NC.device), roles_N)


def join_texts(pieces: Sequence[TextTokens]) -> TextTokens:
    """Several kinds of text in a row."""
    return TextTokens(
        torch.cat([p.features_NC for p in pieces]),
        torch.cat([p.coords_N3 for p in pieces]),
        torch.cat([p.roles_N for p in pieces]),
    )


def beat_tokens(features_NC: Tensor, start_s: float, end_s: float) -> TextTokens:
    """A beat on the clock: the mean of its text's features, once every two units of its span."""
    first, last = start_s * UNITS_PER_SECOND, end_s * UNITS_PER_SECOND
    count = max(1, math.ceil((last - first) / BEAT_SPACING))
    places = first + (torch.arange(count) + 0.5) * (last - first) / count
    return text_tokens(features_NC.mean(0).expand(count, -1), clock_coords(places), Role.BEAT)


def tag_tokens(features_NC: Tensor, num_latents: int, first: int = 0) -> TextTokens:
    """One token per reference, from number `first` on, from its name's features: at its picture's time, y = x = -1."""
    places = clock_coords(torch.arange(len(features_NC)) + reference_start(num_latents, first))
    return text_tokens(features_NC, places - torch.tensor([0.0, 1.0, 1.0]), Role.TAG)


def speech_tokens(features_NC: Tensor, middles_s: Tensor) -> TextTokens:
    """One token per phone, at the phone's middle."""
    return text_tokens(features_NC, clock_coords(middles_s * UNITS_PER_SECOND), Role.SPEECH)


def sequence(
    text: TextTokens,
    video_CTYX: Tensor,
    audio_AC: Tensor,
    *,
    keeps_audio: bool = False,
    references_RCTYX: Tensor | None = None,
    source_CTYX: Tensor | None = None,
    source_audio_AC: Tensor | None = None,
    reference_audio_AC: Tensor | None = None,
    step: int = PATCH,
) -> Sample:
    """One clip's whole sequence, as generation and training both build it: the noisy target first, then what is clean.

    `keeps_audio`: the audio is given, not made. References stand after the end and are seen from every local window,
    pictures first, then a voice, which takes its own time; a source stands where the target stands. `step`: from token
    to token of the target.
    """
    channels, count, rows, cols = video_CTYX.shape
    patches = channels * PATCH * PATCH
    sample = empty_sample(text.features_NC, text.coords_N3, patches, audio_AC.shape[1])
    sample = replace(sample, text_roles=text.roles_N)
    sample = add_video(sample, patchify(video_CTYX, step), video_coords(count, rows, cols, step=step), Role.TARGET)
    role = Role.SOURCE if keeps_audio else Role.TARGET
    sample = add_audio(sample, audio_AC, audio_coords(len(audio_AC)), role)
    for index, reference_CTYX in enumerate(() if references_RCTYX is None else references_RCTYX):
        high, wide = reference_CTYX.shape[2:]
        place = video_coords(1, high, wide, reference_start(count, index))
        sample = add_video(sample, patchify(reference_CTYX), place, Role.REFERENCE, start_frame=None)
    if source_CTYX is not None:
        sample = add_video(sample, patchify(source_CTYX), video_coords(count, rows, cols), Role.SOURCE)
    if source_audio_AC is not None:
        sample = add_audio(sample, source_audio_AC, audio_coords(len(source_audio_AC)), Role.SOURCE)
    if reference_audio_AC is not None:
        after = reference_start(count, 0 if references_RCTYX is None else len(references_RCTYX))
        sample = add_audio(sample, reference_audio_AC, audio_coords(len(reference_audio_AC), after), Role.REFERENCE)
    return sample
