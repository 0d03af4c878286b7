"""Scripts: speakers, languages, spans, pauses found; the open 15B's form and subtitles come back; nothing crashes."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import UserError
from muybridge.request import Beat, Line
from muybridge.speech import subtitles
from muybridge.speech.pacing import plan_speech
from muybridge.speech.script import (
    Script,
    infer_register,
    language_of,
    line_register,
    magihuman_prompt,
    parse_script,
    space_cjk,
)
from muybridge.speech.talk import parse_talk
from muybridge.world.spoken_words import Said, tell, tell_short

SAID = {
    "en": "Hello everyone, the weather is nice today.",
    "zh": "今天天气很好。",
    "yue": "今日天氣好好，我哋走啦。",
    "ja": "今日はいい天気です。",
    "ko": "오늘은 날씨가 좋습니다.",
    "de": "Das Wetter ist heute schön.",
    "fr": "Il fait beau aujourd'hui.",
}


def test_spans_speakers_languages_and_registers() -> None:
    script = parse_script(
        '[00:00-00:03] A man in a red coat explains patiently: "The weather is nice today." '
        "[00:03-00:07] The woman shouts over the crowd in French: «Attention, il arrive!»"
    )
    first, second = script.lines
    assert (first.speaker, first.language, first.register, first.start_s) == ("A man in a red coat", "en", "calm", 0.1)
    assert (second.speaker, second.language, second.register, second.start_s) == ("The woman", "fr", "energetic", 3.1)
    assert [(b.start_s, b.end_s) for b in script.beats] == [(0, 3), (3, 7)]
    assert not re.search(r"\d", script.scene)


@pytest.mark.parametrize(
    ("prompt", "spans"),
    [
        ("0-2 s: she turns; 2-5 s: she waves", [(0, 2), (2, 5)]),
        ("2s-5s, he runs", [(2, 5)]),
        ("from 1.5 to 3 seconds: rain", [(1.5, 3)]),
        ("[01:02 - 01:04] a bell", [(62, 64)]),
        ("first she turns, then she waves", []),
        ("a crowd of 10-20 people", []),
        ("5-2 s: backwards", []),
        ('she says "wait 2-3 s: no"', []),
        ("She nods. Between 0.1 s and 2.1 s she waves.", [(0.1, 2.1)]),
        ("He leans in from 0.3 to 1.7 s. He turns (1.8-3.1 s).", [(0.3, 1.7), (1.8, 3.1)]),
        ("At 1.6 s the woman stares.", [(1.6, 3.1)]),
        ("Between 3 and 5 people walk from 2 to 4 trees.", []),
        ("[0:00-0:02] rain\n[0:02-0:05] sun", [(0, 2), (2, 5)]),
    ],
)
def test_which_numbers_are_spans(prompt: str, spans: list[tuple[float, float]]) -> None:
    assert [(b.start_s, b.end_s) for b in parse_script(prompt).beats] == spans


def test_a_time_inside_a_sentence_holds_for_that_sentence() -> None:
    script = parse_script(
        'The light is warm. From 1.9 to 3.3 s she looks down. She says "Stop. Now." (3.5-4.6 s). The camera pans. '
        "4.6-5.0 s: he waves. He smiles. At 2 s a bell rings."
    )
    assert [b.text for b in script.beats] == [
        "she looks down.",
        'She says "Stop. Now."',
        "he waves. He smiles.",
        "a bell rings.",
    ]
    assert script.lines[0].start_s == pytest.approx(3.6)
    assert not re.search(r"\d", script.scene)


def test_pauses_before_a_line_are_kept_and_leave_the_scene() -> None:
    script = parse_script('He says: "One." (pause 2s) He says: "Two." [pause] "Three."')
    assert script.gaps_s == (None, 2.0, 1.0)
    assert "pause" not in script.scene
    plan = plan_speech(script)
    assert plan.lines[1].start_s - plan.lines[0].end_s == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("prompt", "speaker", "language"),
    [
        ("Im Park: Eine alte Frau sagt: „Guten Morgen, wie geht es?“", "Eine alte Frau", "de"),
        ("Une femme rousse dit en anglais : « Good morning »", "Une femme rousse", "en"),
        ("公园里，一个女人说：“今天天气很好。”", "一个女人", "zh"),
        ("公園裏面，一個男人用廣東話講：“今日天氣好好。”", "一個男人", "yue"),
        ("公園で女性が「こんにちは」と言う。", "公園で女性", "ja"),
        ('공원에서 한 여자가 "안녕하세요"라고 말한다.', "공원에서 한 여자", "ko"),
        ('A woman on the left says softly: "Good night."', "A woman on the left", "en"),
    ],
)
def test_speakers_in_seven_languages(prompt: str, speaker: str, language: str) -> None:
    (line,) = parse_script(prompt).lines
    assert (line.speaker, line.language) == (speaker, language)


def test_lettering_is_not_speech() -> None:
    assert parse_script('A sign reads "OPEN". The girl whispers "be quiet".').lines[0].text == "be quiet"


def test_open_15b_form_says_dialogue_twice_with_spaced_cjk_and_reads_back() -> None:
    script = parse_script(
        'An old man says in Mandarin: “今天很好。” The girl replies in Cantonese, "我哋走啦。" Rain falls.'
    )
    prompt = magihuman_prompt(script)
    assert prompt.count("今 天 很 好") == 2 and prompt.count("我 哋 走 啦") == 2
    assert "Dialogue:\n<An old man, Mandarin>" in prompt
    assert prompt.endswith("Background Sound:\n<No prominent background sound>")
    again = parse_script(prompt)
    assert [(line.text, line.language, line.speaker) for line in again.lines] == [
        ("今天很好。", "zh", "An old man"),
        ("我哋走啦。", "yue", "The girl"),
    ]


def test_dialogue_section_alone() -> None:
    script = parse_script(
        'A room.\n\nDialogue:\n<young woman, calm, Japanese>: "こ ん に ち は"\nold man: Hello there.\n\n'
        "Background Sound:\n<rain on a window>"
    )
    assert [(x.text, x.language, x.speaker, x.register) for x in script.lines] == [
        ("こんにちは", "ja", "young woman, calm", "calm"),
        ("Hello there.", "en", "old man", None),
    ]
    assert script.background_sound == "rain on a window" and script.scene == "A room."


@pytest.mark.parametrize(
    ("text", "language"),
    [("今天很好", "zh"), ("我哋一齊去", "yue"), ("公園に行く", "ja"), ("안녕하세요", "ko"),
     ("Guten Morgen, wie geht es?", "de"), ("Bonjour à tous", "fr"), ("Hello there", "en"), ("", "en"), ("123", "en")],
)  # fmt: skip
def test_language_of_a_line(text: str, language: str) -> None:
    assert language_of(text) == language


def test_registers_from_scenes() -> None:
    assert infer_register("he explains patiently") == "calm"
    assert infer_register("she shouts over the crowd") == "energetic"
    assert infer_register("a man at a desk") == "neutral"
    assert infer_register("她大叫") == "energetic" and infer_register("er spricht leise") == "calm"


def test_cjk_spacing() -> None:
    assert space_cjk("你好 hello 안녕, ok") == "你 好 hello 안 녕, ok"


TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="<>&{}"), max_size=80)
MARKUP = st.lists(
    st.sampled_from(
        ['"', "“", "”", "«", "»", "「", "」", "Dialogue:\n", "Background Sound:\n", "0-2 s:", "[00:02-", "00:05]",
         "(pause 2s)", " he says ", "in French", "\n", ":", "<", ">", "1.5", "-", "今天", "hello"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(TEXT, MARKUP))
def test_no_prompt_crashes_the_parser(prompt: str) -> None:
    script = parse_script(prompt)
    assert len(script.lines) == len(script.gaps_s) == len(script.cues)
    assert all(b.start_s < b.end_s and b.text for b in script.beats)
    assert all(line.text.strip() == line.text and line.text for line in script.lines)
    parse_script(magihuman_prompt(script))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.from_regex(r"[A-Z][a-z]{1,8}( [a-z]{1,8}){0,5}", fullmatch=True), min_size=1, max_size=4))
def test_lines_survive_the_open_form(texts: list[str]) -> None:
    lines = tuple(Line(t, f"person {'abcd'[i]}", "en") for i, t in enumerate(dict.fromkeys(texts)))
    back = parse_script(magihuman_prompt(Script("A room.", lines=lines, gaps_s=(None,) * len(lines))))
    assert [x.text for x in back.lines] == [x.text for x in lines]


def test_srt_and_vtt_round_trip_with_words_in_order() -> None:
    script = parse_script(
        'Anna says: "Hello everyone, welcome to the show." The man says in Mandarin: “今天天气很好。”'
    )
    plan = plan_speech(script)
    cues = subtitles.plan_cues(plan)
    for text in (subtitles.to_srt(cues), subtitles.to_vtt(cues)):
        back = subtitles.read_cues(text)
        assert [c.text for c in back] == [c.text for c in cues]
        assert all(
            abs(a.start_s - b.start_s) < 0.001 and abs(a.end_s - b.end_s) < 0.001
            for a, b in zip(back, cues, strict=True)
        )
    for cue in cues:
        times = [t for _, a, b in cue.words for t in (a, b)]
        assert times == sorted(times) and times[0] >= cue.start_s - 1e-9 and times[-1] <= cue.end_s + 1e-9
    assert [w for w, _, _ in cues[0].words] == ["Hello", "everyone", "welcome", "to", "the", "show"]
    assert len(cues[1].words) == 6


def test_subtitle_lines_keep_their_spans() -> None:
    srt = (
        "1\n00:00:01,000 --> 00:00:02,600\nJohn: Hello my <i>dear</i> friends.\n\n"
        "2\n00:00:04,000 --> 00:00:09,200\nBonjour à tous.\n"
    )
    script = subtitles.parse_subtitles(srt)
    assert script.lines[0] == Line("Hello my dear friends.", "John", "en", None, 1.0, 2.6)
    assert script.lines[1].language == "fr" and script.lines[1].end_s is None  # it lingers
    plan = plan_speech(script)
    assert abs(plan.lines[0].start_s - 1.0) <= 0.08 and abs(plan.lines[0].end_s - 2.6) <= 0.08
    with pytest.raises(UserError, match="no subtitle"):
        subtitles.parse_subtitles("nothing here")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789:,.->\n <v>WEBTab", max_size=120))
def test_no_subtitle_text_crashes(text: str) -> None:
    assert all(c.end_s > c.start_s for c in subtitles.read_cues(text))


def test_beats_are_the_shared_type() -> None:
    assert parse_script("0-2 s: rain").beats == (Beat("rain", 0.0, 2.0),)


@pytest.mark.parametrize("language", list(SAID))
def test_every_wording_of_the_training_captions_is_understood(language: str) -> None:
    for seed, register in itertools.product(range(12), ("calm", "neutral", "energetic")):
        told = Said("the woman", SAID[language], language, register, 0.5, 3.0)
        for prompt in (
            tell("A close-up of a woman in a blue jacket in a park.", [told], seed),
            tell_short("a woman, in an office", [told], language, seed),
        ):
            script = parse_script(prompt)
            (line,) = script.lines
            assert (line.text, line.language, line_register(script, line)) == (SAID[language], language, register), (
                prompt
            )


TALK = """# A woman at a desk, evening light

