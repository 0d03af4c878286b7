"""Who a person is: identity (face, body, skin, eyes) and look (hair, beard, clothes, accessories), drawn from a seed.

An identity never changes in a clip; a look may be edited. Face shape is a vector over symmetric axes: the left and
right
halves of a target move together and the two ends of one axis never act at once. Coarse ethnic labels of the data are
mixed
evenly and not exposed in words. Adults only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from . import anatomy
from .anatomy import Floats

RGB = tuple[float, float, float]

HAIR_COLORS: dict[str, RGB] = {
    "black": (0.025, 0.022, 0.022),
    "dark brown": (0.058, 0.033, 0.021),
    "brown": (0.135, 0.070, 0.035),
    "auburn": (0.20, 0.055, 0.025),
    "red": (0.45, 0.13, 0.035),
    "blond": (0.54, 0.36, 0.15),
    "grey": (0.42, 0.41, 0.40),
    "white": (0.78, 0.77, 0.75),
    "blue": (0.08, 0.20, 0.55),
    "pink": (0.75, 0.22, 0.42),
}
# Of horses: body, and mane, tail and hooves (world/horse.py).
COATS: dict[str, tuple[RGB, RGB]] = {
    "brown": ((0.20, 0.085, 0.035), (0.012, 0.010, 0.010)),
    "chestnut": ((0.34, 0.12, 0.04), (0.30, 0.11, 0.04)),
    "black": ((0.022, 0.020, 0.022), (0.010, 0.010, 0.011)),
    "white": ((0.66, 0.65, 0.62), (0.58, 0.57, 0.54)),
    "grey": ((0.27, 0.28, 0.29), (0.08, 0.08, 0.09)),
    "golden": ((0.52, 0.32, 0.11), (0.72, 0.66, 0.52)),
}
HAIR_STYLES = (
    "buzz cut", "short hair", "swept hair", "side-parted hair", "bob", "bangs", "long hair", "long wavy hair",
    "curly hair", "afro", "ponytail", "bun",
)  # fmt: skip
CLOTHES_COLORS: dict[str, RGB] = {
    "white": (0.82, 0.82, 0.80),
    "black": (0.025, 0.025, 0.03),
    "grey": (0.30, 0.31, 0.33),
    "red": (0.55, 0.045, 0.05),
    "orange": (0.74, 0.15, 0.012),
    "yellow": (0.85, 0.62, 0.08),
    "green": (0.07, 0.34, 0.13),
    "teal": (0.04, 0.36, 0.38),
    "blue": (0.06, 0.17, 0.55),
    "navy": (0.02, 0.04, 0.15),
    "purple": (0.26, 0.08, 0.42),
    "pink": (0.80, 0.33, 0.45),
    "brown": (0.23, 0.12, 0.06),
    "beige": (0.66, 0.54, 0.38),
}
GARMENTS = ("t-shirt", "v-neck", "shirt", "sweater", "turtleneck", "hoodie", "jacket", "suit", "tank top", "dress")
PATTERNS = ("plain", "striped", "checked", "dotted")
IRIS_COLORS: dict[str, RGB] = {
    "brown": (0.13, 0.06, 0.025),
    "dark": (0.045, 0.025, 0.015),
    "hazel": (0.24, 0.16, 0.05),
    "green": (0.15, 0.28, 0.12),
    "blue": (0.14, 0.30, 0.52),
    "grey": (0.28, 0.33, 0.37),
}
HATS = ("none", "beanie", "cap", "sun hat")
BEARDS = ("none", "stubble", "moustache", "goatee", "full beard")


@dataclass(frozen=True)
class Identity:
    """The permanent part of a person; `axes` weighs `shape_axes()` in order."""

    seed: int
    masculine: float  # 0..1
    ancestry: RGB  # convex weights of the three regional targets
    age: float  # 0 young adult .. 1 old
    muscle: float
    weight: float
    axes: tuple[float, ...]
    skin: RGB  # linear albedo
    lips: RGB
    iris: str
    brow: tuple[float, float, float]  # thickness, arch, darkness
    freckles: float


@dataclass(frozen=True)
class Look:
    """What a stylist may change; colours are names from the tables above."""

    hair_style: str = "short hair"
    hair_color: str = "brown"
    hair_seed: int = 0
    beard: str = "none"
    garment: str = "t-shirt"
    color: str = "blue"
    second_color: str = "white"
    pattern: str = "plain"
    glasses: bool = False
    hat: str = "none"
    hat_color: str = "red"


_OPPOSITES = (
    ("-decr", "-incr"), ("-down", "-up"), ("-in", "-out"), ("-backward", "-forward"), ("-concave", "-convex"),
    ("-compress", "-uncompress"),
)  # fmt: skip
_SIDEWAYS = ("mouth-trans-in", "nose-trans-in", "head-trans-in", "head-angle-in", "mouth-dimples-in")
_GENTLE = {"head": 0.6, "mouth": 0.75, "eyes": 0.8, "eyebrows": 0.5, "chin": 0.9, "ears": 0.6}


@cache
def shape_axes() -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    """(name, targets of the negative end, targets of the positive end); sided targets come as a pair."""
    root = anatomy.data_root() / "mpfb2" / "targets"
    axes: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
    for folder in ("nose", "chin", "head", "cheek", "eyes", "mouth", "eyebrows", "forehead", "ears"):
        names = sorted(path.name.removesuffix(".target.gz") for path in (root / folder).glob("*.target.gz"))
        for name in names:
            if name.startswith("r-") or "age" in name or name.startswith("ear-wing"):
                continue
            ends = next(((low, high) for low, high in _OPPOSITES if name.endswith(low)), None)
            if ends is None and any(name.endswith(high) for _, high in _OPPOSITES):
                continue  # the high end of an axis already listed, or a lone one
            sides = ("l-", "r-") if name.startswith("l-") else ("",)
            plain = name.removeprefix("l-")
            if plain in _SIDEWAYS:
                continue
            stem = plain[: -len(ends[0])] if ends else plain
            low = tuple(f"{folder}/{side}{plain}" for side in sides)
            high = tuple(f"{folder}/{side}{stem}{ends[1]}" for side in sides) if ends else ()
            if all((root / f"{path}.target.gz").exists() for path in low + high):
                axes.append((f"{folder}/{stem}", low if ends else (), high or low))
    return tuple(axes)


def _skin(rng: np.random.Generator, ancestry: RGB) -> RGB:
    """Linear albedo from a melanin axis: dark brown to fair, with warm and cool undertones."""
    fair, tan, dark = np.array([0.72, 0.46, 0.35]), np.array([0.50, 0.29, 0.18]), np.array([0.135, 0.065, 0.04])
    melanin = float(np.clip(np.dot(ancestry, (0.85, 0.35, 0.2)) + rng.normal(0, 0.13), 0.03, 1.0))
    tone = fair + (tan - fair) * min(melanin * 2, 1) + (dark - tan) * max(melanin * 2 - 1, 0)
    tone = tone * np.array([1, 1 + rng.normal(0, 0.03), 1 + rng.normal(0, 0.05)])
    return tuple(np.clip(tone, 0.02, 0.8).round(4).tolist())


def sample_identity(seed: int) -> Identity:
    """One adult; the same seed gives the same person for ever."""
    rng = np.random.default_rng([0x1D, seed])
    masculine = float(np.clip((rng.random() < 0.5) + rng.normal(0, 0.08), 0, 1))
    corner = rng.integers(3)
    mix = rng.dirichlet([0.5, 0.5, 0.5]) * 0.45 + np.eye(3)[corner] * 0.55
    ancestry = tuple(mix.round(4).tolist())
    age = float(rng.beta(1.1, 1.5))
    axes = shape_axes()
    draw = rng.standard_normal(len(axes)) * (rng.random(len(axes)) < 0.55)
    gentle = np.array([_GENTLE.get(name.split("/")[0], 1.0) for name, _, _ in axes])
    weights = np.clip(draw * 0.34 * gentle, -0.75, 0.75)
    skin = _skin(rng, ancestry)
    red = np.clip(np.array(skin) * [0.95, 0.55, 0.62] + rng.normal(0, 0.012, 3), 0.02, 0.7)
    dark_eyes = ancestry[0] + ancestry[1] > 0.6
    iris = str(rng.choice(("dark", "brown") if dark_eyes and rng.random() < 0.85 else tuple(IRIS_COLORS)))
    brow = (
        float(rng.uniform(0.65, 1.0) + 0.35 * masculine),
        float(rng.uniform(0.3, 1.0)),
        float(rng.uniform(0.6, 0.95)),
    )
    return Identity(
        seed=seed,
        masculine=round(masculine, 4),
        ancestry=ancestry,
        age=round(age, 4),
        muscle=round(float(rng.uniform(0.3, 0.75)), 4),
        weight=round(float(rng.uniform(0.25, 0.75)), 4),
        axes=tuple(weights.round(4).tolist()),
        skin=skin,
        lips=tuple(red.round(4).tolist()),
        iris=iris,
        brow=(round(brow[0], 4), round(brow[1], 4), round(brow[2], 4)),
        freckles=round(float(max(rng.normal(-0.5, 0.6), 0)), 4),
    )


def sample_look(seed: int, identity: Identity) -> Look:
    """Hair, clothes and accessories that go with the person but are drawn apart from the face."""
    rng = np.random.default_rng([0x100C, seed, identity.seed])
    male = identity.masculine > 0.5
    short = ("buzz cut", "short hair", "swept hair", "side-parted hair", "curly hair", "afro")
    long = ("bob", "bangs", "long hair", "long wavy hair", "curly hair", "ponytail", "bun", "side-parted hair", "afro")
    style = str(rng.choice(short if male and rng.random() < 0.85 else long))
    natural = ["black", "dark brown", "brown", "auburn", "red", "blond"]
    if identity.ancestry[2] < 0.4 and rng.random() < 0.8:
        natural = ["black", "black", "dark brown"]
    if identity.age > 0.75:
        natural = ["grey", "white", natural[0]]
    color = str(rng.choice(natural)) if rng.random() < 0.93 else str(rng.choice(["blue", "pink"]))
    colors = list(CLOTHES_COLORS)
    first, second = (str(name) for name in rng.choice(colors, 2, replace=False))
    garment = str(rng.choice(GARMENTS[:9] if male else GARMENTS))
    plain_only = garment in ("suit", "jacket", "hoodie")
    pattern = "plain" if plain_only or rng.random() < 0.55 else str(rng.choice(PATTERNS[1:]))
    beard = str(rng.choice(BEARDS, p=(0.5, 0.16, 0.08, 0.1, 0.16))) if male else "none"
    hat = str(rng.choice(HATS[1:])) if rng.random() < 0.1 else "none"
    return Look(
        hair_style=style,
        hair_color=color,
        hair_seed=int(rng.integers(1 << 16)),
        beard=beard,
        garment=garment,
        color=first,
        second_color=second,
        pattern=pattern,
        glasses=bool(rng.random() < 0.18),
        hat=hat,
        hat_color=str(rng.choice(colors)),
    )


def _add(vertices_V3: NDArray[np.float64], relative: str, weight: float) -> None:
    ids, moves = anatomy.target(relative)
    vertices_V3[ids] += weight * moves


def _macro(vertices_V3: NDArray[np.float64], identity: Identity) -> None:
    """Regional, age, muscle and weight targets with MakeHuman's piecewise linear mixing."""
    sexes = (("female", 1 - identity.masculine), ("male", identity.masculine))
    ages = (("young", 1 - identity.age), ("old", identity.age))

    def ends(kind: str, value: float) -> tuple[tuple[str, float], ...]:
        low = max(1 - 2 * value, 0.0)
        high = max(2 * value - 1, 0.0)
        return ((f"min{kind}", low), (f"average{kind}", 1 - low - high), (f"max{kind}", high))

    for sex, by_sex in sexes:
        for age, by_age in ages:
            for region, by_region in zip(("african", "asian", "caucasian"), identity.ancestry, strict=True):
                if by_sex * by_age * by_region > 1e-4:
                    _add(vertices_V3, f"macrodetails/{region}-{sex}-{age}", by_sex * by_age * by_region)
            for muscle, by_muscle in ends("muscle", identity.muscle):
                for weight, by_weight in ends("weight", identity.weight):
                    amount = by_sex * by_age * by_muscle * by_weight
                    if amount > 1e-4:
                        _add(vertices_V3, f"macrodetails/universal-{sex}-{age}-{muscle}-{weight}", amount)


