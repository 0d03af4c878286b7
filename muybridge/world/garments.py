"""Clothes as cuts of one body suit: the neckline, sleeves, fronts and weaves that the cloth shader draws.

Positions are those of the base mesh (dm), so a garment sits alike on everybody: the pit of the throat is at y 5.3, the
shoulder at (1.7, 5.2), the elbow 2.3 and the wrist 3.8 along the arm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Floats


@dataclass(frozen=True)
class Garment:
    """Uniforms of cloth.frag, plus the collar that is real geometry ("", "shirt", "roll", "hood")."""

    neckline: tuple[float, float, float, float] = (5.42, 0.62, 2.0, 5.78)
    sleeve: float = 1.35
    front: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    knit: float = 0.15
    rib: float = 1.0
    strap: float = 0.0
    inflate: float = 0.035
    collar: str = ""


CUTS: dict[str, Garment] = {
    "t-shirt": Garment(),
    "v-neck": Garment(neckline=(4.85, 0.50, 1.0, 5.75), sleeve=1.35, rib=0.6),
    "shirt": Garment(neckline=(5.45, 0.45, 1.2, 5.85), sleeve=3.75, front=(0.0, 0.0, 1.0, 0.0), rib=0.0, knit=0.0,
    collar="shirt"),
    "sweater": Garment(neckline=(5.50, 0.60, 2.0, 5.82), sleeve=3.8, knit=1.0, inflate=0.07),
    "turtleneck": Garment(neckline=(5.9, 0.7, 2.0, 6.0), sleeve=3.8, knit=0.7, inflate=0.05, rib=0.5, collar="roll"),
    "hoodie": Garment(neckline=(5.45, 0.6, 2.0, 5.8), sleeve=3.8, knit=0.3, inflate=0.08, rib=0.8, collar="hood"),
    "jacket": Garment(neckline=(5.55, 0.6, 1.5, 5.88), sleeve=3.7, front=(0.36, 0.6, 0.0, 0.0), rib=0.0, knit=0.1,
    inflate=0.09),
    "suit": Garment(neckline=(5.5, 0.45, 1.2, 5.85), sleeve=3.7, front=(0.34, 2.6, 2.0, 1.0), rib=0.0, knit=0.0,
    inflate=0.07, collar="shirt"),
    "tank top": Garment(neckline=(4.75, 0.72, 2.0, 5.1), sleeve=-1.0, strap=1.0, rib=0.4),
    "dress": Garment(neckline=(4.98, 0.85, 2.4, 5.4), sleeve=0.55, rib=0.0, knit=0.0),
}  # fmt: skip


def edge_height(garment: Garment, rest_N3: Floats) -> Floats:
    """Height above which the cloth is cut away, as in cloth.frag."""
    low, half_width, exponent, back = garment.neckline
    facing = np.clip((rest_N3[:, 2] + 0.25) / 0.8, 0, 1)
    facing = facing * facing * (3 - 2 * facing)
    rise = np.minimum(np.abs(rest_N3[:, 0]) / half_width, 3.0) ** exponent * max(5.75 - low, 0.0)
    return np.asarray((back * (1 - facing) + low * facing + rise * facing), np.float32)


def bare(garment: Garment, rest_N3: Floats, margin: float = 0.3) -> np.ndarray:
    """True where skin may be seen: [N] bool for points of the base mesh."""
    x, y = np.abs(rest_N3[:, 0]), rest_N3[:, 1]
    along = (x - 1.68) * 0.64 + (5.25 - y) * 0.77
    arm = (x > 1.85) & (y > 0.5)
    above = (y > edge_height(garment, rest_N3) - margin) & ~arm & (y > 3.5)
    shoulder = (garment.strap > 0.5) & (y > 3.6) & (x > 0.6)
    hand = along > garment.sleeve - margin
    return above | (arm & hand) | shoulder | (y > 5.75)
