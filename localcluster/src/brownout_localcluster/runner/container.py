"""One container: its process, its probes, its restarts."""

import asyncio
import contextlib
import datetime
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from brownout_localcluster.errors import ApiError
from brownout_localcluster.processes import Process
from brownout_localcluster.runner.environment import ConfigurationError
from brownout_localcluster.runner.images import UnknownImageError
from brownout_localcluster.runner.probes import Tally, Target, Timing, check
from brownout_localcluster.runner.status import ContainerState

Manifest = dict[str, Any]

BACK_OFF_LIMIT_SECONDS = 30.0
"""The kubelet starts at 10 s and goes up to 300; tests and demos cannot wait that long."""
BACK_OFF_RESET_SECONDS = 60.0
RETRY_CONFIGURATION_SECONDS = 1.0
LIVENESS_GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What is executed for a container. `here` finds mount paths and Services in a text, for commands of probes and hooks."""

    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    here: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container needs of its pod. `prepare` raises ConfigurationError or UnknownImageError; `changed` reports new state."""

    address: str
    restart_policy: str
    logs: Path
    never_ready: bool
    fails: bool
    session: aiohttp.ClientSession
    prepare: Callable[[Manifest], Awaitable[Launch]]
    changed: Callable[[], None]


class Container:
    """Runs one container of a pod until its restart policy says that it is done."""

    def __init__(self, spec: Manifest, around: Surroundings) -> None:
        self._spec = spec
        self._around = around
        self._process: Process | None = None
        self._started_at = datetime.datetime.now(datetime.UTC)
        self.state = ContainerState(name=spec["name"], image=spec["image"])

    async def run(self) -> None:
        """Starts it, and again when it ends, as the restart policy says. Cancelling leaves the process to `stop`."""
        back_off = 0.0
        while True:
            began = time.monotonic()
            await self._run_once()
            policy = self._around.restart_policy
            if policy == "Never" or (policy == "OnFailure" and self.state.exit_code == 0):
                self.state.finished = True
                self._around.changed()
                return
            self._around.changed()
            back_off = 0.0 if time.monotonic() - began > BACK_OFF_RESET_SECONDS else back_off
            if back_off:
                self.state.waiting("CrashLoopBackOff", f"back-off {back_off:.0f}s restarting failed container")
                self._around.changed()
                await asyncio.sleep(back_off)
            back_off = min(max(1.0, 2 * back_off), BACK_OFF_LIMIT_SECONDS)
            self.state.restarting()

    async def stop(self, grace_seconds: float) -> None:
        """Ends its process: the preStop hook, SIGTERM, and SIGKILL once `grace_seconds` are over in all."""
        process = self._process
        if process is None or not process.alive:
            return
        began = time.monotonic()
        with contextlib.suppress(
            TimeoutError, ConfigurationError, UnknownImageError, ApiError, aiohttp.ClientError, OSError
        ):
            async with asyncio.timeout(grace_seconds):
                await self._pre_stop()
        status = await process.stop(max(0.0, grace_seconds - (time.monotonic() - began)))
        self.state.terminated(status, self._started_at, _now())
        self.state.finished = True

    async def _run_once(self) -> None:
        launch = await self._launch()
        self._started_at = _now()
        log = self._around.logs / self.state.name / f"{self.state.restart_count}.log"
        try:
            self._process = Process.start(
                ["false"] if self._around.fails else launch.command,
                log=log,
                environment=launch.environment,
                folder=launch.folder,
            )
        except OSError as error:
            message = f"failed to start {launch.command[0]!r}: {error.strerror}"
            self.state.terminated(128, self._started_at, _now(), "StartError", message)
            return
        self.state.running(self._started_at, self._process.pid)
        self._around.changed()
        probing = asyncio.create_task(self._probe(self._process, launch))
        try:
            status = await self._process.wait()
        finally:
            probing.cancel()
        message = "the annotation localcluster.brownout.dev/fail makes it fail" if self._around.fails else ""
        self.state.terminated(status, self._started_at, _now(), message=message)

    async def _launch(self) -> Launch:
        while True:
            try:
                return await self._around.prepare(self._spec)
            except UnknownImageError as error:
                self.state.waiting("ErrImagePull", str(error))
            except (ConfigurationError, ApiError) as error:
                self.state.waiting("CreateContainerConfigError", str(error))
            except (aiohttp.ClientError, TimeoutError) as error:
                self.state.waiting("CreateContainerConfigError", f"the API server does not answer: {error!r}")
            self._around.changed()
            await asyncio.sleep(RETRY_CONFIGURATION_SECONDS)

    async def _probe(self, process: Process, launch: Launch) -> None:
        """Asks the startup probe until it succeeds, then readiness and liveness for ever; kills what is not alive."""
        target = Target(
            address=self._around.address,
            ports={port["name"]: port["containerPort"] for port in self._spec.get("ports", []) if "name" in port},
            run=lambda command, timeout: _succeeds(command, launch, self._around.logs / "probes.log", timeout),
            session=self._around.session,
        )
        startup, readiness, liveness = (self._spec.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness"))
        if startup and not await self._until_started(startup, target):
            await self._kill(process)
            return
        self.state.started = True
        self.state.ready = readiness is None and not self._around.never_ready
        self._around.changed()
        watches = []
        if readiness and not self._around.never_ready:
            watches.append(self._watch_readiness(readiness, target))
        if liveness:
            watches.append(self._watch_liveness(liveness, target, process))
        await asyncio.gather(*watches)

    async def _until_started(self, probe: Manifest, target: Target) -> bool:
        tally = Tally(Timing.of(probe), verdict=False)
        await asyncio.sleep(tally.timing.initial_delay)
        while True:
            if tally.count(await check(probe, target)):
                return tally.verdict
            await asyncio.sleep(tally.timing.period)

    async def _watch_readiness(self, probe: Manifest, target: Target) -> None:
        tally = Tally(Timing.of(probe), verdict=False)
        await asyncio.sleep(tally.timing.initial_delay)
        while True:
            tally.count(await check(probe, target))
            if self.state.ready != tally.verdict:
                self.state.ready = tally.verdict
                self._around.changed()
            # The kubelet too asks an unready container more often than its period at first, so that it serves early.
            await asyncio.sleep(tally.timing.period if tally.verdict else min(1.0, tally.timing.period))

    async def _watch_liveness(self, probe: Manifest, target: Target, process: Process) -> None:
        tally = Tally(Timing.of(probe), verdict=True)
        await asyncio.sleep(tally.timing.initial_delay)
        while True:
            if tally.count(await check(probe, target)) and not tally.verdict:
                await self._kill(process)
                return
            await asyncio.sleep(tally.timing.period)

    async def _kill(self, process: Process) -> None:
        # Shielded, because the end of the process cancels its probes, and we are one of them.
        await asyncio.shield(asyncio.ensure_future(process.stop(LIVENESS_GRACE_SECONDS)))

    async def _pre_stop(self) -> None:
        hook = self._spec.get("lifecycle", {}).get("preStop", {})
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook:
            launch = await self._around.prepare(self._spec)
            await _succeeds(hook["exec"]["command"], launch, self._around.logs / "probes.log", None)


async def _succeeds(command: list[str], launch: Launch, log: Path, timeout: float | None) -> bool:
    process = Process.start(
        [launch.here(part) for part in command], log=log, environment=launch.environment, folder=launch.folder
    )
    try:
        async with asyncio.timeout(timeout):
            return await process.wait() == 0
    finally:
        if process.alive:
            process.kill_group()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
