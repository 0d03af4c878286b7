"""Pacing: times tile, given spans are met, registers differ, too much is refused with what it needs."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from muybridge.cli import plan as plan_verb
from muybridge.errors import InvalidRequest, UserError
from muybridge.request import LANGUAGES, Line, Request
from muybridge.speech.durations import articulation_rate, merge_marks, natural_durations, split_phones
from muybridge.speech.pacing import MAX_SPEEDUP, Plan, plan_request, plan_speech
from muybridge.speech.phonemes import phonemes
from muybridge.speech.script import Script, parse_script
from muybridge.speech.subtitles import read_cues

SENTENCES = {
    "en": "The weather is nice today, so we are going to the park.",
    "zh": "今天天气很好，我们一起去公园吧。",
    "yue": "今日天氣好好，我哋一齊去公園啦。",
    "ja": "今日は天気がいいので、公園に行きましょう。",
    "ko": "오늘은 날씨가 좋아서, 공원에 갑니다.",
    "de": "Das Wetter ist heute schön, deshalb gehen wir in den Park.",
    "fr": "Il fait beau aujourd'hui, alors nous allons au parc.",
}


def one_line(text: str, language: str, register: str | None = None, **times: float) -> Script:
    return Script("", lines=(Line(text, None, language, register, **times),))


def test_marks_and_spaces_go_where_they_are_heard_and_times_tile() -> None:
    said = "tʰˈaː bˌi, pa→n."
    edges = [i * 0.05 for i in range(len(said) + 1)]
    phones = merge_marks(said, edges)
    assert [p.symbol for p in phones] == ["tʰ", "ˈaː", "b", "ˌi", ",", "p", "a→", "n", "."]
    assert [p.ends_word for p in phones] == [False, True, False, True, False, False, False, True, False]
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(phones))
    assert (phones[0].start_s, phones[-1].end_s) == (0.0, edges[-1])
    assert (phones[1].start_s, phones[1].end_s) == pytest.approx((0.1, 0.3))  # stress before, length and space after


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ˈˌaiʰːtk ,.→", min_size=1, max_size=30))
def test_merged_times_are_never_lost(said: str) -> None:
    phones = merge_marks(said, [float(i) for i in range(len(said) + 1)])
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(phones))
    if phones:
        assert phones[0].start_s == 0.0
        kept = "".join(c for p in phones for c in p.symbol if c not in "ˈˌː→ʰ")
        assert kept == "".join(c for c in said if c in "aitk,.")


@pytest.mark.parametrize("language", LANGUAGES)
def test_natural_pace_is_human_and_pauses_are_there(language: str) -> None:
    phones = natural_durations(phonemes(SENTENCES[language], language), language)
    comma = next(p for p in phones if p.symbol == ",")
    assert 0.08 < comma.end_s - comma.start_s < 0.6
    assert 2.5 < articulation_rate(phones) < 9.5
    assert 2.0 < phones[-1].end_s < 5.0


@pytest.mark.parametrize("language", LANGUAGES)
def test_energetic_against_calm_differs_by_over_15_percent(language: str) -> None:
    rates = {
        register: articulation_rate(plan_speech(one_line(SENTENCES[language], language, register)).lines[0].phones)
        for register in ("calm", "neutral", "energetic")
    }
    assert rates["calm"] < rates["neutral"] < rates["energetic"]
    assert 1.15 <= rates["energetic"] / rates["calm"] <= 1.6


def test_scene_alone_moves_the_rate() -> None:
    said = 'A man says: "We have to leave this place now."'
    calm, plain, loud = (
        plan_speech(parse_script(f"{scene} {said}")).lines[0]
        for scene in (
            "A library at night, a sleeping child.",
            "A fast car, a slow pan.",
            "A stadium full of people, a storm.",
        )
    )
    rates = [articulation_rate(line.phones) for line in (calm, plain, loud)]
    assert [line.register for line in (calm, plain, loud)] == ["calm", "neutral", "energetic"]
    assert rates[0] < rates[1] < rates[2] and rates[2] / rates[0] >= 1.15


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("stretch", [0.85, 1.0, 1.2, 1.5])
def test_given_span_is_met_within_80_ms(language: str, stretch: float) -> None:
    natural = plan_speech(one_line(SENTENCES[language], language)).lines[0]
    span = (natural.end_s - natural.start_s) * stretch
    line = plan_speech(one_line(SENTENCES[language], language, start_s=1.0, end_s=1.0 + span)).lines[0]
    assert abs(line.start_s - 1.0) <= 1e-6 and abs(line.end_s - 1.0 - span) <= 1e-6
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in itertools.pairwise(line.phones))


def test_spare_time_is_silence_not_slow_motion() -> None:
    rates = [
        articulation_rate(plan_speech(one_line(SENTENCES["en"], "en"), seconds).lines[0].phones)
        for seconds in (5, 8, 12)
    ]
    assert max(rates) / min(rates) < 1.1
    for seconds in (5, 8, 12):
        assert plan_speech(one_line(SENTENCES["en"], "en"), seconds).lines[-1].end_s <= seconds - 0.1


def test_short_time_speeds_up_then_refuses_with_seconds_that_suffice() -> None:
    script = parse_script(f'She says: "{SENTENCES["en"]} My brother bought three large bottles of fresh milk."')
    free = plan_speech(script)
    tight = plan_speech(script, free.needed_s * 0.9)
    assert tight.lines[-1].end_s <= free.needed_s * 0.9 - 0.1
    ratio = articulation_rate(tight.lines[0].phones) / articulation_rate(free.lines[0].phones)
    assert 1.0 < ratio <= MAX_SPEEDUP + 1e-6
    with pytest.raises(InvalidRequest, match=r"needs (\d+\.\d) s") as refused:
        plan_speech(script, 3.0)
    advice = re.search(r"needs (\d+\.\d) s", str(refused.value))
    assert advice and plan_speech(script, float(advice[1])).seconds == float(advice[1])


def test_end_times_rates_and_order() -> None:
    ends = plan_speech(one_line("Hello there.", "en", end_s=4.0)).lines[0]
    assert ends.end_s == pytest.approx(4.0)
    slow, fast = (plan_speech(one_line("Hello there.", "en"), rate=r).lines[0] for r in (0.8, 1.25))
    assert (slow.end_s - slow.start_s) / (fast.end_s - fast.start_s) == pytest.approx(1.25 / 0.8)
    lines = (
        Line("Hello there my friend.", start_s=1.0, end_s=2.5),
        Line("Hello again my friend.", start_s=2.0, end_s=3.5),
    )
    with pytest.raises(UserError, match="one voice at a time"):
        plan_speech(Script("", lines=lines))
    with pytest.raises(UserError, match="takes"):
        plan_speech(one_line(SENTENCES["en"], "en", start_s=0.0, end_s=1.0))


def test_plan_is_json_and_editable() -> None:
    plan = plan_speech(parse_script('Anna says: "Hello." Bob says: "Good morning to you."'), 8.0)
    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again == plan
    moved = plan.with_line(1, start_s=5.0)
    assert moved.lines[1].start_s == pytest.approx(5.0) and moved.lines[1].phones[0].start_s == pytest.approx(5.0)
    with pytest.raises(InvalidRequest, match="overlap"):
        plan.with_line(1, start_s=0.2)
    with pytest.raises(InvalidRequest, match="not complete"):
        Plan.from_dict({"lines": [{}]})


def test_a_plan_edited_by_hand_keeps_the_lines_times() -> None:
    plan = plan_speech(parse_script('Anna says: "Hello." Bob says: "Good morning to you."'), 8.0)
    values = json.loads(json.dumps(plan.to_dict()))
    values["lines"][1] |= {"start_s": 5.0, "end_s": 6.5}  # phones are left as they were
    moved = Plan.from_dict(values).lines[1]
    assert moved.phones[0].start_s == pytest.approx(5.0) and moved.phones[-1].end_s == pytest.approx(6.5)
    old = plan.lines[1]
    shares = [[(p.end_s - p.start_s) / (line.end_s - line.start_s) for p in line.phones] for line in (old, moved)]
    assert shares[0] == pytest.approx(shares[1])
    values["lines"][1] |= {"text": "Good evening to you.", "phones": None}
    new = Plan.from_dict(values).lines[1]
    assert (new.start_s, new.end_s) == pytest.approx((5.0, 6.5))
    assert [p.symbol for p in new.phones] != [p.symbol for p in old.phones]
    by_hand = Plan.from_dict({"seconds": 4, "lines": [{"text": "Guten Morgen.", "start_s": 1, "end_s": 2}]})
    assert by_hand.lines[0].language == "de" and by_hand.lines[0].phones and by_hand.needed_s == pytest.approx(2.2)
    for change, said in (
        ({"start_s": 0.4, "end_s": 1.4}, "overlap"),
        ({"start_s": 7.5, "end_s": 8.8}, "last line ends"),
        ({"start_s": 5.0, "end_s": 4.0}, "later end"),
        ({"start_s": 5.0, "end_s": 5.2, "phones": []}, "takes"),
        ({"text": None, "start_s": "soon"}, "not complete"),
    ):
        with pytest.raises(UserError, match=said):
            Plan.from_dict(values | {"lines": [values["lines"][0], values["lines"][1] | change]})
    with pytest.raises(InvalidRequest, match="not complete"):
        Plan.from_dict({"lines": [{"text": "a", "start_s": 0, "end_s": 1, "phones": [{"letter": "a"}]}], "seconds": 3})


def test_a_prompt_without_words_is_told_so() -> None:
    assert "Nothing is spoken" in run_plan("A horse runs.").stdout


def test_two_speakers_never_speak_at_once() -> None:
    plan = plan_speech(parse_script('[0-2 s] Anna says: "Hello everyone out there." [1-4 s] Bob says: "Good morning."'))
    assert plan.lines[0].end_s <= plan.lines[1].start_s


def test_request_plan_holds_prompt_and_dialogue() -> None:
    request = Request('She says: "Hello."', seconds=6.0, dialogue=(Line("Bonjour à tous.", "Bob", "fr"),))
    plan = plan_request(request)
    assert [(x.text, x.language) for x in plan.lines] == [("Hello.", "en"), ("Bonjour à tous.", "fr")]
    assert plan.seconds == 6.0
    assert plan_request(Request("A horse gallops.")).lines == ()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(list(SENTENCES.values())), min_size=1, max_size=4), st.floats(3, 30))
def test_phones_always_lie_in_order_inside_the_clip(texts: list[str], seconds: float) -> None:
    script = Script("", lines=tuple(Line(t) for t in texts), gaps_s=(None,) * len(texts))
    try:
        plan = plan_speech(script, seconds)
    except UserError:
        return
    phones = [p for line in plan.lines for p in line.phones]
    assert all(a.end_s <= b.start_s + 1e-9 for a, b in itertools.pairwise(phones))
    assert phones[0].start_s >= 0 and phones[-1].end_s <= seconds
    assert len(split_phones(phonemes(texts[0], plan.lines[0].language))) >= len(plan.lines[0].phones)


def test_a_line_hurries_a_little_to_stay_inside_its_beat() -> None:
    said = "My brother bought three large bottles of fresh milk."
    free = plan_speech(parse_script(f'0-9 s: she says: "{said}"')).lines[0]
    length = free.end_s - free.start_s
    tight = plan_speech(parse_script(f'1-{1 + length:.2f} s: she says: "{said}" 6-8 s: she waves'), 8.0).lines[0]
    assert tight.start_s == pytest.approx(1.1) and tight.end_s == pytest.approx(1 + length, abs=0.02)
    over = plan_speech(parse_script(f'1-2 s: she says: "{said}" 6-8 s: she waves'), 8.0).lines[0]
    assert over.end_s - over.start_s == pytest.approx(length / MAX_SPEEDUP)


def test_pauses_are_kept_before_a_line_inside_a_beat() -> None:
    plan = plan_speech(parse_script('2-6 s: (pause 1.5s) she says: "Hello there."'), 8.0)
    assert plan.lines[0].start_s == pytest.approx(3.6)


def run_plan(*arguments: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    plan_verb.register(app)
    return CliRunner().invoke(app, ["plan", *arguments])


def test_plan_verb_draws_prints_json_and_writes_subtitles(tmp_path: Path) -> None:
    prompt = 'A man says: "Hello everyone, welcome to the show." [0:03-0:07] The woman shouts in French: «Attention!»'
    drawn = run_plan(prompt, "--seconds", "7")
    assert drawn.exit_code == 0 and "Attention!" in drawn.stdout and "█" in drawn.stdout
    printed = json.loads(run_plan(prompt, "--json", "--subtitles", str(tmp_path / "words.vtt")).stdout)
    assert [line["language"] for line in printed["lines"]] == ["en", "fr"] and printed["beats"][0]["start_s"] == 3
    assert Plan.from_dict(printed).lines[0].phones
    cues = read_cues((tmp_path / "words.vtt").read_text("utf-8"))
    assert cues[0].text == "Hello everyone, welcome to the show."
    again = run_plan(f"@{tmp_path / 'words.vtt'}", "--json")
    assert json.loads(again.stdout)["lines"][1]["text"] == "Attention!"
    assert isinstance(run_plan(prompt, "--seconds", "1").exception, UserError)
    assert isinstance(run_plan("@/does/not/exist.txt").exception, UserError)


def test_the_plan_shows_what_the_camera_does() -> None:
    shown = run_plan('A man. The camera pans left. He says: "Good morning."', "--seconds", "4").stdout
    assert "camera: pan left" in shown and "0.16 -  3.84" in shown
    timed = run_plan("A horse. 1-2 s: the camera pushes in.", "--seconds", "4").stdout
    assert "camera: push in" in timed and "1.00 -  2.00" in timed
    assert "camera:" not in run_plan('A man says: "The camera pans left."', "--seconds", "4").stdout
