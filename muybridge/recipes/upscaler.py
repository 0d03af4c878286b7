"""Tiny's upscaler: a flow from the base's enlarged picture, with some noise on it, to the picture drawn large.

It begins as a copy of the base, which knows the latents and the phones, with attention that sees two latents to each
side. Each item is a part of a take drawn large, mostly around a mouth, with all of its text and sound: eyes, hair and
lips are for the upscaler to draw, and phones and sound tell how the lips stand. Where it starts says recipes/starts.py.

Legend: C channels, T latent frames, Y X latent rows/columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.config import TINY_UPSCALER, ModelConfig
from muybridge.engine.tiny import upscaler_moments
from muybridge.flow.objective import interpolate, sample_sigma, velocity_target, weighted_mse
from muybridge.flow.scaling import velocity_of
from muybridge.flow.upscale_start import audio_context, near_start
from muybridge.model import tokens
from muybridge.model.phrase_encoder import LookedUp, PhraseEncoder
from muybridge.model.tiny_video_codec import load_video_codec
from muybridge.model.tokens import Sample, pack, unpatchify
from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_transformer
from muybridge.recipes import starts as start_cache
from muybridge.recipes.base import channel_weights, keep_clean, load_export, text_of
from muybridge.recipes.codec_video import export_module
from muybridge.recipes.losses import Pairs, Task, Velocities, Weighing, lip_loss, loss_weights
from muybridge.shapes import PATCH
from muybridge.train import latents as latent_cache
from muybridge.train.cuts import heard, shortened
from muybridge.train.items import Item
from muybridge.train.latents import LatentCache
from muybridge.train.trainer import Losses, Recipe

GIVEN, VOICED, QUIET = 0.15, 0.15, 0.1  # shares of parts with a known first latent, a given voice, no phones
AT_MOUTH = 0.75  # share of parts that are cut around a mouth, where there is one


@dataclass(frozen=True, eq=False)
class Part:
    """A part of an item, its start and its noise level. `offset` is the part's middle on the whole picture, tokens."""

    item: Item
    start: Tensor
    offset: Tensor
    task: Task
    keeps_first: bool


@dataclass(frozen=True, eq=False)
class Source:
    """Items, the folders of their takes and of their starts, and how many of a batch they are."""

    items: LatentCache
    clips: Path
    starts: Path
    share: int


