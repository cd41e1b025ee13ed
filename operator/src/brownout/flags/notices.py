"""Who is to be told that a set has changed, and when: the other half of the streams of events.

A notice is encoded once and written as it is into every connection; a subscriber is a few hundred bytes and no task. Nobody is
waited for: whoever does not read is dropped, and finds out by itself when it comes back. What comes too fast is coalesced: a
subscriber who has not been told yet is told of the newest set only.

A set by which somebody has less is announced at once, to all. Any other is announced within `spread_seconds`, to each at a moment of
its own: the features that come back were taken because everybody wanted them.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from brownout.flags.board import Board
from brownout.flags.depths import takes
from brownout.flags.metrics import Metrics
from brownout.flags.render import FlagSet
from brownout.flags.shares import Shares

COALESCE_SECONDS = 0.5
"""The least time between two notices of one namespace."""

HEARTBEAT_SECONDS = 15
"""Every connection hears something this often: proxies end what is silent for a minute, and dead ones are found."""

SLICE = 250
"""How many are written to before others get the processor again; about 5 ms."""

TICK_SECONDS = 0.05
REMEMBERED = 64
"""How many versions of a namespace are remembered, to tell a client that is behind from one that is ahead."""

SLOWEST_BYTES = 16 * 1024
"""A connection with this much unsent is of somebody who does not read: some 150 notices."""


class Frame(NamedTuple):
    """Bytes for a stream, as they are and as one chunk of HTTP/1.1's chunked coding."""

    plain: bytes
    chunk: bytes


def frame(text: str) -> Frame:
    """Text in the format of server-sent events, ready to be written."""
    plain = text.encode()
    return Frame(plain, b"%x\r\n%b\r\n" % (len(plain), plain))


HEARTBEAT = frame(":\n\n")


class Notice(NamedTuple):
    """What is said of a set. published_at: Unix seconds at which this server had it."""

    version: str
    published_at: int
    frame: Frame


def notice(version: str, published_at: int) -> Notice:
    """OFREP's event (ADR 8). Its id is the content's hash, so that a client can go on at another replica."""
    said = {"type": "refetchEvaluation", "etag": f'"{version}"', "lastModified": published_at}
    text = f"id: {version}\nevent: message\ndata: {msgspec.json.encode(said).decode()}\n\n"
    return Notice(version, published_at, frame(text))


