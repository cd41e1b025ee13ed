"""Which steps the engine reports: those of which somebody waits to hear, and of the others so many at once as are made in a short while.

Where the engine goes on by itself and nobody's answer has grown, a report changes nothing, but it costs both processes: on few cores the server, woken for it, takes the engine's core, and the
step after it waits. So such a step is kept back, and told of with the next one.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from brownout_inference.engine.messages import Advanced

KEPT_BACK_SECONDS = 0.1
"""For so long at most steps are kept back: that old is what the server knows of steps made, of memory and of how long steps take, and that late who has aged gets their turn."""


class Reports:
    """What became of steps, put together."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: Advanced | None = None
        self._told_at = clock()

    def begin(self) -> None:
        """The engine was told something: what it does from now on, it has told nothing of."""
        self._told_at = self._clock()

    def of(self, advanced: Advanced) -> tuple[Advanced, ...]:
        """What is to be told now that a step is made."""
        before, self._kept = self._kept, None
        if before is not None and before.stepped == advanced.stepped:
            advanced = replace(
                advanced,
                earlier_seconds=(*before.earlier_seconds, before.seconds),
                memory=advanced.memory or before.memory,
            )
            before = None
        if self._can_wait(advanced):
            self._kept = advanced
            return () if before is None else (before,)
        self._told_at = self._clock()
        return (advanced,) if before is None else (before, advanced)

    def _can_wait(self, advanced: Advanced) -> bool:
        if not advanced.going_on or advanced.seated or advanced.pieces or advanced.finished or advanced.failed:
            return False
        return self._clock() - self._told_at < KEPT_BACK_SECONDS
