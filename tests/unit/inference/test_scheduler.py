"""Who is in the batch at which step, in virtual time."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.interface import Memory, StepReport
from brownout_inference.engine.messages import Advanced
from brownout_inference.engine.process import EngineError, EngineGoneError
from brownout_inference.engine.reports import Reports
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.engine.suspects import SUSPECT_SECONDS
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import AGE_SECONDS, TierQueue
from inference.builders import CountingEngine, VirtualTime, is_running, ticket, work


def scheduler(
    time: VirtualTime,
    *,
    max_batch: int,
    pause_slots: int | None = None,
    step_seconds: float = 1.0,
    aged_share: float = 0.05,
    company_slack: float = 0.25,
) -> Scheduler:
    device = PacedDevice(step_seconds=step_seconds, clock=time.clock, sleep=time.sleep)
    return Scheduler(
        device=device,
        queue=TierQueue[Ticket](places_per_tier=100, aged_share=aged_share),
        pace=Pace(0),
        max_batch=max_batch,
        meters=Meters("image"),
        pause_slots=pause_slots,
        company_slack=company_slack,
    )


@asynccontextmanager
async def running(serving: Scheduler, engine: CountingEngine) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(serving.run(engine))
    try:
        async with asyncio.timeout(10):
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def first_and_last(engine: CountingEngine, wanted: Ticket) -> tuple[int, int]:
    """The steps in which the ticket took part first and last."""
    steps = [step for step, batch in enumerate(engine.batches) if wanted.number in batch]
    return steps[0], steps[-1]


def page(serving: Scheduler) -> str:
    serving._meters.watch(serving)
    return serving._meters.page().decode()


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
    bad, good = ticket(steps=3), ticket(steps=3)
    engine.poisoned.add(bad.number)
    serving.submit(bad)
    serving.submit(good)
    async with running(serving, engine):
        assert await good.outcome == "done"
        with pytest.raises(EngineError, match="poisoned"):
            await bad.outcome
    assert serving._device.busy_seconds == 3  # the good one lost no step


async def test_one_that_cannot_even_join_fails_alone() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2), CountingEngine()
    bad, good = ticket(steps=1), ticket(steps=1)
    engine.unable.add(bad.number)
    serving.submit(bad)
    serving.submit(good)
    async with running(serving, engine):
        assert await good.outcome == "done"
        with pytest.raises(EngineError, match="unable"):
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


async def test_who_is_more_important_takes_the_place_of_who_runs_at_the_next_step() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1), CountingEngine()
    free = ticket("free", steps=6)
    serving.submit(free)
    async with running(serving, engine):
        await is_running(free)
        pro = ticket("pro", steps=2)
        serving.submit(pro)
        await asyncio.gather(pro.outcome, free.outcome)
    assert first_and_last(engine, pro)[1] < first_and_last(engine, free)[1]
    assert sum(free.number in batch for batch in engine.batches) == 6  # it went on where it stopped
    assert serving.preemptions == 1


async def test_the_one_with_most_left_to_do_is_left_out() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2), CountingEngine()
    long, short = ticket("free", steps=50), ticket("free", steps=10)
    serving.submit(long)
    serving.submit(short)
    async with running(serving, engine):
        await is_running(short)
        pro = ticket("pro", steps=3)
        serving.submit(pro)
        await pro.outcome
    begun, ended = first_and_last(engine, pro)
    assert {frozenset(batch) for batch in engine.batches[begun : ended + 1]} == {frozenset({pro.number, short.number})}


async def test_nobody_is_displaced_by_their_own_tier() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1), CountingEngine()
    first, second = ticket("free", steps=5), ticket("free", steps=1)
    serving.submit(first)
    async with running(serving, engine):
        await is_running(first)
        serving.submit(second)
        await second.outcome
    assert engine.batches == [[first.number]] * 5 + [[second.number]]


async def test_who_is_paused_goes_on_before_anybody_new_of_the_same_tier() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1), CountingEngine()
    paused, new = ticket("free", steps=5), ticket("free", steps=1)
    serving.submit(paused)
    async with running(serving, engine):
        await is_running(paused)
        pro = ticket("pro", steps=2)
        serving.submit(new)
        serving.submit(pro)
        await new.outcome
    order = [batch[0] for batch in engine.batches]
    assert order[-1] == new.number
    assert order.index(pro.number) < 5


async def test_no_more_are_paused_than_there_are_places_for() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2, pause_slots=1), CountingEngine()
    free = [ticket("free", steps=9) for _ in range(2)]
    for each in free:
        serving.submit(each)
    async with running(serving, engine):
        await is_running(free[1])
        pro = [ticket("pro", steps=3) for _ in range(2)]
        for each in pro:
            serving.submit(each)
        await asyncio.gather(*(each.outcome for each in pro))
        assert serving.preemptions <= 2
    numbers = {each.number for each in free}
    assert all(numbers & set(batch) for batch in engine.batches if not set(batch) >= {each.number for each in pro})
    assert not any({each.number for each in pro} <= set(batch) for batch in engine.batches)


async def test_an_engine_says_how_many_requests_it_can_hold() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2), CountingEngine(memory_now=Memory(kv_places_most=2))
    serving.fits(2, engine.memory_now)
    free = [ticket("free", steps=9) for _ in range(2)]
    for each in free:
        serving.submit(each)
    async with running(serving, engine):
        await is_running(free[1])
        pro = ticket("pro", steps=1)
        serving.submit(pro)
        await pro.outcome
    assert first_and_last(engine, pro)[0] >= 9


async def test_who_has_aged_in_the_queue_is_let_through_also_where_somebody_runs() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1, aged_share=1.0), CountingEngine()
    served, runs, waits = (ticket("pro", steps=steps) for steps in (2, 50, 50))
    free = ticket("free", steps=3)
    for each in (served, runs, waits, free):
        each.offered_at = 1000.0
        serving.submit(each)
    async with running(serving, engine):
        await free.outcome
    assert first_and_last(engine, free) == (AGE_SECONDS, AGE_SECONDS + 2)
    assert engine.batches[int(AGE_SECONDS) - 1] == [runs.number]


async def test_a_pause_ends_however_many_important_requests_come() -> None:
    time = VirtualTime()
    serving, engine = scheduler(time, max_batch=1), CountingEngine()
    free = ticket("free", steps=20)
    serving.submit(free)

    async def flood() -> None:
        while True:
            pro = ticket("pro", steps=2)
            serving.submit(pro)
            await pro.outcome

    async with running(serving, engine):
        await is_running(free)
        flooding = [asyncio.create_task(flood()) for _ in range(2)]
        await free.outcome
        for task in flooding:
            task.cancel()
    first, last = first_and_last(engine, free)
    assert AGE_SECONDS + 19 <= last - first <= 2 * AGE_SECONDS + 20


async def test_a_paused_request_whose_client_goes_frees_what_it_holds() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1), CountingEngine()
    free = ticket("free", steps=9)
    serving.submit(free)
    async with running(serving, engine):
        await is_running(free)
        pro = ticket("pro", steps=5)
        serving.submit(pro)
        await is_running(pro)
        assert (serving.running, serving.paused) == (1, 1)
        serving.abandon(free)
        await pro.outcome
        await serving.until_quiet()
        assert free.number not in engine.left


async def test_a_full_device_shrinks_the_batch_and_everybody_is_served() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=8), CountingEngine(fits=3)
    pro, free = ticket("pro", steps=2), [ticket("free", steps=2) for _ in range(7)]
    for each in (*free, pro):
        serving.submit(each)
    async with running(serving, engine):
        await asyncio.gather(pro.outcome, *(each.outcome for each in free))
    tried = [len(batch) for batch in engine.batches]
    assert tried[:3] == [8, 4, 2]  # the same step, with fewer
    assert max(tried[3:]) <= 3
    assert pro.number in engine.batches[2]
    assert 'brownout_inference_batch_slots{workload="image"} 2.0' in page(serving)


async def test_the_batch_grows_again_after_a_while() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=8), CountingEngine(fits=3)
    for _ in range(8):
        serving.submit(ticket(steps=2))
    async with running(serving, engine):
        await serving.until_quiet()
        engine.fits = 8
        for _ in range(100):
            serving.submit(ticket(steps=10))
        await serving.until_quiet()
    assert len(engine.batches[-40]) == 8


async def test_a_request_that_does_not_fit_even_alone_fails_and_the_next_one_is_tried() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2), CountingEngine(fits=0)
    large, next_one = ticket(steps=2), ticket(steps=2)
    serving.submit(large)
    async with running(serving, engine):
        with pytest.raises(EngineError, match="not even alone"):
            await large.outcome
        engine.fits = 1
        serving.submit(next_one)
        assert await next_one.outcome == "done"
        assert large.number not in engine.left


async def test_who_finds_no_room_waits_on_in_its_turn() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=4), CountingEngine(holds=2)
    tickets = [ticket(steps=3) for _ in range(4)]
    for each in tickets:
        serving.submit(each)
    async with running(serving, engine):
        await asyncio.gather(*(each.outcome for each in tickets))
    assert max(len(batch) for batch in engine.batches) == 2
    assert engine.batches[-1] == [tickets[2].number, tickets[3].number]


async def test_what_a_lost_engine_held_is_told_to_try_again_and_what_waits_is_served_by_the_next() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1), CountingEngine()
    held, waiting = ticket(steps=9), ticket(steps=1)
    serving.submit(held)
    serving.submit(waiting)
    async with running(serving, engine) as task:
        await is_running(held)
        engine.gone = EngineGoneError("killed")
        with pytest.raises(EngineGoneError):
            await task
    serving.lose(EngineError("lost", retry_after_seconds=5.0))
    with pytest.raises(EngineError) as caught:
        await held.outcome
    assert caught.value.retry_after_seconds == 5.0
    async with running(serving, CountingEngine()):
        assert await waiting.outcome == "done"


async def test_who_was_there_when_three_engines_were_lost_is_kept_from_the_next_for_a_while() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=2)

    async def lose_one() -> None:
        engine, bad = CountingEngine(), ticket(steps=9)
        serving.submit(bad)
        async with running(serving, engine) as task:
            await is_running(bad)
            engine.gone = EngineGoneError("killed")
            with pytest.raises(EngineGoneError):
                await task
        serving.lose(EngineError("lost", retry_after_seconds=5.0))

    for _ in range(3):
        await lose_one()
    again, other = ticket(steps=9), ticket(steps=9)
    other.user = "somebody else"
    serving.submit(again)
    serving.submit(other)
    assert (again.outcome.done(), other.outcome.done()) == (True, False)
    time.now += SUSPECT_SECONDS
    much_later = ticket(steps=9)
    serving.submit(much_later)
    assert not much_later.outcome.done()


async def test_what_has_succeeded_meanwhile_was_not_what_ended_engines() -> None:
    serving = scheduler(VirtualTime(), max_batch=2)
    for _ in range(5):
        engine, unlucky = CountingEngine(), ticket(steps=9)
        serving.submit(unlucky)
        async with running(serving, engine) as task:
            await is_running(unlucky)
            engine.gone = EngineGoneError("killed")
            await asyncio.gather(task, return_exceptions=True)
        serving.lose(EngineError("lost", retry_after_seconds=5.0))
        again = ticket(steps=9)
        serving.submit(again)
        async with running(serving, CountingEngine()):
            assert await again.outcome == "done"


async def test_an_engine_with_which_nobody_gets_on_is_lost() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2), CountingEngine()
    held = [ticket(steps=9) for _ in range(2)]
    for each in held:
        serving.submit(each)
    async with running(serving, engine) as task:
        await is_running(held[0])
        engine.lost = True
        with pytest.raises(EngineGoneError, match="device lost"):
            await task
    assert not any(each.outcome.done() for each in held)  # it was not their fault: `lose` says what they are told


async def test_without_a_pace_the_engine_is_told_once_and_goes_on_by_itself() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2, step_seconds=0), CountingEngine()
    short, long = ticket(steps=10), ticket(steps=30)
    serving.submit(short)
    serving.submit(long)
    async with running(serving, engine):
        await asyncio.gather(short.outcome, long.outcome)
    assert len(engine.batches) == 30
    assert engine.told == 1


async def test_without_a_pace_a_place_that_gets_free_is_taken_in_the_very_next_step() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2, step_seconds=0), CountingEngine()
    tickets = [ticket(steps=steps) for steps in (5, 9, 4, 1, 7, 2, 6)]
    for each in tickets:
        serving.submit(each)
    async with running(serving, engine):
        await asyncio.gather(*(each.outcome for each in tickets))
    assert [len(batch) for batch in engine.batches] == [2] * 16 + [1] * 2  # the last one is alone at the end


async def test_without_a_pace_places_are_taken_by_those_next_in_turn_and_nobody_has_to_be_asked() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=4, step_seconds=0), CountingEngine()
    tickets = [ticket(steps=3 + number % 3) for number in range(60)]
    for each in tickets:
        serving.submit(each)
    async with running(serving, engine):
        await asyncio.gather(*(each.outcome for each in tickets))
    assert all(len(batch) == 4 for batch in engine.batches[:-5])
    begun = [first_and_last(engine, each)[0] for each in tickets]
    assert begun == sorted(begun)
    assert engine.told <= 60 / 4


async def test_without_a_pace_whose_client_goes_before_its_turn_is_let_go_of() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1, step_seconds=0), CountingEngine()
    first, gone, last = ticket(steps=9), ticket(steps=1000), ticket(steps=2)
    for each in (first, gone, last):
        serving.submit(each)
    async with running(serving, engine):
        await first.outcome
        serving.abandon(gone)
        await last.outcome
        await serving.until_quiet()
        await asyncio.sleep(0)
    assert sum(gone.number in batch for batch in engine.batches) <= 3
    assert engine.left == {}


async def test_without_a_pace_what_the_flags_have_made_cheaper_before_its_turn_is_done_as_they_say() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1, step_seconds=0), CountingEngine()
    first, reworked = ticket(steps=9), ticket(steps=30)
    serving.submit(first)
    serving.submit(reworked)
    async with running(serving, engine):
        await is_running(first)
        reworked.work = work(steps=2)
        await reworked.outcome
    assert sum(reworked.number in batch for batch in engine.batches) == 2


async def test_without_a_pace_who_is_more_important_goes_before_those_who_were_next() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1, step_seconds=0), CountingEngine()
    serving.submit(first := ticket("pro", steps=9))
    free = [ticket("free", steps=9) for _ in range(3)]
    for each in free:
        serving.submit(each)
    async with running(serving, engine):
        await is_running(first)
        pro = ticket("pro", steps=1)
        serving.submit(pro)
        await pro.outcome
    assert engine.batches[9] == [pro.number]


async def test_without_a_pace_a_newcomer_and_who_is_more_important_are_let_in_at_once() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=1, step_seconds=0), CountingEngine()
    free = ticket("free", steps=1000)
    serving.submit(free)
    async with running(serving, engine):
        await is_running(free)
        begun = len(engine.batches)
        pro = ticket("pro", steps=3)
        serving.submit(pro)
        await pro.outcome
        gone = len(engine.batches)
        serving.abandon(free)
        await serving.until_quiet()
        last = ticket("free", steps=1)
        serving.submit(last)
        await last.outcome
    assert first_and_last(engine, pro)[0] <= begun + 1
    assert first_and_last(engine, free)[1] <= gone + 2
    assert free.number not in engine.left


async def test_without_a_pace_a_poisoned_request_fails_alone() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=4, step_seconds=0), CountingEngine()
    good = [ticket(steps=20) for _ in range(3)]
    bad = ticket(steps=20)
    for each in (*good, bad):
        serving.submit(each)
    async with running(serving, engine):
        await is_running(bad)
        engine.poisoned.add(bad.number)
        assert await asyncio.gather(*(each.outcome for each in good)) == ["done"] * 3
        with pytest.raises(EngineError, match="poisoned"):
            await bad.outcome


async def test_steps_that_are_reported_together_count_as_so_many() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=1, step_seconds=0)
    engine = Withholding(time=time, takes=lambda count: 1 / 64)
    only = ticket(steps=6)
    serving.submit(only)
    async with running(serving, engine):
        await only.outcome
        await serving.until_quiet()
    assert only.steps_done == 6
    assert serving.pace.step_seconds == pytest.approx(serving._device.busy_seconds / 6)
    assert serving._step_times.seconds(1) == 1 / 64


class Withholding(CountingEngine):
    """Reports what it can together, as the engine's process does."""

    def _answer(self, answer: "asyncio.Future[Advanced]") -> None:
        assert self.time is not None
        reports = Reports(self.time.clock)
        while not (told := reports.of(replace(self._made.popleft(), pieces={}))):
            self._making(self._asked)
        answer.set_result(told[0])


