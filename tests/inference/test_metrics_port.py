"""Metrics at a port of their own."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from inference.flag_source import FlagSource
from inference.server_process import Client, ServerProcess, free_port
from support.waiting import wait_for_async

IMAGE = ("--workload", "image", "--features", "image-generation")


@pytest.fixture
def source() -> Iterator[FlagSource]:
    started = FlagSource()
    started.start()
    yield started
    started.stop()


async def test_metrics_that_name_users_are_at_a_port_of_their_own(
    tmp_path: Path, source: FlagSource, session: aiohttp.ClientSession
) -> None:
    port = free_port()
    log = tmp_path / "server.log"
    server = ServerProcess(log, *IMAGE, "--metrics-port", str(port), flags_port=source.port)
    try:
        client = Client(server, session)

        async def page(at: str) -> tuple[int, str]:
            async with session.get(f"{at}/metrics") as response:
                return response.status, await response.text()

        async def listens() -> bool:
            try:
                return (await page(f"http://127.0.0.1:{port}"))[0] == 200
            except aiohttp.ClientConnectionError:
                return False

        await wait_for_async(listens, "a port for metrics", seconds=60)
        await client.image(headers={"X-Brownout-User": "ana"})
        assert (await page(client.url))[0] == 404
        assert 'user="ana"' in (await page(f"http://127.0.0.1:{port}"))[1]
        async with session.get(f"http://127.0.0.1:{port}/v1/models") as response:
            assert response.status == 404
    finally:
        server.close()
