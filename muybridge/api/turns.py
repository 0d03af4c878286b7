"""Taking turns: fetching and decoding strangers' files costs time and memory, so only a few run at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from muybridge.errors import Throttled


class Turns:
    """Who may fetch or decode a file now: so many at once over all, fewer of one key. Waiting has an end."""

    def __init__(self, max_at_once: int, max_per_key: int, patience_s: float) -> None:
        self.max_at_once, self.max_per_key, self.patience_s = max_at_once, max_per_key, patience_s
        self._busy: dict[str, int] = {}
        self._free = threading.Condition()

    @contextlib.contextmanager
    def of(self, key_id: str) -> Iterator[None]:
        """Hold one turn. Raises Throttled when none came up in time."""

        def is_free() -> bool:
            return sum(self._busy.values()) < self.max_at_once and self._busy.get(key_id, 0) < self.max_per_key

        with self._free:
            if not self._free.wait_for(is_free, self.patience_s):
                raise Throttled("Too many files are being checked at once; send this one again in a moment.", 5.0)
            self._busy[key_id] = self._busy.get(key_id, 0) + 1
        try:
            yield
        finally:
            with self._free:
                self._busy[key_id] -= 1
                if not self._busy[key_id]:
                    del self._busy[key_id]
                self._free.notify_all()
