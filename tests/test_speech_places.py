"""Who of two people speaks: by the speaker's own words, by the order of the scene, else in turn."""

from __future__ import annotations

import pytest

from muybridge.speech.places import each_alone, how_many, is_about_people, places

PAIR = "A woman in a red coat and a man in a hat on a street"


@pytest.mark.parametrize(
    ("speakers", "scene", "found"),
    [
        (["The man on the left", "The woman on the right"], PAIR, [0, 1]),
        (["the woman on the right", "the man on the left", "the woman on the right"], "", [1, 0, 1]),
        (["The man", "The woman"], PAIR, [1, 0]),
        (["She", "he", "she"], PAIR, [0, 1, 0]),
        (["Der Mann", "Die Frau"], "Ein Mann und eine Frau in einer Küche", [0, 1]),
        (["右边的女人", "左边的男人"], "", [1, 0]),
        (["彼女", "彼"], "男と女が公園にいる", [1, 0]),
        (["Anna", "Ben", "Anna"], "Two friends", [0, 1, 0]),
        ([None, "Ben"], "Two friends", [0, 1]),
        (["Anna", "Ben", "Cem"], "Three friends", [0, 1, 0]),
        ([], PAIR, []),
    ],
)
def test_a_line_has_its_place(speakers: list[str | None], scene: str, found: list[int]) -> None:
    assert places(speakers, scene) == found


def test_scenes_without_anybody_have_no_faces() -> None:
    for scene in ("A horse gallops across a meadow.", "A red ball bounces on a wooden floor.", "Regen auf einem Dach"):
        assert not is_about_people(scene)
    for scene in (
        "A man in a hat",
        "[Image 1] waves",
        "Two people in the rain",
        "一个男人在厨房里",
        "女の人",
        "Eine Frau",
    ):
        assert is_about_people(scene)


@pytest.mark.parametrize(
    ("scene", "speakers", "count"),
    [
        ("A man on the left and a woman on the right talk in a studio.", 0, 2),
        ("Two young women sit in a cafe.", 0, 2),
        ("夜晚，山区，两个人", 0, 2),
        ("zwei Personen in den Bergen bei Nacht", 0, 2),
        ("A woman by the sea.", 0, 1),
        ("A woman by the sea.", 2, 2),
        ("A crowd cheers a man.", 0, None),
        ("A woman and two children.", 0, None),
        ("A red ball bounces.", 0, None),
        ("un ballon qui rebondit dans la rue, il y a du brouillard", 0, None),
    ],
)
def test_people_are_counted_where_there_is_no_doubt(scene: str, speakers: int, count: int | None) -> None:
    assert how_many(scene, speakers) == count


@pytest.mark.parametrize(
    ("scene", "left", "right"),
    [
        ("Two people stand in a street.", "a person stand in a street.", "a person stand in a street."),
        ("Two women talk.", "a woman talk.", "a woman talk."),
        (
            "In a park a man in a red coat and a woman in a blue dress talk.",
            "In a park a man in a red coat in a blue dress talk.",
            "In a park a woman in a blue dress talk.",
        ),
        ("两个人在街上", "a person在街上", "a person在街上"),
    ],
)
def test_each_of_two_is_told_alone(scene: str, left: str, right: str) -> None:
    assert each_alone(scene) == (left, right)


def test_one_is_not_told_apart() -> None:
    assert each_alone("A woman in a park.") is None
