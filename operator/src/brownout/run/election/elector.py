"""Campaigns for the Lease, keeps it, and gives it back: the rules, carried out.

A process leads once at most. Losing the lease ends it, as in controller-runtime: whatever it still has under way or in memory ends
with it, and the next process starts from what is stored. kopf's own peering is no lease: it pauses the lesser of several operators
when it hears of a greater one, and of two with the same priority both stop (docs.kopf.dev, Peering).
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import NoReturn

from brownout.run.clock import elapsed
from brownout.run.election.rules import (
    Held,
    Lease,
    Seen,
    Terms,
    given_back,
    gives_up_at,
    may_take,
    seconds_for_a_write,
    see,
    taken,
)
from brownout.run.election.store import ChangedError, LeaseError, LeaseStore, NoAnswerError, wall_time
from brownout.run.waiting import first_of

log = logging.getLogger(__name__)

RELEASE_SECONDS = 2.0
"""How long a clean end tries to give the lease back."""


class LeaseLostError(Exception):
    """The lease could not be renewed in time, or is somebody else's; the message says which."""


class Elector:
    """One candidate, `identity`, which no other process ever has.

    `on_round` is told after each attempt what somebody has to mend before this one can lead; mostly nothing, the empty text.
    """

    def __init__(
        self,
        store: LeaseStore,
        *,
        identity: str,
        terms: Terms,
        on_round: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = elapsed,
    ) -> None:
        self._store = store
        self._me = identity
        self._terms = terms
        self._on_round = on_round
        self._clock = clock
        self._seen: Seen | None = None
        self._held: Held | None = None
        self._said = ""

    @property
    def holder(self) -> str:
        """Who holds the lease as last seen; empty where nobody does, or it is not known."""
        lease = self._held.lease if self._held else self._seen.lease if self._seen else None
        return lease.holder if lease else ""

    def seconds_for_a_write(self) -> float:
        """The fence: how long a write that begins now may be under way; 0 where none may begin."""
        return seconds_for_a_write(self._held, self._terms, self._clock())

    async def campaign(self, stop: asyncio.Event) -> bool:
        """Wait until the lease is ours. False where told to stop before that."""
        while not stop.is_set():
            try:
                if await self._try_to_take():
                    log.info("leading", extra={"lease": str(self._store), "identity": self._me})
                    return True
                self._say(f"standing by: {self._store} is held by {self.holder}")
                self._on_round("")
            except (ChangedError, NoAnswerError) as error:  # another candidate was faster, or nobody can lead now
                self._say(str(error))
                self._on_round("")
            except LeaseError as error:
                self._say(str(error), level=logging.WARNING)
                self._on_round(str(error))
            await first_of(stop, seconds=self._terms.retry_seconds * random.uniform(0.7, 1.0))
        return False

    async def _try_to_take(self) -> bool:
        timeout = self._terms.renew_deadline_seconds / 2
        lease = await self._store.read(timeout_seconds=timeout)
        self._seen = see(self._seen, lease, self._clock())
        if not may_take(self._seen, self._me, self._clock()):
            return False
        sent = self._clock()
        wanted = taken(self._seen, self._me, self._terms, wall=wall_time())
        stored = await self._store.write(wanted, timeout_seconds=timeout)
        self._held = Held(lease=stored, confirmed=sent)
        return True

    async def keep(self) -> None:
        """Renew until that fails for too long. Ends with LeaseLostError, or by being cancelled."""
        pause = self._terms.retry_seconds
        while self._held is not None:
            left = gives_up_at(self._held, self._terms) - self._clock()
            if left <= 0:
                self._lose(f"{self._store} could not be renewed for {self._terms.renew_deadline_seconds:g} s")
            await asyncio.sleep(min(left, pause))
            pause = self._terms.retry_seconds
            try:
                await self._renew()
            except ChangedError:
                await self._look_whose_it_is()
                pause /= 10  # it is ours, and still to be renewed
            except LeaseError as error:
                log.warning("the lease is not renewed: %s", error)

    async def _renew(self) -> None:
        assert self._held is not None
        sent = self._clock()
        left = gives_up_at(self._held, self._terms) - sent
        if left <= 0:
            return
        timeout = min(left, self._terms.renew_deadline_seconds / 2)
        stored = await self._store.write(self._held.lease, timeout_seconds=timeout)
        self._held = Held(lease=stored, confirmed=sent)

    async def _look_whose_it_is(self) -> None:
        """After a conflict: a renewal of ours whose answer was lost, somebody's label, or somebody else's lease."""
        assert self._held is not None
        try:
            lease = await self._store.read(timeout_seconds=self._terms.renew_deadline_seconds / 2)
        except LeaseError as error:
            log.warning("the lease is not renewed: %s", error)
            return
        if lease is None:
            self._lose(f"{self._store} was deleted")
        elif lease.holder != self._me:
            self._lose(f"{self._store} is held by {lease.holder or 'nobody'}")
        else:
            self._held = Held(lease=lease, confirmed=self._held.confirmed)

    def _lose(self, why: str) -> NoReturn:
        self._held = None
        raise LeaseLostError(why)

    async def release(self) -> None:
        """Close the fence, and give the lease back if it is ours. Never raises: it runs out otherwise."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._give_back(held.lease)
            log.info("the lease is given back", extra={"lease": str(self._store)})
        except (LeaseError, TimeoutError) as error:
            log.warning("the lease is not given back and has to run out: %s", str(error) or "no time")

    async def _give_back(self, lease: Lease) -> None:
        try:
            await self._store.write(given_back(lease), timeout_seconds=RELEASE_SECONDS)
        except ChangedError:  # perhaps by a renewal of ours that was under way
            stored = await self._store.read(timeout_seconds=RELEASE_SECONDS)
            if stored is not None and stored.holder == self._me:
                await self._store.write(given_back(stored), timeout_seconds=RELEASE_SECONDS)

    def _say(self, text: str, *, level: int = logging.INFO) -> None:
        """Log what is new."""
        if text != self._said:
            self._said = text
            log.log(level, text)
