"""An aiohttp application on a port of loopback, for as long as a test needs it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def on_loopback(
    app: web.Application, *, port: int = 0, context: ssl.SSLContext | None = None, shutdown_seconds: float = 60.0
) -> AsyncIterator[str]:
    """The URL, without a path: of a free port unless one is given, with TLS where there is a `context`."""
    runner = web.AppRunner(app, shutdown_timeout=shutdown_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
