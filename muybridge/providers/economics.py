"""What a second of output costs on own machines, and when renting is cheaper: unit economics as closed formulas.

cost per delivered second = (GPU $/h / 3600) x GPUs x render_s / clip_s / utilisation / acceptance; the floor price is
that divided by (1 - margin). Utilisation is bounded by the waiting time that is promised (Erlang C).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

HOURS_PER_MONTH = 730.0


@dataclass(frozen=True)
class Machine:
    """A GPU's price and how well it is used. `acceptance`: the share of renders that are delivered and kept."""

    gpu_hour_usd: float = 2.95
    utilisation: float = 0.6
    acceptance: float = 1.0
    num_gpus: int = 1  # that one render occupies
    margin: float = 0.0
    extra_usd_per_s: float = 0.0  # storage, egress, marking, for one second of output

    def cost_usd(self, render_s: float, clip_s: float) -> float:
        """US dollars for one delivered second of output."""
        per_s = self.gpu_hour_usd / 3600 * self.num_gpus * render_s / clip_s
        return per_s / self.utilisation / self.acceptance + self.extra_usd_per_s

    def floor_usd(self, render_s: float, clip_s: float) -> float:
        """The price below which a second would be sold at a loss."""
        return self.cost_usd(render_s, clip_s) / (1 - self.margin)


def wait_probability(num_gpus: int, utilisation: float, wait_s: float, render_s: float) -> float:
    """P(a job waits longer than `wait_s`) in M/M/c with mean service `render_s` (Erlang C, 1917)."""
    load = num_gpus * utilisation
    if utilisation >= 1:
        return 1.0
    blocking = 1.0  # Erlang B by its recursion, which does not overflow
    for n in range(1, num_gpus + 1):
        blocking = load * blocking / (n + load * blocking)
    waits = blocking / (1 - utilisation * (1 - blocking))
    return waits * math.exp(-(num_gpus - load) * wait_s / render_s)


def max_utilisation(num_gpus: int, wait_s: float, render_s: float, share: float = 0.05) -> float:
    """The highest utilisation at which at most `share` of the jobs wait longer than `wait_s`."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if wait_probability(num_gpus, middle, wait_s, render_s) <= share:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True)
class Mix:
    """A month: some GPUs of one's own, the rest rented by the second."""

    num_gpus: int
    own_s: float
    rented_s: float
    utilisation: float
    own_usd: float
    rented_usd: float

    @property
    def usd(self) -> float:
        """The month's bill."""
        return self.own_usd + self.rented_usd

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        total_s = self.own_s + self.rented_s
        return asdict(self) | {"usd": self.usd, "usd_per_s": self.usd / total_s if total_s else 0.0}


def mixes(
    seconds: float,
    render_per_s: float,
    machine: Machine,
    rented_usd_per_s: float,
    wait_s: float = 60.0,
    clip_s: float = 5.0,
    max_gpus: int = 256,
) -> list[Mix]:
    """Every sensible mix for `seconds` of output a month, cheapest first.

    `render_per_s`: GPU seconds for one second of output. A fleet takes work up to the utilisation that its waiting time
    allows and is paid by the hour, busy or not; what is over spills to the cheapest provider.
    """
    found = []
    for num_gpus in range(max_gpus + 1):
        bound = max_utilisation(num_gpus, wait_s, render_per_s * clip_s) if num_gpus else 0.0
        capacity_s = num_gpus * HOURS_PER_MONTH * 3600 * bound / render_per_s * machine.acceptance
        own_s = min(seconds, capacity_s)
        used = own_s / machine.acceptance * render_per_s / (num_gpus * HOURS_PER_MONTH * 3600) if num_gpus else 0.0
        own_usd = num_gpus * HOURS_PER_MONTH * machine.gpu_hour_usd + own_s * machine.extra_usd_per_s
        rented_s = seconds - own_s
        found.append(Mix(num_gpus, own_s, rented_s, used, own_usd, rented_s * rented_usd_per_s))
        if own_s >= seconds:
            break
    return sorted(found, key=lambda mix: (mix.usd, mix.num_gpus))


def cheapest(found: Iterable[Mix]) -> Mix:
    """The first of `mixes`."""
    return next(iter(found))
