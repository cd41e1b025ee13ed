"""Quotas over a fail-over by a real Sentinel: nothing is counted twice, and what is lost is said."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from brownout.flags.quota.ledger import Account, Entry, Ledger, LedgerUnavailableError, Outcome
from brownout.flags.quota.storage import ledger_of
from flags.test_quota_redis import account
from support.redis import programs
from support.sentinel import SERVICE, deaf, sentinel
from support.waiting import wait_for_async

WORKERS = 8
BEFORE, AFTER = 100, 100
NO_LIMIT = 1_000_000


@pytest.fixture(params=programs())
def program(request: pytest.FixtureRequest) -> str:
    return programs()[request.param]


class Work:
    """Servers that reserve and commit without end, each until it is answered; a request without an answer is sent again."""

    def __init__(self, ledger: Ledger, of: Account) -> None:
        self.ended: Counter[Outcome] = Counter()
        self.unavailable = 0
        self._ledger = ledger
        self._of = of
        self._stop = False
        self._tasks = [asyncio.create_task(self._run()) for _ in range(WORKERS)]

    async def end(self) -> None:
        self._stop = True
        async with asyncio.timeout(20):
            await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        while not self._stop:
            name = uuid4().hex
            await self._until_answered(self._reserve, name)
            entry = await self._until_answered(self._ledger.commit, self._of, name)
            again = await self._until_answered(self._ledger.commit, self._of, name)  # as if the answer had been lost
            self.ended[entry.outcome] += 1
            assert again.outcome in (entry.outcome, Outcome.CLOSED)

    async def _reserve(self, name: str) -> Entry:
        return await self._ledger.reserve(self._of, name, limit=NO_LIMIT, ttl_seconds=60)

    async def _until_answered(self, ask: object, *arguments: object) -> Entry:
        assert callable(ask)
        while True:
            with contextlib.suppress(LedgerUnavailableError):
                found: Entry = await ask(*arguments)
                return found
            self.unavailable += 1
            await asyncio.sleep(0.05)


async def test_a_fail_over_counts_nothing_twice_and_loses_nothing_silently(program: str, tmp_path: Path) -> None:
    with sentinel(tmp_path, program=program) as watching, deaf() as hanging:
        # The first of the Sentinels hangs: the next one is asked in time.
        ledger = ledger_of(f"redis+sentinel://127.0.0.1:{hanging},127.0.0.1:{watching.port}/{SERVICE}")
        of = account()
        work = Work(ledger, of)
        try:
            await _committed(work, BEFORE)
            watching.master.stop()
            before = work.ended[Outcome.COMMITTED]
            await _committed(work, before + AFTER)
        finally:
            await work.end()
        assert watching.master_port() == watching.replica.port
        counted = await ledger.reserve(of, "last", limit=NO_LIMIT, ttl_seconds=60)
        await ledger.close()
    committed, told = work.ended[Outcome.COMMITTED], work.ended[Outcome.CLOSED]
    assert work.unavailable  # nobody was told that something is counted while nobody counted
    assert counted.used <= committed
    # What the old master had said and not passed on: of each server what was under way, at most.
    assert committed - counted.used <= WORKERS
    assert told <= WORKERS


async def test_a_master_that_is_demoted_is_left_for_the_new_one(program: str, tmp_path: Path) -> None:
    with sentinel(tmp_path, program=program) as watching:
        ledger = ledger_of(f"valkey+sentinel://127.0.0.1:{watching.port}/{SERVICE}")
        of = account()
        try:
            await ledger.reserve(of, "a", limit=2, ttl_seconds=60)

            async def passed_on() -> bool:
                return watching.replica.ask("DBSIZE") == b":1\r\n"

            await wait_for_async(passed_on, "the replica knows of it")

            async def promoted() -> bool:
                if watching.master_port() == watching.replica.port:
                    return True
                watching.ask(
                    f"SENTINEL FAILOVER {SERVICE}"
                )  # one that it gives up, on a busy machine, is not begun again
                return False

            await wait_for_async(promoted, "the replica is the master", seconds=40)
            watching.master.ask(
                f"REPLICAOF 127.0.0.1 {watching.replica.port}"
            )  # as the Sentinel does, ten seconds later

            async def counted() -> Entry | None:
                with contextlib.suppress(LedgerUnavailableError):
                    return await ledger.commit(of, "a")
                return None

            entry = await wait_for_async(counted, "the new one is asked", seconds=10)
            assert (entry.outcome, entry.used) == (Outcome.COMMITTED, 1)
            assert (await ledger.reserve(of, "b", limit=2, ttl_seconds=60)).outcome is Outcome.RESERVED
            assert (await ledger.reserve(of, "c", limit=2, ttl_seconds=60)).outcome is Outcome.REFUSED
        finally:
            await ledger.close()


async def _committed(work: Work, count: int) -> None:
    async def so_many() -> bool:
        return work.ended[Outcome.COMMITTED] >= count

    await wait_for_async(so_many, f"{count} are committed", seconds=20)
