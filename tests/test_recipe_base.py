"""The base recipe on made-up items: every task builds its sequence, losses fall, and clean tokens weigh nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from muybridge.config import TINY
from muybridge.model.phrase_encoder import NUM_CHANNELS, LookedUp, PhraseEncoder, TextPieces
from muybridge.model.tokens import Role
from muybridge.model.transformer import Transformer
from muybridge.recipes.base import TAKEN_OVER, TASKS, draw_task, flow_losses, keep_clean, noised, sequence_of
from muybridge.recipes.losses import LIPS_FROM, Task, Weighing, lip_loss, loss_weights
from muybridge.train.cuts import shortened
from muybridge.train.items import Item, ItemBeat, ItemLine

SMALL = replace(TINY, num_layers=2, hidden_size=128, head_dim=64, mm_layers=(0, 1))


def text(seed: int, count: int = 3) -> TextPieces:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(torch.randn(1, NUM_CHANNELS, generator=generator))
    return TextPieces(vectors, torch.randint(1, 99, (count,), generator=generator))


def item(seed: int) -> Item:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return Item(
        index=seed,
        video=draw(48, 3, 4, 4),
        audio=draw(9, 64),
        mouth_TYX=torch.zeros(3, 2, 2),
        caption=text(seed),
        beats=(ItemBeat(text(seed + 50), 0.0, 0.3),),
        lines=(ItemLine(((48,), (156, 43), (54,)), (0.05, 0.1, 0.2), "en", "neutral"),),
        references=draw(2, 48, 1, 4, 4),
        source=draw(48, 3, 4, 4),
        instruction=text(seed + 70),
    )


def said(encoder: PhraseEncoder, one: Item) -> LookedUp:
    assert one.instruction is not None
    return LookedUp(encoder, [one.caption, one.instruction, *(b.pieces for b in one.beats)])


def test_words_know_their_neighbours_in_their_own_text_alone() -> None:
    encoder = PhraseEncoder()
    torch.nn.init.normal_(encoder.neighbours.weight, std=0.02)

    def pieces(*rows: int) -> TextPieces:
        return TextPieces(torch.zeros(0, NUM_CHANNELS), torch.tensor(rows, dtype=torch.int64))

    with torch.no_grad():
        red_hair, red_coat = (encoder.features(pieces(7, row, 9)) for row in (1, 2))
        assert not torch.allclose(red_hair[0], red_coat[0])
        far = encoder.features(pieces(7, 3, 4, 1))[0], encoder.features(pieces(7, 3, 4, 2))[0]
        assert torch.allclose(*far)  # three words away
        texts = [pieces(7, 1, 9), pieces(), pieces(5), pieces(7, 2, 9)]
        found = LookedUp(encoder, texts)
        for text in texts:
            assert torch.allclose(found.features(text), encoder.features(text), atol=1e-6)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_each_task_has_its_tokens(name: str) -> None:
    one, encoder = item(1), PhraseEncoder()
    sample = sequence_of(one, Task(name, 0.5, frozenset()), said(encoder, one), one.video, one.audio)
    roles = set(sample.video_roles.tolist()) | set(sample.audio_roles.tolist()) | set(sample.text_roles.tolist())
    expected = {Role.TARGET, Role.SCENE, Role.BEAT, Role.SPEECH}
    expected |= {"r2v": {Role.REFERENCE, Role.TAG}, "edit": {Role.SOURCE}, "a2v": {Role.SOURCE}}.get(name, set())
    assert roles == {int(r) for r in expected}


def test_dropped_conditions_leave_no_tokens() -> None:
    one, encoder = item(1), PhraseEncoder()
    task = Task("r2v", 0.5, frozenset({"text", "speech", "reference"}))
    sample = sequence_of(one, task, said(encoder, one), one.video, one.audio)
    assert set(sample.text_roles.tolist()) == {int(Role.SCENE)}
    assert len(sample.text_roles) == 1
    assert set(sample.video_roles.tolist()) == {int(Role.TARGET)}


def test_items_without_references_or_source_never_take_those_tasks() -> None:
    bare = replace(item(1), references=None, source=None)
    generator = torch.Generator().manual_seed(0)
    names = {draw_task(bare, 0.5, generator).name for _ in range(60)}
    assert names == {"t2v", "i2v", "a2v"}


def test_given_items_are_used_for_what_they_are_given() -> None:
    generator = torch.Generator().manual_seed(0)
    still = shortened(item(1), 1)
    assert still.source is not None
    assert still.source.shape == still.video.shape == (48, 1, 4, 4)
    names = {draw_task(still, 0.5, generator, is_given=True).name for _ in range(60)}
    assert names == {"r2v", "edit"}
    only = replace(still, source=None)
    assert {draw_task(only, 0.5, generator, is_given=True).name for _ in range(20)} == {"r2v"}


def test_clips_may_all_begin_with_their_first_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    assert {draw_task(item(1), 0.5, generator, first_given=1.0).name for _ in range(40)} == {"i2v"}
    some = [draw_task(item(1), 0.5, generator, first_given=0.5).name for _ in range(200)]
    assert set(some) == set(TASKS) and 0.5 < some.count("i2v") / 200 < 0.75
    still = shortened(item(1), 1)
    assert "i2v" not in {draw_task(still, 0.5, generator, first_given=1.0).name for _ in range(40)}
    assert draw_task(still, 0.5, generator, is_given=True, first_given=1.0).name in {"r2v", "edit"}


def test_a_given_first_frame_and_a_given_voice_weigh_nothing() -> None:
    torch.manual_seed(0)
    base, encoder = Transformer(SMALL).initialise(), PhraseEncoder()
    one = item(2)
    losses = flow_losses(base, encoder, [(one, Task("a2v", 0.5, frozenset()))], Weighing(mouth=4.0))
    assert float(losses["audio"].detach()) == 0.0
    changed = replace(one, video=torch.cat([one.video[:, :1] + 100, one.video[:, 1:]], 1))
    both = []
    for version in (one, changed):
        torch.manual_seed(5)
        losses = flow_losses(base, encoder, [(version, Task("i2v", 0.5, frozenset()))], Weighing(mouth=4.0))
        both.append(float(losses["video"].detach()))
    # Final layers start at zero: the loss is the target's own size, which must not hold the first frame.
    assert both[0] == pytest.approx(both[1])


def test_a_windows_beginning_is_given_with_its_sound() -> None:
    """What a programme's window takes over stays as it is and weighs nothing; short clips begin with one picture."""
    one = item(2)
    long = replace(one, video=torch.randn(48, 12, 4, 4), audio=torch.randn(45, 64), mouth_TYX=torch.ones(12, 2, 2))
    task = Task("i2v", 0.9, frozenset(), TAKEN_OVER)
    (video, audio), _ = noised(long, 0.9)
    video, audio = keep_clean(long, task, video, audio)
    assert torch.equal(video[:, :5], long.video[:, :5]) and torch.equal(audio[:17], long.audio[:17])
    assert not torch.isclose(video[:, 5:], long.video[:, 5:]).any()
    weights = loss_weights(long, task, Weighing(mouth=2.0))
    assert float(weights[0][:, :5].max()) == 0 < float(weights[0][:, 5:].min())
    assert float(weights[1][:17].max()) == 0 < float(weights[1][17:].min())
    generator = torch.Generator().manual_seed(0)
    begun = [draw_task(long, 0.5, generator) for _ in range(400)]
    goes_on = [t.num_given for t in begun if t.name == "i2v"]
    assert set(goes_on) == {1, TAKEN_OVER} and 0.25 < goes_on.count(TAKEN_OVER) / len(goes_on) < 0.55
    assert {t.num_given for t in begun if t.name != "i2v"} == {0}
    assert {draw_task(one, 0.5, generator).num_given for _ in range(100)} == {0, 1}


