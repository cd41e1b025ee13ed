"""Who is in the batch at which step, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.scheduler import EngineError, Scheduler
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue
from inference.builders import CountingEngine, VirtualTime, is_running, ticket


def scheduler(time: VirtualTime, *, max_batch: int) -> Scheduler:
    device = PacedDevice(step_seconds=1.0, clock=time.clock, sleep=time.sleep)
    return Scheduler(
        device=device,
        queue=TierQueue[Ticket](places_per_tier=100),
        pace=Pace(0),
        max_batch=max_batch,
        meters=Meters("image"),
    )


@asynccontextmanager
async def running(serving: Scheduler, engine: CountingEngine) -> AsyncIterator[None]:
    task = asyncio.create_task(serving.run(engine))
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_requests_of_different_lengths_share_a_batch_and_leave_it_one_by_one() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2), CountingEngine()
    short, long, late = ticket(steps=1), ticket(steps=3), ticket(steps=2)
    for each in (short, long, late):
        serving.submit(each)
    async with running(serving, engine):
        await asyncio.gather(short.outcome, long.outcome, late.outcome)
    assert engine.batches == [
        [short.number, long.number],
        [long.number, late.number],  # the place was taken at once, long before the batch was empty
        [long.number, late.number],
    ]


async def test_a_newcomer_joins_between_steps_of_a_running_batch() -> None:
    time = VirtualTime()
    serving, engine = scheduler(time, max_batch=2), CountingEngine()
    first, second = ticket(steps=50), ticket(steps=1)
    serving.submit(first)
    async with running(serving, engine):
        await is_running(first)
        serving.submit(second)
        await second.outcome
        assert not first.outcome.done()
        await first.outcome
    assert engine.batches[0] == [first.number]
    assert [first.number, second.number] in engine.batches


async def test_a_full_batch_is_refilled_in_tier_order() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1), CountingEngine()
    free, plus, pro = ticket("free", steps=1), ticket("plus", steps=1), ticket("pro", steps=1)
    for each in (free, plus, pro):
        serving.submit(each)
    async with running(serving, engine):
        await free.outcome
    assert engine.batches == [[pro.number], [plus.number], [free.number]]


async def test_a_request_for_many_pictures_waits_until_all_its_places_are_free() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2), CountingEngine()
    one, two, last = ticket(steps=2), ticket(steps=1, pictures=2), ticket(steps=1)
    for each in (one, two, last):
        serving.submit(each)
    async with running(serving, engine):
        await last.outcome
    assert engine.batches == [[one.number], [one.number], [two.number], [last.number]]


async def test_a_client_that_has_gone_frees_its_place_for_the_next_step() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1), CountingEngine()
    gone, waiting = ticket(steps=1_000_000), ticket(steps=1)
    serving.submit(gone)
    serving.submit(waiting)
    async with running(serving, engine):
        await is_running(gone)
        serving.abandon(gone)
        await waiting.outcome
        await serving.until_quiet()
    assert engine.batches[-1] == [waiting.number]


async def test_one_poisoned_request_fails_alone() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2), CountingEngine()
    bad, good = ticket(steps=1), ticket(steps=1)
    engine.poisoned.add(bad.number)
    serving.submit(bad)
    serving.submit(good)
    async with running(serving, engine):
        assert await good.outcome == "done"
        with pytest.raises(EngineError, match="poisoned"):
            await bad.outcome


async def test_a_batch_that_fails_is_answered_and_the_next_one_runs() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1), CountingEngine(breaks_at_step=1)
    unlucky, next_one = ticket(steps=2), ticket(steps=1)
    serving.submit(unlucky)
    serving.submit(next_one)
    async with running(serving, engine):
        with pytest.raises(EngineError, match="device lost"):
            await unlucky.outcome
        assert await next_one.outcome == "done"
    assert engine.batches == [[unlucky.number], [next_one.number]]


async def test_busy_seconds_are_those_of_steps_and_idle_time_is_not_counted() -> None:
    time = VirtualTime()
    serving, engine = scheduler(time, max_batch=4), CountingEngine()
    async with running(serving, engine):
        for _ in range(2):
            each = ticket(steps=3)
            serving.submit(each)
            await each.outcome
            await serving.until_quiet()
            time.now += 100.0
    page = serving._meters.page().decode()
    assert 'brownout_inference_gpu_busy_seconds_total{workload="image"} 6.0' in page


async def test_a_full_batch_costs_each_request_its_share_of_the_step() -> None:
    time = VirtualTime(now=0.0)
    serving, engine = scheduler(time, max_batch=4), CountingEngine()
    tickets = [ticket(steps=8) for _ in range(8)]
    for each in tickets:
        serving.submit(each)
    async with running(serving, engine):
        await asyncio.gather(*(each.outcome for each in tickets))
    assert time.now == pytest.approx(8 * (8 * 1.0 / 4))  # eight requests at steps x step time / batch each
