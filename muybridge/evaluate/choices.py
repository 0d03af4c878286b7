"""Who is it, and is it what was asked: ranks of identity vectors, checklists of attributes, with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval (Wilson 1927)."""

    value: float
    low: float
    high: float
    count: int


def share(hits: Sequence[bool]) -> Share:
    """Share of true values."""
    n, z = len(hits), 1.959964
    if n == 0:
        return Share(float("nan"), 0.0, 1.0, 0)
    p = sum(hits) / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return Share(p, middle - reach, middle + reach, n)


def rank(query_D: Floats, gallery_ND: Floats, own: int) -> int:
    """Place (1 is first) of gallery row `own` by cosine similarity to `query_D`."""
    unit = gallery_ND / np.linalg.norm(gallery_ND, axis=1, keepdims=True)
    scores = unit @ (query_D / np.linalg.norm(query_D))
    return int((scores > scores[own]).sum()) + 1


def margin(query_D: Floats, gallery_ND: Floats, own: int) -> float:
    """Similarity to `own` minus that to the nearest other: negative when somebody else is nearer."""
    unit = gallery_ND / np.linalg.norm(gallery_ND, axis=1, keepdims=True)
    scores = unit @ (query_D / np.linalg.norm(query_D))
    return float(scores[own] - np.delete(scores, own).max())


def checklist(wanted: Mapping[str, object], seen: Mapping[str, object]) -> dict[str, bool]:
    """One yes or no per attribute asked for; an attribute nobody saw is a no."""
    return {name: seen.get(name) == value for name, value in wanted.items()}
