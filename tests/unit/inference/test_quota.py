"""What becomes of a user's unit between the door and the answer, with the flag server's own ledger behind HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from brownout.api.policy import Quota as QuotaSpec
from brownout.api.policy import TierEntry
from brownout.api.schema import Ref
from brownout.flags.board import Board
from brownout.flags.metrics import Metrics
from brownout.flags.quota.endpoints import Quotas as Endpoints
from brownout.flags.quota.ledger import Ledger, LedgerUnavailableError, MemoryLedger
from brownout.flags.render import render
from brownout_inference import quota as client
from brownout_inference.admission import Admission, Phase
from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.features import BUILT_IN, ImageAsk
from brownout_inference.identity import caller_of
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.quota import Quotas
from brownout_inference.refusal import Refusal, RefusedError
from brownout_inference.settings import QuotaSettings
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue
from brownout_inference.verdict import Quota, Verdict
from flags.builders import NAMESPACE, TIERS, policy
from inference.builders import CountingEngine, VirtualTime, is_running, verdict
from support.waiting import wait_for_async
from support.web_app import on_loopback

FEATURE = BUILT_IN["image-generation"]
LIMIT = 2
COUNTED = Quota(limit=LIMIT, when_unavailable="Allow")
ANA = {"X-Brownout-User": "ana", "X-Brownout-Plan": "free"}


class Away(MemoryLedger):
    """A ledger whose storage does not answer."""

    async def reserve(self, *_: Any, **__: Any) -> Any:
        raise LedgerUnavailableError("the quota storage does not answer")


class Slow(MemoryLedger):
    """A ledger that reserves at once and, for as long as it is slow, says so after a second."""

    slow = True

    async def reserve(self, *asked: Any, **more: Any) -> Any:
        entry = await super().reserve(*asked, **more)
        await asyncio.sleep(1.0 if self.slow else 0.0)
        return entry


class Late(MemoryLedger):
    """A ledger whose first reservation is made a second after it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.late = asyncio.Event()

    async def reserve(self, *asked: Any, **more: Any) -> Any:
        self.asked += 1
        if self.asked > 1:
            return await super().reserve(*asked, **more)
        await asyncio.sleep(1.0)
        try:
            return await super().reserve(*asked, **more)
        finally:
            self.late.set()


def board(when_unavailable: Any = "Allow") -> Board:
    """What is served: one feature, of which free users have two units a day."""
    entry = TierEntry(tier_ref=Ref(name="free"), quota=QuotaSpec(limit=LIMIT, when_unavailable=when_unavailable))
    served = Board()
    served.publish(render(NAMESPACE, policies=[policy(tiers=[entry])], tiers=TIERS, overrides=(), now=0.0))
    served.completed()
    return served


@asynccontextmanager
async def flag_server(ledger: Ledger, served: Board, *, delay: float = 0.0) -> AsyncIterator[str]:
    """The endpoints of the ledger; gives their base URL. `delay` in seconds comes before each answer."""

    @web.middleware
    async def slowly(request: web.Request, handler: Any) -> Any:
        await asyncio.sleep(delay)
        return await handler(request)

    app = web.Application(middlewares=[slowly])
    app.add_routes(Endpoints(served, Metrics(), ledger).routes())
    async with on_loopback(app) as url:
        yield f"{url}/{NAMESPACE}"