Good evening. Dr. Lee and J. Smith paid $3.50 for it. Really?
It goes on here.

> She smiles.
Anna (calm, French): Bonjour à tous. Voilà.

(pause 2s)
**Bob:** 今天很好。我们走吧！
"""


def test_a_talk_is_read_sentence_by_sentence() -> None:
    script = parse_talk(TALK)
    assert [(line.text, line.speaker, line.language) for line in script.lines] == [
        ("Good evening.", None, "en"),
        ("Dr. Lee and J. Smith paid $3.50 for it.", None, "en"),
        ("Really?", None, "en"),
        ("It goes on here.", None, "en"),
        ("Bonjour à tous.", "Anna", "fr"),
        ("Voilà.", "Anna", "fr"),
        ("今天很好。", "Bob", "zh"),
        ("我们走吧！", "Bob", "zh"),
    ]
    assert script.gaps_s == (None, 0.3, 0.3, 0.3, 0.7, 0.3, 2.0, 0.3)
    assert script.lines[4].register == "calm" and script.scene == "A woman at a desk, evening light"
    assert script.notes == ((4, "She smiles."),)
    plan = plan_speech(script)
    assert all(b.start_s > a.end_s for a, b in itertools.pairwise(plan.lines))


def test_a_pause_stands_where_it_is_written() -> None:
    script = parse_talk(
        "Anna (French): Bonjour. (pause 2s) Au revoir. C'est tout.\n\n(pause)\nBob: 你好。（停顿3秒）再见。\n"
    )
    texts = ["Bonjour.", "Au revoir.", "C'est tout.", "你好。", "再见。"]
    assert [line.text for line in script.lines] == texts
    assert script.gaps_s == (None, 2.0, 0.3, 1.0, 3.0)
    assert [line.speaker for line in script.lines] == ["Anna"] * 3 + ["Bob"] * 2
    plan = plan_speech(script)
    waits = [b.start_s - a.end_s for a, b in itertools.pairwise(plan.lines)]
    assert waits == pytest.approx([2.0, 0.3, 1.0, 3.0])


@settings(max_examples=200, deadline=None)
@given(st.one_of(TEXT, st.text(alphabet="#>(pause2s)\n :.*aA。！今", max_size=80)))
def test_no_talk_crashes_and_every_sentence_has_words(text: str) -> None:
    script = parse_talk(text)
    assert len(script.lines) == len(script.gaps_s) == len(script.cues)
    assert all(re.search(r"\w", line.text) for line in script.lines)
