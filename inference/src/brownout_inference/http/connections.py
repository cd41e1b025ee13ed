"""Open connections, bounded: a flood of them costs little memory, and leaves the server answering.

A connection is *busy* once a request has come in full, and until it is answered. Where there are too many, the one that has been idle for longest is closed for a
newcomer: whoever asks has a connection, and whoever only holds one loses it. Where all are busy, the newcomer is told so. Whoever is slow to send the first
request, or reads so slowly that what is written to them piles up, is closed too. The batch never waits for a client.
"""

import asyncio
import json
import logging
import resource
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge

from brownout_inference.refusal import unavailable

log = logging.getLogger(__name__)

SPARE_FILES = 256
"""Files that a process needs for other things than its clients' connections."""
FIRST_REQUEST_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 60.0
STUCK_SECONDS = 30.0
SEND_BUFFER_BYTES = 128 * 1024
"""What the kernel may hold for a client who has not taken it yet; it takes more only once a third of that is free, so slow readers seem to read in bursts."""
LEAST_BYTES = 16 * 1024
"""Who takes less than this in STUCK_SECONDS, while there is more to take, is stuck."""
GOODBYE_SECONDS = 1.0
"""How long a newcomer who is turned away may take to read why."""
MOST_GOODBYES = 256
LOOKED_AT = 16
"""Idle connections that are looked at, at most, to find one that can be closed."""

BACKLOG = 512

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _all_busy() -> bytes:
    refused = unavailable("too_many_connections", "All connections of this server are busy; try again.")
    body = json.dumps(refused.body())
    headers = {"Content-Type": "application/problem+json", "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in {**headers, **refused.headers()}.items()]
    return "\r\n".join(["HTTP/1.1 503 Service Unavailable", *lines, "", body]).encode()


ALL_BUSY = _all_busy()
"""The answer to whoever finds no place."""


class Inner(Protocol):
    """What is behind the gate: aiohttp's protocol."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> bool | None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class Connections:
    """The open connections of a server, at most `most`; counted in a registry, where one is given."""

    def __init__(
        self,
        most: int,
        *,
        first_request_seconds: float = FIRST_REQUEST_SECONDS,
        stuck_seconds: float = STUCK_SECONDS,
        least_bytes: int = LEAST_BYTES,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.most = most
        self.first_request_seconds = first_request_seconds
        self.stuck_seconds = stuck_seconds
        self.least_bytes = least_bytes
        self.open = 0
        self.turned_away = 0
        self.goodbyes = 0
        self.idle: OrderedDict[Gate, None] = OrderedDict()
        now = Gauge("brownout_inference_connections", "Open connections", registry=registry)
        now.set_function(lambda: self.open)
        Gauge("brownout_inference_connections_most", "Connections that may be open", registry=registry).set(most)
        self._ended = Counter(
            "brownout_inference_connections_ended_total",
            "Connections that the server ended: displaced (by a newer one), too_many (all busy), no_request (in time), unread (the answer is not taken)",
            ["reason"],
            registry=registry,
        )

    def ended(self, reason: str) -> None:
        """The server ends one."""
        self._ended.labels(reason).inc()

    def has_room(self) -> bool:
        """Whether there is a place for a newcomer; closes an idle connection if that makes one."""
        if self.open < self.most:
            return True
        for gate in list(islice(self.idle, LOOKED_AT)):
            if gate.close_if_idle():
                self.ended("displaced")
                return True
        if self.turned_away % 1000 == 0:
            log.warning("all of %d connections are busy; newcomers are turned away", self.most)
        self.turned_away += 1
        self.ended("too_many")
        return False


class Gate(asyncio.Protocol):
    """Stands between a connection and aiohttp's protocol."""

    def __init__(self, inner: Inner, connections: Connections) -> None:
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._let_in = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._connections.has_room():
            self._turn_away(transport)
            return
        self._let_in = True
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._connections.open += 1
        self._connections.idle[self] = None
        self._watch(self._connections.first_request_seconds, partial(self._end, transport, "no_request"))
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._let_in:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._let_in else None

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._look_again(self._transport.get_write_buffer_size())
        if self._let_in:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._stop_watching()
        if self._let_in:
            self._inner.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_watching()
        if not self._let_in:
            self._connections.goodbyes -= 1
            return
        self._leave()
        self._inner.connection_lost(exc)

    def request_came(self) -> None:
        """A request is here in full."""
        self._stop_watching()
        self._connections.idle.pop(self, None)

    def request_ended(self) -> None:
        """It is answered, and the next one may come."""
        if self._let_in and self._transport is not None and not self._transport.is_closing():
            self._connections.idle[self] = None

    def close_if_idle(self) -> bool:
        """Closes the connection, unless something is still to be read from it by the client."""
        transport = self._transport
        if transport is None or transport.get_write_buffer_size():
            return False
        self._leave()
        transport.abort()
        return True

    def _leave(self) -> None:
        self._connections.idle.pop(self, None)
        if self._let_in and self._transport is not None:
            self._connections.open -= 1
            self._transport = None

    def _turn_away(self, transport: asyncio.Transport) -> None:
        self._connections.goodbyes += 1
        if self._connections.goodbyes > MOST_GOODBYES:
            transport.abort()
            return
        transport.write(ALL_BUSY)
        transport.write_eof()
        self._watch(GOODBYE_SECONDS, transport.abort)

    def _end(self, transport: asyncio.Transport, reason: str) -> None:
        self._connections.ended(reason)
        transport.abort()

    def _look_again(self, left_before: int) -> None:
        """Closes the connection if its client does not take what is written to it."""

        def look() -> None:
            if self._transport is None:
                return
            left = self._transport.get_write_buffer_size()
            if left > left_before - self._connections.least_bytes:
                self._end(self._transport, "unread")
            else:
                self._look_again(left)

        self._watch(self._connections.stuck_seconds, look)

    def _watch(self, seconds: float, then: Callable[[], object]) -> None:
        self._stop_watching()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class BoundedSite(web.BaseSite):
    """Listens on a TCP port, with bounded connections."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, connections: Connections) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._host, self._port, self._connections = host, port, connections

    @property
    def name(self) -> str:
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        await super().start()
        server = self._runner.server
        assert server is not None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Gate(server(), self._connections), self._host, self._port, backlog=self._backlog
        )


@web.middleware
async def tell_gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Has a connection count as busy while a request is answered; whoever reads a body says when that is here."""
    gate = gate_of(request)
    if gate is None:
        return await handler(request)
    if not request.can_read_body:
        gate.request_came()
    try:
        return await handler(request)
    finally:
        gate.request_ended()


def gate_of(request: web.Request) -> Gate | None:
    """The gate through which a request came, if there is one and the client is still there."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, Gate) else None


def affordable(wanted: int) -> int:
    """How many connections this process may have open, at most `wanted`; raises its own limit of open files as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - SPARE_FILES))
    if most < wanted:
        log.warning("open files are limited to %d: at most %d connections instead of %d", soft, most, wanted)
    return most
