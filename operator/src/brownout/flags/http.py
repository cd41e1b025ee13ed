"""The HTTP side, put together: each part brings its routes, and all share one application.

There is no middleware: an evaluation passes nothing that it does not need, and as a rule not even the router (`fast_path`). What a
part needs of its own (who may call, which origins may read) it asks for in its handlers.
"""

import contextlib
import logging
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client import CollectorRegistry

from brownout.flags.board import Board
from brownout.flags.callers import Callers
from brownout.flags.connections import Connections
from brownout.flags.context import MAX_BODY_BYTES
from brownout.flags.cors import Cors
from brownout.flags.events import Events
from brownout.flags.fast_path import FastPath
from brownout.flags.front import front
from brownout.flags.health import health
from brownout.flags.metrics import Metrics
from brownout.flags.notices import Notices
from brownout.flags.ofrep import Ofrep
from brownout.flags.openapi import openapi
from brownout.flags.pages.site import StatusPages
from brownout.flags.quota.callers import by_callers
from brownout.flags.quota.endpoints import Quotas, as_sent
from brownout.flags.quota.storage import ledger_of
from brownout.flags.service import Service
from brownout.flags.settings import Settings

STOP_SECONDS = 3.0

FAST_PATH = web.AppKey("fast_path", FastPath)
"""What stands before the application wherever it listens."""

log = logging.getLogger(__name__)


def application(
    settings: Settings, board: Board, metrics: Metrics, service: Service, pages: StatusPages | None = None
) -> web.Application:
    """The application with every part's routes, what is asked most first: the router tries `/{namespace}/...` one by one.

    Raises OSError or UnreadableKeysError where a file of keys cannot be read, ValueError for an origin that is none, StorageUrlError where quotas cannot
    be counted.
    """
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    notices = Notices(board, metrics, spread_seconds=settings.notice_spread_seconds, most=settings.most_event_streams)
    events = Events(board, metrics, notices)
    events.attach(app)
    callers = Callers(settings.callers, metrics, keep_in=settings.snapshot_dir)
    callers.start()
    ledger = ledger_of(
        settings.quota_storage,
        on_change=metrics.quota_available.set,
        turned_away=metrics.quota_turned_away.inc,
    )
    resolve = as_sent if callers.anybody else by_callers(callers, board)
    app.cleanup_ctx.append(callers.background)
    ofrep = Ofrep(board, metrics, notices, callers, public_url=settings.public_url)
    for_pages = [*ofrep.routes(), *events.routes(), *Quotas(board, metrics, ledger, resolve=resolve).routes()]
    parts = (
        for_pages,
        health(board, metrics, service, named=settings.callers.trust_context),
        openapi(settings),
        pages.routes() if pages else [],
        front(settings, board),
    )
    for routes in parts:
        app.add_routes(routes)
    cors = Cors(settings.cors_origins)
    cors.attach(app, (route.path for route in for_pages))
    app[FAST_PATH] = FastPath(ofrep, cors)
    app.on_cleanup.append(lambda _: ledger.close())
    return app


@contextlib.asynccontextmanager
async def serve_http(
    settings: Settings, app: web.Application, *, registry: CollectorRegistry | None = None
) -> AsyncIterator[int]:
    """Listen for as long as the context lasts; gives the port. Raises OSError where the port cannot be had."""
    connections = Connections(settings.limits, registry=registry)
    async with listening(
        app, host=settings.host, port=settings.http_port, protocol="http", connections=connections
    ) as port:
        yield port


@contextlib.asynccontextmanager
async def listening(
    app: web.Application, *, host: str, port: int, protocol: str, connections: Connections
) -> AsyncIterator[int]:
    """An application on a port; `protocol` is what the log calls it. Raises OSError where the port cannot be had."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS, handler_cancellation=True)
    await runner.setup()
    if runner.server is not None and (fast_path := app.get(FAST_PATH)) is not None:
        runner.server.request_handler = fast_path.before(runner.server.request_handler)
    try:
        async with connections.listening(runner, host, port) as had:
            log.info("listening", extra={"protocol": protocol, "host": host, "port": had})
            yield had
    finally:
        await runner.cleanup()