class Subscriber:
    """One open stream. `known` is the version that its reader has; `due` (monotonic seconds) when it is to be told of another.

    address: whom it is counted for.
    """

    __slots__ = ("address", "chunked", "due", "ended", "known", "namespace", "transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        namespace: str,
        known: str,
        chunked: bool,
        ended: asyncio.Future[None],
        address: str = "",
    ) -> None:
        self.transport = transport
        self.address = address
        self.namespace = namespace
        self.known = known
        self.chunked = chunked
        self.ended = ended
        self.due = 0.0

    def write(self, what: Frame) -> bool:
        """Hand bytes to the connection. False where it is gone, or its reader does not read: it is ended then."""
        transport = self.transport
        if transport.is_closing():
            self.end()
            return True
        transport.write(what.chunk if self.chunked else what.plain)
        if transport.get_write_buffer_size() <= SLOWEST_BYTES:
            return True
        transport.abort()
        self.end()
        return False

    def end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Notices:
    """The subscribers of every namespace, and what they are told.

    spread_seconds: within what time everybody is told of a set by which nobody has less. most: how many subscribers there may be.
    jitter: a number in [0, 1).
    """

    def __init__(
        self,
        board: Board,
        metrics: Metrics,
        *,
        spread_seconds: float,
        most: int,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._board = board
        self._metrics = metrics
        self._spread_seconds = spread_seconds
        self._jitter = jitter
        self._most = most
        self._subscribers: dict[str, set[Subscriber]] = {}
        self._announced: dict[str, FlagSet] = {}
        self._announced_at: dict[str, float] = {}
        self._latest: dict[str, Notice] = {}
        self._past: dict[str, deque[str]] = {}
        self._waiting: list[Subscriber] = []  # by `due`, the first at the end
        self._beats: list[set[Subscriber]] = [set() for _ in range(HEARTBEAT_SECONDS)]
        self._count = 0
        self._shares = Shares[Subscriber]()

    @property
    def full(self) -> bool:
        """There are as many subscribers as there may be."""
        return self._count >= self._most

    def yields_to(self, address: str) -> bool:
        """Although it is full, a subscriber of this address would find room: another address has far more of it."""
        return self._shares.greedier_than(address, time.monotonic()) is not None

    def make_room_for(self, address: str) -> bool:
        """End the oldest subscription of an address that has far more than this one; False where there is none."""
        greedier = self._shares.greedier_than(address, time.monotonic())
        if greedier is None:
            return False
        subscriber = self._shares.oldest_of(greedier)
        self.leave(subscriber)
        subscriber.end()
        self._metrics.streams_displaced.inc()
        return True

    def latest(self, namespace: str) -> Notice | None:
        """The notice of the set that is served now."""
        evaluator = self._board.get(namespace)
        if evaluator is None:
            return None
        found = self._latest.get(namespace)
        if found is None or found.version != evaluator.flag_set.version:
            found = self._latest[namespace] = notice(evaluator.flag_set.version, int(time.time()))
            self._past.setdefault(namespace, deque(maxlen=REMEMBERED)).append(found.version)
        return found

    def has_served(self, namespace: str, version: str) -> bool:
        """Whether this is the newest version, or one of those before it."""
        newest = self.latest(namespace)
        return newest is not None and version in self._past[namespace]

    def join(self, subscriber: Subscriber) -> None:
        """From now on a subscriber is told; at once, where what it knows is not the newest."""
        self._count += 1
        self._subscribers.setdefault(subscriber.namespace, set()).add(subscriber)
        self._shares.add(subscriber.address, subscriber)
        min(self._beats, key=len).add(subscriber)
        newest = self.latest(subscriber.namespace)
        if newest is not None and subscriber.known != newest.version:
            self._tell(subscriber, newest)

    def leave(self, subscriber: Subscriber) -> None:
        """It is told of nothing any more, however often this is said."""
        if not self._shares.drop(subscriber.address, subscriber):
            return
        self._count -= 1
        self._subscribers[subscriber.namespace].discard(subscriber)
        for group in self._beats:
            group.discard(subscriber)

    async def run(self) -> None:
        """Tell the subscribers of every change. Ends only by being cancelled."""
        while True:
            change = self._board.change()
            nap = min(self._look(time.monotonic()), self._tell_who_is_due(time.monotonic()))
            if nap <= 0:
                await asyncio.sleep(0)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(nap if nap < float("inf") else None):
                    await change.wait()

    async def beat(self) -> None:
        """Let every connection hear something every HEARTBEAT_SECONDS. Ends only by being cancelled."""
        while True:
            for group in self._beats:
                for number, subscriber in enumerate(list(group)):
                    self._write(subscriber, HEARTBEAT)
                    if number % SLICE == SLICE - 1:
                        await asyncio.sleep(0)
                await asyncio.sleep(1)

    def end(self) -> None:
        """End every stream properly: the readers come back on their own, each after a time of its own."""
        for group in self._subscribers.values():
            for subscriber in list(group):
                subscriber.end()

    def _look(self, now: float) -> float:
        """Find the sets that have changed, and when whom to tell. Returns seconds until it has to be looked at again."""
        nap = float("inf")
        for namespace in self._board.namespaces():
            evaluator = self._board.get(namespace)
            before = self._announced.get(namespace)
            # By identity: where A follows B follows A, who was told of B has to be told of A again.
            if evaluator is None or before is evaluator.flag_set:
                continue
            wait = self._announced_at.get(namespace, -COALESCE_SECONDS) + COALESCE_SECONDS - now
            if wait > 0:
                nap = min(nap, wait)
                continue
            self._announced[namespace], self._announced_at[namespace] = evaluator.flag_set, now
            self.latest(namespace)
            at_once = before is None or takes(before.depths, evaluator.flag_set.depths)
            self._announce(namespace, at_once=at_once, now=now)
        return nap

    def _announce(self, namespace: str, *, at_once: bool, now: float) -> None:
        """Who is waiting already waits no longer for it."""
        waiting = set(self._waiting)
        for subscriber in self._subscribers.get(namespace, ()):
            due = now if at_once else now + self._spread_seconds * self._jitter()
            subscriber.due = min(due, subscriber.due) if subscriber in waiting else due
            waiting.add(subscriber)
        self._waiting = sorted(waiting, key=lambda subscriber: subscriber.due, reverse=True)

    def _tell_who_is_due(self, now: float) -> float:
        """Write to those whose moment has come, a slice of them. Returns seconds until the next one's."""
        for _ in range(SLICE):
            if not self._waiting:
                return float("inf")
            if self._waiting[-1].due > now:
                return max(TICK_SECONDS, self._waiting[-1].due - now)
            subscriber = self._waiting.pop()
            newest = self.latest(subscriber.namespace)
            if newest is not None and subscriber.known != newest.version and not subscriber.ended.done():
                self._tell(subscriber, newest)
        return 0.0

    def _tell(self, subscriber: Subscriber, newest: Notice) -> None:
        subscriber.known = newest.version
        self._metrics.notices.inc()
        self._write(subscriber, newest.frame)

    def _write(self, subscriber: Subscriber, what: Frame) -> None:
        if not subscriber.write(what):
            self._metrics.streams_dropped.inc()
