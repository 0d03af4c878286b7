"""Words for a scene: English captions of 5 to 200 words with wide paraphrase, short prompts in seven languages,
attributes.

Every statement is true of the scene; what a caption leaves out is free. Templates whose hash belongs to the test
split are
used by test captions only.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from . import wording
from .grammar import split_of
from .landscapes import OUTDOOR
from .scene import Human, Scene, Span, Thing

LANGUAGES = ("en", "zh", "yue", "ja", "ko", "de", "fr")


def light_side(scene: Scene) -> str:
    """ "left", "right", "front" or "behind", as the viewer sees the key light."""
    azimuth = (scene.light.azimuth_deg + 180) % 360 - 180
    if abs(azimuth) < 20:
        return "front"
    if abs(azimuth) > 105:
        return "behind"
    return "right" if azimuth > 0 else "left"


def person_word(human: Human) -> str:
    """ "man" or "woman"."""
    return "man" if human.identity.masculine > 0.5 else "woman"


def age_word(human: Human) -> str:
    """ "young", "middle-aged" or "elderly"."""
    return "young" if human.identity.age < 0.4 else "middle-aged" if human.identity.age < 0.72 else "elderly"


def moods(human: Human) -> tuple[str, ...]:
    """Expressions in order of time; ("neutral",) when there is none."""
    return tuple(span.what for span in human.expressions) or ("neutral",)


def attributes(scene: Scene) -> dict[str, Any]:
    """The facts an adherence evaluation asks for: plain values, all true of the scene."""
    people = [
        {
            "person": person_word(h), "age": age_word(h), "hair_style": h.look.hair_style,
            "hair_color": h.look.hair_color,
            "garment": h.look.garment, "color": h.look.color, "pattern": h.look.pattern, "beard": h.look.beard,
            "glasses": h.look.glasses,
            "hat": h.look.hat, "expressions": list(moods(h)), "actions": [[s.start_s, s.end_s,
            s.what] for s in h.gestures],
        }
        for h in scene.people
    ]  # fmt: skip
    return {
        "count": len(scene.people),
        "people": people,
        "things": [{"kind": t.kind, "color": t.color} for t in scene.things],
        "place": scene.place,
        "hour": scene.hour,
        "weather": scene.weather,
        "light_side": light_side(scene),
        "light_tint": scene.light.tint,
        "light_change": scene.light.change,
        "camera": scene.camera.move,
        "framing": scene.framing if scene.people else "wide",
        "seconds": scene.seconds,
    }


class _Writer:
    """Draws one of several wordings; the split decides which wordings exist."""

    def __init__(self, seed: int, split: str, name: str = "") -> None:
        self.rng = np.random.default_rng([0xCA97, seed])
        self.split = split
        self.name = name  # of the one person, whom pictures describe

    def pick(self, options: tuple[str, ...]) -> str:
        """One option; of four or more, those hashed to another split are left out."""
        if len(options) >= 4:
            test = tuple(o for o in options if split_of("template", o) == "test")
            kept = test if self.split == "test" and test else tuple(o for o in options if o not in test)
            options = kept or options
        return options[int(self.rng.integers(len(options)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)


def _article(phrase: str) -> str:
    return phrase if phrase.startswith(("a ", "an ")) else ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _noun(w: _Writer, human: Human, detail: float) -> str:
    """A noun phrase of a person: "a young woman with long brown hair in a red striped sweater"."""
    if w.name:
        return w.name
    look = human.look
    noun = person_word(human)
    if w.chance(0.25 + detail):
        noun = f"{age_word(human)} {noun}"
    hair = w.pick(wording.HAIR[look.hair_style]).format(c=look.hair_color)
    pattern = "" if look.pattern == "plain" or not w.chance(0.5 + detail) else f"{look.pattern} "
    clothes = f"{look.color} {pattern}{look.garment}"
    has: list[str] = []
    if w.chance(0.5 + detail):
        has.append(hair)
    if look.beard != "none" and w.chance(0.45 + detail):
        has.append(w.pick(wording.BEARDS[look.beard]))
    if look.glasses and w.chance(0.5 + detail):
        has.append("glasses")
    wears = [_article(clothes)] if w.chance(0.6 + detail) else []
    if look.hat != "none" and w.chance(0.6 + detail):
        wears.append(_article(f"{look.hat_color} {look.hat}"))
    out = _article(noun)
    if has:
        out += " with " + _join(has)
    if wears:
        out += w.pick((" in ", " wearing ", " dressed in ", ", in ")) + _join(wears)
    return out


def _when(w: _Writer, span: Span, seconds: float) -> str:
    a, b = max(span.start_s, 0.0), min(span.end_s, seconds)
    return w.pick(
        (
            f"from {a:.1f} to {b:.1f} s",
            f"({a:.1f}-{b:.1f} s)",
            f"between {a:.1f} s and {b:.1f} s",
            f"at {a:.1f} s",
            f"{a:.1f}-{b:.1f} s:",
        )
    )


def _beats(w: _Writer, scene: Scene, human: Human, subject: str, timed: bool) -> list[str]:
    """Sentences about expressions and gestures in order of time."""
    poss = "his" if person_word(human) == "man" else "her"
    spans = sorted((*human.expressions, *human.gestures), key=lambda s: s.start_s)
    out = []
    for k, span in enumerate(spans):
        whole = span.start_s <= 0 and span.end_s >= scene.seconds
        words = wording.EXPRESSIONS.get(span.what) or wording.GESTURES[span.what]
        act = w.pick(words).format(poss=poss)
        who = subject if k == 0 or w.chance(0.3) else ("he" if poss == "his" else "she")
        if whole:
            lead = w.pick((f"{who} {act}", f"{who} {act} throughout", f"{who} {act} the whole time"))
        elif timed:
            at = _when(w, span, scene.seconds)
            lead = f"{at} {who} {act}" if at.endswith(":") else w.pick((f"{who} {act} {at}", f"{at} {who} {act}"))
        else:
            lead = f"{('first', 'then', 'after that', 'finally', 'at the end')[min(k, 4)]} {who} {act}"
        out.append(lead[0].upper() + lead[1:] + ".")
    return out


def _speech(human: Human, subject: str) -> list[str]:
    return [f'{subject[0].upper()}{subject[1:]} says: "{span.what}"' for span in human.speech]


def _where(w: _Writer, scene: Scene) -> str:
    place = w.pick(wording.PLACES[scene.place])
    if (scene.place in OUTDOOR and w.chance(0.75)) or scene.hour in ("night", "sunset"):
        return f"{place} {w.pick(wording.HOURS[scene.hour])}"
    return place


def _light(w: _Writer, scene: Scene) -> list[str]:
    side = w.pick(wording.LIGHT_SIDES[light_side(scene)])
    lines = [
        f"The scene is {side}."
        if side.startswith("lit") or side == "backlit"
        else f"{side[0].upper()}{side[1:]}."
        if side.startswith("the")
        else f"It is shot {side}."
    ]
    if scene.light.tint != "neutral":
        lines.append(w.pick(wording.TINTS[scene.light.tint]))
    if scene.light.change != "steady":
        lines.append(_change(w, scene))
    return lines


def _change(w: _Writer, scene: Scene) -> str:
    text = w.pick(wording.CHANGES[scene.light.change])
    when = (
        f"from {scene.light.start_s:.1f} to {scene.light.end_s:.1f} s "
        if w.chance(0.4) and scene.light.change != "flickers"
        else ""
    )
    return f"{when}{text}."[0].upper() + f"{when}{text}."[1:]


def _thing(w: _Writer, thing: Thing) -> str:
    text = w.pick(wording.THINGS[thing.kind]).format(c=thing.color)
    if thing.kind in ("horse", "car") and w.chance(0.4):
        text += " to the right" if thing.heading > 0 else " to the left"
    return text


def caption(scene: Scene, seed: int, split: str = "train", style: str | None = None, name: str = "") -> str:
    """An English caption. style: "tags" (5-20 words), "sentence" (8-60) or "paragraph" (40-200); drawn if None.

    With `name` ("[Image 1]") a scene's one person is called that and not described.
    """
    w = _Writer(seed, split, name)
    style = style or ("tags", "sentence", "paragraph")[int(w.rng.choice(3, p=(0.15, 0.4, 0.45)))]
    if style == "tags":
        text = _tags(w, scene)
    elif style == "sentence":
        text = _sentence(w, scene)
    else:
        text = _paragraph(w, scene)
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", " ".join(text.split()[:200]))


def _subjects(w: _Writer, scene: Scene, detail: float) -> str:
    return _join([_noun(w, human, detail) for human in scene.people])


def _tags(w: _Writer, scene: Scene) -> str:
    parts = [_subjects(w, scene, -0.3)] if scene.people else []
    parts += [_thing(w, thing) for thing in scene.things]
    parts.append(_where(w, scene))
    if scene.people and w.chance(0.5):
        parts.append(w.pick(wording.FRAMINGS[scene.framing]))
    if scene.weather != "clear":
        parts.append({"rain": "rain", "snow": "snowfall", "fog": "fog"}[scene.weather])
    if scene.camera.move != "static" and w.chance(0.6):
        parts.append(scene.camera.move)
    text = ", ".join(parts)
    return text if len(text.split()) >= 5 else f"{text}, one continuous shot"


def _sentence(w: _Writer, scene: Scene) -> str:
    where = _where(w, scene)
    if scene.people:
        who, frame = _subjects(w, scene, 0.1), w.pick(wording.FRAMINGS[scene.framing])
        verb = (
            w.pick(("stands", "is", "can be seen"))
            if len(scene.people) == 1
            else w.pick(("stand", "are", "can be seen"))
        )
        lead = w.pick(
            (
                f"{_article(frame)} of {who} {where}.",
                f"{who} {verb} {where}.",
                f"{where}, {who} {verb} before the camera.",
                f"{frame}: {who}, {where}.",
            )
        )
    else:
        lead = w.pick((f"{_thing(w, scene.things[0])} {where}.", f"{where}, {_thing(w, scene.things[0])}."))
    lines = [lead[0].upper() + lead[1:]]
    if scene.people and scene.things:
        behind = _thing(w, scene.things[0])
        lines.append(f"{behind[0].upper()}{behind[1:]} in the background.")
    for human in scene.people:
        subject = _subject(w, scene, human)
        beats = _beats(w, scene, human, subject, w.chance(0.6))
        lines += [beat for beat in beats if w.chance(0.8)] + _speech(human, subject)
    if scene.weather != "clear":
        lines.append(w.pick(wording.WEATHERS[scene.weather]))
    if w.chance(0.4):
        lines.append(w.pick(wording.MOVES[scene.camera.move]))
    if w.chance(0.3):
        lines += _light(w, scene)[:1]
    return " ".join(lines)


def _alone(scene: Scene, human: Human) -> bool:
    return [person_word(other) for other in scene.people].count(person_word(human)) == 1


def _subject(w: _Writer, scene: Scene, human: Human) -> str:
    """ "the man", or "the person on the left" where two would answer to it; the name where there is one."""
    if w.name:
        return w.name
    side = "left" if human.x < 0 else "right"
    return f"the {person_word(human)}" if _alone(scene, human) else f"the person on the {side}"


def _paragraph(w: _Writer, scene: Scene) -> str:
    where = _where(w, scene)
    lines: list[str] = []
    if scene.people:
        frame, who = w.pick(wording.FRAMINGS[scene.framing]), _subjects(w, scene, 0.45)
        lead = w.pick(
            (
                f"{_article(frame)} shows {who} {where}.",
                f"{where}, {who} is seen in {_article(frame)}."
                if len(scene.people) == 1
                else f"{where}, {who} are seen in {_article(frame)}.",
                f"the clip shows {who} {where}, framed as {_article(frame)}.",
                f"{who} {where}, {frame}.",
            )
        )
        lines.append(lead[0].upper() + lead[1:])
    for thing in scene.things:
        text = _thing(w, thing) + (" in the background" if scene.people else f" {where}")
        lines += [text[0].upper() + text[1:] + ".", w.pick(wording.SOUNDS[thing.kind])]
    rest: list[list[str]] = []
    for human in scene.people:
        rest.append(_about(w, scene, human))
    rest.append([line for line in wording.PLACE_DETAILS[scene.place] if w.chance(0.55)])
    rest.append([w.pick(wording.WEATHERS[scene.weather])] if scene.weather != "clear" else [])
    rest.append(_light(w, scene))
    rest.append([w.pick(wording.MOVES[scene.camera.move])])
    rest.append([line for line in wording.CLOSERS if w.chance(0.22)])
    order = np.arange(len(rest))
    if w.chance(0.5):
        w.rng.shuffle(order)
    for k in order:
        lines += rest[k]
    return " ".join(lines)


def _about(w: _Writer, scene: Scene, human: Human) -> list[str]:
    subject = _subject(w, scene, human)
    he = "he" if person_word(human) == "man" else "she"
    lines = []
    if w.chance(0.4) and not w.name:
        eyes = {"dark": "dark brown"}.get(human.identity.iris, human.identity.iris)
        lines.append(
            f"{he.capitalize()} has {eyes} eyes."
            if _alone(scene, human)
            else f"{subject[0].upper()}{subject[1:]} has {eyes} eyes."
        )
    lines += _beats(w, scene, human, subject, w.chance(0.75))
    if not human.expressions and w.chance(0.4):
        lines.append(f"{subject[0].upper()}{subject[1:]} {w.pick(wording.EXPRESSIONS['neutral'])}.")
    return lines + _speech(human, subject)


@cache
def _phrases() -> dict[str, Any]:
    text = (resources.files(__package__) / "phrases.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def prompt(scene: Scene, language: str = "en") -> str:
    """A short prompt in one of LANGUAGES: who or what, hair or clothes, place, hour, first action."""
    if language == "en":
        return _tags(_Writer(scene.seed, "train"), scene)
    table = _phrases()[language]
    place, hour = table["places"][scene.place], table["hours"][scene.hour]
    if scene.people:
        human = scene.people[0]
        look = human.look
        kind = "pair" if len(scene.people) > 1 else person_word(human)
        acts = [span.what for span in human.gestures] or [mood for mood in moods(human) if mood != "neutral"]
        subject = table[kind].format(color=table["colors"][look.color], hair=table["hair"][look.hair_color])
        action = table["acts"].get(acts[0], "") if acts and kind != "pair" else ""
    else:
        subject, action = table["things"][scene.things[0].kind], ""
    text = str(
        table["template"].format(
            place=place, hour=hour, subject=subject, action=f"{table['joint']}{action}" if action else ""
        )
    )
    return text + (table["weathers"][scene.weather] if scene.weather != "clear" else "")
