"""How each lane (provider and region) is doing, learnt from live outcomes only: a circuit breaker and a waiting time.

Only what is the provider's doing counts. A refused prompt says nothing about it; a lost answer does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from muybridge.providers.provider import ErrorClass

COUNTED: frozenset[ErrorClass] = frozenset({"rate", "capacity", "timeout", "internal", "auth", "permission", "quota"})
AT_ONCE: frozenset[ErrorClass] = frozenset({"auth", "permission", "quota"})  # no use in trying again soon
OPEN_AFTER = 3  # counted failures in a row
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 1800.0
LEARN = 0.2  # weight of the newest time in the running mean


@dataclass(frozen=True, slots=True)
class Lane:
    """What is known about one lane. `open_until` is when it may be tried again; one probe then decides."""

    failures: int = 0  # in a row
    pauses: int = 0  # in a row: each doubles the next
    open_until: float = 0.0
    probing: bool = False
    last_error: str = ""
    seconds_per_s: float | None = None  # from submit to result, for one second of output

    def usable(self, now: float) -> bool:
        """Whether a new job may be sent there."""
        return now >= self.open_until and not self.probing


UNKNOWN_LANE = Lane()


class Health:
    """All lanes of this process. Safe from any thread."""

    def __init__(self, trips: bool = True) -> None:
        self._trips = trips  # False: failures are counted, no lane is ever closed
        self._lanes: dict[str, Lane] = {}
        self._lock = threading.Lock()

    def of(self, lane: str) -> Lane:
        """What is known about a lane."""
        return self._lanes.get(lane, UNKNOWN_LANE)

    def lanes(self) -> dict[str, Lane]:
        """A copy of everything."""
        with self._lock:
            return dict(self._lanes)

    def sent(self, lane: str, now: float) -> None:
        """A job goes out: in a lane that was open this is the one probe."""
        with self._lock:
            known = self.of(lane)
            if known.open_until and now >= known.open_until:
                self._lanes[lane] = replace(known, probing=True)

    def well(self, lane: str, seconds_per_s: float | None = None) -> None:
        """A submit was answered properly (also with a refusal of the input), or a job ended as it should."""
        with self._lock:
            known = self.of(lane)
            mean = known.seconds_per_s
            if seconds_per_s is not None:
                mean = seconds_per_s if mean is None else mean + LEARN * (seconds_per_s - mean)
            self._lanes[lane] = Lane(seconds_per_s=mean)

    def ill(self, lane: str, kind: ErrorClass | str, now: float, retry_after_s: float | None = None) -> None:
        """A failure. Opens the lane after OPEN_AFTER in a row, at once for a broken account or a failed probe."""
        if kind not in COUNTED:
            self.well(lane)
            return
        with self._lock:
            known = self.of(lane)
            failures = known.failures + 1
            opens = self._trips and (failures >= OPEN_AFTER or known.probing or kind in AT_ONCE)
            pause_s = min(FIRST_PAUSE_S * 2.0**known.pauses, LONGEST_PAUSE_S)
            until = now + max(pause_s, retry_after_s or 0.0) if opens else 0.0
            self._lanes[lane] = Lane(
                failures, known.pauses + int(opens), max(until, known.open_until), False, kind, known.seconds_per_s
            )
