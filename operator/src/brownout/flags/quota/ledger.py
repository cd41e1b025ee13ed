"""The ledger: who has used how much today, and what is promised to requests that are still being worked on.

A reservation is open until it is committed, refunded, or its time is over; each of the three is final, whichever comes first. Open
ones count as used, so that a hundred requests at once cannot all find the last unit free; one that is never heard of again gives
its unit back by itself. A unit is counted when its reservation is committed, and only then and once, however often that is said.

The tier is no part of an account: a user who is upgraded at noon keeps what was used, and has the new limit at once.
"""

import hashlib
import heapq
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

IN_MEMORY = "memory://"
"""The URL of the ledger of one process."""

REMEMBER_SECONDS = 3600.0
"""How long it is known how a reservation ended, so that the same answer can be given again, ..."""
MOST_REMEMBERED = 1_000
"""... and of how many of an account: who reserves and refunds without end has the ledger forget the first ones sooner."""


class Outcome(StrEnum):
    """What became of a reservation; the words of the answers and of the metric."""

    RESERVED = "reserved"
    REFUSED = "refused"
    """Every unit of the day is used or reserved."""
    COMMITTED = "committed"
    REFUNDED = "refunded"
    CLOSED = "closed"
    """There is no such open reservation: it has expired, or ended otherwise; nothing was changed."""


class Account(Struct, frozen=True, kw_only=True):
    """One user's use of one feature on one day. keep_until: Unix seconds after which nobody asks for it any more."""

    namespace: str
    feature: str
    user: str
    date: str
    keep_until: float

    @property
    def key(self) -> str:
        """A name that does not tell whose account it is."""
        named = "\0".join((self.namespace, self.feature, self.user, self.date))
        return hashlib.sha256(named.encode(errors="surrogatepass")).hexdigest()[:32]


class Entry(Struct, frozen=True, kw_only=True):
    """The answer to an entry in the ledger.

    used: units committed. held: units of open reservations. until: Unix seconds, of a reservation when it expires, of a refusal when
    the first unit may come back before the day ends (None: none will).
    """

    outcome: Outcome
    used: int
    held: int
    until: float | None = None


class LedgerUnavailableError(Exception):
    """Nobody can be asked now; the message says why, without addresses or secrets."""


class Ledger(Protocol):
    """Every call may raise LedgerUnavailableError, and may be made again with the same reservation."""

    async def reserve(self, account: Account, reservation: str, *, limit: int, ttl_seconds: float) -> Entry: ...
    async def commit(self, account: Account, reservation: str) -> Entry: ...
    async def refund(self, account: Account, reservation: str) -> Entry: ...
    async def close(self) -> None: ...


class _Page:
    """One account in memory. `ended` is in the order in which they ended."""

    __slots__ = ("ended", "keep_until", "open", "used")

    def __init__(self, keep_until: float) -> None:
        self.keep_until = keep_until
        self.used = 0
        self.open: dict[str, float] = {}
        self.ended: dict[str, tuple[Outcome, float]] = {}


class MemoryLedger:
    """The ledger of one process: others do not see it, and it does not outlive it.

    At most `most` accounts at a time, of a kilobyte each (measured): a server that runs out of memory answers no flags either.

    `clock` in Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, most: int = 200_000) -> None:
        self._clock = clock
        self._most = most
        self._pages: dict[str, _Page] = {}
        self._by_end: list[tuple[float, str]] = []

    async def reserve(self, account: Account, reservation: str, *, limit: int, ttl_seconds: float) -> Entry:
        """Take a unit, if the limit has room."""
        now, page = self._page(account)
        if reservation in page.ended:
            return _entry(page, Outcome.CLOSED)
        if reservation not in page.open:
            if page.used + len(page.open) >= limit:
                return _entry(page, Outcome.REFUSED, min(page.open.values(), default=None))
            page.open[reservation] = now + ttl_seconds
        return _entry(page, Outcome.RESERVED, page.open[reservation])

    async def commit(self, account: Account, reservation: str) -> Entry:
        """Count a reserved unit."""
        return self._end(account, reservation, Outcome.COMMITTED)

    async def refund(self, account: Account, reservation: str) -> Entry:
        """Give a reserved unit back."""
        return self._end(account, reservation, Outcome.REFUNDED)

    async def close(self) -> None:
        """Nothing to close."""

    def _end(self, account: Account, reservation: str, outcome: Outcome) -> Entry:
        now, page = self._page(account, new=False)
        if page.open.pop(reservation, None) is not None:
            page.ended[reservation] = outcome, now + REMEMBER_SECONDS
            if len(page.ended) > MOST_REMEMBERED:
                del page.ended[next(iter(page.ended))]
            page.used += outcome is Outcome.COMMITTED
        ended = page.ended.get(reservation)
        return _entry(page, outcome if ended is not None and ended[0] is outcome else Outcome.CLOSED)

    def _page(self, account: Account, *, new: bool = True) -> tuple[float, _Page]:
        """The moment, and an account's page as of then. Raises LedgerUnavailableError where there are too many accounts."""
        now = self._clock()
        while self._by_end and self._by_end[0][0] <= now:
            del self._pages[heapq.heappop(self._by_end)[1]]
        page = self._pages.get(account.key)
        if page is None:
            if not new:
                return now, _Page(account.keep_until)
            if len(self._pages) >= self._most:
                raise LedgerUnavailableError(f"more than {self._most} accounts in memory; name a quota storage")
            page = self._pages[account.key] = _Page(account.keep_until)
            heapq.heappush(self._by_end, (account.keep_until, account.key))
        page.open = {name: until for name, until in page.open.items() if until > now}
        while page.ended and page.ended[oldest := next(iter(page.ended))][1] <= now:
            del page.ended[oldest]
        return now, page


def _entry(page: _Page, outcome: Outcome, until: float | None = None) -> Entry:
    return Entry(outcome=outcome, used=page.used, held=len(page.open), until=until)
