"""Fitting the witness on drawn scenes, and finding out how well it sees scenes that it was not fitted on.

Legend: N scenes, T frames of a scene, M pictures (scenes times frames), Y X rows and columns, K attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as nnf

from muybridge.evaluate.witness import (
    BODY_BOX,
    BODY_SIZE,
    CAMERA,
    EXPRESSION,
    HEIGHT,
    MOOD_BOX,
    MOOD_SIZE,
    MOUTH_BOX,
    MOUTH_SIZE,
    PERSON_BOX,
    PERSON_SIZE,
    REFINER_SIZE,
    WIDTH,
    Witness,
    cut,
    flow_features,
    half,
    quarter,
    small,
)
from muybridge.model.device import has_fast_bf16

NONE = -1  # a label that does not apply
BATCH = 48
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Drawings:
    """Drawn scenes with the answers.

    frames_NTYX3 uint8 [N, T, 128, 224, 3]; mouth_NT2 (x, y) and face_NT (brows to mouth) in pixels, aperture_NT opening
    over nose-to-chin, person_NV numbers of a person: NaN where there is not exactly one. labels_NK index answers
    (the last attribute is the expression that lasts longest), expression_NT of each frame; NONE where there is none.
    """

    frames_NTYX3: NDArray[np.uint8]
    mouth_NT2: NDArray[np.float32]
    face_NT: NDArray[np.float32]
    aperture_NT: NDArray[np.float32]
    expression_NT: NDArray[np.int64]
    labels_NK: NDArray[np.int64]
    person_NV: NDArray[np.float32]


def fit(
    drawings: Drawings,
    answers: Mapping[str, Sequence[str]],
    steps: int = 1000,
    seed: int = 0,
    on_step: OnStep | None = None,
    portraits: Drawings | None = None,
    looks: Drawings | None = None,
) -> Witness:
    """A witness that knows `answers`; the order of their names is that of `labels_NK`. Deterministic by seed.

    `portraits` are more pictures of one frame each: they teach all but the camera's moves. `looks`, too, teach what
    people and places look like, and nothing of where a mouth is and how far it opens.
    """
    torch.manual_seed(seed)
    witness = Witness(answers, drawings.person_NV.shape[1])
    lessons = _lessons(drawings, list(answers))
    if portraits is not None:
        lessons = _joined(lessons, _lessons(portraits, list(answers)))
    more = lessons if looks is None else _joined(lessons, _lessons(looks, list(answers)))
    parts = (_fit_locator, _fit_refiner, _fit_mouth, _fit_looks, _fit_mood, _fit_camera)
    for number, fit_part in enumerate(parts):
        torch.manual_seed(seed + number)  # each net's draws are its own
        known = more if fit_part in (_fit_looks, _fit_mood) else lessons
        fit_part(witness, known, np.random.default_rng([seed, number]), steps, on_step)
    return witness.eval()


@dataclass(frozen=True, eq=False)
class _Lessons:
    """What is asked of each net, small: pictures at a quarter and a half, cut-outs with a margin, uint8 [M, 3, Y, X].

    `alone` numbers the pictures with one person; boxes (relative to the picture), mouths, moods and apertures are
    theirs, in that order. `labels`, cut-outs of persons and bodies, and people (NaN for no person) are of all pictures:
    where there is not one person, the cut-outs are of anywhere, as a locator's would be.
    """

    quarters: Tensor
    halves: Tensor
    alone: NDArray[np.int64]
    faces: Tensor
    mouths: Tensor
    persons: Tensor
    bodies: Tensor
    moods: Tensor
    apertures: Tensor
    people: Tensor
    labels: dict[str, NDArray[np.int64]]
    flows: NDArray[np.float32]
    moves: NDArray[np.int64]


MARGIN = 1.3  # cut-outs for fitting are larger by this: the box shakes inside


def _lessons(drawings: Drawings, names: list[str]) -> _Lessons:
    moments = drawings.frames_NTYX3.shape[1]
    faces = np.concatenate([drawings.mouth_NT2, drawings.face_NT[..., None]], -1)
    labels = {name: np.repeat(drawings.labels_NK[:, k], moments) for k, name in enumerate(names)}
    labels[EXPRESSION] = drawings.expression_NT.reshape(-1)
    quarters, halves, mouths, persons, bodies, moods, flows = [], [], [], [], [], [], []
    rng = np.random.default_rng(0xA11)
    for clip, boxes in zip(drawings.frames_NTYX3, faces, strict=True):
        pictures = small(clip)
        quarters.append(_bytes(quarter(pictures)))
        halves.append(_bytes(half(pictures)))
        if len(clip) > 1:
            flows.append(flow_features(clip))
        is_alone = bool(np.isfinite(boxes[0, 0]))
        at = torch.from_numpy(boxes if is_alone else _anywhere(len(clip), rng))
        persons.append(_bytes(cut(pictures, at, _wider(PERSON_BOX), _larger(PERSON_SIZE))))
        bodies.append(_bytes(cut(pictures, at, _wider(BODY_BOX), _larger(BODY_SIZE))))
        if is_alone:
            mouths.append(_bytes(cut(pictures, at, _wider(MOUTH_BOX), _larger(MOUTH_SIZE))))
            moods.append(_bytes(cut(pictures, at, _wider(MOOD_BOX), _larger(MOOD_SIZE))))
    alone = np.flatnonzero(np.isfinite(faces[..., 0].reshape(-1)))
    return _Lessons(
        torch.cat(quarters),
        torch.cat(halves),
        alone,
        torch.from_numpy(faces.reshape(-1, 3)[alone]) / torch.tensor([WIDTH, HEIGHT, HEIGHT]),
        torch.cat(mouths),
        torch.cat(persons),
        torch.cat(bodies),
        torch.cat(moods),
        torch.from_numpy(drawings.aperture_NT.reshape(-1)[alone]),
        torch.from_numpy(np.repeat(drawings.person_NV, moments, 0)),
        labels,
        np.stack(flows) if flows else np.zeros((0, 96), np.float32),
        drawings.labels_NK[:, names.index(CAMERA)],
    )


def _anywhere(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Boxes [T, 3] of no face."""
    return rng.uniform((0.2 * WIDTH, 0.2 * HEIGHT, 8), (0.8 * WIDTH, 0.8 * HEIGHT, 40), (count, 3)).astype(np.float32)


