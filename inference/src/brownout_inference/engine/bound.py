"""How much fits, as the device itself says: less after it was full, and carefully more again.

A device that was full once may have been so for a moment (another program, an unlucky mix of sizes), so the bound grows back by a quarter at a time after a while in which all
went well. Where growing was a mistake the while doubles, up to ten minutes: a mistake costs the step in which it is made.
"""

FIRST_WHILE_SECONDS = 10.0
LONGEST_WHILE_SECONDS = 600.0
GROWTH = 0.25


class Bound:
    """The most of something at once, `most` at best. Amounts may be fractions."""

    def __init__(self, most: float) -> None:
        self.most = most
        self.now = most
        self._while_seconds = FIRST_WHILE_SECONDS
        self._grow_at = 0.0
        self._grew_at: float | None = None

    @property
    def is_less(self) -> bool:
        """The device was full, and the bound has not grown back yet."""
        return self.now < self.most

    def was_full(self, tried: float, fitted: float, *, at: float) -> None:
        """`tried` did not fit and `fitted` did; 0 where that is not known. The bound never falls under 1: one request is always tried."""
        if self._grew_at is not None and at - self._grew_at < self._while_seconds:
            self._while_seconds = min(2 * self._while_seconds, LONGEST_WHILE_SECONDS)
        self.now = min(self.most, self.now, max(1.0, fitted or tried / 2))
        self._grow_at = at + self._while_seconds
        self._grew_at = None

    def went_well(self, used: float, *, at: float) -> None:
        """`used` fitted. Only what nearly reaches the bound says that there may be more."""
        if not self.is_less or at < self._grow_at or used < self.now / (1 + GROWTH):
            return
        self.now = min(self.most, self.now + max(1.0, GROWTH * self.now))
        self._grew_at = at
        self._grow_at = at + self._while_seconds
