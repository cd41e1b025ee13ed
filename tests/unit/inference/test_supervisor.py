"""What becomes of the server when its engine is lost, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.interface import Memory, Progress
from brownout_inference.engine.load import LoadError
from brownout_inference.engine.messages import Loaded
from brownout_inference.engine.process import EngineError, EngineGoneError, EngineLostError
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.engine.supervisor import MOST_LOSSES, PATIENCE_SECONDS, Supervisor
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue
from inference.builders import CountingEngine, is_running, ticket


class Time:
    """Sleepers wake when the test has moved time past their end."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._moved = asyncio.Condition()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        end = self.now + seconds
        async with self._moved:
            await self._moved.wait_for(lambda: self.now >= end)

    async def move(self, seconds: float) -> None:
        async with self._moved:
            self.now += seconds
            self._moved.notify_all()
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class Life(CountingEngine):
    """One life of an engine; `dies` ends it, `loads` is what becomes of loading."""

    loads: Exception | None = None
    slots: int = 1
    loading: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False
    _end: asyncio.Event = field(default_factory=asyncio.Event)

    def dies(self) -> None:
        self.gone = EngineGoneError("killed")
        self._end.set()

    async def load(self, progress: Progress) -> Loaded:
        progress("weights", 0.5)
        await self.loading.wait()
        if self.loads:
            raise self.loads
        return Loaded(self.slots, Memory(kv_places_most=7))

    async def until_gone(self) -> None:
        await self._end.wait()
        raise EngineGoneError("killed")

    async def close(self) -> str:
        self.closed = True
        return "ended by a test"


def ready(**more: object) -> Life:
    life = Life(**more)  # type: ignore[arg-type]
    life.loading.set()
    return life


class House:
    """A supervisor with these lives of its engine, and what it said."""

    def __init__(self, *lives: Life) -> None:
        self.time = Time()
        device = PacedDevice(step_seconds=0, clock=self.time.clock)
        self.scheduler = Scheduler(
            device=device,
            queue=TierQueue[Ticket](places_per_tier=10),
            pace=Pace(0),
            max_batch=1,
            meters=Meters("image"),
        )
        self.events: list[str] = []
        waiting = list(lives)
        self.supervisor = Supervisor(
            first=waiting.pop(0),
            start=lambda: waiting.pop(0),
            scheduler=self.scheduler,
            on_ready=lambda loaded: self.events.append("ready"),
            on_lost=lambda: self.events.append("lost"),
            clock=self.time.clock,
            sleep=self.time.sleep,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.supervisor.run())
        try:
            async with asyncio.timeout(10):
                await settle()
                yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_it_is_ready_once_loaded_and_says_before_what_it_is_doing() -> None:
    life = Life(slots=3)
    house = House(life)
    async with house.running():
        assert (house.events, str(house.supervisor.state)) == ([], "weights, 50%")
        life.loading.set()
        await settle()
        assert (house.events, str(house.supervisor.state)) == (["ready"], "ready")
        assert (house.scheduler.max_batch, house.scheduler.memory.kv_places_most) == (3, 7)


async def test_a_lost_engine_is_replaced_at_once_and_serves_what_waited() -> None:
    first = ready()
    house = House(first, ready())
    held, waiting = ticket(steps=10**9), ticket(steps=1)
    house.scheduler.submit(held)
    house.scheduler.submit(waiting)
    async with house.running():
        await is_running(held)
        first.dies()
        assert await waiting.outcome == "done"
        with pytest.raises(EngineError) as caught:
            await held.outcome
        assert caught.value.retry_after_seconds is not None
    assert house.events == ["ready", "lost", "ready"]
    assert first.closed
    assert house.time.now == 0


async def test_an_engine_that_dies_while_idle_is_replaced_too() -> None:
    first = ready()
    house = House(first, ready())
    async with house.running():
        first.dies()
        await settle()
    assert house.events == ["ready", "lost", "ready"]


async def test_pauses_grow_and_an_engine_that_is_lost_too_often_ends_the_server() -> None:
    house = House(*(ready(loads=EngineGoneError("out of luck")) for _ in range(MOST_LOSSES + 1)))
    async with house.running() as task:
        while not task.done():
            await house.time.move(1.0)
        with pytest.raises(EngineLostError, match="out of luck"):
            await task
    assert [seconds for seconds in house.time.slept if seconds != PATIENCE_SECONDS] == [1, 2, 4, 8]


async def test_losses_that_are_far_apart_are_forgiven() -> None:
    lives = [ready() for _ in range(3 * MOST_LOSSES)]
    house = House(*lives)
    async with house.running() as task:
        for life in lives[:-1]:
            life.dies()
            await settle()
            for _ in range(70):
                await house.time.move(10.0)
        assert not task.done()
    assert house.events.count("ready") == len(lives)


async def test_what_waits_longer_than_a_quick_restart_takes_is_told_to_try_again() -> None:
    first, second = ready(), Life()
    house = House(first, second)
    async with house.running():
        first.dies()
        await settle()
        waiting = ticket(steps=1)
        house.scheduler.submit(waiting)
        await house.time.move(PATIENCE_SECONDS - 1)
        assert not waiting.outcome.done()
        await house.time.move(1)
        with pytest.raises(EngineError, match="restarted"):
            await waiting.outcome


async def test_patience_ends_with_the_restart() -> None:
    first, second = ready(), Life()
    house = House(first, second)
    async with house.running():
        first.dies()
        await settle()
        second.loading.set()
        await settle()
        long = ticket(steps=10**9)
        waiting = ticket(steps=1)
        house.scheduler.submit(long)
        house.scheduler.submit(waiting)
        await house.time.move(2 * PATIENCE_SECONDS)
        assert not waiting.outcome.done()


async def test_a_model_that_can_never_be_loaded_ends_the_server_at_once() -> None:
    house = House(ready(loads=LoadError("no such folder")))
    async with house.running() as task:
        with pytest.raises(LoadError, match="no such folder"):
            await task
