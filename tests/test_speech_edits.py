"""What an instruction is about is found in its words: only where nothing else may change."""

from __future__ import annotations

import pytest

from muybridge.speech.edits import asked
from muybridge.world import edits


@pytest.mark.parametrize(
    ("instruction", "parts"),
    [
        ("Dye the person's hair red.", {"hair"}),
        ("Make the hair red and the sweater blue.", {"hair", "clothes"}),
        ("Put her in a green dress.", {"clothes"}),
        ("Replace the background with a beach at night.", {"place"}),
        ("Make the man look angry.", {"mood"}),
        ("把头发染成红色", {"hair"}),
        ("将背景换成海滩", {"place"}),
        ("髪を赤くして", {"hair"}),
        ("머리를 빨간색으로 바꿔 주세요", {"hair"}),
        ("Färbe die Haare rot.", {"hair"}),
        ("Change la couleur de la chemise.", {"clothes"}),
        ("Make it night instead.", {"light"}),
        ("Make it night and dye the hair red.", set()),
        ("Let it snow and dye the hair red.", set()),
        ("Let it snow.", {"weather"}),
        ("Lass es regnen.", {"weather"}),
        ("Make it rain at night.", set()),
        ("Stop the rain.", set()),
        ("Make the weather rainy.", {"weather"}),
        ("Make it rain, in black and white.", set()),
        ("让它下雨，加上眼镜", set()),
        ("让它下雨", {"weather"}),
        ("雪を降らせて", {"weather"}),
        ("Put glasses on the person.", {"glasses"}),
        ("Add sunglasses.", {"glasses"}),
        ("给他戴上眼镜", {"glasses"}),
        ("Setze ihm eine Brille auf.", {"glasses"}),
        ("Take the glasses off.", set()),
        ("Add glasses and a hat.", set()),
        ("Add glasses and make the hair red.", set()),
        ("Turn it into a painting.", set()),
        ('Change the sign to "red hair".', set()),
    ],
)
def test_parts_are_found_in_words(instruction: str, parts: set[str]) -> None:
    assert asked(instruction) == parts


@pytest.mark.parametrize(
    ("factor", "part"),
    [
        ("hair colour", "hair"),
        ("clothes colour", "clothes"),
        ("place", "place"),
        ("hour", "light"),
        ("weather", ""),
        ("glasses", "glasses"),
    ],
)
def test_the_world_s_own_instructions_are_understood(factor: str, part: str) -> None:
    for seed in range(12):
        instruction = edits.edit_pair(seed, "test", factor, 3.0).instruction
        falls = any(word in instruction for word in ("rain", "snow", "fog"))
        if factor == "glasses" and ("Remove" in instruction or "off" in instruction):
            continue
        wanted = {"weather"} if factor == "weather" and falls else {part} if part else set()
        assert asked(instruction) == wanted, instruction
