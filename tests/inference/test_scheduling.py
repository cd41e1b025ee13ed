"""The scheduler with a real engine's process, as fast as both can: whatever comes and goes meanwhile, everybody gets what they asked for, once."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.load import EngineSpec
from brownout_inference.engine.process import EngineProcess
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue
from inference.builders import ticket, work
from inference.server_process import with_tests

SPEC = EngineSpec(model="python:inference.engines.ObedientEngine")


@pytest.fixture(autouse=True)
def tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", with_tests(os.environ)["PYTHONPATH"])


@asynccontextmanager
async def serving(*, max_batch: int) -> AsyncIterator[Scheduler]:
    process = EngineProcess(SPEC, step_timeout_seconds=20.0, load_timeout_seconds=60.0)
    await process.load(lambda what, part: None)
    scheduler = Scheduler(
        device=PacedDevice(step_seconds=0),
        queue=TierQueue[Ticket](places_per_tier=10_000),
        pace=Pace(0),
        max_batch=max_batch,
        meters=Meters("image"),
    )
    task = asyncio.create_task(scheduler.run(process))
    try:
        async with asyncio.timeout(60):
            yield scheduler
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await process.close()


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes_and_goes_everybody_gets_what_they_asked_for_once(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(seed)
    made: list[Ticket] = []
    gone: set[int] = set()
    async with serving(max_batch=4) as scheduler:
        for _ in range(1500):
            each = ticket(chance.choice(["free", "plus", "pro"]), steps=chance.randint(1, 30))
            each.work = work(steps=each.work.steps, pictures=chance.choice([1, 1, 1, 2]))
            made.append(each)
            scheduler.submit(each)
            if chance.random() < 0.3:
                leaver = chance.choice(made[-20:])
                if not leaver.outcome.done():
                    gone.add(leaver.number)
                    scheduler.abandon(leaver)
            if chance.random() < 0.2 and (waiting := list(scheduler.queue)):
                other = chance.choice(waiting[:5])
                other.work = work(steps=chance.randint(1, 10), pictures=1)
            if chance.random() < 0.4:
                await asyncio.sleep(chance.choice([0, 0.001, 0.003]))
        await scheduler.until_quiet()
        stayed = [each for each in made if each.number not in gone]
        results = await asyncio.gather(*(each.outcome for each in stayed))
    assert [len(result) for result in results] == [each.work.slots for each in stayed]
    assert [each.steps_done for each in stayed] == [each.work.steps for each in stayed]
    assert not [record for record in caplog.records if "does not know" in record.message]
