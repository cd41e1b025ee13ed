"""What waits, in the order in which it will be served: the highest priority first, within one by fair shares of the users, within one user by arrival.

Three bounds keep that order from doing harm:

- Each tier has its own places, so that a flood from one tier can fill only its own. In a full tier whoever holds the most places gives one up to a user who
  holds clearly fewer, so that one heavy user cannot keep the others out.
- Strict priority starves. What has waited `age_seconds` may go before what is more important, but only with `aged_share` of all that is served: the important
  wait for that much longer, however much has aged.
- A ticket that needs more of the batch than is free holds back those behind it: letting small ones overtake would starve it.
"""

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from brownout_inference.fair_share import FairClock

AGE_SECONDS = 10.0
AGED_SHARE = 0.05
CREDIT_LIMIT = 4.0
"""Aged service that may be saved up, in GPU-seconds or in requests, whichever is more."""


class Waiting(Protocol):
    """What the queue has to know about a ticket. `cost` is GPU-seconds, `offered_at` a time; the last two are the queue's own notes."""

    number: int
    tier: str
    user: str
    cost: float
    offered_at: float
    start_tag: float
    aged: bool

    @property
    def priority(self) -> int: ...


T = TypeVar("T", bound=Waiting)


def order(ticket: Waiting) -> tuple[int, int, float, int]:
    """The key of the order of service, smaller first; it compares what waits, runs or pauses. What was let through for its age keeps its right to finish."""
    return (0 if ticket.aged else 1), -ticket.priority, ticket.start_tag, ticket.number


class TierQueue(Generic[T]):
    """A queue that holds at most `places_per_tier` tickets of each tier."""

    def __init__(
        self, *, places_per_tier: int, age_seconds: float = AGE_SECONDS, aged_share: float = AGED_SHARE
    ) -> None:
        self._places_per_tier = places_per_tier
        self._age_seconds = age_seconds
        self._aged_share = aged_share
        self._credit = 0.0
        self._tickets: list[T] = []
        self._lengths: Counter[str] = Counter()
        self._clocks: defaultdict[int, FairClock] = defaultdict(FairClock)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._tickets))

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def lengths(self) -> Mapping[str, int]:
        """How many wait, by tier; a tier that has waited before stays, at 0."""
        return self._lengths

    def offer(self, ticket: T, *, is_full: bool = False) -> T | None:
        """Takes the ticket. Returns who has no place: None, the ticket itself, or the last ticket of the heaviest user of its tier, which was taken out.

        With `is_full` no more than waits now may wait, though places are left: then it is the last of its tier in the order of service who has none.
        """
        loser = self._loser(ticket) if self._lengths[ticket.tier] >= self._places_per_tier else None
        if loser is ticket:
            return ticket
        if loser is not None:
            self.remove(loser)
        ticket.start_tag = self._clocks[ticket.priority].tag(ticket.user, ticket.cost)
        self._insert(ticket)
        if loser is None and is_full:
            loser = next(waiting for waiting in reversed(self._tickets) if waiting.tier == ticket.tier)
            self.remove(loser)
        return loser

    def put_back(self, ticket: T) -> None:
        """Takes a ticket that was served already and lost its state; it keeps its turn, and a place is made for it."""
        self._insert(ticket)

    def head(self, now: float) -> T | None:
        """Who is served next: the first in order, or the oldest of those behind who have aged, where the share for them allows it."""
        if not self._tickets:
            return None
        first = self._tickets[0]
        is_only_tier = not first.aged and self._tickets[-1].priority == first.priority
        if self._credit <= 0 or is_only_tier:
            return first
        aged = [
            ticket
            for ticket in self._tickets
            if ticket.priority < first.priority and now - ticket.offered_at >= self._age_seconds
        ]
        oldest = min(aged, key=lambda ticket: ticket.offered_at, default=first)
        return oldest if oldest.cost <= self._credit else first

    def take(self, ticket: T) -> T:
        """Removes and returns the ticket, which is served now. Raises ValueError where it does not wait."""
        before = self._tickets[0]
        self._tickets.remove(ticket)
        self._lengths[ticket.tier] -= 1
        self._clocks[ticket.priority].served(ticket.start_tag)
        if before.priority > ticket.priority:
            ticket.aged = True
            self._credit -= ticket.cost
        else:
            limit = max(CREDIT_LIMIT, *(waiting.cost for waiting in self._tickets), ticket.cost)
            self._credit = min(self._credit + ticket.cost * self._aged_share, limit)
        return ticket

    def remove(self, ticket: T) -> bool:
        """Takes a ticket out that will not be served; False where it does not wait here."""
        if ticket not in self._tickets:
            return False
        self._tickets.remove(ticket)
        self._lengths[ticket.tier] -= 1
        self._clocks[ticket.priority].give_back(ticket.user, ticket.cost)
        return True

    def reorder(self) -> None:
        """Restores the order after tiers, priorities or costs of tickets have changed; nobody loses a place by it."""
        tickets = sorted(self._tickets, key=lambda ticket: ticket.number)
        self._tickets = []
        self._clocks.clear()
        self._lengths = Counter(dict.fromkeys(self._lengths, 0))
        for ticket in tickets:
            ticket.start_tag = self._clocks[ticket.priority].tag(ticket.user, ticket.cost)
            self._insert(ticket)

    def gpu_seconds(self, *, at_least_priority: int | None = None) -> float:
        """The cost of what waits, or of the part of it that is served no later than a newcomer of this priority."""
        return sum(
            ticket.cost for ticket in self._tickets if at_least_priority is None or ticket.priority >= at_least_priority
        )

    def ahead_of(self, *, priority: int, user: str) -> Iterator[T]:
        """What waits and is served before a newcomer, unless others come who go before both."""
        tag = self._clocks[priority].next_tag(user)
        for ticket in self._tickets:
            if ticket.aged or ticket.priority > priority or (ticket.priority == priority and ticket.start_tag <= tag):
                yield ticket

    def _insert(self, ticket: T) -> None:
        insort(self._tickets, ticket, key=order)
        self._lengths[ticket.tier] += 1

    def _loser(self, newcomer: T) -> T:
        """Who has no place in a tier that is full: the newcomer, or the last ticket of a user who would still hold more places than the newcomer's."""
        holders = Counter(ticket.user for ticket in self._tickets if ticket.tier == newcomer.tier)
        heaviest, places = max(holders.items(), key=lambda item: item[1], default=("", 0))
        if places <= holders[newcomer.user] + 1:
            return newcomer
        return next(
            ticket for ticket in reversed(self._tickets) if ticket.tier == newcomer.tier and ticket.user == heaviest
        )
