"""Four servers, started at once because each takes seconds to import torch."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import aiohttp
import pytest

from inference.flag_source import FlagSource
from inference.server_process import Client, ServerProcess


@dataclass(frozen=True)
class Site:
    """A server with the source of its flags."""

    server: ServerProcess
    source: FlagSource


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    arguments = {
        "image": ["--workload", "image", "--features", "image-generation", "--queue-places", "8"],
        "language": ["--workload", "chat-small", "--model", "language", "--features", "chat"],
        "video": ["--workload", "image", "--features", "video-generation", "--queue-places", "8"],
        "passing": ["--workload", "image", "--features", "image-generation,video-generation", "--flags-required"],
    }
    logs = tmp_path_factory.mktemp("servers")
    with ExitStack() as cleanup:
        started = {}
        for name, given in arguments.items():
            source = FlagSource()
            source.start()
            cleanup.callback(source.stop)
            server = ServerProcess(logs / f"{name}.log", *given, flags_port=source.port)
            cleanup.callback(server.close)
            started[name] = Site(server, source)
        yield started


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as made:
        yield made


@pytest.fixture
async def image(sites: dict[str, Site], session: aiohttp.ClientSession, source: FlagSource) -> Client:
    """A client of an idle image server on which nobody is denied anything."""
    client = Client(sites["image"].server, session)
    await client.until_ready()
    await client.until_idle()
    await client.use(source)
    return client


@pytest.fixture
def source(sites: dict[str, Site]) -> FlagSource:
    """What the image server's flags come from."""
    return sites["image"].source


@pytest.fixture
async def language(sites: dict[str, Site], session: aiohttp.ClientSession) -> Client:
    client = Client(sites["language"].server, session)
    await client.until_ready()
    await client.use(sites["language"].source, flag_key="chat")
    return client


@pytest.fixture
async def denied_chat(sites: dict[str, Site], language: Client) -> None:
    await language.use(sites["language"].source, flag_key="chat", free="denied_capacity")


@pytest.fixture
async def video(sites: dict[str, Site], session: aiohttp.ClientSession) -> Client:
    """A client of an idle video server on which nobody is denied anything."""
    client = Client(sites["video"].server, session)
    await client.until_ready()
    await client.until_idle()
    await client.use(sites["video"].source, flag_key="video-generation")
    return client
