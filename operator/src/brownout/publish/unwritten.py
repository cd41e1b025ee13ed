"""Statuses that could not be written, and when each is tried again.

What the API server refuses (rights, a webhook, what its schema does not take) mostly stays refused until somebody mends it, so the
pause before the next try grows to half a minute. What it did not get to (no answer, too many requests, a conflict, a store that
restarts) mostly passes, and it goes on within seconds. One or two failures are no reason for a pause at all.

All pauses of the second kind end at once: else what comes later on a ladder would be taken first when the API server is back.
"""

from msgspec import Struct

from brownout.api.resources import Key
from brownout.retries import pause_seconds

TRIES_WITHOUT_PAUSE = 2
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 3.0
LONGEST_PAUSE_IF_REFUSED_SECONDS = 30.0
FORGOTTEN_SECONDS = 120.0
"""After so long without a try nobody wants to write what could not be written any more."""

Name = tuple[str, Key]
PASSING = frozenset({404, 408, 409, 429})
"""HTTP statuses of the client's errors that are no refusals: gone, too slow, conflict, too many requests."""


def is_refusal(http_status: int | None) -> bool:
    """Whether an answer says no for good; None where there was no answer."""
    return http_status is not None and 400 <= http_status < 500 and http_status not in PASSING


class _Failure(Struct, frozen=True):
    count: int
    at: float
    until: float
    refused: bool
    message: str


class Unwritten:
    """By kind and key: what could not be written, and how often in succession. Times are seconds on a clock that is never set."""

    def __init__(self) -> None:
        self._failures: dict[Name, _Failure] = {}
        self._passing_until = 0.0

    def failed(self, name: Name, message: str, *, refused: bool, now: float) -> None:
        """A write failed. Failures of the other kind before it do not count: an API server that comes back may refuse at first."""
        before = self._failures.get(name)
        count = before.count + 1 if before is not None and before.refused == refused else 1
        until = now
        if count > TRIES_WITHOUT_PAUSE:
            most = LONGEST_PAUSE_IF_REFUSED_SECONDS if refused else LONGEST_PAUSE_SECONDS
            until = now + pause_seconds(count - TRIES_WITHOUT_PAUSE, first=FIRST_PAUSE_SECONDS, most=most)
            if not refused:
                if self._passing_until <= now:
                    self._passing_until = until
                until = self._passing_until
        self._failures[name] = _Failure(count, now, until, refused, message)

    def written(self, name: Name) -> bool:
        """A write succeeded. Returns whether it had failed before."""
        return self._failures.pop(name, None) is not None

    def pause(self, name: Name, *, now: float) -> str:
        """Why an object is not to be written now; empty where it may be tried."""
        failure = self._failures.get(name)
        if failure is None or failure.count <= TRIES_WITHOUT_PAUSE:
            return ""
        until = failure.until if failure.refused else self._passing_until
        return failure.message if now < until else ""

    def pausing(self, kind: str, *, now: float) -> dict[Key, str]:
        """The objects of a kind that are not to be written now, and why."""
        return {name[1]: why for name in self._failures if name[0] == kind and (why := self.pause(name, now=now))}

    def all(self) -> list[Name]:
        """Everything that could not be written."""
        return list(self._failures)

    def forget(self, known: set[Name], *, now: float) -> None:
        """Keep nothing of objects that are no longer there, or that nobody has tried to write for a while."""
        self._failures = {
            name: failure
            for name, failure in self._failures.items()
            if name in known and now - failure.at < FORGOTTEN_SECONDS
        }
