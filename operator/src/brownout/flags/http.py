"""The HTTP side, put together: each part brings its routes, and all share one application.

There is no middleware: an evaluation passes nothing that it does not need. What a part needs of its own (who may call, which
origins may read) it asks for in its handlers.
"""

import contextlib
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from brownout.flags.board import Board
from brownout.flags.context import MAX_BODY_BYTES
from brownout.flags.health import health
from brownout.flags.metrics import Metrics
from brownout.flags.ofrep import Ofrep
from brownout.flags.service import Service
from brownout.flags.settings import Settings

STOP_SECONDS = 3.0

log = logging.getLogger(__name__)


def application(settings: Settings, board: Board, metrics: Metrics, service: Service) -> web.Application:
    """The application with every part's routes. A route that names a namespace comes after those that do not."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    for routes in (
        health(board, metrics, service),
        Ofrep(board, metrics).routes(),
    ):
        app.add_routes(routes)
    return app


@contextlib.asynccontextmanager
async def serve_http(settings: Settings, app: web.Application) -> AsyncIterator[None]:
    """Listen for as long as the context lasts. Raises OSError where the port cannot be had."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.http_port)
        await site.start()
        log.info("listening", extra={"protocol": "http", "host": settings.host, "port": runner.addresses[0][1]})
        yield
    finally:
        await runner.cleanup()
