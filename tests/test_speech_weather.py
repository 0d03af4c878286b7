"""What prompts let fall from the sky: in seven languages, at its time, under no roof, and never what is said."""

from __future__ import annotations

import pytest

from muybridge.request import Beat, Request
from muybridge.speech import weather
from muybridge.world import captions
from muybridge.world.grammar import sample_scene
from muybridge.world.sample import seed_of


@pytest.mark.parametrize("split", ["train", "test"])
def test_captions_of_the_world_are_understood(split: str) -> None:
    seen = dict.fromkeys(("rain", "snow", "fog"), 0)
    for index in range(160):
        scene = sample_scene(seed_of(index, split), split, 4.0)
        told = [captions.caption(scene, scene.seed, split, style=style) for style in (None, "tags")]
        short = [captions.prompt(scene, language) for language in ("zh", "yue", "ja", "ko", "de", "fr")]
        wanted = {scene.weather} & set(seen)
        for text in told:
            assert {fall.kind for fall in weather.falls_of(text, (), 4.0)} <= wanted, text
        for text in short:
            assert {fall.kind for fall in weather.falls_of(text, (), 4.0)} == wanted, text
        for kind in wanted:
            seen[kind] += 1
    assert min(seen.values()) > 2


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("A man stands in the rain.", "rain"),
        ("It is drizzling in the park.", "rain"),
        ("Snow falls softly on a woman in a garden.", "snow"),
        ("Heavy snow drifts down in the mountains.", "snow"),
        ("街道上下着雨，一个男人在走。", "rain"),
        ("公園入面落緊雪。", "snow"),
        ("公園で雨が降っている。", "rain"),
        ("숲에서 눈이 내린다.", "snow"),
        ("Eine Frau im Park, es regnet.", "rain"),
        ("Un homme dans la rue, il neige.", "snow"),
        ("A man waits in a car park in the rain.", "rain"),
        ("Une scène de rue sous la pluie.", "rain"),
        ("A woman on a foggy street.", "fog"),
        ("Thick mist lies over the lake.", "fog"),
        ("湖边有雾，一个女人站着。", "fog"),
        ("霧の中の公園に男が立っている。", "fog"),
        ("靄のかかった湖。", "fog"),
        ("안개 낀 숲에 남자가 서 있다.", "fog"),
        ("Ein Mann im Nebel auf einer Straße.", "fog"),
        ("Une femme au bord du lac, dans le brouillard.", "fog"),
        ("The fog lifts over the street.", None),
        ("A car with fog lamps on a street.", None),
        ("A woman in a snowy landscape.", None),
        ("A man stands in the snow.", None),
        ("A girl in a yellow raincoat under a rainbow.", None),
        ("After the rain, a street at night.", None),
        ("The rain has stopped in the garden.", None),
        ("Rain falls outside the window of a cafe.", None),
        ("A man sits in a small kitchen while it rains.", None),
        ("오피스, 창밖에 비가 온다.", None),
        ('A man in a park says: "It is raining."', None),
        ("눈이 큰 여자.", None),
    ],
)
def test_words(text: str, kind: str | None) -> None:
    assert [fall.kind for fall in weather.falls_of(text, (), 3.0)] == ([] if kind is None else [kind])


def test_a_beat_says_when() -> None:
    (found,) = weather.asked(Request("A man in a street.", seconds=5, beats=(Beat("it rains", 2.0, 4.0),)))
    assert (found.kind, found.start_s, found.end_s) == ("rain", 2.0, 4.0)
    (always,) = weather.asked(Request("It rains in a street.", seconds=5))
    assert (always.start_s, always.end_s) == (0.0, 5.0)
