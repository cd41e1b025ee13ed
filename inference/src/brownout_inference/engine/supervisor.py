"""Keeps an engine running: loads it, serves with it, and starts another when it is lost.

Whoever the lost engine held is answered at once that another try makes sense. Who waits is kept for as long as a quick restart takes, and answered then. The first
restart is at once, the next ones after pauses that grow; an engine that is lost too often within a time is beyond help from here, and the server ends, so that
whoever runs it (the kubelet) takes over with what a new container brings.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from brownout_inference.engine.interface import Progress
from brownout_inference.engine.messages import Advance, Advanced, Loaded
from brownout_inference.engine.process import EngineError, EngineGoneError, EngineLostError
from brownout_inference.engine.scheduler import Scheduler

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
MOST_LOSSES = 5
LOSSES_SECONDS = 600.0
"""The server ends when it loses more than this many engines within this time."""

PATIENCE_SECONDS = 15.0
"""What waits is kept for so long without an engine."""


class EngineLife(Protocol):
    """One life of the engine."""

    def tell(self, asked: Advance) -> None: ...

    def report(self) -> "asyncio.Future[Advanced]": ...

    async def load(self, progress: Progress) -> Loaded: ...

    async def until_gone(self) -> None:
        """Raises EngineGoneError when the engine has ended, whether or not something is asked of it."""

    async def close(self) -> str: ...


@dataclass
class EngineState:
    """What is said about the engine to whoever asks for readiness. `part` of all loading is done, 0..1."""

    what: str = "starting"
    part: float = 0.0
    ready: bool = False

    def __str__(self) -> str:
        return "ready" if self.ready else f"{self.what}, {self.part:.0%}"


class Supervisor:
    """Runs engines one after the other. `first` has been started already, because importing torch takes longer than all else."""

    def __init__(
        self,
        *,
        start: Callable[[], EngineLife],
        first: EngineLife,
        scheduler: Scheduler,
        on_ready: Callable[[Loaded], None],
        on_lost: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.state = EngineState()
        self._start = start
        self._engine: EngineLife | None = first
        self._scheduler = scheduler
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._clock = clock
        self._sleep = sleep
        self._losses: deque[float] = deque()

    async def run(self) -> None:
        """Serves until cancelled. Raises LoadError where the engine can never be loaded, EngineLostError where it was lost too often."""
        giving_up: asyncio.Task[None] | None = None
        while True:
            try:
                await self._live(giving_up)
            except EngineGoneError as error:
                if giving_up is None or giving_up.done():
                    giving_up = asyncio.create_task(self._lose_patience())
                await self._lost(error)

    async def close(self) -> None:
        """Ends the engine that there is."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    async def _live(self, giving_up: "asyncio.Task[None] | None") -> None:
        if self._engine is None:
            self.state.what, self.state.part = "starting", 0.0
            self._engine = self._start()
        loaded = await self._engine.load(self._progress)
        if giving_up is not None:
            giving_up.cancel()
        self._scheduler.fits(loaded.slots, loaded.memory)
        self.state.ready = True
        self._on_ready(loaded)
        serving = asyncio.create_task(self._scheduler.run(self._engine))
        gone = asyncio.create_task(self._engine.until_gone())
        try:
            done, _ = await asyncio.wait({serving, gone}, return_when=asyncio.FIRST_COMPLETED)
            await done.pop()
        finally:
            for task in (serving, gone):
                task.cancel()
            await asyncio.gather(serving, gone, return_exceptions=True)

    async def _lost(self, error: EngineGoneError) -> None:
        now = self._clock()
        self._losses.append(now)
        while self._losses[0] < now - LOSSES_SECONDS:
            self._losses.popleft()
        self.state.ready = False
        self._on_lost()
        self._scheduler.lose(
            EngineError("The engine was lost while it worked on this request.", retry_after_seconds=PATIENCE_SECONDS)
        )
        engine, self._engine = self._engine, None
        ended = await engine.close() if engine is not None else ""
        log.error("the engine is lost: %s (%s)", error, ended)
        if len(self._losses) > MOST_LOSSES:
            raise EngineLostError(f"the engine was lost {len(self._losses)} times in {LOSSES_SECONDS:g} s: {error}")
        if pause := self._pause():
            self.state.what = f"restarting in {pause:g} s"
            await self._sleep(pause)

    def _pause(self) -> float:
        before = len(self._losses) - 1
        return min(FIRST_PAUSE_SECONDS * 2 ** (before - 1), LONGEST_PAUSE_SECONDS) if before else 0.0

    async def _lose_patience(self) -> None:
        await self._sleep(PATIENCE_SECONDS)
        self._scheduler.give_up_waiting(
            EngineError("The engine is being restarted.", retry_after_seconds=PATIENCE_SECONDS)
        )

    def _progress(self, what: str, part: float) -> None:
        self.state.what, self.state.part = what, part
        log.info("loading %s: %.0f %% are done", what, 100 * part)
