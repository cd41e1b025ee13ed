"""One connection from anybody: what it is waiting for, since when, and how it is ended where that takes too long.

aiohttp bounds what it has parsed (a line, a field, a body), and closes what is idle. It does not bound what comes in drops: a head that
is never complete, a body that trickles, an answer that is never read. Each of these is a state of a connection that can be looked
at from outside, once a second, so that a request that comes in one piece pays one comparison for it.

It leans on names that aiohttp does not promise (`_waiter`, `_messages`, `_request_count`, `_current_request`); `test_connections.py` tells where a release changes them.
"""

import asyncio
import contextlib
import fcntl
import socket
import termios
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from aiohttp import StreamReader, web

LINGER_SECONDS = 5.0
"""How long the rest of a body that nobody wanted is read and thrown away, so that its sender gets to see the answer."""

READ_BYTES = 64 * 1024
"""Of a body that nobody reads yet about twice as much is taken, and then no more."""


class Ended(StrEnum):
    """Why we ended a connection; the words of the metric."""

    HEAD_TIMEOUT = "head_timeout"
    HEAD_TOO_LARGE = "head_too_large"
    BODY_TIMEOUT = "body_timeout"
    IDLE = "idle"
    UNREAD = "unread"
    DISPLACED = "displaced"
    """By a newer one, while as many were open as may be."""
    TOO_MANY = "too_many"
    """As many are open as may be, and all of them are busy."""
    ADDRESS = "address"
    """Its address has as many as one may have."""


