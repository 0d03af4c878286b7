"""Who a long programme is about: its first picture and a piece of its voice, given to every later window.

The overlap hands on only what the last 640 ms looked like, and what each window adds to that is never taken back. An
anchor does not move: every window after the first compares itself with the same picture and the same voice.

The picture is the first latent. It is the one latent of a causal clip that stands for a single frame, as references do
in training; where the user gave a first frame, it is that frame; and it needs no face finder. A programme that begins
before its person comes into the picture is anchored to the place alone: give a reference there.

A base that guesses over time what is missing (flow/continuity.py) also takes the picture into that guess: what a
window takes over is pulled back to it, so that windows cannot wander off one after the other. Where a camera moves, it
is not: every window films the first picture (film.py), and from elsewhere.

The voice is the longest planned line's first latents, from the first window in which somebody speaks. Nothing ties a
voice to one of several speakers, so a talk with more than one has no voice anchor.

Legend: B samples (1), R references, C channels, T latent frames, Y X latent rows/columns, A audio latents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from muybridge.engine.components import Components
from muybridge.engine.state import GenerationState
from muybridge.model import tokens
from muybridge.request import MAX_REFERENCES, AudioMode, reference_name
from muybridge.shapes import FPS

if TYPE_CHECKING:
    from muybridge.speech.pacing import Plan

VOICE_LATENTS = 50  # 2 s


@dataclass(frozen=True, eq=False)
class Anchor:
    """Clean latents that stay the same all along: picture [1, C, 1, Y, X] at the base's size, voice [1, A, C]."""

    picture_RCTYX: Tensor
    voice_BAC: Tensor | None


def remember(anchor: Anchor | None, state: GenerationState, base_BCTYX: Tensor, plan: Plan | None) -> Anchor:
    """The anchor after a window that is done: the first window's picture, the voice of the first one that speaks.

    `base_BCTYX` is the window's video after the base stage; `plan` the programme's, on the programme's clock.
    """
    # Copies: a view would keep the whole window's latents alive.
    picture = base_BCTYX[:, :, :1].cpu().clone() if anchor is None else anchor.picture_RCTYX
    known = None if anchor is None else anchor.voice_BAC
    return Anchor(picture, _voice(state, plan) if known is None else known)


def anchored(parts: Components, state: GenerationState, anchor: Anchor) -> GenerationState:
    """A window's state before its first step, told of the anchor: after the user's references, within their limit.

    Checkpoints without roles know no references: their windows have the overlap alone.
    """
    if not parts.has_roles:
        return state
    given, count = state.conditions, len(state.request.references)
    if count < MAX_REFERENCES:
        (name_NC,) = parts.text_encoder.encode([reference_name(count)])
        name = name_NC.float().cpu().mean(0, keepdim=True)
        tag = tokens.tag_tokens(name, state.window.clock.num_video_latents, first=count)
        before = () if given.references is None else (given.references,)
        references = torch.cat([*before, anchor.picture_RCTYX])
        given = replace(given, references=references, text=tokens.join_texts([given.text, tag]))
    is_filmed = given.film is not None and given.film.views_5T.numel() > 0
    given = replace(
        given, reference_audio_BAC=anchor.voice_BAC, anchor_BCTYX=None if is_filmed else anchor.picture_RCTYX
    )
    return replace(state, conditions=given)


def _voice(state: GenerationState, plan: Plan | None) -> Tensor | None:
    """Where the window itself made the sound of a lone speaker: the start of the line with most time in it."""
    is_given = state.conditions.voice_BAC is not None or state.request.audio_mode is not AudioMode.GENERATE
    if plan is None or is_given or len({line.speaker for line in plan.lines}) > 1:
        return None
    audio, start_s = state.latents["audio"], state.window.start_frame / FPS
    spans = []
    for line in plan.lines:
        first = max(0, round((line.start_s - start_s) * FPS))  # one audio latent a frame
        last = min(audio.shape[1], round((line.end_s - start_s) * FPS))
        spans.append((last - first, -first))
    length, begin = max(spans, default=(0, 0))
    return audio[:, -begin : -begin + min(length, VOICE_LATENTS)].cpu().clone() if length > 0 else None
