"""The ledger in a real Redis: exact whoever asks at once, the same as in memory, and a clear word when it is away."""

import asyncio
import multiprocessing
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brownout.flags.quota.ledger import (
    MOST_REMEMBERED,
    Account,
    Entry,
    Ledger,
    LedgerUnavailableError,
    MemoryLedger,
    Outcome,
)
from brownout.flags.quota.redis import (
    ANSWER_SECONDS,
    MAX_IN_FLIGHT,
    REST_SECONDS,
    TURN_SECONDS,
    RedisLedger,
)
from brownout.flags.quota.storage import StorageUrlError, ledger_of
from support.redis import RedisServer, programs, redis_server
from support.waiting import wait_for_async

LIMIT = 120
PROCESSES, EACH = 4, 50
LONG = 600.0


@pytest.fixture(scope="module", params=programs())
def program(request: pytest.FixtureRequest) -> str:
    """Each test is for Redis and for Valkey."""
    return programs()[request.param]


@pytest.fixture(scope="module")
def redis(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for the tests that leave it running; each has accounts of its own."""
    with redis_server(tmp_path_factory.mktemp("redis"), program=program) as running:
        yield running


@asynccontextmanager
async def ledger(url: str) -> AsyncIterator[Ledger]:
    opened = ledger_of(url)
    try:
        yield opened
    finally:
        await opened.close()


def account(user: str = "") -> Account:
    """The account of a user whom nobody has seen before."""
    return Account(
        namespace="media",
        feature="image-generation",
        user=user or uuid4().hex,
        date="2026-11-27",
        keep_until=time.time() + 3600,
    )


# Exactness


def _reserve_at_once(url: str, user: str, names: list[str], gate: "multiprocessing.synchronize.Barrier") -> list[str]:
    """What one process of several gets when it asks for all of these at the same moment."""

    async def ask() -> list[str]:
        async with ledger(url) as opened:
            await opened.commit(account(), "warm-up")
            gate.wait(timeout=30)
            entries = await asyncio.gather(
                *(opened.reserve(account(user), name, limit=LIMIT, ttl_seconds=LONG) for name in names)
            )
            got = [name for name, entry in zip(names, entries, strict=True) if entry.outcome is Outcome.RESERVED]
            gate.wait(timeout=30)  # what is given back below would be there for those who still ask
            # Every third fails and is refunded; of the others each is committed by two at once.
            failed, done = got[::3], [name for index, name in enumerate(got) if index % 3]
            await asyncio.gather(
                *(opened.refund(account(user), name) for name in failed),
                *(opened.commit(account(user), name) for name in done),
                *(opened.commit(account(user), name) for name in done),
            )
            return [f"refunded {name}" for name in failed] + [f"committed {name}" for name in done]

    return asyncio.run(ask())


def _run(
    queue: "multiprocessing.Queue[list[str]]",
    url: str,
    user: str,
    names: list[str],
    gate: "multiprocessing.synchronize.Barrier",
) -> None:
    queue.put(_reserve_at_once(url, user, names, gate))


async def test_200_reservations_of_several_processes_at_once_get_exactly_the_limit(redis: RedisServer) -> None:
    spawn = multiprocessing.get_context("spawn")
    user, queue, gate = uuid4().hex, spawn.Queue(), spawn.Barrier(PROCESSES)
    processes = [
        spawn.Process(
            target=_run, args=(queue, redis.url, user, [f"{process}-{number}" for number in range(EACH)], gate)
        )
        for process in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    ended = [name for _ in processes for name in await asyncio.to_thread(queue.get, True, 60)]
    for process in processes:
        process.join(timeout=30)
    committed = sum(name.startswith("committed") for name in ended)
    assert len(ended) == LIMIT
    async with ledger(redis.url) as opened:
        entry = await opened.reserve(account(user), "one-more", limit=LIMIT, ttl_seconds=LONG)
        assert (entry.outcome, entry.used, entry.held) == (Outcome.RESERVED, committed, 1)
        rest = await asyncio.gather(
            *(opened.reserve(account(user), f"rest-{n}", limit=LIMIT, ttl_seconds=LONG) for n in range(LIMIT))
        )
        assert sum(one.outcome is Outcome.RESERVED for one in rest) == LIMIT - committed - 1


# The same as in memory

STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "commit", "refund"]), st.sampled_from("abcde"), st.integers(0, 4)),
    max_size=30,
)


async def _entries(opened: Ledger, steps: list[tuple[str, str, int]], of: Account) -> list[tuple[Outcome, int, int]]:
    found: list[Entry] = []
    for operation, name, limit in steps:
        match operation:
            case "reserve":
                found.append(await opened.reserve(of, name, limit=limit, ttl_seconds=LONG))
            case "commit":
                found.append(await opened.commit(of, name))
            case "refund":
                found.append(await opened.refund(of, name))
    return [(entry.outcome, entry.used, entry.held) for entry in found]


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_redis_answers_as_the_ledger_in_memory_does(redis: RedisServer, steps: list[tuple[str, str, int]]) -> None:
    async def both() -> None:
        of = account()
        async with ledger(redis.url) as opened:
            assert await _entries(opened, steps, of) == await _entries(MemoryLedger(), steps, of)

    asyncio.run(both())


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_no_order_of_requests_brings_anybody_beyond_the_limit(steps: list[tuple[str, str, int]]) -> None:
    async def all_of_them() -> None:
        limit = 3
        fixed = [(operation, name, limit) for operation, name, _ in steps]
        for _, used, held in await _entries(MemoryLedger(), fixed, account()):
            assert used + held <= limit

    asyncio.run(all_of_them())


async def test_who_reserves_and_refunds_without_end_has_only_the_last_ends_remembered(redis: RedisServer) -> None:
    of = account()
    async with ledger(redis.url) as opened:
        for number in range(MOST_REMEMBERED + 1):
            await opened.reserve(of, str(number), limit=1, ttl_seconds=LONG)
            await opened.refund(of, str(number))
        assert (await opened.refund(of, "0")).outcome is Outcome.CLOSED
        assert (await opened.refund(of, "1")).outcome is Outcome.REFUNDED


async def test_a_reservation_that_is_never_committed_gives_its_unit_back(redis: RedisServer) -> None:
    of = account()
    async with ledger(redis.url) as opened:
        first = await opened.reserve(of, "a", limit=1, ttl_seconds=1)
        refused = await opened.reserve(of, "b", limit=1, ttl_seconds=1)
        assert (refused.outcome, refused.until) == (Outcome.REFUSED, first.until)

        async def free_again() -> bool:
            return (await opened.reserve(of, "b", limit=1, ttl_seconds=LONG)).outcome is Outcome.RESERVED

        await wait_for_async(free_again, "the unit is back", seconds=5)
        assert first.until is not None
        assert time.time() >= first.until - 0.1
        assert (await opened.commit(of, "a")).outcome is Outcome.CLOSED


async def test_what_an_account_needs_is_forgotten_after_its_day(redis: RedisServer) -> None:
    of = account()
    async with ledger(redis.url) as opened:
        for name in "abc":
            await opened.reserve(of, name, limit=9, ttl_seconds=LONG)
        await opened.commit(of, "a")
        await opened.refund(of, "b")
    for part in ("used", "open", "ended"):
        left = int(redis.ask(f"TTL brownout:quota:{{{of.key}}}:{part}").decode().strip().removeprefix(":"))
        assert 3500 < left <= 3600


async def test_nothing_in_redis_tells_who_it_was(redis: RedisServer) -> None:
    async with ledger(redis.url) as opened:
        await opened.reserve(account("ana@example.com"), "a", limit=9, ttl_seconds=LONG)
    assert b"ana" not in redis.ask("KEYS *")


# Away


@pytest.fixture
def own(program: str, tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may end."""
    with redis_server(tmp_path, program=program) as running:
        yield running


async def _unavailable(opened: Ledger) -> float:
    """Asks, and returns how long the refusal took in seconds."""
    began = time.monotonic()
    with pytest.raises(LedgerUnavailableError):
        await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)
    return time.monotonic() - began


