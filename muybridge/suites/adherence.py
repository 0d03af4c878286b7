"""Is what was asked for seen? Attributes of held-out prompts, told by the witness; only what the prompt says counts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge.evaluate import gestures, picture
from muybridge.evaluate.choices import share
from muybridge.evaluate.fitting import NONE
from muybridge.suites import drawings
from muybridge.suites.run import Run
from muybridge.suites.table import Row

BAR = ">= 0.9"


def evaluate(run: Run) -> list[Row]:
    """Share of right answers per attribute, and over all of them."""
    from muybridge.world import captions

    names = (*drawings.names(), *(("action",) if run.finder is not None else ()))
    truth: dict[str, list[bool]] = {name: [] for name in names}
    made: dict[str, list[bool]] = {name: [] for name in names}
    sheet = []
    indices = range(run.first, run.first + run.count)
    for number, index in enumerate(run.track(indices, "drawing, making, asking", run.count)):
        scene, _ = drawings.scene_of(index, "test")
        prompt = captions.caption(scene, scene.seed, "test")
        wanted = {name: answer for name, answer in answers(scene).items() if name in mentioned(scene, prompt)}
        frames = drawings.pixels(scene)
        _score(truth, run.attributes(frames), wanted)
        acts = actions(scene, prompt) if run.finder is not None else []
        if acts:
            truth["action"] += _seen(run, drawings.pixels(scene, None), acts)
        clip = run.make(run.ask(prompt, scene.seconds, number))
        if clip is not None:
            _score(made, run.attributes(clip.frames_TYXC), wanted)
            made["action"] = [*made.get("action", []), *(_seen(run, clip.frames_TYXC, acts) if acts else [])]
            sheet.append((frames[4], clip.frames_TYXC[len(clip.frames_TYXC) // 2]))
    if sheet:
        pairs(run, sheet)
    rows = [_row(f"{name} as asked", made[name], truth[name], run.engine is not None) for name in truth]
    all_made, all_true = ([hit for hits in of.values() for hit in hits] for of in (made, truth))
    return [*rows, _row("all attributes", all_made, all_true, run.engine is not None)]


def answers(scene: Any) -> dict[str, str]:  # noqa: ANN401  (a world Scene)
    """What is true of the scene, by attribute; those that do not apply are left out."""
    table = drawings.names()
    found = zip(table, drawings.labels(scene), strict=True)
    return {name: table[name][label] for name, label in found if label != NONE}


def actions(scene: Any, prompt: str) -> list[Any]:  # noqa: ANN401  (a world Scene, its Spans)
    """The gestures of the scene's one person that a head shows and to which the prompt gives their time."""
    from muybridge.world import wording

    if len(scene.people) != 1:
        return []
    sentences = [_plain(sentence) for sentence in re.split(r"(?<=[.;])\s", prompt)]

    def is_told(span: Any) -> bool:  # noqa: ANN401  (as above)
        words = [_plain(act.format(poss=poss)) for act in wording.GESTURES[span.what] for poss in ("his", "her")]
        at = f"{span.start_s:.1f}"
        return any(at in sentence and any(word in sentence for word in words) for sentence in sentences)

    return [span for span in scene.people[0].gestures if span.what in gestures.SEEN and is_told(span)]


def _seen(run: Run, frames_TYX3: NDArray[np.uint8], acts: list[Any]) -> list[bool]:
    found = run.gestures(frames_TYX3, [(span.start_s, span.end_s) for span in acts])
    return [seen == span.what for seen, span in zip(found, acts, strict=True)]


def mentioned(scene: Any, prompt: str) -> set[str]:  # noqa: ANN401  (as above)
    """The attributes that the prompt speaks of: those whose wording, one of the world's, stands in it."""
    from muybridge.world import wording
    from muybridge.world.captions import light_side

    text = _plain(prompt)

    def says(options: tuple[str, ...]) -> bool:
        return any(_plain(option.format(poss=poss)) in text for option in options for poss in ("his", "her"))

    out = {"count"}
    if says(wording.PLACES[scene.place]):
        out.add("place")
    if says(wording.HOURS[scene.hour]):
        out.add("hour")
    if says(wording.LIGHT_SIDES[light_side(scene)]):
        out.add("light")
    if says((scene.camera.move,)) or says(wording.MOVES[scene.camera.move]):
        out.add("camera")
    if len(scene.people) == 1:
        who = scene.people[0]
        if says((f"{who.look.hair_color} ",)):
            out.add("hair")
        if says((f"{who.look.color} ",)):
            out.add("clothes")
        if len(who.expressions) <= 1 and says(wording.EXPRESSIONS[answers(scene)["expression"]]):
            out.add("expression")
    return out


def _plain(text: str) -> str:
    return re.sub(r"\ban\b", "a", text.lower())


def _score(hits: dict[str, list[bool]], said: dict[str, str], wanted: dict[str, str]) -> None:
    for name, answer in wanted.items():
        hits[name].append(said[name] == answer)


def _row(what: str, made: list[bool], truth: list[bool], is_made: bool) -> Row:
    return Row(what, share(made).value if is_made else None, share(truth).value, BAR, len(truth))


def pairs(run: Run, sheet: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> None:
    """`adherence.png`: the scene that the prompt tells of over the model's middle frame, the first twelve of them."""
    from muybridge import media

    columns = [np.concatenate([a, picture.shrunk(b[None], *a.shape[:2])[0]]) for a, b in sheet[:12]]
    rows = [np.concatenate(columns[k : k + 4], 1) for k in range(0, len(columns) // 4 * 4, 4)]
    media.write_image(run.plot("adherence.png"), np.concatenate(rows or [np.concatenate(columns, 1)]))
