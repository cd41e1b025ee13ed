"""Candidates for one Lease in virtual time: clocks that are wrong and run unevenly, processes that stop, answers that are lost.

True time is known to nobody in it. A store keeps the Lease and takes a write only in the place of the version that it names. Every
candidate is a generator that runs the rules as the elector does, and is resumed after each wait or request, at whatever true time
the randomness says.
"""

import heapq
import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from msgspec import structs

from brownout.run.election.rules import (
    CLOCK_RATE,
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


@dataclass
class Clock:
    """One candidate's own clock: it began at any number, and runs a little faster or slower than true time."""

    offset: float
    rate: float

    def at(self, true: float) -> float:
        """What it shows."""
        return self.offset + true * self.rate


@dataclass
class Store:
    """The API server's Lease. Another version after each write."""

    lease: Lease | None = None
    count: int = 0

    def write(self, wanted: Lease) -> Lease | None:
        """The Lease as stored; None for a conflict."""
        if (self.lease.version if self.lease else "") != wanted.version:
            return None
        self.count += 1
        self.lease = structs.replace(wanted, version=str(self.count))
        return self.lease


@dataclass
class Write:
    """A write to the world: who sent it, and when, in true time, it may have been carried out at the latest and earliest."""

    by: str
    sent: float
    ends: float


@dataclass
class Simulation:
    """`confidence`: by how much candidates believe for longer in their lease than the rules say, to see that it is noticed.

    Run it with `run`; `writes` then has everything that was written to the world, and `leaders` how often somebody began to
    lead.
    """

    seed: int
    terms: Terms
    candidates: int = 3
    true_seconds: float = 400.0
    confidence: float = 1.0
    writes: list[Write] = field(default_factory=list)
    leaders: int = 0

    def run(self) -> "Simulation":
        """All candidates, each begun anew under another name when it ends."""
        self._random = random.Random(self.seed)
        self._store, self._now, self._names = Store(), 0.0, 0
        queue: list[tuple[float, int, Iterator[float]]] = []
        for number in range(self.candidates):
            heapq.heappush(queue, (self._random.uniform(0, 5), number, self._candidate()))
        while queue:
            self._now, number, process = heapq.heappop(queue)
            if self._now > self.true_seconds:
                break
            try:
                pause = next(process)
            except StopIteration:
                process, pause = self._candidate(), self._random.uniform(0.1, 10)
            heapq.heappush(queue, (self._now + pause + self._stopped(), number, process))
        return self

    def _stopped(self) -> float:
        """Now and then a process is stopped, for longer than any lease lasts."""
        return self._random.uniform(0, 3 * self.terms.lease_seconds) if self._random.random() < 0.03 else 0.0

    def _latency(self) -> float:
        return self._random.choice((0.01, 0.05, 0.3, 2.0))

    def _lost(self) -> bool:
        return self._random.random() < 0.1

    def _candidate(self) -> Iterator[float]:
        """One process from its beginning to its end. Yields true seconds until it is resumed."""
        self._names += 1
        me = f"candidate-{self._names}"
        slack = 1 / CLOCK_RATE - 1  # any two clocks are within what the rules assume
        clock = Clock(self._random.uniform(-1e6, 1e6), 1 + self._random.uniform(0, slack))
        seen: Seen | None = None
        while True:
            yield self._latency()
            lease = self._store.lease
            yield self._latency()
            seen = see(seen, lease, clock.at(self._now))
            if may_take(seen, me, clock.at(self._now)):
                sent = clock.at(self._now)
                stored = yield from self._sent(taken(seen, me, self.terms, wall=""))
                if stored is not None:
                    break
            yield self.terms.retry_seconds / clock.rate
        self.leaders += 1
        yield from self._lead(me, clock, Held(lease=stored, confirmed=sent))

    def _lead(self, me: str, clock: Clock, held: Held) -> Iterator[float]:
        written_until = 0.0
        while True:
            written_until = max(written_until, (yield from self._write(me, clock, held)))
            now = clock.at(self._now)
            if now - held.confirmed >= (gives_up_at(held, self.terms) - held.confirmed) * self.confidence:
                return
            if (
                self._random.random() < 0.05 and self._now >= written_until
            ):  # a clean end, which waits for what is under way
                self._store.write(given_back(held.lease))
                return
            sent = clock.at(self._now)
            stored = yield from self._sent(held.lease)
            if stored is not None:
                held = Held(lease=stored, confirmed=sent)
            elif self._store.lease is None or self._store.lease.holder != me:
                return
            else:
                held = structs.replace(held, lease=self._store.lease)
            yield self._random.uniform(0, self.terms.retry_seconds) / clock.rate

    def _sent(self, wanted: Lease) -> Generator[float, None, Lease | None]:
        """A write of the Lease: it may be lost on its way, and its answer on the way back. Returns what was answered."""
        yield self._latency()
        if self._lost():
            return None
        stored = self._store.write(wanted)
        yield self._latency()
        return None if self._lost() else stored

    def _write(self, me: str, clock: Clock, held: Held) -> Generator[float, None, float]:
        """A write to the world, if the fence lets it through. It may be carried out at any time until it is given up.

        Returns when that is.
        """
        since = clock.at(self._now) - held.confirmed
        left = seconds_for_a_write(held, self.terms, held.confirmed + since / self.confidence) * self.confidence
        if left > 0:
            lasts = self._random.uniform(0, 1) * left / clock.rate
            ends = self._now + lasts
            self.writes.append(Write(me, self._now, ends))
            yield min(lasts, self._latency())
            return ends
        return 0.0


def overlaps(writes: list[Write]) -> list[tuple[Write, Write]]:
    """Pairs of writes by two candidates of which the later was sent while the earlier could still be carried out."""
    found = []
    latest: Write | None = None
    for write in sorted(writes, key=lambda one: one.sent):
        if latest is not None and write.by != latest.by and write.sent < latest.ends:
            found.append((latest, write))
        latest = write if latest is None or write.ends > latest.ends else latest
    return found