async def test_with_a_pace_every_step_is_asked_for() -> None:
    serving, engine = scheduler(VirtualTime(), max_batch=2), CountingEngine()
    each = ticket(steps=10)
    serving.submit(each)
    async with running(serving, engine):
        await each.outcome
    assert engine.told == 10


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


class Floods:
    """Requests of some tiers that never end: whoever is answered comes again, `at_once` of each tier."""

    def __init__(self, serving: Scheduler, at_once: dict[str, int], *, steps: int = 8) -> None:
        self.answered: Counter[str] = Counter()
        self._answer = asyncio.Event()
        self._serving = serving
        self._steps = steps
        self._tasks = [asyncio.create_task(self._come(tier)) for tier, count in at_once.items() for _ in range(count)]

    async def _come(self, tier: str) -> None:
        while True:
            new = ticket(tier, steps=self._steps, cost=0.01)
            new.offered_at = self._serving._device.clock()
            self._serving.submit(new)
            await new.outcome
            self.answered[tier] += 1
            self._answer.set()

    async def until(self, tier: str, count: int) -> None:
        while self.answered[tier] < count:
            self._answer.clear()
            await self._answer.wait()

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


def tiers_of(engine: CountingEngine, serving: Scheduler) -> list[Counter[str]]:
    """Who was in each step, by tier. The engine's batches are of numbers, so every ticket is remembered as it comes."""
    seen: dict[int, str] = {}
    submit = serving.submit

    def remember(new: Ticket, **more: bool) -> Ticket | None:
        seen[new.number] = new.tier
        return submit(new, **more)

    serving.submit = remember  # type: ignore[method-assign]
    steps: list[Counter[str]] = []
    step = engine.step

    def watched(keys: Sequence[int]) -> StepReport:
        steps.append(Counter(seen[key] for key in keys))
        return step(keys)

    engine.step = watched  # type: ignore[method-assign]
    return steps


