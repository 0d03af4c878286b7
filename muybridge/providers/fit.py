"""How a request would be put to an offer: at which size, length and ratio, and what would change on the way.

Nothing changes silently. A change that the caller has not allowed (by its name in CHANGES) is a refusal.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from muybridge.providers.catalog import SHORT_SIDE, Offer
from muybridge.providers.price import Measure
from muybridge.request import AudioMode, Request
from muybridge.shapes import RATIOS, TIERS, parse_size

CHANGES = ("model", "size", "seconds", "ratio", "audio", "language", "seed", "negative_prompt")
ALWAYS_ALLOWED = frozenset({"seed"})  # no provider promises a strictly repeatable seed
MAX_SHARPER = 3  # a tier may be rendered larger than asked and scaled down, not smaller and blown up


class Change(NamedTuple):
    """One thing that will not be as asked."""

    what: str
    asked: str
    gets: str


class Plan(NamedTuple):
    """How a request is put to an offer."""

    task: str
    tier: str
    ratio: str
    seconds: float
    audio: bool
    changes: tuple[Change, ...]


class Needs(NamedTuple):
    """What the stages ask about a request, worked out once."""

    task: str
    seconds: float
    tier: str | None  # when the size is exactly a named tier
    short_side: int
    ratio: str
    exact_ratio: bool
    free_ratio: bool  # the input decides the shape, not the caller
    num_references: int
    num_images: int
    last_image: bool
    audio: AudioMode
    speech: frozenset[str]
    seed: bool
    negative_prompt: bool
    input_ms: int


def needs_of(request: Request, input_s: float = 0.0) -> Needs:
    """A request's demands on an offer."""
    width, height = request.pixel_size
    tier, ratio, exact = _named_size(request.size, request.ratio, width, height)
    languages = {line.language for line in request.dialogue if line.language} | ({request.language} - {None})
    task = str(request.task)
    pictures = len(request.references) + (request.image is not None) + (request.last_image is not None)
    seconds = input_s or request.seconds
    return Needs(
        task,
        request.seconds,
        tier,
        min(width, height) if tier is None else SHORT_SIDE[tier],
        ratio,
        exact,
        task in ("i2v", "edit"),
        len(request.references),
        pictures,
        request.last_image is not None,
        request.audio_mode,
        frozenset(name for name in languages if name),
        bool(request.seed),
        bool(request.negative_prompt),
        round(seconds * 1000) if task == "edit" else 0,
    )


def fit(needs: Needs, offer: Offer, allow: frozenset[str]) -> Plan | tuple[str, str]:
    """How to put the request to an offer, or the (stage, detail) that forbids it."""
    model = offer.model
    changes: list[Change] = []
    tier = _tier(needs, offer, changes)
    if tier is None:
        return "tier", f"offers {', '.join(offer.tiers)}"
    seconds = _length(needs, offer, tier)
    if seconds is None:
        return "length", f"offers {model.min_s:g} to {model.max_s:g} s"
    if seconds != needs.seconds:
        changes.append(Change("seconds", f"{needs.seconds:g}", f"{seconds:g}, cut to {needs.seconds:g}"))
    ratio = needs.ratio
    if not needs.free_ratio:
        if ratio not in model.ratios:
            return "ratio", f"offers {', '.join(sorted(model.ratios))}"
        if not needs.exact_ratio:
            changes.append(Change("ratio", "as the size says", f"{ratio}, cropped"))
    low, high = model.references
    if needs.task == "r2v" and not low <= needs.num_references <= high:
        return "references", f"takes {low} to {high} references"
    if needs.task == "edit" and needs.num_references > model.edit_references:
        return "references", f"takes {model.edit_references} pictures beside the clip"
    if needs.last_image and not model.last_image:
        return "references", "takes no last frame"
    audio = needs.audio is not AudioMode.NONE and model.audio != "never"
    no = _sound(needs, offer, changes)
    if no is not None:
        return no
    if needs.seed and not model.seed:
        changes.append(Change("seed", "given", "random"))
    if needs.negative_prompt and not model.negative_prompt:
        changes.append(Change("negative_prompt", "given", "ignored"))
    for change in changes:
        if change.what not in allow and change.what not in ALWAYS_ALLOWED:
            stage = {"size": "tier", "seconds": "length", "negative_prompt": "prompt"}.get(change.what, change.what)
            return stage, f"{change.what} would be {change.gets} (allow it with {change.what!r})"
    if needs.audio is AudioMode.NONE and model.audio == "always":
        audio = True  # the sound is dropped when the result comes in
    return Plan(needs.task, tier, ratio, seconds, audio, tuple(changes))


