"""The streams of events (server-sent events) that an OFREP answer's `eventStreams` points to.

A stream says only that something has changed, and never what: it carries nothing about anybody, so it needs no credentials, which a
browser's EventSource could not send. The number of streams is limited instead.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from functools import lru_cache

import msgspec
from aiohttp import HttpVersion11, web

from brownout.flags.board import Board
from brownout.flags.connection import Connection, address_of
from brownout.flags.metrics import Metrics
from brownout.flags.names import shown
from brownout.flags.notices import Notices, Subscriber

PATH = "/ofrep/v1/events"

INACTIVITY_SECONDS = 120
"""How long a page may be hidden before its client ends the stream; OFREP's own default, said aloud."""

RECONNECT_MILLISECONDS = (1_000, 6_000)
"""Each client is told another time after which to come back, so that a server that starts again is not stampeded."""

UNANSWERED_MILLISECONDS = 45_000
"""What a heartbeat was not acknowledged for is a dead connection."""

UNSENT_BYTES = 16 * 1024
"""What the kernel keeps for a reader before we have to, and know that it does not read. It would keep megabytes for each."""

HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx would collect notices until a buffer is full
}


class Events:
    """The endpoint, and the two tasks behind it."""

    def __init__(self, board: Board, metrics: Metrics, notices: Notices) -> None:
        self._board = board
        self._metrics = metrics
        self._notices = notices

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._stream), web.get("/{namespace}" + PATH, self._stream)]

    def attach(self, app: web.Application) -> None:
        """Tell subscribers for as long as the application lives, and end their streams when it stops."""
        app.cleanup_ctx.append(self._background)
        app.on_shutdown.append(self._end)

    async def _background(self, app: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._notices.run()), asyncio.create_task(self._notices.beat())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, app: web.Application) -> None:
        self._notices.end()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Notices until the client leaves. `Last-Event-ID`, or else `since`, is the version that it has."""
        namespace = request.match_info.get("namespace") or self._board.only()
        if namespace is None or self._board.get(namespace) is None:
            return _refuse(
                500 if self._board.may_come(namespace) else 404,
                f"no flags are served for {shown(namespace or 'anybody')}",
            )
        address = address_of(request.remote)
        if self._notices.full and not self._notices.make_room_for(address):
            return _refuse(503, "as many streams are open as there may be; poll, or come back")
        response = web.StreamResponse(headers=HEADERS)
        response.force_close()  # a connection that was a stream is none of those that are counted and looked at
        await response.prepare(request)
        await response.write(f"retry: {random.randint(*RECONNECT_MILLISECONDS)}\n\n".encode())
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return response  # it has left already
        _bound(transport)
        if isinstance(request.protocol, Connection):
            request.protocol.stream()
        subscriber = Subscriber(
            transport,
            namespace=namespace,
            address=address,
            known=request.headers.get("Last-Event-ID") or request.query.get("since", ""),
            chunked=request.version >= HttpVersion11,
            ended=asyncio.get_running_loop().create_future(),
        )
        self._notices.join(subscriber)
        try:
            with self._metrics.event_streams.track_inprogress():
                await subscriber.ended
        finally:
            self._notices.leave(subscriber)
        return response


@lru_cache(maxsize=1024)
def event_streams(path_prefix: str, version: str, *, public_url: str) -> bytes:
    """What an answer says of where to listen, as JSON, to a client that has `version`: what comes before it listens it is told then."""
    path = f"{path_prefix}{PATH}?since={version}"
    where = {"url": public_url + path} if public_url else {"endpoint": {"requestUri": path}}
    return msgspec.json.encode([{"type": "sse", **where, "inactivityDelaySec": INACTIVITY_SECONDS}])


def _refuse(status: int, sentence: str) -> web.Response:
    return web.json_response({"errorDetails": sentence}, status=status)


def _bound(transport: asyncio.Transport) -> None:
    """Have the kernel keep little for a connection, and end it when its other side has gone without a word (Linux only)."""
    connection = transport.get_extra_info("socket")
    if connection is None:
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT_BYTES)
        if option := getattr(socket, "TCP_USER_TIMEOUT", None):
            connection.setsockopt(socket.IPPROTO_TCP, option, UNANSWERED_MILLISECONDS)
