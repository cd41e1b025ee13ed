"""All connections of a listener: how many there may be, who goes first where there are more, and who has waited too long.

Under a flood the server lets go of connections and never of answers. Where as many are open as may be, a newcomer takes the place of
the one that has kept us waiting longest: first those that have not said all of what they want, then idle ones. Whoever sends his
request and reads the answer is not touched. Streams of events have a number of their own (`notices.py`), and are none of this one's.
"""

import asyncio
import contextlib
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator

import prometheus_client
from aiohttp import web

from brownout.flags.connection import Connection, Ended, Limits, Phase

LOOK_SECONDS = 1.0
SLICE = 500
"""How many are looked at before others get the processor again."""

SAMPLE = 32
"""Among so many the one is looked for whose place a newcomer takes; others the next time."""

GRACE_SECONDS = 1.0
"""Less than this is no wait."""

BACKLOG = 1024
"""How many the kernel keeps waiting, ..."""
TAKEN_AT_ONCE = 16
"""... and how many of them are taken before we look at what those that we have already are saying."""

JUST_ANSWERED, SILENT, HALF_SAID, IDLE, STALLED = 1, 2, 3, 4, 5
"""Who goes first, the last of these before all others: who does not read, or said half of a request a second ago; who has been idle for a second;
who has said half of a request; who has just come; who has just been answered."""

OTHER_FILES = 512
"""Of the console, of flagd sync, and of what the process itself has open."""

log = logging.getLogger(__name__)


class Connections:
    """The connections of one listener. registry: where its metrics are to be found, if anywhere."""

    def __init__(self, limits: Limits, *, registry: prometheus_client.CollectorRegistry | None = None) -> None:
        self.limits = limits
        self._open: OrderedDict[Connection, None] = OrderedDict()
        self._admitted: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        gauge = prometheus_client.Gauge(
            "brownout_flags_connections", "Open connections of HTTP, without streams of events.", registry=registry
        )
        gauge.set_function(lambda: len(self._open))
        self._ended = prometheus_client.Counter(
            "brownout_flags_connections_ended_total",
            "Connections that the server ended: head_timeout, head_too_large, body_timeout, idle, unread, displaced (by a newer one), "
            "too_many (all busy), address (has as many as one may have).",
            ["reason"],
            registry=registry,
        )
        for reason in Ended:
            self._ended.labels(reason)

    @contextlib.asynccontextmanager
    async def listening(self, runner: web.AppRunner, host: str, port: int) -> AsyncIterator[int]:
        """Take connections for an application that is set up; gives the port. Raises OSError where it cannot be had."""
        manager = runner.server
        assert manager is not None

        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(manager, self), host, port, backlog=TAKEN_AT_ONCE)
        for listener in server.sockets:
            with listener.dup() as same:  # asyncio has one number for both
                same.listen(BACKLOG)
        watching = asyncio.create_task(self._watch())
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def streams(self, connection: Connection) -> None:
        """From now on a connection is a stream of events."""
        self._open.pop(connection, None)

    def admit(self, connection: Connection) -> bool:
        """Whether a new connection may stay; another may have to go for it."""
        most = self.limits.most_per_address
        if most and self._by_address[connection.address] >= most:
            self.count(Ended.ADDRESS)
            return False
        if len(self._open) >= self.limits.most:
            displaced = self._to_be_displaced(connection.since)
            if displaced is None:
                self.count(Ended.TOO_MANY)
                return False
            del self._open[displaced]
            displaced.end(Ended.DISPLACED)
        self._open[connection] = None
        self._admitted.add(connection)
        self._by_address[connection.address] += 1
        return True

    def forget(self, connection: Connection) -> None:
        """It has gone."""
        self._open.pop(connection, None)
        if connection in self._admitted:
            self._admitted.remove(connection)
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    def _to_be_displaced(self, now: float) -> Connection | None:
        """The one of a sample that has kept us waiting longest; None where all of it is busy."""
        found, greatest = None, (0, 0.0)
        for _ in range(min(SAMPLE, len(self._open))):
            connection = next(iter(self._open))
            self._open.move_to_end(connection)
            precedence = _precedence(connection, now)
            if precedence > greatest and (precedence[0] == STALLED or not connection.has_spoken):
                found, greatest = connection, precedence
        return found

    def count(self, why: Ended) -> None:
        """The server ended a connection."""
        self._ended.labels(why).inc()

    async def _watch(self) -> None:
        """Look at each connection once in LOOK_SECONDS. Ends only by being cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for number, connection in enumerate(list(self._open)):
                try:
                    connection.look(loop.time())
                except Exception:  # a defect in one must not end the watch over all
                    log.exception("a connection could not be looked at")
                if number % SLICE == SLICE - 1:
                    await asyncio.sleep(0)


def open_files(limits: Limits) -> int:
    """How many files a listener of users has open at most, besides its streams; with those of everything else."""
    return limits.most + OTHER_FILES


def _precedence(connection: Connection, now: float) -> tuple[int, float]:
    """Who is displaced first: the greater one; (0, 0.0) is nobody who could be."""
    waited = connection.waited_seconds(now)
    match connection.phase:
        case Phase.HEAD | Phase.BODY if waited >= GRACE_SECONDS:
            return STALLED, waited
        case Phase.BUSY if (unread := connection.unread_seconds(now)) >= GRACE_SECONDS:
            return STALLED, unread
        case Phase.IDLE if waited >= GRACE_SECONDS:
            return IDLE, waited
        case Phase.BODY:
            return HALF_SAID, waited
        case Phase.HEAD:
            return HALF_SAID if connection.has_begun else SILENT, waited
        case Phase.IDLE:
            return JUST_ANSWERED, waited
    return 0, 0.0
