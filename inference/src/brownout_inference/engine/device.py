"""The device that the batch runs on: a thread for the model's work, and a pace.

A paced device is a virtual GPU. Each step takes at least `step_seconds` of wall time however fast the model is, so what a replica can serve is fixed and adding
replicas adds throughput, on a laptop as on a cluster. While the batch is never empty, a step that was woken late is made up for by the next one: over
time the pace is exact even where many replicas share few cores.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
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
        self._step_seconds = step_seconds
        self._sleep = sleep
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._previous_end: float | None = None

    async def call(self, work: Callable[[], T]) -> T:
        """Runs `work` on the model's thread, at its own speed."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def step(self, work: Callable[[], T]) -> T:
        """Runs `work` as one step of the batch and returns when the step is over. An exception of `work` is raised then."""
        began = self.clock()
        start = began
        if self._previous_end is not None and began - self._previous_end < self._step_seconds:
            start = self._previous_end
        try:
            return await self.call(work)
        finally:
            took = max(self._step_seconds, self.clock() - began)
            end = start + took
            self._previous_end = end
            await self._sleep(max(0.0, end - self.clock()))
            self.busy_seconds += took

    def rest(self) -> None:
        """The batch is empty: the next step begins when it begins, with nothing to make up for."""
        self._previous_end = None

    def close(self) -> None:
        """Ends the thread once what it runs is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)