@dataclass
class Door:
    """An admission that asks the ledger at `url`, for a user whose verdict is what `says` is."""

    url: str
    says: Verdict = field(default_factory=lambda: verdict(quota=COUNTED))
    places: int = 10
    engine: CountingEngine = field(default_factory=CountingEngine)
    headers: dict[str, str] = field(default_factory=lambda: dict(ANA))

    def __post_init__(self) -> None:
        time = VirtualTime()
        device = PacedDevice(step_seconds=0.5, clock=time.clock, sleep=time.sleep)
        queue: TierQueue[Ticket] = TierQueue(places_per_tier=self.places)
        self.meters = Meters("image")
        self.scheduler = Scheduler(device=device, queue=queue, pace=Pace(0.5), max_batch=2, meters=self.meters)
        self.quotas = Quotas(QuotaSettings(url=self.url), meters=self.meters)
        self.admission = Admission(
            judge=lambda feature, context: self.says,
            quotas=self.quotas,
            scheduler=self.scheduler,
            meters=self.meters,
            clock=time.clock,
        )
        self.admission.phase = Phase.SERVING

    async def admit(self, *, stream: bool = False) -> Ticket:
        return await self.admission.admit(
            FEATURE, ImageAsk(prompt="7", pictures=1, seed=1), caller_of(self.headers), stream=stream
        )

    async def refusal(self) -> Refusal:
        with pytest.raises(RefusedError) as caught:
            await self.admit()
        return caught.value.refusal

    def count(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in self.meters.registry.collect()
            for sample in family.samples
            if sample.name == f"brownout_{name}_total" and labels.items() <= sample.labels.items()
        )

    async def until(self, outcome: str, times: int = 1) -> None:
        async def reached() -> bool:
            return self.count("inference_quota", outcome=outcome) == times

        await wait_for_async(reached, f"{times} {outcome}", seconds=5)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.scheduler.run(self.engine))
        try:
            async with asyncio.timeout(10):
                yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def door(
    *, ledger: Ledger | None = None, served: Board | None = None, delay: float = 0.0, **more: Any
) -> AsyncIterator[Door]:
    """A door before a real ledger."""
    async with flag_server(ledger or MemoryLedger(), served or board(), delay=delay) as url:
        opened = Door(url, **more)
        try:
            yield opened
        finally:
            await opened.quotas.close()


@contextmanager
def nothing_rests() -> Iterator[None]:
    """The client tries at once again after a failure."""
    kept = client.REST_SECONDS
    client.REST_SECONDS = 0.0
    try:
        yield
    finally:
        client.REST_SECONDS = kept


async def test_a_unit_is_reserved_at_the_door_and_used_by_the_answer() -> None:
    async with door() as one, one.serving():
        assert await one.admission.result(await one.admit()) == "done"
        await one.until("committed")
    assert one.count("inference_quota", outcome="reserved") == 1


async def test_who_has_used_the_day_up_is_told_until_when_and_is_no_demand() -> None:
    async with door() as one, one.serving():
        for _ in range(LIMIT):
            await one.admission.result(await one.admit())
        await one.until("committed", LIMIT)
        refused = await one.refusal()
    assert (refused.status, refused.reason) == (429, "denied_quota")
    assert refused.numbers["limit"] == refused.numbers["used"] == LIMIT
    assert refused.numbers["resetsAt"].endswith("T00:00:00Z")
    assert refused.retry_after_seconds is not None
    assert 0 < refused.retry_after_seconds <= 86_400
    assert refused.body()["resetsAt"] == refused.numbers["resetsAt"]
    assert one.count("feature_offered") == LIMIT
    assert one.count("feature_refused", reason="denied_quota") == 1


async def test_a_model_that_fails_gives_the_unit_back() -> None:
    async with door(engine=CountingEngine(breaks_at_step=1)) as one, one.serving():
        with pytest.raises(RefusedError, match="failed"):
            await one.admission.result(await one.admit())
        await one.until("refunded")
        assert await one.admission.result(await one.admit()) == "done"


