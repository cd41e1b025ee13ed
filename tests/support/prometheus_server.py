"""An HTTP server in the place of Prometheus, for what a real one does not do on demand: hang, flood, refuse, send elsewhere."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from brownout.observe.ask import Ask
from brownout.observe.sources import Source
from support.web_app import on_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ONE = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [1.0, "2"]}]}}


class Server:
    """Answers queries as its `handler` says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.handler: Handler = self.one

    async def one(self, _: web.Request) -> web.StreamResponse:
        """One series with the value 2."""
        return web.json_response(ONE)

    async def query(self, request: web.Request) -> web.StreamResponse:
        """The endpoint."""
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        try:
            self.asked.append(dict(await request.post()))
            self.headers.append(dict(request.headers))
            return await self.handler(request)
        finally:
            self.in_flight -= 1

    def ask(self, query: str = "up", *, limit: int = 2, **more: Any) -> Ask:
        """A question for this server."""
        return Ask(source=Source(url=self.url), query=query, lookback_seconds=60, limit=limit, **more)


@asynccontextmanager
async def listening(server: Server, context: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    """The server listens on loopback, with TLS where there is a context."""
    app = web.Application()
    app.router.add_post("/api/v1/query", server.query)
    async with on_loopback(app, context=context, shutdown_seconds=0.1) as server.url:
        yield
