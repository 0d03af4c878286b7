"""What sounds in a scene is found in its words, in seven languages, and timed by its beats."""

from __future__ import annotations

import pytest

from muybridge.request import Beat, Request
from muybridge.speech.sounds import Sound, asked, named, sounds_of
from muybridge.speech.timeline import known_of


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("A white horse gallops across the plain.", ("horse",)),
        ("A red ball bounces in the rain.", ("ball", "rain")),
        ("The old bell is ringing while waves crash on the rocks.", ("bell", "waves")),
        ("A door slams, then a car drives by.", ("car", "door")),
        ("Two friends by a campfire; birds are singing.", ("fire", "bird")),
        ("A drum is struck, a metronome ticks, the wind howls.", ("metronome", "drum", "wind")),
        ("白天，沙漠里，一匹飞奔的马", ("horse",)),
        ("喺街上面，落緊雨", ("rain",)),
        ("昼間の山、鳴る鐘", ("bell",)),
        ("낮, 해변에 밀려오는 파도", ("waves",)),
        ("ein hüpfender Ball im Regen", ("ball", "rain")),
        ("une porte qui claque, la pluie", ("door", "rain")),
    ],
)
def test_known_sounds_are_found(text: str, kinds: tuple[str, ...]) -> None:
    assert named(text) == kinds


@pytest.mark.parametrize(
    "text",
    [
        "He waves at the camera from a window.",
        "A horse stands in a meadow beside a parked car.",
        'She says: "The bell rings and the rain falls."',
        "A train in Bellville, no rain.",
        "A blue ball lies on the grass next to an open door.",
    ],
)
def test_what_only_looks_like_a_sound_is_none(text: str) -> None:
    assert named(text) == ()


def test_a_scene_sounds_all_along_and_a_beat_while_it_lasts() -> None:
    beats = [Beat("A door slams.", 1.0, 2.0), Beat("A bell rings.", 2.0, 9.0)]
    assert sounds_of("A man in the rain.", beats, 5.0) == (
        Sound("rain", 0.0, 5.0),
        Sound("door", 1.0, 2.0),
        Sound("bell", 2.0, 5.0),
    )
    timed = asked(Request("A man in an office. 1-2 s: a door slams.", seconds=5))
    assert [(s.kind, s.start_s, s.end_s) for s in timed] == [("door", 1.0, 2.0)]


def test_a_programme_s_plan_shows_what_sounds_and_no_camera() -> None:
    scene = "A bell rings in a garden. The camera pans to the left."
    assert {one.words.split(":")[0] for one in known_of(scene, (), 60.0, is_clip=False)} == {"sound"}
    assert {one.words.split(":")[0] for one in known_of(scene, (), 6.0)} == {"sound", "camera"}
