"""The loop's clock: Unix time, as far as the machine knows it, that flows as evenly as the time since boot does.

Decisions need a clock that does not jump, and what is written to status, and when overrides end, needs the right time. A machine
that boots with a wrong clock has it set right later (NTP steps it), a virtual machine is suspended for hours. So time flows by
CLOCK_BOOTTIME, which counts suspension and no step, and the difference to Unix time is taken anew when the wall clock was set:

- by less than a minute: at once;
- by more: unless Prometheus' answers have agreed with the clock as it was within the last seconds. Then it is the wall clock that has
  been set wrong, for all that can be seen.

Whoever goes by differences of this clock is told by how much it was set, or goes by `elapsed`.
"""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

NOTICED_SECONDS = 1.0
"""Less than this is no step: two clocks are not read at one moment."""
BELIEVED_SECONDS = 60.0
"""A step of less is believed; answers may be as far from the clock, too."""
AGREED_SECONDS = 15.0
"""So long after an answer that agreed with the clock, it is held to be right."""


def elapsed() -> float:
    """A clock that no step of the wall clock moves, and that goes on while the machine is suspended where it can be had."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock:
    """Call it for the Unix time now, in seconds; `elapsed` has seconds whose differences alone mean something.

    `began_at` is when the clock was made, as it says itself.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = elapsed) -> None:
        self._wall = wall
        self.elapsed = elapsed
        self._ahead = wall() - elapsed()
        self.began_at = self()
        self._agreed_at: float | None = None
        self._not_followed = 0.0

    def __call__(self) -> float:
        return self._ahead + self.elapsed()

    def agrees(self) -> None:
        """An answer of somebody else has just agreed with this clock."""
        self._agreed_at = self.elapsed()

    def follow(self) -> float:
        """Follow the wall clock if it was set and that is to be believed. Returns by how many seconds this clock was set, mostly 0."""
        step = self._wall() - self()
        if abs(step) < NOTICED_SECONDS:
            self._not_followed = 0.0
            return 0.0
        if abs(step) >= BELIEVED_SECONDS and self._agreed():
            if abs(step - self._not_followed) >= NOTICED_SECONDS:
                self._not_followed = step
                log.warning("%s; answers of Prometheus agree with the clock as it was, which is kept", _told(step))
            return 0.0
        self._ahead += step
        self.began_at += step
        log.warning("%s; it is followed, and what was decided keeps its age", _told(step))
        return step

    def _agreed(self) -> bool:
        return self._agreed_at is not None and self.elapsed() - self._agreed_at < AGREED_SECONDS


def _told(step: float) -> str:
    return f"the wall clock was set {'forward' if step > 0 else 'back'} by {abs(step):.0f} s"
