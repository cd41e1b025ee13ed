"""One server from start to end: listen, load, serve, drain.

It listens before it loads, so that a probe can tell a server that is loading from one that is dead; and it stops listening last, so that what it was asked is
answered.
"""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable

from aiohttp import web

from brownout_inference.admission import Admission, Phase
from brownout_inference.deletion_cost import DeletionCost
from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.messages import Loaded
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.engine.supervisor import EngineLife, Supervisor
from brownout_inference.flags import Flags
from brownout_inference.http.app import make_app, make_metrics_app
from brownout_inference.http.connections import KEEP_ALIVE_SECONDS, BoundedSite, Connections, affordable
from brownout_inference.http.context import Serving
from brownout_inference.http.jobs import JOBS, Jobs
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.quota import Quotas
from brownout_inference.settings import Settings
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue
from brownout_inference.work import declared_gpu_seconds

log = logging.getLogger(__name__)

LAST_ANSWERS_SECONDS = 5.0
"""How long answers that are ready may take to reach their clients when the server stops."""

MOST_METRICS_CONNECTIONS = 50
"""Open connections at `--metrics-port`, which is for a few Prometheuses."""

STOPPING = (signal.SIGTERM, signal.SIGINT)

LOOK_FOR_LATE_SECONDS = 0.25
"""How often what waits is looked through for requests that can no longer be in time."""