def test_the_mouth_weighs_more() -> None:
    base, encoder, one = Transformer(SMALL).initialise(), PhraseEncoder(), item(3)
    mouth = torch.zeros(3, 2, 2)
    mouth[1, 1, 1] = 1.0
    loud = one.video.clone()
    loud[:, 1, 2:, 2:] *= 10
    losses = []
    for weight in (0.0, 8.0):
        torch.manual_seed(1)
        pair = (replace(one, video=loud, mouth_TYX=mouth), Task("t2v", 0.5, frozenset()))
        losses.append(float(flow_losses(base, encoder, [pair], Weighing(mouth=weight))["video"].detach()))
    assert losses[1] > 2 * losses[0]


def test_lips_are_the_error_along_their_ways() -> None:
    """An error along a lip direction of length a weighs a^2 / (a^2 + LIPS_FROM^2); one across it weighs nothing."""
    one = item(1)
    lips_KCYX = torch.zeros(2, 48, 4, 4)
    lips_KCYX[0, 5, :2, :2] = 1.0  # token (0, 0): length 2
    one = replace(one, lips_KCYX=lips_KCYX)
    audio = torch.zeros(9, 64)
    along, across = torch.zeros_like(one.video), torch.zeros_like(one.video)
    along[5, :, :2, :2] = 1.5  # 1.5 times the direction of length 2: an error of 3
    across[6] = 9.0
    across[5, :, 2:] = 9.0  # the same channel where lips are not

    def loss(made: torch.Tensor, task: str = "t2v") -> float:
        pairs = [(one, Task(task, 0.5, frozenset()))]
        found = lip_loss(pairs, [(made, audio)], [(torch.zeros_like(made), audio)])
        assert found is not None
        return float(found)

    assert loss(along) == pytest.approx(9.0)
    assert loss(across) == 0
    first = torch.zeros_like(along)
    first[:, 0] = along[:, 0]
    assert loss(first) == pytest.approx(3.0)  # one latent of three
    assert loss(first, "i2v") == 0  # which is given
    weak = replace(one, lips_KCYX=lips_KCYX * LIPS_FROM / 2)
    both = lip_loss(
        [(weak, Task("t2v", 0.5, frozenset())), (one, Task("t2v", 0.5, frozenset()))],
        [(along, audio), (across, audio)],
        [(torch.zeros_like(along), audio)] * 2,
    )
    strong = 4 / (4 + LIPS_FROM**2)
    assert both is not None
    assert float(both) == pytest.approx(9.0 * 0.5 / (0.5 + strong), rel=1e-5)
    plain = replace(one, lips_KCYX=None)
    assert lip_loss([(plain, Task("t2v", 0.5, frozenset()))], [(along, audio)], [(along, audio)]) is None