def recipe(
    latents: str = "runs/latents_large",
    clips: str = "runs/takes_large",
    stills: str = "",
    still_clips: str = "",
    starts: str = "runs/starts",
    codec: str = "runs/codecs/video_codec.safetensors",
    base: str = "runs/base/export",
    start: str = "",
    num_guesses: int = 2,
    batch_size: int = 16,
    num_stills: int = 0,
    longest: int = 6,
    rows: int = 6,
    cols: int = 7,
    num_steps: int = 4000,
    learning_rate: float = 1e-3,
    shift: float = 12.0,
    noise: float = 0.4,
    mouth_weight: float = 10.0,
    lip_weight: float = 0.0,
    drop_words: float = 0.6,
    average_decay: float = 0.995,
    muon: bool = True,
    inner_rate: float = 2.5,
    compiled: bool = False,
) -> Recipe:
    """All settings. `latents` were encoded with `codec` from the takes in `clips`, drawn twice as large as the base.

    With `stills`, encoded from `still_clips`, `num_stills` of a batch's parts are of those. The starts are made first,
    by `base`, into two folders in `starts`. Parts have `rows` x `cols` tokens and up to `longest` latents.
    `lip_weight`: errors in what lips do (recipes/losses.py), for clips that were also drawn with a mouth at rest.
    `start` is an earlier run's export to begin with; without it the layers begin as those of `base`.
    """
    settings: dict[str, Any] = dict(locals())
    sources = [Source(latent_cache.read(Path(latents)), Path(clips), Path(starts) / "clips", batch_size - num_stills)]
    if num_stills:
        sources.append(Source(latent_cache.read(Path(stills)), Path(still_clips), Path(starts) / "stills", num_stills))
    video_codec = load_video_codec(Path(codec))
    denoiser, text = load_export(Path(base))
    for source in sources:
        start_cache.build(source.items, source.clips, source.starts, video_codec, denoiser, text, num_guesses)
    weigh = Weighing(mouth=mouth_weight, channels_C=channel_weights(video_codec))
    config = with_start_moments(denoiser.config, sources[0], noise)

    def build() -> dict[str, nn.Module]:
        upscaler = Transformer(config).initialise()
        weights = denoiser.state_dict()
        if start:
            weights = load_transformer(Path(start) / "upscaler.safetensors", matrix_dtype=torch.float32).state_dict()
        upscaler.load_state_dict(weights)
        return {"upscaler": upscaler.train().requires_grad_(True), "text": text}

    def batch(step: int, device: torch.device) -> list[Part]:
        generator = torch.Generator().manual_seed(step)
        sigmas = sample_sigma(batch_size, shift=shift, generator=generator).tolist()
        out = []
        for source in sources:
            for item in source.items.batch(step, source.share):
                number = int(torch.randint(num_guesses, (1,), generator=generator))
                enlarged = start_cache.read(source.starts, item.index, number)
                out.append(draw_part(item, enlarged, sigmas.pop(), (longest, rows, cols), generator, drop_words))
        return [replace(part, item=part.item.to(device), start=part.start.to(device)) for part in out]

    def loss(modules: dict[str, nn.Module], parts: list[Part]) -> Losses:
        upscaler, words = modules["upscaler"], modules["text"]
        assert isinstance(upscaler, Transformer)
        assert isinstance(words, PhraseEncoder)
        starts_at = [near_start(p.start, torch.randn_like(p.start), noise) for p in parts]
        pairs, noisy, wanted, weights = weighed_as(parts), [], [], []
        for (item, task), begin in zip(pairs, starts_at, strict=True):
            level = torch.tensor([task.sigma], device=item.video.device)
            x = interpolate(item.video[None], begin[None], level)[0]
            noisy.append(keep_clean(item, task, x, item.audio)[0])
            wanted.append(velocity_target(item.video, begin))
            weights.append(loss_weights(item, task, weigh)[0])
        found = velocities(upscaler, words, parts, noisy)
        error = weighted_mse(*(torch.cat([x.flatten() for x in values]) for values in (found, wanted, weights)))
        plain = torch.stack([(f - w).square().mean() for f, w in zip(found, wanted, strict=True)]).mean()
        lips = lip_loss(pairs, _silent(found), _silent(wanted)) if lip_weight else None
        if lips is None:
            return {"loss": error, "plain": plain.detach()}
        return {"loss": error + lip_weight * lips, "plain": plain.detach(), "lips": lips}

    def export(modules: dict[str, nn.Module], folder: Path) -> None:
        export_module(modules["upscaler"], folder / "upscaler.safetensors", config)

    return Recipe(
        "upscaler",
        settings,
        build,
        batch,
        loss,
        export,
        num_steps=num_steps,
        learning_rate=learning_rate,
        warmup_steps=min(100, num_steps // 20),
        average_decay=average_decay,
        frozen=("text",),
        inner=("upscaler",) if muon else (),
        inner_rate=inner_rate,
        compiled=("upscaler",) if compiled else (),
    )


def weighed_as(parts: list[Part]) -> Pairs:
    """The parts as the base's losses read them: a known first latent is that of an image to video."""
    return [(p.item, replace(p.task, name="i2v") if p.keeps_first else p.task) for p in parts]


def _silent(videos: list[Tensor]) -> Velocities:
    """Pictures with no sound beside them."""
    return [(video, video.new_zeros(0, 0)) for video in videos]


def with_start_moments(base: ModelConfig, source: Source, noise: float, most: int = 128) -> ModelConfig:
    """The base's shape as an upscaler, with the moments of latents and starts over the first items."""
    latent: list[Tensor] = []
    rest: list[Tensor] = []
    product: list[Tensor] = []
    for k in range(min(most, len(source.items))):
        item = source.items.item(k)
        missing = item.video - start_cache.read(source.starts, item.index, 0)
        for out, square in ((latent, item.video**2), (rest, missing**2), (product, item.video * missing)):
            out.append(square.mean((1, 2, 3)))
    video, lacking, both = (tuple(torch.stack(values).mean(0).tolist()) for values in (latent, rest, product))
    return replace(
        base,
        name=TINY_UPSCALER.name,
        local_layers=tuple(range(base.num_layers)),
        frame_receptive_field=TINY_UPSCALER.frame_receptive_field,
        video_moments=video,
        audio_moments=(),
        video_lasting=(),
        video_fading=(),
        video_fading_units=(),
        video_kept=(),
        rest_moments=lacking,
        rest_products=both,
        start_noise=noise,
        distilled=False,
    )


def draw_part(
    item: Item,
    enlarged: Tensor,
    sigma: float,
    most: tuple[int, int, int],
    generator: torch.Generator,
    drop_words: float = 0.0,
) -> Part:
    """A part of at most `most` (latents, token rows, token columns) of an item, and what it is told. Pure."""
    chances = torch.rand(4, generator=generator).tolist()
    count, high, wide = (min(a, b) for a, b in zip(most, item.mouth_TYX.shape, strict=True))
    first = int(torch.randint(item.video.shape[1] - count + 1, (1,), generator=generator))
    cut = heard(item, 1) if item.video.shape[1] == 1 else shortened(item, count, first)  # a still's sound is long
    cut = replace(cut, references=None, source=None, instruction=None)
    top, left = _corner(cut.mouth_TYX, high, wide, generator, at_mouth=chances[0] < AT_MOUTH)
    rows, cols = slice(PATCH * top, PATCH * (top + high)), slice(PATCH * left, PATCH * (left + wide))
    whole_rows, whole_cols = item.mouth_TYX.shape[1:]
    offset = torch.tensor([0.0, top + (high - whole_rows) / 2, left + (wide - whole_cols) / 2])
    part = replace(
        cut,
        video=cut.video[:, :, rows, cols],
        mouth_TYX=cut.mouth_TYX[:, top : top + high, left : left + wide],
        lips_KCYX=None if cut.lips_KCYX is None else cut.lips_KCYX[:, :, rows, cols],
    )
    is_voiced = chances[1] < VOICED
    drops = {"words"} if chances[2] < drop_words else set()
    drops |= {"speech"} if is_voiced or chances[3] < QUIET else set()
    keeps_first = count > 1 and float(torch.rand(1, generator=generator)) < GIVEN
    task = Task("a2v" if is_voiced else "t2v", sigma, frozenset(drops))
    return Part(part, enlarged[:, first : first + count, rows, cols], offset, task, keeps_first)


def _corner(mouth_TYX: Tensor, high: int, wide: int, generator: torch.Generator, at_mouth: bool) -> tuple[int, int]:
    """Top and left token of a part; with `at_mouth` one that holds the largest mouth, where there is any."""
    rows, cols = mouth_TYX.shape[1:]
    top, left = (int(torch.randint(n, (1,), generator=generator)) for n in (rows - high + 1, cols - wide + 1))
    cover = mouth_TYX.sum(0)
    if not at_mouth or float(cover.max()) == 0:
        return top, left
    y, x = divmod(int(cover.argmax()), cols)
    # Anywhere with the mouth in it: a random corner, pulled in.
    return min(max(top, y - high + 1), y), min(max(left, x - wide + 1), x)


def velocities(upscaler: Transformer, text: PhraseEncoder, parts: list[Part], noisy: list[Tensor]) -> list[Tensor]:
    """Velocity of each part's picture [C, T, Y, X] in one packed pass; the sound is heard through noise."""
    said = [p.item.caption for p in parts] + [b.pieces for p in parts for b in p.item.beats]
    found = LookedUp(text, said)
    packed = pack([_sequence(p, found, x) for p, x in zip(parts, noisy, strict=True)])
    video_NC, _ = upscaler(packed)
    moments, out = upscaler_moments(upscaler.config), []
    for part, x, answer in zip(parts, noisy, video_NC.split([c[0] for c in packed.layout.counts]), strict=True):
        out.append(velocity_of(unpatchify(answer, *x.shape[2:]), x, part.task.sigma, moments, 0))
    return out


def _sequence(part: Part, found: LookedUp, noisy: Tensor) -> Sample:
    """The part's sequence, each token where it stands on the whole picture."""
    sound = audio_context(part.item.audio, torch.randn_like(part.item.audio))
    words = text_of(part.item, part.task, found)
    sample = tokens.sequence(words, noisy, sound, keeps_audio=part.task.name == "a2v")
    return replace(sample, video_coords=sample.video_coords + part.offset.to(noisy.device))
