"""The pace of the device that the batch runs on.

A paced device is a virtual GPU. Each step takes at least `step_seconds` of wall time however fast the model is, so what a replica can serve is fixed and adding
replicas adds throughput, on a laptop as on a cluster. While the batch is never empty, a step that was woken late is made up for by the next one: over
time the pace is exact even where many replicas share few cores.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class PacedDevice:
    """Runs one thing at a time. `step_seconds` 0 does not pace."""

    def __init__(
        self,
        *,
        step_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.clock = clock
        self.busy_seconds = 0.0
        """Wall seconds in which steps ran; never more than have passed."""
        self.sets_the_pace = step_seconds > 0
        """Steps take longer than the model needs."""
        self._step_seconds = step_seconds
        self._sleep = sleep
        self._previous_end: float | None = None

    async def step(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Begins one step of the batch and returns when it is over; not before its time. An exception of the step is raised then."""
        began = self.clock()
        start = began
        if self._previous_end is not None and began - self._previous_end < self._step_seconds:
            start = self._previous_end
        try:
            return await begin()
        finally:
            took = max(self._step_seconds, self.clock() - began)
            end = start + took
            self._previous_end = end
            if (early := end - self.clock()) > 0:
                await self._sleep(early)
            self.busy_seconds += took

    def rest(self) -> None:
        """The batch is empty: the next step begins when it begins, with nothing to make up for."""
        self._previous_end = None