class Phase(StrEnum):
    """What a connection is waiting for."""

    HEAD = "head"
    """The rest of a request's head, or its first request."""
    BODY = "body"
    IDLE = "idle"
    """Its next request."""
    BUSY = "busy"
    """Us."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """most, most_per_address: connections, where streams of events count for their address only; 0: any number.

    idle_seconds should be longer than a gateway keeps idle connections, which then is the one that ends them: 60 s is common.
    unread_seconds: how long an answer may take to be read.
    """

    most: int = 4096
    most_per_address: int = 0
    head_seconds: float = 10.0
    head_bytes: int = 32 * 1024
    body_seconds: float = 10.0
    idle_seconds: float = 75.0
    unread_seconds: float = 30.0


class Keeper(Protocol):
    """Who keeps all connections of a listener."""

    limits: Limits

    def admit(self, connection: "Connection") -> bool:
        """Whether a new connection may stay."""

    def forget(self, connection: "Connection") -> None:
        """It has gone."""

    def streams(self, connection: "Connection") -> None:
        """It is a stream of events from now on, which has bounds of its own."""

    def count(self, why: Ended) -> None:
        """The server ended one."""


class Connection(web.RequestHandler):
    """aiohttp's handler of one connection, which tells what it is waiting for.

    Bodies are read as they are sent: a few kilobytes are not worth what strangers could do with a decoder.
    """

    __slots__ = ("_body", "_head_bytes", "_keeper", "_limits", "_seen", "_unread_since", "address", "raw", "since")

    def __init__(self, manager: web.Server, keeper: Keeper) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,
            read_bufsize=READ_BYTES,
            lingering_time=LINGER_SECONDS,
        )
        self._keeper = keeper
        self._limits = keeper.limits
        self._body: StreamReader | None = None
        self._head_bytes = 0
        self._seen: tuple[int, Phase] = 0, Phase.HEAD
        self._unread_since: float | None = None
        self.since = self._loop.time()
        self.address = ""
        self.raw: asyncio.Transport | None = None

    @property
    def phase(self) -> Phase:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            return Phase.HEAD if self._head_bytes or not self._request_count else Phase.IDLE
        return Phase.BODY if self._in_body else Phase.BUSY

    @property
    def has_begun(self) -> bool:
        """Some of a request's head is there, and not all of it."""
        return self._head_bytes > 0

    @property
    def _in_body(self) -> bool:
        """What comes now belongs to the body of the last request."""
        return self._body is not None and not self._body.is_eof()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.raw = transport
        self.address = address_of(transport.get_extra_info("peername"))
        if self._keeper.admit(self):
            self._have_the_kernel_notice(transport)
            super().connection_made(transport)
        else:
            transport.abort()

    def _have_the_kernel_notice(self, transport: asyncio.Transport) -> None:
        """What the kernel has of ours it must get rid of too (Linux only); it has longer, so that we are the ones who end it and count."""
        if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) and (own := transport.get_extra_info("socket")):
            with contextlib.suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, option, int(2000 * self._limits.unread_seconds))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._keeper.forget(self)
        super().connection_lost(exc)
        self.raw = None

    def data_received(self, data: bytes) -> None:
        requests, in_body = self._request_count, self._in_body
        super().data_received(data)
        if self._request_count != requests:
            self._head_bytes = 0
            self._body = self._messages[-1][1]
        elif not in_body:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head_bytes:
                self._refuse(Ended.HEAD_TOO_LARGE)

    def waited_seconds(self, now: float) -> float:
        """For how long it has been in its phase, as far as that was looked at."""
        return now - self.since if self._seen == (self._request_count, self.phase) else 0.0

    def unread_seconds(self, now: float) -> float:
        """For how long something has been written that the other side does not take."""
        return 0.0 if self._unread_since is None else now - self._unread_since

    @property
    def has_spoken(self) -> bool:
        """Something came that was not looked at yet: it does not wait for its other side, but for us."""
        own = None if self.raw is None else self.raw.get_extra_info("socket")
        if own is None or own.fileno() < 0:
            return False
        return any(fcntl.ioctl(own.fileno(), termios.FIONREAD, bytes(4)))

    def look(self, now: float) -> None:
        """End it, if it has waited too long. `now` in seconds of the loop."""
        if self.raw is None:
            return
        if not self.raw.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif self.unread_seconds(now) > self._limits.unread_seconds:
            self.end(Ended.UNREAD)
            return
        seen = self._request_count, self.phase
        if seen != self._seen:
            self._seen, self.since = seen, now
        match seen[1]:
            case Phase.HEAD if now - self.since > self._limits.head_seconds:
                self._refuse(Ended.HEAD_TIMEOUT)
            case Phase.BODY if now - self.since > self._limits.body_seconds:
                self._refuse(Ended.BODY_TIMEOUT)
            case Phase.IDLE if now - self.since > self._limits.idle_seconds:
                self._keeper.count(Ended.IDLE)
                self.force_close()

    def stream(self) -> None:
        """From now on it is a stream of events, which `notices.py` looks after."""
        self._keeper.streams(self)

    def end(self, why: Ended) -> None:
        """Let it go at once, with what has not been sent."""
        self._keeper.count(why)
        if self.raw is not None:
            self.raw.abort()

    def _refuse(self, why: Ended) -> None:
        """Say why, where something was asked for and nothing answered, and end it."""
        request = self._current_request
        unanswered = bool(self._head_bytes) if request is None else not request.writer.output_size
        if self.transport is not None and unanswered:
            self.transport.write(_refusal(why, self._limits))
        self._keeper.count(why)
        self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """A request that is no HTTP is answered and not logged: anybody could fill the log with them."""
        if status != HTTPStatus.BAD_REQUEST or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        response = web.Response(status=status, text="this is no request of HTTP/1.1 that can be read\n")
        response.force_close()
        return response


def _refusal(why: Ended, limits: Limits) -> bytes:
    if why is Ended.HEAD_TOO_LARGE:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        sentence = f"the request line and its headers are larger than {limits.head_bytes} bytes together\n"
    else:
        status = HTTPStatus.REQUEST_TIMEOUT
        part, seconds = ("head", limits.head_seconds) if why is Ended.HEAD_TIMEOUT else ("body", limits.body_seconds)
        sentence = f"the {part} of the request was not there within {seconds:g} s\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(sentence)}\r\n\r\n"
    )
    return f"{head}{sentence}".encode()


def address_of(peer: Any) -> str:
    """Whom a connection is counted for, of its other side's address as a socket tells it, or as text.

    For IPv6 the first 64 bits, which one subscriber has to himself. Empty where there is none.
    """
    host = peer[0] if isinstance(peer, tuple) and peer else peer
    if not isinstance(host, str):
        return ""
    if ":" not in host or host.startswith("::ffff:"):
        return host
    groups, _, tail = host.partition("%")[0].partition("::")
    first = [group for group in groups.split(":") if group]
    last = [group for group in tail.split(":") if group]
    padded = first + ["0"] * (8 - len(first) - len(last)) + last
    return ":".join(padded[:4])
