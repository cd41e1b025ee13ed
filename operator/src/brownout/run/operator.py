"""The operator's process: everything tied together, started in order, and ended in order."""

import asyncio
import logging
import signal
from collections.abc import Callable
from functools import partial

from kubernetes.aio.client import CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException
from msgspec import Struct

from brownout.act.scale import ScaleWriter
from brownout.api.resources import RESOURCES
from brownout.api.schema import API_VERSION, GROUP, VERSION
from brownout.observe.audit import Audit
from brownout.observe.observer import Observer
from brownout.observe.prometheus import Prometheus
from brownout.observe.sources import Sources
from brownout.observe.targets import ScaleReader
from brownout.observe.watch import Watch
from brownout.publish.apply import StatusWriter
from brownout.publish.events import Events
from brownout.publish.metrics import Metrics
from brownout.run.clock import Clock
from brownout.run.connection import Connection
from brownout.run.health import Health, serve
from brownout.run.loop import Loop

log = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
KINDS_RETRY_SECONDS = 3.0


class Options(Struct, frozen=True, kw_only=True):
    """`namespace` is the operator's own, where Secrets are read; `watch_namespaces` limits whose objects are acted upon."""

    prometheus_url: str
    namespace: str
    instance: str
    http_host: str
    http_port: int
    tick_seconds: float = 2.0
    watch_namespaces: tuple[str, ...] = ()


async def run(options: Options) -> None:
    """Run until SIGTERM or SIGINT. Raises where going on would mean not seeing changes; whoever started it starts it again."""
    stop = asyncio.Event()
    clock, metrics = Clock(), Metrics()
    health = Health(clock=clock, tick_seconds=options.tick_seconds, page=metrics.page)
    runner = await serve(health.application(), host=options.http_host, port=options.http_port)
    connection = await Connection.connect()
    prometheus = Prometheus(on_answer=lambda result: metrics.queries.labels(result).inc())
    watch = Watch(connection.log_in)
    scales = ScaleReader(connection.client)
    events = Events(connection.client, instance=options.instance, on_drop=metrics.events_dropped.inc)
    loop = Loop(
        clock=clock,
        observer=Observer(
            watch.facts,
            scales=scales,
            prometheus=prometheus,
            sources=Sources(connection.client, namespace=options.namespace, default_url=options.prometheus_url),
            namespaces=options.watch_namespaces,
        ),
        scale=ScaleWriter(connection.client, plural=scales.plural),
        status=StatusWriter(
            connection.client,
            on_write=lambda kind: metrics.status_writes.labels(kind).inc(),
            on_error=lambda kind: metrics.api_errors.labels(kind).inc(),
        ),
        events=events,
        metrics=metrics,
        health=health,
        wake=watch.wake,
        tick_seconds=options.tick_seconds,
    )
    try:
        await _run_all(loop, watch=watch, connection=connection, events=events, health=health, stop=stop)
    finally:
        await events.flush(FLUSH_SECONDS)
        await prometheus.close()
        await connection.close()
        await runner.cleanup()


async def _run_all(
    loop: Loop, *, watch: Watch, connection: Connection, events: Events, health: Health, stop: asyncio.Event
) -> None:
    """Watch, tick and post until told to stop: the tick under way first, then the watches."""
    asked = asyncio.Event()
    asked_task = asyncio.create_task(asked.wait())
    _on_signals(asked.set)
    ready = asyncio.create_task(_kinds_are_served(connection, health))
    posting = asyncio.create_task(events.run())
    auditing = asyncio.create_task(Audit(connection.client, watch).run())
    try:
        await asyncio.wait((ready, asked_task), return_when=asyncio.FIRST_COMPLETED)
        if asked.is_set():
            return
        deciding = asyncio.create_task(_tick_when_complete(loop, watch, stop=asked))
        tasks = await watch.start(stop)
        _on_signals(asked.set)  # kopf has put its own there
        watching = asyncio.create_task(watch.follow(tasks))
        await asyncio.wait((deciding, watching), return_when=asyncio.FIRST_COMPLETED)
        asked.set()
        decided = await asyncio.gather(deciding, return_exceptions=True)
        stop.set()
        await watching
        if isinstance(decided[0], Exception):
            raise decided[0]
    finally:
        for task in (asked_task, ready, posting, auditing):
            task.cancel()
        await asyncio.gather(asked_task, ready, posting, auditing, return_exceptions=True)


async def _tick_when_complete(loop: Loop, watch: Watch, *, stop: asyncio.Event) -> None:
    """No tick before a list of each kind has been seen: what has not been looked at is not known to be empty."""
    complete = asyncio.create_task(watch.complete.wait())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((complete, stopped), return_when=asyncio.FIRST_COMPLETED)
    complete.cancel()
    stopped.cancel()
    if not stop.is_set():
        log.info("every kind has been listed; deciding")
        await loop.run(stop)


async def _kinds_are_served(connection: Connection, health: Health) -> None:
    """Wait until the API server serves all our kinds: kopf would go on without those that it does not find at the start."""
    objects = CustomObjectsApi(connection.client)
    said = ""
    while True:
        health.alive()
        try:
            listed = await objects.get_api_resources(GROUP, VERSION, _request_timeout=5.0)
            lacking = sorted({r.plural for r in RESOURCES} - {resource.name for resource in listed.resources})
        except ApiException as error:
            lacking = (
                sorted(r.plural for r in RESOURCES) if error.status == 404 else [f"an answer (HTTP {error.status})"]
            )
        except Exception as error:
            lacking = [f"the API server ({type(error).__name__})"]
        if not lacking:
            return
        text = f"{API_VERSION}: {', '.join(lacking)}; install the chart's CustomResourceDefinitions"
        health.waiting_for = text
        if text != said:
            log.warning("waiting for %s", text)
            said = text
        await asyncio.sleep(KINDS_RETRY_SECONDS)


def _on_signals(callback: Callable[[], None]) -> None:
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, partial(_stopping, number, callback))


def _stopping(number: signal.Signals, callback: Callable[[], None]) -> None:
    log.info("%s: finishing the tick under way", number.name)
    callback()
