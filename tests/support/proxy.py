"""A reverse proxy that a test puts between two real processes, and that it may make slow, deaf or broken while they run.

It runs in a thread with an event loop of its own, and speaks plain HTTP on loopback, whatever the process behind it speaks.
What it does to a request is what `handle` says; the proxies of this folder override it.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

T = TypeVar("T")

OF_ONE_CONNECTION = {"connection", "keep-alive", "host", "transfer-encoding", "content-length", "te", "upgrade"}
"""Headers that belong to one of the two connections (RFC 9110, section 7.6.1), or that are made anew for the other."""
CLOSING_SECONDS = 0.25
"""In which transports of TLS end; aiohttp's own advice for a graceful end."""
LARGEST_BODY = 16 * 2**20


class Proxy:
    """Forwards everything to `upstream`, a URL, as long as a `with` block. `url` is where it listens."""

    def __init__(self, upstream: str, *, trust: ssl.SSLContext | None = None) -> None:
        self._upstream = upstream
        self._trust = trust
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy of {upstream}", daemon=True)
        self._open: dict[int, web.Request] = {}
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the proxy's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def cut(self, which: Callable[[web.Request], bool] = lambda request: True) -> int:
        """Break the connections of requests under way, without a goodbye. Returns how many."""

        async def break_them() -> int:
            chosen = self.under_way(which)
            for request in chosen:
                if request.transport is not None:
                    request.transport.abort()
            return len(chosen)

        return self.do(break_them())

    def under_way(self, which: Callable[[web.Request], bool]) -> list[web.Request]:
        """The requests that are not answered to their end yet."""
        return [request for request in list(self._open.values()) if which(request)]

    async def handle(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """What becomes of a request."""
        return await self.forward(request, body)

    async def forward(
        self, request: web.Request, body: bytes, *, change: Callable[[bytes], bytes] | None = None
    ) -> web.StreamResponse:
        """Ask upstream, and pass its answer on: as it comes, or the whole of it changed."""
        async with self._session.request(
            request.method,
            self._upstream + request.raw_path,
            data=body or None,  # aiohttp gives an empty body a type, which the API server does not take
            headers=_passed(request.headers, plain=change is not None),
            allow_redirects=False,
        ) as answer:
            if change is not None:
                changed = change(await answer.read())
                return web.Response(status=answer.status, headers=_passed(answer.headers), body=changed)
            response = web.StreamResponse(status=answer.status, headers=_passed(answer.headers))
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await self.before_passing(request)
                await response.write(chunk)
            await response.write_eof()
            return response

    async def before_passing(self, request: web.Request) -> None:
        """Awaited before each piece of an answer is passed on."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._open[id(request)] = request
        try:
            return await self.handle(request, await request.read())
        except aiohttp.ClientError:  # what is behind is away, so this is too
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)  # nobody is there to hear it
        finally:
            del self._open[id(request)]

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._trust or True),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _stop(self) -> None:
        for request in self.under_way(lambda request: True):
            if request.transport is not None:
                request.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._runner.cleanup()
        await self._session.close()
        await asyncio.sleep(CLOSING_SECONDS)


def _passed(headers: Mapping[str, str], *, plain: bool = False) -> list[tuple[str, str]]:
    """The headers for the other connection; with `plain` no compression is asked for."""
    passed = [(name, value) for name, value in headers.items() if name.lower() not in OF_ONE_CONNECTION]
    if not plain:
        return passed
    return [(name, value) for name, value in passed if name.lower() != "accept-encoding"] + [
        ("Accept-Encoding", "identity")
    ]
