"""The base transformer of the tiny size: all five tasks and all roles in one run, by flow matching.

Each item of a batch takes a task by chance: text to video, first frame, references, edit or given voice; text, speech
and references are dropped now and then, so that guidance has something to leave out. Tokens of the mouth weigh more: it
is a few pixels of the picture and all of the lip sync.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.config import TINY, ModelConfig
from muybridge.engine.windows import OVERLAP_UNITS
from muybridge.flow.continuity import NO_CONTINUITY, correlation, fit, likeness
from muybridge.flow.objective import interpolate, sample_sigma, velocity_target
from muybridge.flow.scaling import from_noise, velocity_of, video_moments
from muybridge.model import tokens
from muybridge.model.phrase_encoder import LookedUp, PhraseEncoder, TextPieces, take_apart
from muybridge.model.tiny_video_codec import TinyVideoCodec, load_video_codec
from muybridge.model.tokens import Role, Sample, TextTokens, num_places, pack, unpatchify
from muybridge.model.transformer import Transformer
from muybridge.model.weights import load_into, load_transformer
from muybridge.recipes.codec_video import export_module
from muybridge.recipes.losses import PLAIN, Task, Weighing, losses_of
from muybridge.request import reference_name
from muybridge.shapes import PATCH
from muybridge.train.cuts import mix
from muybridge.train.items import EMPTY_TEXT, Item
from muybridge.train.latents import LatentCache
from muybridge.train.trainer import Losses, Recipe

TASKS = {"t2v": 0.4, "i2v": 0.4, "r2v": 0.4, "edit": 0.4, "a2v": 0.1}
DROP_TEXT, DROP_SPEECH, DROP_REFERENCE = 0.1, 0.1, 0.1
TAKEN_OVER = OVERLAP_UNITS + 1  # latents that a window of a programme begins with
GOES_ON = 0.4  # of what has its first latent given: so many begin as such a window
HELD_OUT_STEP = 10**9  # batches from here on are for previews and validation only


def recipe(
    latents: str = "runs/latents",
    stills: str = "",
    codec: str = "",
    start: str = "",
    batch_size: int = 16,
    num_stills: int = 0,
    longest: int = 0,
    num_steps: int = 60_000,
    learning_rate: float = 6e-4,
    accumulate: int = 1,
    shift: float = 3.0,
    mouth_weight: float = 8.0,
    audio_weight: float = 1.0,
    lip_weight: float = 0.0,
    still_weight: float = 1.0,
    given_weight: float = 0.0,
    average_decay: float = 0.9995,
    muon: bool = False,
    inner_rate: float = 1.0,
    drop_words: float = 0.0,
    quiet_stills: int = 0,
    scaled: bool = True,
    continued: bool = True,
    closest: float = 0.0,
    num_given: int = 0,
    given: str = "",
    lips: str = "",
    num_lips: int = 0,
    compiled: bool = False,
    learn_text: bool = True,
    first_given: float = 0.0,
    still_distilled: bool = False,
    keeper: str = "",
    num_layers: int = TINY.num_layers,
    hidden_size: int = TINY.hidden_size,
    head_dim: int = TINY.head_dim,
) -> Recipe:
    """All settings; `latents` is what `muybridge world latents` wrote with the trained codecs.

    What a batch is mixed of says train/cuts.py (`mix`). Words are left out, and phrases kept, of a share `drop_words`.
    With `codec`, a latent channel weighs by what it moves in the picture.
    `given_weight` (0: as `still_weight`) multiplies stills that have references or a source to use.
    `lip_weight`: that of errors in what lips do (`lip_loss`), of clips that were drawn with a mouth at rest, too.
    `scaled`: the network answers as flow/scaling.py says, and with `continued` as flow/continuity.py says.
    `start` is the folder of an earlier run's export to begin with. Matrices inside of the blocks are trained by Muon
    with `muon`, at `inner_rate` times the learning rate.
    `learn_text`: whether the words' table goes on learning; weights that share one leave it as it is.
    `first_given`: the share of clips that begin with a first picture that is given, besides those that draw that task.
    `still_distilled`: distilled weights that are trained further go on being sampled as such, in few steps.
    `keeper`: a folder with weights whose answers stand for the truth in what a clip says and, where no picture is
    given, shows; distilled weights would unlearn it on plain clips. Leave out `learn_text` then: both read one table.
    `compiled`: the layers are fused first, a minute or two (train/compiled.py).
    """
    settings: dict[str, Any] = dict(locals())
    mixed = mix(latents, stills, num_stills, quiet_stills, longest, closest, num_given, given, lips, num_lips)
    weigh = Weighing(
        mouth=mouth_weight,
        audio=audio_weight,
        still=still_weight,
        given=given_weight or still_weight,
        lips=lip_weight,
        channels_C=channel_weights(load_video_codec(Path(codec))) if codec else None,
    )
    config = replace(
        TINY, num_layers=num_layers, hidden_size=hidden_size, head_dim=head_dim, mm_layers=(0, num_layers - 1)
    )

    def build() -> dict[str, nn.Module]:
        if not start:
            shape = with_moments(config, mixed.caches, continued) if scaled else config
            return {"base": Transformer(shape).initialise(), "text": PhraseEncoder(), **kept()}
        base, text = load_export(Path(start))
        # Trained further, it is guided again.
        shape = replace(base.config, distilled=base.config.distilled and still_distilled)
        base.config = with_moments(shape, mixed.caches, continued) if scaled else shape
        return {"base": base.train().requires_grad_(True), "text": text.requires_grad_(learn_text), **kept()}

    def kept() -> dict[str, nn.Module]:
        return {"keeper": load_export(Path(keeper))[0]} if keeper else {}

    def batch(step: int, device: torch.device) -> list[tuple[Item, Task]]:
        generator = torch.Generator().manual_seed(step)
        sigmas = sample_sigma(batch_size, shift=shift, generator=generator)
        drawn = mixed.batch(step, batch_size, generator)
        pairs_from = batch_size - num_given
        return [
            (
                item.to(device),
                draw_task(item, float(sigma), generator, drop_words, k >= pairs_from, first_given),
            )
            for k, (item, sigma) in enumerate(zip(drawn, sigmas, strict=True))
        ]

    def loss(modules: dict[str, nn.Module], pairs: list[tuple[Item, Task]]) -> Losses:
        base, text = modules["base"], modules["text"]
        assert isinstance(base, Transformer)
        assert isinstance(text, PhraseEncoder)
        held = modules.get("keeper")
        assert held is None or isinstance(held, Transformer)
        return flow_losses(base, text, pairs, weigh, held)

    def export(modules: dict[str, nn.Module], folder: Path) -> None:
        base = modules["base"]
        assert isinstance(base, Transformer)
        export_module(base, folder / "base.safetensors", base.config)
        export_module(modules["text"], folder / "text.safetensors")

    return Recipe(
        "base",
        settings,
        build,
        batch,
        loss,
        export,
        num_steps=num_steps,
        learning_rate=learning_rate,
        accumulate=accumulate,
        warmup_steps=min(200, num_steps // 20),
        average_decay=average_decay,
        inner=("base",) if muon else (),
        inner_rate=inner_rate,
        frozen=("keeper",) if keeper else (),
        compiled=("base", *(("keeper",) if keeper else ())) if compiled else (),
    )


def load_export(folder: Path) -> tuple[Transformer, PhraseEncoder]:
    """The base and the text encoder that a run exported, float32, neither trained further unless asked to."""
    base = load_transformer(folder / "base.safetensors", matrix_dtype=torch.float32)
    text = PhraseEncoder()
    load_into(text, folder / "text.safetensors", cast=lambda _: torch.float32, any_float=True)
    return base, text


def channel_weights(codec: TinyVideoCodec) -> Tensor:
    """[C], mean 1: the square root of how far one unit of a channel of the latent moves the picture's pixels."""
    moved_C = codec.decode_straight.weight.flatten(1).norm(dim=0) * codec.std_C
    weight_C: Tensor = moved_C.sqrt()
    return weight_C / weight_C.mean()


