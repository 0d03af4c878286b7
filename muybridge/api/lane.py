"""A few threads that take short calls in batches: one wake-up for many submits instead of one each.

With a call per thread hop, most of a submit's cost is waking threads and passing the interpreter lock around.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Result = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Lane:
    """Runs short synchronous calls off the event loop, in order of arrival, on at most `num_threads` threads."""

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads
        self._pool = ThreadPoolExecutor(num_threads, "lane")
        self._waiting: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._num_running = 0
        self._lock = threading.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        """The result of `call`; raises what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._waiting.append((call, future))
            start = self._num_running < self.num_threads
            self._num_running += start
        if start:
            self._pool.submit(self._drain, loop)
        return await future

    def close(self) -> None:
        """Finish what waits, then let the threads go."""
        self._pool.shutdown()

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._num_running -= 1
                    return
                share = -(-len(self._waiting) // self.num_threads)
                batch = [self._waiting.popleft() for _ in range(min(share, 16))]
            done: list[Result] = []
            for call, future in batch:
                try:
                    done.append((future, call(), None))
                except BaseException as error:  # handed to whoever awaits it
                    done.append((future, None, error))
            loop.call_soon_threadsafe(_tell, done)


def _tell(done: list[Result]) -> None:
    for future, value, error in done:
        if future.cancelled():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
