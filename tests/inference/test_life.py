"""From the first probe to the last answer of one real server: the tests of this module follow each other."""

import asyncio

import aiohttp
import pytest

from inference.conftest import Site
from inference.server_process import Client
from support.waiting import wait_for_async


@pytest.fixture
def passing(sites: dict[str, Site], session: aiohttp.ClientSession) -> Client:
    """A client of the server that is going to be stopped."""
    return Client(sites["passing"].server, session)


async def test_it_is_alive_but_not_ready_before_the_flags_that_it_requires(passing: Client) -> None:
    async def waits_for_flags() -> bool:
        async with passing.session.get(passing.url + "/readyz") as response:
            return response.status == 503 and "flags" in (await response.json(content_type=None))["detail"]

    await wait_for_async(waits_for_flags, "it has loaded and waits for flags", seconds=60)
    async with passing.session.get(passing.url + "/healthz") as response:
        assert response.status == 200


async def test_before_any_flags_users_are_served_their_best_as_unknown(passing: Client) -> None:
    answer = await passing.image("pro")
    assert answer.status == 200
    assert (answer.headers["X-Brownout-Tier"], answer.headers["X-Brownout-Variant"]) == ("unknown", "default")


async def test_the_first_flags_make_it_ready(passing: Client, sites: dict[str, Site]) -> None:
    await passing.use(sites["passing"].source)
    await passing.until_ready()
    assert (await passing.image("pro")).headers["X-Brownout-Tier"] == "pro"


async def test_it_drains_when_it_is_told_to_stop(passing: Client, sites: dict[str, Site]) -> None:
    await passing.use(sites["passing"].source, pro="long")
    running = passing.asking(2, "pro")
    await passing.until_metric("brownout_inference_running", 2)
    waiting = passing.asking(1, "free")
    job = (await passing.post("/v1/videos", {"prompt": "a three"})).body
    await passing.until_metric("brownout_inference_queue_length", 2)
    passing.server.terminate()

    async def refuses() -> bool:
        return not await passing.is_ready()

    await wait_for_async(refuses, "it is no longer ready", seconds=5)
    refused = await passing.image("pro")
    assert (refused.status, refused.body["reason"]) == (503, "draining")
    assert refused.headers["Connection"] == "close"
    assert int(refused.headers["Retry-After"]) >= 1
    answers = await asyncio.gather(*running, *waiting)
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert (await content_of(passing, job["id"])).startswith(b"GIF")
    assert await asyncio.to_thread(passing.server.process.wait, 10) == 0


async def content_of(client: Client, number: str) -> bytes:
    """What came of a job, once it has ended; the server waits with its own end until somebody has it."""
    url, ana = f"{client.url}/v1/videos/{number}", {"X-Brownout-User": "ana"}

    async def completed() -> bool:
        async with client.session.get(url, headers=ana) as response:
            return bool((await response.json())["status"] == "completed")

    await wait_for_async(completed, "the video is completed", seconds=20)
    assert client.server.process.poll() is None
    async with client.session.get(url + "/content", headers=ana) as response:
        return await response.read()