def with_moments(
    config: ModelConfig, caches: Sequence[LatentCache], continued: bool = False, most: int = 512
) -> ModelConfig:
    """The shape with the mean squares of the latents' channels over the first items (flow/scaling.py).

    `continued`: with what they share over time, where there are clips (flow/continuity.py).
    """
    items = [cache.item(k) for cache in caches for k in range(min(most, len(cache)))]
    clips = [item.video for item in items if item.video.shape[1] > 1] if continued else []
    found = fit(correlation(clips)) if clips else NO_CONTINUITY
    pairs = [(item.video, item.source) for item in items if item.source is not None] if clips else []
    config = replace(
        config,
        video_lasting=found.lasting_C,
        video_fading=found.fading_C,
        video_fading_units=found.units_C,
        video_kept=likeness(pairs) if pairs else found.kept_C,
    )
    video = torch.stack([i.video.square().mean((1, 2, 3)) for i in items]).mean(0)
    audio = torch.cat([i.audio for i in items]).square().mean(0)
    return replace(config, video_moments=tuple(video.tolist()), audio_moments=tuple(audio.tolist()))


def draw_task(
    item: Item,
    sigma: float,
    generator: torch.Generator,
    drop_words: float = 0.0,
    is_given: bool = False,
    first_given: float = 0.0,
) -> Task:
    """A task that the item has the data for, and what is dropped; `is_given`: one that uses what is given. Pure.

    `first_given`: the share of clips that take a first picture without drawing lots.
    """
    is_still = item.video.shape[1] == 1
    able = {"t2v"} | (set() if is_still else {"i2v", "a2v"}) | ({"r2v"} if item.references is not None else set())
    able |= {"edit"} if item.source is not None else set()
    able = able & {"r2v", "edit"} if is_given else able
    if first_given and not is_still and not is_given and float(torch.rand((), generator=generator)) < first_given:
        able = {"i2v"}
    names = sorted(able)
    weights = torch.tensor([TASKS[n] for n in names])
    name = names[int(torch.multinomial(weights, 1, generator=generator))]
    *chances, chance_to_go_on = torch.rand(5, generator=generator).tolist()
    kinds = (("text", DROP_TEXT), ("speech", DROP_SPEECH), ("reference", DROP_REFERENCE), ("words", drop_words))
    drops = frozenset(kind for chance, (kind, limit) in zip(chances, kinds, strict=True) if chance < limit)
    goes_on = chance_to_go_on < GOES_ON and item.video.shape[1] > 2 * TAKEN_OVER
    return Task(name, sigma, drops, TAKEN_OVER if goes_on else 1)


