"""The client of the ledger that counts what each user has had today: a unit is reserved at the door, and then used or given back.

Only a feature whose flag names a quota for the user's tier asks the ledger at all. Where it does not answer in time the flag says
what the user gets. Nobody waits for a commit or a refund: they are sent in the background, again until they arrive or the
reservation is over, which gives its unit back by itself.

A ledger that does not answer may have reserved all the same. So each reservation has a secret of ours, with which it can be asked for again: the second time gives
the same one, or none that anybody else has, and that is refunded.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from openfeature.evaluation_context import EvaluationContext

from brownout_inference import refusal
from brownout_inference.features import Feature
from brownout_inference.identity import USER
from brownout_inference.metrics import QUOTA_UNAVAILABLE, Meters
from brownout_inference.refusal import RefusedError
from brownout_inference.settings import QuotaSettings
from brownout_inference.verdict import Verdict

log = logging.getLogger(__name__)

ANSWER_SECONDS = 1.5
"""How long a user waits for the ledger; it gives up on its own storage before."""
REST_SECONDS = 1.0
"""After a failure nobody waits for the ledger for so long."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 10.0
MOST_TAKEN_BACK = 1000
"""Units that are taken back at a time from a ledger that did not answer; of those beyond, the ledger gives each back when its reservation is over."""
LAST_SECONDS = 2.0
"""How long the end of the server may be held up by what is still to be sent."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A reserved unit. until: monotonic seconds; after that it has gone back by itself."""

    feature: Feature
    context: Mapping[str, Any]
    reservation: str
    until: float


RESERVED, UNCOUNTED = "reserved", "uncounted"


class _UnavailableError(Exception):
    """The ledger gave no answer that helps. `asked`: it may have done what was asked."""

    def __init__(self, message: str, *, asked: bool = True) -> None:
        super().__init__(message)
        self.asked = asked


class Quotas:
    """Reserves, commits and refunds. Make it where an event loop runs."""

    def __init__(self, settings: QuotaSettings, *, meters: Meters, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._meters = meters
        self._clock = clock
        self._resting_until = -math.inf
        self._tasks: set[asyncio.Task[Any]] = set()
        self._taking_back = 0
        self._session: aiohttp.ClientSession | None = None

    async def reserve(self, feature: Feature, verdict: Verdict, context: EvaluationContext) -> Unit | None:
        """A unit of the user's day; None where none is counted. Raises RefusedError.

        A caller that is cancelled meanwhile takes nothing.
        """
        if verdict.quota is None:
            return None
        if not context.targeting_key:
            detail = (
                f"{feature.flag_key} is counted for each user, and nobody says who this one is ({USER}, or a token)"
            )
            raise RefusedError(refusal.bad_request(detail, parameter=USER))
        reserving = self._start(self._reserve(feature, verdict, context))
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            reserving.add_done_callback(self._not_wanted)
            raise

    def commit(self, unit: Unit | None) -> None:
        """The unit is used."""
        if unit is not None:
            self._start(self._end(unit, "commit"))

    def refund(self, unit: Unit | None) -> None:
        """Nothing came of it: the unit goes back."""
        if unit is not None:
            self._start(self._end(unit, "refund"))

    async def close(self) -> None:
        """Send what is still to be sent, for a short while."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_SECONDS)
        for task in self._tasks:
            task.cancel()
        if self._session is not None:
            await self._session.close()

    async def _reserve(self, feature: Feature, verdict: Verdict, context: EvaluationContext) -> Unit | None:
        assert verdict.quota is not None
        sent = {**context.attributes, "targetingKey": context.targeting_key}
        until = self._clock() + self._settings.ttl_seconds
        wish = {"context": sent, "ttlSeconds": self._settings.ttl_seconds, "reservation": secrets.token_urlsafe(18)}
        try:
            status, body, headers = await self._ask(feature, "reserve", wish)
        except _UnavailableError as error:
            self._meters.quota(feature.flag_key, QUOTA_UNAVAILABLE)
            if error.asked:
                self._start(self._take_back(feature, wish, until))
            if verdict.quota.when_unavailable == "Allow":
                return None
            log.warning("quota of %s: %s; the policy denies it then", feature.flag_key, error)
            raise RefusedError(refusal.quota_unavailable(verdict, feature.flag_key)) from error
        if status == 429:
            self._meters.quota(feature.flag_key, "refused")
            raise RefusedError(refusal.quota_used_up(verdict, feature.flag_key, body, headers.get("Retry-After", "")))
        outcome = str(body.get("outcome"))
        self._meters.quota(feature.flag_key, outcome)
        if outcome == UNCOUNTED:  # its storage did not answer, and may have counted
            self._start(self._take_back(feature, wish, until))
        return _unit(feature, wish, body, until) if outcome == RESERVED else None

    async def _take_back(self, feature: Feature, wish: Mapping[str, Any], until: float) -> None:
        """Gives back what a ledger may have reserved that did not say so. Where it had not, it reserves now, and the late one finds that it has ended."""
        if self._taking_back >= MOST_TAKEN_BACK:
            return
        self._taking_back += 1
        try:
            answer = await self._until_answered(feature, "reserve", wish, until)
            if answer is not None and answer[1].get("outcome") == RESERVED:
                await self._end(_unit(feature, wish, answer[1], until), "refund")
        finally:
            self._taking_back -= 1

    async def _end(self, unit: Unit, operation: str) -> None:
        wish = {"context": unit.context, "reservation": unit.reservation}
        answer = await self._until_answered(unit.feature, operation, wish, unit.until)
        outcome = str(answer[1]["outcome"]) if answer is not None and answer[0] == 200 else "expired"
        self._meters.quota(unit.feature.flag_key, outcome)

    async def _until_answered(
        self, feature: Feature, operation: str, wish: Mapping[str, Any], until: float
    ) -> tuple[int, dict[str, Any]] | None:
        """Asks again and again; None where nobody has answered `until` then."""
        pause = FIRST_PAUSE_SECONDS
        while self._clock() < until:
            try:
                status, body, _ = await self._ask(feature, operation, wish)
            except _UnavailableError:
                pass
            else:
                if body.get("outcome") != UNCOUNTED:
                    return status, body
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return None

    async def _ask(
        self, feature: Feature, operation: str, body: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """The ledger's answer: 200, 409 or 429. Raises _UnavailableError for everything else."""
        if self._clock() < self._resting_until:
            raise _UnavailableError("the ledger did not answer a moment ago", asked=False)
        if self._session is None:
            token = self._settings.token
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            self._session = aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0))
        url = f"{self._settings.url}/v1/quota/{feature.flag_key}/{operation}"
        try:
            timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
            async with self._session.post(url, json=body, timeout=timeout) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._resting_until = self._clock() + REST_SECONDS
            raise _UnavailableError(f"no answer from the ledger ({type(error).__name__})") from error
        if response.status not in (200, 409, 429) or not isinstance(answer, dict):
            said = answer.get("detail", "") if isinstance(answer, dict) else ""
            raise _UnavailableError(f"HTTP {response.status} from the ledger: {said}")
        return response.status, answer, response.headers

    def _not_wanted(self, reserving: "asyncio.Task[Unit | None]") -> None:
        if not reserving.cancelled() and reserving.exception() is None:
            self.refund(reserving.result())

    def _start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _unit(feature: Feature, wish: Mapping[str, Any], answer: Mapping[str, Any], until: float) -> Unit:
    return Unit(feature=feature, context=wish["context"], reservation=str(answer["reservation"]), until=until)
