"""Moods that prompts ask for: in seven languages, at their times, and never what somebody only says."""

from __future__ import annotations

import pytest
from rich.console import Console

from muybridge.request import Beat, Request
from muybridge.speech import moods
from muybridge.speech.pacing import plan_speech
from muybridge.speech.script import parse_script
from muybridge.speech.timeline import known_of, show_plan
from muybridge.world.wording import EXPRESSIONS


@pytest.mark.parametrize("mood", ["happy", "sad", "angry", "surprised"])
def test_every_way_in_which_the_world_tells_a_mood_is_read(mood: str) -> None:
    for words in EXPRESSIONS[mood]:
        assert moods.named(f"The woman {words}.") == mood, words
    for words in EXPRESSIONS["neutral"]:
        assert moods.named(f"The woman {words}.") is None, words


@pytest.mark.parametrize(
    ("text", "mood"),
    [
        ("一个女人微笑着看镜头", "happy"),
        ("佢好嬲噉望住鏡頭", "angry"),
        ("彼女は驚いた顔をしている", "surprised"),
        ("그는 슬픈 표정을 짓는다", "sad"),
        ("Sie lächelt in die Kamera.", "happy"),
        ("Il a l'air triste.", "sad"),
        ("She is unhappy.", "sad"),
        ("A man frowns at his desk.", None),
        ("A saddle and a surprising amount of rain.", None),
    ],
)
def test_moods_in_other_languages_and_words_that_are_none(text: str, mood: str | None) -> None:
    assert moods.named(text) == mood


def test_a_timed_mood_lasts_as_long_as_its_beat_and_another_all_the_time() -> None:
    (timed,) = moods.asked(Request("A man at a desk. 1-2 s: he smiles.", seconds=3))
    assert (timed.name, timed.start_s, timed.end_s) == ("happy", 1.0, 2.0)
    (always,) = moods.asked(Request("An angry man at a desk.", seconds=3))
    assert always.name == "angry" and always.value(0.0) == always.value(3.0) == 1.0


def test_what_is_said_is_no_mood() -> None:
    assert moods.asked(Request('A man says: "I am so happy."', seconds=3)) == ()


def test_a_plan_shows_moods_at_their_times() -> None:
    console = Console(width=80, record=True)
    show_plan(plan_speech(parse_script('He says: "Yes."')), console=console, known=known_of("A sad man.", (), 5.0))
    text = console.export_text()
    assert "mood: sad" in text and "  0.00 - " in text


def test_two_people_may_feel_different_things() -> None:
    both = moods.moods_of("An angry man and a sad woman stand in a park.", (), 3.0)
    assert [(act.name, act.who) for act in both] == [("angry", "man"), ("sad", "woman")]
    alone = moods.moods_of("An angry man, who was sad before.", (), 3.0)
    assert [(act.name, act.who) for act in alone] == [("angry", "")]
    (timed,) = moods.moods_of("A man and a woman talk.", (Beat("she looks surprised", 1, 2),), 3.0)
    assert (timed.name, timed.who, timed.start_s) == ("surprised", "woman", 1)
    assert [act.who for act in moods.moods_of("Two friends meet. They smile.", (), 3.0)] == [""]
