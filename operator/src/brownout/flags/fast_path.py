"""The fast path: an evaluation is answered before the application is asked, and its answer written in one piece.

What finding a route by patterns and building a response header by header take is a quarter of what an evaluation takes. So what
is asked most is recognised by its path here, evaluated by the very handler that the application's routes have, and written as bytes.
Whatever is not quite plain (another method, an escaped path or one with a query, HTTP/1.0, a connection that is to be closed,
`Expect`) goes to the application as if this did not exist. Either way the bytes are the same; a property holds them to it.
"""

import re
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import SERVER_SOFTWARE

from brownout.flags.cors import Cors
from brownout.flags.ofrep import Address, Answer, Ofrep

SEGMENT = "[A-Za-z0-9][A-Za-z0-9_.~-]*"
"""A part of a path that stands for itself: nothing to decode, and no dots that lead elsewhere."""

EVALUATION = re.compile(f"(?:/({SEGMENT}))?/ofrep/v1/evaluate/flags(?:/({SEGMENT}))?")

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
CONTENT_TYPE = b"Content-Type: application/json\r\n"

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
"""What aiohttp's low-level server calls for each request, which it types as one without an application."""


def address(raw_path: str) -> Address | None:
    """What a path asks for, as it was sent; None where it asks for something else, or has to be decoded first."""
    found = EVALUATION.fullmatch(raw_path)
    return None if found is None else Address(found[1], found[2])


class FastPath:
    """The handler that stands before an application's."""

    def __init__(self, ofrep: Ofrep, cors: Cors) -> None:
        self._ofrep = ofrep
        self._cors = cors
        self._clock = _HeaderClock()

    def before(self, application: Handler) -> Handler:
        """The handler of a server whose requests otherwise go to `application`."""

        def handle(request: web.Request) -> Awaitable[web.StreamResponse]:
            """Not a coroutine: a stream of events that is open for hours need not keep one more."""
            asked = address(request.raw_path)
            if asked is None or not _is_plain(request):
                return application(request)
            return self._answer(request, asked)

        return handle

    async def _answer(self, request: web.Request, asked: Address) -> web.StreamResponse:
        answer = await self._ofrep.answer(request, asked)
        return _Written(_page(answer, self._clock.lines(), self._cors.lines(request)))


def _is_plain(request: web.Request) -> bool:
    return (
        request.method == hdrs.METH_POST
        and request.version == HttpVersion11
        and request.keep_alive
        and hdrs.EXPECT not in request.headers
    )


class _HeaderClock:
    """The headers that aiohttp sends along with every response, as bytes; they are the same for a second."""

    def __init__(self) -> None:
        self._second = -1
        self._lines = b""

    def lines(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._lines = f"Date: {formatdate(second, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n".encode()
        return self._lines


def _page(answer: Answer, clock: bytes, cors: bytes) -> bytes:
    """A whole response, with its headers in aiohttp's order."""
    head = STATUS_LINES[answer.status]
    for name, value in answer.headers.items():
        head += f"{name}: {value}\r\n".encode()
    head += CONTENT_TYPE
    if answer.status != HTTPStatus.NOT_MODIFIED:
        head += b"Content-Length: %d\r\n" % len(answer.content)
    return b"%b%b%b\r\n%b" % (head, clock, cors, answer.content)


class _Written(web.StreamResponse):
    """A response that is bytes already, head and body; the connection stays open after it."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self._page = page

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> Any:
        self._to = request.writer
        return self._to

    async def write_eof(self, data: bytes = b"") -> None:
        """Write it, in one go, and wait while the client does not read."""
        await self._to.write(self._page)
        await self._to.drain()
