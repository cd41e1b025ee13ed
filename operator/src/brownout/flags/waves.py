"""Many who wait for one thing, woken a few at a time.

An event that thousands wait for wakes them all in one turn of the loop, and whoever else is to be answered waits until the last
of them is done: half a second for ten thousand streams. Between two waves everybody else has a turn.
"""

import asyncio
from collections import deque

WAVE = 50
"""Waiters of a wave. A stream takes about a tenth of a millisecond of its time: a wave keeps others waiting for about 5 ms."""


class Waves:
    """A condition without a lock, for one event loop."""

    def __init__(self, size: int = WAVE) -> None:
        self._size = size
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._due: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait for the next `wake`. Nothing is missed by who looks for news and calls this without waiting in between."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = None
        try:
            await waiter
        finally:
            self._waiting.pop(waiter, None)

    def wake(self) -> None:
        """Wake everybody who waits now, in the order in which they came."""
        was_idle = not self._due
        self._due.extend(self._waiting)
        self._waiting.clear()
        if was_idle:
            self._release()

    def __len__(self) -> int:
        """How many wait, and how many are yet to be woken."""
        return len(self._waiting) + len(self._due)

    def _release(self) -> None:
        for _ in range(min(self._size, len(self._due))):
            waiter = self._due.popleft()
            if not waiter.done():  # who left was cancelled
                waiter.set_result(None)
        if self._due:
            asyncio.get_running_loop().call_soon(self._release)
