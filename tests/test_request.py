"""What may be asked for: every limit, its field and its words; beats and quotes in many notations; JSON both ways."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import InvalidRequest
from muybridge.request import (
    LANGUAGES,
    MAX_PROMPT_CHARS,
    MAX_REFERENCES,
    MAX_SEED,
    REGISTERS,
    AudioMode,
    Beat,
    Line,
    Reference,
    Request,
    Task,
    named_references,
    quoted_lines,
    reference_name,
    timed_beats,
)
from muybridge.shapes import RATIOS

FILE = Path("a.png")


def refs(count: int) -> tuple[Reference, ...]:
    return tuple(Reference(FILE, reference_name(i)) for i in range(count))


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ({}, Task.T2V),
        ({"image": "a.png"}, Task.I2V),
        ({"last_image": "a.png"}, Task.I2V),
        ({"references": refs(9)}, Task.R2V),
        ({"references": refs(1), "image": "a.png"}, Task.R2V),
        ({"video": "a.mp4"}, Task.EDIT),
        ({"video": "a.mp4", "references": refs(2)}, Task.EDIT),
        ({"audio": "a.wav"}, Task.A2V),
        ({"audio": "a.wav", "image": "a.png"}, Task.I2V),
    ],
)
def test_what_is_passed_decides_the_task(values: dict[str, Any], task: Task) -> None:
    assert Request("a horse runs", **values).task is task


# (changes, field, a part of the message)
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": ""}, "prompt", "empty"),
    ({"prompt": " \n\t"}, "prompt", "empty"),
    ({"prompt": "x" * (MAX_PROMPT_CHARS + 1)}, "prompt", "5001 characters"),
    ({"negative_prompt": "x" * 5001}, "negative_prompt", "5001"),
    ({"prompt": 5}, "prompt", "must be str"),
    ({"seconds": 2.94}, "seconds", "2.96|2.92"),
    ({"seconds": 15.04}, "seconds", "15.04"),
    ({"seconds": math.nan}, "seconds", "nan"),
    ({"seconds": math.inf}, "seconds", "inf"),
    ({"seconds": "5"}, "seconds", "int or float"),
    ({"seconds": True}, "seconds", "True"),
    ({"seconds": None}, "seconds", "None"),
    ({"seconds": -5}, "seconds", "-5"),
    ({"seed": -1}, "seed", "-1"),
    ({"seed": MAX_SEED + 1}, "seed", "2147483648"),
    ({"seed": 1.5}, "seed", "must be int"),
    ({"seed": False}, "seed", "must be int"),
    ({"num_inference_steps": 0}, "num_inference_steps", "0"),
    ({"num_inference_steps": 101}, "num_inference_steps", "101"),
    ({"num_inference_steps": 2.5}, "num_inference_steps", "2.5"),
    ({"guidance_scale": -0.1}, "guidance_scale", "-0.1"),
    ({"guidance_scale": 20.5}, "guidance_scale", "20.5"),
    ({"guidance_scale": math.nan}, "guidance_scale", "nan"),
    ({"ratio": "2:1"}, "ratio", "2:1"),
    ({"ratio": "2:1", "size": "1080p"}, "ratio", "2:1"),
    ({"size": "2160p"}, "size", "2160p"),
    ({"size": 1080}, "size", "must be str"),
    ({"size": "1920x1082"}, "size", "out of range"),
    ({"language": "xx"}, "language", "xx"),
    ({"audio_mode": "loud"}, "audio_mode", "loud"),
    ({"audio_mode": "keep"}, "audio_mode", "neither"),
    ({"watermark": "no"}, "watermark", "bool"),
    ({"references": refs(MAX_REFERENCES + 1)}, "references", "10 references"),
    ({"references": (Reference(FILE, "Ann"), Reference(FILE, "ann"))}, "references", "share a name"),
    ({"references": refs(1), "prompt": "[Image 2] walks"}, "references", "Image 2"),
    ({"references": refs(1), "prompt": "character12 walks"}, "references", "Image 12"),
    ({"video": "a.mp4", "image": "a.png"}, "image", "not both"),
    ({"image": 7}, "image", "7"),
    ({"beats": (Beat("turns", 2, 1),)}, "beats", "backwards"),
    ({"beats": (Beat("turns", -1, 1),)}, "beats", "backwards"),
    ({"beats": (Beat("turns", math.nan, 1),)}, "beats", "backwards"),
    ({"beats": (Beat("turns", 2, 6),)}, "beats", "ask for 6 s"),
    ({"prompt": "0-2 s: she turns; 2-8 s: she waves"}, "beats", "2-8 s"),
    ({"dialogue": (Line("hi", language="xx"),)}, "dialogue", "xx"),
    ({"dialogue": (Line("hi", register="loud"),)}, "dialogue", "loud"),
    ({"dialogue": (Line("hi", start_s=3, end_s=2),)}, "dialogue", "3-2 s"),
    ({"dialogue": (Line("hi", start_s=4, end_s=9),)}, "dialogue", "lasts 5 s"),
    ({"dialogue": (Line("hi", start_s=5.5),)}, "dialogue", "5.5"),
]


@pytest.mark.parametrize(("changes", "field", "words"), REFUSED, ids=lambda v: str(v)[:40])
def test_every_limit_has_its_field_and_words(changes: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        Request(**{"prompt": "a horse", **changes})
    assert caught.value.field == field
    assert caught.value.exit_code == 2
    assert caught.value.code == "invalid_input"


ALLOWED: list[dict[str, Any]] = [
    {"seconds": 3},
    {"seconds": 15},
    {"seconds": 2.99},  # 74.75 frames: the nearest frame is 75, which is 3 s
    {"seed": MAX_SEED},
    {"num_inference_steps": 1},
    {"num_inference_steps": 100},
    {"guidance_scale": 0},
    {"guidance_scale": 20.0},
    {"size": "1080x1920"},
    {"size": "64x64"},
    {"prompt": "x" * MAX_PROMPT_CHARS},
    {"references": list(refs(9))},
    {"audio_mode": "none"},
    {"audio": "a.wav", "audio_mode": "keep"},
    {"beats": (Beat("turns", 0, 5),)},
    {"dialogue": (Line("hi", "Ann", "yue", "calm", 0, 5),)},
    *({"ratio": r, "size": "720p"} for r in RATIOS),
    *({"language": name} for name in LANGUAGES),
]


@pytest.mark.parametrize("changes", ALLOWED, ids=lambda v: str(v)[:40])
def test_the_limits_themselves_are_allowed(changes: dict[str, Any]) -> None:
    request = Request(**{"prompt": "a horse", **changes})
    assert Request.from_dict(json.loads(json.dumps(request.to_dict()))) == request


def test_seconds_snap_to_frames() -> None:
    assert Request("x", seconds=5.013).seconds == 5.0
    assert Request("x", seconds=3.03).num_frames == 76


@pytest.mark.parametrize(
    "prompt",
    [
        "0-2 s: she turns; 2-5 s: she waves",
        "0-2s: she turns, 2-5s: she waves",
        "From 0 to 2 seconds: she turns. From 2 to 5 seconds: she waves",
        "[00:00-00:02]: she turns [00:02-00:05]: she waves",
        "00:00 - 00:02: she turns\n00:02 – 00:05: she waves",
        "(0-2): she turns (2-5): she waves",
        "0.0 s - 2.0 s: she turns; 2.0 s until 5.0 s: she waves",
        "0,0 bis 2,0 Sekunden: she turns; von 2 bis 5 Sek.: she waves",
        "de 0 à 2 secondes : she turns; 2 à 5 s : she waves",
        "0到2秒：she turns；2到5秒：she waves",
        "第0-2秒：she turns。第2-5秒：she waves。",
        "0〜2秒：she turns、2〜5秒：she waves",
        "0~2초: she turns, 2~5초: she waves",
        "【0-2秒】：she turns 【2-5秒】：she waves",
    ],
)
def test_timed_beats_in_many_notations(prompt: str) -> None:
    beats = timed_beats(prompt)
    assert [(b.start_s, b.end_s) for b in beats] == [(0, 2), (2, 5)]
    assert [b.text.strip("。 .") for b in beats] == ["she turns", "she waves"]


@pytest.mark.parametrize(
    "prompt",
    [
        "The scoreboard reads 3-2: the crowd cheers",
        "A 16:9 frame: a horse",
        "Aged 20-30: a man walks",
        "At dawn: a horse. Later: a rider",
        "The 1878-79 series: a horse",
        "the ratio 4 to 3: wide",
    ],
)
def test_numbers_that_are_no_times(prompt: str) -> None:
    assert timed_beats(prompt) == ()
    Request(prompt)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_any_tiling_of_beats_is_read_back(lengths: list[int]) -> None:
    spans, at = [], 0
    for length in lengths:
        spans.append((at / 10, (at + length) / 10))
        at += length
    prompt = "; ".join(f"{a:g}-{b:g} s: event {i}" for i, (a, b) in enumerate(spans))
    assert [(b.start_s, b.end_s) for b in timed_beats(prompt)] == spans
    assert [b.text for b in timed_beats(prompt)] == [f"event {i}" for i in range(len(spans))]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ('She says: "Good morning." He says: "Hello!"', ["Good morning.", "Hello!"]),
        ("She says: “Good morning.”", ["Good morning."]),
        ("彼女は「おはよう」と言い、彼は『やあ』と答える", ["おはよう", "やあ"]),
        ("她说：“早上好。”他说：“你好。”", ["早上好。", "你好。"]),
        ("Sie sagt: „Guten Morgen“, er sagt: „Hallo“", ["Guten Morgen", "Hallo"]),
        ("Elle dit : « Bonjour à tous »", ["Bonjour à tous"]),
        ('그녀가 "안녕하세요"라고 말한다', ["안녕하세요"]),
        ("It's a horse's tail", []),
        ('""', []),
        ('" "', []),
        ('an unclosed "quote', []),
    ],
)
def test_quoted_words_are_spoken(prompt: str, words: list[str]) -> None:
    assert [line.text for line in quoted_lines(prompt)] == words


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("[Image 1] meets [Image 3]", (1, 3)),
        ("character2 and @Image1 and character2 again", (2, 1)),
        ("Image 1's hat", (1,)),
        ("[Figure 2] bows, figure1 waits", (2, 1)),
        ("skates a figure 8 on the ice", ()),
        ("an image 1920s style, character 2D", ()),
        ("imagery 1", ()),
        ("Image 10", (10,)),
    ],
)
def test_references_named_in_the_prompt(prompt: str, named: tuple[int, ...]) -> None:
    assert named_references(prompt) == named


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40).filter(
    lambda t: t.strip() and not timed_beats(t) and not named_references(t)
)
LINES = st.builds(
    Line,
    TEXTS,
    speaker=st.none() | TEXTS,
    language=st.none() | st.sampled_from(LANGUAGES),
    register=st.none() | st.sampled_from(REGISTERS),
)
REQUESTS = st.builds(
    Request,
    TEXTS,
    image=st.none() | st.just(FILE),
    audio=st.none() | st.just(Path("b.wav")),
    references=st.integers(0, 9).map(refs),
    size=st.sampled_from(["448x256", "480p", "1080p", "64x128"]),
    ratio=st.sampled_from(list(RATIOS)),
    seconds=st.integers(75, 375).map(lambda n: n / 25),
    seed=st.integers(0, MAX_SEED),
    negative_prompt=st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    audio_mode=st.sampled_from([AudioMode.GENERATE, AudioMode.NONE]),
    language=st.none() | st.sampled_from(LANGUAGES),
    dialogue=st.lists(LINES, max_size=3).map(tuple),
    beats=st.lists(st.builds(Beat, TEXTS, st.floats(0, 1.4), st.floats(1.5, 3)), max_size=3).map(tuple),
    num_inference_steps=st.none() | st.integers(1, 100),
    guidance_scale=st.none() | st.floats(0, 20),
    watermark=st.booleans(),
    extra=st.dictionaries(TEXTS, TEXTS, max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(REQUESTS)
def test_json_there_and_back(request: Request) -> None:
    again = Request.from_dict(json.loads(json.dumps(request.to_dict())))
    assert again == request
    assert again.to_dict() == request.to_dict()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*Request.__dataclass_fields__, "steps", "n"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(FIELDS, JSON, max_size=4))
def test_any_json_makes_a_request_or_a_clear_refusal(values: dict[str, Any]) -> None:
    try:
        Request.from_dict({"prompt": "a horse", **values})
    except InvalidRequest as error:
        assert str(error)


ITEMS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("image", "name", "text", "start_s", "end_s", "speaker", "language", "register", "x"), JSON),
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["references", "dialogue", "beats"]), st.lists(ITEMS, min_size=1, max_size=2))
def test_any_item_is_taken_or_refused_with_its_field(name: str, items: list[dict[str, Any]]) -> None:
    try:
        Request.from_dict({"prompt": "a horse", name: items})
    except InvalidRequest as error:
        assert error.field in (name, None)


def test_unknown_and_missing_fields_are_named() -> None:
    with pytest.raises(InvalidRequest, match="'duration'") as caught:
        Request.from_dict({"prompt": "x", "duration": 5})
    assert caught.value.field == "duration"
    with pytest.raises(InvalidRequest, match="missing") as caught:
        Request.from_dict({"seed": 5})
    assert caught.value.field == "prompt"
    with pytest.raises(InvalidRequest, match="fields are image, name"):
        Request.from_dict({"prompt": "x", "references": [{"url": "http://x"}]})


def test_a_changed_copy_is_checked_again() -> None:
    with pytest.raises(InvalidRequest, match="seed"):
        Request("x").replace(seed=-1)
