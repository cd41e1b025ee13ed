"""The door: what is counted, who is let in, and what becomes of those who wait."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from brownout_inference.admission import Admission, Phase
from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.interface import UnsuitableError
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.features import BUILT_IN, ImageAsk, TextAsk
from brownout_inference.identity import USER, caller_of
from brownout_inference.metrics import Meters
from brownout_inference.models.catalogue import IMAGE_SHARES
from brownout_inference.pace import Pace
from brownout_inference.quota import Quotas
from brownout_inference.refusal import RefusedError
from brownout_inference.settings import QuotaSettings
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue
from brownout_inference.verdict import Verdict
from brownout_inference.work import Continuation, Work
from inference.builders import CountingEngine, VirtualTime, verdict

FEATURE = BUILT_IN["image-generation"]
STEP_SECONDS = 0.5
FULL, LITE = ({"enabled": True, "steps": steps} for steps in (8, 2))


@dataclass
class Door:
    """An admission whose flags are what `says` is."""

    says: Verdict = field(default_factory=lambda: verdict(value=FULL))
    places: int = 10
    queue_seconds: float | None = None
    engine: CountingEngine = field(default_factory=CountingEngine)

    def __post_init__(self) -> None:
        self.time = time = VirtualTime()
        device = PacedDevice(step_seconds=STEP_SECONDS, clock=time.clock, sleep=time.sleep)
        queue: TierQueue[Ticket] = TierQueue(places_per_tier=self.places)
        self.meters = Meters("image")
        self.scheduler = Scheduler(device=device, queue=queue, pace=Pace(STEP_SECONDS), max_batch=2, meters=self.meters)
        self.admission = Admission(
            judge=lambda feature, context: self.says,
            quotas=Quotas(QuotaSettings(), meters=self.meters),
            scheduler=self.scheduler,
            meters=self.meters,
            clock=time.clock,
            queue_seconds=self.queue_seconds,
        )
        self.admission.phase = Phase.SERVING

    async def admit(self, pictures: int = 1, *, user: str | None = None) -> Ticket:
        headers = {USER: user} if user else {}
        caller = caller_of(headers)
        return await self.admission.admit(FEATURE, ImageAsk(prompt="7", pictures=pictures, seed=1), caller)

    async def refusal(self, pictures: int = 1) -> Any:
        with pytest.raises(RefusedError) as caught:
            await self.admit(pictures)
        return caught.value.refusal

    def count(self, name: str, **labels: str) -> float:
        registry: CollectorRegistry = self.meters.registry
        return sum(
            sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == f"brownout_feature_{name}_total" and labels.items() <= sample.labels.items()
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.scheduler.run(self.engine))
        try:
            async with asyncio.timeout(10):
                yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_an_answer_is_offered_admitted_and_completed() -> None:
    door = Door()
    async with door.serving():
        assert await door.admission.result(await door.admit()) == "done"
    assert [door.count(name) for name in ("offered", "admitted", "completed", "refused", "failed")] == [1, 1, 1, 0, 0]


async def test_what_is_counted_and_refused_bears_the_flag_key_whatever_the_feature_is_called_here() -> None:
    door = Door(says=verdict(variant="denied_capacity"))
    with pytest.raises(RefusedError) as caught:
        await door.admission.admit(
            replace(FEATURE, name="pictures"), ImageAsk(prompt="7", pictures=1, seed=1), caller_of({})
        )
    assert caught.value.refusal.feature == "image-generation"
    assert [door.count(name, feature="image-generation") for name in ("offered", "refused")] == [1, 1]
    assert door.count("offered", feature="pictures") == 0


async def test_what_waits_is_worth_its_declared_cost() -> None:
    door = Door()
    await door.admit()
    await door.admit(pictures=2)
    assert door.scheduler.queue.gpu_seconds() == pytest.approx((1 + 2) * 8 * STEP_SECONDS / 2)


async def test_a_denial_is_offered_and_refused_and_never_admitted() -> None:
    door = Door(says=verdict(variant="denied_capacity"))
    assert (await door.refusal()).status == 503
    assert [door.count(name) for name in ("offered", "admitted")] == [1, 0]
    assert door.count("refused", reason="denied_capacity") == 1


async def test_a_full_queue_refuses_with_the_time_that_what_is_ahead_takes() -> None:
    door = Door(places=3)
    for _ in range(3):
        await door.admit()
    assert (await door.refusal()).retry_after_seconds == pytest.approx(3 * 8 * STEP_SECONDS / 2)
    assert [door.count("admitted"), door.count("refused", reason="queue_full")] == [3, 1]


async def test_nobody_is_admitted_behind_more_gpu_seconds_than_the_queue_may_hold() -> None:
    door = Door(queue_seconds=3.0)
    for _ in range(2):
        await door.admit()  # 2 GPU-seconds each
    refused = await door.refusal()
    assert (refused.reason, refused.retry_after_seconds) == ("queue_full", pytest.approx(4.0))
    assert door.count("refused", reason="queue_full") == 1


async def test_a_bound_in_seconds_is_for_those_of_the_same_or_a_higher_priority() -> None:
    door = Door(queue_seconds=3.0)
    for _ in range(2):
        await door.admit()
    door.says = verdict("pro", value=FULL)
    await door.admit()
    assert dict(door.scheduler.queue.lengths) == {"free": 2, "pro": 1}


async def test_behind_a_bound_in_seconds_too_a_heavy_user_gives_way_to_a_light_one() -> None:
    door = Door(queue_seconds=3.0)
    heavy = [await door.admit(user="heavy") for _ in range(2)]
    light = await door.admit(user="light")
    assert list(door.scheduler.queue) == [heavy[0], light]
    with pytest.raises(RefusedError, match="full"):
        await door.admission.result(heavy[1])


async def test_behind_a_bound_in_seconds_who_was_served_lately_gives_way_to_who_was_not() -> None:
    door = Door(queue_seconds=3.0)
    async with door.serving():
        await door.admission.result(await door.admit(user="served"))
    waiting = await door.admit(user="other")
    again = await door.admit(user="served")
    new = await door.admit(user="new")
    assert list(door.scheduler.queue) == [waiting, new]
    with pytest.raises(RefusedError, match="full"):
        await door.admission.result(again)


async def test_more_pictures_than_the_batch_has_places_are_a_bad_request_and_no_demand() -> None:
    door = Door()
    refused = await door.refusal(pictures=3)
    assert (refused.status, refused.detail) == (400, "n is 3; this server makes at most 2 at once.")
    assert door.count("offered") == 0


async def test_of_smaller_pictures_more_fit_and_the_refusal_counts_pictures() -> None:
    door = Door(says=verdict(value={**FULL, "model": "lite"}))
    share = IMAGE_SHARES["lite", 28]
    refused = await door.refusal(pictures=10)
    assert refused.detail == f"n is 10; this server makes at most {math.floor(2 / share)} at once."
    await door.admit(pictures=math.floor(2 / share))


async def test_a_flip_to_larger_pictures_leaves_those_as_they_are_of_which_no_batch_has_room() -> None:
    door = Door(says=verdict(variant="lite", value={**LITE, "model": "lite"}))
    many, one = await door.admit(pictures=math.floor(2 / IMAGE_SHARES["lite", 28])), await door.admit()
    assert many.work.slots > 1
    door.says = verdict("pro", variant="full", value=FULL)
    door.admission.reconsider()
    assert many.work.slots <= 2
    assert (many.work.steps, many.verdict.variant, many.tier) == (2, "lite", "pro")
    assert (one.work.steps, one.verdict.variant, one.tier) == (8, "full", "pro")
    async with door.serving():
        await asyncio.gather(*(door.admission.result(ticket) for ticket in (many, one)))


@pytest.mark.parametrize(("phase", "reason"), [(Phase.LOADING, "not_ready"), (Phase.DRAINING, "draining")])
async def test_a_server_that_does_not_serve_says_so(phase: Phase, reason: str) -> None:
    door = Door()
    door.admission.phase = phase
    refused = await door.refusal()
    assert (refused.status, refused.reason) == (503, reason)
    assert refused.retry_after_seconds > 0


async def test_a_flip_answers_what_waits_with_the_denial() -> None:
    door = Door()
    waiting = [await door.admit() for _ in range(3)]
    door.says = verdict(variant="denied_capacity")
    door.admission.reconsider()
    for ticket in waiting:
        with pytest.raises(RefusedError, match="not enough GPUs"):
            await door.admission.result(ticket)
    assert len(door.scheduler.queue) == 0
    assert door.count("refused", reason="cancelled") == 3


async def test_a_flip_makes_what_waits_cheaper_and_keeps_its_place() -> None:
    door = Door()
    first, second = await door.admit(), await door.admit()
    door.says = verdict(variant="lite", value=LITE)
    door.admission.reconsider()
    assert [ticket.work.steps for ticket in door.scheduler.queue] == [2, 2]
    assert list(door.scheduler.queue) == [first, second]
    assert door.scheduler.queue.gpu_seconds() == pytest.approx(2 * 2 * STEP_SECONDS / 2)
    async with door.serving():
        await asyncio.gather(*(door.admission.result(ticket) for ticket in (first, second)))
    assert door.count("completed", variant="lite") == 2


async def test_a_flip_moves_what_waits_to_its_new_tier() -> None:
    door = Door()
    risen = await door.admit()
    door.says = verdict("pro", value=FULL)
    door.admission.reconsider()
    assert (risen.tier, dict(door.scheduler.queue.lengths)) == ("pro", {"free": 0, "pro": 1})


async def test_a_caller_that_is_cancelled_gives_its_place_back() -> None:
    door = Door()
    waiting = asyncio.create_task(door.admission.result(await door.admit()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert len(door.scheduler.queue) == 0
    assert door.count("failed", reason="client_gone") == 1


async def test_a_request_on_which_the_model_fails_is_told_so_and_not_to_try_again() -> None:
    door = Door(engine=CountingEngine(breaks_at_step=1))
    async with door.serving():
        with pytest.raises(RefusedError) as caught:
            await door.admission.result(await door.admit())
    assert (caught.value.refusal.status, caught.value.refusal.reason) == (500, "request_failed")
    assert door.count("failed", reason="engine") == 1


class Choosy(CountingEngine):
    """An engine for whose model every request is too long."""

    def join(self, key: int, work: Work) -> None:
        raise UnsuitableError("the prompt is too long")


async def test_a_request_that_the_model_cannot_do_is_its_users_mistake_and_no_failure_of_the_engine() -> None:
    door = Door(engine=Choosy())
    async with door.serving():
        with pytest.raises(RefusedError, match="the prompt is too long") as caught:
            await door.admission.result(await door.admit())
    assert caught.value.refusal.status == 400
    assert [door.count("failed", reason=reason) for reason in ("engine", "unsuitable")] == [0, 1]


async def test_what_the_grace_period_leaves_is_told_to_try_again() -> None:
    door = Door()
    waiting = await door.admit()
    door.admission.interrupt()
    with pytest.raises(RefusedError) as caught:
        await door.admission.result(waiting)
    assert caught.value.refusal.reason == "interrupted"
    assert door.count("failed", reason="interrupted") == 1
    async with asyncio.timeout(1):
        await door.scheduler.until_quiet()


async def test_every_ask_is_counted_for_its_user_the_denied_ones_too() -> None:
    door = Door(says=verdict(value={"enabled": False}))
    door.meters.name_heaviest(5, clock=lambda: 100.0)
    with pytest.raises(RefusedError):
        await door.admission.admit(
            FEATURE, ImageAsk(prompt="7", pictures=1, seed=1), caller_of({"X-Brownout-User": "ana"})
        )
    assert 'user="ana"' in door.meters.page().decode()


async def test_who_would_come_too_late_is_refused_at_once_and_told_when_to_ask_again() -> None:
    door = Door(says=verdict(value={**FULL, "objectiveSeconds": 3 * 8 * STEP_SECONDS}))
    for _ in range(6):  # two pictures at a time, eight steps each: the sixth is done after 24 steps
        await door.admit()
    refused = await door.refusal()
    assert (refused.status, refused.reason) == (429, "too_late")
    assert refused.retry_after_seconds == pytest.approx(8 * STEP_SECONDS)
    assert door.count("admitted") == 6
    assert door.count("refused", reason="too_late") == 1


async def test_what_waits_until_it_must_be_late_is_answered_then() -> None:
    door = Door(says=verdict(value={**FULL, "objectiveSeconds": 9 * STEP_SECONDS}))
    ticket = await door.admit()
    door.admission.refuse_late()
    assert not ticket.outcome.done()
    door.time.now += 2 * STEP_SECONDS
    door.admission.refuse_late()
    with pytest.raises(RefusedError, match="too late"):
        await door.admission.result(ticket)
    assert door.count("refused", reason="too_late") == 1
    assert len(door.scheduler.queue) == 0


async def test_a_heavy_user_who_is_put_out_for_another_is_told_that_the_queue_is_full() -> None:
    door = Door(places=2)
    burst = [await door.admit(user="heavy") for _ in range(2)]
    await door.admit(user="light")
    with pytest.raises(RefusedError) as caught:
        await door.admission.result(burst[1])
    assert (caught.value.refusal.status, caught.value.refusal.reason) == (429, "queue_full")
    assert door.count("refused", reason="queue_full") == 1


async def test_more_tokens_than_can_come_in_time_are_a_bad_request_that_says_how_many_can() -> None:
    door = Door()
    chat = replace(BUILT_IN["chat"], objective_seconds=10)
    ask = TextAsk(prompt="7", max_tokens=40, temperature=1.0, seed=1)
    with pytest.raises(RefusedError, match="write max_tokens 20 at most") as caught:
        await door.admission.admit(chat, ask, caller_of({}))
    assert (caught.value.refusal.status, caught.value.refusal.parameter) == (400, "max_tokens")
    assert door.count("offered") == 0
    await door.admission.admit(chat, replace(ask, max_tokens=20), caller_of({}))


def measured(step_seconds: float) -> Pace:
    pace = Pace(0)
    pace.stepped(step_seconds, fill=1)
    return pace


CHAT = replace(BUILT_IN["chat"], objective_seconds=10, shipped=False, most_tokens=4096)
LONG = TextAsk(prompt="7", max_tokens=4000, temperature=1.0, seed=1)


async def test_a_text_that_may_have_more_tokens_than_come_in_time_is_let_in_where_the_pace_is_only_measured() -> None:
    door = Door()
    door.scheduler.pace = measured(0.02)
    for _ in range(8):  # nobody knows yet how long answers are
        await door.admission.admit(CHAT, LONG, caller_of({}))
    assert door.count("admitted") == 8


async def test_what_is_ahead_counts_as_long_as_texts_have_been_of_late() -> None:
    door = Door()
    door.scheduler.pace = measured(0.02)
    ended = await door.admission.admit(CHAT, LONG, caller_of({}))
    ended.answer(Continuation(text="", ended=True, prompt_tokens=1, tokens=400))  # 8 s of the 80 s that it may have
    await door.admission.result(ended)
    door.scheduler.queue.remove(ended)
    for _ in range(3):  # two at a time: the third begins after 8 s
        await door.admission.admit(CHAT, LONG, caller_of({}))
    await door.admission.admit(CHAT, LONG, caller_of({}))
    with pytest.raises(RefusedError) as caught:  # after 16 s
        await door.admission.admit(CHAT, LONG, caller_of({}))
    assert caught.value.refusal.reason == "too_late"


async def test_a_burst_that_fits_into_the_batch_is_not_late() -> None:
    door = Door(says=verdict(value={**FULL, "objectiveSeconds": 9 * STEP_SECONDS}))
    async with door.serving():
        tickets = [await door.admit() for _ in range(2)]
        assert [await door.admission.result(ticket) for ticket in tickets] == ["done", "done"]


async def test_who_takes_turns_with_a_heavy_user_is_not_late_for_all_that_waits_of_theirs() -> None:
    door = Door(says=verdict(value={**FULL, "objectiveSeconds": 3 * 8 * STEP_SECONDS}))
    for _ in range(6):
        await door.admit(user="heavy")
    with pytest.raises(RefusedError, match="too late"):
        await door.admit(user="heavy")
    await door.admit(user="light")