async def test_without_a_pace_lower_tiers_may_slow_the_more_important_by_a_quarter_and_no_more() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=8, step_seconds=0)
    engine = CountingEngine(time=time, takes=lambda count: 0.01 * (1 + 0.1 * count))
    steps = tiers_of(engine, serving)
    async with running(serving, engine):
        floods = Floods(serving, {"pro": 1, "free": 20})
        await floods.until("pro", 100)
        floods.end()
    late = [batch for batch in steps[len(steps) // 2 :] if batch["pro"]]
    together = Counter(batch.total() for batch in late)
    assert together.most_common(1)[0][0] == 3  # 1.1 alone and 1.3 with two more are within a quarter, 1.4 is not
    assert sum(count for total, count in together.items() if total > 4) < 0.05 * len(late)  # who has aged


async def test_without_a_pace_a_device_whose_full_steps_take_no_longer_has_all_its_places_taken() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=8, step_seconds=0)
    engine = CountingEngine(time=time, takes=lambda count: 0.01)
    steps = tiers_of(engine, serving)
    async with running(serving, engine):
        floods = Floods(serving, {"pro": 1, "free": 20})
        await floods.until("pro", 50)
        floods.end()
    late = [batch.total() for batch in steps[len(steps) // 2 :]]
    assert sum(late) / len(late) > 7.5


async def test_without_a_pace_those_of_one_tier_have_all_places_however_long_a_full_step_takes() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=8, step_seconds=0)
    engine = CountingEngine(time=time, takes=lambda count: 0.01 * count)
    async with running(serving, engine):
        floods = Floods(serving, {"free": 20})
        await floods.until("free", 100)
        floods.end()
    assert all(len(batch) == 8 for batch in engine.batches[20:-20])


async def test_without_a_pace_a_lower_tier_is_not_kept_out_for_ever() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=8, step_seconds=0)
    engine = CountingEngine(time=time, takes=lambda count: 0.01 * count)
    async with running(serving, engine):
        floods = Floods(serving, {"pro": 1, "free": 20})
        await floods.until("free", 40)
        floods.end()
    assert floods.answered["pro"] > 0


async def test_with_an_infinite_slack_lower_tiers_fill_all_places() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=8, step_seconds=0, company_slack=math.inf)
    engine = CountingEngine(time=time, takes=lambda count: 0.01 * count)
    async with running(serving, engine):
        floods = Floods(serving, {"pro": 1, "free": 20})
        await floods.until("pro", 20)
        floods.end()
    assert sum(map(len, engine.batches)) / len(engine.batches) > 7.5