def test_training_learns_two_items_of_different_tasks_at_once() -> None:
    torch.manual_seed(0)
    base, encoder = Transformer(SMALL).initialise(), PhraseEncoder()
    optimizer = torch.optim.AdamW([*base.parameters(), *encoder.parameters()], lr=2e-3)
    pairs = [(item(1), Task("t2v", 0.6, frozenset())), (item(2), Task("r2v", 0.3, frozenset({"speech"})))]
    first = last = 0.0
    for step in range(30):
        torch.manual_seed(step % 2)
        losses = flow_losses(base, encoder, pairs)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        first, last = first or float(losses["loss"].detach()), float(losses["loss"].detach())
    assert last < 0.6 * first


def test_a_keeper_answers_for_speech_and_for_clips_without_a_first_picture() -> None:
    torch.manual_seed(0)
    base, encoder = Transformer(SMALL).initialise(), PhraseEncoder()

    def parts(one: Item, name: str) -> tuple[float, float]:
        torch.manual_seed(9)  # not the seed of the item, whose noise would be the item itself
        with torch.no_grad():
            losses = flow_losses(base, encoder, [(one, Task(name, 0.7, frozenset()))], keeper=base)
        return float(losses["video"]), float(losses["audio"])

    talks, silent = item(1), replace(item(1), lines=())
    assert parts(talks, "t2v") == (0.0, 0.0)
    video, audio = parts(talks, "i2v")
    assert video > 0.1
    assert audio == 0.0
    video, audio = parts(silent, "t2v")
    assert video == 0.0
    assert audio > 0.1
