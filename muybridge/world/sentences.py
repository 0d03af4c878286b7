"""Short everyday utterances in seven languages, millions of them, from a small grammar.

`sentence(index, split, language)` is a pure function. The text's own hash decides its split, so no sentence of the test
split is ever heard in training. A grammar file holds templates and slots ("a|b|c"); nothing in it makes one of the
sentences that the evaluation reserves (`matches` proves it).
"""

from __future__ import annotations

import json
import math
import re
from functools import cache
from importlib import resources

import numpy as np

from muybridge.errors import InvalidRequest

from .grammar import SPLITS, split_of

LANGUAGES = ("en", "zh", "yue", "ja", "ko", "de", "fr")
_SLOT = re.compile(r"\{(\w+)\}")


def sentence(index: int, split: str = "train", language: str = "en") -> str:
    """Utterance `index` of a split: 2 to 14 words (characters in zh, yue, ja: 1 to 30). Raises InvalidRequest."""
    if split not in SPLITS:
        raise InvalidRequest(f"split is {split!r}; choose one of: {', '.join(SPLITS)}", "split")
    templates, _ = grammar(language)
    rng = np.random.default_rng([0x5E7, SPLITS.index(split), LANGUAGES.index(language), index])
    while True:
        text = _fill(templates[int(rng.choice(len(templates), p=_weights(language)))], language, rng)
        if split_of("sentence", f"{language}:{text}") == split:
            return text


def num_sentences(language: str) -> int:
    """How many fillings the grammar has: an upper bound of different utterances, close because fillings rarely meet."""
    return sum(_sizes(language))


@cache
def grammar(language: str) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """(templates, slot -> fillings) of a language; raises InvalidRequest for one that has none."""
    if language not in LANGUAGES:
        raise InvalidRequest(f"language is {language!r}; choose one of: {', '.join(LANGUAGES)}", "language")
    text = (resources.files(__package__) / "data" / f"sentences-{language}.json").read_text(encoding="utf-8")
    raw = json.loads(text)
    return tuple(raw["templates"]), {name: tuple(fills.split("|")) for name, fills in raw["slots"].items()}


def matches(text: str, language: str) -> bool:
    """Whether the grammar can make `text` (letter case apart)."""
    return any(pattern.fullmatch(text) for pattern in _patterns(language))


@cache
def _patterns(language: str) -> tuple[re.Pattern[str], ...]:
    templates, slots = grammar(language)
    out = []
    for template in templates:
        parts = _SLOT.split(template)  # text, slot, text, slot, ...
        joined = "".join(
            re.escape(part) if k % 2 == 0 else "(?:" + "|".join(map(re.escape, slots[part])) + ")"
            for k, part in enumerate(parts)
        )
        out.append(re.compile(joined, re.IGNORECASE))
    return tuple(out)


@cache
def _sizes(language: str) -> tuple[int, ...]:
    templates, slots = grammar(language)
    return tuple(math.prod(len(slots[name]) for name in _SLOT.findall(template)) for template in templates)


@cache
def _weights(language: str) -> tuple[float, ...]:
    """Small templates (greetings) come less often, or their few fillings would repeat."""
    weights = [min(1.0, 0.1 + math.log10(size) / 5) for size in _sizes(language)]
    return tuple(weight / sum(weights) for weight in weights)


def _fill(template: str, language: str, rng: np.random.Generator) -> str:
    _, slots = grammar(language)
    used: set[str] = set()

    def choose(match: re.Match[str]) -> str:
        options = slots[match[1]]
        fresh = options if match[1] == "digit" else tuple(o for o in options if o not in used)
        pick = str((fresh or options)[int(rng.integers(len(fresh or options)))])
        used.add(pick)
        return pick

    text = _SLOT.sub(choose, template)
    return text[0].upper() + text[1:]
