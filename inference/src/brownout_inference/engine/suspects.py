"""Requests that end engines: known by what they ask, because whoever sends one is told to try again, and does.

Everybody who took part in the step in which an engine was lost is a suspect until such a request succeeds, which one that ends engines never does. Who is a suspect
for the third time is not let near another engine for a while. One user's bad luck is nobody else's: the same words from another user are another request.
"""

from collections.abc import Hashable, Iterable
from dataclasses import replace

from brownout_inference.ticket import Ticket

CONDEMNED_AFTER = 3
SUSPECT_SECONDS = 600.0


class Suspects:
    """Who took part when engines were lost."""

    def __init__(self) -> None:
        self._losses: dict[Hashable, list[float]] = {}

    def took_part(self, tickets: Iterable[Ticket], *, at: float) -> None:
        """An engine was lost in a step of these."""
        self._losses = {key: times for key, times in self._losses.items() if at - times[-1] < SUSPECT_SECONDS}
        for key in {_fingerprint(ticket) for ticket in tickets}:
            self._losses[key] = [*self._losses.get(key, []), at]

    def succeeded(self, ticket: Ticket) -> None:
        """Such a request does not end engines."""
        if self._losses:
            self._losses.pop(_fingerprint(ticket), None)

    def are_enough(self, ticket: Ticket, *, at: float) -> bool:
        """Whether this request has ended engines before."""
        if not self._losses:
            return False
        times = self._losses.get(_fingerprint(ticket), [])
        return sum(at - time < SUSPECT_SECONDS for time in times) >= CONDEMNED_AFTER


def _fingerprint(ticket: Ticket) -> Hashable:
    return ticket.user, ticket.feature, replace(ticket.work, seed=None)
