"""Pacing on sentences that nothing was fitted on: manner moves the rate, pauses stand, given spans are met."""

from __future__ import annotations

import pytest

from muybridge.errors import UserError
from muybridge.evaluate import pacing
from muybridge.request import LANGUAGES, REGISTERS
from muybridge.speech.durations import Phone
from muybridge.speech.pacing import plan_speech
from muybridge.speech.programme import plan_programme
from muybridge.speech.script import parse_script
from muybridge.speech.talk import parse_talk
from muybridge.world.sentences import sentence

COUNT = 20


def held_out(language: str) -> list[str]:
    return [sentence(n, "test", language) for n in range(COUNT)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_energetic_is_quicker_than_calm_by_15_percent_from_the_prompt_alone(language: str) -> None:
    found = pacing.pairs(held_out(language), language)
    assert sum(p.is_right for p in found) >= 0.95 * len(found), [p for p in found if not p.is_right]
    assert all(p.ratio <= 1.6 for p in found)  # heard, not a caricature


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_talk_note_moves_the_rate_as_well(language: str) -> None:
    text = held_out(language)[0]
    calm, energetic = (
        plan_programme(parse_talk(f"> {how}\n\n{text}\n", language)) for how in ("whispering", "shouting")
    )
    assert [p.lines[0].register for p in (calm, energetic)] == ["calm", "energetic"]
    spoken = [p.lines[-1].end_s - p.lines[0].start_s for p in (calm, energetic)]
    assert spoken[0] / spoken[1] >= pacing.LEAST_RATIO


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_a_pause_at_punctuation(language: str) -> None:
    comma = "，" if language in ("zh", "yue") else "、" if language == "ja" else ", "
    for first, second in zip(held_out(language)[::2], held_out(language)[1::2], strict=True):
        text = first.rstrip(".。!?！？ ") + comma + second
        marks, paused = pacing.pauses(pacing.planned(text, language).phones)
        assert marks >= 1 and paused == marks, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_given_seconds_are_met_within_80_ms(language: str) -> None:
    for text in held_out(language):
        errors = pacing.span_errors_ms(text, language)
        assert len(errors) >= 3 and max(errors) <= pacing.SPAN_MS, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_spare_time_is_silence_and_nothing_is_cut(language: str) -> None:
    for text in held_out(language)[:8]:
        try:
            assert pacing.invariance(text, language) < 1.1
        except UserError:
            continue  # longer than 6 s
        line = pacing.planned(text, language, 12.0)
        assert line.end_s <= 12.0 - 0.1


def test_three_manners_rank_and_a_scene_alone_tells_them() -> None:
    text = held_out("en")[0]
    rates = [
        pacing._rates(f'{scene} A man says: "{text}"', "en")[0]
        for scene in ("A library at night.", "A street.", "A stadium full of people.")
    ]
    assert rates == sorted(rates) and rates[2] / rates[0] >= pacing.LEAST_RATIO
    assert len(REGISTERS) == 3


def test_the_measure_itself_sees_a_missing_pause_and_the_wrong_direction() -> None:
    phones = [Phone("a", 0, 0.1), Phone(",", 0.1, 0.12), Phone("b", 0.12, 0.2), Phone(".", 0.2, 0.5)]
    assert pacing.pauses(phones) == (2, 1)
    assert not pacing.Pair("x", 5.0, 5.5).is_right and not pacing.Pair("x", 5.0, 4.0).is_right
    assert pacing.Pair("x", 4.0, 4.8).is_right


def test_context_reaches_each_line_of_one_prompt() -> None:
    plan = plan_speech(parse_script('The teacher explains patiently: "It is simple." A boy shouts: "It is simple."'))
    assert [line.register for line in plan.lines] == ["calm", "energetic"]
