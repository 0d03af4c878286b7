"""What counts in a batch of the base: errors of video and sound, more where a mouth is or an edit, and lips' motion.

Letters: C channels, T latent frames, Y X latent rows and columns (token rows and columns in masks), A audio latents, K
directions, N D tokens and their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from muybridge.flow.objective import flow_matching_loss
from muybridge.model.tokens import patchify
from muybridge.shapes import PATCH, STRIDE_T
from muybridge.train.items import Item
from muybridge.train.trainer import Losses

EDITED_WEIGHT = 4.0  # of a token that an edit changes, beside one: most of a picture is to be kept


@dataclass(frozen=True, eq=False)
class Task:
    """What one item of a batch is trained on: its task, its noise level and what is left out.

    An i2v has `num_known` latents given: the first one, or as many as a programme's window takes over from the one
    before, with their sound.
    """

    name: str
    sigma: float
    drops: frozenset[str]
    num_known: int = 1

    @property
    def num_given(self) -> int:
        """How many of the first latents are given."""
        return self.num_known if self.name == "i2v" else 0

    @property
    def num_heard(self) -> int:
        """How many of the first audio latents are given."""
        return STRIDE_T * (self.num_given - 1) + 1 if self.num_given > 1 else 0


Pairs = list[tuple[Item, Task]]
Velocities = list[tuple[Tensor, Tensor]]  # video [C, T, Y, X] and audio [A, C] of each item


@dataclass(frozen=True, eq=False)
class Weighing:
    """How much each part counts. `mouth` is added where a mouth covers a token, `channels_C` is per latent channel.

    `still` multiplies items of one latent, `given` those of them that have references or a source to use; `lips` is the
    weight of `lip_loss`, `audio` that of the sound.
    """

    mouth: float = 0.0
    audio: float = 1.0
    still: float = 1.0
    given: float = 1.0
    lips: float = 0.0
    channels_C: Tensor | None = None


PLAIN = Weighing()


def losses_of(pairs: Pairs, predicted: Velocities, wanted: Velocities, weigh: Weighing = PLAIN) -> Losses:
    """Weighted squared errors of both streams over a batch; that of the lips where it counts and an item has one."""
    weights = [loss_weights(item, task, weigh) for item, task in pairs]

    def flat(values: Velocities) -> dict[str, Tensor]:
        return {name: torch.cat([v[i].flatten() for v in values]) for i, name in enumerate(("video", "audio"))}

    total, parts = flow_matching_loss(flat(predicted), flat(wanted), flat(weights), {"audio": weigh.audio})
    losses = {"loss": total, **parts}
    lips = lip_loss(pairs, predicted, wanted) if weigh.lips else None
    return losses if lips is None else losses | {"loss": total + weigh.lips * lips, "lips": lips}


def loss_weights(item: Item, task: Task, weigh: Weighing) -> tuple[Tensor, Tensor]:
    """Weights of video [C, T, Y, X] and audio [A, C]: nothing for what is given, more for mouth and edit."""
    weight = 1 + weigh.mouth * item.mouth_TYX
    if task.name == "edit" and item.edited_TYX is not None:
        weight = weight + EDITED_WEIGHT * item.edited_TYX
    given = task.num_given
    weight = torch.cat([torch.zeros_like(weight[:given]), weight[given:]])
    video = weight.repeat_interleave(2, 1).repeat_interleave(2, 2).expand_as(item.video)
    if item.video.shape[1] == 1:
        video = video * (weigh.given if task.name in ("r2v", "edit") else weigh.still)
    if weigh.channels_C is not None:
        video = video * weigh.channels_C.to(video.device)[:, None, None, None]
    audio = torch.full_like(item.audio, 0.0 if task.name == "a2v" else 1.0)
    audio[: task.num_heard] = 0.0
    return video, audio


LIPS_FROM = 1.0  # root mean square of what is a motion, in a latent's units; coding alone makes a tenth of it


def lip_loss(pairs: Pairs, predicted: Velocities, wanted: Velocities) -> Tensor | None:
    """Mean squared error along the directions in which lips move a token's latent; None where no item has any.

    Head, light and camera move a mouth's tokens more than its lips do, and the plain error is made of them. Strong
    directions weigh one, those near `LIPS_FROM` a half; latents that are given weigh nothing.
    """
    errors, weights = [], []
    for (item, task), made, true in zip(pairs, predicted, wanted, strict=True):
        if item.lips_KCYX is None or item.video.shape[1] == 1:
            continue
        num_tokens = item.video.shape[2] * item.video.shape[3] // PATCH**2
        ways_KND = patchify(item.lips_KCYX.transpose(0, 1)).unflatten(0, (-1, num_tokens))
        length_KN = ways_KND.norm(dim=2)
        unit_KND = ways_KND / length_KN.clamp(min=1e-6)[..., None]
        error_TND = patchify(made[0] - true[0]).unflatten(0, (-1, num_tokens))[task.num_given :]
        along_TKN = torch.einsum("tnd,knd->tkn", error_TND, unit_KND)
        square_KN = length_KN.square()
        weight_KN = square_KN / (square_KN + LIPS_FROM**2)
        errors.append((along_TKN.square() * weight_KN).sum())
        weights.append(weight_KN.sum() * len(error_TND))
    return torch.stack(errors).sum() / torch.stack(weights).sum() if errors else None
