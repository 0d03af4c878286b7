"""Light that prompts ask for: its side and its changes, in seven languages, at their times, and never what is said."""

from __future__ import annotations

import pytest
from rich.console import Console

from muybridge.request import Request
from muybridge.speech import lights
from muybridge.speech.pacing import plan_speech
from muybridge.speech.script import parse_script
from muybridge.speech.timeline import known_of, show_plan
from muybridge.world.wording import CHANGES, LIGHT_SIDES, MOVES


@pytest.mark.parametrize("side", LIGHT_SIDES)
def test_every_way_in_which_the_world_tells_of_a_side_is_read(side: str) -> None:
    for words in LIGHT_SIDES[side]:
        assert lights.side_of(f"A man stands in a park, {words}.") == side, words


@pytest.mark.parametrize("change", [change for change in CHANGES if change != "steady"])
def test_every_way_in_which_the_world_tells_of_a_change_is_read(change: str) -> None:
    for words in CHANGES[change]:
        (found,) = lights.changes_of(f"A man stands in a park, {words}.", (), 4.0)
        assert (found.name, found.start_s, found.end_s) == (change, 0.0, 4.0), words
        assert lights.side_of(f"A man stands in a park, {words}.") is None, words


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("光从左边照过来", "left"),
        ("右侧光照在她脸上", "right"),
        ("逆光中的男人", "behind"),
        ("左から光が当たる女性", "left"),
        ("正面からの光", "front"),
        ("오른쪽에서 빛이 비치는 방", "right"),
        ("역광의 남자", "behind"),
        ("Das Licht kommt von links.", "left"),
        ("Ein Mann im Gegenlicht", "behind"),
        ("La lumière vient de la droite.", "right"),
        ("Un homme à contre-jour", "behind"),
        ("Sunlight from the left falls on her.", "left"),
        ("A woman turns to the left in soft light.", None),
        ("A lamp stands on the table on her left.", None),
        ("Traffic lights. A car comes from the left.", None),
    ],
)
def test_sides_in_other_languages_and_words_that_are_none(text: str, side: str | None) -> None:
    assert lights.side_of(text) == side


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("灯光慢慢变暗", "dims"),
        ("房间里的光变亮", "brightens"),
        ("灯光闪烁", "flickers"),
        ("部屋が暗くなる", "dims"),
        ("明かりがちらつく", "flickers"),
        ("방이 밝아진다", "brightens"),
        ("조명이 깜빡인다", "flickers"),
        ("Das Licht wird heller.", "brightens"),
        ("Es wird dunkel.", "dims"),
        ("La pièce s'assombrit.", "dims"),
        ("La lumière devient bleue.", "turns blue"),
        ("A lamp goes on.", "brightens"),
        ("The lights slowly fade out.", "dims"),
        ("A candle flickers on the table.", "flickers"),
        ("A bright room with dim corners.", None),
        ("He turns the page. A blue light stands there.", None),
    ],
)
def test_changes_in_other_languages_and_words_that_are_none(text: str, change: str | None) -> None:
    assert [found.name for found in lights.changes_of(text, (), 3.0)] == ([] if change is None else [change])


def test_a_camera_s_move_is_no_light() -> None:
    for move, many in MOVES.items():
        for words in many:
            assert lights.changes_of(words, (), 3.0) == () and lights.side_of(words) is None, (move, words)


def test_changes_come_at_their_times_and_not_from_what_is_said() -> None:
    first, second = lights.asked(
        Request("A room. 0-1 s: the light dims. 2-3 s: it gets brighter.", seconds=3, negative_prompt="it gets darker")
    )
    assert (first.name, first.start_s, first.end_s) == ("dims", 0.0, 1.0)
    assert (second.name, second.start_s, second.end_s) == ("brightens", 2.0, 3.0)
    assert lights.asked(Request('A man says: "The light dims, and it gets darker."', seconds=3)) == ()
    assert lights.side_of('A man says: "I am lit from the left."') is None


def test_a_plan_shows_changes_of_light_at_their_times() -> None:
    console = Console(width=80, record=True)
    show_plan(plan_speech(parse_script('He says: "Yes."')), console=console, known=known_of("It dims.", (), 5.0))
    text = console.export_text()
    assert "light: dims" in text and "  0.00 - " in text
