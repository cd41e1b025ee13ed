"""Health over HTTP, on a loopback socket."""

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from brownout.run.health import STALLED_SECONDS, Health, serve


class Served:
    """A running endpoint, and the clock that it goes by."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.health = Health(clock=lambda: self.now, tick_seconds=2.0, page=lambda: b"metric 1\n")
        self.url = ""

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            return response.status, await response.text()


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    """Endpoints on a free port."""
    served = Served()
    runner = await serve(served.health.application(), host="127.0.0.1", port=0)
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


async def test_it_is_alive_while_ticks_end(served: Served) -> None:
    served.now += STALLED_SECONDS - 1
    assert (await served.get("/livez"))[0] == 200
    served.now += 2
    status, text = await served.get("/livez")
    assert (status, text) == (503, "the last tick ended 61.0 s ago\n")
    served.health.alive()
    assert (await served.get("/livez"))[0] == 200


async def test_it_is_ready_once_it_decides_and_says_what_it_waits_for(served: Served) -> None:
    served.health.waiting_for = "gpupools"
    assert await served.get("/readyz") == (503, "waiting for gpupools\n")
    served.health.waiting_for = ""
    assert await served.get("/readyz") == (200, "deciding\n")


async def test_metrics_are_served(served: Served) -> None:
    assert await served.get("/metrics") == (200, "metric 1\n")
