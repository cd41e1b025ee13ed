"""Who has how many of what there is only so much of: so that one address cannot have all of it.

Nothing has to be set for it, and it does no harm behind a gateway: there everybody has the gateway's address, nobody has more than it,
and where all places are taken newcomers are refused as ever. Several gateways share in halves and doubles at worst, because an
address yields only to one that has less than half of its share: otherwise two of about the same size would take turns for ever.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""Which address has most is looked for this often at most: it takes a look at all of them."""


class Shares(Generic[T]):
    """What each address has, in the order in which it came by it."""

    def __init__(self) -> None:
        self._of: dict[str, OrderedDict[T, None]] = {}
        self._greediest = ""
        self._looked_at = float("-inf")

    def add(self, address: str, each: T) -> None:
        self._of.setdefault(address, OrderedDict())[each] = None

    def drop(self, address: str, each: T) -> bool:
        """Whether it was there."""
        had = self._of.get(address)
        if had is None or each not in had:
            return False
        del had[each]
        if not had:
            del self._of[address]
        return True

    def oldest_of(self, address: str) -> T:
        """What an address came by first. Raises KeyError where it has nothing."""
        return next(iter(self._of[address]))

    def greedier_than(self, address: str, now: float) -> str | None:
        """An address with more than twice what this one would have with one more; None where there is none. `now` in seconds."""
        would_have = len(self._of.get(address, ())) + 1
        if now - self._looked_at >= LOOK_SECONDS:
            self._greediest = max(self._of, key=lambda each: len(self._of[each]), default="")
            self._looked_at = now
        return self._greediest if len(self._of.get(self._greediest, ())) > 2 * would_have else None
