"""Who can no longer be answered in time: refused at once, instead of after a minute of waiting for nothing.

What is ahead of a request takes at least its GPU-seconds over the device's one GPU-second for each second, and the request itself at least its own steps.
Whoever would be late even then is sure to be late. What runs is left out of the sum and later arrivals of higher tiers too, so nobody is refused who might still
have been in time; who is overtaken later is found then.
"""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Due(Protocol):
    """What has to be known about a ticket. `cost` is GPU-seconds; `own_seconds` what it takes alone; `deadline` a time, or None where it is never late."""

    cost: float
    deadline: float | None

    @property
    def own_seconds(self) -> float: ...


T = TypeVar("T", bound=Due)


def late_by(deadline: float | None, *, now: float, ahead: float, own_seconds: float) -> float:
    """By how many seconds a request is sure to miss its deadline; 0 where it may still meet it. `ahead` is GPU-seconds."""
    return 0.0 if deadline is None else max(0.0, now + ahead + own_seconds - deadline)


def late(tickets: Iterable[T], *, now: float) -> list[tuple[T, float]]:
    """Of tickets in the order of service, those that will be late, with the seconds by which. Those who are found late are in nobody's way."""
    found = []
    ahead = 0.0
    for ticket in tickets:
        if missing := late_by(ticket.deadline, now=now, ahead=ahead, own_seconds=ticket.own_seconds):
            found.append((ticket, missing))
        else:
            ahead += ticket.cost
    return found
