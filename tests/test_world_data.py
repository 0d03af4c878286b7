"""The world as training data: sentences, the utterance bank, talking clips, frames for codecs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import correlate

from muybridge.errors import InvalidRequest, NotFound, UserError
from muybridge.speech.durations import Phone, natural_durations
from muybridge.speech.phonemes import phonemes
from muybridge.speech.script import parse_script
from muybridge.train import frames
from muybridge.world import captions, sentences, spoken_words, talking, utterances
from muybridge.world.anatomy import UNIT_INDEX
from muybridge.world.characters import sample_identity
from muybridge.world.grammar import sample_scene, split_of
from muybridge.world.person import LANDMARKS
from muybridge.world.sample import seed_of
from muybridge.world.sentences import LANGUAGES, sentence
from muybridge.world.utterances import Bank, Utterance, voice_of
from muybridge.world.voices import SAMPLE_RATE, VOICES, Speech

# The sentences that evaluation speaks; training must never hear one.
RESERVED = {
    "en": "The weather is nice today, so we are going to the park. / Please call me tomorrow morning before nine "
    "o'clock. / She opened the red door and walked into the garden. / My brother bought three large bottles of fresh "
    "milk. / Thank you very much for watching this short video.",
    "zh": "今天天气很好，我们一起去公园吧。 / 请你明天早上九点以前给我打电话。 / 她打开红色的门，走进了花园。 / "
    "我哥哥买了三大瓶新鲜牛奶。 / 非常感谢大家观看这个短视频。",
    "yue": "今日天氣好好，我哋一齊去公園啦。 / 請你聽日朝早九點之前打電話畀我。 / 佢打開紅色嘅門，行咗入花園。 / "
    "我哥哥買咗三大樽新鮮牛奶。 / 多謝大家睇呢條短片。",
    "ja": "今日は天気がいいので、公園に行きましょう。 / 明日の朝九時までに電話してください。 / "
    "彼女は赤いドアを開けて庭に入りました。 / 兄は新鮮な牛乳を三本買いました。 / "
    "この短い動画を見てくれてありがとうございます。",
    "ko": "오늘은 날씨가 좋아서 공원에 갑니다. / 내일 아침 아홉 시 전에 전화해 주세요. / 그녀는 빨간 문을 열고 "
    "정원으로 들어갔습니다. / 우리 형은 신선한 우유 세 병을 샀습니다. / 이 짧은 영상을 봐 주셔서 감사합니다.",
    "de": "Das Wetter ist heute schön, deshalb gehen wir in den Park. / Bitte rufen Sie mich morgen früh vor neun Uhr "
    "an. / Sie öffnete die rote Tür und ging in den Garten. / Mein Bruder kaufte drei große Flaschen frische Milch. / "
    "Vielen Dank, dass Sie dieses kurze Video angesehen haben.",
    "fr": "Il fait beau aujourd'hui, alors nous allons au parc. / Appelez-moi demain matin avant neuf heures, s'il "
    "vous plaît. / Elle ouvrit la porte rouge et entra dans le jardin. / Mon frère a acheté trois grandes bouteilles "
    "de lait frais. / Merci beaucoup d'avoir regardé cette courte vidéo.",
}


def test_reserved_sentences_are_35() -> None:
    assert sum(len(text.split(" / ")) for text in RESERVED.values()) == 35


@pytest.mark.parametrize("language", LANGUAGES)
def test_grammar_is_large_and_cannot_make_a_reserved_sentence(language: str) -> None:
    assert sentences.num_sentences(language) > 300_000
    assert not [text for text in RESERVED[language].split(" / ") if sentences.matches(text, language)]
    made = [sentence(i, "train", language) for i in range(400)]
    assert all(sentences.matches(text, language) for text in made)  # so `matches` can say yes
    assert made == [sentence(i, "train", language) for i in range(400)]
    assert len(set(made)) > 330
    counts = [len(text.split()) for text in made]
    assert max(counts) <= (14 if language in ("en", "de", "fr", "ko") else 3)


@pytest.mark.parametrize("language", LANGUAGES)
def test_splits_share_no_sentence(language: str) -> None:
    train = {sentence(i, "train", language) for i in range(3000)}
    test = {sentence(i, "test", language) for i in range(600)}
    assert len(test) > 250
    assert not train & test
    assert all(split_of("sentence", f"{language}:{text}") == "test" for text in test)


@pytest.mark.parametrize("language", LANGUAGES)
def test_training_covers_every_phone_of_the_evaluation(language: str) -> None:
    def bases(text: str) -> set[str]:
        return {p.base for p in natural_durations(phonemes(text, language), language) if not p.is_pause}

    heard = set().union(*(bases(sentence(i, "train", language)) for i in range(250)))
    wanted = set().union(*(bases(text) for text in RESERVED[language].split(" / ")))
    assert wanted <= heard, wanted - heard


def test_unknown_language_and_split_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="choose one of: en"):
        sentence(0, "train", "it")
    with pytest.raises(InvalidRequest, match="train, val, test"):
        sentence(0, "dev", "en")


@pytest.mark.parametrize("prompt_language", LANGUAGES)
def test_scripts_come_back_from_captions(prompt_language: str) -> None:
    """What a caption quotes is what the script parser finds: text, language and register."""
    wrong = []
    for i in range(60):
        scene = sample_scene(seed_of(i, "train"), "train", None, cast="person")
        rng = np.random.default_rng(i)
        language = LANGUAGES[i % 7]
        said = [
            spoken_words.Said(
                "the man", sentence(i * 3 + k, "train", language), language,
                ("calm", "neutral", "energetic")[int(rng.integers(3))], 0.3 + k, 1.1 + k,
            )
            for k in range(1 + i % 2)
        ]  # fmt: skip
        if prompt_language == "en":
            text = spoken_words.tell(captions.caption(scene, scene.seed), said, i)
        else:
            text = spoken_words.tell_short(captions.prompt(scene, prompt_language), said, prompt_language, i)
        found = [(line.text, line.language, line.register or "neutral") for line in parse_script(text).lines]
        if found != [(s.text, s.language, s.register) for s in said]:
            wrong.append((text, found))
        assert len(text.split()) <= 200
    assert len(wrong) <= 1, wrong


class Hum:
    """A source of made-up speech: a hum that is loud in vowels; fast, and its times are exact."""

    def __init__(self, said: str = "mˈɑbə pˈɑ mˈɑ.") -> None:
        self.said = said

    def make(self, language: str, voice: str) -> Utterance:
        phones = [p.moved(0.1) for p in natural_durations(self.said, "en")]
        wave_S = np.zeros(round((phones[-1].end_s + 0.03) * SAMPLE_RATE), np.float32)
        for p in phones:
            at = slice(round(p.start_s * SAMPLE_RATE), round(p.end_s * SAMPLE_RATE))
            loud = 0.3 if p.base in "ɑə" else 0.0 if p.is_pause else 0.04
            t = np.arange(at.stop - at.start) / SAMPLE_RATE
            wave_S[at] = loud * np.sin(2 * np.pi * 180 * t) * np.hanning(len(t))
        words = (Phone("mɑbə", phones[0].start_s, phones[-1].end_s),)
        return Utterance(Speech(wave_S, tuple(phones), words, language, voice), "mahba pah mah", "neutral", 1.0)

    def pick(
        self, rng: np.random.Generator, split: str, language: str, voice: str, longest_s: float
    ) -> Utterance | None:
        del rng, split
        item = self.make(language, voice)
        return item if item.speech.seconds <= longest_s else None


def test_bank_keeps_sound_on_its_times(tmp_path: Path) -> None:
    voice = VOICES["en"][0]
    made = [Hum(said).make("en", voice) for said in ("mˈɑbə pˈɑ mˈɑ.", "pˈɑ.", "bˈɑmə bˈɑ, mˈɑ pˈɑ.")]
    utterances.write_shard(tmp_path, "en-train-0000", made)
    bank = Bank(tmp_path)
    assert len(bank) == 3
    for item, (name, row) in zip(made, bank.rows["train", "en", voice], strict=True):
        again = bank.load(name, row)
        wave_S, wanted_S = again.speech.waveform_S, item.speech.waveform_S
        assert len(wave_S) == len(wanted_S)
        assert abs(int(correlate(wave_S, wanted_S).argmax()) - (len(wanted_S) - 1)) <= 2  # samples
        for p, q in zip(again.speech.phones, item.speech.phones, strict=True):
            assert p.symbol == q.symbol
            assert p.start_s == pytest.approx(q.start_s, abs=1e-4)
        assert (again.text, again.register) == (item.text, item.register)
    seconds = sum(item.speech.seconds for item in made)
    assert (tmp_path / "en-train-0000.ogg").stat().st_size < (12e6 / 3600) * seconds + 2000  # headers


def test_half_written_shards_are_not_seen(tmp_path: Path) -> None:
    utterances.write_shard(tmp_path, "en-train-0000", [Hum().make("en", VOICES["en"][0])])
    (tmp_path / "en-train-0000.json.gz").unlink()  # as after a kill between the two files
    with pytest.raises(NotFound, match="world speech"):
        Bank(tmp_path)
    with pytest.raises(UserError, match="'xx'"):
        utterances.build(1, "train", tmp_path, ("xx",))


def test_a_person_keeps_a_fitting_voice() -> None:
    for seed in range(60):
        identity = sample_identity(seed)
        for language in LANGUAGES:
            voice = voice_of(identity, language)
            assert voice == voice_of(identity, language)
            assert (utterances.VOICE_HZ[voice] < utterances.MAN_HZ) == (identity.masculine > 0.5)
    assert set(utterances.VOICE_HZ) == {voice for voices in VOICES.values() for voice in voices}


def test_plans_lay_speech_out_in_time() -> None:
    spoken = 0
    for index in range(40):
        planned = talking.plan(index, "train", 4.0, Hum())
        length = planned.scene.num_frames / 25
        assert talking.waveform(planned).shape == (1, planned.scene.num_frames * 960)
        for line, item in zip(planned.lines, planned.utterances, strict=True):
            spoken += 1
            assert line.start_s >= 0
            assert line.spoken_s[1] <= length
            assert [p.symbol for p in line.phones] == [p.symbol for p in item.speech.phones]
            assert line.voice == voice_of(planned.scene.people[line.person].identity, line.language)
        for a, b in zip(planned.lines, planned.lines[1:], strict=False):
            assert b.spoken_s[0] > a.spoken_s[1] + 0.15
        told = [span.what for human in planned.scene.people for span in human.speech]
        assert sorted(told) == sorted(line.text for line in planned.lines)
        again = talking.plan(index, "train", 4.0, Hum())
        assert again.scene == planned.scene
        assert again.lines == planned.lines
    assert spoken > 30


def test_sound_starts_when_the_first_phone_does() -> None:
    planned = next(
        p for p in (talking.plan(i, "train", 3.0, Hum(), cast="person", weather="clear") for i in range(9)) if p.lines
    )
    wave_S = talking.waveform(planned)[0]
    first = planned.lines[0].spoken_s[0]
    assert np.abs(wave_S[: round(first * SAMPLE_RATE) - 24]).max() < 1e-3
    assert np.abs(wave_S[round(first * SAMPLE_RATE) :][:2400]).max() > 0.01


def test_lips_follow_the_speech() -> None:
    """In the drawn truth, lip opening follows the jaw track and the loudness of vowels without delay."""
    kept = {"cast": "person", "framing": "close-up", "weather": "clear"}
    plans = (talking.plan(i, "train", 4.0, Hum("pˈɑ pˈɑ pˈɑ, pˈɑ pˈɑ."), **kept) for i in range(30))
    planned = next(p for p in plans if p.lines and not p.scene.people[0].gestures)
    clip = talking.draw(planned, 0, "train", 96, 96)
    upper, lower = (LANDMARKS.index(f"lip_{side}_inner") for side in ("upper", "lower"))
    open_T = np.linalg.norm(clip.landmarks_TPL3[:, 0, lower] - clip.landmarks_TPL3[:, 0, upper], axis=1)
    jaw_T = clip.units_TPU[:, 0, UNIT_INDEX["jawOpen"]]
    assert np.corrcoef(open_T, jaw_T)[0, 1] > 0.85
    samples_TS = clip.waveform_CS[0].reshape(len(open_T), 960)
    loud_T = np.convolve(np.sqrt((samples_TS**2).mean(1)), np.hanning(5) / 2, "same")
    scores = {lag: np.corrcoef(np.roll(loud_T, lag)[6:-6], open_T[6:-6])[0, 1] for lag in range(-5, 6)}
    assert abs(max(scores, key=scores.__getitem__)) <= 1, scores
    assert clip.masks["mouth"].max() > 100
    assert '"' in clip.caption or "“" in clip.caption
    assert set(clip.prompts) == set(LANGUAGES)


@pytest.mark.slow
def test_real_voices_fill_a_bank(tmp_path: Path) -> None:
    item = utterances.utterance(0, "test", "fr")
    utterances.write_shard(tmp_path, "fr-test-0000", [item])
    voice = item.speech.voice
    found = Bank(tmp_path).pick(np.random.default_rng(0), "test", "fr", voice, 9.0)
    assert found is not None
    assert np.corrcoef(found.speech.waveform_S, item.speech.waveform_S)[0, 1] > 0.9
    assert Bank(tmp_path).pick(np.random.default_rng(0), "test", "fr", voice, 0.1) is None


def test_frames_are_moving_cuts_of_the_world() -> None:
    cuts = list(frames.world_cuts(3, 64, "train"))
    assert [clip.shape for clip, _ in cuts] == [(13, 64, 64, 3)] * frames.CUTS
    again = list(frames.world_cuts(3, 64, "train"))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(cuts, again, strict=True))
    assert any((clip[0] != clip[-1]).any() for clip, _ in cuts)


def test_stills_move_and_keep_to_their_split() -> None:
    for split in ("train", "test"):
        for index in range(30):
            clip, facts = frames.moving_still(index, 32, split)
            assert clip.shape == (13, 32, 32, 3)
            assert facts["kind"] == "texture" or (facts["kind"] in frames.HELD_OUT) == (split == "test")
    assert np.array_equal(frames.moving_still(4, 32, "train")[0], frames.moving_still(4, 32, "train")[0])


def test_frame_cache_draws_batches_by_step(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name in frames.shard_names(2 * frames.SHARD):
        frames.write_shard(tmp_path, name, rng.integers(0, 256, (24, 13, 8, 8, 3), np.uint8), [{"kind": "x"}] * 24)
    cache = frames.read(tmp_path)
    assert len(cache) == 48
    clips, mouths = cache.batch(7, 5, 192)
    assert np.array_equal(clips, cache.batch(7, 5, 192)[0])
    assert not np.array_equal(clips, cache.batch(8, 5, 192)[0])
    assert mouths.shape == (5, 192, 192)
    assert not mouths.any()  # none is known
    (tmp_path / "world-192-train-00000.json").unlink()  # not whole: not read
    assert len(frames.read(tmp_path)) == 24
    with pytest.raises(NotFound, match="muybridge world frames"):
        frames.read(tmp_path, "val")


def test_mouths_are_mirrored_with_their_clips(tmp_path: Path) -> None:
    """Every clip has one white pixel where its mouth is: the spot's highest place is that pixel."""
    clips = np.zeros((24, 13, 192, 192, 3), np.uint8)
    clips[:, :, 40, 60] = 255
    frames.write_shard(tmp_path, "world-192-train-00000", clips, [{"mouth": [40.5, 60.5, 8.0]}] * 24)
    drawn, mouths = frames.read(tmp_path).batch(3, 12, 192)
    places = {np.unravel_index(int(mouth.argmax()), mouth.shape) for mouth in mouths}
    assert places == {(40, 60), (40, 131)}
    assert all(
        clip[0][np.unravel_index(int(m.argmax()), m.shape)][0] == 255 for clip, m in zip(drawn, mouths, strict=True)
    )
    assert mouths.max() == pytest.approx(1.0)


