"""One server from start to end: listen, load, serve, drain.

It listens before it loads, so that a probe can tell a server that is loading from one that is dead; and it stops listening last, so that what it was asked is
answered.
"""

import asyncio
import gc
import logging
import os
import signal
import time

from aiohttp import web

from brownout_inference.admission import Admission, Phase
from brownout_inference.deletion_cost import DeletionCost
from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.interface import Engine
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.flags import Flags
from brownout_inference.http.app import make_app
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

LOOK_FOR_LATE_SECONDS = 0.25
"""How often what waits is looked through for requests that can no longer be in time."""


async def serve(settings: Settings, *, started: float) -> None:
    """Serves until SIGTERM or SIGINT, then drains. `started` is when the process began, on the monotonic clock.

    Raises OSError where the address cannot be had, and whatever loading the model or running the batch raises.
    """
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)

    meters = Meters(settings.workload)
    if settings.heaviest_users:
        meters.name_heaviest(settings.heaviest_users, clock=time.monotonic)
    device = PacedDevice(step_seconds=settings.step_seconds)
    queue: TierQueue[Ticket] = TierQueue(places_per_tier=settings.queue_places)
    scheduler = Scheduler(
        device=device, queue=queue, pace=Pace(settings.step_seconds), max_batch=settings.max_batch, meters=meters
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
    )
    features = {feature.api: feature for feature in settings.features}
    serving = Serving(settings=settings, admission=admission, meters=meters, flags=flags, features=features)
    app = make_app(serving)
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        shutdown_timeout=LAST_ANSWERS_SECONDS,
    )
    await runner.setup()
    connections = Connections(affordable(settings.max_connections))
    await BoundedSite(runner, settings.host, settings.port, connections).start()
    log.info("%s listens on http://%s:%d", settings.workload, settings.host, settings.port)
    flags.start()
    _declare(settings, meters)

    engine_task = asyncio.create_task(_load_and_run(settings, admission, scheduler, device, meters, started))
    stop_task = asyncio.create_task(stop.wait())
    watching = [asyncio.create_task(_watch_deadlines(admission))]
    if settings.pod:
        namespace, pod = settings.pod
        cost = DeletionCost(
            pod=pod,
            namespace=namespace,
            requests=lambda: scheduler.running + len(queue),
            every=settings.pod_deletion_cost_seconds,
        )
        watching.append(asyncio.create_task(cost.run()))
    try:
        await asyncio.wait({engine_task, stop_task}, return_when=asyncio.FIRST_COMPLETED)
        if engine_task.done():
            await engine_task  # raises what ended it
        await _drain(settings, admission, scheduler, app[JOBS])
    finally:
        admission.phase = Phase.DRAINING
        await runner.cleanup()
        await quotas.close()
        for task in (engine_task, stop_task, *watching):
            task.cancel()
        flags.stop()
        device.close()


def load_engine(settings: Settings) -> Engine:
    """Imports torch, which takes seconds, and makes the engine ready to answer. One thread is plenty for models this small.

    Loading makes a million objects that stay. Collecting garbage meanwhile costs a sixth of the time, and looking through them ever after would stop the
    event loop for a tenth of a second now and then.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    gc.disable()
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    engine: Engine
    if settings.model == "image":
        from brownout_inference.engine.image import ImageEngine

        engine = ImageEngine()
    else:
        from brownout_inference.engine.text import TextEngine

        engine = TextEngine()
    engine.warm_up(settings.max_batch)
    gc.freeze()
    gc.enable()
    return engine


async def _load_and_run(
    settings: Settings,
    admission: Admission,
    scheduler: Scheduler,
    device: PacedDevice,
    meters: Meters,
    started: float,
) -> None:
    engine = await device.call(lambda: load_engine(settings))
    if admission.phase is Phase.LOADING:
        admission.phase = Phase.SERVING
    seconds = time.monotonic() - started
    meters.loaded(seconds)
    log.info("%s is loaded after %.1f s", settings.workload, seconds)
    await scheduler.run(engine)


async def _watch_deadlines(admission: Admission) -> None:
    while True:
        await asyncio.sleep(LOOK_FOR_LATE_SECONDS)
        admission.refuse_late()


async def _drain(settings: Settings, admission: Admission, scheduler: Scheduler, jobs: Jobs) -> None:
    """Refuses what is new, finishes what is there and waits until it is fetched, for as long as the grace period lasts."""
    admission.phase = Phase.DRAINING
    log.info("draining: %d run, %d wait", scheduler.running, len(scheduler.queue))
    try:
        async with asyncio.timeout(settings.grace_seconds):
            await scheduler.until_quiet()
            await jobs.until_collected()
    except TimeoutError:
        log.warning("the grace period is over: %d ran, %d waited", scheduler.running, len(scheduler.queue))
        admission.interrupt()


def _declare(settings: Settings, meters: Meters) -> None:
    """Says in the metrics which features are answered for, and what they cost."""
    for feature in settings.features:
        meters.answers_for(feature.name)
        cost = declared_gpu_seconds(
            feature.typical_work(), step_seconds=settings.step_seconds, max_batch=settings.max_batch
        )
        meters.declared(feature.name, cost)
        log.info("a plain %s costs %.3g GPU-seconds at its best", feature.name, cost)
