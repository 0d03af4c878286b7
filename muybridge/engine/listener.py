"""What is said in a given voice, and when: phones read from the sound's own latents, so that lips can follow them.

A planned line tells the transformer its phones at their times; a voice track is heard first, and then told in the same
way. Two answers per latent, 20 ms each; the path through them pays for every change of phone.

Letters: B samples, C channels, A audio latents, H half latents, K phones (the last one is none).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from muybridge.shapes import AUDIO_CHANNELS, FPS
from muybridge.speech.durations import Phone
from muybridge.speech.symbols import PHONES

LETTERS = tuple(PHONES)
NONE = len(LETTERS)  # the class of silence, noise and pauses
PER_LATENT = 2
RATE = PER_LATENT * FPS  # answers a second
WIDTH, DILATIONS = 128, (1, 2, 1)
CHANGE_COST = 1.0  # nats


class Listener(nn.Module):
    """Convolutions over 340 ms; 0.2 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(AUDIO_CHANNELS, WIDTH, 5, padding=2)
        self.layers = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=d, dilation=d) for d in DILATIONS)
        self.last = nn.Conv1d(WIDTH, PER_LATENT * (NONE + 1), 1)
        self.drop = nn.Dropout(0.3)

    def forward(self, audio_BAC: Tensor) -> Tensor:
        """Scores [B, H, K] of latents as the codec normalises them; H is twice A."""
        hidden = nn.functional.gelu(self.first(audio_BAC.transpose(1, 2)))
        for layer in self.layers:
            hidden = hidden + nn.functional.gelu(layer(self.drop(hidden)))
        scores_BFA: Tensor = self.last(self.drop(hidden))
        scores_BHK: Tensor = scores_BFA.unflatten(1, (PER_LATENT, NONE + 1)).permute(0, 3, 1, 2).flatten(1, 2)
        return scores_BHK

    @torch.inference_mode()
    def phones(self, audio_AC: Tensor) -> list[Phone]:
        """Phones in order with their times from the track's start; nothing where nothing is said."""
        return spans(best_path(self(audio_AC[None].float())[0].log_softmax(-1)))


def best_path(score_HK: Tensor, cost: float = CHANGE_COST) -> list[int]:
    """The classes whose log probabilities, less `cost` for every change, add up to the most (Viterbi 1967)."""
    total_K, came_from = score_HK[0], []
    for score_K in score_HK[1:]:
        best, at = (total_K - cost).max(0)
        stays_K = total_K >= best
        came_from.append(torch.where(stays_K, torch.arange(len(total_K)), at))
        total_K = torch.where(stays_K, total_K, best) + score_K
    path = [int(total_K.argmax())]
    for before_K in reversed(came_from):
        path.append(int(before_K[path[-1]]))
    return path[::-1]


def spans(path_H: list[int]) -> list[Phone]:
    """Runs of one class as phones; the class of none leaves a gap."""
    found, start = [], 0
    for at in range(1, len(path_H) + 1):
        if at == len(path_H) or path_H[at] != path_H[start]:
            if path_H[start] != NONE:
                found.append(Phone(LETTERS[path_H[start]], start / RATE, at / RATE))
            start = at
    return found
