"""The ledger in Redis or Valkey, shared by every replica: each entry is one script, so it happens at once or not at all.

An account is three keys, which a cluster keeps together: `used`, a number; `open`, reservations by the moment at which they expire;
`ended`, how the last ones ended. Time is Redis's own, so that replicas whose clocks differ agree. Redis must not evict
(`maxmemory-policy noeviction`): what it forgets is not counted.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError

from brownout.flags.quota.ledger import (
    MOST_REMEMBERED,
    REMEMBER_SECONDS,
    Account,
    Entry,
    LedgerUnavailableError,
    Outcome,
)

PREFIX = "brownout:quota"
ANSWER_SECONDS = 1.0
"""How long Redis may take to answer. Users wait for it."""
REST_SECONDS = 1.0
"""After a failure Redis is left alone for so long, and nobody waits for it."""
MAX_IN_FLIGHT = 8
"""Requests to Redis at a time, from each process: more would only wait for each other, and would be given up sooner on a busy machine."""
MAX_WAITING = 1_000
"""Requests that wait for their turn to ask Redis: whoever comes while so many do is told at once, ..."""
TURN_SECONDS = 2.0
"""... and whoever has waited for so long, which happens where Redis is slow: where it hangs, all hear of it after ANSWER_SECONDS."""
_REMEMBER = (int(1000 * REMEMBER_SECONDS), MOST_REMEMBERED)
_HEAD = """
local used, open, ended = KEYS[1], KEYS[2], KEYS[3]
local id, keep_until = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', open, '-inf', now)
redis.call('ZREMRANGEBYSCORE', ended, '-inf', now)
local function answer(outcome, moment)
    return {outcome, tonumber(redis.call('GET', used) or '0'), redis.call('ZCARD', open), tostring(moment or '')}
end
"""
RESERVE = (
    _HEAD
    + """
local limit, ttl = tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('ZSCORE', ended, 'committed ' .. id) or redis.call('ZSCORE', ended, 'refunded ' .. id) then
    return answer('closed')
end
local moment = redis.call('ZSCORE', open, id)
if not moment then
    if tonumber(redis.call('GET', used) or '0') + redis.call('ZCARD', open) >= limit then
        return answer('refused', redis.call('ZRANGE', open, 0, 0, 'WITHSCORES')[2])
    end
    moment = string.format('%.0f', now + ttl)
    redis.call('ZADD', open, moment, id)
    redis.call('EXPIREAT', open, keep_until)
end
return answer('reserved', moment)
"""
)
END = (
    _HEAD
    + """
local outcome, remember = ARGV[3], tonumber(ARGV[4])
if redis.call('ZREM', open, id) == 1 then
    redis.call('ZADD', ended, string.format('%.0f', now + remember), outcome .. ' ' .. id)
    redis.call('ZREMRANGEBYRANK', ended, 0, -1 - tonumber(ARGV[5]))
    redis.call('EXPIREAT', ended, keep_until)
    if outcome == 'committed' then
        redis.call('INCR', used)
        redis.call('EXPIREAT', used, keep_until)
    end
end
return answer(redis.call('ZSCORE', ended, outcome .. ' ' .. id) and outcome or 'closed')
"""
)

log = logging.getLogger(__name__)


class RedisLedger:
    """The ledger behind a client of redis.asyncio. others: clients that this one needs, and that are closed with it.

    on_change: told whether it answers, whenever that changes. turned_away: told of each request that found no place to wait, or waited in vain.
    """

    def __init__(
        self,
        client: Any,
        *,
        others: Sequence[Any] = (),
        on_change: Callable[[bool], None] = lambda answers: None,
        turned_away: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._others = others
        self._reserve = self._client.register_script(RESERVE)
        self._end = self._client.register_script(END)
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._waiting = 0
        self._turned_away = turned_away
        self._resting_until = 0.0
        self._answers = True
        self._on_change = on_change

    async def reserve(self, account: Account, reservation: str, *, limit: int, ttl_seconds: float) -> Entry:
        """Take a unit, if the limit has room."""
        return await self._run(self._reserve, account, reservation, limit, int(1000 * ttl_seconds))

    async def commit(self, account: Account, reservation: str) -> Entry:
        """Count a reserved unit."""
        return await self._run(self._end, account, reservation, "committed", *_REMEMBER)

    async def refund(self, account: Account, reservation: str) -> Entry:
        """Give a reserved unit back."""
        return await self._run(self._end, account, reservation, "refunded", *_REMEMBER)

    async def close(self) -> None:
        """Close the connections."""
        for client in (self._client, *self._others):
            await client.aclose()

    async def _run(self, script: Any, account: Account, reservation: str, *arguments: str | int) -> Entry:
        await self._turn()
        try:
            answer = await self._ask(script, account, reservation, *arguments)
        finally:
            self._in_flight.release()
        outcome, used, held, moment = answer
        until = float(moment) / 1000 if moment else None
        return Entry(outcome=Outcome(outcome.decode()), used=int(used), held=int(held), until=until)

    async def _turn(self) -> None:
        """Wait, though not for long, for one's turn. Raises LedgerUnavailableError, where too many others do."""
        if not self._in_flight.locked():
            await self._in_flight.acquire()
            return
        if self._waiting >= MAX_WAITING:
            self._turned_away()
            raise LedgerUnavailableError(f"{MAX_WAITING} requests wait for the quota storage already")
        self._waiting += 1
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._in_flight.acquire()
        except TimeoutError:
            self._turned_away()
            raise LedgerUnavailableError(f"the quota storage had no time for it within {TURN_SECONDS:g} s") from None
        finally:
            self._waiting -= 1

    async def _ask(self, script: Any, account: Account, reservation: str, *arguments: str | int) -> Any:
        if time.monotonic() < self._resting_until:
            raise LedgerUnavailableError("the quota storage did not answer a moment ago")
        base = f"{PREFIX}:{{{account.key}}}"
        keys = [f"{base}:{part}" for part in ("used", "open", "ended")]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await script(keys, [reservation, int(account.keep_until), *arguments])
        except (RedisError, OSError, TimeoutError) as error:
            self._resting_until = time.monotonic() + REST_SECONDS
            self._heard(False, type(error).__name__)
            raise LedgerUnavailableError(f"the quota storage does not answer ({type(error).__name__})") from error
        self._heard(True)
        return answer

    def _heard(self, answers: bool, reason: str = "") -> None:
        if answers == self._answers:
            return
        self._answers = answers
        self._on_change(answers)
        if answers:
            log.info("quota storage back")
        else:
            log.warning("quota storage lost, policies say what users get", extra={"reason": reason})
