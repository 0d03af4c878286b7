"""Strikes that are heard when they are seen: hoofbeat, bounce, bell."""

from __future__ import annotations

import numpy as np

from muybridge.evaluate import sounds
from muybridge.suites.run import Run
from muybridge.suites.table import Row

STRIKES = {"horse": "hoof", "ball": "bounce", "bell": "bell"}


def evaluate(run: Run) -> list[Row]:
    """Share of contacts with an onset within one frame, in rendered truth."""
    from muybridge.world.talking import clip

    rows = []
    for cast, kind in STRIKES.items():
        hits = []
        for index in run.track(range(run.first, run.first + run.count), cast):
            made = clip(index, "test", 64, 64, 4.0, cast=cast)
            contacts = [e.time_s for e in made.events if e.kind == kind]
            if contacts:
                hits.append(sounds.hit_share(contacts, sounds.onsets(made.waveform_CS[0], 24000)))
        ceiling = float(np.mean(hits)) if hits else None
        rows.append(Row(f"{cast}: onsets on contacts", None, ceiling, ">= 0.8", len(hits)))
    return rows
