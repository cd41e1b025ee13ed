"""The operator's process: everything tied together, started in order, and ended in order."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial

from aiohttp import web
from kubernetes.aio.config import ConfigException
from msgspec import Struct

from brownout.act.scale import ScaleWriter
from brownout.observe.audit import Audit
from brownout.observe.namespaces import Namespaces, sentence
from brownout.observe.observer import Observer
from brownout.observe.preflight import Preflight, preflight
from brownout.observe.prometheus import Prometheus
from brownout.observe.sources import Sources
from brownout.observe.targets import ScaleReader
from brownout.observe.watch import Watch
from brownout.publish.apply import StatusWriter
from brownout.publish.events import Events
from brownout.publish.feature_flags import FeatureFlags
from brownout.publish.metrics import Metrics
from brownout.run.clock import Clock
from brownout.run.connection import Connection
from brownout.run.health import Health, serve
from brownout.run.leading import Election, candidate, lead
from brownout.run.loop import Loop
from brownout.run.waiting import first_of

log = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
RETRY_SECONDS = 3.0


class StartError(Exception):
    """What was given cannot be used; the message says what, and what to give instead."""


class Options(Struct, frozen=True, kw_only=True):
    """`namespace` is the operator's own, where Secrets are read; `watch_namespaces` limits whose objects are acted upon.

    feature_flag: the name of the FeatureFlag resource that is written in each namespace; empty: none is. election: None where this
    operator is the only one.
    """

    prometheus_url: str
    namespace: str
    instance: str
    http_host: str
    http_port: int
    tick_seconds: float = 2.0
    watch_namespaces: tuple[str, ...] = ()
    feature_flag: str = ""
    election: Election | None = None


async def run(options: Options) -> None:
    """Run until SIGTERM or SIGINT.

    Raises StartError; LeaseLostError where somebody else leads from now on; and where going on would mean not seeing changes what
    ended a watch.
    """
    stop = asyncio.Event()
    on_signals(stop.set)
    clock, metrics = Clock(), Metrics()
    health = Health(clock=clock.elapsed, tick_seconds=options.tick_seconds, page=metrics.page)
    runner = await _serve(health, options)
    try:
        connection = await _connect()
        try:
            found = await _wait_for_kinds(connection, options, health, stop=stop)
            if found is not None:
                await _decide(
                    options, connection, found, clock=clock, metrics=metrics, health=health, runner=runner, stop=stop
                )
        finally:
            await connection.close()
    finally:
        await runner.cleanup()


async def _serve(health: Health, options: Options) -> web.AppRunner:
    try:
        return await serve(health.application(), host=options.http_host, port=options.http_port)
    except OSError as error:
        where = f"{options.http_host}:{options.http_port}"
        raise StartError(f"cannot listen on {where} ({error.strerror}); give another --http-port") from error


async def _connect() -> Connection:
    try:
        return await Connection.connect()
    except ConfigException as error:
        raise StartError(f"no way to the API server ({error}); set KUBECONFIG") from error


async def _decide(
    options: Options,
    connection: Connection,
    found: Preflight,
    *,
    clock: Clock,
    metrics: Metrics,
    health: Health,
    runner: web.AppRunner,
    stop: asyncio.Event,
) -> None:
    """Put everything together, and run it until `stop` is set: the loop ends first, then the watches."""
    client = connection.client
    elector = candidate(options.election, connection, health, metrics) if options.election else None
    watch = Watch(connection.log_in, kinds=found.kinds)
    scales = ScaleReader(client, watched=[kind.kind for kind in found.kinds])

    def leave_out(namespaces: Mapping[str, str]) -> None:
        metrics.show_left_out(namespaces)
        health.left_out = "; ".join(sentence(name, why) for name, why in sorted(namespaces.items()))

    namespaces = Namespaces(
        client, watch, wanted=options.watch_namespaces, left_out=found.left_out, on_change=leave_out
    )
    prometheus = Prometheus(on_answer=metrics.answered, clock=clock)
    events = Events(client, instance=options.instance, on_drop=metrics.events_dropped.inc)
    feature_flags = FeatureFlags(
        client,
        name=options.feature_flag,
        events=events,
        clock=clock,
        on_outcome=metrics.show_feature_flags,
        on_write=metrics.feature_flag_writes.inc,
    )
    loop = Loop(
        clock=clock,
        observer=Observer(
            watch.facts,
            scales=scales,
            prometheus=prometheus,
            sources=Sources(client, namespace=options.namespace, default_url=options.prometheus_url),
            namespaces=namespaces.acted_in,
        ),
        scale=ScaleWriter(client, plural=scales.plural),
        status=StatusWriter(
            client,
            on_write=lambda kind: metrics.status_writes.labels(kind).inc(),
            on_error=lambda kind: metrics.api_errors.labels(kind).inc(),
        ),
        events=events,
        metrics=metrics,
        health=health,
        wake=watch.wake,
        tick_seconds=options.tick_seconds,
        feature_flags=feature_flags if options.feature_flag else None,
        may_decide=lambda: elector is None or elector.seconds_for_a_write() > 0,
    )
    coming_and_going = asyncio.create_task(namespaces.run())
    coming_and_going.add_done_callback(lambda _: stop.set())
    background = [
        asyncio.create_task(events.run()),
        asyncio.create_task(Audit(client, watch).run()),
        coming_and_going,
    ]
    if options.feature_flag:
        background.append(asyncio.create_task(feature_flags.run()))

    async def leave_nothing() -> None:
        """At its end kopf waits for every task that it does not know; a connection that somebody keeps is one."""
        await events.flush(FLUSH_SECONDS)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        if elector is not None:
            await elector.release()
        await prometheus.close()
        await runner.cleanup()

    async def work() -> None:
        """Decide until told to stop, as the only operator or as the one that leads."""
        await _wait_until_complete(watch, health, stop=stop)
        if elector is None:
            await loop.run(stop)
        elif await elector.campaign(stop):
            await lead(elector, loop, client, watch, stop=stop)
        if coming_and_going.done():
            coming_and_going.result()

    await _work_and_watch(work(), watch, stop=stop, when_done=leave_nothing)


async def _work_and_watch(
    work: Coroutine[None, None, None], watch: Watch, *, stop: asyncio.Event, when_done: Callable[[], Awaitable[None]]
) -> None:
    """Work while the watches run; `when_done` is called between the end of the one and of the others.

    Raises what ended either of them before `stop` was set.
    """
    watches_stop = asyncio.Event()
    working = asyncio.create_task(work)
    tasks = await watch.start(watches_stop)
    on_signals(stop.set)  # kopf has put its own there
    watching = asyncio.create_task(watch.follow(tasks))
    await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    ended = await asyncio.gather(working, return_exceptions=True)
    await when_done()
    watches_stop.set()
    await watching
    if isinstance(ended[0], Exception):
        raise ended[0]


async def _wait_until_complete(watch: Watch, health: Health, *, stop: asyncio.Event) -> None:
    """No tick before a list of each kind has been seen: what has not been looked at is not known to be empty."""
    while not (watch.complete.is_set() or stop.is_set()):
        health.alive()
        await first_of(watch.complete, stop, seconds=RETRY_SECONDS)
    if watch.complete.is_set():
        log.info("every kind has been listed")


async def _wait_for_kinds(
    connection: Connection, options: Options, health: Health, *, stop: asyncio.Event
) -> Preflight | None:
    """Wait until everything that we need is served and may be seen, saying what is lacking. None where told to stop."""
    said = ""
    while not stop.is_set():
        found = await preflight(connection.client, namespaces=options.watch_namespaces)
        health.alive()
        if not found.lacking:
            health.waiting_for = "the first list of every kind"
            return found
        health.waiting_for = "; ".join(dict.fromkeys(found.lacking))
        if health.waiting_for != said:
            said = health.waiting_for
            log.warning("waiting for %s", said)
        await first_of(stop, seconds=RETRY_SECONDS)
    return None


def on_signals(callback: Callable[[], None]) -> None:
    """Call back at SIGTERM and SIGINT."""
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, partial(_stopping, number, callback))


def _stopping(number: signal.Signals, callback: Callable[[], None]) -> None:
    log.info("%s: finishing the tick under way", number.name)
    callback()
