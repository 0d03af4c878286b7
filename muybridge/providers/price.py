"""Price rules of every shape that providers use, as exact whole numbers.

Amounts are read as decimals and kept in billionths of their currency; durations are whole milliseconds. A price is
rounded once, half up, to millionths of a US dollar (`micros`), so that sums of a ledger and of an invoice can be equal.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from muybridge.errors import UserError

NANO = 10**9
FRAME_RATE_OF_TOKENS = 24  # token prices count w x h x 24 x s / 1024, whatever the clip's frame rate
PIXELS_PER_TOKEN = 1024


@dataclass(frozen=True, slots=True)
class Promotion:
    """A cut of all amounts while it lasts: [start, end) in days, UTC. `cut_ppm` 400_000 is 40 % off."""

    cut_ppm: int
    end: datetime.date
    start: datetime.date | None = None

    def holds(self, day: datetime.date) -> bool:
        """Whether the promotion applies on a day."""
        return day < self.end and (self.start is None or day >= self.start)


@dataclass(frozen=True, slots=True)
class Price:
    """One offer's tariff. Maps go from tier to billionths of the currency; see `catalog.toml` for the names."""

    currency: str = "USD"
    per_s: Mapping[str, int] = field(default_factory=dict)
    silent_per_s: Mapping[str, int] = field(default_factory=dict)  # where silence is cheaper
    video_in_per_s: Mapping[str, int] = field(default_factory=dict)  # instead of per_s when a video goes in
    input_per_s: Mapping[str, int] = field(default_factory=dict)  # for each second of input video, on top
    per_image: int = 0
    free_images: int = 0
    per_clip: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)  # tier: (ms, amount), ascending
    per_million_tokens: int = 0
    tokens_per_s: Mapping[str, int] = field(default_factory=dict)  # else counted from pixels
    minimum: int = 0
    round_ms: int = 0  # billed length is rounded up to a multiple; 0: as it is
    per_unit: int = 0  # what one credit or unit costs, where the provider reports credits
    promotion: Promotion | None = None


class Measure(NamedTuple):
    """What is billed: lengths in milliseconds, sizes in pixels."""

    tier: str
    output_ms: int
    audio: bool = True
    num_images: int = 0
    input_ms: int = 0
    width: int = 0
    height: int = 0


def read_price(table: Mapping[str, Any]) -> Price:
    """A tariff from a table of the catalogue. Raises UserError naming what is not understood."""
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name in ("per_s", "silent_per_s", "video_in_per_s", "input_per_s"):
            values[name] = {tier: nano(amount) for tier, amount in value.items()}
        elif name == "tokens_per_s":
            values[name] = {tier: int(amount) for tier, amount in value.items()}
        elif name == "per_clip":
            rows = {t: sorted((int(s) * 1000, nano(a)) for s, a in by_s.items()) for t, by_s in value.items()}
            values[name] = {tier: tuple(row) for tier, row in rows.items()}
        elif name in ("per_image", "per_million_tokens", "minimum", "per_unit"):
            values[name] = nano(value)
        elif name == "round_s":
            values["round_ms"] = int(Decimal(value) * 1000)
        elif name == "promotion":
            cut = int(Decimal(value["cut"]) * 1_000_000)
            values[name] = Promotion(cut, value["end"], value.get("start"))
        elif name in ("currency", "free_images"):
            values[name] = value
        else:
            raise UserError(f"There is no price rule {name!r} in the catalogue's format.")
    return Price(**values)


def nano(amount: Any) -> int:  # noqa: ANN401  (int, Decimal or str out of TOML)
    """Billionths of a unit of currency."""
    return int(Decimal(amount) * NANO)


def tiers_of(price: Price) -> set[str]:
    """Every tier that the tariff can bill; empty when tokens are counted from pixels."""
    return {*price.per_s, *price.per_clip, *price.tokens_per_s, *price.video_in_per_s}


def amount_nano(price: Price, measure: Measure) -> int | None:
    """The list price in billionths of the currency, times 1000 (milliseconds stay exact); None: not for sale.

    Scaled so that nothing is rounded here.
    """
    tier, ms = measure.tier, measure.output_ms
    if price.round_ms:
        ms = -(-ms // price.round_ms) * price.round_ms
    if price.per_clip:
        clip = next((a for length, a in price.per_clip.get(tier, ()) if length >= ms), None)
        if clip is None:
            return None
        total = clip * 1000
    elif price.per_million_tokens:
        total = _tokens_milli(price, measure, ms) * price.per_million_tokens // 1_000_000
    else:
        table = price.per_s
        if measure.input_ms and price.video_in_per_s:
            table = price.video_in_per_s
        elif not measure.audio and price.silent_per_s:
            table = price.silent_per_s
        rate = table.get(tier)
        if rate is None:
            return None
        total = rate * ms
    if measure.input_ms and price.input_per_s:
        input_ms = measure.input_ms
        if price.round_ms:
            input_ms = -(-input_ms // price.round_ms) * price.round_ms
        total += price.input_per_s.get(tier, 0) * input_ms
    if price.per_image and measure.num_images > price.free_images:
        total += price.per_image * (measure.num_images - price.free_images) * 1000
    return max(total, price.minimum * 1000)


def _tokens_milli(price: Price, measure: Measure, ms: int) -> int:
    """Thousandths of a token."""
    if price.tokens_per_s:
        return price.tokens_per_s.get(measure.tier, 0) * ms
    return measure.width * measure.height * FRAME_RATE_OF_TOKENS * (ms + measure.input_ms) // PIXELS_PER_TOKEN


def micros(price: Price, measure: Measure, rate_ppm: int, day: datetime.date) -> int | None:
    """What an order costs on a day, in millionths of a US dollar. `rate_ppm`: dollars for a million of the currency."""
    total = amount_nano(price, measure)
    if total is None:
        return None
    keep = (
        1_000_000 if price.promotion is None or not price.promotion.holds(day) else 1_000_000 - price.promotion.cut_ppm
    )
    # nano x 1000 x ppm x ppm: 1e-9 / 1e3 / 1e6 / 1e6, to 1e-6
    return (total * rate_ppm * keep + 5 * 10**17) // 10**18


def units_micros(per_unit_nano: int, units: float, rate_ppm: int) -> int:
    """What so many credits, units or ticks cost, in millionths of a US dollar."""
    total = int(Decimal(repr(units)) * per_unit_nano)
    return (total * rate_ppm + 5 * 10**8) // 10**9