async def test_a_redis_that_is_gone_or_hangs_is_said_to_be_so_in_bounded_time(own: RedisServer) -> None:
    async with ledger(own.url) as opened:
        await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)
        own.pause()
        assert await _unavailable(opened) < ANSWER_SECONDS + 0.4
        assert await _unavailable(opened) < 0.1  # it is left alone for a while
        own.stop()
        await asyncio.sleep(REST_SECONDS)  # the rest is the time under test
        assert await _unavailable(opened) < ANSWER_SECONDS + 0.4
        own.start()

        async def back() -> bool:
            try:
                entry = await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)
            except LedgerUnavailableError:
                return False
            return entry.outcome is Outcome.RESERVED

        await wait_for_async(back, "it counts again", seconds=10)


async def test_a_redis_that_hangs_has_a_bounded_number_wait_for_it(
    own: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brownout.flags.quota.redis.MAX_WAITING", 100)  # how many are let go at once takes time, too
    turned_away: list[float] = []
    opened = ledger_of(own.url, turned_away=lambda: turned_away.append(time.monotonic()))
    many = MAX_IN_FLIGHT + 100 + 500
    try:
        await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)
        own.pause()
        began = time.monotonic()
        asked = [asyncio.create_task(opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)) for _ in range(many)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert time.monotonic() - began < ANSWER_SECONDS + 0.7
    finally:
        own.resume()
        await opened.close()
    assert {type(answer) for answer in answers} == {LedgerUnavailableError}
    at_once = [answer for answer in answers if "wait for the quota storage already" in str(answer)]
    assert len(at_once) == 500
    assert len([moment for moment in turned_away if moment < began + ANSWER_SECONDS / 2]) == 500