def test_a_mouth_over_two_tokens_lies_between_them() -> None:
    mouth_YX = np.zeros((4, 7), np.int64)
    mouth_YX[2, 3], mouth_YX[2, 4] = 100, 300
    assert frames.mouth_in(mouth_YX, 10, 20) == pytest.approx([2.5 * 32 - 10, 4.25 * 32 - 20, 16.0])
    assert frames.mouth_in(np.zeros((4, 7), np.int64), 0, 0) is None


def test_what_the_bank_lacks_is_spoken_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = VOICES["en"][0]
    utterances.write_shard(tmp_path, "en-train-0000", [Hum("pˈɑ.").make("en", voice)])
    source = utterances.BankElseLive(tmp_path)
    spoken: list[tuple[str, str]] = []

    def speak(text: str, language: str, *_: object) -> Speech:
        spoken.append((text, language))
        return Hum("mˈɑ.").make(language, voice).speech

    monkeypatch.setattr(utterances, "speak", speak)
    rng = np.random.default_rng(0)
    assert source.pick(rng, "train", "en", voice, 3.0) is not None
    assert not spoken
    found = source.pick(rng, "test", "en", voice, 3.0)
    assert found is not None
    assert spoken == [(found.text, "en")]
    assert split_of("sentence", f"en:{found.text}") == "test"
    assert source.pick(rng, "test", "en", voice, 0.2) is None
    assert len(spoken) == 1  # too short for any sentence: the voices are not asked
