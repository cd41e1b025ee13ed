"""Many questions to sources that hang, are slow or overloaded: what a look costs the others, and how old their evidence is.

A timeout of a second stands for the operator's five."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest_asyncio
from aiohttp import web

from brownout.decide.evidence import Missing
from brownout.observe.answers import Series
from brownout.observe.ask import Answer, Ask
from brownout.observe.prometheus import MOST_HANGING, Prometheus
from support.prometheus_server import ONE, Server, listening
from support.waiting import wait_for_async

TIMEOUT_SECONDS = 1.0
LATE = Missing("no answer from Prometheus within 1 s")
TWO = (Series({"a": "b"}, 2.0),)
MANY = 400
"""More than 12 rounds of 32."""


class Hanging(Server):
    """Never answers a query with one of these words in it; `delay_seconds` are added to every answer."""

    def __init__(self) -> None:
        super().__init__()
        self.words: tuple[str, ...] = ()
        self.delay_seconds = 0.0
        self.handler = self._answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        query = self.asked[-1]["query"]
        await asyncio.sleep(self.delay_seconds)
        if any(word in query for word in self.words):
            await asyncio.Event().wait()
        count = query.count("label_replace")
        if not count:
            return web.json_response(ONE)
        parts = [{"metric": {"a": "b", "brownout_part": str(n)}, "value": [1.0, "2"]} for n in range(count)]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": parts}})


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Hanging]:
    """One that is well."""
    server = Hanging()
    async with listening(server):
        yield server


@pytest_asyncio.fixture
async def hanging() -> AsyncIterator[Hanging]:
    """One that answers nothing."""
    server = Hanging()
    server.words = ("",)
    async with listening(server):
        yield server


@pytest_asyncio.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    """A client that waits for a second."""
    client = Prometheus(timeout_seconds=TIMEOUT_SECONDS)
    yield client
    await client.close()


async def look(prometheus: Prometheus, asks: list[Ask]) -> tuple[dict[Ask, Answer], float]:
    """What a look is answered, and how long it took."""
    began = time.monotonic()
    found = await prometheus.ask_all(asks)
    return found, time.monotonic() - began


def each(found: dict[Ask, Answer], answer: Answer) -> bool:
    """Whether this is the answer to all of them."""
    return bool(found) and all(one == answer for one in found.values())


async def until_answered(prometheus: Prometheus, asks: list[Ask], *, seconds: float) -> None:
    """Look until each of these has an answer."""

    async def answered() -> bool:
        return each(await prometheus.ask_all(asks), TWO)

    await wait_for_async(answered, "everything is answered", seconds=seconds)


async def test_a_source_that_hangs_costs_the_others_one_timeout_and_then_nothing(
    server: Hanging, hanging: Hanging, prometheus: Prometheus
) -> None:
    well = server.ask("up")
    asks = [*(hanging.ask(f"demand{number}", limit=1001) for number in range(MANY)), well]
    began = time.time()
    found, lasted = await look(prometheus, asks)
    assert found.pop(well) == TWO
    assert each(found, LATE)
    assert lasted < 3 * TIMEOUT_SECONDS  # and not 13 of them
    assert prometheus.asked_at[well] - began < TIMEOUT_SECONDS
    for _ in range(3):
        began = time.time()
        found, lasted = await look(prometheus, asks)
        assert found.pop(well) == TWO
        assert each(found, LATE)
        assert lasted < TIMEOUT_SECONDS
        assert prometheus.asked_at[well] >= began
    assert hanging.most_in_flight <= 32 + MOST_HANGING + 12


async def test_a_source_that_answers_again_is_noticed(hanging: Hanging, prometheus: Prometheus) -> None:
    asks = [hanging.ask(f"demand{number}", limit=1001) for number in range(50)]
    await look(prometheus, asks)
    await look(prometheus, asks)
    hanging.words = ()
    await until_answered(prometheus, asks, seconds=10)


async def test_one_slow_query_costs_one_look_and_its_neighbours_no_more(
    server: Hanging, prometheus: Prometheus
) -> None:
    slow = server.ask("slow")
    asks = [*(server.ask(f"q{number}") for number in range(40)), slow]
    asks[3], asks[40] = asks[40], asks[3]  # among others, in one request
    server.words = ("slow",)
    found, lasted = await look(prometheus, asks)
    assert lasted < 3 * TIMEOUT_SECONDS
    assert found[slow] == LATE
    assert sum(answer == TWO for answer in found.values()) >= 31  # of the other requests
    await until_answered(prometheus, [ask for ask in asks if ask is not slow], seconds=5)
    for _ in range(3):
        found, lasted = await look(prometheus, asks)
        assert lasted < TIMEOUT_SECONDS
        assert found.pop(slow) == LATE
        assert each(found, TWO)


async def test_what_answers_late_is_as_old_as_its_question_and_nobody_waits_for_it(server: Hanging) -> None:
    prometheus = Prometheus(timeout_seconds=5)
    try:
        server.delay_seconds = 1.2
        ask = server.ask()
        first, lasted = await look(prometheus, [ask])
        assert first == {ask: TWO}
        assert lasted >= 1.2
        asked_at = prometheus.asked_at[ask]
        again, lasted = await look(prometheus, [ask])
        assert again == {ask: TWO}
        assert lasted < 1.0
        assert prometheus.asked_at[ask] == asked_at
        assert time.time() - asked_at >= 1.2
        server.delay_seconds = 0.0

        async def newer() -> bool:
            await prometheus.ask_all([ask])
            return prometheus.asked_at[ask] > asked_at + 1.0

        await wait_for_async(newer, "it is asked besides, and then waited for again", seconds=10)
    finally:
        await prometheus.close()


async def test_what_there_was_no_time_for_is_as_old_as_it_was(server: Hanging, prometheus: Prometheus) -> None:
    """On a shared Prometheus a product's queries fill the places of all."""
    theirs = [server.ask(f"theirs{number}", limit=1001) for number in range(64)]
    ours = server.ask("ours", limit=1001)
    assert each(await prometheus.ask_all([*theirs, ours]), TWO)
    asked_at = prometheus.asked_at[ours]
    server.words = ("theirs",)
    found, lasted = await look(prometheus, [*theirs, ours])
    assert lasted < 3 * TIMEOUT_SECONDS
    assert found[ours] == TWO
    assert prometheus.asked_at[ours] == asked_at
    assert each({ask: found[ask] for ask in theirs[:32]}, LATE)

    async def newer() -> bool:
        found, lasted = await look(prometheus, [*theirs, ours])
        return found[ours] == TWO and prometheus.asked_at[ours] > asked_at and lasted < TIMEOUT_SECONDS

    await wait_for_async(newer, "ours is answered anew", seconds=5)


async def test_a_command_looks_for_longer_than_one_question_may_take(server: Hanging) -> None:
    prometheus = Prometheus(timeout_seconds=TIMEOUT_SECONDS, look_seconds=10)
    try:
        server.delay_seconds = 0.7 * TIMEOUT_SECONDS
        asks = [server.ask(f"demand{number}", limit=1001) for number in range(64)]  # two rounds
        assert each(await prometheus.ask_all(asks), TWO)
    finally:
        await prometheus.close()