async def test_where_nobody_may_be_paused_nobody_is_for_the_company_either() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=8, step_seconds=0, pause_slots=0)
    engine = CountingEngine(time=time, takes=lambda count: 0.01 * count)
    async with running(serving, engine):
        floods = Floods(serving, {"pro": 1, "free": 20})
        await floods.until("pro", 50)
        floods.end()
    assert serving.preemptions == 0


async def test_on_a_paced_device_company_costs_nothing_and_nobody_is_kept_out() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=8, step_seconds=0.1)
    engine = CountingEngine(time=time, takes=lambda count: 0.001 * count)
    async with running(serving, engine):
        floods = Floods(serving, {"pro": 1, "free": 20})
        await floods.until("pro", 20)
        floods.end()
    assert sum(map(len, engine.batches)) / len(engine.batches) > 7.5


async def test_without_a_pace_who_is_more_important_takes_part_in_the_very_next_step() -> None:
    time = VirtualTime()
    serving = scheduler(time, max_batch=4, step_seconds=0)
    engine = CountingEngine(time=time, takes=lambda count: 0.01)
    async with running(serving, engine):
        free = [ticket("free", steps=50) for _ in range(9)]
        for each in free:
            serving.submit(each)
        await is_running(free[5])
        pro = ticket("pro", steps=1)
        serving.submit(pro)
        begun = len(engine.batches)
        await pro.outcome
    assert first_and_last(engine, pro)[0] <= begun + 1  # the one that is under way ends first