def _tier(needs: Needs, offer: Offer, changes: list[Change]) -> str | None:
    """The tier to render at: the one asked for, else the next larger one, scaled down."""
    if needs.tier in offer.tiers:
        return needs.tier
    for tier in offer.tiers:
        side = SHORT_SIDE[tier]
        if side >= needs.short_side and side <= MAX_SHARPER * needs.short_side:
            if side != needs.short_side or needs.tier is None:
                changes.append(Change("size", needs.tier or f"{needs.short_side} lines", f"{tier}, scaled down"))
            return tier
    return None


def _length(needs: Needs, offer: Offer, tier: str) -> float | None:
    """The shortest length offered that covers the one asked for."""
    model, wanted = offer.model, needs.seconds
    if needs.task == "edit":  # follows its source
        return wanted if wanted <= model.max_s else None
    choices = model.lengths(needs.task, tier)
    if choices:
        return next((s for s in choices if s >= wanted), None)
    rounded = wanted if model.any_length else float(math.ceil(wanted))
    rounded = max(rounded, model.min_s)
    return rounded if rounded <= model.max_s else None


def _sound(needs: Needs, offer: Offer, changes: list[Change]) -> tuple[str, str] | None:
    model = offer.model
    if needs.audio is AudioMode.KEEP and not model.keep_audio:
        return "audio", "cannot keep the source's sound"
    if needs.audio is AudioMode.GENERATE and model.audio == "never":
        changes.append(Change("audio", "generated", "none"))
    if needs.speech:
        if not model.lip_sync:
            changes.append(Change("language", "lip-synced speech", "not promised"))
        elif (missing := needs.speech - model.languages) and model.languages:
            changes.append(Change("language", ", ".join(sorted(missing)), "not among its languages"))
    return None


def measure_of(plan: Plan, needs: Needs) -> Measure:
    """What will be billed for a plan."""
    width, height = pixels(plan.tier, plan.ratio)
    return Measure(plan.tier, round(plan.seconds * 1000), plan.audio, needs.num_images, needs.input_ms, width, height)


def pixels(tier: str, ratio: str) -> tuple[int, int]:
    """Width and height of a tier at a ratio: its short side, and the long one from the ratio, both even."""
    side = SHORT_SIDE[tier]
    across, down = RATIOS[ratio]
    if across >= down:
        return round(side * across / down / 2) * 2, side
    return side, round(side * down / across / 2) * 2


def _named_size(size: str, ratio: str, width: int, height: int) -> tuple[str | None, str, bool]:
    """(tier, ratio, whether the ratio is exact) of a size: a named tier, exactly one of them in pixels, or neither."""
    if size in TIERS:
        return size, ratio, True
    known = _SIZES.get((width, height))
    if known is not None:
        return known[0], known[1], True
    near = min(RATIOS, key=lambda r: abs(math.log(RATIOS[r][0] / RATIOS[r][1]) - math.log(width / height)))
    return None, near, RATIOS[near][0] * height == RATIOS[near][1] * width


_SIZES = {tuple(parse_size(tier, ratio)): (tier, ratio) for tier in TIERS for ratio in RATIOS}
