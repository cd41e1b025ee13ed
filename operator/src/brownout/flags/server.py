"""`brownout flags serve`: the process. HTTP for applications, gRPC for providers, watches behind them."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import msgspec
from aiohttp import web
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2_grpc
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from brownout.flags.board import Board
from brownout.flags.context import MAX_BODY_BYTES
from brownout.flags.metrics import Metrics
from brownout.flags.ofrep import Ofrep
from brownout.flags.quota.endpoints import Quotas
from brownout.flags.quota.storage import IN_MEMORY, ledger_of
from brownout.flags.service import Service
from brownout.flags.sync import OPTIONS, FlagSync
from brownout.flags.watch import watch

STOP_SECONDS = 3.0
GRPC_STOP_SECONDS = 0.5
"""Calls are answered at once, and streams would not end by themselves however long one waits."""

log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says. Ports: 0 takes a free one. No namespaces means all of them.

    quota_storage: a URL, which may hold a password and is never written anywhere.
    """

    host: str = "127.0.0.1"
    http_port: int = 8080
    grpc_port: int = 8015
    namespaces: Sequence[str] = ()
    snapshot_dir: Path | None = None
    kubeconfig: str | None = None
    empty_believed_after: float = 600.0
    quota_storage: str = IN_MEMORY


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError where a port cannot be had, StorageUrlError where quotas cannot be counted."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
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
        _http(settings, board, metrics, service),
        _grpc(settings, board, metrics),
        _background(settings, service),
    ):
        await stop.wait()
        log.info("stopping")


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
async def _http(settings: Settings, board: Board, metrics: Metrics, service: Service) -> AsyncIterator[None]:
    ledger = ledger_of(settings.quota_storage, on_change=metrics.quota_available.set)
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes(Ofrep(board, metrics).routes())
    app.add_routes(Quotas(board, metrics, ledger).routes())
    app.add_routes(_health(board, metrics, service))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.http_port)
        await site.start()
        log.info("listening", extra={"protocol": "http", "host": settings.host, "port": runner.addresses[0][1]})
        yield
    finally:
        await runner.cleanup()
        await ledger.close()


@contextlib.asynccontextmanager
async def _grpc(settings: Settings, board: Board, metrics: Metrics) -> AsyncIterator[None]:
    server = grpc.aio.server(options=OPTIONS)
    sync_pb2_grpc.add_FlagSyncServiceServicer_to_server(FlagSync(board, metrics), server)
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


def _health(board: Board, metrics: Metrics, service: Service) -> list[web.RouteDef]:
    async def livez(request: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def readyz(request: web.Request) -> web.Response:
        """Ready as soon as there is any set, from the snapshot or from the API server, and for as long as the process lives."""
        age = service.heard_from.age_seconds()
        body = {
            "ready": bool(board.namespaces()) or board.complete,
            "synced": board.complete,
            "syncAgeSeconds": None if age is None else round(age, 1),
            "sets": board.versions(),
            "time": round(time.time(), 3),
        }
        return web.json_response(body, status=200 if body["ready"] else 503)

    async def prometheus(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", prometheus)]