async def test_a_client_that_goes_before_the_answer_gives_the_unit_back() -> None:
    async with door() as one:
        waiting = asyncio.create_task(one.admission.result(await one.admit()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await one.until("refunded")


async def test_a_client_that_goes_in_mid_answer_has_used_the_unit() -> None:
    async with door() as one, one.serving():
        ticket = await one.admit(stream=True)
        waiting = asyncio.create_task(one.admission.result(ticket))
        await is_running(ticket)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await one.until("committed")


async def test_a_flip_that_cancels_what_waits_gives_the_unit_back() -> None:
    async with door() as one:
        ticket = await one.admit()
        one.says = verdict(variant="denied_capacity", quota=COUNTED)
        one.admission.reconsider()
        with pytest.raises(RefusedError):
            await one.admission.result(ticket)
        await one.until("refunded")


async def test_a_full_queue_gives_the_unit_back() -> None:
    async with door(places=1) as one:
        await one.admit()
        assert (await one.refusal()).reason == "queue_full"
        await one.until("refunded")


async def test_a_client_that_goes_while_a_unit_is_reserved_gives_it_back() -> None:
    async with door(delay=0.2) as one:
        asking = asyncio.create_task(one.admit())
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await one.until("refunded")


async def test_whom_the_flags_deny_is_not_counted() -> None:
    async with door(says=verdict(variant="denied_capacity", quota=COUNTED)) as one:
        assert (await one.refusal()).reason == "denied_capacity"
    assert one.count("inference_quota") == 0


async def test_without_a_quota_nobody_asks_the_ledger() -> None:
    async with door(says=verdict()) as one, one.serving():
        assert await one.admission.result(await one.admit()) == "done"
    assert one.count("inference_quota") == 0


async def test_an_unknown_user_cannot_be_counted_and_is_told_which_header_is_missing() -> None:
    async with door(headers={"X-Brownout-Plan": "free"}) as one:
        refused = await one.refusal()
    assert (refused.status, refused.parameter) == (400, "X-Brownout-User")


@pytest.mark.parametrize("choice", ["Allow", "Deny"])
async def test_while_nobody_can_count_the_policy_says_what_users_get(choice: str) -> None:
    asked = verdict(quota=Quota(limit=LIMIT, when_unavailable=choice))
    async with door(ledger=Away(), served=board(choice), says=asked) as one, one.serving():
        if choice == "Allow":
            assert await one.admission.result(await one.admit()) == "done"
            assert one.count("inference_quota", outcome="uncounted") == 1
        else:
            refused = await one.refusal()
            assert (refused.status, refused.reason) == (503, "quota_unavailable")
            assert one.count("inference_quota", outcome="unavailable") == 1


@pytest.mark.parametrize("choice", ["Allow", "Deny"])
async def test_without_a_flag_server_it_is_the_same(choice: str) -> None:
    one = Door("http://127.0.0.1:1", says=verdict(quota=Quota(limit=LIMIT, when_unavailable=choice)))
    async with one.serving():
        if choice == "Allow":
            assert await one.admission.result(await one.admit()) == "done"
        else:
            assert (await one.refusal()).reason == "quota_unavailable"
    assert one.count("inference_quota", outcome="unavailable") == 1
    await one.quotas.close()


async def test_a_flag_server_that_hangs_holds_nobody_up_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.2)
    async with door(delay=5.0) as one:
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            await one.admit()
        assert asyncio.get_running_loop().time() - began < 0.5


async def test_what_a_ledger_reserves_that_is_too_slow_to_say_so_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.3)
    denying = verdict(quota=Quota(limit=LIMIT, when_unavailable="Deny"))
    with nothing_rests():
        ledger = Slow()
        async with door(ledger=ledger, served=board("Deny"), says=denying) as one:
            for _ in range(LIMIT):
                assert (await one.refusal()).reason == "quota_unavailable"
            ledger.slow = False
            await one.until("refunded", LIMIT)
            for _ in range(LIMIT):
                assert (await one.admit()).unit is not None


async def test_what_a_ledger_reserves_after_it_was_given_back_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.3)
    ledger = Late()
    with nothing_rests():
        async with door(ledger=ledger) as one:
            assert (await one.admit()).unit is None
            await one.until("refunded")
            await ledger.late.wait()
            for _ in range(LIMIT):
                assert (await one.admit()).unit is not None


async def test_a_commit_is_sent_again_until_it_arrives() -> None:
    ledger = MemoryLedger()
    with nothing_rests():
        async with flag_server(ledger, board()) as url:
            one = Door(url)
            ticket = await one.admit()
        port = int(url.rsplit(":", 1)[1].partition("/")[0])
        one.quotas.commit(ticket.unit)
        await asyncio.sleep(0.5)
        assert one.count("inference_quota", outcome="committed") == 0
        app = web.Application()
        app.add_routes(Endpoints(board(), Metrics(), ledger).routes())
        async with on_loopback(app, port=port):
            await one.until("committed")
            await one.quotas.close()