async def serve(
    settings: Settings, *, started: float, start_engine: Callable[[], EngineLife], first_engine: EngineLife
) -> None:
    """Serves until SIGTERM or SIGINT, then drains. `started` is when the process began, on the monotonic clock; the first engine is loading already.

    Raises OSError where the address cannot be had, LoadError where the model cannot, and EngineLostError where the engine was lost too often.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in STOPPING:
        loop.add_signal_handler(signum, stop.set)

    meters = Meters(settings.workload)
    if settings.heaviest_users:
        meters.name_heaviest(settings.heaviest_users, clock=time.monotonic)
    device = PacedDevice(step_seconds=settings.step_seconds)
    queue: TierQueue[Ticket] = TierQueue(places_per_tier=settings.queue_places)
    scheduler = Scheduler(
        device=device,
        queue=queue,
        pace=Pace(settings.step_seconds),
        max_batch=settings.max_batch,
        pause_slots=settings.pause_slots,
        company_slack=settings.company_slack,
        meters=meters,
    )
    meters.watch(scheduler)
    flags = Flags(settings.flags, meters=meters, on_change=lambda: admission.reconsider())
    quotas = Quotas(settings.quota, meters=meters)
    admission = Admission(
        judge=flags.verdict,
        quotas=quotas,
        scheduler=scheduler,
        meters=meters,
        clock=device.clock,
        queue_seconds=settings.queue_seconds,
    )

    def ready(loaded: Loaded) -> None:
        if admission.phase is Phase.LOADING:
            admission.phase = Phase.SERVING
        if scheduler.losses:
            log.info("%s is ready again", settings.workload)
            return
        seconds = time.monotonic() - started
        meters.loaded(seconds)
        _declare(settings, scheduler, meters)
        log.info("%s is ready after %.1f s with %d slots", settings.workload, seconds, loaded.slots)

    def lost() -> None:
        if admission.phase is Phase.SERVING:
            admission.phase = Phase.LOADING

    supervisor = Supervisor(
        start=start_engine, first=first_engine, scheduler=scheduler, on_ready=ready, on_lost=lost, clock=device.clock
    )
    features = {feature.api: feature for feature in settings.features}
    serving = Serving(
        settings=settings,
        admission=admission,
        meters=meters,
        flags=flags,
        features=features,
        engine=supervisor.state,
    )
    app = make_app(serving)
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        shutdown_timeout=LAST_ANSWERS_SECONDS,
    )
    runners = [runner]
    connections = Connections(affordable(settings.max_connections), registry=meters.registry)
    await runner.setup()
    await _listen(BoundedSite(runner, settings.host, settings.port, connections), settings, "--port", settings.port)
    log.info("%s listens on http://%s:%d", settings.workload, settings.host, settings.port)
    if settings.metrics_port is not None:
        metrics = web.AppRunner(make_metrics_app(serving), access_log=None, shutdown_timeout=LAST_ANSWERS_SECONDS)
        runners.append(metrics)
        await metrics.setup()
        site = BoundedSite(metrics, settings.host, settings.metrics_port, Connections(MOST_METRICS_CONNECTIONS))
        await _listen(site, settings, "--metrics-port", settings.metrics_port)
    flags.start()
    _declare(settings, scheduler, meters)
    gc.freeze()  # what is there now stays; looking through it again and again would stop the event loop for a moment each time

    engine_task = asyncio.create_task(supervisor.run())
    stop_task = asyncio.create_task(stop.wait())
    watching = [asyncio.create_task(_watch_deadlines(admission))]
    if settings.pod:
        namespace, pod = settings.pod
        cost = DeletionCost(
            pod=pod,
            namespace=namespace,
            requests=lambda: scheduler.running + scheduler.paused + len(queue),
            every=settings.pod_deletion_cost_seconds,
        )
        watching.append(asyncio.create_task(cost.run()))
    try:
        await asyncio.wait({engine_task, stop_task}, return_when=asyncio.FIRST_COMPLETED)
        if not engine_task.done():
            await _drain(settings, admission, scheduler, app[JOBS], engine_task)
        if engine_task.done():
            admission.phase = Phase.DRAINING
            admission.interrupt()
            await engine_task  # raises what ended it
    finally:
        admission.phase = Phase.DRAINING
        await asyncio.gather(*(each.cleanup() for each in runners))
        await quotas.close()
        for task in (engine_task, stop_task, *watching):
            task.cancel()
        await asyncio.gather(engine_task, return_exceptions=True)
        await supervisor.close()
        flags.stop()
        for signum in STOPPING:
            loop.remove_signal_handler(signum)
            signal.signal(signum, signal.SIG_IGN)  # one more while Python ends changes nothing


async def _listen(site: BoundedSite, settings: Settings, option: str, port: int) -> None:
    try:
        await site.start()
    except OSError as error:
        found = f"--host is {settings.host!r}, {option} is {port}: {error.strerror or error}"
        raise OSError(f"{found}; write an address of this machine, and a port that is free") from error


async def _watch_deadlines(admission: Admission) -> None:
    while True:
        await admission.until_busy()
        await asyncio.sleep(LOOK_FOR_LATE_SECONDS)
        admission.refuse_late()


async def _drain(
    settings: Settings, admission: Admission, scheduler: Scheduler, jobs: Jobs, engine: "asyncio.Task[None]"
) -> None:
    """Refuses what is new, finishes what is there and waits until it is fetched, for as long as the grace period lasts and there is an engine to be had."""
    admission.phase = Phase.DRAINING
    log.info("draining: %d run, %d are paused, %d wait", scheduler.running, scheduler.paused, len(scheduler.queue))
    finished = asyncio.create_task(_until_finished(scheduler, jobs))
    await asyncio.wait({finished, engine}, timeout=settings.grace_seconds, return_when=asyncio.FIRST_COMPLETED)
    if finished.done():
        return
    finished.cancel()
    log.warning("the time is over: %d ran, %d waited", scheduler.running + scheduler.paused, len(scheduler.queue))
    admission.interrupt()


async def _until_finished(scheduler: Scheduler, jobs: Jobs) -> None:
    await scheduler.until_quiet()
    await jobs.until_collected()


def _declare(settings: Settings, scheduler: Scheduler, meters: Meters) -> None:
    """Says in the metrics which features are answered for, and what they cost."""
    for feature in settings.features:
        meters.answers_for(feature.flag_key)
        cost = declared_gpu_seconds(
            feature.typical_work(), step_seconds=settings.step_seconds, max_batch=scheduler.max_batch
        )
        if settings.step_seconds > 0:
            meters.declared(feature.flag_key, cost)
            log.info("a plain %s costs %.3g GPU-seconds at its best", feature.flag_key, cost)
        else:
            log.info("what a plain %s costs is not declared: steps take as long as they take", feature.flag_key)
