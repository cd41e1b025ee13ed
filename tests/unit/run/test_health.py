"""Health over HTTP, on a loopback socket."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest_asyncio

from brownout.run.health import STALLED_SECONDS, UNREADY_SECONDS, Health, serve


class Served:
    """A running endpoint, and the clock that it goes by."""

    def __init__(self, *, tick_seconds: float = 2.0) -> None:
        self.now = 1000.0
        self.health = Health(clock=lambda: self.now, tick_seconds=tick_seconds, page=lambda: b"metric 1\n")
        self.url = ""

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            return response.status, await response.text()

    async def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and content."""
        status, text = await self.get(path)
        return status, json.loads(text)

    async def message(self, path: str) -> tuple[int, str]:
        """Status and sentence."""
        status, content = await self.ask(path)
        return status, content["message"]


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    """Endpoints on a free port."""
    served = Served()
    runner = await serve(served.health.application(), host="127.0.0.1", port=0)
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


async def test_it_is_alive_while_ticks_end_well_or_badly(served: Served) -> None:
    served.health.decides()
    served.now += STALLED_SECONDS - 1
    assert (await served.ask("/livez"))[0] == 200
    served.now += 2
    assert await served.message("/livez") == (
        503,
        "the last tick ended 61.0 s ago; no more than 60 s are allowed",
    )
    served.health.ticked(well=False)
    assert (await served.ask("/livez"))[0] == 200


async def test_it_is_alive_while_it_waits_for_what_is_lacking(served: Served) -> None:
    for _ in range(100):
        served.now += 3
        served.health.alive()
    assert await served.message("/livez") == (200, "the last attempt to begin ended 0.0 s ago")
    assert (await served.ask("/readyz"))[0] == 503


async def test_it_is_ready_once_it_decides_and_says_what_it_waits_for(served: Served) -> None:
    served.health.waiting_for = "gpupools"
    assert await served.message("/readyz") == (503, "waiting for gpupools")
    served.health.decides()
    assert await served.message("/readyz") == (503, "waiting for the first tick")
    served.health.ticked(well=True)
    assert await served.ask("/readyz") == (
        200,
        {
            "ready": True,
            "state": "deciding",
            "message": "deciding, the last good tick 0.0 s ago",
            "ageSeconds": 0.0,
            "allowedSeconds": UNREADY_SECONDS,
            "failedTicks": 0,
        },
    )


async def test_ticks_that_all_fail_make_it_unready_and_not_dead(served: Served) -> None:
    served.health.decides()
    served.health.ticked(well=True)
    for _ in range(20):
        served.now += 2
        served.health.ticked(well=False)
    status, message = await served.message("/readyz")
    assert status == 503
    assert "the last good tick 40.0 s ago; the last 20 failed, and the log says why" in message
    assert (await served.ask("/livez"))[0] == 200


async def test_slow_ticks_by_choice_are_given_longer() -> None:
    served = Served(tick_seconds=60.0)
    runner = await serve(served.health.application(), host="127.0.0.1", port=0)
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    served.health.decides()
    served.health.ticked(well=True)
    served.now += 600
    assert (await served.ask("/readyz"))[0] == 200
    served.now += 400
    assert [(await served.ask(path))[0] for path in ("/readyz", "/livez")] == [503, 200]
    await runner.cleanup()


async def test_a_standby_is_ready_and_says_who_leads(served: Served) -> None:
    served.health.leader = lambda: "other_1"
    served.health.stands_by("")
    status, content = await served.ask("/readyz")
    assert (status, content["state"], content["leader"]) == (200, "standby", "other_1")


async def test_a_standby_that_could_not_lead_is_not_ready(served: Served) -> None:
    served.health.stands_by("the right to read the Lease")
    assert await served.message("/readyz") == (503, "waiting for the right to read the Lease")


async def test_a_standby_that_becomes_the_leader_stays_ready(served: Served) -> None:
    served.health.stands_by("")
    served.health.decides()
    assert (await served.ask("/readyz"))[0] == 200


async def test_metrics_are_served(served: Served) -> None:
    assert await served.get("/metrics") == (200, "metric 1\n")


async def test_a_namespace_that_is_left_out_is_named_and_makes_nobody_unready(served: Served) -> None:
    served.health.decides()
    served.health.ticked(well=True)
    served.health.left_out = "namespace gone does not exist"
    status, sentence = await served.message("/readyz")
    assert status == 200
    assert sentence.endswith("; namespace gone does not exist")
    assert "gone" not in (await served.message("/livez"))[1]
