"""What waits, in the order in which it will be served: the highest priority first, and within one whoever came first.

Each tier has its own bound, so that a flood from one tier can fill only its own places; with a common bound the free tier would take the paying users'
places long before the order of service could help them. A ticket that needs more of the batch than is free holds back those behind it: letting small
ones overtake would starve it.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What the queue has to know about a ticket."""

    number: int
    tier: str
    cost: float

    @property
    def priority(self) -> int: ...


T = TypeVar("T", bound=Waiting)


def _order(ticket: Waiting) -> tuple[int, int]:
    return -ticket.priority, ticket.number


class TierQueue(Generic[T]):
    """A queue that holds at most `places_per_tier` tickets of each tier."""

    def __init__(self, *, places_per_tier: int) -> None:
        self._places_per_tier = places_per_tier
        self._tickets: list[T] = []
        self._lengths: Counter[str] = Counter()

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._tickets))

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def lengths(self) -> Mapping[str, int]:
        """How many wait, by tier; a tier that has waited before stays, at 0."""
        return self._lengths

    def offer(self, ticket: T) -> bool:
        """Takes the ticket, or returns False where its tier has no place left."""
        if self._lengths[ticket.tier] >= self._places_per_tier:
            return False
        insort(self._tickets, ticket, key=_order)
        self._lengths[ticket.tier] += 1
        return True

    def head(self) -> T | None:
        """Who is served next."""
        return self._tickets[0] if self._tickets else None

    def take(self) -> T:
        """Removes and returns the head. Raises IndexError where nobody waits."""
        ticket = self._tickets.pop(0)
        self._lengths[ticket.tier] -= 1
        return ticket

    def remove(self, ticket: T) -> bool:
        """Takes a ticket out; False where it does not wait here."""
        if ticket not in self._tickets:
            return False
        self._tickets.remove(ticket)
        self._lengths[ticket.tier] -= 1
        return True

    def reorder(self) -> None:
        """Restores the order after tiers or priorities of tickets have changed; nobody loses a place by it."""
        self._tickets.sort(key=_order)
        self._lengths = Counter(dict.fromkeys(self._lengths, 0))
        self._lengths.update(ticket.tier for ticket in self._tickets)

    def gpu_seconds(self, *, at_least_priority: int | None = None) -> float:
        """The declared cost of what waits, or of the part of it that is served no later than a newcomer of this priority."""
        return sum(
            ticket.cost for ticket in self._tickets if at_least_priority is None or ticket.priority >= at_least_priority
        )
