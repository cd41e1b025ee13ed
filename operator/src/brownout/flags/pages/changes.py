"""News for the console as server-sent events: that its state is another one now, never what it is, so that a slow reader misses
nothing.

It has a handful of readers on a listener of its own, and each has a coroutine. What is told to many goes by `flags.notices`.
"""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec
from aiohttp import web

from brownout.flags.pages.answers import HEADERS

ALIVE_SECONDS = 20.0
"""A comment goes out after so long a silence: proxies end what is silent, and a dead connection is found out."""
LOOK_SECONDS = 1.0
"""The version is asked for this often besides: what has changed may be told with a delay, and moments pass."""
COALESCE_SECONDS = 0.5
"""The least time between two notices: a flood of changes is one."""
RETRY_MILLISECONDS = 2_000


class Changes:
    """Wakes whoever waits for a change. Take the event before looking, and nothing is missed."""

    def __init__(self) -> None:
        self.closed = False
        self.event = asyncio.Event()

    def tell(self) -> None:
        told, self.event = self.event, asyncio.Event()
        told.set()

    def close(self) -> None:
        """Wake everybody for the last time."""
        self.closed = True
        self.tell()


async def news(request: web.Request, changes: Changes, version: Callable[[], str]) -> web.StreamResponse:
    """Say the version now, and each other one as it comes, until either side ends."""
    headers = {**HEADERS, "Cache-Control": "no-store", "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    sent, silent = request.headers.get("Last-Event-ID", ""), 0.0
    with contextlib.suppress(ConnectionError):
        await response.write(f"retry: {RETRY_MILLISECONDS}\n\n".encode())
        while not changes.closed:
            event = changes.event
            if (now := version()) != sent:
                sent = now
                await response.write(b"id: %b\ndata: %b\n\n" % (now.encode(), msgspec.json.encode({"version": now})))
                await asyncio.sleep(COALESCE_SECONDS)
                continue
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await event.wait()
            except TimeoutError:
                silent += LOOK_SECONDS
                if silent >= ALIVE_SECONDS:
                    silent = 0.0
                    await response.write(b": alive\n\n")
    return response