def scene_of(item: Item, task: Task) -> TextPieces:
    """What tells the scene: an edit reads its instruction in place of the caption."""
    return item.instruction if task.name == "edit" and item.instruction is not None else item.caption


def text_of(item: Item, task: Task, found: LookedUp) -> TextTokens:
    """The item's text tokens for a task."""
    has_words = "words" not in task.drops
    scene = found.features(EMPTY_TEXT if "text" in task.drops else scene_of(item, task), has_words)
    if not len(scene):
        scene = found.features(EMPTY_TEXT)
    parts = [tokens.text_tokens(scene, tokens.scene_coords(len(scene)), Role.SCENE)]
    if "text" not in task.drops:
        for beat in item.beats:
            parts.append(tokens.beat_tokens(found.features(beat.pieces), beat.start_s, beat.end_s))
    if "speech" not in task.drops:
        for line in item.lines:
            features = found.text.phoneme_features(line.ids, line.language, line.register)
            parts.append(tokens.speech_tokens(features, torch.tensor(line.middles_s)))
    if task.name == "r2v" and item.references is not None and "reference" not in task.drops:
        names = [take_apart(reference_name(i)) for i in range(len(item.references))]
        tags = torch.stack([found.text.features(p).mean(0) for p in names])
        parts.append(tokens.tag_tokens(tags, item.video.shape[1]))
    return tokens.join_texts(parts)


