"""A real server that strangers can reach: users are known by tokens alone, and what is thrown at it costs little.

It serves pictures to pro, and denies them to everybody else.
"""

import asyncio
import json
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import aiohttp
import openai
import pytest

from flags.issuer import AUDIENCE, NAME, Issuer
from inference.flag_source import FlagSource
from inference.server_process import Client, ServerProcess
from support.process import MIB, resident_bytes

MOST_CONNECTIONS = 100
FLOOD = 3000


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer("first").online() as running:
        yield running


@pytest.fixture(scope="module")
def source() -> Iterator[FlagSource]:
    started = FlagSource()
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def process(issuer: Issuer, source: FlagSource, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    words = ["--workload", "image", "--features", "image-generation", "--max-connections", str(MOST_CONNECTIONS)]
    words += ["--identity", "jwt", "--jwt-jwks", issuer.url, "--jwt-issuer", NAME, "--jwt-audience", AUDIENCE]
    words += ["--jwt-claims", "plan=app.plan"]
    log = tmp_path_factory.mktemp("server") / "public.log"
    server = ServerProcess(log, *words, flags_port=source.port)
    yield server
    server.close()


@pytest.fixture
async def public(process: ServerProcess, source: FlagSource, session: aiohttp.ClientSession) -> Client:
    client = Client(process, session)
    await client.until_ready()
    await client.use(source, free="denied_plan")
    return client


def bearing(client: Client, token: str, **headers: str) -> openai.AsyncOpenAI:
    """The stock client, whose API key is the user's token."""
    return openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key=token, max_retries=0, default_headers=headers)


def memory_mib(process: ServerProcess) -> float:
    return resident_bytes(process.process.pid) / MIB


@asynccontextmanager
async def flood(client: Client, connections: int, first: bytes = b"") -> AsyncIterator[None]:
    """So many connections, each of which has sent `first` and then nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, connections + 500)), hard))
    loop = asyncio.get_running_loop()
    with ExitStack() as cleanup:
        for _ in range(connections):
            held = cleanup.enter_context(socket.socket())
            held.setblocking(False)
            await loop.sock_connect(held, ("127.0.0.1", client.server.port))
            if first:
                try:
                    held.send(first)
                except OSError:
                    continue  # closed for another one already
        yield


async def test_a_user_is_who_the_token_says(public: Client, issuer: Issuer) -> None:
    async with bearing(public, issuer.token("first", sub="ana", app={"plan": "pro"})) as ai:
        assert (await ai.images.generate(prompt="a seven")).data


async def test_headers_make_nobody_pro(public: Client, issuer: Issuer) -> None:
    token = issuer.token("first", sub="eve", app={"plan": "free"})
    async with bearing(public, token, **{"X-Brownout-Plan": "pro", "X-Brownout-User": "ana"}) as ai:
        with pytest.raises(openai.PermissionDeniedError):
            await ai.images.generate(prompt="a seven")


async def test_a_token_that_has_expired_is_an_authentication_error(public: Client, issuer: Issuer) -> None:
    async with bearing(public, issuer.token("first", lasts=-60.0, sub="ana", app={"plan": "pro"})) as ai:
        with pytest.raises(openai.AuthenticationError, match="expired"):
            await ai.images.generate(prompt="a seven")


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET /readyz HTTP/1.1\r\nHost: ",
        b"POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{",
    ],
    ids=["silent", "half a header", "half a body"],
)
async def test_a_flood_of_connections_leaves_it_answering_with_bounded_memory(
    public: Client, issuer: Issuer, first: bytes
) -> None:
    before = memory_mib(public.server)
    async with (
        bearing(public, issuer.token("first", sub="ana", app={"plan": "pro"})) as ai,
        flood(public, FLOOD, first),
    ):
        began = time.monotonic()
        assert (await ai.images.generate(prompt="a seven")).data
        assert time.monotonic() - began < 5  # it takes 0.4 s on an idle machine
        assert await public.is_ready()
        assert memory_mib(public.server) - before < 30


async def test_a_body_that_is_too_large_or_too_deep_is_refused(public: Client) -> None:
    url = public.url + "/v1/images/generations"
    for body, status in (
        (json.dumps({"prompt": "a" * 300_000}), 413),
        ('{"prompt": "a", "user": ' + "[" * 100_000 + "]" * 100_000 + "}", 400),
        ('{"prompt": "a", "user": ' + "[" * 100_000, 400),
        ('{"prompt": "\\ud800"}', 400),
        ("[]", 400),
        ("", 400),
    ):
        async with public.session.post(url, data=body) as response:
            answer = await response.json(content_type=None)
            assert (response.status, answer["error"]["type"]) == (status, "invalid_request_error"), body[:40]
    assert await public.is_ready()