def _joined(clips: _Lessons, stills: _Lessons) -> _Lessons:
    """Both, with the camera's lessons of the clips alone."""
    both: dict[str, Any] = {
        f.name: torch.cat([getattr(clips, f.name), getattr(stills, f.name)])
        for f in fields(_Lessons)
        if isinstance(getattr(clips, f.name), Tensor)
    }
    labels = {name: np.concatenate([clips.labels[name], stills.labels[name]]) for name in clips.labels}
    alone = np.concatenate([clips.alone, stills.alone + len(clips.quarters)])
    return replace(clips, **both, labels=labels, alone=alone)


def _bytes(pictures: Tensor) -> Tensor:
    return ((pictures + 1) * 127.5).round().clamp(0, 255).byte()


def _wider(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return tuple(m + (v - m) * MARGIN for v, m in zip(box, (x, y, x, y), strict=True))  # type: ignore[return-value]  # 4


def _larger(size: tuple[int, int]) -> tuple[int, int]:
    return round(size[0] * MARGIN), round(size[1] * MARGIN)


def _steps(
    name: str, module: Sequence[nn.Module], steps: int, on_step: OnStep | None, decay: float = 0.01
) -> Iterator[torch.optim.Optimizer]:
    """An optimiser for each step, its gradients cleared; it steps when the next one is asked for."""
    parameters = [p for part in module for p in part.parameters()]
    optimiser = torch.optim.AdamW(parameters, 2e-3, weight_decay=decay)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for step in range(steps):
        optimiser.zero_grad()
        yield optimiser
        optimiser.step()
        plan.step()
        if on_step is not None:
            on_step(name, step + 1, steps)


def _tints(count: int, rng: np.random.Generator, colour: float) -> tuple[Tensor, Tensor]:
    gain = torch.from_numpy(rng.normal(1, colour, (count, 3, 1, 1)).astype(np.float32))
    return gain, torch.from_numpy(rng.normal(0, colour / 2, (count, 1, 1, 1)).astype(np.float32))


def _changed(pictures_bytes: Tensor, rng: np.random.Generator, tints: tuple[Tensor, Tensor]) -> Tensor:
    """Pictures in [-1, 1] with colours, sharpness and noise changed as a decoder might."""
    pictures = pictures_bytes.float() / 127.5 - 1
    gain, shift = tints
    pictures = ((pictures + 1) * gain - 1 + shift).clamp(-1, 1)
    if rng.random() < 0.5:
        scale = float(rng.uniform(0.45, 1.0))
        less = nnf.interpolate(pictures, scale_factor=scale, mode="bilinear", antialias=True)
        pictures = nnf.interpolate(less, pictures.shape[-2:], mode="bilinear")
    return pictures + torch.randn_like(pictures) * float(rng.uniform(0, 0.05))


def _shaken(
    pictures: Tensor,
    size: tuple[int, int],
    rng: np.random.Generator,
    far: float,
    grow: float,
    turned: bool | None = None,
) -> Tensor:
    """The inner box of cut-outs with a margin, moved and scaled as a locator that errs would.

    `turned` mirrors all or none; None mirrors half of them.
    """
    count = len(pictures)
    scale = np.exp(rng.normal(0, grow, count)) / MARGIN
    side = np.where(rng.random(count) < 0.5, 1.0, -1.0) if turned is None else np.full(count, -1.0 if turned else 1.0)
    zero, move = np.zeros(count), rng.normal(0, far, (2, count))
    matrix = np.stack([np.stack([scale * side, zero, move[0]], 1), np.stack([zero, scale, move[1]], 1)], 1)
    return _sampled(pictures, matrix, size)


def _fit_locator(
    witness: Witness, lessons: _Lessons, rng: np.random.Generator, steps: int, on_step: OnStep | None
) -> None:
    for _ in _steps("where the face is", [witness.locator], steps, on_step):
        chosen = rng.integers(len(lessons.alone), size=BATCH)
        pictures = _changed(lessons.quarters[lessons.alone[chosen]], rng, _tints(BATCH, rng, 0.08))
        truth = lessons.faces[chosen].clone()
        if rng.random() < 0.5:
            pictures = pictures.flip(-1)
            truth[:, 0] = 1 - truth[:, 0]
        found = witness.locator(pictures)
        place = (found[:, :2] - truth[:, :2]) * torch.tensor([WIDTH / HEIGHT, 1.0]) / truth[:, 2:]
        size = found[:, 2] - truth[:, 2].log()
        (place.abs().clamp(max=4).sum(1) + 2 * size.abs()).mean().backward()


def _fit_refiner(
    witness: Witness, lessons: _Lessons, rng: np.random.Generator, steps: int, on_step: OnStep | None
) -> None:
    """From a box that is off by up to a face height to the right one."""
    half = np.array([PERSON_BOX[2] - PERSON_BOX[0], PERSON_BOX[3] - PERSON_BOX[1]]) / 2
    middle = np.array([PERSON_BOX[2] + PERSON_BOX[0], PERSON_BOX[3] + PERSON_BOX[1]]) / 2
    for _ in _steps("the face more exactly", [witness.refiner], steps, on_step):
        chosen = rng.integers(len(lessons.alone), size=BATCH)
        pictures = _changed(lessons.persons[lessons.alone[chosen]], rng, _tints(BATCH, rng, 0.08))
        far = rng.choice((0.08, 0.3), (BATCH, 1)) * rng.standard_normal((BATCH, 2))  # rough, as found; then fine
        grow = np.exp(rng.normal(0, 0.15, (BATCH, 1)))
        move = (far + middle * grow - middle) / (half * MARGIN)
        zero, scale = np.zeros(BATCH), grow[:, 0] / MARGIN
        matrix = np.stack([np.stack([scale, zero, move[:, 0]], 1), np.stack([zero, scale, move[:, 1]], 1)], 1)
        cuts = _sampled(pictures, matrix, REFINER_SIZE)
        truth = torch.from_numpy(np.concatenate([-far / grow, -np.log(grow)], 1).astype(np.float32))
        if rng.random() < 0.5:
            cuts, truth = cuts.flip(-1), truth * torch.tensor([-1.0, 1.0, 1.0])
        nnf.smooth_l1_loss(witness.refiner(cuts) * 10, truth * 10, beta=0.5).backward()


def _sampled(pictures: Tensor, matrix: NDArray[np.float64], size: tuple[int, int]) -> Tensor:
    """Pictures through affine maps [B, 2, 3] of normalised places."""
    shape = [len(pictures), 3, *size]
    grid = nnf.affine_grid(torch.from_numpy(matrix.astype(np.float32)), shape, align_corners=False)
    return nnf.grid_sample(pictures, grid, align_corners=False)


def _fit_mouth(
    witness: Witness, lessons: _Lessons, rng: np.random.Generator, steps: int, on_step: OnStep | None
) -> None:
    for _ in _steps("the mouth", [witness.mouth], 6 * steps, on_step):
        chosen = rng.integers(len(lessons.alone), size=BATCH)
        pictures = _changed(lessons.mouths[chosen], rng, _tints(BATCH, rng, 0.12))
        pictures = _shaken(pictures, MOUTH_SIZE, rng, 0.07, 0.06)
        nnf.smooth_l1_loss(witness.mouth(pictures)[:, 0] * 10, lessons.apertures[chosen] * 10, beta=0.3).backward()


def _fit_looks(
    witness: Witness, lessons: _Lessons, rng: np.random.Generator, steps: int, on_step: OnStep | None
) -> None:
    """People, clothes, places and their light at once: each tells something of the others."""
    known = lessons.people[lessons.alone]
    witness.person_mean.copy_(known.mean(0))
    witness.person_std.copy_(known.std(0) + 1e-3)
    wanted = (lessons.people - witness.person_mean) / witness.person_std
    parts = [witness.person, witness.dress, witness.scene, witness.numbers, witness.heads]
    is_fast = has_fast_bf16(torch.device("cpu"))
    for _ in _steps("people and places", parts, 8 * steps, on_step, decay=0.05):
        chosen = rng.integers(len(lessons.halves), size=BATCH)
        tints, turned = _tints(BATCH, rng, 0.05), rng.random() < 0.5  # the same for all cut-outs of a picture
        persons = _shaken(_changed(lessons.persons[chosen], rng, tints), PERSON_SIZE, rng, 0.04, 0.07, turned)
        bodies = _shaken(_changed(lessons.bodies[chosen], rng, tints), BODY_SIZE, rng, 0.04, 0.07, turned)
        scenes = _changed(lessons.halves[chosen], rng, tints)
        scenes = scenes.flip(-1) if turned else scenes
        with torch.autocast("cpu", torch.bfloat16, enabled=is_fast):  # six tenths of the time
            made = (witness.person(persons), witness.dress(bodies), witness.scene(scenes))
        person, dress, scene = (features.float() for features in made)
        odds = witness.told(*(nnf.dropout(features, 0.2) for features in (person, dress, scene)))
        there = lessons.people[chosen, 0].isfinite()
        told = witness.numbers(nnf.dropout(person, 0.2))[there]
        loss = nnf.smooth_l1_loss(told, wanted[chosen][there]) if len(told) else told.sum()
        for name, found in odds.items():
            truth = lessons.labels[name][chosen]
            if name == "light" and turned:  # left and right, the first two answers, change places
                truth = np.where(truth == 0, 1, np.where(truth == 1, 0, truth))
            loss = loss + _cross_entropy(found, truth)
        loss.backward()


def _fit_camera(
    witness: Witness, lessons: _Lessons, rng: np.random.Generator, steps: int, on_step: OnStep | None
) -> None:
    witness.flow_mean.copy_(torch.from_numpy(lessons.flows.mean(0)))
    witness.flow_std.copy_(torch.from_numpy(lessons.flows.std(0) + 0.05))
    known = (torch.from_numpy(lessons.flows) - witness.flow_mean) / witness.flow_std
    witness.camera.train()
    for _ in _steps("the camera", [witness.camera], steps, on_step, decay=0.1):
        chosen = rng.integers(len(known), size=BATCH)
        noisy = known[chosen] + 0.2 * torch.randn(BATCH, known.shape[1])
        _cross_entropy(witness.camera(noisy), lessons.moves[chosen]).backward()


def _fit_mood(
    witness: Witness, lessons: _Lessons, rng: np.random.Generator, steps: int, on_step: OnStep | None
) -> None:
    truth = lessons.labels[EXPRESSION][lessons.alone]
    for _ in _steps("the mood", [witness.mood], 6 * steps, on_step, decay=0.05):
        chosen = rng.integers(len(lessons.alone), size=BATCH)
        pictures = _changed(lessons.moods[chosen], rng, _tints(BATCH, rng, 0.12))
        pictures = _shaken(pictures, MOOD_SIZE, rng, 0.06, 0.08)
        _cross_entropy(witness.mood(pictures), truth[chosen]).backward()


def _cross_entropy(odds_BK: Tensor, truth_B: NDArray[np.int64]) -> Tensor:
    """Mean over those that have an answer; 0 where none has."""
    truth = torch.from_numpy(truth_B)
    if not bool((truth != NONE).any()):
        return odds_BK.sum() * 0.0
    return nnf.cross_entropy(odds_BK, truth, ignore_index=NONE, label_smoothing=0.05)


@dataclass(frozen=True)
class Eyesight:
    """How well a witness sees: correlation of the aperture, errors of the face box, share of right answers."""

    aperture_r: float
    mouth_error: float  # median distance in face heights
    size_error: float  # median |log ratio|
    right: dict[str, float]


def examine(witness: Witness, drawings: Drawings) -> Eyesight:
    """Questions about drawings that the witness was not fitted on."""
    found, truth, off, size = [], [], [], []
    names = list(witness.answers)
    answers: dict[str, list[bool]] = {name: [] for name in names}
    for k, clip in enumerate(drawings.frames_NTYX3):
        said = witness.attributes(clip)
        for j, name in enumerate(names):
            wanted = int(drawings.labels_NK[k, j])
            if wanted != NONE:
                answers[name].append(said[name] == witness.answers[name][wanted])
        if np.isfinite(drawings.face_NT[k, 0]):
            faces = witness.single_faces(clip)
            off.append(np.linalg.norm(faces[:, :2] - drawings.mouth_NT2[k], axis=1) / drawings.face_NT[k])
            size.append(np.abs(np.log(faces[:, 2] / drawings.face_NT[k])))
            found.append(witness.aperture(clip, faces))
            truth.append(drawings.aperture_NT[k])
    r = float(np.corrcoef(np.concatenate(found), np.concatenate(truth))[0, 1])
    right = {name: float(np.mean(hits)) for name, hits in answers.items() if hits}
    return Eyesight(r, float(np.median(np.concatenate(off))), float(np.median(np.concatenate(size))), right)
