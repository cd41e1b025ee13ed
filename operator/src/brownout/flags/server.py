"""`brownout flags serve`: the process. HTTP for applications, gRPC for providers, watches behind them."""

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import AsyncIterator

import grpc
import msgspec

from brownout.flags.board import Board
from brownout.flags.collector import freeze_what_stays
from brownout.flags.connections import Connections, open_files
from brownout.flags.http import application, listening, serve_http
from brownout.flags.metrics import Heard, Metrics
from brownout.flags.pages.console import Console
from brownout.flags.pages.seen import Seen
from brownout.flags.pages.site import StatusPages
from brownout.flags.service import Service
from brownout.flags.settings import Settings
from brownout.flags.sync import OPTIONS, FlagSync
from brownout.flags.watch import Login, watch

GRPC_STOP_SECONDS = 0.5
"""Calls are answered at once, and streams would not end by themselves however long one waits."""

MOST_OPERATORS = 256
"""Connections to the console, streams of its news included."""

log = logging.getLogger(__name__)


async def serve(settings: Settings, login: Login) -> None:
    """Serve until SIGTERM or SIGINT; `login` makes a client of the API server whenever one is needed.

    Raises OSError where a port cannot be had, StorageUrlError where quotas cannot be counted.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    allow_open_files(open_files(settings.limits) + settings.most_event_streams)
    board, metrics, heard_from = Board(settings.namespaces or [""]), Metrics(), Heard()
    pages = StatusPages(board, heard_from, namespaces=settings.namespaces) if settings.status_page else None
    console = None
    if settings.console_port is not None:
        console = Console(heard_from, namespaces=settings.namespaces, host_names=settings.console_host_names)
    watching = [part for part in (pages, console) if part is not None]
    service = Service(
        board=board,
        metrics=metrics,
        namespaces=settings.namespaces,
        snapshot_dir=settings.snapshot_dir,
        empty_believed_after=settings.empty_believed_after,
        heard_from=heard_from,
        believed=[part.believe for part in watching],
    )
    service.restore()
    app = application(settings, board, metrics, service, pages)
    async with (
        serve_http(settings, app, registry=metrics.registry),
        _grpc(settings, board, metrics),
        _console(settings, console),
        _background(login, service, *(part.seen for part in watching)),
    ):
        await stop.wait()
        log.info("stopping")


def allow_open_files(needed: int) -> None:
    """As many as the process may have: every connection is one, and the usual limit (1,024) is for programs that use select()."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < needed:
        sentence = "fewer files may be open (ulimit -Hn) than connections and streams are allowed; without them nobody new is heard"
        log.warning(sentence, extra={"allowed": most, "needed": needed})


@contextlib.asynccontextmanager
async def _console(settings: Settings, console: Console | None) -> AsyncIterator[None]:
    """The console, on a port of its own, where one is given. Users are served without it, if need be."""
    async with contextlib.AsyncExitStack() as open_for_now:
        if console is not None and settings.console_port is not None:
            own = listening(
                console.application(),
                host=settings.console_host,
                port=settings.console_port,
                protocol="console",
                connections=Connections(
                    msgspec.structs.replace(settings.limits, most=MOST_OPERATORS, most_per_address=0)
                ),
            )
            try:
                await open_for_now.enter_async_context(own)
            except OSError as error:
                log.error("no console: its port cannot be had", extra={"reason": str(error)})
        yield


@contextlib.asynccontextmanager
async def _background(login: Login, service: Service, *seen: Seen) -> AsyncIterator[None]:
    """The watches, the renderer and the snapshot's writer."""
    jobs = [freeze_what_stays(service.board), service.run()]
    listeners: list[Service | Seen] = [service, *seen]
    for listener in listeners:
        jobs += [watch(part, login=login, listener=listener) for part in listener.parts]
    if service.writer is not None:
        jobs.append(service.writer.run())
    tasks = [asyncio.create_task(job) for job in jobs]
    for task in tasks:
        task.add_done_callback(_never_silently)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if service.writer is not None:
            await service.writer.flush()


def _never_silently(task: asyncio.Task[None]) -> None:
    """A background job that ends by itself is a defect; what is known goes on being served, and the log says so."""
    if not task.cancelled() and (error := task.exception()):
        log.critical("a background job ended", exc_info=error)


def authority(host: str, port: int) -> str:
    """A name or address with a port, as gRPC and URLs write it: an address of IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


@contextlib.asynccontextmanager
async def _grpc(settings: Settings, board: Board, metrics: Metrics) -> AsyncIterator[None]:
    server = grpc.aio.server(options=OPTIONS)
    FlagSync(board, metrics).add_to(server)
    where = authority(settings.host, settings.grpc_port)
    try:
        port = server.add_insecure_port(where)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {where}: {error}; name another by --grpc-port") from None
    await server.start()
    log.info("listening", extra={"protocol": "grpc", "host": settings.host, "port": port})
    try:
        yield
    finally:
        await server.stop(GRPC_STOP_SECONDS)