# Middle and sides of the seam between the lips: (upper, lower) vertices of the inner edge.
LIP_SEAM_TOP, LIP_SEAM_BOTTOM = 474, 493


@lru_cache(maxsize=16)
def rest_shape(identity: Identity) -> Floats:
    """Vertices [V, 3] in dm of the person at rest, lips closed."""
    base = anatomy.load().vertices_V3
    vertices_V3 = base.astype(np.float64)
    _macro(vertices_V3, identity)
    for (_name, low, high), weight in zip(shape_axes(), identity.axes, strict=True):
        for relative in low if weight < 0 and low else high:
            _add(vertices_V3, relative, abs(weight))
    return _close_lips(base, vertices_V3).astype(np.float32)


def _close_lips(base_V3: Floats, vertices_V3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring the inner edges of the lips to a slight overlap; the shift fades out within 0.15 dm of the seam.

    Region and face targets leave many faces with a slit of 1-2 mm or with crossed lips at rest.
    """
    seam = 0.5 * float(base_V3[LIP_SEAM_TOP, 1] + base_V3[LIP_SEAM_BOTTOM, 1])
    gap = float(vertices_V3[LIP_SEAM_TOP, 1] - vertices_V3[LIP_SEAM_BOTTOM, 1]) + 0.004
    x, y, z = base_V3[:, 0], base_V3[:, 1] - seam, base_V3[:, 2]
    reach = np.exp(-((y / 0.09) ** 2)) * np.clip(1 - (x / 0.27) ** 2, 0, 1) * np.clip((z - 1.15) / 0.15, 0, 1)
    skin = np.arange(len(x)) < 13380
    vertices_V3[:, 1] -= 0.5 * gap * np.sign(y) * reach * skin
    return vertices_V3


def identity_vector(identity: Identity) -> Floats:
    """Float array that orders people: macro shape, face axes, skin, lips, iris and brows (no hair, no clothes)."""
    iris = IRIS_COLORS[identity.iris]
    head = (identity.masculine, *identity.ancestry, identity.age, identity.muscle, identity.weight)
    tail = (*identity.skin, *identity.lips, *iris, *identity.brow, identity.freckles)
    return np.array((*head, *identity.axes, *tail), np.float32)
