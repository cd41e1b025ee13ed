"""The loop's clock: Unix time at the start of the process, advanced by the monotonic clock.

A step of the wall clock then changes no duration, and the times that are written to status are still wall times.
"""

import time


class Clock:
    """Call it for the seconds now."""

    def __init__(self) -> None:
        self._wall = time.time()
        self._monotonic = time.monotonic()

    def __call__(self) -> float:
        return self._wall + (time.monotonic() - self._monotonic)
