"""How each lane (provider and region) is doing, learnt from live outcomes only: a circuit breaker and a waiting time.

Only what is the provider's doing counts. A refused prompt says nothing about it; a lost answer does. `Health` knows
what this process has seen; `SharedHealth` keeps it in the job database, so that a lane that one worker found broken is
closed for all of them, and one probe decides for all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace

from muybridge.jobs.database import Database, Tx
from muybridge.providers.provider import ErrorClass

COUNTED: frozenset[ErrorClass] = frozenset({"rate", "capacity", "timeout", "internal", "auth", "permission", "quota"})
AT_ONCE: frozenset[ErrorClass] = frozenset({"auth", "permission", "quota"})  # no use in trying again soon
OPEN_AFTER = 3  # counted failures in a row
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 1800.0
PROBE_S = 120.0  # a submit is answered sooner; after it another job may probe: the first one's process has died
LEARN = 0.2  # weight of the newest time in the running mean
FRESH_S = 1.0  # how old another process's news may be


@dataclass(frozen=True, slots=True)
class Lane:
    """What is known about one lane. `open_until` is when it may be tried again; one probe then decides."""

    failures: int = 0  # in a row
    pauses: int = 0  # in a row: each doubles the next
    open_until: float = 0.0
    probe_until: float = 0.0  # a probe is under way until then, at the latest
    last_error: str = ""
    seconds_per_s: float | None = None  # from submit to result, for one second of output

    def usable(self, now: float) -> bool:
        """Whether a new job may be sent there."""
        return now >= self.open_until and now >= self.probe_until

    def sent(self, now: float) -> Lane:
        """After a job went out: in a lane that was open it is the one probe."""
        return replace(self, probe_until=now + PROBE_S) if self.open_until and now >= self.open_until else self

    def well(self, seconds_per_s: float | None = None) -> Lane:
        """After a proper answer (also a refusal of the input), or a job that ended as it should."""
        mean = self.seconds_per_s
        if seconds_per_s is not None:
            mean = seconds_per_s if mean is None else mean + LEARN * (seconds_per_s - mean)
        return Lane(seconds_per_s=mean)

    def ill(self, kind: ErrorClass | str, now: float, retry_after_s: float | None, trips: bool) -> Lane:
        """After a failure that counts: opens after OPEN_AFTER in a row, at once for a bad account or a failed probe."""
        failures = self.failures + 1
        opens = trips and (failures >= OPEN_AFTER or self.probe_until > 0 or kind in AT_ONCE)
        pause_s = min(FIRST_PAUSE_S * 2.0**self.pauses, LONGEST_PAUSE_S)
        until = now + max(pause_s, retry_after_s or 0.0) if opens else 0.0
        pauses = self.pauses + int(opens)
        return Lane(failures, pauses, max(until, self.open_until), 0.0, str(kind), self.seconds_per_s)


UNKNOWN_LANE = Lane()
_COLUMNS = tuple(f.name for f in fields(Lane))


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
        """A job goes out."""
        if self.of(lane).sent(now) is not self.of(lane):
            self._change(lane, lambda known: known.sent(now))

    def well(self, lane: str, seconds_per_s: float | None = None) -> None:
        """The provider does what it should."""
        known = self.of(lane)
        if seconds_per_s is not None or known.well() != known:
            self._change(lane, lambda known: known.well(seconds_per_s))

    def ill(self, lane: str, kind: ErrorClass | str, now: float, retry_after_s: float | None = None) -> None:
        """A failure; what does not count is an answer like any other."""
        if kind not in COUNTED:
            self.well(lane)
        else:
            self._change(lane, lambda known: known.ill(kind, now, retry_after_s, self._trips))

    def _change(self, lane: str, change: Callable[[Lane], Lane]) -> None:
        with self._lock:
            self._lanes[lane] = change(self._lanes.get(lane, UNKNOWN_LANE))


class SharedHealth(Health):
    """All lanes of all processes on one job database. What others learnt is seen within FRESH_S."""

    def __init__(self, database: Database, trips: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(trips)
        self._database, self._clock = database, clock
        self._read_at = -1e18

    def of(self, lane: str) -> Lane:
        """What is known about a lane, anywhere."""
        if self._clock() - self._read_at > FRESH_S:
            self._read()
        return super().of(lane)

    def lanes(self) -> dict[str, Lane]:
        """A copy of everything."""
        self._read()
        return super().lanes()

    def _read(self) -> None:
        at = self._clock()
        rows = self._database.run(lambda tx: tx.rows("route_lanes"), write=False)
        found = {row["lane"]: Lane(**{name: row[name] for name in _COLUMNS}) for row in rows}
        with self._lock:
            self._lanes, self._read_at = found, at

    def _change(self, lane: str, change: Callable[[Lane], Lane]) -> None:
        """Read, change and write in one transaction: no process's news is lost."""

        def work(tx: Tx) -> Lane:
            row = tx.row("route_lane", lane=lane)
            known = UNKNOWN_LANE if row is None else Lane(**{name: row[name] for name in _COLUMNS})
            changed = change(known)
            tx.run("put_route_lane", lane=lane, **asdict(changed))
            return changed

        changed = self._database.run(work, lock=f"route-lane {lane}")
        with self._lock:
            self._lanes = {**self._lanes, lane: changed}
