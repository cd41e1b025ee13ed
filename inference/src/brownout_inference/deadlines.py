"""Who can no longer be answered in time: refused at once, instead of after a minute of waiting for nothing.

What waits is served in order: a request begins as soon as all that is ahead of it has begun and so much of that has ended that it fits beside the rest. Then it takes at least
its own steps. Whoever would be late even so is sure to be late: where requests are never overtaken, those ahead that take longer than was thought can only make it later. What runs is
left out and later arrivals of higher tiers too, so nobody is refused who might still have been in time; who is overtaken later is found then.
"""

import math
from bisect import insort
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

ROUNDING = 1e-9
"""Slots may be fractions, whose sums are not exact."""


class Due(Protocol):
    """What has to be known about a ticket. `own_seconds` is the least that it takes alone; `deadline` a time, or None where it is never late."""

    deadline: float | None

    @property
    def own_seconds(self) -> float: ...


T = TypeVar("T", bound=Due)


class Ahead:
    """What is served before somebody, on a device of `most` slots that is free now."""

    def __init__(self, most: float) -> None:
        self._begun = 0.0
        self._free = most
        self._by_end: list[tuple[float, float]] = []

    def least_wait(self, slots: float) -> float:
        """Seconds before which there cannot be so many slots free."""
        begins, free = self._begun, self._free
        for end, taken in self._by_end:
            if free >= slots - ROUNDING:
                break
            begins, free = end, free + taken
        return begins

    def add(self, slots: float, seconds: float) -> None:
        """One more, which takes so many slots for so long."""
        self._begun = self.least_wait(slots)
        while self._by_end and self._by_end[0][0] <= self._begun:
            self._free += self._by_end.pop(0)[1]
        self._free -= slots
        insort(self._by_end, (self._begun + seconds, slots))


def most_wait(gpu_seconds: float, *, most: float, largest: float) -> float:
    """Seconds after which a request begins at the latest for which so many GPU-seconds wait, each request taking `largest` of `most` slots or less.

    Until then there is never room for the largest, so all other slots are at work. Quickly found, where `Ahead` looks at everybody.
    """
    return gpu_seconds * most / (most - largest) if largest < most else math.inf


def late_by(deadline: float | None, *, now: float, least_wait: float, own_seconds: float) -> float:
    """By how many seconds a request is sure to miss its deadline; 0 where it may still meet it."""
    return 0.0 if deadline is None else max(0.0, now + least_wait + own_seconds - deadline)


def late(
    tickets: Iterable[T], *, now: float, most: float, needs: Callable[[T], tuple[float, float]]
) -> list[tuple[T, float]]:
    """Of tickets in the order of service, those that will be late, with the seconds by which. Those who are found late are in nobody's way.

    `needs` says how many of `most` slots each takes, and for how many seconds.
    """
    found = []
    ahead = Ahead(most)
    for ticket in tickets:
        slots, seconds = needs(ticket)
        least_wait = ahead.least_wait(slots) if ticket.deadline is not None else 0.0
        if missing := late_by(ticket.deadline, now=now, least_wait=least_wait, own_seconds=ticket.own_seconds):
            found.append((ticket, missing))
        else:
            ahead.add(slots, seconds)
    return found
