"""The users: each an HTTP request to a workload's Service, with the identity that a gateway would vouch for.

Arrivals are Poisson, so a run differs from the next as days do; the seed is in the report.
"""

import asyncio
import random
import time
from collections.abc import Callable

import aiohttp

from brownout_demo.records import Ending, Outcome
from brownout_demo.schedule import USERS, Group, rate

ASKS = {
    "chat": (
        "chat",
        "/v1/chat/completions",
        {"model": "chat", "messages": [{"role": "user", "content": "Tell me about GPUs."}], "max_tokens": 24},
    ),
    "image-generation": ("image", "/v1/images/generations", {"prompt": "a seven", "size": "32x32"}),
    "video-generation": ("video", "/v1/videos", {"prompt": "a three", "size": "32x32"}),
}
"""For each feature: the Service, the path, and what is asked."""

PATIENCE_SECONDS = 40.0
WAITING = {"Prefer": f"wait={PATIENCE_SECONDS + 20:.0f}"}
"""A video comes in the answer that makes it: a job could be asked for at the replica alone that has it, and a Service goes to any."""
ACCOUNTS = 400
OLD_ACCOUNT_SECONDS = 400 * 86400
NEW_ACCOUNT_SECONDS = 86400


class Crowd:
    """Sends users at the services and records how each fared. `hosts` gives host:port by Service name."""

    def __init__(
        self,
        hosts: dict[str, str],
        *,
        minutes: float,
        seed: int,
        record: Callable[[Outcome], None],
        started: float,
    ) -> None:
        self._hosts = hosts
        self._minutes = minutes
        self._random = random.Random(seed)
        self._record = record
        self._started = started
        self._requests: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        return time.monotonic() - self._started

    async def come(self) -> None:
        """All groups, until the schedule is over; then waits for the last answers."""
        # A connection for each request: the Service balances connections, and users are not one client.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            try:
                await asyncio.gather(*(self._arrivals(session, group) for group in USERS))
                if self._requests:
                    await asyncio.wait(self._requests)
            finally:
                for request in self._requests:
                    request.cancel()
                await asyncio.gather(*self._requests, return_exceptions=True)

    async def _arrivals(self, session: aiohttp.ClientSession, group: Group) -> None:
        """A Poisson process whose rate follows the schedule, by thinning."""
        rates = USERS[group]
        most = max(rates.calm, rates.viral)
        at = self._random.expovariate(most)
        while at < self._minutes * 60:
            await asyncio.sleep(max(0.0, at - self.now))
            if self._random.random() * most < rate(group, at, minutes=self._minutes):
                request = asyncio.create_task(self._ask(session, group))
                self._requests.add(request)
                request.add_done_callback(self._requests.discard)
            at += self._random.expovariate(most)

    async def _ask(self, session: aiohttp.ClientSession, group: Group) -> None:
        service, path, body = ASKS[group.feature]
        at = self.now
        ending: Ending
        ending, variant, detail = "failed", "", ""
        try:
            async with session.post(
                f"http://{self._hosts[service]}{path}", json=body, headers={**self._identity(group), **WAITING}
            ) as answer:
                payload = await answer.read()
                variant = answer.headers.get("X-Brownout-Variant", "")
                if answer.status == 200:
                    ending = "served"
                elif answer.status in (403, 429, 503):
                    ending, detail = "refused", str(answer.status)
                else:
                    detail = f"{answer.status} {payload[:80]!r}"
        except (aiohttp.ClientError, TimeoutError) as error:
            detail = type(error).__name__
        self._record(Outcome(at=at, group=group, ending=ending, seconds=self.now - at, variant=variant, detail=detail))

    def _identity(self, group: Group) -> dict[str, str]:
        account = self._random.randrange(ACCOUNTS)
        age = NEW_ACCOUNT_SECONDS if group.cohort == "new-accounts" else OLD_ACCOUNT_SECONDS
        return {
            "X-Brownout-User": f"{group.tier}-{group.cohort or 'old'}-{account}",
            "X-Brownout-Plan": group.tier,
            "X-Brownout-Account-Created-At": str(int(time.time()) - age),
        }
