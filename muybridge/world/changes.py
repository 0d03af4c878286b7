"""What a change of the light multiplies: known without a renderer, as films of drawn pictures change so, too."""

from __future__ import annotations

import numpy as np

from .anatomy import Floats
from .camera import wobble


def factor(change: str, e: float, seed: int, t_s: float) -> Floats:
    """[3] on all light at progress `e` of a change by its name; flickers go by the time. Ones for other changes."""
    match change:
        case "brightens":
            return np.ones(3) * (0.30 + 0.70 * e)
        case "dims":
            return np.ones(3) * (1 - 0.72 * e)
        case "flickers":
            return np.ones(3) * float(np.clip(0.78 + 0.34 * wobble(seed, t_s, 5.0)[0], 0.30, 1.15))
        case "turns warm":
            return 1 + e * (np.array([1.25, 0.82, 0.48]) - 1)
        case "turns blue":
            return 1 + e * (np.array([0.50, 0.78, 1.40]) - 1)
        case _:
            return np.ones(3)
