"""What a suite returns, and how it is shown: figure, ceiling and bar, side by side."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One line of a suite's table. `figure` is None without trained weights; `bar` is what the figure must reach."""

    what: str
    figure: float | None
    ceiling: float | None
    bar: str
    count: int


def show(suite: str, rows: list[Row]) -> None:
    """Print the table."""
    table = Table("measure", "model", "ceiling", "bar", "count", title=suite)
    for row in rows:
        figure, ceiling = ("" if v is None or math.isnan(v) else f"{v:.2f}" for v in (row.figure, row.ceiling))
        table.add_row(
            row.what, figure or ("not trained" if row.figure is None else "none"), ceiling, row.bar, str(row.count)
        )
    Console().print(table)


def to_dict(rows: list[Row]) -> list[dict[str, Any]]:
    """Plain JSON values; what is infinite or no number is null."""
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(row).items()}
        for row in rows
    ]
