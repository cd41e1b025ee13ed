"""`brownout flags serve`: the process. HTTP for applications, gRPC for providers, watches behind them."""

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import AsyncIterator

import grpc

from brownout.flags.board import Board
from brownout.flags.http import application, serve_http
from brownout.flags.metrics import Metrics
from brownout.flags.service import Service
from brownout.flags.settings import Settings
from brownout.flags.sync import OPTIONS, FlagSync
from brownout.flags.watch import watch

GRPC_STOP_SECONDS = 0.5
"""Calls are answered at once, and streams would not end by themselves however long one waits."""

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError where a port cannot be had, StorageUrlError where quotas cannot be counted."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _allow_open_files()
    board, metrics = Board(), Metrics()
    service = Service(
        board=board,
        metrics=metrics,
        namespaces=settings.namespaces,
        snapshot_dir=settings.snapshot_dir,
        empty_believed_after=settings.empty_believed_after,
    )
    service.restore()
    async with (
        serve_http(settings, application(settings, board, metrics, service)),
        _grpc(settings, board, metrics),
        _background(settings, service),
    ):
        await stop.wait()
        log.info("stopping")


def _allow_open_files() -> None:
    """As many as the process may have: every stream is one, and the usual limit (1,024) is for programs that use select()."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.asynccontextmanager
async def _background(settings: Settings, service: Service) -> AsyncIterator[None]:
    """The watches, the renderer and the snapshot's writer."""
    jobs = [service.run(), *(watch(part, kubeconfig=settings.kubeconfig, listener=service) for part in service.parts)]
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


@contextlib.asynccontextmanager
async def _grpc(settings: Settings, board: Board, metrics: Metrics) -> AsyncIterator[None]:
    server = grpc.aio.server(options=OPTIONS)
    FlagSync(board, metrics).add_to(server)
    try:
        port = server.add_insecure_port(f"{settings.host}:{settings.grpc_port}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {settings.host}:{settings.grpc_port}: {error}") from None
    await server.start()
    log.info("listening", extra={"protocol": "grpc", "host": settings.host, "port": port})
    try:
        yield
    finally:
        await server.stop(GRPC_STOP_SECONDS)
