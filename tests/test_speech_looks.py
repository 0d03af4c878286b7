"""The colours of a person's hair and clothes are found in words, in seven languages, and nobody else's."""

from __future__ import annotations

import pytest

from muybridge.speech.glasses import glasses_of
from muybridge.speech.looks import colours_of, plainer, shows_hair, skin_of
from muybridge.world import talking
from muybridge.world.grammar import sample_scene


@pytest.mark.parametrize(
    ("scene", "hair", "clothes"),
    [
        ("A woman with long straight black hair and glasses in a brown dress.", "black", "brown"),
        ("A man with a big red afro, in a teal striped turtleneck and a grey beanie.", "red", "teal"),
        ("A woman with dark brown hair and blue eyes in a garden.", "dark brown", None),
        ("A man in a red car.", None, None),
        ("白天，一位黑色头发、穿深蓝色衣服的女人", "black", "navy"),
        ("喺天台上面，一個深啡色頭髮、着粉紅色衫嘅男人", "dark brown", "pink"),
        ("夜の山、黒い髪で青緑の服を着た男性", "black", "teal"),
        ("낮, 금발 머리에 노란 옷을 입은 여자", "blond", "yellow"),
        ("eine Frau mit schwarzen Haaren in türkiser Kleidung", "black", "teal"),
        ("une femme aux cheveux roux, en vêtements bleu marine", "red", "navy"),
        ('A man says: "I like black hair and red shirts."', None, None),
    ],
)
def test_colours_are_found(scene: str, hair: str | None, clothes: str | None) -> None:
    wanted = {"hair": hair, "clothes": clothes}
    assert colours_of(scene) == {part: name for part, name in wanted.items() if name}


def test_no_caption_of_the_world_is_misread() -> None:
    for seed in range(60):
        scene = sample_scene(seed, "test", 3.0, cast="person")
        look = scene.people[0].look
        for text in (caption := talking.words(talking.Plan(scene, (), ()), "test"))[1].values():
            found = colours_of(text)
            assert found.get("hair", look.hair_color) == look.hair_color
            assert found.get("clothes", look.color) == look.color
        assert colours_of(caption[0]).get("clothes", look.color) == look.color


@pytest.mark.parametrize(
    ("scene", "dark"),
    [
        ("A woman with short blond hair in a red coat.", "A woman with short dark brown hair in a red coat."),
        ("Une femme aux cheveux roux dans un parc.", "Une femme aux cheveux dark brown dans un parc."),
        ("Eine Frau mit blonden Haaren.", "Eine Frau mit dark brown Haaren."),
        ("A man in a red coat.", "A man in a red coat."),
    ],
)
def test_hair_is_told_dark_and_nothing_else(scene: str, dark: str) -> None:
    assert plainer(scene, "hair") == dark
    assert colours_of(dark).get("clothes") == colours_of(scene).get("clothes")


@pytest.mark.parametrize(
    ("scene", "colour"),
    [
        ("A bouncing blue ball hops on a city rooftop.", "blue"),
        ("A yellow and white ball bounces in a park.", "yellow"),
        ("Ein grüner Ball springt im Park.", "green"),
        ("Un ballon rouge rebondit dans un parc.", "red"),
        ("一个红色的球在公园里弹跳。", "red"),
        ("赤いボールが弾む。", "red"),
        ("빨간 공이 튄다.", "red"),
        ("A ball bounces in a green park.", None),
    ],
)
def test_a_ball_has_its_colour(scene: str, colour: str | None) -> None:
    assert colours_of(scene).get("thing") == colour
    assert "hair" not in colours_of(scene)
    assert ("red" in plainer(scene, "thing")) == (colour is not None)


@pytest.mark.parametrize(
    "scene", ["A bald man.", "A woman in a beige sun hat.", "戴帽子的男人", "Ein Mann mit Hut.", "Un homme chauve."]
)
def test_heads_that_show_no_hair_are_not_drawn_again_for_it(scene: str) -> None:
    assert not shows_hair(scene)
    assert shows_hair("A woman in a red coat in a park.")
    assert shows_hair('A man says: "My hat!"')


@pytest.mark.parametrize(
    ("scene", "skin"),
    [
        ("A woman with dark skin and short hair in a park.", "dark"),
        ("A Black man in a white shirt.", "dark"),
        ("A fair-skinned young man.", "fair"),
        ("An old white woman with brown skin boots", "brown"),
        ("A man with a tanned face.", "tan"),
        ("一个黑皮肤的男人", "dark"),
        ("皮膚白皙的女人", "fair"),
        ("日焼けした男性", "tan"),
        ("어두운 피부의 여자", "dark"),
        ("Eine Frau mit dunkler Haut", "dark"),
        ("Un homme à la peau claire", "fair"),
        ("A man in a black coat in a white room.", None),
        ("A brown leather sofa in a dark room.", None),
        ('A man says: "Black people and white people."', None),
    ],
)
def test_skin_is_read_from_words_for_skin(scene: str, skin: str | None) -> None:
    assert skin_of(scene) == skin


def test_no_caption_of_the_world_tells_of_skin() -> None:
    for seed in range(60):
        scene = sample_scene(seed, "test", 3.0, cast="person")
        caption, prompts = talking.words(talking.Plan(scene, (), ()), "test")
        assert all(skin_of(text) is None for text in (caption, *prompts.values()))


@pytest.mark.parametrize(
    ("scene", "worn"),
    [
        ("A man with glasses in a park.", "glasses"),
        ("A woman wearing sunglasses on a beach.", "sunglasses"),
        ("A man without glasses.", None),
        ("A woman holds a glass of water.", None),
        ("一个戴眼镜的男人", "glasses"),
        ("サングラスをかけた女性", "sunglasses"),
        ("안경을 쓴 남자", "glasses"),
        ("Eine Frau mit Brille", "glasses"),
        ("Ein Mann mit Sonnenbrille", "sunglasses"),
        ("Une femme avec des lunettes de soleil", "sunglasses"),
        ("Un homme sans lunettes", None),
        ('A man says: "My glasses!"', None),
    ],
)
def test_glasses_are_read(scene: str, worn: str | None) -> None:
    assert glasses_of(scene) == worn


def test_captions_of_the_world_tell_of_glasses_that_are_there() -> None:
    told = 0
    for seed in range(120):
        scene = sample_scene(seed, "test", 3.0, cast="person")
        caption, prompts = talking.words(talking.Plan(scene, (), ()), "test")
        found = [glasses_of(text) for text in (caption, *prompts.values())]
        assert scene.people[0].look.glasses or not any(found)
        told += found[0] == "glasses"
    assert told > 3