async def test_a_slow_redis_lets_nobody_wait_for_his_turn_for_ever(redis: RedisServer) -> None:
    opened = ledger_of(redis.url)
    assert isinstance(opened, RedisLedger)
    slots = [asyncio.create_task(opened._in_flight.acquire()) for _ in range(MAX_IN_FLIGHT)]
    await asyncio.gather(*slots)  # as if so many were being answered
    try:
        assert 0.8 * TURN_SECONDS < await _unavailable(opened) < TURN_SECONDS + 1
        opened._in_flight.release()
        assert (await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)).outcome is Outcome.RESERVED
    finally:
        await opened.close()


async def test_a_restart_between_two_requests_goes_unnoticed(own: RedisServer) -> None:
    async with ledger(own.url) as opened:
        await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)
        own.stop()
        own.start()
        assert (await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)).outcome is Outcome.RESERVED


async def test_changes_are_told(own: RedisServer) -> None:
    told: list[bool] = []
    opened = ledger_of(own.url, on_change=told.append)
    try:
        await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)
        own.stop()
        await _unavailable(opened)
        await _unavailable(opened)
        assert told == [False]
    finally:
        await opened.close()
        own.start()


async def test_a_wrong_password_is_unavailable_and_told_to_nobody(
    program: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(tmp_path, "--requirepass", "right-one", program=program) as guarded:
        url = guarded.url.replace("redis://", "redis://:wrong-one@")
        async with ledger(url) as opened:
            with pytest.raises(LedgerUnavailableError) as caught:
                await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)
        assert "wrong-one" not in f"{caught.value} {caplog.text}"
        async with ledger(url.replace("wrong-one", "right-one")) as opened:
            assert (await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)).outcome is Outcome.RESERVED


async def test_a_cluster_counts_like_a_server(program: str, tmp_path: Path) -> None:
    bus = socket.create_server(("127.0.0.1", 0))
    options = ["--cluster-enabled", "yes", "--cluster-port", str(bus.getsockname()[1])]
    bus.close()
    with redis_server(tmp_path, *options, program=program) as alone:
        alone.ask("CLUSTER ADDSLOTSRANGE 0 16383")

        async def formed() -> bool:
            return b"cluster_state:ok" in alone.ask("CLUSTER INFO")

        await wait_for_async(formed, "the cluster is formed")
        of = account()
        async with ledger(f"redis+cluster://127.0.0.1:{alone.port}") as opened:
            entries = [await opened.reserve(of, name, limit=2, ttl_seconds=LONG) for name in "abc"]
            assert [entry.outcome for entry in entries] == [Outcome.RESERVED, Outcome.RESERVED, Outcome.REFUSED]
            assert (await opened.commit(of, "a")).used == 1


async def test_a_url_may_name_valkey(redis: RedisServer) -> None:
    async with ledger(redis.url.replace("redis://", "valkey://")) as opened:
        assert (await opened.reserve(account(), "a", limit=1, ttl_seconds=LONG)).outcome is Outcome.RESERVED


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis",
        "memcached://h:1",
        "redis://",
        "redis://:secret@h:port/0",
        "redis+sentinel://:secret@h:1,h:port/s",
        "secret://h",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StorageUrlError) as caught:
        ledger_of(url)
    assert "secret" not in str(caught.value)
    assert "redis://HOST:PORT/0" in str(caught.value)
