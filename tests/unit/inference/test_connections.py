"""Open connections of a real server, from clients who hold them, dribble, or do not read."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CollectorRegistry

from brownout_inference.http import bodies
from brownout_inference.http.connections import BoundedSite, Connections, tell_gate
from support.waiting import wait_for_async

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Site:
    """A server whose `/` answers at once, `/wait` when `go` is set, `/flood` with more than anybody takes, and `/body` once it has come."""

    connections: Connections
    registry: CollectorRegistry
    port: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    wrote: int = 0
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, *, read_limit: int = 2**16) -> Pair:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=read_limit)
        self.opened.append(writer)
        return reader, writer

    def ended(self, reason: str) -> float | None:
        """Connections that were ended for it, as the metrics tell."""
        return self.registry.get_sample_value("brownout_inference_connections_ended_total", {"reason": reason})

    async def get(self, path: str = "/") -> Pair:
        reader, writer = await self.connect()
        writer.write(GET.replace(b"/ ", path.encode() + b" ", 1))
        return reader, writer


@asynccontextmanager
async def site(most: int = 4, **more: float) -> AsyncIterator[Site]:
    registry = CollectorRegistry()
    served = Site(Connections(most, registry=registry, **more), registry)  # type: ignore[arg-type]

    async def root(_: web.Request) -> web.Response:
        return web.Response(text="here")

    async def wait(_: web.Request) -> web.Response:
        await served.go.wait()
        return web.Response(text="waited")

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(2**16))
            served.wrote += 2**16

    async def body(request: web.Request) -> web.Response:
        return web.Response(body=await bodies.received(request))

    app = web.Application(middlewares=[tell_gate])
    app.add_routes([web.get("/", root), web.get("/wait", wait), web.get("/flood", flood), web.post("/body", body)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await BoundedSite(runner, "127.0.0.1", 0, served.connections).start()
    served.port = runner.addresses[0][1]
    try:
        async with asyncio.timeout(20):
            yield served
    finally:
        for writer in served.opened:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in served.opened), return_exceptions=True)
        await runner.cleanup()


async def until(look: Callable[[], bool], what: str) -> None:
    async def looked() -> bool:
        return look()

    await wait_for_async(looked, what, seconds=10)


async def answer(pair: Pair) -> bytes:
    head = await pair[0].readuntil(b"\r\n\r\n")
    return head.partition(b"\r\n")[0]


async def test_whoever_asks_has_a_connection_though_others_hold_all_of_them() -> None:
    async with site(most=4) as served:
        held = [await served.connect() for _ in range(40)]
        assert b"200" in await answer(await served.get())
        assert served.connections.open <= 4
        assert await held[0][0].read() == b""  # the one that held for longest is gone
        assert served.ended("displaced") == 37
        assert served.registry.get_sample_value("brownout_inference_connections") == served.connections.open
        assert served.registry.get_sample_value("brownout_inference_connections_most") == 4


async def test_where_all_are_busy_a_newcomer_is_told_so_and_when_to_come_back() -> None:
    async with site(most=2) as served:
        busy = [await served.get("/wait") for _ in range(2)]
        await until(lambda: not served.connections.idle and served.connections.open == 2, "both are busy")
        reader, _ = await served.get()
        text = (await reader.read()).decode()
        assert text.startswith("HTTP/1.1 503")
        assert "Retry-After: 1" in text
        assert json.loads(text.partition("\r\n\r\n")[2])["error"]["code"] == "too_many_connections"
        assert served.ended("too_many") == 1
        served.go.set()
        assert [b"200" in await answer(pair) for pair in busy] == [True, True]
        assert b"200" in await answer(await served.get())


async def test_an_idle_connection_is_used_again_while_there_is_room() -> None:
    async with site(most=4) as served:
        pair = await served.get()
        assert b"200" in await answer(pair)
        await pair[0].readexactly(4)
        pair[1].write(GET)
        assert b"200" in await answer(pair)


async def test_who_is_slow_to_send_a_request_is_closed() -> None:
    async with site(first_request_seconds=0.3) as served:
        _, writer = await served.connect()

        async def dribble() -> None:
            for byte in GET * 100:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)

        dribbling = asyncio.create_task(dribble())
        await until(lambda: not served.connections.open, "who dribbles is gone")
        assert served.ended("no_request") == 1
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)


async def test_who_is_slow_to_send_a_body_holds_no_place_that_others_need() -> None:
    async with site(most=2) as served:
        for _ in range(2):
            _, writer = await served.connect()
            writer.write(b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nabc")
        await until(lambda: served.connections.open == 2, "both hold a place")
        assert b"200" in await answer(await served.get())


async def test_who_does_not_read_is_closed_and_little_waits_for_them() -> None:
    async with site(stuck_seconds=0.3) as served:
        await served.get("/flood")
        await until(lambda: served.wrote > 0 and not served.connections.open, "who does not read is gone")
        assert served.ended("unread") == 1
        assert served.wrote < 32 * 2**20  # what fits into the kernel's buffers and ours


async def test_who_reads_slowly_but_steadily_is_served() -> None:
    async with site(stuck_seconds=0.3, least_bytes=1024) as served:
        reader, _ = await served.get("/flood")
        for _ in range(20):
            assert await reader.read(2**20)
            await asyncio.sleep(0.05)
        assert served.connections.open == 1