def sequence_of(item: Item, task: Task, found: LookedUp, video: Tensor, audio: Tensor, step: int = PATCH) -> Sample:
    """The item's sequence with noisy `video` [C, T, Y, X] and `audio` [A, C] as its target."""
    is_edit = task.name == "edit"
    has_references = task.name == "r2v" and "reference" not in task.drops
    return tokens.sequence(
        text_of(item, task, found),
        video,
        audio,
        keeps_audio=task.name == "a2v",
        references_RCTYX=item.references if has_references else None,
        source_CTYX=item.source if is_edit else None,
        source_audio_AC=item.audio if is_edit else None,
        step=step,
    )


def velocities(
    base: Transformer,
    text: PhraseEncoder,
    pairs: list[tuple[Item, Task]],
    noisy: list[tuple[Tensor, Tensor]],
) -> list[tuple[Tensor, Tensor]]:
    """Velocity of each item's target, video [C, T, Y, X] and audio [A, C], in one packed pass."""
    said = [scene_of(item, task) for item, task in pairs] + [b.pieces for item, _ in pairs for b in item.beats]
    found = LookedUp(text, said)
    step = base.config.video_step
    samples = [sequence_of(item, task, found, *x, step) for (item, task), x in zip(pairs, noisy, strict=True)]
    packed = pack(samples)
    video_NC, audio_NC = base(packed)
    video_parts = video_NC.split([c[0] for c in packed.layout.counts])
    audio_parts = audio_NC.split([c[1] for c in packed.layout.counts])
    out, seen = [], video_moments(base.config)
    for (item, task), x, video, audio in zip(pairs, noisy, video_parts, audio_parts, strict=True):
        _, frames, rows, cols = item.video.shape
        num_target = frames * num_places(rows, step) * num_places(cols, step)
        answer = unpatchify(video[:num_target], rows, cols, step)
        known = range(task.num_given)
        out.append(
            (
                velocity_of(answer, x[0], task.sigma, seen, 0, known, item.source if task.name == "edit" else None),
                velocity_of(audio[: len(item.audio)], x[1], task.sigma, from_noise(base.config.audio_moments), 1),
            )
        )
    return out


def noised(
    item: Item, sigma: float, generator: torch.Generator | None = None
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """An item's video and audio at a noise level, and the noise of both; without `generator` by torch's own."""
    level = torch.tensor([sigma], device=item.video.device)
    clean = (item.video, item.audio)
    video_noise, audio_noise = (torch.randn(x.shape, generator=generator, device=x.device) for x in clean)
    noises = (video_noise, audio_noise)
    video, audio = (interpolate(x[None], n[None], level)[0] for x, n in zip(clean, noises, strict=True))
    return (video, audio), noises


def keep_clean(item: Item, task: Task, video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """What the task gives is put back: the first latents, with their sound where they are several, or the voice."""
    given, heard = task.num_given, task.num_heard
    video = torch.cat([item.video[:, :given], video[:, given:]], 1)
    audio = torch.cat([item.audio[:heard], audio[heard:]])
    return video, item.audio if task.name == "a2v" else audio


def flow_losses(
    base: Transformer,
    text: PhraseEncoder,
    pairs: list[tuple[Item, Task]],
    weigh: Weighing = PLAIN,
    keeper: Transformer | None = None,
) -> Losses:
    """Velocity errors of video and audio over a batch; what the task gives weighs nothing.

    With a `keeper`, its answers are wanted where nothing new is to be learned: in the sound of clips in which somebody
    speaks and in pictures of which none is given (Li and Hoiem 2016, "Learning without Forgetting").
    """
    noisy, wanted = [], []
    for item, task in pairs:
        (video, audio), noises = noised(item, task.sigma)
        noisy.append(keep_clean(item, task, video, audio))
        wanted.append((velocity_target(item.video, noises[0]), velocity_target(item.audio, noises[1])))
    if keeper is not None:
        asked = [k for k, (item, task) in enumerate(pairs) if item.lines or not task.num_given]
        with torch.no_grad():
            answers = velocities(keeper, text, [pairs[k] for k in asked], [noisy[k] for k in asked]) if asked else []
        for k, (video, audio) in zip(asked, answers, strict=True):
            (item, task), (true_video, true_audio) = pairs[k], wanted[k]
            wanted[k] = (true_video if task.num_given else video, audio if item.lines else true_audio)
    return losses_of(pairs, velocities(base, text, pairs, noisy), wanted, weigh)
